"""What names of files and folders say: which are healthy, which are faulty, what their classes are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from micro.support.wording import listed

# Words that mean healthy and faulty; a name that has both, or a negation before the former, is not healthy, and one that denies
# a fault is. Parts of a bearing stand in names of faulty files, but do not say that one is faulty.
HEALTHY = re.compile(
    r"(?i)(?<![a-z])(normal|healthy|good|ok|io|baseline|reference|intact|undamaged|gesund|gut)(?![a-z])"
)
_FAULTS = (
    r"faulty|faults?|defekte?|defects?|defective|bad|broken|damaged?|worn|wear|crack(?:s|ed)?|nok|nio|anomal\w+|abnormal|"
    r"fail\w*|leak\w*|unbalanced?|misalign\w*|schlecht"
)
FAULT = re.compile(rf"(?i)(?<![a-z])(?:{_FAULTS})(?![a-z])")
PLACE = re.compile(r"(?i)(?<![a-z])(inner|outer|race)(?![a-z])")
DENIED = re.compile(
    rf"(?i)(?<![a-z])(?:(?:no|not|non|without|zero|ohne|kein[a-z]*|nicht)[_ -]*(?:{_FAULTS})(?![a-z])"
    r"|(?:fault|defect|damage|wear|crack|leak|fehler|schaden)s?[_ -]?(?:free|frei)(?![a-z]))"
)
NEGATED = re.compile(r"(?i)(?<![a-z])(not|non|un|nicht|nich)[_ -]*(?=normal|healthy|good|ok|io|gesund|gut)")
# Folders and words that are no classes: parts of a division, dates, months; and those that number something.
PARTS = re.compile(r"(?i)^(train|training|test|testing|val|valid|validation|eval|dev|holdout)$")
DATES = re.compile(r"^(19|20)\d{2}([-_.]?\d{1,2}){0,2}$")
MONTHS = re.compile(r"(?i)^(jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-z]*$")
NUMBERED = re.compile(r"^[A-Za-z]{0,12}[-_ ]?\d+$")
# More words than this at the beginnings of names are no classes.
MOST_CLASSES = 50
# Names that a sentence lists.
NAMED = 6


@dataclass(frozen=True)
class Classes:
    """Names of classes, settings of section [data] that say so (none where each is a folder), and how they were found."""

    names: tuple[str, ...]
    settings: dict[str, object]
    reason: str


def is_healthy(name: str) -> bool:
    """Whether a name says that its file is healthy."""
    return bool(HEALTHY.search(name) or DENIED.search(name)) and not is_faulty(name)


def is_faulty(name: str) -> bool:
    """Whether a name says that its file is faulty, or not healthy, or names a part of a bearing as files of faults do."""
    return names_a_fault(name) or bool(PLACE.search(name))


def names_a_fault(name: str) -> bool:
    """Whether a name says that its file is faulty, or not healthy."""
    return bool(FAULT.search(DENIED.sub("", name)) or NEGATED.search(name))


def classes_of(names: Sequence[str]) -> Classes | None:
    """The classes of files by their folders, or by words that their names begin or end with; None where there are none.

    Folders that number something, such as subjects, are classes only where nothing else can be.
    """
    depth = min(name.count("/") for name in names)
    levels = [[name.split("/")[: depth + 1][level] for name in names] for level in range(depth)]
    named = [level for level in range(depth) if _are_classes(levels[level]) and not _all(NUMBERED, levels[level])]
    if named:
        return _by_level(names, levels, named[-1])
    for pattern, where in ((r"([^\W\d_]{2,})(?=[\W_\d])", "begin"), (r".*?([^\W\d_]{2,})\.[^.]*$", "end")):
        if (found := _by_words(names, pattern, where)) is not None:
            return found
    numbered = [level for level in range(depth) if _are_classes(levels[level])]
    return _by_level(names, levels, numbered[-1]) if numbered else None


def _are_classes(words: Sequence[str]) -> bool:
    several = 2 <= len(set(words)) <= max(2, len(words) // 2)
    return several and not any(_all(each, words) for each in (PARTS, DATES, MONTHS))


def _all(pattern: re.Pattern[str], words: Sequence[str]) -> bool:
    return all(pattern.match(word) for word in words)


def _by_level(names: Sequence[str], levels: Sequence[Sequence[str]], level: int) -> Classes:
    """Folders at one level are classes; those of the others may be parts of a division, or subjects."""
    found = tuple(sorted(set(levels[level])))
    folders = listed(found, NAMED)
    settings: dict[str, object] = {}
    reason = f"the files lie in {len(found)} folders, so each folder is a class: {folders}"
    deepest = all(name.count("/") == level + 1 for name in names)
    if not deepest:
        settings["classes"] = {word: [f"{'*/' * level}{word}/**"] for word in found}
        reason = f"the files lie below {len(found)} folders, so each of these is a class: {folders}"
    for other in range(len(levels)):
        if other != level and _all(PARTS, levels[other]):
            for word in sorted(set(levels[other])):
                part = "test_files" if word.lower().startswith(("test", "eval", "holdout")) else "validation_files"
                if not word.lower().startswith("train"):
                    settings[part] = [f"{'*/' * other}{word}/**"]
            reason += f"; {listed(sorted(set(levels[other])), NAMED)} are parts of a division"
    if _all(NUMBERED, levels[level]):
        reason += "; if these are subjects or machines, name the classes otherwise"
    return Classes(found, settings, reason)


def _by_words(names: Sequence[str], pattern: str, where: str) -> Classes | None:
    """Words that all names begin or end with, each in two files or more."""
    found = [re.match(pattern, name.rpartition("/")[2]) for name in names]
    if not all(found):
        return None
    words = [each[1] for each in found if each]
    counts = Counter(words)
    if not 2 <= len(counts) <= MOST_CLASSES or min(counts.values()) < 2 or any(_all(p, words) for p in (PARTS, MONTHS)):
        return None
    # A pattern of a word matches the names of another that contains it.
    ends = [(word, "startswith" if where == "begin" else "endswith") for word in counts]
    if any(one != other and getattr(other, how)(one) for one, how in ends for other in counts):
        return None
    patterns = {word: [f"{word}*" if where == "begin" else f"*{word}.*"] for word in sorted(counts)}
    said = listed(sorted(counts), NAMED)
    reason = f"the files' names {where} with {len(counts)} words again and again, so each is a class: {said}"
    return Classes(tuple(sorted(counts)), {"classes": patterns}, reason)
