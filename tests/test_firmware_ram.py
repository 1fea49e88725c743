"""RAM of firmware around its model, as stated, against what a compiler makes of the emitted C."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from emitted_c import firmwares, frames_of, texts, written

from micro.emission.ram import ram_of_predictor
from micro.firmware.project import project_files
from micro.firmware.text_project import text_project_files
from micro.program.size import Model, program_of
from micro.runs.firmware_ram import ram_of

GCC = "arm-none-eabi-gcc"
ARCH = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
needs_compiler = pytest.mark.skipif(shutil.which(GCC) is None, reason=f"needs {GCC}")


# The rest, which is laid out alike, at night.
QUICK = ("learns_fixed", "filtered", "filtered_frames", "joined", "severe")
NAMES = [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in firmwares()]


@needs_compiler
@pytest.mark.parametrize("name", NAMES)
def test_ram_is_what_a_compiler_and_a_linker_make_of_the_project(name, tmp_path):
    """Exact for structs and arrays, and with the model's own never more than the whole program takes."""
    firmware = firmwares()[name]
    image = {"image_size": (4, 5)} if name == "picture" else {}
    files = project_files(firmware, frames_of(firmware.front_end), "pump", "bare-cortex-m", "static", **image)
    folder = written(files, tmp_path)
    stated, declared = ram_of(firmware), _declared(folder / "src")
    assert 0.98 * declared <= stated <= declared
    assert stated + program_of(Model.read(firmware.deployed), "static").ram <= _linked(folder)


@needs_compiler
@pytest.mark.parametrize("name", texts())
def test_ram_of_a_predictor_is_no_more_than_its_program_takes(name, tmp_path):
    firmware, examples = texts()[name]
    folder = written(text_project_files(firmware, examples, "pump", "bare-cortex-m", "static"), tmp_path)
    stated = ram_of_predictor(firmware.predictor) + program_of(Model.read(firmware.tflite), "static").ram
    # What it prints and compares is the application's.
    assert stated <= _linked(folder) < stated + 80


def _linked(folder):
    """.data and .bss of the whole program."""
    (folder / "src" / "probe.c").unlink(missing_ok=True)
    subprocess.run(["make", "-s", "CORE=m4f"], cwd=folder, check=True, capture_output=True)
    found = subprocess.run(
        ["arm-none-eabi-size", "build/m4f/pump.elf"], cwd=folder, check=True, capture_output=True, text=True
    )
    _, data, bss, *_ = found.stdout.splitlines()[-1].split()
    return int(data) + int(bss)


STAGES = ("commissioning", "detector", "recognizer", "labeler", "estimator")
# Of static arrays these are the model's inputs and outputs, or no part of an application that has no record.
NOT_AROUND = ("features", "outputs", "slot_bytes", "of_record")


def _declared(sources):
    """Bytes of the application's structs and of the front ends' and the last stage's static arrays."""
    stage = next(each for each in STAGES if (sources / f"pump_{each}.h").is_file())
    parts = [each for each in (stage, "vibration", "diagnosis") if (sources / f"pump_{each}.h").is_file()]
    probe = "".join(f'#include "pump_{part}.h"\nchar {part}_size[sizeof(pump_{part})];\n' for part in parts)
    (sources / "probe.c").write_text(probe)
    files = ["probe.c", *sorted(each.name for each in sources.glob("*front_end.c")), "pump_detector.c"]
    files = [each for each in files if (sources / each).is_file()]
    subprocess.run([GCC, *ARCH, "-O0", "-c", *files], cwd=sources, check=True)
    found = subprocess.run(
        ["arm-none-eabi-nm", "-S", *(each.replace(".c", ".o") for each in files)],
        cwd=sources, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    sizes = re.findall(r"^\w+ (\w+) [bBdDcC] ([a-z_]+)", found, re.MULTILINE)
    size = sum(int(each, 16) for each, name in sizes if name not in NOT_AROUND)
    inputs = [int(each, 16) for each, name in sizes if name == "inputs"]
    return size + sum(int(each, 16) for each, name in sizes if name == "features" and inputs) - sum(inputs)
