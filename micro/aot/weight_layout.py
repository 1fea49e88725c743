"""How weights lie in flash: dense, without their zeros (sparse), or as 4-bit indices of at most 16 values (clustered)."""

from __future__ import annotations

from typing import Literal

import numpy as np

# 'auto': sparse where that is smaller and no slower, else dense; 'small': the smallest; 'dense': always dense.
Storage = Literal["auto", "small", "dense"]

# From this sparsity on, the sparse kernel takes fewer instructions than the dense one, which computes four filters at once.
LEAST_SPARSITY = 0.81
FARTHEST, MOST_ENTRIES, MOST_VALUES = 255, 65535, 16


def stored(filters: np.ndarray, storage: Storage, segment: int | None = None) -> tuple[str, tuple[np.ndarray, ...]]:
    """'dense', 'sparse' or 'clustered' for filters (count, rows, length), and the arrays that the kernel takes.

    Dense kernels multiply `segment` weights at once, a whole row unless given.
    """
    ways: dict[str, tuple[np.ndarray, ...]] = {"dense": dense(filters, segment or filters.shape[-1])}
    if storage == "small" or (storage == "auto" and np.mean(filters == 0) >= LEAST_SPARSITY):
        ways["sparse"] = sparse(filters)
    if storage == "small" and len(np.unique(filters)) <= MOST_VALUES:
        ways["clustered"] = clustered(filters)
    sizes = {way: sum(array.nbytes for array in arrays) for way, arrays in ways.items()}
    if "clustered" in sizes:  # the slowest, so its table counts as full
        sizes["clustered"] += MOST_VALUES - ways["clustered"][1].nbytes
    kind = min(sizes, key=lambda way: sizes[way])
    return kind, ways[kind]


def sparse(filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entries (int8, two values each) and how many each row has (uint16).

    An entry is its distance from the previous entry, as a byte without sign, and a weight. Entries of weight 0 bridge distances
    of more than 255.
    """
    entries: list[tuple[int, int]] = []
    counts: list[int] = []
    for row in filters.reshape(-1, filters.shape[-1]):
        before, start = 0, len(entries)
        for at in np.flatnonzero(row):
            distance = int(at) - before
            while distance > FARTHEST:
                entries.append((FARTHEST, 0))
                distance -= FARTHEST
            entries.append((distance, int(row[at])))
            before = int(at)
        counts.append(len(entries) - start)
    return np.array(entries or [(0, 0)], np.int16).astype(np.int8), np.array(counts, np.uint16)


def clustered(filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of values, two per byte with the first in the low half, each row in bytes of its own; and the values (int8).

    Raises:
        ValueError: For more than 16 values.
    """
    values = np.unique(filters)
    if len(values) > MOST_VALUES:
        raise ValueError(f"{len(values)} values do not fit 4 bits")
    numbers = np.searchsorted(values, filters.reshape(-1, filters.shape[-1])).astype(np.uint8)
    numbers = np.pad(numbers, ((0, 0), (0, numbers.shape[1] % 2)))
    return numbers[:, 0::2] | numbers[:, 1::2] << 4, values.astype(np.int8)


def dense(filters: np.ndarray, segment: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (int16) of the filters (count, rows, length) that are computed four at a time, and the other filters (int8).

    Each `segment` weights of a filter are multiplied at once. A filter with a weight of -128 makes no pairs, so that all stand
    alone.
    """
    count = len(filters)
    fours = 0 if np.any(filters == -128) else count // 4 * 4
    paired = filters[:fours].reshape(fours, filters[0].size // segment, segment)
    return pairs_of_filters(paired), filters[fours:].reshape(-1)


def pairs_of_filters(filters: np.ndarray) -> np.ndarray:
    """Filters (count, segments, length), a multiple of four, in the order in which the C function dot_4 reads them.

    A pair is 256 * a weight of a filter + the weight of the next filter for the same input. Of each group of four filters,
    segment by segment, for each four inputs: pairs of the first two filters for inputs 0 and 2, of the last two for the same
    inputs, then both for inputs 1 and 3; at the end of a segment pairs of both for each of the remaining inputs.
    """
    count, segments, length = filters.shape
    aligned = length // 4 * 4
    groups = filters.astype(np.int16).reshape(count // 4, 2, 2, segments, length)
    pairs = (256 * groups[:, :, 0] + groups[:, :, 1]).swapaxes(1, 2)  # group, segment, pair of filters, input
    blocks = pairs[..., :aligned].reshape(count // 4, segments, 2, aligned // 4, 2, 2).transpose(0, 1, 3, 5, 2, 4)
    rest = pairs[..., aligned:].swapaxes(2, 3)
    halves = ((blocks, aligned), (rest, length - aligned))
    return np.concatenate([half.reshape(count // 4, segments, 2 * size) for half, size in halves], axis=-1).reshape(-1)


def blocks_of_filters(filters: np.ndarray) -> np.ndarray:
    """Filters (count, size) in the order in which filters_mve.c reads them.

    Of each four filters: for each 16 inputs, 16 weights of each of the four, then likewise for the last inputs, fewer than 16.
    The up to three filters after them stand alone.
    """
    count, size = filters.shape
    fours, aligned = count // 4 * 4, size // 16 * 16
    groups = filters[:fours].reshape(fours // 4, 4, size)
    blocks = groups[:, :, :aligned].reshape(fours // 4, 4, aligned // 16, 16).swapaxes(1, 2)
    halves = [blocks.reshape(fours // 4, 4 * aligned), groups[:, :, aligned:].reshape(fours // 4, 4 * (size - aligned))]
    return np.concatenate([np.concatenate(halves, axis=1).reshape(-1), filters[fours:].reshape(-1)])


def windows_in_words(weights: np.ndarray) -> np.ndarray:
    """Depthwise weights (3, 3, channels) as depthwise_3x3_mve.c reads them: 12 bytes a channel, its columns of three rows.

    A byte of 0 ends each column. Channels of zeros follow up to a multiple of four.
    """
    columns = np.pad(weights.transpose(2, 1, 0), ((0, -weights.shape[2] % 4), (0, 0), (0, 1)))
    return columns.reshape(-1)


def by_channels(weights: np.ndarray, fours: int) -> np.ndarray:
    """Depthwise weights (taps, channels): the first channels by four, then by taps, and the others by taps."""
    first = weights[:, :fours].reshape(len(weights), fours // 4, 4).swapaxes(0, 1)
    return np.concatenate([first.reshape(-1), weights[:, fours:].reshape(-1)])
