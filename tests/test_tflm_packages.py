"""TFLite Micro as platforms ship it: projects name what there is, and are built against its headers where these are at hand.

KERAS_KD_TFLM names a folder that holds the packages' sources, each under the name of its GitHub repository (tflite-micro,
esp-tflite-micro, Chirale_TensorFlowLite; Zephyr's under zephyr-tflite-micro). Where it is not set, a stand-in written by us
holds what the table of packages says.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from int8_graphs import random_graph

from micro.emission.resolver import IRREGULAR, REGULAR, resolver_method
from micro.errors import ConversionError
from micro.firmware import new_benchmark, new_firmware
from micro.firmware.boards import BOARDS as LAYOUTS
from micro.firmware.packages import ARDUINO, ESPRESSIF, SOURCES, ZEPHYR

BOARDS = sorted(LAYOUTS)
STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-fno-rtti", "-fno-exceptions", "-fno-threadsafe-statics")
# TfLiteTensor's members stand in another order with TF_LITE_STATIC_MEMORY than without.
STAND_IN = """
#pragma once
#include <stddef.h>
#include <stdint.h>
typedef enum { kTfLiteOk, kTfLiteError } TfLiteStatus;
typedef enum { kTfLiteInt8 = 9 } TfLiteType;
typedef union { int8_t* int8; } TfLitePtrUnion;
#ifdef TF_LITE_STATIC_MEMORY
struct TfLiteTensor { TfLitePtrUnion data; size_t bytes; TfLiteType type; };
#else
struct TfLiteTensor { TfLiteType type; TfLitePtrUnion data; const char* name; size_t bytes; };
#endif
#if MEMORY_MUST_BE_STATIC && !defined(TF_LITE_STATIC_MEMORY)
#error "the library is built with TF_LITE_STATIC_MEMORY, its user is not"
#endif
#if !MEMORY_MUST_BE_STATIC && defined(TF_LITE_STATIC_MEMORY)
#error "the library is built without TF_LITE_STATIC_MEMORY, its user with it"
#endif
#define TFLITE_SCHEMA_VERSION 3
namespace tflite {
struct Model { uint32_t version() const { return 3; } };
inline const Model* GetModel(const void* bytes) { return static_cast<const Model*>(bytes); }
struct MicroOpResolver { virtual ~MicroOpResolver() {} };
template <unsigned int n> class MicroMutableOpResolver : public MicroOpResolver { public: METHODS };
struct Further;
class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t*, size_t ARGUMENTS);
  ~MicroInterpreter();
  TfLiteStatus AllocateTensors();
  TfLiteTensor* input(size_t);
  TfLiteTensor* output(size_t);
  TfLiteStatus Invoke();
};
}
"""
FOLDERS = {ZEPHYR.source: "zephyr-tflite-micro"}


def sources_of(package):
    """A package's sources; the test is skipped where they are not at hand."""
    sources = os.environ.get("KERAS_KD_TFLM")
    if not sources:
        pytest.skip(f"KERAS_KD_TFLM is not set: no sources of {package.source} to build against")
    folder = Path(sources) / FOLDERS.get(package.source, package.source.split("/")[1])
    if not folder.is_dir():
        pytest.skip(f"no {folder}: {package.source} at {package.revision[:7]}")
    return folder


def header(package, folder, name):
    return (folder / package.headers[0] / "tensorflow/lite/micro" / name).read_text()


@pytest.fixture(scope="module")
def projects(rig_run, tmp_path_factory):
    """A project with TFLite Micro for each board."""
    made = {board: tmp_path_factory.mktemp("tflm") / board for board in BOARDS}
    for board, folder in made.items():
        new_firmware(rig_run, folder, board, runtime="tflm", windows=2)
    return made


def cpp_of(folder):
    return [path for path in folder.rglob("*") if path.suffix in (".cc", ".cpp")]


def memory(package):
    return ("-DTF_LITE_STATIC_MEMORY",) if package.static_memory != "none" else ()


def test_a_project_names_its_package_and_version(projects):
    named = {
        "arduino": "bearing/sketch.yaml",
        "esp-idf": "main/idf_component.yml",
        "platformio": "src/idf_component.yml",
    }
    for board, path in named.items():
        text = (projects[board] / path).read_text()
        assert LAYOUTS[board].package.name in text
        assert LAYOUTS[board].package.version in text
    everything = "".join(path.read_text() for board in BOARDS for path in projects[board].rglob("*") if path.is_file())
    assert "TensorFlowLite_ESP32" not in everything
    assert "2.4.0-ALPHA" not in everything


@pytest.mark.parametrize("board", BOARDS)
def test_who_defines_static_memory(projects, board):
    """Exactly the boards whose library has it without telling its users."""
    texts = [
        path.read_text()
        for path in projects[board].rglob("*")
        if path.is_file() and path.suffix in ("", ".txt", ".ini")
    ]
    defines = any(re.search(r"(-D|PRIVATE )TF_LITE_STATIC_MEMORY", text) for text in texts)
    assert defines == (LAYOUTS[board].package.static_memory == "project")


def compiled_against_stand_in(package, sources, folder):
    """Compile C++ against headers that hold what the table says of a package."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    methods = {resolver_method(op) for op in [*IRREGULAR, *REGULAR]} - package.lacks
    stand_in = STAND_IN.replace("METHODS", " ".join(f"TfLiteStatus {method}();" for method in sorted(methods)))
    stand_in = stand_in.replace("ARGUMENTS", ", Further*" * (package.arguments[0] - 4))
    stand_in = stand_in.replace("MEMORY_MUST_BE_STATIC", str(int(package.static_memory != "none")))
    for name in ("micro/micro_interpreter.h", "micro/micro_mutable_op_resolver.h", "schema/schema_generated.h"):
        path = folder / "tensorflow/lite" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('#include "tensorflow/lite/all.h"\n')
    (folder / "tensorflow/lite/all.h").write_text(stand_in)
    for source in sources:
        if "Arduino.h" not in source.read_text():
            command = ["g++", *STRICT, *memory(package), f"-I{folder}", "-fsyntax-only", source]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[:2000]


@pytest.mark.parametrize("board", BOARDS)
def test_it_compiles_against_what_the_table_says(projects, board, tmp_path):
    assert len(cpp_of(projects[board])) >= 2
    compiled_against_stand_in(LAYOUTS[board].package, cpp_of(projects[board]), tmp_path)


def test_a_device_of_the_benchmark_with_tflm_compiles_against_what_the_table_says(tmp_path):
    new_benchmark(random_graph(0), tmp_path / "dut", task="ic01", runtime="tflm")
    sources = [path for path in cpp_of(tmp_path / "dut") if path.parent.name == "src"]
    assert len(sources) >= 2
    compiled_against_stand_in(SOURCES, sources, tmp_path)
    done = subprocess.run(
        ["make", "CORE=m55", "TFLM_DIR=nowhere"], cwd=tmp_path / "dut", capture_output=True, text=True
    )
    assert "nowhere/gen/cortex_m_generic_cortex-m55_default_gcc/lib/libtensorflow-microlite.a is missing" in done.stderr


@pytest.mark.parametrize("board", BOARDS)
def test_the_table_is_what_the_package_s_headers_say(board):
    package = LAYOUTS[board].package
    folder = sources_of(package)
    declared = re.search(r"  MicroInterpreter\(([^)]*size_t[^)]*)\)", header(package, folder, "micro_interpreter.h"))[1]
    arguments = declared.split(",")
    assert (sum("=" not in one for one in arguments), len(arguments)) == package.arguments
    methods = set(re.findall(r"TfLiteStatus (Add\w+)\(", header(package, folder, "micro_mutable_op_resolver.h")))
    missing = {resolver_method(op) for op in [*IRREGULAR, *REGULAR]} - methods
    # Zephyr's manifest names a newer revision than the one that could be read.
    assert missing <= package.lacks | ({"AddDecode", "AddReduceMin", "AddReverseV2"} if package is ZEPHYR else set())
    assert package.lacks <= missing


@pytest.mark.parametrize("board", BOARDS)
def test_it_compiles_against_the_package_s_own_headers(projects, board):
    package = LAYOUTS[board].package
    folder = sources_of(package)
    include = [part for name in package.headers for part in ("-isystem", folder / name)]
    for source in cpp_of(projects[board]):
        command = ["g++", *STRICT, *memory(package), *include, "-fsyntax-only", source]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:2000]


def test_bare_cortex_m_with_tflm_passes_its_self_test_in_qemu(projects):
    """With TFLite Micro's own library. Without TF_LITE_STATIC_MEMORY it links in silence, and the self-test finds out."""
    folder = sources_of(SOURCES)
    library = folder / "gen/cortex_m_generic_cortex-m4+fp_default_gcc/lib/libtensorflow-microlite.a"
    tools = [tool for tool in ("arm-none-eabi-g++", "qemu-system-arm", "make") if shutil.which(tool) is None]
    if not library.is_file() or tools:
        pytest.skip(f"missing: {library}" if not tools else f"not installed: {', '.join(tools)}")
    make = ["make", "-s", "CORE=m4f", f"TFLM_DIR={folder}", "run"]
    done = subprocess.run(make, cwd=projects["bare-cortex-m"], capture_output=True, text=True)
    assert "self-test: pass" in done.stdout + done.stderr, done.stderr[-2000:]
    makefile = projects["bare-cortex-m"] / "Makefile"
    text = makefile.read_text()
    makefile.write_text(text.replace("-DTF_LITE_STATIC_MEMORY", "-UTF_LITE_STATIC_MEMORY"))
    subprocess.run(["make", "-s", "clean"], cwd=projects["bare-cortex-m"], check=True)
    done = subprocess.run(make, cwd=projects["bare-cortex-m"], capture_output=True, text=True)
    makefile.write_text(text)
    assert "self-test: FAIL" in done.stdout + done.stderr


def test_cmake_with_tflm_passes_its_self_test_on_the_host(projects):
    folder = sources_of(SOURCES)
    library = folder / f"gen/linux_{os.uname().machine}_default_gcc/lib/libtensorflow-microlite.a"
    if not library.is_file() or shutil.which("cmake") is None:
        pytest.skip(f"missing: {library}, or cmake")
    for command in (
        ["cmake", "-B", "b", f"-DTFLM_DIR={folder}"],
        ["cmake", "--build", "b"],
        ["ctest", "--test-dir", "b"],
    ):
        done = subprocess.run(command, cwd=projects["cmake"], capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    assert "100% tests passed" in done.stdout


@pytest.mark.parametrize(("board", "command"), [
    ("bare-cortex-m", ["make", "TFLM_DIR=nowhere"]),
    ("cmake", ["cmake", "-B", "without", "-DTFLM_DIR=/nowhere"]),
])  # fmt: skip
def test_a_missing_library_is_named_with_the_command_that_builds_it(projects, board, command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=projects[board], capture_output=True, text=True)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "nowhere" in said
    assert "tensorflow/lite/micro/tools/make/Makefile" in said
    assert "microlite" in said


def test_an_operator_that_a_package_lacks_is_named():
    ESPRESSIF.require(["AddReduceMin"], "esp-idf")
    with pytest.raises(
        ConversionError, match=rf"arduino: {ARDUINO.name} 2\.0\.0 has no ReduceMin; use runtime 'static'"
    ):
        ARDUINO.require(["AddConv2D", "AddReduceMin"], "arduino")


def test_platforms_get_what_they_need(projects, rig_run, tmp_path):
    """Zephyr's FPU only on boards that have one; ESP-IDF's stack and idle task; C++ files that an Arduino core compiles."""
    assert "CONFIG_FPU" not in (projects["zephyr"] / "prj.conf").read_text()
    assert "default y if CPU_HAS_FPU" in (projects["zephyr"] / "Kconfig").read_text()
    assert "CONFIG_REQUIRES_FULL_LIBCPP=y" in (projects["zephyr"] / "prj.conf").read_text()
    for board in ("esp-idf", "platformio"):
        defaults = (projects[board] / "sdkconfig.defaults").read_text()
        assert int(re.search(r"CONFIG_ESP_MAIN_TASK_STACK_SIZE=(\d+)", defaults)[1]) >= 8192
        (main,) = projects[board].rglob("main.c")
        assert "vTaskDelay(1)" in main.read_text()
    assert not list(projects["arduino"].rglob("*.cc"))
    sketch = (projects["arduino"] / "bearing/bearing.ino").read_text()
    assert sketch.index("Chirale_TensorFlowLite.h") < sketch.index("app.h")
    new_firmware(rig_run, tmp_path / "static", "arduino", windows=1)
    assert "Chirale" not in (tmp_path / "static/bearing/bearing.ino").read_text()
