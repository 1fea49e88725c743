"""Layers that bring the student's features to the teacher's channels. They are trained along and belong to neither model."""

from __future__ import annotations

from typing import Any, TypeAlias, Unpack

import keras
from keras import layers

from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.schedules import Schedule
from keras_kd.serialization import serializable
from keras_kd.types import Shape, Tensor

Adapting: TypeAlias = "str | keras.Layer | None"
"""How a student's channels become the teacher's: one of KINDS, a layer of one's own, or None for not at all."""

KINDS = ("linear", "norm", "conv", "mlp", "as_needed")


class Adapted(Objective):
    """An objective on features (batch, *positions, channels), the student's of which pass an adapter.

    'linear' is a Dense layer on the channels, on a map a 1x1 convolution; 'norm' the same with BatchNormalization; 'conv' a
    convolution over 3 positions (on features without positions a Dense layer), BatchNormalization and ReLU; 'mlp' two Dense
    layers with a ReLU between, the inner one as wide as the teacher's channels; 'as_needed' is 'linear' where the numbers of
    channels differ, else None; None compares the features as they are. A layer of one's own takes the student's features and
    gives the teacher's channels.
    """

    takes_mask = True

    def __init__(
        self, weight: float | Schedule = 1.0, *, adapter: Adapting = "linear", **kwargs: Unpack[ObjectiveArguments]
    ) -> None:
        super().__init__(weight, **kwargs)
        if adapter is not None and not isinstance(adapter, keras.Layer) and adapter not in KINDS:
            raise ValueError(
                f"{self.message_name}: adapter must be {', '.join(map(repr, KINDS))}, a Keras layer or None, got {adapter!r}"
            )
        self.adapter = adapter
        self.adapter_layer = None if adapter is None else Adapter(adapter, dtype="float32", name=f"{self.name}_adapter")

    @property
    def learned(self) -> tuple[keras.Layer, ...]:
        return () if self.adapter_layer is None else (self.adapter_layer,)

    def check(self, teacher_shape: Shape, student_shape: Shape) -> None:
        require_features(self.message_name, teacher_shape, student_shape)
        if self.adapter is None and teacher_shape[-1] != student_shape[-1]:
            raise ValueError(
                f"{self.message_name}: the teacher has {teacher_shape[-1]} channels, the student {student_shape[-1]}; "
                "pass adapter='linear', or a layer that gives the teacher's channels"
            )
        made_for = getattr(self.adapter_layer, "channels", None)
        if made_for is not None and teacher_shape[-1] != made_for:
            raise ValueError(
                f"{self.message_name}: learned for {made_for} teacher channels, got {teacher_shape[-1]}; "
                "use an objective of its own for each pair of layers"
            )

    def build(self, teacher_shape: Shape, student_shape: Shape) -> None:
        if self.adapter_layer is not None and not self.adapter_layer.built:
            assert teacher_shape[-1] is not None
            self.adapter_layer.build_for(teacher_shape[-1], student_shape, self.message_name)

    def adapted(self, student: Tensor) -> Tensor:
        """The student's features with the teacher's channels."""
        return student if self.adapter_layer is None else self.adapter_layer(student, training=self.training)

    def changed(self, **arguments: object) -> Objective:
        # A layer of the user's own may hold trained weights: it goes along as it is.
        own = {"adapter": self.adapter} if isinstance(self.adapter, keras.Layer) else {}
        return type(self).from_config({**self.get_config(), **own, **arguments})

    def fresh(self) -> Objective:
        made = type(self).from_config(self.get_config())
        if isinstance(self.adapter, keras.Layer) and self.adapter.built:
            if not made.adapter.built:
                made.adapter.build_from_config(self.adapter.get_build_config())
            made.adapter.set_weights(self.adapter.get_weights())
        return made

    def get_config(self) -> dict[str, Any]:
        own = isinstance(self.adapter, keras.Layer)
        return {
            **super().get_config(),
            "adapter": keras.saving.serialize_keras_object(self.adapter) if own else self.adapter,
        }


@serializable
class Adapter(keras.layers.Layer):
    """The layers that `Adapted` describes, made once both shapes are known."""

    def __init__(self, kind: str | keras.Layer, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.channels: int | None = None
        self.parts: list[keras.Layer] = [kind] if isinstance(kind, keras.Layer) else []

    def build_for(self, channels: int, student_shape: Shape, message_name: str) -> None:
        """Make and build the layers from features of the student's shape to the teacher's channels."""
        if isinstance(self.kind, str):
            self.parts = parts_of(self.kind, channels, student_shape, self.name)
        shape: Any = student_shape
        for part in self.parts:
            if not part.built:
                part.build(shape)
            shape = part.compute_output_shape(shape)
        if tuple(shape)[-1] != channels:
            raise ValueError(
                f"{message_name}: the adapter {self.parts[0].name!r} gives {tuple(shape)[-1]} channels, the teacher has "
                f"{channels}"
            )
        self.channels = channels
        self.built = True

    def call(self, inputs: Tensor, training: bool = False) -> Any:
        for part in self.parts:
            inputs = part(inputs, training=training)
        return inputs


def parts_of(kind: str, channels: int, student_shape: Shape, name: str) -> list[keras.Layer]:
    """The layers of a kind of adapter."""
    if kind == "as_needed":
        kind = "none" if student_shape[-1] == channels else "linear"
    if kind == "none":
        return []
    if kind == "linear":
        return [layers.Dense(channels, dtype="float32", name=f"{name}_linear")]
    if kind == "mlp":
        inner = layers.Dense(channels, activation="relu", dtype="float32", name=f"{name}_inner")
        return [inner, layers.Dense(channels, dtype="float32", name=f"{name}_outer")]
    norm = layers.BatchNormalization(dtype="float32", name=f"{name}_norm")
    if kind == "norm":
        return [layers.Dense(channels, use_bias=False, dtype="float32", name=f"{name}_linear"), norm]
    conv = convolution(channels, len(student_shape), 3, name=f"{name}_conv")
    return [conv, norm, layers.ReLU(dtype="float32", name=f"{name}_relu")]


def convolution(channels: int, rank: int, size: int, *, use_bias: bool = False, name: str) -> keras.Layer:
    """A convolution over `size` positions that keeps their number, for features of this rank; Dense where there are none."""
    if rank == 2:
        return layers.Dense(channels, use_bias=use_bias, dtype="float32", name=name)
    kind = {3: layers.Conv1D, 4: layers.Conv2D, 5: layers.Conv3D}[rank]
    return kind(
        channels, size, padding="same", use_bias=use_bias, data_format="channels_last", dtype="float32", name=name
    )


def require_features(label: str, teacher_shape: Shape, student_shape: Shape) -> None:
    """Raise ValueError unless both are features of one rank with known channels."""
    if len(teacher_shape) != len(student_shape):
        raise ValueError(
            f"{label}: teacher gives {tuple(teacher_shape)}, student gives {tuple(student_shape)}; the ranks must agree"
        )
    if not 2 <= len(teacher_shape) <= 5 or teacher_shape[-1] is None or student_shape[-1] is None:
        raise ValueError(
            f"{label} takes (batch, channels) or (batch, *positions, channels) with one to three axes of positions and known "
            f"channels, got {tuple(teacher_shape)} and {tuple(student_shape)}"
        )


def require_maps(label: str, teacher_shape: Shape, student_shape: Shape) -> None:
    """Raise ValueError unless both are features with an axis of positions."""
    require_features(label, teacher_shape, student_shape)
    if len(teacher_shape) < 3:
        raise ValueError(
            f"{label} needs maps (batch, *positions, channels), got {tuple(teacher_shape)}; name a layer before pooling"
        )
