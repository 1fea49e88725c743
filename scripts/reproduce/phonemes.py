"""Letters to phonemes (cmudict_g2p): what each letter sounds like, from eleven letters; a small dense net under wide ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
from characters import net
from courses import Course, Data, Part, folder_of
from lessons import experiment

from micro.detection.transcription import distance

AROUND, WORDS, JUDGED, CLASSES = 5, 16_000, 4_000, 100
ROUNDS, LONGEST = 4, 2  # of the alignment: how often it is improved, phonemes a letter
LETTERS = " '" + "abcdefghijklmnopqrstuvwxyz"
WER, PER = "words wrong, %", "phonemes wrong, %"
Word = tuple[str, tuple[str, ...]]


def read(path: Path) -> list[Word]:
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return [(word, tuple(phonemes.split())) for word, phonemes in lines]


def best(word: Word, cost: dict[tuple[str, str], float]) -> list[str] | None:
    """The cheapest way to give each letter none, one or two phonemes in order; None where there are too many."""
    letters, sounds = word
    totals = {0: 0.0}
    back: list[dict[int, int]] = []
    for letter in letters:
        reached: dict[int, float] = {}
        came: dict[int, int] = {}
        for at, total in totals.items():
            for taken in range(min(LONGEST, len(sounds) - at) + 1):
                price = total + cost.get((letter, " ".join(sounds[at : at + taken])), 9.0)
                if price < reached.get(at + taken, np.inf):
                    reached[at + taken], came[at + taken] = price, at
        totals = reached
        back.append(came)
    if len(sounds) not in totals:
        return None
    chunks, at = [], len(sounds)
    for came in reversed(back):
        chunks.append(" ".join(sounds[came[at] : at]))
        at = came[at]
    return chunks[::-1]


def aligned(words: list[Word]) -> list[tuple[str, list[str]]]:
    """Letters and their phonemes, by the alignment that makes pairs most frequent, improved from an even one."""
    pairs: Counter[tuple[str, str]] = Counter()
    for letters, sounds in words:
        for n, letter in enumerate(letters):
            # As if spread evenly: a first guess that favors the diagonal.
            at = n * len(sounds) / len(letters)
            pairs[letter, sounds[min(int(at), len(sounds) - 1)]] += 1
            pairs[letter, ""] += 0.2
    found: list[tuple[str, list[str]]] = []
    for _ in range(ROUNDS):
        sums: Counter[str] = Counter()
        for (letter, _), count in pairs.items():
            sums[letter] += count
        cost = {pair: float(-np.log(count / sums[pair[0]])) for pair, count in pairs.items()}
        ways = [(word[0], best(word, cost)) for word in words]
        found = [(letters, chunks) for letters, chunks in ways if chunks is not None]
        pairs = Counter((letter, chunk) for letters, chunks in found for letter, chunk in zip(letters, chunks))
    return found


def windows(words: list[str]) -> np.ndarray:
    """Of each letter itself and five on either side, as numbers; 0 beyond the word."""
    rows = []
    for word in words:
        ids = [0] * AROUND + [LETTERS.index(letter) for letter in word] + [0] * AROUND
        rows += [ids[n : n + 2 * AROUND + 1] for n in range(len(word))]
    return np.array(rows, np.uint8)


def load(arguments: Any) -> list[Data]:
    """16,000 words of the training part; those of the validation part to settle anything on; 4,000 of the test part."""
    folder = folder_of("cmudict_g2p")
    words = read(folder / "train.tsv")
    order = np.random.default_rng(0).permutation(len(words))[:WORDS]
    found = aligned([words[n] for n in order])
    counts = Counter(chunk for _, chunks in found for chunk in chunks)
    chunks = [chunk for chunk, _ in counts.most_common(CLASSES)]
    chunks += [""] * (CLASSES - len(chunks))
    number = {chunk: n for n, chunk in reversed(list(enumerate(chunks)))}
    kept = [(letters, parts) for letters, parts in found if all(part in number for part in parts)]
    y = np.array([number[part] for _, parts in kept for part in parts])
    train = Part(windows([letters for letters, _ in kept]), y)
    judged = read(folder / ("val.tsv" if arguments.settle else "test.tsv"))
    judged = [judged[n] for n in np.random.default_rng(1).permutation(len(judged))[:JUDGED]]
    x = windows([letters for letters, _ in judged])
    return [Data(train, Part(x, np.zeros(len(x), np.int64), (judged, chunks)), arguments.out)]


def judge(logits: np.ndarray, part: Part) -> dict[str, float]:
    """Percent of words with any phoneme wrong, and of phonemes to be inserted, left out or changed."""
    words, chunks = part.whole
    found = logits.argmax(-1)
    at, wrong, away, total = 0, 0, 0, 0
    for letters, sounds in words:
        said = tuple(" ".join(chunks[n] for n in found[at : at + len(letters)]).split())
        at += len(letters)
        wrong += said != sounds
        away += distance(said, sounds)
        total += len(sounds)
    return {WER: 100 * wrong / len(words), PER: 100 * away / total}


def small_net(width: int, widths: tuple[int, ...], name: str, dropout: float = 0.0) -> keras.Model:
    """As for characters, over eleven letters."""
    return net(width, widths, name, dropout, context=2 * AROUND + 1, known=len(LETTERS), classes=CLASSES)


COURSE = Course(
    "phonemes",
    CLASSES,
    member=lambda name: small_net(24, (384, 192), name, 0.3),
    student=lambda: small_net(8, (80,), "student"),
    view=lambda x, seed: x,
    copies=1,
    passes=12,
    batch=256,
    rate=5e-3,
    members=3,
    teacher_epochs=12,
    teacher_mixed=0.0,
    judge=judge,
)
EXPERIMENT = experiment(COURSE, "Letters to phonemes: cmudict_g2p, 16,000 words", load, figures=(WER, PER))
