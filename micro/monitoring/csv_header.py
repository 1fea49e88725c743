"""Headers of CSV logs: where one is, how its rows are split, and which of its columns are read."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from micro.errors import DataError
from micro.monitoring import values
from micro.support.wording import excerpt

SEPARATORS = (",", ";", "\t", "|")
# What serial terminals put before a line: a time, with or without brackets and date, and what separates it from the line.
# A fraction of a second is one only where the header's time has it: a comma may also separate the time from the line.
_TIME = (
    r"^ *\[? *((([0-9]{4}-[0-9]{2}-[0-9]{2}[T ])|([A-Z][a-z]{2} +[0-9]{1,2} ))?[0-9]{1,2}:[0-9]{2}:[0-9]{2}FRACTION"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?|[0-9]+\.[0-9]+) *\]?"
)
_STAMP = re.compile(rf"(?P<time>{_TIME.replace('FRACTION', '(?P<fraction>[.,][0-9]+)?')})( *(->|>|\|) ?|[,;\t]|:? )")


@dataclass(frozen=True)
class Header:
    """A header of a log, without the terminal's time: its columns' names, and the places of those that are read.

    `stamp` is a regular expression of such times; None where there are none.
    """

    text: str
    separator: str
    stamp: str | None
    names: tuple[str, ...]
    scores: dict[str, int]
    sessions: tuple[int, ...]
    device: int | None
    mode: int | None
    status: int | None
    features: dict[int, int]

    @property
    def read(self) -> tuple[str, ...]:
        """Names of the columns that are read, sorted."""
        more = [place for place in (self.device, self.mode) if place is not None]
        places = [*self.scores.values(), *self.sessions, *self.features.values(), *more]
        return tuple(sorted(self.names[place] for place in places))

    def repeated(self, text: str) -> bool:
        """Whether a line repeats this header, alone or behind a row that a restart has cut short."""
        before = text.removesuffix(self.text)
        return before != text and not (before[-1:].isalpha() or before.endswith("_"))


def header_of(line: str, path: Path, number: int) -> Header | None:
    """The line as a header, if a score is among its columns; None for any other line.

    Raises:
        DataError: For a header that names a column twice.
    """
    if not any(score in line.casefold() for score in values.SCORES):
        return None
    stamp = _STAMP.match(line)
    stamped = [] if stamp is None else [(line[stamp.end() :], _times(stamp))]
    for text, times in (*stamped, (line, None)):
        for separator in SEPARATORS:
            names = tuple(name.strip().casefold() for name in split(text, separator))
            if set(values.SCORES) & set(names):
                return _header(text, separator, times, names, f"{path}, row {number}")
    return None


def _times(stamp: re.Match[str]) -> str:
    """A regular expression of times like the header's, with what follows them."""
    fraction = re.escape(stamp["fraction"][0]) + "[0-9]+" if stamp["fraction"] else ""
    return _TIME.replace("FRACTION", fraction) + re.escape(stamp.string[stamp.end("time") : stamp.end()])


def _header(text: str, separator: str, stamp: str | None, names: tuple[str, ...], where: str) -> Header:
    scores = {name: names.index(name) for name in values.SCORES if name in names}
    sessions = tuple(names.index(name) for name in values.SESSIONS if name in names)
    device = next((place for place, name in enumerate(names) if values.DEVICES.fullmatch(name)), None)
    mode = names.index(values.MODE) if values.MODE in names else None
    status = next((names.index(name) for name in values.STATUSES if name in names), None)
    features = {int(name[1:]): place for place, name in enumerate(names) if values.FEATURE.fullmatch(name)}
    header = Header(
        text, separator, stamp, names, scores, sessions, device, mode, status, dict(sorted(features.items()))
    )
    counts = Counter(names)
    twice = [name for name in header.read if counts[name] > 1]
    if twice:
        raise DataError(f"{where}: column {twice[0]!r} occurs {counts[twice[0]]} times; keep the one of this run")
    return header


def check_same(before: Header, now: Header, path: Path, number: int) -> None:
    """DataError where a later header of a log has other columns to read than the one before."""
    if before.read != now.read:
        raise DataError(
            f"{path}, row {number}: the columns change from {excerpt(before.text)} to {excerpt(now.text)}; "
            "write a log for each firmware"
        )


def split(text: str, separator: str) -> list[str]:
    """A line's fields, without quotes."""
    if '"' not in text:
        return text.split(separator)
    try:
        return next(csv.reader([text], delimiter=separator), [])
    except csv.Error:
        return [text]
