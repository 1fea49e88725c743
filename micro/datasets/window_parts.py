"""Windows as models take them, and what a teacher sees in their place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from micro.signal import FrontEnd, Scaling


@dataclass(frozen=True)
class Windows:
    """Scaled features of some windows.

    Attributes:
        x: Features, (n, *shape) float32; of text tokens, (n, length) uint8.
        labels: (n,), the class; or 1 for a faulty window, 0 for a healthy one, -1 where the state is unknown; or a regression's
            number, (n, targets) of several; of several labels 1 for those that a window has, 0 for the others, and -1 where it
            is not known, (n, labels) int.
        origins: The recording of each.
        places: Where each is among the windows of its recording, (n,) int; one that is left out leaves a gap.
        of_teacher: What the teacher sees of the same windows, (n, *its shape) float32; None where that is `x`.
        modes: The operating mode of each, (n,) int; None where there are none.
        octaves: Levels and crossings of each, (n, 2 * octaves) int; None where they are not looked at.
        off_before: In how many windows of its recording before each the machine is off, (n,) int; None where that is not known.
        seconds: From the first row of its file to the beginning of each, (n,), gaps included; None where that is not known.
    """

    x: np.ndarray
    labels: np.ndarray
    origins: tuple[str, ...]
    places: np.ndarray | None = None
    of_teacher: np.ndarray | None = None
    modes: np.ndarray | None = None
    octaves: np.ndarray | None = None
    off_before: np.ndarray | None = None
    seconds: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def as_teacher(self) -> Windows:
        """The same windows as the teacher sees them."""
        return self if self.of_teacher is None else replace(self, x=self.of_teacher, of_teacher=None)

    def at(self, rows: np.ndarray) -> Windows:
        """Some of the windows: those at the places `rows`, (k,) int."""
        return Windows(
            self.x[rows],
            self.labels[rows],
            tuple(self.origins[row] for row in rows.tolist()),
            None if self.places is None else self.places[rows],
            None if self.of_teacher is None else self.of_teacher[rows],
            None if self.modes is None else self.modes[rows],
            None if self.octaves is None else self.octaves[rows],
            None if self.off_before is None else self.off_before[rows],
            None if self.seconds is None else self.seconds[rows],
        )


@dataclass(frozen=True)
class Origins:
    """Which recordings belong together, by their names; one that is not among them stands by itself.

    Attributes:
        groups: The number of each one's group: of a subject or machine, or of files that hold the same, or some of it.
        firsts: Of files that hold the same from end to end the first one's name.
        overlapping: Of such a first one, or of another file, those that hold some of the same rows.
    """

    groups: Mapping[str, int] = field(default_factory=dict)
    firsts: Mapping[str, str] = field(default_factory=dict)
    overlapping: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class TeacherView:
    """What a teacher sees in place of what the student sees: its front end, its scaling, and the names of its sensors."""

    features: FrontEnd
    scaling: Scaling
    channels: tuple[str, ...]
