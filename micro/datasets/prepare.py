"""From a config to the windows that a run trains, calibrates and tests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from micro.config import (
    AugmentConfig,
    ClassesData,
    Config,
    CwruData,
    FilesData,
    LabelsData,
    RegressionData,
    RigData,
    TableData,
    TextData,
)
from micro.datasets.augmented import require_layers
from micro.datasets.bearing_lines import bearing_lines
from micro.datasets.channel_units import units_of
from micro.datasets.class_windows import class_parts
from micro.datasets.cwru_windows import cwru_parts
from micro.datasets.dead_speed import dead_speeds_of
from micro.datasets.enough_modes import with_known_modes
from micro.datasets.frozen import frozen_doubts
from micro.datasets.label_windows import label_parts
from micro.datasets.mixing import joined, mixed_windows
from micro.datasets.partners import require_partners
from micro.datasets.pieces import Parts, Pieces
from micro.datasets.prepared import Prepared
from micro.datasets.recorded_time import recorded_time
from micro.datasets.regression_windows import regression_parts
from micro.datasets.rig_windows import rig_parts
from micro.datasets.shaft_speed import modes_missing
from micro.datasets.spacing import evenly_spaced
from micro.datasets.speeds import speed_column
from micro.datasets.table_windows import table_parts
from micro.datasets.targets import AnyTarget, Range, Target, Targets
from micro.datasets.text import TextPart, text_parts
from micro.datasets.unlabeled import NO_CLASS
from micro.datasets.vibration_levels import notes_on_levels, vibration_levels
from micro.datasets.views import TeacherInputs
from micro.datasets.window_parts import TeacherView, Windows
from micro.errors import DataError
from micro.signal import FrontEnd, JoinedFrontEnd, Scaling, fit_scaling
from micro.signal.joined_frames import main_of
from micro.support.wording import counted, listed, percent

# Each data source: its section of the config, and the function of section, [features], [augment] and seed that gives its
# windows; those of a user's files take further sources as well.
SOURCES: dict[type, Callable[..., Parts]] = {
    RigData: rig_parts,
    CwruData: cwru_parts,
    TableData: table_parts,
    ClassesData: class_parts,
    LabelsData: label_parts,
    RegressionData: regression_parts,
}
# Text has none: in its place stand tables of tokens.
NO_FRONT_END, NO_SCALING = FrontEnd(("raw",), window=8, hop=8, detrend="none"), Scaling((0.0,), (1.0,))
# Of a target's training numbers, what may lie beyond its bounds at most: more contradicts them.
MOST_BEYOND = 0.1
# Test windows whose samples are kept.
TEST_VECTORS = 200


def prepare(config: Config, fold: int = 0) -> Prepared:
    """Simulate or read the recordings of a config, cut and split them, and scale them by the training part.

    Of a config with folds `fold` is tested, counted from 0.

    Raises:
        DataError: Names what is missing, damaged or too little.
    """
    if isinstance(config.data, TextData):
        return _of_text(config)
    student, teacher = config.augments
    for augment, section in ((student, "student.augment"), (teacher, "teacher.augment")):
        if augment.augments:
            require_layers(augment, "augment" if augment is config.augment else section)
    if config.sources:
        assert isinstance(config.data, FilesData)
        require_partners(config.data, config.sources)
    apart = None if student == teacher else teacher
    inputs = TeacherInputs(config.teacher.features, config.teacher.columns, apart)
    more = (config.sources,) if config.sources else ()
    of_fold = {"fold": fold} if getattr(config.data, "folds", None) else {}
    of_modes = {} if config.modes is None else {"modes": config.modes.ranges(config.features.arithmetic)}
    of_off = {} if config.detect.off_rms is None else {"off_rms": config.detect.off_rms}
    column = speed_column(config)
    of_speed = {} if column is None else {"speed": column}
    source = SOURCES[type(config.data)]
    known = {**of_fold, **of_modes, **of_speed, **of_off}
    parts = source(config.data, config.features, student, config.seed, inputs, *more, **known)
    parts = with_known_modes(parts, config)
    main = "; samples of further sources stay as they are" if config.sources else ""
    if apart is None:
        notes = _augmented(student, "for training", main)
    else:
        notes = [
            *_augmented(student, "for training the student", main),
            *_augmented(teacher, "for training the teacher", main),
        ]
    machines = parts.machines if config.commissioning is not None else None
    if machines is not None and machines.refused:
        raise DataError(machines.refused)
    levels, lines = vibration_levels(config, parts), bearing_lines(config, parts)
    notes += _modes_missing(config, parts)
    notes = [*parts.notes, *notes, *notes_on_levels(levels), *(lines.notes if lines else ())]
    scaled = _scaled(replace(parts, notes=tuple(notes), machines=machines))
    prepared = replace(scaled, vibration=levels, bearing=lines)
    return prepared if config.distill.mixup is None else _mixed(prepared, config.distill.mixup, config.seed)


def _modes_missing(config: Config, parts: Parts) -> list[str]:
    """Sentences on speeds by which a run that may have [modes], and has none, could tell operating modes apart."""
    data = config.data
    if config.modes is not None or config.task != "anomaly" or not isinstance(data, TableData):
        return []
    if data.pictures or data.folds or data.known_faults or config.sources or config.commissioning is not None:
        return []
    also = " with that column left out of data.columns," if data.columns else ""
    return modes_missing(parts.recordings, parts.channels, parts.recorded, also)


def _augmented(augment: AugmentConfig, purpose: str, main: str) -> list[str]:
    """A sentence on augmented copies, if there are any; `main` says what of further sources they leave as it is."""
    if not augment.augments:
        return []
    names = ", ".join(each["class"] for each in augment.layers)
    copies = "an augmented copy" if augment.copies == 1 else f"{augment.copies} augmented copies"
    return [f"{purpose}, every window was joined by {copies}: {names}{main}."]


def _mixed(data: Prepared, alpha: float, seed: int) -> Prepared:
    """With mixtures of training windows among those without a label."""
    more = mixed_windows(data.train, alpha, np.nan if data.task == "regression" else NO_CLASS, seed)
    said = f"the student learned what the teacher gives for {counted(len(more), 'mixture')} of two training windows."
    return replace(data, unlabeled=joined(data.unlabeled, more), notes=(*data.notes, said))


def _scaled(parts: Parts) -> Prepared:
    """The four parts with scaling fitted on the student's training windows, and the teacher's on its own."""
    taught = [each for each in parts.train if each.learner != "student"]
    apart = any(each.learner != "both" for each in parts.train)
    view = _teacher_view(parts, taught)
    parts = replace(parts, train=[each for each in parts.train if each.learner != "teacher"])
    scaling = _scaling(parts)
    samples = np.concatenate([each.samples for each in parts.test])
    units, differing = units_of(parts.recordings, parts.channels)
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
        doubts=(*differing, *frozen_doubts(parts.recordings, parts.channels, parts.recorded), *dead_speeds_of(parts)),
        healthy_classes=parts.healthy_classes,
        class_weights=parts.class_weights,
        label_names=parts.label_names,
        target=_target(parts.targets, train.labels) if parts.targets else None,
        image_size=parts.image_size,
        faults=_windows(parts.faults, scaling, theirs) if parts.faults else None,
        teacher=view,
        sources=parts.sources,
        teacher_train=_windows(taught, scaling, theirs) if apart else None,
        unlabeled=_windows(parts.unlabeled, scaling, theirs) if parts.unlabeled else None,
        predicted=parts.predicted,
        tested=parts.tested,
        ranges=parts.ranges,
        unjudged=parts.unjudged,
        recorded=recorded_time(parts.recordings, parts.related.firsts),
        units=units,
        related=parts.related,
        machines=parts.machines,
    )


def _scaling(parts: Parts) -> Scaling:
    """That of the training windows; none more where the target scales by its machine alone, as each file was."""
    if parts.machines is None:
        return fit_scaling(np.concatenate([each.values for each in parts.train]))
    row = parts.features.shape[-1]
    return Scaling((0.0,) * row, (1.0,) * row)


def _teacher_view(parts: Parts, taught: Pieces) -> TeacherView | None:
    """What the teacher sees, with scaling fitted on its training windows; None where that is what the student sees."""
    if parts.teacher_features is None:
        return None
    values = [each.of_teacher for each in taught if each.of_teacher is not None]
    return TeacherView(parts.teacher_features, fit_scaling(np.concatenate(values)), parts.teacher_channels)


def _of_text(config: Config) -> Prepared:
    """Text as windows of tokens, which each model's own embedding takes."""
    parts = text_parts(config)
    validation = _tokens(parts.validation)
    return Prepared(
        features=NO_FRONT_END,
        scaling=NO_SCALING,
        train=_tokens(parts.train),
        validation=validation,
        calibration=validation,
        test=_tokens(parts.test),
        class_names=parts.text.names,
        channels=(),
        sample_rate=None,
        test_vectors=np.zeros((0, 8, 1), np.float32),
        validation_samples=(np.zeros((0, 8, 1), np.float32), np.zeros(0)),
        notes=parts.notes,
        text=parts.text,
    )


def _tokens(part: TextPart) -> Windows:
    return Windows(part.x, part.labels, part.origins)


def _target(ranges: Sequence[Range], numbers: np.ndarray) -> AnyTarget:
    """Targets with the level of their training windows; DataError for one that never changes."""
    made = []
    for each, column in zip(ranges, numbers.reshape(len(numbers), -1).T, strict=True):
        deviation = float(column.std())
        if not deviation > 1e-9 * max(1.0, float(np.abs(column).max())):
            raise DataError(f"{each.name} is {column[0]:g} in every training window: there is nothing to learn")
        beyond = (column < (-np.inf if each.lowest is None else each.lowest)) | (
            column > (np.inf if each.highest is None else each.highest)
        )
        if beyond.mean() > MOST_BEYOND:
            raise DataError(
                f"{each.name} goes from {column.min():g} to {column.max():g} in training windows, of which "
                f"{100 * beyond.mean():.0f} % lie beyond its bounds, {_bound(each.lowest)} to {_bound(each.highest)}; check "
                "target_lowest, target_highest and cap"
            )
        made.append(Target(each.name, float(column.mean()), deviation, each.lowest, each.highest))
    return made[0] if len(made) == 1 else Targets(tuple(made))


def _bound(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


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
    notes = _beyond(parts.features.main, main_of(frames), "")
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
        f"{of}{percent(beyond)} of the training samples lie beyond full_scale = {full_scale:g} and are clipped; the "
        f"largest is {np.abs(samples).max():.3g}: full_scale is the value of 32768 counts of the A/D converter."
    ]


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
        _of_all([each.modes for each in pieces]),
        _of_all([each.octaves for each in pieces]),
        _of_all([each.off_before for each in pieces]),
        _of_all([each.seconds for each in pieces]),
    )


def _of_all(each: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [one for one in each if one is not None]
    return np.concatenate(known) if len(known) == len(each) > 0 else None
