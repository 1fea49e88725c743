"""Text files in blocks of whole lines, and the rows of cells in them."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from micro.config import FilesData
from micro.errors import DataError

# Bytes read at once; characters from which on a block may have few lines; and the most that a line or a quoted cell may have.
BLOCK, WIDE, LONGEST = 1 << 20, 1 << 24, 1 << 26
GZIP = b"\x1f\x8b"
# Takes the place of a comment; no text file contains it.
COMMENTED = "\x1a"
# Lines that a block has at least, unless it is wide.
FEWEST = 50


@dataclass(frozen=True)
class Block:
    """Lines of a file, each ending in a line feed: the number of the first, and whether they are the last; `ended` is whether
    the last one ends so in the file."""

    line: int
    text: str
    last: bool
    ended: bool = True


def text_blocks(path: Path, config: FilesData) -> Iterator[Block]:
    """A file's text, gzip undone, decoded and with line feeds for ends of lines, in blocks of whole lines and whole quotes."""
    line, held = 1, ""
    try:
        with path.open("rb") as raw:
            start = raw.read(4)
            raw.seek(0)
            source = gzip.GzipFile(fileobj=raw) if start[:2] == GZIP else raw
            decoder: io.IncrementalNewlineDecoder | None = None
            while True:
                content = source.read(BLOCK)
                if decoder is None:
                    bare = codecs.getincrementaldecoder(_encoding(content, config))()
                    decoder = io.IncrementalNewlineDecoder(bare, translate=True)
                held += decoder.decode(content, final=not content)
                if not content:
                    break
                # Empty lines at the end of a file are not rows.
                end = len(held[: held.rfind("\n") + 1].rstrip("\n")) + 1
                enough = len(held) > WIDE or held.count("\n", 0, end) > FEWEST
                if end > 1 and enough and held.count('"', 0, end) % 2 == 0:
                    yield Block(line, _tidied(held[:end], config), False)
                    line += held.count("\n", 0, end)
                    held = held[end:]
                elif len(held) > LONGEST:
                    opened = unclosed_quote(_tidied(held, config), line, config.separator) if end > 1 else None
                    what = "a line goes on" if opened is None else "a quote is opened and not closed"
                    raise DataError(
                        f"{path}, line {opened or line}: {what} for more than {LONGEST:,} characters; is it a table?"
                    )
    except UnicodeDecodeError as error:
        raise DataError(_undecodable(path, line + held.count("\n"), error, config)) from None
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from None
    opened = unclosed_quote(_tidied(held, config), line, config.separator)
    # One in the last line is that of a line that is cut off, which is said where its cells are counted.
    if opened is not None and opened < line + held.rstrip("\n").count("\n"):
        raise DataError(
            f'{path}, line {opened}: a quote (") is opened and never closed, so that all that follows is one cell; close it or '
            "take it out"
        )
    if held.strip("\n"):
        yield Block(line, _tidied(held.rstrip("\n") + "\n", config), True, held.endswith("\n"))


def unclosed_quote(text: str, line: int, separator: str) -> int | None:
    """The line of a quote that opens a cell and is not closed in a text that begins at `line`; None where there is none."""
    opened, place = None, text.find('"')
    while place >= 0:
        if opened is None:
            # A quote within a cell, as that of inches, opens nothing.
            opened = place if place == 0 or text[place - 1] in ("\n", separator) else None
        elif text.startswith('"', place + 1):
            place += 1  # two of them are one in the cell
        else:
            opened = None
        place = text.find('"', place + 1)
    return None if opened is None else line + text.count("\n", 0, opened)


def bare_utf16(start: bytes) -> str | None:
    """The name of UTF-16 by which the beginning of a file is text although it has no byte order mark; None where it is not."""
    for name, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        half = start[first::2]
        if len(start) > 8 and half.count(0) > 0.8 * len(half) and start.count(0) < 0.6 * len(start):
            return name
    return None


def _encoding(start: bytes, config: FilesData) -> str:
    """The config's encoding; a byte order mark overrides it."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    name = codecs.lookup(config.encoding).name
    return "utf-8-sig" if name == "utf-8" or start.startswith(codecs.BOM_UTF8) else name


def _undecodable(path: Path, line: int, error: UnicodeDecodeError, config: FilesData) -> str:
    if error.end <= error.start or error.start >= len(error.object):
        return f"{path} cannot be read as CSV: {error}"
    line += error.object.count(b"\n", 0, error.start)
    byte = error.object[error.start]
    if error.encoding.startswith("utf-16"):
        return f"{path} cannot be read as CSV: it begins as UTF-16 and is not ({error.reason})"
    other = "latin-1" if codecs.lookup(config.encoding).name != "iso8859-1" else "utf-8"
    return (
        f"{path}, line {line}: byte 0x{byte:02x} is not {config.encoding}; set encoding to what the file is written in, such "
        f'as "{other}" or "cp1252"'
    )


def _tidied(text: str, config: FilesData) -> str:
    """A block with comments marked and runs of blanks collapsed, where the config says so; lines keep their numbers."""
    if config.comment is not None:
        text = re.sub(rf"(?m)^[ \t]*{re.escape(config.comment)}.*$", COMMENTED, text)
    if config.separator == " ":
        text = re.sub(r"(?m)^ | $", "", re.sub(r"[ \t]+", " ", text))
    return text


def records(text: str, line: int, config: FilesData, width: int = 0) -> Iterator[tuple[int, int, list[str]]]:
    """Rows of cells of a text that begins at `line`: the line of each, the line after it, its cells. Comments are not rows.

    Nor are empty lines, except in a file of one column: there they are cells without a value.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=config.separator)
    before = 0
    for cells in reader:
        if cells == [COMMENTED]:
            before = reader.line_num
            continue
        cells = [""] if width == 1 and not cells else cells
        if cells:
            yield line + before, line + reader.line_num, cells
        before = reader.line_num
