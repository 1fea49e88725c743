"""The parts of a run's report: what report.json keeps of data, models, seeds, recordings and stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from micro.config import Task
from micro.datasets.reported import Doubt, RecordedTime, SourceData, Unjudged
from micro.datasets.targets import AnyTarget, Target, Targets
from micro.detection.detector import Detector
from micro.detection.estimator import Estimator, Estimators
from micro.signal import FrontEnd

# Figures of a model on the test windows by name; None where the test does not show it, such as an AUC without faulty windows.
Metrics = dict[str, float | None]
# Which there are, by task; the first is what models are compared by.
METRICS: dict[Task, tuple[str, ...]] = {
    "anomaly": ("auc", "detection_rate", "false_alarm_rate"),
    "classification": ("accuracy", "macro_f1", "calibration_error"),
    "multilabel": ("macro_auc", "macro_f1", "exact", "calibration_error"),
    "regression": ("r2", "rmse", "mae", "coverage", "rmse_last"),
    "sequence": ("top_1", "top_3", "cross_entropy", "word_error_rate", "token_error_rate"),
}
# Of a regression with several numbers: R2 and RMSE as means over them, RMSE in standard deviations of the training windows, and
# the lowest coverage. Besides these there are those of each number, as `of_target` calls them.
OF_SEVERAL = ("mean_r2", "relative_rmse", "lowest_coverage")
# Of each of several labels, as `of_target` calls them.
OF_LABEL = ("auc", "f1", "precision", "recall")
# Before the names of detectors and estimators that a teacher is made of, where reports keep figures by model.
DETECTOR, ESTIMATOR = "detector: ", "estimator: "
# Models that every run has.
EVERY_RUN_HAS = ("teacher", "student_distilled", "student_int8")
History = dict[str, list[float]]


def metrics_of(task: Task, target: AnyTarget | None) -> tuple[str, ...]:
    """The metrics of a task; the first is what models are compared by."""
    return OF_SEVERAL if isinstance(target, Targets) else METRICS[task]


def of_target(metric: str, name: str) -> str:
    """What the metric of one of several numbers or labels is called."""
    return f"{metric}: {name}"


def one_or_several(value: object) -> str:
    """Whether a part of a report is of one number or of several, for pydantic."""
    several = "each" in value if isinstance(value, dict) else isinstance(value, Targets | Estimators)
    return "several" if several else "one"


OneOrSeveralTargets = Annotated[
    Annotated[Target, Tag("one")] | Annotated[Targets, Tag("several")], Discriminator(one_or_several)
]
OneOrSeveralEstimators = Annotated[
    Annotated[Estimator, Tag("one")] | Annotated[Estimators, Tag("several")], Discriminator(one_or_several)
]


class Part(BaseModel):
    """A part of a report: what was never set is not written, and keys that are not known here are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, defer_build=True)


class WindowCounts(Part):
    """Windows by what they are used for."""

    train: int
    validation: int
    calibration: int
    test: int


class DividedReport(Part):
    """How many windows of a recording each part has; training counts copies, `faults` are known ones that are learned from, and
    `unlabeled` windows are those for which the student learns what the teacher gives."""

    origin: str
    train: int
    validation: int
    calibration: int
    test: int
    faults: int = 0
    unlabeled: int = 0


class TeacherData(Part):
    """What a teacher sees in place of what the student sees."""

    features: FrontEnd
    channels: tuple[str, ...]


class TextReport(Part):
    """The text of a run: whether it is running 'text' or 'pairs', how many characters and outputs there are, the sources that
    are tested, and what always the same answer is right in, `constant`: the commonest character, or the source itself."""

    form: str
    characters: int
    symbols: int
    sources: int = 0
    constant: float = 0.0


class DataReport(Part):
    """The data of a run; `untested` says what its test cannot show, `target` what number a regression predicts, `label_names`
    the labels of which several may hold at once.

    `teacher` is what the teacher sees; None where it sees what the student sees. `predicted` are the channels that models
    predict from the others.

    Pictures have no sample rate, but an `image_size`, height and width. `channels` and `sample_rate` are the main source's,
    where there are further `sources`. `recordings` are those of the test. `divided` has a row for each recording, of more
    than a thousand none. `unjudged` says in how many windows of all recordings the machine is off, or of no operating mode,
    `recorded` when and for how long recordings were made. `units` are those of channels whose files name one,
    `doubts` what is probably wrong with the files.
    """

    windows: WindowCounts
    class_names: tuple[str, ...]
    channels: tuple[str, ...]
    sample_rate: float | None
    notes: tuple[str, ...] = ()
    untested: str | None = None
    target: OneOrSeveralTargets | None = None
    image_size: tuple[int, int] | None = None
    teacher: TeacherData | None = None
    sources: tuple[SourceData, ...] = ()
    predicted: tuple[str, ...] = ()
    text: TextReport | None = None
    label_names: tuple[str, ...] = ()
    recordings: int = 0
    divided: tuple[DividedReport, ...] = ()
    unjudged: Unjudged | None = None
    recorded: RecordedTime | None = None
    units: dict[str, str] = {}
    doubts: tuple[Doubt, ...] = ()


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


class SeedReport(Part):
    """One seed's metrics, by the model that they are of; of folds each has every seed, and the `fold` is counted from 1."""

    __pydantic_extra__: dict[str, Metrics]
    seed: int
    fold: int | None = None

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
    """The difference of a metric between two models, seed by seed, or fold by fold where there are folds."""

    metric: str
    mean_difference: float
    differences: tuple[float, ...]
    verdict: str


class Moved(Part):
    """How far a recording's feature lies from training windows of the same state, in standard deviations of those."""

    feature: str
    moved: float


class RecordingNumber(Part):
    """One of several numbers over a test recording: the root mean square of its errors, their mean, and the number of the last
    window with its estimate."""

    name: str
    rmse: float
    bias: float
    last: float
    last_estimate: float


class RecordingReport(Part):
    """The windows of one state in one test recording: a classifier's `accuracy`, of several labels the fraction of windows of
    which all are right; a detector's fractions of windows
    `above_threshold` and in alarm; or of a regression the root mean square of its errors, their mean, and the number of the
    last window with its estimate. Of several `numbers` each has these, and `relative_rmse` is the mean of their RMSE, each in
    standard deviations of its training windows."""

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
    relative_rmse: float = 0.0
    numbers: tuple[RecordingNumber, ...] = ()
    moved: tuple[Moved, ...] = ()


@dataclass(frozen=True)
class NumberReport:
    """A number of a regression: the deployed student's metrics, by the names of those of one number, its teacher's R2."""

    name: str
    metrics: Metrics
    teachers_r2: float | None


@dataclass(frozen=True)
class LabelFigures:
    """A label: the deployed student's metrics, by the names of `OF_LABEL`, and its teacher's AUC."""

    name: str
    metrics: Metrics
    teachers_auc: float | None


class LabelReport(Part):
    """What the labeler's threshold does to the test windows with a label and without it.

    `threshold` is a probability, None of a label that is never reported. `windows` are those with the label. `given` is the
    fraction of these above the threshold, `falsely_given` that of windows without the label; `reported` and `falsely_reported`
    are the fractions after which the firmware reports it, as it counts, recording by recording.
    """

    name: str
    threshold: float | None
    windows: int
    given: float | None
    falsely_given: float | None
    reported: float | None
    falsely_reported: float | None


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


@dataclass(frozen=True, kw_only=True)
class ReportedDetector(Detector):
    """The firmware's detector, with its threshold in real units."""

    real_threshold: float
