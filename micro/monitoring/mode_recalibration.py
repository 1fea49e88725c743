"""New thresholds for operating modes of a run, from the healthy windows of each that a device has logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from micro.detection.detector import with_modes
from micro.detection.modes import Modes
from micro.detection.threshold import Threshold
from micro.errors import RunError
from micro.monitoring.result import Monitoring
from micro.runs.baseline import FEATURES, Calibration, calibration_features, named_by_mode
from micro.runs.recalibrated import ModeRecalibration, Recalibration
from micro.runs.run_report import RunReport
from micro.support.wording import counted

# Of a mode that is recalibrated: its new threshold, and the log's sessions that it is from.
Moved = Mapping[int, tuple[Threshold, Calibration]]


def changes_by_mode(
    folder: Path, report: RunReport, clear_threshold: float, monitoring: Monitoring, figures: Sequence[str]
) -> tuple[dict[str, Any], Calibration, frozenset[int]]:
    """What changes in a run's report where modes of it are recalibrated, the calibration that it keeps then, and these modes.

    Modes whose advice is 'recalibrate' get new thresholds; the others keep their own and their calibration.

    Args:
        clear_threshold: A fraction of each threshold, as the run's config has it.
        figures: Parts of the report that were measured with the former thresholds.

    Raises:
        RunError: If there is nothing to recalibrate, for a mode of which the log has too few windows, and for the log of
            another run.
    """
    moved = _moved(folder, report, monitoring)
    assert report.detector is not None
    modes = report.detector.modes
    assert modes is not None
    thresholds = [moved[n][0] if n in moved else None for n in range(len(modes.thresholds))]
    new = with_modes(report.detector, modes.ranges, thresholds, clear_threshold=clear_threshold).modes
    assert new is not None
    places = range(len(modes.thresholds))
    pairs = tuple((new if n in moved else modes).thresholds[n] for n in places)
    guarantees = tuple((new if n in moved else modes).guarantees[n] for n in places)
    rows = tuple(
        row.model_copy(update={"threshold": moved[n][0].value, "calibration": _windows(moved[n][1])})
        if n in moved
        else row
        for n, row in enumerate(report.by_mode)
    )
    changes = {
        "recalibration": _record(report, moved, (*figures, "by_mode")),
        "detector": replace(report.detector, modes=Modes(modes.ranges, pairs, guarantees)),
        "by_mode": rows,
        "verdict": None,
    }
    return changes, _kept(folder, moved), frozenset(moved)


def _moved(folder: Path, report: RunReport, monitoring: Monitoring) -> Moved:
    """The modes whose thresholds move; RunError where they cannot."""
    rows = {row.name: (n, row.threshold) for n, row in enumerate(report.by_mode) if row.threshold is not None}
    if set(monitoring.by_mode) != set(rows):
        raise RunError(f"{folder} is not the run that was monitored: its operating modes are {', '.join(rows)}")
    if monitoring.advice != "recalibrate":
        raise RunError(f"nothing to recalibrate: {monitoring.advice}: {monitoring.why}")
    found: dict[int, tuple[Threshold, Calibration]] = {}
    for name, each in monitoring.by_mode.items():
        n, threshold = rows[name]
        if isinstance(each, str):
            raise RunError(f"mode {name} was not compared, and a recalibration takes all: {each}")
        if each.threshold != threshold:
            raise RunError(
                f"{folder} is not the run that was monitored: its threshold of mode {name} is {threshold:.6g}"
            )
        if each.advice != "recalibrate" or each.recalibrated is None:
            continue
        if each.calibration is None:
            raise RunError(
                "nothing to recalibrate with: summaries hold no scores, and a run keeps those that its thresholds are from; "
                "log scores of every window (APP_LOG 1) and give that log"
            )
        found[n] = (each.recalibrated, each.calibration)
    return found


def _windows(calibration: Calibration) -> int:
    return sum(map(len, calibration.scores))


def _kept(folder: Path, moved: Moved) -> Calibration:
    """The sessions of the log in place of the run's, of the modes that move; features of those columns that all have."""
    former = named_by_mode(folder)
    logged = next(iter(moved.values()))[1].columns
    columns = logged if (folder / FEATURES).is_file() or set(former) <= set(moved) else ()
    names: list[str] = []
    scores: list[np.ndarray] = []
    features: list[np.ndarray] = []
    modes: list[int] = []
    for mode in sorted({*former, *moved}):
        if mode in moved:
            own = moved[mode][1]
            more, means = dict(zip(own.names, own.scores, strict=True)), own.features
        else:
            more = former[mode]
            means = calibration_features(folder, columns, mode=mode) if columns else np.zeros((len(more), 0))
        names += more
        scores += more.values()
        features.append(np.asarray(means)[:, : len(columns)])
        modes += [mode] * len(more)
    return Calibration(tuple(names), tuple(scores), columns, np.concatenate(features), tuple(modes))


def _record(report: RunReport, moved: Moved, figures: Sequence[str]) -> Recalibration:
    """The report's entry: of each mode where its threshold came from and what it guarantees."""
    earlier, common = report.recalibration, report.threshold
    assert common is not None
    rows = {} if earlier is None else {each.name: each for each in earlier.by_mode}
    above = 0
    for n, (threshold, calibration) in moved.items():
        row = report.by_mode[n]
        trained, former = report.trained_threshold_of(n), row.threshold
        assert trained is not None
        assert former is not None
        above += sum(int((scores > threshold.value).sum()) for scores in calibration.scores)
        rows[row.name] = ModeRecalibration(
            name=row.name,
            trained_threshold=trained,
            former_threshold=former,
            threshold=threshold.value,
            factor=threshold.value / trained,
            guarantee=threshold.guarantee,
            sessions=len(calibration.scores),
            windows=_windows(calibration),
        )
    windows = sum(_windows(calibration) for _, calibration in moved.values())
    new = [rows[report.by_mode[n].name] for n in moved]
    said = "; ".join(
        f"of mode {each.name} {each.threshold:.6g}, from {counted(each.windows, 'window')} of "
        f"{counted(each.sessions, 'session')}: {each.guarantee}"
        for each in new
    )
    of_former = tuple(name for name in figures if name in report.model_fields_set)
    return Recalibration(
        times=1 if earlier is None else earlier.times + 1,
        trained_threshold=report.trained_threshold,
        former_threshold=common,
        threshold=common,
        factor=common / report.trained_threshold if report.trained_threshold else 1.0,
        guarantee="; ".join(f"{each.name}: {each.guarantee}" for each in new),
        sessions=len({name for _, calibration in moved.values() for name in calibration.names}),
        windows=windows,
        false_alarm_rate=above / windows,
        detection_rate=None,
        figures_threshold=common,
        figures_of_former_threshold=of_former,
        says=(
            f"Thresholds are new, from windows that a device logged and that are taken for healthy: {said}. Rates of false "
            f"alarms and of detected faults in {', '.join(of_former)} were measured on the test with the thresholds of the "
            "training; how many faults the new ones detect was not measured."
        ),
        by_mode=tuple(rows[row.name] for row in report.by_mode if row.name in rows),
    )
