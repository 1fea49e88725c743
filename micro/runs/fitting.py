"""Fitting one model as a section of a config says."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from keras_kd.layers import activation_of
from keras_kd.optimizers import build_optimizer
from micro.config import OF_CLASSES, ModelConfig, Task

if TYPE_CHECKING:
    from keras_kd.types import Structure

History = dict[str, list[float]]
# Called after each epoch with what Keras logs of it.
OnEpoch = Callable[[Mapping[str, float]], None]

# Steps between two returns from TensorFlow to Python, which takes as long as a small network's step. The results are the same.
STEPS_AT_A_TIME = 16


def fit(
    trained: keras.Model,
    part: ModelConfig,
    loss: keras.losses.Loss,
    x: Structure,
    y: np.ndarray,
    *,
    validation_data: tuple[Structure, np.ndarray] | None = None,
    metrics: Sequence[str | keras.metrics.Metric] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
    class_weight: dict[int, float] | None = None,
    sample_weight: np.ndarray | None = None,
) -> History:
    """Train as a section of a config says, with Adam, its rate brought down to nothing; the learning curves."""
    steps = max(1, part.epochs * -(-len(y) // part.batch_size))
    rate = keras.optimizers.schedules.CosineDecay(part.learning_rate, steps)
    trained.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=loss,
        metrics=list(metrics),
        # On several devices TensorFlow refuses more than one (Keras 3.15, a placeholder without a value).
        steps_per_execution=1 if tf.distribute.has_strategy() else STEPS_AT_A_TIME,
    )
    build_optimizer(trained)
    fitted = trained.fit(
        x,
        y,
        validation_data=validation_data,
        epochs=part.epochs,
        batch_size=part.batch_size,
        callbacks=list(callbacks),
        class_weight=class_weight,
        sample_weight=sample_weight,
        verbose=0,
    )
    return {name: [float(v) for v in values] for name, values in sorted(fitted.history.items())}


def telling(on_epoch: OnEpoch) -> keras.callbacks.Callback:
    """A callback that tells of each epoch, and changes nothing."""
    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: on_epoch({name: float(value) for name, value in (logs or {}).items()})
    )


def seed_everything(seed: int, purpose: str) -> None:
    """Seed Python, NumPy and Keras for one purpose, apart from every other purpose of the same seed."""
    keras.utils.set_random_seed(int(np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]).generate_state(1)[0]))


def hard_loss(student: keras.Model, task: Task) -> keras.losses.Loss:
    """A student's own loss, apart from its teacher's: cross-entropy of a classifier, and of each label by itself; squared error
    otherwise."""
    if task == "multilabel":
        return keras.losses.BinaryCrossentropy(from_logits=activation_of(student) != "sigmoid")
    if task not in OF_CLASSES:
        return keras.losses.MeanSquaredError()
    return keras.losses.SparseCategoricalCrossentropy(from_logits=activation_of(student) != "softmax")


def class_weight(weights: Sequence[float]) -> dict[int, float] | None:
    """Weights of classes as Keras takes them; None where all count the same."""
    return dict(enumerate(weights)) or None
