"""Where each tensor lies in the static arena: those that live at the same time lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 4


@dataclass(frozen=True)
class Life:
    """A buffer of so many bytes, needed from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int


def plan(lives: Sequence[Life]) -> tuple[list[int], int]:
    """An offset for each buffer and the arena's size, in bytes: the largest first, each in the lowest gap that holds it."""
    offsets = [0] * len(lives)
    placed: list[int] = []
    for index in sorted(range(len(lives)), key=lambda i: (-lives[i].size, lives[i].first, i)):
        life = lives[index]
        beside = [i for i in placed if lives[i].first <= life.last and life.first <= lives[i].last]
        offset = 0
        for other in sorted(beside, key=lambda i: offsets[i]):
            if offset + life.size <= offsets[other]:
                break
            offset = max(offset, _aligned(offsets[other] + lives[other].size))
        offsets[index] = offset
        placed.append(index)
    return offsets, max((_aligned(offset + life.size) for offset, life in zip(offsets, lives)), default=0)


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
