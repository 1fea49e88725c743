"""Process faults (tennessee_eastman), 22 classes, windows of an hour: a small dense net under wide ones and a forest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np
from courses import Bench, Course, Data, Part, folder_of, pool_of, teacher_of
from keras import layers
from lessons import experiment

import keras_kd

ROWS, CLASSES = 20, 22
TREES = 300


def load(arguments: Any) -> list[Data]:
    """Windows of 20 rows, scaled by the normal run; the last quarter of each training run to settle anything on.

    Tested on the test runs from row 160 on, where the faults begin.
    """
    with np.load(folder_of("tennessee_eastman") / "tep.npz") as file:
        runs = dict(file)
    mean, spread = runs["d00"].mean(axis=0), runs["d00"].std(axis=0) + 1e-6
    parts: dict[str, list[tuple[np.ndarray, int]]] = {"train": [], "judged": []}
    for number in range(CLASSES):
        run, test = runs[f"d{number:02d}"], runs[f"d{number:02d}_te"]
        quarter = 3 * len(run) // 4
        judged = run[quarter:] if arguments.settle else test[160:] if number else test
        for name, rows, hop in (("train", run[:quarter], 2), ("judged", judged, 4)):
            scaled = np.clip((rows - mean) / spread, -10, 10).astype(np.float32)
            starts = range(0, len(scaled) - ROWS + 1, hop)
            parts[name] += [(scaled[start : start + ROWS], number) for start in starts]
    train, judge = (Part(np.stack([x for x, _ in part]), np.array([y for _, y in part])) for part in parts.values())
    return [Data(train, judge, arguments.out)]


def summary(x: np.ndarray) -> np.ndarray:
    """What the nets see of a window: each signal's mean, deviation, slope and mean step."""
    time = np.linspace(-1, 1, ROWS, dtype=np.float32)[:, None]
    steps = np.abs(np.diff(x, axis=1)).mean(axis=1)
    return np.concatenate([x.mean(axis=1), x.std(axis=1), (x * time).mean(axis=1), steps], axis=1).astype(np.float32)


def view(x: np.ndarray, seed: int) -> np.ndarray:
    """Noise of a fifth of the normal run's deviation, an offset of up to as much, and a gain for each signal."""
    rng = np.random.default_rng(seed)
    noise = 0.2 * rng.normal(size=x.shape) + 0.2 * rng.normal(size=(len(x), 1, x.shape[2]))
    return (x * rng.uniform(0.85, 1.15, (len(x), 1, x.shape[2])) + noise).astype(np.float32)


def net(widths: Sequence[int], name: str, dropout: float = 0.0) -> keras.Model:
    """Dense layers with BatchNormalization; one logit a class."""
    inputs = h = keras.Input((4 * 52,))
    for number, width in enumerate(widths):
        h = layers.BatchNormalization()(layers.Dense(width)(h))
        h = layers.ReLU(name="pool" if number == len(widths) - 1 else f"block_{number}")(h)
        h = layers.Dropout(dropout)(h) if dropout else h
    return keras.Model(inputs, layers.Dense(CLASSES, name="logits")(h), name=name)


COURSE = Course(
    "process",
    CLASSES,
    member=lambda name: net((256, 128), name, 0.3),
    student=lambda: net((32, 24), "student"),
    view=view,
    copies=8,
    passes=12,
    members=3,
    teacher_epochs=50,
    student_input=summary,
    teacher_input=summary,
)


class Forest:
    """Nets and extremely randomized trees as one teacher: the log of the mean of their probabilities."""

    def __init__(self, nets: keras.Model, train: Part) -> None:
        self.nets, self.train = nets, train

    @cached_property
    def trees(self) -> Any:
        """Grown when first asked, since most runs find what they said."""
        from sklearn.ensemble import ExtraTreesClassifier

        views = [summary(view(self.train.x, 10**7 + copy)) for copy in range(2)]
        trees = ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=0)
        return trees.fit(np.concatenate([summary(self.train.x), *views]), np.tile(self.train.y, 3))

    def predict(self, x: np.ndarray, **how: Any) -> np.ndarray:
        nets = np.array(keras.ops.softmax(self.nets.predict(x, **how)))
        return np.log(0.5 * nets + 0.5 * self.trees.predict_proba(x) + 1e-4).astype(np.float32)


class Kept(keras_kd.Supplied):
    """A teacher's outputs and features on the pool, in a file."""

    def __init__(self, outputs: np.ndarray, pool: np.ndarray) -> None:
        super().__init__({"outputs": outputs.shape[1:], "pool": pool.shape[1:]}, {"outputs": "linear", "pool": None})
        self.kept = {"outputs": outputs, "pool": pool}

    def targets(self, indices: np.ndarray, x: Any) -> dict[str, np.ndarray]:
        return {name: values[indices].astype(np.float32) for name, values in self.kept.items()}


def prepare(folds: Sequence[Data], seed: int) -> Bench:
    """Nets and forest, and what they say of the pool; said once."""
    data = folds[0]
    nets, pool = teacher_of(COURSE, data), pool_of(COURSE, data.train)
    forest = Forest(nets, data.train)
    path = data.out / "teachers" / "process-recorded.npz"
    if not path.exists():
        x = summary(pool.x)
        last = keras.Model(nets.inputs, nets.get_layer("pool").output)
        outputs = forest.predict(x, batch_size=512, verbose=0)
        np.savez(path, outputs=outputs, pool=last.predict(x, batch_size=512, verbose=0).astype(np.float16))
    with np.load(path) as file:
        return Bench(data, forest, pool, Kept(file["outputs"], file["pool"]))


EXPERIMENT = experiment(COURSE, "Process faults: tennessee_eastman, 22 classes", load, prepare=prepare)
