"""A config that uses a setting's old name is refused, in every command, by a line that gives the new one."""

import json
import tomllib
from importlib import resources
from pathlib import Path

import pytest
from support import invoke

from micro.config import RENAMED, parse_config
from micro.errors import RunError
from micro.runs.finished import read_run

RIG = (resources.files("micro.config") / "jobs" / "rig.toml").read_text()


def with_old_name(old):
    """The built-in config's text with one setting more, under its old name."""
    section, key = old.split(".")
    given = tomllib.loads(RIG)[section]
    head = f"[[{section}]]" if isinstance(given, list) else f"[{section}]"
    return RIG.replace(f"\n{head}\n", f"\n{head}\n{key} = 1\n", 1)


@pytest.mark.parametrize("old", RENAMED)
def test_new_names_exist_and_old_ones_do_not(old):
    config = parse_config(tomllib.loads(RIG), Path())
    for place, exists in ((RENAMED[old], True), (old, False)):
        section, key = place.split(".")
        kept = getattr(config, section)
        items = kept if isinstance(kept, tuple) else (kept,)
        assert any(key in type(item).model_fields for item in items) == exists


@pytest.mark.parametrize("old", RENAMED)
@pytest.mark.parametrize("command", ["run", "search", "fleet"])
def test_every_command_gives_the_new_name_in_one_line(tmp_path, command, old):
    path = tmp_path / "rig.toml"
    path.write_text(with_old_name(old))
    given = path
    if command == "fleet":
        given = tmp_path / "fleet.toml"
        given.write_text('config = "rig.toml"\n[[asset]]\nname = "a"\n')
    budget = ["--flash", "24KiB"] if command == "search" else []
    result = invoke(command, given, "--out", tmp_path / "out", *budget)
    assert result.exit_code == 2
    assert f"{path}: {old} is now called {RENAMED[old]}\n" in result.output
    assert not (tmp_path / "out").exists()


def test_a_machine_of_a_fleet_is_named_with_the_setting(tmp_path):
    (tmp_path / "rig.toml").write_text(RIG)
    (tmp_path / "fleet.toml").write_text('config = "rig.toml"\n[[asset]]\nname = "a"\ndetect = {needed = 1}\n')
    result = invoke("fleet", tmp_path / "fleet.toml", "--out", tmp_path / "out")
    assert "asset 'a': detect.needed is now called detect.min_hits" in result.output


def test_all_old_names_of_a_config_stand_in_one_line():
    raw = tomllib.loads(RIG)
    raw["detect"] |= {"needed": 1, "among": 1}
    with pytest.raises(ValueError, match=r"^c: detect.needed is now called detect.min_hits, detect.among is now"):
        parse_config(raw, Path(), "c")


def test_a_run_of_an_earlier_version_is_named_as_one(tmp_path):
    config = parse_config(tomllib.loads(RIG), Path(), "c").model_dump(mode="json")
    config["detect"]["needed"] = config["detect"].pop("min_hits")
    (tmp_path / "report.json").write_text("{}")
    (tmp_path / "manifest.json").write_text(json.dumps({"config": config}))
    with pytest.raises(RunError, match=r"was made by an earlier version: manifest.json: detect.needed is now called"):
        read_run(tmp_path)
