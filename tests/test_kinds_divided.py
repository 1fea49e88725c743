"""What windows are of, divided where it is rare: factorial designs in folds, short runs in time, few windows of each kind; and
columns of labels that no source may show to a model."""

import itertools

import keras
import numpy as np
import pytest
from pump import COMBINATIONS, RATE, config, recorded, vibration, write
from tables import columns, config_of, wave

from micro.config import parse_config
from micro.datasets.class_split import PARTS, Labeled, _in_time
from micro.datasets.division import of_each_class
from micro.datasets.folds import best_dealt
from micro.datasets.prepare import prepare
from micro.datasets.twins import Alike
from micro.runs.own_models import load_teacher
from micro.signal import FrontEnd

FRONT_END = FrontEnd(("statistics",), window=16, hop=16)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("folds", [3, 4])
def test_folds_of_a_factorial_design_train_on_every_label_and_its_absence(seed, folds):
    labels = np.array(list(itertools.product([0, 1], repeat=3)))
    held = 60 * np.concatenate([labels, 1 - labels], axis=1)
    dealt = best_dealt(held, folds, seed)
    for fold in range(folds):
        trained = held[(dealt != fold) & (dealt != (fold + 1) % folds)]
        assert (trained.sum(axis=0) > 0).all()
        assert (dealt == fold).any()


@pytest.mark.parametrize("folds", [4, 5, 6])
@pytest.mark.parametrize("rare", [2, 3])
def test_a_kind_of_few_groups_is_not_in_the_folds_that_one_training_leaves_out(folds, rare):
    held = np.array([[0, 40]] * rare + [[40, 0]] * 12)
    dealt = best_dealt(held, folds, 0)
    for fold in range(folds):
        trained = held[(dealt != fold) & (dealt != (fold + 1) % folds)]
        assert (trained.sum(axis=0) > 0).all()


def test_short_runs_of_a_file_with_gaps_go_to_all_parts():
    stretches = [Labeled("a", np.array([n % 2, n % 2])) for n in range(30)]
    parts = _in_time(stretches, of_each_class(("idle", "load")), FRONT_END, Alike())
    counts = np.bincount(np.concatenate(parts), minlength=len(PARTS))
    assert counts.tolist() == [36, 8, 16] or (counts > 6).all()


def test_rare_combinations_of_labels_are_spread_over_the_parts_by_their_labels():
    from micro.datasets.division import Wanted

    rng = np.random.default_rng(2)
    rows = np.unique(rng.random((60, 6)) < 0.3, axis=0)
    of = np.concatenate([rows, ~rows], axis=1)
    runs = rng.integers(0, len(rows), 60)
    classes = np.repeat(runs[np.append(True, np.diff(runs) != 0)], 2)
    wanted = Wanted(tuple(map(str, range(12))), of)
    (part,) = _in_time([Labeled("a", classes)], wanted, FRONT_END, Alike())
    for number in range(len(PARTS)):
        assert (of[classes[part == number]].sum(axis=0) > 0).all()


@pytest.mark.parametrize("each", [1, 2, 3])
def test_few_windows_of_each_kind_end_in_a_sentence_or_a_division(tmp_path, each):
    for n, (one, other) in enumerate(COMBINATIONS * 2):
        rows = 128 + 32 * (each - 1)
        write(tmp_path / f"m{n}_0.csv", vibration(one, other, rows, n), np.full(rows, one), np.full(rows, other))
    data = prepare(parse_config(config(tmp_path, data={"group": ()})))
    assert min(len(part) for part in (data.train, data.validation, data.test)) > 0


@pytest.mark.parametrize("task", ["multilabel", "classification", "regression"])
def test_a_source_never_shows_a_model_what_it_is_to_learn(tmp_path, task):
    rows = 400
    (tmp_path / "slow").mkdir()
    for n, (one, other) in enumerate(COMBINATIONS * 3):
        cells = {"unbalance": np.full(rows, one), "misaligned": np.full(rows, other)}
        vibrations = vibration(one, other, rows, n).round(4)
        (tmp_path / f"m{n}.csv").write_text(columns(radial=vibrations[:, 0], axial=vibrations[:, 1], **cells))
        (tmp_path / "slow" / f"m{n}.csv").write_text(columns(temp=wave(rows, seed=n), **cells))
    raw = config(tmp_path, data={"group": (), "columns": ["radial", "axial"]})
    raw["sources"] = [
        {
            "name": "slow",
            "folder": str(tmp_path / "slow"),
            "files": "{recording}.csv",
            "sample_rate": RATE,
            "features": {"kind": "statistics", "window": 64, "hop": 32},
        }
    ]
    left = ["temp"]
    if task != "multilabel":
        raw["task"] = task
        raw["data"].pop("label_columns")
        raw["data"] |= {"label_column": "unbalance"} if task == "classification" else {"target_column": "unbalance"}
        raw.pop("recognize")
        left = ["temp", "misaligned"]
    if task == "regression":
        raw["data"]["split"] = "files"
    data = prepare(parse_config(raw))
    assert list(data.sources[0].channels) == left
    raw["sources"][0]["columns"] = ["temp", "unb*"]
    with pytest.raises(ValueError, match="sources, slow: columns takes 'unbalance' in, which is no channel"):
        parse_config(raw)


@pytest.mark.parametrize("order", [None, ("unbalance", "misaligned"), ("misaligned", "unbalance")])
def test_a_teacher_that_ends_in_sigmoids_gives_log_odds(tmp_path, order):
    recorded(tmp_path, 3, 400)
    data = prepare(parse_config(config(tmp_path)))
    inputs = keras.Input(data.train.x.shape[1:])
    model = keras.Model(inputs, keras.layers.Dense(2, activation="sigmoid")(inputs))
    model.save(tmp_path / "own.keras")
    teacher = {"path": str(tmp_path / "own.keras"), **({"classes": order} if order else {})}
    part = parse_config({**config(tmp_path), "teacher": teacher}).teacher
    found = np.asarray(load_teacher(part, data).predict(data.test.x, verbose=0))
    wanted = np.asarray(model.predict(data.test.x, verbose=0), np.float64)
    if order and order[0] == "misaligned":
        wanted = wanted[:, ::-1]
    np.testing.assert_allclose(found, np.log(wanted) - np.log1p(-wanted), atol=1e-4)


def test_labels_may_have_a_decimal_comma(tmp_path):
    for n in range(6):
        lines = ["x;hot;worn"]
        lines += [f"{x:.3f}".replace(".", ",") + f";{n % 2},0;{n // 3},0" for x in wave(200, seed=n)]
        (tmp_path / f"m{n}.csv").write_text("\n".join(lines))
    data = {"files": "*.csv", "sample_rate": 100.0, "decimal": ",", "separator": ";", "label_columns": ["hot", "worn"]}
    made = prepare(config_of(tmp_path, data, task="multilabel"))
    assert set(made.train.labels.reshape(-1).tolist()) == {0, 1}
