"""Files of text: running text, or pairs of a source and its target, one a line."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from micro.config import TextData
from micro.datasets.find import find_files, matches
from micro.datasets.unmatched import unmatched
from micro.detection.vocabulary import lowered
from micro.errors import DataError

# Letters of a source: the firmware keeps one in RAM.
LONGEST = 255


@dataclass(frozen=True)
class Pair:
    """A source and the tokens of its target; without any for a source alone."""

    source: str
    target: tuple[str, ...]


def read_text(path: Path) -> str:
    """A file's text, its line ends as newlines, its characters composed (NFC).

    Raises:
        DataError: Names file and line of what is not UTF-8 or a null character, and an empty file.
    """
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8 (byte 0x{content[error.start]:02x}); save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{path}, line {line}: a null character, which ends a text in firmware; leave it out")
    if not text.strip():
        raise DataError(f"{path} is empty: it holds no text")
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def read_pairs(path: Path, config: TextData) -> list[Pair]:
    """The pairs of a file, in its order; lines without any character are passed over.

    Raises:
        DataError: Names file and line of what is no pair.
    """
    pairs = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        cells = line.split("\t")
        if len(cells) != 2:
            found = "no tab" if len(cells) == 1 else f"{len(cells) - 1} tabs"
            raise DataError(f"{where}: {found}; a line is a source, one tab and its target")
        source, target = (cell.strip() for cell in cells)
        if not source or not target:
            raise DataError(f"{where}: the {'source' if not source else 'target'} is empty")
        pairs.append(Pair(source_of(source, config, where), tokens_of(target, config)))
    return pairs


def read_sources(path: Path, config: TextData) -> list[str]:
    """Sources without targets, one a line; of a line with a tab what stands before it."""
    lines = enumerate(read_text(path).split("\n"), 1)
    firsts = ((number, line.split("\t")[0].strip()) for number, line in lines)
    return [source_of(first, config, f"{path}, line {number}") for number, first in firsts if first]


def source_of(source: str, config: TextData, where: str) -> str:
    """A source as models take it; DataError for one that is too long."""
    source = lowered(source) if config.lowercase else source
    if len(source) > LONGEST:
        raise DataError(f"{where}: a source of {len(source)} characters; at most {LONGEST} are taken, so divide it")
    return source


def tokens_of(target: str, config: TextData) -> tuple[str, ...]:
    """The tokens of a target: its words, or its characters."""
    if config.target_tokens != "characters":
        return tuple(target.split())
    return tuple(lowered(target) if config.lowercase else target)


def files_by_part(config: TextData) -> dict[str, dict[Path, str]]:
    """The files of training, validation and test, by their names; all are of training where no pattern says otherwise.

    Raises:
        DataError: For a pattern that matches no file, or a file of two parts, or none left to train on.
    """
    named = find_files(config.files, config.folder)
    parts: dict[str, dict[Path, str]] = {"train": {}, "validation": {}, "test": {}}
    patterns = {"validation": config.validation_files, "test": config.test_files}
    for part, wanted in patterns.items():
        for pattern in wanted:
            found = {path: name for path, name in named.items() if matches(path, pattern, config.folder)}
            if not found:
                raise DataError(f"{part}_files: {unmatched(pattern, named, config.folder)}")
            parts[part] |= found
    both = sorted(set(parts["validation"].values()) & set(parts["test"].values()))
    if both:
        raise DataError(f"{both[0]} is in test_files and in validation_files; it can be in one of them")
    held = {*parts["validation"], *parts["test"]}
    parts["train"] = {path: name for path, name in named.items() if path not in held}
    if not parts["train"]:
        raise DataError("files, without test_files and validation_files, leaves no file to train on")
    return parts


def unlabeled_sources(config: TextData) -> list[str]:
    """The sources of `unlabeled_files`, each once, in their order."""
    if not config.unlabeled_files:
        return []
    paths: Sequence[Path] = list(find_files(config.unlabeled_files, config.folder))
    return list(dict.fromkeys(source for path in paths for source in read_sources(path, config)))
