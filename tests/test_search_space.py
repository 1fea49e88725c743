"""What a search may vary, what candidates cost and are judged by, and which of them is chosen: without training."""

import importlib
from dataclasses import asdict, replace
from pathlib import Path

import emitted_c
import numpy as np
import pytest
from configs import BASES, base
from hypothesis import given, settings
from hypothesis import strategies as st

import micro
from micro.cli.scale_output import print_search
from micro.config import BudgetConfig, parse_config
from micro.explore import synthetic_anomalies
from micro.explore.holdout import kept_back
from micro.explore.page import render_search, tally
from micro.explore.scores import likelihood
from micro.explore.selection import choose, pareto
from micro.explore.space import propose, resolutions, smallest, widest
from micro.explore.study import Candidate, budget_used
from micro.explore.task import Task
from micro.explore.trial import Costs, costs_of, is_weak, over
from micro.program.size import Around, Model
from micro.runs.budgets import exceeded
from micro.runs.compression import untrained, written
from micro.runs.train import build_model
from micro.tflite.footprint import measure


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


def test_a_convolutional_autoencoder_varies_its_filters_and_its_code():
    config = base("conv_autoencoder")
    shallow, deep = smallest(config)
    assert (shallow.student.sizes, deep.student.sizes) == ((4, 2), (4, 4, 4, 4, 2))
    assert (deep.student.kernel, deep.student.stride) == (3, 4)
    for candidate in (shallow, deep):
        student = build_model(candidate.student, (256, 1), None, "student")
        assert student.get_layer("code").units == 2
    assert widest(config, inputs=256, flash=4096, macs=None) == 16
    assert widest(config, inputs=256, flash=None, macs=None) == 48


def test_layers_too_wide_for_the_budget_are_not_drawn():
    config = base("autoencoder")
    assert widest(config, inputs=64, flash=4096, macs=None) == 32
    assert widest(config, inputs=64, flash=1 << 20, macs=1280) == 10
    assert widest(config, inputs=64, flash=1 << 20, macs=None) == 128


@given(st.integers(0, 2**31), st.integers(1, 3), st.integers(1, 5), st.sampled_from([64, 200]))
@settings(max_examples=25)
def test_synthetic_anomalies_have_their_strength_and_are_the_same_for_a_seed(seed, channels, count, length):
    rng = np.random.default_rng(seed)
    frames = rng.normal(3.0, 2.0, (count, length, channels)).astype("float32")
    kept = frames.copy()
    made = synthetic_anomalies.with_anomalies(frames, seed)
    assert made.shape == (4 * count, length, channels)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(frames, kept)
    np.testing.assert_array_equal(made, synthetic_anomalies.with_anomalies(frames, seed))
    added = made[: 3 * count] - np.concatenate([frames] * 3)
    shares = np.sqrt(np.mean(added**2, axis=1)) / np.concatenate([frames.std(axis=1)] * 3)
    assert np.min(np.abs(shares[..., None] - synthetic_anomalies.STRENGTHS), axis=-1).max() < 1e-3
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
    points = {one.number: (one.score, budget_used(one.costs, budget)) for one in found}
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


@pytest.mark.parametrize("scales", [pytest.param("per_tensor", marks=pytest.mark.slow), "per_channel"])
@pytest.mark.parametrize("family", ["autoencoder", "dense", "conv1d"])
def test_an_untrained_candidate_costs_what_it_will_when_trained(family, scales):
    config = base(family, convert={"weights": scales})
    shape, classes = {"autoencoder": ((64,), None), "dense": ((64,), 10), "conv1d": ((256, 1), 10)}[family]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, *shape)).astype("float32")
    student = build_model(config.student, shape, classes, "student")
    before = student.get_weights()
    guessed = measure(written(untrained(student, config), config, x, None))
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    student.compile("adam", "mse")
    student.fit(x, rng.normal(size=(64, *student.output_shape[1:])), epochs=2, verbose=0)
    trained = measure(written(student, config, x, None))
    assert guessed.model_bytes == trained.model_bytes
    assert guessed.ram_bytes == trained.ram_bytes
    made = written(student, config, x, None)
    for limit in (trained.ram_bytes, trained.ram_bytes - 1, trained.arena_bytes_32bit):
        fits = over(costs_of(Model.read(made), "tflm", config.budget), {"flash": None, "ram": limit, "macs": None}) <= 0
        assert fits == micro.check(made, ram=limit, runtime="tflm").fits


@pytest.mark.parametrize("target", [{"core": "m0"}, {"board": "uno"}, {"board": "microbit"}, {}])
def test_a_search_counts_for_the_core_of_the_budget_as_its_chosen_run_will(target):
    """Of a Cortex-M0 front ends take twice the flash of a Cortex-M4F's, and more than a budget for this."""
    model = replace(Model.read(emitted_c.dense_model((8,), 8)), around=Around(900, 880, {"float32": 1, "features": 8}))
    costs = costs_of(model, "static", BudgetConfig(**target))
    assert exceeded(BudgetConfig(flash=str(costs.flash), ram=str(costs.ram), **target), model) == ()
    for less in ({"flash": str(costs.flash - 1)}, {"ram": str(costs.ram - 1)}):
        (says,) = exceeded(BudgetConfig(**({"flash": "1MiB", "ram": "1MiB"} | less), **target), model)
        assert "1 over" in says


def test_students_of_fewer_loads_train_for_as_many_steps():
    config = base("dense", compress=[{"stage": "shrink", "epochs": 3}])
    narrowed = kept_back(config)
    assert (narrowed.data.train_loads, narrowed.data.test_loads) == ((0,), (1,))
    assert narrowed.student.epochs == 2 * config.student.epochs
    assert narrowed.teacher.epochs == 2 * config.teacher.epochs
    assert narrowed.compress[0].epochs == 6
    three = kept_back(base("dense", data={"folder": ".", "train_loads": [2, 0, 1], "test_loads": [3]}))
    assert (three.data.train_loads, three.data.test_loads) == ((2, 0), (1,))
    assert three.student.epochs == 45
    assert kept_back(base("dense", data={"folder": ".", "train_loads": [0]})) is None
    assert kept_back(base("autoencoder")) is None


def test_of_finalists_that_tie_the_one_that_takes_least_is_chosen():
    budget = {"flash": 100, "ram": None, "macs": None}
    candidates = [Candidate(n, "done", {}, {"flash": flash}) for n, flash in ((-1, 50), (0, 90), (1, 20))]
    assert choose(candidates, {-1: (0.9, 0.9), 0: (0.95, 0.91), 1: (0.8, 0.99)}, budget) == 0
    assert choose(candidates, {-1: (0.9, 0.9), 0: (0.9002, 0.9), 1: (0.7, 0.9)}, budget) == -1
    assert choose(candidates, {-1: (0.9,), 0: (0.9002, 0.9), 1: (0.9, 0.9)}, budget) == 1


def test_the_config_s_own_student_is_no_candidate_that_was_drawn(capsys):
    costs = {"flash": 10, "ram": 10, "macs": 10}
    states = ("done", "done", "infeasible", "infeasible", "stopped")
    tried = tuple(
        Candidate(n, state, {"depth": 2} if n >= 0 else {}, costs, score=0.5) for n, state in enumerate(states, -1)
    )
    budget = {"flash": 64, "ram": None, "macs": None}
    result = micro.SearchResult(tried, (-1,), -1, {-1: (0.5,), 0: (0.5,)}, False, budget, "tflm", 0.9, "keras-kd run")
    print_search(result, "searches/a")
    printed = " ".join(capsys.readouterr().out.split())
    assert "4 candidates were drawn: 2 trained, 1 of them stopped early, 2 did not fit; the config's own" in printed
    assert "Chosen (*): the config's own student" in printed
    assert "own *" in printed
    assert "-1" not in printed
    plain = {
        **asdict(result), "finals": {"-1": [0.5]}, "task": "anomaly", "job": "rig", "seed": 0, "chosen_sizes": [8],
    }  # fmt: skip
    page = render_search(plain).decode()
    assert "The config's own student, layers of 8: no candidate was better." in page
    assert page.count("4 candidates were drawn") >= 2
    assert ">-1" not in page
    print_search(replace(result, chosen=0), "searches/a")
    assert "Chosen (*): candidate 0" in capsys.readouterr().out
    assert tally([(-1, "infeasible"), (0, "failed")]) == (
        "1 candidate was drawn: 0 trained, 1 failed; the config's own student does not fit"
    )


def test_configs_that_cannot_vary_are_refused(tmp_path):
    fixed = base("autoencoder", student={"path": "mine.keras"})
    with pytest.raises(micro.RunError, match=r"student\.path names a model as it is"):
        micro.search(fixed, tmp_path / "out", flash="4KiB")


@pytest.mark.parametrize("score", [1.0, 0.9])
def test_where_ones_own_student_is_perfect_a_load_is_held_out_and_it_is_judged_again(monkeypatch, tmp_path, score):
    """Training is stood in for; the whole search on real recordings is among the long tests."""
    own = Candidate(-1, "done", {}, {"flash": 1, "ram": 1, "macs": 1}, score=score)
    harder = replace(own, score=0.8)
    search = importlib.import_module("micro.explore.search")  # the package has a function of that name
    monkeypatch.setattr(search, "_own", lambda task: harder if task.kept else own)
    monkeypatch.setattr(search, "prepare", lambda task: 0.85)
    task = Task(base("dense"), tmp_path, {"flash": 4096, "ram": None, "macs": None}, "tflm", 1)
    baseline = search._own_student(task, 0.95, lambda stage, fraction: None)
    assert (baseline.task.kept, baseline.own, baseline.teacher_score) == (
        (True, harder, 0.85) if score == 1.0 else (False, own, 0.95)
    )
