"""Building a project for a bare Cortex-M and running it in QEMU, by its own Makefile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from micro.errors import RunError

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


def make(folder: Path, core: str, target: str) -> str:
    """What make prints for a core and a target; RunError where it fails."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("CORE", "CROSS", "OPTIMIZE", "LD_SCRIPT")
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
