"""report.json: one model writes and reads it; what was edited is refused in one line; what it shows is what is checked."""

import json
import logging
import os
import re
from pathlib import Path

import pytest
from configs import BASES
from reports import plain_report, report_with
from support import invoke

from micro.cli.main import SECTIONS, main
from micro.cli.terminal import next_commands
from micro.config import parse_config
from micro.errors import RunError
from micro.runs.finished import read_run
from micro.runs.mode_report import ModeReport
from micro.runs.run_report import RunReport
from micro.runs.summary import config_from_plain, plain_config
from micro.support import silence


def test_a_report_read_and_written_again_has_the_same_bytes(rig_run):
    assert RunReport.read(rig_run).to_bytes() == (rig_run / "report.json").read_bytes()
    assert report_with(added_later={"x": [1]}).to_dict()["added_later"] == {"x": [1]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"threshold": "x"}, "report.json: threshold: Input should be a valid number"),
        ({"features": {"kinds": 5}}, "report.json: features.FrontEnd.kinds: "),
        ({"detector": "x"}, "report.json: detector: "),
        ({"seeds": []}, "report.json: seeds: "),
        (
            {"seeds": [{"seed": 0, "student_int8": {}}]},
            "report.json: seeds.0: no metrics of teacher, student_distilled",
        ),
        (
            {"task": "forecast"},
            "report.json: task: Input should be 'anomaly', 'classification', 'multilabel', 'regression' or 'sequence'",
        ),
        ({"scaling": {"centre": [1.0], "spread": [0.0]}}, "report.json: scaling: "),
    ],
)
def test_an_edited_report_is_refused_in_one_line_that_names_the_key(changes, says, tmp_path):
    with pytest.raises(ValueError, match=says.replace(".", r"\.")) as error:
        RunReport.from_dict(plain_report(**changes))
    assert "\n" not in str(error.value)
    config = parse_config(BASES["autoencoder"], Path())
    (tmp_path / "manifest.json").write_text(json.dumps({"config": plain_config(config, tmp_path)}))
    (tmp_path / "report.json").write_text(json.dumps(plain_report(**changes)))
    with pytest.raises(RunError, match=r"is damaged: report\.json: "):
        read_run(tmp_path)


def test_a_run_finds_its_data_from_any_working_directory(tmp_path, monkeypatch):
    config = parse_config({**BASES["dense"], "data": {"folder": "recordings"}}, Path("configs"))
    plain = plain_config(config, tmp_path / "run")
    assert plain["data"]["folder"] == os.path.abspath("configs/recordings")
    monkeypatch.chdir(tmp_path)
    assert config_from_plain(plain, tmp_path / "run").data.folder == plain["data"]["folder"]


def test_summaries_of_commands_are_short_and_stand_in_the_order_of_use():
    names = list(main.commands)
    assert main.list_commands(None) == names
    assert names[:6] == ["doctor", "studio", "record", "look", "init", "run"]
    assert set(SECTIONS) <= set(re.findall(r"^(\S.*):$", invoke("--help").stdout, re.MULTILINE))
    for command in main.commands.values():
        assert len(command.short_help) <= 45
        assert "Example:" in command.help


def test_what_follows_a_run_is_typed_with_its_own_folder():
    commands = next_commands(report_with(), "runs/my pump")
    assert all("'runs/my pump'" in command for command in commands)
    names = [command.split()[1] for command in commands]
    assert names == ["test", "explain", "new-firmware", "emulate", "score", "monitor"]


@pytest.mark.parametrize(
    ("task", "image_size", "examined"),
    [("regression", None, set()), ("classification", (8, 8), {"test"}), ("classification", None, {"test", "explain"})],
)
def test_what_follows_a_run_are_commands_that_take_it(task, image_size, examined):
    report = report_with(task=task)
    report = report.model_copy(update={"data": report.data.model_copy(update={"image_size": image_size})})
    names = {command.split()[1] for command in next_commands(report, "runs/my")}
    assert names & {"test", "explain"} == examined


def test_a_run_with_operating_modes_is_followed_by_monitor_as_well():
    mode = ModeReport(
        name="600 to 900", threshold=0.5, calibration=9, healthy=9, false_alarms=0.0, faulty=0, detected=None
    )
    for by_mode, said in (
        ([], "does the threshold still hold"),
        ([mode.model_dump()], "do the modes' thresholds still hold"),
    ):
        (monitor,) = [each for each in next_commands(report_with(by_mode=by_mode), "runs/pump") if "monitor" in each]
        assert monitor == f"keras-kd monitor runs/pump LOG   # {said}, by a device's log"


@pytest.mark.parametrize("ours", [False, True])
def test_loggers_of_frameworks_are_set_for_the_command_line_alone(ours, monkeypatch):
    logger = logging.getLogger("absl")
    before = logger.level
    monkeypatch.setattr(silence._process, "quiet_loggers", ours)
    try:
        silence.import_frameworks()
        logger.setLevel(logging.INFO)
        silence.import_frameworks()
        assert logger.level == (logging.ERROR if ours else logging.INFO)
    finally:
        logger.setLevel(before)
