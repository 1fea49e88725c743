"""DistilBERT's recipe (Sanh et al. 2019) on a small masked language model of Python's own reference manual."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pydoc_data.topics import topics
from typing import Any

import keras
import numpy as np
from ledger import Experiment

import keras_kd
from keras_kd import schemes

LENGTH, WORDS = 32, 1500
UNKNOWN, MASK, FIRST = 1, 2, 3
VOCABULARY = FIRST + WORDS
EPOCHS, BATCH = 12, 64
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=schemes.IGNORED)


@dataclass(frozen=True)
class Text:
    """Passages of `LENGTH` tokens, 0 after the end; whole topics are kept for testing."""

    train: np.ndarray
    test: np.ndarray


def load(arguments: Any) -> Text:
    """The topics of `help()`, cut into words; every fifth is for testing (or, to settle anything, the one before it)."""
    words = {name: re.findall(r"[a-z_]+|[0-9]+|[^\sa-z0-9_]", text.lower()) for name, text in sorted(topics.items())}
    held_out = 3 if arguments.settle else 4
    parts: tuple[list[list[str]], list[list[str]]] = ([], [])
    for number, found in enumerate(words.values()):
        if number % 5 == held_out:
            parts[1].append(found)
        elif number % 5 < 3:
            parts[0].append(found)
    counts: dict[str, int] = {}
    for word in (word for topic in parts[0] for word in topic):
        counts[word] = counts.get(word, 0) + 1
    common = sorted(counts, key=lambda word: (-counts[word], word))[:WORDS]
    codes = {word: FIRST + number for number, word in enumerate(common)}
    return Text(*(_passages(part, codes) for part in parts))


def _passages(topics_of_words: list[list[str]], codes: dict[str, int]) -> np.ndarray:
    rows = []
    for words in topics_of_words:
        tokens = [codes.get(word, UNKNOWN) for word in words]
        for start in range(0, len(tokens), LENGTH):
            piece = tokens[start : start + LENGTH]
            rows.append(piece + [0] * (LENGTH - len(piece)))
    return np.array(rows, np.int32)


def masked(text: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Masked passages and the words behind the masks."""
    return schemes.mask_tokens(text, mask_token=MASK, vocabulary=VOCABULARY, reserved=(UNKNOWN,), seed=seed)


def fit(model: keras.Model, text: np.ndarray, seed: int, epochs: int = EPOCHS) -> None:
    """New masks each epoch."""
    steps = epochs * -(-len(text) // BATCH)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)), LOSS)
    for epoch in range(epochs):
        x, y = masked(text, 1000 * seed + epoch)
        model.fit(x, y, batch_size=BATCH, epochs=epoch + 1, initial_epoch=epoch, verbose=0)


def new_model(depth: int, name: str) -> keras.Model:
    return schemes.encoder(VOCABULARY, LENGTH, width=64, depth=depth, heads=4, name=name)


def train_teacher(data: Text, seed: int) -> keras.Model:
    """Four blocks."""
    teacher = new_model(4, "teacher")
    fit(teacher, data.train, seed, epochs=3 * EPOCHS)
    return teacher


def figures(model: keras.Model, data: Text) -> dict[str, float]:
    """Cross-entropy (nats) and accuracy on masked words of passages not trained on."""
    x, y = masked(data.test, 99)
    logits = model.predict(x, batch_size=BATCH, verbose=0)[y != schemes.IGNORED]
    words = y[y != schemes.IGNORED]
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    return {
        "cross-entropy": float(-log_p[np.arange(len(words)), words].mean()),
        "accuracy, %": 100 * float(np.mean(logits.argmax(-1) == words)),
    }


def scratch(data: Text, teacher: keras.Model, seed: int) -> dict[str, float]:
    """Two blocks, new weights, masked words alone."""
    student = new_model(2, "student")
    fit(student, data.train, seed)
    return figures(student, data)


def initialised(data: Text, teacher: keras.Model, seed: int) -> dict[str, float]:
    """Two blocks with the teacher's weights, masked words alone."""
    student = schemes.distilbert_student(teacher)
    fit(student, data.train, seed)
    return figures(student, data)


def recipe(initialise: bool) -> Any:
    """The triple loss, from the teacher's weights or from new ones."""

    def method(data: Text, teacher: keras.Model, seed: int) -> dict[str, float]:
        student = schemes.distilbert_student(teacher) if initialise else new_model(2, "student")
        objectives = schemes.distilbert_objectives(teacher, student)
        fit(keras_kd.Distiller(teacher, student, objectives, hard_weight=schemes.MASKED_LM_WEIGHT), data.train, seed)
        return figures(student, data)

    return method


SCRATCH = "two blocks, masked words alone"
EXPERIMENT = Experiment(
    title="DistilBERT's recipe on Python's reference manual: masked words of topics not trained on",
    load=load,
    prepare=train_teacher,
    methods={
        "teacher, four blocks, three times the epochs": lambda data, teacher, seed: figures(teacher, data),
        SCRATCH: scratch,
        "with the teacher's weights": initialised,
        "with the triple loss": recipe(initialise=False),
        "with both: the recipe": recipe(initialise=True),
    },
    figures=("cross-entropy", "accuracy, %"),
    against={
        "with the teacher's weights": SCRATCH,
        "with the triple loss": SCRATCH,
        "with both: the recipe": SCRATCH,
    },
)
