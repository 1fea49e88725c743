"""The text of a log, block by block: its memory is a block's, whatever the file's size."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.errors import DataError

# Characters of a block, and of the longest row: anything longer is no log.
BLOCK, LONGEST = 1 << 20, 1 << 20
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# What serial lines and lost power leave at the ends of lines.
PADDING = " \0\r"


@dataclass(frozen=True)
class Block:
    """Lines that follow each other, without their ends and padding; the first is line `first` of the file, from 1.

    `cut` says that the file ends within the last line.
    """

    first: int
    lines: list[str]
    cut: bool


@dataclass(frozen=True)
class Rows:
    """Rows of a log that follow each other, n of them, between two restarts of the device.

    `numbers` are their lines in the file, `scores` are in real units and NaN where the sensor was at fault, `sessions` and
    `devices` are their names, '' where there is none, `features` (n, columns) are those of the log's `columns`.
    """

    boot: int
    numbers: np.ndarray
    scores: np.ndarray
    sessions: np.ndarray
    devices: np.ndarray
    columns: tuple[int, ...]
    features: np.ndarray


@dataclass(frozen=True)
class Passed:
    """A line that is no row: what a device prints when it starts, a row that a power cut left half written."""

    number: int
    text: str


def blocks(path: Path) -> Iterator[Block]:
    """The file's lines; bytes that are no UTF-8 become U+FFFD.

    Raises:
        DataError: For a file that cannot be read, is no text or has a line that no log has.
    """
    try:
        with path.open("rb") as binary:
            start = binary.read(4)
        encoding = next((name for bom, name in BOMS if start.startswith(bom)), "utf-8")
        errors = "strict" if encoding == "utf-16" else "replace"
        with path.open(encoding=encoding, errors=errors) as file:
            yield from _blocks(path, file.read, 1)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeError as error:
        raise DataError(f"{path} is not text: {error}") from None


def _blocks(path: Path, read: Callable[[int], str], first: int) -> Iterator[Block]:
    rest = ""
    while text := read(BLOCK):
        *lines, rest = (rest + text).split("\n")
        yield _checked(path, first, lines, False)
        first += len(lines)
        if len(rest) > LONGEST:
            raise DataError(f"{path}, row {first} has more than {LONGEST:,} characters; it is no row of a log")
    if rest:
        yield _checked(path, first, [rest], True)


def _checked(path: Path, first: int, lines: list[str], cut: bool) -> Block:
    if lines and max(map(len, lines)) > LONGEST:
        number = first + next(place for place, line in enumerate(lines) if len(line) > LONGEST)
        raise DataError(f"{path}, row {number} has more than {LONGEST:,} characters; it is no row of a log")
    return Block(first, [line.strip(PADDING) for line in lines], cut)


def excerpt(text: str, most: int = 60) -> str:
    """A line as an error shows it: quoted, on one line, not longer than it helps."""
    return repr(text if len(text) <= most else f"{text[: most - 3]}...")
