"""Windows in which the machine is off by its samples, as the target finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from micro.config import FeaturesConfig
from micro.datasets.views import Views, release
from micro.detection.standstill import in_counts, limits_of, machine_off
from micro.errors import DataError
from micro.signal import AnyFrontEnd, Frames
from micro.signal.front_end import CHUNK
from micro.signal.joined import counts_of, main_front_end
from micro.signal.joined_frames import sensed_of
from micro.support.wording import counted, listed


@dataclass(frozen=True)
class Standing:
    """What tells windows of a machine that is off from others: `limits` as those of a detector, `views` of the student."""

    views: Views
    limits: tuple[float, ...]

    def __call__(self, frames: Frames) -> np.ndarray:
        """Whether the machine is off during each window, (n,) bool."""
        if not self.limits:
            return np.zeros(len(frames), bool)
        return np.concatenate([np.zeros(0, bool), *(machine_off(self.limits, own) for own in self._sensed(frames))])

    def levels(self, frames: Frames) -> np.ndarray:
        """RMS of the mean-free samples of each window in the unit of the data, (n, channels)."""
        main = self.views.main
        unit = (main.full_scale or 1.0) / 32768 if main.arithmetic == "fixed" else 1.0
        each = (unit * own.astype(np.float64).std(axis=1) for own in self._sensed(frames))
        return np.concatenate([np.zeros((0, len(self.limits))), *each])

    def _sensed(self, frames: Frames) -> Iterator[np.ndarray]:
        """The student's windows as its sensor has them, some at a time."""
        for start in range(0, len(frames), CHUNK):
            own = self.views.of_student(frames[start : start + CHUNK])
            yield sensed_of(counts_of(self.views.student, own))
            release(frames)


def wholly_off(off: Standing, frames: Iterable[Frames], channels: Sequence[str]) -> str | None:
    """Why there is no healthy window where the machine is off in all of them, in words; None where that is not why.

    `frames` are the healthy windows of each recording.
    """
    if not off.limits:
        return None
    parts = [np.zeros((0, len(off.limits)))]
    for own in frames:
        if not off(own).all():
            return None
        parts.append(off.levels(own))
    levels = np.concatenate(parts)
    looked_at = [place for place, limit in enumerate(off.limits) if limit > 0]
    if not len(levels):
        return None
    windows = counted(len(levels), "healthy window")
    highest = listed([f"{levels[:, place].max():.3g} of {channels[place]}" for place in looked_at])
    return (
        f"no healthy window to learn from: by detect.off_rms the machine is off in all {windows}, where the "
        f"highest RMS is {highest}; take a limit between the level of a machine that stands and of one that runs"
    )


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
    main = main_front_end(front_end)
    return in_counts(limits, main.full_scale) if main.arithmetic == "fixed" else limits
