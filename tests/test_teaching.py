"""What a config lets a student learn: any objective or recipe of keras_kd, checked before anything is trained."""

import json
import tomllib

import keras
import numpy as np
import pytest
from support import invoke

from micro.config import parse_config
from micro.runs.teaching import on_outputs, recipe_of

NETS = {"teacher": {"sizes": [24, 12]}, "student": {"sizes": [8], "epochs": 10}}
CLASSES = {"job": "table", "task": "classification", "data": {"files": "*.csv", "sample_rate": 1.0}, **NETS}


def config_of(text, folder, **above):
    return parse_config({**CLASSES, **above, **tomllib.loads(text)}, folder)


def net(units, name, classes=4):
    inputs = keras.Input((6,))
    hidden = inputs
    for number, width in enumerate(units):
        hidden = keras.layers.Dense(width, activation="relu", name=f"dense_{number}")(hidden)
    return keras.Model(inputs, keras.layers.Dense(classes, name="logits")(hidden), name=name)


@pytest.fixture
def nets():
    return net([24, 12], "teacher"), net([8], "student")


def test_a_word_stands_for_an_objective_with_the_numbers_beside_it(tmp_path, nets):
    made = recipe_of(config_of("", tmp_path), *nets, 10)
    assert str(made) == "soft_target: hard_weight 0.5\n  SoftTarget(weight=0.5, temperature=4) on outputs"
    made = recipe_of(
        config_of("distill = {objective = 'logit_matching', weight = 2.0, hard_weight = 0.0}", tmp_path), *nets, 1
    )
    assert str(made) == "logit_matching: hard_weight 0\n  LogitMatching(weight=2) on outputs"


def test_a_recipe_is_as_published_but_for_what_the_config_says(tmp_path, nets):
    from keras_kd.recipes import recipe

    text = "[distill]\nrecipe = 'dkd'"
    assert recipe_of(config_of(text, tmp_path), *nets, 7) == recipe("dkd", *nets, steps_per_epoch=7, epochs=10)
    changed = recipe_of(config_of(f"{text}\ntemperature = 2.0\nhard_weight = 0.3", tmp_path), *nets, 7)
    assert (changed.hard_weight, changed.terms[0].arguments["temperature"]) == (0.3, 2.0)
    layered = recipe_of(
        config_of("[distill]\nrecipe = 'fitnets'\nlayers = [['dense_0', 'dense_0']]", tmp_path), *nets, 7
    )
    assert layered.layers == (("dense_0", "dense_0"),)


OWN = """
[distill]
hard_weight = 0.25

[[distill.objectives]]
class = "SoftTarget"
temperature = 2.0
standardize = true
weight = {start = 0.0, end = 4.5, steps = 20}

[[distill.objectives]]
class = "Hint"
teacher_layer = "dense_1"
student_layer = "dense_0"
"""


def test_objectives_are_spelled_out_with_their_arguments(tmp_path, nets):
    config = config_of(OWN, tmp_path)
    made = recipe_of(config, *nets, 3)
    assert made.hard_weight == 0.25
    assert [type(each).__name__ for each in made.objectives()] == ["SoftTarget", "Hint"]
    assert made.layers == ((None, None), ("dense_1", "dense_0"))
    assert [term.objective for term in on_outputs(made).terms] == ["SoftTarget"]
    assert on_outputs(made.without("SoftTarget")) is None
    again = parse_config(json.loads(json.dumps(config.model_dump(mode="json"))), tmp_path)
    assert recipe_of(again, *nets, 3) == made


REFUSED = {
    "two": ("distill = {objective = 'soft_target', recipe = 'kd'}", "give one of objective, recipe and"),
    "no class": ("[[distill.objectives]]\nweight = 1.0", 'objectives.0.class is missing, as in class = "SoftTarget"'),
    "outside": (
        "[distill]\nweight = 1.0\n[[distill.objectives]]\nclass = 'Dist'",
        "weight belongs to one of the objectives",
    ),
    "layers": ("distill = {layers = [['a', 'b']]}", "layers are pairs of layers for a recipe"),
    "nothing": ("distill = {weight = 0.0, hard_weight = 0.0}", "both 0: nothing to learn from"),
    "recipe": ("distill = {recipe = 'dkdd'}", "there is no recipe 'dkdd'; nearest: dkd"),
    "class": ("[[distill.objectives]]\nclass = 'SoftTargets'", "there is no objective 'SoftTargets'"),
    "argument": ("[[distill.objectives]]\nclass = 'SoftTarget'\ntemp = 2.0", "temp: SoftTarget takes no such argument"),
    "value": ("[[distill.objectives]]\nclass = 'SoftTarget'\ntemperature = -2.0", "temperature"),
    "layer": (
        "[[distill.objectives]]\nclass = 'Hint'\nteacher_layer = 'dense_1'\nstudent_layer = 'dens_0'",
        "dens_0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_taught_is_named(tmp_path, nets, case):
    text, says = REFUSED[case]
    with pytest.raises(ValueError) as refused:
        recipe_of(config_of(text, tmp_path), *nets, 10)
    assert says in str(refused.value)
    assert "distill" in str(refused.value)


@pytest.fixture(scope="module")
def blobs_folder(tmp_path_factory):
    """Three classes of slow signals, three files each."""
    folder = tmp_path_factory.mktemp("blobs")
    rng = np.random.default_rng(0)
    for c, name in enumerate("abc"):
        for n in range(3):
            (folder / name).mkdir(exist_ok=True)
            values = rng.normal(size=(400, 3)) * (1 + c) + [c, 0, -c]
            np.savetxt(folder / name / f"{n}.csv", values, delimiter=",", header="x,y,z", comments="", fmt="%.4f")
    return folder


RUN = """
job = "table"
task = "classification"
seeds = 1
[data]
folder = "{folder}"
files = "*/*.csv"
sample_rate = 10.0
[features]
kind = "statistics"
window = 16
hop = 8
[teacher]
sizes = [24, 12]
epochs = 3
[student]
sizes = [8]
epochs = 3
"""
STAGES = "\n[[compress]]\nstage = 'prune'\ntarget_sparsity = 0.5\nepochs = 2\n"
TAUGHT = {
    "dkd": "[distill]\nrecipe = 'dkd'",
    "fitnets": f"[distill]\nrecipe = 'fitnets'{STAGES}",
    "own": OWN + STAGES,
    "anomaly": "[distill]\nrecipe = 'reconstruction'",
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case == "own" else pytest.mark.slow) for case in TAUGHT]
)
def test_a_run_is_taught_by_what_its_config_says(tmp_path, blobs_folder, case):
    config = RUN.format(folder=blobs_folder) + TAUGHT[case]
    if case == "anomaly":
        config = config.replace('"classification"', '"anomaly"').replace(
            "sample_rate = 10.0", 'sample_rate = 10.0\nhealthy_files = ["a/*"]\n[detect]\nfalse_alarm_rate = 0.2'
        )
    (tmp_path / "c.toml").write_text(config)
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    history = report["history"]["student_distilled"]
    named = {"dkd": "decoupled_kd", "fitnets": "hint", "own": "hint", "anomaly": "reconstruction"}[case]
    assert len(history[named]) == 3
    assert np.isfinite(history[named]).all()


@pytest.mark.slow
def test_a_search_says_that_it_teaches_by_outputs(tmp_path, blobs_folder):
    (tmp_path / "c.toml").write_text(RUN.format(folder=blobs_folder) + TAUGHT["fitnets"])
    limits = ("--flash", "64KiB", "--ram", "16KiB", "--trials", "1")
    result = invoke("search", tmp_path / "c.toml", *limits, "--out", tmp_path / "search")
    assert result.exit_code == 2
    assert "Hint compares inner layers" in result.output


@pytest.mark.parametrize("task", ["anomaly", "regression"])
@pytest.mark.parametrize("text", ["recipe = 'dkd'", "recipe = 'kd'", "objectives = [{class = 'SoftTarget'}]"])
def test_class_probabilities_are_not_taught_where_there_are_no_classes(nets, task, text):
    """An autoencoder has as many outputs as features, which are no logits."""
    data = {"files": "*.csv", "sample_rate": 1.0}
    data |= {"healthy_files": "*.csv"} if task == "anomaly" else {"target_column": "y"}
    raw = {"job": "table", "task": task, "data": data, "teacher": {}, "student": {}, "distill": tomllib.loads(text)}
    with pytest.raises(ValueError, match=rf"compares probabilities of classes, and task '{task}' has none"):
        recipe_of(parse_config(raw), *nets, 10)
