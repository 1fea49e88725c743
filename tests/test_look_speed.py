"""A column with the speed of a shaft: the window holds its turns, and speeds that the machine is held at are modes."""

import json
import re
import tomllib
from itertools import pairwise

import numpy as np
import pytest
from support import invoke

from micro.config import parse_config
from micro.datasets.prepare import prepare
from micro.look.config_text import config_text
from micro.look.speed import kept_of, speeds_of
from micro.look.suggest import suggest
from micro.look.survey import survey

RATE = 1000.0


def write(path, speed, name="Drehzahl", seed=0, **more):
    rng = np.random.default_rng(seed)
    x = np.where(speed > 100, 0.3, 0.01) * rng.normal(size=len(speed))
    columns = {"Schwingung": x, name: np.maximum(0, speed), **more}
    np.savetxt(
        path, np.stack(list(columns.values()), 1), delimiter=",", header=",".join(columns), comments="", fmt="%.5g"
    )
    return path


def held_at(*speeds, rows=4000, ramp=300, seed=0):
    """Speeds one after another, with a ramp from each to the next."""
    parts = [np.full(rows, float(speeds[0]))]
    for before, after in pairwise(speeds):
        parts += [np.linspace(before, after, ramp), np.full(rows, float(after))]
    values = np.concatenate(parts)
    return values + np.random.default_rng(seed).normal(0, 4, len(values)) * (values > 100)


def looked(tmp_path, speeds, rate=RATE, name="Drehzahl"):
    files = [write(tmp_path / f"ok{n}.csv", each, name, n) for n, each in enumerate(speeds)]
    found = survey(files, rate)
    made = suggest(found)
    return found, made, config_text(found, made, tmp_path / "pump.toml")


def test_a_window_holds_eight_turns_of_the_slowest_speed_and_the_config_says_so(tmp_path):
    _, _, text = looked(tmp_path, [held_at(0, 1480, 2950, seed=n) for n in range(4)])
    features = tomllib.loads(text)["features"]
    assert (features["window"], features["hop"], features["bands"]) == (512, 256, 64)
    assert "window = 512  # 0.512 s, 12.6 turns at 1480 RPM; 8 or more tell" in text


@pytest.mark.parametrize(
    ("speeds", "rate", "name", "window"),
    [
        ([held_at(2950)] * 4, RATE, "rpm", 256),
        ([held_at(12_000)] * 4, RATE, "rpm", 128),  # as long as without the speed, which is more turns than needed
        ([held_at(1480, rows=2000)], RATE, "rpm", 64),  # few rows give windows enough
        ([held_at(30.0, rows=125_000)], RATE, "rpm", 4096),  # no longer than features take
        ([held_at(100.0, rows=20_000)], RATE, "speed", 128),  # that may be percent, or km/h
        ([held_at(1480)] * 4, 100.0, "rpm", 256),  # too slow for vibration: two seconds as ever
    ],
)
def test_a_window_is_no_longer_than_files_and_features_allow_and_units_are_not_guessed(
    tmp_path, speeds, rate, name, window
):
    _, _, text = looked(tmp_path, speeds, rate, name)
    assert tomllib.loads(text)["features"]["window"] == window


def test_speeds_that_a_machine_is_held_at_are_edges_that_a_run_takes(tmp_path):
    orders = [(0, 1480, 2950, 1480), (0, 2950, 1480, 2950)] * 3
    _, made, text = looked(tmp_path, [held_at(*each, rows=6000, seed=n) for n, each in enumerate(orders)])
    (said, between, still) = made.notes
    given = re.search(r"edges = (\[[^]]*\]), too_few = \"unknown\", off_below = (\d+)", said)
    edges = tomllib.loads(f"edges = {given[1]}")["edges"]
    assert 1380 < edges[0] < 1460 < 1500 < edges[1] < 1580
    assert 2780 < edges[2] < 2930 < 2970 < edges[3] < 3100
    assert 100 < float(given[2]) < 200
    assert f"({edges[1]:g} to {edges[2]:g})" in between
    assert "1480, 2950" in between
    assert (
        "a machine that takes t seconds to run up or down needs t * 3.91 more, unless narrow edges of [modes]" in still
    )
    lines = text.splitlines()
    at = lines.index("# [modes]")
    assert "the next 5 lines" in lines[at - 1]
    switched_on = [line.removeprefix("# ") if at <= place < at + 5 else line for place, line in enumerate(lines)]
    config = tomllib.loads("\n".join(switched_on))
    assert config["modes"] == {"column": "Drehzahl", "edges": edges, "too_few": "unknown", "off_below": float(given[2])}
    data = prepare(parse_config(config, tmp_path))
    assert set(np.unique(data.calibration.modes)) == {0, 2}
    assert data.unjudged.off > 0.9 * 6 * (6000 - 512) / 256
    assert data.unjudged.unknown < 0.2 * data.unjudged.windows


@pytest.mark.parametrize(
    "speed",
    [
        held_at(1480),  # one speed is one mode
        np.random.default_rng(0).uniform(900, 1800, 9000),
        np.linspace(0, 3000, 9000),
        held_at(1480, 1530),  # nearly the same
        held_at(*range(600, 3000, 120), rows=500),  # too many
        np.r_[held_at(0, 1480), np.random.default_rng(0).uniform(1600, 3000, 4000)],
    ],
)
def test_speeds_without_clear_levels_have_no_edges(tmp_path, speed):
    found, made, text = looked(tmp_path, [speed])
    (shaft,) = speeds_of(found.files)
    assert shaft.edges == ()
    assert "[modes]" not in [line.removeprefix("# ") for line in text.splitlines()]
    assert not any("edges = [" in note for note in made.notes)
    assert shaft.slowest > 0


def test_a_machine_that_stands_without_a_column_of_its_speed_is_told_of_run_up_alone(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000) * np.repeat([0.01, 1.0], 10_000)
    np.savetxt(tmp_path / "a.csv", x, header="x", comments="", fmt="%.5g")
    done = invoke("look", tmp_path / "a.csv", "--sample-rate", "1000")
    said = " ".join(done.output.split())
    assert "a machine that takes t seconds to run up or down needs t * 15.6 more (docs/firmware.md" in said


def test_few_values_of_a_file_are_kept_and_of_speeds_alone():
    samples = np.stack([np.arange(1e5), np.full(100_000, 2.0)], 1).astype(np.float32)
    kept = kept_of(samples, ["rpm", "x"])
    assert list(kept) == ["rpm"]
    assert len(kept["rpm"]) <= 2000


def test_what_the_terminal_says_is_in_the_json(tmp_path):
    """Every note and the reasons for the task, so that a program needs not read the terminal's sentences."""
    for number in range(2):
        write(tmp_path / f"ok{number}.csv", held_at(0, 1480, 2950, seed=number), seed=number)
    typed = ("look", tmp_path / "ok0.csv", tmp_path / "ok1.csv", "--sample-rate", "1000")
    said = re.findall(r"^(?:Note|Task: anomaly): (.*)\.$", invoke(*typed).stdout, re.MULTILINE)
    plain = json.loads(invoke(*typed, "--json").stdout)
    assert len(said) > 3
    assert {line.rstrip(".") for line in said} == {
        " ".join(each.split()).rstrip(".") for each in (*plain["reasons"], *plain["notes"], *plain["remarks"])
    }
    assert plain["data"] == {"healthy_files": ["*"]}
    (speed,) = plain["speeds"]
    assert (speed["name"], len(speed["plateaus"]), len(speed["edges"])) == ("Drehzahl", 2, 4)


def test_a_run_without_modes_is_told_of_the_speeds_that_look_finds(tmp_path):
    """In its notes, which plan, verdict and report have; not with [modes], at one speed, or where there can be no modes."""
    orders = [(1480, 2950, 1480), (2950, 1480, 2950)] * 3
    found, _, text = looked(tmp_path, [held_at(*each, rows=6000, seed=n) for n, each in enumerate(orders)])
    (of_look,) = speeds_of(found.files)
    keys = f"[modes] column = 'Drehzahl', edges = [{', '.join(f'{edge:g}' for edge in of_look.edges)}]"

    def notes(**more):
        given = tomllib.loads(text)
        given["data"] = {**given["data"], **more.pop("data", {})}
        return [each for each in prepare(parse_config({**given, **more}, tmp_path)).notes if "clearly apart" in each]

    (note,) = notes()
    assert f"clearly apart, 1480, 2950, and one threshold serves all: {keys}, too_few" in note
    assert not notes(modes={"column": "Drehzahl", "edges": list(of_look.edges), "too_few": "unknown"})
    assert not notes(data={"folds": 3})
    (tmp_path / "pump.toml").write_text(text)
    done = invoke("run", tmp_path / "pump.toml", "--out", tmp_path / "run", "--dry-run")
    assert "clearly apart, 1480, 2950" in " ".join(done.stdout.split())
    for number in range(6):
        write(tmp_path / f"ok{number}.csv", held_at(2950, seed=number), seed=number)
    assert not notes()
