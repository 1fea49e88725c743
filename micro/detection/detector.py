"""From scores to alarms, window by window: threshold, debounce, hysteresis and sensor faults."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from micro.detection.score import Score, real, score_from_config
from micro.detection.threshold import Threshold

# Samples beyond this are taken for a fault of the sensor: squares of squares of those within fit float32.
LARGEST_SAMPLE = 1e8
# What the C detector's counters and thresholds hold: uint16_t, int32_t, int64_t.
LARGEST_CLEAR_AFTER, LARGEST_MAX_SATURATED, LARGEST_SCORE = 2**16 - 1, 2**31 - 1, 2**63 - 1
# Above the magnitude of every int16 sample: a limit there is never reached.
BEYOND_INT16 = 2**15 + 1


class Status(IntEnum):
    """What a detector says of a window."""

    HEALTHY = 1
    ALARM = 2
    FAULT_NOT_FINITE = 3
    FAULT_SATURATED = 4


@dataclass(frozen=True)
class Detector:
    """When scores become an alarm.

    A window is anomalous if its score is above `threshold`; while an alarm is on, if it is above `clear_threshold`. The alarm
    goes on when `min_hits` of the last `history` windows are anomalous. It goes off, and the history is cleared, after
    `clear_after` windows in a row that are not. A window with a sample that is not finite or beyond +-1e8, or with more than
    `max_saturated` samples at or beyond `saturation`, is a sensor fault: it is not scored and changes nothing.

    Attributes:
        threshold, clear_threshold: In the score's integers, within 64 bits; the latter is at most the former.
        min_hits, history: 1 to 32 windows, the former at most the latter.
        clear_after: 1 to 65,535 windows.
        saturation: In the unit of samples, None for no limit; of the 'fixed' front end in counts.
        max_saturated: 0 to 2,147,483,647 samples a window.
        promise: What the threshold promises of healthy windows.

    Raises:
        ValueError: For a number that makes no sense or that the C detector's types do not hold.
    """

    score: Score
    threshold: int
    clear_threshold: int
    min_hits: int = 1
    history: int = 1
    clear_after: int = 1
    saturation: float | None = None
    max_saturated: int = 0
    promise: str = ""

    def __post_init__(self) -> None:
        for what in ("threshold", "clear_threshold", "min_hits", "history", "clear_after", "max_saturated"):
            try:
                object.__setattr__(self, what, operator.index(getattr(self, what)))
            except TypeError:
                raise ValueError(f"{what} must be an integer, got {getattr(self, what)!r}") from None
        if not 1 <= self.min_hits <= self.history <= 32:
            raise ValueError(
                "min_hits and history must be 1 to 32 windows, the first at most the second, "
                f"got {self.min_hits} and {self.history}"
            )
        if not 1 <= self.clear_after <= LARGEST_CLEAR_AFTER:
            raise ValueError(f"clear_after must be 1 to {LARGEST_CLEAR_AFTER:,} windows, got {self.clear_after}")
        if not 0 <= self.max_saturated <= LARGEST_MAX_SATURATED:
            raise ValueError(f"max_saturated must be 0 to {LARGEST_MAX_SATURATED:,} samples, got {self.max_saturated}")
        for what in ("threshold", "clear_threshold"):
            if abs(getattr(self, what)) > LARGEST_SCORE:
                raise ValueError(f"{what} must be within +-{LARGEST_SCORE:,}, got {getattr(self, what)}")
        if self.saturation is not None and not 0 < real(self.saturation, "saturation") <= float(
            np.finfo(np.float32).max
        ):
            raise ValueError(f"saturation must be above 0 and within float32, got {self.saturation!r}")
        if not isinstance(self.promise, str):
            raise ValueError(f"promise must be text, got {self.promise!r}")
        if self.clear_threshold > self.threshold:
            raise ValueError(f"clear_threshold {self.clear_threshold} is above the threshold {self.threshold}")

    def saturated_count(self) -> int | None:
        """The least magnitude of an int16 sample that counts as saturated, None without a limit.

        A magnitude in counts reaches a limit between two integers with the larger one.
        """
        return None if self.saturation is None else min(math.ceil(self.saturation), BEYOND_INT16)


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
) -> Detector:
    """A detector from a threshold in real units; `clear_threshold` is a fraction of it, in (0, 1].

    Thresholds at or below 0 have no such fraction: there `clear_threshold` is the threshold itself.
    """
    if not 0 < clear_threshold <= 1:
        raise ValueError(f"clear_threshold must be above 0 and at most 1, got {clear_threshold}")
    # Of whole numbers, those above a bound are those above its whole part.
    whole = math.floor(in_units(threshold.value, score.unit))
    low = math.floor(in_units(clear_threshold * threshold.value, score.unit)) if threshold.value > 0 else whole
    low = min(low, whole)
    return Detector(score, whole, low, min_hits, history, clear_after, saturation, max_saturated, threshold.promise)


def in_units(values: Any, unit: float) -> Any:
    """Real scores in a score's integers; what is within rounding of a whole number is that number.

    A score equal to a threshold is not above it, on the chip as here.
    """
    counts = np.asarray(values, np.float64) / unit
    nearest = np.round(counts)
    return np.where(np.abs(counts - nearest) <= np.maximum(1e-9, 1e-15 * np.abs(nearest)), nearest, counts)


def detector_from_config(told: Mapping[str, Any]) -> Detector:
    """A detector back from the plain data that a report holds."""
    plain = {name: value for name, value in told.items() if name != "real_threshold"}
    return Detector(**{**plain, "score": score_from_config(plain["score"])})


def stand_in(threshold: Threshold, **told: Any) -> Detector:
    """A detector of scores in real units, for a student that is not int8 and has none on a chip; `told` as `make_detector`.

    Its scores are real ones divided by its score's `unit`, a millionth of the threshold.
    """
    unit = abs(threshold.value) / (1 << 20) or 1.0
    return make_detector(Score("reconstruction", unit), threshold, **told)


def faults(detector: Detector, frames: np.ndarray) -> np.ndarray:
    """0 where a window can be scored, else the fault's number: (n, window, channels) -> (n,) int."""
    magnitudes = np.abs(frames.astype(np.float32 if frames.dtype != np.int16 else np.int32))
    found = np.zeros(len(frames), int)
    if detector.saturation is not None:
        limit = detector.saturated_count() if frames.dtype == np.int16 else np.float32(detector.saturation)
        found[(magnitudes >= limit).sum(axis=(1, 2)) > detector.max_saturated] = Status.FAULT_SATURATED
    found[~(magnitudes <= LARGEST_SAMPLE).all(axis=(1, 2))] = Status.FAULT_NOT_FINITE
    return found


def decide(detector: Detector, scores: np.ndarray, faulty: np.ndarray | None = None) -> list[Status]:
    """What the detector says of each window in turn; `faulty` as `faults` gives them."""
    said: list[Status] = []
    history, quiet, alarm = 0, 0, False
    for score, fault in zip(scores.tolist(), [0] * len(scores) if faulty is None else faulty.tolist()):
        if fault:
            said.append(Status(fault))
            continue
        odd = score > (detector.clear_threshold if alarm else detector.threshold)
        quiet = 0 if odd else quiet + 1
        history = (history << 1 | odd) & ((1 << detector.history) - 1)
        if not alarm:
            alarm = history.bit_count() >= detector.min_hits
        elif quiet >= detector.clear_after:
            alarm, history = False, 0
        said.append(Status.ALARM if alarm else Status.HEALTHY)
    return said
