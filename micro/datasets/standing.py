"""Windows in which the machine is off by its samples, as the target finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from micro.config import FeaturesConfig
from micro.datasets.views import Views, release
from micro.detection.standstill import in_counts, limits_of, machine_off
from micro.errors import DataError
from micro.signal import AnyFrontEnd, Frames, JoinedFrontEnd
from micro.signal.front_end import CHUNK
from micro.signal.joined import counts_of
from micro.signal.joined_frames import sensed_of


@dataclass(frozen=True)
class Standing:
    """What tells windows of a machine that is off from others: `limits` as those of a detector, `views` of the student."""

    views: Views
    limits: tuple[float, ...]

    def __call__(self, frames: Frames) -> np.ndarray:
        """Whether the machine is off during each window, (n,) bool."""
        if not self.limits:
            return np.zeros(len(frames), bool)
        parts = [np.zeros(0, bool)]
        for start in range(0, len(frames), CHUNK):
            own = self.views.of_student(frames[start : start + CHUNK])
            parts.append(machine_off(self.limits, sensed_of(counts_of(self.views.student, own))))
            release(frames)
        return np.concatenate(parts)


def detector_limits(
    off_rms: float | Mapping[str, float] | None,
    channels: Sequence[str],
    settings: FeaturesConfig,
    front_end: AnyFrontEnd,
) -> tuple[float, ...]:
    """Limits as a detector takes them: of each channel of the main source, in counts where its front end is 'fixed'.

    Raises:
        DataError: For a name that no channel has.
    """
    try:
        limits = limits_of(off_rms, channels, settings.speed_column)
    except ValueError as error:
        raise DataError(f"detect.{error}") from None
    main = front_end.main if isinstance(front_end, JoinedFrontEnd) else front_end
    return in_counts(limits, main.full_scale) if main.arithmetic == "fixed" else limits
