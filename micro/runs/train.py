"""Training one teacher and its students, each from its own seed, so that any of them can be made again alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np

from keras_kd import Supplied
from micro.compress.fine_tune import with_supplied
from micro.compress.shrink import plan_shrink
from micro.config import Config, ModelConfig, TeacherConfig
from micro.datasets.prepare import Windows
from micro.datasets.prepared import Prepared
from micro.keras_graph.kernels import prunable_kernels
from micro.runs import models as students
from micro.runs.compression import TrainingData, require_budget
from micro.runs.estimator_teacher import check_estimators, known_estimators
from micro.runs.fitting import History, OnEpoch, class_weight, fit, hard_loss, seed_everything, telling
from micro.runs.fold_teacher import member_name, sets_of_folds, without_fold
from micro.runs.known_faults import deviating, flags, learned_faults
from micro.runs.own_models import load_model, load_teacher
from micro.runs.planned_around import planned_around
from micro.runs.real_numbers import standardized
from micro.runs.recorded_teacher import RecordedTeacher, known_of, require_on_outputs
from micro.runs.score_teacher import ScoreTeacher, check_detectors, scores_of_detectors
from micro.runs.streamed import require_streaming
from micro.runs.teaching import candidates_of, on_outputs, recipe_of
from micro.runs.text_models import Embedding, build_text, settle_unknown, split, transcribed
from micro.runs.training_devices import several_devices
from micro.runs.unlabeled import loss_of, metrics_of, require_no_labels

if TYPE_CHECKING:
    from keras_kd.types import Structure

# What a student learns from: a model that runs along, its outputs recorded, or detectors.
Teaching: TypeAlias = "keras.Model | RecordedTeacher | ScoreTeacher"


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


def train_teacher(config: Config, data: Prepared, seed: int, on_epoch: OnEpoch) -> Trained:
    """The teacher of a config: read from its .keras file as it is, or trained on the data, both as it sees them."""
    sets = sets_of_folds(config, data) if config.teacher.folds else ()
    data = data.of_teacher
    if config.teacher.path:
        return Trained(standardized(load_teacher(config.teacher, data), data.target), {})
    if sets:
        each = [without_fold(data, others) for _, others in sets]
        return _averaged([_member(config, one, seed, number, on_epoch) for number, one in enumerate(each)])
    if config.teacher.members > 1:
        return _averaged([_member(config, data, seed, number, on_epoch) for number in range(config.teacher.members)])
    seed_everything(seed, "teacher")
    with several_devices(config.teacher.devices):
        model = _build(config.teacher, data, "teacher")
        return _fit(_learner(model, data), model, config.teacher, data, _examples(data, None), on_epoch)


def _member(config: Config, data: Prepared, seed: int, number: int, on_epoch: OnEpoch) -> Trained:
    """One of the networks that a teacher is made of."""
    seed_everything(seed, f"teacher {number}")
    model = _build(config.teacher, data, member_name(number))
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


def train_alone(config: Config, data: Prepared, seed: int, on_epoch: OnEpoch) -> Trained:
    """The student trained on the data without a teacher, from the weights that the distilled one starts from."""
    model = _new_student(config, data, seed)
    seed_everything(seed, "shuffle")
    return _fit(_learner(model, data), model, config.student, data, examples_alone(config, data), on_epoch)


def examples_alone(config: Config, data: Prepared) -> tuple[Examples, Examples]:
    """What a student without a teacher learns from. Beside one whose epochs have other windows too, synthetic ones of detectors
    or those without a label, its windows come again until it learns for as many steps."""
    examples, validation = _examples(data, None)
    more = 0 if data.unlabeled is None else len(data.unlabeled)
    if config.teacher.detectors:
        more = config.teacher.synthetic_windows
    if not more:
        return examples, validation
    rows = np.arange(len(examples.x) + more) % len(examples.x)
    supplied = None if examples.supplied is None else examples.supplied[rows]
    return Examples(examples.x[rows], examples.y[rows], supplied), validation


def distil(config: Config, data: Prepared, teacher: Teaching, seed: int, on_epoch: OnEpoch) -> Trained:
    """The student trained under the teacher."""
    model = _new_student(config, data, seed)
    seed_everything(seed, "shuffle")
    examples = _examples(data, teacher, config.distill.level != "token")
    if config.distill.level == "sequence":
        return _fit(model, model, config.student, data, examples, on_epoch)
    steps = steps_of(config, len(examples[0].x))
    known = _known(teacher)
    distiller = recipe_of(config, known, model, steps).distiller(known, model)
    return _fit(distiller, model, config.student, data, examples, on_epoch)


def training_data(
    config: Config, data: Prepared, teacher: Teaching, student: keras.Model, embedding: Embedding | None = None
) -> TrainingData:
    """What stages of compression train a student on; of text what follows its embedding, on what that gives."""
    examples = _examples(data, teacher, config.distill.level != "token")[0]
    known = _known(teacher)
    labels_alone = config.distill.level == "sequence"
    training = TrainingData(
        examples.x,
        examples.y,
        hard_loss(student, data.task),
        known,
        None if labels_alone else on_outputs(recipe_of(config, known, student, steps_of(config, len(examples.x)))),
        class_weight(data.class_weights),
        examples.supplied,
        None if data.unlabeled is None else len(data.train),
    )
    return training if embedding is None or not config.compress else embedding.training(training)


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
        if data.teacher is not None or config.teacher.estimators or config.teacher.folds:
            require_on_outputs(each.distill)
        recipe = recipe_of(each, *models, steps_of(config, len(data.train)))
        if data.unlabeled is not None:
            require_no_labels(recipe)
    if data.text is not None:
        embedding, rest = split(models[1], config.student)
        models, calibration = (models[0], rest), embedding(calibration)
    if any(stage.stage in ("prune", "cluster") for stage in config.compress):
        prunable_kernels(models[1])
    for stage in config.compress:
        if stage.stage == "shrink":
            plan_shrink(models[1], stage.rate)
    require_streaming(models[1], config, data.features, calibration)
    require_budget(models[1], config, calibration, data.features, planned_around(config, data))
    check_teacher(config, data)


def check_teacher(config: Config, data: Prepared) -> None:
    """Compare detectors, estimators or folds of a teacher with the data, before anything is trained.

    Raises:
        DataError: Saying what does not fit.
    """
    if config.teacher.detectors:
        check_detectors(config, data.of_teacher)
    if config.teacher.estimators:
        check_estimators(config, data)
    if config.teacher.folds:
        sets_of_folds(config, data)


def untrained_models(config: Config, data: Prepared) -> tuple[keras.Model | Supplied, keras.Model]:
    """Teacher and student, built, or loaded from their files; of detectors, what a student knows of them."""
    teacher, student = (
        _model_of(part, seen, side)
        for side, part, seen in (("teacher", config.teacher, data.of_teacher), ("student", config.student, data))
    )
    if config.teacher.detectors:
        return scores_of_detectors(), student
    if config.teacher.estimators:
        return known_estimators(data.outputs), student
    return known_of(teacher) if config.teacher.folds or data.teacher is not None else teacher, student


def _model_of(part: ModelConfig, data: Prepared, side: str) -> keras.Model:
    """A model of a config, built, or loaded from its file."""
    if part.path is None:
        return _build(part, data, side)
    return load_teacher(part, data) if isinstance(part, TeacherConfig) else load_model(part.path, data, side)


def build_model(
    part: ModelConfig, input_shape: tuple[int, ...], classes: int | None, name: str, predicted: tuple[int, ...] = ()
) -> keras.Model:
    """The network that a section of a config describes; `classes` is None for one that gives features: those that it takes, or
    others, of the shape `predicted`."""
    convolved: dict[str, Any] = part.model_dump(include={"kernel", "stride", "dropout", "padding"})
    return students.build(part.family, part.sizes, input_shape, classes, name, **convolved, predicted=predicted)


def _new_student(config: Config, data: Prepared, seed: int) -> keras.Model:
    seed_everything(seed, "student")
    if config.student.path:
        return load_model(config.student.path, data, "student")
    return _build(config.student, data, "student")


def _build(part: ModelConfig, data: Prepared, name: str) -> keras.Model:
    if data.text is not None:
        return build_text(part, data.text, name)
    takes, gives = data.shapes
    return build_model(part, takes, data.outputs, name, gives if data.predicted else ())


def _fit(
    trained: keras.Model,
    model: keras.Model,
    part: ModelConfig,
    data: Prepared,
    both: tuple[Examples, Examples],
    on_epoch: OnEpoch,
) -> Trained:
    examples, validation = both
    history = fit(
        trained,
        part,
        hard_loss(model, data.task) if trained is model else loss_of(model, data),
        examples.inputs,
        examples.y,
        validation_data=(validation.inputs, validation.y),
        metrics=metrics_of(data, trained is model),
        callbacks=[telling(on_epoch)],
        class_weight=class_weight(data.class_weights),
    )
    if data.text is not None:
        settle_unknown(model, data.train.x)
    return Trained(model, history)


def with_unlabeled(data: Prepared, teacher: keras.Model | None = None) -> tuple[np.ndarray, np.ndarray]:
    """As `taught`, and behind it the windows without a label, if there are any."""
    (x, y), more = taught(data, teacher), data.unlabeled
    return (x, y) if more is None else (np.concatenate([x, more.x]), np.concatenate([y, targets_of(data, more)]))


def _known(teacher: Teaching) -> keras.Model | Supplied:
    """A teacher as a Distiller knows it."""
    if isinstance(teacher, RecordedTeacher):
        return teacher.known
    return scores_of_detectors() if isinstance(teacher, ScoreTeacher) else teacher


def _examples(data: Prepared, teacher: Teaching | None, transcribe: bool = False) -> tuple[Examples, Examples]:
    """What a model is trained and validated on: under detectors also on synthetic windows, which are their own targets; of text
    with `transcribe` what the teacher makes of it.

    Without a teacher what is supplied says which windows are known faults, where there are any.
    """
    validation = data.inputs(data.validation), targets_of(data, data.validation)
    if isinstance(teacher, RecordedTeacher):
        return Examples(*with_unlabeled(data), teacher.outputs), Examples(*validation, teacher.validation)
    if isinstance(teacher, ScoreTeacher):
        return Examples(teacher.x, teacher.x, teacher.outputs), Examples(*validation, teacher.validation)
    if transcribe and data.text is not None and isinstance(teacher, keras.Model):
        return Examples(*transcribed(teacher, data.train.x, data.text)), Examples(*validation)
    x, y = taught(data, teacher) if teacher is None else with_unlabeled(data, teacher)
    if data.faults is None or teacher is not None:
        return Examples(x, y), Examples(*validation)
    healthy = len(data.train)
    return Examples(x, y, flags(healthy, len(x) - healthy)), Examples(*validation, flags(len(data.validation), 0))


def taught(data: Prepared, teacher: keras.Model | None) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of training: the training windows, then known faults, if any, whose target is what the teacher makes
    of them."""
    x, y, faults = data.inputs(data.train), targets_of(data, data.train), learned_faults(data)
    if not len(faults):
        return x, y
    wanted = faults if teacher is None else np.asarray(teacher.predict(faults, batch_size=1024, verbose=0))
    return np.concatenate([x, faults]), np.concatenate([y, wanted])


def targets_of(data: Prepared, windows: Windows) -> np.ndarray:
    """What models are trained towards: classes, labels, standardized numbers, an autoencoder's own inputs, or features to
    predict."""
    if data.target is not None:
        return data.target.standardized(windows.labels)
    if data.label_names:
        return windows.labels.astype(np.float32)
    return windows.labels if data.class_names else data.measured(windows)
