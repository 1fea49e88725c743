"""What belongs together, directly or through others."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scipy.cluster.hierarchy import DisjointSet


def united(together: Iterable[Sequence[Hashable]], alone: Iterable[Hashable] = ()) -> DisjointSet:
    """Sets of things of which some are together, and of things that may be alone.

    Examples:
        >>> from micro.support.sets import united
        >>> sorted(map(sorted, united([("a", "b"), ("b", "c")], ["d"]).subsets()))
        [['a', 'b', 'c'], ['d']]
    """
    from scipy.cluster.hierarchy import DisjointSet

    sets = DisjointSet(alone)
    for each in together:
        for one in each:
            sets.add(one)
        for other in each[1:]:
            sets.merge(each[0], other)
    return sets
