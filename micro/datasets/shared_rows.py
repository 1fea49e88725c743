"""Recordings that hold the same samples, whatever their files' formats, times and labels: whole files, and stretches of them.

Whole files are compared by a digest of all their samples. Stretches are found by fingerprints of a few rows in a row, taken at
the rows whose fingerprint says so: the same rows are chosen in every file that holds them, wherever they stand in it
(content-defined sampling, as in Manber 1994, "Finding similar files in a large file system"). One walk over the samples and a
bounded number of fingerprints do; what they find is compared sample by sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from micro.datasets import cells, store
from micro.datasets.fingerprints import BLOCK, LARGE, chosen, grain_of, in_steps, rolled
from micro.datasets.recording import Recording
from micro.datasets.telling import tell, tells, tells_of_pixels

# Fingerprints of a window's samples, about, and of all recordings together at most; changed rows for one at least.
OF_A_WINDOW, MOST, SPARSEST = 8, 1 << 21, 8
# A file repeats itself where more of a stretch's fingerprints than this stand in it again; more often than this it is periodic.
REPEATING, OFTEN = 0.5, 4
# Rows whose magnitudes are looked at in each block.
SAMPLED = 1024
# Pairs of recordings and offsets that are compared at most, pairs that follow from others, and rows, at first, and values
# that are compared at a time.
MOST_OFFSETS, MOST_CLOSED, ROWS_AT_ONCE, VALUES_AT_ONCE = 20_000, 5_000, 1024, 1 << 20


@dataclass(frozen=True)
class Shared:
    """Consecutive samples that two recordings hold, by their places: `count` from `begin` in `one`, from `start` in `other`."""

    one: int
    other: int
    begin: int
    start: int
    count: int


class _Prints(NamedTuple):
    """Fingerprints, the recording and file of each, and where in the recording its rows begin: (n,)."""

    value: np.ndarray
    recording: np.ndarray
    file: np.ndarray
    place: np.ndarray


def same_files(recordings: Sequence[Recording], channels: Sequence[int] | None) -> list[tuple[str, ...]]:
    """Names of recordings that together hold the same samples from end to end, where these change enough to tell.

    `channels` are places of those that count, None for all.
    """
    by_size: dict[object, list[str]] = {}
    of_name = _by_name(recordings)
    for name, places in of_name.items():
        size = (sum(len(recordings[place].samples) for place in places), recordings[places[0]].image_size)
        by_size.setdefault(size, []).append(name)
    by_digest: dict[bytes, list[str]] = {}
    for names in by_size.values():
        for name in names if len(names) > 1 else ():
            own = [recordings[place].samples for place in of_name[name]]
            by_digest.setdefault(_digest(own, channels), []).append(name)
    found = [tuple(names) for names in by_digest.values() if len(names) > 1]
    return [names for names in found if _tell([recordings[place] for place in of_name[names[0]]], channels)]


def matched(recordings: Sequence[Recording], twins: Iterable[Sequence[str]]) -> list[Shared]:
    """The stretches that files of the same samples have in common with the first of them, however each is divided by gaps.

    `closed` adds those of the others.
    """
    of_name = _by_name(recordings)
    found = []
    for first, *others in (
        tuple(name for name in names if name in of_name) for names in twins if set(names) & of_name.keys()
    ):
        own = _edges(recordings, of_name[first])
        for other in others:
            theirs = _edges(recordings, of_name[other])
            if own[-1] != theirs[-1]:
                continue
            edges = np.union1d(own, theirs)
            for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist()):
                a, b = (int(np.searchsorted(each, begin, side="right")) - 1 for each in (own, theirs))
                places = of_name[first][a], of_name[other][b]
                found.append(Shared(*places, begin - int(own[a]), begin - int(theirs[b]), end - begin))
    return found


def shared_stretches(
    recordings: Sequence[Recording], skipped: frozenset[str], window: int, channels: Sequence[int] | None
) -> list[Shared]:
    """Stretches of at least a window that recordings of different files share, but for pictures.

    Found are those in which rows change as often as signals do; of a stretch that three files hold, the pairs with one of them.

    Args:
        recordings: Of all files.
        skipped: Names of files that another one stands for.
        window: Samples of a window.
        channels: Places of those that count, None for all.
    """
    kept = [place for place, one in enumerate(recordings) if one.name not in skipped and one.image_size is None]
    if len({recordings[place].name for place in kept}) < 2:
        return []
    every = max(SPARSEST, window // OF_A_WINDOW, sum(len(recordings[place].samples) for place in kept) // MOST)
    prints = _all_prints([recordings[place] for place in kept], kept, every, channels)
    found: list[Shared] = []
    repeats = _Repeats.of(prints)
    for one, other, offset, places in _candidates(prints):
        past = -1
        a, b = recordings[one].samples, recordings[other].samples
        for place in places:
            if place < past:
                continue
            before = _same_rows(a[:place][::-1], b[: place + offset][::-1], channels)
            after = _same_rows(a[place:], b[place + offset :], channels)
            past = place + max(after, 1)
            begin, count = place - before, before + after
            if count < max(window, BLOCK):
                continue
            repeated = repeats.much(one, begin, count) and repeats.much(other, begin + offset, count)
            if not repeated and tells([a[begin : begin + count]], channels):
                low, high = sorted([(one, begin), (other, begin + offset)])
                found.append(Shared(low[0], high[0], low[1], high[1], count))
    return sorted(found, key=lambda each: (each.one, each.other, each.begin))


def closed(recordings: Sequence[Recording], found: Sequence[Shared], window: int) -> list[Shared]:
    """Stretches, and those that follow from them: what two recordings of different files share with the same rows of a third.

    Of several thousand that follow, the first.
    """
    known: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
    of_place: dict[int, list[tuple[int, int, int, int]]] = {}
    for each in found:
        for one, other, begin, start in (
            (each.one, each.other, each.begin, each.start),
            (each.other, each.one, each.start, each.begin),
        ):
            of_place.setdefault(one, []).append((begin, begin + each.count, other, start - begin))
            known.setdefault((one, other, start - begin), []).append((begin, begin + each.count))
    every = list(found)
    for own in of_place.values():
        own.sort()
        for number, (_, end, one, ahead) in enumerate(own):
            for begin, past, other, further in own[number + 1 :]:
                if begin + window > end or len(every) >= len(found) + MOST_CLOSED:
                    break
                a, b = sorted([(one, ahead), (other, further)])
                count, key = min(end, past) - begin, (a[0], b[0], b[1] - a[1])
                first = begin + a[1]
                held = any(low <= first and first + count <= high for low, high in known.get(key, ()))
                if count < window or held or recordings[one].name == recordings[other].name:
                    continue
                known.setdefault(key, []).append((first, first + count))
                every.append(Shared(a[0], b[0], first, begin + b[1], count))
    return every


def _by_name(recordings: Sequence[Recording]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, one in enumerate(recordings):
        places.setdefault(one.name, []).append(place)
    return places


def _edges(recordings: Sequence[Recording], places: Sequence[int]) -> np.ndarray:
    """Where the recordings of a file begin among all of its samples, and one past the last."""
    return np.cumsum([0, *(len(recordings[place].samples) for place in places)])


def _tell(own: Sequence[Recording], channels: Sequence[int] | None) -> bool:
    samples = [one.samples for one in own]
    return tells(samples, channels) if own[0].image_size is None else tells_of_pixels(samples, channels)


def _digest(parts: Sequence[np.ndarray], channels: Sequence[int] | None) -> bytes:
    digest = blake2b(digest_size=16)
    for samples in parts:
        for part in store.blocks(samples):
            digest.update(chosen(samples[part], channels).data)
    return digest.digest()


def _all_prints(
    recordings: Sequence[Recording], places: Sequence[int], every: int, channels: Sequence[int] | None
) -> _Prints:
    """The fingerprints of recordings, which have these places among all."""
    files = {name: number for number, name in enumerate(dict.fromkeys(one.name for one in recordings))}
    large = np.stack([_large(one.samples, channels) for one in recordings])
    # The least, as files of another unit are none of the measure of the others.
    least = np.where(large > 0, large, np.inf).min(axis=0)
    grain = grain_of(least)
    parts = []
    for one, place in zip(recordings, places):
        for values, begins in _prints(one.samples, every, channels, grain):
            own = (np.full(len(values), number, np.int32) for number in (place, files[one.name]))
            parts.append((values, *own, begins))
    if not parts:
        return _Prints(*(np.zeros(0, kind) for kind in (np.uint64, np.int32, np.int32, np.int64)))
    return _Prints(*(np.concatenate(each) for each in zip(*parts)))


def _large(samples: np.ndarray, channels: Sequence[int] | None) -> np.ndarray:
    """A large magnitude of each channel that a few wild values do not change, 0 where all are 0: (channels,) float64."""
    width = samples.shape[1] if channels is None else len(channels)
    rows = []
    for part in store.blocks(samples):
        block = samples[part]
        rows.append(np.abs(chosen(block[:: max(1, len(block) // SAMPLED)], channels)))
    found = np.zeros(width)
    for number, column in enumerate(np.concatenate(rows).T if rows else ()):
        known = column[np.isfinite(column) & (column > 0)]
        found[number] = np.quantile(known, LARGE) if len(known) else 0.0
    return found


def _prints(
    samples: np.ndarray, every: int, channels: Sequence[int] | None, grain: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Fingerprints of a recording that tell something, about one in `every`, and where their rows begin; block by block."""
    left, left_at = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for part in store.blocks(samples):
        rows = in_steps(chosen(samples[part], channels), grain)
        before = np.append(left[-1:] if len(left) else ~rows[:1], rows[:-1])
        changed = np.flatnonzero(rows != before)
        hashes, at = np.append(left, rows[changed]), np.append(left_at, part.start + changed)
        left, left_at = hashes[-(BLOCK - 1) :], at[-(BLOCK - 1) :]
        if len(hashes) < BLOCK:
            continue
        values = rolled(hashes)
        taken = np.flatnonzero(values % np.uint64(every) == 0)
        width = samples.shape[1] if channels is None else len(channels)
        step = max(1, VALUES_AT_ONCE // (BLOCK * width))
        for first in range(0, len(taken), step):
            own = taken[first : first + step]
            blocks = chosen(samples[at[own[:, None] + np.arange(BLOCK)].reshape(-1)], channels)
            blocks = blocks.reshape(len(own), BLOCK, width)
            telling = own[tell(blocks)]
            yield values[telling], at[telling]


class _Repeats(NamedTuple):
    """By recording: where fingerprints begin in it, in order, and of how many from the first its file has again, (n + 1,)."""

    places: dict[int, np.ndarray]
    again: dict[int, np.ndarray]

    @classmethod
    def of(cls, prints: _Prints) -> _Repeats:
        order = np.lexsort((prints.file, prints.value))
        value, file = prints.value[order], prints.file[order]
        same = (value[1:] == value[:-1]) & (file[1:] == file[:-1])
        again = np.empty(len(order), bool)
        again[order] = np.append(same, False) | np.append(False, same)
        order = np.lexsort((prints.place, prints.recording))
        recording, place, again = prints.recording[order], prints.place[order], again[order]
        numbers, firsts = np.unique(recording, return_index=True)
        parts = list(zip(numbers.tolist(), np.split(place, firsts[1:]), np.split(again, firsts[1:])))
        return cls(
            {number: own for number, own, _ in parts},
            {number: np.append(0, np.cumsum(own)) for number, _, own in parts},
        )

    def much(self, recording: int, begin: int, count: int) -> bool:
        """Whether the file repeats most of a stretch of a recording."""
        first, past = np.searchsorted(self.places[recording], [begin, begin + count])
        again = self.again[recording]
        return bool(again[past] - again[first] > REPEATING * (past - first))


def _candidates(prints: _Prints) -> Iterator[tuple[int, int, int, list[int]]]:
    """Pairs of recordings, how much later rows stand in the second than in the first, and where in the first they are.

    The first is of a file that has the fingerprint once, the second of one that has it a few times. Where there are too many
    pairs and offsets, those of the most fingerprints.
    """
    if not len(prints.value):
        return
    order = np.lexsort((prints.place, prints.recording, prints.file, prints.value))
    value, recording, file, place = (each[order] for each in prints)
    begins = np.append(True, value[1:] != value[:-1])
    own = np.cumsum(begins | np.append(True, file[1:] != file[:-1])) - 1
    times = np.bincount(own)[own]
    group = np.cumsum(begins) - 1
    once = np.flatnonzero(times == 1)[::-1]
    anchors = np.full(int(group[-1]) + 1, -1)
    anchors[group[once]] = once
    first = anchors[group]
    others = np.flatnonzero((first >= 0) & (first != np.arange(len(first))) & (times <= OFTEN))
    first = first[others]
    if not len(others):
        return
    keys = np.stack([recording[first], recording[others], place[others] - place[first]], axis=1)
    kinds, kind, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    by_kind = np.argsort(kind.reshape(-1), kind="stable")
    edges = np.cumsum([0, *counts])
    for number in np.argsort(-counts, kind="stable")[:MOST_OFFSETS].tolist():
        mine = first[by_kind[edges[number] : edges[number + 1]]]
        yield *kinds[number].tolist(), np.sort(place[mine]).tolist()


def _same_rows(one: np.ndarray, other: np.ndarray, channels: Sequence[int] | None) -> int:
    """How many of the first rows of both are the same; pages of samples on disk are released."""
    length, begin, size = min(len(one), len(other)), 0, ROWS_AT_ONCE
    while begin < length:
        part = slice(begin, min(begin + size, length))
        differ = np.flatnonzero((chosen(one[part], channels) != chosen(other[part], channels)).any(axis=1))
        store.release(one)
        store.release(other)
        if len(differ):
            return begin + int(differ[0])
        begin, size = part.stop, min(2 * size, cells.BLOCK_ROWS)
    return length
