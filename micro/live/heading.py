"""What stands above rows of numbers, names and units, and rows that are numbers with a decimal comma."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from micro.datasets import cells as cell

# Letters of a line that a message quotes.
QUOTED = 60
# An integer between commas, and one whose zero in front shows that it is what follows a decimal comma.
WHOLE, DIGITS, LED_BY_ZERO = re.compile(r"[+-]?[0-9]+"), re.compile(r"[0-9]+"), re.compile(r"0[0-9]+")
COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?")
# The rows that are asked whether they are decimals, and those of them that must say so: one more than a digit lost on the wire.
ASKED, CERTAIN = 100, 2
# What a board prints when it starts, and no name of a channel.
GREETING = re.compile(
    r"(?i)(ready|start(ed|ing|up)?|begin|boot(ing)?|setup|init|done|ok|hello|reset|go|running|online)"
)
UNIT = re.compile(
    r"(?i)-|g|k?m|mm|cm|[mµu]?s|h|min|[mk]?v|m?a|k?w|h?pa|[kM]pa|m?bar|c|k|k?hz|n|nm|rpm|db|l|kg|t|mg|.*[/°%²³()\[\]].*"
)


@dataclass
class Decimals:
    """Rows so far of a source without names, and how many of them show a decimal comma."""

    rows: int = 0
    shown: int = 0
    asks: bool = True
    first: tuple[str, ...] = ()

    def add(self, cells: Sequence[str]) -> bool:
        """Whether it is certain with this row that its commas are decimal ones."""
        self.asks = self.asks and self.rows < ASKED and may_be_decimals(cells)
        if self.asks:
            self.rows += 1
            self.first = self.first or tuple(cells)
            self.shown += shows_decimals(cells)
        return self.asks and self.shown >= CERTAIN

    @property
    def at_end(self) -> bool:
        """Whether the few rows of a source that has ended are decimals."""
        return self.asks and 0 < self.rows < ASKED and self.shown > 0


def may_be_decimals(cells: Sequence[str]) -> bool:
    """Whether the cells of a line between commas can be read in pairs as numbers with a decimal comma.

    Examples:
        >>> from micro.live.heading import may_be_decimals
        >>> may_be_decimals(["0", "4635"]), may_be_decimals(["3", "-1"]), may_be_decimals(["0.5", "3"])
        (True, False, False)
    """
    whole, after = cells[::2], cells[1::2]
    return len(whole) == len(after) > 0 and all(map(WHOLE.fullmatch, whole)) and all(map(DIGITS.fullmatch, after))


def shows_decimals(cells: Sequence[str]) -> bool:
    """Whether cells that may be decimals are: an integer has no zero in front, unless all have, and no sign before 0."""
    whole, after = cells[::2], cells[1::2]
    padded = any(LED_BY_ZERO.fullmatch(each.lstrip("+-")) for each in whole)
    return "-0" in whole or (not padded and any(map(LED_BY_ZERO.fullmatch, after)))


def with_points(text: str) -> str | None:
    """A line of numbers with a decimal comma between semicolons, tabs or blanks as it should be sent; None for any other.

    Examples:
        >>> from micro.live.heading import with_points
        >>> with_points("0,4635;-0,1907"), with_points("1, 2"), with_points("1,2")
        ('0.4635;-0.1907', None, None)
    """
    separator = next((each for each in (";", "\t", " ") if each in text), None)
    if separator is None or "," not in text:
        return None
    parts = [each.strip() for each in text.split(separator) if each.strip()]
    commas = [COMMA.fullmatch(each) is not None for each in parts]
    fits = len(parts) > 1 and any(commas) and all(map(_fits, parts, commas))
    return text.replace(",", ".") if fits else None


def _fits(part: str, comma: bool) -> bool:
    return comma or cell.number(part) is not None


def decimal_comma(cells: Sequence[str]) -> str:
    """What is wrong with cells that may be decimals, and what would be right.

    Examples:
        >>> from micro.live.heading import decimal_comma
        >>> decimal_comma(["0", "4635"])[:54]
        "'0,4635' reads as numbers with a decimal comma: send '"
    """
    pointed = ";".join(f"{whole}.{after}" for whole, after in zip(cells[::2], cells[1::2]))
    text = ",".join(cells)
    return (
        f"{quoted(text)} reads as numbers with a decimal comma: send {quoted(pointed)}; if it is {len(cells)} integers, "
        "name a channel for each by --channels"
    )


def fits_no_header(text: str, cells: Sequence[str], names: Sequence[str]) -> str:
    """What is wrong with rows that have another number of cells than there are names above them."""
    return (
        f"{quoted(text)} has {len(cells)} fields, and the line above names {len(names)}: {', '.join(names)[:200]}; let it name "
        "each field, or name all of them by --channels"
    )


def quoted(text: str) -> str:
    """The beginning of a text, as a message has it."""
    return repr(text if len(text) <= QUOTED else f"{text[:QUOTED]}...")


def are_names(cells: Sequence[str]) -> bool:
    """Whether cells may be a header: each a name of its own; a single one a word, as sentences are none."""
    if len(cells) == 1:
        return re.fullmatch(r"[^\W\d][\w.\[\]/()%°²-]*", cells[0]) is not None
    return len(set(cells)) == len(cells) and all(0 < len(each) <= 200 and each.isprintable() for each in cells)


def are_surely_names(cells: Sequence[str]) -> bool:
    """Whether cells are a header even where rows have more of them: words without blanks, and no greeting of a board."""
    return are_names(cells) and all(are_names([each]) and not GREETING.fullmatch(each) for each in cells)


def are_units(cells: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a line below names is one of their units: as many short words, of which none is a name that repeats.

    Examples:
        >>> from micro.live.heading import are_units
        >>> are_units(["s", "m/s²", "m/s²"], ["Zeit", "A", "B"]), are_units(["ax", "ay"], ["boot", "ok"])
        (True, False)
    """
    if len(cells) != len(names) or not are_names(names) or any(map(GREETING.fullmatch, names)):
        return False
    filled = [each for each in cells if each]
    return bool(filled) and all(len(each) <= 12 and UNIT.fullmatch(each) for each in filled)
