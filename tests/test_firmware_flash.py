"""Flash of front ends and last stages, as estimated, against what compilers and linkers make of the emitted C."""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import emitted_c
import pytest
from support import invoke

from micro.datasets.prepare import prepare
from micro.firmware.project import project_files
from micro.firmware.text_project import text_project_files
from micro.program.placement import Use, place
from micro.program.size import Model, program_of
from micro.runs.around_model import around_of, model_of_run
from micro.runs.finished import read_run
from micro.runs.planned_around import planned_around
from micro.targets.boards import board_of
from micro.targets.cores import all_cores, core_of
from micro.targets.firmware_code import constants_of, flash_of

BENCH = Path(__file__).parents[1] / "scripts" / "bench" / "firmware_code.py"
TABLES = json.loads((Path(__file__).parents[1] / "micro" / "targets" / "firmware_code.json").read_text())["cores"]
# What half of a core's programs are within, at most, and all of them unless the fit itself was further off.
CLOSE, FAR = 0.08, 0.35


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("firmware_code", BENCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needs(core):
    from_prefix = {"avr": "avr-", "lx106": "xtensa-lx106-elf-"}
    if core.startswith("rv32"):
        return shutil.which("riscv64-unknown-elf-gcc") is not None
    return shutil.which(f"{from_prefix.get(core, 'arm-none-eabi-')}gcc") is not None


def counted_as(core):
    """A core whose code is counted by a table of that name, such as an ESP32's by that of an LX106."""
    return all_cores().get(core) or next(each for each in all_cores().values() if each.counted_as == core)


def test_every_table_is_of_cores(bench):
    assert set(TABLES) == set(bench.CORES)
    for core in TABLES:
        assert counted_as(core).constants_in_ram == ("constants" in TABLES[core])


@pytest.mark.parametrize(
    "core", [core if core == "m4f" else pytest.param(core, marks=pytest.mark.slow) for core in TABLES]
)
def test_programs_that_the_fit_has_not_seen_are_predicted(core, bench, tmp_path):
    if not needs(core):
        pytest.skip(f"no compiler for {core}")
    rng, off = random.Random(1000), []
    for number in range(6 if core == "m4f" else 30):
        firmware = bench.made(rng, emitted_c)
        files = project_files(firmware, emitted_c.frames_of(firmware.front_end), "pump", "cmake", "static")
        size, constants = bench.linked(emitted_c.written(files, tmp_path / str(number)), core)
        parts = bench.parts(firmware)
        off.append(abs(flash_of(parts, counted_as(core)) / size - 1))
        copied = constants_of(parts, counted_as(core))
        # Elsewhere a pointer or two, and what the compiler's library keeps, have a value from the start.
        assert abs(copied - constants) <= max(64, 0.35 * constants) if core == "avr" else copied == 0 <= constants < 128
    assert max(off) < max(FAR, *map(abs, TABLES[core]["error"]))
    assert sorted(off)[len(off) // 2] < CLOSE


def test_tables_of_velocity_take_flash_as_compiled(bench, tmp_path):
    """With the longest block: what each sample of it takes is told apart from the code."""
    if not needs("m4f"):
        pytest.skip("no compiler for m4f")
    measured = replace(emitted_c.SEVERE, window=4096)
    firmware = replace(emitted_c.detector(emitted_c.WHOLE, "reconstruction"), vibration=measured)
    files = project_files(firmware, emitted_c.frames_of(firmware.front_end), "pump", "cmake", "static")
    found, _ = bench.linked(emitted_c.written(files, tmp_path), "m4f")
    assert flash_of(bench.parts(firmware), core_of("m4f")) == pytest.approx(found, rel=0.1)


@pytest.mark.parametrize("name", emitted_c.texts())
def test_firmware_of_text_is_what_was_measured(name, bench, tmp_path):
    if not needs("m4f"):
        pytest.skip("no compiler for m4f")
    firmware, examples = emitted_c.texts()[name]
    files = text_project_files(firmware, examples, "pump", "cmake", "static")
    size, _ = bench.linked(emitted_c.written(files, tmp_path), "m4f")
    assert flash_of({f"predictor {name}": 1}, core_of("m4f")) == pytest.approx(size, rel=0.02)


def test_every_part_has_a_size_on_every_core(bench):
    """What no program of the fit had would count as nothing."""
    rng = random.Random(2000)
    firmwares = [*emitted_c.firmwares().values(), *(bench.made(rng, emitted_c) for _ in range(100))]
    for firmware in firmwares:
        for core, tables in TABLES.items():
            assert set(bench.parts(firmware)) <= set(tables["flash"]), core
    for core in all_cores().values():
        assert flash_of(bench.parts(firmwares[0]), core) > 1000


def test_a_run_is_never_said_to_fit_flash_that_its_front_end_takes(rig_run, tmp_path):
    report, config = read_run(rig_run)
    model = model_of_run(rig_run, report, config)
    program, alone = program_of(model, "static"), program_of(Model.read(rig_run / "student_int8.tflite"), "static")
    assert program.flash == alone.flash + program.around_flash
    assert 1500 < program.around_flash < 8000
    for given, code in ((program.flash, 0), (program.flash - 1, 1)):
        done = invoke("check", rig_run, "--flash", given)
        assert done.exit_code == code, done.output
        assert f"front end and last stage {'about ' if code == 0 else ''}{program.around_flash:,}" in done.stdout
    # What comes on top is said where little is left for it.
    for given, warns in ((program.flash + (6 << 10) - 1, True), (2 * program.flash + (6 << 10), False)):
        done = invoke("check", rig_run, "--flash", given)
        assert done.exit_code == 0
        assert ("start-up code, self-test and drivers" in done.stdout) == warns
    # An AVR copies tables to RAM, where they count too.
    uno = place(model, board_of("uno"), "static", Use())
    assert uno.program.around == model.around.ram_avr + constants_of(model.around.parts, core_of("avr"))
    assert constants_of(model.around.parts, core_of("avr")) > 0


def test_what_is_around_a_model_is_known_before_training(rig_run):
    report, config = read_run(rig_run)
    assert planned_around(config, prepare(config)) == around_of(report, config)
