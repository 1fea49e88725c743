"""Teachers made of models: ensembles and moving averages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_kd.checks import require_number
from keras_kd.layers import activation_of, copied
from keras_kd.serialization import serializable
from keras_kd.types import Structure, Tensor


@serializable
class Ensemble(keras.Model):
    """Several models as one teacher: the weighted mean of their probabilities or of their logits.

    Args:
        models: Built Keras models with the same inputs and outputs, at least one.
        weights: One per model, at least 0 and not all 0; they are scaled to a sum of 1. None weights all models equally.
        space: 'probability' averages softmax or sigmoid outputs (a linear output goes through `linear` first), 'logit'
            averages linear outputs, 'output' averages whatever the models give.
        linear: What turns linear outputs into probabilities: 'softmax' or 'sigmoid'.

    Raises:
        ValueError: For weights that do not fit, models of different output shapes, or space 'logit' with models that end in
            a softmax or sigmoid.

    Examples:
        >>> models = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]) for _ in range(2)]
        >>> teacher = keras_kd.Ensemble(models, weights=[3.0, 1.0])
        >>> probabilities = np.array(teacher(np.ones((5, 4))))
        >>> probabilities.shape, bool(np.allclose(probabilities.sum(axis=1), 1.0))
        ((5, 3), True)

    Source: Hinton, Vinyals and Dean 2015, section 1 (arithmetic mean) and section 2 (logit mean: their geometric mean),
        https://arxiv.org/abs/1503.02531
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        weights: Sequence[float] | None = None,
        *,
        space: str = "probability",
        linear: str = "softmax",
        name: str = "ensemble",
        **kwargs: object,
    ) -> None:
        super().__init__(name=name, **kwargs)
        models = list(models)
        if not models:
            raise ValueError("Ensemble: needs at least one model")
        if space not in ("probability", "logit", "output"):
            raise ValueError(f"Ensemble: space must be 'probability', 'logit' or 'output', got {space!r}")
        if linear not in ("softmax", "sigmoid"):
            raise ValueError(f"Ensemble: linear must be 'softmax' or 'sigmoid', got {linear!r}")
        shapes = {tuple(model.outputs[0].shape) for model in models if getattr(model, "outputs", None)}
        if len(shapes) > 1:
            raise ValueError(f"Ensemble: models give {sorted(map(str, shapes))}; they must agree")
        weights = [1.0] * len(models) if weights is None else list(weights)
        if len(weights) != len(models):
            raise ValueError(f"Ensemble: {len(weights)} weights for {len(models)} models")
        numbers = [require_number(weight, "Ensemble: weight", minimum=0.0) for weight in weights]
        if not sum(numbers):
            raise ValueError("Ensemble: all weights are zero")
        self.activations = tuple(activation_of(model) for model in models)
        if space != "output" and None in self.activations:
            raise ValueError(
                "Ensemble: cannot tell whether the models give logits or probabilities; pass space='output'"
            )
        if space == "logit" and set(self.activations) != {"linear"}:
            raise ValueError(
                f"Ensemble: space 'logit' needs linear outputs, the models end in {', '.join(map(str, self.activations))}"
            )
        self.models = models
        self.weights_of_models = tuple(number / sum(numbers) for number in numbers)
        self.space, self.linear = space, linear
        self.built = all(model.built for model in models)

    @property
    def inputs(self) -> Any:
        """The first model's symbolic inputs."""
        return getattr(self.models[0], "inputs", None)

    @property
    def outputs(self) -> Any:
        """The first model's symbolic outputs, which have the shape of the ensemble's."""
        return getattr(self.models[0], "outputs", None)

    @property
    def output_activation(self) -> str | None:
        """'linear', 'softmax' or 'sigmoid', as objectives need to know it; None where the models differ."""
        if self.space == "logit":
            return "linear"
        activations = {
            self.linear if activation == "linear" and self.space == "probability" else activation
            for activation in self.activations
        }
        return activations.pop() if len(activations) == 1 else None

    def update(self, student: keras.Model) -> None:
        """Update the moving averages among the models from the student's weights, before a training step."""
        for model in self.models:
            if isinstance(model, MovingAverage):
                model.update(student)

    def call(self, inputs: Structure, training: bool = False) -> Tensor:
        """The weighted mean of the models' outputs: (batch, ...)."""
        total: Any = 0.0
        for model, weight, activation in zip(self.models, self.weights_of_models, self.activations):
            outputs = model(inputs, training=training)
            if self.space == "probability" and activation == "linear":
                outputs = ops.softmax(outputs, axis=-1) if self.linear == "softmax" else ops.sigmoid(outputs)
            total = total + weight * outputs
        return total

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "models": [keras.saving.serialize_keras_object(model) for model in self.models],
            "weights": list(self.weights_of_models),
            "space": self.space,
            "linear": self.linear,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Ensemble:
        config = dict(config)
        models = [keras.saving.deserialize_keras_object(model, custom_objects) for model in config.pop("models")]
        return cls(models, **config)


@serializable
class MovingAverage(keras.Model):
    """A teacher that is the moving average of the student: before each step, w = decay * w + (1 - decay) * student's w.

    It starts as a copy of the student. BatchNormalization statistics are averaged too.

    Args:
        student: The model that a Distiller trains, built.
        decay: In [0, 1).

    Raises:
        ValueError: For a decay outside the range, or a student that is not built.

    Examples:
        >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> teacher = keras_kd.MovingAverage(student, decay=0.99)
        >>> distiller = keras_kd.Distiller(teacher, student, keras_kd.SoftTarget())

    Source: mean teacher, Tarvainen and Valpola 2017, equation 1, https://arxiv.org/abs/1703.01780
    """

    def __init__(
        self, student: keras.Model, decay: float = 0.999, *, name: str = "moving_average", **kwargs: object
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.decay = require_number(decay, "MovingAverage: decay", minimum=0.0)
        if self.decay >= 1:
            raise ValueError(f"MovingAverage: decay must be below 1, got {self.decay:g}")
        if not student.built:
            raise ValueError("MovingAverage: build the student first")
        self.average = copied(student)
        self.average.trainable = False
        self.built = True

    @property
    def inputs(self) -> Any:
        """Symbolic inputs, as the student's."""
        return getattr(self.average, "inputs", None)

    @property
    def outputs(self) -> Any:
        """Symbolic outputs, as the student's."""
        return getattr(self.average, "outputs", None)

    @property
    def output_activation(self) -> str | None:
        """'linear', 'softmax' or 'sigmoid', as the student's; None where it cannot be read."""
        return activation_of(self.average)

    def update(self, student: keras.Model) -> None:
        """Move the average one step towards the student's weights."""
        for mine, its in zip(self.average.weights, student.weights):
            target = ops.cast(its, mine.dtype)
            if not str(mine.dtype).startswith(("float", "bfloat")):
                mine.assign(target)
            else:
                mine.assign(self.decay * mine + (1.0 - self.decay) * target)

    def call(self, inputs: Structure, training: bool = False) -> Tensor:
        """Outputs of the averaged model, in inference mode."""
        return self.average(inputs, training=False)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "student": keras.saving.serialize_keras_object(self.average), "decay": self.decay}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> MovingAverage:
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("student"), custom_objects), **config)
