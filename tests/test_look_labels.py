"""Columns of yes or no among unknown files: labels that may hold at once, a label of whole files, signals, and machines."""

import json
import tomllib

import numpy as np
import pytest
from support import invoke
from test_look_given import LONG, ROWS, looked, noise, ran, refused, write

from micro.config import load_config
from micro.datasets.labels import load_labels
from micro.datasets.table import load

# A tenth of the rows each: none, one, the other, both.
STATES = np.arange(ROWS) // 100 % 4


def pumps(folder, words=(0, 1), count=6, **more):
    """Files with two labels that hold alone and together."""
    for number in range(count):
        x, y = noise(seed=number), noise(seed=50 + number)
        first, second = STATES % 2, STATES // 2
        write(
            folder / f"p{number}.csv", x=(x * (1 + 3 * first)).round(3), y=(y * (1 + 3 * second)).round(3),
            unbalance=[words[each] for each in first], misaligned=[words[each] for each in second], **more,
        )  # fmt: skip
    return folder / "*.csv"


def at_100_hz(*words):
    return (*words, "--sample-rate", "100")


@pytest.mark.parametrize("words", [(0, 1), ("false", "true"), ("No", "YES"), ("0.0", "1.0")])
def test_columns_of_yes_and_no_of_which_two_hold_at_once_are_several_labels(tmp_path, words):
    printed, config = looked(tmp_path, *at_100_hz(pumps(tmp_path, words)))
    flat = " ".join(printed.split())
    assert "columns unbalance, misaligned say yes or no, several at once: none (1,200 rows)" in flat
    assert "unbalance+misaligned (600 rows): each is a label; where they are signals, say another --task" in flat
    assert "run it with" in flat
    assert (config["task"], config["data"]["label_columns"]) == ("multilabel", ["unbalance", "misaligned"])
    loaded = load_labels(load_config(tmp_path / "c.toml").data, 16)
    assert (loaded.channels, loaded.names) == (("x", "y"), ("none", "unbalance", "misaligned", "unbalance+misaligned"))
    assert config["features"]["window"] <= 100


@pytest.mark.slow
def test_the_config_of_several_labels_runs_as_it_is(tmp_path):
    looked(tmp_path, *at_100_hz(pumps(tmp_path, (0, 1))))
    assert "AUC" in ran(tmp_path)


def test_labels_of_whole_files_may_hold_at_once_too(tmp_path):
    for number in range(16):
        write(
            tmp_path / f"p{number:02d}.csv", x=noise(seed=number), y=noise(seed=50 + number),
            wear=[number % 2] * ROWS, leak=[number // 2 % 2] * ROWS,
        )  # fmt: skip
    _, config = looked(tmp_path, *at_100_hz(tmp_path / "*.csv"))
    assert (config["task"], config["data"]["label_columns"]) == ("multilabel", ["wear", "leak"])


def alternating(n=ROWS):
    return np.arange(n) % 2


# Columns beside a signal, and why they are not several labels.
SIGNALS = {
    "switch often": {"valve": alternating(), "heater": alternating() ^ (np.arange(ROWS) // 3 % 2)},
    "never at once": {"idle": np.arange(ROWS) // 350, "cutting": 1 - np.arange(ROWS) // 350},
    "beside a label by its name": {"anomaly": np.arange(ROWS) // 350, "changepoint": np.arange(ROWS) // 340 % 2},
    "beside classes": {"mode": ["a"] * 350 + ["b"] * 350, "wear": STATES % 2, "leak": STATES // 2},
    "one of them": {"wear": STATES % 2, "leak": np.zeros(ROWS, int)},
}


@pytest.mark.parametrize("case", SIGNALS)
def test_other_columns_of_yes_and_no_are_not_several_labels(tmp_path, case):
    for number in range(4):
        write(tmp_path / f"{number}.csv", x=noise(seed=number), **SIGNALS[case])
    _, config = looked(tmp_path, *at_100_hz(tmp_path / "*.csv"))
    assert config["task"] != "multilabel"
    assert "label_columns" not in config["data"]
    if case in ("switch often", "never at once"):
        text = " ".join(invoke("look", *at_100_hz(tmp_path / "*.csv")).stdout.split())
        assert "look again with --task multilabel" in text
        (tmp_path / "c.toml").unlink()
        _, config = looked(tmp_path, *at_100_hz(tmp_path / "*.csv", "--task", "multilabel"))
        assert config["data"]["label_columns"] == list(SIGNALS[case])


def test_states_beside_named_faults_stay_signals(tmp_path):
    for number in range(4):
        faults = {"fault_bearing": STATES % 2, "belt fault": STATES // 2}
        write(tmp_path / f"{number}.csv", x=noise(seed=number), **faults, pump_on=np.arange(ROWS) // 350)
    printed, config = looked(tmp_path, *at_100_hz(tmp_path / "*.csv"))
    assert config["data"]["label_columns"] == ["fault_bearing", "belt fault"]
    said = "columns of yes or no that are learned from, as signals are: 'pump_on'; where one says whether a condition holds"
    assert said in " ".join(printed.split())
    assert load_labels(load_config(tmp_path / "c.toml").data, 16).channels == ("x", "pump_on")


def test_a_window_lies_within_the_shortest_labels_wherever_they_begin(tmp_path):
    rows = np.arange(1500)
    for number in range(3):
        labels = {"hot": (rows + 31 * number) // 150 % 2, "loud": (rows + 17 * number) // 220 % 2}
        write(tmp_path / f"{number}.csv", x=noise(1500, seed=number), **labels)
    printed, config = looked(tmp_path, *at_100_hz(tmp_path / "*.csv"))
    assert config["data"]["label_columns"] == ["hot", "loud"]
    assert "before it runs" not in printed
    assert config["features"]["window"] <= 100


def test_another_task_keeps_them_as_signals(tmp_path):
    files = pumps(tmp_path)
    _, config = looked(tmp_path, *at_100_hz(files, "--task", "anomaly"))
    assert config["task"] == "anomaly"
    assert load(load_config(tmp_path / "c.toml").data, 16).channels == ("x", "y", "unbalance", "misaligned")


def test_labels_that_are_named_are_those_alone(tmp_path):
    files = pumps(tmp_path, valve=(np.arange(ROWS) // 9 % 2).tolist(), note=["ok"] * ROWS)
    words = ["--label-columns", "misaligned", "--label-columns", "unbalance", "--group", "p{group}.csv"]
    _, config = looked(tmp_path, *at_100_hz(files, *words))
    assert (config["task"], config["data"]["label_columns"]) == ("multilabel", ["misaligned", "unbalance"])
    assert (config["data"]["columns"], config["data"]["group"]) == (["x", "y", "valve"], ["p{group}.csv"])
    plain = json.loads(invoke("look", *at_100_hz(files, *words), "--json").stdout)
    assert (plain["task"], plain["label_columns"]) == ("multilabel", ["misaligned", "unbalance"])
    assert plain["files"][0]["labels"] == {
        "none": 200,
        "unbalance": 200,
        "misaligned": 200,
        "misaligned+unbalance": 100,
    }


CONTRADICTIONS = {
    "--label-columns unbalance": "label_columns names one column, and task 'multilabel' has two labels or more",
    "--label-columns unbalance --label-columns wear": "p0.csv has no column 'wear' for --label-columns; it has x, y",
    "--label-columns unbalance --label-columns x": "p0.csv, line 2: '0.126' in label column 'x' says neither yes nor no",
    "--label-columns unbalance --label-columns unbalance": "column 'unbalance' is named twice in label_columns",
    "--label-columns unbalance --label-columns off": "column 'off' of --label-columns says the same in every row",
    "--label-columns none": "'none' is for --time-column and --label-column alone; leave --label-columns out",
    "--label-columns unbalance --label-columns misaligned --task anomaly": "--label-columns is for task multilabel, and --task "
    "anomaly is not",
    "--task multilabel --label-column unbalance": "name two labels or more by --label-columns",
    "--label-column unbalance --label-column misaligned": "several labels that may hold at once are --label-columns",
    "--task multilabel --columns unbalance --columns x": "have misaligned alone; name them by --label-columns",
    "--task multilabel --columns unbalance --columns misaligned": "have none; name them by --label-columns",
}


@pytest.mark.parametrize("typed", CONTRADICTIONS)
def test_what_contradicts_several_labels_is_one_line(tmp_path, typed):
    files = pumps(tmp_path, count=2, off=[0] * ROWS)
    says = refused(*at_100_hz(files, *typed.split(" ")), "--out", tmp_path / "c.toml")
    assert CONTRADICTIONS[typed] in says
    assert not (tmp_path / "c.toml").exists()


def whole_files(folder, values, name="faulty", count=4):
    for number in range(count):
        write(folder / f"m{number}.csv", x=noise(LONG, seed=number), **{name: [values[number % len(values)]] * LONG})
    return folder / "*.csv"


@pytest.mark.parametrize("words", [(0, 1), ("0.0", "1.0"), ("false", "true")])
def test_a_column_of_yes_or_no_that_is_one_in_each_file_is_a_label(tmp_path, words):
    printed, config = looked(tmp_path, *at_100_hz(whole_files(tmp_path, words)))
    assert "run it with" in printed
    assert (config["task"], config["data"]["label_column"]) == ("anomaly", "faulty")
    data = load(load_config(tmp_path / "c.toml").data, 16)
    assert data.channels == ("x",)
    assert [bool(one.healthy.all()) for one in data.recordings] == [True, False, True, False]


def test_a_column_without_a_telling_name_is_a_label_of_files_until_it_is_said_to_be_a_signal(tmp_path):
    printed, config = looked(tmp_path, *at_100_hz(whole_files(tmp_path, (0, 1), "heater")))
    said = (
        "column 'heater' says yes in every row of some files and no in every row of others, and is taken for what they"
    )
    assert said in " ".join(printed.split())
    assert config["data"]["label_column"] == "heater"
    (tmp_path / "c.toml").unlink()
    printed, config = looked(tmp_path, *at_100_hz(tmp_path / "*.csv", "--label-column", "none"))
    assert said not in " ".join(printed.split())
    assert "label_column" not in config["data"]


@pytest.mark.parametrize("name", ["machine", "unit", "Subject", "pump_id", "device number", "unit_nr"])
def test_a_column_that_is_called_as_machines_are_is_none(tmp_path, name):
    for words in ((0, 1), ("yes", "no")):
        printed, config = looked(tmp_path, *at_100_hz(whole_files(tmp_path, words, name)))
        (tmp_path / "c.toml").unlink()
        assert "label_column" not in config["data"]
        assert config["data"]["columns"] == ["x"]
    assert "is left out" in printed


def test_many_numbers_of_whole_files_are_machines_and_how_they_are_labels_is_said(tmp_path):
    printed, config = looked(tmp_path, *at_100_hz(whole_files(tmp_path, (0, 1, 2, 3), "stage")))
    assert "as the number of a machine or subject is; where it is a label, say --label-column stage" in " ".join(
        printed.split()
    )
    assert tomllib.loads((tmp_path / "c.toml").read_text())["data"]["columns"] == ["x"]
    (tmp_path / "c.toml").unlink()
    _, config = looked(tmp_path, *at_100_hz(tmp_path / "*.csv", "--label-column", "stage", "--task", "classification"))
    assert config["data"]["label_column"] == "stage"
