"""How often something happens a day, from how often it was seen: exact intervals, and words where too little was seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from micro.support.wording import DAY, HOUR, counted, duration

# How often an interval holds the rate that it is of.
CONFIDENCE = 0.95
# Alarms a day of a healthy machine that a detector may be made for: one a minute.
MOST_A_DAY = 1440
# A count from which its rate is known to about a factor of two, whatever the time was.
ENOUGH = 5


@dataclass(frozen=True)
class Rate:
    """`count` events in `seconds`: how many a day, with the ends of the exact interval; None and infinite without time."""

    count: int
    seconds: float
    per_day: float | None
    low: float
    high: float

    @property
    def hours(self) -> float:
        return self.seconds / HOUR

    @property
    def enough(self) -> bool:
        """Whether so much was seen that the rate says something: `ENOUGH` events, or an upper end of one a day."""
        return self.count >= ENOUGH or self.high <= 1


def daily(count: int, seconds: float, confidence: float = CONFIDENCE) -> Rate:
    """The rate of events that come independently of each other, from how many came in a time.

    Source: Garwood 1936, "Fiducial limits for the Poisson distribution": exact ends from quantiles of chi-squared.

    Examples:
        >>> rate = daily(0, 86_400.0)
        >>> rate.per_day, round(rate.high, 2), rate.enough
        (0.0, 3.69, False)
    """
    if count < 0 or not seconds >= 0:
        raise ValueError(f"a rate needs a count and a time of at least 0, got {count} and {seconds}")
    if seconds == 0:
        return Rate(count, 0.0, None, 0.0, math.inf)
    from scipy.stats import chi2

    tail, days = (1 - confidence) / 2, seconds / DAY
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return Rate(count, seconds, count / days, low / days, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2 / days)


def false_alarm_words(rate: Rate) -> str:
    """How many false alarms a day, or that too little was seen to say it, in a sentence."""
    if rate.per_day is None:
        return "how many false alarms there are a day is not known: no healthy time was tested"
    percent = f"{100 * CONFIDENCE:.0f} %"
    count = counted(rate.count, "false alarm") if rate.count else "no false alarm"
    seen = f"{count} in {duration(rate.seconds)} of healthy time"
    if rate.enough:
        between = f"{_number(rate.low)} to {_number(rate.high)}"
        return f"{seen}: {_number(rate.per_day)} a day, {between} at {percent}"
    # With none seen, the upper end comes down to one a day after this time.
    needed = -math.log((1 - CONFIDENCE) / 2) * DAY
    between = f"up to {_number(rate.high)}" if rate.count == 0 else f"{_number(rate.low)} to {_number(rate.high)}"
    return (
        f"{seen}, too short a time to say how many a day: there may be {between} (at {percent}); it takes "
        f"{needed / HOUR:.0f} h without a false alarm to show that there is at most one a day"
    )


def alarms_by_design(rate: float, min_hits: int, history: int, windows_a_day: float) -> float:
    """Alarms a day of a healthy machine of whose windows a fraction `rate` is above the threshold, each for itself.

    An alarm begins with a window above it that makes exactly `min_hits` of the last `history`. Windows of one machine are
    alike, so that there may be more.

    Examples:
        >>> round(alarms_by_design(0.05, 1, 1, 1_000_000)), round(alarms_by_design(0.05, 3, 5, 1_000_000))
        (50000, 677)
    """
    others = math.comb(history - 1, min_hits - 1) * rate ** (min_hits - 1) * (1 - rate) ** (history - min_hits)
    return windows_a_day * rate * others


def counts_for(rate: float, windows_a_day: float, most: float) -> tuple[int, int, int]:
    """The least `min_hits`, and a `history`, with which a healthy machine raises at most a number of alarms a day by design,
    and a `clear_after`.

    That is as long as the history: of a steady fault now and then a window is below the threshold, and an alarm that ended
    there would be missing until `min_hits` windows have raised it again.

    Examples:
        >>> counts_for(0.05, 1_000_000, 1000), counts_for(0.05, 10, 1)
        ((3, 5, 5), (1, 1, 1))
    """
    if rate * windows_a_day <= most:
        return 1, 1, 1
    enough = (hits for hits in range(2, 30) if alarms_by_design(rate, hits, hits + 2, windows_a_day) <= most)
    hits = next(enough, 30)
    return hits, hits + 2, hits + 2


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
