"""What is installed and what the host has, read without importing any of it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["ok", "missing", "error"]

# Where a distribution is called otherwise than its module.
MODULES = {
    "tensorflow-model-optimization": "tensorflow_model_optimization",
    "tf-keras": "tf_keras",
    "tflite-micro": "tflite_micro",
    "ai-edge-litert": "ai_edge_litert",
    "scikit-learn": "sklearn",
    "pillow": "PIL",
    "nptdms": "nptdms",
    "tomli-w": "tomli_w",
    "mlflow-skinny": "mlflow",
}
# What runs start with; the rest is imported where it is needed.
DEEP = ("numpy", "tensorflow", "keras", "tensorflow_model_optimization", "tflite_micro", "ai_edge_litert.interpreter")
# Extras that a user installs for what they do; the others are for work on this package.
EXTRAS = {
    "scale": "search, fleet",
    "track": "training logs",
    "tdms": ".tdms files",
    "mdf": ".mf4 and .mdf files",
    "studio": "studio, in the browser",
}
# A tool, what it is for, and how it is had on Debian and Ubuntu, or where it comes from.
TOOLS = {
    "arm-none-eabi-gcc": ("emulate; firmware for Cortex-M", "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    "qemu-system-arm": ("emulate", "apt-get install qemu-system-arm"),
    "riscv64-unknown-elf-gcc": ("firmware for RISC-V", "apt-get install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"),
    "qemu-system-riscv32": ("running RISC-V firmware", "apt-get install qemu-system-misc"),
    "avr-gcc": ("firmware for AVR", "apt-get install gcc-avr avr-libc"),
    "gcc": ("the host's own build of emitted C", "apt-get install gcc"),
    "clang": ("another compiler of emitted C", "apt-get install clang"),
    "cmake": ("projects of --board cmake", "apt-get install cmake"),
    "idf.py": ("projects of --board esp-idf", "docs.espressif.com: install ESP-IDF and source export.sh"),
    "west": ("projects of --board zephyr", "pip install west, and Zephyr's SDK"),
    "arduino-cli": ("projects of --board arduino", "arduino.github.io/arduino-cli"),
    "pio": ("projects of --board platformio", "pip install platformio"),
}  # fmt: skip

GIB = 2**30
# Less than this makes trouble: TensorFlow's packages take about 2 GB, a run of a few sensors less than 2 GB of memory.
LEAST_DISK, LEAST_MEMORY = GIB, 2 * GIB


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for: what was found, and where that is not right, what will not work and how to mend it."""

    kind: Literal["python", "package", "extra", "tool", "host", "import"]
    name: str
    level: Level
    found: str
    trouble: str | None = None
    mend: str | None = None


def findings(deep: bool) -> Iterator[Finding]:
    """Everything that commands need, packages and extras first; with `deep` packages are imported, each by a new Python."""
    yield _python()
    try:
        needed = importlib.metadata.requires("keras-kd") or []
    except importlib.metadata.PackageNotFoundError:
        needed = []
        yield Finding(
            "package", "keras-kd", "error", "not installed", "its requirements are not known", "pip install keras-kd"
        )
    else:
        yield Finding("package", "keras-kd", "ok", importlib.metadata.version("keras-kd"))
    for requirement in needed:
        if "extra ==" not in requirement:
            yield _package(requirement)
    for extra, used in EXTRAS.items():
        yield _extra(extra, used, [each for each in needed if re.search(rf"extra == ['\"]{extra}['\"]", each)])
    yield from _host()
    for tool, (used, mend) in TOOLS.items():
        path = shutil.which(tool)
        if path is None:
            yield Finding("tool", tool, "missing", "not found", f"{used}: {tool} is not on PATH", mend)
        else:
            yield Finding("tool", tool, "ok", path)
    if deep:
        yield from map(_imported, DEEP)


def _python() -> Finding:
    version = platform.python_version()
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("python", "python", "ok", version)
    return Finding(
        "python", "python", "error", version, "Python 3.11, 3.12 or 3.13 is needed", "make a new environment"
    )


def _package(requirement: str) -> Finding:
    name, least = _parsed(requirement)
    version, mend = _version(name), f"pip install '{name}{f'>={least}' if least else ''}'"
    if version is None:
        return Finding("package", name, "error", "not installed", f"{name} is needed", mend)
    if least and _numbers(version) < _numbers(least):
        return Finding("package", name, "error", version, f"{name} {version} is too old, {least} is needed", mend)
    return Finding("package", name, "ok", version)


def _extra(extra: str, used: str, requirements: list[str]) -> Finding:
    names = [_parsed(each)[0] for each in requirements]
    missing = [name for name in names if _version(name) is None]
    if not missing and names:
        return Finding("extra", extra, "ok", ", ".join(f"{name} {_version(name)}" for name in names))
    what = f"{used}: {', '.join(missing) or 'its packages'} not installed"
    return Finding("extra", extra, "missing", "not installed", what, f"pip install 'keras-kd[{extra}]'")


def _parsed(requirement: str) -> tuple[str, str | None]:
    """Name and least version of a requirement such as 'numpy>=2.0'."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    least = re.search(r">=\s*([0-9][^\s,;)]*)", requirement.split(";")[0])
    return (name[0] if name else requirement), (least[1] if least else None)


def _version(name: str) -> str | None:
    """The installed version, 'unknown' of a module without metadata, None where there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        module = MODULES.get(name.lower(), name.lower())
        return None if importlib.util.find_spec(module) is None else "unknown"


def _numbers(version: str) -> tuple[int, ...]:
    """A version for comparing; that of a module without metadata is above all others."""
    return tuple(map(int, re.findall(r"\d+", version.split("+")[0]))) or (sys.maxsize,)


def _host() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("host", "system", "ok", f"{platform.system()} {platform.machine()}, {cores} cores")
    yield _cpu(_cpu_flags())
    memory = memory_bytes()
    if memory is not None:
        little = memory < LEAST_MEMORY
        what = "training may run out of memory" if little else None
        mend = "close other programs, or take smaller models and fewer windows" if little else None
        yield Finding("host", "memory", "missing" if little else "ok", f"{memory / GIB:.1f} GiB to be had", what, mend)
    for name, place in (
        ("disk here", Path.cwd()),
        ("disk of temporary files", Path(os.environ.get("TMPDIR") or "/tmp")),
    ):
        try:
            free = shutil.disk_usage(place).free
        except OSError as error:
            yield Finding("host", name, "error", f"{place}: {error.strerror}", f"{place} cannot be used", "set TMPDIR")
            continue
        little = free < LEAST_DISK
        what, mend = (f"{place} is nearly full", "make room") if little else (None, None)
        yield Finding("host", name, "missing" if little else "ok", f"{free / GIB:.1f} GiB free in {place}", what, mend)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        what = f"run, search, fleet and convert need Keras on TensorFlow, and KERAS_BACKEND is {backend}"
        yield Finding("host", "KERAS_BACKEND", "error", backend, what, "unset KERAS_BACKEND")


def _cpu(flags: set[str] | None) -> Finding:
    """Whether TensorFlow's wheels start here: on x86-64 they are built with AVX, and end at once where it is missing."""
    if platform.machine().lower() not in ("x86_64", "amd64") or flags is None:
        return Finding("host", "CPU", "ok", platform.machine())
    has = [name for name in ("avx", "avx2", "fma", "avx512f") if name in flags]
    if "avx" in flags:
        return Finding("host", "CPU", "ok", ", ".join(has))
    what = "TensorFlow ends with 'Illegal instruction', as the CPU has no AVX"
    return Finding(
        "host", "CPU", "error", "no AVX", what, "take another machine; of a virtual one, pass the host's CPU through"
    )


def _cpu_flags() -> set[str] | None:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return set(found[1].split()) if found else None


def memory_bytes() -> int | None:
    """Memory that is to be had: what the system has free, or what a container may still take; None where nothing says it."""
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    free = int(found[1]) * 1024 if found else None
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text().strip() for name in ("max", "current"))
    except OSError:
        return free
    if not limit.isdecimal():
        return free
    rest = max(0, int(limit) - int(used))
    return rest if free is None else min(free, rest)


def _imported(module: str) -> Finding:
    """Whether a module can be imported, found out by a Python of its own, which may be killed by it."""
    environment: Mapping[str, str] = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(
        [sys.executable, "-c", f"import {module}"], capture_output=True, text=True, env=environment, check=False
    )
    if run.returncode == 0:
        return Finding("import", module, "ok", "can be imported")
    last = (run.stderr.strip().splitlines() or ["no message"])[-1].strip()
    said = f"killed by signal {-run.returncode}" if run.returncode < 0 else last
    package = next((name for name, each in MODULES.items() if each == module.split(".")[0]), module.split(".")[0])
    mend = f"pip install --force-reinstall {package}"
    return Finding("import", module, "error", said, f"import {module} fails: {said}", mend)
