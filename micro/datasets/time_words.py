"""Names of columns of times, and the units of time in them."""

from __future__ import annotations

import re

_NAMES = "t|ts|time|times|timestamp|zeit|datum|date|datetime|uhrzeit|epoch"
_ELAPSED = "elapsed|seconds|millis|micros|milliseconds|ms|sec"
_END = r"($|[\s_.\-/(\[])"
TIME_WORDS = re.compile(rf"(?i)^({_NAMES}){_END}|time$|stamp$")
ELAPSED = re.compile(rf"(?i)^({_ELAPSED}){_END}")
# What begins with a word for time; one that only ends in it, such as `lifetime`, may be a signal.
CLOCK = re.compile(rf"(?i)^({_NAMES}|{_ELAPSED}){_END}")
# Units of time as column names and rows of units write them, and what the config calls them.
UNITS = {
    "s": "s|sec|secs|seconds?|sek|sekunden?",
    "ms": "ms|msec|millis|milliseconds?|millisekunden?",
    "us": "us|µs|μs|usec|micros|microseconds?",
    "ns": "ns|nsec|nanos|nanoseconds?",
    "min": "min|mins|minutes?|minuten?",
    "h": "h|hr|hrs|hours?|std|stunden?",
    "d": "d|days?|tage?",
}


def unit_in(name: str) -> str | None:
    """The unit of time that a column's name ends in, in brackets or behind a separator.

    Examples:
        >>> from micro.datasets.time_words import unit_in
        >>> unit_in("t_ms"), unit_in("Zeit [s]"), unit_in("Zeit")
        ('ms', 's', None)
    """
    for unit, words in UNITS.items():
        if re.search(rf"(?i)(?:[\s_.\-/(\[{{]|^\[\(?)(?:{words})[\]\)}}]*$", name.strip()):
            return unit
    return None
