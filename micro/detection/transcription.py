"""From a model's outputs, place by place, to the likeliest whole outputs; and how far one output is from another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

# Outputs that firmware keeps.
BEST = 3
# A whole output and the sum of the outputs that it is made of.
Transcription: TypeAlias = tuple[tuple[str, ...], float]


def best_symbols(outputs: np.ndarray, count: int = BEST) -> np.ndarray:
    """The largest outputs of each place by number, the largest first and of equal ones the lower number: (n, symbols) -> (n,
    count).

    Examples:
        >>> best_symbols(np.array([[1, 7, 7, 2]], "int8"), 3).tolist()
        [[1, 2, 3]]
    """
    values = outputs.astype(np.int64) if outputs.dtype.kind in "iu" else outputs
    return np.argsort(-values, axis=-1, kind="stable")[..., :count]


def transcribe(outputs: np.ndarray, symbols: Sequence[tuple[str, ...]], count: int = BEST) -> list[Transcription]:
    """The likeliest whole outputs of one source, each with the sum of its outputs, best first.

    The probability of a way through all places is the product of its probabilities, so sums of logits order ways alike: what
    normalizes a place is the same for all of them. Ways that spell the same output count as the best of them. Keeping the best
    `count` different beginnings loses none: any other has `count` better ones before it, whatever follows.

    Args:
        outputs: Logits or what a .tflite gives in their place, (places, symbols).
        symbols: The tokens that each output stands for.

    Examples:
        >>> symbols = [(), ("A",), ("B", "A")]
        >>> transcribe(np.array([[0, 5, 4], [2, 1, 0]]), symbols)
        [(('A',), 7), (('B', 'A'), 6), (('A', 'A'), 6)]
    """
    kept: list[Transcription] = [((), 0)]
    chosen = best_symbols(outputs, count)
    values = np.take_along_axis(outputs, chosen, axis=-1).tolist()
    for numbers, sums in zip(chosen.tolist(), values):
        following: list[Transcription] = []
        for tokens, total in kept:
            for number, value in zip(numbers, sums):
                _keep(following, (*tokens, *symbols[number]), total + value, count)
        kept = following
    return kept


def _keep(kept: list[Transcription], tokens: tuple[str, ...], total: float, count: int) -> None:
    """Put an output where it belongs among the best so far; of equal sums the earlier stands first."""
    same = next((place for place, each in enumerate(kept) if each[0] == tokens), None)
    if same is not None:
        if kept[same][1] >= total:
            return
        del kept[same]
    place = len(kept)
    while place > 0 and kept[place - 1][1] < total:
        place -= 1
    if place < count:
        kept.insert(place, (tokens, total))
        del kept[count:]


def distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Tokens to insert, leave out or change to make one output of another (Levenshtein 1966).

    Examples:
        >>> distance("kitten", "sitting")
        3
    """
    row = list(range(len(other) + 1))
    for n, mine in enumerate(one, 1):
        last, row[0] = row[0], n
        for m, theirs in enumerate(other, 1):
            last, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, last + (mine != theirs))
    return row[-1]
