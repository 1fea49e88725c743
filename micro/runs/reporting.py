"""The report of a run, put together from what its seeds gave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from micro.compress.prune import sparsity_of
from micro.config import Config
from micro.conversion.converted import Converted
from micro.datasets.prepared import Prepared, untested
from micro.detection.commissioning import Commissioning
from micro.detection.estimator import Estimator, Estimators
from micro.detection.labeler import Labeler
from micro.detection.predictor import Predictor
from micro.detection.recognizer import Recognizer
from micro.program.size import Model
from micro.quantize.aware import QuantizationAware
from micro.runs.alarm_report import AlarmReport
from micro.runs.around_model import around_of
from micro.runs.assessment import judge
from micro.runs.bearing_found import bearing_report
from micro.runs.budgets import exceeded, note_of_board
from micro.runs.chip_report import BudgetReport, StreamingReport
from micro.runs.evaluate import by_origin, chip_judge, soft_targets
from micro.runs.firmware_files import judging
from micro.runs.fold_reports import divided, fold_reports, mean_of, windows_of
from micro.runs.fold_teacher import note_of_folds
from micro.runs.mode_figures import mode_rows
from micro.runs.operator_times import time_report
from micro.runs.recipe_choice import RecipeChoice
from micro.runs.repeats import compare, summarize
from micro.runs.report.costs import graph_rows
from micro.runs.report_parts import (
    ClassReport,
    Conversion,
    DataReport,
    History,
    LabelReport,
    Metrics,
    Parameters,
    RecognizedReport,
    RecordingReport,
    ReportedDetector,
    SeedReport,
    StageReport,
    TeacherData,
    metrics_of,
)
from micro.runs.run_report import RunReport
from micro.runs.seed_run import SeedRun, StageResult
from micro.runs.text_figures import text_report
from micro.runs.vibration_report import vibration_report
from micro.signal import FrontEnd
from micro.streaming.streamed import Streamed
from micro.tflite.graph import read
from micro.tflite.parity import Parity

# Temperature at which soft targets are shown where the config has none.
SHOWN_AT = 4.0


@dataclass(frozen=True)
class RunResults:
    """What all seeds of a run gave, of each fold in turn. What is deployed is settled before any is tested: the first.

    `data` are the first fold's, `others` those of the other folds.
    """

    config: Config
    data: Prepared
    seeds: tuple[SeedRun, ...]
    recipe: RecipeChoice | None = None
    others: tuple[Prepared, ...] = ()

    @property
    def chosen(self) -> SeedRun:
        """The seed that is deployed."""
        return self.seeds[0]

    @property
    def deployed(self) -> StageResult:
        """Its student after the last stage."""
        return self.chosen.stages[-1]

    @property
    def of_seeds(self) -> list[dict[str, Metrics]]:
        """Metrics by model, a mapping a seed, of each fold in turn."""
        return [{name: found.metrics for name, found in one.evaluations.items()} for one in self.seeds]

    @property
    def metrics(self) -> list[dict[str, Metrics]]:
        """Metrics by model, a mapping a seed; of folds a mapping a fold, whose seeds tested the same windows: their means."""
        return self.by_fold(self.of_seeds)

    def by_fold(self, rows: list[dict[str, Metrics]]) -> list[dict[str, Metrics]]:
        """Metrics of each seed as they are, or as means of the seeds of each fold."""
        seeds = self.config.seeds
        return [mean_of(rows[start : start + seeds]) for start in range(0, len(rows), seeds)] if self.others else rows


@dataclass(frozen=True)
class Emitted:
    """The firmware of the deployed student: its files, what decides in it and what that does by class and by label, how it
    compares with TFLite, why no project can be written of it, if so, the student that takes a hop, where it does, how the
    detector learns its machine, where it does, and what the worst alarms are from."""

    files: tuple[str, ...]
    detector: ReportedDetector | None
    recognizer: Recognizer | None
    labeler: Labeler | None
    estimator: Estimator | Estimators | None
    predictor: Predictor | None
    by_class: tuple[ClassReport, ...]
    recognized: RecognizedReport | None
    by_label: tuple[LabelReport, ...]
    parity: Parity
    no_project: str | None
    streamed: Streamed | None = None
    streaming: StreamingReport | None = None
    commissioning: Commissioning | None = None
    alarms: tuple[AlarmReport, ...] = ()


def make_report(results: RunResults, emitted: Emitted) -> RunReport:
    """The report with its verdict."""
    config, data, deployed = results.config, results.data, results.deployed
    threshold = results.chosen.evaluations["student_int8"].threshold
    metrics, over = results.metrics, "fold" if results.others else "seed"
    metric = metrics_of(config.task, data.target)[0]
    teacher = results.chosen.teacher.model if results.chosen.teacher else None
    in_float = "student_compressed" if config.compress else "student_distilled"
    on_chip = deployed_model(results, emitted.streamed)
    report = RunReport(
        job=config.job,
        task=config.task,
        data=_data_report(results),
        features=data.features,
        scaling=data.scaling,
        threshold=None if threshold is None else threshold.value,
        false_accept_rate=config.recognize.false_accept_rate if data.label_names else None,
        coverage=config.estimate.coverage if data.target else None,
        false_alarm_rate=config.detect.false_alarm_rate if threshold else None,
        detector=emitted.detector,
        recognizer=emitted.recognizer,
        labeler=emitted.labeler,
        estimator=emitted.estimator,
        predictor=emitted.predictor,
        by_class=emitted.by_class,
        by_label=emitted.by_label,
        recognized=emitted.recognized,
        **_of_modes(results),
        parameters=Parameters(
            teacher=None if teacher is None else teacher.count_params(), student=_parameters(results)
        ),
        sparsity=sparsity_of(deployed.model),
        stages=_stages(results),
        time=time_report(on_chip, config.budget),
        seeds=_seeds(results),
        summary=summarize(metrics),
        distilling=compare(metrics, metric, "student_distilled", "student_alone", over),
        distilling_int8=compare(metrics, metric, "student_int8", "alone_int8", over),
        quantizing=compare(metrics, metric, "student_int8", in_float, over),
        against_teacher=compare(metrics, metric, "student_int8", "teacher", over),
        by_origin=_by_origin(results, emitted),
        graph=graph_rows(read(deployed.written)),
        soft_targets=teacher and soft_targets(config.distill.temperature or SHOWN_AT, data, teacher, deployed.written),
        conversion=_conversion(deployed.written.plain),
        footprint=deployed.footprint,
        parity=emitted.parity,
        firmware=emitted.files,
        no_project=emitted.no_project,
        history=_histories(results.chosen),
        overrides=config.overrides,
        recipe=results.recipe,
        streaming=emitted.streaming,
        commissioning=emitted.commissioning,
        **vibration_report(data.vibration),
        **bearing_report(config.bearing, data.bearing),
    )
    if results.others:
        folds = fold_reports(config, (data, *results.others), results.seeds[:: config.seeds], metrics)
        report = report.model_copy(update={"folds": folds})
    if emitted.alarms:
        report = report.model_copy(update={"alarms": emitted.alarms})
    report = report.model_copy(update={"budget": _budget(config, on_chip, report)})
    return report.model_copy(update={"verdict": judge(report)})


def deployed_model(results: RunResults, streamed: Streamed | None) -> Model:
    """The student as the firmware runs it."""
    if streamed is not None:
        return Model.read(streamed)
    written = results.deployed.written
    return Model(written.content, read(written), results.deployed.footprint)


def _seeds(results: RunResults) -> tuple[SeedReport, ...]:
    """Metrics of every seed, with its fold where there are folds."""
    seed, seeds = results.config.seed, results.config.seeds
    folds = [{"fold": n // seeds + 1} if results.others else {} for n in range(len(results.seeds))]
    rows = zip(folds, results.of_seeds)
    return tuple(
        SeedReport.model_validate({"seed": seed + n % seeds, **fold, **row}) for n, (fold, row) in enumerate(rows)
    )


def _data_report(results: RunResults) -> DataReport:
    config, data = results.config, results.data
    return DataReport(
        windows=windows_of(data),
        class_names=tuple(data.class_names),
        channels=tuple(data.channels),
        sample_rate=data.sample_rate,
        notes=(
            *data.notes,
            *note_of_board(config.budget, data.features),
            *note_of_folds(config),
            *_on_known_faults(results),
        ),
        untested=untested(data),
        target=data.target,
        image_size=data.image_size,
        teacher=_teacher_data(data),
        **_where_given(data),
        text=text_report(data),
        label_names=data.label_names,
        recordings=len(set(data.test.origins)),
        divided=divided(data),
        **_recorded(data),
        units=dict(data.units),
    )


def _recorded(data: Prepared) -> dict[str, Any]:
    """When data were recorded, of operating modes how many windows are of none, and doubts about files, where there are any."""
    found = {"unjudged": data.unjudged, "recorded": data.recorded, "doubts": data.doubts or None}
    return {name: each for name, each in found.items() if each is not None}


def _where_given(data: Prepared) -> dict[str, Any]:
    """Further sources, and the names of predicted channels, where there are any."""
    given: dict[str, Any] = {"sources": data.sources} if data.sources else {}
    if data.predicted and isinstance(data.features, FrontEnd):
        places = [set(data.features.places_of([channel])) for channel in range(len(data.channels))]
        given["predicted"] = tuple(name for name, own in zip(data.channels, places) if own <= set(data.predicted))
    return given


def _teacher_data(data: Prepared) -> TeacherData | None:
    if data.teacher is None:
        return None
    return TeacherData(features=data.teacher.features, channels=data.teacher.channels)


def _on_known_faults(results: RunResults) -> list[str]:
    """A sentence on what the deployed student makes of the faults that it was taught, if there are any."""
    faults, evaluation = results.data.faults, results.chosen.evaluations["student_int8"]
    if faults is None or evaluation.threshold is None:
        return []
    scores = chip_judge(results.deployed.written, results.data.task, results.data.predicted)(faults.x)
    found = float(np.mean(scores > evaluation.threshold.value))
    alone = "; the student without a teacher learned from them too" if results.config.distill.compare else ""
    return [f"{100 * found:.3g} % of the windows of known faults lie above the threshold of the int8 student{alone}."]


def _parameters(results: RunResults) -> int:
    """Parameters of the deployed student, its embedding's among them; of one that simulates int8 its kernels and biases."""
    model, embedding = results.deployed.model, results.chosen.embedding
    table = 0 if embedding is None else embedding.table.size
    if isinstance(model, QuantizationAware):
        return table + sum(array.size for held in model.weights_now().values() for array in held.values())
    return table + int(model.count_params())


def _stages(results: RunResults) -> tuple[StageReport, ...]:
    """The int8 student after each stage of compression: metrics over the seeds, costs of the first seed's."""
    return tuple(_stage(results, stages) for stages in zip(*(one.stages for one in results.seeds)))


def _stage(results: RunResults, stages: tuple[StageResult, ...]) -> StageReport:
    first = stages[0]
    summary = summarize(results.by_fold([{"int8": stage.evaluation.metrics} for stage in stages]))
    return StageReport(
        stage=first.stage,
        metrics=summary.get("int8", {}),
        flash=first.footprint.model_bytes,
        arena=first.footprint.ram_bytes,
        macs=first.footprint.macs,
        zeros=sparsity_of(first.model),
    )


def _conversion(converted: Converted) -> Conversion:
    return Conversion(weights=converted.weights, error=converted.error, warnings=converted.warnings)


def _budget(config: Config, model: Model, report: RunReport) -> BudgetReport | None:
    """The budget and what exceeds it; None where there is none. What the firmware holds around the model takes flash and RAM
    as well."""
    budget = config.budget
    if not budget.given:
        return None
    broken = exceeded(budget, replace(model, around=around_of(report, config)))
    return BudgetReport(**budget.model_dump(), fits=not broken, broken=broken)


def _of_modes(results: RunResults) -> dict[str, Any]:
    """The deployed student by operating mode, where there are modes."""
    evaluation = results.chosen.evaluations["student_int8"]
    rows = mode_rows(evaluation.scores, evaluation.by_mode, results.data)
    return {"by_mode": rows} if rows else {}


def _by_origin(results: RunResults, emitted: Emitted) -> tuple[RecordingReport, ...]:
    evaluation = results.chosen.evaluations["student_int8"]
    return by_origin(evaluation, results.data, judging(results.config, emitted.detector, evaluation.threshold))


def _histories(chosen: SeedRun) -> dict[str, History]:
    trained = {"teacher": chosen.teacher, "student_distilled": chosen.student, "student_alone": chosen.alone}
    return {name: one.history for name, one in trained.items() if one is not None}
