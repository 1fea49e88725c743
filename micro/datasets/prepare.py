"""From a config to the windows that a run trains, calibrates and tests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from micro.config import ClassesData, Config, CwruData, FilesData, RegressionData, RigData, TableData, Task
from micro.datasets.augmented import require_layers
from micro.datasets.class_windows import class_parts
from micro.datasets.cwru_windows import cwru_parts
from micro.datasets.pieces import Parts, Pieces, Target, evenly_spaced
from micro.datasets.regression_windows import regression_parts
from micro.datasets.rig_windows import rig_parts
from micro.datasets.sources import SourceData, require_partners
from micro.datasets.table_windows import table_parts
from micro.datasets.views import TeacherInputs
from micro.errors import DataError
from micro.keras_graph.calibration_data import CALIBRATION_SAMPLES, calibration_data, drawn_evenly
from micro.signal import AnyFrontEnd, FrontEnd, JoinedFrontEnd, Scaling, fit_scaling
from micro.support.wording import counted, listed

# Each data source: its section of the config, and the function of section, [features], [augment] and seed that gives its
# windows; those of a user's files take further sources as well.
SOURCES: dict[type, Callable[..., Parts]] = {
    RigData: rig_parts,
    CwruData: cwru_parts,
    TableData: table_parts,
    ClassesData: class_parts,
    RegressionData: regression_parts,
}
# Test windows whose samples are kept.
TEST_VECTORS = 200


@dataclass(frozen=True)
class Windows:
    """Scaled features of some windows.

    Attributes:
        x: Features, (n, *shape) float32.
        labels: (n,), the class; or 1 for a faulty window, 0 for a healthy one, -1 where the state is unknown; or a regression's
            number.
        origins: The recording of each.
        places: Where each is among the windows of its recording, (n,) int; one that is left out leaves a gap.
        of_teacher: What the teacher sees of the same windows, (n, *its shape) float32; None where that is `x`.
    """

    x: np.ndarray
    labels: np.ndarray
    origins: tuple[str, ...]
    places: np.ndarray | None = None
    of_teacher: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class TeacherView:
    """What a teacher sees in place of what the student sees: its front end, its scaling, and the names of its sensors."""

    features: FrontEnd
    scaling: Scaling
    channels: tuple[str, ...]


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
        healthy_classes: Of a classification, those that raise no alarm; empty where there is no alarm.
        class_weights: How much a training example of each class counts; empty where all count the same.
        target: Of a regression, else None.
        image_size: Height and width of pictures, else None.
        faults: Windows of known faults to learn from, apart from all other parts; None where there are none.
        sources: Further sources next to the main one.
        teacher: What the teacher sees; None where it sees what the student sees.
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
    healthy_classes: tuple[str, ...] = ()
    class_weights: tuple[float, ...] = ()
    target: Target | None = None
    image_size: tuple[int, int] | None = None
    faults: Windows | None = None
    sources: tuple[SourceData, ...] = ()
    teacher: TeacherView | None = None

    @property
    def of_teacher(self) -> Prepared:
        """The same windows as the teacher sees them; samples are the student's."""
        if self.teacher is None:
            return self
        return replace(
            self,
            features=self.teacher.features,
            scaling=self.teacher.scaling,
            train=_seen(self.train),
            validation=_seen(self.validation),
            calibration=_seen(self.calibration),
            test=_seen(self.test),
            channels=self.teacher.channels,
            faults=None if self.faults is None else _seen(self.faults),
            teacher=None,
        )

    @property
    def task(self) -> Task:
        """What is learned."""
        if self.target is not None:
            return "regression"
        return "classification" if self.class_names else "anomaly"

    @property
    def outputs(self) -> int | None:
        """Values that a model gives; None of an autoencoder, which gives as many as it takes."""
        return {"anomaly": None, "classification": len(self.class_names), "regression": 1}[self.task]


def prepare(config: Config) -> Prepared:
    """Simulate or read the recordings of a config, cut and split them, and scale them by the training part.

    Raises:
        DataError: Names what is missing, damaged or too little.
    """
    if config.augment.layers:
        require_layers(config.augment)
    if config.sources:
        assert isinstance(config.data, FilesData)
        require_partners(config.data, config.sources)
    inputs = TeacherInputs(config.teacher.features, config.teacher.columns)
    more = (config.sources,) if config.sources else ()
    parts = SOURCES[type(config.data)](config.data, config.features, config.augment, config.seed, inputs, *more)
    return _scaled(replace(parts, notes=(*parts.notes, *_augmented(config))))


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


def calibration_windows(data: Prepared, seed: int) -> np.ndarray:
    """Training windows to calibrate the int8 ranges on, drawn evenly; with headroom for anomaly detection."""
    if data.task != "anomaly":
        return drawn_evenly(data.train.x, CALIBRATION_SAMPLES, seed)
    return calibration_data(data.train.x, seed=seed)


def _augmented(config: Config) -> list[str]:
    """A sentence on augmented copies, if there are any."""
    augment = config.augment
    if not augment.layers:
        return []
    names = ", ".join(each["class"] for each in augment.layers)
    copies = "an augmented copy" if augment.copies == 1 else f"{augment.copies} augmented copies"
    of = "; samples of further sources stay as they are" if config.sources else ""
    return [f"for training, every window was joined by {copies}: {names}{of}."]


def _scaled(parts: Parts) -> Prepared:
    """The four parts with scaling fitted on the first."""
    scaling = fit_scaling(np.concatenate([each.values for each in parts.train]))
    samples = np.concatenate([each.samples for each in parts.test])
    view = _teacher_view(parts)
    theirs = None if view is None else view.scaling
    train = _windows(parts.train, scaling, theirs)
    return Prepared(
        features=parts.features,
        scaling=scaling,
        train=train,
        validation=_windows(parts.validation, scaling, theirs),
        calibration=_windows(parts.calibration, scaling, theirs),
        test=_windows(parts.test, scaling, theirs),
        class_names=parts.class_names,
        channels=parts.channels,
        sample_rate=parts.sample_rate,
        test_vectors=samples[evenly_spaced(len(samples), TEST_VECTORS)],
        validation_samples=(
            np.concatenate([each.samples for each in parts.validation]),
            np.concatenate([np.full(len(each.samples), each.label) for each in parts.validation]),
        ),
        notes=(*parts.notes, *_learned_faults(parts), *_clipped(parts)),
        healthy_classes=parts.healthy_classes,
        class_weights=parts.class_weights,
        target=_target(parts, train.labels) if parts.target_name else None,
        image_size=parts.image_size,
        faults=_windows(parts.faults, scaling, theirs) if parts.faults else None,
        sources=parts.sources,
        teacher=view,
    )


def _teacher_view(parts: Parts) -> TeacherView | None:
    """What the teacher sees, with scaling fitted on its training windows; None where that is what the student sees."""
    if parts.teacher_features is None:
        return None
    values = [each.of_teacher for each in parts.train if each.of_teacher is not None]
    return TeacherView(parts.teacher_features, fit_scaling(np.concatenate(values)), parts.teacher_channels)


def _target(parts: Parts, numbers: np.ndarray) -> Target:
    """A target with the level of its training windows; DataError where it never changes."""
    deviation = float(numbers.std())
    if not deviation > 1e-9 * max(1.0, float(np.abs(numbers).max())):
        raise DataError(f"{parts.target_name} is {numbers[0]:g} in every training window: there is nothing to learn")
    return Target(parts.target_name, float(numbers.mean()), deviation, *parts.target_range)


def _learned_faults(parts: Parts) -> list[str]:
    """A sentence on known faults that are learned from, if there are any."""
    if not parts.faults:
        return []
    origins = dict.fromkeys(each.origin for each in parts.faults)
    windows = counted(sum(len(each.values) for each in parts.faults), "window")
    others = len({each.origin for each in parts.test if each.label == 1})
    tested = f"the test has faulty windows of {counted(others, 'other')}" if others else "the test has no other fault"
    return [
        f"learned from {windows} of {counted(len(origins), 'recording')} as known faults: {listed(list(origins))}; {tested}."
    ]


def _clipped(parts: Parts) -> list[str]:
    """A sentence for each source with training samples beyond the full scale of a fixed-point front end."""
    samples = np.concatenate([each.samples for each in parts.train])
    if not isinstance(parts.features, JoinedFrontEnd):
        return _beyond(parts.features, samples, "")
    frames, sources = parts.features.frames_of(samples), parts.features.sources
    notes = _beyond(parts.features.main, frames.main, "")
    for source, own in zip(sources, frames.sources):
        notes += _beyond(source.front_end, own.frames, f"source {source.name}: ")
    return notes


def _beyond(features: FrontEnd, samples: np.ndarray, of: str) -> list[str]:
    full_scale = features.full_scale
    if features.arithmetic != "fixed" or full_scale is None:
        return []
    beyond = float(np.mean(np.abs(samples) > full_scale))
    if not beyond:
        return []
    return [
        f"{of}{100 * beyond:.2g} % of the training samples lie beyond full_scale = {full_scale:g} and are clipped; the "
        f"largest is {np.abs(samples).max():.3g}: full_scale is the value of 32768 counts of the A/D converter."
    ]


def _seen(windows: Windows) -> Windows:
    """Windows as the teacher sees them."""
    return windows if windows.of_teacher is None else replace(windows, x=windows.of_teacher, of_teacher=None)


def _windows(pieces: Pieces, scaling: Scaling, of_teacher: Scaling | None = None) -> Windows:
    theirs = [each.of_teacher for each in pieces if each.of_teacher is not None]
    return Windows(
        scaling(np.concatenate([each.values for each in pieces])),
        np.concatenate(
            [np.full(len(each.values), each.label) if each.numbers is None else each.numbers for each in pieces]
        ),
        tuple(each.origin for each in pieces for _ in range(len(each.values))),
        np.concatenate([np.arange(len(each.values)) if each.places is None else each.places for each in pieces]),
        None if of_teacher is None else of_teacher(np.concatenate(theirs)),
    )
