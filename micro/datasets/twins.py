"""Files that hold the same: the same bytes, the same samples in other formats, or stretches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from micro.datasets.recording import Recording
from micro.datasets.shared_rows import Shared, closed, matched, same_files, shared_stretches
from micro.support.files import file_sha256
from micro.support.sets import united
from micro.support.wording import listed

# What two files may share and still be apart: this fraction of the shorter one's samples, in stretches of this many windows.
FEW, LONGEST = 0.01, 4


@dataclass(frozen=True)
class Alike:
    """Which files, or runs in them, hold the same, by their names.

    Attributes:
        bytes: Those of the same bytes.
        twins: Those that are the same from end to end, in bytes or in samples: each once, in order.
        overlapping: Pairs that share more than a few samples.
        shared: The samples that recordings share, twins' too, by their places among all.
        rows: For each pair of files that share some the rows of both in words.
        common: Rows, in words, that more than two overlapping files hold in the same place, and these files.
        resampled: Whether files' recordings were brought to another rate, so that overlaps may be missed.
    """

    bytes: tuple[tuple[str, ...], ...] = ()
    twins: tuple[tuple[str, ...], ...] = ()
    overlapping: tuple[tuple[str, str], ...] = ()
    shared: tuple[Shared, ...] = ()
    rows: Mapping[tuple[str, str], str] | None = None
    common: tuple[tuple[str, tuple[str, ...]], ...] = ()
    resampled: bool = False

    @property
    def related(self) -> tuple[tuple[str, ...], ...]:
        """Names that must be on one side: twins, and those that overlap."""
        return (*self.twins, *self.overlapping)

    @cached_property
    def firsts(self) -> dict[str, str]:
        """The first of its twins for each name that has any."""
        return {name: same[0] for same in self.twins for name in same}

    def first(self, name: str) -> str:
        """The file that stands for one and its twins."""
        return self.firsts.get(name, name)

    def what(self, *names: str) -> str:
        """What files have in common: 'the same bytes', 'the same signals' or 'some of the same rows'."""
        if any(set(names) <= set(same) for same in self.bytes):
            return "the same bytes"
        if len({self.first(name) for name in names}) == 1:
            return "the same signals"
        return "some of the same rows"

    def hold(self, one: str, other: str) -> str:
        """That two files hold the same, in words: behind their names; with rows where they only overlap."""
        said = (self.rows or {}).get((self.first(one), self.first(other)))
        said = said or (self.rows or {}).get((self.first(other), self.first(one)))
        what = self.what(one, other)
        return f"hold {what}" if what != "some of the same rows" or not said else f"hold {what} ({said})"

    def note(self) -> list[str]:
        """Sentences on files that hold the same, if there are any."""
        found: dict[str, list[str]] = {}
        for names in self.twins:
            own = [name.strip() for name in names]
            found.setdefault(self.what(*names), []).append(f"{own[0]} and {listed(own[1:])}")
        count = "they are in one part, and figures by window count each of them: leave copies out"
        return [f"files that hold {what}: {listed(each)}; {count}." for what, each in found.items()] + self._overlaps()

    def _overlaps(self) -> list[str]:
        """Sentences on files that overlap: of rows that many hold in the same place one for all."""
        apart = [pair for pair in self.overlapping if not self._is_common(pair)]
        said = [f"{len(names):,} files hold the same {rows}: {listed(names)}." for rows, names in self.common]
        each = [(self.rows or {}).get(pair, " and ".join(pair)) for pair in apart]
        return [*said, *([f"files that hold some of the same rows: {listed(each)}."] if each else []), *self._brought()]

    def _is_common(self, pair: tuple[str, str]) -> bool:
        """Whether most that two files share is what many hold in the same place."""
        said = (self.rows or {}).get(pair, "")
        return any(set(pair) <= set(names) and said.startswith(f"{rows} of ") for rows, names in self.common)

    def _brought(self) -> list[str]:
        if not self.resampled:
            return []
        return [
            "overlaps between recordings that resample brought to another rate are not looked for row by row of the files and "
            "may be missed; whole copies are found."
        ]


def alike(
    recordings: Sequence[Recording],
    of_bytes: Sequence[tuple[str, ...]],
    window: int,
    channels: Sequence[int] | None = None,
) -> Alike:
    """Which files of these recordings hold the same.

    Args:
        recordings: In their order, as models see them: after missing values were filled, and at one rate.
        of_bytes: Names of those that hold the same bytes.
        window: Samples of a window.
        channels: Places of the channels that models see, None for all.
    """
    twins = _joined([*of_bytes, *same_files(recordings, channels)], recordings)
    copies = frozenset(name for same in twins for name in same[1:])
    twins_share = matched(recordings, twins)
    shared = closed(recordings, [*twins_share, *shared_stretches(recordings, copies, window, channels)], window)
    lengths = samples_of_files(recordings)
    by_pair: dict[tuple[str, str], list[Shared]] = {}
    for each in shared[len(twins_share) :]:
        pair = recordings[each.one].name, recordings[each.other].name
        if not copies & set(pair):
            by_pair.setdefault(pair, []).append(each)
    overlapping = [
        pair
        for pair, own in by_pair.items()
        if sum(each.count for each in own) > FEW * min(lengths[name] for name in pair)
        or max(each.count for each in own) > LONGEST * window
    ]
    rows = {pair: in_words(recordings, max(own, key=lambda each: each.count)) for pair, own in by_pair.items()}
    common = _common(recordings, {pair: by_pair[pair] for pair in overlapping})
    resampled = len({one.name for one in recordings if one.step != 1}) > 1
    return Alike(tuple(of_bytes), tuple(twins), tuple(overlapping), tuple(shared), rows, common, resampled)


def _common(
    recordings: Sequence[Recording], by_pair: Mapping[tuple[str, str], Sequence[Shared]]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Rows that more than two files hold in the same place, where it is all that these share, and their names."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for pair, own in by_pair.items():
        if len(own) == 1:
            one, other = (
                _rows(recordings, own[0].one, own[0].begin, own[0]),
                _rows(recordings, own[0].other, own[0].start, own[0]),
            )
            if one == other:
                pairs.setdefault(one, []).append(pair)
    order = {one.name: place for place, one in enumerate(recordings)}
    return tuple(
        (rows, tuple(sorted(names, key=order.__getitem__)))
        for rows, same in pairs.items()
        for names in united(same).subsets()
        if len(names) > 2
    )


def samples_of_files(recordings: Sequence[Recording]) -> dict[str, int]:
    """How many samples the recordings of each file hold together, by its name."""
    lengths: dict[str, int] = {}
    for one in recordings:
        lengths[one.name] = lengths.get(one.name, 0) + len(one.samples)
    return lengths


def in_words(recordings: Sequence[Recording], shared: Shared) -> str:
    """Which rows of a file are which of another."""
    own, theirs = (
        _rows(recordings, shared.one, shared.begin, shared),
        _rows(recordings, shared.other, shared.start, shared),
    )
    one, other = (recordings[place].name.strip() for place in (shared.one, shared.other))
    return f"{theirs} of {other} are {own} of {one}"


def _rows(recordings: Sequence[Recording], place: int, begin: int, shared: Shared) -> str:
    one = recordings[place]
    first, last = (one.start + int(row * one.step) for row in (begin, begin + shared.count - 1))
    return f"rows {first:,} to {last:,}"


def twins_of(paths: Mapping[str, Path]) -> list[tuple[str, ...]]:
    """Files of the same bytes, by name; only files of one size are read."""
    by_size: dict[int, list[str]] = {}
    for name, path in paths.items():
        by_size.setdefault(path.stat().st_size, []).append(name)
    by_digest: dict[tuple[int, str], list[str]] = {}
    for size, names in by_size.items():
        for name in names if len(names) > 1 else ():
            by_digest.setdefault((size, file_sha256(paths[name])), []).append(name)
    return [tuple(names) for names in by_digest.values() if len(names) > 1]


def same_stretches(recordings: Sequence[Recording], places: Sequence[int], found: Alike) -> dict[int, int]:
    """For stretches of recordings, by their places among all, the place in `places` of an earlier one that holds the same."""
    names = [recordings[place].name for place in places]
    number = {place: number for number, place in enumerate(places)}
    seen: dict[tuple[str, int], int] = {}
    same = {}
    for place, (name, count) in enumerate(zip(names, numbers_within(names))):
        original = seen.setdefault((found.first(name), count), place)
        if original != place:
            same[place] = original
    related = {frozenset(pair) for pair in found.overlapping}
    for each in found.shared:
        pair = frozenset(found.first(recordings[place].name) for place in (each.one, each.other))
        if pair in related and each.one in number and each.other in number:
            earlier, later = sorted((number[each.one], number[each.other]))
            same.setdefault(later, same.get(earlier, earlier))
    return same


def numbers_within(names: Sequence[str]) -> list[int]:
    """For stretches of these files' names, in order, which of its file's stretches each is, from 0."""
    counts: dict[str, int] = {}
    numbers = []
    for name in names:
        numbers.append(counts.get(name, 0))
        counts[name] = numbers[-1] + 1
    return numbers


def _joined(classes: Sequence[tuple[str, ...]], recordings: Sequence[Recording]) -> list[tuple[str, ...]]:
    """Names of which some are in two of these, together; each in the order of the recordings."""
    ordered = dict.fromkeys([one.name for one in recordings])
    ordered.update(dict.fromkeys(name for names in classes for name in names))
    order = {name: place for place, name in enumerate(ordered)}
    found = [sorted(names, key=order.__getitem__) for names in united(classes).subsets() if len(names) > 1]
    return [tuple(names) for names in sorted(found, key=lambda names: order[names[0]])]
