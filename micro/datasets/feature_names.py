"""What the features of a model's input are: of which channel, of which band or statistic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from micro.datasets.reported import SourceData
from micro.signal import AnyFrontEnd, FrontEnd, JoinedFrontEnd

SAMPLES = "samples"


@dataclass(frozen=True)
class Feature:
    """One feature of a frame: its channel, its kind, such as 'spectrum', and its band or statistic, such as '0 to 50 Hz'."""

    channel: str
    kind: str
    part: str

    @property
    def name(self) -> str:
        """Kind and part."""
        return f"{self.kind} {self.part}".strip()

    def __str__(self) -> str:
        return f"{self.channel}: {self.name}"


def features_of(front_end: AnyFrontEnd, channels: Sequence[str], sources: Sequence[SourceData] = ()) -> list[Feature]:
    """The features along the last axis of a model's input, in their order; samples as they are, one a channel.

    Args:
        front_end: Of the run.
        channels: Names of the main source's channels.
        sources: Further sources, with their channels.
    """
    if isinstance(front_end, JoinedFrontEnd):
        names = (channels, *(tuple(f"{source.name}: {name}" for name in source.channels) for source in sources))
        pairs = zip(front_end.parts, names, strict=True)
        return [feature for part, own in pairs for feature in _of_one(part, own)]
    return _of_one(front_end, channels)


def _of_one(front_end: FrontEnd, channels: Sequence[str]) -> list[Feature]:
    if front_end.kinds == ("raw",):
        return [Feature(channel, SAMPLES, "") for channel in channels]
    names = list(front_end.frame_names)
    if front_end.measured > 1:
        names = [name.split(": ", 1)[1] for name in names]
    each = len(names) // front_end.measured
    return [Feature(channels[place // each], *name.split(" ", 1)) for place, name in enumerate(names)]


def players(features: Sequence[Feature], most: int = 32) -> list[tuple[Feature, tuple[int, ...]]]:
    """Features put together, neighbors of one channel and kind, until there are few: each group with its places."""
    size = -(-len(features) // most)
    groups: list[list[int]] = []
    for place, feature in enumerate(features):
        last = groups[-1] if groups else []
        first = features[last[0]] if last else None
        if first is not None and len(last) < size and (first.channel, first.kind) == (feature.channel, feature.kind):
            last.append(place)
        else:
            groups.append([place])
    return [(_joined([features[place] for place in group]), tuple(group)) for group in groups]


def _joined(group: Sequence[Feature]) -> Feature:
    """Neighbors as one: bands from the first one's begin to the last one's end."""
    first, last = group[0], group[-1]
    if len(group) == 1:
        return first
    begin, end = first.part.partition(" to "), last.part.partition(" to ")
    both = f"{begin[0]} to {end[2]}" if begin[1] and end[1] else f"{first.part} … {last.part}"
    return Feature(first.channel, first.kind, both)
