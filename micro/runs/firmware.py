"""All that a run puts on a chip, from its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from micro.config import Config
from micro.config.tachometer import tachometer_for
from micro.detection.commissioning import Commissioning
from micro.detection.detector import Detector
from micro.detection.estimator import Estimator, Estimators
from micro.detection.labeler import Labeler
from micro.detection.outcome import Decider
from micro.detection.predictor import Predictor
from micro.detection.recognizer import Recognizer
from micro.errors import RunError
from micro.runs.bearing_report import diagnosing_of
from micro.runs.finished import read_run
from micro.runs.kept_outputs import KeptOutputs, kept_outputs
from micro.runs.run_report import RunReport
from micro.signal import AnyFrontEnd, Frames, FrontEnd, Hops, JoinedFrontEnd, Scaling
from micro.signal.bearing_monitor import Diagnosing
from micro.signal.joined import int8_of
from micro.signal.learned import as_scaling
from micro.signal.tachometer import Tachometer
from micro.signal.velocity import Vibration
from micro.support.wording import counted
from micro.tflite.graph import read

# The student as a model that takes a hop, in the folder of a run whose firmware streams.
STEP = "student_step_int8.tflite"


@dataclass(frozen=True)
class Firmware:
    """All that a run puts on a chip: front end, scaling, model, and the last stage behind it.

    `step` is the model as one that takes the rows of a hop, where the chip runs that one in place of `tflite`. From the first
    whole window on both give the same. With `commissioning` the detector learns scaling and threshold of its machine from the
    first windows after a reset. `vibration` is what is measured next to all that, which nothing else depends on, and
    so is `diagnosis`. `tachometer` is the pin from which the speed of a shaft comes, where there is one.
    `sensor_channels` are those of a device's own sensor, of which its records tell; None where they do not. `known` are the
    outputs that the run has kept.
    """

    front_end: AnyFrontEnd
    scaling: Scaling
    tflite: bytes
    decider: Decider
    step: bytes | None = None
    commissioning: Commissioning | None = None
    vibration: Vibration | None = None
    diagnosis: Diagnosing | None = None
    tachometer: Tachometer | None = None
    sensor_channels: int | None = None
    known: KeptOutputs | None = field(default=None, compare=False, repr=False)

    @property
    def hops(self) -> Hops | None:
        """The hops that the model on the chip takes; None where it takes whole windows."""
        return None if self.step is None or isinstance(self.front_end, JoinedFrontEnd) else Hops.of(self.front_end)

    @property
    def deployed(self) -> bytes:
        """The model on the chip."""
        return self.tflite if self.step is None else self.step

    def newest(self, features: np.ndarray) -> np.ndarray:
        """What the model on the chip takes of the features of windows (n, ...): all rows, or those of a hop."""
        if self.step is None:
            return features
        graph = read(self.step)
        return features[:, -graph.tensors[graph.inputs[0]].shape[1] :]

    def features(self, frames: Frames) -> np.ndarray:
        """The int8 features of windows, in the scale of the model's input, (n, window, channels) -> (n, *shape).

        Joined windows must be complete.
        """
        graph = read(self.tflite)
        quantization = graph.tensors[graph.inputs[0]].quantization
        assert quantization is not None
        return int8_of(self.front_end, frames, self.scaling, quantization.scale[0], quantization.zero_point[0])

    def inputs(self, features: np.ndarray) -> np.ndarray:
        """What the model takes of features: all of them, or those that it does not predict."""
        return self.decider.score.inputs(features) if isinstance(self.decider, Detector) else features


def not_for_a_chip(config: Config, decider: Decider | Predictor | None) -> str | None:
    """Why a run's firmware would not be whole, and what to do; None where it is."""
    if decider is None:
        return "the student is not int8; run without activations = 'int16'"
    window, hop = config.features.window, config.features.hop
    if hop > window:
        return f"hop {hop} is longer than the window of {window}, so a chip would skip samples; run with a hop of at most that"
    if getattr(config.data, "scaling", "all") == "per_file" and config.commissioning is None:
        return (
            'scaling = "per_file" has no constants for a chip; add [commissioning], with which it learns its own, or run with '
            'scaling = "all"'
        )
    return None


def load_firmware(run_folder: str | Path) -> Firmware:
    """What a finished run puts on a chip.

    Raises:
        RunError: If the folder is no finished run, its model is not int8 or its scaling is each file's own.
    """
    folder = Path(run_folder)
    return firmware_of(folder, *read_run(folder))


def firmware_of(folder: Path, report: RunReport, config: Config) -> Firmware:
    """As `load_firmware`, of a run whose report and config are at hand."""
    if report.predictor is not None:
        raise RunError(f"{folder} is a run on text, which has no samples; keras-kd score takes its files")
    decider = report.detector or report.recognizer or report.labeler or report.estimator
    missing = not_for_a_chip(config, decider)
    if missing is not None or decider is None:
        raise RunError(f"{folder}: {missing}")
    try:
        content = (folder / "student_int8.tflite").read_bytes()
    except OSError as error:
        raise RunError(f"{folder} is damaged: {error.filename}: {error.strerror}") from None
    graph = read(content)
    given = graph.tensors[graph.outputs[0]]
    outputs = given.size
    if isinstance(decider, Recognizer) and outputs != len(decider.class_names):
        raise RunError(
            f"{folder} is damaged: its recognizer has {len(decider.class_names)} classes, its model {outputs} outputs"
        )
    if isinstance(decider, Labeler) and outputs != len(decider.label_names):
        labels = counted(len(decider.label_names), "label")
        raise RunError(f"{folder} is damaged: its labeler has {labels}, its model {outputs} outputs")
    if isinstance(decider, Estimator | Estimators) and outputs != len(decider.each):
        numbers = counted(len(decider.each), "number")
        raise RunError(f"{folder} is damaged: it estimates {numbers}, and its model has {outputs} outputs")
    scaling, learns = report.scaling, report.commissioning
    if learns is not None and isinstance(report.features, FrontEnd):
        # Of a machine that is not known yet, with which the self-test runs.
        scaling = as_scaling(report.features, learns.prior.learned)
    measured = (vibration_of(report, config, decider), diagnosing_of(report.bearing, report.data.channels))
    pulses = config.firmware.pulses_per_revolution
    about = (
        _step_of(folder, config),
        learns,
        *measured,
        tachometer_for(pulses, config.features, config.modes),
        config.firmware.sensor_channels,
        kept_outputs(folder, given.shape),
    )
    return Firmware(report.features, scaling, content, decider, *about)


def vibration_of(report: RunReport, config: Config, decider: Decider) -> Vibration | None:
    """What velocity is measured of, where the run's config asks for it."""
    if config.vibration is None or not isinstance(report.features, FrontEnd):
        return None
    data = report.data
    return config.vibration.of(data.channels, data.sample_rate, report.features, decider.saturation)


def _step_of(folder: Path, config: Config) -> bytes | None:
    """The student as a model that takes a hop, where the run's firmware streams."""
    if not config.firmware.streaming:
        return None
    try:
        return (folder / STEP).read_bytes()
    except OSError as error:
        raise RunError(f"{folder} is damaged: {error.filename}: {error.strerror}") from None
