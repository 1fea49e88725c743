"""What firmware is called whose config says no name: as the config's file is."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import invoke

from micro.config import load_config, parse_config
from micro.fleet import load_fleet
from micro.support.c_names import LONGEST, as_identifier, identifier

RIG = 'job = "rig"\n[teacher]\nsizes = [8]\n[student]\nsizes = [4]\n'
# Names of files, and of their firmware.
NAMES = {
    "pump.toml": "pump",
    "Lüfter-2.toml": "Luefter_2",
    "2024 gestures.toml": "m_2024_gestures",
    "main.toml": "main_model",
    "pump_detector.toml": "pump",
    "軸受.toml": "model",
    "a" * 90 + ".toml": "a" * 33,
    "pump.v2.toml": "pump_v2",
}


@pytest.mark.parametrize("file", NAMES)
def test_firmware_without_a_name_is_called_as_its_config(tmp_path, file):
    (tmp_path / file).write_text(RIG)
    assert load_config(tmp_path / file).firmware.name == NAMES[file]
    (tmp_path / file).write_text(RIG + '[firmware]\nname = "own"\n')
    assert load_config(tmp_path / file).firmware.name == "own"


def test_a_config_that_is_no_file_makes_a_model():
    assert parse_config(tomllib.loads(RIG)).firmware.name == "model"


def test_a_section_that_is_none_is_named_as_such(tmp_path):
    (tmp_path / "pump.toml").write_text("firmware = 3\n" + RIG)
    with pytest.raises(ValueError, match="firmware: must be a section of settings, got 3"):
        load_config(tmp_path / "pump.toml")


def test_machines_of_a_fleet_are_called_as_what_they_share(tmp_path):
    (tmp_path / "hall 3.toml").write_text(RIG)
    (tmp_path / "f.toml").write_text('config = "hall 3.toml"\n[[asset]]\nname = "a"\n[[asset]]\nname = "b"\n')
    fleet = load_fleet(tmp_path / "f.toml")
    assert [fleet.config(asset).firmware.name for asset in fleet.asset] == ["hall_3", "hall_3"]


@given(st.text(max_size=60), st.integers(12, LONGEST))
def test_every_text_has_a_name_near_it(text, longest):
    made = as_identifier(text, longest)
    assert identifier(made) == made
    assert len(made) <= longest


@pytest.mark.parametrize("words", [("rig",), ("table",), ("table", "--task", "multilabel"), ("text",)])
def test_configs_of_init_are_called_as_the_file_that_they_are_written_to(tmp_path, words):
    assert invoke("init", *words, "--out", tmp_path / "press.toml").exit_code == 0
    name = load_config(tmp_path / "press.toml").firmware.name
    assert name == ("bearing" if words == ("rig",) else "press")


def test_so_are_those_of_look(tmp_path):
    (tmp_path / "ok.csv").write_text("x,y\n" + "".join(f"{n * 7 % 11},{n * 5 % 13}\n" for n in range(900)))
    result = invoke("look", tmp_path / "ok.csv", "--sample-rate", "9", "--out", tmp_path / "Kühl pumpe.toml")
    assert result.exit_code == 0, result.output
    assert tomllib.loads((tmp_path / "Kühl pumpe.toml").read_text())["firmware"]["name"] == "Kuehl_pumpe"
