"""Windows of one part that hold samples of another part's, in files that are copies of each other or overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from micro.datasets.recording import Recording
from micro.datasets.shared_rows import Shared
from micro.datasets.twins import FEW, LONGEST, Alike, in_words
from micro.errors import DataError
from micro.signal import Frames
from micro.signal.stretches import stretches
from micro.support.wording import counted, listed


@dataclass(frozen=True)
class Divided:
    """Windows of a recording: the sample at which each begins, in order, and its part, -1 for those of none."""

    starts: np.ndarray
    parts: np.ndarray


@dataclass
class _Found:
    """Windows of a recording's part that share samples with earlier parts: which, with which, and a stretch they lie in."""

    marked: np.ndarray
    rows: str
    partner: str
    parts: set[int] = field(default_factory=set)


def divided_of(framed: Sequence[tuple[Frames, np.ndarray]], parts: Sequence[np.ndarray]) -> list[Divided]:
    """The windows of recordings, which begin at samples, and the part of each."""
    return [Divided(starts, part) for (_, starts), part in zip(framed, parts)]


def shared_windows(
    found: Alike, recordings: Sequence[Recording], divided: Sequence[Divided], window: int, names: Sequence[str]
) -> list[str]:
    """Sentences on the few windows of a part of which another recording has samples in an earlier part, if there are any.

    Args:
        found: What recordings share.
        recordings: Those that were compared, as windows were cut from them; the first of them were divided.
        divided: How.
        window: Samples of a window.
        names: What the parts are called.

    Raises:
        DataError: For more than a few: more than one window in a hundred of a part, a run as long as more than four windows, or
            all windows of a recording. Names both files and their rows.
    """
    if any(one.every > 1 for one in recordings):
        # What is shared was found in the sensor's own samples.
        every = recordings[0].every
        divided, window = [Divided(one.starts * every, one.parts) for one in divided], window * every
    recordings = [one.sensed for one in recordings]
    notes = []
    found_by_part = _marks(found, recordings, divided, window)
    for part in sorted(found_by_part):
        marks = found_by_part[part]
        total = sum(int((one.parts == part).sum()) for one in divided)
        count = sum(int(own.marked.sum()) for own in marks.values())
        for place in sorted(marks, key=lambda place: -int(marks[place].marked.sum())):
            own, one = marks[place], divided[place]
            whole = bool((own.marked | (one.parts < 0)).all())
            if whole or count > FEW * total or _longest(one.starts, own.marked, window) > LONGEST * window:
                raise DataError(_on_both_sides(recordings[place].name, own, names[part], names))
        pairs = listed([f"{recordings[place].name} with {own.partner}" for place, own in marks.items()])
        notes.append(
            f"{count:,} of {counted(total, 'window')} for {names[part]} share samples with windows of another part, in files "
            f"that hold some of the same rows: {pairs}."
        )
    return notes


def _marks(
    found: Alike, recordings: Sequence[Recording], divided: Sequence[Divided], window: int
) -> dict[int, dict[int, _Found]]:
    """By part, and by the place of a recording, its windows in that part that share samples with an earlier one."""
    marks: dict[int, dict[int, _Found]] = {}
    for each in found.shared:
        if max(each.one, each.other) >= len(divided):
            continue
        for here in (each, Shared(each.other, each.one, each.start, each.begin, each.count)):
            mine, theirs = divided[here.one], divided[here.other]
            # Windows begin one after another: only those in the stretch are looked at, and of the other's those that touch it.
            first, past = np.searchsorted(mine.starts, [here.begin, here.begin + here.count - window + 1])
            low, high = np.searchsorted(theirs.starts, [here.start - window + 1, here.start + here.count])
            if past <= first or high <= low:
                continue
            starts, parts = mine.starts[first:past], mine.parts[first:past]
            begins, other_parts = theirs.starts[low:high] + here.begin - here.start, theirs.parts[low:high]
            for part in np.unique(parts[parts > 0]).tolist():
                earlier = (other_parts >= 0) & (other_parts < part)
                hit = (parts == part) & _near(starts, begins[earlier], window)
                if not hit.any():
                    continue
                none = np.zeros(len(mine.starts), bool)
                fresh = _Found(none, in_words(recordings, here), recordings[here.other].name)
                own = marks.setdefault(part, {}).setdefault(here.one, fresh)
                own.marked[first:past] |= hit
                own.parts |= set(other_parts[earlier & _near(begins, starts[hit], window)].tolist())
    return marks


def _near(starts: np.ndarray, others: np.ndarray, window: int) -> np.ndarray:
    """Which windows share a sample with one of others, by where they begin: (n,), (k,) -> (n,) bool."""
    others = np.sort(others)
    return np.searchsorted(others, starts + window) > np.searchsorted(others, starts - window, side="right")


def _longest(starts: np.ndarray, marked: np.ndarray, window: int) -> int:
    """Samples of the longest run of marked windows."""
    return max((int(starts[past - 1] - starts[first]) + window for first, past in stretches(marked)), default=0)


def _on_both_sides(name: str, own: _Found, part: str, names: Sequence[str]) -> str:
    count = counted(int(own.marked.sum()), "window")
    earlier = " and ".join(names[number] for number in sorted(own.parts))
    return (
        f"{own.rows}: {count} of {name} for {part} would share samples with windows of {own.partner} for {earlier}; no window "
        "may be on two sides: leave one of the files out, or cut off the rows that both have"
    )
