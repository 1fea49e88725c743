"""One TOML file, checked before any work starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt, ValidationError, model_validator

from micro.config.augmentation import AugmentConfig
from micro.config.bearing import BearingConfig, require_bearing, speed_beside
from micro.config.commissioning import CommissioningConfig, require_commissioning
from micro.config.complaints import did_you_mean, first_complaint, load_toml, shown
from micro.config.compression import OUT_OF_ORDER, QuantizeStage, Stage
from micro.config.data import (
    DATA,
    JOBS,
    ClassesData,
    CwruData,
    RegressionData,
    RigData,
    TableData,
    Task,
    TextData,
    tasks_of,
)
from micro.config.deployment import (
    BudgetConfig,
    ConvertConfig,
    DetectConfig,
    EstimateConfig,
    FirmwareConfig,
    RecognizeConfig,
    require_decision,
    with_firmware_name,
)
from micro.config.distillation import AUTO, DistillConfig
from micro.config.features import FeaturesConfig
from micro.config.files import FilesData
from micro.config.filtered import require_filtered
from micro.config.labels import LabelsData
from micro.config.models import ModelConfig, StudentConfig, TeacherConfig
from micro.config.modes import ModesConfig, require_modes_fit
from micro.config.orders import require_orders_fit
from micro.config.other_tasks import data_complaint
from micro.config.overrides import read_with
from micro.config.pictures import require_no_pictures, require_pictures, with_picture_features
from micro.config.predicted import require_no_predicted
from micro.config.renamed import require_current_names
from micro.config.section import Section, Texts, own_defaults, tables, with_paths
from micro.config.sensor_channels import require_sensor_fits
from micro.config.sources import SourceConfig, require_sources, with_source_folders
from micro.config.standstill import require_off_fits
from micro.config.streaming import require_streaming
from micro.config.teacher_inputs import require_teacher_inputs, with_teacher_features
from micro.config.teacher_kinds import require_teacher
from micro.config.text import require_labels_alone, require_no_text, require_text
from micro.config.vibration import VibrationConfig, require_vibration

# Seeds of NumPy, Keras and TensorFlow alike.
LARGEST_SEED = 2**32 - 1

# Objectives that a config may name by a word; the first is the default.
OBJECTIVES: dict[Task, tuple[str, ...]] = {
    "anomaly": ("reconstruction", "score_matching"),
    "classification": ("soft_target", "logit_matching"),
    "multilabel": ("soft_target", "logit_matching"),
    "regression": ("output_matching", "teacher_bounded"),
    "sequence": ("soft_target", "logit_matching"),
}
# What recipe "auto" tries where the config names nothing: recipes or words of the task that compare outputs, simplest first.
CANDIDATES: dict[Task, tuple[str, ...]] = {
    "anomaly": ("reconstruction",),
    "classification": ("kd", "dkd", "dist"),
    "multilabel": ("kd", "logit_matching"),
    "regression": ("output_matching", "teacher_bounded"),
    "sequence": ("kd", "dkd", "dist"),
}


class Config(Section):
    """A whole run."""

    job: Literal["rig", "cwru", "table", "text"] = "rig"
    task: Task
    overrides: Texts = ()
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    seeds: PositiveInt = 3
    data: RigData | CwruData | TableData | ClassesData | LabelsData | RegressionData | TextData
    features: FeaturesConfig = own_defaults()
    sources: Annotated[tuple[SourceConfig, ...], BeforeValidator(tables)] = ()
    augment: AugmentConfig = own_defaults()
    modes: ModesConfig | None = None
    teacher: TeacherConfig
    student: StudentConfig
    distill: DistillConfig = own_defaults()
    compress: Annotated[tuple[Stage, ...], BeforeValidator(tables)] = ()
    budget: BudgetConfig = own_defaults()
    convert: ConvertConfig = own_defaults()
    detect: DetectConfig = own_defaults()
    recognize: RecognizeConfig = own_defaults()
    estimate: EstimateConfig = own_defaults()
    firmware: FirmwareConfig = own_defaults()
    commissioning: CommissioningConfig | None = None
    vibration: VibrationConfig | None = None
    bearing: BearingConfig | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if self.seed + self.seeds - 1 > LARGEST_SEED:
            raise ValueError(f"seed + seeds must be at most {LARGEST_SEED + 1}, got {self.seed} and {self.seeds}")
        objective = self.distill.objective
        if objective is not None and objective not in OBJECTIVES[self.task]:
            fits = " or ".join(OBJECTIVES[self.task])
            raise ValueError(f"distill.objective {objective!r} does not suit task {self.task!r}; take {fits}")
        if getattr(self.data, "folds", None) and self.distill.recipe == AUTO:
            raise ValueError(
                'distill.recipe = "auto" chooses on files that other folds test; run it without data.folds, and name its choice'
            )
        self.distill.require_task(self.task)
        self._in_order()
        require_teacher(self.task, self.teacher, self.student, self.distill, self.compress)
        require_teacher_inputs(
            self.teacher, self.data, self.features, self.task, self.sources, (self.augment, *self.augments)
        )
        for augment in (self.augment, *self.augments):
            if isinstance(self.data, FilesData) and self.data.pictures:
                require_pictures(self.features, augment)
            else:
                require_no_pictures(augment)
        require_filtered(self.features, self.data, self.teacher, bool(self.sources))
        require_sources(self.sources, self.data, self.features, self.firmware.name)
        require_no_predicted(getattr(self.data, "predict", ()), self.teacher, self.sources)
        require_decision(self.task, self.recognizes, self.detect, self.recognize, self.estimate)
        if self.firmware.streaming:
            require_streaming(self.task, self.features, self.student, bool(self.sources), self.compress)
        if self.commissioning is not None:
            around = (self.data, self.features, self.detect, self.teacher)
            require_commissioning(self.commissioning, *around, bool(self.sources))
        require_vibration(self.vibration, self.data, bool(self.sources))
        require_bearing(self.bearing, self.data, bool(self.sources))
        others = {
            "[[sources]]": bool(self.sources),
            "[commissioning]": self.commissioning is not None,
            "[vibration]": self.vibration is not None,
            "[bearing]": self.bearing is not None,
        }
        require_orders_fit(self.features, self.data, self.teacher, self.detect, self.modes, self.augments, others)
        learns = self.commissioning is not None
        require_off_fits(self.detect, self.task, self.data, self.features, learns=learns)
        require_sensor_fits(self.firmware, self.features, self.modes, self.task, self.data, learns=learns)
        if self.modes is not None:
            int8 = all(stage.activations == "int8" for stage in self.compress if isinstance(stage, QuantizeStage))
            rpm = speed_beside(self.bearing, self.data, self.teacher.columns)
            require_modes_fit(self.modes, self.task, self.data, self.features, self.sources, int8, learns, rpm)
        self._of_text()
        return self

    def _of_text(self) -> None:
        """ValueError for settings of text where there is none, and for those that text does not have."""
        parts: dict[str, ModelConfig] = {"teacher": self.teacher, "student": self.student}
        if not isinstance(self.data, TextData):
            require_no_text(self.task, parts)
            return
        require_text(self.data, parts)
        if self.distill.level != "token" and self.data.form == "text":
            raise ValueError('distill.level is for form = "pairs"; of running text each place is taught by itself')
        if self.distill.level == "sequence":
            require_labels_alone(self.distill, {"objective": OBJECTIVES["sequence"][0], **_NUMBERS})
        if self.data.unlabeled_files and self.distill.level == "token":
            raise ValueError('data.unlabeled_files are learned from with distill.level = "sequence" or "both"')
        if any(isinstance(stage, QuantizeStage) and stage.activations != "int8" for stage in self.compress):
            raise ValueError("activations = 'int16' is not for task 'sequence', whose table of characters is int8")
        for name, default in (("features", FeaturesConfig()), ("augment", AugmentConfig())):
            if getattr(self, name) != default:
                raise ValueError(f"[{name}] is for recordings, and job is 'text'; leave it out")

    @property
    def augments(self) -> tuple[AugmentConfig, AugmentConfig]:
        """How the training windows of the student and of the teacher are augmented."""
        student, teacher = (
            self.augment if part.augment is None else part.augment for part in (self.student, self.teacher)
        )
        return student, teacher

    @property
    def own_inputs(self) -> bool:
        """Whether the teacher sees other inputs than the student."""
        return self.teacher.features is not None or bool(self.teacher.columns)

    @property
    def recognizes(self) -> bool:
        """Whether the firmware reports classes instead of alarms."""
        return isinstance(self.data, ClassesData) and not self.data.healthy_classes

    def _in_order(self) -> None:
        """ValueError where stages of compression undo one another."""
        names = [stage.stage for stage in self.compress]
        for place, later in enumerate(names):
            for earlier in names[:place]:
                if earlier == later:
                    raise ValueError(f"compress: stage {later!r} comes twice; once is enough")
                if (earlier, later) in OUT_OF_ORDER:
                    raise ValueError(f"compress: {later!r} after {earlier!r}: {OUT_OF_ORDER[earlier, later]}")
        scales = [stage.weights for stage in self.compress if isinstance(stage, QuantizeStage)]
        if scales and self.convert.weights != "auto":
            raise ValueError("convert.weights: stage 'quantize_aware' chooses the scales; leave it 'auto'")
        if "cluster" in names and "per_channel" in (*scales, self.convert.weights):
            raise ValueError(
                "weights = 'per_channel' after stage 'cluster': a scale per channel undoes the clustering of values; "
                "take 'per_tensor' or 'auto'"
            )


def load_config(path: str | Path, settings: Sequence[str] = ()) -> Config:
    """Read a TOML config; relative paths in it are taken from its own folder, and a firmware without a name is called as it is.

    Args:
        path: The file.
        settings: Each KEY=VALUE, such as 'teacher.epochs=5', in place of the file's; errors name them as `--set`.

    Returns: the checked `Config`, frozen.

    Raises:
        ValueError: In one line: what is wrong, where, and what would be right.

    Examples:
        >>> from pathlib import Path
        >>> written = Path("rig.toml").write_text('job = "rig"\\n[data]\\nseconds = 2.0\\n[teacher]\\n[student]\\n')
        >>> micro.load_config("rig.toml").data.seconds
        2.0
        >>> micro.load_config("rig.toml", ["teacher.epochs=5"]).teacher.epochs
        5
    """
    path = Path(path)
    raw = with_firmware_name(load_toml(path, "config"), path.stem)
    return read_with(lambda given: parse_config(given, path.parent, str(path)), raw, settings, str(path))


def parse_config(raw: Mapping[str, Any], folder: str | Path = ".", what: str = "config") -> Config:
    """Check a config given as plain data, sections as dicts, as a TOML file holds them.

    Args:
        raw: The sections.
        folder: Where relative paths in it start.
        what: Name of the config in errors.

    Returns: the checked `Config`, frozen.

    Raises:
        ValueError: In one line: what is wrong, where, and what would be right.

    Examples:
        >>> config = micro.parse_config({"job": "rig", "data": {"seconds": 2.0}, "teacher": {}, "student": {}})
        >>> config.detect.false_alarm_rate
        0.01
    """
    folder = Path(folder)
    if not isinstance(raw, Mapping):
        raise ValueError(f"{what}: must be sections of settings, got {shown(raw)}")
    require_current_names(raw, what)
    job, task = _job_and_task(raw, what)
    section = DATA[job, task]
    try:
        data = section.model_validate(with_paths(raw.get("data", {}), folder))
    except ValidationError as error:
        raise ValueError(f"{what}: {data_complaint(error, raw, job, task, Config)}") from None
    models = {side: with_paths(raw[side], folder) for side in ("teacher", "student") if side in raw}
    if "sources" in raw:
        raw = {**raw, "sources": with_source_folders(raw["sources"], folder)}
    given = raw.get("features", {})
    if isinstance(data, FilesData) and data.pictures and isinstance(given, dict):
        try:
            raw = {**raw, "features": with_picture_features(given, data)}
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
    try:
        models = {side: with_teacher_features(section, raw.get("features")) for side, section in models.items()}
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    try:
        return Config.model_validate({**raw, **_by_task(task, {**raw, **models}), "task": task, "data": data})
    except ValidationError as error:
        raise ValueError(f"{what}: {first_complaint(error, '', Config)}") from None


def _job_and_task(raw: Mapping[str, Any], what: str) -> tuple[str, Task]:
    """What a config is about; ValueError for a job or task that does not exist, or a task that the job does not have."""
    job = raw.get("job", "rig")
    if not isinstance(job, str) or job not in JOBS:
        raise ValueError(f"{what}: job must be one of {', '.join(JOBS)}, got {shown(job)}{did_you_mean(job, JOBS)}")
    tasks = tasks_of(job)
    task = raw.get("task", tasks[0])
    if task not in tasks:
        known = " or ".join(map(repr, tasks))
        raise ValueError(f"{what}: task of job {job!r} must be {known}, got {shown(task)}{did_you_mean(task, tasks)}")
    return job, task


# What sections hold if they do not say so, by task.
_FAMILY: dict[Task, str] = {
    "anomaly": "autoencoder",
    "classification": "dense",
    "multilabel": "dense",
    "regression": "dense",
    "sequence": "dense",
}
# Of an objective named by a word; those of a recipe are the published ones.
_NUMBERS = {"temperature": 4.0, "weight": 0.5, "hard_weight": 0.5}
# Of a student that follows detectors: synthetic windows are there to be scored, not to be reconstructed.
_SCORES = {"objective": "score_matching", "temperature": 4.0, "weight": 1.0, "hard_weight": 0.0}


def _by_task(task: Task, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Sections whose defaults depend on the task; what is no section is left for the check to name."""
    distill = raw.get("distill", {})
    own = isinstance(distill, dict) and (distill.get("recipe") is not None or bool(distill.get("objectives")))
    teacher = raw.get("teacher")
    scores = task == "anomaly" and isinstance(teacher, dict) and bool(teacher.get("detectors"))
    defaults: dict[str, dict[str, Any]] = {
        "teacher": {"family": _FAMILY[task]},
        "student": {"family": _FAMILY[task]},
        "distill": _objective(task, own, scores),
    }
    if isinstance(distill, dict) and distill.get("recipe") == AUTO:
        defaults["distill"] = {"candidates": CANDIDATES[task]}
    sections = {"distill": {}, **raw}
    return {
        name: {**default, **sections[name]}
        for name, default in defaults.items()
        if isinstance(sections.get(name), dict)
    }


def _objective(task: Task, own: bool, scores: bool) -> dict[str, Any]:
    """What [distill] holds where it says nothing: `own` where it spells objectives out, `scores` for a teacher of detectors."""
    if own:
        return {"hard_weight": 0.0} if scores else {}
    return _SCORES if scores else {"objective": OBJECTIVES[task][0], **_NUMBERS}


def with_candidate(config: Config, name: str) -> Config:
    """A config whose recipe is "auto" with one of its candidates in place of that: a recipe, or a word of the task."""
    chosen: dict[str, Any] = {"candidates": (), "share": DistillConfig.model_fields["share"].default}
    if name in OBJECTIVES[config.task]:
        chosen |= {"recipe": None, "objective": name, **_NUMBERS}
    else:
        chosen |= {"recipe": name}
    return config.model_copy(update={"distill": config.distill.model_copy(update=chosen)})
