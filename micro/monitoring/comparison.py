"""A device's log compared with the run that its firmware came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from micro.detection.drift import DriftCheck, alarm_chance, smallest_change, watch
from micro.errors import DataError
from micro.monitoring.advice import Evidence, trouble_of
from micro.monitoring.evidence import condition_of, last_check, recalibrated_of
from micro.monitoring.formats import holds_summaries
from micro.monitoring.log import AnyLog, Log, ModesLog, read_log
from micro.monitoring.mode_findings import OfMode, of_modes, trouble_of_all
from micro.monitoring.result import Monitoring, Options, monitoring_of
from micro.monitoring.run import MonitoredRun, monitored_run, require_calibration, require_sessions
from micro.monitoring.seen import Seen, bounds_in, in_bins, of_scores, of_test
from micro.runs.baseline import Calibration, calibration_features
from micro.runs.kept_scores import KeptScores, read_scores
from micro.runs.run_report import RunReport
from micro.support.wording import counted, was


def monitor(
    run_folder: str | Path,
    log: str | Path,
    *,
    false_alarm_rate: float = 0.01,
    every: int = 4,
    recent: int = 8,
    seed: int = 0,
    device: str | None = None,
    parameters: str | Path | None = None,
) -> Monitoring:
    """Compare a device's log of scores with those that a run's threshold was calibrated on.

    The log is summaries that a device sends home, one CBOR map behind the other, each compared as a session is. Or it is a CSV
    file with a header, or JSON lines, with a row a window: `score` in real units, or `raw_score` in the device's integers;
    `session`, the start of the machine that the window belongs to. Without sessions each restart of the device, which
    prints the header again, begins one; where restarts are too few for a check, they are cut into stretches as long as
    calibration's. Rows without a score are sensor faults, and counted. Columns `f0`, `f1`, ... are the model's int8 input
    features; any of them will do, and they show drift that leaves the scores alone.

    Args:
        false_alarm_rate: Probability that a log like calibration's is ever reported as drifted, over the first thousand checks.
        every, recent: Sessions between checks, and the most sessions that a check compares.
        device: Whose rows are read, where the log has a column `device` and more than one in it.
        parameters: Of a device that learned its machine, the record of what it learned, as NAME_learned.h writes it: its
            threshold counts, and the device is compared with its own first sessions.

    Raises:
        RunError: If the folder is no finished run of a detector.
        RecordError: For a record of another run, or none.
        DataError: Names file and row of what cannot be read, or says that the log is too short for one check.

    Examples:
        >>> monitoring = micro.monitor("runs/rig", "log.csv", recent=16)
        >>> monitoring.advice
        'steady'
    """
    run = monitored_run(run_folder, parameters)
    options: Options = {"false_alarm_rate": false_alarm_rate, "every": every, "recent": recent}
    if holds_summaries(Path(log)):
        if device is not None:
            raise DataError(f"{log} holds summaries, which name no device: write a file for each, without --device")
        from micro.monitoring.histograms import monitor_summaries

        return monitor_summaries(run, Path(log), options, seed)
    starts = run.starts(every, recent)
    read = read_log(log, run.unit, run.block, device=device, modes=run.modes, starts=starts)
    return compare(run, log, read, options, seed)


def compare(run: MonitoredRun, path: str | Path, log: AnyLog, options: Options, seed: int = 0) -> Monitoring:
    """A log's sessions compared with the run's calibration, mode by mode where there are modes, or of a device that learned its
    machine with its own first ones."""
    if isinstance(log, ModesLog):
        return _by_mode(run, path, log, options, seed)
    if run.report.commissioning is not None:
        from micro.monitoring.learned_log import compare_learned

        return compare_learned(run, path, log, options, seed)
    report, reference, every = run.report, run.sessions, options["every"]
    read, known = _read(path, log, reference, every, recalibrated=report.recalibrated())
    features = (calibration_features(run.folder, read.columns, path), read.features) if read.columns else None
    kept, rate = read_scores(run.folder), run.rate
    if known is not None:
        found = _nothing_new(report, run.threshold, read, known, every)
        return replace(found, rate=rate, seen=_seen(report, run.threshold, reference, read, None, (0, 0), kept))
    checks = watch(reference, read.sessions, features=features, seed=seed, **options)
    return _compared(report, run.threshold, rate, (reference, features, kept), read, checks, options)


def _by_mode(run: MonitoredRun, path: str | Path, log: ModesLog, options: Options, seed: int) -> Monitoring:
    """The windows of each operating mode compared with the run's of that mode; modes share the rate of false alarms."""
    rows, every = run.report.by_mode, options["every"]
    own: Options = {**options, "false_alarm_rate": options["false_alarm_rate"] / max(1, len(run.by_mode))}
    found: dict[str, Monitoring | str] = {}
    trouble = trouble_of_all(log.windows, log.faults)
    for mode, reference in run.by_mode.items():
        read, threshold = log.by_mode.get(mode), rows[mode].threshold
        assert threshold is not None
        try:
            if isinstance(read, DataError):
                raise read
            if read is None:
                raise DataError(f"{path} has no windows of it")
            require_calibration(len(reference))
            read, known = _read(path, read, reference, every, recalibrated=run.report.recalibrated(mode))
            if known is not None:
                same = _nothing_new(run.report, threshold, read, known, every, trouble)
                seen = _seen(run.report, threshold, reference, read, None, (0, 0), None)
                found[rows[mode].name] = replace(same, rate=run.rate, seen=seen)
                continue
            of_input = (
                (calibration_features(run.folder, read.columns, path, mode), read.features) if read.columns else None
            )
            checks = watch(reference, read.sessions, features=of_input, seed=seed + mode, **own)
            sides = (reference, of_input, None)
            of_mode = OfMode(run.report.trained_threshold_of(mode) or threshold, trouble)
            found[rows[mode].name] = _compared(run.report, threshold, run.rate, sides, read, checks, own, of_mode)
        except DataError as error:
            found[rows[mode].name] = str(error)
    return of_modes(path, found, log.faults, log.notes)


def _seen(
    report: RunReport,
    threshold: float,
    reference: Sequence[np.ndarray],
    log: Log,
    features: tuple[np.ndarray, np.ndarray] | None,
    recent: tuple[int, int],
    kept: KeptScores | None,
) -> Seen:
    """Both sides session by session, with the run's test."""
    before, after = (None, None) if features is None else features
    latest = log.sessions[slice(*recent)]
    return Seen(
        of_scores([f"calibration {n + 1}" for n in range(len(reference))], reference, threshold, before),
        of_scores(log.names, log.sessions, threshold, after),
        recent,
        in_bins(np.concatenate(latest) if latest else np.zeros(0), threshold),
        bounds_in(threshold),
        of_test(kept, threshold),
        tuple(report.features.names[column] for column in log.columns) if features is not None else (),
    )


def _read(
    path: str | Path, read: Log, reference: Sequence[np.ndarray], every: int, *, recalibrated: bool
) -> tuple[Log, int | None]:
    """The log, without what a recalibration has used, and how many sessions came since where these are too few for a check;
    DataError where it is too short."""
    known = None
    if recalibrated:
        read, known = _since(read, reference, every)
    if known is None:
        require_sessions(path, len(read.sessions), every)
    return read, known


def _compared(
    report: RunReport,
    threshold: float,
    rate: float,
    side: tuple[Sequence[np.ndarray], tuple[np.ndarray, np.ndarray] | None, KeptScores | None],
    log: Log,
    checks: tuple[DriftCheck, ...],
    options: Options,
    of_mode: OfMode | None = None,
) -> Monitoring:
    """What the log shows of the run, or of one of its operating modes, by the last check; `side` is the run's: scores of
    calibration, features, the test."""
    reference, features, kept = side
    check, start, end = last_check(checks, options)
    # Where drift was found, all sessions from that check's on are like the machine is now; else the whole log is.
    calibration = _sessions(log, slice(start if check.drifted else 0, None))
    compared = log.sessions[:end] if check.drifted else log.sessions
    names = report.features.names if log.columns else ()
    latest = np.concatenate(log.sessions[start:end])
    tests = 3 if log.columns else 2
    detectable = None if check.drifted else smallest_change(reference, check.sessions, check.level, tests=tests)
    at_once = None
    if detectable is None and not check.drifted and of_mode is None:
        # One check of all of the log has the level of the first.
        count = len(log.sessions)
        found = smallest_change(reference, count, options["false_alarm_rate"] / 2, tests=tests)
        at_once = count if found is not None else None
    evidence = Evidence(
        check=check,
        condition=condition_of(log),
        medians=(float(np.median(np.concatenate(reference))), float(np.median(latest))),
        reference=len(reference),
        threshold=threshold,
        trained_threshold=report.trained_threshold if of_mode is None else of_mode.trained_threshold,
        calibration=len(calibration.scores),
        recalibrated=recalibrated_of(np.concatenate(calibration.scores), rate),
        rate=rate,
        level=options["false_alarm_rate"],
        alarms=float(np.mean(np.concatenate(compared) > threshold)),
        alarm_chance=alarm_chance([float(np.mean(scores > threshold)) for scores in compared], rate),
        detectable=detectable,
        features=tuple(names[column] for column in log.columns),
        trouble=None if of_mode is None else of_mode.trouble,
        tests=tests,
        logged=len(log.sessions) if of_mode is None else None,
        at_once=at_once,
    )
    seen = _seen(report, threshold, reference, log, features, (start, end), kept)
    return monitoring_of(evidence, checks, float(np.mean(latest > threshold)), log.notes, calibration, seen)


def _nothing_new(
    report: RunReport,
    threshold: float,
    log: Log,
    after: int,
    every: int,
    of_all: str | None = None,
) -> Monitoring:
    """What the log shows that a run was recalibrated on: the threshold is that of its own windows, whatever they are like;
    `after` sessions came since; `of_all` is why the scores of no operating mode speak for the machine."""
    condition = condition_of(log)
    trouble = trouble_of(condition, "session") or of_all
    came = "1 has" if after == 1 else f"{after} have"
    why = f"the run was recalibrated on sessions of this log, and {came} come since, too few for a check of {every}"
    return Monitoring(
        advice="steady" if trouble is None else "doubtful",
        why=why if trouble is None else f"{trouble}. Look at sensor, cable and device first; {why}",
        checks=(),
        drifted_after=None,
        alarms=float(np.mean(np.concatenate(log.sessions) > threshold)),
        threshold=threshold,
        recalibrated=None,
        windows=condition.windows,
        sessions=condition.sessions,
        faults=condition.faults,
        features=tuple(report.features.names[column] for column in log.columns),
        detectable=None,
        alarm_chance=1.0,
        notes=log.notes,
        calibration=_sessions(log, slice(0, None)),
    )


def _since(log: Log, reference: Sequence[np.ndarray], every: int) -> tuple[Log, int | None]:
    """A log from where a run was recalibrated on it: after those sessions, or from them on where too few came after.

    How many come after is given where they are too few: then there is nothing to compare the run's calibration with.
    """
    found = _places_of(log.sessions, reference)
    if found is None:
        return log, None
    start, used = found
    after = len(log.sessions) - used
    if after >= every:
        first, note = used, f"the {counted(used, 'session')} up to the recalibration {was(used)} skipped"
    else:
        first = start
        came = "1 has" if after == 1 else f"{after} have"
        note = f"the run was recalibrated on sessions of this log; {came} come since, too few for a new check"
    kept = slice(first, None)
    rest = replace(log, sessions=log.sessions[kept], features=log.features[kept], names=log.names[kept])
    return replace(rest, notes=(*log.notes, note)), after if after < every else None


def _places_of(sessions: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> tuple[int, int] | None:
    """The first of a log's sessions that a run was recalibrated on, and the one behind them; None where they are not there.

    A start of the device is one session where the log has enough of them, and may have been cut into several before.
    """
    for first in range(len(sessions)):
        place = 0
        for last in range(first, len(sessions)):
            before, place = place, _place_behind(sessions[last], reference, place)
            if place == before:
                break
            if place == len(reference):
                return first, last + 1
    return None


def _place_behind(scores: np.ndarray, reference: Sequence[np.ndarray], place: int) -> int:
    """Which session of the reference comes behind those that a session of the log holds; only its first may begin later."""
    at = 0
    while place < len(reference):
        own = reference[place]
        if np.array_equal(scores[at : at + len(own)], own):
            place += 1
        elif place > 0 or at + len(own) >= len(scores):
            break
        at += len(own)
    return place


def _sessions(log: Log, rows: slice) -> Calibration:
    """Some sessions of a log as a run keeps those of its calibration."""
    return Calibration(log.names[rows], log.sessions[rows], log.columns, log.features[rows])
