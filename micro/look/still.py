"""Files in which the machine probably stands still for a time, by how much their samples move."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from micro.support.masks import runs_of

# The lowest rates in Hz of what is taken for vibration, and for motion. Below that files are of slow process data, whose
# samples move little in machines that run too.
VIBRATION, MOTION = 500.0, 10.0
# Parts of a file whose level is measured: as long as a window, but the fewest in a file, and the fewest rows of each.
FEWEST, LEAST_ROWS = 32, 8
# How many times louder a machine that runs is at least, how far apart the levels of one that stands are at most, and the
# fraction of parts between the two, in which it starts or stops.
LOUDER, STEADY, BETWEEN = 5.0, 2.0, 0.1
# The fraction of parts in each of the two at least, and the parts and the fraction of the longest stretch of each.
SHARE, LONGEST, LONGEST_SHARE = 0.05, 6, 0.05
# The fraction of parts on which two channels agree that show the same machine standing.
AGREED = 0.9
# A level of nothing counts as this fraction of the louder one.
SILENCE = 0.01
# Rows that are measured at a time.
ROWS = 2**20


@dataclass(frozen=True)
class Levels:
    """RMS of the mean-free samples of a channel in a file's parts, in the unit of the file.

    Attributes:
        lowest: Of the parts in which the machine runs.
        running: Their median.
        standing: The median of the parts in which it stands still; None where the channel does not tell.
        highest: Of these.
    """

    lowest: float
    running: float
    standing: float | None = None
    highest: float | None = None


@dataclass(frozen=True)
class Still:
    """The fraction of a file in which the machine probably stands still, 0 where it does not; and levels by channel."""

    share: float
    levels: Mapping[str, Levels]

    def tells(self, name: str) -> bool:
        """Whether a channel shows when the machine stands."""
        return name in self.levels and self.levels[name].standing is not None


def limits_between(
    found: Sequence[Still], names: Sequence[str], others: Sequence[str] = ()
) -> float | dict[str, float] | None:
    """A limit between the level of the machine that stands and the lowest of one that runs, over all files.

    Args:
        found: Of each file.
        names: Of channels of which some tell.
        others: Of further channels that a run takes, which have no limit: one number would be theirs too.

    Returns: One number where all channels tell and it suits them; else one by the name of those that tell; None where no
        limit suits all files.
    """
    ends = {name: _ends([each.levels[name] for each in found if name in each.levels]) for name in names}
    telling = {name: both for name, both in ends.items() if both is not None and both[0] < both[1]}
    if not telling:
        return None
    highest, lowest = max(both[0] for both in telling.values()), min(both[1] for both in telling.values())
    if not others and len(telling) == len(names) and STEADY * highest < lowest:
        return _between(highest, lowest)
    return {name: _between(*both) for name, both in telling.items()}


def _ends(levels: Sequence[Levels]) -> tuple[float, float] | None:
    """The highest level of standing and the lowest of running; None of a channel that does not tell."""
    standing = [each.highest for each in levels if each.highest is not None]
    if not standing:
        return None
    highest = max(standing)
    # A file at the lower level throughout is of a machine that stands all the time.
    return highest, min(each.lowest for each in levels if each.highest is not None or each.lowest > STEADY * highest)


def _between(highest: float, lowest: float) -> float:
    middle = math.sqrt(max(highest, SILENCE * lowest) * lowest)
    rounded = float(f"{middle:.2g}")
    return rounded if highest < rounded < lowest else middle


def seconds_of(rate: float) -> float:
    """Seconds of a window, at a rate in Hz of vibration or of motion."""
    return 0.1 if rate >= VIBRATION else 2.0


def still_of(
    samples: np.ndarray, names: Sequence[str], rate: float | None, frozen: Sequence[tuple[int, int, int]] = ()
) -> Still | None:
    """Whether a file has stretches in which its samples hardly move, and others.

    Args:
        samples: (n, channels), NaN where a value is missing.
        names: Of the channels.
        rate: In Hz, None where it is not known.
        frozen: Places of channels, and the rows from and to which each is constant while others go on: these say nothing.

    Returns: None for a file that is too short to say, or of slow process data. Parts without values count as neither.

    Examples:
        >>> from micro.look.still import still_of
        >>> noise = np.random.default_rng(0).normal(size=(6400, 1)).astype("float32")
        >>> noise[3200:] *= 0.01
        >>> found = still_of(noise, ["x"], 1000.0)
        >>> found.share, round(found.levels["x"].running, 1), round(found.levels["x"].standing, 2)
        (0.5, 1.0, 0.01)
    """
    if rate is not None and rate < MOTION:
        return None
    size = max(LEAST_ROWS, min(len(samples) // FEWEST, math.ceil(seconds_of(rate) * rate) if rate else len(samples)))
    if len(samples) // size < FEWEST:
        return None
    levels = _levels(samples, size)
    for place, start, stop in frozen:
        levels[start // size : -(-stop // size), place] = np.nan
    known = [np.isfinite(levels[:, place]) for place in range(len(names))]
    found = {place: quiet for place in range(len(names)) if (quiet := _quiet_known(levels[:, place])) is not None}
    if not found:
        return Still(0.0, _by_name(names, lambda place: _running(levels[known[place], place])))
    # The channel that tells most says when; those that agree with it tell as well.
    first = max(found, key=lambda place: _louder(levels[known[place], place], found[place][known[place]]))
    still = found[first]

    def of_channel(place: int) -> Levels | None:
        both = known[place] & known[first]
        if place in found and both.any() and (found[place] == still)[both].mean() >= AGREED and still[both].any():
            return _both(levels[both, place], still[both])
        return _running(levels[both & ~still, place])

    return Still(float(still[known[first]].mean()), _by_name(names, of_channel))


def _by_name(names: Sequence[str], of_channel: Callable[[int], Levels | None]) -> dict[str, Levels]:
    """Levels of those channels that have values."""
    found = ((name, of_channel(place)) for place, name in enumerate(names))
    return {name: levels for name, levels in found if levels is not None}


def _levels(samples: np.ndarray, size: int) -> np.ndarray:
    """The RMS of the mean-free samples of each part of that many rows, (parts, channels); NaN where there are hardly values."""
    parts = len(samples) // size
    made = np.zeros((parts, samples.shape[1]))
    step = max(1, ROWS // size)
    for first in range(0, parts, step):
        end = min(parts, first + step)
        for place in range(samples.shape[1]):
            held = samples[first * size : end * size, place].astype(np.float64).reshape(end - first, size)
            valid = np.isfinite(held)
            enough = valid.sum(axis=1) >= LEAST_ROWS // 2
            count = np.maximum(1, valid.sum(axis=1))
            mean = np.where(valid, held, 0.0).sum(axis=1) / count
            apart = np.where(valid, held - mean[:, None], 0.0)
            made[first:end, place] = np.where(enough, np.sqrt((apart * apart).sum(axis=1) / count), np.nan)
    return made


def _quiet_known(levels: np.ndarray) -> np.ndarray | None:
    """As `_quiet`, of a channel of which some parts are NaN: these are not quiet."""
    known = np.isfinite(levels)
    quiet = _quiet(levels[known]) if known.sum() >= FEWEST else None
    if quiet is None:
        return None
    made = np.zeros(len(levels), bool)
    made[known] = quiet
    return made


def _quiet(levels: np.ndarray) -> np.ndarray | None:
    """Which parts of a channel are of a machine that stands still, (parts,) bool; None where there are not two levels."""
    highest = float(np.quantile(levels, 1 - SHARE / 2))
    if not highest > 0:
        return None
    logs = np.log(np.maximum(levels, SILENCE * SILENCE * highest))
    ends = _two_means(logs)
    quiet = logs < sum(ends) / 2
    if not SHARE <= quiet.mean() <= 1 - SHARE:
        return None
    low, high = float(np.median(logs[quiet])), float(np.median(logs[~quiet]))
    third = (high - low) / 3
    between = ((logs > low + third) & (logs < high - third)).mean()
    spread = float(np.ptp(np.quantile(logs[quiet], (0.1, 0.8))))
    if high - low < math.log(LOUDER) or between > BETWEEN or spread > math.log(STEADY):
        return None
    needed = max(LONGEST, LONGEST_SHARE * len(levels))
    return quiet if min(_longest(quiet), _longest(~quiet)) >= needed else None


def _two_means(values: np.ndarray) -> tuple[float, float]:
    """The means of two groups of numbers, each nearer to its own."""
    low, high = float(values.min()), float(values.max())
    for _ in range(50):
        below = values < (low + high) / 2
        if below.all() or not below.any():
            break
        now = float(values[below].mean()), float(values[~below].mean())
        if now == (low, high):
            break
        low, high = now
    return low, high


def _longest(mask: np.ndarray) -> int:
    begins, ends = runs_of(mask)
    return int((ends - begins).max(initial=0))


def _louder(levels: np.ndarray, still: np.ndarray) -> float:
    both = _both(levels, still)
    return both.running / max(both.standing or 0.0, SILENCE * SILENCE * both.running)


def _running(levels: np.ndarray) -> Levels | None:
    if not len(levels):
        return None
    return Levels(float(np.quantile(levels, 0.05)), float(np.median(levels)))


def _both(levels: np.ndarray, still: np.ndarray) -> Levels:
    """Levels of a channel that tells; parts in which the machine starts or stops are of neither."""
    quiet = levels[still]
    return Levels(
        float(np.quantile(levels[~still], 0.1)),
        float(np.median(levels[~still])),
        float(np.median(quiet)),
        float(np.quantile(quiet, 0.8)),
    )
