"""What no record changes is named before one is written, for each section of a config that ends in a detector's firmware."""

import json
import shutil
from dataclasses import fields, replace

import emitted_c
import numpy as np
import pytest
from support import invoke

import micro
from micro.config.deployment import DetectConfig, FirmwareConfig
from micro.config.modes import ModesConfig
from micro.config.read import Config
from micro.config.vibration import VibrationConfig
from micro.detection.modes import Modes
from micro.emission.parameters import FIXED_IN_FIRMWARE
from micro.runs.bearing_report import BearingReport
from micro.runs.compiled_in import BASELINE, compiled_in, stays
from micro.runs.run_report import RunReport
from micro.signal.bearing_monitor import BearingMonitor, Diagnosing
from micro.signal.bearings import FAULTS, known_bearing
from micro.signal.tachometer import Tachometer

# What becomes of each section: nothing of it is on a chip but through another one; its digest is in records, which devices
# compare; the whole of it is for other last stages or for devices that learn, of which no records are written; or each of its
# settings is named.
NOT_ON_A_CHIP = {"job", "task", "overrides", "seed", "seeds", "augment", "distill", "budget", "teacher"}
IN_A_DIGEST = {"features", "sources", "student", "compress", "convert"}
REFUSED = {"recognize", "estimate", "commissioning"}
NAMED = {"data", "detect", "modes", "firmware", "vibration", "bearing"}
# Settings of [detect] that a record brings, and the one of [firmware] of which nothing is in a device.
IN_A_RECORD = {"false_alarm_rate", "method", "clear_threshold"}
OF_FILES = {"name"}


def test_every_section_of_a_config_has_its_place():
    sections = (NOT_ON_A_CHIP, IN_A_DIGEST, REFUSED, NAMED)
    assert set().union(*sections) == set(Config.model_fields)
    assert sum(map(len, sections)) == len(Config.model_fields)
    assert set(DetectConfig.model_fields) == {*FIXED_IN_FIRMWARE, *IN_A_RECORD}


def plain(**changes):
    return replace(emitted_c.detector(emitted_c.WHOLE, "reconstruction", **emitted_c.LIMITS), **changes)


@pytest.mark.parametrize("name", FIXED_IN_FIRMWARE)
def test_each_setting_of_alarms_and_faults_that_is_compiled_in_is_named(name):
    firmware = plain()
    values = {
        "min_hits": 2,
        "history": 5,
        "clear_after": 7,
        "saturation": 3.0,
        "max_saturated": 9,
        "off_rms": (1.0, 0.0),
    }
    decider = replace(firmware.decider, **({"history": 5} if name == "min_hits" else {}))
    one = replace(firmware, decider=decider)
    assert compiled_in(replace(one, decider=replace(decider, **{name: values[name]})), one) == (name,)
    assert compiled_in(one, one) == ()


VIBRATION = {"unit": "g", "low": 20.0, "high": 150.0, "window": 256, "average": 3, "channels": ["x"]}
OTHER_VIBRATION = {
    "unit": "mm/s2", "low": 25.0, "high": 140.0, "window": 512, "average": 4, "channels": ["y"], "borders": [1.0, 2.0, 3.0],
    "machine_group": 2, "pump_category": 1,
}  # fmt: skip
# Settings that are not needed without another one, which is given with them.
WITH = {"machine_group": {"support": "rigid"}, "pump_category": {"pump_power": 100.0}}


def measured(**changes):
    given = VibrationConfig(**(VIBRATION | changes))
    return given.of(("x", "y"), 1000.0, emitted_c.WHOLE, 8.0)


def test_each_setting_of_vibration_is_named_and_the_section_where_one_lacks_it():
    known = set(OTHER_VIBRATION) | {name for more in WITH.values() for name in more}
    assert known == set(VibrationConfig.model_fields)
    one = plain(vibration=measured())
    for name, value in OTHER_VIBRATION.items():
        other = plain(vibration=measured(**{name: value, **WITH.get(name, {})}))
        wanted = f"vibration.{name if name in VIBRATION else 'borders'}"
        assert compiled_in(other, one) == (wanted,)
    (rigid, flexible) = (measured(machine_group=2, support=support) for support in ("rigid", "flexible"))
    assert compiled_in(plain(vibration=rigid), plain(vibration=flexible)) == ("vibration.borders",)
    (weak, strong) = (measured(pump_category=1, pump_power=power) for power in (100.0, 300.0))
    assert compiled_in(plain(vibration=weak), plain(vibration=strong)) == ("vibration.borders",)
    assert compiled_in(one, plain()) == compiled_in(plain(), one) == ("vibration",)


def test_each_setting_of_the_bearing_is_named_and_its_baseline_is_said_to_stay():
    monitor = BearingMonitor("6205", 600.0, 1000.0, turns=16, blocks=4, threshold=8.0)
    one = plain(diagnosis=Diagnosing(monitor, 1))
    others = {
        "bearing": known_bearing("6203"),
        "rpm": 610.0,
        "sample_rate": 990.0,
        "turns": 17,
        "blocks": 5,
        "threshold": 9.0,
    }
    assert {*others, "baseline"} == {field.name for field in fields(BearingMonitor)}
    for name, value in others.items():
        found = compiled_in(plain(diagnosis=Diagnosing(replace(monitor, **{name: value}), 1)), one)
        assert found == (f"bearing.{'name' if name == 'bearing' else name}",)
    assert compiled_in(plain(diagnosis=Diagnosing(monitor, 0)), one) == ("bearing.channel",)
    assert compiled_in(plain(), one) == compiled_in(one, plain()) == ("bearing",)
    later = plain(diagnosis=Diagnosing(replace(monitor, baseline=(1.0, 2.0, 3.0, 4.0)), 1))
    assert compiled_in(later, one) == ()
    assert stays(later, one) == (BASELINE,)
    assert stays(one, one) == stays(one, plain()) == ()


def test_each_setting_of_modes_is_named():
    given = {"column": "rpm", "edges": (600.0, 900.0, 1500.0), "off_below": 50.0, "resolution": 0.5}
    others = {"column": "load", "edges": (600.0, 1000.0, 1500.0), "off_below": 60.0, "resolution": 0.25}
    assert {*given, "too_few"} == set(ModesConfig.model_fields)

    def with_ranges(**changes):
        ranges = micro.Ranges(**(given | changes))
        made = plain()
        return replace(made, decider=replace(made.decider, modes=Modes(ranges, ((9, 9), (9, 9)))))

    for name, value in others.items():
        assert compiled_in(with_ranges(**{name: value}), with_ranges()) == (f"modes.{name}",)
    assert compiled_in(with_ranges(), plain()) == compiled_in(plain(), with_ranges()) == ("modes",)


def test_each_setting_of_the_firmware_is_named():
    shaft = Tachometer(2, 300.0, 3000.0)
    others = {
        "pulses_per_revolution": plain(tachometer=shaft),
        "sensor_channels": plain(sensor_channels=3),
        "streaming": plain(step=b"model"),
    }
    assert {*others, *OF_FILES} == set(FirmwareConfig.model_fields)
    for name, other in others.items():
        assert compiled_in(other, plain()) == compiled_in(plain(), other) == (f"firmware.{name}",)
    more = plain(tachometer=replace(shaft, pulses=3))
    assert compiled_in(more, plain(tachometer=shaft)) == ("firmware.pulses_per_revolution",)
    faster = plain(tachometer=replace(shaft, fastest=6000.0))
    assert compiled_in(faster, plain(tachometer=shaft)) == ("the speeds of its tachometer",)


def with_config(run, folder, report=None, **sections):
    """A copy of a run with other sections of its config, and another report."""
    shutil.copytree(run, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"] |= sections
    (folder / "manifest.json").write_text(json.dumps(manifest))
    if report is not None:
        (folder / "report.json").write_bytes(report.to_bytes())
    return folder


def test_update_refuses_by_name_before_it_writes_and_says_what_stays(rig_run, tmp_path):
    report, band = RunReport.read(rig_run), {"unit": "g", "low": 100.0, "high": 1000.0}
    name = report.data.channels[0]
    old = with_config(rig_run, tmp_path / "old", vibration=band, firmware={"name": "bearing", "sensor_channels": 3})
    new = with_config(
        rig_run, tmp_path / "new", vibration=band | {"borders": [1.0, 2.0, 3.0]}, firmware={"name": "bearing"}
    )
    swapped = report.model_copy(update={"data": report.data.model_copy(update={"channels": (f"{name}2",)})})
    moved = with_config(rig_run, tmp_path / "moved", swapped)
    for run, of, words in (
        (new, old, "vibration.borders and firmware.sensor_channels"),
        (old, rig_run, "vibration and firmware.sensor_channels"),
        (moved, rig_run, "channels"),
    ):
        done = invoke("update", run, "--from", of, "--out", tmp_path / "no.bin")
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert (
            f"{run} differs from {of} in its {words}, which a record does not change; make new firmware" in done.stderr
        )
        assert not (tmp_path / "no.bin").exists()
    monitor = BearingMonitor("6205", 600.0, 12000.0)
    named = BearingReport(
        bearing=known_bearing("6205"), parts=tuple(FAULTS), channel=name, band=(1000.0, 3000.0), baseline=(0.0,) * 4,
        recordings=1, seconds=9.0, rows=(), monitor=monitor, not_on_chip="",
    )  # fmt: skip
    higher = named.model_copy(update={"monitor": replace(monitor, baseline=(1.0, 2.0, 3.0, 4.0))})
    runs = [
        with_config(rig_run, tmp_path / str(n), report.model_copy(update={"bearing": bearing}))
        for n, bearing in enumerate((named, higher))
    ]
    update = micro.update_parameters(runs[1], runs[0], tmp_path / "yes.bin")
    assert update.kept == (BASELINE,)
    assert update.says.endswith(f"; {BASELINE} stays that of the firmware")
    assert micro.update_parameters(runs[0], runs[0], tmp_path / "yes.bin").kept == ()
    assert np.isfinite(update.threshold)
