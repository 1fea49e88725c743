"""Recordings that hold the same samples, whatever their files' formats, times and labels: whole files, and stretches of them.

Whole files are compared by a digest of all their samples. Stretches are found by fingerprints of a few rows in a row, taken at
the rows whose fingerprint says so: the same rows are chosen in every file that holds them, wherever they stand in it
(content-defined sampling, as in Manber 1994, "Finding similar files in a large file system"). One walk over the samples and a
bounded number of fingerprints do; what they find is compared sample by sample.

Rows that repeat are no sign of a copy, nor are those that follow from the rows before them: machines stand still, simulated
signals are periodic and without noise, slow sensors give few values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import numpy as np

from micro.datasets import cells, store
from micro.datasets.recording import Recording

# Rows of a fingerprint, each other than the one before; how many must be distinct, and of how many distinct steps.
BLOCK, DISTINCT_ROWS, DISTINCT_STEPS = 32, 24, 16
# Earlier rows that a row may follow from, and how far from it, in steps of the channel: what rounding alone does.
ORDER, ROUNDING = 6, 2.0
# Fingerprints are of values in so many steps of the largest: rounding errors of a simulation are none of its values.
STEPS = 1 << 18
# Of a picture: distinct pixels and steps among its first that change. Of a file: rows that are looked at together, and how
# many such parts are all looked at, of those behind them one in as many.
FILE_ROWS, FILE_STEPS, LOOKED_AT, ALL_OF = 16, 8, 4096, 64
# Of a file: earlier rows that a row may follow from, the part of rows that must, bits that do not, and the part of runs of rows
# that are other than those before. Errors in steps of a channel: of rounding alone, and more than that; its finest step.
FILE_ORDER, MET, BITS, NEW, ROUNDED, UNEXPLAINED, FINEST = 16, 0.85, 64.0, 0.4, 0.25, 0.36, 1e-5
# Fingerprints of a window's samples, about, and of all recordings together at most; changed rows for one at least.
OF_A_WINDOW, MOST, SPARSEST = 8, 1 << 21, 8
# A file repeats itself where more of a stretch's fingerprints than this stand in it again; oftener than this it is periodic.
REPEATING, OFTEN = 0.5, 4
# Rows whose magnitudes are looked at in each block, and the quantile of them that is large.
SAMPLED, LARGE = 1024, 0.99
# Pairs of recordings and offsets that are compared at most, pairs that follow from others, and rows, at first, and values
# that are compared at a time.
MOST_OFFSETS, MOST_CLOSED, ROWS_AT_ONCE, VALUES_AT_ONCE = 20_000, 5_000, 1024, 1 << 20
# Odd numbers that mix bits (those of xxHash and of splitmix64).
MIX = tuple(np.uint64(each) for each in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0xBF58476D1CE4E5B9))


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
    telling = []
    for names in found:
        own = [recordings[place] for place in of_name[names[0]]]
        tells = _tells if own[0].image_size is None else _tells_of_pixels
        if tells([one.samples for one in own], channels):
            telling.append(names)
    return telling


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
            if count >= max(window, BLOCK) and not (
                repeats.much(one, begin, count) and repeats.much(other, begin + offset, count)
            ):
                a, b = sorted([(one, begin), (other, begin + offset)])
                found.append(Shared(a[0], b[0], a[1], b[1], count))
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


def _chosen(samples: np.ndarray, channels: Sequence[int] | None) -> np.ndarray:
    """Rows in memory, (n, channels) float32, of which zeros have one sign."""
    return np.ascontiguousarray(samples if channels is None else samples[:, list(channels)], np.float32) + np.float32(0)


def _digest(parts: Sequence[np.ndarray], channels: Sequence[int] | None) -> bytes:
    digest = blake2b(digest_size=16)
    for samples in parts:
        for part in store.blocks(samples):
            digest.update(_chosen(samples[part], channels).data)
    return digest.digest()


def _tells_of_pixels(parts: Sequence[np.ndarray], channels: Sequence[int] | None) -> bool:
    """Whether a picture's first pixels that change are so many different ones that another has them by copy alone."""
    first = islice(_together(_changed(block) for block in _blocks(parts, channels)), 1)
    return any(_telling(rows[None], FILE_ROWS, FILE_STEPS)[0] for rows in first)


def _tells(parts: Sequence[np.ndarray], channels: Sequence[int] | None) -> bool:
    """Whether rows of a file say so much that does not follow from those before that another has them by copy alone.

    Slow sensors say it by what they change to, coarse ones by when they change.
    """
    by_change = _together(_changed(block) for block in _blocks(parts, channels))
    for rows in (by_change, _together(_blocks(parts, channels))):
        for number, each in enumerate(rows):
            if number >= ALL_OF and number % ALL_OF:
                continue
            if _is_new(each) and max(_bits(column) for column in each.T.astype(np.float64)) >= BITS:
                return True
    return False


def _blocks(parts: Sequence[np.ndarray], channels: Sequence[int] | None) -> Iterator[np.ndarray]:
    return (_chosen(samples[part], channels) for samples in parts for part in store.blocks(samples))


def _changed(block: np.ndarray) -> np.ndarray:
    """Rows that differ from the one before."""
    return block[np.append(True, (block[1:] != block[:-1]).any(axis=1))]


def _together(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The rows of blocks, LOOKED_AT at a time: (n, channels)."""
    left: list[np.ndarray] = []
    for block in blocks:
        left.append(block)
        if (count := sum(map(len, left))) >= LOOKED_AT:
            *full, rest = np.split(np.concatenate(left), np.arange(LOOKED_AT, count + 1, LOOKED_AT))
            yield from full
            left = [rest]
    if any(map(len, left)):
        yield np.concatenate(left)


def _is_new(rows: np.ndarray) -> bool:
    """Whether rows, (n, channels), do not repeat themselves: periodic signals do."""
    large = np.quantile(np.abs(rows), LARGE, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        hashes = _hashed(np.round(rows / np.where(large > 0, large / STEPS, 1.0)).astype(np.float32) + np.float32(0))
    runs = _rolled(hashes) if len(rows) >= 2 * BLOCK else hashes
    return len(np.unique(runs)) >= max(FILE_ROWS, NEW * len(runs) if len(rows) >= 2 * BLOCK else 0)


def _bits(values: np.ndarray) -> float:
    """About how many bits of a channel, (n,), do not follow from the values before: 0 where rounding alone explains them.

    Values are told by a linear prediction; of it the rows that it meets worst, such as jumps of a square wave, do not count.
    """
    order = min(FILE_ORDER, len(values) // 4)
    middle = np.median(values)
    around = values - middle
    spread, large = (float(np.quantile(np.abs(each), LARGE)) for each in (around, values))
    if order < 2 or not spread > 0 or not np.isfinite(spread):
        return 0.0
    least = float(np.finfo(np.float32).eps) * large
    gaps = np.diff(np.unique(values))
    gaps = gaps[gaps > least]
    step = max(float(np.quantile(gaps, 0.1)) if len(gaps) else 0.0, FINEST * spread, least)
    lagged = np.lib.stride_tricks.sliding_window_view(np.clip(around / spread, -4, 4), order + 1)
    before, after = np.column_stack([lagged[:, :order], np.ones(len(lagged))]), lagged[:, order]
    kept = np.ones(len(after), bool)
    for _ in range(4):
        own = before[kept]
        normal = own.T @ own + 1e-12 * len(own) * np.eye(order + 1)
        missed = np.abs(after - before @ np.linalg.solve(normal, own.T @ after[kept]))
        kept = missed <= np.quantile(missed, MET)
    error = float(np.sqrt(np.mean(missed[kept] ** 2))) * spread / step
    return len(after) * float(np.log2(error / ROUNDED)) if error > UNEXPLAINED else 0.0


def _telling(blocks: np.ndarray, rows: int, steps: int) -> np.ndarray:
    """Which blocks hold as many distinct rows, and distinct steps from row to row: (m, n, channels) -> (m,) bool."""
    if blocks.shape[1] < 2:
        return np.zeros(len(blocks), bool)
    with np.errstate(over="ignore", invalid="ignore"):
        # Steps of a coarse sensor, 20.1 to 20.2 and 20.2 to 20.3, differ in their last digits.
        grain = 8 * np.finfo(np.float32).eps * np.abs(blocks).max(axis=1, keepdims=True)
        moved = np.round(np.diff(blocks, axis=1) / np.where(grain > 0, grain, 1)).astype(np.float32) + np.float32(0)
    return np.asarray((_distinct(blocks) >= rows) & (_distinct(moved) >= steps))


def _surprising(blocks: np.ndarray) -> np.ndarray:
    """Which blocks have a channel whose values do not follow from those before, (m, n, channels) -> (m,) bool.

    Sines, ramps and decays are given by an earlier few of their values but for rounding, whatever their periods.
    """
    found = np.zeros(len(blocks), bool)
    for column in np.moveaxis(blocks.astype(np.float64), 2, 0):
        highest = np.abs(column).max(axis=1)
        gaps = np.diff(np.sort(column, axis=1), axis=1)
        least = np.finfo(np.float32).eps * highest
        step = np.where(gaps > least[:, None], gaps, np.inf).min(axis=1)
        known = np.isfinite(step)
        lagged = (
            np.lib.stride_tricks.sliding_window_view(column, ORDER + 1, axis=1)
            / np.where(highest > 0, highest, 1)[:, None, None]
        )
        before, after = lagged[..., :ORDER], lagged[..., ORDER]
        before = np.concatenate([before, np.ones((*before.shape[:2], 1))], axis=2)
        turned = before.transpose(0, 2, 1)
        # A touch of ridge, as the earlier values of a sine determine each other.
        normal = turned @ before + 1e-12 * np.eye(ORDER + 1)
        weights = np.linalg.solve(normal, turned @ after[..., None])
        missed = np.sqrt(np.mean((after[..., None] - before @ weights) ** 2, axis=(1, 2))) * highest
        found |= known & (missed > ROUNDING * step)
    return found


def _distinct(blocks: np.ndarray) -> np.ndarray:
    """How many different rows each block has: (m, n, channels) float32 -> (m,) int."""
    count, length, width = blocks.shape
    ordered = np.sort(_hashed(blocks.reshape(-1, width)).reshape(count, length), axis=1)
    return 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)


def _hashed(rows: np.ndarray) -> np.ndarray:
    """A number for each row, (n, channels) float32 -> (n,) uint64."""
    bits = np.ascontiguousarray(rows, np.float32).view(np.uint32)
    found = np.full(len(rows), MIX[2])
    for column in bits.T:
        found ^= column
        found *= MIX[0]
        found ^= found >> np.uint64(29)
        found *= MIX[1]
    return found ^ (found >> np.uint64(32))


def _rolled(rows: np.ndarray) -> np.ndarray:
    """A number for each run of BLOCK rows, from those of the rows: (n,) -> (n - BLOCK + 1,) uint64."""
    found, length = rows, 1
    while length < BLOCK:
        found = found[:-length] * MIX[0] + found[length:]
        found = (found ^ (found >> np.uint64(31))) * MIX[1]
        length *= 2
    return found ^ (found >> np.uint64(33))


def _all_prints(
    recordings: Sequence[Recording], places: Sequence[int], every: int, channels: Sequence[int] | None
) -> _Prints:
    """The fingerprints of recordings, which have these places among all."""
    files = {name: number for number, name in enumerate(dict.fromkeys(one.name for one in recordings))}
    large = np.stack([_large(one.samples, channels) for one in recordings])
    # The least, as files of another unit are none of the measure of the others.
    least = np.where(large > 0, large, np.inf).min(axis=0)
    grain = np.where(np.isfinite(least), least / STEPS, 1.0)
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
        rows.append(np.abs(_chosen(block[:: max(1, len(block) // SAMPLED)], channels)))
    found = np.zeros(width)
    for number, column in enumerate(np.concatenate(rows).T if rows else ()):
        told = column[np.isfinite(column) & (column > 0)]
        found[number] = np.quantile(told, LARGE) if len(told) else 0.0
    return found


def _prints(
    samples: np.ndarray, every: int, channels: Sequence[int] | None, grain: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Fingerprints of a recording that tell something, about one in `every`, and where their rows begin; block by block."""
    left, left_at = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for part in store.blocks(samples):
        with np.errstate(over="ignore", invalid="ignore"):
            rows = _hashed(np.round(_chosen(samples[part], channels) / grain).astype(np.float32) + np.float32(0))
        before = np.append(left[-1:] if len(left) else ~rows[:1], rows[:-1])
        changed = np.flatnonzero(rows != before)
        hashes, at = np.append(left, rows[changed]), np.append(left_at, part.start + changed)
        left, left_at = hashes[-(BLOCK - 1) :], at[-(BLOCK - 1) :]
        if len(hashes) < BLOCK:
            continue
        rolled = _rolled(hashes)
        chosen = np.flatnonzero(rolled % np.uint64(every) == 0)
        width = samples.shape[1] if channels is None else len(channels)
        step = max(1, VALUES_AT_ONCE // (BLOCK * width))
        for first in range(0, len(chosen), step):
            own = chosen[first : first + step]
            blocks = _chosen(samples[at[own[:, None] + np.arange(BLOCK)].reshape(-1)], channels)
            blocks = blocks.reshape(len(own), BLOCK, width)
            telling = own[_telling(blocks, DISTINCT_ROWS, DISTINCT_STEPS) & _surprising(blocks)]
            yield rolled[telling], at[telling]


class _Repeats(NamedTuple):
    """By recording: where fingerprints begin in it, in order, and of how many from the first its file has again, (n + 1,)."""

    places: dict[int, np.ndarray]
    again: dict[int, np.ndarray]

    @classmethod
    def of(cls, prints: _Prints) -> _Repeats:
        _, kind, counts = np.unique(
            np.stack([prints.value, prints.file.astype(np.uint64)]), axis=1, return_inverse=True, return_counts=True
        )
        again = counts[kind.reshape(-1)] > 1
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
        differ = np.flatnonzero((_chosen(one[part], channels) != _chosen(other[part], channels)).any(axis=1))
        store.release(one)
        store.release(other)
        if len(differ):
            return begin + int(differ[0])
        begin, size = part.stop, min(2 * size, cells.BLOCK_ROWS)
    return length
