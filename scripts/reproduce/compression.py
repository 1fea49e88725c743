"""What compression costs on raw CWRU windows, with and without the teacher watching; judged as int8 in TFLite Micro."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from ledger import Experiment
from machines import CROSS_ENTROPY, conv, fit, load_cwru, soft, train_classifier

import keras_kd
import micro
from micro.prepare import Prepared
from micro.tflm import run

SIZES = (16, 24, 24)
EPOCHS = 10
JUDGED = 1500


@dataclass(frozen=True)
class Bench:
    """What the methods of a seed share."""

    teacher: keras.Model
    student: keras.Model


def prepare(data: Prepared, seed: int) -> Bench:
    """A teacher, and a student that learnt from labels and teacher; compression starts from this one."""
    teacher = train_classifier(data, seed)
    student = conv(SIZES, data, "student")
    fit(keras_kd.Distiller(teacher, student, [soft()]), CROSS_ENTROPY, data.train.x, data.train.labels)
    return Bench(teacher, student)


def judged(model: keras.Model, data: Prepared, weights: Any = "auto", pack: bool = False) -> dict[str, float]:
    """The int8 model's accuracy on windows spread over the test set, its bytes and its multiply-accumulates."""
    tflite = micro.convert(model, data.train.x[:: max(1, len(data.train) // 300)], weights=weights)
    content = micro.pack(tflite).content if pack else tflite.content
    chosen = np.unique(np.linspace(0, len(data.test) - 1, JUDGED).round().astype(int))
    found = run(content, data.test.x[chosen]).argmax(-1)
    return {
        "accuracy, %": 100 * float(np.mean(found == data.test.labels[chosen])),
        ".tflite bytes": len(content),
        "MACs": micro.measure(content).macs,
    }


Method = Callable[[Prepared, Bench, int], dict[str, float]]


def as_it_is(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
    return judged(bench.student, data)


def lessons(data: Prepared, bench: Bench, watched: bool) -> dict[str, Any]:
    """Arguments of a fine-tuning on labels, and under the teacher if it is watched."""
    told = {"x": data.train.x, "y": data.train.labels, "loss": CROSS_ENTROPY, "epochs": EPOCHS}
    return {**told, "teacher": bench.teacher, "objectives": [soft()]} if watched else told


def pruned(sparsity: float, watched: bool) -> Method:
    return lambda data, bench, seed: judged(micro.prune(bench.student, sparsity, **lessons(data, bench, watched)), data)


def clustered(clusters: int, watched: bool) -> Method:
    return lambda data, bench, seed: judged(
        micro.cluster(bench.student, clusters, **lessons(data, bench, watched)), data, "per_tensor", pack=True
    )


def shrunk(rate: float, watched: bool) -> Method:
    def method(data: Prepared, bench: Bench, seed: int) -> dict[str, float]:
        def fine_tune(model: keras.Model) -> None:
            trained = keras_kd.Distiller(bench.teacher, model, [soft()]) if watched else model
            fit(trained, CROSS_ENTROPY, data.train.x, data.train.labels, epochs=EPOCHS)

        return judged(micro.shrink(bench.student, rate, fine_tune=fine_tune), data)

    return method


KINDS: dict[str, Callable[[bool], Method]] = {
    "pruned, 50 % zeros": lambda watched: pruned(0.5, watched),
    "pruned, 80 % zeros": lambda watched: pruned(0.8, watched),
    "pruned, 90 % zeros": lambda watched: pruned(0.9, watched),
    "shrunk, 50 % of channels": lambda watched: shrunk(0.5, watched),
    "shrunk, 75 % of channels": lambda watched: shrunk(0.75, watched),
    "clustered, 32 values, packed": lambda watched: clustered(32, watched),
    "clustered, 16 values, packed": lambda watched: clustered(16, watched),
}
WHOLE = "student, int8"
METHODS: dict[str, Method] = {WHOLE: as_it_is}
for name, kind in KINDS.items():
    METHODS[name] = kind(False)
    METHODS[f"{name}, teacher watching"] = kind(True)
EXPERIMENT = Experiment(
    title="Compression on CWRU, raw windows, tested at 2 hp: a Conv1D student of 16, 24 and 24 filters",
    load=load_cwru,
    prepare=prepare,
    methods=METHODS,
    figures=("accuracy, %", ".tflite bytes", "MACs"),
    against={
        name: name.removesuffix(", teacher watching") if name.endswith("watching") else WHOLE
        for name in METHODS
        if name != WHOLE
    },
)
