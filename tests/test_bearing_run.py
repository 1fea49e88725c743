"""The bearing of a run: section [bearing], its baseline and what it names in the test."""

import shutil

import numpy as np
import pytest
from support import invoke
from tables import columns

from micro.config import parse_config
from micro.datasets.prepare import prepare
from micro.errors import DataError
from micro.runs.firmware import load_firmware
from micro.runs.run_report import RunReport

RIG = {"job": "rig", "teacher": {}, "student": {}}
FEW = {"train_recordings": 3, "validation_recordings": 1, "calibration_recordings": 1, "test_recordings": 2}
TABLE = {
    "job": "table",
    "data": {"folder": ".", "files": "*.csv", "sample_rate": 2000.0, "healthy_files": "good*", "faulty_files": "worn*"},
    "features": {"kind": "statistics", "window": 64, "hop": 64},
    "teacher": {"sizes": [4]},
    "student": {"sizes": [4]},
}
SMALL = {"balls": 8, "ball_diameter": 6.7, "pitch_diameter": 28.5, "rpm": 1500}


def refused(raw, folder="."):
    with pytest.raises(ValueError) as caught:
        parse_config(raw, folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("bearing", "said"),
    [
        ({"rpm": 1800}, 'say which bearing it is: name = "6205", or balls, ball_diameter and pitch_diameter'),
        ({"name": "6204", "rpm": 1800}, "'6204' is not known; near it are 6804, 6205 and 6203"),
        ({"name": "6205", "balls": 9, "rpm": 1800}, "name and a geometry are both given"),
        ({"balls": 9, "ball_diameter": 8, "rpm": 1800}, "a geometry needs balls, ball_diameter and pitch_diameter"),
        ({"balls": 30, "ball_diameter": 8, "pitch_diameter": 39, "rpm": 1800}, "at most 15 do"),
        ({"name": "6205"}, "give either rpm or rpm_column"),
        ({"name": "6205", "rpm": [1700, 3500]}, "below twice low, got 1700 to 3500"),
        ({"name": "6205", "rpm": [1700, 1800, 1900]}, "bearing.rpm"),
        ({"name": "6205", "rpm": 0}, "bearing.rpm"),
        ({"name": "6205", "rpm": 3000}, "a sample rate of 2000 Hz is too low: at 3000 RPM the inner race has 270"),
        ({**SMALL, "band": [400, 1200]}, "reaches 1200 Hz, and a sample rate of 2000 Hz shows up to 1000 Hz"),
        ({**SMALL, "band": [900, 400]}, "must rise from 0 Hz or more, got 900 to 400 Hz"),
        ({**SMALL, "band": [400, 600]}, "is 200 Hz wide, and three harmonics of all faults at 1500 RPM need 463.2 Hz"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused_before_data_are_read(bearing, said):
    assert said in refused({**TABLE, "bearing": bearing}, "never")


def test_runs_without_alarms_pictures_and_further_sources_have_no_bearing():
    data = {"folder": ".", "files": "*.csv", "sample_rate": 1e4, "label_column": "state"}
    classes = {"job": "table", "task": "classification", "data": data, "teacher": {}, "student": {}}
    assert "it is for task 'anomaly', and for job 'cwru'" in refused({**classes, "bearing": SMALL})


@pytest.mark.parametrize(
    ("bearing", "seconds", "said"),
    [
        ({"name": "6205", "rpm": 1780, "channel": "sound"}, 4, "no channel 'sound'; there are acceleration"),
        ({"name": "6205", "rpm": 1780, "rpm_column": None, "band": [4000, 7000]}, 4, "reaches 7000 Hz"),
        ({"name": "6205", "rpm": 30_000}, 4, "a sample rate of 12800 Hz is too low"),
        (
            {"name": "6205", "rpm": 600},
            4,
            "4 s are too short: at 600 RPM 6.4 s or more without a gap are needed",
        ),
    ],
)
def test_what_recordings_cannot_give_is_refused_before_training(bearing, seconds, said):
    config = parse_config(
        {**RIG, "data": {**FEW, "fault_recordings": 1, "severities": [1.0], "seconds": seconds}, "bearing": bearing}
    )
    with pytest.raises((ValueError, DataError), match=said):
        prepare(config)


def shaken(rng, seconds, order, rate=2000.0, rpm=1500.0):
    """Noise of an acceleration, louder where the part of an order is struck; the speed beside it."""
    count = int(seconds * rate)
    turns = rpm / 60 * np.arange(count) / rate
    level = 0.3 + 1.0 * (turns * order % 1 < 0.2) if order else np.ones(count)
    return {"x": (rng.normal(size=count) * level).round(5).tolist(), "speed": (rpm + rng.normal(size=count)).round(2)}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("machine")
    rng, bearing = np.random.default_rng(0), parse_config({**RIG, "bearing": SMALL}).bearing.bearing
    from micro.signal.bearings import bearing_orders

    orders = bearing_orders(bearing)
    made = {f"good{n}": (0, 24) for n in range(3)}
    made |= {"worn outer": (orders.bpfo, 12), "worn inner": (orders.bpfi, 4), "worn short": (orders.bpfi, 2)}
    for name, (order, seconds) in made.items():
        (folder / f"{name}.csv").write_text(columns(**shaken(rng, seconds, order)))
    return prepare(parse_config({**TABLE, "bearing": {**SMALL, "channel": "x"}}, folder)), folder


def test_struck_parts_are_named_over_the_baseline_and_healthy_recordings_are_not(found):
    lines = found[0].bearing
    rows = {(row.origin, row.state): row for row in lines.rows}
    assert lines.healthy[0] == 3
    assert all(0 <= level < 6 for level in lines.baseline)
    assert rows["worn outer.csv", "faulty"].diagnosis.fault == "outer race"
    assert rows["worn inner.csv", "faulty"].diagnosis.fault == "inner race"
    assert rows["worn short.csv", "faulty"].diagnosis is None
    assert "2 s are too short: at 1500 RPM 2.56 s" in rows["worn short.csv", "faulty"].why.replace("1.98", "2")
    healthy = [row for (_, state), row in rows.items() if state == "healthy"]
    assert len(healthy) == 3
    assert all(row.diagnosis is None or row.diagnosis.fault is None for row in healthy)


def test_the_chip_has_a_baseline_of_its_own_and_names_what_is_long_enough(found):
    lines = found[0].bearing
    assert lines.monitor.rpm == 1500
    assert all(0 <= level < 8 for level in lines.monitor.baseline)
    rows = {row.origin: row for row in lines.rows}
    assert rows["worn outer.csv"].chip.fault == "outer race"
    assert rows["worn outer.csv"].chip.rise > 6
    assert rows["worn inner.csv"].chip is None


def test_the_band_and_the_baseline_are_of_healthy_training_windows_alone(found, tmp_path):
    """Faulty recordings, and the parts for validation, threshold and test, change neither."""
    data, original = found
    folder = shutil.copytree(original, tmp_path / "changed")
    for name in ("worn outer.csv", "worn short.csv"):
        (folder / name).unlink()
    for path in folder.glob("good*.csv"):
        rows = path.read_text().splitlines()
        head, keep = rows[0], int(0.6 * (len(rows) - 1)) - 128
        changed = [f"{float(row.split(',')[0]) * 7:g},{row.split(',')[1]}" for row in rows[1 + keep + 256 :]]
        path.write_text("\n".join([head, *rows[1 : 1 + keep + 256], *changed]) + "\n")
    again = prepare(parse_config({**TABLE, "bearing": {**SMALL, "channel": "x"}}, folder)).bearing
    assert again.band == data.bearing.band
    assert again.baseline == data.bearing.baseline
    assert again.monitor == data.bearing.monitor


RUN = """
job = "table"
seeds = 1
[data]
files = ["*.csv"]
columns = ["x"]
sample_rate = 2000.0
healthy_files = ["good*"]
faulty_files = ["worn*"]
[features]
kind = ["spectrum", "moments"]
window = 256
hop = 256
bands = 16
[teacher]
sizes = [16]
epochs = 3
[student]
sizes = [8]
epochs = 3
[detect]
false_alarm_rate = 0.05
min_hits = 3
history = 5
[bearing]
balls = 8
ball_diameter = 6.7
pitch_diameter = 28.5
rpm = 1500
"""


@pytest.mark.slow
def test_a_run_names_parts_in_report_page_score_and_firmware(found, tmp_path):
    folder = shutil.copytree(found[1], tmp_path / "machine")
    (folder / "pump.toml").write_text(RUN)
    done = invoke("run", folder / "pump.toml", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    report = RunReport.read(tmp_path / "run")
    assert RunReport.from_dict(report.to_dict()) == report
    rows = {row.origin: row for row in report.bearing.rows}
    assert (rows["worn outer.csv"].fault, rows["worn inner.csv"].fault) == ("outer race", "inner race")
    assert all(row.fault is None for row in rows.values() if row.state == "healthy")
    page = (tmp_path / "run/report.html").read_text()
    assert "<h2>Damaged parts of the bearing</h2>" in page
    assert "<b>outer race</b>, " in page
    done = invoke("score", tmp_path / "run", *sorted(folder.glob("*.csv")), "--out", tmp_path / "scores.csv")
    assert "worn outer.csv: outer race, " in done.output
    assert "good0.csv: " not in done.output
    done = invoke("new-firmware", tmp_path / "run", "--board", "cmake", "--out", tmp_path / "firmware")
    assert done.exit_code == 0, done.output
    assert "real time: not known, as the diagnosis of [bearing] beside the rest is not counted" in done.output
    assert "RAM 5,708 bytes" in done.output
    assert load_firmware(tmp_path / "run").diagnosis.monitor == report.bearing.monitor
    assert (tmp_path / "firmware/src/pump_diagnosis.c").exists()
    small = invoke("new-firmware", tmp_path / "run", "--board", "cmake", "--chip", "uno", "--out", tmp_path / "no")
    assert small.exit_code == 2
    assert "uno (AVR) has 2,048 bytes of RAM, and the diagnosis of [bearing] takes 5,708" in small.output


@pytest.mark.slow
def test_a_speed_of_a_column_is_that_of_each_recording(found):
    _, folder = found
    speed = {key: value for key, value in SMALL.items() if key != "rpm"}
    prepared = prepare(parse_config({**TABLE, "bearing": {**speed, "channel": "x", "rpm_column": "speed"}}, folder))
    lines = prepared.bearing
    assert prepared.channels == ("x",)
    rows = {row.origin: row for row in lines.rows}
    assert rows["worn outer.csv"].diagnosis.fault == "outer race"
    assert abs(rows["worn outer.csv"].diagnosis.rpm - 1500) < 0.2
    assert lines.monitor is None
    assert "for one speed of the shaft" in lines.not_on_chip


def test_the_column_of_a_speed_is_no_channel_unless_the_config_names_it_as_one(tmp_path):
    rng, rows = np.random.default_rng(0), 12_000
    for name in ("good0", "good1", "good2", "worn0"):
        speed = 1500 + rng.normal(0, 1, rows)
        lines = [f"{x:.4f},{rpm:.1f}" for x, rpm in zip(rng.normal(size=rows), speed)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,rpm", *lines]) + "\n")
    bearing = {**{key: value for key, value in SMALL.items() if key != "rpm"}, "rpm_column": "rpm"}
    config = parse_config({**TABLE, "bearing": bearing}, tmp_path)
    parts = prepare(config)
    assert parts.channels == ("x",)
    assert {round(row.diagnosis.rpm) for row in parts.bearing.rows if row.diagnosis} == {1500}
    asked = {**TABLE, "data": {**TABLE["data"], "columns": ["x", "rpm"]}, "bearing": {**bearing, "channel": "x"}}
    named = prepare(parse_config(asked, tmp_path))
    assert named.channels == ("x", "rpm")
    assert [row.diagnosis for row in named.bearing.rows] == [row.diagnosis for row in parts.bearing.rows]
    modes = {"column": "rpm", "edges": [0.0, 1400.0, 1600.0], "too_few": "unknown"}
    detect = {"false_alarm_rate": 0.05}
    both = prepare(parse_config({**TABLE, "bearing": bearing, "modes": modes, "detect": detect}, tmp_path))
    assert both.channels == ("x",)
    assert [row.diagnosis for row in both.bearing.rows] == [row.diagnosis for row in parts.bearing.rows]
    said = refused({**TABLE, "bearing": bearing, "modes": {**modes, "column": "load"}}, tmp_path)
    assert "modes.column is 'load' and bearing.rpm_column 'rpm'" in said
    assert "name 'rpm' in data.columns, or give bearing.rpm" in said
