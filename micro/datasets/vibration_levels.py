"""Velocity RMS of a run's recordings, as its firmware measures it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micro.config import Config
from micro.datasets.pieces import Parts
from micro.datasets.recording import Recording
from micro.datasets.reported import Level
from micro.detection.sensor import as_sampled
from micro.signal import FrontEnd
from micro.signal.readings import read_vibration
from micro.signal.severity import vibration_zone
from micro.signal.stretches import stretches
from micro.signal.velocity import Vibration
from micro.support.wording import counted

# Of a recording's values, the one that its zone is of.
HIGH = 95


@dataclass(frozen=True)
class Levels:
    """What is measured, of which channels, by recording; and how many recordings are shorter than a block."""

    vibration: Vibration
    channels: tuple[str, ...]
    rows: tuple[Level, ...]
    short: int


def vibration_levels(config: Config, parts: Parts) -> Levels | None:
    """Velocities of all recordings, training's among them; None where the config asks for none.

    Raises:
        ValueError: For channels or a rate that do not fit [vibration].
    """
    if config.vibration is None or not isinstance(parts.features, FrontEnd):
        return None
    stages = (config.detect, config.recognize, config.estimate)
    limit = as_sampled(next((s.saturation for s in stages if s.saturation is not None), None), parts.features)
    vibration = config.vibration.of(parts.channels, parts.sample_rate, parts.features, limit)
    rows, short = [], 0
    for recording in (one.sensed for one in parts.recordings):
        own = [
            row
            for state, runs in _states(recording, config.task == "anomaly").items()
            if (row := _level(vibration, recording, state, runs, parts.recorded)) is not None
        ]
        rows += own
        short += not own
    names = tuple(parts.channels[place] for place in vibration.measured)
    return Levels(vibration, names, tuple(rows), short)


def _states(recording: Recording, anomaly: bool) -> dict[str, list[slice]]:
    """Stretches of a recording in one state, without a gap; of other tasks than anomaly detection the state is its label."""
    if not anomaly:
        return {recording.label: _slices(recording.valid)}
    faulty = np.zeros(len(recording.valid), bool) if recording.faulty is None else recording.faulty
    flags = {"healthy": recording.healthy & ~faulty, "faulty": faulty, "unknown": ~recording.healthy & ~faulty}
    found = {state: _slices(recording.valid & own) for state, own in flags.items()}
    return {state: runs for state, runs in found.items() if runs}


def _slices(flags: np.ndarray) -> list[slice]:
    return [slice(*run) for run in stretches(flags).tolist()]


def _level(
    vibration: Vibration, recording: Recording, state: str, runs: Sequence[slice], places: tuple[int, ...] | None
) -> Level | None:
    """The level of stretches, each of which begins with a reset; None where no block is whole."""
    values, faults = [], 0
    for run in runs:
        samples = recording.samples[run]
        seen = read_vibration(vibration, samples if places is None else samples[:, list(places)])
        faults += int((seen.faults != 0).sum())
        values.append(seen.velocities[seen.faults == 0])
    measured = np.concatenate([np.empty(0), *values]) / (1000 if vibration.arithmetic == "fixed" else 1)
    if not len(measured) and not faults:
        return None
    median = high = None
    zone = ""
    if len(measured):
        median, high = float(np.median(measured)), float(np.percentile(measured, HIGH))
        if vibration.borders is not None:
            zone = vibration_zone(high, borders=vibration.borders)
    return Level(recording.name, state, len(measured), faults, median, high, zone)


def notes_on_levels(levels: Levels | None) -> list[str]:
    """A sentence on recordings whose velocity is not known, if there are any."""
    if levels is None or not levels.short:
        return []
    seconds = levels.vibration.span / levels.vibration.sample_rate
    return [f"no velocity of {counted(levels.short, 'recording')}: a block takes {seconds:.3g} s without a gap."]
