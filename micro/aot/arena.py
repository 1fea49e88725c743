"""Places tensors in the static arena, so that those needed at the same time do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 4


@dataclass(frozen=True)
class Life:
    """A buffer of `size` bytes, needed from operator `first` through operator `last`."""

    size: int
    first: int
    last: int


def plan(lives: Sequence[Life]) -> tuple[list[int], int]:
    """An offset for each buffer and the size of the arena, in bytes: the largest first, each in the lowest gap that fits."""
    offsets = [0] * len(lives)
    placed: list[int] = []
    for index in sorted(range(len(lives)), key=lambda i: (-lives[i].size, lives[i].first, i)):
        life = lives[index]
        overlapping = [i for i in placed if lives[i].first <= life.last and life.first <= lives[i].last]
        offset = 0
        for other in sorted(overlapping, key=lambda i: offsets[i]):
            if offset + life.size <= offsets[other]:
                break
            offset = max(offset, _aligned(offsets[other] + lives[other].size))
        offsets[index] = offset
        placed.append(index)
    return offsets, max((_aligned(offset + life.size) for offset, life in zip(offsets, lives)), default=0)


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
