"""What the test windows say of a regression."""

from __future__ import annotations

from collections.abc import Iterator

from micro.runs.assessment.intervals import interval
from micro.runs.assessment.words import moved, percent
from micro.runs.run_report import RunReport
from micro.runs.verdict import Reason
from micro.support.wording import counted, listed

# Fractions of variance explained: below the first a constant does as well, below the second little is known; what a small
# student may lose.
CONSTANT, WEAK, STUDENT_LOSS = 0.0, 0.5, 0.1
# Recordings of the test from which on they speak for others; recordings that are named.
FEWEST, WORST = 3, 3
LARGER = "give the student wider or more layers, or more epochs; keras-kd search finds the best for a budget"
MORE = "record more runs, under more conditions; keras-kd search tries other features and larger students"


def regression_reasons(report: RunReport) -> Iterator[Reason]:
    """Whether it is better than a constant answer, whether the interval holds, and what the student lost."""
    yield from _fit(report)
    yield from _coverage(report)
    yield from _student_loss(report)


def _fit(report: RunReport) -> Iterator[Reason]:
    figures, target = report.deployed, report.data.target
    assert target is not None
    explained, rmse = figures["r2"] or 0.0, figures["rmse"] or 0.0
    runs = len(report.by_origin)
    seen = (
        f"{target.name} is estimated with an error of {rmse:.4g} (root mean square) over {report.data.windows.test:,} test "
        f"windows of {counted(runs, 'recording')}; {_explains(explained)}"
    )
    teacher = report.seeds[0].models["teacher"]["r2"]
    advice = MORE if teacher is None or teacher - explained <= STUDENT_LOSS else LARGER
    if explained <= CONSTANT:
        yield Reason("unusable", "no better than always the same number", f"{seen}{_worst(report)}", advice)
    elif explained < WEAK:
        yield Reason("doubtful", f"{percent(explained)} of the variance explained", f"{seen}{_worst(report)}", advice)
    elif runs < FEWEST:
        yield Reason("doubtful", f"few recordings in the test ({runs})", f"{seen}: too few to speak for others", MORE)
    else:
        yield Reason("good", f"error of {rmse:.4g}, {percent(explained)} of the variance explained", seen)


def _coverage(report: RunReport) -> Iterator[Reason]:
    coverage, windows, estimator = report.deployed["coverage"], report.data.windows.test, report.estimator
    if coverage is None or estimator is None or report.coverage is None:
        return
    high = interval(round(coverage * windows), windows)[1]
    seen = (
        f"the interval of +-{estimator.half_width:.4g} holds {percent(coverage)} of the test windows, and "
        f"{percent(report.coverage)} were asked for"
    )
    if high < report.coverage:
        yield Reason(
            "doubtful",
            f"the interval holds {percent(coverage)} instead of {percent(report.coverage)}",
            f"{seen}: the test's runs differ from those that it was calibrated on",
            "record more runs for validation, or name some that are more like the test's in validation_files",
        )
    else:
        yield Reason("good", f"the interval holds {percent(coverage)}", seen)


def _explains(explained: float) -> str:
    if explained < 0:
        return "always the mean of the test's numbers would be nearer"
    return f"{percent(explained)} of its variance is explained"


def _worst(report: RunReport) -> str:
    rows = sorted(report.by_origin, key=lambda row: -row.rmse)[:WORST]
    return f". Worst: {listed([f'{row.origin} (error {row.rmse:.4g}{moved(row)})' for row in rows])}"


def _student_loss(report: RunReport) -> Iterator[Reason]:
    teacher, student = (report.seeds[0].models[name]["r2"] for name in ("teacher", "student_int8"))
    if teacher is not None and student is not None and teacher - student > STUDENT_LOSS:
        yield Reason(
            "doubtful",
            "far below its teacher",
            f"the int8 student explains {100 * (teacher - student):.1f} points less of the variance than its teacher",
            LARGER,
        )
