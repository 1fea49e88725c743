"""RAM of firmware around its model, as stated, against what a compiler makes of the emitted C."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from emitted_c import firmwares, frames_of, texts, written
from support import invoke

from micro.config import BudgetConfig
from micro.emission.ram import ram_around, ram_of_predictor
from micro.firmware.project import project_files
from micro.firmware.text_project import text_project_files
from micro.program.placement import Use, place
from micro.program.size import Around, Model, program_of
from micro.runs.around_model import around_of, model_of_run
from micro.runs.budgets import exceeded
from micro.runs.finished import read_run
from micro.runs.firmware import load_firmware
from micro.targets.boards import board_of
from micro.targets.cores import core_of

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
    stated, declared = _stated(firmware), _declared(folder / "src")
    assert 0.98 * declared <= stated <= declared
    assert stated + program_of(Model.read(firmware.deployed), "static").ram <= _linked(folder)


@needs_compiler
@pytest.mark.parametrize("name", texts())
def test_ram_of_a_predictor_is_no_more_than_its_program_takes(name, tmp_path):
    firmware, examples = texts()[name]
    folder = written(text_project_files(firmware, examples, "pump", "bare-cortex-m", "static"), tmp_path)
    predictor = firmware.predictor
    around = ram_of_predictor(predictor.form, predictor.length, predictor.longest)
    stated = around + program_of(Model.read(firmware.tflite), "static").ram
    # What it prints and compares is the application's.
    assert stated <= _linked(folder) < stated + 80


def _stated(firmware):
    around, diagnosis = firmware.hops or firmware.front_end, firmware.diagnosis
    monitor = None if diagnosis is None else diagnosis.monitor
    return ram_around(around, firmware.decider, firmware.commissioning, firmware.vibration, monitor)


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


def test_a_run_is_never_said_to_fit_where_its_firmware_does_not(rig_run, tmp_path):
    """The window of samples is far larger than the model: check, boards, the budget and new-firmware count both."""
    around = _stated(load_firmware(rig_run))
    model = program_of(Model.read(rig_run / "student_int8.tflite"), "static").ram
    assert model < 1024 < 8192 < around
    for given, code in ((around + model, 0), (around + model - 1, 1)):
        done = invoke("check", rig_run, "--ram", given)
        assert done.exit_code == code, done.output
        assert f"{around + model:,} bytes" in done.stdout
        assert f"the model {model:,}" in done.stdout
    listed = json.loads(invoke("boards", rig_run, "--json").stdout)["boards"]
    assert {each["board_id"] for each in listed if each["fits"] and each["ram"] < around + model} == set()
    assert not next(each["fits"] for each in listed if each["board_id"] == "uno")
    written = invoke("new-firmware", rig_run, "--board", "cmake", "--chip", "ch32v003", "--out", tmp_path / "made")
    assert f"warning: ch32v003 is too small: RAM: {around + model:,} bytes" in written.stdout


def test_what_is_of_a_model_alone_is_said_to_be(rig_run):
    done = invoke("check", rig_run / "student_int8.tflite", "--ram", "2KiB")
    assert (done.exit_code, "the model's alone" in done.stdout) == (0, True)
    assert "the model's alone" in invoke("boards", rig_run / "student_int8.tflite", "--board", "pico").stdout


def test_what_was_counted_of_the_whole_program_takes_the_place_of_what_is_known_of_it(rig_run):
    model = replace(
        model_of_run(rig_run, *read_run(rig_run)),
        around=Around(9000, 8900, counted={"m4f": (20000, 12000), "m33": (1, 1)}),
    )
    sizes = {core: program_of(model, "static", core_of(core)) for core in ("m4f", "m7", "m3", "m33", "m0", "avr")}
    assert (sizes["m4f"].flash, sizes["m4f"].ram) == (sizes["m7"].flash, sizes["m7"].ram) == (20000, 12000)
    # Without an FPU a Cortex-M3 runs other code.
    assert sizes["m3"].counted is None
    # What was counted is no less than what is known to be there: a replay has no commissioning, for example.
    assert sizes["m33"].ram == sizes["m33"].model_ram + 9000
    assert sizes["m0"].ram == sizes["m0"].model_ram + 9000
    assert sizes["avr"].ram == sizes["avr"].model_ram + 8900
    assert not place(model, board_of("uno"), "static", Use()).fits
    # With TFLite Micro inputs and outputs are copied from and to arrays of the firmware.
    alone = program_of(replace(model, around=None), "tflm")
    assert program_of(model, "tflm").ram == alone.ram + sizes["m0"].buffers + 9000


def test_the_budget_of_a_run_counts_what_is_around_the_model(rig_run):
    report, config = read_run(rig_run)
    around = around_of(report, config)
    assert report.budget.fits
    model = replace(Model.read(rig_run / "student_int8.tflite"), around=around)
    (says,) = exceeded(config.budget.model_copy(update={"ram": "4KiB"}), model)
    assert says.startswith("ram: the firmware takes")
    assert exceeded(BudgetConfig(board="ch32v003"), model)
