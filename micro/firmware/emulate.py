"""Builds a firmware project for Cortex-M and runs it in QEMU: results, flash, RAM, instructions."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from micro.aot.block import Weights
from micro.config import Config
from micro.firmware.boards import CORES, USUAL_CORES
from micro.firmware.building import compiler_version, on_each, replayed, require_tools
from micro.firmware.building import missing_tools as missing_tools
from micro.firmware.operator_counts import with_operators
from micro.firmware.project import project_files
from micro.firmware.text_emulate import emulate_text
from micro.runs.around_model import model_of_run
from micro.runs.device import Judged, judge, observe
from micro.runs.emulated import Emulated
from micro.runs.finished import read_run
from micro.runs.firmware import Firmware, firmware_of
from micro.runs.kept_windows import load_windows, self_test_windows, windows_of
from micro.runs.publish import write_folder
from micro.runs.report import About, with_emulated
from micro.runs.run_report import RunReport
from micro.runs.text_device import load_text_firmware, load_texts
from micro.signal import JoinedFrontEnd
from micro.signal.joined import sensed
from micro.signal.joined_frames import main_of
from micro.support.files import json_bytes, sha256, write_together

# Of the stream that a core is given; long windows would take minutes.
MOST_SAMPLES = 2**20


def emulate(run_folder: str | Path, cores: Sequence[str] = USUAL_CORES) -> tuple[Emulated, ...]:
    """Run a finished run's static C on emulated cores, over all windows that the run has kept, joined to one stream.

    Returns: A result for each core, without those whose memory the program does not fit; each with the instructions of every
    operator of the model.

    Raises:
        RunError: If the folder is no finished run, a tool is missing or the program does not run, or fits no core.
        ValueError: For an unknown core.
    """
    unknown = [core for core in cores if core not in CORES]
    if unknown:
        raise ValueError(f"core must be one of {', '.join(CORES)}, got {unknown[0]!r}")
    report, config = read_run(Path(run_folder))
    if report.predictor is not None:
        text_firmware, texts = load_text_firmware(run_folder), load_texts(run_folder)
        results = emulate_text(text_firmware, texts, config.firmware.name, cores)
        predictor = text_firmware.predictor
        return with_operators(results, text_firmware.tflite, predictor.inputs(predictor.windows(texts[0])[:1]))
    firmware = firmware_of(Path(run_folder), report, config)
    kept = load_windows(run_folder, firmware)
    results = emulate_firmware(firmware, kept, config.firmware.name, cores)
    return with_operators(results, firmware.tflite, observe(firmware, windows_of(firmware, kept[:1])).features)


def emulate_firmware(
    firmware: Firmware,
    kept: np.ndarray,
    name: str,
    cores: Sequence[str] = USUAL_CORES,
    weights: Weights = "constant",
) -> tuple[Emulated, ...]:
    """As `emulate`, for firmware and windows (n, window, channels) that are already loaded; `weights` as of `new_firmware`."""
    require_tools()
    kept = kept[np.isfinite(kept.reshape(len(kept), -1)).all(axis=1)]
    frames = self_test_windows(firmware, kept, 1)
    content, expected = _stream(firmware, kept)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "project"
        write_folder(folder, project_files(firmware, frames, name, "bare-cortex-m", "static", weights=weights))
        (folder / "samples.bin").write_bytes(content)
        compiler = compiler_version()
        return on_each(cores, lambda core: _on(core, folder, expected, compiler))


def _stream(firmware: Firmware, kept: np.ndarray) -> tuple[bytes, Judged]:
    """What a core is given, windows joined to one stream, and what Python makes of it."""
    front_end = firmware.front_end
    if isinstance(front_end, JoinedFrontEnd):
        return _stream_of_sources(firmware, front_end, kept)
    stream = kept.reshape(-1, front_end.channels)
    # A program reads whole hops; the last must not cut off the only window.
    hop = front_end.sensor_hop
    most = -(-max(MOST_SAMPLES, front_end.sensor_window) // hop)
    stream = sensed(front_end, stream[: min(len(stream) // hop, most) * hop])
    # Of firmware that learns its machine the detector is run, as in the self-test.
    firmware = replace(firmware, commissioning=None)
    modes = getattr(firmware.decider, "modes", None)
    # The program is given one value, of the first mode that has a threshold.
    unit = 1.0 if modes is None else modes.ranges.resolution or 1.0
    speed = None if modes is None else np.full(len(stream), modes.ranges.middle(modes.first) * unit)
    return stream.tobytes(), judge(firmware, stream, speed=speed)


def _stream_of_sources(firmware: Firmware, front_end: JoinedFrontEnd, kept: np.ndarray) -> tuple[bytes, Judged]:
    """As `_stream`: before the last sample of each window of the main source comes a window of every further source."""
    frames = front_end.counts(front_end.frames_of(kept[: max(1, MOST_SAMPLES // front_end.samples)]))
    count, window = len(frames), front_end.window
    parts = [main_of(frames), *(each.frames[each.chosen] for each in frames.sources)]
    content = b"".join(part[n].tobytes() for n in range(count) for part in parts)
    ends = np.arange(count) * window + window - 1
    sources = [(part.reshape(-1, part.shape[2]), np.repeat(ends, part.shape[1])) for part in parts[1:]]
    return content, judge(firmware, parts[0].reshape(-1, front_end.channels), sources)


def _on(core: str, folder: Path, expected: Judged, compiler: str) -> Emulated:
    count = len(expected.faulty)
    features, outputs = (side.reshape(count, -1) for side in (expected.features, expected.outputs))
    record = np.dtype(
        [
            ("status", "<i4"),
            ("class", "<i2"),
            ("labels", "<u4"),
            ("score", "<i8", expected.scores.shape[1:]),
            ("features", "i1", (features.shape[1],)),
            ("outputs", "i1", (outputs.shape[1],)),
        ]
    )
    written, costs = replayed(folder, core, record, count, "windows", 5)
    scored = expected.faulty == 0
    decided = (written["status"] == np.array(expected.statuses)) & (written["class"] == expected.classes)
    decided &= written["labels"] == expected.labels
    return Emulated(
        core,
        count,
        int(np.count_nonzero((written["features"] != features)[scored])),
        int(np.count_nonzero((written["outputs"] != outputs)[scored])),
        int(np.count_nonzero((written["score"] != expected.scores)[scored])),
        int(np.count_nonzero(~decided)),
        **asdict(costs),
        compiler=compiler,
    )


def add_to_report(run_folder: str | Path, results: Sequence[Emulated], lines: Sequence[str] = ()) -> None:
    """Add results to a run's report.json, under 'emulated', to its page, and the new digests to its manifest.

    `lines` come below them on the page, such as whether the firmware keeps up with its sensor.
    """
    folder = Path(run_folder)
    report, config = read_run(folder)
    report = report.model_copy(update={"emulated": tuple(results)})
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    changed = {"report.json": report.to_bytes()}
    if (folder / "report.html").is_file():
        page = (folder / "report.html").read_bytes()
        changed["report.html"] = with_emulated(page, results, lines, _about(folder, report, config))
    manifest["sha256"] |= {name: sha256(content) for name, content in changed.items()}
    write_together(folder, {**changed, "manifest.json": json_bytes(manifest)})


def _about(folder: Path, report: RunReport, config: Config) -> About:
    """What boards on a run's page are judged by."""
    front_end = report.features
    rate = None if front_end is None else front_end.sample_rate
    every = None if front_end is None or rate is None else front_end.sensor_hop / rate
    return About(config, {}, model_of_run(folder, report, config), every)
