"""Divisions of whole groups that give every part all that it needs, where the ordinary draw does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import columns, config_of, wave

from micro.datasets.division import division_of_groups
from micro.datasets.prepare import prepare
from micro.errors import DataError
from micro.runs.fold_reports import divided

FRACTIONS = (0.6, 0.15, 0.25)
# Which fans were recorded in which state: each state has three, and no two states the same ones.
STATES = {"good": "abc", "blocked": "abd", "bearing": "bce", "blade": "cae"}


def record(folder, states):
    for state, fans in states.items():
        for number, fan in enumerate(fans):
            path = folder / state / f"{fan}_{number}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(columns(x=wave(400, seed=100 * list(states).index(state) + number)))


def config(folder, **data):
    data = {"files": "*/*.csv", "sample_rate": 100.0, "group": "*/{group}_*.csv", **data}
    return config_of(folder, data, task="classification")


def test_a_division_that_exists_is_found(tmp_path):
    # Fans a, b and c were recorded in all states.
    record(tmp_path, dict.fromkeys(STATES, "abc"))
    data = prepare(config(tmp_path))
    for part in (data.train, data.validation, data.test):
        assert set(part.labels.tolist()) == {0, 1, 2, 3}
    assert "Training has 33% of the windows, less than the usual 60%: only 3 groups have windows" in data.notes[-1]


def test_a_part_that_is_small_for_a_rare_class_is_explained(tmp_path):
    record(tmp_path, {"good": "abcd", "worn": "abc", "loose": "abc"})
    data = prepare(config_of(tmp_path, {"files": "*/*.csv", "sample_rate": 100.0}, task="classification"))
    assert "only 3 files have windows of class 'loose', and every part needs some" in data.notes[-1]
    few = divided(data)
    assert len(few) == 10
    assert [row.origin for row in few] == sorted(row.origin for row in few)
    assert sum(row.train for row in few) == len(data.train)
    assert sum(row.test for row in few) == len(data.test)
    assert all((row.train > 0) + (row.validation > 0) + (row.test > 0) == 1 for row in few)


def test_a_part_that_is_small_for_a_long_file_is_explained(tmp_path):
    record(tmp_path, {"good": "abcdefghij", "worn": "abcdefghij"})
    for state in ("good", "worn"):
        (tmp_path / state / "a_0.csv").write_text(columns(x=wave(12_000, seed=9000 + ord(state[0]))))
    data = prepare(config_of(tmp_path, {"files": "*/*.csv", "sample_rate": 100.0}, task="classification"))
    assert "Training has 18% of the windows, less than the usual 60%: good/a_0.csv has 39% of all" in data.notes[-1]
    assert "goes to test as a whole" in data.notes[-1]


@pytest.mark.parametrize("seed", range(4))
def test_of_many_groups_with_few_states_each_some_division_holds_all(tmp_path, seed):
    rng = np.random.default_rng(seed)
    record(tmp_path, {state: rng.permutation(list("abcdefghij"))[:4] for state in STATES})
    data = prepare(config(tmp_path))
    sides = [{origin.split("/")[1][0] for origin in part.origins} for part in (data.train, data.validation, data.test)]
    assert len(set.union(*sides)) == sum(map(len, sides))
    for part in (data.train, data.validation, data.test):
        assert set(part.labels.tolist()) == {0, 1, 2, 3}


def test_where_there_is_none_folds_are_what_helps(tmp_path):
    record(tmp_path, {"good": "abc", "blocked": "ade"} | {"bearing": "bdf", "blade": "cef", "worn": "abf"})
    with pytest.raises(DataError) as refused:
        prepare(config(tmp_path))
    says = str(refused.value)
    assert "which 3 groups hold: no division of the groups gives every part all that it needs; set folds = 3" in says
    assert "split" not in says


@given(st.data())
def test_what_is_found_holds_all_and_nothing_is_found_only_where_there_is_little(data):
    groups, classes = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    held = np.array(
        data.draw(
            st.lists(st.lists(st.integers(0, 9), min_size=classes, max_size=classes), min_size=groups, max_size=groups)
        )
    )
    found = division_of_groups(held, held, FRACTIONS, data.draw(st.integers(0, 99)))
    if found is None:
        assert (np.sum(held > 0, axis=0) < 3).any() or groups < 12
        return
    for part in range(3):
        assert (held[found == part].sum(axis=0) > 0).all()
