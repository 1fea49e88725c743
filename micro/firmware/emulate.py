"""A firmware project built for Cortex-M and run in QEMU: what it says, and what it takes."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.errors import RunError
from micro.firmware.boards import MACHINES
from micro.firmware.project import load_golden, project_files, self_test_windows
from micro.runs.device import Firmware, Judged, judge, load_firmware
from micro.runs.publish import write_folder
from micro.runs.report import with_emulated
from micro.runs.score_files import read_run
from micro.support.files import json_bytes, sha256, write_together

CORES = tuple(machine.core for machine in MACHINES)
SECONDS_ALLOWED = 900


@dataclass(frozen=True)
class Emulated:
    """A run of the firmware on one emulated core, beside Python window by window.

    `flash` is .text and .data, `ram` .data, .bss and the stack that was painted over, in bytes, of the whole program with its
    semihosting. Instructions are of one window: its features, and one inference.
    """

    core: str
    windows: int
    differing_features: int
    differing_outputs: int
    differing_scores: int
    differing_decisions: int
    flash: int
    ram: int
    stack: int
    front_end_instructions: int
    inference_instructions: int
    compiler: str

    @property
    def equal(self) -> bool:
        """Whether all of it came out as in Python."""
        return not (
            self.differing_features or self.differing_outputs or self.differing_scores or self.differing_decisions
        )


def missing_tools() -> tuple[str, ...]:
    """Which of the programs that emulation needs are not installed."""
    needed = ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm", "make")
    return tuple(tool for tool in needed if shutil.which(tool) is None)


def emulate(run_folder: str | Path, cores: Sequence[str] = CORES) -> tuple[Emulated, ...]:
    """Run a finished run's static C on emulated cores over all of its golden windows, joined to one stream.

    Raises:
        RunError: If the folder is no finished run, a tool is missing or the program does not run.
        ValueError: For a core that there is not.
    """
    unknown = [core for core in cores if core not in CORES]
    if unknown:
        raise ValueError(f"core must be one of {', '.join(CORES)}, got {unknown[0]!r}")
    firmware = load_firmware(run_folder)
    golden = load_golden(run_folder, firmware)
    _, config = read_run(Path(run_folder))
    return emulate_firmware(firmware, golden, config.firmware.name, cores)


def emulate_firmware(
    firmware: Firmware, golden: np.ndarray, name: str, cores: Sequence[str] = CORES
) -> tuple[Emulated, ...]:
    """As `emulate`, of firmware at hand: golden windows (n, window, channels)."""
    if missing_tools():
        raise RunError(f"not installed: {', '.join(missing_tools())}; Debian has gcc-arm-none-eabi and qemu-system-arm")
    front_end = firmware.front_end
    frames = self_test_windows(firmware, golden[np.isfinite(golden).all(axis=(1, 2))], 1)
    stream = golden.reshape(-1, front_end.channels)
    stream = stream[: len(stream) // front_end.hop * front_end.hop]
    stream = front_end.counts(stream) if front_end.arithmetic == "fixed" else stream.astype(np.float32)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "project"
        write_folder(folder, project_files(firmware, frames, name, "bare-cortex-m", "static"))
        (folder / "samples.bin").write_bytes(stream.tobytes())
        expected = judge(firmware, stream)
        compiler = subprocess.run(
            ["arm-none-eabi-gcc", "--version"], capture_output=True, text=True
        ).stdout.splitlines()[0]
        return tuple(_on(core, folder, expected, compiler) for core in cores)


def _on(core: str, folder: Path, expected: Judged, compiler: str) -> Emulated:
    told = _make(folder, core, "all")
    _make(folder, core, "replay")
    count = len(expected.faulty)
    features, outputs = (side.reshape(count, -1) for side in (expected.features, expected.outputs))
    record = np.dtype(
        [
            ("status", "<i4"),
            ("score", "<i8"),
            ("features", "i1", (features.shape[1],)),
            ("outputs", "i1", (outputs.shape[1],)),
        ]
    )
    raw = (folder / "result.bin").read_bytes()
    if len(raw) != count * record.itemsize + 12:
        raise RunError(f"{core}: the program told of {(len(raw) - 12) // record.itemsize} windows, not of {count}")
    found = np.frombuffer(raw, record, count)
    front_instructions, model_instructions, stack = (int(each) for each in np.frombuffer(raw[-12:], "<u4"))
    sizes = re.search(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s+\d+\s+[0-9a-f]+\s", told, re.MULTILINE)
    if sizes is None:
        raise RunError(f"{core}: no sizes in what make said: {told[-300:]}")
    text, data, bss = (int(each) for each in sizes.groups())
    scored = expected.faulty == 0
    return Emulated(
        core,
        count,
        int(np.count_nonzero((found["features"] != features)[scored])),
        int(np.count_nonzero((found["outputs"] != outputs)[scored])),
        int(np.count_nonzero((found["score"] != expected.scores)[scored])),
        int(np.count_nonzero(found["status"] != np.array(expected.statuses))),
        text + data,
        data + bss + stack,
        stack,
        front_instructions,
        model_instructions,
        compiler,
    )


def _make(folder: Path, core: str, target: str) -> str:
    environment = {
        key: value for key, value in os.environ.items() if key not in ("CORE", "CROSS", "OPTIMISE", "LD_SCRIPT")
    }
    try:
        done = subprocess.run(
            ["make", f"CORE={core}", target],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS_ALLOWED,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise RunError(f"{core}: make {target} took longer than {SECONDS_ALLOWED} s") from None
    if done.returncode != 0:
        raise RunError(f"{core}: make {target} failed: {(done.stderr or done.stdout)[-600:]}")
    return done.stdout


def add_to_report(run_folder: str | Path, results: Sequence[Emulated]) -> None:
    """Put results into a run's report.json under 'emulated' and on its page, and the new digests into the manifest."""
    folder = Path(run_folder)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    report["emulated"] = [dataclasses.asdict(result) for result in results]
    written = json_bytes(report)
    changed = {"report.json": written}
    if (folder / "report.html").is_file():
        changed["report.html"] = with_emulated((folder / "report.html").read_bytes(), report["emulated"])
    manifest["sha256"] |= {name: sha256(content) for name, content in changed.items()}
    write_together(folder, {**changed, "manifest.json": json_bytes(manifest)})
