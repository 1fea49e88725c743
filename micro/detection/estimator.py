"""From a regression's output to a number with an interval, window by window."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from micro.detection.score import LARGEST_UNIT, SMALLEST_UNIT, real
from micro.detection.sensor import require_limits
from micro.detection.threshold import conformal_rank

# What firmware prints a number as: an integer of 64 bits.
LARGEST_NUMBER = 1e18


class Estimate(IntEnum):
    """An estimator's result for one window; the emitted C returns the same numbers.

    Examples:
        >>> micro.Estimate.ESTIMATED.name, int(micro.Estimate.ESTIMATED)
        ('ESTIMATED', 1)
    """

    ESTIMATED = 1
    FAULT_NOT_FINITE = 3
    FAULT_SATURATED = 4
    FAULT_SOURCE = 6


@dataclass(frozen=True)
class Estimator:
    """What number an int8 output stands for, and how far the true one may be from it.

    The score of a window is the output less `zero`; the number is `offset` + `unit` * score, and the true one lies within
    `half_width` of it as `guarantee` says. A number beyond `lowest` or `highest` is taken for it. A window with a sensor fault,
    as `Detector` has it, is not estimated.

    Attributes:
        name: What the number is, such as 'remaining life in h'.
        unit: What one integer of the output is worth, above 0.
        zero: The output's zero point, -128 to 127.
        offset: The number at that output.
        half_width: Of the interval, at least 0.
        saturation, max_saturated: As in `Detector`.
        guarantee: How often the interval holds the true number, in words.
        lowest, highest: Of the number, the first below the second; None for no bound.

    Raises:
        ValueError: For a number that makes no sense or that the C estimator's types do not hold.

    Examples:
        >>> estimator = micro.Estimator("remaining life in h", unit=0.5, zero=-10, offset=60.0, half_width=8.0)
        >>> estimator.numbers(estimator.scores(np.array([[-10], [10]], "int8"))).tolist()
        [60.0, 70.0]
    """

    name: str
    unit: float
    zero: int
    offset: float
    half_width: float
    saturation: float | None = None
    max_saturated: int = 0
    guarantee: str = ""
    lowest: float | None = None
    highest: float | None = None

    def __post_init__(self) -> None:
        for what in ("zero", "max_saturated"):
            try:
                object.__setattr__(self, what, operator.index(getattr(self, what)))
            except TypeError:
                raise ValueError(f"{what} must be an integer, got {getattr(self, what)!r}") from None
        for what in ("name", "guarantee"):
            if not isinstance(getattr(self, what), str):
                raise ValueError(f"{what} must be text, got {getattr(self, what)!r}")
        if not SMALLEST_UNIT <= real(self.unit, "unit") <= LARGEST_UNIT:
            raise ValueError(f"unit must be above 0 and within float32, got {self.unit!r}")
        if not abs(real(self.offset, "offset")) + 256 * self.unit <= LARGEST_NUMBER:
            raise ValueError(
                f"numbers must be within ±{LARGEST_NUMBER:g}, got offset {self.offset!r} and unit {self.unit!r}"
            )
        if not 0 <= real(self.half_width, "half_width") <= LARGEST_UNIT:
            raise ValueError(f"half_width must be at least 0 and within float32, got {self.half_width!r}")
        if not -128 <= self.zero <= 127:
            raise ValueError(f"zero must be -128 to 127, got {self.zero}")
        bounds = [real(bound, "lowest and highest") for bound in (self.lowest, self.highest) if bound is not None]
        if not all(abs(bound) <= LARGEST_NUMBER for bound in bounds) or bounds != sorted(set(bounds)):
            raise ValueError(f"lowest must be below highest, got {self.lowest!r} and {self.highest!r}")
        require_limits(self)

    @property
    def each(self) -> tuple[Estimator, ...]:
        """Itself, as `Estimators` has several."""
        return (self,)

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs less the zero point: int8 (n, 1) -> (n,) int64."""
        return np.asarray(outputs).reshape(len(outputs)).astype(np.int64) - self.zero

    def numbers(self, scores: np.ndarray) -> np.ndarray:
        """The numbers that scores stand for, (n,) -> (n,) float64."""
        return np.clip(self.offset + self.unit * np.asarray(scores, np.float64), self.lowest, self.highest)

    def interval(self, number: float) -> tuple[float, float]:
        """The ends of the interval around a number."""
        ends = np.clip([number - self.half_width, number + self.half_width], self.lowest, self.highest)
        return float(ends[0]), float(ends[1])


@dataclass(frozen=True)
class Estimators:
    """What numbers the int8 outputs of one model stand for, an estimator for each, in the order of the outputs.

    Each number has a unit, a range and an interval of its own: each interval holds its number as often as its `guarantee` says,
    by itself; all of them together hold less often.

    Attributes:
        each: The estimators, two at least, with names that differ and the same limits of the sensor.

    Raises:
        ValueError: For fewer than two, for names that are alike or limits that differ, and for an interval too wide to print.

    Examples:
        >>> torque = micro.Estimator("torque in Nm", unit=0.5, zero=-10, offset=60.0, half_width=8.0)
        >>> wear = micro.Estimator("wear in mm", unit=0.001, zero=-10, offset=0.1, half_width=0.02)
        >>> estimators = micro.Estimators((torque, wear))
        >>> estimators.numbers(estimators.scores(np.array([[-10, 10]], "int8"))).tolist()
        [[60.0, 0.12000000000000001]]
    """

    each: tuple[Estimator, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "each", tuple(self.each))
        names = [one.name for one in self.each]
        if len(names) < 2:
            raise ValueError(f"several estimators are two at least, got {len(names)}; for one number take Estimator")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two estimators are called {twice!r}; each number has a name of its own")
        limits = {(one.saturation, one.max_saturated) for one in self.each}
        if len(limits) > 1:
            raise ValueError("estimators of one model watch one sensor: saturation and max_saturated must be the same")
        wide = next((one for one in self.each if abs(one.offset) + one.half_width > LARGEST_NUMBER), None)
        if wide is not None:
            raise ValueError(f"half_width of {wide.name!r} must keep the interval within ±{LARGEST_NUMBER:g}")

    @property
    def saturation(self) -> float | None:
        """As in `Estimator`."""
        return self.each[0].saturation

    @property
    def max_saturated(self) -> int:
        """As in `Estimator`."""
        return self.each[0].max_saturated

    @property
    def guarantee(self) -> str:
        """What the intervals promise, in words: each number's by itself."""
        return f"for each number by itself: {'; '.join(f'{one.name}: {one.guarantee}' for one in self.each)}"

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs less their zero points: int8 (n, numbers) -> (n, numbers) int64."""
        columns = np.asarray(outputs).reshape(len(outputs), -1).T
        return np.stack([one.scores(column) for one, column in zip(self.each, columns, strict=True)], axis=1)

    def numbers(self, scores: np.ndarray) -> np.ndarray:
        """The numbers that scores stand for, (n, numbers) -> (n, numbers) float64."""
        columns = np.asarray(scores).T
        return np.stack([one.numbers(column) for one, column in zip(self.each, columns, strict=True)], axis=1)

    def intervals(self, numbers: Sequence[float]) -> list[tuple[float, float]]:
        """The ends of the interval around each number of a window."""
        return [one.interval(number) for one, number in zip(self.each, numbers, strict=True)]


def half_width(errors: np.ndarray, coverage: float) -> tuple[float, str]:
    """By how much a number may be off, from the errors of held-out windows, and what that guarantees.

    The ceil((n + 1) * coverage)-th smallest of n absolute errors: the interval around a window exchangeable with these holds
    the true number with at least that probability, whatever the errors' distribution. Where they are too few, the largest.

    Args:
        errors: Predicted less true numbers, (n,).
        coverage: In (0, 1).

    Raises:
        ValueError: For a coverage outside (0, 1), no errors, or errors that are not finite.

    Source: split conformal prediction; Lei et al. 2018, section 2.2, https://arxiv.org/abs/1604.04173

    Examples:
        >>> width, says = micro.half_width(np.random.default_rng(0).normal(size=500), coverage=0.9)
        >>> 1.5 < width < 1.8, says
        (True, 'at least 90 % of windows like the 500 held out have the true number within the interval')
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must be between 0 and 1, got {coverage}")
    off = np.sort(np.abs(np.asarray(errors, np.float64)))
    if not len(off) or not math.isfinite(off[-1]):
        raise ValueError("errors are not finite" if len(off) else "no errors to calibrate on")
    rank = conformal_rank(len(off), 1 - coverage)
    if rank > len(off):
        few = f"the largest error of {len(off)} held-out windows, too few to guarantee {100 * coverage:g} %"
        return float(off[-1]), few
    share = f"at least {100 * coverage:g} % of windows"
    return float(off[rank - 1]), f"{share} like the {len(off)} held out have the true number within the interval"
