"""A firmware project out of a finished run, ready to open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from micro.aot.generate import static_files
from micro.emission.c_array import c_array, model_files, render
from micro.emission.detector import detector_files
from micro.errors import RunError
from micro.evaluate import run_inputs
from micro.files import identifier, sha256
from micro.firmware.boards import BOARDS, MACHINES, Board
from micro.graph import read
from micro.prepare import spread
from micro.runs.folder import write_folder
from micro.score import read_run
from micro.simulation import Firmware, load_firmware

Runtime = Literal["static", "tflm"]
COMMON = {
    "{name}_golden.h": "common/golden.h.j2",
    "{name}_golden.c": "common/golden.c.j2",
    "app.h": "common/app.h.j2",
    "app.c": "common/app.c.j2",
    "sensor.h": "common/sensor.h.j2",
    "sensor.c": "common/sensor.c.j2",
}
INTERPRETER = {"static": "infer_static.c", "tflm": "infer_tflm.cc"}
FOLDER = "firmware/templates"


def new_firmware(
    run_folder: str | Path,
    directory: str | Path,
    board: str,
    *,
    runtime: Runtime = "static",
    windows: int = 4,
) -> tuple[Path, ...]:
    """Write a project of a finished run: front end, model, detector, a sensor to fill in, and a self-test.

    The self-test replays `windows` windows of the run's test and compares features, outputs and scores with Python's.

    Args:
        directory: Created; must be empty or not exist.
        board: One of 'esp-idf', 'arduino', 'zephyr', 'platformio', 'cmake', 'bare-cortex-m'.
        runtime: 'static', the model as C without an interpreter; 'tflm', TFLite Micro as the platform's own package.

    Returns: the paths written. The same run gives the same bytes.

    Raises:
        ValueError: For a board or runtime that there is not, or too many windows.
        RunError: If the folder is no finished run, or `directory` holds something.
        ConversionError: Names an operator that static C lacks.
    """
    if board not in BOARDS:
        raise ValueError(f"board must be one of {', '.join(BOARDS)}, got {board!r}")
    if runtime not in get_args(Runtime):
        raise ValueError(f"runtime must be one of {', '.join(get_args(Runtime))}, got {runtime!r}")
    firmware = load_firmware(run_folder)
    report, config = read_run(Path(run_folder))
    name = identifier(config.firmware.name)
    golden = load_golden(run_folder)
    if not 1 <= windows <= len(golden):
        raise ValueError(f"windows must be 1 to {len(golden)}, the run's golden windows, got {windows}")
    frames = golden[spread(len(golden), windows)]
    return write_folder(
        directory, project_files(firmware, frames, name, board, runtime, tuple(report["data"]["class_names"]))
    )


def load_golden(run_folder: str | Path) -> np.ndarray:
    """Windows of a run's test, (n, window, channels) float32; RunError where they are missing or damaged."""
    path = Path(run_folder) / "golden.npy"
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is missing or damaged: {error}") from None


def project_files(
    firmware: Firmware, frames: np.ndarray, name: str, board: str, runtime: Runtime, class_names: Sequence[str] = ()
) -> dict[str, bytes]:
    """Contents of a project's files by their paths inside it."""
    layout, graph, digest = BOARDS[board], read(firmware.tflite), sha256(firmware.tflite)
    made = detector_files(firmware.front_end, firmware.scaling, firmware.detector, graph, digest, name)
    made |= (
        static_files(firmware.tflite, name)
        if runtime == "static"
        else model_files(firmware.tflite, name, class_names=class_names)
    )
    context = _context(firmware, frames, name, digest, layout, runtime)
    interpreter = INTERPRETER[runtime]
    templates = {**COMMON, f"{{name}}_{interpreter}": f"common/{interpreter}.j2"}
    for path, template in templates.items():
        made[path.format(name=name)] = render(template, context, FOLDER).encode()
    context["sources"] = sorted(path for path in made if path.endswith((".c", ".cc")))
    folder = layout.sources.format(name=name)
    files = {f"{folder}/{path}": content for path, content in made.items()}
    for path, template in layout.templates.items():
        # One template serves every linker script.
        machine = next((each for each in MACHINES if path == f"board/link_{each.core}.ld"), None)
        files[path.format(name=name)] = render(template, {**context, "machine": machine}, FOLDER).encode()
    return files


def _context(
    firmware: Firmware, frames: np.ndarray, name: str, digest: str, board: Board, runtime: Runtime
) -> dict[str, Any]:
    front_end = firmware.front_end
    fixed = front_end.arithmetic == "fixed"
    samples = front_end.counts(frames) if fixed else frames.astype(np.float32)
    features = firmware.inputs(samples)
    outputs = run_inputs(firmware.tflite, features)
    kind = "int16_t" if fixed else "float"
    return {
        "name": name,
        "upper": name.upper(),
        "camel": "".join(part.capitalize() for part in name.split("_")),
        "guard": f"KERAS_KD_{name.upper()}_GOLDEN_H_",
        "digest": digest,
        "runtime": runtime,
        "fixed": fixed,
        "unit": "count of the converter" if fixed else "value in the unit of training",
        "sample_rate": front_end.sample_rate,
        "machines": MACHINES,
        "windows": len(frames),
        "outputs": outputs[0].size,
        "samples": [c_array(kind, "", window)["rows"] for window in samples],
        "features": [c_array("int8_t", "", each)["rows"] for each in features],
        "model_outputs": [c_array("int8_t", "", each)["rows"] for each in outputs],
        "scores": firmware.detector.score(features, outputs).tolist(),
        "intro": f"Samples in, alarms out: front end, int8 model and detector for {board.title}.",
        "ending": (
            f"The model's SHA-256 is {digest[:16]}...; its features, outputs and scores on this board are those of training, "
            "and the self-test says so at every start.\n\n"
            "Compiled with `APP_LOG=1` the program prints a row a window, with `APP_LOG=2` what the model heard as well: a log "
            "for `keras-kd monitor`."
        ),
    }
