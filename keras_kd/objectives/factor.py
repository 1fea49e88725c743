"""FT: the teacher's features paraphrased, and the student's translated to them."""

from __future__ import annotations

from typing import Any, Unpack

import keras
import numpy as np
from keras import layers, ops

from keras_kd.checks import require_number
from keras_kd.layers import Tap, copied
from keras_kd.objectives.adapters import convolution, require_features
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.objectives.resizing import at_one_size
from keras_kd.objectives.tensors import flat, unit
from keras_kd.optimizers import build_optimizer
from keras_kd.record_files import rows
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Structure, Tensor

# Examples of which the teacher's features are computed at once.
BATCH = 256


@serializable
class FactorTransfer(Objective):
    """Match factors of the teacher's features: || F_t / ||F_t|| - F_s / ||F_s|| ||_1 / sqrt(number of factors).

    F_t is what a trained paraphraser (`keras_kd.paraphraser`) gives of the teacher's layer, F_s what a translator gives of the
    student's: three convolutions over 3 positions (Dense layers on features without positions), each with BatchNormalization
    and leaky ReLU, trained with the student. Both are flattened and scaled to length 1. The paper leaves out the division,
    which gives a weight the same meaning at any size.

    Args:
        paraphraser: A trained model from the teacher's features to factors; it is not trained further.
        weight: Factor in the sum that training minimizes, at least 0, or a schedule.
        kwargs: `name`, `teacher_layer`, `student_layer`; see `Objective`.

    Shapes: teacher (batch, *positions, channels_t), student (batch, *positions, channels_s) -> (batch,), from 0 to 2. Of
        factors of two sizes the larger are averaged down.

    Raises:
        ValueError: For features of different rank or that the paraphraser does not take.

    Examples:
        >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, name="body"), keras.layers.Dense(3)])
        >>> paraphraser = keras_kd.paraphraser(teacher, "body", np.ones((8, 4)), epochs=1, verbose=0)
        >>> objective = keras_kd.FactorTransfer(paraphraser, 10.0, teacher_layer="body", student_layer="body")
        >>> objective(np.ones((4, 6)), np.ones((4, 2))).shape[0]
        4

    Source: Kim, Park and Kwak 2018, equations 1 to 4, https://arxiv.org/abs/1802.04977
    """

    def __init__(
        self, paraphraser: keras.Model, weight: float | Schedule = 1.0, **kwargs: Unpack[ObjectiveArguments]
    ) -> None:
        super().__init__(weight, **kwargs)
        if not isinstance(paraphraser, keras.Model) or not paraphraser.built:
            raise ValueError(
                f"{self.message_name}: paraphraser must be a trained Keras model, got {paraphraser!r}; keras_kd.paraphraser "
                "makes one"
            )
        self.paraphraser = paraphraser
        self.translator = Translator(dtype="float32", name=f"{self.name}_translator")

    @property
    def learned(self) -> tuple[keras.Layer, ...]:
        return (self.translator,)

    @property
    def held(self) -> tuple[keras.Layer, ...]:
        return (self.paraphraser,)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_features(self.message_name, teacher_shape, student_shape)
        takes = tuple(self.paraphraser.inputs[0].shape)
        if takes[-1] != teacher_shape[-1] or len(takes) != len(teacher_shape):
            raise ValueError(
                f"{self.message_name}: the paraphraser takes {takes}, the teacher gives {tuple(teacher_shape)}"
            )

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        self.translator.build_for(self.paraphraser.output_shape[-1], student_shape)

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        theirs = ops.cast(ops.stop_gradient(self.paraphraser(teacher, training=False)), "float32")
        factors = at_one_size(theirs, self.translator(student, training=self.training))
        t, s = (unit(flat(side)) for side in factors)
        return ops.sum(ops.abs(t - s), axis=-1) / ops.sqrt(ops.cast(ops.shape(t)[-1], "float32"))

    def changed(self, **arguments: object) -> Objective:
        # The paraphraser holds trained weights: it goes along as it is.
        return type(self).from_config({**super().get_config(), "paraphraser": self.paraphraser, **arguments})

    def fresh(self) -> Objective:
        return self.changed(paraphraser=copied(self.paraphraser))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "paraphraser": keras.saving.serialize_keras_object(self.paraphraser)}


@serializable
class Translator(keras.layers.Layer):
    """Three convolutions, each with BatchNormalization and leaky ReLU, the last two with as many channels as factors."""

    def build_for(self, factors: int, student_shape: Shape) -> None:
        """Make and build the layers."""
        self.parts: list[keras.Layer] = []
        shape: Any = student_shape
        for number, width in enumerate((student_shape[-1] or 1, factors, factors)):
            block = [
                convolution(width, len(student_shape), 3, use_bias=True, name=f"conv_{number}"),
                layers.BatchNormalization(dtype="float32", name=f"norm_{number}"),
                layers.LeakyReLU(0.1, dtype="float32", name=f"relu_{number}"),
            ]
            for part in block:
                part.build(shape)
                shape = (*student_shape[:-1], width)
            self.parts += block
        self.built = True

    def call(self, inputs: Tensor, training: bool = False) -> Any:
        for part in self.parts:
            inputs = part(inputs, training=training)
        return inputs


def paraphraser(
    teacher: keras.Model,
    layer: str,
    x: Structure,
    *,
    rate: float = 0.5,
    optimizer: str | keras.Optimizer = "adam",
    **fit: object,
) -> keras.Model:
    """Train an autoencoder on a teacher's layer, without labels, and give its encoder: the paraphraser of `FactorTransfer`.

    Three convolutions over 3 positions with leaky ReLU bring the features to `rate` times as many channels, three transposed
    ones back; on features without positions they are Dense layers. The mean squared difference is minimized.

    Args:
        teacher: The trained teacher.
        layer: Name or path of the layer.
        x: The teacher's inputs.
        rate: Factors for each channel of the teacher, above 0; 0.5 in the paper's best results.
        optimizer: As `compile` takes it.
        fit: Further arguments of `fit`, such as epochs, batch_size and verbose.

    Returns:
        A model (batch, *positions, channels_t) -> (batch, *positions, round(rate * channels_t)).

    Raises:
        ValueError: For a layer that the teacher does not have, or a rate that is not positive.

    Examples:
        >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, name="body"), keras.layers.Dense(3)])
        >>> keras_kd.paraphraser(teacher, "body", np.ones((8, 4)), epochs=1, verbose=0).output_shape
        (None, 3)

    Source: Kim, Park and Kwak 2018, equation 1, https://arxiv.org/abs/1802.04977
    """
    require_number(rate, "paraphraser: rate", above=0.0)
    features = _features(teacher, layer, x)
    channels = features.shape[-1]
    factors = max(1, round(rate * channels))
    inputs = keras.Input(features.shape[1:])
    h = inputs
    for number, width in enumerate((channels, factors, factors)):
        h = convolution(width, features.ndim, 3, use_bias=True, name=f"paraphrase_{number}")(h)
        h = layers.LeakyReLU(0.1, dtype="float32")(h)
    encoder = keras.Model(inputs, h, name="paraphraser")
    for number, width in enumerate((factors, channels, channels)):
        h = _transposed(width, features.ndim, f"rebuild_{number}")(h)
        h = layers.LeakyReLU(0.1, dtype="float32")(h) if number < 2 else h
    autoencoder = keras.Model(inputs, h)
    autoencoder.compile(optimizer, "mse")
    build_optimizer(autoencoder)
    autoencoder.fit(features, features, **fit)
    return encoder


def _features(teacher: keras.Model, layer: str, x: Structure) -> np.ndarray:
    """What a layer gives of all inputs, float32."""
    tap, count = Tap(teacher, (layer,)), len(keras.tree.flatten(x)[0])
    parts = [
        tap(rows(x, slice(start, start + BATCH)), training=False).features[layer] for start in range(0, count, BATCH)
    ]
    return np.concatenate([np.asarray(ops.convert_to_numpy(ops.cast(part, "float32"))) for part in parts])


def _transposed(channels: int, rank: int, name: str) -> keras.Layer:
    if rank == 2:
        return layers.Dense(channels, dtype="float32", name=name)
    kind = {3: layers.Conv1DTranspose, 4: layers.Conv2DTranspose, 5: layers.Conv3DTranspose}[rank]
    return kind(channels, 3, padding="same", data_format="channels_last", dtype="float32", name=name)
