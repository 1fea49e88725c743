"""What a student and its teacher see of the same windows: a teacher may see longer ones, other channels and other features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from micro.config import AugmentConfig, FeaturesConfig
from micro.config.files import FilesData
from micro.datasets import store
from micro.datasets.recording import Recording, whole_windows
from micro.errors import DataError
from micro.signal import AnyFrontEnd, FilteredFrames, Frames, FrontEnd, Source
from micro.signal.front_end import CHUNK
from micro.signal.joined import features_of, main_front_end
from micro.signal.joined_frames import main_of, samples_below, samples_of, sensed_of
from micro.signal.octaves import octaves_of
from micro.support.patterns import matches_name
from micro.support.wording import counted, was

Files = TypeVar("Files", bound=FilesData)


@dataclass(frozen=True)
class TeacherInputs:
    """What a config lets the teacher see in place of what the student sees: None and no columns are as the student's.

    `augment` is how its own training windows are augmented.
    """

    features: FeaturesConfig | None = None
    columns: tuple[str, ...] = ()
    augment: AugmentConfig | None = None

    def window(self, settings: FeaturesConfig) -> int:
        """The sensor's samples of the longer window, the student's by `settings` or the teacher's."""
        sections = (settings,) if self.features is None else (settings, self.features)
        return max(section.sensor_window for section in sections)

    def read_from(self, data: Files) -> Files:
        """A config of files that has the teacher's columns read as well, behind the student's."""
        more = tuple(name for name in self.columns if name not in data.columns)
        return data.model_copy(update={"columns": (*data.columns, *more)}) if more else data


AS_THE_STUDENT = TeacherInputs()


@dataclass(frozen=True)
class Views:
    """How windows of all channels that are read become what each of the two sees.

    A window is as long as the longer of both, and both see its end. Called with windows, it gives the student's features.

    Attributes:
        student: The student's front end; where it is joined, the teacher sees what the student sees.
        teacher: The teacher's; None where it sees what the student sees.
        students_channels, teachers_channels: Places of the channels of each among those read; None for all of them.
    """

    student: AnyFrontEnd
    teacher: FrontEnd | None = None
    students_channels: tuple[int, ...] | None = None
    teachers_channels: tuple[int, ...] | None = None

    @property
    def window(self) -> int:
        """Samples of a window, of the main source where there are others."""
        return self.student.window if self.teacher is None else max(self.student.window, self.teacher.window)

    @property
    def span(self) -> int:
        """Samples up to a window's last during which all that it depends on was taken."""
        return max(self.window, self.student.span)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Further sources next to the main one."""
        return self.student.sources

    @property
    def main(self) -> FrontEnd:
        """The student's front end of the main source."""
        return main_front_end(self.student)

    @property
    def hop(self) -> int:
        """Samples from one window to the next."""
        return self.student.hop

    @property
    def history(self) -> int:
        """Samples of a window before the student's."""
        return self.window - self.student.window

    def __call__(self, frames: Frames) -> np.ndarray:
        """The student's features: (n, window, channels) -> (n, *shape)."""
        return self._computed(self.student, frames, self.of_student)

    def of_teacher(self, frames: Frames) -> np.ndarray | None:
        """The teacher's features, (n, window, channels) -> (n, *shape); None where they are the student's."""
        if self.teacher is None:
            return None
        start = self.window - self.teacher.window
        return self._computed(
            self.teacher, frames, lambda part: _chosen(main_of(part)[:, start:], self.teachers_channels)
        )

    def samples(self, frames: Frames) -> np.ndarray:
        """The samples that the student sees: (n, window, channels) -> (n, student's window, its channels) float32.

        Of joined windows those of all sources, (n, samples), of filtered ones the sensor's.
        """
        return samples_of(self.of_student(frames))

    def octaves(self, frames: Frames, rows: np.ndarray | slice) -> np.ndarray | None:
        """Levels and crossings of some of the windows, of the main source alone: (k, 2 * octaves) int; None for none."""
        octaves = octaves_of(self.student)
        if octaves is None:
            return None
        places = np.arange(len(frames))[rows]
        parts = [np.empty((0, 2 * octaves.count), np.int64)]
        for start in range(0, len(places), CHUNK):
            main = main_of(self.of_student(frames[places[start : start + CHUNK]]))
            counts = self.main.arithmetic == "fixed"
            parts.append(octaves(self.main.counts(main) if counts else main.astype(np.float32, copy=False)))
            release(frames)
        return np.concatenate(parts)

    def of_student(self, frames: Frames) -> Frames:
        """The windows that the student sees: (n, window, channels) -> (n, student's window, its channels)."""
        if self.teacher is None:
            return frames
        own = _chosen(main_of(frames)[:, self.history :], self.students_channels)
        if not isinstance(frames, FilteredFrames):
            return own
        before = self.history * self.student.decimate
        return FilteredFrames(own, _chosen(sensed_of(frames)[:, before:], self.students_channels))

    def _computed(self, features: AnyFrontEnd, frames: Frames, choose: Callable[[Frames], Frames]) -> np.ndarray:
        # As many as the front end takes at once: no more are copied, and of samples on disk no more pages stay in memory.
        step = max(1, CHUNK // features.frames)
        parts = []
        for start in range(0, max(1, len(frames)), step):
            parts.append(features_of(features, choose(frames[start : start + step])))
            release(frames)
        return np.concatenate(parts)


def views_of(
    settings: FeaturesConfig,
    inputs: TeacherInputs,
    names: Sequence[str],
    columns: Sequence[str],
    rate: float | None,
    size: tuple[int, int] | None = None,
) -> Views:
    """The views of recordings with channels of these names.

    Args:
        settings: Section [features].
        inputs: What the teacher sees.
        names: Channels that were read, without those left out.
        columns: The student's channels by the config; empty for all.
        rate: Sample rate in Hz.
        size: Height and width of pictures.

    Raises:
        DataError: Where one of the two is left without a channel.
        ValueError: For settings that do not fit the rate.
    """
    if inputs.features is None and not inputs.columns:
        return Views(settings.front_end(len(names), rate, size))
    own = _places(names, columns, "data.columns")
    theirs = _places(names, inputs.columns or columns, "teacher.columns")
    student = settings.front_end(len(own), rate)
    section = settings if inputs.features is None else inputs.features
    try:
        teacher = section.front_end(len(theirs), rate)
    except ValueError as error:
        raise ValueError(f"teacher.features: {error}") from None
    return Views(student, teacher, own, theirs)


def release(frames: Frames) -> None:
    """Let go of the mapped pages below windows whose samples are on disk."""
    for samples in samples_below(frames):
        store.release(samples)


def names_of(places: Sequence[int] | None, names: Sequence[str]) -> tuple[str, ...]:
    """The names of channels at these places; of all for None."""
    return tuple(names) if places is None else tuple(names[place] for place in places)


def history_note(recordings: Iterable[Recording], views: Views) -> list[str]:
    """A sentence on the student's windows that lack the history that the teacher's need, if there are any."""
    if not views.history:
        return []
    lost = total = 0
    for one in recordings:
        mine = int(whole_windows(one, views.student).sum())
        total += mine
        lost += max(0, mine - int(whole_windows(one, views).sum()))
    if not lost:
        return []
    return [
        f"{lost:,} of {counted(total, 'window')} of the student {was(lost)} left out, as the teacher's window of "
        f"{views.window:,} samples would begin before its recording does, or hold rows without a value."
    ]


def _places(names: Sequence[str], wanted: Sequence[str], setting: str) -> tuple[int, ...]:
    # A pattern of several columns stands for all of them.
    chosen = [
        place
        for entry in wanted or names
        for place, name in enumerate(names)
        if name == entry or (entry not in names and matches_name(name, entry))
    ]
    places = tuple(dict.fromkeys(chosen))
    if not places:
        raise DataError(f"no column of {setting} is left to learn from: none of them changes")
    return places


def _chosen(frames: np.ndarray, places: tuple[int, ...] | None) -> np.ndarray:
    return frames if places is None or places == tuple(range(frames.shape[2])) else frames[:, :, list(places)]
