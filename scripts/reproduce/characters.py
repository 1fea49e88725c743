"""Characters (keyboard_text): the next one of tinyshakespeare; a small dense net over 24 characters under wide ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from courses import Course, Data, Part, folder_of
from keras import layers
from lessons import experiment

CONTEXT, STRIDE, JUDGED, CLASSES = 24, 3, 50_000, 65
NATS = "nats"


def load(arguments: Any) -> list[Data]:
    """The last tenth to test on, as SOURCE.md says, the tenth before it to settle on; every third place of the rest."""
    text = (folder_of("keyboard_text") / "tinyshakespeare.txt").read_text()
    known = {character: number for number, character in enumerate(sorted(set(text)))}
    ids = np.array([known[character] for character in text], np.uint8)
    test, validation = len(ids) * 9 // 10, len(ids) * 8 // 10
    judged = ids[validation:test] if arguments.settle else ids[test:]
    train = windows(ids[:validation], STRIDE)
    return [Data(train, windows(judged, max(1, len(judged) // JUDGED)), arguments.out)]


def windows(ids: np.ndarray, stride: int) -> Part:
    """What went before, and the character that comes."""
    x = np.lib.stride_tricks.sliding_window_view(ids[:-1], CONTEXT)[::stride]
    return Part(np.ascontiguousarray(x), ids[CONTEXT::stride][: len(x)].astype(np.int64))


def net(
    width: int,
    widths: Sequence[int],
    name: str,
    dropout: float = 0.0,
    *,
    context: int = CONTEXT,
    known: int = CLASSES,
    classes: int = CLASSES,
) -> keras.Model:
    """An embedding of each character, then dense layers; one logit a class."""
    inputs = keras.Input((context,), dtype="uint8")
    h = layers.Flatten()(layers.Embedding(known, width)(inputs))
    for number, units in enumerate(widths):
        h = layers.BatchNormalization()(layers.Dense(units)(h))
        h = layers.ReLU(name="pool" if number == len(widths) - 1 else f"block_{number}")(h)
        h = layers.Dropout(dropout)(h) if dropout else h
    return keras.Model(inputs, layers.Dense(classes, name="logits")(h), name=name)


def judge(logits: np.ndarray, part: Part) -> dict[str, float]:
    """Mean cross-entropy, and percent of characters foretold rightly."""
    logits = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    nats = -log_p[np.arange(len(part.y)), part.y].mean()
    return {NATS: float(nats), "accuracy, %": 100 * float(np.mean(logits.argmax(-1) == part.y))}


COURSE = Course(
    "characters",
    CLASSES,
    member=lambda name: net(32, (384, 128), name, 0.2),
    student=lambda: net(10, (48,), "student"),
    view=lambda x, seed: x,
    copies=1,
    passes=3,
    batch=256,
    rate=5e-3,
    members=2,
    teacher_epochs=5,
    teacher_mixed=0.0,
    judge=judge,
)
EXPERIMENT = experiment(COURSE, "Characters: the next one of tinyshakespeare", load, figures=(NATS, "accuracy, %"))
