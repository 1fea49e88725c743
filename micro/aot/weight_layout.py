"""How weights lie in flash: dense, without their zeros (sparse), or as 4-bit indices of at most 16 values (clustered)."""

from __future__ import annotations

from typing import Literal

import numpy as np

# 'auto': sparse where that is smaller and no slower, else dense; 'small': the smallest; 'dense': always dense.
Storage = Literal["auto", "small", "dense"]

# From this sparsity on, the sparse kernel takes fewer instructions than the dense one, which computes four filters at once.
LEAST_SPARSITY = 0.78
FARTHEST, MOST_ENTRIES, MOST_VALUES = 255, 65535, 16


def stored(filters: np.ndarray, storage: Storage) -> tuple[str, tuple[np.ndarray, ...]]:
    """'dense', 'sparse' or 'clustered' for filters (count, rows, length), and the arrays that the kernel takes."""
    ways: dict[str, tuple[np.ndarray, ...]] = {"dense": (four_by_four(filters),)}
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
    """Entries (int16) and how many each row has (uint16).

    An entry holds a weight in its high byte and its distance from the previous entry in its low byte. Entries of weight 0
    bridge distances of more than 255.
    """
    entries: list[int] = []
    counts: list[int] = []
    for row in filters.reshape(-1, filters.shape[-1]):
        before, start = 0, len(entries)
        for at in np.flatnonzero(row):
            distance = int(at) - before
            while distance > FARTHEST:
                entries.append(FARTHEST)
                distance -= FARTHEST
            entries.append(int(row[at]) << 8 | distance)
            before = int(at)
        counts.append(len(entries) - start)
    return np.array(entries or [0], np.int16), np.array(counts, np.uint16)


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


def four_by_four(filters: np.ndarray) -> np.ndarray:
    """Filters (count, rows, length) in the order in which the C function dot_4 reads them.

    Of each group of four filters, row by row: four weights of the first, four of the second and so on; at the end of a row
    the rest of each. The last filters, fewer than four, follow as they are.
    """
    count, rows, length = filters.shape
    fours, aligned = count // 4, length // 4 * 4
    groups = filters[: 4 * fours].reshape(fours, 4, rows, length).swapaxes(1, 2)
    blocks = (
        groups[..., :aligned].reshape(fours, rows, 4, aligned // 4, 4).swapaxes(2, 3).reshape(fours, rows, 4 * aligned)
    )
    rest = groups[..., aligned:].reshape(fours, rows, 4 * (length - aligned))
    return np.concatenate([np.concatenate([blocks, rest], axis=-1).reshape(-1), filters[4 * fours :].reshape(-1)])
