"""The text of a log, block by block, so that memory does not grow with the file."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.errors import DataError

# Characters of a block, and of the longest row: a file with longer ones is not a log.
BLOCK, LONGEST = 1 << 20, 1 << 20
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# What serial lines and power failures leave at the ends of lines.
PADDING = " \0\r"


@dataclass(frozen=True)
class Block:
    """Consecutive lines, without their ends and padding; the first is line `first` of the file, from 1.

    `cut` is True where the file ends within the last line.
    """

    first: int
    lines: list[str]
    cut: bool


@dataclass(frozen=True)
class Rows:
    """n consecutive rows of a log, between two restarts of the device.

    Attributes:
        boot: How often the device has restarted before them.
        numbers: (n,), their lines in the file.
        scores: (n,), in real units, NaN where the sensor was at fault.
        sessions, devices, modes, statuses: (n,) names, '' where there is none: of the start, the device, the operating
            mode, and what the detector said of the window.
        columns: Of the log, which are the features' places among the model's inputs.
        features: (n, columns), int8 values.
    """

    boot: int
    numbers: np.ndarray
    scores: np.ndarray
    sessions: np.ndarray
    devices: np.ndarray
    modes: np.ndarray
    statuses: np.ndarray
    columns: tuple[int, ...]
    features: np.ndarray


@dataclass(frozen=True)
class Skipped:
    """A line that is no row: what a device prints when it starts, or a row that a power failure cut short."""

    number: int
    text: str


def blocks(path: Path) -> Iterator[Block]:
    """The file's lines; bytes that are not UTF-8 become U+FFFD.

    Raises:
        DataError: For a file that cannot be read, is not text or has a line too long for a log.
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
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text: it begins as UTF-16 and is not ({error.reason})") from None


def _blocks(path: Path, read: Callable[[int], str], first: int) -> Iterator[Block]:
    rest = ""
    while text := read(BLOCK):
        *lines, rest = (rest + text).split("\n")
        yield _checked(path, first, lines, False)
        first += len(lines)
        if len(rest) > LONGEST:
            raise DataError(f"{path}, row {first} has more than {LONGEST:,} characters; it is not a row of a log")
    if rest:
        yield _checked(path, first, [rest], True)


def _checked(path: Path, first: int, lines: list[str], cut: bool) -> Block:
    if lines and max(map(len, lines)) > LONGEST:
        number = first + next(place for place, line in enumerate(lines) if len(line) > LONGEST)
        raise DataError(f"{path}, row {number} has more than {LONGEST:,} characters; it is not a row of a log")
    return Block(first, [line.strip(PADDING) for line in lines], cut)
