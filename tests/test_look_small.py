"""The config that `keras-kd look` writes for few windows: enough steps to learn, and features that suit the rate."""

import math
import tomllib

import numpy as np
import pytest
from support import invoke

from micro.config import load_config
from micro.datasets.enough import require_enough
from micro.datasets.prepare import prepare
from micro.detection.rates import alarms_by_design
from micro.look.config_text import training_of


def steps(windows, place):
    """Steps of an epoch and of the whole training."""
    said = dict(line.split("  #")[0].split(" = ") for line in training_of(windows, place))
    epoch = math.ceil(max(1, round(0.6 * windows)) / int(said.get("batch_size", 64)))
    return epoch, epoch * int(said["epochs"])


@pytest.mark.parametrize("windows", [1, 7, 60, 100, 333, 1000, 1067, 5000, 10**6])
def test_few_windows_are_learned_from_for_about_as_many_steps_as_many(windows):
    for place in (0, 1):
        epoch, whole = steps(windows, place)
        assert whole >= (300 if windows < 60 else 800)
        assert epoch >= (1 if windows < 60 else 4 if windows < 100 else 7)
        assert windows >= 5000 or whole <= 2000


def test_sixty_windows_of_vibration_have_small_batches_and_a_spectrum(tmp_path):
    for name in ("good", "worn"):
        for number in range(4):
            values = np.random.default_rng([number, ord(name[0])]).normal(size=4352)
            np.savetxt(tmp_path / f"{name}_{number}.csv", values, header="acc", comments="", fmt="%.4f")
    for task in ("classification", "anomaly"):
        path = tmp_path / f"{task}.toml"
        done = invoke("look", tmp_path / "*.csv", "--sample-rate", "12000", "--task", task, "--out", path)
        assert done.exit_code == 0, done.output
        assert task == "anomaly" or "before it runs" not in done.output
        config = tomllib.loads(path.read_text())
        assert config["features"] == {"kind": "spectrum", "window": 1024, "hop": 512, "bands": 64}
        assert [config[side]["batch_size"] for side in ("teacher", "student")] == [8, 8]
        assert config["student"]["epochs"] > 200


@pytest.mark.parametrize(("rows", "more"), [(900, True), (9000, False)])
def test_the_rate_of_false_alarms_is_one_that_the_windows_allow(tmp_path, rows, more):
    values = np.random.default_rng(0).normal(size=rows)
    np.savetxt(tmp_path / "pump.csv", values, header="flow", comments="", fmt="%.4f")
    path = tmp_path / "pump.toml"
    done = invoke("look", tmp_path / "pump.csv", "--sample-rate", "1", "--task", "anomaly", "--out", path)
    assert "before it runs" not in done.output
    detect = load_config(path).detect
    rate = detect.false_alarm_rate
    hop = load_config(path).features.hop
    assert detect.min_hits > 1
    assert detect.clear_after == detect.history  # a window below the threshold does not end the alarm of a steady fault
    assert alarms_by_design(rate, detect.min_hits, detect.history, 86_400 / hop) <= 24
    assert "a window alone would raise about" in path.read_text()
    assert 0.05 < rate <= 0.25 if more else rate == 0.05
    assert ("healthy windows to set the threshold by: record more" in path.read_text()) == more
    require_enough(load_config(path), prepare(load_config(path)))
