"""One student, one teacher, a list of objectives, one `fit`."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

from keras_kd.layers import Captured, MaskOf, Tap, activation_of, find_layer, name_of
from keras_kd.objectives.base import Objective, require_number, serializable
from keras_kd.objectives.keras_losses import FromKeras
from keras_kd.teachers import Ensemble, MovingAverage, Supplied

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

    Layers that objectives learn (a Hint's regressor) are trained along and are no part of the student. A weight or
    temperature that follows a schedule goes by training steps. Masks of the student's output, such as an Embedding
    with mask_zero makes, keep padding out of the objectives; a sample_weight with a position axis weighs positions.

    Args:
        teacher: A Keras model with the student's input, an Ensemble, a MovingAverage of the student, or a Recorded or Function
            teacher, whose targets come with the batches of its `batches`.
        student: The Keras model to train.
        objectives: Objectives or losses of keras.distillation, at least one; two of a name are numbered. For models with
            several outputs, one that names no layers becomes one for each pair of outputs.
        hard_weight: Factor of the compiled loss on labels, at least 0.

    Raises:
        ValueError: For models that cannot be compared: other inputs, classes or layers.
    """

    def __init__(
        self,
        teacher: keras.Model | Supplied,
        student: keras.Model,
        objectives: Sequence[Any],
        *,
        hard_weight: float = 1.0,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        _require_models(teacher, student)
        kwargs.setdefault("dtype", student.dtype_policy)
        super().__init__(name=name, **kwargs)
        self.hard_weight = require_number(hard_weight, "hard_weight", minimum=0.0)
        expanded = [part for one in _listed(objectives) for part in _by_output(one, teacher, student)]
        self.objectives = tuple(_prepare(objective, teacher, student) for objective in _named_apart(expanded))
        self.teacher = teacher
        self.student = student
        self._student_tap = Tap(student, _named_layers(o.student_layer for o in self.objectives))
        self._teacher_tap = (
            None
            if isinstance(teacher, Supplied)
            else Tap(teacher, _named_layers(o.teacher_layer for o in self.objectives))
        )
        self._learnt = [layer for objective in self.objectives for layer in objective.learnt]
        self._means = {name: keras.metrics.Mean(name=name) for name in (*self.objective_names, "hard_loss")}
        # Counted here and not read off the optimizer: on JAX a step's loss cannot see the optimizer's variables.
        self._steps = None
        if any(objective.at(0) is not objective for objective in self.objectives):
            self._steps = self.add_weight(
                shape=(),
                initializer="zeros",
                dtype="int32",
                trainable=False,
                aggregation="only_first_replica",
                name="steps",
            )
        models_built = student.built and (isinstance(teacher, Supplied) or teacher.built)
        self.built = models_built and self._match_shapes(None)

    @property
    def objective_names(self) -> tuple[str, ...]:
        """Log keys of the objectives, in their order."""
        return tuple(objective.name for objective in self.objectives)

    @property
    def trainable_weights(self) -> list[Any]:
        """The student's and those of learnt layers: the teacher's keep their own flags and are never updated."""
        parts = (self.student, *self._learnt) if self.trainable else ()
        return [weight for part in parts for weight in part.trainable_weights]

    @property
    def trainable_variables(self) -> list[Any]:
        """The student's and those of learnt layers."""
        parts = (self.student, *self._learnt) if self.trainable else ()
        return [variable for part in parts for variable in part.trainable_variables]

    @property
    def non_trainable_weights(self) -> list[Any]:
        """Everything that training leaves alone, the teacher's weights among it."""
        return _without(self.weights, self.trainable_weights)

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Everything that the optimizer leaves alone, random seeds and the teacher's variables among it."""
        return _without(self.variables, self.trainable_variables)

    def build(self, input_shape: Any = None) -> None:
        """Build whichever of the models and learnt layers is not yet built."""
        if isinstance(self.teacher, Supplied) and isinstance(input_shape, dict):
            input_shape = input_shape.get("inputs", input_shape)
        for model in (self.teacher, self.student):
            if isinstance(model, keras.Model) and not model.built:
                model.build(input_shape)
        if not self._match_shapes(input_shape):
            raise ValueError(
                "the models' shapes are not known: build teacher and student by calling them on a batch first"
            )
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The student's outputs."""
        captured = self._student_tap(self._inputs(inputs), training=training)
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
        inputs = self._inputs(x)
        student = y_pred if isinstance(y_pred, Captured) else self._student_tap(inputs, training=training)
        # Read before the teacher runs: `self.losses` would then hold the teacher's activity regularisation too.
        terms = [self._aggregate_additional_loss(loss) for loss in self.losses]
        if self._compile_loss is not None and y is not None:
            hard = self._compile_loss(y, student.outputs, sample_weight)
            self._log("hard_loss", hard, inputs)
            terms.append(self.hard_weight * hard)
        teacher = keras.tree.map_structure(ops.stop_gradient, self._ask_teacher(x, training))
        for objective in self.objectives:
            now = objective.at(0 if self._steps is None else self._steps)
            given = _side(student, now.student_layer)
            weights, mask = _weights_and_mask(given, sample_weight, now)
            value = now(_side(teacher, now.teacher_layer), given, y, mask=mask)
            mean = _reduce(value, weights)
            self._log(objective.name, mean, inputs)
            terms.append(now.weight * mean)
        if training and self._steps is not None:
            self._steps.assign_add(1)
        return sum(terms[1:], terms[0])

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The student's metrics; without labels there is nothing to measure them on."""
        if y is None:
            return self._measured(self.get_metrics_result(), labelled=False)
        outputs = y_pred.outputs if isinstance(y_pred, Captured) else y_pred
        return self._measured(super().compute_metrics(x, y, outputs, sample_weight), labelled=True)

    def get_config(self) -> dict[str, Any]:
        """Both models, the objectives and the weight of the hard loss."""
        if isinstance(self.teacher, Supplied):
            raise ValueError(
                f"a distiller under a {type(self.teacher).__name__} teacher cannot be saved whole; save distiller.student, "
                "or use StudentCheckpoint"
            )
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

    def _inputs(self, x: Any) -> Any:
        """The models' inputs, without the targets that a supplied teacher's batches carry."""
        carried = isinstance(self.teacher, Supplied) and isinstance(x, dict) and "inputs" in x and len(x) <= 2
        return x["inputs"] if carried else x

    def _ask_teacher(self, x: Any, training: bool) -> Captured:
        if self._teacher_tap is None:
            if not isinstance(x, dict) or "teacher" not in x:
                raise ValueError(
                    "this teacher's targets come with the batches: fit and evaluate on teacher.batches(x, y)"
                )
            features = x["teacher"]
            return Captured(features.get("outputs"), features)
        if training and isinstance(self.teacher, (Ensemble, MovingAverage)):
            self.teacher.follow(self.student)
        return self._teacher_tap(x, training=False)

    def _match_shapes(self, input_shape: Any) -> bool:
        """Check every objective against the shapes it compares and build what it learns; False if they are not yet known."""
        teacher, student = (
            _supplied_shapes(part) if isinstance(part, Supplied) else _captured_shapes(tap, input_shape)
            for part, tap in ((self.teacher, self._teacher_tap), (self.student, self._student_tap))
        )
        if teacher is None or student is None:
            return (
                not self._learnt and not self._student_tap.listens and not getattr(self._teacher_tap, "listens", False)
            )
        for objective in self.objectives:
            shapes = _side(teacher, objective.teacher_layer), _side(student, objective.student_layer)
            objective.check(*shapes)
            if any(not layer.built for layer in objective.learnt):
                objective.build(*shapes)
        return True

    def _require_labels(self, y: Any) -> None:
        needy = [objective.name for objective in self.objectives if objective.needs_labels]
        if y is None and needy:
            raise ValueError(f"objective {needy[0]} needs labels: call fit with y")


def _listed(objectives: Any) -> list[Objective]:
    """The objectives as a list, losses of keras.distillation wrapped."""
    if isinstance(objectives, keras.distillation.DistillationLoss) or not objectives:
        raise ValueError("objectives must be a list of at least one objective, e.g. [keras_kd.SoftTarget()]")
    listed: list[Objective] = []
    for objective in objectives:
        if not isinstance(objective, keras.distillation.DistillationLoss):
            raise ValueError(
                f"objectives must be keras_kd objectives or losses of keras.distillation, got {objective!r}"
            )
        listed.append(objective if isinstance(objective, Objective) else FromKeras(objective))
    return listed


def _by_output(objective: Objective, teacher: Any, student: keras.Model) -> list[Objective]:
    """One objective for each pair of outputs, where the models have several and the objective names no layers."""
    if objective.teacher_layer is not None or objective.student_layer is not None:
        return [objective]
    if isinstance(teacher, Supplied):
        return [objective]
    named = [_output_layers(model) for model in (teacher, student)]
    if all(len(layers) <= 1 for layers in named):
        return [objective]
    if len(named[0]) != len(named[1]):
        raise ValueError(
            f"objective {type(objective).__name__}: teacher has {len(named[0])} outputs, student has {len(named[1])}; "
            "name the layers to compare with teacher_layer, student_layer"
        )
    keys = [sorted(model.output) if isinstance(model.output, dict) else None for model in (teacher, student)]
    if keys[0] != keys[1]:
        raise ValueError(f"objective {type(objective).__name__}: teacher gives {keys[0]}, student gives {keys[1]}")
    return [
        type(objective).from_config(
            {**objective.get_config(), "name": f"{objective.name}_{s}", "teacher_layer": t, "student_layer": s}
        )
        for t, s in zip(*named)
    ]


def _output_layers(model: keras.Model) -> list[str]:
    """Names of the layers that give a Functional model's outputs, in the order of their keys where they have keys."""
    outputs = getattr(model, "outputs", None) or []
    return [output._keras_history.operation.name for output in outputs] if len(outputs) > 1 else []


def _prepare(objective: Objective, teacher: Any, student: keras.Model) -> Objective:
    """The objective with its layers named and its activations settled for these two models."""
    label = f"objective {type(objective).__name__}"
    named: dict[str, Any] = {}
    for side, model in (("teacher", teacher), ("student", student)):
        ref = getattr(objective, f"{side}_layer")
        refs = tuple(ref) if isinstance(ref, (tuple, list)) else (ref,)
        if len(refs) != objective.layers_a_side:
            wanted = "one layer" if objective.layers_a_side == 1 else f"{objective.layers_a_side} layers, as a tuple"
            raise ValueError(f"{label}: {side}_layer must name {wanted}, got {ref!r}")
        try:
            names = tuple(None if one is None else _layer_name(model, one) for one in refs)
        except ValueError as error:
            raise ValueError(f"{label}: {side} {error}") from None
        named[side] = names[0] if objective.layers_a_side == 1 else names
    if (named["teacher"], named["student"]) != (objective.teacher_layer, objective.student_layer):
        objective = copy.copy(objective)
        objective.teacher_layer, objective.student_layer = named["teacher"], named["student"]
    if objective.layers_a_side > 1:
        return objective.resolve(None, None)
    return objective.resolve(_activation(teacher, named["teacher"]), activation_of(student, named["student"]))


def _layer_name(model: Any, ref: Any) -> str:
    if not isinstance(model, Supplied):
        return name_of(model, ref)
    if ref not in model.shapes:
        raise ValueError(
            f"layer {ref!r} is not among what the {type(model).__name__} supplies: {', '.join(model.shapes)}"
        )
    return ref


def _activation(teacher: Any, layer: str | None) -> str | None:
    if isinstance(teacher, Supplied):
        return teacher.activations.get(layer or "outputs")
    return activation_of(teacher, layer)


def _named_layers(refs: Any) -> list[str]:
    """Every layer name in a series of None, names and tuples of names."""
    return [name for name in keras.tree.flatten(list(refs)) if name is not None]


def _supplied_shapes(teacher: Supplied) -> Captured:
    shapes = {name: (None, *shape) for name, shape in teacher.shapes.items()}
    return Captured(shapes.get("outputs"), shapes)


def _captured_shapes(tap: Tap | None, input_shape: Any) -> Captured | None:
    """Shapes of a model's outputs and tapped layers, None where they are not known before the model has seen data."""
    assert tap is not None
    model = tap.model
    if not tap.listens and getattr(model, "outputs", None):
        shapes = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), list(model.outputs))
        features = {name: tuple(find_layer(model, name).output.shape) for name in tap.layers}
        return Captured(shapes[0] if len(shapes) == 1 else shapes, features)
    if getattr(model, "inputs", None):
        inputs = model.inputs[0] if len(model.inputs) == 1 else model.input
    elif input_shape is not None:
        inputs = _symbolic(input_shape)
    else:
        return None
    return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), tap.shapes(inputs))


def _symbolic(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {key: _symbolic(value) for key, value in shape.items()}
    if shape and isinstance(shape[0], (tuple, list)):
        return [_symbolic(value) for value in shape]
    return keras.KerasTensor(shape, dtype="float32")


def _require_models(teacher: Any, student: Any) -> None:
    if not isinstance(teacher, (keras.Model, Supplied)):
        hint = "; wrap a function in keras_kd.Function" if callable(teacher) else ""
        raise ValueError(f"teacher must be a keras.Model or a teacher of keras_kd, got {type(teacher).__name__}{hint}")
    if not isinstance(student, keras.Model):
        raise ValueError(f"student must be a keras.Model, got {type(student).__name__}")
    if isinstance(teacher, Supplied):
        return
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
    taken: set[str] = {"loss", "hard_loss"}
    apart = []
    for objective in objectives:
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


def _side(captured: Captured, layer: Any) -> Any:
    """What an objective compares of one model: its output, one layer, or several as a tuple."""
    if isinstance(layer, tuple):
        return tuple(captured.features[name] for name in layer)
    return captured.outputs if layer is None else captured.features[layer]


def _weights_and_mask(given: Any, sample_weight: Any, objective: Objective) -> tuple[Any, Any]:
    """Weights of examples, and the mask and weights of positions, for what the student gave."""
    mask = _mask_of(keras.tree.flatten(given)[0])
    if mask is not None:
        mask = ops.cast(mask, "float32")
    if sample_weight is None or isinstance(sample_weight, (dict, list, tuple)) or len(sample_weight.shape) < 2:
        return sample_weight if not isinstance(sample_weight, (dict, list, tuple)) else None, mask
    if tuple(sample_weight.shape[1:]) == (1,):
        return ops.squeeze(sample_weight, axis=-1), mask
    # One weight a position: it weighs positions where the objective tells them apart.
    weights = ops.cast(sample_weight, "float32")
    if not objective.takes_mask:
        return None, mask
    return None, weights if mask is None else weights * mask


_mask_of = MaskOf(name="mask_of")


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
