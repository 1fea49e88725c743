"""All the data of a run, cut, divided and scaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from micro.config import Task
from micro.datasets.bearing_lines import BearingLines
from micro.datasets.machines import Machines
from micro.datasets.reported import Doubt, RecordedTime, SourceData, Unjudged
from micro.datasets.targets import AnyTarget
from micro.datasets.text import Text
from micro.datasets.vibration_levels import Levels
from micro.datasets.window_parts import Origins, TeacherView, Windows
from micro.detection.modes import Ranges
from micro.detection.residual import measured, taken
from micro.keras_graph.calibration_data import CALIBRATION_SAMPLES, calibration_data, drawn_evenly
from micro.signal import AnyFrontEnd, Scaling


@dataclass(frozen=True)
class Prepared:
    """All the data of a run. Windows of training, of calibration and of the test share no samples; a source without recordings
    to spare gives validation and calibration the same windows.

    Attributes:
        features: The front end.
        scaling: Fitted on the training windows.
        train, validation, calibration, test: The windows of each part.
        class_names: Of a classification, else empty.
        channels: Names of the sensors.
        sample_rate: In Hz; None of pictures.
        test_vectors: Samples of some test windows, (n, window, channels) float32, for the firmware's self-test; of joined ones
            (n, samples), those of all sources.
        validation_samples: Samples of some validation windows with their labels, for what must not touch the test.
        notes: Sentences for the user on what was skipped, left out or split.
        doubts: What is probably wrong with the files.
        healthy_classes: Of a classification, those that raise no alarm; empty where there is no alarm.
        class_weights: How much a training example of each class counts; empty where all count the same.
        label_names: Of several labels at once, else empty.
        target: Of a regression, else None.
        image_size: Height and width of pictures, else None.
        faults: Windows of known faults to learn from, apart from all other parts; None where there are none.
        teacher: What the teacher sees; None where it sees what the student sees.
        sources: Further sources next to the main one.
        text: Of text, what is known besides its windows; else None.
        teacher_train: What the teacher is trained on, where its copies are not the student's.
        unlabeled: Windows without a label, for which a student learns what the teacher gives; None where there are none.
        predicted: Places, along the last axis, of the features that a detector's models predict from the others.
        tested: Where the config has folds, the groups of which the test has windows.
        related: Which recordings belong together.
        machines: Where the target learns its machine, what was learned of each file in the same way; else None.
        vibration: Velocities of the recordings; None where none are asked for.
        bearing: What the recordings say of the bearing; None where none is named.
        ranges: What tells operating modes apart; None where there are none.
        unjudged: How many windows are not judged: the machine is off, or of no operating mode; None where that is not known.
        recorded: When and for how long the recordings were made; None where that is not known.
        units: By channel, its unit, where files name one and agree on it.
    """

    features: AnyFrontEnd
    scaling: Scaling
    train: Windows
    validation: Windows
    calibration: Windows
    test: Windows
    class_names: tuple[str, ...]
    channels: tuple[str, ...]
    sample_rate: float | None
    test_vectors: np.ndarray
    validation_samples: tuple[np.ndarray, np.ndarray]
    notes: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    healthy_classes: tuple[str, ...] = ()
    class_weights: tuple[float, ...] = ()
    label_names: tuple[str, ...] = ()
    target: AnyTarget | None = None
    image_size: tuple[int, int] | None = None
    faults: Windows | None = None
    teacher: TeacherView | None = None
    sources: tuple[SourceData, ...] = ()
    text: Text | None = None
    teacher_train: Windows | None = None
    unlabeled: Windows | None = None
    predicted: tuple[int, ...] = ()
    tested: tuple[str, ...] = ()
    related: Origins = field(default_factory=Origins)
    machines: Machines | None = None
    vibration: Levels | None = None
    bearing: BearingLines | None = None
    ranges: Ranges | None = None
    unjudged: Unjudged | None = None
    recorded: RecordedTime | None = None
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def of_teacher(self) -> Prepared:
        """The same windows as the teacher sees them, with what it is trained on; samples are the student's."""
        train = self.train if self.teacher_train is None else self.teacher_train
        if self.teacher is None:
            return replace(self, train=train, teacher_train=None)
        return replace(
            self,
            features=self.teacher.features,
            scaling=self.teacher.scaling,
            train=train.as_teacher,
            validation=self.validation.as_teacher,
            calibration=self.calibration.as_teacher,
            test=self.test.as_teacher,
            channels=self.teacher.channels,
            faults=None if self.faults is None else self.faults.as_teacher,
            teacher=None,
            teacher_train=None,
        )

    @property
    def task(self) -> Task:
        """What is learned."""
        if self.text is not None:
            return "sequence"
        if self.target is not None:
            return "regression"
        if self.label_names:
            return "multilabel"
        return "classification" if self.class_names else "anomaly"

    @property
    def outputs(self) -> int | None:
        """Values that a model gives; None of a detector's, which gives features back or predicts some."""
        if self.target is not None:
            return len(self.target.each)
        return len(self.class_names or self.label_names) or None

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of what a model takes of a window and of what it gives."""
        takes, gives = (side(self.train.x[:1], self.predicted).shape[1:] for side in (taken, measured))
        return takes, gives if self.outputs is None else (self.outputs,)

    def inputs(self, windows: Windows) -> np.ndarray:
        """What a model takes of windows: all of their features, or those that it does not predict."""
        return taken(windows.x, self.predicted)

    def measured(self, windows: Windows) -> np.ndarray:
        """What the outputs of a detector's model are compared with: all features of windows, or those that it predicts."""
        return measured(windows.x, self.predicted)


def untested(data: Prepared) -> str | None:
    """What the test of a detector cannot show, in one sentence, as it has no faulty or no healthy windows; None otherwise.

    Reports of the test's figures start with it: without both kinds there is no AUC, and one rate is unknown.
    """
    if data.task != "anomaly":
        return None
    healthy, faulty = (data.test.labels == 0).any(), (data.test.labels == 1).any()
    if healthy and faulty:
        return None
    if healthy:
        lacks, unknown = "faulty", "whether the detector finds any fault"
    elif faulty:
        lacks, unknown = "healthy", "how often the detector raises a false alarm"
    else:
        lacks, unknown = "known", "what the detector is worth"
    state = "window whose state is known" if lacks == "known" else f"{lacks} window"
    return f"The test has no {state}, so this run cannot tell {unknown}."


def notes_of_others(data: Sequence[Prepared]) -> list[str]:
    """What folds after the first left out, where the first did not leave out the same."""
    return [
        f"fold {number}: {note}"
        for number, one in enumerate(data[1:], 2)
        for note in one.notes
        if "left out" in note and note not in data[0].notes
    ]


def calibration_windows(data: Prepared, seed: int) -> np.ndarray:
    """Training windows to calibrate the int8 ranges on, drawn evenly; with headroom for anomaly detection."""
    if data.task != "anomaly":
        return drawn_evenly(data.train.x, CALIBRATION_SAMPLES, seed)
    return calibration_data(data.inputs(data.train), seed=seed)
