"""Figures of models over all windows that the folds of a cross-validation tested, as one test of them would give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from micro.datasets.targets import AnyTarget, Targets
from micro.runs.assessment.words import above
from micro.runs.fold_parts import FoldReport, merged, weighted
from micro.runs.report_parts import METRICS, OF_SEVERAL, Metrics, of_target
from micro.runs.run_report import RunReport

# Figures besides a regression's that are fractions of the test's windows.
FRACTIONS = ("accuracy", "exact")


def pooled(report: RunReport, folds: Sequence[FoldReport]) -> dict[str, Metrics]:
    """The figures of each model over all test windows of folds.

    Of a regression each fold tests few of the numbers, and its R2 is of those alone: squared errors and squared distances from
    the mean are summed over the folds. Fractions of windows are weighed by these, a detector's int8 student counts each
    recording once, and what no sum gives, such as an AUC, is the mean over the folds that have it; None where none has.
    """
    models = folds[0].models
    if report.data.target is not None:
        return {model: _of_regression(folds, model, report.data.target) for model in models}
    figures = {model: {metric: _over(folds, model, metric) for metric in models[model]} for model in models}
    if report.task == "anomaly":
        figures["student_int8"] |= _rates(folds)
    return figures


def lost(folds: Sequence[FoldReport], target: AnyTarget) -> list[float] | None:
    """The squared errors of each fold's int8 student in variances of the numbers that all folds tested, which is what they
    take from R2, of several numbers the mean; None where the variance is not known, or none."""
    of_each = []
    for place, part in enumerate(target.each):
        variance, metric = _variance(folds, place), _called(target, part.name)("rmse")
        errors = [fold.models["student_int8"].get(metric) for fold in folds]
        if not variance or None in errors:
            return None
        of_each.append([error**2 / variance for error in errors if error is not None])
    return np.mean(of_each, axis=0).tolist()


def _of_regression(folds: Sequence[FoldReport], model: str, target: AnyTarget) -> Metrics:
    each = [_of_number(folds, model, place, _called(target, part.name)) for place, part in enumerate(target.each)]
    if not isinstance(target, Targets):
        return each[0]
    # In standard deviations of the deployed student's training windows.
    relative = [
        None if one["rmse"] is None else one["rmse"] / part.deviation
        for one, part in zip(each, target.each, strict=True)
    ]
    over_all = (
        _mean(one["r2"] for one in each),
        _mean(relative),
        min((one["coverage"] for one in each if one["coverage"] is not None), default=None),
    )
    named = {
        of_target(metric, part.name): value
        for part, one in zip(target.each, each, strict=True)
        for metric, value in one.items()
    }
    return {**dict(zip(OF_SEVERAL, over_all, strict=True)), **named}


def _of_number(folds: Sequence[FoldReport], model: str, place: int, called: Callable[[str], str]) -> Metrics:
    """The figures of one number by the names of those of one."""

    def values(metric: str) -> list[float | None]:
        return [fold.models[model].get(called(metric)) for fold in folds]

    windows, recordings = [fold.windows.test for fold in folds], [fold.recordings for fold in folds]
    rmse, variance = _root_mean_square(values("rmse"), windows), _variance(folds, place)
    figures = {
        "r2": None if rmse is None or variance is None else 1 - rmse**2 / variance if variance else 0.0,
        "rmse": rmse,
        "mae": weighted(list(zip(values("mae"), windows, strict=True))),
        "coverage": weighted(list(zip(values("coverage"), windows, strict=True))),
        "rmse_last": _root_mean_square(values("rmse_last"), recordings),
    }
    return {metric: figures[metric] for metric in METRICS["regression"]}


def _called(target: AnyTarget, name: str) -> Callable[[str], str]:
    """What the figures of a number are called: as they are where there is one."""
    return (lambda metric: of_target(metric, name)) if isinstance(target, Targets) else (lambda metric: metric)


def _root_mean_square(errors: Sequence[float | None], counts: Sequence[int]) -> float | None:
    squares = weighted(
        [(None if error is None else error**2, count) for error, count in zip(errors, counts, strict=True)]
    )
    return None if squares is None else float(np.sqrt(squares))


def _variance(folds: Sequence[FoldReport], place: int) -> float | None:
    """Of a number over the test windows of all folds; None where a report does not say it of each."""
    if not all(fold.numbers for fold in folds):
        return None
    rows = [fold.numbers[place] for fold in folds]
    windows = [row.windows for row in rows]
    # From the first one's mean, so that numbers that are all the same have none.
    off = np.array([row.mean for row in rows]) - rows[0].mean
    between = (off - np.average(off, weights=windows)) ** 2
    return float(np.average(between + [row.variance for row in rows], weights=windows))


def _over(folds: Sequence[FoldReport], model: str, metric: str) -> float | None:
    values = [fold.models[model].get(metric) for fold in folds]
    if metric in FRACTIONS:
        return weighted([(value, fold.windows.test) for value, fold in zip(values, folds, strict=True)])
    return _mean(value for value in values if value is not None)


def _rates(folds: Sequence[FoldReport]) -> Metrics:
    """A detector's rates as its recordings say them; nothing of a state that they do not say."""
    rates: Metrics = {}
    for metric, state in (("false_alarm_rate", "healthy"), ("detection_rate", "faulty")):
        count, windows = above(row for row in merged(folds) if row.state == state)
        if windows:
            rates[metric] = count / windows
    return rates


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean; None where one is not known, and of none."""
    found = list(values)
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known and len(known) == len(found) else None
