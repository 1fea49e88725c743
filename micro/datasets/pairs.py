"""Pairs of a source and its target: divided so that no word is on two sides, and aligned letter by letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.config import TextData
from micro.datasets.alignment import Chunk, align, align_by
from micro.datasets.text_files import Pair, files_by_part, read_pairs
from micro.detection.vocabulary import Vocabulary
from micro.errors import DataError
from micro.support.wording import counted

# Outputs of a model where nothing is said.
MOST_SYMBOLS = 100


@dataclass(frozen=True)
class Divided:
    """The pairs of each part, no word in two of them, and sentences on how they were divided."""

    train: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    test: tuple[Pair, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Learned:
    """The tokens of each output, and the pairs that outputs can spell with the output of each of their letters, (n,) int64."""

    symbols: tuple[tuple[str, ...], ...]
    train: tuple[Pair, ...]
    train_labels: np.ndarray
    validation: tuple[Pair, ...]
    validation_labels: np.ndarray
    notes: tuple[str, ...]


def divided_pairs(data: TextData, seed: int) -> Divided:
    """The pairs of a config's files by part.

    Parts that files are named for have all of these files' pairs. What the config leaves open is divided by whole words: pairs
    with one source, or with one target of characters, are on one side.

    Raises:
        DataError: Names file and line of what is no pair.
    """
    parts = {
        part: [pair for path in named for pair in read_pairs(path, data)] for part, named in files_by_part(data).items()
    }
    notes = []
    of_one = DataError("no pair is left to train on: all of them are of one word; give pairs of other words")
    for part, fraction in (("test", data.test_fraction), ("validation", data.validation_fraction)):
        if not parts["train"]:
            raise of_one
        if not parts[part]:
            share = fraction if part == "test" or data.test_files else fraction / (1 - data.test_fraction)
            parts["train"], parts[part] = _taken_out(parts["train"], share, data, (seed, len(part)), part)
            notes.append(f"{counted(len(parts[part]), 'pair')} of whole words were kept apart for {part}.")
    if not parts["train"]:
        raise of_one
    for part, others in (("validation", ("test",)), ("train", ("validation", "test"))):
        taken = {key for other in others for pair in parts[other] for key in _keys(pair, data)}
        kept = [pair for pair in parts[part] if taken.isdisjoint(_keys(pair, data))]
        if len(kept) < len(parts[part]):
            left = counted(len(parts[part]) - len(kept), "pair")
            what = "training" if part == "train" else "validation"
            notes.append(f"{left} of {what} were left out, as {' or '.join(others)} has the same word.")
        if not kept:
            raise DataError(
                f"every pair of {part} has a word that is in {' or '.join(others)}; give pairs of other words"
            )
        parts[part] = kept
    return Divided(tuple(parts["train"]), tuple(parts["validation"]), tuple(parts["test"]), tuple(notes))


def _keys(pair: Pair, data: TextData) -> tuple[tuple[str, object], ...]:
    """What must not be in two parts: a source, and a target that is a word of its own."""
    source = ("source", pair.source)
    return (source, ("target", pair.target)) if data.target_tokens == "characters" else (source,)


def _taken_out(
    pairs: Sequence[Pair], share: float, data: TextData, seed: tuple[int, int], part: str
) -> tuple[list[Pair], list[Pair]]:
    """What stays, and a share of the pairs, drawn by groups that hang together by their words."""
    groups = _groups(pairs, data)
    order = np.random.default_rng(list(seed)).permutation(groups.max() + 1)
    sizes = np.bincount(groups)[order]
    room, drawn = max(1, round(share * len(pairs))), []
    for group, size in zip(order.tolist(), sizes.tolist()):
        if size <= room:
            drawn.append(group)
            room -= size
    if not drawn:
        raise DataError(
            f"no words fit in the {part} part: the smallest group of pairs that share words has {sizes.min():,} of "
            f"{len(pairs):,}, and the part is to have {room:,}; name {part}_files, or give pairs of other words"
        )
    out = np.isin(groups, drawn)
    stays = [pair for pair, gone in zip(pairs, out.tolist()) if not gone]
    return stays, [pair for pair, gone in zip(pairs, out.tolist()) if gone]


def _groups(pairs: Sequence[Pair], data: TextData) -> np.ndarray:
    """The number of each pair's group: those that share a word, directly or through others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[tuple[str, object], int] = {}
    edges = [[numbers.setdefault(key, len(numbers)) for key in _keys(pair, data)] for pair in pairs]
    first, last = np.array([edge[0] for edge in edges]), np.array([edge[-1] for edge in edges])
    graph = coo_array((np.ones(len(edges)), (first, last)), shape=(len(numbers), len(numbers)))
    found = connected_components(graph, directed=False)[1]
    return np.unique(found[first], return_inverse=True)[1]


def learned(divided: Divided, vocabulary: Vocabulary, data: TextData) -> Learned:
    """Pairs aligned, with the commonest chunks as outputs; pairs that cannot be spelled by them are left out and counted.

    Raises:
        DataError: Where nothing is left, or one output alone.
    """
    most = data.most_symbols or MOST_SYMBOLS
    counts = Counter(token for pair in divided.train for token in pair.target)
    tokens = sorted(sorted(counts), key=lambda token: -counts[token])[:most]
    number = {token: place for place, token in enumerate(tokens)}
    train = [pair for pair in divided.train if all(token in number for token in pair.target)]
    sources, targets = _numbered(train, vocabulary, number)
    chunks, costs = align(sources, targets, vocabulary.size, max(1, len(tokens)))
    frequent = Counter(chunk for parts in chunks for chunk in parts or ())
    kept = sorted(sorted(frequent), key=lambda chunk: -frequent[chunk])[:most]
    if len(kept) < 2:
        raise DataError(
            "the training pairs hold one output alone: there is nothing to learn"
            if kept
            else "no training pair can be aligned: a target has at most two tokens for each character of its source"
        )
    outputs = {chunk: place for place, chunk in enumerate(sorted(kept))}
    spelled, labels = _spelled(train, chunks, outputs)
    validation = [pair for pair in divided.validation if all(token in number for token in pair.target)]
    found = align_by(costs, *_numbered(validation, vocabulary, number))
    judged, wanted = _spelled(validation, found, outputs)
    for part, remaining in (("train", spelled), ("validation", judged)):
        if not remaining:
            raise DataError(f"no pair of {part} can be aligned and spelled with {most} outputs; raise most_symbols")
    symbols = tuple(tuple(tokens[place] for place in chunk) for chunk in outputs)
    return Learned(
        symbols, tuple(spelled), labels, tuple(judged), wanted, _notes(divided, chunks, train, spelled, judged)
    )


def _numbered(
    pairs: Sequence[Pair], vocabulary: Vocabulary, number: dict[str, int]
) -> tuple[list[list[int]], list[list[int]]]:
    sources = [vocabulary.tokens(pair.source).tolist() for pair in pairs]
    return sources, [[number[token] for token in pair.target] for pair in pairs]


def _spelled(
    pairs: Sequence[Pair], chunks: Sequence[list[Chunk] | None], outputs: dict[Chunk, int]
) -> tuple[list[Pair], np.ndarray]:
    """The pairs whose chunks are outputs, and these letter by letter."""
    kept, labels = [], []
    for pair, parts in zip(pairs, chunks):
        if parts is not None and all(part in outputs for part in parts):
            kept.append(pair)
            labels += [outputs[part] for part in parts]
    return kept, np.array(labels, np.int64)


def _notes(
    divided: Divided,
    chunks: Sequence[list[Chunk] | None],
    train: Sequence[Pair],
    spelled: Sequence[Pair],
    judged: Sequence[Pair],
) -> tuple[str, ...]:
    """How many pairs are not learned from, and why."""
    long = sum(parts is None for parts in chunks)
    rare = len(divided.train) - long - len(spelled)
    notes = []
    whole = counted(len(divided.train), "training pair")
    if long:
        notes.append(
            f"{long:,} of {whole} are not learned from: their targets have more than two tokens a character of the source."
        )
    if rare:
        notes.append(
            f"{rare:,} of {whole} are not learned from: they need rarer outputs than those kept (most_symbols)."
        )
    unjudged = len(divided.validation) - len(judged)
    if unjudged:
        notes.append(
            f"{unjudged:,} of {counted(len(divided.validation), 'validation pair')} are left out for these reasons."
        )
    return tuple(notes)
