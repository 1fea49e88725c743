"""Windows of a run's test data that it has kept, of which self-tests are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from micro.datasets.spacing import evenly_spaced
from micro.errors import RunError
from micro.runs.device import faults_of, outputs_of
from micro.runs.firmware import Firmware
from micro.runs.kept_outputs import outputs_file
from micro.signal import Frames, JoinedFrontEnd
from micro.support.files import read_array
from micro.tflite.graph import read


def load_windows(run_folder: str | Path, firmware: Firmware) -> np.ndarray:
    """Windows of a run's test data that the run has kept, (n, window, channels) float32, without those that are not finite.

    Of a run with further sources (n, samples), those of all sources.

    Raises:
        RunError: Where there are none, or the file is damaged or does not fit the firmware.
    """
    path = Path(run_folder) / "test_vectors.npy"
    try:
        kept = read_array(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is missing or damaged: {error}") from None
    front_end = firmware.front_end
    wanted: tuple[int, ...] = (front_end.sensor_window, front_end.channels)
    words = f"{wanted[0]} samples of {wanted[1]} channels"
    if isinstance(front_end, JoinedFrontEnd):
        wanted = (front_end.samples,)
        words = f"{wanted[0]} samples of all sources"
    if kept.dtype.kind != "f" or kept.shape[1:] != wanted:
        raise RunError(f"{path} is damaged: it holds {kept.dtype} {kept.shape}, not windows of {words}")
    kept = kept.astype(np.float32)
    finite = kept[np.isfinite(kept.reshape(len(kept), -1)).all(axis=1)]
    if not len(finite):
        raise RunError(f"{path} is damaged: no window has finite samples only")
    return np.asarray(finite)


def self_test_windows(firmware: Firmware, kept: np.ndarray, count: int) -> np.ndarray:
    """`count` of the windows, evenly among those without a sensor fault, or among all if those are too few."""
    scored = kept[faults_of(firmware.decider, windows_of(firmware, kept)) == 0]
    chosen = scored if len(scored) >= count else kept
    return np.asarray(chosen[evenly_spaced(len(chosen), count)])


def windows_of(firmware: Firmware, kept: np.ndarray) -> Frames:
    """Windows that a run has kept, as the firmware takes them: ADC counts, or float32."""
    front_end = firmware.front_end
    if isinstance(front_end, JoinedFrontEnd):
        return front_end.counts(front_end.frames_of(kept))
    return front_end.filtered_each(kept)


def windows_outputs(run_folder: str | Path, firmware: Firmware) -> np.ndarray:
    """What `outputs_file` makes of the windows that a run has kept, as many of them as have no sensor fault."""
    frames = windows_of(firmware, load_windows(run_folder, firmware))
    good = faults_of(firmware.decider, frames) == 0
    if not good.any():
        graph = read(firmware.tflite)
        none = np.zeros((0, *graph.tensors[graph.outputs[0]].shape), np.int8)
        return outputs_file(firmware.tflite, none, none)
    inputs = firmware.inputs(firmware.features(frames[good]))
    return outputs_file(firmware.tflite, inputs, outputs_of(firmware, inputs))
