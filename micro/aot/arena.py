"""Places tensors in an arena, so that none is overwritten while it is needed, in as few bytes as a bounded search finds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random

ALIGNMENT = 4
# Bounds of the search. Its effort is counted in buffers placed, some microseconds each, so that the same model gives the same
# plan on every machine.
MOST_EXACT, EXACT_STEPS, SEARCH_STEPS = 16, 8_000, 5_000


@dataclass(frozen=True)
class Life:
    """A buffer of `size` bytes, needed from operator `first` through operator `last`."""

    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """Where buffers lie.

    Attributes:
        offsets: Of each buffer, in bytes, multiples of `ALIGNMENT`.
        size: Bytes of all buffers together.
        inner: Bytes of the arena without those that may lie elsewhere.
        bound: Bytes that no placement goes below: the most that are needed at one time, less what overlaps can save.
    """

    offsets: tuple[int, ...]
    size: int
    inner: int
    bound: int


def plan(
    lives: Sequence[Life], overlaps: Mapping[tuple[int, int], int] | None = None, outer: Collection[int] = ()
) -> Plan:
    """Place buffers.

    Args:
        lives: Size and lifetime of each buffer.
        overlaps: For pairs (input, output) of one operator that may lie over each other: the fewest bytes by which the output
            must begin before the input. Other buffers that are needed at the same time lie apart.
        outer: Buffers that may lie elsewhere, as inputs and outputs do in the caller's own. The arena without them is made
            smallest first, and the arena with them second.
    """
    space = _space(lives, overlaps or {})
    inside = [i for i in range(len(lives)) if i not in outer]
    ends = [_no_limit(space)] * len(lives)
    offsets = _searched(space, inside, ends, _bound(lives, overlaps or {}, inside), [])
    inner = _end(space, offsets, inside)
    bound = _bound(lives, overlaps or {}, range(len(lives)))
    if len(inside) < len(lives):
        for i in inside:
            ends[i] = inner
        first = sorted(inside, key=lambda i: (offsets[i], i))
        offsets = _searched(space, range(len(lives)), ends, bound, first)
    return Plan(tuple(offsets), _end(space, offsets, range(len(lives))), _end(space, offsets, inside), bound)


@dataclass(frozen=True)
class _Space:
    """What limits a placement: sizes, and for each buffer by how much at least it begins after another where it is above it."""

    lives: Sequence[Life]
    sizes: list[int]
    above: list[dict[int, int]]


def _space(lives: Sequence[Life], overlaps: Mapping[tuple[int, int], int]) -> _Space:
    sizes = [_aligned(life.size) for life in lives]
    above: list[dict[int, int]] = [{} for _ in lives]
    for i, one in enumerate(lives):
        for j, other in enumerate(lives[:i]):
            if one.first <= other.last and other.first <= one.last:
                above[i][j], above[j][i] = sizes[j], sizes[i]
    for (x, y), distance in overlaps.items():
        above[x][y] = min(_aligned(distance), sizes[y])
    return _Space(lives, sizes, above)


def loads(
    lives: Sequence[Life], overlaps: Mapping[tuple[int, int], int], chosen: Collection[int] | None = None
) -> dict[int, int]:
    """Bytes that (chosen) buffers need when each operator runs that begins one, a byte that an overlap may share counted once.

    No placement takes less than the largest.
    """
    chosen = range(len(lives)) if chosen is None else chosen
    found = {}
    for now in {lives[i].first for i in chosen}:
        total = sum(_aligned(lives[i].size) for i in chosen if lives[i].first <= now <= lives[i].last)
        shared: dict[int, int] = {}
        for (x, y), distance in overlaps.items():
            if lives[y].first == now and x in chosen and y in chosen:
                most_shared = max(0, min(_aligned(lives[x].size), _aligned(lives[y].size) - _aligned(distance)))
                shared[y] = shared.get(y, 0) + most_shared
        found[now] = total - sum(min(bytes_, _aligned(lives[y].size)) for y, bytes_ in shared.items())
    return found


def _bound(lives: Sequence[Life], overlaps: Mapping[tuple[int, int], int], chosen: Collection[int]) -> int:
    return max(loads(lives, overlaps, chosen).values(), default=0)


def _searched(
    space: _Space, chosen: Collection[int], ends: Sequence[int], bound: int, known: Sequence[int]
) -> list[int]:
    """Offsets of the chosen buffers, others at 0: the best that several orders and a search from the best of them give.

    Args:
        ends: Where each buffer must end at the latest.
        bound: The size at which the search is over.
        known: The beginning of an order that keeps to `ends`, if there is one.
    """
    orders = [[*known, *(i for i in order if i not in set(known))] for order in _orders(space, chosen)] if known else []
    orders += _orders(space, chosen)
    best: tuple[tuple[int, int], list[int], list[int]] | None = None
    for order in orders:
        offsets = _placed(space, order)
        cost = _cost(space, offsets, order, ends)
        if best is None or cost < best[0]:
            best = (cost, order, offsets)
    if best is None or best[0] <= (0, bound):
        return best[2] if best else [0] * len(space.lives)
    if len(chosen) <= MOST_EXACT:
        done, found = _exact(space, chosen, ends, bound, best[0])
        if found is not None:
            best = ((0, _end(space, found, chosen)), sorted(chosen, key=lambda i: (found[i], i)), found)
        if done:
            return best[2]
    return _improved(space, ends, bound, best)


def _orders(space: _Space, chosen: Collection[int]) -> list[list[int]]:
    """Orders in which to place buffers, each in the lowest gap: large or long-lived ones first, or along time."""
    lives, sizes = space.lives, space.sizes
    load = {i: sizes[i] + sum(sizes[j] for j in space.above[i] if j in chosen) for i in chosen}
    keys = (
        lambda i: (-sizes[i], lives[i].first, i),
        lambda i: (-sizes[i], -lives[i].first, i),
        lambda i: (-lives[i].first, i),
        lambda i: (lives[i].first, i),
        lambda i: (-lives[i].last, i),
        lambda i: (-load[i], -lives[i].first, i),
        lambda i: (lives[i].first - lives[i].last, -sizes[i], i),
        lambda i: ((lives[i].first - lives[i].last - 1) * sizes[i], i),
    )
    return [sorted(chosen, key=key) for key in keys]


def _placed(space: _Space, order: Sequence[int]) -> list[int]:
    """Offsets where each buffer in turn takes the lowest place that those before it leave."""
    offsets = [0] * len(space.lives)
    there: set[int] = set()
    for i in order:
        own = space.above[i]
        # Between the ends of each pair, not at them, the buffer would meet the other one.
        taken = sorted((offsets[j] - space.above[j][i], offsets[j] + least) for j, least in own.items() if j in there)
        offset = 0
        for low, high in taken:
            if offset <= low:
                break
            offset = max(offset, high)
        offsets[i] = offset
        there.add(i)
    return offsets


def _cost(space: _Space, offsets: Sequence[int], order: Collection[int], ends: Sequence[int]) -> tuple[int, int]:
    """By how much buffers end too late, and where the last ends."""
    late = max((offsets[i] + space.sizes[i] - ends[i] for i in order), default=0)
    return max(0, late), _end(space, offsets, order)


def _improved(
    space: _Space, ends: Sequence[int], bound: int, best: tuple[tuple[int, int], list[int], list[int]]
) -> list[int]:
    """Offsets after moves of single buffers to earlier places in the order, kept where they cost no more."""
    cost, order, offsets = best
    dice = Random(0)
    for _ in range(SEARCH_STEPS // max(1, len(order))):
        if cost <= (0, bound):
            break
        last = max(range(len(order)), key=lambda n: offsets[order[n]] + space.sizes[order[n]])
        start = last if dice.random() < 0.5 else int(dice.random() * len(order))
        moved = [*order[:start], *order[start + 1 :]]
        moved.insert(int(dice.random() * (len(moved) + 1)), order[start])
        tried = _placed(space, moved)
        tried_cost = _cost(space, tried, moved, ends)
        if tried_cost <= cost:
            cost, order, offsets = tried_cost, moved, tried
    return offsets


def _exact(
    space: _Space, chosen: Collection[int], ends: Sequence[int], bound: int, cost: tuple[int, int]
) -> tuple[bool, list[int] | None]:
    """Tries orders of buffers by rising offsets, each pushed down onto those before it; a best placement has such an order.

    Returns:
        Whether nothing better is left, and offsets better than `cost`, if there are any.
    """
    best = cost[1] if cost[0] == 0 else _no_limit(space)
    found: list[int] | None = None
    waiting: list[tuple[dict[int, int], dict[int, int], int]] = [({}, dict.fromkeys(sorted(chosen), 0), -1)]
    for _ in range(EXACT_STEPS // max(1, len(chosen))):
        if not waiting or best <= bound:
            return True, found
        placed, lowest, last = waiting.pop()
        floor = placed.get(last, 0)
        if any(max(at, floor) + space.sizes[i] > min(ends[i], best - ALIGNMENT) for i, at in lowest.items()):
            continue
        if not lowest:
            found = [placed.get(i, 0) for i in range(len(space.lives))]
            best = _end(space, found, chosen)
            continue
        # Buffers that begin at one place and do not meet are tried in one order only.
        ready = [i for i, at in lowest.items() if at > floor or (at == floor and (i > last or i in space.above[last]))]
        for i in sorted(ready, key=lambda i: -lowest[i]):
            above = {j: max(at, lowest[i] + space.above[j].get(i, -lowest[i])) for j, at in lowest.items() if j != i}
            waiting.append(({**placed, i: lowest[i]}, above, i))
    return False, found


def _end(space: _Space, offsets: Sequence[int], chosen: Collection[int]) -> int:
    return max((offsets[i] + space.sizes[i] for i in chosen), default=0)


def _no_limit(space: _Space) -> int:
    return sum(space.sizes) + ALIGNMENT


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
