"""Where targets come from, besides a single Keras model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_kd.layers import activation_of, copied
from keras_kd.objectives.base import require_number, serializable


@serializable
class Ensemble(keras.Model):
    """Several models as one teacher: the weighted mean of their probabilities or of their logits.

    Args:
        models: Built Keras models with the same inputs and outputs, at least one.
        weights: One for each, not negative, not all zero; scaled to a sum of 1. None weighs all alike.
        space: 'probability' averages softmax or sigmoid outputs (a linear output goes through softmax first, or through
            sigmoid where `linear` says so), 'logit' averages linear outputs, 'output' whatever the models give.
        linear: What probabilities mean for linear outputs: 'softmax' or 'sigmoid'.

    Raises:
        ValueError: For weights that do not fit, models that differ in shape, or logits asked of models that end in a
            softmax or sigmoid.

    Source: Hinton, Vinyals and Dean 2015, section 1 (arithmetic mean) and section 2 (logit mean: their geometric mean).
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        weights: Sequence[float] | None = None,
        *,
        space: str = "probability",
        linear: str = "softmax",
        name: str = "ensemble",
        **kwargs: Any,
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
        """The first model's."""
        return getattr(self.models[0], "inputs", None)

    @property
    def outputs(self) -> Any:
        """The first model's, for their shape."""
        return getattr(self.models[0], "outputs", None)

    @property
    def output_activation(self) -> str | None:
        """How the mean was made, for objectives that ask."""
        if self.space == "logit":
            return "linear"
        found = {
            self.linear if activation == "linear" and self.space == "probability" else activation
            for activation in self.activations
        }
        return found.pop() if len(found) == 1 else None

    def follow(self, student: keras.Model) -> None:
        """Let moving averages among the models take their step."""
        for model in self.models:
            if isinstance(model, MovingAverage):
                model.follow(student)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The weighted mean."""
        total = 0.0
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
    """A teacher that is the student's own moving average: before each step, w = decay * w + (1 - decay) * student's.

    It starts as a copy of the student. BatchNormalization statistics are averaged alike.

    Args:
        student: The model that a Distiller trains.
        decay: In [0, 1).

    Raises:
        ValueError: For a decay outside the range.

    Source: mean teacher, Tarvainen and Valpola 2017, equation 1.
    """

    def __init__(
        self, student: keras.Model, decay: float = 0.999, *, name: str = "moving_average", **kwargs: Any
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
        """The student's."""
        return getattr(self.average, "inputs", None)

    @property
    def outputs(self) -> Any:
        """The student's, for their shape."""
        return getattr(self.average, "outputs", None)

    @property
    def output_activation(self) -> str | None:
        """The student's, for objectives that ask."""
        return activation_of(self.average)

    def follow(self, student: keras.Model) -> None:
        """One step of the average towards the student."""
        for mine, its in zip(self.average.weights, student.weights):
            target = ops.cast(its, mine.dtype)
            if not str(mine.dtype).startswith(("float", "bfloat")):
                mine.assign(target)
            else:
                mine.assign(self.decay * mine + (1.0 - self.decay) * target)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Outputs of the average."""
        return self.average(inputs, training=False)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "student": keras.saving.serialize_keras_object(self.average), "decay": self.decay}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> MovingAverage:
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("student"), custom_objects), **config)


class Supplied:
    """A teacher whose outputs come with the batches, as `{"inputs": x, "teacher": {name: array}}`.

    `shapes` and `activations` are by name, 'outputs' being the teacher's own output and every other name a layer's; shapes
    leave the batch axis out.
    """

    # How many logits of each output are kept where not all are; they come as 'outputs.values', '.indices' and '.rest'.
    top_k: int | None = None

    def __init__(self, shapes: dict[str, tuple[int, ...]], activations: dict[str, str | None]) -> None:
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.activations = dict(activations)

    def targets(self, indices: np.ndarray, x: Any) -> dict[str, np.ndarray]:
        """What the teacher gives for the examples at `indices`, whose inputs are `x`."""
        raise NotImplementedError

    def batches(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
    ) -> Batches:
        """What to fit a Distiller on: batches of (inputs with targets, y, sample_weight), shuffled anew each epoch."""
        return Batches(self, x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, seed=seed)


class Function(Supplied):
    """A teacher that is no Keras model: any function from a NumPy batch to NumPy outputs, such as a call to a served model.

    It runs on the host while batches are made; see `Supplied.batches`.

    Args:
        function: (batch, ...) float array -> (batch, *shape) array.
        shape: Of one example's output.
        activation: 'linear' for logits, 'softmax' or 'sigmoid' for probabilities, None if it does not matter.
    """

    def __init__(self, function: Callable[[Any], Any], shape: Sequence[int], activation: str | None = None) -> None:
        if not callable(function):
            raise ValueError(f"Function: needs a callable from a batch to outputs, got {function!r}")
        super().__init__({"outputs": tuple(shape)}, {"outputs": activation})
        self.function = function

    def targets(self, indices: np.ndarray, x: Any) -> dict[str, np.ndarray]:
        outputs = np.asarray(self.function(x), np.float32)
        wanted = (len(indices), *self.shapes["outputs"])
        if outputs.shape != wanted:
            raise ValueError(f"Function: the teacher gave {outputs.shape}, {wanted} were promised")
        return {"outputs": outputs}


class Batches(keras.utils.PyDataset):
    """Batches with a supplied teacher's targets beside the inputs."""

    def __init__(
        self,
        teacher: Supplied,
        x: Any,
        y: Any,
        sample_weight: Any,
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        lengths = {len(part) for part in keras.tree.flatten((x, y, sample_weight)) if part is not None}
        if len(lengths) != 1:
            raise ValueError(f"x, y and sample_weight must have one length, got {sorted(lengths)}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.teacher, self.x, self.y, self.sample_weight = teacher, x, y, sample_weight
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self._count = lengths.pop()
        self._epoch = 0
        self._order = self._new_order()

    def __len__(self) -> int:
        return -(-self._count // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        chosen = np.sort(self._order[index * self.batch_size : (index + 1) * self.batch_size])
        x, y, sample_weight = keras.tree.map_structure(
            lambda part: None if part is None else np.asarray(part)[chosen], (self.x, self.y, self.sample_weight)
        )
        given = {"inputs": x, "teacher": self.teacher.targets(chosen, x)}
        if sample_weight is not None:
            return given, y, sample_weight
        return (given,) if y is None else (given, y)

    def on_epoch_end(self) -> None:
        """Another order for the next epoch."""
        self._epoch += 1
        self._order = self._new_order()

    def _new_order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self._count)
        return np.random.default_rng([self.seed, self._epoch]).permutation(self._count)
