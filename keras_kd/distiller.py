"""One student, one teacher, a list of objectives, one `fit`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

from keras_kd.layers import Captured, Tap, activation_of, find_layer
from keras_kd.objectives.base import Objective, require_number, serializable

# The distiller whose train or test step is running, so that its `call` gives layer outputs beside the student's:
# that spares a second forward pass, and `distiller(x)` outside a step stays what it is on any model.
_stepping: ContextVar[keras.Model | None] = ContextVar("keras_kd_stepping", default=None)


@serializable
class Distiller(keras.Model):
    """Train a student on a teacher's outputs and layers, and on labels where there are any.

    Minimises hard_weight * loss(y, student) + sum over objectives of weight * mean(objective) + the student's own
    regularisation. `sample_weight` and `class_weight` weigh the hard loss and every objective that gives one value an
    example. Each step makes one forward pass of the student and one of the teacher. The teacher runs in inference mode
    and is left as it was: weights, statistics, `trainable` flags. Without labels only the objectives are trained on.

    `compile` takes what any Keras model takes; `loss` is the hard loss and may be None. `predict` and calling the
    distiller give the student's outputs. Logs: `loss`, one entry an objective (without its weight), and,
    where there are labels, `hard_loss` and metrics.

    Args:
        teacher: A built Keras model with the student's input.
        student: The Keras model to train.
        objectives: Objectives, at least one; two of a name are numbered.
        hard_weight: Factor of the compiled loss on labels, at least 0.

    Raises: ValueError for models that cannot be compared: other inputs, classes or layers.
    """

    def __init__(
        self,
        teacher: keras.Model,
        student: keras.Model,
        objectives: Sequence[Objective],
        *,
        hard_weight: float = 1.0,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        _require_models(teacher, student)
        kwargs.setdefault("dtype", student.dtype_policy)
        super().__init__(name=name, **kwargs)
        self.hard_weight = require_number(hard_weight, "hard_weight", minimum=0.0)
        self.objectives = tuple(_prepare(objective, teacher, student) for objective in _named_apart(objectives))
        self.teacher = teacher
        self.student = student
        self._teacher_tap = Tap(teacher, [o.teacher_layer for o in self.objectives if o.teacher_layer])
        self._student_tap = Tap(student, [o.student_layer for o in self.objectives if o.student_layer])
        self._means = {name: keras.metrics.Mean(name=name) for name in (*self.objective_names, "hard_loss")}
        self.built = teacher.built and student.built

    @property
    def objective_names(self) -> tuple[str, ...]:
        """Log keys of the objectives, in their order."""
        return tuple(objective.name for objective in self.objectives)

    @property
    def trainable_weights(self) -> list[Any]:
        """The student's: the teacher's weights keep their own flags and are never updated."""
        return self.student.trainable_weights if self.trainable else []

    @property
    def trainable_variables(self) -> list[Any]:
        """The student's."""
        return self.student.trainable_variables if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Any]:
        """Everything that training leaves alone, the teacher's weights among it."""
        return _without(self.weights, self.trainable_weights)

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Everything that the optimizer leaves alone, random seeds and the teacher's variables among it."""
        return _without(self.variables, self.trainable_variables)

    def build(self, input_shape: Any = None) -> None:
        """Build whichever of the two models is not yet built."""
        for model in (self.teacher, self.student):
            if not model.built:
                model.build(input_shape)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The student's outputs."""
        captured = self._student_tap(inputs, training=training)
        return captured if _stepping.get() is self else captured.outputs

    def train_step(self, *args: Any) -> Any:
        """One step, as the backend's own trainer makes it."""
        with self._one_step():
            return super().train_step(*args)

    def test_step(self, *args: Any) -> Any:
        """One evaluation step, as the backend's own trainer makes it."""
        with self._one_step():
            return super().test_step(*args)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The weighted sum that training minimises; `y_pred` is what `call` gave."""
        self._require_labels(y)
        student = y_pred if isinstance(y_pred, Captured) else self._student_tap(x, training=training)
        # Read before the teacher runs: `self.losses` would then hold the teacher's activity regularisation too.
        terms = [self._aggregate_additional_loss(loss) for loss in self.losses]
        if self._compile_loss is not None and y is not None:
            hard = self._compile_loss(y, student.outputs, sample_weight)
            self._log("hard_loss", hard, x)
            terms.append(self.hard_weight * hard)
        teacher = keras.tree.map_structure(ops.stop_gradient, self._teacher_tap(x, training=False))
        for objective in self.objectives:
            value = objective(_side(teacher, objective.teacher_layer), _side(student, objective.student_layer), y)
            mean = _reduce(value, sample_weight)
            self._log(objective.name, mean, x)
            terms.append(objective.weight * mean)
        return sum(terms[1:], terms[0])

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The student's metrics; without labels there is nothing to measure them on."""
        if y is None:
            return self._measured(self.get_metrics_result(), labelled=False)
        outputs = y_pred.outputs if isinstance(y_pred, Captured) else y_pred
        return self._measured(super().compute_metrics(x, y, outputs, sample_weight), labelled=True)

    def get_config(self) -> dict[str, Any]:
        """Both models, the objectives and the weight of the hard loss."""
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "teacher": serialize(self.teacher),
            "student": serialize(self.student),
            "objectives": [serialize(objective) for objective in self.objectives],
            "hard_weight": self.hard_weight,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Distiller:
        """The distiller that `get_config` described."""
        config = dict(config)

        def revive(part: Any) -> Any:
            return keras.saving.deserialize_keras_object(part, custom_objects=custom_objects)

        teacher, student = revive(config.pop("teacher")), revive(config.pop("student"))
        return cls(teacher, student, [revive(part) for part in config.pop("objectives")], **config)

    @contextmanager
    def _one_step(self) -> Iterator[None]:
        token = _stepping.set(self)
        try:
            yield
        finally:
            _stepping.reset(token)

    def get_metrics_result(self) -> dict[str, Any]:
        """All metrics so far; those on labels only once there were some."""
        if self._compile_metrics is None or self._compile_metrics.built:
            return super().get_metrics_result()
        return {metric.name: metric.result() for metric in self.metrics if metric is not self._compile_metrics}

    def _measured(self, logs: dict[str, Any], labelled: bool) -> dict[str, Any]:
        """The logs without what would need labels that were not there."""
        if labelled and self._compile_loss is not None:
            return logs
        kept = {"loss", *self.objective_names} if not labelled else set(logs) - {"hard_loss"}
        return {name: value for name, value in logs.items() if name in kept}

    def _log(self, name: str, mean: Any, x: Any) -> None:
        # As Keras logs `loss`: batches count by their size, and the share that a loss is scaled to on each of several
        # replicas is undone.
        strategy = getattr(self, "distribute_strategy", None)
        replicas = strategy.num_replicas_in_sync if strategy is not None else 1
        size = ops.shape(keras.tree.flatten(x)[0])[0]
        self._means[name].update_state(mean * replicas, sample_weight=size)

    def _require_labels(self, y: Any) -> None:
        needy = [objective.name for objective in self.objectives if objective.needs_labels]
        if y is None and needy:
            raise ValueError(f"objective {needy[0]} needs labels: call fit with y")


def _prepare(objective: Objective, teacher: keras.Model, student: keras.Model) -> Objective:
    """The objective resolved for these two models, after checking that it can compare them."""
    label = f"objective {type(objective).__name__}"
    for side, model, layer in (
        ("teacher", teacher, objective.teacher_layer),
        ("student", student, objective.student_layer),
    ):
        if layer is not None:
            try:
                find_layer(model, layer)
            except ValueError as error:
                raise ValueError(f"{label}: {side} {error}") from None
    resolved = objective.resolve(
        activation_of(teacher, objective.teacher_layer), activation_of(student, objective.student_layer)
    )
    teacher_shape = _shape(teacher, objective.teacher_layer)
    student_shape = _shape(student, objective.student_layer)
    if teacher_shape is not None and student_shape is not None:
        resolved.check(teacher_shape, student_shape)
    return resolved


def _require_models(teacher: Any, student: Any) -> None:
    for side, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, keras.Model):
            raise ValueError(f"{side} must be a keras.Model, got {type(model).__name__}")
    if teacher is student:
        raise ValueError("teacher and student are the same model; clone one of them")
    shapes = [[tuple(i.shape) for i in getattr(model, "inputs", None) or ()] for model in (teacher, student)]
    if all(shapes) and not _compatible(*shapes):
        raise ValueError(
            f"teacher {teacher.name!r} takes inputs {shapes[0]}, student {student.name!r} takes {shapes[1]}; "
            "both are fed the same batches"
        )


def _compatible(teacher: list[tuple[int | None, ...]], student: list[tuple[int | None, ...]]) -> bool:
    return len(teacher) == len(student) and all(
        len(t) == len(s) and all(a == b or a is None or b is None for a, b in zip(t, s))
        for t, s in zip(teacher, student)
    )


def _named_apart(objectives: Sequence[Objective]) -> list[Objective]:
    """The objectives with log keys that differ: a second `soft_target` becomes `soft_target_1`."""
    if isinstance(objectives, Objective) or not objectives:
        raise ValueError("objectives must be a list of at least one objective, e.g. [keras_kd.SoftTarget()]")
    taken: set[str] = {"loss", "hard_loss"}
    apart = []
    for objective in objectives:
        if not isinstance(objective, Objective):
            raise ValueError(f"objectives must be keras_kd objectives, got {objective!r}")
        name, number = objective.name, 0
        while name in taken:
            number += 1
            name = f"{objective.name}_{number}"
        taken.add(name)
        apart.append(
            objective
            if name == objective.name
            else type(objective).from_config({**objective.get_config(), "name": name})
        )
    return apart


def _shape(model: keras.Model, layer: str | None) -> tuple[int | None, ...] | None:
    """Output shape of a model or of one of its layers, None where it is not known or there are several outputs."""
    outputs = getattr(model, "outputs", None)
    if not outputs:
        return None
    if layer is not None:
        return tuple(find_layer(model, layer).output.shape)
    if len(outputs) > 1:
        raise ValueError(
            f"model {model.name!r} has {len(outputs)} outputs: name the layer to compare with teacher_layer, student_layer"
        )
    return tuple(outputs[0].shape)


def _side(captured: Captured, layer: str | None) -> Any:
    return captured.outputs if layer is None else captured.features[layer]


class _MeanOfValues(keras.losses.Loss):
    """Keras's own reduction, sample weights and distribution scaling, over values that are already losses."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred


def _reduce(value: Any, sample_weight: Any) -> Any:
    """Mean over the batch, weighted where there is one value an example."""
    return _MeanOfValues(name="mean", dtype="float32")(value, value, sample_weight if len(value.shape) else None)


def _without(variables: Sequence[Any], excluded: Sequence[Any]) -> list[Any]:
    gone = {id(variable) for variable in excluded}
    return [variable for variable in variables if id(variable) not in gone]
