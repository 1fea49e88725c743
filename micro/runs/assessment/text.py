"""What the test says of a model of text."""

from __future__ import annotations

from collections.abc import Iterator

from micro.runs.assessment.intervals import interval
from micro.runs.assessment.words import percent, span
from micro.runs.run_report import RunReport
from micro.runs.verdict import Grade, Reason

# An interval that is too wide, and what a small student may lose.
TOO_WIDE, STUDENT_LOSS = 0.2, 0.1
MORE = "learn from more text, or give the student more context, wider layers or more epochs"


def text_reasons(report: RunReport) -> Iterator[Reason]:
    """Whether it is right more often than always the same answer, and what the student lost."""
    text, figures = report.data.text, report.deployed
    assert text is not None
    running = text.form == "text"
    of = report.data.windows.test if running else text.sources
    right = figures["top_1"] or 0.0
    low, high = interval(round(right * of), of)
    what = "next characters" if running else "test sources"
    seen = f"{percent(right)} of {of:,} {what} are right, {span(low, high)}, {percent(figures['top_3'] or 0.0)} among three"
    always = "always the commonest character" if running else "the source as it is"
    if low <= text.constant:
        grade: Grade = "unusable" if high - low <= TOO_WIDE else "doubtful"
        says = f"{seen}; {always} would be right in {percent(text.constant)}"
        yield Reason(grade, f"no better than {always}", says, MORE)
    elif high - low > TOO_WIDE:
        yield Reason("doubtful", f"little text in the test ({of:,} {what})", f"{seen}: too little to tell", MORE)
    else:
        yield Reason("good", f"{percent(right)} of {what} right", seen)
    yield from _student_loss(report)


def _student_loss(report: RunReport) -> Iterator[Reason]:
    teacher, student = (report.seeds[0].models[name]["top_1"] for name in ("teacher", "student_int8"))
    if teacher is not None and student is not None and teacher - student > STUDENT_LOSS:
        yield Reason(
            "doubtful",
            "far below its teacher",
            f"the int8 student is right {100 * (teacher - student):.1f} points less often than its teacher",
            "give the student wider or more layers, or more epochs",
        )
