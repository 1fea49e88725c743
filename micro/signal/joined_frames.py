"""Windows as views of samples, some of these, filtered ones with the sensor's own samples, or those of several sources: each
main one with the latest of every other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class SourceFrames:
    """A source's windows next to n windows of the main source.

    Attributes:
        frames: Its complete windows in their order, (m, window, channels).
        chosen: The one that each main window is joined with, (n,) int; -1 where none is recent enough.
        ages: Samples of the main source from the end of that window to the end of the main window, both counted, (n,) int; at
            most `max_age` + 1, which stands for none.
    """

    frames: np.ndarray
    chosen: np.ndarray
    ages: np.ndarray

    def used(self) -> SourceFrames:
        """The same with the frames alone that a main window is joined with."""
        some = self.chosen >= 0
        rows, place = np.unique(self.chosen[some], return_inverse=True)
        chosen = np.full(len(self.chosen), -1)
        chosen[some] = place.reshape(-1)
        return SourceFrames(self.frames[rows], chosen, self.ages)


@dataclass(frozen=True)
class ChosenFrames:
    """Some windows of an array of windows, without a copy of them.

    Attributes:
        base: All windows, (m, window, channels), a view of samples.
        places: Which of them, (n,) int.
    """

    base: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """A copy of some of the windows: (k, window, channels)."""
        return np.asarray(self.base[self.places[rows]])


MainFrames = np.ndarray | ChosenFrames


@dataclass(frozen=True)
class FilteredFrames:
    """Windows of a stream that was filtered, next to the sensor's own samples of the same time, where faults show.

    Attributes:
        main: (n, window, channels), of which features are computed.
        sensed: (n, window * decimate, channels).
    """

    main: MainFrames
    sensed: MainFrames

    def __len__(self) -> int:
        return len(self.main)

    def __getitem__(self, rows: np.ndarray | slice) -> FilteredFrames:
        """Some of the windows."""
        return FilteredFrames(self.main[rows], self.sensed[rows])


@dataclass(frozen=True)
class JoinedFrames:
    """Windows of the main source, (n, window, channels), and those of each further source."""

    main: MainFrames
    sources: tuple[SourceFrames, ...]

    def __len__(self) -> int:
        return len(self.main)

    def __getitem__(self, rows: np.ndarray | slice) -> JoinedFrames:
        """Some of the windows, without a copy of the sources' samples."""
        sources = (replace(each, chosen=each.chosen[rows], ages=each.ages[rows]) for each in self.sources)
        return JoinedFrames(self.main[rows], tuple(sources))

    @property
    def complete(self) -> np.ndarray:
        """Which windows have one of every source, (n,) bool."""
        return np.logical_and.reduce([each.chosen >= 0 for each in self.sources])

    def flat(self) -> np.ndarray:
        """All samples of each window, the main source's first, (n, samples) float32; every source must have a window.

        `JoinedFrontEnd.frames_of` is the inverse.
        """
        parts = [main_of(self), *(each.frames[each.chosen] for each in self.sources)]
        return np.concatenate([part.reshape(len(self), -1).astype(np.float32) for part in parts], axis=1)


Frames = MainFrames | FilteredFrames | JoinedFrames


def latest(ends: np.ndarray, arrivals: np.ndarray, max_age: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of a source's windows each main window is joined with, and its age, as `SourceFrames` has them.

    Args:
        ends: The last sample of each main window, (n,) int.
        arrivals: For each of the source's windows the main sample before which its last sample came, (m,) int, rising.
        max_age: As `Source.max_age`.

    Examples:
        >>> from micro.signal.joined_frames import latest
        >>> chosen, ages = latest(np.array([9, 19, 29]), np.array([5, 12]), max_age=10)
        >>> chosen.tolist(), ages.tolist()
        ([0, 1, -1], [5, 8, 11])
    """
    chosen = np.searchsorted(arrivals, ends, side="right") - 1
    ages = np.full(len(ends), max_age + 1)
    some = chosen >= 0
    ages[some] = np.minimum(ends[some] - arrivals[chosen[some]] + 1, max_age + 1)
    return np.where(ages > max_age, -1, chosen), ages


def arrivals_of(places: np.ndarray, rate: float, main_rate: float, begins: float = 0.0) -> np.ndarray:
    """The main sample before which samples of a source come: the first that was taken at the same time or later.

    Args:
        places: Of the source's samples, counted from its first, (m,) int.
        rate, main_rate: In Hz.
        begins: Seconds from the main source's first sample to the source's first.
    """
    # What floats round must not make simultaneous samples follow one another.
    return np.ceil((places / rate + begins) * main_rate - 1e-6).astype(np.int64)


def samples_of(frames: Frames) -> np.ndarray:
    """Samples of windows as they are kept: (n, window, channels), of joined ones (n, samples), float32.

    Of filtered ones those of the sensor, (n, window * decimate, channels).
    """
    return frames.flat() if isinstance(frames, JoinedFrames) else sensed_of(frames).astype(np.float32)


def main_of(frames: Frames) -> np.ndarray:
    """The main source's windows, (n, window, channels): a copy of those that are chosen from others."""
    main = frames.main if isinstance(frames, FilteredFrames | JoinedFrames) else frames
    return main[:] if isinstance(main, ChosenFrames) else main


def sensed_of(frames: Frames) -> np.ndarray:
    """The main source's own samples: (n, window, channels), of filtered windows (n, window * decimate, channels)."""
    return main_of(frames.sensed if isinstance(frames, FilteredFrames) else frames)


def samples_below(frames: Frames) -> tuple[np.ndarray, ...]:
    """The arrays whose samples windows show, one of each source."""
    if isinstance(frames, FilteredFrames):
        return *samples_below(frames.main), *samples_below(frames.sensed)
    main = frames.main if isinstance(frames, JoinedFrames) else frames
    others = frames.sources if isinstance(frames, JoinedFrames) else ()
    return main.base if isinstance(main, ChosenFrames) else main, *(each.frames for each in others)


def some_of(frames: MainFrames, wanted: np.ndarray) -> MainFrames:
    """The windows that are wanted, (n,) bool, in their order and without a copy."""
    if wanted.all():
        return frames
    places = np.flatnonzero(wanted)
    if isinstance(frames, ChosenFrames):
        return ChosenFrames(frames.base, frames.places[places])
    return ChosenFrames(frames, places)


def some_joined(frames: JoinedFrames, wanted: np.ndarray) -> JoinedFrames:
    """As `some_of`, of joined windows."""
    sources = (replace(each, chosen=each.chosen[wanted], ages=each.ages[wanted]) for each in frames.sources)
    return JoinedFrames(some_of(frames.main, wanted), tuple(sources))


def with_main(frames: Frames, main: np.ndarray) -> Frames:
    """Windows with other samples of the main source."""
    return replace(frames, main=main) if isinstance(frames, FilteredFrames | JoinedFrames) else main
