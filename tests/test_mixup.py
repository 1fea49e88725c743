"""Mixtures of training windows: what they are, and that a student learns from them what its teacher gives."""

import json

import keras
import numpy as np
import pytest
import tomli_w
from support import invoke
from test_unlabeled import TASKS, raw_of, write

import keras_kd
from micro.config import parse_config
from micro.datasets.mixing import mixed_windows
from micro.datasets.prepare import prepare
from micro.datasets.window_parts import Windows
from micro.explore.trial import try_candidate
from micro.explore.windows import prepare_windows
from micro.runs.recorded_teacher import recorded
from micro.runs.run_report import RunReport
from micro.runs.train import distil, with_unlabeled


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_a_mixture_lies_between_two_windows_and_each_window_is_in_two(alpha):
    rng = np.random.default_rng(0)
    x, seen = rng.normal(size=(11, 3, 2)).astype("float32"), rng.normal(size=(11, 5)).astype("float32")
    train = Windows(x, np.arange(11), ("a",) * 11, np.arange(11), seen)
    mixed = mixed_windows(train, alpha, -1, 7)
    flat, own = x.reshape(11, -1), mixed.x.reshape(11, -1)
    partners = []
    for row in range(11):
        fits = []
        for other in set(range(11)) - {row}:
            step = flat[row] - flat[other]
            weight = float((own[row] - flat[other]) @ step / (step @ step))
            if np.allclose(flat[other] + weight * step, own[row], atol=1e-5):
                fits.append((other, weight))
        # A weight of 1 leaves nothing of the other, which may then be any.
        other, weight = next(((o, w) for o, w in fits if o not in partners), fits[0])
        assert -1e-5 <= weight <= 1 + 1e-5
        np.testing.assert_allclose(mixed.of_teacher[row], weight * seen[row] + (1 - weight) * seen[other], atol=1e-4)
        partners.append(other)
    assert sorted(partners) == list(range(11))
    assert (mixed.labels == -1).all()
    again = mixed_windows(train, alpha, -1, 7)
    assert np.array_equal(again.x, mixed.x)
    assert not np.array_equal(mixed_windows(train, alpha, -1, 8).x, mixed.x)


@pytest.mark.parametrize("unlabeled", [True, False])
@pytest.mark.parametrize("task", TASKS)
def test_the_student_gets_them_with_what_the_teacher_gives(tmp_path, task, unlabeled):
    write(tmp_path, task)
    changes = {} if unlabeled else {"data": {"unlabeled_files": []}}
    raw = raw_of(tmp_path, task, distill={"mixup": 0.5}, **changes)
    raw["teacher"] |= {"columns": ["x", "y"], "features": {"window": 32}}
    raw["data"]["columns"] = ["x"]
    data = prepare(parse_config(raw))
    windows = len(data.train)
    x, y = with_unlabeled(data)
    assert len(x) == 2 * windows + (len(data.unlabeled) - windows)
    labeled = np.isfinite(y) if task == "regression" else y >= 0
    assert labeled.ravel().tolist() == [True] * windows + [False] * (len(x) - windows)
    keras.utils.set_random_seed(1)
    teacher = keras.Sequential(
        [
            keras.Input(data.of_teacher.train.x.shape[1:]),
            keras.layers.Dense(4, "tanh"),
            keras.layers.Dense(data.outputs),
        ]
    )
    outputs = recorded(teacher, data).outputs
    np.testing.assert_allclose(
        outputs[-windows:], teacher.predict(data.unlabeled.of_teacher[-windows:], verbose=0), atol=1e-5
    )
    # What the teacher gives for a mixture is no mixture of what it gives.
    assert not np.allclose(np.sort(outputs[-windows:, 0]), np.sort(outputs[:windows, 0]), atol=1e-2)


def test_mixtures_of_several_numbers_have_none_of_them(tmp_path):
    write(tmp_path, "regression")
    for path in tmp_path.glob("[ab]/*.csv"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join([f"{lines[0]},load", *(f"{line},{n % 7}" for n, line in enumerate(lines[1:]))]))
    raw = raw_of(tmp_path, "regression", distill={"mixup": 2.0}, data={"unlabeled_files": []})
    raw["data"].pop("target_column")
    raw["data"]["target_columns"] = ["load", "wear"]
    config = parse_config(raw)
    data = prepare(config)
    assert data.unlabeled.labels.shape == data.train.labels.shape == (len(data.train), 2)
    assert np.isnan(data.unlabeled.labels).all()
    teacher = keras.Sequential([keras.Input(data.train.x.shape[1:]), keras.layers.Dense(2)])
    learned = distil(config, data, teacher, 0, lambda losses: None).model
    assert all(np.isfinite(each).all() for each in learned.get_weights())


@pytest.mark.slow
def test_a_run_says_so_a_search_learns_from_them_and_other_tasks_refuse(tmp_path):
    write(tmp_path / "data", "classification")
    raw = raw_of("data", "classification", distill={"mixup": 1.0}, data={"unlabeled_files": []})
    (tmp_path / "c.toml").write_text(tomli_w.dumps(raw))
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    notes = RunReport.read(tmp_path / "run").data.notes
    assert any("mixtures of two training windows" in note for note in notes)
    plain = parse_config(raw, tmp_path).model_dump(mode="json")
    windows = tmp_path / "search" / "own"
    assert prepare_windows(plain, str(windows))["teacher_score"] > 0
    tried = try_candidate(plain, str(windows), {"flash": 16384, "ram": None, "macs": None}, "static", 3)
    assert tried["state"] == "done"
    labels = np.load(windows / "train_y.npy")
    about = json.loads((windows / "about.json").read_text())
    assert (len(labels), (labels[about["labeled"] :] == -1).all()) == (2 * about["labeled"], True)
    assert len(keras_kd.Recorded(windows.with_name(about["teacher"]))) == len(labels)
    raw["data"] = {"folder": "data", "files": "a/*.csv", "healthy_files": "*", "sample_rate": 10.0}
    with pytest.raises(ValueError, match="mixup is for classification, labels and regression, and task is 'anomaly'"):
        parse_config({**raw, "task": "anomaly", "student": {"sizes": [4]}, "teacher": {"sizes": [8, 4, 8]}})
    raw = raw_of("data", "classification", distill={"mixup": 0})
    with pytest.raises(ValueError, match=r"distill\.mixup"):
        parse_config(raw)
