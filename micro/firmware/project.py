"""A firmware project of a finished run, ready to build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from micro.aot.block import Weights
from micro.detection.detector import Detector
from micro.detection.estimator import Estimator, Estimators
from micro.detection.labeler import Labeler
from micro.detection.recognizer import Recognizer
from micro.detection.summary_format import RADIO, features_of_part
from micro.emission.c_text import c_array
from micro.emission.detector import detector_files
from micro.emission.diagnosis import diagnosis_files
from micro.emission.estimator import estimator_files
from micro.emission.labeler import labeler_files
from micro.emission.recognizer import recognizer_files
from micro.emission.sensor import sources_context
from micro.emission.summary import PERIOD, summary_files
from micro.emission.tachometer import tachometer_files
from micro.emission.vibration import vibration_files
from micro.errors import RunError
from micro.firmware.boards import BOARDS, MACHINES, Board
from micro.firmware.channels import Channel, channels_of
from micro.firmware.diagnosis import diagnosis_context, require_room
from micro.firmware.exchangeable import REAL_TIME, require_exchangeable
from micro.firmware.expected import expected
from micro.firmware.forward import forward_context
from micro.firmware.layout import Runtime, assembled
from micro.firmware.pixels import pixels_context
from micro.firmware.stage import stage_context
from micro.firmware.text_project import text_project
from micro.firmware.vibration import vibration_context
from micro.program.real_time import RealTime, queue_of
from micro.runs.baseline import SCORES, calibration_sessions
from micro.runs.finished import read_run
from micro.runs.firmware import Firmware, firmware_of
from micro.runs.kept_windows import load_windows, self_test_windows, windows_of
from micro.runs.publish import write_folder
from micro.runs.real_time import real_times
from micro.signal import Frames, JoinedFrames
from micro.signal.joined_frames import sensed_of
from micro.support.c_names import CNames
from micro.support.files import sha256
from micro.targets.units import parse_clock
from micro.tflite.graph import Graph, read

COMMON = {
    "{name}_self_test.h": "common/self_test.h.j2",
    "{name}_self_test.c": "common/self_test.c.j2",
    "app.h": "common/app.h.j2",
    "app.c": "common/app.c.j2",
    "sensor.h": "common/sensor.h.j2",
    "sensor.c": "common/sensor.c.j2",
    "sample_queue.h": "common/sample_queue.h.j2",
    "sample_queue.c": "common/sample_queue.c.j2",
}
# Windows of a self-test where nothing is said, and the values that they may hold: flash is small.
SELF_TEST_WINDOWS, SELF_TEST_VALUES = 4, 2**15
# The largest queue of sample_queue.h.
MOST_QUEUED = 2**15


def new_firmware(
    run_folder: str | Path,
    directory: str | Path,
    board: str,
    *,
    runtime: Runtime = "static",
    windows: int | None = None,
    chip: str | None = None,
    clock: str | None = None,
    forward: Sequence[str] = (),
    weights: Weights = "constant",
) -> tuple[Path, ...]:
    """Write a firmware project of a finished run: front end, model, last stage, a sensor to fill in, and a self-test.

    The last stage is a detector, a recognizer, a labeler, an estimator or a predictor, as the run's task has it.

    The self-test runs recorded windows of the run's test data through the firmware and compares features, model outputs,
    scores and results with those of Python, bit for bit. Windows with a sensor fault are used only if there are too few others.
    Of firmware that learns its machine it runs them with the run's threshold and the mean scaling of the training machines.

    Args:
        run_folder: A finished run, as `keras-kd run` leaves it.
        directory: Folder of the project. Created; must be empty or not exist.
        board: A key of `micro.firmware.boards.BOARDS`, such as 'esp-idf', 'arduino' or 'bare-cortex-m'.
        runtime: 'static' for the model as C without an interpreter; 'tflm' for TFLite Micro, from the platform's own package.
        windows: Windows in the self-test; None for 4, or fewer where they would hold more than 32,768 values.
        chip: A board of `keras-kd boards`, such as 'nrf52840', of which the README says whether the firmware keeps up with the
            sensor there; None for that of the run's budget.
        clock: Its clock, such as '32MHz'; None for its highest.
        forward: What the program prints in place of results, a line each, for `keras-kd record`: 'samples', 'scores' or
            'features', or several of them.
        weights: 'constant' for a model that is compiled in for good; 'exchangeable' for one whose numbers, with those of its
            detector, `update_model` writes as bytes for devices later. Of static C and a detector alone.

    Returns: the paths written. The same run gives the same bytes.

    Raises:
        ValueError: For an unknown board, runtime, chip or part to forward, a clock that it does not have, or more windows than
            the run has kept.
        RunError: If the folder is not a finished run or is damaged, the chip has no room for the diagnosis of a bearing, or
            the firmware cannot forward what is asked.
        FileExistsError: If `directory` is not empty.
        ConversionError: Names an operator that static C or the platform's TFLite Micro lacks.

    Examples:
        >>> written = micro.new_firmware("runs/rig", "rig-firmware", "esp-idf")
        >>> [str(path) for path in written if path.suffix == ".txt"]
        ['rig-firmware/CMakeLists.txt', 'rig-firmware/main/CMakeLists.txt']
        >>> micro.new_firmware("runs/rig", "rig-firmware", "toaster")
        Traceback (most recent call last):
        ValueError: board must be one of bare-cortex-m, cmake, esp-idf, arduino, zephyr, platformio, ...
    """
    if board not in BOARDS:
        raise ValueError(f"board must be one of {', '.join(BOARDS)}, got {board!r}")
    for what, value, known in (("runtime", runtime, get_args(Runtime)), ("weights", weights, get_args(Weights))):
        if value not in known:
            raise ValueError(f"{what} must be one of {', '.join(known)}, got {value!r}")
    report, config = read_run(Path(run_folder))
    paces = real_times(report, config, None, chip, None if clock is None else parse_clock(clock, "clock"))
    if report.predictor is not None:
        if forward:
            raise RunError(f"{run_folder} is a run on text, which has no samples, features or scores to forward")
        if weights == "exchangeable":
            raise RunError(
                f"{run_folder} is a run on text; weights are exchanged together with a detector's parameters"
            )
        files = text_project(run_folder, config.firmware.name, board, runtime, windows)
        return write_folder(directory, files)
    firmware = firmware_of(Path(run_folder), report, config)
    if weights == "exchangeable":
        require_exchangeable(firmware, str(run_folder), "take weights 'constant'", runtime)
        paces = (REAL_TIME,)
    require_room(report, firmware.diagnosis, chip or config.budget.board)
    if firmware.hops is not None and runtime != "static":
        raise RunError(
            f"{run_folder}: firmware.streaming keeps the model's state in the last stage, where static C takes it and "
            "TFLite Micro's interpreter does not; take runtime 'static', or run without firmware.streaming"
        )
    kept = load_windows(run_folder, firmware)
    if windows is None:
        windows = min(len(kept), max(1, min(SELF_TEST_WINDOWS, SELF_TEST_VALUES // kept[0].size)))
    if not 1 <= windows <= len(kept):
        raise ValueError(f"windows must be 1 to {len(kept)}, the windows that the run has kept, got {windows}")
    frames = self_test_windows(firmware, kept, windows)
    return write_folder(
        directory,
        project_files(
            firmware,
            frames,
            config.firmware.name,
            board,
            runtime,
            report.data.class_names,
            report.data.image_size,
            channels_of(report.data),
            paces,
            _period(Path(run_folder)),
            forward,
            weights,
        ),
    )


def _period(folder: Path) -> int:
    """Windows of a session of a run's calibration, which summaries are compared with; `PERIOD` where none are kept."""
    if not (folder / SCORES).is_file():
        return PERIOD
    return int(np.median([len(scores) for scores in calibration_sessions(folder)]))


def project_files(
    firmware: Firmware,
    frames: np.ndarray,
    name: str,
    board: str,
    runtime: Runtime,
    class_names: Sequence[str] = (),
    image_size: tuple[int, int] | None = None,
    channels: Sequence[Sequence[Channel]] = (),
    paces: Sequence[RealTime | str] = (),
    period: int = PERIOD,
    forward: Sequence[str] = (),
    weights: Weights = "constant",
) -> dict[str, bytes]:
    """Contents of a project's files by path; ValueError where two files would have one path.

    `image_size` is the height and width of pictures, whose pixels are the sensor's samples. `channels` are a sample's,
    of the main source and of each further one. `paces` say whether it keeps up with its sensor. `period` is how many
    windows a summary is proposed to have. `forward` is what the program prints in place of results. `weights` are as of
    `new_firmware`.
    """
    graph, digest = read(firmware.deployed), sha256(firmware.deployed)
    context = _context(firmware, frames, name, digest, board, runtime, channels)
    exchangeable = weights == "exchangeable"
    context |= {
        "exchangeable": exchangeable,
        **pixels_context(firmware.front_end, image_size),
        **_pace(firmware, paces),
    }
    context["examples"] = _examples(BOARDS[board], context)
    context["tachometers"] = BOARDS[board].tachometers if firmware.tachometer else ()
    common = COMMON
    if forward:
        inputs = firmware.newest(np.zeros((1, *firmware.front_end.shape), np.int8)).size
        context["forward"] = forward_context(firmware, forward, [each.name for each in context["each_channel"]], inputs)
        common = {**COMMON, "app.c": "common/forward.c.j2"}
    stage = stage_files(firmware, graph, digest, name, exchangeable=exchangeable)
    if context["summarizes"] and isinstance(firmware.decider, Detector):
        around = (firmware.hops or firmware.front_end, firmware.decider, digest, name, firmware.commissioning)
        vibrates = firmware.vibration is not None
        stage |= summary_files(*around, vibration=vibrates, period=period, exchangeable=exchangeable)
    if firmware.vibration is not None:
        stage |= vibration_files(firmware.vibration, digest, name, context["stage"])
    if firmware.tachometer is not None:
        modes = getattr(firmware.decider, "modes", None)
        ranges = None if modes is None else modes.ranges
        stage |= tachometer_files(firmware.tachometer, firmware.front_end, ranges, name)
    if firmware.diagnosis is not None:
        stage |= diagnosis_files(firmware.diagnosis.monitor, name)
    return assembled(
        stage, firmware.deployed, context, common, board, runtime, class_names=class_names, weights=weights
    )


def stage_files(
    firmware: Firmware, graph: Graph, digest: str, name: str, *, exchangeable: bool = False
) -> dict[str, bytes]:
    """Front end and last stage; `exchangeable` where the weights of a detector's model are."""
    around = (firmware.hops or firmware.front_end, firmware.scaling)
    if isinstance(firmware.decider, Recognizer):
        return recognizer_files(*around, firmware.decider, graph, digest, name)
    if isinstance(firmware.decider, Estimator | Estimators):
        return estimator_files(*around, firmware.decider, graph, digest, name)
    if isinstance(firmware.decider, Labeler):
        return labeler_files(*around, firmware.decider, graph, digest, name)
    parts = (*around, firmware.decider, graph, digest, name, firmware.commissioning, firmware.sensor_channels)
    return detector_files(*parts, exchangeable=exchangeable)


def _sources(firmware: Firmware, samples: Frames, name: str, channels: Sequence[Sequence[Channel]]) -> dict[str, Any]:
    """What templates are given of further sources, with the samples of the self-test's windows and their channels."""
    context = sources_context(firmware.front_end, name)
    streams = samples.sources if isinstance(samples, JoinedFrames) else ()
    for source, own, each_channel in zip(context["further"], streams, channels or [()] * len(streams)):
        source["unit"] = _unit(source["fixed"])
        source["each_channel"] = each_channel
        source["samples"] = [c_array(_sample_type(source["fixed"]), "", each).rows for each in own.frames[own.chosen]]
    return context


def _unit(fixed: bool) -> str:
    return "raw ADC count" if fixed else "value in the unit of the training data"


def _sample_type(fixed: bool) -> str:
    return "int16_t" if fixed else "float"


def _context(
    firmware: Firmware,
    frames: np.ndarray,
    name: str,
    digest: str,
    board: str,
    runtime: Runtime,
    channels: Sequence[Sequence[Channel]],
) -> dict[str, Any]:
    front_end, layout = firmware.front_end, BOARDS[board]
    fixed = front_end.arithmetic == "fixed"
    samples = windows_of(firmware, frames)
    return {
        **CNames(name).context("self_test"),
        "digest": digest,
        **stage_context(firmware.decider),
        "learns": firmware.commissioning is not None,
        "summary_features": features_of_part(RADIO),
        "runtime": runtime,
        "package": layout.package,
        "fixed": fixed,
        "unit": _unit(fixed),
        "each_channel": channels[0] if channels else (),
        **_sources(firmware, samples, name, channels[1:]),
        "decimate": front_end.decimate,
        "tachometer": firmware.tachometer,
        "sensor_channels": firmware.sensor_channels,
        "speed_channel": getattr(front_end, "orders", None) == "channel",
        "sample_rate": front_end.sample_rate,
        "machines": MACHINES,
        "windows": len(frames),
        "frames": None if front_end.frame is None and firmware.hops is None else front_end.frames,
        "hops": firmware.hops is not None,
        "block": _block(front_end.sensor_hop),
        "samples": [c_array(_sample_type(fixed), "", window).rows for window in sensed_of(samples)],
        **expected(firmware, samples),
        "vibration": vibration_context(firmware.vibration, sensed_of(samples)),
        "diagnosis": diagnosis_context(firmware.diagnosis, sensed_of(samples)),
        "title": layout.title,
        "folder": layout.sources.format(name=name),
        "faster": layout.faster,
        "pins": firmware.sensor_channels or front_end.channels,
    }


def _examples(board: Board, context: Mapping[str, Any]) -> tuple[str, ...]:
    """Sensors of examples/ that a project can take: they read no speed, for modes or for bands in orders."""
    if context["image_size"]:
        return board.cameras if context["frame"] else ()
    return () if context.get("modes") or context["speed_channel"] else board.examples


def _pace(firmware: Firmware, paces: Sequence[RealTime | str]) -> dict[str, Any]:
    """What templates are given of real time; a queue for a hop is enough wherever the firmware keeps up."""
    known = [each.queue for each in paces if isinstance(each, RealTime) and each.holds]
    return {
        "paces": [str(each) for each in paces],
        "queue": min(max(known, default=queue_of(firmware.front_end.sensor_hop)), MOST_QUEUED),
        "for_any_chip": not paces and firmware.vibration is None and firmware.diagnosis is None,
    }


def _block(hop: int) -> int:
    """Samples that a program reads at a time, so that blocks end where hops do: a hop, or of a long one its largest divisor."""
    return max(size for size in range(1, min(hop, 1024) + 1) if hop % size == 0)
