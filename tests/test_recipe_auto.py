"""Recipe "auto": what is tried, what is chosen and why, and the run that is trained by it."""

import json
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import invoke
from test_teaching import CLASSES, RUN, blobs_folder  # noqa: F401 (a fixture)

from micro.config import load_config, parse_config, with_candidate
from micro.datasets.prepare import prepare
from micro.errors import RunError
from micro.runs.recipe_choice import choose, trial_epochs, trials_of
from micro.runs.recipe_trials import settled_recipe
from micro.runs.seed_run import SeedWork

AUTO = '[distill]\nrecipe = "auto"\nshare = 4.0\n'


def config_of(text, **above):
    return parse_config({**CLASSES, **above, **tomllib.loads(text)})


def test_candidates_are_those_of_the_task():
    assert config_of(AUTO).distill.candidates == ("kd", "dkd", "dist")
    rig = {"job": "rig", "teacher": {}, "student": {}, "distill": {"recipe": "auto"}}
    assert parse_config(rig).distill.candidates == ("reconstruction",)
    regression = {"task": "regression", "data": {"files": "*.csv", "sample_rate": 1.0, "target_column": "y"}}
    config = config_of(AUTO, **regression)
    assert config.distill.candidates == ("output_matching", "teacher_bounded")
    again = parse_config(json.loads(json.dumps(config.model_dump(mode="json"))))
    assert again == config


def test_a_candidate_in_place_of_auto_is_the_config_that_names_it():
    config = config_of(AUTO)
    assert with_candidate(config, "dkd") == config_of("[distill]\nrecipe = 'dkd'")
    assert with_candidate(config, "logit_matching") == config_of("[distill]\nobjective = 'logit_matching'")


@given(st.floats(0.01, 10.0), st.integers(1, 500), st.integers(1, 6))
def test_trials_take_their_share_of_the_epochs(share, epochs, count):
    names = [f"r{number}" for number in range(count)]
    text = f"distill = {{recipe = 'auto', share = {share!r}, candidates = {names!r}}}"
    config = config_of(text, student={"epochs": epochs})
    assert trials_of(config) == count + 1
    found = trial_epochs(config)
    assert found == 1 or found * trials_of(config) <= share * epochs + 1e-6
    assert (found + 1) * trials_of(config) > share * epochs


REFUSED = {
    "share": ("distill = {share = 0.3}", 'share is for recipe = "auto", got 0.3'),
    "share of nothing": ("distill = {recipe = 'auto', share = 0.0}", "distill.share: input should be greater than 0"),
    "large share": (
        "distill = {recipe = 'auto', share = 11}",
        "distill.share: input should be less than or equal to 10",
    ),
    "candidates": ("distill = {recipe = 'kd', candidates = ['dkd']}", 'candidates is for recipe = "auto"'),
    "none": ("distill = {recipe = 'auto', candidates = []}", "candidates of recipe 'auto' are missing"),
    "numbers": ("distill = {recipe = 'auto', weight = 0.5}", "weight is of one recipe"),
    "layers": ("distill = {recipe = 'auto', layers = [['a', 'b']]}", "layers is of one recipe"),
    "plain": (
        "distill = {recipe = 'auto', candidates = ['kd', 'plain']}",
        "candidates.1: 'plain' is the student without",
    ),
    "itself": ("distill = {recipe = 'auto', candidates = ['auto']}", "candidates.0: 'auto' is no recipe"),
    "twice": ("distill = {recipe = 'auto', candidates = ['kd', 'kd']}", "candidates names 'kd' twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_auto_does_not_take_is_named(case):
    text, says = REFUSED[case]
    with pytest.raises(ValueError, match="distill") as refused:
        config_of(text)
    assert says in str(refused.value)


def right(rate, count=1000):
    return (np.arange(count) % 100 < 100 * rate).astype(float)


def test_the_simplest_of_those_as_good_as_the_best_is_chosen():
    found = choose("classification", {"kd": right(0.9), "dkd": right(0.9), "plain": right(0.8)}, 5)
    assert (found.chosen, [trial.standing for trial in found.trials]) == ("kd", ["best", "as good", "worse"])
    found = choose("classification", {"kd": right(0.8), "dkd": right(0.9), "plain": right(0.8)}, 5)
    assert (found.chosen, found.trials[0].value) == ("dkd", pytest.approx(0.8))
    noisy = right(0.9)
    noisy[:3] = 1 - noisy[:3]  # three windows of a thousand tell nothing
    noisy[997:] = 1.0
    found = choose("classification", {"kd": right(0.9), "dkd": noisy, "plain": right(0.5)}, 5)
    assert found.chosen == "kd"


def test_windows_that_overlap_count_for_less():
    scores = {"kd": right(0.9), "dkd": right(0.91), "plain": right(0.5)}
    assert choose("classification", scores, 5).chosen == "dkd"
    assert choose("classification", scores, 5, overlap=4.0).chosen == "kd"


def test_a_plain_student_that_was_better_is_said_and_not_chosen():
    errors = np.random.default_rng(0).uniform(1.0, 2.0, 400)
    found = choose("regression", {"output_matching": -2 * errors, "plain": -errors}, 5)
    assert (found.chosen, found.trials[1].standing) == ("output_matching", "better")
    assert "the plain student, without a teacher, was better" in found.because
    assert found.trials[1].value == pytest.approx(np.sqrt(errors.mean()))


def test_training_that_came_to_nothing_is_not_chosen():
    broken = np.full(50, np.nan)
    found = choose("anomaly", {"kd": broken, "dkd": -np.ones(50), "plain": broken}, 5)
    assert (found.chosen, found.trials[0].value, found.trials[2].standing) == ("dkd", None, "worse")
    with pytest.raises(RunError, match="every trial ended in values that are not finite"):
        choose("anomaly", {"kd": broken, "plain": -np.ones(50)}, 5)


@pytest.mark.slow
def test_a_run_chooses_says_so_and_goes_on_with_its_choice(tmp_path, blobs_folder):  # noqa: F811
    fewer = "candidates = ['kd', 'dkd']\ncompare = false\n"
    (tmp_path / "c.toml").write_text(RUN.format(folder=blobs_folder) + AUTO.replace("4.0", "2.0") + fewer)
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    found = report["recipe"]
    assert [trial["name"] for trial in found["trials"]] == ["kd", "dkd", "plain"]
    assert (found["metric"], found["epochs"], found["windows"]) == (
        "accuracy",
        2,
        report["data"]["windows"]["validation"],
    )
    named = {"kd": "soft_target", "dkd": "decoupled_kd"}[found["chosen"]]
    assert len(report["history"]["student_distilled"][named]) == 3
    assert found["because"] in (tmp_path / "run" / "report.html").read_text().replace("&#39;", "'")
    shown = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run", "--resume")
    assert "Recipes tried: 2 epochs each" in shown.output
    assert f"{found['chosen']} *" in shown.output
    # Taken up again, a run chooses the same, from what is kept or, were the choice lost, from the students of the trials.
    config = load_config(tmp_path / "c.toml")
    work = SeedWork(config, prepare(config), 0, tmp_path / "seed-0", lambda label, epochs=1, epoch=None, /: None)
    first = settled_recipe(work, tmp_path / "recipes")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "recipes").iterdir()}
    assert settled_recipe(work, tmp_path / "recipes") == first
    (tmp_path / "recipes" / "choice.json").unlink()
    assert settled_recipe(work, tmp_path / "recipes") == first
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "recipes").iterdir()}
    assert len(before) == 2 * 3 + 1
    assert {name for name in before if before[name] != after[name]} == {"choice.json"}
    assert first[0].distill.recipe == first[1].chosen == found["chosen"]


def test_an_unknown_candidate_ends_before_training(tmp_path, blobs_folder):  # noqa: F811
    (tmp_path / "c.toml").write_text(RUN.format(folder=blobs_folder) + AUTO + "candidates = ['kd', 'dkdd']\n")
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "there is no recipe 'dkdd'; nearest: dkd" in result.output
    assert not (tmp_path / "run.partial").exists()
    limits = ("--flash", "64KiB", "--ram", "16KiB", "--trials", "1")
    result = invoke("search", tmp_path / "c.toml", *limits, "--out", tmp_path / "search")
    assert result.exit_code == 2
    assert "there is no recipe 'dkdd'; nearest: dkd" in result.output
    assert not (tmp_path / "search").exists()


@pytest.mark.slow
def test_a_search_draws_among_the_candidates_and_names_the_one_that_it_chose(tmp_path, blobs_folder):  # noqa: F811
    (tmp_path / "c.toml").write_text(RUN.format(folder=blobs_folder) + AUTO + "candidates = ['kd', 'dist']\n")
    limits = ("--flash", "64KiB", "--trials", "5")
    result = invoke("search", tmp_path / "c.toml", *limits, "--out", tmp_path / "search")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "search" / "search.json").read_text())
    assert {each["choice"].get("recipe") for each in found["candidates"]} == {None, "kd", "dist"}
    assert load_config(tmp_path / "search" / "chosen.toml").distill.recipe in ("kd", "dist")


@pytest.mark.slow
def test_a_run_killed_among_its_trials_ends_with_the_same_bytes(tmp_path, blobs_folder):  # noqa: F811
    (tmp_path / "c.toml").write_text(RUN.format(folder=blobs_folder) + AUTO)
    run = [sys.executable, "-m", "micro.cli", "run", str(tmp_path / "c.toml"), "--out"]
    subprocess.run([*run, str(tmp_path / "whole")], check=True, capture_output=True)
    tried = tmp_path / "killed.partial" / "parts" / "recipes" / "recipe_dkd.json"
    with subprocess.Popen(
        [*run, str(tmp_path / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as killed:
        while not tried.exists() and killed.poll() is None:
            time.sleep(0.01)
        killed.kill()
    assert not (tried.parent / "choice.json").exists()
    subprocess.run([*run, str(tmp_path / "killed"), "--resume"], check=True, capture_output=True)
    for name in ("report.json", "student.keras", "student_int8.tflite", "report.html"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("task", ["anomaly", "regression"])
def test_other_tasks_choose_too(tmp_path, blobs_folder, task):  # noqa: F811
    text = RUN.format(folder=blobs_folder) + AUTO
    more = {
        "anomaly": 'sample_rate = 10.0\nhealthy_files = ["a/*"]\n[detect]\nfalse_alarm_rate = 0.2',
        "regression": 'sample_rate = 10.0\ntarget_column = "y"',
    }[task]
    text = text.replace('"classification"', f'"{task}"').replace("sample_rate = 10.0", more)
    (tmp_path / "c.toml").write_text(text)
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["recipe"]
    assert found["metric"] == {"anomaly": "reconstruction error", "regression": "RMSE"}[task]
    assert all(trial["value"] > 0 for trial in found["trials"])
