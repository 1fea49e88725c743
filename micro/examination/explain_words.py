"""An explanation in words and rows: the same in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Sequence

from micro.detection.alarm_parts import Share
from micro.examination.explain import Explained
from micro.support.wording import counted, listed


def sentence_of(one: Explained, top: int = 3) -> str:
    """What one alarm, class or label came from."""
    where = ""
    if one.begin is not None and one.end is not None:
        where = f" from {one.begin:.6g} s to {one.end:.6g} s of the recording"
    if one.reported:
        where = f" reported at {listed([f'{at:.6g} s' for at in one.reported])},{where}"
    if one.what == "no alarm":
        begin = f"no alarm; the highest score, {one.score:.4g},{where}"
    else:
        begin = f"alarm{where}" if one.what == "alarm" else f"{one.what!r}{where}"
    parts = "; ".join(_part(share) for share in one.shares[:top])
    channels = ", ".join(f"{100 * share.share:.0f} % {share.channel}" for share in one.channels[:top])
    of = f" By channel: {channels}." if len(one.channels) > 1 else ""
    return f"{begin[0].upper()}{begin[1:]}: {parts}.{of}{_in_modes(one)}"


def _part(share: Share) -> str:
    """A feature and its share."""
    more = [_higher_or_lower(share.direction)] if share.direction else []
    if share.usual is not None and share.usual > 0 and share.value > 2 * share.usual:
        more.append(f"{share.value / share.usual:.3g} times its usual part")
    said = f" ({', '.join(more)})" if more else ""
    return f"{100 * share.share:.0f} % from {share.channel} {share.feature}{said}"


def _higher_or_lower(direction: str) -> str:
    """Where a feature lies, 'above' or 'below' what the student gives, in words."""
    return {"above": "higher than expected", "below": "lower than expected"}[direction]


def _in_modes(one: Explained) -> str:
    """A sentence on the operating modes of its windows with their thresholds; '' without modes."""
    if not one.modes:
        return ""
    said = [f"{each.name} ({counted(each.windows, 'window')}, threshold {each.threshold:.4g})" for each in one.modes]
    return f" Operating mode: {'; '.join(said)}."


def worst(explained: Sequence[Explained], most: int) -> list[Explained]:
    """Those that are furthest above their thresholds, of Shapley values those with the highest scores; in their order."""
    order = sorted(explained, key=lambda one: one.score if one.times is None else one.times, reverse=True)[:most]
    return [one for one in explained if one in order]


def summary(explained: Sequence[Explained]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The heads and rows of a table with a row for each stretch; what none of them has, and what all are, is no column."""
    heads = (
        "no.",
        "what",
        "times",
        "reported at s",
        "from s",
        "to s",
        "windows",
        "score",
        "of threshold",
        "mode",
        "mostly",
    )
    several = len({one.what for one in explained}) > 1
    joined = any(one.reports > 1 for one in explained)
    channels = len({share.channel for one in explained for share in one.shares}) > 1
    rows = [
        (
            str(one.number),
            one.what if several else "",
            str(one.reports) if joined else "",
            f"{one.reported[0]:.6g}" if one.reported else "",
            "" if one.begin is None else f"{one.begin:.6g}",
            "" if one.end is None else f"{one.end:.6g}",
            f"{one.windows:,}",
            f"{one.score:.4g}",
            "" if one.times is None else f"{100 * one.times:.0f} %",
            ", ".join(each.name for each in one.modes),
            _mostly(one, with_channel=channels),
        )
        for one in explained
    ]
    kept = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    return tuple(heads[place] for place in kept), [tuple(row[place] for place in kept) for row in rows]


def _mostly(one: Explained, *, with_channel: bool) -> str:
    """Its largest part; '' where it has none."""
    if not one.shares:
        return ""
    first = one.shares[0]
    channel = f"{first.channel} " if with_channel else ""
    return f"{100 * first.share:.0f} % {channel}{first.feature}"
