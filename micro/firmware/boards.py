"""The boards that a firmware project can be made for. A new one is an entry in BOARDS; CONTRIBUTING.md walks through it."""

from __future__ import annotations

from dataclasses import dataclass

from micro.firmware.architectures import CORTEX_M, RISC_V, XTENSA, Architecture
from micro.firmware.packages import ARDUINO, ESPRESSIF, OWN_BUILD, SOURCES, ZEPHYR, TflmPackage


@dataclass(frozen=True)
class Board:
    """A board, or a build system, that a firmware project can be made for.

    Attributes:
        title: As READMEs name it.
        sources: Folder of the emitted C, of app.c and of sensor.c inside the project.
        package: TFLite Micro as the platform ships it.
        templates: Template of each further file of the project, by the file's path; `{name}` in paths is the firmware's name.
        tflm: The same with TFLite Micro as runtime, where the files differ.
        cpp: Ending of the names of C++ files.
        examples: Templates of sensors that are read by the platform's own drivers, which go to examples/ and are not compiled.
        cameras: The same of cameras, for models of pictures.
        tachometers: The same of tachometers, which sensors of a shaft call.
        faster: Where the speed of the serial port is set, for READMEs of what prints much.
    """

    title: str
    sources: str
    package: TflmPackage
    templates: dict[str, str]
    tflm: dict[str, str] | None = None
    cpp: str = ".cc"
    examples: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    tachometers: tuple[str, ...] = ()
    faster: str = "where your UART is set up"

    def files(self, runtime: str) -> dict[str, str]:
        """Templates of a runtime, by path."""
        return self.tflm if runtime == "tflm" and self.tflm is not None else self.templates


@dataclass(frozen=True)
class Machine:
    """A core that QEMU emulates: compiler flags, QEMU's name for the machine, addresses and sizes of flash and RAM.

    `qemu` holds the machine's further options too.
    """

    core: str
    title: str
    flags: str
    qemu: str
    flash: int
    flash_size: str
    ram: int
    ram_size: str
    architecture: Architecture = CORTEX_M


# What templates are given of the last stage of an application, for a program that belongs to no run.
# `values` ends the macro that counts the values of a window where there are several, and is empty where there is one.
PLAIN_STAGE: dict[str, object] = {
    "modes": None,
    "off": False,
    "tachometer": None,
    "sensor_channels": None,
    "stage": "detector",
    "monitored": True,
    "summarizes": False,
    "predicts": False,
    "learns": False,
    "several": [],
    "values": "",
    "headers": [],
    "vibration": None,
    "diagnosis": None,
    "hops": False,
    "forward": None,
    "exchangeable": False,
}

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
    Machine(
        "m55",
        "Cortex-M55, MPS3 AN547",
        "-mcpu=cortex-m55 -mthumb -mfloat-abi=hard",
        "mps3-an547",
        0x10000000,
        "512K",
        0x31000000,
        "4M",
    ),
)

CORES = tuple(machine.core for machine in MACHINES)
# Those that a program runs on where none are named.
USUAL_CORES = ("m0", "m4f", "m33")

# Cores of other instruction sets. Both machines have RAM only; the first half stands for flash.
OTHER_MACHINES = (
    Machine(
        "rv32imc",
        "RISC-V RV32IMC, QEMU's virt",
        "-march=rv32imc -mabi=ilp32",
        "virt -bios none",
        0x80000000,
        "8M",
        0x80800000,
        "8M",
        RISC_V,
    ),
    Machine(
        "lx106",
        "Xtensa LX106, QEMU's sim",
        "-mtext-section-literals",
        "sim -cpu lx106 -m 32M",
        0x50000000,
        "8M",
        0x60000000,
        "8M",
        XTENSA,
    ),
)

# What every program for the bare Cortex-M needs besides its own main.
BARE = CORTEX_M.files

BOARDS = {
    "bare-cortex-m": Board(
        "a bare Cortex-M",
        "src",
        SOURCES,
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
        SOURCES,
        {"CMakeLists.txt": "cmake/CMakeLists.txt.j2", "README.md": "cmake/README.md.j2", "main.c": "cmake/main.c.j2"},
    ),
    "esp-idf": Board(
        "ESP-IDF",
        "main/src",
        ESPRESSIF,
        {
            "CMakeLists.txt": "esp-idf/CMakeLists.txt.j2",
            "README.md": "esp-idf/README.md.j2",
            "main/CMakeLists.txt": "esp-idf/main_CMakeLists.txt.j2",
            "main/idf_component.yml": "esp-idf/idf_component.yml.j2",
            "main/main.c": "esp-idf/main.c.j2",
            "sdkconfig.defaults": "esp-idf/sdkconfig.defaults.j2",
        },
        examples=("sensor_esp_microphone.c",),
        cameras=("sensor_esp_camera.c",),
        faster="with CONFIG_ESP_CONSOLE_UART_CUSTOM=y and CONFIG_ESP_CONSOLE_UART_BAUDRATE in `sdkconfig.defaults`",
    ),
    "arduino": Board(
        "Arduino",
        "{name}",
        ARDUINO,
        {
            "README.md": "arduino/README.md.j2",
            "{name}/{name}.ino": "arduino/sketch.ino.j2",
            "{name}/sketch.yaml": "arduino/sketch.yaml.j2",
        },
        # Arduino cores from before 2024 do not compile .cc files of a sketch.
        cpp=".cpp",
        examples=("sensor_arduino_analog.cpp",),
        faster="in `Serial.begin` of the sketch, where the port is a UART",
    ),
    "zephyr": Board(
        "Zephyr",
        "src",
        ZEPHYR,
        {
            "CMakeLists.txt": "zephyr/CMakeLists.txt.j2",
            "Kconfig": "zephyr/Kconfig.j2",
            "README.md": "zephyr/README.md.j2",
            "prj.conf": "zephyr/prj.conf.j2",
            "src/main.c": "zephyr/main.c.j2",
        },
        examples=("sensor_zephyr_accelerometer.c", "accelerometer.overlay"),
        tachometers=("sensor_zephyr_tachometer.c",),
        faster="with `current-speed` of the console's UART in an overlay",
    ),
    "platformio": Board(
        "PlatformIO",
        "src",
        ESPRESSIF,
        {
            "README.md": "platformio/README.md.j2",
            "platformio.ini": "platformio/platformio.ini.j2",
            "src/main.cpp": "platformio/main.cpp.j2",
        },
        # TFLite Micro is an ESP-IDF component, so this is the program of esp-idf, built by PlatformIO.
        tflm={
            "README.md": "platformio/README.md.j2",
            "platformio.ini": "platformio/platformio.ini.j2",
            "CMakeLists.txt": "esp-idf/CMakeLists.txt.j2",
            "sdkconfig.defaults": "esp-idf/sdkconfig.defaults.j2",
            "src/CMakeLists.txt": "esp-idf/main_CMakeLists.txt.j2",
            "src/idf_component.yml": "esp-idf/idf_component.yml.j2",
            "src/main.c": "esp-idf/main.c.j2",
        },
        examples=("sensor_arduino_analog.cpp", "sensor_esp_microphone.c"),
        cameras=("sensor_esp_camera.c",),
        faster="in `Serial.begin` of `src/main.cpp`, or with TFLite Micro as ESP-IDF has it",
    ),
    "stm32cubeide": Board(
        "STM32CubeIDE",
        "Core/Src",
        OWN_BUILD,
        {
            ".cproject": "stm32cubeide/cproject.xml.j2",
            ".project": "stm32cubeide/project.xml.j2",
            "Core/Src/main.c": "stm32cubeide/main.c.j2",
            "README.md": "stm32cubeide/README.md.j2",
        },
        faster="in CubeMX, of the UART that `__io_putchar` sends by",
    ),
    "files": Board("a project of your own", "src", OWN_BUILD, {"README.md": "files/README.md.j2"}),
}
