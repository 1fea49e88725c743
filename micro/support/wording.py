"""Words of messages."""

from __future__ import annotations

from collections.abc import Sequence

# In seconds.
HOUR, DAY = 3600.0, 86_400.0


def counted(count: int, noun: str) -> str:
    """A number and its noun, plural unless it is one: '1 session', '2,000 sessions'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def excerpt(text: str, most: int = 60) -> str:
    """A text of a file as an error shows it: quoted, in one line, and cut to a length that helps."""
    return repr(text if len(text) <= most else f"{text[: most - 3]}...")


def was(count: int) -> str:
    """The verb of a count: '1 of 11 files was left out', '2 of 11 files were'."""
    return "was" if count == 1 else "were"


def are(count: int) -> str:
    """The same now: '1 of 40 windows is above the threshold', '2 of 40 windows are'."""
    return "is" if count == 1 else "are"


def hold(count: int) -> str:
    """The verb of what has something in it: '1 file holds the same', '2 files hold the same'."""
    return "holds" if count == 1 else "hold"


def percent(fraction: float) -> str:
    """A share in percent, to two digits and never as a power of ten; what is not all of it does not read as all.

    >>> [percent(each) for each in (0.00123, 0.0567, 0.998, 0.99999, 1.0, 1.5)]
    ['0.12 %', '5.7 %', '99.8 %', '99.99 %', '100 %', '150 %']
    """
    value = 100 * fraction
    if value < 99:
        return f"{value:.2g} %"
    return f"{min(value, 99.99):.4g} %" if value < 100 else f"{value:,.0f} %"


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would take, to three digits.

    >>> [duration(each) for each in (0.12, 2.76, 568, 7600, 300_000)]
    ['120 ms', '2.76 s', '9.47 min', '2.11 h', '3.47 days']
    """
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / HOUR:.3g} h" if seconds < 3 * DAY else f"{seconds / DAY:.3g} days"


def about(seconds: float) -> str:
    """An estimate of time in whole units: '12 s', '3 min', '1 h 20 min'."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def is_whole(fraction: float) -> bool:
    """Whether a fraction reads as 100 % where it is shown in whole percent: no time is left beside that."""
    return round(100 * fraction) >= 100


def last_lines(said: str, count: int = 8) -> str:
    """The end of what a program wrote, in one line, for an error."""
    return " / ".join(line.strip() for line in said.strip().splitlines()[-count:])


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{rest}"
