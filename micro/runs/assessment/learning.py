"""What a report says of a device that learns its machine: how long it takes, and what its threshold promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from micro.detection.commissioning import LIMIT_FRACTION, THRESHOLD_FRACTION
from micro.runs.assessment.words import percent
from micro.runs.run_report import RunReport
from micro.support.wording import duration


@dataclass(frozen=True)
class Learning:
    """How a device learns its machine.

    Attributes:
        learn_windows, calibrate_windows: Windows of the two states.
        learn_seconds, calibrate_seconds: How long these take without a break; None where no sample rate is known.
        kept: Of the scores of calibration the highest that are kept; the smallest of them is the threshold.
        rate: The expected rate of windows above the threshold, at most, of a machine that stays as it was in calibration.
        halves_limit: In standard deviations of a feature.
        machines, unlike_limit: Training machines, and how far from them a machine may be, in their standard deviations.
        adapt_limit: Standard deviations that means may follow slow changes by; 0 for not at all.
        clear: Fraction of the threshold at which an alarm ends.
    """

    learn_windows: int
    calibrate_windows: int
    learn_seconds: float | None
    calibrate_seconds: float | None
    kept: int
    rate: float
    halves_limit: float
    machines: int
    unlike_limit: float
    adapt_limit: float
    clear: float

    @property
    def takes(self) -> str:
        """Both states together, in words."""
        if self.learn_seconds is None or self.calibrate_seconds is None:
            return f"{self.learn_windows + self.calibrate_windows:,} windows"
        return duration(self.learn_seconds + self.calibrate_seconds)

    @property
    def says(self) -> str:
        """The bound in a sentence's part."""
        return (
            f"each device learns its machine by itself, in {self.takes}, and then has at most {percent(self.rate)} of healthy "
            "windows above its threshold, on average of machines that stay as they were"
        )


def learning_of(report: RunReport) -> Learning | None:
    """None where scaling and threshold are the run's."""
    plan, features = report.commissioning, report.features
    if plan is None:
        return None
    rate = features.rate
    first, then = plan.learn_windows, plan.calibrate_windows
    return Learning(
        learn_windows=first,
        calibrate_windows=then,
        learn_seconds=None if rate is None else (features.window + (first - 1) * features.hop) / rate,
        calibrate_seconds=None if rate is None else then * features.hop / rate,
        kept=plan.kept,
        rate=plan.kept / (then + 1),
        halves_limit=plan.halves_limit / (1 << LIMIT_FRACTION),
        machines=plan.prior.machines,
        unlike_limit=plan.prior.limit,
        adapt_limit=plan.adapt_limit / (1 << LIMIT_FRACTION),
        clear=plan.clear / (1 << THRESHOLD_FRACTION),
    )


def learning_context(report: RunReport) -> dict[str, Any]:
    """For the page."""
    return {"learning": learning_of(report), "duration": duration}
