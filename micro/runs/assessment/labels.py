"""What the test windows say of a model of several labels that may hold at once."""

from __future__ import annotations

from collections.abc import Iterator

from micro.runs.assessment.intervals import ABOVE, area_error, far_above, interval
from micro.runs.assessment.words import moved, percent
from micro.runs.report_parts import LabelFigures, LabelReport
from micro.runs.run_report import RunReport
from micro.runs.verdict import Grade, Reason
from micro.support.wording import counted, listed

# Areas under a label's ROC curve: 0.5 is chance. Below the first it says nothing, below the second little; what a small student
# may lose.
NEAR_CHANCE, WEAK, STUDENT_LOSS = 0.6, 0.8, 0.1
# Of windows with a label, the fraction after which a firmware should report it.
SELDOM = 0.3
# Test recordings from which on they speak for others; recordings that are named.
FEWEST, WORST = 3, 3
MORE = (
    "record more of each label, with and without the others; keras-kd search tries other features and larger students"
)
LARGER = "give the student wider or more layers, or more epochs; keras-kd search finds the best for a budget"


def label_reasons(report: RunReport) -> Iterator[Reason]:
    """Whether each label is distinguished from its absence, whether the firmware reports it, and what the student lost."""
    recordings = report.data.recordings or len({row.origin for row in report.by_origin})
    for label in report.labels:
        yield from _separation(label, report)
    yield _exact(report, recordings)
    for row in report.by_label:
        yield from _firmware(row, report)
    for label in report.labels:
        yield from _student_loss(label)


def _separation(label: LabelFigures, report: RunReport) -> Iterator[Reason]:
    area, teacher, windows = label.metrics["auc"], label.teachers_auc, report.data.windows.test
    if area is None:
        yield Reason(
            "doubtful",
            f"{label.name}: the test has windows of one kind alone",
            f"{label.name}: the test's windows all have it or all lack it, so whether it is distinguished is not known",
            "record it, and its absence, under the test's conditions as well",
        )
        return
    seen = f"{label.name}: the area under the ROC curve is {area:.3f}, where 0.5 is chance"
    held = next((row.windows for row in report.by_label if row.name == label.name), windows // 2)
    sure = area_error(area, windows - held, held) <= (WEAK - NEAR_CHANCE) / 2
    advice = LARGER if teacher is not None and teacher - area > STUDENT_LOSS else MORE
    if area < NEAR_CHANCE:
        grade: Grade = "unusable" if sure else "doubtful"
        yield Reason(grade, f"{label.name}: AUC near chance ({area:.2f})", f"{seen}{_worst(report)}", advice)
    elif area < WEAK:
        yield Reason("doubtful", f"{label.name}: AUC weak ({area:.2f})", f"{seen}{_worst(report)}", advice)
    else:
        yield Reason("good", f"{label.name}: AUC {area:.2f}", seen)


def _exact(report: RunReport, recordings: int) -> Reason:
    windows, exact = report.data.windows.test, report.deployed["exact"] or 0.0
    low, high = interval(round(exact * windows), windows)
    seen = (
        f"every label is right in {percent(exact)} of {windows:,} test windows of {counted(recordings, 'recording')}, 95 % "
        f"interval {100 * low:.3g} to {100 * high:.3g} %"
    )
    if recordings < FEWEST:
        few = f"few recordings in the test ({recordings})"
        return Reason("doubtful", few, f"{seen}: too few to speak for others", MORE)
    states: dict[str, int] = {}
    for row in report.by_origin:
        states[row.state] = states.get(row.state, 0) + row.windows
    most = max(states, key=states.__getitem__)
    if len(states) > 1 and low <= states[most] / windows:
        says = f"{seen}; always answering {most!r} would be right in {percent(states[most] / windows)}"
        return Reason("doubtful", "all labels right no more often than by one answer", says, MORE)
    return Reason("good", f"all labels right in {percent(exact)} of windows", seen)


def _firmware(row: LabelReport, report: RunReport) -> Iterator[Reason]:
    """Whether the labeler reports a label with it, and seldom without it."""
    asked = _asked(report)
    if row.reported is None or row.falsely_reported is None:
        return
    seen = (
        f"{row.name}: as the firmware counts, it is reported after {percent(row.reported)} of the test windows with it, and "
        f"after {percent(row.falsely_reported)} of those without it"
    )
    without = report.data.windows.test - row.windows
    given = row.falsely_given or 0.0
    # Thresholds promise a rate of windows; what is reported also counts those before.
    low = interval(round(given * without), without)[0]
    if asked is not None and low > far_above(asked):
        yield Reason(
            "doubtful",
            f"{row.name} found in {percent(given)} of windows without it",
            f"{row.name}: {percent(given)} of the test windows without it are above its threshold, and {percent(asked)} were "
            "asked for: the test's recordings differ from those that thresholds were set by",
            "record more without it for validation, or name some that are more like the test's in validation_files",
        )
    elif row.reported < SELDOM:
        yield Reason(
            "doubtful",
            f"{row.name} reported after {percent(row.reported)} of windows with it",
            seen,
            "in [recognize] allow more mistakes (false_accept_rate), or ask for fewer hits (min_hits)",
        )
    elif asked is not None and given > ABOVE * asked:
        yield Reason(
            "doubtful",
            f"{row.name} found in {percent(given)} of windows without it",
            f"{row.name}: {percent(given)} of {counted(without, 'test window')} without it are above its threshold, and "
            f"{percent(asked)} were asked for{': too few windows to tell' if low <= asked else ''}",
            "record more without it, for validation and for the test",
        )
    else:
        yield Reason("good", f"{row.name} reported after {percent(row.reported)} of windows with it", seen)


def _asked(report: RunReport) -> float | None:
    """The fraction of windows without a label that may be given it."""
    return None if report.labeler is None else report.false_accept_rate


def _worst(report: RunReport) -> str:
    """The recordings in which labels are wrong most often."""
    rows = sorted(report.by_origin, key=lambda row: row.accuracy)[:WORST]
    named = [f"{row.origin}, {row.state} (all right in {percent(row.accuracy)}{moved(row)})" for row in rows]
    return f". Worst: {listed(named)}"


def _student_loss(label: LabelFigures) -> Iterator[Reason]:
    teacher, student = label.teachers_auc, label.metrics["auc"]
    if teacher is not None and student is not None and teacher - student > STUDENT_LOSS:
        yield Reason(
            "doubtful",
            f"{label.name}: far below its teacher",
            f"{label.name}: the int8 student's AUC is {student:.3f}, its teacher's {teacher:.3f}",
            LARGER,
        )
