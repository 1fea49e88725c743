"""Runs a C program on an emulated core, without a firmware project."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from micro.emission.c_text import render
from micro.errors import RunError
from micro.firmware.architectures import Architecture
from micro.firmware.boards import MACHINES, OTHER_MACHINES, PLAIN_STAGE, Machine
from micro.support.wording import last_lines

TEMPLATES = "firmware/templates"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-pedantic")
SECONDS_ALLOWED = 300
EMULATED = {machine.core: machine for machine in (*MACHINES, *OTHER_MACHINES)}

Compiler = Literal["gcc", "clang"]


def run_in_qemu(
    folder: Path, core: str, sources: Sequence[str], optimize: str = "-O2", compiler: Compiler = "gcc"
) -> bytes:
    """Compile C files of a folder for a core, run them in QEMU, and return what they wrote to result.bin.

    Object files are written to the folder. The program can include `console.h`, `app.h` and `ticks.h`.

    Args:
        core: A key of `EMULATED`.
        compiler: Of the sources. GCC compiles the start-up code and links in any case.

    Raises:
        RunError: With the message of the compiler or the emulator.
        ValueError: Where the compiler has no such target.
    """
    machine = EMULATED[core]
    architecture = machine.architecture
    files = {**architecture.files, "app.h": "common/app.h.j2"}
    files["link.ld"] = architecture.files["startup.c"].replace("startup.c", "link.ld")
    for name, template in files.items():
        (folder / name).write_text(
            render(template, {"name": "program", "machine": machine, "runtime": "static", **PLAIN_STAGE}, TEMPLATES)
        )
    around = [name for name in architecture.files if name.endswith(".c")]
    options = (*WARNINGS, optimize, "-ffp-contract=off", "-ffunction-sections", "-fdata-sections")
    gcc = compiler_command(core)
    _run(folder, *compiler_command(core, compiler), *options, "-c", *sources)
    _run(folder, *gcc, *options, "-c", *around)
    link = ("-T", "link.ld", "-nostartfiles", *architecture.linking, "-Wl,--gc-sections")
    objects = [f"{Path(name).stem}.o" for name in (*sources, *around)]
    _run(folder, *gcc, *link, *objects, "-lm", "-o", "program.elf")
    _run(folder, *emulator_command(machine), "-kernel", "program.elf")
    return (folder / "result.bin").read_bytes()


def compiler_command(core: str, compiler: Compiler = "gcc") -> tuple[str, ...]:
    """A compiler's program and options for a core; Clang takes the headers of GCC's C library.

    Raises:
        ValueError: Where the compiler has no such target.
    """
    machine = EMULATED[core]
    architecture = machine.architecture
    if compiler == "gcc":
        return f"{architecture.prefix}gcc", *machine.flags.split(), *architecture.compiling
    if architecture.clang is None:
        raise ValueError(f"clang does not compile for {architecture.title}")
    headers = _headers(architecture)
    included = () if headers is None else ("-isystem", headers)
    return "clang", f"--target={architecture.clang}", *machine.flags.split(), *included


def emulator_command(machine: Machine) -> tuple[str, ...]:
    """QEMU's program and options for a machine, all but the program that it runs."""
    architecture = machine.architecture
    quiet = ("-nographic", "-monitor", "none", "-serial", "none")
    semihosting = ("-semihosting-config", "enable=on,target=native", "-icount", f"shift={architecture.shift}")
    return architecture.emulator, "-M", *machine.qemu.split(), *quiet, *semihosting


def missing_for(core: str, compiler: Compiler = "gcc") -> tuple[str, ...]:
    """What `run_in_qemu` needs for a core and is not installed: programs, or 'a C library for' a compiler."""
    architecture = EMULATED[core].architecture
    needed = (f"{architecture.prefix}gcc", architecture.emulator, *(("clang",) if compiler == "clang" else ()))
    missing = tuple(tool for tool in needed if shutil.which(tool) is None)
    if needed[0] not in missing and _headers(architecture) is None:
        missing += (f"a C library for {needed[0]}",)
    return missing


def _headers(architecture: Architecture) -> str | None:
    """The folder of the C library's headers; None where GCC finds none."""
    command = (f"{architecture.prefix}gcc", *architecture.compiling, "-E", "-v", "-x", "c", "/dev/null")
    said = subprocess.run(command, capture_output=True, text=True).stderr
    listed = said.partition("search starts here:")[2].partition("End of search list")[0].split()
    return next((folder for folder in listed if (Path(folder) / "string.h").is_file()), None)


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_ALLOWED)
    if done.returncode != 0:
        raise RunError(f"{command[0]}: {last_lines(done.stderr)}")
