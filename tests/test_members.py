"""A teacher of several networks: each from a seed of its own, together the mean of their outputs, as any teacher is kept."""

import json

import keras
import numpy as np
import pytest
from configs import rig, toml
from support import invoke

from micro.config import parse_config
from micro.datasets.prepare import prepare
from micro.runs.finished import read_run
from micro.runs.train import train_teacher

MEMBERS = rig(teacher={"members": 3, "epochs": 2}, seeds=1)


@pytest.mark.slow
def test_members_differ_and_their_mean_is_the_teacher():
    config = parse_config(MEMBERS)
    data = prepare(config)
    epochs = []
    trained = train_teacher(config, data, 4, lambda losses: epochs.append(1))
    assert len(epochs) == 3 * 2
    members = [layer for layer in trained.model.layers if isinstance(layer, keras.Model)]
    outputs = [member.predict(data.test.x, verbose=0) for member in members]
    assert len(members) == 3
    assert all(not np.allclose(outputs[one], outputs[other]) for one, other in ((0, 1), (0, 2), (1, 2)))
    np.testing.assert_allclose(trained.model.predict(data.test.x, verbose=0), np.mean(outputs, axis=0), atol=1e-5)
    assert len(trained.history["loss"]) == 2
    again = train_teacher(config, data, 4, lambda losses: None)
    assert all(np.array_equal(a, b) for a, b in zip(trained.model.get_weights(), again.model.get_weights()))


@pytest.mark.slow
def test_a_run_keeps_them_as_one_model_that_can_teach_another_run(tmp_path):
    (tmp_path / "a.toml").write_text(toml(MEMBERS))
    result = invoke("run", tmp_path / "a.toml", "--out", tmp_path / "a", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    kept = keras.saving.load_model(tmp_path / "a" / "teacher.keras", compile=False)
    sizes = [layer.count_params() for layer in kept.layers if isinstance(layer, keras.Model)]
    assert len(sizes) == 3
    assert sum(sizes) == report["parameters"]["teacher"]
    _, config = read_run(tmp_path / "a")
    assert config.teacher.members == 3
    (tmp_path / "b.toml").write_text(toml(rig(teacher={"path": str(tmp_path / "a" / "teacher.keras")}, seeds=1)))
    taught = json.loads(invoke("run", tmp_path / "b.toml", "--out", tmp_path / "b", "--json").stdout)
    assert taught["seeds"][0]["teacher"] == report["seeds"][0]["teacher"]


def test_logits_of_members_teach_softened():
    from keras_kd.layers import activation_of
    from micro.runs.train import Trained, _averaged

    def net(name):
        inputs = keras.Input((5,))
        return keras.Model(inputs, keras.layers.Dense(4, name="logits")(inputs), name=name)

    model = _averaged([Trained(net(f"member_{number}"), {"loss": [1.0, 0.5 * number]}) for number in range(2)])
    assert activation_of(model.model) == "linear"
    assert model.history == {"loss": [1.0, 0.25]}


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"members": 0}, "members"),
        ({"members": 2, "path": "t.keras"}, "leave them out with path"),
        ({"members": 2, "detectors": ["pca_q"]}, "leave them out with detectors"),
        ({"members": 2, "devices": 2}, "leave devices out"),
    ],
)
def test_what_does_not_go_together_is_refused(teacher, message):
    with pytest.raises(ValueError, match=message):
        parse_config({"job": "rig", "teacher": teacher, "student": {}})
