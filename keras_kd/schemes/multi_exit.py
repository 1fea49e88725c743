"""Self-distillation: a model that teaches its own shallower exits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_kd.layers import activation_of, find_layer
from keras_kd.objectives.base import Objective
from keras_kd.objectives.response import SoftTarget
from keras_kd.objectives.tensors import flat
from keras_kd.objectives.weighing import batch_mean
from keras_kd.per_output import hard_weights, ignored_class, labels_of, weights_of
from keras_kd.schedules import Schedule, as_config, number_or_schedule
from keras_kd.serialization import serializable
from keras_kd.training import Batch, TeachingModel
from keras_kd.types import Structure, Tensor


@serializable
class MultiExit(TeachingModel):
    """Classifiers at inner layers, trained on labels and on the deepest classifier's outputs and features.

    Exit k minimizes (1 - alpha) * loss(y, k) + alpha * T^2 KL(deepest || k) + feature_weight * ||f_deepest - f_k||^2 (sum over
    features), the deepest exit loss(y, deepest) alone. f_k is the exit's bottleneck: global average pooling and a Dense
    layer as wide as the features before the model's own head. `exit(k)` gives the model that ends in exit k, and `exit(-1)`
    the original. Sample weights apply to all three parts. A model of one logit is taught in the Bernoulli form.

    Args:
        model: A Functional or Sequential classifier of one output that ends in logits.
        exits: Names of the layers to put an exit on, from shallow to deep.
        features: Name of the layer before the model's own head, whose pooled output the bottlenecks follow; None takes
            the input of the last layer.
        alpha: Fraction of the deepest exit's soft targets, against the labels, in [0, 1], or a schedule over training steps.
        temperature: T, above 0, or a schedule.
        feature_weight: Factor of the feature distance, at least 0, or a schedule.

    `predict` gives the deepest exit's logits. Logs: `loss`, `exit_k_loss`, `exit_k_lesson`, `exit_k_features`.

    Raises:
        ValueError: For unknown layers, an output that is not logits, or numbers out of range.

    Examples:
        >>> layers = [keras.layers.Dense(8, activation="relu", name=f"dense_{k}") for k in range(2)]
        >>> model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3)])
        >>> multi_exit = keras_kd.MultiExit(model, ["dense_0"])
        >>> multi_exit.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> history = multi_exit.fit(np.ones((8, 4)), np.zeros(8), verbose=0)
        >>> multi_exit.exit(0).output_shape
        (None, 3)

    Source: Be Your Own Teacher, Zhang et al. 2019, equations 3 to 6, https://arxiv.org/abs/1905.08094
    """

    def __init__(
        self,
        model: keras.Model,
        exits: Sequence[str],
        *,
        features: str | None = None,
        alpha: float | Schedule = 0.3,
        temperature: float | Schedule = 3.0,
        feature_weight: float | Schedule = 0.03,
        name: str = "multi_exit",
        **kwargs: object,
    ) -> None:
        kwargs.setdefault("dtype", model.dtype_policy)
        super().__init__(name=name, **kwargs)
        if len(getattr(model, "outputs", None) or [None]) != 1:
            raise ValueError(f"MultiExit: model {model.name!r} has {len(model.outputs)} outputs; one is needed")
        if activation_of(model) != "linear":
            raise ValueError(f"MultiExit: model {model.name!r} must end in logits, i.e. a linear layer")
        if not exits:
            raise ValueError("MultiExit: name at least one layer to put an exit on")
        self.alpha = number_or_schedule(alpha, "MultiExit: alpha", minimum=0.0, maximum=1.0)
        self.temperature = number_or_schedule(temperature, "MultiExit: temperature", above=0.0)
        self.feature_weight = number_or_schedule(feature_weight, "MultiExit: feature_weight", minimum=0.0)
        self.model, self.exits, self.features = model, tuple(exits), features
        outputs = [find_layer(model, layer).output for layer in exits]
        last = find_layer(model, features).output if features else model.outputs[0]._keras_history.operation.input
        deepest = _pooled(last)
        width, classes = deepest.shape[-1], model.outputs[0].shape[-1]
        self.bottlenecks = [
            keras.layers.Dense(width, activation="relu", name=f"bottleneck_{k}") for k in range(len(exits))
        ]
        self.heads = [keras.layers.Dense(classes, name=f"exit_{k}") for k in range(len(exits))]
        narrowed = [bottleneck(_pooled(output)) for bottleneck, output in zip(self.bottlenecks, outputs)]
        logits = [head(feature) for head, feature in zip(self.heads, narrowed)]
        inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
        self._graph = keras.Model(
            inputs, {"features": [*narrowed, deepest], "logits": [*logits, model.outputs[0]]}, name="all_exits"
        )
        self._soft_target = SoftTarget(
            self.temperature, self.alpha, form="bernoulli" if classes == 1 else "categorical"
        )
        self._distance = _FeatureDistance(self.feature_weight)
        self._means = {
            f"exit_{k}_{what}": keras.metrics.Mean(name=f"exit_{k}_{what}")
            for k in range(len(exits) + 1)
            for what in (("loss", "lesson", "features") if k < len(exits) else ("loss",))
        }
        self._count_steps_for([self._soft_target, self._distance])
        self.built = True

    def exit(self, k: int) -> keras.Model:
        """The deployable model that ends in exit `k`, counted from the shallowest; it shares the trained layers.

        Raises:
            ValueError: If there is no such exit.
        """
        count = len(self.exits) + 1
        if not -count <= k < count:
            raise ValueError(f"MultiExit: exits are 0 to {count - 1}, got {k}")
        return keras.Model(
            self._graph.inputs, self._graph.output["logits"][k], name=f"{self.model.name}_exit_{k % count}"
        )

    def call(self, inputs: Structure, training: bool = False) -> Any:
        """Logits and features of every exit while training, the deepest exit's logits otherwise."""
        given = self._graph(inputs, training=training)
        return given if training or self.in_step else given["logits"][-1]

    def _terms(self, batch: Batch, training: bool) -> list[Tensor]:
        """The hard loss, the soft one and the distance of features of each exit, weighted."""
        x, y, y_pred, sample_weight = batch
        if y is None or self._compile_loss is None:
            missing = "labels: call fit with y" if y is None else "a loss on labels: pass one to compile"
            raise ValueError(f"MultiExit needs {missing}")
        given = y_pred if isinstance(y_pred, dict) else self._graph(x, training=training)
        terms = [self._aggregate_additional_loss(loss) for loss in self.losses]
        deepest, deep_features = (ops.stop_gradient(given[what][-1]) for what in ("logits", "features"))
        weights = weights_of(sample_weight, self.model, 0)
        ignored = ignored_class("loss", self.loss, self.model, 0, labels_of(y, self.model, 0))
        last = len(self.exits)
        lesson, near = (self._now(objective, training) for objective in (self._soft_target, self._distance))
        for k, (logits, features) in enumerate(zip(given["logits"], given["features"])):
            hard = self._compile_loss(y, logits, hard_weights(self.loss, y, logits, sample_weight))
            self._log_mean(self._means[f"exit_{k}_loss"], hard, x)
            if k == last:
                terms.append(hard)
                continue
            soft = batch_mean(lesson, deepest, logits, y, weights, ignored)
            distance = batch_mean(near, deep_features, features, y, weights)
            self._log_mean(self._means[f"exit_{k}_lesson"], soft, x)
            self._log_mean(self._means[f"exit_{k}_features"], distance, x)
            terms += [(1.0 - lesson.weight) * hard, lesson.weight * soft, near.weight * distance]
        return terms

    def compute_metrics(
        self, x: Structure, y: Structure | None, y_pred: Structure, sample_weight: Structure | None = None
    ) -> dict[str, Any]:
        """Metrics of the deepest exit."""
        outputs = y_pred["logits"][-1] if isinstance(y_pred, dict) else y_pred
        return super().compute_metrics(x, y, outputs, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "model": keras.saving.serialize_keras_object(self.model),
            "exits": list(self.exits),
            "features": self.features,
            "alpha": as_config(self.alpha),
            "temperature": as_config(self.temperature),
            "feature_weight": as_config(self.feature_weight),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> MultiExit:
        config = dict(config)
        for name in ("alpha", "temperature", "feature_weight"):
            if isinstance(config.get(name), dict):
                config[name] = keras.saving.deserialize_keras_object(config[name], custom_objects)
        return cls(
            keras.saving.deserialize_keras_object(config.pop("model"), custom_objects), config.pop("exits"), **config
        )


class _FeatureDistance(Objective):
    """Squared distance of features, summed: (batch, n), (batch, n) -> (batch,)."""

    def compare(self, teacher: Tensor, student: Tensor, y: Structure | None = None) -> Tensor:
        return ops.sum(ops.square(flat(teacher) - flat(student)), axis=-1)


def _pooled(features: Tensor) -> Tensor:
    """Global average over positions: (batch, *positions, channels) -> (batch, channels)."""
    rank = len(features.shape)
    if rank == 2:
        return features
    if rank == 3:
        # The layer leaves masked steps out.
        return keras.layers.GlobalAveragePooling1D()(features)
    return keras.ops.mean(features, axis=tuple(range(1, rank - 1)))
