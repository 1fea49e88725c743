"""Text as windows of tokens and what is learned of each, divided into training, validation and test."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from micro.config import Config, Span, TextData
from micro.datasets.pairs import Divided, Learned, divided_pairs, learned
from micro.datasets.spacing import evenly_spaced
from micro.datasets.text_files import Pair, files_by_part, read_text, unlabeled_sources
from micro.detection.vocabulary import Vocabulary, lowered, windows
from micro.errors import DataError
from micro.support.wording import counted

# Test windows of running text that are judged, evenly spaced; pairs are judged by all of the test.
MOST_JUDGED = 50_000
# Texts of the test that are kept, of running text stretches, and characters of a stretch.
MOST_KEPT, STRETCH = 200, 48
# Letters of a source that firmware has room for, or more where one of the files has more.
ROOM = 32
# Characters of a text that another file may have as a whole in another part: a few words are no copy.
LONGEST_COMMON = 200
# Label of a window whose target no output stands for.
NO_SYMBOL = -1


@dataclass(frozen=True)
class Text:
    """What a run on text knows besides its windows.

    Attributes:
        form: 'text' or 'pairs'.
        vocabulary: The characters of training.
        symbols: The tokens that each output stands for: one character of running text; none, one or two of a target.
        between: What stands between two tokens of an output.
        teacher, student: What each model sees around a place; windows hold both.
        pairs: The test's, whose windows follow one another letter by letter; empty of running text.
        unlabeled: Windows of sources without a target, (n, length) uint8.
        longest: Letters of the longest source that firmware takes; 0 of running text.
        kept: Sources or stretches of the test, for the firmware's self-test.
    """

    form: str
    vocabulary: Vocabulary
    symbols: tuple[tuple[str, ...], ...]
    between: str
    teacher: Span
    student: Span
    pairs: tuple[Pair, ...]
    unlabeled: np.ndarray
    longest: int
    kept: tuple[str, ...]

    @property
    def widest(self) -> Span:
        """What windows hold around a place."""
        return widest(self.teacher, self.student)

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs as reports name them."""
        return tuple(self.between.join(symbol) if symbol else "(none)" for symbol in self.symbols)


@dataclass(frozen=True)
class TextPart:
    """Windows of a part, (n, length) uint8, the output of each, (n,) int64, and the names of their files."""

    x: np.ndarray
    labels: np.ndarray
    origins: tuple[str, ...]


@dataclass(frozen=True)
class TextParts:
    """All that a source of text gives."""

    text: Text
    train: TextPart
    validation: TextPart
    test: TextPart
    notes: tuple[str, ...]


def widest(one: Span, other: Span) -> Span:
    """What holds both."""
    return Span(max(one.before, other.before), max(one.after, other.after))


def text_parts(config: Config) -> TextParts:
    """The windows of a config's text.

    Raises:
        DataError: Names file and line of what is damaged, missing or too little.
    """
    data = config.data
    assert isinstance(data, TextData)
    spans = (data.span(config.teacher), data.span(config.student))
    parts = _running(data, *spans) if data.form == "text" else _pairs(data, *spans, config.seed)
    if data.limit is not None and len(parts.train.x) > data.limit:
        kept = evenly_spaced(len(parts.train.x), data.limit)
        note = f"{len(kept):,} of {len(parts.train.x):,} training windows are learned from (limit)."
        parts = replace(parts, train=_rows(parts.train, kept), notes=(*parts.notes, note))
    return parts


def _rows(part: TextPart, rows: np.ndarray) -> TextPart:
    return TextPart(part.x[rows], part.labels[rows], tuple(part.origins[row] for row in rows.tolist()))


def _running(data: TextData, teacher: Span, student: Span) -> TextParts:
    """Running text: each character is predicted from those before it, within its own part."""
    texts = _texts(data)
    vocabulary, left_out = _vocabulary((text for _, text in texts["train"]), data)
    notes = _left_out_note(left_out)
    before = widest(teacher, student).before
    parts: dict[str, TextPart] = {}
    for name, named in texts.items():
        found = [_windows_of(file, text, vocabulary, before) for file, text in named]
        part = TextPart(
            np.concatenate([each.x for each in found]),
            np.concatenate([each.labels for each in found]),
            tuple(origin for each in found for origin in each.origins),
        )
        if name != "test":
            part, left = _rows(part, np.flatnonzero(part.labels != NO_SYMBOL)), part
            gone = len(left.x) - len(part.x)
            if gone:
                of = "training" if name == "train" else name
                notes.append(
                    f"{counted(gone, f'{of} window')} of {len(left.x):,} are left out: no output stands for their character."
                )
        parts[name] = part
    parts["train"] = _rows(parts["train"], np.arange(0, len(parts["train"].x), data.stride))
    unknown = int(np.count_nonzero(parts["test"].labels == NO_SYMBOL))
    if unknown:
        notes.append(
            f"{counted(unknown, 'character')} of the test's {len(parts['test'].x):,} are none that training had: they count as "
            "wrong, and the cross-entropy is of the others."
        )
    if len(parts["test"].x) > MOST_JUDGED:
        notes.append(
            f"the test is judged on {MOST_JUDGED:,} of its {len(parts['test'].x):,} characters, evenly spaced."
        )
        parts["test"] = _rows(parts["test"], evenly_spaced(len(parts["test"].x), MOST_JUDGED))
    _require_some({name: len(part.x) for name, part in parts.items()}, "character")
    symbols = tuple((character,) for character in vocabulary.characters)
    none = np.zeros((0, before), np.uint8)
    text = Text(
        "text", vocabulary, symbols, "", teacher, student, (), none, 0, _stretches([text for _, text in texts["test"]])
    )
    return TextParts(text, parts["train"], parts["validation"], parts["test"], tuple(notes))


def _texts(data: TextData) -> dict[str, list[tuple[str, str]]]:
    """Name and text of each stretch, by part: whole files where they are named, else beginnings and ends of files."""
    files = files_by_part(data)
    texts = {
        part: [(name, lowered(read_text(path)) if data.lowercase else read_text(path)) for path, name in named.items()]
        for part, named in files.items()
    }
    for part, fraction in (("test", data.test_fraction), ("validation", data.validation_fraction)):
        if texts[part]:
            continue
        # Of what is left of each file behind the test, so that both are fractions of the whole.
        share = fraction if part == "test" or files["test"] else fraction / (1 - data.test_fraction)
        cuts = [(name, text, round(len(text) * (1 - share))) for name, text in texts["train"]]
        texts[part] = [(name, text[cut:]) for name, text, cut in cuts if text[cut:]]
        texts["train"] = [(name, text[:cut]) for name, text, cut in cuts if text[:cut]]
    _require_some({part: len(named) for part, named in texts.items()}, "character")
    _require_apart(texts)
    return texts


def _require_apart(texts: dict[str, list[tuple[str, str]]]) -> None:
    """DataError where a part has a text that another file has in another part; a few words, or what repeats, may be alike."""
    for later, earlier in (("validation", "train"), ("test", "train"), ("test", "validation")):
        for (name, text), (other, known) in itertools.product(texts[later], texts[earlier]):
            short, long = sorted((text.strip(), known.strip()), key=len)
            found = long.find(short) if name != other and len(short) > LONGEST_COMMON else -1
            if found >= 0 and long.find(short, found + 1) < 0:
                of = {"train": "training"}.get(earlier, earlier)
                raise DataError(
                    f"{other} ({of}) and {name} ({later}) hold the same text, {len(short):,} characters; a test must not hold "
                    "what was trained on: leave one of them out of files, or have both in one part"
                )


def _stretches(texts: Sequence[str]) -> tuple[str, ...]:
    """Stretches of some texts, evenly spaced."""
    found = [text[start : start + STRETCH] for text in texts for start in range(0, len(text), STRETCH)]
    return tuple(found[row] for row in evenly_spaced(len(found), MOST_KEPT))


def _windows_of(file: str, text: str, vocabulary: Vocabulary, before: int) -> TextPart:
    tokens = vocabulary.tokens(text)
    labels = tokens.astype(np.int64) - 2
    return TextPart(windows(tokens, before, -1), np.maximum(labels, NO_SYMBOL), (file,) * len(tokens))


def _vocabulary(texts: Iterable[str], data: TextData) -> tuple[Vocabulary, int]:
    """The most frequent characters of training, in their order, and how many others there are."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    if len(counts) < 2:
        raise DataError(
            f"the training text holds one character alone, {next(iter(counts), '')!r}: there is nothing to learn"
        )
    known = sorted(sorted(counts), key=lambda each: -counts[each])[: data.most_characters]
    return Vocabulary(tuple(sorted(known)), data.lowercase), len(counts) - len(known)


def _left_out_note(count: int) -> list[str]:
    if not count:
        return []
    others = counted(count, "character")
    return [f"{others} beyond the most frequent (most_characters) are taken as unknown and never predicted."]


def _require_some(lengths: dict[str, int], what: str) -> None:
    """DataError for a part without anything."""
    empty = next((part for part, length in lengths.items() if not length), None)
    if empty is not None:
        raise DataError(
            f"the {empty} part holds no {what}: give more text, name {empty}_files, or raise {empty}_fraction"
            if empty != "train"
            else f"the training part holds no {what}: give more text, or fewer files to test"
        )


def _pairs(data: TextData, teacher: Span, student: Span, seed: int) -> TextParts:
    """Pairs: each letter of a source becomes none, one or two tokens of its target."""
    sources = unlabeled_sources(data)
    divided: Divided = divided_pairs(data, seed)
    held = {pair.source for pair in (*divided.validation, *divided.test)}
    tested = len(sources)
    sources = [source for source in sources if source not in held]
    tested -= len(sources)
    vocabulary, left_out = _vocabulary((pair.source for pair in divided.train), data)
    found: Learned = learned(divided, vocabulary, data)
    span = widest(teacher, student)
    train, validation, test = (
        _pair_windows(pairs, labels, vocabulary, span, data.stride if part == "train" else 1, part)
        for part, pairs, labels in (
            ("train", found.train, found.train_labels),
            ("validation", found.validation, found.validation_labels),
            ("test", divided.test, None),
        )
    )
    unlabeled = _around(sources, vocabulary, span)
    notes = [*divided.notes, *_left_out_note(left_out), *found.notes]
    if sources:
        notes.append(
            f"{counted(len(sources), 'source')} without a target are learned from as the teacher transcribes them."
        )
    if tested:
        notes.append(f"{counted(tested, 'source')} of unlabeled_files were left out, as validation or test has them.")
    lengths = [len(pair.source) for pair in (*divided.train, *divided.validation, *divided.test)]
    longest = max(ROOM, *lengths)
    rows = evenly_spaced(len(divided.test), MOST_KEPT)
    kept = tuple(dict.fromkeys(divided.test[row].source for row in rows))
    between = "" if data.target_tokens == "characters" else " "
    text = Text("pairs", vocabulary, found.symbols, between, teacher, student, divided.test, unlabeled, longest, kept)
    return TextParts(text, train, validation, test, tuple(notes))


def _pair_windows(
    pairs: Sequence[Pair], labels: np.ndarray | None, vocabulary: Vocabulary, span: Span, stride: int, name: str
) -> TextPart:
    _require_some({name: len(pairs)}, "pair that can be aligned")
    x = _around([pair.source for pair in pairs], vocabulary, span)
    y = np.full(len(x), NO_SYMBOL, np.int64) if labels is None else labels
    kept = slice(None, None, stride)
    return TextPart(x[kept], y[kept], (name,) * len(x[kept]))


def _around(sources: Sequence[str], vocabulary: Vocabulary, span: Span) -> np.ndarray:
    """The windows of some sources, one a letter."""
    parts = [windows(vocabulary.tokens(source), span.before, span.after) for source in sources]
    return np.concatenate(parts) if parts else np.zeros((0, span.length), np.uint8)
