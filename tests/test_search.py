"""Budget search: what may vary, what is counted, what is never trained, what is chosen, and what an interruption leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import invoke

import micro
from micro.config import Config, load_config, parse_config
from micro.datasets import cwru
from micro.datasets.prepare import prepare
from micro.datasets.split import cut
from micro.explore import synthetic_anomalies as oddities
from micro.explore.holdout import kept_back, rehearse
from micro.explore.selection import TIE, choose, pareto
from micro.explore.space import propose, resolutions, smallest, widest
from micro.explore.study import Candidate, share_of_budget
from micro.explore.trial import Costs, costs_of, is_weak, likelihood, over
from micro.fleet.machine import ARENAS
from micro.runs.compression import untrained, written
from micro.runs.lock import holding
from micro.runs.train import build_model
from micro.tflite.footprint import measure

RIG = """
job = "rig"
seed = 5
seeds = 1
[data]
train_recordings = 4
validation_recordings = 2
calibration_recordings = 3
test_recordings = 2
fault_recordings = 1
seconds = 1.0
severities = [1.0]
[features]
bands = 32
[teacher]
sizes = [32, 8, 32]
epochs = 3
[student]
sizes = [8, 4, 8]
epochs = 4
learning_rate = 0.003
[detect]
false_alarm_rate = 0.05
"""
BUDGET = {"flash": "4KiB", "ram": "2KiB"}
BASES = {
    "autoencoder": {"job": "rig", "teacher": {"sizes": [16]}, "student": {"sizes": [12, 6, 12]}},
    "dense": {
        "job": "cwru",
        "data": {"folder": "."},
        "teacher": {"family": "dense"},
        "student": {"family": "dense", "sizes": [24]},
        "distill": {"objective": "soft_target"},
    },
    "conv1d": {
        "job": "cwru",
        "data": {"folder": "."},
        "features": {"kind": "raw", "window": 256},
        "teacher": {"family": "conv1d"},
        "student": {"family": "conv1d", "sizes": [8, 12, 18]},
        "distill": {"objective": "logit_matching"},
    },
}


def base(family, **more) -> Config:
    return parse_config({**BASES[family], **more}, Path())


class Drawn:
    """Asks hypothesis instead of Optuna."""

    def __init__(self, data):
        self.data = data

    def suggest_categorical(self, name, choices):
        return self.data.draw(st.sampled_from(list(choices)), label=name)

    def suggest_int(self, name, low, high, *, log=False):
        return self.data.draw(st.integers(low, high), label=name)

    def suggest_float(self, name, low, high, *, log=False):
        return self.data.draw(st.floats(low, high), label=name)


@given(st.data(), st.sampled_from(list(BASES)), st.integers(8, 128))
def test_every_candidate_is_a_config_that_runs_take(data, family, wide):
    candidate = propose(Drawn(data), base(family), wide)
    again = parse_config(candidate.model_dump(mode="json"), Path())
    assert again == candidate
    assert candidate.features.bands in resolutions(base(family))
    assert max(candidate.student.sizes) <= 1.5**3 * wide + 1
    assert candidate.distill.weight + candidate.distill.hard_weight == pytest.approx(1)
    assert not any(stage.teacher for stage in candidate.compress)


def test_stages_that_choose_scales_keep_that_to_themselves():
    stages = [{"stage": "shrink"}, {"stage": "cluster"}]
    candidate = smallest(base("autoencoder", compress=stages))[0]
    assert [stage.stage for stage in candidate.compress] == ["shrink", "prune", "cluster"]
    assert candidate.convert.weights == "per_tensor"
    assert smallest(base("autoencoder", compress=[{"stage": "quantize_aware"}]))[0].convert.weights == "auto"


def test_layers_too_wide_for_the_budget_are_not_drawn():
    config = base("autoencoder")
    assert widest(config, inputs=64, flash=4096, macs=None) == 32
    assert widest(config, inputs=64, flash=1 << 20, macs=1280) == 10
    assert widest(config, inputs=64, flash=1 << 20, macs=None) == 128


@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(1, 5), st.sampled_from([64, 200]))
@settings(max_examples=25)
def test_oddities_are_as_strong_as_they_say_and_the_same_for_a_seed(seed, channels, count, length):
    rng = np.random.default_rng(seed)
    frames = rng.normal(3.0, 2.0, (count, length, channels)).astype("float32")
    kept = frames.copy()
    made = oddities.odd(frames, seed)
    assert made.shape == (4 * count, length, channels)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(frames, kept)
    np.testing.assert_array_equal(made, oddities.odd(frames, seed))
    added = made[: 3 * count] - np.concatenate([frames] * 3)
    shares = np.sqrt(np.mean(added**2, axis=1)) / np.concatenate([frames.std(axis=1)] * 3)
    assert np.min(np.abs(shares[..., None] - oddities.STRENGTHS), axis=-1).max() < 1e-3
    assert np.isfinite(made).all()


@given(
    st.lists(
        st.tuples(st.sampled_from([0.5, 0.7, 0.8, 0.9]), st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=12
    )
)
def test_none_on_the_front_is_beaten(drawn):
    budget = {"flash": 5, "ram": 5, "macs": None}
    found = [
        Candidate(n, "done", {}, {"flash": flash, "ram": ram, "macs": 1}, score=score)
        for n, (score, flash, ram) in enumerate(drawn)
    ]
    front = pareto(found, budget)
    points = {one.number: (one.score, share_of_budget(one.costs, budget)) for one in found}
    assert max(score for score, _ in points.values()) in {points[n][0] for n in front}
    for number in front:
        score, share = points[number]
        assert not any(s >= score and c <= share and (s, c) != (score, share) for s, c in points.values())


def test_weak_candidates_stop_and_others_do_not():
    better = (0.9, 0.95)
    assert is_weak([0.8], [better, better])
    assert not is_weak([0.8], [better])
    assert not is_weak([0.92], [better, better])
    assert is_weak([0.92, 0.94], [better, better])
    assert not is_weak([0.92, 0.94], [better, better[:1]])  # a rival that stopped early says nothing of later epochs


@given(st.integers(0, 2**31), st.floats(0.05, 20.0))
def test_likelihood_asks_which_answer_is_likelier_and_not_how_loudly_it_is_given(seed, factor):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 60)
    logits = 2.0 * np.eye(4)[labels] + rng.normal(size=(60, 4))
    found = likelihood(logits, labels)
    assert 1 / 4 - 1e-6 <= found < 1
    assert likelihood(factor * logits + 3.0, labels) == pytest.approx(found, abs=1e-3)
    assert likelihood(logits + 1.0 * np.eye(4)[labels], labels) > found
    # The formula, written apart: no temperature on a grid does better.
    grid = logits[None] / np.geomspace(0.01, 100, 200)[:, None, None]
    right = np.take_along_axis(grid, labels[None, :, None], axis=-1)[..., 0]
    top = grid.max(axis=-1)
    entropies = (top + np.log(np.exp(grid - top[..., None]).sum(axis=-1)) - right).mean(axis=1)
    assert found >= np.exp(-entropies.min()) - 1e-3


def test_the_tightest_part_of_a_budget_counts():
    assert over(Costs(10, 20, 5), {"flash": 20, "ram": 10, "macs": None}) == 1.0
    assert over(Costs(10, 5, 5), {"flash": 20, "ram": 10, "macs": 10}) == -0.5


@pytest.mark.parametrize("scales", ["per_tensor", "per_channel"])
@pytest.mark.parametrize("family", ["autoencoder", "dense", "conv1d"])
def test_an_untrained_candidate_costs_what_it_will_when_trained(family, scales):
    config = base(family, convert={"weights": scales})
    shape, classes = {"autoencoder": ((64,), None), "dense": ((64,), 10), "conv1d": ((256, 1), 10)}[family]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, *shape)).astype("float32")
    student = build_model(config.student, shape, classes, "student")
    before = student.get_weights()
    guessed = measure(written(untrained(student, config), config, x))
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    student.compile("adam", "mse")
    student.fit(x, rng.normal(size=(64, *student.output_shape[1:])), epochs=2, verbose=0)
    trained = measure(written(student, config, x))
    assert guessed.model_bytes == trained.model_bytes
    assert guessed.ram_bytes == trained.ram_bytes
    made = written(student, config, x)
    for limit in (trained.ram_bytes, trained.ram_bytes - 1, trained.arena_bytes_32bit):
        fits = over(costs_of(made, "tflm"), {"flash": None, "ram": limit, "macs": None}) <= 0
        assert fits == micro.check(made, ram=limit).fits


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "rig.toml"
    path.write_text(RIG)
    return path


@pytest.fixture(scope="module")
def found(tmp_path_factory, config_file):
    out = tmp_path_factory.mktemp("searches") / "first"
    arguments = ("search", config_file, "--out", out, "--trials", "5", "--json")
    result = invoke(*arguments, *(word for name, size in BUDGET.items() for word in (f"--{name}", size)))
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_what_fits_is_tried_and_what_does_not_is_never_trained(found):
    _, told = found
    states = [row["state"] for row in told["candidates"]]
    assert states.count("done") + states.count("stopped") >= 5 + 1  # the config's own is tried beside
    assert "failed" not in states
    assert [row["number"] for row in told["candidates"]] == list(range(-1, len(states) - 1))
    for row in told["candidates"]:
        fits = row["costs"]["flash"] <= 4096 and row["costs"]["ram"] <= 2048
        assert fits == (row["state"] != "unfit")
        if row["state"] == "unfit":
            assert not row["marks"]
            assert row["score"] is None
    assert set(told["front"]) <= {row["number"] for row in told["candidates"] if row["state"] == "done"}
    assert str(told["chosen"]) in told["finals"]
    assert len(told["finals"][str(told["chosen"])]) == 3
    assert "-1" in told["finals"]
    layers = ("bands", "depth", "bottleneck", "width")
    finalists = [told["candidates"][int(number) + 1]["choice"] for number in told["finals"] if number != "-1"]
    assert len({tuple(choice.get(name) for name in layers) for choice in finalists}) == len(finalists)
    assert not told["kept"]


def test_the_chosen_config_gives_a_student_of_the_costs_told(found, tmp_path):
    out, told = found
    config = load_config(out / "chosen.toml")
    assert (config.budget.flash, config.budget.ram) == ("4096", "2048")
    assert told["command"] == f"keras-kd run {out / 'chosen.toml'} --out {out / 'chosen'}"
    report = json.loads(invoke("run", out / "chosen.toml", "--out", tmp_path / "run", "--json").stdout)
    chosen = next(row for row in told["candidates"] if row["number"] == told["chosen"])
    assert report["budget"]["fits"]
    assert report["footprint"]["model_bytes"] == chosen["costs"]["flash"]
    assert max(report["footprint"][kernels] for kernels in ARENAS) == chosen["costs"]["ram"]
    assert report["footprint"]["macs"] == chosen["costs"]["macs"]


def test_no_window_of_the_test_is_among_what_the_search_sees(found, config_file):
    out, _ = found
    config = load_config(config_file)
    data = prepare(config)
    known = {row.tobytes() for row in data.test.x}
    for name in ("train_x", "calibration", "judged_x"):
        seen = np.load(out / "lessons" / "bands-32" / f"{name}.npy")
        assert seen.shape[1:] == data.test.x.shape[1:]
        assert not known & {row.tobytes() for row in seen}
    # A search simulates hardly any of the test, and all of what is learnt from.
    told, _ = rehearse(config)
    assert len(told.test) < len(data.test)
    np.testing.assert_array_equal(told.train.x, data.train.x)


def test_classifiers_are_judged_by_validation_windows_or_a_load_that_they_have_not_learnt(cwru_folder):
    told = {**BASES["dense"], "data": {"folder": str(cwru_folder)}, "features": {"bands": 16}}
    config = parse_config(told, Path())
    tested = [cut(one, prepare(config).features)[0] for one in cwru.load(cwru_folder, (2,)) if one.label != "normal"]
    whole, (x, labels) = rehearse(config)
    np.testing.assert_array_equal(x, whole.validation.x)
    np.testing.assert_array_equal(labels, whole.validation.labels)
    one_load, (only, _) = rehearse(parse_config({**told, "data": {**told["data"], "train_loads": [0]}}, Path()))
    np.testing.assert_array_equal(only, one_load.validation.x)
    data, (x, labels) = rehearse(kept_back(config), kept=True)
    heard = {f"{number}.mat" for number in (97, *(first for first, *_ in cwru.FAULT_FILES.values()))}
    assert set(data.train.origins) == heard
    known = {row.tobytes() for row in data.scaling(data.features(np.concatenate(tested)))}
    assert not known & {row.tobytes() for row in x}
    assert not {row.tobytes() for row in data.train.x} & {row.tobytes() for row in x}
    # The healthy machine was recorded at one load: what is left of it in time is the test's, and not judged by.
    assert np.sum(labels == 0) == np.sum(data.validation.labels == 0)
    assert set(labels) == set(range(10))
    second_load = sum(origin not in heard for origin in data.test.origins)
    assert len(x) == len(data.validation) + second_load


def test_what_is_learnt_from_fewer_loads_is_gone_through_oftener():
    config = base("dense", compress=[{"stage": "shrink", "epochs": 3}])
    told = kept_back(config)
    assert (told.data.train_loads, told.data.test_loads) == ((0,), (1,))
    assert told.student.epochs == 2 * config.student.epochs
    assert told.teacher.epochs == 2 * config.teacher.epochs
    assert told.compress[0].epochs == 6
    three = kept_back(base("dense", data={"folder": ".", "train_loads": [2, 0, 1], "test_loads": [3]}))
    assert (three.data.train_loads, three.data.test_loads) == ((2, 0), (1,))
    assert three.student.epochs == 45
    assert kept_back(base("dense", data={"folder": ".", "train_loads": [0]})) is None
    assert kept_back(base("autoencoder")) is None


def test_where_validation_windows_are_too_easy_a_load_kept_from_candidates_judges(cwru_folder, tmp_path):
    told = {
        **BASES["dense"],
        "seeds": 1,
        "data": {"folder": str(cwru_folder)},
        "features": {"bands": 15, "window": 4096, "hop": 4096},
        "teacher": {"family": "dense", "sizes": [64], "epochs": 8},
        "student": {"family": "dense", "sizes": [48], "epochs": 20, "learning_rate": 0.01},
    }
    found = micro.search(parse_config(told, Path()), tmp_path / "out", flash="16KiB", ram="8KiB", trials=1)
    by_number = {candidate.number: candidate for candidate in found.candidates}
    assert json.loads((tmp_path / "out" / "own.json").read_text())["score"] > 1 - TIE
    assert found.kept
    assert by_number[-1].score == json.loads((tmp_path / "out" / "own-kept.json").read_text())["score"]
    usual, kept = (
        json.loads((tmp_path / "out" / "lessons" / name / "about.json").read_text())["windows"]
        for name in ("bands-15", "bands-15-kept")
    )
    assert kept["train"] < usual["train"]
    assert kept["judged"] > usual["judged"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "a training load kept from candidates" in page
    # What is emitted learns from all loads again, for as long as the config says.
    chosen = load_config(tmp_path / "out" / "chosen.toml")
    assert (chosen.data.train_loads, chosen.student.epochs) == ((0, 1), 20)


def test_of_finalists_that_tie_the_one_that_takes_least_is_chosen():
    budget = {"flash": 100, "ram": None, "macs": None}
    candidates = [Candidate(n, "done", {}, {"flash": flash}) for n, flash in ((-1, 50), (0, 90), (1, 20))]
    assert choose(candidates, {-1: (0.9, 0.9), 0: (0.95, 0.91), 1: (0.8, 0.99)}, budget) == 0
    assert choose(candidates, {-1: (0.9, 0.9), 0: (0.9002, 0.9), 1: (0.7, 0.9)}, budget) == -1
    assert choose(candidates, {-1: (0.9,), 0: (0.9002, 0.9), 1: (0.9, 0.9)}, budget) == 1


def killed_midway(arguments, until, timeout=240):
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
@pytest.mark.timeout(1800)
def test_a_killed_search_goes_on_to_the_very_same_result(found, tmp_path, config_file):
    _, told = found
    out = tmp_path / "second"
    arguments = ("search", config_file, "--out", out, "--trials", "5", "--flash", "4KiB", "--ram", "2KiB")
    journal = out / "study.jsonl"
    killed_midway(arguments, lambda: journal.exists() and journal.read_text().count('"result"') >= 2)
    assert not (out / "search.json").exists()
    again = invoke(*arguments, "--resume", "--workers", "1")
    assert again.exit_code == 0, again.output
    second = json.loads((out / "search.json").read_text())
    for result in (told, second):
        result.pop("command"), result.pop("chosen_config")  # they name their folders
    assert second == told
    assert "trained to the end. Chosen:" in again.output


def test_what_is_in_the_way_is_left_alone(found, tmp_path, config_file):
    out, _ = found
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    arguments = ("search", config_file, "--trials", "1", "--flash", "4KiB")
    again = invoke(*arguments, "--ram", "2KiB", "--out", out)
    assert (again.exit_code, "holds a search already; go on with --resume" in again.output) == (2, True)
    other = invoke(*arguments, "--out", out, "--resume")
    assert (other.exit_code, "another config, budget or runtime" in other.output) == (2, True)
    (tmp_path / "mine.txt").write_text("mine")
    assert "is not a search's folder" in invoke(*arguments, "--out", tmp_path).output
    assert "nothing to resume" in invoke(*arguments, "--out", tmp_path / "new", "--resume").output
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_of_two_drivers_on_one_journal_the_second_is_told_so(found, config_file):
    out, _ = found
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with holding(out):
        again = invoke(
            "search", config_file, "--out", out, "--flash", "4KiB", "--ram", "2KiB", "--trials", "5", "--resume"
        )
    assert again.exit_code == 2
    assert f"{out}: another keras-kd has been at work on it; wait for its end" in again.output
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_damaged_journal_is_refused_and_never_overwritten(found, tmp_path, config_file):
    import shutil

    out = tmp_path / "copy"
    shutil.copytree(found[0], out)
    journal = out / "study.jsonl"
    for content in (journal.read_bytes()[:-20], b"\x00\xff" * 100, b'{"op_code": 99}\n'):
        journal.write_bytes(content)
        result = invoke(
            *("search", config_file, "--out", out, "--flash", "4KiB", "--ram", "2KiB", "--trials", "7", "--resume")
        )
        assert result.exit_code == 2, result.output
        assert result.output.count("\n") <= 6
        assert "is damaged" in result.output
        assert journal.read_bytes() == content


def test_a_budget_that_nothing_meets_tells_the_smallest_reachable(tmp_path, config_file):
    config = load_config(config_file)
    with pytest.raises(
        micro.RunError,
        match=r"nothing can meet the budget, the smallest reachable takes 1,\d{3} bytes of flash, 900 allowed",
    ):
        micro.search(config, tmp_path / "a", flash=900, trials=1)
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


def test_configs_that_cannot_vary_are_refused(tmp_path):
    fixed = base("autoencoder", student={"path": "mine.keras"})
    with pytest.raises(micro.RunError, match=r"student\.path names a model as it is"):
        micro.search(fixed, tmp_path / "out", flash="4KiB")
