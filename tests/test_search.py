"""Budget search: what may vary, what is counted, what is never trained, what is chosen, and what an interruption leaves."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from configs import BASES, base, rig, toml
from support import invoke

import micro
from micro.cli.scale_output import print_search
from micro.config import load_config, parse_config
from micro.datasets import cwru
from micro.datasets.prepare import prepare
from micro.datasets.recording import cut
from micro.explore.holdout import kept_back, search_windows
from micro.explore.page import chosen_by, render_search
from micro.explore.result import SearchResult
from micro.explore.selection import TIE
from micro.explore.study import Candidate
from micro.program.size import program_of
from micro.runs.around_model import model_of_run
from micro.runs.finished import read_run
from micro.runs.lock import holding

RIG = rig(
    seed=5,
    seeds=1,
    data={"validation_recordings": 2},
    features={"bands": 8},  # of which there is one resolution
    teacher={"sizes": [32, 8, 32]},
    student={"sizes": [8, 4, 8], "epochs": 4, "learning_rate": 0.003},
)
BUDGET = {"flash": "7KiB", "ram": "10KiB"}


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "rig.toml"
    path.write_text(toml(RIG))
    return path


@pytest.fixture(scope="module")
def found(tmp_path_factory, config_file):
    out = tmp_path_factory.mktemp("searches") / "first"
    arguments = ("search", config_file, "--out", out, "--trials", "3", "--json")
    result = invoke(*arguments, *(word for name, size in BUDGET.items() for word in (f"--{name}", size)))
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_what_fits_is_tried_and_what_does_not_is_never_trained(found):
    _, outcome = found
    states = [row["state"] for row in outcome["candidates"]]
    assert states.count("done") + states.count("stopped") >= 3 + 1  # the config's own is tried beside
    assert "failed" not in states
    assert [row["number"] for row in outcome["candidates"]] == list(range(-1, len(states) - 1))
    for row in outcome["candidates"]:
        fits = row["costs"]["flash"] <= 7168 and row["costs"]["ram"] <= 10240
        assert fits == (row["state"] != "infeasible")
        if row["state"] == "infeasible":
            assert not row["epoch_scores"]
            assert row["score"] is None
    assert set(outcome["front"]) <= {row["number"] for row in outcome["candidates"] if row["state"] == "done"}
    assert str(outcome["chosen"]) in outcome["finals"]
    assert len(outcome["finals"][str(outcome["chosen"])]) == 3
    assert "-1" in outcome["finals"]
    layers = ("bands", "depth", "bottleneck", "width")
    finalists = [outcome["candidates"][int(number) + 1]["choice"] for number in outcome["finals"] if number != "-1"]
    assert len({tuple(choice.get(name) for name in layers) for choice in finalists}) == len(finalists)
    assert not outcome["kept"]


@pytest.mark.slow
def test_the_chosen_config_gives_a_student_of_the_reported_costs(found, tmp_path):
    out, outcome = found
    config = load_config(out / "chosen.toml")
    assert (config.budget.flash, config.budget.ram) == ("7168", "10240")
    assert outcome["command"] == f"keras-kd run {out / 'chosen.toml'} --out {out / 'chosen'}"
    report = json.loads(invoke("run", out / "chosen.toml", "--out", tmp_path / "run", "--json").stdout)
    chosen = next(row for row in outcome["candidates"] if row["number"] == outcome["chosen"])
    assert report["budget"]["fits"]
    program = program_of(model_of_run(tmp_path / "run", *read_run(tmp_path / "run")), "static")
    # With front end, last stage and samples: nothing of them is another than what the search took them for.
    assert (program.flash, program.ram) == (chosen["costs"]["flash"], chosen["costs"]["ram"])
    assert report["footprint"]["macs"] == chosen["costs"]["macs"]


def test_no_window_of_the_test_is_among_what_the_search_sees(found, config_file):
    out, _ = found
    config = load_config(config_file)
    data = prepare(config)
    known = {row.tobytes() for row in data.test.x}
    for name in ("train_x", "calibration", "judged_x"):
        seen = np.load(out / "windows" / "bands-8" / f"{name}.npy")
        assert seen.shape[1:] == data.test.x.shape[1:]
        assert not known & {row.tobytes() for row in seen}
    # A search simulates hardly any of the test, and all of what is learnt from.
    searched, _ = search_windows(config)
    assert len(searched.test) < len(data.test)
    np.testing.assert_array_equal(searched.train.x, data.train.x)


@pytest.mark.slow
def test_classifiers_are_judged_by_validation_windows_or_a_load_that_they_have_not_learnt(cwru_folder):
    raw = {**BASES["dense"], "data": {"folder": str(cwru_folder)}, "features": {"bands": 16}}
    config = parse_config(raw, Path())
    tested = [cut(one, prepare(config).features)[0] for one in cwru.load(cwru_folder, (2,)) if one.label != "normal"]
    whole, judged = search_windows(config)
    np.testing.assert_array_equal(judged.x, whole.validation.x)
    np.testing.assert_array_equal(judged.labels, whole.validation.labels)
    one_load, only = search_windows(parse_config({**raw, "data": {**raw["data"], "train_loads": [0]}}, Path()))
    np.testing.assert_array_equal(only.x, one_load.validation.x)
    data, judged = search_windows(kept_back(config), kept=True)
    x, labels = judged.x, judged.labels
    train_origins = {f"{number}.mat" for number in (97, *(first for first, *_ in cwru.FAULT_FILES.values()))}
    assert set(data.train.origins) == train_origins
    known = {row.tobytes() for row in data.scaling(data.features(np.concatenate(tested)))}
    assert not known & {row.tobytes() for row in x}
    assert not {row.tobytes() for row in data.train.x} & {row.tobytes() for row in x}
    # The healthy machine was recorded at one load: what is left of it in time is the test's, and not judged by.
    assert np.sum(labels == 0) == np.sum(data.validation.labels == 0)
    assert set(labels) == set(range(10))
    second_load = sum(origin not in train_origins for origin in data.test.origins)
    assert len(x) == len(data.validation) + second_load


@pytest.mark.slow
def test_where_validation_windows_are_too_easy_a_load_kept_from_candidates_judges(cwru_folder, tmp_path):
    raw = {
        **BASES["dense"],
        "seeds": 1,
        "data": {"folder": str(cwru_folder)},
        "features": {"bands": 15, "window": 4096, "hop": 4096},
        "teacher": {"family": "dense", "sizes": [64], "epochs": 8},
        "student": {"family": "dense", "sizes": [48], "epochs": 20, "learning_rate": 0.01},
    }
    found = micro.search(parse_config(raw, Path()), tmp_path / "out", flash="16KiB", ram="64KiB", trials=1)
    by_number = {candidate.number: candidate for candidate in found.candidates}
    assert json.loads((tmp_path / "out" / "own.json").read_text())["score"] > 1 - TIE
    assert found.kept
    assert by_number[-1].score == json.loads((tmp_path / "out" / "own-kept.json").read_text())["score"]
    usual, kept = (
        json.loads((tmp_path / "out" / "windows" / name / "about.json").read_text())["windows"]
        for name in ("bands-15", "bands-15-kept")
    )
    assert kept["train"] < usual["train"]
    assert kept["judged"] > usual["judged"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "a training load held out from candidates" in page
    # What is emitted learns from all loads again, for as long as the config says.
    chosen = load_config(tmp_path / "out" / "chosen.toml")
    assert (chosen.data.train_loads, chosen.student.epochs) == ((0, 1), 20)


def killed_midway(arguments, until, timeout=1500):
    """Run the command line, and kill it as soon as `until` holds."""
    process = subprocess.Popen([sys.executable, "-m", "micro.cli", *map(str, arguments)], stderr=subprocess.DEVNULL)
    started = time.monotonic()
    while not until():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() - started < timeout
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_killed_search_goes_on_to_the_very_same_result(found, tmp_path, config_file):
    _, outcome = found
    out = tmp_path / "second"
    arguments = ("search", config_file, "--out", out, "--trials", "3", "--flash", "7KiB", "--ram", "10KiB")
    journal = out / "study.jsonl"
    killed_midway(arguments, lambda: journal.exists() and journal.read_text().count('"result"') >= 2)
    assert not (out / "search.json").exists()
    again = invoke(*arguments, "--resume", "--workers", "1")
    assert again.exit_code == 0, again.output
    second = json.loads((out / "search.json").read_text())
    for result in (outcome, second):
        result.pop("command"), result.pop("chosen_config")  # they name their folders
    assert second == outcome
    assert "beside them. Chosen (*): " in again.output


def test_what_is_in_the_way_is_left_alone(found, tmp_path, config_file):
    out, _ = found
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    arguments = ("search", config_file, "--trials", "1", "--flash", "7KiB")
    again = invoke(*arguments, "--ram", "10KiB", "--out", out)
    assert (again.exit_code, "holds a search already; go on with --resume" in again.output) == (2, True)
    other = invoke(*arguments, "--out", out, "--resume")
    assert (other.exit_code, "another config, budget or runtime" in other.output) == (2, True)
    (tmp_path / "mine.txt").write_text("mine")
    assert "is not a search's folder" in invoke(*arguments, "--out", tmp_path).output
    assert "nothing to resume" in invoke(*arguments, "--out", tmp_path / "new", "--resume").output
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_of_two_drivers_on_one_journal_the_second_is_refused(found, config_file):
    out, _ = found
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with holding(out):
        again = invoke(
            "search", config_file, "--out", out, "--flash", "7KiB", "--ram", "10KiB", "--trials", "3", "--resume"
        )
    assert again.exit_code == 2
    assert f"{out}: another keras-kd has been at work on it; wait for its end" in again.output
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_damaged_journal_is_refused_and_never_overwritten(found, tmp_path, config_file):
    out = tmp_path / "copy"
    shutil.copytree(found[0], out)
    journal = out / "study.jsonl"
    for content in (journal.read_bytes()[:-20], b"\x00\xff" * 100, b'{"op_code": 99}\n'):
        journal.write_bytes(content)
        result = invoke(
            *("search", config_file, "--out", out, "--flash", "7KiB", "--ram", "10KiB", "--trials", "7", "--resume")
        )
        assert result.exit_code == 2, result.output
        assert result.output.count("\n") <= 6
        assert "is damaged" in result.output
        assert journal.read_bytes() == content


@pytest.mark.slow
def test_a_budget_that_nothing_meets_names_the_smallest_reachable(tmp_path, config_file):
    config = load_config(config_file)
    # Front end, detector and static C of two tiny Dense layers; TFLite Micro's interpreter alone takes tens of thousands.
    for runtime, flash, least in (("static", 2000, r"3,\d{3}"), ("tflm", 16384, r"(2|3)\d,\d{3}")):
        refused = f"nothing can meet the budget, the smallest reachable takes {least} bytes of flash, {flash:,} allowed"
        with pytest.raises(micro.RunError, match=refused):
            micro.search(config, tmp_path / "a", flash=flash, trials=1, runtime=runtime)
    assert not list(tmp_path.iterdir()), "it would stand in the way of the next"
    with pytest.raises(micro.RunError, match="no Ray cluster"):
        micro.search(config, tmp_path / "a", flash="64KiB", trials=1, address="127.0.0.1:1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("budget", "problem"),
    [
        ({}, "give a budget: flash, ram or macs"),
        ({"flash": "much"}, "flash must be a size such as 64KiB"),
        ({"macs": "2G"}, "macs must be a number such as 2M"),
        ({"ram": "2KiB", "trials": 0}, "trials must be at least 1"),
    ],
)
def test_budgets_that_do_not_parse_are_named_before_any_work(tmp_path, budget, problem):
    with pytest.raises(ValueError, match=problem):
        micro.search(base("autoencoder"), tmp_path / "out", **budget)
    assert not (tmp_path / "out").exists()


def drawn(number, score, flash, state="done"):
    costs = {"flash": flash, "ram": 900, "macs": 500}
    return Candidate(number, state, {} if number < 0 else {"bands": 8}, costs, (), score)


@pytest.mark.parametrize("own", ["done", "infeasible"])
def test_the_chosen_student_and_the_configs_own_are_in_the_tables_with_the_mean_that_decided(capsys, own):
    candidates = (
        drawn(-1, 0.71 if own == "done" else None, 4200, own),
        drawn(0, 0.7777, 2000),
        drawn(1, 0.7529, 3000),
        drawn(2, 0.6, 1500),
    )
    finals = {0: (0.7777, 0.5, 0.5), 1: (0.7529, 0.7531, 0.76)}
    budget = {"flash": 8192, "ram": None, "macs": None}
    result = SearchResult(candidates, (2, 0), 1, finals, False, budget, "static", 0.8, "keras-kd run chosen.toml")
    print_search(result, "out")
    said = " ".join(capsys.readouterr().out.split())
    plain = asdict(result) | {
        "finals": {str(number): scores for number, scores in finals.items()},
        "job": "rig", "task": "anomaly", "chosen_sizes": [8, 4, 8],
    }  # fmt: skip
    page = render_search(plain).decode()
    front = page[page.index("<h2>Pareto front") :].split("</table>")[0]
    for number in ("1 *", "own", "0", "2"):
        assert re.search(rf"│ {re.escape(number)} │ (yes|no) ", said), said
        assert f"<tr><td>{number}</td>" in front
    assert "Chosen (*): candidate 1, by the mean score over 3 seeds, 0.7553" in said
    verdict = page[page.index('class="verdict') :].split("</section>")[0]
    assert "by the mean area under the ROC curve over 3 seeds, 0.7553" in verdict
    assert "0.7529" not in verdict
    about = page.split("</section>")[1].split("<h2>")[0]
    assert "front end, last stage and samples" in " ".join(about.split())


def test_of_finalists_that_tie_the_mean_of_the_higher_one_is_said_too():
    assert chosen_by({0: (0.8, 0.8), 1: (0.8004, 0.8004)}, 0).endswith(
        "0.8000, as good as the highest, 0.8004, for less"
    )
