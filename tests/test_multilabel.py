"""Windows with several labels, which may hold at once: read from a column each, divided, learned and judged."""

import json

import numpy as np
import pytest
from pump import COMBINATIONS, LABELS, config, recorded, vibration, write

import keras_kd
from micro.config import parse_config
from micro.datasets.labels import combination_name
from micro.datasets.prepare import prepare
from micro.detection.metrics import auc, label_figures
from micro.errors import DataError
from micro.explore.scores import label_likelihood
from micro.explore.space import require_searchable
from micro.runs.label_figures import combined, figures_of_labels, state_of


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("pump"), rows=400)


def prepared(folder, fold=0, **changes):
    return prepare(parse_config(config(folder, **changes)), fold)


def machines(part):
    return {origin[:2] for origin in part.origins}


def test_windows_have_the_labels_of_their_files_in_words_and_in_digits(files):
    data = prepared(files)
    assert (data.task, data.label_names, data.class_names, data.outputs) == ("multilabel", LABELS, (), 2)
    assert data.channels == ("radial", "axial")
    for part in (data.train, data.validation, data.test):
        named = [[int(digit) for digit in origin[3:5]] for origin in part.origins]
        assert part.labels.tolist() == named
        assert {tuple(row) for row in named} == set(COMBINATIONS)


def test_parts_share_no_group_and_with_files_alone_no_file(files):
    data = prepared(files)
    parts = [machines(part) for part in (data.train, data.validation, data.test)]
    assert sum(map(len, parts)) == 5
    assert set.union(*parts) == {"m0", "m1", "m2", "m3", "m4"}
    raw = config(files)
    del raw["data"]["group"]
    data = prepare(parse_config(raw))
    parts = [set(part.origins) for part in (data.train, data.validation, data.test)]
    assert sum(map(len, parts)) == 20 == len(set.union(*parts))
    for part in (data.train, data.validation, data.test):
        assert (part.labels == 1).any(axis=0).all()
        assert (part.labels == 0).any(axis=0).all()


def test_windows_in_which_a_label_changes_or_is_unknown_are_left_out_and_counted(tmp_path):
    recorded(tmp_path, 4, 400)
    one, other = np.repeat([0, 1], 200), np.repeat([0, 1, -1], [300, 50, 50])
    samples = np.concatenate([vibration(0, 0, 200), vibration(1, 0, 200)])
    write(tmp_path / "m0_00.csv", samples, one, other)
    data = prepared(tmp_path)
    starts = np.arange(0, 400 - 127, 32)
    whole = [s for s in starts if len(set(one[s : s + 128])) == 1 == len(set(other[s : s + 128]))]
    kept = sum((np.array(part.origins) == "m0_00.csv").sum() for part in (data.train, data.validation, data.test))
    unknown = sum(s + 127 >= 350 for s in starts)
    assert kept == len(whole) > 0
    assert (
        f"{len(starts) - len(whole) - unknown} of 144 windows were left out, as a label changes within them."
        in data.notes
    )
    said = "was" if unknown == 1 else "were"
    assert f"{unknown} of 144 windows {said} left out, as rows in them lack a label." in data.notes


@pytest.mark.parametrize(
    ("cell", "found"),
    [("1", 1), ("0.0", 0), ("TRUE", 1), ("off", 0), ("On", 1), ("No", 0), ("maybe", None), ("2", None), ("0.5", None)],
)
def test_cells_say_yes_or_no_or_are_refused_with_their_row(tmp_path, cell, found):
    recorded(tmp_path, 3, 400)
    path = tmp_path / "m1_00.csv"
    lines = path.read_text().splitlines()
    radial, _, axial, misaligned = lines[7].split(",")
    lines[7] = f"{radial},{cell},{axial},{misaligned}"
    path.write_text("\n".join(lines))
    if found is None:
        with pytest.raises(DataError) as refused:
            prepared(tmp_path)
        assert f"m1_00.csv, line 8: '{cell}' in label column 'unbalance' says neither yes nor no; write one" in str(
            refused.value
        )
        assert "\n" not in str(refused.value)
    else:
        left_out = [note for note in prepared(tmp_path).notes if "a label changes" in note]
        assert bool(left_out) == (found == 1)


def test_other_formats_give_the_same_labels(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    text, columns = recorded(tmp_path, 3, 400), tmp_path / "parquet"
    columns.mkdir()
    for path in text.glob("*.csv"):
        cells = np.array([line.split(",") for line in path.read_text().splitlines()[1:]])
        table = {"radial": cells[:, 0].astype(float), "axial": cells[:, 2].astype(float)}
        table |= {"unbalance": cells[:, 1] == "Yes", "misaligned": cells[:, 3].astype(int)}
        parquet.write_table(pyarrow.table(table), columns / f"{path.stem}.parquet")
        np.savez(columns / f"{path.stem}.npz", **table)
    one = prepared(text)
    for ending in ("parquet", "npz"):
        other = prepared(columns, data={"files": f"*.{ending}", "group": f"{{group}}_*.{ending}"})
        assert np.array_equal(one.train.labels, other.train.labels)
        assert np.allclose(one.train.x, other.train.x, atol=1e-3)


def test_copies_and_joined_windows_have_the_labels_and_mixtures_none(files):
    data = prepared(files, augment={"copies": 1, "layers": [{"class": "RandomGain"}]}, distill={"mixup": 0.4})
    plain = prepared(files)
    assert len(data.train) == 2 * len(plain.train)
    assert data.train.labels.mean() == plain.train.labels.mean()
    assert data.unlabeled.labels.shape == data.train.labels.shape
    assert (data.unlabeled.labels == -1).all()


def test_unlabeled_files_are_read_with_and_without_the_columns(tmp_path):
    recorded(tmp_path, 4, 400)
    more = tmp_path / "more"
    more.mkdir()
    write(more / "m8_0.csv", vibration(1, 1, 300), np.full(300, -1), np.full(300, -1))
    rows = vibration(0, 1, 300, 9)
    (more / "m9_0.csv").write_text("\n".join(["radial,axial", *(f"{a:.4f},{b:.4f}" for a, b in rows)]))
    data = prepared(tmp_path, data={"unlabeled_files": "more/*.csv", "group": "{group}_*.csv"})
    assert set(data.unlabeled.origins) == {"more/m8_0.csv", "more/m9_0.csv"}
    assert data.unlabeled.labels.tolist() == [[-1, -1]] * len(data.unlabeled)


def test_folds_test_every_group_once(files):
    tested = []
    for fold in range(5):
        data = prepared(files, fold, data={"folds": 5})
        assert not machines(data.test) & (machines(data.train) | machines(data.validation))
        tested += data.tested
    assert sorted(tested) == ["m0", "m1", "m2", "m3", "m4"]


def only(folder, wanted):
    """The files whose names begin so, no others."""
    for path in folder.glob("*.csv"):
        if not path.name.startswith(wanted):
            path.unlink()


REFUSED_DATA = {
    "never": (
        ("m0_00", "m1_00", "m2_00", "m0_10", "m1_10", "m2_10"),
        {},
        "label 'misaligned': no window has it, so there is",
    ),
    "always": (
        ("m0_01", "m1_01", "m2_01", "m0_11", "m1_11"),
        {},
        "label 'misaligned': every window has it, so",
    ),
    "missing in a part": (
        ("m0", "m1_0", "m2_00", "m3_00", "m4_00"),
        {"split": "files"},
        "would have no window with label 'unbalance', which 1 group holds; record it in three groups or more",
    ),
    "missing in test files": (
        ("m",),
        {"test_files": "m3_0*.csv", "group": ()},
        "test would have no window with label 'unbalance', which 10 files hold; choose other test_files and validation_files",
    ),
    "missing in folds": (
        ("m0", "m1_00", "m1_01", "m2_00", "m2_01"),
        {"folds": 3},
        "training would have no window with label 'unbalance', which 1 group holds (m0); record it in more groups",
    ),
    "no column": (
        ("m",),
        {"label_columns": ["unbalance", "loose"]},
        "has no column 'loose'; it has radial, unbalance, axial",
    ),
}


@pytest.mark.parametrize("case", REFUSED_DATA)
def test_what_cannot_be_learned_is_an_error_that_names_the_label(tmp_path, case):
    wanted, changes, says = REFUSED_DATA[case]
    recorded(tmp_path, 5, 400)
    only(tmp_path, wanted)
    with pytest.raises(DataError) as refused:
        prepared(tmp_path, data=changes)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_few_files_are_divided_in_time(tmp_path):
    recorded(tmp_path, 1, 2000)
    raw = config(tmp_path)
    del raw["data"]["group"]
    data = prepare(parse_config(raw))
    assert any("every recording was divided in time, as with whole files" in note for note in data.notes)
    assert all({tuple(row) for row in part.labels.tolist()} == set(COMBINATIONS) for part in (data.train, data.test))


REFUSED = {
    "one column": (
        {"data": {"label_columns": "unbalance"}},
        "names one column, and task 'multilabel' has two labels or more",
    ),
    "label_column": ({"data": {"label_column": "u"}}, "label_column is of task 'classification'"),
    "classes": ({"data": {"classes": {"a": "a*"}}}, "classes is not for task 'multilabel': classes say which files"),
    "fault": (
        {"data": {"label_columns": ["fault: model", "b"]}},
        "the firmware prints faults of its own as 'fault: model'; rename the column",
    ),
    "class_weights": ({"data": {"class_weights": "balanced"}}, "class_weights is not for task 'multilabel'"),
    "healthy": ({"data": {"healthy_classes": ["none"]}}, "healthy_classes is not for task 'multilabel'"),
    "intervals": ({"data": {"intervals": "a.csv"}}, "intervals is not for task 'multilabel'"),
    "pictures": ({"data": {"files": "*.png", "sample_rate": None}}, "pictures have no columns of labels"),
    "twice": (
        {"data": {"label_columns": ["a", "a"]}},
        "column 'a' is named twice in label_columns, or there and as time_column",
    ),
    "a channel": ({"data": {"columns": ["radial", "unbalance"]}}, "columns names 'unbalance', which is no channel"),
    "plus": ({"data": {"label_columns": ["a+b", "c"]}}, "'a+b' holds '+', by which tables join"),
    "none": ({"data": {"label_columns": ["a", "None"]}}, "'None' is what tables call windows without labels"),
    "too many": ({"data": {"label_columns": [f"l{n}" for n in range(33)]}}, "label_columns"),
    "background": (
        {"recognize": {"background_classes": ["a"]}},
        "recognize.background_classes are for task 'classification'",
    ),
    "suppression": ({"recognize": {"suppression": 2}}, "recognize.suppression is for task 'classification'"),
    "detect": (
        {"detect": {"history": 2}},
        "[detect] is for an alarm, and this model of several labels raises none; it takes [recognize]",
    ),
    "estimate": ({"estimate": {"coverage": 0.5}}, "[estimate] is for task 'regression'"),
    "objective": (
        {"distill": {"objective": "reconstruction"}},
        "does not suit task 'multilabel'; take soft_target or logit_",
    ),
    "detectors": ({"teacher": {"detectors": ["neighbors"]}}, "teacher.detectors are for task 'anomaly'"),
    "estimators": (
        {"teacher": {"estimators": ["sklearn.svm.SVC"]}},
        "teacher.estimators are for tasks 'classification' and",
    ),
    "teacher": ({"teacher": {"columns": ["unbalance"]}, "data": {"columns": ["radial"]}}, "one of label_columns"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_contradiction_in_the_config_is_named(tmp_path, case):
    changes, says = REFUSED[case]
    raw = config(str(tmp_path), **changes)
    raw["data"] = {key: value for key, value in raw["data"].items() if value is not None}
    with pytest.raises(ValueError) as refused:
        parse_config(raw, tmp_path)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_label_columns_of_a_classification_say_which_task_they_are_of(tmp_path):
    with pytest.raises(ValueError, match=r"label_columns are of task 'multilabel'.*set task = \"multilabel\""):
        parse_config({**config(str(tmp_path)), "task": "classification"}, tmp_path)


def test_a_config_is_the_same_when_read_back_and_can_be_searched(tmp_path):
    made = parse_config(config(str(tmp_path)), tmp_path)
    assert parse_config(json.loads(json.dumps(made.model_dump(mode="json")))) == made
    require_searchable(made)
    assert parse_config(config(str(tmp_path), distill={"recipe": "auto"}), tmp_path).distill.candidates == (
        "kd",
        "logit_matching",
    )


def test_figures_are_those_of_each_label_and_their_means():
    labels = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]])
    logits = np.array([[2.0, -1.0], [-0.5, 3.0], [-2.0, -0.2], [-1.0, -3.0], [1.0, 0.4]])
    figures = figures_of_labels(("u", "m"), labels, logits)
    assert figures["auc: u"] == 1.0
    assert figures["recall: u"] == pytest.approx(2 / 3)
    assert figures["precision: m"] == figures["recall: m"] == figures["f1: m"] == 0.5
    assert figures["macro_auc"] == pytest.approx((1 + auc(labels[:, 1], logits[:, 1])) / 2)
    assert figures["macro_f1"] == pytest.approx((0.8 + 0.5) / 2)
    assert figures["exact"] == pytest.approx(2 / 5)
    # With one window a bin, a bin's gap is how far its probability is from what the window says.
    apart = np.abs(1 / (1 + np.exp(-logits)) - labels)
    assert figures["calibration_error"] == pytest.approx(apart.mean(), abs=0.1)
    assert label_figures(np.ones(3), np.array([1.0, -1.0, 2.0]))["auc"] is None
    assert [state_of(each, ("u", "m")) for each in combined(labels)] == ["u", "u+m", "m", "none", "u"]
    assert combination_name([0, 0], ("u", "m")) == "none"


def test_the_search_prefers_surer_right_answers():
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    right = np.where(labels == 1, 1.0, -1.0)
    poor = right.copy()
    poor[0] = [-1.0, 1.0]
    assert label_likelihood(right, labels) > 0.99 > label_likelihood(poor, labels) > label_likelihood(-right, labels)
    assert label_likelihood(poor, labels) == pytest.approx(label_likelihood(7 * poor, labels), abs=1e-3)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_soft_targets_of_linear_outputs_are_bernoulli_divergences_as_written_apart(temperature):
    rng = np.random.default_rng(3)
    teacher, student = rng.normal(0, 3, (2, 7, 5))
    p, q = (1 / (1 + np.exp(-logits / temperature)) for logits in (teacher, student))
    divergence = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    wanted = temperature**2 * divergence.mean(axis=1)
    objective = keras_kd.SoftTarget(temperature=temperature, form="bernoulli")
    given = objective.resolve("linear", "linear")(teacher.astype("float32"), student.astype("float32"))
    assert np.allclose(np.array(given), wanted, rtol=1e-4)
