"""Files in which the machine stands still for a time are told, with a limit that the run's own off_rms finds them by."""

import re
import tomllib

import numpy as np
import pytest
from support import invoke

from micro.config import parse_config
from micro.datasets.rig import Rig, simulate_rig
from micro.detection.standstill import machine_off
from micro.look.still import limits_between, still_of
from micro.look.suggest import suggest
from micro.look.survey import survey

RATE = 12_800.0


def running(seconds, seed):
    """A machine that turns, as its sensor has it, (n, 1)."""
    return simulate_rig(Rig(), seconds, np.random.default_rng(seed)).samples.reshape(-1, 1)


def half_off(seconds, seed, noise=0.01, gravity=9.81):
    """The same, off from the middle on: what is left is the noise of the sensor, and gravity."""
    made = running(seconds, seed)
    made[len(made) // 2 :] = 0.0
    return made + np.random.default_rng(seed).normal(gravity, noise, made.shape)


def written(path, samples, names):
    np.savetxt(path, samples, delimiter=",", header=",".join(names), comments="", fmt="%.6g")
    return path


def notes(paths, rate=RATE):
    return [each for each in suggest(survey(paths, rate)).notes if "stands still" in each]


def windows(samples, length=1024):
    count = len(samples) // length
    return samples[: count * length].reshape(count, length, -1).astype(np.float32)


def test_a_half_that_stands_still_is_said_with_both_levels_and_a_limit_that_finds_it(tmp_path):
    samples = half_off(1.0, 0)
    files = [written(tmp_path / "a.csv", samples, ["vibration"])]
    files += [written(tmp_path / f"b{n}.csv", running(0.5, n) + 9.81, ["vibration"]) for n in (1, 2)]
    config = tmp_path / "pump.toml"
    done = invoke("look", *files, "--sample-rate", "12800", "--out", config)
    assert done.exit_code == 0, done.output
    begin = r"stands still in a part of 1 of 3 files, (\d+) % of a.csv"
    said = re.search(rf"{begin}.* is ([\d.]+) and ([\d.]+) of 'vibration'", done.output)
    share, standing, moving = (float(each) for each in said.groups())
    half = len(samples) // 2
    assert share == pytest.approx(50, abs=1)
    assert standing == pytest.approx(samples[half:].std(), rel=0.1)
    assert moving == pytest.approx(samples[:half].std(), rel=0.2)
    limit = float(re.search(r"off_rms = ([\d.]+) in section \[detect\]", done.output)[1])
    assert machine_off([limit], windows(samples[half:])).all()
    assert not any(
        machine_off([limit], windows(each)).any() for each in (samples[:half], running(0.5, 1), running(0.5, 2))
    )
    # The config says it too, and takes the line.
    text = config.read_text()
    assert f"off_rms = {limit}" in text
    given = tomllib.loads(text)
    given["detect"]["off_rms"] = limit
    assert parse_config(given, tmp_path).detect.off_rms == limit


def test_of_several_channels_those_that_tell_have_a_limit_by_name(tmp_path):
    rng = np.random.default_rng(3)
    x, y = half_off(2.0, 1), 1000 * half_off(2.0, 2)
    rows = len(x)
    samples = np.hstack([x, y, rng.normal(20, 0.5, (rows, 1)), 1500 + rng.normal(0, 2, (rows, 1)) * (x != 0)])
    (said,) = notes([written(tmp_path / "a.csv", samples, ["x", "y", "temperature", "rpm"])])
    limits = re.search(r'off_rms = \{"x" = ([\d.]+), "y" = ([\d.]+)\} in', said)
    x_limit, y_limit = map(float, limits.groups())
    half = rows // 2
    off = machine_off([x_limit, y_limit, 0.0], windows(samples[:, :3]))
    assert off[: half // 1024].sum() == 0
    assert off[half // 1024 + 1 :].all()
    # One number, where it suits all.
    both = np.hstack([x, half_off(2.0, 4)])
    (said,) = notes([written(tmp_path / "b.csv", both, ["x", "y"])])
    limit = float(re.search(r"off_rms = ([\d.]+) in section", said)[1])
    assert machine_off([limit, limit], windows(both)[half // 1024 + 1 :]).all()


def test_a_level_that_stands_in_one_file_and_runs_in_another_has_no_limit(tmp_path):
    weak = written(tmp_path / "weak.csv", 0.02 * half_off(2.0, 5, gravity=0.0), ["x"])
    loud = written(tmp_path / "loud.csv", half_off(2.0, 6, gravity=0.0), ["x"])
    (said,) = notes([weak, loud])
    assert said.endswith("no limit of detect.off_rms is between these levels in all files")


@pytest.mark.parametrize("seconds", [0.2, 1.0, 4.0])
def test_machines_that_run_throughout_are_no_machines_that_stand(seconds):
    rate, rng = RATE, np.random.default_rng(int(10 * seconds))
    run = running(seconds, 7)
    at = (np.arange(len(run)) / rate)[:, None]
    steady = [
        run,
        rng.normal(size=run.shape),
        np.sin(2 * np.pi * 24.5 * at),
        np.full(run.shape, 3.0),
        np.zeros(run.shape),
    ]
    steady += [(1 + depth * np.sin(2 * np.pi * f * at)) * run for depth in (0.5, 0.95, 1.0) for f in (0.3, 1.0, 3.0)]
    steady += [run * (at / seconds) ** 2, np.where(at < seconds / 2, 1.0, 3.0) * run]
    steady += [rng.normal(0, 0.05, run.shape) + (np.mod(7.3 * at, 1) < 0.05) * rng.normal(0, 3, run.shape)]
    steady += [20 + np.cumsum(rng.normal(0, 0.01, run.shape), axis=0), rng.standard_t(2, run.shape)]
    found = [still_of(each.astype(np.float32), ["x"], rate) for each in steady]
    assert [place for place, each in enumerate(found) if each is None or each.share] == []


@pytest.mark.parametrize(("rows", "rate"), [(300, 100.0), (2560, 12_800.0), (6400, 12_800.0), (4000, None)])
def test_short_recordings_tell_and_shorter_ones_say_nothing(rows, rate):
    rng = np.random.default_rng(rows)
    samples = rng.normal(size=(rows, 1)).astype(np.float32)
    samples[: rows // 2] *= 0.01
    samples[::50] = np.nan
    found = still_of(samples, ["x"], rate)
    assert found.share == pytest.approx(0.5, abs=0.04)
    assert found.tells("x")
    assert still_of(samples[:200], ["x"], rate) is None or rate is None
    assert still_of(samples, ["x"], 1.0) is None  # process data, whose windows may be flat while the machine runs


def test_labels_and_other_tasks_have_no_such_note(tmp_path):
    samples = half_off(1.0, 8)
    labelled = tmp_path / "a.csv"
    rows = [f"{value:.5g},{'normal' if n < len(samples) // 2 else 'worn'}" for n, (value,) in enumerate(samples)]
    labelled.write_text("x,state\n" + "\n".join(rows) + "\n")
    assert notes([labelled]) == []


def test_rows_without_values_are_of_no_machine_that_stands(tmp_path):
    """A sensor that was unplugged for a time has no level, and another channel tells on."""
    rng = np.random.default_rng(9)
    lost = rng.normal(size=(25_600, 1)).astype(np.float32)
    lost[:6400] = np.nan
    assert still_of(lost, ["x"], RATE).share == 0
    both = np.hstack([lost, rng.normal(size=lost.shape)]).astype(np.float32)
    both[12_800:, 1] *= 0.01
    found = still_of(both, ["x", "y"], RATE)
    assert (found.share, found.tells("x"), found.tells("y")) == (0.5, False, True)
    assert set(still_of(np.hstack([both, np.full_like(lost, np.nan)]), ["x", "y", "z"], RATE).levels) == {"x", "y"}


def test_a_speed_beside_the_channels_gets_no_limit(tmp_path):
    """One number would be the limit of the speed too, which wavers where the machine stands."""
    x = half_off(2.0, 10)
    rpm = np.random.default_rng(10).normal(1.0, 5.0, x.shape) + 1500 * (np.arange(len(x)) < len(x) // 2)[:, None]
    (said,) = notes([written(tmp_path / "a.csv", np.hstack([x, rpm]), ["x", "rpm"])])
    limit = float(re.search(r'off_rms = \{"x" = ([\d.]+)\} in', said)[1])
    assert machine_off([limit, 0.0], windows(np.hstack([x, rpm])[len(x) // 2 + 1024 :])).all()


def test_the_rate_of_the_user_is_that_of_files_without_one(tmp_path):
    """Slow process data say nothing, and of a long file short stops are found."""
    samples = np.vstack([half_off(1.6, 11), running(3.2, 0) + 9.81])
    file = written(tmp_path / "a.csv", samples, ["x"])
    assert len(notes([file])) == 1
    assert notes([file], 1.0) == []


@pytest.mark.parametrize("rate", [25.0, 100.0])
def test_a_machine_of_slow_motion_stands_by_the_windows_of_its_config(rate):
    """Within a tenth of a second even a machine that runs moves little: levels are of windows of two seconds."""
    rng, at = np.random.default_rng(12), np.arange(int(240 * rate)) / rate
    still = rng.normal(0, 0.02, len(at)) + 0.05 * np.sin(2 * np.pi * 0.2 * at)
    samples = np.where(at < 120, np.sin(2 * np.pi * 0.7 * at) + rng.normal(0, 0.05, len(at)), still)[:, None]
    found = still_of(samples.astype(np.float32), ["x"], rate)
    limit = limits_between([found], ["x"])
    off = machine_off([limit], windows(samples, 2 ** round(np.log2(2 * rate))))
    half = len(off) // 2
    assert found.share == pytest.approx(0.5, abs=0.02)
    assert (off[:half].sum(), off[half + 1 :].all()) == (0, True)
