"""A device's summaries compared with its run, by histograms of scores; of a device that learned, with its own first ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from micro.detection.detector import Detector, in_units
from micro.detection.drift import DriftCheck, alarm_chance, smallest_change, watch_histograms
from micro.detection.permutation import Statistic, histogram_distances
from micro.detection.score_bins import LARGEST, above, bounds_of, counts_of
from micro.detection.summary_format import FEATURE_UNIT
from micro.emission.parameters import made_for_of
from micro.errors import DataError, RunError
from micro.monitoring.advice import Condition, Evidence
from micro.monitoring.binned import median_of, stand_ins, upper_bound_of
from micro.monitoring.evidence import last_check
from micro.monitoring.learned_log import HOW
from micro.monitoring.learned_rate import learned_rate
from micro.monitoring.learned_summaries import require_record, since_learned
from micro.monitoring.mode_findings import OfMode, of_modes, trouble_of_all
from micro.monitoring.periods import Periods, periods_of
from micro.monitoring.result import Monitoring, Options, monitoring_of
from micro.monitoring.run import MonitoredRun, require_calibration
from micro.monitoring.seen import GAIN, Seen, of_counts, of_test
from micro.monitoring.statuses import OFF, UNKNOWN, left_out_notes
from micro.monitoring.summaries import Summaries, counted_summaries, of_mode, read_summaries
from micro.runs.baseline import FEATURES, calibration_features, calibration_octaves
from micro.runs.firmware import Firmware
from micro.runs.kept_scores import read_scores
from micro.signal.octaves import CROSSING_UNIT, LEVEL_UNIT, octaves_of
from micro.support.files import sha256
from micro.support.wording import counted, was

NO_SCORES = (
    "log scores of every window (APP_LOG 1) and recalibrate with that log: summaries do not hold what a run keeps"
)


@dataclass(frozen=True)
class _Compared:
    """Two groups of periods, and what the threshold is that their bins are parts of."""

    reference: Periods
    reference_scores: Sequence[np.ndarray]
    latest: Periods
    threshold: int
    rate: float
    notes: tuple[str, ...]


def monitor_summaries(run: MonitoredRun, path: Path, options: Options, seed: int) -> Monitoring:
    """As `micro.monitor`, of a file of summaries; of a run with operating modes mode by mode.

    Raises:
        RunError: For a run whose student is not int8.
        DataError: Names file and byte of what cannot be read, or says that there are too few summaries.
    """
    firmware, detector = run.firmware, run.firmware.decider
    if not isinstance(detector, Detector):
        raise RunError(f"{run.folder} has no detector that could send summaries")
    made_for = made_for_of(firmware.hops or firmware.front_end, detector, sha256(firmware.deployed))
    read = read_summaries(path, made_for, _inputs(run))
    if firmware.commissioning is not None:
        require_record(path, read, run.record)
        rate, own = learned_rate(firmware.commissioning, options["false_alarm_rate"]), since_learned(path, read)
        return _compared(run, path, own, _with_itself(path, own, options, rate), options, seed)
    modes = detector.modes
    if modes is None:
        own = _with_threshold(path, read, detector.threshold, recalibrated=run.report.recalibrated())
        compared = _with_run(own, detector, run.sessions, _known(run), run.rate)
        return _compared(run, path, read, compared, options, seed)
    shared: Options = {**options, "false_alarm_rate": options["false_alarm_rate"] / max(1, len(run.by_mode))}
    found: dict[str, Monitoring | str] = {}
    windows, faults = sum(one.windows for one in read.each), sum(sum(one.faults) for one in read.each)
    trouble = trouble_of_all(windows, faults)
    for mode, sessions in run.by_mode.items():
        how = OfMode(run.report.trained_threshold_of(mode) or 0.0, trouble)
        alarm, clear = modes.thresholds[mode]
        part, name = of_mode(read, mode), modes.ranges.names[mode]
        # Summaries of one mode that another run's thresholds made are of no use for all modes.
        own = _with_threshold(path, part, alarm, recalibrated=run.report.recalibrated(mode))
        of = replace(detector, threshold=alarm, clear_threshold=clear, modes=None, off_rms=())
        try:
            require_calibration(len(sessions))
            compared = _with_run(own, of, sessions, _known(run, mode), run.rate)
            found[name] = _compared(run, path, part, compared, shared, seed + mode, how)
        except DataError as error:
            found[name] = str(error)
    off, unknown = (sum(getattr(one.mode, what) for one in read.each if one.mode) for what in ("off", "unknown"))
    notes = (*read.notes, *left_out_notes({OFF: off, UNKNOWN: unknown}))
    return of_modes(path, found, faults, notes)


def _inputs(run: MonitoredRun) -> int | None:
    """How many int8 inputs the run keeps means of."""
    if not (run.folder / FEATURES).is_file():
        return None
    # The first operating mode may have no windows in the calibration.
    mode = next(iter(run.by_mode), None) if run.modes else None
    return calibration_features(run.folder, mode=mode).shape[1]


def _known(run: MonitoredRun, mode: int | None = None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Features, and levels and crossings, of the run's calibration, or of an operating mode in it, where they were kept."""
    folder = run.folder
    features = calibration_features(folder, mode=mode) if (folder / FEATURES).is_file() else None
    return features, calibration_octaves(folder, mode)


def _compared(
    run: MonitoredRun,
    path: Path,
    read: Summaries,
    compared: _Compared,
    options: Options,
    seed: int,
    by_mode: OfMode | None = None,
) -> Monitoring:
    """What is found of two groups of periods, `by_mode` of those of an operating mode."""
    firmware, report, rate = run.firmware, run.report, run.rate
    assert isinstance(firmware.decider, Detector)
    unit, learned = firmware.decider.score.unit, firmware.commissioning is not None
    _require_enough(path, len(compared.latest.counts), options["every"])
    before = compared.reference.counts
    checks, features, (names, steps), tests = _checked(compared, firmware, options, seed)
    check, start, end = last_check(checks, options)
    latest = compared.latest.counts[start:end]
    rest = compared.latest.counts[start if check.drifted else 0 :]
    judged = slice(0, end if check.drifted else None)
    real = compared.threshold * unit
    fractions = compared.latest.fractions_above[judged]
    evidence = Evidence(
        check=check,
        condition=_condition(read, len(compared.latest.counts), by_mode is not None),
        medians=(median_of(before, compared.threshold, unit), median_of(latest, compared.threshold, unit)),
        reference=len(before),
        threshold=real,
        trained_threshold=real if learned else by_mode.trained_threshold if by_mode else report.trained_threshold,
        calibration=len(rest),
        recalibrated=upper_bound_of(rest.sum(axis=0), compared.threshold, unit, rate),
        rate=rate,
        level=options["false_alarm_rate"],
        alarms=_above(compared.latest.counts[judged]),
        alarm_chance=alarm_chance(fractions.tolist(), compared.rate),
        detectable=None if check.drifted else _detectable(compared, check.sessions, check.level, tests),
        features=names,
        noun="period",
        how=HOW if learned else NO_SCORES,
        trouble=None if by_mode is None else by_mode.trouble,
        tests=tests,
    )
    test = None if learned or by_mode else of_test(read_scores(run.folder), real)
    seen = _seen(compared, features or (None, None), unit, (start, end), test, (names, steps), learned)
    return monitoring_of(evidence, checks, _above(latest), (*read.notes, *compared.notes), seen=seen)


def _above(counts: np.ndarray) -> float:
    """The fraction of all windows above the threshold."""
    return float(above(counts.sum(axis=0)) / counts.sum())


def _checked(
    compared: _Compared, firmware: Firmware, options: Options, seed: int
) -> tuple[
    tuple[DriftCheck, ...],
    tuple[np.ndarray, np.ndarray] | None,
    tuple[tuple[str, ...], np.ndarray | None],
    int,
]:
    """The checks made; means of the input of both groups of periods, their names and the least that each can tell; and of how
    many tests a check is."""
    features, names, steps, common = _of_input(compared, firmware)
    counts = compared.reference.counts, compared.latest.counts
    checks = watch_histograms(*counts, features=features, common=common, seed=seed, **options)
    if features is not None and common:
        # What the levels have in common stands behind them, also where sessions are drawn.
        features = _with_mean(features[0], common), _with_mean(features[1], common)
    return checks, features, (names, steps), 2 + (features is not None) + bool(common)


def _seen(
    compared: _Compared,
    means: tuple[np.ndarray | None, np.ndarray | None],
    unit: float,
    recent: tuple[int, int],
    test: np.ndarray | None,
    columns: tuple[tuple[str, ...], np.ndarray | None],
    learned: bool,
) -> Seen:
    """Both sides period by period, in real units."""
    bounds = np.array(bounds_of(compared.threshold)) * unit
    before, after = compared.reference.counts, compared.latest.counts
    first = [f"{'first' if learned else 'calibration'} {n + 1}" for n in range(len(before))]
    return Seen(
        of_counts(first, before, bounds, means[0]),
        of_counts([f"period {n + 1}" for n in range(len(after))], after, bounds, means[1]),
        recent,
        after[slice(*recent)].sum(axis=0),
        bounds,
        test,
        *columns,
        "period",
        learned,
    )


def _with_threshold(path: Path, read: Summaries, threshold: int, *, recalibrated: bool) -> Summaries:
    """Those with the threshold of the run, or of a mode of it, whose notes say that those of before a recalibration are left
    out; DataError where others remain."""
    each, notes = list(read.each), []
    starts = set(read.starts)
    former = next((n for n, one in enumerate(each) if one.threshold == threshold), len(each))
    if former and recalibrated and former < len(each):
        notes.append(
            f"{counted_summaries(former)} with the threshold of before the recalibration {was(former)} skipped"
        )
        each, starts = each[former:], {place - former for place in starts}
    other = next((one for one in each if one.threshold != threshold), None)
    if other is not None:
        raise DataError(
            f"{path}: summary {other.sequence} has the threshold {other.threshold}, and the run {threshold}; give the "
            "run that the device's parameters are from"
        )
    return Summaries(tuple(each), tuple(sorted(starts)), tuple(notes))


def _with_run(
    own: Summaries,
    detector: Detector,
    sessions: Sequence[np.ndarray],
    known: tuple[np.ndarray | None, np.ndarray | None],
    rate: float,
) -> _Compared:
    """Summaries of a run's threshold, and its calibration."""
    block = int(np.median([len(scores) for scores in sessions]))
    periods, more = periods_of(own.each, set(own.starts), block, off=any(detector.off_rms) and detector.modes is None)
    integers = [
        np.minimum(in_units(scores, detector.score.unit), LARGEST).round().astype(np.int64) for scores in sessions
    ]
    reference = np.stack([counts_of(scores, detector.threshold) for scores in integers])
    if periods.octaves is not None and known[1] is None:
        more.append(
            "levels of the samples are not compared: the run keeps none of its calibration, as it was recalibrated or is older"
        )
    return _Compared(Periods(reference, *known), integers, periods, detector.threshold, rate, (*own.notes, *more))


def _with_itself(path: Path, read: Summaries, options: Options, rate: float) -> _Compared:
    """The first summaries of a device that has learned its machine, and all after them."""
    each, scored = read.each, [one.windows for one in read.each if one.windows]
    periods, notes = periods_of(each, set(read.starts), int(np.median(scored or [1])))
    # Twice as many as a check compares, or exchanges of them would soon be too few for the level of later checks.
    first = 2 * options["recent"]
    _require_enough(path, len(periods.counts) - first, options["every"], first)
    integers = [stand_ins(counts, each[0].threshold) for counts in periods.counts[:first]]
    note = f"compared with the first {first} periods after the device had learned its machine"
    before, latest = periods.part(slice(first)), periods.part(slice(first, None))
    return _Compared(before, integers, latest, each[0].threshold, rate, (note, *notes))


def _of_input(
    compared: _Compared, firmware: Firmware
) -> tuple[tuple[np.ndarray, np.ndarray] | None, tuple[str, ...], np.ndarray | None, list[int]]:
    """What both groups of periods tell of the model's input and of the samples, (periods, columns) each; the names of these
    columns and the least that each can tell, and the same of what the levels have in common; and the levels' places."""
    octaves = octaves_of(firmware.hops or firmware.front_end)
    count = octaves.count if octaves else 0
    sides = (
        (
            compared.reference.features,
            compared.latest.features,
            firmware.front_end.names,
            np.full(len(firmware.front_end.names), FEATURE_UNIT),
        ),
        (
            compared.reference.octaves,
            compared.latest.octaves,
            octaves.names(firmware.front_end.rate) if octaves else (),
            np.repeat([LEVEL_UNIT, CROSSING_UNIT], count),
        ),
    )
    known = [side for side in sides if side[0] is not None and side[1] is not None]
    if not known:
        return None, (), None, []
    before, after, names, steps = zip(*known)
    joined = np.concatenate(before, axis=1), np.concatenate(after, axis=1)
    named, least = tuple(itertools.chain(*names)), np.concatenate(steps)
    if known[-1] is not sides[1]:
        return joined, named, least, []
    first = len(named) - 2 * count
    return joined, (*named, GAIN), np.append(least, LEVEL_UNIT), list(range(first, first + count))


def _with_mean(columns: np.ndarray, some: Sequence[int]) -> np.ndarray:
    return np.column_stack([columns, columns[:, list(some)].mean(axis=1)])


def _condition(read: Summaries, periods: int, by_mode: bool) -> Condition:
    """Faults of all summaries, those of them with more faults than scores, and the windows.

    Of a single operating mode no faults: the summaries of the first have those of all modes.
    """
    if by_mode:
        return Condition(sum(one.windows for one in read.each), 0, periods)
    dead = [f"summary {one.sequence}" for one in read.each if sum(one.faults) > one.windows]
    faults = sum(sum(one.faults) for one in read.each)
    return Condition(sum(one.windows for one in read.each), faults, periods, dead)


def _require_enough(path: Path, count: int, every: int, first: int = 0) -> None:
    if count < every:
        behind = f" behind the first {first}" if first else ""
        raise DataError(
            f"{path}: {counted(max(0, count), 'period')} as long as a session of calibration{behind}, but a check takes "
            f"{every}; wait for more summaries"
        )


def _detectable(compared: _Compared, recent: int, level: float, tests: int) -> float | None:
    """As `smallest_change`, of scores that are counted in bins."""

    def distances(groups: Sequence[np.ndarray]) -> Statistic:
        return histogram_distances(
            np.stack([counts_of(np.minimum(group, LARGEST), compared.threshold) for group in groups])
        )

    scores = [each.astype(float) for each in compared.reference_scores]
    return smallest_change(scores, recent, level, tests=tests, distances=distances)
