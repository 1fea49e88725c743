"""Training one teacher and its students, each from its own seed, so that any of them can be made again alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from keras_kd import Supplied
from keras_kd.layers import activation_of
from micro.compress.fine_tune import with_supplied
from micro.compress.shrink import plan_shrink
from micro.config import Config, ModelConfig, TeacherConfig
from micro.conversion.keras_file import load_keras
from micro.datasets.pieces import Target
from micro.datasets.prepare import Prepared, Windows
from micro.errors import DataError, ModelError, RunError
from micro.keras_graph.kernels import prunable_kernels
from micro.runs import models as students
from micro.runs.compression import TrainingData, require_budget
from micro.runs.fitting import History, class_weight, fit, hard_loss, seed_everything
from micro.runs.known_faults import deviating, flags, learned_faults
from micro.runs.recorded_teacher import RecordedTeacher, known_of, require_on_outputs
from micro.runs.score_teacher import ScoreTeacher, check_detectors, scores_of_detectors
from micro.runs.teaching import candidates_of, on_outputs, recipe_of

if TYPE_CHECKING:
    from keras_kd.types import Structure

# What a student learns from: a model that runs along, its outputs recorded, or detectors.
Teaching: TypeAlias = "keras.Model | RecordedTeacher | ScoreTeacher"
# Name of the layer that brings a user's teacher of numbers to the run's own scale.
STANDARDIZED = "standardized"


@dataclass(frozen=True)
class Trained:
    """A model with its learning curves."""

    model: keras.Model
    history: History


@dataclass(frozen=True)
class Examples:
    """What a model is fitted on: inputs, targets, and what a teacher that is no model gave for them."""

    x: np.ndarray
    y: np.ndarray
    supplied: np.ndarray | None = None

    @property
    def inputs(self) -> Structure:
        """Inputs as `fit` takes them."""
        return with_supplied(self.x, self.supplied)


def train_teacher(config: Config, data: Prepared, seed: int, on_epoch: Callable[[], None]) -> Trained:
    """The teacher of a config: read from its .keras file as it is, or trained on the data, both as it sees them."""
    data = data.of_teacher
    if config.teacher.path:
        return Trained(_standardized(_load_teacher(config.teacher, data), data.target), {})
    if config.teacher.members > 1:
        return _averaged([_member(config, data, seed, number, on_epoch) for number in range(config.teacher.members)])
    seed_everything(seed, "teacher")
    with several_devices(config.teacher.devices):
        model = _build(config.teacher, data, "teacher")
        return _fit(_learner(model, data), model, config.teacher, data, _examples(data, None), on_epoch)


def _member(config: Config, data: Prepared, seed: int, number: int, on_epoch: Callable[[], None]) -> Trained:
    """One of the networks that a teacher is made of."""
    seed_everything(seed, f"teacher {number}")
    model = _build(config.teacher, data, f"member_{number}")
    return _fit(_learner(model, data), model, config.teacher, data, _examples(data, None), on_epoch)


def _learner(model: keras.Model, data: Prepared) -> keras.Model:
    """What is fitted to train a model alone: itself, or a Distiller that knows the faults."""
    return model if data.faults is None else deviating(model)


def _averaged(members: Sequence[Trained]) -> Trained:
    """The mean of several networks' outputs, with the mean of their learning curves; of logits it is the geometric mean of the
    probabilities (Hinton et al. 2015, section 2)."""
    inputs = keras.Input(members[0].model.input_shape[1:], name="features")
    outputs = keras.layers.Average(name="mean")([member.model(inputs) for member in members])
    curves = {name: [member.history[name] for member in members] for name in members[0].history}
    history = {name: np.mean(values, axis=0).tolist() for name, values in curves.items()}
    return Trained(keras.Model(inputs, outputs, name="teacher"), history)


def train_alone(config: Config, data: Prepared, seed: int, on_epoch: Callable[[], None]) -> Trained:
    """The student trained on the data without a teacher, from the weights that the distilled one starts from."""
    model = _new_student(config, data, seed)
    seed_everything(seed, "shuffle")
    return _fit(_learner(model, data), model, config.student, data, examples_alone(config, data), on_epoch)


def examples_alone(config: Config, data: Prepared) -> tuple[Examples, Examples]:
    """What a student without a teacher learns from. Beside one that follows detectors, whose epochs have synthetic windows too,
    its windows come again until it learns for as many steps."""
    examples, validation = _examples(data, None)
    if not config.teacher.detectors:
        return examples, validation
    rows = np.arange(len(examples.x) + config.teacher.synthetic_windows) % len(examples.x)
    supplied = None if examples.supplied is None else examples.supplied[rows]
    return Examples(examples.x[rows], examples.y[rows], supplied), validation


def distil(config: Config, data: Prepared, teacher: Teaching, seed: int, on_epoch: Callable[[], None]) -> Trained:
    """The student trained under the teacher."""
    model = _new_student(config, data, seed)
    seed_everything(seed, "shuffle")
    examples = _examples(data, teacher)
    steps = steps_of(config, len(examples[0].x))
    known = _known(teacher)
    distiller = recipe_of(config, known, model, steps).distiller(known, model)
    return _fit(distiller, model, config.student, data, examples, on_epoch)


def ready_devices(count: int) -> None:
    """Split this process's CPU into as many logical ones as devices are wanted, where there are fewer GPUs; before TensorFlow
    starts.

    Logical CPUs share the same cores: they verify the code, and save no time.

    Raises:
        RunError: Where TensorFlow has started with fewer.
    """
    if count == 1 or _kind(count) == "GPU":
        return
    if _logical_cpus() >= count:
        return
    try:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:
        raise RunError(
            f"teacher.devices = {count}: TensorFlow has started with fewer; train the teacher in a process of its own"
        ) from None


def several_devices(count: int) -> AbstractContextManager[Any]:
    """The scope of a MirroredStrategy over so many devices, which splits each batch between them; nothing for one."""
    if count == 1:
        return nullcontext()
    ready_devices(count)
    return tf.distribute.MirroredStrategy([f"/{_kind(count)}:{number}" for number in range(count)]).scope()


def _kind(count: int) -> str:
    return "GPU" if len(tf.config.list_physical_devices("GPU")) >= count else "CPU"


def _logical_cpus() -> int:
    """How many have been asked for; asking TensorFlow for the devices themselves would start it."""
    configured = tf.config.get_logical_device_configuration(tf.config.list_physical_devices("CPU")[0])
    return len(configured or (None,))


def training_data(config: Config, data: Prepared, teacher: Teaching, student: keras.Model) -> TrainingData:
    """What stages of compression train a student on."""
    examples = _examples(data, teacher)[0]
    known = _known(teacher)
    return TrainingData(
        examples.x,
        examples.y,
        hard_loss(student, data.task),
        known,
        on_outputs(recipe_of(config, known, student, steps_of(config, len(examples.x)))),
        class_weight(data.class_weights),
        examples.supplied,
    )


def steps_of(config: Config, windows: int) -> int:
    """Training steps of a student's epoch."""
    return -(-windows // config.student.batch_size)


def check_models(config: Config, data: Prepared, calibration: np.ndarray) -> None:
    """Build or load both models and compare them with the data and the budget, before anything is trained.

    Raises:
        DataError: Or ValueError saying what does not fit.
    """
    models = untrained_models(config, data)
    for each in candidates_of(config):
        if data.teacher is not None:
            require_on_outputs(each.distill)
        recipe_of(each, *models, steps_of(config, len(data.train)))
    if any(stage.stage in ("prune", "cluster") for stage in config.compress):
        prunable_kernels(models[1])
    for stage in config.compress:
        if stage.stage == "shrink":
            plan_shrink(models[1], stage.rate)
    require_budget(models[1], config, calibration)
    if config.teacher.detectors:
        check_detectors(config, data.of_teacher)


def untrained_models(config: Config, data: Prepared) -> tuple[keras.Model | Supplied, keras.Model]:
    """Teacher and student, built, or loaded from their files; of detectors, what a student knows of them."""
    teacher, student = (
        _model_of(part, seen, side)
        for side, part, seen in (("teacher", config.teacher, data.of_teacher), ("student", config.student, data))
    )
    if config.teacher.detectors:
        return scores_of_detectors(), student
    return teacher if data.teacher is None else known_of(teacher), student


def _model_of(part: ModelConfig, data: Prepared, side: str) -> keras.Model:
    """A model of a config, built, or loaded from its file."""
    if part.path is None:
        return _build(part, data, side)
    return _load_teacher(part, data) if isinstance(part, TeacherConfig) else load_model(part.path, data, side)


def build_model(part: ModelConfig, input_shape: tuple[int, ...], classes: int | None, name: str) -> keras.Model:
    """The network that a section of a config describes; `classes` is None for an autoencoder."""
    shape = {"kernel": part.kernel, "stride": part.stride}
    return students.build(part.family, part.sizes, input_shape, classes, name, **shape, dropout=part.dropout)


def load_model(path: str, data: Prepared, side: str, outputs: int | None = None) -> keras.Model:
    """A user's .keras model in safe mode, checked against the shapes of the data, or against a number of outputs of its own.

    Raises:
        DataError: If it is missing, cannot be read safely, or takes or gives other shapes.
    """
    if not Path(path).is_file():
        raise DataError(f"{side}: {path} does not exist")
    try:
        model = load_keras(path)
    except ModelError as error:
        raise DataError(f"{side}: {error}") from None
    wanted_in = data.train.x.shape[1:]
    outputs = data.outputs if outputs is None else outputs
    wanted_out = wanted_in if outputs is None else (outputs,)
    for what, given, wanted in (("takes", model.input_shape, wanted_in), ("gives", model.output_shape, wanted_out)):
        if tuple(given[1:]) != wanted:
            raise DataError(f"{side}: {path} {what} {tuple(given[1:])}, the data need {wanted}")
    return model


def _load_teacher(part: TeacherConfig, data: Prepared) -> keras.Model:
    """A user's teacher; where the config says which classes it gives, the data's of them in the data's order, as logits.

    Raises:
        DataError: As `load_model`; for a class that the teacher does not know, or outputs that are no classes.
    """
    assert part.path is not None
    if not part.classes:
        return load_model(part.path, data, "teacher")
    if not data.class_names:
        raise DataError(f"teacher.classes are for task 'classification', and the task is {data.task!r}")
    missing = [name for name in data.class_names if name not in part.classes]
    if missing:
        known = ", ".join(part.classes)
        raise DataError(f"teacher: {part.path} does not know class {missing[0]!r}; by teacher.classes it knows {known}")
    model = load_model(part.path, data, "teacher", len(part.classes))
    if part.classes == data.class_names:
        return model
    activation = activation_of(model)
    if activation not in ("linear", "softmax"):
        raise DataError(
            f"teacher: to choose classes from it, {part.path} must give logits or end in a softmax; it ends in "
            f"{activation or 'something else'}"
        )
    # The logarithm of probabilities is logits of the same probabilities, also of a part of the classes.
    logits = model.outputs[0] if activation == "linear" else keras.ops.log(model.outputs[0] + 1e-12)
    chosen = np.array([[name == other for other in data.class_names] for name in part.classes], np.float32)
    select = keras.layers.Dense(len(data.class_names), use_bias=False, trainable=False, name="classes")
    model = keras.Model(model.inputs, select(logits), name="teacher")
    select.set_weights([chosen])
    return model


def _standardized(teacher: keras.Model, target: Target | None) -> keras.Model:
    """A user's teacher, which gives numbers as they are, giving them as the run's own models do."""
    if target is None:
        return teacher
    scaled = keras.layers.Rescaling(1 / target.deviation, -target.mean / target.deviation, name=STANDARDIZED)
    return keras.Model(teacher.inputs, scaled(teacher.outputs[0]), name="teacher")


def in_real_numbers(model: keras.Model, target: Target | None) -> keras.Model:
    """A run's model, which gives a regression's numbers standardized, giving them as they are, as `teacher.path` takes it."""
    if target is None:
        return model
    last = model.layers[-1]
    if last.name == STANDARDIZED:  # a user's own teacher, which gave them so
        return keras.Model(model.inputs, last.input, name=model.name)
    scaled = keras.layers.Rescaling(target.deviation, target.mean, name="numbers")
    return keras.Model(model.inputs, scaled(model.outputs[0]), name=model.name)


def _new_student(config: Config, data: Prepared, seed: int) -> keras.Model:
    seed_everything(seed, "student")
    if config.student.path:
        return load_model(config.student.path, data, "student")
    return _build(config.student, data, "student")


def _build(part: ModelConfig, data: Prepared, name: str) -> keras.Model:
    return build_model(part, data.train.x.shape[1:], data.outputs, name)


def _fit(
    trained: keras.Model,
    model: keras.Model,
    part: ModelConfig,
    data: Prepared,
    both: tuple[Examples, Examples],
    on_epoch: Callable[[], None],
) -> Trained:
    examples, validation = both
    history = fit(
        trained,
        part,
        hard_loss(model, data.task),
        examples.inputs,
        examples.y,
        validation_data=(validation.inputs, validation.y),
        metrics=["accuracy"] if data.task == "classification" else [],
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: on_epoch())],
        class_weight=class_weight(data.class_weights),
    )
    return Trained(model, history)


def _known(teacher: Teaching) -> keras.Model | Supplied:
    """A teacher as a Distiller knows it."""
    if isinstance(teacher, RecordedTeacher):
        return teacher.known
    return scores_of_detectors() if isinstance(teacher, ScoreTeacher) else teacher


def _examples(data: Prepared, teacher: Teaching | None) -> tuple[Examples, Examples]:
    """What a model is trained and validated on: under detectors also on synthetic windows, which are their own targets.

    Without a teacher what is supplied says which windows are known faults, where there are any.
    """
    validation = data.validation.x, targets_of(data, data.validation)
    if isinstance(teacher, RecordedTeacher):
        x, y = data.train.x, targets_of(data, data.train)
        return Examples(x, y, teacher.outputs), Examples(*validation, teacher.validation)
    if isinstance(teacher, ScoreTeacher):
        return Examples(teacher.x, teacher.x, teacher.outputs), Examples(*validation, teacher.validation)
    x, y = taught(data, teacher)
    if data.faults is None or teacher is not None:
        return Examples(x, y), Examples(*validation)
    healthy = len(data.train)
    return Examples(x, y, flags(healthy, len(x) - healthy)), Examples(*validation, flags(len(data.validation), 0))


def taught(data: Prepared, teacher: keras.Model | None) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of training: the training windows, then known faults, if any, whose target is what the teacher makes
    of them."""
    x, y, faults = data.train.x, targets_of(data, data.train), learned_faults(data)
    if not len(faults):
        return x, y
    wanted = faults if teacher is None else np.asarray(teacher.predict(faults, batch_size=1024, verbose=0))
    return np.concatenate([x, faults]), np.concatenate([y, wanted])


def targets_of(data: Prepared, windows: Windows) -> np.ndarray:
    """What models are trained towards: classes, standardized numbers, or an autoencoder's own inputs."""
    if data.target is not None:
        return data.target.standardized(windows.labels)
    return windows.labels if data.class_names else windows.x
