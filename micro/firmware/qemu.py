"""Runs a C program on an emulated Cortex-M, without a firmware project."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from micro.emission.c_text import render
from micro.errors import RunError
from micro.firmware.boards import BARE, MACHINES, PLAIN_STAGE
from micro.support.wording import last_lines

TEMPLATES = "firmware/templates"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-pedantic")
SECONDS_ALLOWED = 300


def run_in_qemu(folder: Path, core: str, sources: Sequence[str], optimize: str = "-O2") -> bytes:
    """Compile C files of a folder for a core, run them in QEMU, and return what they wrote to result.bin.

    Object files are written to the folder. The program can include `console.h`, `app.h` and `ticks.h`.

    Raises:
        RunError: With the message of the compiler or the emulator.
    """
    machine = next(each for each in MACHINES if each.core == core)
    files = {**BARE, "app.h": "common/app.h.j2", "link.ld": "bare-cortex-m/link.ld.j2"}
    for name, template in files.items():
        (folder / name).write_text(
            render(template, {"name": "program", "machine": machine, "runtime": "static", **PLAIN_STAGE}, TEMPLATES)
        )
    compiler = [
        "arm-none-eabi-gcc",
        *machine.flags.split(),
        *WARNINGS,
        optimize,
        "-ffunction-sections",
        "-fdata-sections",
    ]
    every = [*sources, *(name for name in BARE if name.endswith(".c"))]
    _run(folder, *compiler, "-c", *every)
    link = ("-T", "link.ld", "-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections")
    _run(folder, *compiler, *link, *(f"{Path(name).stem}.o" for name in every), "-o", "program.elf")
    emulator = ("qemu-system-arm", "-M", machine.qemu, "-nographic", "-monitor", "none", "-serial", "none")
    semihosting = ("-semihosting-config", "enable=on,target=native", "-icount", "shift=0")
    _run(folder, *emulator, *semihosting, "-kernel", "program.elf")
    return (folder / "result.bin").read_bytes()


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_ALLOWED)
    if done.returncode != 0:
        raise RunError(f"{command[0]}: {last_lines(done.stderr)}")
