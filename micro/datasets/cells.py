"""What one cell of a table means: a number, nothing, or a word; and the same for whole columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

# What counts as an empty cell; anything else that is not a number is text.
EMPTY = frozenset(("", "nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "none"))
# Infinity, and what C's printf writes for values that are not numbers, are missing too.
NOT_FINITE = re.compile(r"[+-]?(?:inf|infinity|nan(?:\(\w*\))?|1\.#(?:inf|qnan|snan|ind)\w*)", re.IGNORECASE | re.ASCII)
# Numbers as instruments write them. Python's own float() also accepts 1_000, and digits of other scripts.
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
FLOAT32_MAX = float(np.finfo(np.float32).max)
# What stands for yes and for no in a column of them, in lower case; the number of a cell that says neither.
YES, NO, UNKNOWN = ("1", "yes", "true", "on"), ("0", "no", "false", "off"), -1
# Rows that are converted at a time.
BLOCK_ROWS = 1 << 18


def number(text: str, decimal: str = ".") -> float | None:
    """The number in a cell: NaN for one that counts as empty, None for text."""
    text = text.strip()
    plain = text if decimal == "." else text.replace(".", "?").replace(decimal, ".")
    if NUMBER.fullmatch(plain):
        return float(plain)
    if text.lower() in EMPTY or NOT_FINITE.fullmatch(text):
        return float("nan")
    return None


def hint(text: str, decimal: str) -> str:
    """The setting that helps where a cell is not a number."""
    text = text.strip()
    if "\0" in text:
        return "it holds NUL bytes, as a file does that was being written when the power failed"
    if decimal == "." and re.fullmatch(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?", text):
        return 'a decimal comma is read with decimal = ","'
    if decimal == "," and re.fullmatch(r"[+-]?[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?", text):
        return 'the config says decimal = ",", this is a decimal point'
    if re.fullmatch(r"[+-]?[0-9]{1,3}(?:[,.' _][0-9]{3})+(?:[.,][0-9]+)?", text):
        return "digits must not be grouped; export without a thousands separator"
    return 'set on_text = "missing" to treat text as missing'


def beyond(values: np.ndarray) -> np.ndarray:
    """Which finite values float32 cannot hold."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(values) & (np.abs(values) > FLOAT32_MAX)


def label(text: str) -> str:
    """A label as it is compared: in lower case; 0.0 and 0 are the same label, and an empty cell is none: ''."""
    text = text.strip().lower()
    if text in EMPTY:
        return ""
    value = float(text) if NUMBER.fullmatch(text) else None
    return f"{value:.12g}" if value is not None else text


def yes_or_no(text: str) -> int | None:
    """What a cell of a column of yes or no says: 1 or 0, -1 where it is empty, None for anything else."""
    word = label(re.sub(r"^\s*([01]),(0*)\s*$", r"\1.\2", text))
    return UNKNOWN if not word else 1 if word in YES else 0 if word in NO else None


def encoded(cells: Sequence[object], words: dict[str, int]) -> np.ndarray:
    """Labels as their places in `words`, to which new ones are added as they are spelled: (n,) int32."""
    known: dict[object, int] = {}
    codes = np.empty(len(cells), np.int32)
    for row, cell in enumerate(cells):
        code = known.get(cell)
        if code is None:
            text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
            code = known[cell] = words.setdefault(text.strip(), len(words))
        codes[row] = code
    return codes
