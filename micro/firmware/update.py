"""What devices with another run's firmware need to run as this one, as one file: parameters, or a model with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from micro.aot.block import DIGEST
from micro.aot.generate import weights_of
from micro.aot.weights_file import require_same_layers, weights_record
from micro.aot.weights_format import WeightsRecord
from micro.config import Config
from micro.config.compression import QuantizeStage
from micro.detection.detector import Detector
from micro.detection.record import Parameters
from micro.detection.score_record import detector_bytes
from micro.emission.parameters import detector_form, score_form
from micro.errors import ConversionError, RunError
from micro.firmware.exchangeable import require_exchangeable
from micro.runs.compiled_in import stays
from micro.runs.finished import read_run
from micro.runs.firmware import Firmware
from micro.runs.kept_windows import load_windows, self_test_windows, windows_of
from micro.runs.parameters_file import (
    Update,
    kept_says,
    load_with_detector,
    new_firmware_of,
    real_threshold,
    require_no_others,
    run_parameters,
    spelled,
    usual_counter,
    write_update,
)
from micro.support.files import sha256, write_bytes
from micro.support.wording import counted
from micro.tflite.graph import read

# Windows of a record's self-test, so that it stays small.
SELF_TESTS = 8
# Where the weights of an operator have their output channels.
CHANNELS = {"FULLY_CONNECTED": 0, "CONV_2D": 0, "DEPTHWISE_CONV_2D": -1}


@dataclass(frozen=True)
class ModelUpdate:
    """What a record of weights with parameters changes in a device: models as the first bytes of the SHA-256 of each .tflite,
    thresholds in real units, of operating modes one each. `kept` as in `Update`.

    Examples:
        >>> from pathlib import Path
        >>> update = micro.ModelUpdate(Path("pump.bin"), 2, "0f1e", "2d3c", 0.5, 0.75, windows=8, bytes=4096)
        >>> update.says
        'model 0f1e to 2d3c, threshold 0.5 to 0.75, 8 windows of self-test, 4,096 bytes'
    """

    path: Path
    counter: int
    former_model: str
    model: str
    former_threshold: float | tuple[float, ...]
    threshold: float | tuple[float, ...]
    windows: int
    bytes: int
    kept: tuple[str, ...] = ()

    @property
    def says(self) -> str:
        """What changes, in words."""
        return (
            f"model {self.former_model} to {self.model}, threshold {spelled(self.former_threshold)} to "
            f"{spelled(self.threshold)}, {counted(self.windows, 'window')} of self-test, {self.bytes:,} bytes"
            f"{kept_says(self.kept)}"
        )


def update_device(
    run_folder: str | Path,
    firmware_from: str | Path,
    out: str | Path,
    counter: int | None = None,
    sensor: str | Path | None = None,
) -> Update | ModelUpdate:
    """Write what devices whose firmware was made from another run need to run as this one, without new firmware.

    Where model and score are the same that is a record of threshold and scaling (`update_parameters`). Of a model that was
    trained again with the same layers it is a record of its weights with score, threshold and scaling attached, which are
    exchanged at once or not at all. Firmware of `new_firmware(..., weights='exchangeable')` takes it.

    Args:
        run_folder: The run whose model and parameters devices shall take.
        firmware_from: The run that their firmware was made from, with the same layers, front end and kind of score.
        out: The file to write.
        counter: Of two records of a kind a device keeps the one with the higher; None for the times that the run was
            recalibrated, or 1, and of a model 1.
        sensor: As in `update_parameters`; not together with another model.

    Raises:
        RunError: Naming what differs and needs new firmware, or for a folder that is no finished run with a detector.
        ValueError: For a counter that 32 bits do not hold.

    Examples:
        >>> micro.update_device("runs/rig", "runs/rig", "rig_parameters.bin").says
        'threshold ... as it was, scaling of 0 of ... features'
    """
    new, old = (load_with_detector(Path(folder)) for folder in (run_folder, firmware_from))
    if run_parameters(new).made_for == run_parameters(old).made_for:
        return write_update(new, old, run_folder, firmware_from, out, counter, sensor)
    if sensor is not None:
        raise RunError(
            f"{run_folder} has another model than {firmware_from}, and a record of weights tells nothing of a device's own "
            "sensor: write the model without --sensor"
        )
    _require_exchangeable(str(run_folder), new, str(firmware_from), old)
    number = 1 if counter is None else counter
    parameters = run_parameters(new, usual_counter(read_run(Path(run_folder))[0]))
    record = model_record(new, load_windows(run_folder, new), parameters, number)
    content = record.to_bytes()
    former, model = (sha256(each.tflite)[: 2 * DIGEST] for each in (old, new))
    path = write_bytes(out, content)
    before, after = real_threshold(old), real_threshold(new)
    size = (len(record.windows), len(content))
    return ModelUpdate(path, number, former, model, before, after, *size, kept=stays(new, old))


def model_record(firmware: Firmware, kept: np.ndarray, parameters: Parameters, counter: int) -> WeightsRecord:
    """The record of a detector's weights, score and parameters; of `kept` windows some are the device's self-test."""
    assert isinstance(firmware.decider, Detector)
    frames = self_test_windows(firmware, kept, min(SELF_TESTS, len(kept)))
    inputs = firmware.inputs(firmware.features(windows_of(firmware, frames)))
    attached = detector_bytes(firmware.decider.score, detector_form(firmware.decider), parameters)
    return weights_record(firmware.tflite, inputs, attached=attached, counter=counter)


def _require_exchangeable(run_folder: str, new: Firmware, firmware_from: str, old: Firmware) -> None:
    """RunError where a record of weights with parameters is not enough, before anything is written."""
    assert isinstance(new.decider, Detector)
    assert isinstance(old.decider, Detector)
    for folder, firmware in ((run_folder, new), (firmware_from, old)):
        require_exchangeable(firmware, folder, new_firmware_of(run_folder))
    one, other = (run_parameters(each).made_for for each in (new, old))
    others = ["front end"] * (one.front_end != other.front_end)
    forms = [score_form(replace(each, modes=None)) for each in (new.decider, old.decider)]
    others += ["kind of score"] * (forms[0] != forms[1])
    require_no_others(run_folder, new, firmware_from, old, others)
    try:
        require_same_layers(weights_of(new.tflite), weights_of(old.tflite))
    except ConversionError as error:
        more = stored_otherwise(new.tflite, old.tflite, read_run(Path(run_folder))[1])
        raise RunError(f"{run_folder} and {firmware_from}: {error}{more}") from None


def stored_otherwise(new: bytes, old: bytes, config: Config) -> str:
    """What to set in a new run's config where its weights have scales of channels and the former ones of kernels, or the other
    way round, as 'auto' may choose; '' where they do not differ in that."""
    own, former = _by_channel(new), _by_channel(old)
    if len(own) != len(former) or own == former:
        return ""
    staged = any(isinstance(stage, QuantizeStage) for stage in config.compress)
    key = "weights in stage 'quantize_aware'" if staged else "[convert] weights"
    if len(set(former)) > 1:
        return f', once, with {key} = "per_channel" in both configs, as "auto" need not choose alike'
    value, one, other = ("per_channel", "channel", "kernel") if former[0] else ("per_tensor", "kernel", "channel")
    scales = f"the firmware's weights have a scale for each {one}, the run's for each {other}"
    return f', or set {key} = "{value}" and run it again: {scales}'


def _by_channel(tflite: bytes) -> tuple[bool, ...]:
    """Of each operator with weights of several channels, whether these have a scale for each."""
    graph = read(tflite)
    found = []
    for op in graph.ops:
        if op.name in CHANNELS:
            weights = graph.tensors[op.inputs[1]]
            if weights.quantization is not None and weights.shape[CHANNELS[op.name]] > 1:
                found.append(len(weights.quantization.scale) > 1)
    return tuple(found)
