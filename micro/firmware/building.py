"""Building a project for a bare Cortex-M and running it in QEMU, by its own Makefile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.errors import RunError
from micro.runs.emulated import Emulated
from micro.support.wording import last_lines

SECONDS_ALLOWED = 900


def missing_tools() -> tuple[str, ...]:
    """The programs that emulation needs and that are not installed."""
    needed = ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm", "make")
    return tuple(tool for tool in needed if shutil.which(tool) is None)


def require_tools() -> None:
    """RunError where a program is missing."""
    if missing_tools():
        raise RunError(f"not installed: {', '.join(missing_tools())}; Debian has gcc-arm-none-eabi and qemu-system-arm")


def compiler_version() -> str:
    """The compiler's name and version."""
    done = subprocess.run(["arm-none-eabi-gcc", "--version"], capture_output=True, text=True)
    return done.stdout.splitlines()[0]


def sizes_of(core: str, log: str) -> tuple[int, int, int]:
    """Bytes of .text, .data and .bss from what make printed."""
    sizes = re.search(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s+\d+\s+[0-9a-f]+\s", log, re.MULTILINE)
    if sizes is None:
        raise RunError(f"{core}: make printed no sizes: {log[-300:]}")
    text, data, bss = (int(each) for each in sizes.groups())
    return text, data, bss


class TooLargeError(RunError):
    """A program that does not fit a core's memory."""


def on_each(cores: Sequence[str], run: Callable[[str], Emulated]) -> tuple[Emulated, ...]:
    """Results on cores; those whose memory the program does not fit are left out.

    Raises:
        TooLargeError: Where it fits none of them.
    """
    results, too_large = [], []
    for core in cores:
        try:
            results.append(run(core))
        except TooLargeError as error:
            too_large.append(str(error))
    if not results:
        raise TooLargeError("; ".join(too_large))
    return tuple(results)


def make(folder: Path, core: str, target: str) -> str:
    """What make prints for a core and a target; RunError where it fails."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("CORE", "CROSS", "OPTIMIZE", "LD_SCRIPT")
    }
    # What the linker says of its memory is read.
    environment["LC_ALL"] = "C"
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
    over = re.search(r"region `(\w+)' overflowed by (\d+) bytes", done.stderr)
    if done.returncode != 0 and over is not None:
        raise TooLargeError(f"{core}: the program takes {int(over[2]):,} bytes more of {over[1]} than the machine has")
    if done.returncode != 0:
        raise RunError(f"{core}: make {target} failed: {last_lines(done.stderr or done.stdout)}")
    return done.stdout


@dataclass(frozen=True)
class Costs:
    """What a program takes on a core, as `micro.runs.emulated.Emulated` names it."""

    flash: int
    ram: int
    stack: int
    front_end_instructions: int
    inference_instructions: int
    longest_push_instructions: int | None = None
    hop_instructions: int | None = None


def replayed(
    folder: Path, core: str, record: np.dtype, count: int, what: str, figures: int = 3
) -> tuple[np.ndarray, Costs]:
    """Build a project for a core, run it on the samples in its folder, and read what it writes.

    Args:
        record: What the program writes of each result.
        count: How many results there must be; `what` they are, in words.
        figures: How many it writes behind them: instructions of front end and inference, stack, and where it takes samples
            those of the longest push and of the pushes of a hop.

    Returns: The results, (count,) of `record`, and what the program takes.

    Raises:
        RunError: If it cannot be built or run, or writes another number of results.
    """
    log = make(folder, core, "all")
    make(folder, core, "replay")
    raw = (folder / "result.bin").read_bytes()
    size = 4 * figures
    if len(raw) != count * record.itemsize + size:
        raise RunError(f"{core}: the program wrote {(len(raw) - size) // record.itemsize} {what}, not {count}")
    front_end, inference, stack, *pushes = (int(each) for each in np.frombuffer(raw[-size:], "<u4"))
    text, data, bss = sizes_of(core, log)
    return np.frombuffer(raw, record, count), Costs(
        text + data, data + bss + stack, stack, front_end, inference, *pushes
    )
