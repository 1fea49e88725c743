"""Velocity in runs: section [vibration], mm/s of recordings, the report, and the firmware of a finished run."""

import json

import numpy as np
import pytest
from support import invoke
from tables import columns

import micro
from micro.config import parse_config
from micro.datasets import rig
from micro.datasets.prepare import prepare
from micro.runs.firmware import load_firmware
from micro.signal.velocity import velocity_rms

RIG = {"job": "rig", "teacher": {}, "student": {}}
RIG_DATA = {"train_recordings": 1, "validation_recordings": 1, "calibration_recordings": 1, "test_recordings": 1}
ZONES = {"unit": "m/s2", "machine_group": 2, "support": "rigid"}


def config_of(vibration, **more):
    return parse_config({**RIG, "data": {**RIG_DATA, "fault_recordings": 1}, "vibration": vibration, **more})


@pytest.mark.parametrize(
    ("vibration", "said"),
    [
        ({}, "vibration.unit: it is missing"),
        ({"unit": "mm"}, "vibration.unit"),
        ({"unit": "g", "low": 1000, "high": 10}, "must rise, got 1000 and 10"),
        ({"unit": "g", "support": "rigid"}, "need machine_group 1 or 2 and support 'rigid' or 'flexible'"),
        ({"unit": "g", "borders": [3, 2, 1]}, "rise from above 0"),
        ({"unit": "g", "borders": [1, 2]}, "vibration.borders"),
        ({"unit": "g", "pump_category": 1}, "need pump_category 1 or 2 and pump_power above 1 kW, got 1 and None"),
        ({"unit": "g", "pump_category": 2, "pump_power": 0.5}, "above 1 kW, got 2 and 0.5"),
        ({**ZONES, "pump_category": 2, "pump_power": 30}, "give one of the three"),
        ({**ZONES, "borders": [1, 2, 3]}, "one or the other"),
        ({"unit": "g", "average": 65}, "vibration.average"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(vibration, said):
    with pytest.raises(ValueError, match=said.replace("[", r"\[")):
        config_of(vibration)


@pytest.mark.parametrize(
    ("vibration", "said"),
    [
        ({"unit": "g", "channels": ["sound"]}, "no channel 'sound'; there are acceleration"),
        ({"unit": "g", "high": 6000.0}, "needs a sample rate of 15360 Hz at least, got 12800; or set high to 5000 Hz"),
        ({"unit": "g", "window": 512}, "fewer than 4; take window 1024"),
    ],
)
def test_what_recordings_cannot_give_is_refused_before_training(vibration, said):
    with pytest.raises(ValueError, match=said):
        prepare(config_of(vibration))


def test_text_and_further_sources_have_no_velocity():
    text = {"job": "text", "data": {"folder": ".", "files": "*.txt"}, "teacher": {}, "student": {}}
    with pytest.raises(ValueError, match="recordings of acceleration"):
        parse_config({**text, "vibration": {"unit": "g"}})


@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_levels_are_those_of_the_recordings(arithmetic):
    features = {"arithmetic": arithmetic, "full_scale": 200.0} if arithmetic == "fixed" else {}
    levels = prepare(config_of({**ZONES, "average": 1}, features=features)).vibration
    states = {row.state for row in levels.rows}
    assert states == {"healthy", "faulty"}
    assert levels.short == 0
    assert levels.channels == ("acceleration",)
    recording = rig.simulate_rig(rig.Rig(), 4.0, np.random.default_rng([0, 0, 0, 0, 0]), name="normal-0-0")
    row = next(row for row in levels.rows if row.origin == "normal-0-0")
    span = levels.vibration.span
    each = [velocity_rms(recording.samples[n * span :][:span, 0], 12800.0, unit="m/s2") for n in range(row.blocks)]
    assert row.median == pytest.approx(np.median(each), rel=2e-3)
    assert row.zone == micro.vibration_zone(row.high, machine_group=2, support="rigid")


@pytest.mark.slow
def test_a_run_reports_velocity_and_its_firmware_measures_it(tmp_path):
    (tmp_path / "mill.toml").write_text(
        """job = "rig"
seeds = 1
[data]
seconds = 4.0
train_recordings = 2
validation_recordings = 1
calibration_recordings = 2
test_recordings = 2
fault_recordings = 1
[teacher]
epochs = 2
[student]
epochs = 2
[vibration]
unit = "m/s2"
machine_group = 2
support = "rigid"
"""
    )
    done = invoke("run", tmp_path / "mill.toml", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "run/report.json").read_text())["vibration"]
    assert report["borders"] == [1.4, 2.8, 4.5]
    assert {row["state"] for row in report["rows"]} == {"healthy", "faulty"}
    html = (tmp_path / "run/report.html").read_text()
    assert "<h2>Vibration severity</h2>" in html
    assert load_firmware(tmp_path / "run").vibration.window == 4096
    done = invoke("new-firmware", tmp_path / "run", "--board", "cmake", "--out", tmp_path / "firmware")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "firmware/src/mill_vibration.c").exists()


def test_the_named_channels_of_files_are_measured_and_gaps_are_left_out(tmp_path):
    rate, count = 600.0, 6000
    time = np.arange(count) / rate
    for name, level, missing in (("good1", 0.02, 700), ("good2", 0.02, None), ("worn", 0.2, None)):
        x, y = (level * k * np.sin(2 * np.pi * 37 * time + k) for k in (1, 3))
        cells = {"speed": 25 + np.sin(time + level), "x": x.round(6).tolist(), "y": y.round(6).tolist()}
        if missing:
            cells["x"][missing : missing + 50] = [""] * 50
        (tmp_path / f"{name}.csv").write_text(columns(**cells))
    raw = {
        "job": "table",
        "data": {
            "folder": ".",
            "files": "*.csv",
            "sample_rate": rate,
            "healthy_files": "good*",
            "faulty_files": "worn*",
            "on_missing": "drop",
        },
        "features": {"kind": "statistics", "window": 64, "hop": 32},
        "teacher": {"sizes": [4]},
        "student": {"sizes": [4]},
        "vibration": {"unit": "g", "channels": ["y", "x"], "high": 200, "average": 1, "borders": [0.5, 1, 2]},
    }
    levels = prepare(parse_config(raw, tmp_path)).vibration
    assert levels.channels == ("x", "y")
    assert levels.vibration.measured == (1, 2)
    found = {row.origin: row for row in levels.rows}
    rms = 9806.65 * 0.02 * 3 / (2 * np.pi * 37) / np.sqrt(2)
    for name, row in found.items():
        assert row.high == pytest.approx(rms * (10 if "worn" in name else 1), rel=2e-3), name
    assert {row.state for row in levels.rows} == {"healthy", "faulty"}
    whole = count // levels.vibration.span
    assert [found[name].blocks for name in sorted(found)] == [
        700 // levels.vibration.span + (count - 750) // levels.vibration.span,
        whole,
        whole,
    ]
