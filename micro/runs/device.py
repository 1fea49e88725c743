"""The decisions of a run's firmware on samples, window by window, without a chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from micro.datasets.recording import stream_windows
from micro.detection.commissioning import Commissioning, Refusal, Refused
from micro.detection.detector import Detector, Status, require_modes
from micro.detection.estimator import Estimate, Estimators
from micro.detection.labeler import Labeler, Labeling, reported_labels
from micro.detection.mounted_sensor import MountedSensor
from micro.detection.outcome import Decider, decided, real_scores
from micro.detection.recognizer import NO_CLASS, Recognition
from micro.detection.sensor import Fault, faults
from micro.runs.commissioned import commissioned
from micro.runs.firmware import Firmware, load_firmware
from micro.signal import AnyFrontEnd, Frames, FrontEnd, JoinedFrames, JoinedFrontEnd
from micro.signal.joined import counts_of, main_front_end, streamed
from micro.signal.joined_frames import arrivals_of, main_of, sensed_of
from micro.tflite.graph import read
from micro.tflite.interpreter import run_inputs


@dataclass(frozen=True)
class _NoLimits:
    """Of sources whose saturation is not known."""

    saturation: float | None = None
    max_saturated: int = 0


_NO_LIMITS = _NoLimits()


@dataclass(frozen=True)
class Decision:
    """One window: `sample` is the last that it holds; `score` in real units, an estimator's number, None if the sensor is at
    fault and of several numbers or labels.

    `recognized` is the class that a recognizer reports; None where it reports none, and of a detector. `numbers` are those of
    several estimators, in their order, or a labeler's logits; empty where the sensor is at fault, and of other firmware.
    `labels` are those that a labeler reports, in its order. `refused` says why a detector that learns has refused its machine,
    and the channel or feature that shows it; None where it has not.

    Examples:
        >>> decision = micro.Decision(sample=1023, score=0.41, status=micro.Status.HEALTHY)
        >>> decision.status == micro.Status.ALARM
        False
    """

    sample: int
    score: float | None
    status: Status | Recognition | Labeling | Estimate
    recognized: str | None = None
    numbers: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    refused: Refused | None = None


def simulate(
    run_folder: str | Path,
    samples: np.ndarray,
    sources: Mapping[str, np.ndarray] | None = None,
    speed: np.ndarray | None = None,
    sensor: MountedSensor | None = None,
) -> list[Decision]:
    """The firmware's decisions on a recording, the same as the emitted C's.

    Args:
        samples: (n, channels) or (n,) in the unit of training; for a 'fixed' front end also int16, as the converter gives them.
        sources: Of a run with further sources the samples of each by its name, at its rate and from the same moment on.
        speed: Of a run with operating modes the value of its column at each sample, (n,), in the column's unit.
        sensor: The device's own, of firmware with `sensor_channels`; `samples` are then as it gives them, (n, its channels).

    Raises:
        RunError: If the folder is no finished run or has no firmware.
        ValueError: For samples or a speed of another shape, a source too many or too few, or a speed that is missing or of no
            use.

    Examples:
        >>> samples = np.random.default_rng(0).normal(size=(8192, 1))
        >>> try:
        ...     decisions = micro.simulate("runs/pump", samples)
        ... except micro.RunError as error:
        ...     print(error)
        runs/pump is not a finished run: ...
    """
    firmware = load_firmware(run_folder)
    given = samples if sensor is None else _mounted(firmware, sensor, samples)
    return decisions(firmware, given, sources, speed)


def decisions(
    firmware: Firmware,
    samples: np.ndarray,
    sources: Mapping[str, np.ndarray] | None = None,
    speed: np.ndarray | None = None,
) -> list[Decision]:
    """As `simulate`, of firmware at hand."""
    front_end = firmware.front_end
    columns = _columns(samples, front_end.channels, "samples")
    judged = judge(firmware, columns, _in_time(front_end, sources or {}), speed)
    ends = front_end.sensor_window - 1 + front_end.sensor_hop * np.arange(len(judged.faulty))
    real, names = real_scores(firmware.decider, judged.scores), getattr(firmware.decider, "class_names", ())
    if isinstance(firmware.decider, Estimators | Labeler):
        rows = zip(ends, real.tolist(), judged.faulty, judged.statuses, judged.labels.tolist())
        names = getattr(firmware.decider, "label_names", ())
        return [
            Decision(int(end), None, status, numbers=() if fault else tuple(row), labels=reported_labels(names, mask))
            for end, row, fault, status, mask in rows
        ]
    return [
        Decision(
            int(end),
            None if fault else float(score),
            status,
            None if number == NO_CLASS else names[number],
            refused=judged.refused if status == Status.REFUSED else None,
        )
        for end, score, fault, status, number in zip(ends, real, judged.faulty, judged.statuses, judged.classes)
    ]


def _mounted(firmware: Firmware, sensor: MountedSensor, samples: np.ndarray) -> np.ndarray:
    """Samples of a device's own sensor as the model takes them."""
    main = main_front_end(firmware.front_end)
    fixed = main.arithmetic == "fixed"
    if firmware.sensor_channels != sensor.channels or len(sensor.scales) != main.channels or sensor.fixed != fixed:
        raise ValueError(
            f"the firmware takes {main.channels} channels of a sensor with {firmware.sensor_channels or 'no'} of its own, this "
            f"one has {sensor.channels} for {len(sensor.scales)}{', in counts' if sensor.fixed else ''}"
        )
    columns = _columns(samples, sensor.channels, "samples")
    return sensor.apply(replace(main, channels=sensor.channels).counts(columns) if sensor.fixed else columns)


def _columns(samples: np.ndarray, channels: int, what: str) -> np.ndarray:
    """Samples as (n, channels)."""
    samples = np.asarray(samples)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if samples.ndim != 2 or samples.shape[1] != channels:
        raise ValueError(f"{what} must have shape (n, {channels}), got {samples.shape}")
    return samples


def _in_time(front_end: AnyFrontEnd, given: Mapping[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The samples of each further source, and before which main sample each comes where all begin together."""
    sources = front_end.sources if isinstance(front_end, JoinedFrontEnd) else ()
    names = [source.name for source in sources]
    if sorted(names) != sorted(given):
        raise ValueError(f"sources must be {', '.join(names) or 'none'}, got {', '.join(given) or 'none'}")
    streams = []
    for source in sources:
        own = source.front_end
        samples = _columns(given[source.name], own.channels, f"samples of {source.name}")
        rates = (own.sample_rate or 1.0, front_end.sample_rate or 1.0)
        streams.append((samples, arrivals_of(np.arange(len(samples)), *rates)))
    return streams


@dataclass(frozen=True)
class Observed:
    """int8 features and outputs of windows, 0 where the sensor is at fault; `faulty` as `faults` gives it.

    Features are those that the model on the chip takes: of a window, or of its last hop.
    """

    faulty: np.ndarray
    features: np.ndarray
    outputs: np.ndarray


@dataclass(frozen=True)
class Judged(Observed):
    """What firmware makes of a stream, window by window; scores, of several numbers or labels (n, numbers), are 0 and classes
    and labels none where the sensor is at fault. `refused` is why a detector that learns has refused its machine, if it has."""

    scores: np.ndarray
    statuses: Sequence[Status | Recognition | Labeling | Estimate]
    classes: np.ndarray
    labels: np.ndarray
    refused: Refused | None = None


def judge(
    firmware: Firmware,
    samples: np.ndarray,
    sources: Sequence[tuple[np.ndarray, np.ndarray]] = (),
    speed: np.ndarray | None = None,
) -> Judged:
    """Every window of samples (n, channels) in the unit of training, or int16 for a 'fixed' front end.

    `sources` are, for each further one, its samples and before which main sample each comes: (m, channels), (m,) int; `speed`
    is the value at each sample that selects the operating mode, (n,).
    """
    front_end = firmware.front_end
    modes = _modes_of(firmware, speed, len(samples))
    frames = stream_windows(samples, front_end)
    if isinstance(front_end, JoinedFrontEnd):
        frames = streamed(front_end, main_of(frames), sources)
    if firmware.commissioning is not None:
        return _commissioned(firmware, firmware.commissioning, counts_of(front_end, frames))
    seen = observe(firmware, counts_of(front_end, frames), modes)
    outcome = decided(firmware.decider, seen.features, seen.outputs, seen.faulty, modes)
    found = (outcome.scores, outcome.statuses, outcome.classes, outcome.labels)
    return Judged(seen.faulty, seen.features, seen.outputs, *found)


def _commissioned(firmware: Firmware, commissioning: Commissioning, frames: Frames) -> Judged:
    """Windows from the first after a reset, of a detector that learns its machine; without a score one counts as faulty."""
    assert isinstance(firmware.decider, Detector)
    assert isinstance(firmware.front_end, FrontEnd)
    faulty = faults_of(firmware.decider, frames)
    main = main_of(frames)
    course = commissioned(commissioning, firmware.decider, firmware.front_end, firmware.tflite, main, faulty)
    unscored = np.isin(course.statuses, (Status.LEARNING, Status.REFUSED))
    none = np.zeros(len(frames), np.int64)
    outside = np.where(unscored & (faulty == 0), course.statuses, faulty)
    seen = (outside, course.features, course.outputs, course.scores, course.statuses)
    refused = None if course.refused.why == Refusal.NONE else course.refused
    return Judged(*seen, np.full(len(frames), NO_CLASS), none, refused)


def _modes_of(firmware: Firmware, speed: np.ndarray | None, count: int) -> np.ndarray | None:
    """The operating mode of each window; None of firmware without modes."""
    modes = getattr(firmware.decider, "modes", None)
    if modes is None or speed is None:
        require_modes(firmware.decider, speed)
        return None
    values = np.asarray(speed)
    if values.shape != (count,):
        raise ValueError(f"speed must have shape ({count},), a value for each sample, got {values.shape}")
    window, hop = firmware.front_end.sensor_window, firmware.front_end.sensor_hop
    return np.asarray(modes.ranges.of_windows(values, np.arange(0, max(0, count - window + 1), hop), window))


def faults_of(decider: Decider, frames: Frames) -> np.ndarray:
    """As `faults`, of the sensor's own samples; of joined windows those of the further sources too, in their order."""
    faulty = faults(decider, sensed_of(frames))
    for source in frames.sources if isinstance(frames, JoinedFrames) else ():
        used = source.used()
        # Limits of saturation are the main source's. The last is of windows without one of this source.
        own = np.append(faults(_NO_LIMITS, used.frames), int(Fault.SOURCE))[used.chosen]
        none = (faulty == 0) | ((faulty == Fault.MACHINE_OFF) & (own != 0))
        faulty = np.where(none, own, faulty)
    return faulty


def outputs_of(firmware: Firmware, inputs: np.ndarray) -> np.ndarray:
    """int8 outputs of the model for int8 inputs, (n, ...) -> (n, *output): those that the run has kept, or TFLite Micro's."""
    known = None if firmware.known is None else firmware.known.of(firmware.tflite, inputs)
    return run_inputs(firmware.tflite, inputs) if known is None else known


def observe(firmware: Firmware, frames: Frames, modes: np.ndarray | None = None) -> Observed:
    """Front end and model of windows, (n, window, channels), in counts for a 'fixed' front end; `modes` are their operating
    modes, of a detector that has some. Windows that it does not judge by these are at fault as well."""
    faulty = faults_of(firmware.decider, frames)
    if modes is not None and isinstance(firmware.decider, Detector) and firmware.decider.modes is not None:
        faulty = np.where(faulty != 0, faulty, firmware.decider.modes.faults(modes))
    good = faulty == 0
    graph = read(firmware.tflite)
    shapes = (firmware.front_end.shape, graph.tensors[graph.outputs[0]].shape)
    features, outputs = (np.zeros((len(frames), *shape), np.int8) for shape in shapes)
    if good.any():
        features[good] = firmware.features(frames[good])
        outputs[good] = outputs_of(firmware, firmware.inputs(features[good]))
    return Observed(faulty, firmware.newest(features), outputs)
