"""Whether a run's student can be used, or that its test cannot tell: why in plain words, and what to do next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Grade = Literal["good", "doubtful", "inconclusive", "unusable"]
# The gravest last. Of an inconclusive test nothing is known that would speak for the student, whatever else is doubtful.
GRADES: tuple[Grade, ...] = ("good", "doubtful", "inconclusive", "unusable")
# Verdicts for which `--strict` ends a command with another exit code.
REFUSED: tuple[Grade, ...] = ("inconclusive", "unusable")


@dataclass(frozen=True)
class Reason:
    """One finding: the grade that it alone would give, in a few words, with its numbers, and what to do about it.

    A reason graded 'good' is a remark: worth knowing, and no objection.
    """

    grade: Grade
    what: str
    says: str
    then: str = ""


@dataclass(frozen=True)
class Verdict:
    """The worst of the reasons' grades, the reasons, worst first, and what the headline says besides, whatever the grade."""

    grade: Grade
    reasons: tuple[Reason, ...]
    besides: str = ""

    @property
    def headline(self) -> str:
        """The grade and its reasons in one line."""
        return f"{self.grade}: {self.because}" + (f"; {self.besides}" if self.besides else "")

    @property
    def because(self) -> str:
        """The objections in one line; of a good run its remarks."""
        objections = [reason.what for reason in self.reasons if reason.grade != "good"]
        return "; ".join(objections or [reason.what for reason in self.reasons])

    @property
    def next_step(self) -> str:
        """What to do about the first reason that has an answer."""
        return next((reason.then for reason in self.reasons if reason.then), "")

    def to_report(self) -> dict[str, Any]:
        """As plain data, for report.json."""
        plain = asdict(self)
        if not self.besides:
            del plain["besides"]
        return {**plain, "headline": self.headline, "next_step": self.next_step}
