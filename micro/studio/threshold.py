"""What another threshold would do: false alarms a day on held-out healthy windows, and how soon faulty recordings are found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from micro.detection.detector import Detector
from micro.detection.in_alarm import in_alarm
from micro.detection.score import Score
from micro.errors import DataError
from micro.runs.assessment.alarms import Timing, judged_time
from micro.runs.baseline import calibration_sessions, calibration_stops
from micro.support.wording import DAY

# Thresholds that are computed, between the least and the most that a score has.
STEPS = 121
# Integers that a threshold's range is divided into, as the detector's scores are integers.
GRAIN = 2**40


@dataclass(frozen=True)
class Counting:
    """How windows become an alarm, and seconds from one window to the next; None where the rate is not known."""

    min_hits: int
    history: int
    clear_after: int
    clear: float
    hop_seconds: float | None


def why_fixed(report: Mapping[str, Any]) -> str | None:
    """Why a run's threshold is not moved here; None where it can be."""
    detector = report.get("detector")
    if not isinstance(detector, dict) or not isinstance(report.get("threshold"), int | float):
        return "this run raises no alarms, so that it has no threshold to move"
    if report.get("commissioning"):
        return "each device learns a threshold of its own, so that none is moved here"
    if detector.get("modes"):
        return "this run has a threshold for each operating mode, and none of them is moved here"
    return None


def hop_seconds_of(report: Mapping[str, Any]) -> float | None:
    """Seconds from one window of a run to the next; None where its rate is not known."""
    rate, features = (report.get("data") or {}).get("sample_rate"), report.get("features") or {}
    count = features.get("hop")
    if not isinstance(rate, int | float) or rate <= 0 or not isinstance(count, int | float):
        return None
    return count * (features.get("decimate") or 1) / rate


def counting_of(report: Mapping[str, Any]) -> Counting:
    """A run's counting, by its report.

    Raises:
        DataError: If the run raises no alarms.
    """
    fixed, detector = why_fixed(report), report.get("detector") or {}
    if fixed is not None:
        raise DataError(fixed)
    clear = detector["clear_threshold"] / detector["threshold"] if detector.get("threshold") else 1.0
    counted = (detector["min_hits"], detector["history"], detector.get("clear_after", 1), min(1.0, clear))
    return Counting(*counted, hop_seconds_of(report))


def moved(folder: Path, report: Mapping[str, Any], scored: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What each of many thresholds would do.

    Args:
        folder: Of the run, whose held-out healthy scores say how often a healthy machine would raise an alarm.
        report: Its report.
        scored: Windows of faulty recordings as `keras-kd score --json` gives them; empty where none were scored.

    Returns:
        `now`, the run's threshold; `thresholds`; and for each of them `windows_above`, the fraction of healthy windows above
        it, `alarms_a_day`, `found`, the fraction of faulty recordings with an alarm, and `delay`, the median seconds until it.
        `healthy_windows` and `healthy_seconds` say how much there was to count on.
    """
    counting = counting_of(report)
    sessions = [np.asarray(each, dtype=np.float64) for each in calibration_sessions(folder)]
    stops = calibration_stops(folder)
    faulty = _by_file(scored, counting.hop_seconds)
    now = float(report["threshold"])
    every = np.concatenate([*sessions, *(each.scores for each in faulty)])
    low, high = float(np.quantile(every, 0.01)), float(np.quantile(every, 0.99))
    spread = max(high - low, abs(now) * 0.5, 1e-9)
    # Most scores are distances or errors: a threshold below 0 is for those that are not.
    least = min(low, now - 0.5 * spread) if every.min() < 0 else max(0.0, min(low, now - 0.5 * spread))
    values = np.unique(np.append(np.linspace(least, max(high, now + 0.5 * spread), STEPS), now))
    windows = sum(map(len, sessions))
    seconds = None if counting.hop_seconds is None else windows * counting.hop_seconds
    rows = [_at(float(value), sessions, stops, faulty, counting, seconds) for value in values]
    return {
        "now": now,
        "thresholds": values.tolist(),
        **{key: [row[key] for row in rows] for key in rows[0]},
        "healthy_windows": windows,
        "healthy_seconds": seconds,
        "faulty_recordings": len(faulty),
    }


@dataclass(frozen=True)
class Scored:
    """Windows of a recording that have a score, in order: that, and the seconds until each ends, without the time in which no
    window is judged, NaN where no rate is known; both (n,). Windows at fault, or with the machine off, lie between them;
    `off_before` is in how many windows before each one the machine is off, (n,) int."""

    scores: np.ndarray
    seconds: np.ndarray
    off_before: np.ndarray


def _by_file(scored: Sequence[Mapping[str, Any]], hop_seconds: float | None) -> list[Scored]:
    """The windows of each file that has one with a score."""
    files: dict[str, list[Mapping[str, Any]]] = {}
    for window in scored:
        files.setdefault(str(window["file"]), []).append(window)
    found = []
    for windows in files.values():
        judged = np.array([isinstance(window.get("score"), int | float) for window in windows])
        if not judged.any():
            continue
        off = np.cumsum([window.get("result") == "machine off" for window in windows])
        begins, ends = (np.array([window.get(name) for window in windows], np.float64) for name in ("begin", "end"))
        timing = Timing(float(ends[0] - begins[0]), hop_seconds)
        seconds = judged_time(begins, judged, timing, float(begins[0]))
        scores = np.array([window["score"] for window, one in zip(windows, judged, strict=True) if one], np.float64)
        found.append(Scored(scores, seconds[judged], off[judged]))
    return found


def _at(
    threshold: float,
    sessions: Sequence[np.ndarray],
    stops: Sequence[np.ndarray],
    faulty: Sequence[Scored],
    counting: Counting,
    seconds: float | None,
) -> dict[str, float | None]:
    healthy = np.concatenate(sessions)
    begun = sum(len(_alarms(each, off, threshold, counting)) for each, off in zip(sessions, stops, strict=True))
    firsts = [each.seconds[_alarms(each.scores, each.off_before, threshold, counting)[:1]] for each in faulty]
    found = [first[0] for first in firsts if len(first)]
    delay = float(np.median(found)) if found and np.isfinite(found).all() else None
    return {
        "windows_above": float((healthy > threshold).mean()),
        "alarms_a_day": None if seconds is None else begun / seconds * DAY,
        "found": len(found) / len(faulty) if faulty else None,
        "delay": delay,
    }


def _alarms(scores: np.ndarray, off_before: np.ndarray, threshold: float, counting: Counting) -> np.ndarray:
    """The windows at which an alarm begins, counted as the firmware counts."""
    unit = max(abs(threshold), float(np.abs(scores).max()), 1e-30) / GRAIN
    at = round(threshold / unit)
    clear = round(threshold * counting.clear / unit) if threshold > 0 else at
    detector = Detector(
        Score("margin", unit=max(unit, 1e-37), healthy=(0,)),
        at,
        min(at, clear),
        min_hits=counting.min_hits,
        history=counting.history,
        clear_after=counting.clear_after,
    )
    alarm = np.r_[False, in_alarm(detector, np.round(scores / unit).astype(np.int64), off_before)]
    return np.flatnonzero(alarm[1:] & ~alarm[:-1])


def scored_windows(printed: str) -> list[dict[str, Any]]:
    """What `keras-kd score --json` printed; empty where that is no list."""
    try:
        held = json.loads(printed)
    except ValueError:
        return []
    return [each for each in held if isinstance(each, dict)] if isinstance(held, list) else []
