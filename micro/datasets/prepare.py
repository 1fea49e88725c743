"""From a config to the windows that a run trains, calibrates and tests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.config import Config, CwruData, FeaturesConfig, RigData, TableData
from micro.datasets import cwru, rig, table
from micro.datasets.recording import split_in_time
from micro.datasets.split import (
    Stretch,
    all_within,
    any_within,
    cut,
    file_scalings,
    nothing_healthy,
    split_healthy,
    too_few,
    window_labels,
)
from micro.errors import DataError
from micro.keras_graph.calibration_data import CALIBRATION_SAMPLES, calibration_data, drawn_evenly
from micro.signal import FrontEnd, Scaling, fit_scaling


@dataclass(frozen=True)
class Windows:
    """Scaled features of some windows, with what each is and where it came from.

    `labels` is the class, or 1 for a faulty window and 0 for a healthy one, or -1 where nobody knows.
    """

    x: np.ndarray
    labels: np.ndarray
    origins: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Prepared:
    """Everything a run needs of its data; no window of one part overlaps one of another.

    `golden` are samples of some of the test's windows, (n, window, channels) float32, for a firmware to prove itself on;
    `heard` likewise of the validation's, with their labels, for what is to be tried on samples without touching the test.
    `notes` are sentences on what became of the recordings that a user should know: what was skipped, left out or split.
    """

    features: FrontEnd
    scaling: Scaling
    train: Windows
    validation: Windows
    calibration: Windows
    test: Windows
    class_names: tuple[str, ...]
    channels: tuple[str, ...]
    sample_rate: float
    golden: np.ndarray
    heard: tuple[np.ndarray, np.ndarray]
    notes: tuple[str, ...] = ()


def prepare(config: Config) -> Prepared:
    """Simulate or read the recordings of a config, cut and split them, and scale them on the training part.

    Raises:
        DataError: Names what is missing, damaged or too little.
    """
    if isinstance(config.data, RigData):
        return _prepare_rig(config.data, config.features, config.seed)
    if isinstance(config.data, CwruData):
        return _prepare_cwru(config.data, config.features.front_end(1, cwru.SAMPLE_RATE))
    return _prepare_table(config.data, config.features)


def untested(data: Prepared) -> str | None:
    """What the test of a detector cannot tell, in one sentence: it has no faulty windows, or no healthy ones. None otherwise.

    It belongs at the head of whatever reports the test's figures: without both there is no AUC, and one rate is unknown.
    """
    if data.class_names:
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
    """Training windows to calibrate the int8 ranges on, drawn evenly; for anomaly detection with head-room."""
    if data.class_names:
        return drawn_evenly(data.train.x, CALIBRATION_SAMPLES, seed)
    return calibration_data(data.train.x, seed=seed)


# Windows of one recording whose samples are kept for the firmware, and of all.
GOLDEN_EACH, GOLDEN = 32, 200


@dataclass(frozen=True)
class Piece:
    """Features of windows of one recording and one label, and the samples of a few of them."""

    values: np.ndarray
    label: int
    origin: str
    golden: np.ndarray


Pieces = list[Piece]


def _piece(frames: np.ndarray, values: np.ndarray, label: int, origin: str) -> Piece:
    return Piece(values, label, origin, frames[spread(len(frames), GOLDEN_EACH)].astype(np.float32))


def _chosen_piece(frames: np.ndarray, values: np.ndarray, rows: np.ndarray, label: int, origin: str) -> Piece:
    """A piece of some windows, without a copy of all their samples."""
    golden = frames[rows[spread(len(rows), GOLDEN_EACH)]].astype(np.float32)
    return Piece(values[rows], label, origin, golden)


def spread(length: int, count: int) -> np.ndarray:
    """At most `count` positions spread evenly over `length`."""
    return np.unique(np.linspace(0, length - 1, min(length, count)).round().astype(int))


def _prepare_rig(data: RigData, told: FeaturesConfig, seed: int) -> Prepared:
    machine = rig.Rig(speed=data.speed, bearing=rig.Bearing(**data.bearing.model_dump()))
    features = told.front_end(1, machine.sample_rate)

    def record(part: int, count: int, fault: str | None = None, severity: float = 0.0) -> Pieces:
        pieces: Pieces = []
        for number in range(count):
            rng = np.random.default_rng(
                [seed, part, number, rig.FAULTS.index(fault) + 1 if fault else 0, round(1e6 * severity)]
            )
            name = f"{fault or 'normal'}-{severity:g}g-{number}" if fault else f"normal-{part}-{number}"
            recording = rig.record(machine, data.seconds, rng, fault=fault, severity=severity, name=name)
            frames, _ = cut(recording, features)
            if not len(frames):
                raise DataError(
                    f"{data.seconds} s at {machine.sample_rate:g} Hz hold no window of {features.window} samples"
                )
            pieces.append(_piece(frames, features(frames), int(fault is not None), name))
        return pieces

    faulty = [
        piece
        for fault in rig.FAULTS
        for severity in data.severities
        for piece in record(4, data.fault_recordings, fault, severity)
    ]
    parts = (
        record(0, data.train_recordings),
        record(1, data.validation_recordings),
        record(2, data.calibration_recordings),
        record(3, data.test_recordings) + faulty,
    )
    return _scaled(features, parts, (), ("acceleration",), machine.sample_rate)


def _prepare_cwru(data: CwruData, features: FrontEnd) -> Prepared:
    learn = cwru.load(data.folder, data.train_loads, baseline_rate=data.baseline_rate)
    judge = cwru.load(data.folder, data.test_loads, baseline_rate=data.baseline_rate)
    train: Pieces = []
    validation: Pieces = []
    test: Pieces = []
    for recording in learn:
        frames, _ = cut(recording, features)
        label = cwru.CLASSES.index(recording.label)
        shares = (0.5, 0.15, 0.35) if recording.label == "normal" else (0.8, 0.2)
        parts = split_in_time(len(frames), shares, features.window, features.hop)
        # The healthy machine was recorded at one load only: its last third in time is its test.
        for target, run in zip((train, validation, test), parts):
            target.append(_piece(frames[run], features(frames[run]), label, recording.name))
    for recording in judge:
        if recording.label != "normal":
            frames, _ = cut(recording, features)
            label = cwru.CLASSES.index(recording.label)
            test.append(_piece(frames, features(frames), label, recording.name))
    return _scaled(features, (train, validation, validation, test), cwru.CLASSES, ("drive end",), cwru.SAMPLE_RATE)


def _prepare_table(data: TableData, told: FeaturesConfig) -> Prepared:
    recordings, channels, notes = table.load(data, told.window)
    rates = sorted({recording.sample_rate for recording in recordings})
    if rates[-1] > 1.01 * rates[0]:
        raise DataError(f"the files' sample rates differ, from {rates[0]:g} to {rates[-1]:g} Hz; resample them to one")
    features = told.front_end(len(channels), rates[0])
    parts: tuple[Pieces, Pieces, Pieces, Pieces] = ([], [], [], [])
    scalings = file_scalings(recordings, features) if data.scaling == "per_file" else {}
    stretches: list[Stretch] = []
    for recording in recordings:
        frames, starts = cut(recording, features)
        values = features(frames)
        if recording.name in scalings:
            values = scalings[recording.name](values)
        labels = window_labels(recording, starts, features.window)
        learnable = np.flatnonzero(all_within(recording.healthy, starts, features.window) & (labels != 1))
        if len(learnable):
            stretches.append(Stretch(recording.name, frames, values, learnable))
        # A window that shares samples with a training window tells nothing about new data.
        apart = ~any_within(recording.healthy, starts, features.window)
        for label in (0, 1, -1):
            chosen = np.flatnonzero(apart & (labels == label))
            if len(chosen):
                parts[3].append(_chosen_piece(frames, values, chosen, label, recording.name))
    if not stretches:
        raise DataError(nothing_healthy(recordings, features))
    runs, said = split_healthy([len(one.learnable) for one in stretches], features)
    if runs is None:
        raise DataError(too_few(stretches, said))
    for one, places in zip(stretches, runs):
        for target, place in zip(parts, places):
            rows = one.learnable[place]
            if len(rows):
                target.append(_chosen_piece(one.frames, one.values, rows, 0, one.name))
    return _scaled(features, parts, (), channels, rates[0], (*notes, *([said] if said else [])))


def _scaled(
    features: FrontEnd,
    parts: Sequence[Pieces],
    class_names: tuple[str, ...],
    channels: tuple[str, ...],
    sample_rate: float,
    notes: tuple[str, ...] = (),
) -> Prepared:
    """The four parts with scaling fitted on the first."""
    scaling = fit_scaling(np.concatenate([piece.values for piece in parts[0]]))

    def together(pieces: Pieces) -> Windows:
        return Windows(
            scaling(np.concatenate([piece.values for piece in pieces])),
            np.concatenate([np.full(len(piece.values), piece.label) for piece in pieces]),
            tuple(piece.origin for piece in pieces for _ in range(len(piece.values))),
        )

    train, validation, calibration, test = (together(part) for part in parts)
    frames = np.concatenate([piece.golden for piece in parts[3]])
    golden = frames[spread(len(frames), GOLDEN)]
    heard = (
        np.concatenate([piece.golden for piece in parts[1]]),
        np.concatenate([np.full(len(piece.golden), piece.label) for piece in parts[1]]),
    )
    return Prepared(
        features,
        scaling,
        train,
        validation,
        calibration,
        test,
        class_names,
        channels,
        sample_rate,
        golden,
        heard,
        notes,
    )
