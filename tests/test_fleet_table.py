"""The table of a fleet, and what a fleet's file may say."""

import csv
import io
import json
from contextlib import nullcontext

import numpy as np
import pytest
from configs import rig, toml
from hypothesis import given
from hypothesis import strategies as st
from support import invoke

import micro
from micro.config import BudgetConfig
from micro.fleet import AssetResult, Fleet, load_fleet
from micro.fleet.results import table_csv
from micro.runs.finished import read_run
from micro.support.workers import Outcome


@given(st.permutations(["auc", "false_alarm_rate", "detection_rate", "zeta", "alpha"]), st.booleans())
def test_columns_of_the_table_keep_their_places(order, first_failed):
    rows = [
        AssetResult("a", "failed", error="x") if first_failed else AssetResult("a", "waiting"),
        AssetResult("b", "done", metrics={name: float(place) for place, name in enumerate(order)}),
    ]
    header, _, second = csv.reader(io.StringIO(table_csv(rows, "anomaly").decode()))
    start = header.index("auc")
    assert header[start : start + 5] == ["auc", "detection_rate", "false_alarm_rate", "alpha", "zeta"]
    assert [float(second[header.index(name)]) for name in order] == [float(place) for place in range(5)]
    alone = next(csv.reader(io.StringIO(table_csv(rows[:1], "anomaly").decode())))
    assert alone[: start + 3] == header[: start + 3]


@pytest.mark.parametrize("budget", [{}, {"runtime": "tflm"}, {"board": "bluepill"}], ids=str)
def test_sizes_in_the_table_are_what_the_budget_is_compared_with(rig_run, budget):
    """Of model, front end and last stage, with the budget's runtime and on its core."""
    from micro.fleet.machine import row

    report, config = read_run(rig_run)
    config = config.model_copy(update={"budget": BudgetConfig(**budget)})
    found = row(report, rig_run, config)
    runtime, board = budget.get("runtime", "static"), budget.get("board")
    arguments = ["--runtime", runtime, *(["--board", board] if board else ["--flash", "1MiB"])]
    said = json.loads(invoke("check", rig_run, *arguments, "--json").stdout)["program"]
    assert (found["flash"], found["ram"]) == (said["flash"], said["ram"])
    assert found["ram"] > 2 * 4 * report.features.window


def test_the_table_grows_while_the_fleet_goes_on(tmp_path, monkeypatch):
    from micro.fleet import driver

    common = {"job": "rig", "teacher": {"family": "autoencoder", "sizes": [8]}}
    common["student"] = {"family": "autoencoder", "sizes": [4]}
    three = Fleet(shared=common, asset=[{"name": name} for name in ("a", "b", "c")])
    value = {
        "metrics": {"auc": 0.5},
        "teacher": {"auc": 0.5},
        "flash": 1,
        "ram": 1,
        "macs": 1,
        "threshold": 1.0,
        "budget": None,
    }
    seen = []

    def outcomes(work, pieces, *, workers, look):
        if work == driver.TEACH:
            yield Outcome("teacher", {}, None, 1)
            return
        for found in (
            Outcome("b", None, "its worker died", 3),
            Outcome("a", value, None, 1),
            Outcome("c", value, None, 1),
        ):
            yield found
            rows = json.loads((tmp_path / "hall" / "fleet.json").read_text())["rows"]
            seen.append([row["state"] for row in rows])
            assert (tmp_path / "hall" / "report.html").is_file()
            assert len((tmp_path / "hall" / "fleet.csv").read_text().splitlines()) == 4

    monkeypatch.setattr(driver, "run_all", outcomes)
    monkeypatch.setattr(driver, "cluster", lambda workers, address: nullcontext())
    monkeypatch.setattr(driver, "SECONDS_BETWEEN_TABLES", 0.0)
    lines = []
    result = micro.run_fleet(three, tmp_path / "hall", progress=lambda stage, share: lines.append(stage))
    assert seen == [["waiting", "failed", "waiting"], ["done", "failed", "waiting"], ["done", "failed", "done"]]
    assert result.rows[1].error == "its worker died, 3 times; --resume tries again"
    assert "failed: b: its worker died" in lines


@given(st.integers(1, 40), st.integers(1, 50))
def test_machines_that_train_the_teacher_are_spread_evenly_and_none_comes_twice(count, wanted):
    fleet = Fleet(shared={}, teacher_assets=wanted, asset=[{"name": f"m{number}"} for number in range(count)])
    places = list(fleet.teaching())
    assert len(places) == min(wanted, count)
    numbers = [int(asset.name[1:]) for place in places for asset in place]
    assert numbers == sorted(set(numbers))
    firsts = np.diff([int(place[0].name[1:]) for place in places])
    assert not len(firsts) or firsts.max() - firsts.min() <= 1


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ("config = 3", "config must name the .toml that all machines share"),
        ('config = "missing.toml"', "missing.toml: No such file"),
        ('config = "shared.toml"', "it has no \\[\\[asset\\]\\]"),
        ('config = "shared.toml"\n[[asset]]\nname = "../up"', "asset.0.name: must be letters"),
        ('config = "shared.toml"\n[[asset]]\nname = "a"\n[[asset]]\nname = "a"', "asset 'a' comes twice"),
        (
            'config = "shared.toml"\n[[asset]]\nname = "Pump"\n[[asset]]\nname = "pump"',
            "assets 'Pump' and 'pump' differ in case only",
        ),
        ('config = "shared.toml"\n[[asset]]\nname = "a"\ncolour = 1', "asset.0.colour: no such setting"),
        (
            'config = "shared.toml"\n[[asset]]\nname = "a"\ndata = {speed = -1.0}',
            "asset 'a': data.speed: input should be",
        ),
        ('config = "shared.toml"\n[[asset]]\nname = "a"\n[asset.data.bearing]\nballs = 40', "asset 'a': .* 40 balls"),
        ("config = ", "is not TOML"),
    ],
)
def test_what_is_wrong_with_a_fleet_is_named_before_any_work(tmp_path, changed, problem):
    (tmp_path / "shared.toml").write_text(toml(rig(seed=4)))
    (tmp_path / "fleet.toml").write_text(changed)
    with pytest.raises(ValueError, match=problem):
        load_fleet(tmp_path / "fleet.toml")
