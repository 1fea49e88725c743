"""The results of a run, as report.json keeps them: the one place that knows the file's keys, both to write and to read them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, model_validator

from micro.config import Task
from micro.datasets.pieces import Target
from micro.detection.detector import Detector
from micro.detection.estimator import Estimator
from micro.detection.recognizer import Recognizer
from micro.runs.emulated import Emulated
from micro.runs.recipe_choice import RecipeChoice
from micro.runs.verdict import Verdict
from micro.signal import FrontEnd, Scaling
from micro.support.files import json_bytes
from micro.tflite.footprint import Footprint
from micro.tflite.parity import Parity

NAME = "report.json"
# Figures of a model on the test windows by name; None where the test does not show it, such as an AUC without faulty windows.
Metrics = dict[str, float | None]
# Which there are, by task; the first is what models are compared by.
METRICS: dict[Task, tuple[str, ...]] = {
    "anomaly": ("auc", "detection_rate", "false_alarm_rate"),
    "classification": ("accuracy", "macro_f1", "calibration_error"),
    "regression": ("r2", "rmse", "mae", "coverage", "rmse_last"),
}
# Before the names of detectors that a teacher is made of, where reports keep figures by model.
DETECTOR = "detector: "
# Models that every run has.
EVERY_RUN_HAS = ("teacher", "student_distilled", "student_int8")
History = dict[str, list[float]]


class Part(BaseModel):
    """A part of a report: what was never set is not written, and keys that are not known here are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class WindowCounts(Part):
    """Windows by what they are used for."""

    train: int
    validation: int
    calibration: int
    test: int


class DataReport(Part):
    """The data of a run; `untested` says what its test cannot show, `target` what number a regression predicts.

    Pictures have no sample rate, but an `image_size`, height and width.
    """

    windows: WindowCounts
    class_names: tuple[str, ...]
    channels: tuple[str, ...]
    sample_rate: float | None
    notes: tuple[str, ...] = ()
    untested: str | None = None
    target: Target | None = None
    image_size: tuple[int, int] | None = None


class Parameters(Part):
    """Parameters of both models; None of a teacher that is no network."""

    teacher: int | None
    student: int


class Spread(Part):
    """A metric over the seeds; `deviation` is the standard deviation (n - 1)."""

    mean: float
    deviation: float
    min: float
    max: float


class StageReport(Part):
    """The int8 student after a stage of compression: metrics over the seeds, costs of the first seed's."""

    stage: str
    metrics: dict[str, Spread]
    flash: int
    arena: int
    macs: int
    zeros: float


class BudgetReport(Part):
    """The budget of a config, and what exceeds it."""

    flash: str | None
    ram: str | None
    fits: bool
    broken: tuple[str, ...]


class SeedReport(Part):
    """One seed's metrics, by the model that they are of."""

    __pydantic_extra__: dict[str, Metrics]
    seed: int

    @property
    def models(self) -> dict[str, Metrics]:
        """Metrics by model, such as 'student_int8'."""
        return self.__pydantic_extra__

    @model_validator(mode="after")
    def _has_models(self) -> SeedReport:
        missing = [name for name in EVERY_RUN_HAS if name not in self.models]
        if missing:
            raise ValueError(f"no metrics of {', '.join(missing)}")
        return self


class Comparison(Part):
    """The difference of a metric between two models, seed by seed."""

    metric: str
    mean_difference: float
    differences: tuple[float, ...]
    verdict: str


class Moved(Part):
    """How far a recording's feature lies from training windows of the same state, in standard deviations of those."""

    feature: str
    moved: float


class RecordingReport(Part):
    """The windows of one state in one test recording: a classifier's `accuracy`; a detector's fractions of windows
    `above_threshold` and in alarm; or of a regression the root mean square of its errors, their mean, and the number of the
    last window with its estimate."""

    origin: str
    state: str
    windows: int
    accuracy: float = 0.0
    above_threshold: float = 0.0
    alarms: float = 0.0
    rmse: float = 0.0
    bias: float = 0.0
    last: float | None = None
    last_estimate: float | None = None
    moved: tuple[Moved, ...] = ()


class ClassReport(Part):
    """What the recognizer's threshold does to the test windows of a class and of all others, window by window.

    `threshold` is a lead in the unit of the model's outputs, None of a class that is never reported; `recognized` the fraction
    of its windows above it, `false_accepts` that of other classes' windows taken for it, None where there are none.
    """

    name: str
    threshold: float | None
    windows: int
    recognized: float | None
    false_accepts: float | None


class RecognizedReport(Part):
    """What the recognizer reports after test windows, counted as the firmware counts, recording by recording: fractions of the
    windows after which it reports their class, another one, and none."""

    right: float
    wrong: float
    none: float


class OperatorReport(Part):
    """An operator of the .tflite: its output, and the numbers of the operators that it takes values from."""

    op: str
    output: str
    shape: tuple[int, ...]
    dtype: str
    sources: tuple[int, ...] = Field(alias="from")


class SoftTargets(Part):
    """Mean softened probabilities, a row a recorded class."""

    temperature: float
    teacher: list[list[float]]
    student: list[list[float]]


class Conversion(Part):
    """How weights were quantized, the RMS error of the outputs, and what the converter warns of."""

    weights: str
    error: float
    warnings: tuple[str, ...] = ()


class Recalibration(Part):
    """Where a threshold that is not the training's came from, what it guarantees, and which figures are not of it."""

    times: int
    trained_threshold: float
    former_threshold: float
    threshold: float
    factor: float
    guarantee: str
    sessions: int
    windows: int
    false_alarm_rate: float
    detection_rate: float | None
    figures_threshold: float | None = None
    figures_of_former_threshold: tuple[str, ...] = ()
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class ReportedDetector(Detector):
    """The firmware's detector, with its threshold in real units."""

    real_threshold: float


class RunReport(Part):
    """A run's report, written as report.json.

    Attributes:
        threshold: Of the anomaly score, in real units; None of classifiers and regressions.
        coverage: Of a regression's interval, as asked for.
        detector: The firmware's, where it raises alarms; None where the student is not int8.
        recognizer: The firmware's, where it reports classes; None where the student is not int8.
        estimator: The firmware's, where it gives numbers; None where the student is not int8.
        by_class: Of a recognizer, window by window.
        recognized: Of a recognizer, as it counts.
        sparsity: Fraction of the student's weights that are zero.
        seeds: Metrics by seed; the first seed's student is deployed.
        summary: Metrics over the seeds, by model.
        distilling, distilling_int8, quantizing, against_teacher: Paired differences between two models; None where one of
            them was not made or the test does not show it.
        no_project: Why no firmware project can be written of the run; None where one can.
        history: Learning curves of the first seed, by model.
        verdict: None after a recalibration.
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
    features: FrontEnd
    scaling: Scaling
    threshold: float | None
    false_alarm_rate: float | None = None
    coverage: float | None = None
    detector: ReportedDetector | None
    recognizer: Recognizer | None = None
    estimator: Estimator | None = None
    by_class: tuple[ClassReport, ...] = ()
    recognized: RecognizedReport | None = None
    parameters: Parameters
    sparsity: float = 0.0
    stages: tuple[StageReport, ...] = ()
    budget: BudgetReport | None = None
    seeds: tuple[SeedReport, ...] = Field(min_length=1)
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
    verdict: Verdict | None = None
    recalibration: Recalibration | None = None
    emulated: tuple[Emulated, ...] = ()
    recipe: RecipeChoice | None = None

    @property
    def metric(self) -> str:
        """The metric that models are compared by."""
        return METRICS[self.task][0]

    @property
    def deployed(self) -> Metrics:
        """Metrics of the int8 student that is deployed: the first seed's."""
        return self.seeds[0].models["student_int8"]

    @property
    def trained_threshold(self) -> float:
        """The threshold that a detector's run was trained with, whatever recalibrations it has been through."""
        if self.recalibration is not None:
            return self.recalibration.trained_threshold
        if self.threshold is None:
            raise ValueError("a classifier has no threshold")
        return self.threshold

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
    fields = {**asdict(detector), "score": detector.score}
    return ReportedDetector(**fields, real_threshold=real_threshold)
