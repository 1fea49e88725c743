"""Several sources of samples side by side, each with a front end of its own, joined where a window of the main one ends."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from micro.signal.conditioning import Conditioning
from micro.signal.front_end import FrontEnd
from micro.signal.joined_frames import FilteredFrames, Frames, JoinedFrames, SourceFrames, latest, main_of, sensed_of
from micro.signal.scaling import Scaling
from micro.signal.spec import Arithmetic, Kind

# What C counts in int32_t, with one more for a window that is too old.
LARGEST_AGE = 2**31 - 2


@dataclass(frozen=True)
class Source:
    """A source next to the main one.

    Attributes:
        name: An identifier of C in lower case.
        front_end: Of its own samples; gives one row of features a window.
        max_age: How many samples of the main source may have come, at least 1, since its latest window was complete.
    """

    name: str
    front_end: FrontEnd
    max_age: int


def streamed(
    front_end: JoinedFrontEnd, main: np.ndarray, sources: Sequence[tuple[np.ndarray, np.ndarray]]
) -> JoinedFrames:
    """The windows of a stream of samples, as the target joins them from a reset on.

    Args:
        front_end: Of all sources.
        main: Windows of the main source, one a hop from its first sample on, (n, window, channels).
        sources: For each further source its samples, (m, channels), and before which main sample each comes, (m,) int.
    """
    ends = front_end.window - 1 + front_end.hop * np.arange(len(main))
    joined = []
    for source, (samples, arrivals) in zip(front_end.sources, sources, strict=True):
        window, hop = source.front_end.window, source.front_end.hop
        view = np.lib.stride_tricks.sliding_window_view(samples, window, axis=0) if len(samples) >= window else None
        frames = np.empty((0, window, samples.shape[1]), samples.dtype) if view is None else np.moveaxis(view, -1, 1)
        starts = np.arange(0, len(frames), hop)
        chosen, ages = latest(ends, arrivals[starts + window - 1], source.max_age)
        joined.append(SourceFrames(frames, np.append(starts, -1)[chosen], ages))
    return JoinedFrames(main, tuple(joined))


@dataclass(frozen=True)
class JoinedFrontEnd:
    """A main front end and those of further sources: the main features, then each source's, make one row.

    The main source says when a window is complete, and what it is called in time: window, hop and sample rate are its own.

    Attributes:
        main: Gives one row of features a window.
        sources: At least one, in the order of their features.

    Raises:
        ValueError: For features with a time axis, a sample rate that is not known, or sources that do not fit together.

    Examples:
        >>> from micro.signal.joined import JoinedFrontEnd, Source
        >>> vibration = micro.FrontEnd("moments", window=64, hop=32, sample_rate=100.0)
        >>> temperature = micro.FrontEnd("statistics", window=8, hop=1, sample_rate=1.0)
        >>> JoinedFrontEnd(vibration, (Source("temperature", temperature, max_age=200),)).names[2:4]
        ('moments kurtosis', 'temperature: statistics mean')
    """

    main: FrontEnd
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        names = [source.name for source in self.sources]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"a joined front end needs sources of different names, got {', '.join(names) or 'none'}")
        for name, front_end in (("the main source", self.main), *((s.name, s.front_end) for s in self.sources)):
            if len(front_end.shape) != 1:
                raise ValueError(f"{name}: sources are joined by rows of features; take no kind 'raw' and no frame")
            if front_end.conditioning.changes:
                raise ValueError(f"{name}: sources are joined sample by sample; take no filter and no decimate")
            if front_end.orders == "channel":
                raise ValueError(f"{name}: a speed among the channels is for one source; take orders = 'spectrum'")
            if front_end.sample_rate is None:
                raise ValueError(f"{name}: sources are joined in time; its sample rate must be known")
        for source in self.sources:
            if not 1 <= source.max_age <= LARGEST_AGE:
                raise ValueError(
                    f"{source.name}: max_age must be 1 to {LARGEST_AGE} samples of the main source, got {source.max_age}"
                )

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Those of the main source, as all that follows but `shape` and names."""
        return self.main.kinds

    @property
    def window(self) -> int:
        return self.main.window

    @property
    def hop(self) -> int:
        return self.main.hop

    @property
    def channels(self) -> int:
        return self.main.channels

    @property
    def sample_rate(self) -> float | None:
        return self.main.sample_rate

    @property
    def rate(self) -> float | None:
        return self.main.rate

    @property
    def bands(self) -> int:
        return self.main.bands

    @property
    def arithmetic(self) -> Arithmetic:
        return self.main.arithmetic

    @property
    def full_scale(self) -> float | None:
        return self.main.full_scale

    @property
    def conditioning(self) -> Conditioning:
        return self.main.conditioning

    @property
    def decimate(self) -> Literal[1]:
        return 1

    @property
    def sensor_window(self) -> int:
        return self.main.window

    @property
    def sensor_hop(self) -> int:
        return self.main.hop

    @property
    def frame(self) -> None:
        return None

    @property
    def frame_hop(self) -> None:
        return None

    @property
    def frames(self) -> Literal[1]:
        return 1

    @property
    def parts(self) -> tuple[FrontEnd, ...]:
        """The main front end and those of the sources."""
        return (self.main, *(source.front_end for source in self.sources))

    @property
    def samples(self) -> int:
        """Samples of all sources in a window, channels counted."""
        return sum(part.window * part.channels for part in self.parts)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one window's features."""
        return (sum(part.shape[0] for part in self.parts),)

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each feature, in order."""
        own = (f"{source.name}: {name}" for source in self.sources for name in source.front_end.names)
        return (*self.main.names, *own)

    @property
    def frame_names(self) -> tuple[str, ...]:
        """As `names`, since a window is one frame."""
        return self.names

    @property
    def span(self) -> int:
        """Samples of the main source, up to a window's last, during which all samples that it depends on were taken."""
        rate = self.main.sample_rate or 1.0
        reaches = (
            source.max_age + 1 + int(np.ceil(source.front_end.window / (source.front_end.sample_rate or 1.0) * rate))
            for source in self.sources
        )
        return max(self.main.window, *reaches)

    def frames_of(self, rows: np.ndarray) -> JoinedFrames:
        """Windows from all their samples, (n, samples), as `JoinedFrames.flat` gives them; each has just been complete.

        Raises:
            ValueError: For rows of another length.
        """
        sizes = [part.window * part.channels for part in self.parts]
        if rows.ndim != 2 or rows.shape[1] != sum(sizes):
            raise ValueError(f"rows must have shape (n, {sum(sizes)}), got {rows.shape}")
        cuts = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
        main, *others = (cut.reshape(len(rows), part.window, part.channels) for cut, part in zip(cuts, self.parts))
        every, fresh = np.arange(len(rows)), np.ones(len(rows), int)
        return JoinedFrames(main, tuple(SourceFrames(frames, every, fresh) for frames in others))

    def counts(self, frames: JoinedFrames) -> JoinedFrames:
        """Windows as the target takes them: int16 for each front end with arithmetic 'fixed', else float32."""
        used = [each.used() for each in frames.sources]
        sources = (
            replace(each, frames=sensed(source.front_end, each.frames)) for each, source in zip(used, self.sources)
        )
        return JoinedFrames(sensed(self.main, main_of(frames)), tuple(sources))

    def __call__(self, frames: Frames) -> np.ndarray:
        """Features of windows that are complete, (n, features) float32."""
        joined = _joined(frames)
        parts = [self.main(main_of(joined))]
        for source, each in zip(self.sources, joined.sources):
            used = each.used()
            parts.append(source.front_end(used.frames)[used.chosen])
        return np.concatenate(parts, axis=1)

    def scalings(self, scaling: Scaling) -> tuple[Scaling, ...]:
        """The scaling of each of `parts`.

        Raises:
            ValueError: For a scaling of another length than the row.
        """
        sizes = [part.shape[0] for part in self.parts]
        if len(scaling.centre) != sum(sizes):
            raise ValueError(f"the scaling has {len(scaling.centre)} features, the front end {sum(sizes)}")
        edges = np.cumsum([0, *sizes]).tolist()
        cuts = [slice(first, past) for first, past in itertools.pairwise(edges)]
        return tuple(Scaling(scaling.centre[cut], scaling.spread[cut]) for cut in cuts)

    def int8(self, frames: Frames, scaling: Scaling, scale: float, zero: int) -> np.ndarray:
        """The model's input as the target computes it, (n, features) int8; windows must be complete."""
        joined = _joined(frames)
        own, *others = self.scalings(scaling)
        parts = [self.main.int8(main_of(joined), own, scale, zero)]
        for source, each, part in zip(self.sources, joined.sources, others):
            used = each.used()
            parts.append(source.front_end.int8(used.frames, part, scale, zero)[used.chosen])
        return np.concatenate(parts, axis=1)


AnyFrontEnd = FrontEnd | JoinedFrontEnd


def sensed(front_end: FrontEnd, samples: np.ndarray) -> np.ndarray:
    """Samples as the target takes them: int16 counts for arithmetic 'fixed', else float32."""
    return front_end.counts(samples) if front_end.arithmetic == "fixed" else samples.astype(np.float32, copy=False)


def features_of(front_end: AnyFrontEnd, frames: Frames) -> np.ndarray:
    """Features of windows by the front end that they were cut for, (n, *shape) float32."""
    return front_end(frames) if isinstance(front_end, JoinedFrontEnd) else front_end(main_of(frames))


def int8_of(front_end: AnyFrontEnd, frames: Frames, scaling: Scaling, scale: float, zero: int) -> np.ndarray:
    """The model's input as the target computes it, by the front end that the windows were cut for, (n, *shape) int8."""
    if isinstance(front_end, JoinedFrontEnd):
        return front_end.int8(frames, scaling, scale, zero)
    return front_end.int8(main_of(frames), scaling, scale, zero)


def main_front_end(front_end: AnyFrontEnd) -> FrontEnd:
    """That of the main source, where there are further ones."""
    return front_end.main if isinstance(front_end, JoinedFrontEnd) else front_end


def counts_of(front_end: AnyFrontEnd, frames: Frames) -> Frames:
    """Windows as the target takes them, by the front end that they were cut for."""
    if isinstance(front_end, JoinedFrontEnd):
        return front_end.counts(_joined(frames))
    if isinstance(frames, FilteredFrames):
        return FilteredFrames(main_of(frames), sensed(front_end, sensed_of(frames)))
    return sensed(front_end, main_of(frames))


def _joined(frames: Frames) -> JoinedFrames:
    if not isinstance(frames, JoinedFrames):
        raise ValueError("a joined front end takes JoinedFrames, got an array")
    return frames
