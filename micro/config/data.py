"""Section [data]: where recordings come from."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from micro.config.files import FilesData, Rate
from micro.config.grouped import Folds, GroupedData, require_group_patterns
from micro.config.labels import LabelsData
from micro.config.predicted import require_predicted
from micro.config.scored import result_columns, twice_in
from micro.config.section import Labels, Section, Texts, listed, own_defaults
from micro.config.text import TextData


def _rows(value: object) -> object:
    """One pair of row numbers is a list of one pair."""
    is_pair = isinstance(value, list) and len(value) == 2 and all(isinstance(row, int) for row in value)
    return [value] if is_pair else value


Task = Literal["anomaly", "classification", "multilabel", "regression", "sequence"]
# Tasks whose outputs are classes, one a window.
OF_CLASSES: tuple[Task, ...] = ("classification", "sequence")

Loads = Annotated[tuple[int, ...], BeforeValidator(listed)]

# Bounds of a real machine, so that a typing error is found before it fills the memory.
Length = Annotated[float, Field(ge=1e-3, le=1e5)]

ClassName = Annotated[str, Field(min_length=1, max_length=64)]

# Numbers that one model estimates.
MOST_TARGETS = 32

Recordings = Annotated[int, Field(gt=0, le=100_000)]


class BearingData(Section):
    """Geometry of the simulated bearing: lengths in mm, contact angle in degrees."""

    balls: PositiveInt = 9
    ball_diameter: Length = 7.94
    pitch_diameter: Length = 39.04
    contact_angle: Annotated[float, Field(ge=0, lt=90)] = 0.0

    @model_validator(mode="after")
    def _fits(self) -> BearingData:
        if self.balls * self.ball_diameter >= math.pi * self.pitch_diameter:
            raise ValueError(
                f"{self.balls} balls of {self.ball_diameter:g} mm do not fit on {self.pitch_diameter:g} mm"
            )
        return self


class RigData(Section):
    """Recordings to simulate: how many, how long (s), peaks of the faults' impacts (g), and on which machine."""

    train_recordings: Recordings = 40
    validation_recordings: Recordings = 6
    calibration_recordings: Recordings = 30
    test_recordings: Recordings = 30
    fault_recordings: Recordings = 3
    seconds: Annotated[float, Field(gt=0, le=3600)] = 4.0
    severities: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1e6)], ...], BeforeValidator(listed), Field(min_length=1, max_length=100)
    ] = (0.25, 0.5, 1.0)
    known_faults: Annotated[int, Field(ge=0, le=1000)] = 0
    speed: Annotated[float, Field(gt=0, le=1e6)] = 1780.0
    bearing: BearingData = own_defaults()


class CwruData(Section):
    """Where the Bearing Data Center's files are and which loads (hp) to learn from."""

    folder: str
    train_loads: Loads = (0, 1)
    test_loads: Loads = (2,)
    baseline_rate: Rate = 48_000.0

    @model_validator(mode="after")
    def _apart(self) -> CwruData:
        both = sorted(set(self.train_loads) & set(self.test_loads))
        if both:
            raise ValueError(f"loads {both} are in both train_loads and test_loads")
        if not self.train_loads or len(set(self.train_loads)) < len(self.train_loads):
            raise ValueError(f"train_loads must be different loads, one at least, got {list(self.train_loads)}")
        return self


class TableData(FilesData):
    """A user's own files, of which the healthy part is known: `healthy_files` and `faulty_files` are patterns as `files`.

    `known_faults` are patterns of faulty files that are learned from, in place of being tested on. `predict` are columns that
    models predict from the others: a window's score is how far off that is, in place of how well all are given back.

    With `folds` the healthy groups, which are files unless `group` says otherwise, are tested in turns, and all faulty
    recordings in each fold; the next fold's group gives the threshold.
    """

    healthy_files: Texts = ()
    healthy_rows: Annotated[tuple[tuple[int, int], ...], BeforeValidator(_rows)] = ()
    faulty_files: Texts = ()
    known_faults: Texts = ()
    normal_labels: Labels = ("0", "normal", "healthy")
    scaling: Literal["all", "per_file"] = "all"
    predict: Texts = ()
    group: Texts = ()
    folds: Folds | None = None

    @model_validator(mode="after")
    def _predicts(self) -> TableData:
        if self.predict and self.pictures:
            raise ValueError("predict is not for pictures, which have no columns: leave it out")
        if self.predict and self.known_faults:
            raise ValueError(
                "known_faults are not for predict: where a fault breaks what the other channels say of the predicted ones, "
                "these others are as ever, and nothing can be learned from them; name the files in faulty_files"
            )
        require_predicted(self.predict, self.columns)
        return self

    @model_validator(mode="after")
    def _divides(self) -> TableData:
        require_group_patterns(self.group)
        if self.group and self.folds is None:
            raise ValueError(
                "group is for folds, which test healthy groups in turns; without folds a part of each healthy file is tested, "
                "leave it out or set folds"
            )
        if self.folds is not None and self.scaling == "per_file":
            raise ValueError(
                'scaling = "per_file" would scale each tested file by its own healthy rows, of which folds test that nothing '
                "was learned; leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _has_a_healthy_part(self) -> TableData:
        if not self.healthy_files and not self.healthy_rows:
            alone = '; where the labels alone tell, healthy_files = ["*"]' if self.label_column is not None else ""
            raise ValueError(f"name the healthy part: healthy_files or healthy_rows{alone}")
        if self.pictures and self.healthy_rows:
            raise ValueError(
                "healthy_rows is not for pictures, which are healthy or faulty as a whole; take healthy_files"
            )
        if any(start < 0 or stop <= start for start, stop in self.healthy_rows):
            raise ValueError("healthy_rows must be pairs [first, past the last] of increasing row numbers")
        if self.scaling == "per_file" and not self.healthy_rows:
            raise ValueError('scaling = "per_file" needs healthy_rows, so that every file has a healthy part')
        return self


class ClassesData(GroupedData):
    """A user's own files, each window of which belongs to a class.

    A class is the folder that a file lies in, what a pattern of `classes` says, the row's label in `label_column`, or that of
    the interval in the file `intervals` that the row lies in.
    """

    intervals: str | None = None
    classes: Annotated[dict[ClassName, Texts], Field(max_length=1000, default_factory=dict)]
    healthy_classes: Labels = ()
    class_weights: Literal["none", "balanced"] = "none"

    @model_validator(mode="before")
    @classmethod
    def _one_label(cls, raw: object) -> object:
        if isinstance(raw, dict) and "label_columns" in raw:
            raise ValueError(
                "label_columns are of task 'multilabel', in which several labels hold at once, and this is task "
                "'classification', in which a window is of one class, by one label_column; set task = \"multilabel\""
            )
        return raw

    @model_validator(mode="after")
    def _has_classes(self) -> ClassesData:
        if self.pictures and self.intervals is not None:
            raise ValueError(
                "intervals is not for pictures, which have no time: a picture is of one class, by its folder or classes"
            )
        if self.classes and self.label_column is not None:
            raise ValueError("classes says which files are of a class, label_column which rows; give one of them")
        if self.intervals is not None and (self.classes or self.label_column is not None):
            other = "classes" if self.classes else "label_column"
            raise ValueError(f"intervals and {other} both say what is of a class; give one of them")
        if len(self.classes) == 1:
            raise ValueError(
                f"classes names {next(iter(self.classes))!r} alone; a classification has two classes or more"
            )
        if len(set(self.healthy_classes)) < len(self.healthy_classes):
            raise ValueError("healthy_classes names a class twice")
        missing = [name for name in self.healthy_classes if self.classes and name not in self.classes]
        if missing:
            raise ValueError(f"healthy_classes names {missing[0]!r}, which classes does not: {', '.join(self.classes)}")
        if self.classes and set(self.healthy_classes) == set(self.classes):
            raise ValueError("healthy_classes names every class; the alarm is for the others")
        return self


class RegressionData(GroupedData):
    """A user's own files, each window of which has a number: a column's value at its last row, or what is left of its run; or
    several numbers, those of `target_columns`.

    `target_lowest` and `target_highest` bound what columns of numbers can hold, by their names. `remaining_life` counts back
    from the end of each run, in rows or in a unit of time. A run is a file, or the rows with one value in `run_column`. Runs
    that were cut off have a number more to go in a file of `remaining_at_end`, a line a run.
    """

    target_column: str | None = None
    target_columns: Annotated[Texts, Field(max_length=MOST_TARGETS)] = ()
    target_lowest: Annotated[dict[str, float], Field(default_factory=dict)]
    target_highest: Annotated[dict[str, float], Field(default_factory=dict)]
    remaining_life: Literal["rows", "s", "min", "h", "d"] | None = None
    remaining_at_end: Annotated[dict[str, str], Field(default_factory=dict)]
    cap: Annotated[float, Field(gt=0, le=1e12)] | None = None
    run_column: str | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns of the numbers; none of `remaining_life`."""
        return self.target_columns or (() if self.target_column is None else (self.target_column,))

    @model_validator(mode="after")
    def _has_a_target(self) -> RegressionData:
        if self.pictures:
            raise ValueError(
                "pictures have no column or time to take a number from; task 'classification' learns classes from them, task "
                "'anomaly' what is unusual"
            )
        if (self.target_column is not None) + bool(self.target_columns) + (self.remaining_life is not None) != 1:
            raise ValueError(
                "give either target_column, the column to predict, or target_columns, several of them, or remaining_life, the "
                "unit in which life is counted back from the end of each run"
            )
        self._require_targets()
        if self.label_column is not None:
            raise ValueError("label_column is for classes; a regression has target_column or remaining_life")
        if self.remaining_life is None and (self.cap is not None or self.remaining_at_end):
            given = "cap" if self.cap is not None else "remaining_at_end"
            given_for = "target_columns" if self.target_columns else "target_column"
            raise ValueError(f"{given} is for remaining_life, not for {given_for}")
        if self.remaining_life is not None and self.split == "time":
            raise ValueError(
                'split = "time" would train on the beginnings of runs alone, where remaining_life is never low; take "files"'
            )
        if self.remaining_life == "rows" and self.resample is not None:
            raise ValueError(
                'remaining_life = "rows" counts the files\' rows, which resample changes; take a unit of time'
            )
        special = [name for name in (*self.targets, self.time_column, self.run_column) if name is not None]
        if len(set(special)) < len(special):
            which = "target_columns" if self.target_columns else "target_column"
            raise ValueError(f"{which}, time_column and run_column must be different columns")
        inputs = [name for name in special if name in self.columns]
        if inputs:
            raise ValueError(f"columns names {inputs[0]!r}, which is no channel: it is the target, the time or the run")
        return self

    def _require_targets(self) -> None:
        """ValueError for bounds of no target or none, and for targets whose columns of results would be called alike."""
        for key in ("target_lowest", "target_highest"):
            name = next((name for name in getattr(self, key) if name not in self.targets), None)
            if name is not None:
                known = ", ".join(self.targets) or "none by name, as remaining_life goes from 0 to cap"
                raise ValueError(f"{key} names {name!r}, which is no target; the targets are {known}")
        for name, low in self.target_lowest.items():
            high = self.target_highest.get(name)
            if high is not None and not low < high:
                raise ValueError(f"target_lowest of {name!r} must be below target_highest, got {low:g} and {high:g}")
        if len(self.targets) < 2:
            return
        twice = twice_in([name for target in self.targets for name in result_columns(target)])
        if twice is not None and len(set(self.targets)) == len(self.targets):
            raise ValueError(
                f"target_columns: tables of estimates would have two columns {twice!r}; call that target something else"
            )


DATA: dict[
    tuple[str, Task], type[RigData | CwruData | TableData | ClassesData | LabelsData | RegressionData | TextData]
] = {
    ("rig", "anomaly"): RigData,
    ("cwru", "classification"): CwruData,
    ("table", "anomaly"): TableData,
    ("table", "classification"): ClassesData,
    ("table", "multilabel"): LabelsData,
    ("table", "regression"): RegressionData,
    ("text", "sequence"): TextData,
}

JOBS: tuple[str, ...] = tuple(dict.fromkeys(job for job, _ in DATA))


def tasks_of(job: str) -> tuple[Task, ...]:
    """The tasks of a job; the first is its default."""
    return tuple(task for name, task in DATA if name == job)
