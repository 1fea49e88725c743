"""What every file of a firmware project holds: its license, and a comment on each public name."""

import shutil
import subprocess
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from emitted_c import RAW, detector, firmwares, frames_of, texts, written
from support import WARNINGS

from micro.firmware.benchmark import new_benchmark
from micro.firmware.boards import BOARDS
from micro.firmware.project import project_files
from micro.firmware.text_project import text_project_files

LICENSE = "SPDX-License-Identifier: 0BSD"
# Files that say nothing of their license: prose, and files that a development environment writes again.
UNLICENSED = ("README.md", ".project", ".cproject")


@pytest.fixture(scope="module")
def made():
    """Projects by what they are: each board with each runtime, and texts."""
    firmware = firmwares()["residual_raw"]
    text = texts()["text"]
    frames = frames_of(firmware.front_end)
    projects = {(board, "static"): project_files(firmware, frames, "pump", board, "static") for board in BOARDS}
    # TFLite Micro's files differ on two boards, text's on one.
    projects |= {
        (board, "tflm"): project_files(firmware, frames, "pump", board, "tflm")
        for board in ("arduino", "platformio", "stm32cubeide")
    }
    return projects | {
        (board, "text"): text_project_files(*text, "keys", board, "static") for board in ("bare-cortex-m", "files")
    }


@pytest.mark.parametrize("kind", ["picture", "joined", "orders", "modes"])
def test_a_readme_names_the_examples_that_are_there_and_no_others(kind):
    own = {"picture": "cameras", "joined": "examples", "modes": "tachometers"}.get(kind)
    known = {name for board in BOARDS.values() for name in (*board.examples, *board.cameras, *board.tachometers)}
    firmware = firmwares()[kind]
    frames = frames_of(firmware.front_end)
    for name in ("esp-idf", "platformio", "zephyr", "files"):
        board = BOARDS[name]
        files = project_files(
            firmware, frames, "pump", name, "static", image_size=(4, 5) if kind == "picture" else None
        )
        there = {path.removeprefix("examples/") for path in files if path.startswith("examples/")}
        assert there == set(getattr(board, own) if own else ())
        readme = files["README.md"].decode()
        assert {each for each in known if f"`{each}`" in readme} == there
        assert ("`examples/`" in readme) == bool(there)
        assert (" to be filled in there" in readme) == bool(kind == "joined" and there)


def test_every_emitted_file_says_its_license_once_at_the_top(made, tmp_path):
    benchmark = new_benchmark(firmwares()["picture"].tflite, tmp_path / "p", task="kws01")
    files = {str(path): path.read_bytes() for path in benchmark}
    for project in made.values():
        files = files | project
        for path, content in project.items():
            text = content.decode()
            assert text.count("SPDX") == (0 if path.endswith(UNLICENSED) else 1), path
            assert path.endswith(UNLICENSED) or LICENSE in text.splitlines()[0], path
    kinds = {path.rsplit("/", 1)[-1] for path in files}
    assert {
        "Makefile",
        "CMakeLists.txt",
        "Kconfig",
        "link_m0.ld",
        "pump.ino",
        "platformio.ini",
        "pump_infer_tflm.cc",
    } <= kinds
    assert all(LICENSE in content.decode() or path.endswith(UNLICENSED) for path, content in files.items())


def test_the_ide_s_project_is_well_formed_and_its_c_compiles_for_arm(made, tmp_path):
    for runtime in ("static", "tflm"):
        files = made["stm32cubeide", runtime]
        root = ElementTree.fromstring(files[".project"])
        assert root.findtext("name") == "pump"
        settings = ElementTree.fromstring(files[".cproject"])
        kept = {option.get("superClass", "").rpartition(".option.")[2]: option for option in settings.iter("option")}
        assert kept["otherflags"].find("listOptionValue").get("value") == "-ffp-contract=off"
        ids = [
            element.get("id")
            for element in settings.iter()
            if element.tag in ("option", "tool", "toolChain", "builder")
        ]
        assert len(ids) == len(set(ids))
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    written(made["stm32cubeide", "static"], tmp_path)
    sources = sorted(path.name for path in (tmp_path / "Core" / "Src").glob("*.c"))
    assert "main.c" in sources
    command = ["arm-none-eabi-gcc", *WARNINGS, "-mcpu=cortex-m4", "-mthumb", "-fsyntax-only", *sources]
    subprocess.run(command, cwd=tmp_path / "Core" / "Src", check=True)


def test_the_three_calls_of_files_to_drop_in_compile_as_the_readme_has_them(made, tmp_path):
    for key, before in (
        (("files", "static"), "pump_sample sample[PUMP_CHANNELS] = {0};"),
        (("files", "text"), "uint32_t character = 'a';"),
    ):
        folder = written(made[key], tmp_path / key[1])
        assert sorted({path.parent.name for path in folder.rglob("*.[ch]")}) == ["src"]
        code = (folder / "README.md").read_text().split("```c\n")[1].split("```")[0]
        includes, _, body = code.partition("\n\n")
        declared, _, calls = body.partition("\n\n")
        program = f"{includes}\n{declared}\nint main(void) {{\n{before}\n{calls}\n(void)0;\n}}\n"
        (folder / "src" / "mine.c").write_text(
            program.replace("for (;;)", "for (int n = 0; n < 100; ++n)").replace("= {0};", "= {0};")
        )
        kept = [
            str(path) for path in (folder / "src").glob("*.c") if path.stem not in ("app", "sensor", "sample_queue")
        ]
        subprocess.run(["gcc", "-std=c99", *kept, "-Isrc", "-lm", "-o", "mine"], cwd=folder, check=True)
        assert subprocess.run([folder / "mine"]).returncode == 0


# As the platforms' headers declare what the examples call: Zephyr 3 and 4, ESP-IDF 5, Arduino.
DECLARED = {
    "zephyr/device.h": """
#include <stdbool.h>
#include <stddef.h>
struct device { const char *name; };
bool device_is_ready(const struct device *dev);
extern const struct device lis2dh;
#define DEVICE_DT_GET_ANY(compat) (&lis2dh)
""",
    "zephyr/drivers/sensor.h": """
#include <stdint.h>
#include <zephyr/device.h>
struct sensor_value { int32_t val1; int32_t val2; };
enum sensor_channel { SENSOR_CHAN_ACCEL_XYZ = 3 };
enum sensor_trigger_type { SENSOR_TRIG_TIMER, SENSOR_TRIG_DATA_READY };
enum sensor_attribute { SENSOR_ATTR_SAMPLING_FREQUENCY };
struct sensor_trigger { enum sensor_trigger_type type; enum sensor_channel chan; };
typedef void (*sensor_trigger_handler_t)(const struct device *dev, const struct sensor_trigger *trigger);
int sensor_sample_fetch(const struct device *dev);
int sensor_channel_get(const struct device *dev, enum sensor_channel chan, struct sensor_value *val);
int sensor_attr_set(const struct device *dev, enum sensor_channel chan, enum sensor_attribute attr,
                    const struct sensor_value *val);
int sensor_trigger_set(const struct device *dev, const struct sensor_trigger *trig, sensor_trigger_handler_t handler);
double sensor_value_to_double(const struct sensor_value *val);
""",
    "driver/i2s_pdm.h": """
#include <stddef.h>
#include <stdint.h>
typedef int esp_err_t;
#define ESP_OK 0
typedef struct i2s_channel_obj_t *i2s_chan_handle_t;
typedef enum { I2S_NUM_0 } i2s_port_t;
typedef enum { I2S_ROLE_MASTER } i2s_role_t;
typedef struct { i2s_port_t id; i2s_role_t role; } i2s_chan_config_t;
#define I2S_CHANNEL_DEFAULT_CONFIG(i2s_num, i2s_role) { .id = i2s_num, .role = i2s_role }
typedef enum { I2S_DATA_BIT_WIDTH_16BIT = 16 } i2s_data_bit_width_t;
typedef enum { I2S_SLOT_MODE_MONO = 1 } i2s_slot_mode_t;
typedef struct { i2s_data_bit_width_t data_bit_width; i2s_slot_mode_t slot_mode; } i2s_pdm_rx_slot_config_t;
typedef struct { uint32_t sample_rate_hz; } i2s_pdm_rx_clk_config_t;
typedef int gpio_num_t;
typedef struct { gpio_num_t clk; gpio_num_t din; struct { uint32_t clk_inv : 1; } invert_flags; } i2s_pdm_rx_gpio_config_t;
typedef struct {
  i2s_pdm_rx_clk_config_t clk_cfg; i2s_pdm_rx_slot_config_t slot_cfg; i2s_pdm_rx_gpio_config_t gpio_cfg;
} i2s_pdm_rx_config_t;
#define I2S_PDM_RX_CLK_DEFAULT_CONFIG(rate) { .sample_rate_hz = rate }
#define I2S_PDM_RX_SLOT_DEFAULT_CONFIG(bits, mode) { .data_bit_width = bits, .slot_mode = mode }
esp_err_t i2s_new_channel(const i2s_chan_config_t *config, i2s_chan_handle_t *tx, i2s_chan_handle_t *rx);
esp_err_t i2s_channel_init_pdm_rx_mode(i2s_chan_handle_t handle, const i2s_pdm_rx_config_t *config);
esp_err_t i2s_channel_enable(i2s_chan_handle_t handle);
esp_err_t i2s_channel_read(i2s_chan_handle_t handle, void *dest, size_t size, size_t *bytes_read, uint32_t timeout_ms);
""",
    "freertos/FreeRTOS.h": "#define pdPASS 1\ntypedef int BaseType_t;\ntypedef unsigned UBaseType_t;\n",
    "freertos/task.h": """
#include <stdint.h>
typedef void (*TaskFunction_t)(void *);
typedef void *TaskHandle_t;
BaseType_t xTaskCreate(TaskFunction_t code, const char *name, uint32_t depth, void *parameters, UBaseType_t priority,
                       TaskHandle_t *created);
""",
    "Arduino.h": """
int analogRead(int pin);
unsigned long micros(void);
enum { A0 = 14, A1, A2, TIM2 = 2, HERTZ_FORMAT = 1 };
struct HardwareTimer {
  explicit HardwareTimer(int) {}
  void setOverflow(unsigned, int) {}
  void attachInterrupt(void (*)()) {}
  void resume() {}
};
""",
}


@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_example_sensors_compile_against_what_platforms_declare(tmp_path, arithmetic):
    written({path: f"#pragma once\n{text}".encode() for path, text in DECLARED.items()}, tmp_path / "platform")
    own = {"float32": RAW, "fixed": replace(RAW, arithmetic="fixed", full_scale=8.0, detrend="none")}[arithmetic]
    for board, example, queue in (
        ("zephyr", "sensor_zephyr_accelerometer.c", "64"),
        ("esp-idf", "sensor_esp_microphone.c", "128"),
        ("arduino", "sensor_arduino_analog.cpp", "0"),
        ("platformio", "sensor_arduino_analog.cpp", "64"),
    ):
        front_end = replace(own, channels=1) if "microphone" in example else own
        firmware = detector(front_end, "distance")
        files = project_files(firmware, frames_of(front_end), "pump", board, "static")
        folder = written(files, tmp_path / board)
        headers = next(folder.rglob("sensor.h")).parent
        flags = [flag for flag in WARNINGS if flag != "-std=c99"]
        flags += ["-std=c++17", "-DARDUINO_ARCH_STM32"] if example.endswith("cpp") else ["-std=gnu11"]
        compiler = "g++" if example.endswith("cpp") else "gcc"
        command = [
            compiler,
            *flags,
            f"-DSENSOR_QUEUE={queue}",
            f"-I{headers}",
            f"-I{tmp_path / 'platform'}",
            "-c",
            example,
        ]
        subprocess.run([*command, "-o", "sensor.o"], cwd=folder / "examples", check=True)
        assert f"`{example}`" in (folder / "README.md").read_text()


def test_example_sensors_give_as_many_values_as_the_devices_own_sensor_has():
    """The program reads so many of what they push: fewer would be read past the end."""
    own = replace(detector(RAW, "distance"), sensor_channels=3)
    for firmware, given, other, pins in (
        (own, "PUMP_SENSOR_CHANNELS", "PUMP_CHANNELS", "{A0, A1, A2}"),
        (replace(own, sensor_channels=None), "PUMP_CHANNELS", "PUMP_SENSOR_CHANNELS", "{A0, A1}"),
    ):
        for board in ("zephyr", "esp-idf", "platformio"):
            files = project_files(firmware, frames_of(RAW), "pump", board, "static")
            examples = {path: content.decode() for path, content in files.items() if path.startswith("examples/sensor")}
            assert examples
            for path, text in examples.items():
                assert given in text
                assert other not in text
                assert pins in text or "arduino" not in path
