"""What the test windows say of a classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from micro.runs.assessment.intervals import HALF, interval
from micro.runs.assessment.words import moved, percent, span
from micro.runs.run_report import RunReport
from micro.runs.verdict import Grade, Reason
from micro.support.wording import are, listed

# Correct in too few windows; an interval that is too wide; what a small student may lose.
WRONG, TOO_WIDE, STUDENT_LOSS = 0.6, 0.2, 0.1
# Of the windows that the model classifies correctly, the fraction after which a firmware should report them.
SELDOM = 0.3
MORE = "record more of each class, under more conditions; keras-kd search tries other features and larger students"
LARGER = (
    "the teacher tells them apart: train the student for longer (student.epochs), or give it wider or more layers; keras-kd "
    "search finds the best for a budget"
)


@dataclass(frozen=True)
class Count:
    """Windows classified correctly, and windows."""

    correct: int = 0
    windows: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.correct + other.correct, self.windows + other.windows)


def classifier_reasons(report: RunReport) -> Iterator[Reason]:
    """Whether it is right more often than a constant answer, in which classes it is not, and what the student lost."""
    classes = dict.fromkeys(report.data.class_names, Count())
    for row in report.by_origin:
        classes[row.state] += Count(round(row.accuracy * row.windows), row.windows)
    yield from _absent(classes)
    advice = LARGER if _lost(report) > STUDENT_LOSS else MORE
    yield from _accuracy(classes, advice)
    yield from _poor_classes(report, classes, advice)
    yield from _firmware(report)
    yield from _student_loss(report)


def _firmware(report: RunReport) -> Iterator[Reason]:
    """Whether the recognizer reports what the model tells apart."""
    found = report.recognized
    if found is None:
        return
    every = sum(row.windows for row in report.by_class)
    able = sum(row.windows for row in report.by_class if row.threshold is not None) / max(every, 1)
    seen = (
        f"as the firmware counts, it reports the right class after {percent(found.right)} of the test windows, a wrong one "
        f"after {percent(found.wrong)}"
    )
    if found.right < SELDOM * able * (report.deployed["accuracy"] or 0.0):
        yield Reason(
            "doubtful",
            f"the firmware reports the right class after {percent(found.right)} of windows",
            seen,
            "in [recognize] allow more mistakes (false_accept_rate), or fewer hits (min_hits) or less suppression",
        )
    elif found.wrong > found.right:
        yield Reason(
            "doubtful",
            f"the firmware reports a wrong class after {percent(found.wrong)} of windows",
            seen,
            "in [recognize] allow fewer mistakes (false_accept_rate), or ask for more hits (min_hits)",
        )


def _absent(classes: Mapping[str, Count]) -> Iterator[Reason]:
    absent = [name for name, count in classes.items() if not count.windows]
    if absent:
        yield Reason(
            "doubtful",
            f"no test window of {len(absent)} of {len(classes)} classes",
            f"the test holds no window of {listed(absent)}: whether it recognizes them is not known",
            "record those classes under the test's conditions as well",
        )


def _accuracy(classes: Mapping[str, Count], advice: str) -> Iterator[Reason]:
    total = sum(classes.values(), Count())
    accuracy = total.correct / max(total.windows, 1)
    low, high = interval(total.correct, total.windows)
    most = max(classes, key=lambda name: classes[name].windows)
    always = classes[most].windows / max(total.windows, 1)
    several = sum(count.windows > 0 for count in classes.values()) > 1
    seen = (
        f"{total.correct:,} of {total.windows:,} test windows {are(total.correct)} classified correctly: {percent(accuracy)}, "
        f"{span(low, high)}"
    )
    if low <= always and several:
        says = f"{seen}; always answering {most!r} would be right in {percent(always)}"
        grade: Grade = "unusable" if high - low <= TOO_WIDE else "doubtful"
        yield Reason(grade, "no better than always the same answer", says, advice)
    elif high - low > TOO_WIDE:
        yield Reason("doubtful", f"few windows in the test ({total.windows:,})", f"{seen}: too few to tell", MORE)
    elif accuracy < WRONG:
        yield Reason("doubtful", f"wrong in {percent(1 - accuracy)} of windows", seen, advice)
    else:
        yield Reason("good", f"{percent(accuracy)} classified correctly", seen)


def _poor_classes(report: RunReport, classes: Mapping[str, Count], advice: str) -> Iterator[Reason]:
    poor = [
        f"{name} ({count.correct} of {count.windows} windows{_where_moved(report, name)})"
        for name, count in classes.items()
        if count.windows and interval(count.correct, count.windows)[1] < HALF
    ]
    if poor:
        yield Reason("doubtful", f"{len(poor)} of {len(classes)} classes mostly misclassified", listed(poor), advice)


def _where_moved(report: RunReport, name: str) -> str:
    return next((text for row in report.by_origin if row.state == name and (text := moved(row))), "")


def _lost(report: RunReport) -> float:
    """By how much the int8 student's accuracy is below its teacher's."""
    teacher, student = (report.seeds[0].models[name]["accuracy"] for name in ("teacher", "student_int8"))
    return 0.0 if teacher is None or student is None else teacher - student


def _student_loss(report: RunReport) -> Iterator[Reason]:
    lost = _lost(report)
    if lost > STUDENT_LOSS:
        seen = f"the int8 student's accuracy is {100 * lost:.1f} points below its teacher's"
        yield Reason("doubtful", "far below its teacher", seen, LARGER)
