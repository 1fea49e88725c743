"""From scores to alarms, window by window: threshold, debounce, hysteresis, sensor faults and operating modes."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from micro.detection.limits import LARGEST_CLEAR_AFTER
from micro.detection.modes import NO_THRESHOLD, Modes, Ranges
from micro.detection.score import Score
from micro.detection.sensor import require_limits, saturated_count
from micro.detection.standstill import require_off_rms
from micro.detection.threshold import Threshold

# What the C detector's thresholds hold, int64_t.
LARGEST_SCORE = 2**63 - 1
# Windows that the history of the emitted C can hold.
LONGEST_HISTORY = 32


class Status(IntEnum):
    """A detector's result for one window; the emitted C returns the same numbers.

    Three are of a detector that learns its machine: LEARNING and CALIBRATING while it does, REFUSED where it has refused it.
    Windows of MACHINE_OFF, by `off_rms` or operating modes, and of UNKNOWN_MODE are not judged.

    Examples:
        >>> micro.Status.ALARM.name, int(micro.Status.ALARM)
        ('ALARM', 2)
    """

    HEALTHY = 1
    ALARM = 2
    FAULT_NOT_FINITE = 3
    FAULT_SATURATED = 4
    FAULT_SOURCE = 6
    LEARNING = 7
    CALIBRATING = 8
    REFUSED = 9
    MACHINE_OFF = 10
    UNKNOWN_MODE = 11


@dataclass(frozen=True)
class Detector:
    """When scores become an alarm.

    A window is anomalous if its score is above `threshold`; while an alarm is on, if it is above `clear_threshold`. The alarm
    goes on when `min_hits` of the last `history` windows are anomalous. It goes off, and the history is cleared, after
    `clear_after` windows in a row that are not. A window with a sample that is not finite or beyond +-1e8, or with more than
    `max_saturated` samples at or beyond `saturation`, is a sensor fault: it is not scored and changes nothing.

    With `modes` a window is compared with the thresholds of its operating mode in place of `threshold` and `clear_threshold`,
    which are those of all modes together then. One of unknown mode changes nothing either.
    With `off_rms` the machine is off where the RMS of the mean-free samples is below its limit in every channel that has one.
    A window in which it is off, by that or by its mode, is not scored and leaves an alarm as it is; the history, and the
    windows in a row that are not anomalous, start over. So those across a stop never count with those across the next start.

    Attributes:
        score: How a window is scored.
        threshold, clear_threshold: In the score's integers, within 64 bits; the latter is at most the former.
        min_hits, history: 1 to 32 windows, the former at most the latter.
        clear_after: 1 to 65,535 windows.
        saturation: In the unit of samples, of the 'fixed' front end in counts; None for no limit.
        max_saturated: 0 to 2,147,483,647 samples a window.
        guarantee: What the threshold guarantees for healthy windows, in words.
        modes: Thresholds by operating mode; None for one threshold.
        off_rms: For each channel of the main source the limit, in the unit of samples, of the 'fixed' front end in counts; 0
            for a channel without, and none at all where the machine is never off by its samples.

    Raises:
        ValueError: For a number that makes no sense or that the C detector's types do not hold.

    Examples:
        >>> score = micro.Score("margin", unit=0.1, healthy=(0,))
        >>> detector = micro.Detector(score, threshold=20, clear_threshold=10, min_hits=2, history=3, saturation=99.5)
        >>> detector.saturated_count()
        100
    """

    score: Score
    threshold: int
    clear_threshold: int
    min_hits: int = 1
    history: int = 1
    clear_after: int = 1
    saturation: float | None = None
    max_saturated: int = 0
    guarantee: str = ""
    modes: Modes | None = None
    off_rms: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "off_rms", require_off_rms(self.off_rms))
        for what in ("threshold", "clear_threshold", "min_hits", "history", "clear_after", "max_saturated"):
            try:
                object.__setattr__(self, what, operator.index(getattr(self, what)))
            except TypeError:
                raise ValueError(f"{what} must be an integer, got {getattr(self, what)!r}") from None
        require_counts(self.min_hits, self.history)
        if not 1 <= self.clear_after <= LARGEST_CLEAR_AFTER:
            raise ValueError(f"clear_after must be 1 to {LARGEST_CLEAR_AFTER:,} windows, got {self.clear_after}")
        for what in ("threshold", "clear_threshold"):
            if abs(getattr(self, what)) > LARGEST_SCORE:
                raise ValueError(f"{what} must be within ±{LARGEST_SCORE:,}, got {getattr(self, what)}")
        require_limits(self)
        if not isinstance(self.guarantee, str):
            raise ValueError(f"guarantee must be text, got {self.guarantee!r}")
        if self.clear_threshold > self.threshold:
            raise ValueError(f"clear_threshold {self.clear_threshold} is above the threshold {self.threshold}")

    def saturated_count(self) -> int | None:
        """The smallest magnitude of an int16 sample that counts as saturated, None without a limit.

        A limit between two integers is reached by the larger one.
        """
        return saturated_count(self)


def require_counts(min_hits: int, history: int) -> None:
    """ValueError where `min_hits` of the last `history` windows make no sense or are more than the C holds."""
    if not 1 <= min_hits <= history <= LONGEST_HISTORY:
        raise ValueError(
            f"min_hits and history must be 1 to {LONGEST_HISTORY} windows, the first at most the second, "
            f"got {min_hits} and {history}"
        )


def make_detector(
    score: Score,
    threshold: Threshold,
    *,
    clear_threshold: float = 1.0,
    min_hits: int = 1,
    history: int = 1,
    clear_after: int = 1,
    saturation: float | None = None,
    max_saturated: int = 0,
    off_rms: Sequence[float] = (),
) -> Detector:
    """A detector from a threshold in real units.

    Args:
        score: How a window is scored, as `reconstruction_score`, `distance_score` or `margin_score` gives it.
        threshold: As `calibrate` gives it.
        clear_threshold: A fraction of the threshold, in (0, 1]. Of a threshold at or below 0 it is the threshold itself.
        min_hits, history, clear_after, saturation, max_saturated, off_rms: As in `Detector`.

    Raises:
        ValueError: As `Detector`.

    Examples:
        >>> score = micro.Score("margin", unit=0.1, healthy=(0,))
        >>> threshold = micro.Threshold(2.0, "set by hand")
        >>> detector = micro.make_detector(score, threshold, min_hits=2, history=3, clear_threshold=0.5)
        >>> detector.threshold, detector.clear_threshold
        (20, 10)
    """
    if not 0 < clear_threshold <= 1:
        raise ValueError(f"clear_threshold must be above 0 and at most 1, got {clear_threshold}")
    alarm, clear = _limits(score, threshold, clear_threshold)
    counting = (min_hits, history, clear_after, saturation, max_saturated, threshold.guarantee)
    return Detector(score, alarm, clear, *counting, off_rms=tuple(off_rms))


def with_modes(
    detector: Detector, ranges: Ranges, thresholds: Sequence[Threshold | None], *, clear_threshold: float = 1.0
) -> Detector:
    """A detector with a threshold for each operating mode.

    Args:
        detector: As `make_detector` gives it, of all modes together.
        ranges: What tells the modes apart.
        thresholds: Of each mode, as `calibrate` gives it from healthy windows of that mode; None for a mode whose windows are
            treated as of unknown mode.
        clear_threshold: As in `make_detector`.

    Raises:
        ValueError: As `make_detector`, and for more or fewer thresholds than modes.

    Source: Vovk, Gammerman and Shafer 2005, section 4.5, Mondrian conformal prediction: the guarantee holds in each mode.

    Examples:
        >>> detector = micro.make_detector(micro.Score("margin", unit=0.1, healthy=(0,)), micro.Threshold(2.0, ""))
        >>> by_speed = [micro.Threshold(1.0, "slow"), micro.Threshold(3.0, "fast")]
        >>> micro.with_modes(detector, micro.Ranges("rpm", (0.0, 900.0, 1800.0)), by_speed).modes.thresholds
        ((10, 10), (30, 30))
    """
    pairs = [
        (NO_THRESHOLD, NO_THRESHOLD) if each is None else _limits(detector.score, each, clear_threshold)
        for each in thresholds
    ]
    guarantees = tuple("" if each is None else each.guarantee for each in thresholds)
    return replace(detector, modes=Modes(ranges, tuple(pairs), guarantees))


def _limits(score: Score, threshold: Threshold, clear_threshold: float) -> tuple[int, int]:
    """Threshold and clear threshold in a score's integers: those above a bound are those above the integer below it."""
    alarm = math.floor(float(in_units(threshold.value, score.unit)))
    clear = math.floor(float(in_units(clear_threshold * threshold.value, score.unit))) if threshold.value > 0 else alarm
    return alarm, min(clear, alarm)


def in_units(values: npt.ArrayLike, unit: float) -> np.ndarray:
    """Real scores in a score's integers, float64; what is within rounding of an integer is that integer.

    A score equal to a threshold is not above it, on the target as here.
    """
    counts = np.asarray(values, np.float64) / unit
    nearest = np.round(counts)
    return np.where(np.abs(counts - nearest) <= np.maximum(1e-9, 1e-15 * np.abs(nearest)), nearest, counts)


class Settings(TypedDict, total=False):
    """Settings of a detector, as `make_detector` takes them."""

    clear_threshold: float
    min_hits: int
    history: int
    clear_after: int
    saturation: float | None
    max_saturated: int
    off_rms: Sequence[float]


def stand_in(threshold: Threshold, **settings: Unpack[Settings]) -> Detector:
    """A detector of scores in real units, for a student that is not int8 and has none on the target.

    Its scores are real ones divided by its score's `unit`, a millionth of the threshold.
    """
    unit = abs(threshold.value) / (1 << 20) or 1.0
    return make_detector(Score("reconstruction", unit), threshold, **settings)


def decide(
    detector: Detector, scores: np.ndarray, faulty: np.ndarray | None = None, modes: np.ndarray | None = None
) -> list[Status]:
    """The detector's result for each window in turn.

    Args:
        scores: Integers, (n,).
        faulty: As `faults` gives them, (n,).
        modes: Of a detector with modes that of each window, as `Ranges.of_windows` gives them, (n,).

    Raises:
        ValueError: For a detector with modes and windows without, or the other way round.
    """
    faulty = np.zeros(len(scores), int) if faulty is None else np.asarray(faulty)
    require_modes(detector, modes)
    limits = np.broadcast_to(np.array([detector.threshold, detector.clear_threshold], np.int64), (len(scores), 2))
    if detector.modes is not None and modes is not None:
        limits = detector.modes.limits(modes)
        faulty = np.where(faulty != 0, faulty, detector.modes.faults(modes))
    statuses: list[Status] = []
    history, quiet, alarm = 0, 0, False
    for score, fault, (above, clear) in zip(scores.tolist(), faulty.tolist(), limits.tolist()):
        if fault:
            if fault == Status.MACHINE_OFF:
                history, quiet = 0, 0
            statuses.append(Status(fault))
            continue
        hit = score > (clear if alarm else above)
        quiet = 0 if hit else quiet + 1
        history = (history << 1 | hit) & ((1 << detector.history) - 1)
        if not alarm:
            alarm = history.bit_count() >= detector.min_hits
        elif quiet >= detector.clear_after:
            alarm, history = False, 0
        statuses.append(Status.ALARM if alarm else Status.HEALTHY)
    return statuses


def require_modes(detector: object, modes: np.ndarray | None) -> None:
    """ValueError for a detector with modes and windows without, or the other way round."""
    of = getattr(detector, "modes", None)
    if (of is None) != (modes is None):
        what = "has no modes" if of is None else f"has modes by {of.ranges.column!r}, whose values are needed"
        raise ValueError(f"the detector {what}")
