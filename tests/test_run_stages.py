"""Stages of compression and budgets of a run."""

import json
import re

import pytest
from configs import toml, two_seconds
from support import ARENAS, invoke

STAGES = [
    {"stage": "shrink", "rate": 0.25, "epochs": 1},
    {"stage": "prune", "pattern": [2, 4], "epochs": 1},
    {"stage": "cluster", "clusters": 8, "epochs": 1, "teacher": False},
    {"stage": "quantize_aware", "ranges": "mse", "epochs": 1},
]
BUDGET = {"flash": "128KiB", "ram": "16KiB", "runtime": "tflm"}


@pytest.mark.slow
def test_stages_follow_one_another_without_undoing(tmp_path):
    path = tmp_path / "all.toml"
    path.write_text(toml(two_seconds(student={"sizes": [32, 8, 32]}, compress=STAGES, budget=BUDGET)))
    result = invoke("run", path, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "weights clustered" in result.output
    assert "Budget: met." in result.output
    assert "Data: 1 channel at 12,800 Hz, windows of 1,024 samples (0.08 s), one every 512." in result.output
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    by_stage = {row["stage"]: row for row in report["stages"]}
    assert list(by_stage) == ["distilled", "shrink", "prune", "cluster", "quantize_aware"]
    assert by_stage["shrink"]["macs"] < 0.85 * by_stage["distilled"]["macs"]
    for later in ("prune", "cluster", "quantize_aware"):
        assert by_stage[later]["zeros"] >= 0.48  # the last weights of a row of 6 make no four
        assert by_stage[later]["macs"] == by_stage["shrink"]["macs"]
    assert by_stage["cluster"]["flash"] < by_stage["prune"]["flash"]
    assert by_stage["quantize_aware"]["flash"] <= by_stage["cluster"]["flash"]
    assert report["footprint"]["ops"].get("TFLM_DECODE")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Compression, stage by stage" in page


@pytest.mark.slow
def test_a_budget_that_only_a_later_stage_meets_is_met(tmp_path):
    # A window of 1,024 samples, as many to compute with, features, the detector's state; 64 inputs and outputs.
    around, arena = 8228 + 2 * 64, 1472
    shrink = {"stage": "shrink", "rate": 0.9, "epochs": 1}
    budget = {"ram": f"{around + arena}B", "runtime": "tflm"}
    path = tmp_path / "later.toml"
    path.write_text(toml(two_seconds(student={"sizes": [200]}, compress=[shrink], budget=budget)))
    result = invoke("run", path, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    # Of 200 values a dense layer takes 800 bytes more with CMSIS-NN than here, of 20 a tenth.
    assert report["stages"][0]["arena"] + 4 * 200 > arena >= max(report["footprint"][kernels] for kernels in ARENAS)
    assert report["budget"]["fits"]


def test_a_budget_that_nothing_can_meet_is_refused_before_training(tmp_path):
    path = tmp_path / "tight.toml"
    path.write_text(toml(two_seconds(budget={"ram": "300B", "runtime": "tflm"})))
    result = invoke("run", path, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert re.search(
        r"budget: cannot be met, the smallest that this config can reach: ram: the firmware takes [\d,]+ bytes",
        result.output,
    )
    assert not list(tmp_path.rglob("*.keras"))
