"""Commissioning: a detector learns the scaling and the threshold of the machine that it is mounted on.

The states are LEARNING, CALIBRATING and WATCHING, or FAULT where the machine was refused. All is computed in integers, so that
the emitted C does the same window by window.
"""

from __future__ import annotations

import bisect
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np

from micro.detection.limits import MOST_KEPT
from micro.signal.learned import BEYOND, DEVIATION_FRACTION, Learned, learned_of
from micro.signal.limits import MOST_WINDOWS

# Fraction bits: of limits in standard deviations, of fractions of a threshold, and of how far a mean has adapted.
LIMIT_FRACTION, THRESHOLD_FRACTION, OFFSET_FRACTION = 8, 16, 16
# Features that explain an alarm.
MOVED = 3


class Phase(IntEnum):
    """Where a commissioning stands; the emitted C has the same numbers.

    Examples:
        >>> micro.Phase.WATCHING.name, int(micro.Phase.WATCHING)
        ('WATCHING', 2)
    """

    LEARNING = 0
    CALIBRATING = 1
    WATCHING = 2
    FAULT = 3


class Refusal(IntEnum):
    """Why a machine was refused; the emitted C has the same numbers.

    SENSOR: a window with a sample that is not finite, or with too many at the sensor's limit.
    RANGE: a feature beyond what the target's sums hold.
    DEAD: a channel whose samples, or a feature whose values, never changed.
    STOPPED: a channel that is far quieter than on the quietest training machine.
    CHANGED: a feature whose mean differs between the halves of learning.
    UNLIKE: a feature whose mean is far from those of the training machines.
    MODEL: the model could not be run.

    Examples:
        >>> micro.Refusal(4).name
        'STOPPED'
    """

    NONE = 0
    SENSOR = 1
    RANGE = 2
    DEAD = 3
    STOPPED = 4
    CHANGED = 5
    UNLIKE = 6
    MODEL = 7


@dataclass(frozen=True)
class Prior:
    """What is known from the training machines, in the integers of `micro.signal.learned`.

    Attributes:
        mean: Mean over the machines of each feature's mean.
        tolerance: How far a machine's mean may be from it.
        deviation: Standard deviation of each feature within a machine, the mean over the machines, in sixteenths.
        idle: 1 for features that are constant on a training machine too, else 0.
        quietest: Of each channel, what the mean of `powers` must reach.
        exponent: Of `powers`, for arithmetic 'float32'.
        machines: How many there were.
        limit: The tolerance in standard deviations of the machines' means.
    """

    mean: tuple[int, ...]
    tolerance: tuple[int, ...]
    deviation: tuple[int, ...]
    idle: tuple[int, ...]
    quietest: tuple[int, ...]
    exponent: int
    machines: int
    limit: float

    def __post_init__(self) -> None:
        sizes = {len(each) for each in (self.mean, self.tolerance, self.deviation, self.idle)}
        if len(sizes) != 1 or not self.mean or not self.quietest:
            raise ValueError("a prior needs a mean, tolerance, deviation and idle for each feature, and its channels")
        largest = {"mean": BEYOND, "tolerance": 2**31 - 1, "deviation": 2**28, "idle": 1, "quietest": 2**45}
        for what, most in largest.items():
            wrong = [value for value in getattr(self, what) if abs(value) > most or (value < 0 and what != "mean")]
            if wrong:
                raise ValueError(f"{what} of a prior must be within {most:,}, got {wrong[0]}")
        if min(self.deviation) < 1:
            raise ValueError("deviations of a prior must be above 0")

    @property
    def learned(self) -> Learned:
        """A scaling for a machine of which nothing is known yet."""
        return Learned(self.mean, self.deviation)


@dataclass(frozen=True)
class Commissioning:
    """How a detector learns its machine.

    Attributes:
        learn_windows: Windows that means and deviations are learned on, an even number of 8 to 65,534.
        calibrate_windows: Windows whose scores give the threshold, at most 65,535.
        rank: Which of their sorted scores it is, counted from 1, as `micro.detection.threshold.threshold_rank` gives it.
        halves_limit: By how much a feature's mean may differ between the halves of learning, in 1/256 of its deviation.
        clear: The threshold at which an alarm clears, in 1/65536 of the threshold.
        adapt_limit: How far means may follow slow changes, in 1/256 of a deviation; 0 for not at all.
        adapt_shift: The time constant of that, as a power of two of windows.
        adapt_below: At most which score, in 1/65536 of the threshold, a window is followed at.
        prior: What is known from the training machines.

    Raises:
        ValueError: For a number that makes no sense or that the C types do not hold.
    """

    learn_windows: int
    calibrate_windows: int
    rank: int
    prior: Prior
    halves_limit: int = 1 << LIMIT_FRACTION
    clear: int = 1 << THRESHOLD_FRACTION
    adapt_limit: int = 0
    adapt_shift: int = 10
    adapt_below: int = 1 << (THRESHOLD_FRACTION - 1)

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "prior":
                object.__setattr__(self, field.name, operator.index(getattr(self, field.name)))
        bounds = {
            "learn_windows": (8, MOST_WINDOWS),
            "calibrate_windows": (1, MOST_WINDOWS),
            "rank": (1, self.calibrate_windows),
            "halves_limit": (1, 2 << LIMIT_FRACTION),
            "clear": (1, 1 << THRESHOLD_FRACTION),
            "adapt_limit": (0, 4 << LIMIT_FRACTION),
            "adapt_shift": (1, 20),
            "adapt_below": (0, 1 << THRESHOLD_FRACTION),
        }
        for what, (low, high) in bounds.items():
            if not low <= getattr(self, what) <= high:
                raise ValueError(f"{what} of a commissioning must be {low:,} to {high:,}, got {getattr(self, what):,}")
        if self.learn_windows % 2:
            raise ValueError(f"learn_windows must be even, so that it has halves, got {self.learn_windows}")
        if self.kept > MOST_KEPT:
            raise ValueError(f"the target would keep {self.kept:,} scores, and at most {MOST_KEPT:,} are allowed")

    @property
    def kept(self) -> int:
        """The highest scores that the target keeps: the smallest of them is the threshold."""
        return self.calibrate_windows - self.rank + 1


# Of DEAD the place is a channel's, or a feature's where all channels changed.
REASONS = {
    Refusal.NONE: "it was not refused",
    Refusal.SENSOR: "a window had a sensor fault: a sample that is not finite, or too many at the sensor's limit",
    Refusal.RANGE: "{feature} is beyond what sums hold",
    Refusal.DEAD: "{channel}, or {feature}, never changed",
    Refusal.STOPPED: "{channel} is far quieter than on the quietest training machine",
    Refusal.CHANGED: "the mean of {feature} differs between the halves of learning",
    Refusal.UNLIKE: "the mean of {feature} is far from those of the training machines",
    Refusal.MODEL: "the model could not be run",
}


@dataclass(frozen=True)
class Refused:
    """A machine that was not accepted, and the feature or channel that shows it, from 0; -1 where there is none.

    Examples:
        >>> refused = micro.Refused(micro.Refusal.STOPPED, 1)
        >>> refused.says()
        'channel 1 is far quieter than on the quietest training machine'
        >>> micro.Refused(micro.Refusal.UNLIKE, 0).says(["band 0 to 40 Hz"])
        'the mean of band 0 to 40 Hz is far from those of the training machines'
    """

    why: Refusal
    place: int = -1

    def says(self, features: Sequence[str] = ()) -> str:
        """The cause in words, with the name of a feature where `features` has it."""
        feature = features[self.place] if 0 <= self.place < len(features) else f"feature {self.place}"
        return REASONS[self.why].format(channel=f"channel {self.place}", feature=feature)


def learn(commissioning: Commissioning, values: np.ndarray, powers: np.ndarray) -> Learned | Refused:
    """The scaling of a machine from the windows of learning, or why it is refused.

    The first cause counts, in the order of `Refusal`, and of it the first channel or feature.

    Args:
        values: Features, (learn_windows, features) int64 within ±2^23.
        powers: Of the samples, (learn_windows, channels) int64.
    """
    prior, count = commissioning.prior, len(values)
    outside = np.argwhere(np.abs(values) >= BEYOND)
    if len(outside):
        return Refused(Refusal.RANGE, int(outside[0, 1]))
    total = powers.sum(axis=0)
    quietest = np.array(prior.quietest)
    for why, below in ((Refusal.DEAD, (total == 0) & (quietest > 0)), (Refusal.STOPPED, total < quietest * count)):
        if below.any():
            return Refused(why, int(np.argmax(below)))
    found = learned_of(values)
    deviation = np.array(found.deviation)
    dead = (deviation == 0) & (np.array(prior.idle) == 0)
    if dead.any():
        return Refused(Refusal.DEAD, int(np.argmax(dead)))
    deviation = np.where(deviation == 0, np.array(prior.deviation), deviation)
    sums, first = values.sum(axis=0), values[: count // 2].sum(axis=0)
    # The halves' means differ by this times two over the count; the deviation is in sixteenths.
    apart = np.abs(2 * first - sums) << (1 + DEVIATION_FRACTION + LIMIT_FRACTION)
    changed = apart > commissioning.halves_limit * deviation * count
    if changed.any():
        return Refused(Refusal.CHANGED, int(np.argmax(changed)))
    unlike = np.abs(np.array(found.mean) - np.array(prior.mean)) > np.array(prior.tolerance)
    if unlike.any():
        return Refused(Refusal.UNLIKE, int(np.argmax(unlike)))
    return Learned(found.mean, tuple(deviation.tolist()))


def largest(scores: Iterable[int], count: int) -> list[int]:
    """The `count` largest scores, the smallest first, kept in a buffer of that size."""
    kept: list[int] = []
    for score in scores:
        if len(kept) == count:
            if score <= kept[0]:
                continue
            kept.pop(0)
        bisect.insort(kept, score)
    return kept


def learned_threshold(commissioning: Commissioning, scores: Sequence[int]) -> tuple[int, int]:
    """Threshold and clear threshold from the scores of the windows of calibration.

    The threshold is that of `micro.detection.threshold.fit_threshold` on the same scores.
    """
    threshold = largest(scores, commissioning.kept)[0]
    return threshold, part_of(threshold, commissioning.clear)


def part_of(threshold: int, part: int) -> int:
    """A part of a threshold in 1/65536, rounded down; of one that is not above 0 the threshold itself."""
    return threshold if threshold <= 0 else (threshold * part) >> THRESHOLD_FRACTION


def adapted(commissioning: Commissioning, learned: Learned, offsets: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How far means have moved from the learned ones after one more window that was followed, in 1/65536.

    An exponential mean of the window's difference, never beyond `adapt_limit` deviations.

    Shapes: offsets and values (..., features) int64 -> the same.
    """
    targets = (values - np.array(learned.mean)) << OFFSET_FRACTION
    bounds = adapt_bounds(commissioning, learned)
    return np.clip(offsets + ((targets - offsets) >> commissioning.adapt_shift), -bounds, bounds)


def adapt_bounds(commissioning: Commissioning, learned: Learned) -> np.ndarray:
    """The largest offset of each feature's mean, in 1/65536 of its unit: (features,) int64."""
    return (np.array(learned.deviation, np.int64) * commissioning.adapt_limit) << (
        OFFSET_FRACTION - LIMIT_FRACTION - DEVIATION_FRACTION
    )


def with_offsets(learned: Learned, offsets: np.ndarray) -> Learned:
    """The scaling whose means have moved."""
    moved = np.array(learned.mean) + (offsets >> OFFSET_FRACTION)
    return Learned(tuple(moved.tolist()), learned.deviation)


def most_moved(learned: Learned, values: np.ndarray, count: int = MOVED) -> list[tuple[int, int]]:
    """The features of a window that are furthest from the learned means, with how far, in 1/256 of their deviation.

    Of equally far ones the first comes first. Shape of values: (features,) int64.
    """
    apart = values - np.array(learned.mean)
    steps = np.abs(apart) << (LIMIT_FRACTION + DEVIATION_FRACTION)
    far = np.sign(apart) * (steps // np.array(learned.deviation, np.int64))
    order = np.argsort(-np.abs(far), kind="stable")[:count]
    return [(int(place), int(far[place])) for place in order]
