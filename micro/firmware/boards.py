"""The boards that a project can be made for, and where its files go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Board:
    """Templates of a board by the path that each is written to; `sources` is the folder of the emitted files.

    Paths may name the firmware as {name}. With TFLite Micro `tflm` are the templates, where they differ. `cpp` is what names of
    C++ files end in.
    """

    title: str
    sources: str
    templates: dict[str, str]
    tflm: dict[str, str] | None = None
    cpp: str = ".cc"

    def files(self, runtime: str) -> dict[str, str]:
        """Templates of a runtime, by path."""
        return self.tflm if runtime == "tflm" and self.tflm is not None else self.templates


@dataclass(frozen=True)
class Machine:
    """A Cortex-M that QEMU emulates: compiler flags, QEMU's name, where flash and RAM lie."""

    core: str
    title: str
    flags: str
    qemu: str
    flash: int
    flash_size: str
    ram: int
    ram_size: str


MACHINES = (
    Machine("m0", "Cortex-M0, micro:bit", "-mcpu=cortex-m0 -mthumb", "microbit", 0, "256K", 0x20000000, "16K"),
    Machine(
        "m4f",
        "Cortex-M4F, MPS2 AN386",
        "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard",
        "mps2-an386",
        0,
        "4M",
        0x20000000,
        "4M",
    ),
    Machine(
        "m33",
        "Cortex-M33, MPS2 AN505",
        "-mcpu=cortex-m33 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard",
        "mps2-an505",
        0x10000000,
        "4M",
        0x38000000,
        "2M",
    ),
)

# What a program needs of the bare Cortex-M board, besides its own main.
BARE = {name: f"bare-cortex-m/{name}.j2" for name in ("startup.c", "console.c", "console.h", "ticks.h")}

BOARDS = {
    "bare-cortex-m": Board(
        "a bare Cortex-M",
        "src",
        {
            "Makefile": "bare-cortex-m/Makefile.j2",
            "README.md": "bare-cortex-m/README.md.j2",
            **{f"board/{file}": template for file, template in BARE.items()},
            "board/main.c": "bare-cortex-m/main.c.j2",
            "board/replay.c": "bare-cortex-m/replay.c.j2",
            **{f"board/link_{machine.core}.ld": "bare-cortex-m/link.ld.j2" for machine in MACHINES},
        },
    ),
    "cmake": Board(
        "CMake",
        "src",
        {"CMakeLists.txt": "cmake/CMakeLists.txt.j2", "README.md": "cmake/README.md.j2", "main.c": "cmake/main.c.j2"},
    ),
    "esp-idf": Board(
        "ESP-IDF",
        "main/src",
        {
            "CMakeLists.txt": "esp-idf/CMakeLists.txt.j2",
            "README.md": "esp-idf/README.md.j2",
            "main/CMakeLists.txt": "esp-idf/main_CMakeLists.txt.j2",
            "main/idf_component.yml": "esp-idf/idf_component.yml.j2",
            "main/main.c": "esp-idf/main.c.j2",
            "sdkconfig.defaults": "esp-idf/sdkconfig.defaults.j2",
        },
    ),
    "arduino": Board(
        "Arduino",
        "{name}",
        {
            "README.md": "arduino/README.md.j2",
            "{name}/{name}.ino": "arduino/sketch.ino.j2",
            "{name}/sketch.yaml": "arduino/sketch.yaml.j2",
        },
        # Cores before 2024 compile no .cc beside a sketch.
        cpp=".cpp",
    ),
    "zephyr": Board(
        "Zephyr",
        "src",
        {
            "CMakeLists.txt": "zephyr/CMakeLists.txt.j2",
            "Kconfig": "zephyr/Kconfig.j2",
            "README.md": "zephyr/README.md.j2",
            "prj.conf": "zephyr/prj.conf.j2",
            "src/main.c": "zephyr/main.c.j2",
        },
    ),
    "platformio": Board(
        "PlatformIO",
        "src",
        {
            "README.md": "platformio/README.md.j2",
            "platformio.ini": "platformio/platformio.ini.j2",
            "src/main.cpp": "platformio/main.cpp.j2",
        },
        # TFLite Micro is an ESP-IDF component: the same program as the board esp-idf, built by PlatformIO.
        tflm={
            "README.md": "platformio/README.md.j2",
            "platformio.ini": "platformio/platformio.ini.j2",
            "CMakeLists.txt": "esp-idf/CMakeLists.txt.j2",
            "sdkconfig.defaults": "esp-idf/sdkconfig.defaults.j2",
            "src/CMakeLists.txt": "esp-idf/main_CMakeLists.txt.j2",
            "src/idf_component.yml": "esp-idf/idf_component.yml.j2",
            "src/main.c": "esp-idf/main.c.j2",
        },
    ),
}
