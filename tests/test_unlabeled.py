"""Files without labels: whose windows the student learns from, that no label and no judged file is behind them, the run."""

import json
import shutil

import keras
import numpy as np
import pytest
import tomli_w
from support import invoke, made_once
from tables import columns

import keras_kd
from micro.config import load_config, parse_config
from micro.datasets.prepare import prepare
from micro.errors import DataError
from micro.explore.trial import try_candidate
from micro.explore.windows import prepare_windows
from micro.runs.recorded_teacher import recorded
from micro.runs.train import check_models, distil, examples_alone, with_unlabeled
from micro.runs.unlabeled import OfLabeled, OfLabeledAccuracy

TASKS = ("classification", "regression")


def write(folder, task, count=5, rows=160, extra=3):
    """Labeled files below 'a' and 'b', others below 'more'."""
    rng = np.random.default_rng(4)
    for place, name in enumerate(("a", "b", "more")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(extra if name == "more" else count):
            tone = np.sin(np.arange(rows) * (0.4 + 0.5 * (place % 2))) + 0.4 * rng.normal(size=rows)
            cells = {"x": tone.round(4), "y": rng.normal(size=rows).round(4)}
            if task == "regression" and name != "more":
                cells["wear"] = (tone + rng.normal(size=rows)).round(4)
            (folder / name / f"p{number}.csv").write_text(columns(**cells))


def raw_of(folder, task, **changes):
    raw = {
        "job": "table",
        "task": task,
        "seeds": 1,
        "data": {
            "folder": str(folder),
            "files": ["a/*.csv", "b/*.csv"],
            "unlabeled_files": "more/*.csv",
            "sample_rate": 10.0,
            "columns": ["x", "y"],
        },
        "features": {"kind": "statistics", "window": 16, "hop": 8},
        "teacher": {"family": "dense", "sizes": [16], "epochs": 2},
        "student": {"family": "dense", "sizes": [4], "epochs": 1},
    }
    if task == "regression":
        raw["data"]["target_column"] = "wear"
    for name, more in changes.items():
        raw[name] = {**raw.get(name, {}), **more} if isinstance(more, dict) else more
    return raw


WINDOWS = (160 - 16) // 8 + 1


@pytest.mark.parametrize("task", TASKS)
def test_their_windows_are_learned_from_and_in_no_part(tmp_path, task):
    write(tmp_path, task)
    data = prepare(parse_config(raw_of(tmp_path, task)))
    without = prepare(parse_config(raw_of(tmp_path, task, data={"unlabeled_files": []})))
    assert len(data.unlabeled) == 3 * WINDOWS
    assert without.unlabeled is None
    assert np.isnan(data.unlabeled.labels).all() if task == "regression" else (data.unlabeled.labels == -1).all()
    for part in ("train", "validation", "calibration", "test"):
        assert np.array_equal(getattr(data, part).x, getattr(without, part).x)
        assert not any(name.startswith("more") for name in getattr(data, part).origins)
    assert any(f"gives for {3 * WINDOWS} windows of 3 recordings without labels" in note for note in data.notes)


@pytest.mark.parametrize("task", TASKS)
def test_a_window_without_a_label_has_no_part_in_the_loss_of_labels(tmp_path, task):
    write(tmp_path, task)
    data = prepare(parse_config(raw_of(tmp_path, task)))
    x, y = with_unlabeled(data)
    outputs = np.random.default_rng(0).normal(size=(len(x), 2 if task == "classification" else 1)).astype("float32")
    plain = (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if task == "classification"
        else keras.losses.MeanSquaredError()
    )
    labeled = len(data.train)
    found = float(OfLabeled(plain, task == "classification")(y, outputs))
    assert found == pytest.approx(float(plain(y[:labeled], outputs[:labeled])) * labeled / len(x), rel=1e-5)
    if task == "classification":
        accuracy = OfLabeledAccuracy()
        accuracy.update_state(y[:, None], outputs)
        expected = np.mean(outputs[:labeled].argmax(axis=1) == y[:labeled])
        assert float(accuracy.result()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_a_student_learns_them_from_its_teacher_alone(tmp_path, task):
    """With no weight on what the teacher says, unlabeled windows change nothing that can be seen in a model but its steps."""
    write(tmp_path, task)
    objective = {"objective": "output_matching" if task == "regression" else "soft_target"}
    config = parse_config(raw_of(tmp_path, task, distill={**objective, "weight": 1.0, "hard_weight": 0.0}))
    data = prepare(config)
    keras.utils.set_random_seed(1)
    teacher = keras.Sequential([keras.Input(data.train.x.shape[1:]), keras.layers.Dense(data.outputs)])
    one = distil(config, data, teacher, 0, lambda losses: None)
    labels = data.unlabeled.labels
    labels = np.full_like(labels, 1)  # as if they had labels, which have no weight here
    data.unlabeled.labels[:] = labels
    other = distil(config, data, teacher, 0, lambda losses: None)
    for mine, its in zip(one.model.get_weights(), other.model.get_weights()):
        assert np.isfinite(mine).all()
        np.testing.assert_allclose(mine, its, atol=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_a_student_without_a_teacher_learns_as_long_and_from_labels_alone(tmp_path, task):
    write(tmp_path, task)
    config = parse_config(raw_of(tmp_path, task))
    data = prepare(config)
    examples, _ = examples_alone(config, data)
    assert len(examples.x) == len(data.train) + len(data.unlabeled)
    assert np.array_equal(examples.x[: len(data.train)], data.train.x)
    assert {tuple(row) for row in examples.x.round(5).tolist()} <= {
        tuple(row) for row in data.train.x.round(5).tolist()
    }


def test_a_teacher_that_sees_more_is_asked_about_them_on_its_inputs(tmp_path):
    write(tmp_path, "classification")
    raw = raw_of(tmp_path, "classification", data={"columns": ["x"]})
    raw["teacher"] |= {"columns": ["x", "y"], "features": {"window": 32}}
    data = prepare(parse_config(raw))
    teacher = keras.Sequential([keras.Input(data.of_teacher.train.x.shape[1:]), keras.layers.Dense(2)])
    outputs = recorded(teacher, data).outputs
    expected = teacher.predict(data.unlabeled.of_teacher, verbose=0)
    np.testing.assert_allclose(outputs[len(data.train) :], expected, atol=1e-5)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    def make(folder):
        write(folder / "data", "classification")
        raw = raw_of("data", "classification", student={"augment": {"layers": [{"class": "RandomGain"}]}})
        raw["data"]["class_weights"] = "balanced"
        raw["compress"] = [
            {"stage": "prune", "target_sparsity": 0.3, "epochs": 1},
            {"stage": "cluster", "clusters": 8, "epochs": 1, "teacher": False},
        ]
        (folder / "config.toml").write_text(tomli_w.dumps(raw))
        result = invoke("run", folder / "config.toml", "--out", folder / "run")
        assert result.exit_code == 0, result.output
        (folder / "said.txt").write_text(result.output)

    return made_once(tmp_path_factory, "unlabeled", make)


def test_a_run_counts_them_and_its_curves_are_numbers(run):
    report = json.loads((run / "run" / "report.json").read_text())
    said = f"the student learned what the teacher gives for {2 * 3 * WINDOWS} windows of 3 recordings without labels"
    assert any(note.startswith(said) for note in report["data"]["notes"])
    for curves in report["history"].values():
        assert all(np.isfinite(values).all() for values in curves.values())
        assert max(curves["accuracy"]) <= 1.0
    assert load_config(run / "config.toml").data.unlabeled_files == ("more/*.csv",)


@pytest.mark.parametrize("task", TASKS)
def test_a_file_is_labeled_or_not_and_none_is_the_copy_of_a_labeled_one(tmp_path, task):
    write(tmp_path, task)
    with pytest.raises(DataError, match=r"a/p0\.csv matches both files and unlabeled_files"):
        prepare(parse_config(raw_of(tmp_path, task, data={"unlabeled_files": ["more/*.csv", "a/p0.csv"]})))
    shutil.copy(tmp_path / "b" / "p1.csv", tmp_path / "more" / "copy.csv")
    says = r"more/copy\.csv, which unlabeled_files names, and b/p1\.csv, which is labeled, hold the same bytes"
    with pytest.raises(DataError, match=says):
        prepare(parse_config(raw_of(tmp_path, task)))


def test_groups_that_are_judged_are_left_out(tmp_path):
    write(tmp_path, "classification", extra=5)
    raw = raw_of(tmp_path, "classification", data={"group": "{group}.csv"})
    data = prepare(parse_config(raw))
    judged = {name[-6:] for part in (data.validation, data.test) for name in part.origins}
    learned = {name[-6:] for name in data.unlabeled.origins}
    assert learned
    assert judged
    assert not learned & judged
    assert any(note.startswith(f"{len(judged)} unlabeled files were left out, of groups") for note in data.notes)


def test_files_that_patterns_of_the_test_name_are_left_out_and_one_without_a_group_is_an_error(tmp_path):
    write(tmp_path, "classification", extra=5)
    raw = raw_of(tmp_path, "classification", data={"test_files": ["*/p1.csv"], "validation_files": ["*/p2.csv"]})
    data = prepare(parse_config(raw))
    assert {name[-6:] for name in data.unlabeled.origins} == {"p0.csv", "p3.csv", "p4.csv"}
    assert any(note.startswith("2 unlabeled files were left out") for note in data.notes)
    (tmp_path / "more" / "p1.csv").rename(tmp_path / "more" / "night.csv")
    raw = raw_of(tmp_path, "classification", data={"group": "p{group}.csv"})
    with pytest.raises(DataError, match=r"night\.csv does not match"):
        prepare(parse_config(raw))


def test_a_run_in_a_file_belongs_to_the_files_group():
    from micro.datasets.unlabeled import _file_of

    files = {"more/p1.csv": True, "more/p1.csv.old": False}
    assert _file_of("more/p1.csv, run 3", files) == "more/p1.csv"
    assert _file_of("more/p1.csv", files) == "more/p1.csv"
    assert _file_of("else.csv, run 1", files) is None


def test_a_judged_group_may_come_in_stretches_and_so_may_others(tmp_path):
    write(tmp_path, "classification", extra=5)
    for path in tmp_path.glob("*/*.csv"):
        header, *lines = path.read_text().splitlines()
        times = [*np.arange(80) / 10, *np.arange(100, 180) / 10]
        path.write_text("\n".join([f"t,{header}", *(f"{t:.1f},{line}" for t, line in zip(times, lines))]) + "\n")
    raw = raw_of(tmp_path, "classification", data={"group": "{group}.csv", "time_column": "t", "on_gap": "split"})
    raw["data"].pop("sample_rate")
    data = prepare(parse_config(raw))
    judged = {name[-6:] for part in (data.validation, data.test) for name in part.origins}
    assert {name[-6:] for name in data.unlabeled.origins} == {f"p{n}.csv" for n in range(5)} - judged
    assert len(data.unlabeled) == (5 - len(judged)) * 2 * ((80 - 16) // 8 + 1)


def test_what_needs_labels_is_refused_before_training(tmp_path):
    write(tmp_path, "classification")
    config = parse_config(raw_of(tmp_path, "classification", distill={"recipe": "dkd"}))
    with pytest.raises(ValueError, match="DecoupledKD needs the label of every window"):
        check_models(config, prepare(config), np.zeros((4, 10), np.float32))


def test_short_files_are_counted_and_none_left_is_an_error(tmp_path):
    write(tmp_path, "classification")
    (tmp_path / "more" / "short.csv").write_text(columns(x=[1.0, 2.0], y=[1.0, 2.0]))
    notes = prepare(parse_config(raw_of(tmp_path, "classification"))).notes
    assert any(note.startswith("1 of 4 unlabeled files was left out") for note in notes)
    with pytest.raises(DataError, match="unlabeled_files: no window is left"):
        prepare(parse_config(raw_of(tmp_path, "classification", data={"unlabeled_files": "more/short.csv"})))
    with pytest.raises(DataError, match="nothing/"):
        prepare(parse_config(raw_of(tmp_path, "classification", data={"unlabeled_files": "nothing/*.csv"})))


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_search_learns_what_the_teacher_gives_for_them(tmp_path, task):
    write(tmp_path, task)
    raw = parse_config(raw_of(tmp_path, task)).model_dump(mode="json")
    place = tmp_path / "windows" / "own"
    prepare_windows(raw, str(place))
    data = prepare(parse_config(raw))
    count = len(data.train)
    x, y = (np.load(place / f"train_{name}.npy") for name in "xy")
    np.testing.assert_array_equal(x[count:], data.unlabeled.x)
    assert (y[count:] == -1).all() if task == "classification" else np.isnan(y[count:]).all()
    recorded = keras_kd.Recorded(place.with_name("own-teacher"))
    teacher = keras.saving.load_model(place / "teacher.keras")
    given = recorded.targets(np.arange(len(x)))["outputs"]
    np.testing.assert_allclose(given, teacher.predict(x, verbose=0), atol=1e-4)
    tried = try_candidate(raw, str(place), {"flash": 16384, "ram": None, "macs": None}, "static", 3)
    assert (tried["state"], tried["score"] <= 1) == ("done", True)
