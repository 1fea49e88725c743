"""The results of a run, as report.json keeps them: the one place that knows the file's keys, both to write and to read them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, field_serializer

from micro.config import Task
from micro.datasets.targets import Targets
from micro.detection.detector import Detector
from micro.runs.alarm_report import AlarmReport
from micro.runs.chip_report import BudgetReport, StreamingReport, TimeReport
from micro.runs.later import later
from micro.runs.report_parts import (
    METRICS,
    OF_LABEL,
    ClassReport,
    Comparison,
    Conversion,
    DataReport,
    History,
    LabelFigures,
    LabelReport,
    Metrics,
    NumberReport,
    OneOrSeveralEstimators,
    OperatorReport,
    Parameters,
    Part,
    RecognizedReport,
    RecordingReport,
    ReportedDetector,
    SeedReport,
    SoftTargets,
    Spread,
    StageReport,
    metrics_of,
    of_target,
)
from micro.runs.verdict import Verdict
from micro.signal import FrontEnd, JoinedFrontEnd, Scaling
from micro.support.files import json_bytes
from micro.tflite.footprint import Footprint
from micro.tflite.parity import Parity

if TYPE_CHECKING:
    from micro.detection.commissioning import Commissioning
    from micro.detection.labeler import Labeler
    from micro.detection.predictor import Predictor
    from micro.detection.recognizer import Recognizer
    from micro.runs.bearing_report import BearingReport
    from micro.runs.emulated import Emulated
    from micro.runs.fold_parts import FoldReport
    from micro.runs.mode_report import ModeReport
    from micro.runs.recalibrated import Recalibration
    from micro.runs.recipe_choice import RecipeChoice
    from micro.runs.vibration_report import VibrationReport
else:
    Commissioning = later("micro.detection.commissioning", "Commissioning")
    Labeler = later("micro.detection.labeler", "Labeler")
    Predictor = later("micro.detection.predictor", "Predictor")
    Recognizer = later("micro.detection.recognizer", "Recognizer")
    BearingReport = later("micro.runs.bearing_report", "BearingReport")
    Emulated = later("micro.runs.emulated", "Emulated")
    FoldReport = later("micro.runs.fold_parts", "FoldReport")
    ModeReport = later("micro.runs.mode_report", "ModeReport")
    Recalibration = later("micro.runs.recalibrated", "Recalibration")
    RecipeChoice = later("micro.runs.recipe_choice", "RecipeChoice")
    VibrationReport = later("micro.runs.vibration_report", "VibrationReport")

NAME = "report.json"


class RunReport(Part):
    """A run's report, written as report.json.

    Attributes:
        threshold: Of the anomaly score, in real units; None of classifiers and regressions.
        coverage: Of a regression's interval, as asked for.
        false_accept_rate: Of windows without a label that may be given it, as asked for; of several labels alone.
        detector: The firmware's, where it raises alarms; None where the student is not int8.
        recognizer: The firmware's, where it reports classes; None where the student is not int8.
        labeler: The firmware's, where it reports several labels at once; None where the student is not int8.
        estimator: The firmware's, where it gives numbers; None where the student is not int8.
        predictor: The firmware's, where it takes characters.
        by_class: Of a recognizer, window by window.
        by_label: Of a labeler, label by label.
        recognized: Of a recognizer, as it counts.
        by_mode: Of a detector with operating modes, mode by mode; `threshold` is that of all modes together then.
        sparsity: Fraction of the student's weights that are zero.
        seeds: Metrics by seed; the first seed's student is deployed.
        folds: Of a cross-validation, what each tested; the first fold's first seed is deployed then.
        summary: Metrics over the seeds, by model; over the folds where there are folds.
        distilling, distilling_int8, quantizing, against_teacher: Paired differences between two models; None where one of
            them was not made or the test does not show it.
        no_project: Why no firmware project can be written of the run; None where one can.
        history: Learning curves of the first seed, by model.
        overrides: What the command line set in place of the config's own values, each KEY=VALUE.
        verdict: None after a recalibration.
        streaming: The student as a model that takes a hop; None where the firmware does not stream.
        commissioning: How the firmware's detector learns its machine; None where scaling and threshold are the run's.
        vibration: Velocities of the recordings; None where the config asks for none.
        bearing: What stands out of the bearing's frequencies; None where the config names no bearing.
        alarms: Which channels and bands the worst alarms of the test are from; none where the score is no sum over features.
        recipe: What was tried for recipe "auto", and what was chosen; None where the config says what is taught.

    Examples:
        >>> try:
        ...     micro.RunReport.from_dict({"job": "rig"})
        ... except ValueError as error:
        ...     print(error)
        report.json: task: Field required
        >>> report = micro.RunReport.read("runs/rig")
        >>> report.task, report.deployed["auc"] > 0.5, report.footprint.ram_bytes < 4096
        ('anomaly', True, True)
    """

    job: str
    task: Task
    data: DataReport
    features: FrontEnd | JoinedFrontEnd
    scaling: Scaling
    threshold: float | None
    false_alarm_rate: float | None = None
    coverage: float | None = None
    false_accept_rate: float | None = None
    detector: ReportedDetector | None
    recognizer: Recognizer | None = None
    labeler: Labeler | None = None
    estimator: OneOrSeveralEstimators | None = None
    predictor: Predictor | None = None
    by_class: tuple[ClassReport, ...] = ()
    by_label: tuple[LabelReport, ...] = ()
    recognized: RecognizedReport | None = None
    by_mode: tuple[ModeReport, ...] = ()
    parameters: Parameters
    sparsity: float = 0.0
    stages: tuple[StageReport, ...] = ()
    budget: BudgetReport | None = None
    time: TimeReport | None = None
    seeds: tuple[SeedReport, ...] = Field(min_length=1)
    folds: tuple[FoldReport, ...] = ()
    summary: dict[str, dict[str, Spread]]
    distilling: Comparison | None = None
    distilling_int8: Comparison | None = None
    quantizing: Comparison | None = None
    against_teacher: Comparison | None = None
    by_origin: tuple[RecordingReport, ...]
    graph: tuple[OperatorReport, ...]
    soft_targets: SoftTargets | None = None
    conversion: Conversion
    footprint: Footprint
    parity: Parity
    firmware: tuple[str, ...]
    no_project: str | None = None
    history: dict[str, History]
    overrides: tuple[str, ...] = ()
    verdict: Verdict | None = None
    recalibration: Recalibration | None = None
    emulated: tuple[Emulated, ...] = ()
    recipe: RecipeChoice | None = None
    streaming: StreamingReport | None = None
    commissioning: Commissioning | None = None
    vibration: VibrationReport | None = None
    bearing: BearingReport | None = None
    alarms: tuple[AlarmReport, ...] = ()

    @property
    def metric(self) -> str:
        """The metric that models are compared by."""
        return metrics_of(self.task, self.data.target)[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that tables show: those of the task, of text those of its form, of several numbers those of all."""
        if self.data.text is None:
            return metrics_of(self.task, self.data.target)
        return tuple(name for name in METRICS[self.task] if name in self.deployed)

    @property
    def repeats(self) -> tuple[int, str]:
        """How often the whole was repeated for the means, and in what: seeds, or folds where there are some."""
        return (len(self.folds), "fold") if self.folds else (len(self.seeds), "seed")

    @property
    def tested_windows(self) -> int:
        """Windows of the test, of folds those of all; the faulty ones of a detector, which every fold tests, count once."""
        if self.task != "anomaly" or not all(fold.by_origin for fold in self.folds):
            return sum(fold.windows.test for fold in self.folds) or self.data.windows.test
        from micro.runs.fold_parts import merged

        return sum(row.windows for row in merged(self.folds)) or self.data.windows.test

    @property
    def known_metric(self) -> str:
        """The metric that models are compared by, or where no fold and no seed knows it, as no AUC without faults, the first of
        the others that one knows."""
        tested = [*(fold.models for fold in self.folds), *(seed.models for seed in self.seeds)]
        figures = [each for models in tested for each in models.values()]
        known = (metric for metric in self.metrics if any(each.get(metric) is not None for each in figures))
        return next(known, self.metric)

    @property
    def deployed(self) -> Metrics:
        """Metrics of the int8 student that is deployed: the first seed's."""
        return self.seeds[0].models["student_int8"]

    @property
    def numbers(self) -> tuple[NumberReport, ...]:
        """The figures of the deployed student for each number of a regression; none of other tasks."""
        target = self.data.target
        if target is None:
            return ()
        called = of_target if isinstance(target, Targets) else lambda metric, name: metric
        figures, teachers = self.deployed, self.seeds[0].models["teacher"]
        return tuple(
            NumberReport(
                one.name,
                {metric: figures.get(called(metric, one.name)) for metric in METRICS["regression"]},
                teachers.get(called("r2", one.name)),
            )
            for one in target.each
        )

    @property
    def labels(self) -> tuple[LabelFigures, ...]:
        """The figures of the deployed student for each of several labels; none of other tasks."""
        figures, teachers = self.deployed, self.seeds[0].models["teacher"]
        return tuple(
            LabelFigures(
                name,
                {metric: figures.get(of_target(metric, name)) for metric in OF_LABEL},
                teachers.get(of_target("auc", name)),
            )
            for name in self.data.label_names
        )

    @property
    def common_threshold(self) -> float | None:
        """The threshold that decides on every window; None where there is none, or one for each operating mode."""
        return None if self.by_mode else self.threshold

    @property
    def trained_threshold(self) -> float:
        """The threshold that a detector's run was trained with, whatever recalibrations it has been through."""
        if self.recalibration is not None:
            return self.recalibration.trained_threshold
        if self.threshold is None:
            raise ValueError("a classifier has no threshold")
        return self.threshold

    def trained_threshold_of(self, mode: int) -> float | None:
        """The threshold that an operating mode of the run was trained with; None of a mode without one."""
        row = self.by_mode[mode]
        moved = () if self.recalibration is None else self.recalibration.by_mode
        return next((each.trained_threshold for each in moved if each.name == row.name), row.threshold)

    def recalibrated(self, mode: int | None = None) -> bool:
        """Whether the threshold, or that of an operating mode, is not the training's."""
        if self.recalibration is None or mode is None:
            return self.recalibration is not None
        return any(each.name == self.by_mode[mode].name for each in self.recalibration.by_mode)

    @field_serializer("verdict")
    def _with_headline(self, verdict: Verdict | None) -> dict[str, Any] | None:
        return None if verdict is None else verdict.to_report()

    def to_dict(self) -> dict[str, Any]:
        """As plain data, which `from_dict` takes."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        if self.verdict is None:
            plain.pop("verdict", None)
        return plain

    def to_bytes(self) -> bytes:
        """The content of report.json: the same report gives the same bytes."""
        return json_bytes(self.to_dict())

    @classmethod
    def from_dict(cls, plain: object) -> RunReport:
        """A report back from plain data.

        Raises:
            ValueError: In one line, names the first key whose value is of the wrong kind.
        """
        try:
            return cls.model_validate(plain)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            message = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"{NAME}: {f'{place}: ' if place else ''}{message}") from None
        except (TypeError, OverflowError, ArithmeticError) as error:
            raise ValueError(f"{NAME}: {error}") from None

    @classmethod
    def read(cls, folder: str | Path) -> RunReport:
        """The report of a run's folder.

        Raises:
            OSError: If there is none.
            ValueError: In one line, for a file that is no report.
        """
        return cls.from_dict(json.loads((Path(folder) / NAME).read_text(encoding="utf-8")))


def reported(detector: Detector, real_threshold: float) -> ReportedDetector:
    """A detector as a report keeps it."""
    fields = {**asdict(detector), "score": detector.score, "modes": detector.modes}
    return ReportedDetector(**fields, real_threshold=real_threshold)
