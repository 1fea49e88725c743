"""One seed of a run: its teacher and students trained or taken up again, compressed, quantized and evaluated."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import keras
import numpy as np

from keras_kd.layers import copied
from micro.config import NETWORK, Config, Stage
from micro.conversion.convert_keras import convert
from micro.datasets.prepared import Prepared
from micro.errors import ConversionWarning
from micro.runs.budgets import arena_left
from micro.runs.compression import TrainingData, Written, apply, written
from micro.runs.epochs import epochs_of
from micro.runs.estimator_teacher import EstimatorTeacher, fit_estimator_teacher
from micro.runs.evaluate import Evaluation, Judge, chip_judge, evaluate, keras_judge
from micro.runs.fitting import OnEpoch, seed_everything, telling
from micro.runs.fold_teacher import cross_fitted, sets_of_folds
from micro.runs.planned_around import planned_around
from micro.runs.progress_lines import Epoch
from micro.runs.recorded_teacher import teaching
from micro.runs.report_parts import DETECTOR, ESTIMATOR
from micro.runs.score_teacher import ScoreTeacher, fit_score_teacher
from micro.runs.text_models import BATCH, Embedding, calibration_of, deployable
from micro.runs.train import Teaching, Trained, distil, train_alone, train_teacher, training_data
from micro.support.files import json_bytes, keras_bytes, write_bytes
from micro.tflite.footprint import Footprint, measure

AnyTeacher = Trained | ScoreTeacher | EstimatorTeacher


class Tick(Protocol):
    """Called with the stage of the work, the epochs done since the last call, and the last of these."""

    def __call__(self, label: str, epochs: int = 1, epoch: Epoch | None = None, /) -> None: ...


@dataclass(frozen=True)
class StageResult:
    """The student after a stage of compression, and as .tflite: its metrics on the test, and what it takes."""

    stage: str
    model: keras.Model
    written: Written
    evaluation: Evaluation
    footprint: Footprint


@dataclass(frozen=True)
class SeedRun:
    """What one seed gave: its models, their evaluations, and the student stage by stage; the last is deployed.

    A teacher made of detectors or estimators is no model and not kept: it is fitted again whenever it is needed, and the same
    seed gives the same. Of text the students are whole, and `embedding` is what stands before the model of each stage.
    """

    teacher: Trained | None
    student: Trained
    alone: Trained | None
    evaluations: dict[str, Evaluation]
    stages: tuple[StageResult, ...]
    embedding: Embedding | None = None


@dataclass(frozen=True)
class SeedWork:
    """What one seed is trained from, where its models are kept, and where progress is reported."""

    config: Config
    data: Prepared
    seed: int
    place: Path
    tick: Tick

    def trained(self, name: str, epochs: int, make: Callable[[OnEpoch], Trained]) -> Trained:
        """A model that was kept, or the one that `make` trains, calling its argument after each epoch."""
        model = "recipe" if name.startswith("recipe_") else name
        return self.with_progress(name, f"seed {self.seed}: training {name.replace('_', ' ')}", model, epochs, make)

    def with_progress(
        self, name: str, label: str, model: str, epochs: int, make: Callable[[OnEpoch], Trained]
    ) -> Trained:
        """As `trained`, of anything that is trained and kept under a name."""
        ticked = 0

        def on_epoch(losses: Mapping[str, float]) -> None:
            nonlocal ticked
            ticked += 1
            self.tick(label, 1, Epoch(model, self.seed, ticked, max(ticked, epochs), losses))

        trained = kept(self.place / name, lambda: make(on_epoch))
        if ticked < epochs:
            self.tick(label, epochs - ticked, self.last_of(model, epochs))
        return trained

    def last_of(self, model: str, epochs: int) -> Epoch:
        """The last epoch of a model that was not trained here."""
        return Epoch(model, self.seed, epochs, epochs, {})

    def judged(
        self,
        model: keras.Model,
        stage: str,
        calibration: np.ndarray,
        arena: int | None,
        embedding: Embedding | None = None,
    ) -> StageResult:
        """A student quantized, evaluated and measured; `arena` is as `apply` takes it."""
        self.tick(f"seed {self.seed}: converting to int8, {stage}", 0)
        tflite = written(model, self.config, calibration, arena)
        judge = behind(embedding, chip_judge(tflite, self.data.task, self.data.predicted))
        evaluation = evaluate(judge, self.data, self.config)
        return StageResult(stage, model, tflite, evaluation, measure(tflite))


def run_seed(work: SeedWork) -> SeedRun:
    """Train, or take up again, one seed's teacher and students; compress, quantize and evaluate them."""
    config, data, seed = work.config, work.data, work.seed
    epochs = config.student.epochs
    teacher = teacher_of(work)
    taught_by = taught_by_of(config, teacher, data)
    student = work.trained("student", epochs, lambda tick: distil(config, data, taught_by, seed, tick))
    alone = None
    if config.distill.compare:
        alone = work.trained("alone", epochs, lambda tick: train_alone(config, data, seed, tick))
    embedding, network = deployable(student.model, data, config.student)
    calibration = calibration_of(data, seed, embedding)
    training = training_data(config, data, taught_by, student.model, embedding)
    stages = _compressed(work, network, training, calibration, embedding)
    seen = data.of_teacher
    evaluations = {name: evaluate(judge, seen, config) for name, judge in _judges_of(teacher, data).items()}
    floats = {"student_distilled": student.model}
    if alone is not None:
        floats["student_alone"] = alone.model
    judges = {name: keras_judge(model, data.task, data.predicted) for name, model in floats.items()}
    if config.compress:
        judge = keras_judge(stages[-1].model, data.task, data.predicted)
        judges["student_compressed"] = behind(embedding, judge)
    evaluations |= {name: evaluate(judge, data, config) for name, judge in judges.items()}
    evaluations["student_int8"] = stages[-1].evaluation
    if alone is not None:
        own, network = deployable(alone.model, data, config.student)
        # Of text its own embedding gives other values.
        calibration = calibration if own is None else calibration_of(data, seed, own)
        with warnings.catch_warnings():
            # What int8 costs is judged on the test, as of the student under the teacher.
            warnings.simplefilter("ignore", ConversionWarning)
            tflite = convert(network, calibration, weights=config.convert.weights)
        judge = behind(own, chip_judge(tflite, data.task, data.predicted))
        evaluations["alone_int8"] = evaluate(judge, data, config)
    return SeedRun(teacher if isinstance(teacher, Trained) else None, student, alone, evaluations, stages, embedding)


def teacher_of(work: SeedWork) -> AnyTeacher:
    """A seed's teacher: a model that is trained or was kept, or detectors or estimators, which are fitted."""
    config, data, seed = work.config, work.data, work.seed
    if config.teacher.estimators:
        return _estimator_teacher(work)
    if not config.teacher.detectors:
        return _network(work)
    teacher = fit_score_teacher(
        config, data, seed, lambda name: work.tick(f"seed {seed}: fitting the teacher's detectors, {name}", 0)
    )
    epochs = config.teacher.epochs
    work.tick(f"seed {seed}: fitting the teacher's detectors", epochs, work.last_of("teacher", epochs))
    return teacher


def _network(work: SeedWork) -> Trained:
    config, epochs = work.config, work.config.teacher.epochs * work.config.teacher.networks
    return work.trained("teacher", epochs, lambda tick: train_teacher(config, work.data, work.seed, tick))


def _estimator_teacher(work: SeedWork) -> EstimatorTeacher:
    config, data, seed = work.config, work.data, work.seed
    label, epochs = f"seed {seed}: fitting the teacher's estimators", config.teacher.epochs * config.teacher.networks
    network = _network(work).model if NETWORK in config.teacher.estimators else None
    teacher = fit_estimator_teacher(config, data, seed, network, lambda name: work.tick(f"{label}, {name}", 0))
    work.tick(label, 0 if network else epochs, work.last_of("teacher", epochs))
    return teacher


def taught_by_of(config: Config, teacher: AnyTeacher, data: Prepared) -> Teaching:
    """What a student learns from."""
    if isinstance(teacher, Trained) and config.teacher.folds:
        return cross_fitted(teacher.model, data, sets_of_folds(config, data))
    if isinstance(teacher, Trained):
        return teaching(teacher.model, data)
    return teacher.recorded if isinstance(teacher, EstimatorTeacher) else teacher


def behind(embedding: Embedding | None, judge: Judge) -> Judge:
    """What judges windows by what an embedding makes of them, some at a time; the judge itself where there is none."""
    if embedding is None:
        return judge
    return lambda x: np.concatenate([judge(embedding(x[start : start + BATCH])) for start in range(0, len(x), BATCH)])


def _judges_of(teacher: AnyTeacher, data: Prepared) -> dict[str, Judge]:
    """What judges windows as the teacher does, and as each of its detectors or estimators does."""
    if isinstance(teacher, EstimatorTeacher):
        # One alone is the teacher.
        members = teacher.members if len(teacher.members) > 1 else {}
        return {"teacher": teacher.combined, **{f"{ESTIMATOR}{name}": each for name, each in members.items()}}
    if isinstance(teacher, Trained):
        return {"teacher": keras_judge(teacher.model, data.task, data.predicted)}
    members = {f"{DETECTOR}{name}": member.judge for name, member in teacher.members.items()}
    return {"teacher": teacher.errors, **members}


def _compressed(
    work: SeedWork,
    student: keras.Model,
    training: TrainingData,
    calibration: np.ndarray,
    embedding: Embedding | None,
) -> tuple[StageResult, ...]:
    """The distilled student, and what each stage of compression makes of it."""
    arena = arena_left(work.config.budget, planned_around(work.config, work.data), student)
    results = [work.judged(student, "distilled", calibration, arena, embedding)]
    for number, stage in enumerate(work.config.compress):

        def compress(on_epoch: OnEpoch, stage: Stage = stage, model: keras.Model = results[-1].model) -> Trained:
            seed_everything(work.seed, stage.stage)
            watching = [telling(on_epoch)]
            return Trained(apply(stage, model, training, work.config, calibration, arena, watching), {})

        label = f"seed {work.seed}: {stage.stage}"
        work.tick(label, 0)
        model = work.with_progress(f"{number}-{stage.stage}", label, stage.stage, epochs_of(stage), compress).model
        results.append(work.judged(model, stage.stage, calibration, arena, embedding))
    return tuple(results)


def kept(place: Path, make: Callable[[], Trained]) -> Trained:
    """The model that an interrupted run left at `place`, or a new one, kept there."""
    model_path, history_path = place.with_suffix(".keras"), place.with_suffix(".json")
    if not (model_path.is_file() and history_path.is_file()):
        trained = make()
        write_bytes(model_path, keras_bytes(copied(trained.model)))
        write_bytes(history_path, json_bytes(trained.history))
    # A model just trained is read back too, so that a resumed run and an uninterrupted one do exactly the same.
    model = keras.saving.load_model(model_path, compile=False, safe_mode=True)
    return Trained(model, json.loads(history_path.read_text()))
