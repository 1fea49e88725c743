"""What the test windows say of a regression."""

from __future__ import annotations

from collections.abc import Iterator

from micro.runs.assessment.intervals import interval
from micro.runs.assessment.words import moved, percent
from micro.runs.report_parts import NumberReport
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
    for number in report.numbers:
        yield from _fit_of(number, report)


def _fit_of(number: NumberReport, report: RunReport) -> Iterator[Reason]:
    figures, of = number.metrics, _of(number.name, report)
    explained, rmse = figures["r2"], figures["rmse"] or 0.0
    runs = len(report.by_origin)
    error = (
        f"{number.name} is estimated with an error of {rmse:.4g} (root mean square) over {report.data.windows.test:,} test "
        f"windows of {counted(runs, 'recording')}"
    )
    if explained is None:
        yield Reason(
            "doubtful",
            f"{of}not known how much of the variance is explained",
            f"{error}; how far its numbers lie apart over all folds is not in this report, which an older version wrote",
            "run it again",
        )
        return
    seen = f"{error}; {_explains(explained)}"
    teacher = number.teachers_r2
    advice = MORE if teacher is None or teacher - explained <= STUDENT_LOSS else LARGER
    worst = _worst(number.name, report)
    if explained <= CONSTANT:
        yield Reason("unusable", f"{of}no better than always the same number", f"{seen}{worst}", advice)
    elif explained < WEAK:
        yield Reason("doubtful", f"{of}{percent(explained)} of the variance explained", f"{seen}{worst}", advice)
    elif runs < FEWEST:
        yield Reason(
            "doubtful", f"{of}few recordings in the test ({runs})", f"{seen}: too few to speak for others", MORE
        )
    else:
        yield Reason("good", f"{of}error of {rmse:.4g}, {percent(explained)} of the variance explained", seen)


def _of(name: str, report: RunReport) -> str:
    """The number that a reason is on, where there are several."""
    return f"{name}: " if len(report.numbers) > 1 else ""


def _coverage(report: RunReport) -> Iterator[Reason]:
    if report.estimator is None or report.coverage is None:
        return
    for number, estimator in zip(report.numbers, report.estimator.each):
        yield from _coverage_of(number, estimator.half_width, report.coverage, report)


def _coverage_of(number: NumberReport, width: float, asked: float, report: RunReport) -> Iterator[Reason]:
    coverage, windows, of = number.metrics["coverage"], report.data.windows.test, _of(number.name, report)
    if coverage is None:
        return
    high = interval(round(coverage * windows), windows)[1]
    each = " of the deployed student, or that of its own fold," if report.folds else ""
    seen = (
        f"{of}the interval of ±{width:.4g}{each} holds {percent(coverage)} of the test windows, and "
        f"{percent(asked)} were asked for"
    )
    if high < asked:
        yield Reason(
            "doubtful",
            f"{of}the interval holds {percent(coverage)} instead of {percent(asked)}",
            f"{seen}: the test's runs differ from those that it was calibrated on",
            "record more runs for validation, or name some that are more like the test's in validation_files",
        )
    else:
        yield Reason("good", f"{of}the interval holds {percent(coverage)}", seen)


def _explains(explained: float) -> str:
    if explained < 0:
        return "always the mean of the test's numbers would be nearer"
    return f"{percent(explained)} of its variance is explained"


def _worst(name: str, report: RunReport) -> str:
    """The recordings with the largest errors of a number."""
    errors = [(next((one.rmse for one in row.numbers if one.name == name), row.rmse), row) for row in report.by_origin]
    rows = sorted(errors, key=lambda pair: -pair[0])[:WORST]
    return f". Worst: {listed([f'{row.origin} (error {error:.4g}{moved(row)})' for error, row in rows])}"


def _student_loss(report: RunReport) -> Iterator[Reason]:
    for number in report.numbers:
        teacher, student, of = number.teachers_r2, number.metrics["r2"], _of(number.name, report)
        if teacher is not None and student is not None and teacher - student > STUDENT_LOSS:
            yield Reason(
                "doubtful",
                f"{of}far below its teacher",
                f"{of}the int8 student explains {100 * (teacher - student):.1f} points less of the variance than its teacher",
                LARGER,
            )
