"""Channels that models predict from the others, as `predict` of section [data] names them."""

from __future__ import annotations

from collections.abc import Sequence

from micro.errors import DataError
from micro.support.patterns import matches_name
from micro.support.wording import listed


def predicted_channels(predict: Sequence[str], channels: Sequence[str]) -> tuple[int, ...]:
    """Places of the predicted channels among those that are learned from, in their order, by names or patterns.

    Raises:
        DataError: For one that is not among them, or where no other is left.
    """
    places: set[int] = set()
    for name in predict:
        own = {place for place, channel in enumerate(channels) if channel == name}
        own = own or {place for place, channel in enumerate(channels) if matches_name(channel, name)}
        if not own:
            raise DataError(
                f"predict names {name!r}, which is no channel that is learned from; these are {', '.join(channels)}, and a "
                "channel that never changes is none"
            )
        places |= own
    if len(places) == len(channels):
        raise DataError(
            f"predict names every channel that is learned from, {', '.join(channels)}: nothing is left to predict them from"
        )
    return tuple(sorted(places))


def predicted_note(places: Sequence[int], channels: Sequence[str]) -> list[str]:
    """A sentence on what is predicted from what, if anything is."""
    if not places:
        return []
    chosen = [channels[place] for place in places]
    others = [name for place, name in enumerate(channels) if place not in places]
    return [
        f"models predict {listed(chosen)} from {listed(others)}; a window's score is how far the measured features lie from "
        "the predicted ones."
    ]
