"""`compare`: methods over seeds beside the plain student, resumable, judged on validation data."""

import json
import math

import keras
import numpy as np
import pytest
from keras import layers
from scipy import stats

import keras_kd
from keras_kd.recipes import Ledger, Row, paired

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def net(width):
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(width, activation="relu")(inputs)))


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 6)).astype("float32"), rng.integers(0, 3, 90)
    return (x[:60], y[:60]), (x[60:], y[60:])


@pytest.fixture
def teacher():
    return net(16)


def run(teacher, data, methods=("kd", "rkd"), **changes):
    compiling = {"optimizer": keras.optimizers.Adam(0.01), "loss": LOSS, "metrics": ["accuracy"], "run_eagerly": True}
    given = {"seeds": 2, "epochs": 1, "compile": compiling, "progress": False, "batch_size": 20, **changes}
    return keras_kd.compare(methods, lambda: net(4), teacher, data, **given)


@pytest.mark.slow
def test_all_methods_run_from_all_seeds_and_the_table_names_them(teacher, data):
    found = run(
        teacher, data, {"soft": keras_kd.SoftTarget(2.0), "hint": "fitnets", "loss": keras.losses.MeanSquaredError()}
    )
    assert found.methods == ("plain student", "soft", "hint", "loss")
    assert {(row.method, row.seed) for row in found.rows} == {(m, s) for m in found.methods for s in (0, 1)}
    lines = str(found).splitlines()
    assert lines[0].startswith("2 seeds")
    assert [line.split("|")[1].strip() for line in lines[4:]] == [*found.methods, "teacher"]
    assert set(found.teacher) == {0, 1}


@pytest.mark.slow
def test_the_plain_student_is_trained_as_by_hand(teacher, data):
    found = run(teacher, data, ["kd"], seeds=[7], epochs=3)
    keras.utils.set_random_seed(7)
    student = net(4)
    keras.utils.set_random_seed(7)
    student.compile(keras.optimizers.Adam(0.01), LOSS, metrics=["accuracy"], run_eagerly=True)
    student.fit(*data[0], epochs=3, batch_size=20, verbose=0)
    by_hand = student.evaluate(*data[1], verbose=0, return_dict=True)["accuracy"]
    assert found.values("plain student") == {7: pytest.approx(by_hand)}


@pytest.mark.slow
def test_what_is_in_the_ledger_is_not_run_again(teacher, data, tmp_path):
    path = tmp_path / "runs.jsonl"
    seen = []
    first = run(
        teacher, data, ledger=path, progress=lambda row, done, total: seen.append((row.method, row.seed, done, total))
    )
    assert seen[0] == ("plain student", 0, 1, 6)
    assert len(seen) == 6
    seen.clear()
    again = run(teacher, data, ("kd", "rkd", "pkt"), ledger=path, seeds=3, progress=lambda *given: seen.append(given))
    assert {(row.method, row.seed) for row, *_ in seen} == {
        ("pkt", 0), ("pkt", 1), *((m, 2) for m in ("plain student", "kd", "rkd", "pkt"))
    }  # fmt: skip
    assert set(first.rows) <= set(again.rows)


@pytest.mark.slow
def test_a_line_cut_by_a_kill_is_dropped_and_run_again(teacher, data, tmp_path):
    path = tmp_path / "runs.jsonl"
    whole = run(teacher, data, ledger=path)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    seen = []
    again = run(teacher, data, ledger=path, progress=lambda row, *_: seen.append((row.method, row.seed)))
    assert seen == [("rkd", 1)]
    assert [(r.method, r.seed, r.validation) for r in again.rows] == [
        (r.method, r.seed, r.validation) for r in whole.rows
    ]
    assert len(path.read_bytes().splitlines()) == len(content.splitlines())


def test_a_ledger_of_other_settings_data_teachers_and_weights_is_refused(teacher, data, tmp_path):
    path = tmp_path / "runs.jsonl"
    run(teacher, data, ["kd"], seeds=1, ledger=path)
    for change, named in (
        ({"epochs": 2}, "epochs 1, now it is 2"),
        ({"batch_size": 30}, "batch_size 20, now it is 30"),
        ({"metric": "loss"}, "metric accuracy, now it is loss"),
        ({"compile": {"optimizer": "sgd", "loss": LOSS, "metrics": ["accuracy"]}}, "with compile"),
    ):
        with pytest.raises(ValueError, match=rf"{named}.*name another ledger"):
            run(teacher, data, ["kd"], seeds=1, ledger=path, **change)
    with pytest.raises(ValueError, match="with teacher"):
        run(net(16), data, ["kd"], seeds=1, ledger=path)
    with pytest.raises(ValueError, match="with validation data"):
        run(teacher, (data[0], (data[1][0] + 1, data[1][1])), ["kd"], seeds=1, ledger=path)
    with pytest.raises(ValueError, match=r"runs of method 'kd' as .*weight=0.9.*rename it"):
        run(teacher, data, [keras_kd.recipes.recipe("kd", teacher, net(4), weight=0.5)], seeds=1, ledger=path)


@pytest.mark.slow
def test_the_test_data_are_opened_once_and_at_the_end(teacher, data, tmp_path):
    path, opened = tmp_path / "runs.jsonl", []

    def test():
        opened.append(len(path.read_text().splitlines()))
        return data[1]

    first = run(teacher, data, ledger=path)
    assert all(row.test is None for row in first.rows)
    found = run(teacher, data, ledger=path, test=test)
    assert opened == [7]
    for row in found.rows:
        assert row.test == pytest.approx(row.validation)  # the same data here
    assert "test" in str(found)
    run(teacher, data, ledger=path, test=test)
    assert opened == [7]
    in_memory = run(teacher, data, ["kd"], seeds=1, test=data[1])
    assert in_memory.values("kd", "test") == pytest.approx(in_memory.values("kd"))


@pytest.mark.slow
def test_functions_may_give_recipes_distillers_or_trained_students(teacher, data):
    def trained(given, student):
        student.compile("sgd", LOSS)
        student.fit(*data[0], verbose=0)
        return student

    methods = {
        "recipe": lambda t, s: keras_kd.recipes.recipe("kd", t, s, temperature=2.0),
        "name": lambda t, s: "kd",
        "distiller": lambda t, s: keras_kd.Distiller(t, s, keras_kd.SoftTarget(2.0, 0.9), hard_weight=0.1),
        "student": trained,
    }
    found = run(
        teacher, data, methods, seeds=1, metric=lambda model, x, y: float(np.mean(model.predict(x, verbose=0) ** 2))
    )
    assert found.values("recipe") == found.values("distiller") != found.values("name")
    assert found.values("student") != found.values("name")


@pytest.mark.slow
def test_a_recorded_teacher_and_one_for_each_seed(teacher, data, tmp_path):
    keras_kd.record(teacher, data[0][0], tmp_path / "targets")
    found = run(keras_kd.Recorded(tmp_path / "targets", teacher), data, ["kd"], seeds=1)
    assert len(found.rows) == 2
    assert not found.teacher
    asked = []

    def of_seed(seed):
        asked.append(seed)
        return teacher

    assert len(run(of_seed, data, ["kd"], seeds=[3, 4]).rows) == 4
    assert {3, 4} <= set(asked)


def test_what_does_not_fit_is_refused_before_the_first_run(teacher, data):
    with pytest.raises(ValueError, match="method 'at' does not fit these models: recipe 'at': "):
        run(teacher, data, ["kd", "at"], progress=lambda *_: pytest.fail("a run was made"))
    with pytest.raises(ValueError, match="there is no recipe 'kdd'; nearest: kd"):
        run(teacher, data, ["kdd"])
    with pytest.raises(ValueError, match=r"evaluate gives accuracy, loss, no 'auc'"):
        run(teacher, data, ["kd"], metric="auc")
    with pytest.raises(ValueError, match="a method is named 'plain student'"):
        run(teacher, data, {"plain student": "kd"})
    with pytest.raises(ValueError, match=r"data must be \(\(x, y\), \(x, y\)\)"):
        run(teacher, data[0])
    with pytest.raises(ValueError, match="seeds must be different"):
        run(teacher, data, seeds=[1, 1])
    with pytest.raises(ValueError, match="name others by a dict"):
        run(teacher, data, [keras_kd.SoftTarget()])


def test_learned_layers_are_new_in_each_run(teacher, data):
    hint = keras_kd.VariationalInformation(teacher_layer=lambda m: m.layers[1], student_layer=lambda m: m.layers[1])
    run(teacher, data, {"vid": lambda t, s: [hint]}, seeds=1)
    assert not any(layer.built for layer in hint.learned)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_p_and_interval_are_those_of_students_test(count):
    values = np.random.default_rng(count).normal(0.3, 1.0, count)
    found, theirs = paired(values), stats.ttest_1samp(values, 0.0)
    low, high = theirs.confidence_interval(0.95)
    assert (found.p, found.low, found.high) == pytest.approx((theirs.pvalue, low, high))


def test_differences_without_spread():
    assert paired([0.0, 0.0]).p == 1.0
    assert paired([0.1, 0.1, 0.1]).p == 0.0
    assert math.isnan(paired([0.1]).p)


@pytest.mark.parametrize("content", ["{}", '{"accuracy": 0.9}', "a,b\n1,2\n", "\x00\x01"])
def test_a_file_that_is_no_ledger_is_left_alone(content, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"results\.json"):
        keras_kd.recipes.Ledger(path, {"metric": "accuracy"})
    assert path.read_text() == content
    path.write_text('{"settings": {"met')  # killed within its first line
    assert keras_kd.recipes.Ledger(path, {"metric": "accuracy"}).rows == ()


def test_settings_and_functions_are_told_apart():
    from functools import partial

    from keras_kd.recipes.comparing import _text
    from keras_kd.recipes.methods import _function_text

    def made(temperature, teacher, student):
        return keras_kd.SoftTarget(temperature)

    losses = [keras.losses.MeanSquaredError(), keras.losses.MeanAbsoluteError(), keras.losses.MeanSquaredError()]
    texts = [_text(loss) for loss in losses]
    assert texts[0] == texts[2] != texts[1]
    assert _function_text(partial(made, 2.0)) != _function_text(partial(made, 8.0))
    assert _function_text(lambda t, s: 1) != _function_text(lambda t, s: 2)
    assert _function_text(made) == _function_text(made)


def test_a_damaged_ledger_is_named_with_its_line(tmp_path):
    path = tmp_path / "runs.jsonl"
    ledger = Ledger(path, {"epochs": 1})
    ledger.add(Row("kd", 0, 0.5))
    path.write_text(path.read_text() + "{nonsense}\n" + json.dumps({"method": "kd"}) + "\n")
    with pytest.raises(ValueError, match="line 3 is no JSON"):
        Ledger(path, {"epochs": 1})
    path.write_text('{"method": "kd"}\n')
    with pytest.raises(ValueError, match="is no ledger"):
        Ledger(path, {"epochs": 1})


def test_lines_are_printed_where_there_is_no_terminal(teacher, data, capsys):
    run(teacher, data, ["kd"], seeds=1, progress=None)
    assert capsys.readouterr().err.splitlines()[0].startswith("1/2 plain student, seed 0: ")
