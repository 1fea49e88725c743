"""How a program for a core without an operating system is built and run: compiler, C library, emulator, start-up code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """What the cores of an instruction set share.

    Attributes:
        title: As messages name it.
        prefix: Of the names of GCC's tools.
        compiling: GCC's options that find the headers of its C library.
        linking: Those with which a program is linked.
        clang: Clang's name of the target; None where it has no such target.
        emulator: QEMU's program.
        shift: The power of 2 of nanoseconds that an instruction takes in the emulator; the clock that `ticks.h` reads follows.
        files: Templates of what every program needs besides its own main, by name.
        packages: Debian's, of compiler, C library and emulator.
    """

    title: str
    prefix: str
    compiling: tuple[str, ...]
    linking: tuple[str, ...]
    clang: str | None
    emulator: str
    shift: int
    files: dict[str, str]
    packages: str


def _files(folder: str, *more: str) -> dict[str, str]:
    own = {name: f"{folder}/{name}.j2" for name in ("startup.c", "console.c", "ticks.h", *more)}
    return {**own, "console.h": "bare-cortex-m/console.h.j2"}


CORTEX_M = Architecture(
    "Cortex-M",
    "arm-none-eabi-",
    (),
    ("--specs=nano.specs", "--specs=nosys.specs"),
    "arm-none-eabi",
    "qemu-system-arm",
    0,
    _files("bare-cortex-m"),
    "gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm",
)
RISC_V = Architecture(
    "RISC-V",
    "riscv64-unknown-elf-",
    ("--specs=picolibc.specs",),
    (),
    "riscv32-unknown-elf",
    "qemu-system-riscv32",
    0,
    _files("bare-risc-v"),
    "gcc-riscv64-unknown-elf, picolibc-riscv64-unknown-elf and qemu-system-misc",
)
XTENSA = Architecture(
    "Xtensa",
    "xtensa-lx106-elf-",
    ("--specs=/usr/lib/xtensa-lx106-elf/picolibc.specs",),
    (),
    None,
    "qemu-system-xtensa",
    5,
    _files("bare-xtensa", "arithmetic.c"),
    "gcc-xtensa-lx106, picolibc-xtensa-lx106-elf and qemu-system-misc",
)
