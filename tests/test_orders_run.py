"""A run with bands in orders of a speed that is a column of its files, and with operating modes by the same column."""

import shutil
import subprocess

import numpy as np
import pytest
from test_orders import machine

import micro
from micro.config import parse_config
from micro.datasets.prepare import prepare
from micro.firmware.emulate import emulate, missing_tools
from micro.runs.score_files import score

ORDERS = {"orders": "channel", "speed_column": "rpm", "slowest": 900, "fastest": 2100}
ESTIMATED = {"orders": "spectrum", "slowest": 900, "fastest": 2100}


def recorded(folder, rows=12288):
    """Healthy files and a faulty one, whose third multiple is stronger; the speed goes up and down."""
    for name, faulty in (("ok1", False), ("ok2", False), ("bad", True)):
        seed = sum(map(ord, name))
        speed = 1500 + 500 * np.sin(np.arange(rows) / 900 + seed)
        samples = machine(speed, seed, (1.0, 0.5, 1.5 if faulty else 0.3, 0.2))
        lines = ["rpm,x,y", *(f"{v:.2f},{x:.5f},{y:.5f}" for x, y, v in samples)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def raw(folder, features=ORDERS, **sections):
    return {
        "job": "table",
        "seeds": 1,
        "data": {
            "folder": str(folder), "files": "*.csv", "sample_rate": 1024.0, "healthy_files": "ok*", "faulty_files": "bad*",
            "columns": ["x", "y"],
        },
        "features": {
            "kind": ["spectrum", "moments"], "window": 512, "hop": 128, "bands": 5, "low": 0.5, "high": 5.5, **features,
        },
        "detect": {"false_alarm_rate": 0.1},
        "teacher": {"sizes": [16, 4, 16], "epochs": 3},
        "student": {"sizes": [4], "epochs": 3},
        "firmware": {"name": "pump"},
        **sections,
    }  # fmt: skip


def test_the_speed_is_the_last_channel_and_has_no_features(tmp_path):
    folder = recorded(tmp_path)
    data = prepare(parse_config(raw(folder)))
    assert data.channels == ("x", "y", "rpm")
    assert data.features.shape == (16,)
    assert data.test.x.shape[1:] == (16,)
    found = prepare(parse_config(raw(folder, ESTIMATED)))
    assert found.channels == ("x", "y")
    # Known or estimated, the bands of the multiples hold the same.
    known, guessed = (each.scaling.centre[:4] for each in (data, found))
    assert np.allclose(known, guessed, atol=0.05)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"speed_column": None}, "takes the speed in RPM from speed_column"),
        ({"orders": "spectrum"}, "takes the speed in RPM from speed_column"),
        ({"fastest": None}, "orders need a range of speeds"),
        ({"speed_column": "x"}, "leave it out of data.columns"),
    ],
)
def test_settings_of_a_speed_that_do_not_fit_are_refused(changes, says, tmp_path):
    features = {name: value for name, value in {**ORDERS, **changes}.items() if value is not None}
    with pytest.raises(ValueError, match=says):
        parse_config(raw(tmp_path, features))


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"augment": {"layers": [{"class": "RandomGain"}]}}, "augment.layers, which would change the speed"),
        ({"detect": {"saturation": 3.0}}, "detect.saturation, which the speed would reach"),
        ({"modes": {"column": "load", "off_below": 1.0}}, "modes.column is 'load' and features.speed_column 'rpm'"),
        ({"vibration": {"unit": "g", "columns": ["x"]}}, "vibration"),
    ],
)
def test_what_cannot_be_with_a_speed_among_the_channels_is_refused(sections, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        parse_config(raw(tmp_path, **sections))


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", ["fixed", "float32"])
def test_a_run_in_orders_becomes_firmware_that_computes_the_same_on_a_core(arithmetic, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    known = arithmetic == "fixed"
    fixed = {"arithmetic": "fixed", "full_scale": 8.0, "speed_full_scale": 3000.0}
    modes = {"modes": {"column": "rpm", "edges": [900.0, 2100.0], "off_below": 100.0}} if known else {}
    run = tmp_path / "run"
    report = micro.run_pipeline(
        parse_config(raw(recorded(folder), {**ORDERS, **fixed} if known else ESTIMATED, **modes)), run
    )
    assert micro.RunReport.read(run) == report
    assert report.summary["student_int8"]["auc"].mean > 0.9
    assert report.data.channels == (("x", "y", "rpm") if known else ("x", "y"))
    scored = score(run, [folder / "ok1.csv"])
    table = np.loadtxt(folder / "ok1.csv", delimiter=",", skiprows=1, dtype=np.float32)
    columns = [1, 2, 0] if known else [1, 2]
    simulated = micro.simulate(run, table[:, columns], speed=table[:, 0] if known else None)
    assert [each.status.name == "ALARM" for each in simulated] == [bool(each.alarm) for each in scored]
    if not missing_tools():
        (emulated,) = emulate(run, ["m4f"])
        assert emulated.equal
        assert emulated.windows > 20
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    micro.new_firmware(run, tmp_path / "fw", "cmake")
    for command in (["cmake", "-B", "build"], ["cmake", "--build", "build"]):
        done = subprocess.run(command, cwd=tmp_path / "fw", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    done = subprocess.run([tmp_path / "fw/build/pump_app"], capture_output=True, text=True)
    assert "self-test: pass" in done.stdout, done.stdout
