"""How a kernel's weights lie in flash: dense, without their zeros, or as numbers of few values."""

from __future__ import annotations

from typing import Literal

import numpy as np

# 'auto': without zeros where that is smaller and no slower, 'small': whichever is smallest, 'dense': always as they are.
Storage = Literal["auto", "small", "dense"]

# From this share of zeros on leaving them out takes fewer instructions than four filters at once.
ZEROS_THAT_PAY = 0.78
FARTHEST, MOST_ENTRIES, MOST_VALUES = 255, 65535, 16


def stored(filters: np.ndarray, storage: Storage) -> tuple[str, tuple[np.ndarray, ...]]:
    """'dense', 'sparse' or 'shared' for filters (count, rows, length), and the arrays that the kernel of that name takes."""
    ways: dict[str, tuple[np.ndarray, ...]] = {"dense": (four_by_four(filters),)}
    if storage == "small" or (storage == "auto" and np.mean(filters == 0) >= ZEROS_THAT_PAY):
        ways["sparse"] = sparse(filters)
    if storage == "small" and len(np.unique(filters)) <= MOST_VALUES:
        ways["shared"] = shared(filters)
    sizes = {way: sum(array.nbytes for array in arrays) for way, arrays in ways.items()}
    if "shared" in sizes:  # slowest of all: its table counts as full
        sizes["shared"] += MOST_VALUES - ways["shared"][1].nbytes
    kind = min(sizes, key=lambda way: sizes[way])
    return kind, ways[kind]


def sparse(filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entries (int16: weight in the high byte, distance from the entry before in the low) and how many each row has (uint16).

    A distance of more than 255 is bridged by entries of weight 0.
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


def shared(filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of values, two a byte, the first in the low half, each row on bytes of its own; and the values (int8).

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
    """Filters (count, rows, length) as the C function dot_4 reads them: of each four, row by row, four weights of one after
    four of the other, and at the end of a row what is left of each; the last filters, fewer than four, as they are."""
    count, rows, length = filters.shape
    fours, whole = count // 4, length // 4 * 4
    groups = filters[: 4 * fours].reshape(fours, 4, rows, length).swapaxes(1, 2)
    blocks = groups[..., :whole].reshape(fours, rows, 4, whole // 4, 4).swapaxes(2, 3).reshape(fours, rows, 4 * whole)
    rest = groups[..., whole:].reshape(fours, rows, 4 * (length - whole))
    return np.concatenate([np.concatenate([blocks, rest], axis=-1).reshape(-1), filters[4 * fours :].reshape(-1)])
