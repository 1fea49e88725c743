"""What each fold of a cross-validation gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from micro.config import Config
from micro.datasets.prepared import Prepared
from micro.datasets.targets import AnyTarget
from micro.runs.evaluate import by_origin
from micro.runs.firmware_files import (
    by_class,
    by_label,
    chip_detector,
    chip_labeler,
    chip_recognizer,
    judging,
    recognized,
)
from micro.runs.fold_parts import FoldReport, TestedNumber
from micro.runs.report_parts import DividedReport, Metrics, WindowCounts
from micro.runs.seed_run import SeedRun

# More recordings than this are not listed one by one.
MOST_DIVIDED = 1000
# Windows that a label has, and what their value is.
STATES = (("with", 1), ("without", 0))


def fold_reports(
    config: Config, folds: Sequence[Prepared], firsts: Sequence[SeedRun], metrics: Sequence[dict[str, Metrics]]
) -> tuple[FoldReport, ...]:
    """A report of each fold: which groups it tested, the metrics of its models, means over the seeds, and what the int8 student
    of its first seed, in `firsts`, made of what it tested."""
    rows = zip(folds, firsts, metrics, strict=True)
    return tuple(_fold_report(number, config, data, run, row) for number, (data, run, row) in enumerate(rows, 1))


def _fold_report(number: int, config: Config, data: Prepared, run: SeedRun, metrics: dict[str, Metrics]) -> FoldReport:
    tflite, evaluation = run.stages[-1].written, run.evaluations["student_int8"]
    detector = chip_detector(config, data, tflite, evaluation.threshold)
    recognizer, labeler = chip_recognizer(config, data, tflite), chip_labeler(config, data, tflite)
    return FoldReport(
        fold=number,
        tested=data.tested,
        windows=windows_of(data),
        lacking=_lacking(data),
        models=metrics,
        recordings=len(set(data.test.origins)),
        by_origin=by_origin(evaluation, data, judging(config, detector, evaluation.threshold)),
        by_class=by_class(recognizer, data, tflite),
        recognized=recognized(recognizer, data, tflite),
        by_label=by_label(labeler, data, tflite),
        numbers=() if data.target is None else numbers_of(data.target, data.test.labels),
    )


def numbers_of(target: AnyTarget, labels: np.ndarray) -> tuple[TestedNumber, ...]:
    """The mean and the variance of each number of a regression over test windows, (n,) or of several (n, targets)."""
    columns = labels.reshape(len(labels), -1).T
    return tuple(
        TestedNumber(name=one.name, windows=len(column), mean=float(column.mean()), variance=float(column.var()))
        for one, column in zip(target.each, columns, strict=True)
    )


def _lacking(data: Prepared) -> tuple[str, ...]:
    """Classes of which the test has no window; of several labels those that none or all of its windows have."""
    labels = data.test.labels
    if data.label_names:
        kinds = [
            (f"{word} {name}", labels[:, n] == value)
            for n, name in enumerate(data.label_names)
            for word, value in STATES
        ]
        return tuple(kind for kind, windows in kinds if not windows.any())
    return tuple(name for place, name in enumerate(data.class_names) if not (labels == place).any())


def windows_of(data: Prepared) -> WindowCounts:
    """How many windows each part has."""
    return WindowCounts(
        train=len(data.train), validation=len(data.validation), calibration=len(data.calibration), test=len(data.test)
    )


def divided(data: Prepared) -> tuple[DividedReport, ...]:
    """How many windows of each recording each part has, by name; none of text, and where there are too many recordings."""
    parts = {name: Counter(getattr(data, name).origins) for name in WindowCounts.model_fields}
    further = {"faults": data.faults, "unlabeled": data.unlabeled}
    parts |= {name: Counter(windows.origins) for name, windows in further.items() if windows is not None}
    names = sorted(set().union(*parts.values()))
    if data.text is not None or len(names) > MOST_DIVIDED:
        return ()
    return tuple(DividedReport(origin=name, **{part: each[name] for part, each in parts.items()}) for name in names)


def mean_of(seeds: Sequence[dict[str, Metrics]]) -> dict[str, Metrics]:
    """The mean of each metric of each model over seeds; None where a seed has none."""
    found: dict[str, Metrics] = {}
    for model, metrics in seeds[0].items():
        values = {metric: [seed[model][metric] for seed in seeds] for metric in metrics}
        found[model] = {
            metric: None if None in each else float(np.mean([value for value in each if value is not None]))
            for metric, each in values.items()
        }
    return found
