"""Weights of 4 bits: the camera's student, trained on under its teacher's logits, beside 8 bits; judged in TFLite Micro."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from camera import COURSE, load
from courses import ACCURACY, Data, pool_of, teacher_of
from keras import ops
from ledger import Experiment
from lessons import compiled

import micro
from micro.tflite.interpreter import run

PASSES, RATE = 3, 1e-3
TEMPERATURE = 2.0
FLOAT, EIGHT = "student, float32", "8 bits after training"
NARROW = "4 bits after training"


@dataclass(frozen=True)
class Bench:
    """A seed's student, trained under the teacher, and what both saw: views and the teacher's logits on them."""

    student: keras.Model
    x: np.ndarray
    logits: np.ndarray


def soft(logits: Any, given: Any) -> Any:
    """Cross-entropy to the teacher's softened outputs: the gradient of `SoftTarget`."""
    wanted = ops.softmax(logits / TEMPERATURE)
    return -(TEMPERATURE**2) * ops.sum(wanted * ops.log_softmax(given / TEMPERATURE, axis=-1), axis=-1)


def fit(model: keras.Model, bench: Bench, passes: int, rate: float) -> keras.Model:
    compiled(model, rate, passes * -(-len(bench.x) // COURSE.batch), soft)
    model.fit(bench.x, bench.logits, batch_size=COURSE.batch, epochs=passes, verbose=0)
    return model


def prepare(folds: Sequence[Data], seed: int) -> Bench:
    """The student of a seed, kept once it is trained."""
    data = folds[0]
    teacher, pool = teacher_of(COURSE, data), pool_of(COURSE, data.train)
    x = COURSE.student_input(pool.x)
    bench = Bench(COURSE.student(), x, teacher.predict(COURSE.teacher_input(pool.x), batch_size=1024, verbose=0))
    path = data.out / "students" / f"camera-{seed}.keras"
    if path.exists():
        return Bench(keras.models.load_model(path, compile=False), x, bench.logits)
    keras.utils.set_random_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    fit(bench.student, bench, COURSE.passes, COURSE.rate).save(path)
    return bench


def judged(content: bytes, data: Data) -> dict[str, float]:
    """Accuracy in TFLite Micro, and bytes of the .tflite with its kernels packed."""
    found = COURSE.judge(run(content, COURSE.student_input(data.judged.x)), data.judged)
    packed = micro.pack(content)
    return {**found, "flash": packed.flash_after, "arena": packed.arena_after}


def quantized(trained: bool, **options: Any) -> Callable[[Any, Bench, int], dict[str, float]]:
    """The student quantized, and trained on if `trained`."""

    def method(folds: Sequence[Data], bench: Bench, seed: int) -> dict[str, float]:
        aware = micro.quantize_aware(bench.student, bench.x[::36], **options)
        if trained:
            fit(aware, bench, PASSES, RATE)
        return judged(micro.convert(aware).content, folds[0])

    return method


def in_float(folds: Sequence[Data], bench: Bench, seed: int) -> dict[str, float]:
    logits = bench.student.predict(COURSE.student_input(folds[0].judged.x), batch_size=512, verbose=0)
    return COURSE.judge(logits, folds[0].judged)


TRAINED = "4 bits, trained on"
EXPERIMENT = Experiment(
    title="Camera: sign_digits, 16 x 16 gray, weights of 4 bits",
    load=load,
    prepare=prepare,
    methods={
        FLOAT: in_float,
        EIGHT: quantized(False),
        NARROW: quantized(False, bits=4),
        TRAINED: quantized(True, bits=4),
        "8 bits, trained on": quantized(True),
    },
    figures=(ACCURACY, "flash", "arena"),
    against={EIGHT: FLOAT, NARROW: EIGHT, TRAINED: EIGHT, "8 bits, trained on": EIGHT},
)
