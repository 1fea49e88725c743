"""What a teacher's lessons are worth to a small student: what the experiments on the shared data sets have in common.

A teacher of several nets is trained once, on fresh augmented views in every epoch, and kept. A pool of augmented views of the
training data is made once; the teacher's outputs on it are recorded once. Every student then learns from this pool, for the
same number of steps: teacher and student see the same augmented inputs, and the student alone on the pool's labels is trained
exactly as long as those under the teacher. Seeds differ in the student's initial weights, in the order of batches and in
which examples are labeled; the teacher is the same in all of them, unless a course says otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

import keras_kd

View = Callable[[np.ndarray, int], np.ndarray]


def cross_entropy(y: Any, logits: Any) -> Any:
    """Cross-entropy; nothing where an example has no label, its row of `y` being zeros.

    Keras's own takes gradients as if each row summed to one: there a row of zeros would push all logits down.
    """
    return -ops.sum(y * ops.log_softmax(logits, axis=-1), axis=-1)


@dataclass(frozen=True)
class Part:
    """Inputs, and classes as integers; `whole` is what else is needed to judge them."""

    x: np.ndarray
    y: np.ndarray
    whole: Any = None


ACCURACY = "accuracy, %"


def accuracy(logits: np.ndarray, part: Part) -> dict[str, float]:
    """Percent classified rightly."""
    return {ACCURACY: 100 * float(np.mean(logits.argmax(-1) == part.y))}


@dataclass(frozen=True)
class Data:
    """What is learnt from and what is judged; `fold` tells splits apart, `out` is where teachers are kept."""

    train: Part
    judged: Part
    out: Path
    fold: int = 0


@dataclass(frozen=True)
class Pool:
    """Augmented views; labels as probabilities (n, classes), zeros where there is none; `source`: whose view each is."""

    x: np.ndarray
    y: np.ndarray
    source: np.ndarray

    def labeled(self, chosen: np.ndarray) -> Pool:
        """Without the labels of examples that are not chosen."""
        return Pool(self.x, np.where(np.isin(self.source, chosen)[:, None], self.y, np.float32(0.0)), self.source)

    def only(self, chosen: np.ndarray) -> Pool:
        """Without the examples that are not chosen."""
        kept = np.isin(self.source, chosen)
        return Pool(self.x[kept], self.y[kept], self.source[kept])


@dataclass(frozen=True)
class Course:
    """A task: nets, augmentation and budgets.

    `view` gives augmented inputs for a seed. The pool has `copies` views of each example, of which a share is `mixed` in pairs,
    with their labels. A student is trained for `passes` over the pool, the teacher's members for `teacher_epochs` on fresh
    views, `teacher_mixed` the same for them. `student_input` and `teacher_input` cut what each gets out of an augmented input;
    `judge` makes figures of logits.
    """

    name: str
    classes: int
    member: Callable[[str], keras.Model]
    student: Callable[[], keras.Model]
    view: View
    members: int = 4
    copies: int = 20
    passes: int = 5
    batch: int = 128
    rate: float = 1e-2
    mixed: float = 0.0
    teacher_epochs: int = 60
    teacher_rate: float = 3e-3
    teacher_mixed: float = 0.5
    smoothing: float = 0.0
    judge: Callable[[np.ndarray, Part], dict[str, float]] = accuracy
    student_input: Callable[[np.ndarray], np.ndarray] = field(default=lambda x: x)
    teacher_input: Callable[[np.ndarray], np.ndarray] = field(default=lambda x: x)


def folder_of(name: str) -> Path:
    """A data set's folder: below $KERAS_KD_DATA, or below ../shared/data."""
    below = Path(os.environ.get("KERAS_KD_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    if not (below / name).is_dir():
        raise SystemExit(f"{name}: {below / name} is no folder; name the folder of the data sets in KERAS_KD_DATA")
    return below / name


def one_hot(y: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[y]


def mix(x: np.ndarray, y: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A share of the examples mixed with another, inputs and labels, by a factor drawn evenly: mixup with alpha 1."""
    if not share:
        return x, y
    rng = np.random.default_rng(seed)
    factor = np.where(rng.random(len(x)) < share, rng.random(len(x)), 1.0).astype(np.float32)
    other = rng.permutation(len(x))
    wide = factor.reshape(-1, *(1,) * (x.ndim - 1))
    return wide * x + (1 - wide) * x[other], factor[:, None] * y + (1 - factor[:, None]) * y[other]


def pool_of(course: Course, train: Part, seed: int = 0) -> Pool:
    """The views that students learn from, always the same."""
    xs, ys = [], []
    for copy in range(course.copies):
        x = course.view(train.x, 1000 * (seed + 1) + copy)
        x, y = mix(x, one_hot(train.y, course.classes), course.mixed, copy)
        xs.append(x)
        ys.append(y)
    return Pool(np.concatenate(xs), np.concatenate(ys), np.tile(np.arange(len(train.y)), course.copies))


def compiled(model: keras.Model, rate: float, steps: int, loss: Any = cross_entropy) -> keras.Model:
    """Adam, its rate brought down to nothing over a whole training."""
    # Without XLA, which takes twice as long for nets as small as these on a CPU.
    rates = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(keras.optimizers.Adam(rates), loss, jit_compile=False)
    return model


def train_member(course: Course, train: Part, name: str, seed: int) -> keras.Model:
    """One of the teacher's nets, on views of its own."""
    keras.utils.set_random_seed(seed)
    model = course.member(name)
    smooth = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=course.smoothing)
    compiled(model, course.teacher_rate, course.teacher_epochs * -(-len(train.y) // course.batch), smooth)
    labels = one_hot(train.y, course.classes)
    for epoch in range(course.teacher_epochs):
        x = course.teacher_input(course.view(train.x, 10**6 * (seed + 1) + epoch))
        x, y = mix(x, labels, course.teacher_mixed, 10**6 * (seed + 1) + epoch)
        model.fit(x, y, batch_size=course.batch, verbose=0)
    return model


def teacher_of(course: Course, data: Data, kind: str = "teacher") -> keras.Model:
    """All members as one net, trained once: their mean logits, and a layer `pool` of all their last features."""
    members = []
    for number in range(course.members):
        path = data.out / "teachers" / f"{course.name}-{kind}-{data.fold}-{number}.keras"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            train_member(course, data.train, f"member_{number}", number).save(path)
        members.append(keras.models.load_model(path))
    return together(members)


def together(members: Sequence[keras.Model]) -> keras.Model:
    """Mean logits of several nets with a layer `pool`, as one net with such a layer."""
    inputs = keras.Input(members[0].input_shape[1:], dtype=members[0].inputs[0].dtype)
    parts = [
        keras.Model(m.inputs, [m.get_layer("pool").output, m.output], name=f"part_{n}") for n, m in enumerate(members)
    ]
    found = [part(inputs) for part in parts]
    pool = layers.Concatenate(name="pool")([pool for pool, _ in found])
    # The features are part of the graph, so that they are found from the output.
    logits = KeepFirst(name="logits")([layers.Average()([logits for _, logits in found]), pool])
    return keras.Model(inputs, logits, name="teacher")


@keras.saving.register_keras_serializable("reproduce")
class KeepFirst(layers.Layer):
    """The first of its inputs, logits; the others become part of the graph."""

    activation = staticmethod(keras.activations.linear)

    def call(self, inputs: Any) -> Any:
        return inputs[0]


def record(course: Course, data: Data, teacher: keras.Model, pool: Pool, kind: str = "teacher") -> keras_kd.Recorded:
    """The teacher's outputs and last features on the pool, written once."""
    folder = data.out / "teachers" / f"{course.name}-{kind}-{data.fold}-recorded"
    return keras_kd.record(teacher, course.teacher_input(pool.x), folder, layers=("pool",), dtype="float16")


@dataclass(frozen=True)
class Bench:
    """What a seed's methods share; `teacher` is a net, or anything that predicts."""

    data: Data
    teacher: Any
    pool: Pool
    recorded: keras_kd.Supplied


def bench_of(course: Course) -> Callable[[Sequence[Data], int], Bench]:
    """Teacher, pool and recording of a seed's fold; made once and found again."""

    def prepare(folds: Sequence[Data], seed: int) -> Bench:
        data = folds[seed % len(folds)]
        teacher = teacher_of(course, data)
        pool = pool_of(course, data.train)
        return Bench(data, teacher, pool, record(course, data, teacher, pool))

    return prepare
