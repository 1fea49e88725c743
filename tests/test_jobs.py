"""The jobs as they come out of the box, whole: the accuracy and size they must reach."""

import json

import pytest
from support import invoke

pytestmark = pytest.mark.slow


def test_the_rig_distils_a_tenth_of_the_teacher(tmp_path):
    result = invoke("run", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    auc = {name: found["auc"]["mean"] for name, found in report["summary"].items()}
    assert len(report["seeds"]) == 3
    assert report["parameters"]["student"] <= report["parameters"]["teacher"] / 10
    assert auc["student_int8"] > auc["teacher"] - 0.01
    assert report["parity"]["samples"] == 1000


def test_the_cwru_student_is_within_a_point_and_16_kib(tmp_path, cwru_folder):
    config = tmp_path / "cwru.toml"
    assert invoke("init", "cwru", "--out", config).exit_code == 0
    config.write_text(config.read_text().replace('folder = "cwru"', f'folder = "{cwru_folder}"'))
    result = invoke("run", config, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    accuracy = {name: found["accuracy"]["mean"] for name, found in report["summary"].items()}
    assert len(report["seeds"]) == 3
    assert accuracy["student_int8"] >= accuracy["teacher"] - 0.01
    assert report["footprint"]["model_bytes"] < 16 * 1024
    assert report["parity"]["samples"] == 1000
