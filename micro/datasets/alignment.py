"""Which letters of a source become which tokens of its target: one to none, one or two, in order.

Expectation-maximization with the best alignment of each pair in place of all (Viterbi training), from an even first guess.

Source: many-to-many alignment, here of one letter to at most two tokens; Jiampojamarn, Kondrak and Sherif 2007, section 3,
https://aclanthology.org/N07-1047
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

# How often the alignment is improved, tokens a letter at most, the cost of a chunk that no pair has, in nats.
ROUNDS, MOST_TOKENS, UNSEEN = 5, 2, 9.0
# How often a letter without a token is counted, against once for one with a token, in the first guess.
SILENT = 0.2
# Pairs that are aligned at a time.
BATCH = 8192

# Tokens of a target that one letter becomes, by number.
Chunk = tuple[int, ...]


@dataclass(frozen=True)
class Costs:
    """What it costs, in nats, that a letter becomes no token, one or two: (letters,), (letters, tokens) and (letters, tokens,
    tokens)."""

    none: np.ndarray
    one: np.ndarray
    two: np.ndarray


def align(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], letters: int, tokens: int
) -> tuple[list[list[Chunk] | None], Costs]:
    """The alignment under which letters and their chunks go together most often.

    Args:
        sources: Letters of each source by number, below `letters`.
        targets: Tokens of each target by number, below `tokens`.

    Returns: for each pair a chunk a letter, or None where the target has more than two tokens a letter; and the costs that
        other pairs can be aligned by.

    Examples:
        >>> chunks, costs = align([[0, 1], [0, 0], [1]], [[5], [5, 5], []], letters=2, tokens=6)
        >>> chunks
        [[(5,), ()], [(5,), (5,)], [()]]
    """
    costs = _first_guess(sources, targets, letters, tokens)
    chunks: list[list[Chunk] | None] = []
    for _ in range(ROUNDS):
        chunks = align_by(costs, sources, targets)
        costs = _counted(chunks, sources, letters, tokens)
    return chunks, costs


def align_by(
    costs: Costs, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> list[list[Chunk] | None]:
    """The cheapest alignment of each pair by given costs; None where there is none."""
    # A target that is too long for its source is left out here: all of a batch are padded to its longest target.
    fits = [n for n, source in enumerate(sources) if len(targets[n]) <= MOST_TOKENS * len(source)]
    order = sorted(fits, key=lambda n: len(sources[n]))
    found: list[list[Chunk] | None] = [None] * len(sources)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        taken = _cheapest(costs, [sources[n] for n in rows], [targets[n] for n in rows])
        for n, chunks in zip(rows, taken):
            found[n] = chunks
    return found


def _first_guess(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], letters: int, tokens: int
) -> Costs:
    """Costs as if the tokens of each target were spread evenly over its source, which favors the diagonal."""
    counts = np.zeros((letters, tokens))
    silent = np.zeros(letters)
    for source, target in zip(sources, targets):
        for place, letter in enumerate(source):
            silent[letter] += SILENT
            if target:
                counts[letter, target[min(place * len(target) // len(source), len(target) - 1)]] += 1
    return _costs(silent, counts, np.zeros((letters, tokens, tokens)))


def _counted(
    chunks: Sequence[list[Chunk] | None], sources: Sequence[Sequence[int]], letters: int, tokens: int
) -> Costs:
    """Costs by how often each letter has become each chunk."""
    counts = (np.zeros(letters), np.zeros((letters, tokens)), np.zeros((letters, tokens, tokens)))
    places: tuple[list[tuple[int, ...]], ...] = ([], [], [])
    for source, parts in zip(sources, chunks):
        for letter, chunk in zip(source, parts or ()):
            places[len(chunk)].append((letter, *chunk))
    for table, where in zip(counts, places):
        if where:
            np.add.at(table, tuple(np.array(where).T), 1)
    return _costs(*counts)


def _costs(none: np.ndarray, one: np.ndarray, two: np.ndarray) -> Costs:
    sums = np.maximum(none + one.sum(axis=-1) + two.sum(axis=(-1, -2)), 1e-12)
    tables = []
    for counts in (none, one, two):
        share = counts / sums.reshape(-1, *[1] * (counts.ndim - 1))
        cost = np.full(counts.shape, UNSEEN)
        np.log(share, out=cost, where=share > 0)
        tables.append(np.where(share > 0, -cost, UNSEEN))
    return Costs(*tables)


def _cheapest(
    costs: Costs, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> Iterator[list[Chunk] | None]:
    """The cheapest way through each of some pairs, all at once, letter by letter."""
    s, t = _padded(sources), _padded(targets)
    lengths, ends = (np.array([len(each) for each in part]) for part in (sources, targets))
    rows = np.arange(len(s))
    totals = np.full((len(s), t.shape[1] + 1), np.inf)
    totals[:, 0] = 0
    back = np.zeros((s.shape[1], *totals.shape), np.int8)
    for place in range(s.shape[1]):
        letter = s[:, place]
        ways = np.full((MOST_TOKENS + 1, *totals.shape), np.inf)
        ways[0] = totals + costs.none[letter][:, None]
        if t.shape[1] > 0:
            ways[1, :, 1:] = totals[:, :-1] + costs.one[letter[:, None], t]
        if t.shape[1] > 1:
            ways[2, :, 2:] = totals[:, :-2] + costs.two[letter[:, None], t[:, :-1], t[:, 1:]]
        back[place] = ways.argmin(axis=0)
        totals = np.where((place < lengths)[:, None], ways.min(axis=0), totals)
    whole = np.isfinite(totals[rows, ends])
    for row in range(len(s)):
        yield _way_back(back[:, row], targets[row], int(lengths[row])) if whole[row] else None


def _way_back(back: np.ndarray, target: Sequence[int], letters: int) -> list[Chunk]:
    """The chunks of one pair from how many tokens each letter took."""
    at, chunks = len(target), []
    for place in range(letters - 1, -1, -1):
        taken = int(back[place, at])
        chunks.append(tuple(target[at - taken : at]))
        at -= taken
    return chunks[::-1]


def _padded(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Rows of different lengths as one array, zeros behind them."""
    padded = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return padded
