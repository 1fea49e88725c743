"""Lines as rows of numbers: which columns there are, what is damaged, what was lost."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from micro.datasets import cells as cell
from micro.datasets.time_words import CLOCK, unit_in
from micro.errors import DataError
from micro.live import forwarded, heading
from micro.live.columns import Columns, RefusedError, Row
from micro.live.counts import Counts
from micro.live.heading import decimal_comma, quoted
from micro.live.lines import Line
from micro.support.wording import counted

SEPARATORS = (",", ";", "\t")
# The most columns, lines in a row that may be no samples, of these ones that a header does not fit before any that it does, and
# how far back a sequence number is only late.
MOST_COLUMNS, MOST_UNREAD, MOST_UNFIT, LATE = 1024, 1000, 5, 1000


@dataclass
class RowReader:
    """Lines as rows, and what is known of them so far.

    Attributes:
        given: Names of channels: those to take of a header, or of all columns where the source has no header.
        own_time: Whether a clock of the board is left out, as rows are evenly spaced.
        ordered: Whether what comes later was sent later.
        columns: None until the first row.
        forward: What firmware that forwards says of its rows.
    """

    given: tuple[str, ...] = ()
    own_time: bool = False
    ordered: bool = True
    columns: Columns | None = None
    forward: forwarded.Forward | None = None
    counts: Counts = field(default_factory=Counts)
    _above: tuple[str, ...] = ()
    _units: str = ""
    _decimals: heading.Decimals = field(default_factory=heading.Decimals)
    _unfit: int = 0
    _said: str = ""
    _separator: str | None = None
    _lost: int = 0
    _apart: bool = False
    _restarted: bool = False
    _sequence: int | None = None
    _time: float | None = None
    _unread: int = 0

    def reconnected(self) -> None:
        """The connection was lost: what comes next does not follow what came before."""
        self.counts.restarts += self.columns is not None
        self._apart, self._restarted, self._lost, self._time, self._sequence = True, True, 0, None, None

    def ended(self) -> None:
        """The source has ended.

        Raises:
            RefusedError: Where the few rows that came are numbers with a decimal comma.
        """
        if self._decimals.at_end:
            raise RefusedError(decimal_comma(self._decimals.first))

    def cut(self) -> None:
        """A line that has no end."""
        self.counts.cut += 1
        self._lose()

    def row(self, line: Line) -> Row | None:
        """A line as a sample; None where it is none.

        Raises:
            DataError: Where the columns become others, or nothing can be read for many lines.
        """
        if line.text == "":
            return None
        found = None if line.text is None else self._read(line.text, line.begun)
        if line.text is None:
            self._damage("bytes that are no text")
        self._unread = 0 if found is not None else self._unread + 1
        if self._unread > MOST_UNREAD:
            why = self.counts.first_damaged or f"{line.text or ''!r:.{heading.QUOTED}} is no row of numbers"
            raise DataError(
                f"{self._unread} lines in a row were no samples ({why}); is it the right source, and the right baud rate?"
            )
        return found

    def _read(self, text: str, begun: bool) -> Row | None:
        if text.startswith("#"):
            self._said = text
            self.counts.text += forwarded.ABOUT.fullmatch(text) is None
            return None
        cells = self._cells(text)
        if cells is None:
            self._damage(f"{quoted(text)} is no JSON object of numbers")
            return None
        if not begun:
            self.counts.cut += 1  # neither its first number nor its first name is known
            return None
        pointed = heading.with_points(text) if self.columns is None or not self.counts.samples else None
        if pointed is not None:
            raise RefusedError(f"{quoted(text)} has decimal commas; send decimal points: {quoted(pointed)}")
        if not any(map(_is_number, cells)):
            self._words(text, cells)
            return None
        if self.columns is None:
            if any(not _is_number(each) for each in cells):
                self._damage(f"{quoted(text)} is no row of numbers")
                return None
            if self.forward is not None or (len(cells) > 2 and forwarded.is_whole(text)):
                self.counts.unnamed += 1  # of firmware that has begun before: it says the names again soon
                return None
            self._separator = next((each for each in SEPARATORS if each in text), None)
            self.columns = self._settle(text, cells)
        if not self.columns.named and not self.given and self._separator == "," and self._decimals.add(cells):
            raise RefusedError(decimal_comma(self._decimals.first))
        if len(cells) != len(self.columns.names):
            self._fits_no_header(text, cells)
            self._damage(f"{quoted(text)} has {len(cells)} fields in place of {len(self.columns.names)}")
            return None
        if self.columns.checked and not forwarded.is_whole(text):
            self._damage(f"{quoted(text)} is not as it was sent: its check is another")
            return None
        return self._sample(text, cells, self.columns)

    def _cells(self, text: str) -> list[str] | None:
        """The cells of a line; of a JSON object its values in the order of the first, which also names the columns."""
        if text.startswith("{"):
            return self._of_object(text)
        separator = self._separator or next((each for each in SEPARATORS if each in text), None)
        if separator is None:
            parts = text.split()
            return parts if len(parts) > 1 and all(map(_is_number, parts)) else [text]
        if '"' not in text:
            return [each.strip() for each in text.split(separator)]
        try:
            return [each.strip() for each in next(csv.reader([text], delimiter=separator))]
        except (csv.Error, StopIteration):
            return [text]

    def _of_object(self, text: str) -> list[str] | None:
        try:
            held = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(held, dict) or not held or not all(map(_is_plain, held.values())):
            return None
        if len(held) > MOST_COLUMNS or not all(0 < len(name) <= 200 and name.isprintable() for name in held):
            return None
        if self.columns is None:
            self._separator = None
            self.columns = self._chosen(tuple(held), named=True)
        if set(held) != set(self.columns.names):
            return None
        return ["" if held[name] is None else str(held[name]) for name in self.columns.names]

    def _words(self, text: str, cells: list[str]) -> None:
        """A line without a number: a header, or what a board prints."""
        if forwarded.is_header(cells):
            self._header(text, tuple(cells))
            return
        known = self.columns
        if known is None:
            self._above = (*self._above[-1:], text)
            self.counts.text += 1
            return
        if tuple(cells) == known.names and known.named:
            self._restarted = True  # a board says what it sends when it starts
            return
        if text == self._units:
            return
        if len(cells) == len(known.names):
            if len(cells) > 1 and known.named and {*cells} & {*known.names}:
                now, before = ", ".join(cells)[:200], ", ".join(known.names)[:200]
                raise DataError(f"the columns become {now} where they were {before}; record again")
            if any(letter.isdigit() for letter in text):
                self._damage(f"{quoted(text)} is no row of numbers")
                return
        self.counts.text += 1

    def _header(self, text: str, names: tuple[str, ...]) -> None:
        """The header of forwarded rows, which is taken if it and the line above it are as they were sent."""
        said = forwarded.said(self._said, text)
        if said is None:
            self.counts.cut += 1
            return
        if self.columns is not None and (said, names) != (self.forward, self.columns.names):
            raise DataError(f"the board sends something else from here on ({text[:200]}); record again")
        self.forward, self._separator, self._restarted = said, ",", True
        self.columns = self.columns or self._chosen(names, named=True)

    @property
    def in_counts(self) -> bool:
        """Whether the board says that its samples are counts of its converter."""
        return self.forward is not None and forwarded.COUNTS in self.forward.parts

    def _settle(self, text: str, cells: Sequence[str]) -> Columns:
        """The columns, by the line above the first row if that is a header, or by the one above a row of units."""
        width = len(cells)
        if width > MOST_COLUMNS:
            raise DataError(f"a line has {width:,} fields; the most are {MOST_COLUMNS:,}")
        above = [held for each in self._above if (held := self._cells(each)) is not None]
        units = above.pop() if len(above) == 2 and heading.are_units(above[1], above[0]) else None
        names = above[-1] if above else []
        surely = heading.are_surely_names(names) and width > len(names) > 0 and len(self.given) != width
        if surely and len(names) == 1:
            if width == 2 and heading.may_be_decimals(cells):
                raise RefusedError(f"below the one name {names[0]!r} {decimal_comma(cells)}")
            surely = False  # a word that a board prints
        if (len(names) == width and heading.are_names(names)) or surely:
            self.counts.text -= 1 if units is None else 2
            self._units = "" if units is None else self._above[-1]
            return self._chosen(tuple(names), named=True, units=units or ())
        if self.given and len(self.given) != width:
            raise DataError(
                f"--channels names {len(self.given)}, and lines have {width} fields without a header; name all of them"
                + (f", or {decimal_comma(cells)}" if heading.may_be_decimals(cells) else "")
            )
        return self._chosen(self.given or tuple(f"c{place}" for place in range(width)), named=False)

    def _fits_no_header(self, text: str, cells: Sequence[str]) -> None:
        """A line with another number of fields than there are names, of which the first ones are no damage."""
        known = self.columns
        if known is None or not known.named or self.counts.samples:
            return
        self._unfit += 1
        if len(cells) == 2 * len(known.names) and heading.may_be_decimals(cells):
            raise RefusedError(f"below {counted(len(known.names), 'name')} {decimal_comma(cells)}")
        if self._unfit >= MOST_UNFIT:
            raise RefusedError(heading.fits_no_header(text, cells, known.names))

    def _chosen(self, names: tuple[str, ...], *, named: bool, units: Sequence[str] = ()) -> Columns:
        """Which columns are recorded; `units` are those below the names."""
        checked = self.forward is not None
        sequence = names.index(forwarded.FIRST) if forwarded.FIRST in names else None
        clock = next((place for place, name in enumerate(names) if CLOCK.match(name) and place != sequence), None)
        beside = forwarded.window_places(self.forward, names)
        window = forwarded.score_places(self.forward, names)
        special = {sequence, clock, *beside} | ({len(names) - 1} if checked else set())
        channels = tuple(place for place in range(len(names)) if place not in special)
        called: tuple[str, ...] = ()
        if named and self.given:
            own = [names[place] for place in channels]
            missing = next((name for name in self.given if name not in names), None)
            if missing is None:
                channels = tuple(names.index(name) for name in self.given)
            elif len(own) == len(self.given) and not {*own} & {*self.given}:
                called = self.given
            else:
                raise RefusedError(
                    f"the source has no channel {missing!r}; it has {', '.join(own)[:300]}: --channels names some of these, or "
                    f"{len(own)} other names for all of them in this order"
                )
        if not channels:
            raise DataError(f"the source has no channel beside {', '.join(names)}")
        unit = "" if clock is None or not units or unit_in(names[clock]) else unit_in(f"[{units[clock]}]") or ""
        clock = None if self.own_time else clock
        return Columns(names, channels, sequence, clock, checked, window, named, called, unit)

    def _sample(self, text: str, cells: list[str], columns: Columns) -> Row | None:
        values = [cell.number(each) for each in cells]
        needed = [place for place in (columns.sequence, columns.clock) if place is not None]
        of_window = columns.window or ()
        for place in (*columns.channels, *needed):
            value = values[place]
            if value is None or abs(value) > cell.FLOAT32_MAX or (place in needed and math.isnan(value)):
                self._damage(f"{quoted(text)} has {quoted(cells[place])} in place of a number")
                return None
        if not self._in_sequence(values, columns):
            return None
        clock = values[columns.clock] if columns.clock is not None else None
        if clock is not None and self._time is not None:
            if clock == self._time:
                named = columns.names[columns.clock or 0]
                raise DataError(
                    f"the time stands still at {clock:g} in column {named!r}; give --rate, and rows are evenly spaced instead"
                )
            self._apart = self._apart or clock < self._time
        self._time = clock
        taken = ["" if math.isnan(values[place] or 0.0) else cells[place] for place in columns.channels]
        window = None
        if of_window and all(cells[place] for place in of_window):
            window = tuple(int(cells[place]) for place in of_window)
        numbered = columns.sequence
        row = Row(
            tuple(taken),
            0 if self._apart else self._lost,
            self._apart,
            None if numbered is None else int(values[numbered] or 0),
            "" if columns.clock is None else cells[columns.clock],
            window,
        )
        self.counts.samples += 1
        self.counts.lost += row.lost
        self._lost, self._apart, self._restarted = 0, False, False
        return row

    def _in_sequence(self, values: Sequence[float | None], columns: Columns) -> bool:
        """Count what is lost by the row's number; False where it is late or damaged."""
        if columns.sequence is None:
            if self._restarted and self.counts.samples and not self._apart:
                self.counts.restarts += 1
                self._apart = True
            return True
        number = values[columns.sequence]
        if number is None or number != int(number) or not 0 <= number < forwarded.TURN:
            self._damage(f"{number} is no sequence number")
            return False
        before, self._sequence = self._sequence, int(number)
        if before is None:
            return True
        ahead = (int(number) - before) % forwarded.TURN
        if 0 < ahead < forwarded.TURN // 2:
            self._lost = ahead - 1
            return True
        if (not self.ordered and not self._restarted and forwarded.TURN - ahead <= LATE) or ahead == 0:
            self._sequence = before
            self.counts.late += 1
            return False
        self.counts.restarts += 1
        self._apart = True
        return True

    def _damage(self, why: str) -> None:
        self.counts.damaged += 1
        self.counts.first_damaged = self.counts.first_damaged or why
        self._lose()

    def _lose(self) -> None:
        """A sample that cannot be read takes its time; where samples are numbered, the numbers say so."""
        if self.columns is not None and self.columns.sequence is None and self.counts.samples:
            self._lost += 1


def _is_number(text: str) -> bool:
    return cell.number(text) is not None


def _is_plain(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
