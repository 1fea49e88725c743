"""Recordings, which every dataset gives, and windows cut from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from micro.datasets.precision import Precision
from micro.errors import DataError
from micro.signal import AnyFrontEnd, FilteredFrames, Frames, FrontEnd, JoinedFrames, MainFrames, Source, SourceFrames
from micro.signal.joined import sensed
from micro.signal.joined_frames import arrivals_of, latest, some_joined, some_of
from micro.support.wording import are, counted

# Windows whose samples' flags are summed at a time.
WINDOWS_AT_ONCE = 4096


class Framing(Protocol):
    """How recordings are cut into windows: a front end, or what stands for those of student and teacher together.

    A window depends on the samples that were taken during the last `span` up to its end: those of `sources` may reach back
    further than `window` does.
    """

    @property
    def window(self) -> int: ...
    @property
    def hop(self) -> int: ...
    @property
    def span(self) -> int: ...
    @property
    def sources(self) -> tuple[Source, ...]: ...


@dataclass(frozen=True)
class Samples:
    """All samples of a source's file: stretches without a gap, one after the other.

    Attributes:
        samples: (n, channels) float32.
        valid: (n,) bool, False for samples that no window may include.
        edges: Of each stretch its first sample and one past its last.
        seconds: From the file's first row to the first sample of each stretch.
        rate: In Hz.
        clock: As of a recording.
        precision: As of a recording.
    """

    samples: np.ndarray = field(repr=False)
    valid: np.ndarray = field(repr=False)
    edges: tuple[tuple[int, int], ...]
    seconds: tuple[float, ...]
    rate: float
    clock: float | None
    precision: Mapping[str, Precision] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Stream:
    """A further source next to a recording: its file begins `begins` seconds after the recording's file.

    None of its windows that are used begins before `not_before`, in seconds from the first row of the recording's file.
    """

    file: Samples
    begins: float
    not_before: float = -np.inf


@dataclass(frozen=True)
class Recording:
    """One stretch of samples from one machine.

    Attributes:
        name: The file's path below the config's folder, so that files of one name in two folders are two recordings.
        samples: (n, channels) float32.
        sample_rate: In Hz; None for a picture.
        label: Of the whole recording.
        healthy: (n,) bool, samples that models may learn from.
        faulty: (n,) bool, samples known to be anomalous; None where that is unknown.
        valid: (n,) bool, False for samples that no window may include, missing or unreadable ones.
        start: Row of the first sample in its file.
        unknown: (n,) bool, samples without a label in a labeled file.
        start_seconds: Time from the file's first row to the first sample, gaps included.
        interpolated: Samples with a value that was filled in from its neighbors.
        step: Rows of the file for each sample; other than 1 where the recording was brought to another rate.
        image_size: Height and width of a picture, whose samples are its pixels row by row.
        clock: Seconds of the file's first row by its own clock; None of a file without one.
        streams: Samples of further sources next to it, in the order of the config.
        precision: By channel, what float32 keeps of the whole file; empty where that is not known.
        every: The sensor's samples for each sample; other than 1 where it was brought to a lower rate as on the target.
        unfiltered: What it was filtered from, as on the target; None where it was not. Samples then may be int16 counts.
        lacks: The channel of its file with the fewest values, and the share of rows without one; None where it is not known.
        speed: (n,) float32, the values that select the operating mode; None where there are none.
        units: By channel, its unit, where the file names one.
    """

    name: str
    samples: np.ndarray
    sample_rate: float | None
    label: str
    healthy: np.ndarray = field(repr=False)
    faulty: np.ndarray | None = field(repr=False)
    valid: np.ndarray = field(repr=False)
    start: int = 0
    unknown: np.ndarray | None = field(default=None, repr=False)
    start_seconds: float = 0.0
    interpolated: int = 0
    step: float = 1.0
    image_size: tuple[int, int] | None = None
    clock: float | None = None
    streams: tuple[Stream, ...] = field(default=(), repr=False)
    precision: Mapping[str, Precision] = field(default_factory=dict, repr=False)
    every: int = 1
    unfiltered: Recording | None = field(default=None, repr=False)
    speed: np.ndarray | None = field(default=None, repr=False)
    lacks: tuple[str, float] | None = None
    units: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def sensed(self) -> Recording:
        """The sensor's own samples: itself where it was not filtered."""
        return self if self.unfiltered is None else self.unfiltered

    @property
    def rows(self) -> np.ndarray:
        """The row in its file of each sample, (n,)."""
        return self.start + (np.arange(len(self.samples)) * self.step).astype(int)

    @classmethod
    def whole(cls, name: str, samples: np.ndarray, sample_rate: float, label: str, healthy: bool) -> Recording:
        """A recording in one state from end to end."""
        samples = np.asarray(samples, np.float32)
        samples = samples[:, None] if samples.ndim == 1 else samples
        ones = np.ones(len(samples), bool)
        return cls(name, samples, float(sample_rate), label, ones & healthy, ones & (not healthy), ones)


def padded(recording: Recording, window: int) -> Recording:
    """A recording extended to a window by its last row."""
    more = (0, window - len(recording.samples))
    return replace(
        recording,
        samples=np.pad(recording.samples, (more, (0, 0)), mode="edge"),
        healthy=np.pad(recording.healthy, more, mode="edge"),
        valid=np.pad(recording.valid, more, mode="edge"),
    )


def one_rate(recordings: Sequence[Recording]) -> float | None:
    """The sample rate of all recordings in Hz, the lowest where they differ by a hundredth at most; None of pictures.

    Raises:
        DataError: Where they differ by more.
    """
    rates = sorted({recording.sample_rate for recording in recordings if recording.sample_rate is not None})
    if not rates:
        return None
    if rates[-1] > 1.01 * rates[0]:
        raise DataError(
            f"the files' sample rates differ, from {rates[0]:g} to {rates[-1]:g} Hz; set resample = {rates[0]:g} to bring all "
            "to the lowest"
        )
    return rates[0]


def one_size(recordings: Sequence[Recording]) -> tuple[int, int] | None:
    """Height and width of all recordings that are pictures; None where they are not.

    Raises:
        DataError: Where they differ.
    """
    first = recordings[0]
    other = next((recording for recording in recordings if recording.image_size != first.image_size), None)
    if other is None or first.image_size is None or other.image_size is None:
        return first.image_size
    sizes = (
        f"{one.name} has {one.image_size[0]} x {one.image_size[1]} pixels" for one in (first, other) if one.image_size
    )
    raise DataError(
        f"the pictures differ in size: {', '.join(sizes)}; set image_size = {list(first.image_size)} to have all resized to "
        "that height and width, or name another"
    )


def windows(samples: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Frames of `window` samples, one every `hop`; a remainder shorter than a window is left out.

    Shapes: (n, channels) -> (1 + (n - window) // hop, window, channels), or none if n < window.

    Returns: a view of the samples.

    Raises:
        ValueError: For a window or hop below 1.

    Examples:
        >>> micro.windows(np.arange(10), window=4, hop=3).tolist()
        [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    """
    if window < 1 or hop < 1:
        raise ValueError(f"window and hop must be at least 1 sample, got {window} and {hop}")
    if len(samples) < window:
        return np.empty((0, window, *samples.shape[1:]), samples.dtype)
    frames = np.lib.stride_tricks.sliding_window_view(samples, window, axis=0)[::hop]
    return np.moveaxis(frames, -1, 1)


def stream_windows(samples: np.ndarray, front_end: AnyFrontEnd) -> Frames:
    """The windows of a sensor's stream from a reset on, as the target has them: filtered where the front end filters.

    Args:
        samples: (n, channels) in the unit of training, or int16 for a 'fixed' front end.
    """
    if not isinstance(front_end, FrontEnd) or not front_end.conditioning.changes:
        return windows(samples, front_end.window, front_end.hop)
    own = sensed(front_end, samples)
    main = windows(front_end.conditioned(own), front_end.window, front_end.hop)
    return FilteredFrames(main, windows(own, front_end.sensor_window, front_end.sensor_hop))


def cut(recording: Recording, features: Framing) -> tuple[Frames, np.ndarray]:
    """Frames of a recording that include only valid samples, and the sample at which each begins.

    Frames are views of the samples, or places in one: windows that overlap take no memory of their own. Of a joined front end
    only those are left for which every source has a window that is recent enough. Those of a recording that was filtered have
    the sensor's own samples next to them.
    """
    frames, starts = _cut_main(recording, features)
    if recording.unfiltered is not None:
        every = recording.every
        own = windows(recording.unfiltered.samples, features.window * every, features.hop * every)
        return FilteredFrames(frames, some_of(own, whole_windows(recording, features))), starts
    if not features.sources:
        return frames, starts
    joined = joined_frames(recording, features, frames, starts)
    complete = joined.complete
    return some_joined(joined, complete), starts[complete]


def _cut_main(recording: Recording, features: Framing) -> tuple[MainFrames, np.ndarray]:
    frames = windows(recording.samples, features.window, features.hop)
    starts = np.arange(len(frames)) * features.hop
    if recording.valid.all():
        return frames, starts
    whole = whole_windows(recording, features)
    return some_of(frames, whole), starts[whole]


def lacking(recording: Recording, features: Framing) -> tuple[np.ndarray, int]:
    """For each source how many of a recording's windows lack one of its windows, (sources,) int, and how many there are."""
    frames, starts = _cut_main(recording, features)
    joined = joined_frames(recording, features, frames, starts)
    return np.array([(each.chosen < 0).sum() for each in joined.sources], int), len(starts)


def joined_frames(recording: Recording, features: Framing, frames: MainFrames, starts: np.ndarray) -> JoinedFrames:
    """A recording's windows, which begin at `starts`, each with the latest window of every source."""
    ends = starts + features.window - 1
    pairs = zip(recording.streams, features.sources, strict=True)
    return JoinedFrames(frames, tuple(_source_frames(recording, stream, source, ends) for stream, source in pairs))


def _source_frames(recording: Recording, stream: Stream, source: Source, ends: np.ndarray) -> SourceFrames:
    """The windows of a source, one a sample, and which of them, one a hop of each stretch, each main window is joined with."""
    assert recording.sample_rate is not None
    window, hop, file = source.front_end.window, source.front_end.hop, stream.file
    places, arrivals = [np.empty(0, int)], [np.empty(0, int)]
    oldest, newest = (ends[0] - source.max_age, ends[-1]) if len(ends) else (0, -1)
    for (first, past), seconds in zip(file.edges, file.seconds):
        begins = stream.begins + seconds
        early, late = (begins - recording.start_seconds - end / recording.sample_rate for end in (oldest, newest))
        # A file that lasts for a year may have a minute next to this recording.
        low = max(0, int((-early * file.rate - window) // hop))
        own = np.arange(low * hop, min(past - first - window, int(-late * file.rate) + 1) + 1, hop)
        whole = all_within(file.valid[first:past], own, window) & (begins + own / file.rate >= stream.not_before - 1e-9)
        own = own[whole]
        places.append(first + own)
        begins -= recording.start_seconds
        arrivals.append(arrivals_of(own + window - 1, file.rate, recording.sample_rate, begins))
    chosen, ages = latest(ends, np.concatenate(arrivals), source.max_age)
    rows = np.append(np.concatenate(places), -1)
    return SourceFrames(windows(file.samples, window, 1), rows[chosen], ages)


def whole_windows(recording: Recording, features: Framing) -> np.ndarray:
    """Which of all windows of a recording include only valid samples, (k,) bool."""
    count = len(windows(recording.samples, features.window, features.hop))
    return all_within(recording.valid, np.arange(count) * features.hop, features.window)


def reach(starts: np.ndarray, features: Framing) -> tuple[np.ndarray, np.ndarray]:
    """Where samples begin that windows depend on, and how many there are up to their last: (n,), (n,) int.

    Of a joined front end they begin before the window does: a source's window may.
    """
    begins = np.maximum(starts + features.window - features.span, 0)
    return begins, starts + features.window - begins


def sensor_reach(recording: Recording, starts: np.ndarray, features: Framing) -> tuple[np.ndarray, np.ndarray]:
    """As `reach`, in the sensor's own samples."""
    begins, lengths = reach(starts, features)
    return begins * recording.every, lengths * recording.every


def split_in_time(count: int, fractions: tuple[float, ...], window: int, hop: int) -> list[slice]:
    """Consecutive runs of `count` windows in these proportions, with windows left out between runs so that none overlap.

    Raises:
        ValueError: If a run would be empty.
    """
    gap = -(-window // hop) - 1
    usable = count - gap * (len(fractions) - 1)
    edges = np.round(np.cumsum((0.0, *fractions)) / sum(fractions) * usable).astype(int)
    runs = [slice(int(a) + i * gap, int(b) + i * gap) for i, (a, b) in enumerate(pairwise(edges))]
    if usable < len(fractions) or any(run.stop <= run.start for run in runs):
        raise ValueError(
            f"{counted(count, 'window')} {are(count)} too few to split {len(fractions)} ways with a gap of {gap}; "
            "record longer, or take shorter windows"
        )
    return runs


def all_within(flags: np.ndarray, starts: np.ndarray, window: int | np.ndarray) -> np.ndarray:
    """Which windows include only samples whose flag is set."""
    return ~_counted(flags, starts, window, False)


def any_within(flags: np.ndarray, starts: np.ndarray, window: int | np.ndarray) -> np.ndarray:
    """Which windows include a sample whose flag is set: flags (n,) bool, starts (k,), one length or (k,) -> (k,) bool."""
    return _counted(flags, starts, window, True)


def _counted(flags: np.ndarray, starts: np.ndarray, window: int | np.ndarray, wanted: bool) -> np.ndarray:
    """Which windows include a sample whose flag is the wanted one; sums over a part of the samples at a time."""
    found = np.zeros(len(starts), bool)
    past = starts + window
    for first in range(0, len(starts), WINDOWS_AT_ONCE):
        part = slice(first, first + WINDOWS_AT_ONCE)
        begin, end = int(starts[part].min()), int(past[part].max())
        total = np.concatenate(([0], np.cumsum(flags[begin:end] == wanted)))
        found[part] = total[past[part] - begin] > total[starts[part] - begin]
    return found
