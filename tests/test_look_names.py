"""What columns and names say to `keras-kd look`: files as people have them, and what a first guess must not get wrong."""

import tomllib

import numpy as np
import pandas as pd
import pytest
from support import invoke

from micro.config import load_config
from micro.datasets.classes import load_classes
from micro.datasets.prepare import prepare
from micro.datasets.time_words import unit_in
from micro.look.naming import classes_of, is_faulty, is_healthy
from micro.look.suggest import suggest
from micro.look.survey import survey
from micro.look.yes_no import tells_condition

ROWS = 600


def noise(n=ROWS, seed=0):
    return np.random.default_rng(seed).normal(size=n).round(4)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def table(path, sep=",", header=True, **columns):
    rows = [sep.join(map(str, row)) for row in zip(*columns.values())]
    return write(path, "\n".join([sep.join(columns)] * header + rows) + "\n")


def found(tmp_path, rate=None, **columns):
    return survey([table(tmp_path / "n.csv", a=noise(), b=noise(seed=1), **columns)], rate)


# Time columns: name, values, row of units, and the rate that they mean.
TIMES = {
    "Time": (range(0, 20 * ROWS, 20), "(ms)", 50.0),
    "zeit": (range(ROWS), "min", 1 / 60),
    "Time (h)": (np.arange(ROWS) / 10, None, 1 / 360),
    "Zeit in Stunden": (np.arange(ROWS) / 10, None, 1 / 360),
    "time_days": (np.arange(ROWS) / 8, None, 1 / 10800),
    "elapsed_ms": (range(0, 20 * ROWS, 20), None, 50.0),
    "Date": ([f"{45292 + n / 1440:.9f}" for n in range(ROWS)], None, 1 / 60),
    "timestamp": ([f"202401010{n // 3600}{n // 60 % 60:02d}{n % 60:02d}" for n in range(ROWS)], None, 1.0),
}


@pytest.mark.parametrize("name", TIMES)
def test_the_unit_of_time_is_read_wherever_it_stands(tmp_path, name):
    values, unit, rate = TIMES[name]
    columns = {name: list(values), "x": noise()}
    if unit is not None:
        columns = {key: [mark, *column] for (key, column), mark in zip(columns.items(), (unit, "(mV)"))}
    (file,) = survey([table(tmp_path / "n.csv", **columns)]).files
    assert file.rate == pytest.approx(rate, rel=1e-3)
    assert file.gaps == 0


def test_units_of_time():
    named = {"t [s]": "s", "t_ms": "ms", "Zeit (min)": "min", "hours": None, "time.us": "us", "mass": None, "x_d": "d"}
    assert {name: unit_in(name) for name in named} == named


def test_a_first_axis_is_no_label_and_a_label_with_a_telling_name_comes_first(tmp_path):
    counts = np.where(np.arange(ROWS) < 300, 3, 4)
    assert found(tmp_path, 50.0, y=counts).label_column is None
    words = ["pump7", "pump8"] * (ROWS // 2)
    made = found(tmp_path, 50.0, device=words, label=["run"] * 300 + ["stop"] * 300)
    assert made.label_column == "label"
    assert any("'device' is left out, as it holds text such as 'pump7'" in remark for remark in made.remarks)
    assert found(tmp_path, 50.0, device=["pump7"] * ROWS).label_column is None


def test_numbered_classes_are_classes_and_zero_beside_one_is_healthy(tmp_path):
    three = suggest(found(tmp_path, 50.0, activity=np.arange(ROWS) // 200))
    assert (three.task, three.classes, dict(three.data)) == ("classification", ("0", "1", "2"), {})
    for values in (np.arange(ROWS) // 300, (np.arange(ROWS) // 300).astype(float)):
        two = suggest(found(tmp_path, 50.0, label=values))
        assert (two.task, len(two.data["normal_labels"])) == ("anomaly", 1)


def test_a_label_that_only_some_files_have_is_found(tmp_path):
    table(tmp_path / "a.csv", a=noise(), b=noise(seed=1))
    table(tmp_path / "b.csv", a=noise(), b=noise(seed=2), label=["normal"] * 300 + ["worn"] * 300)
    made = survey([tmp_path / "a.csv", tmp_path / "b.csv"], 50.0)
    assert made.label_column == "label"
    assert [len(file.labels) for file in made.files] == [0, 2]


@pytest.mark.parametrize("cell", ["NaN", "inf", ""])
def test_few_values_and_a_missing_one_are_no_fault(tmp_path, cell):
    made = found(tmp_path, 50.0, valve=[cell, *([0, 1] * ROWS)[: ROWS - 1]])
    assert made.unread == ()


def test_columns_are_left_out_aloud(tmp_path):
    machine = {"subject": [3] * ROWS}
    table(tmp_path / "a.csv", a=noise(), **machine, percent=[f"{n % 90} %" for n in range(ROWS)])
    table(tmp_path / "b.csv", a=noise(), subject=[4] * ROWS, percent=[f"{n % 90} %" for n in range(ROWS)])
    made = survey([tmp_path / "a.csv", tmp_path / "b.csv"], 50.0)
    assert made.settings["columns"] == ["a"]
    remarks = " ".join(made.remarks)
    assert "'percent' is left out, as it holds text such as '0 %'" in remarks
    assert "'subject' is left out, as it is one number in each file" in remarks


def test_a_ramp_at_the_beginning_is_a_signal(tmp_path):
    ramp = np.r_[np.arange(450) / 10, 45 + noise(150)]
    assert "columns" not in found(tmp_path, 50.0, speed=ramp).settings


def test_what_looks_like_a_clock_and_is_none_is_said_and_left_out(tmp_path):
    made = found(tmp_path, 50.0, t=[n // 10 for n in range(ROWS)])
    assert made.time_column is None
    assert made.settings["columns"] == ["a", "b"]
    assert any("'t' is no clock" in remark for remark in made.remarks)
    made = found(tmp_path, 50.0, firmware=["10.20.2024"] * ROWS)
    assert (made.time_column, made.unread) == (None, ())


def test_of_two_columns_of_times_the_one_that_moves_is_taken(tmp_path):
    made = found(tmp_path, Datum=["01.03.2026"] * ROWS, Zeit=[f"08:{n // 60:02d}:{n % 60:02d}" for n in range(ROWS)])
    assert (made.time_column, made.rate) == ("Zeit", pytest.approx(1.0))


def test_the_order_of_day_and_month_is_decided_by_all_files(tmp_path):
    for day in (5, 6, 20, 25):
        stamps = [f"06/{day:02d}/2024 10:{n // 60:02d}:{n % 60:02d}" for n in range(300)]
        table(tmp_path / f"{day}.csv", time=stamps, x=noise(300))
    made = survey(sorted(tmp_path.glob("*.csv")))
    assert (len(made.files), made.settings["time_format"]) == (4, "%m/%d/%Y %H:%M:%S")


def test_a_rate_that_contradicts_the_files_is_said_or_explains_the_unit(tmp_path):
    made = found(tmp_path, 50.0, time=range(0, 20 * ROWS, 20))
    assert (made.settings["time_unit"], made.rate) == ("ms", pytest.approx(50.0))
    made = found(tmp_path, 70.0, time=range(0, 20 * ROWS, 20))
    assert any("--sample-rate 70 Hz" in remark for remark in made.remarks)
    for wrong in ("inf", "nan", "-1", "1e12"):
        assert invoke("look", tmp_path / "n.csv", "--sample-rate", wrong).exit_code == 2


@pytest.mark.parametrize("kind", ["parquet", "xlsx", "npz"])
def test_times_and_labels_are_found_in_every_format(tmp_path, kind):
    columns = {"t": np.arange(ROWS) / 50, "a": noise(), "state": np.repeat(["idle", "run", "stop"], ROWS // 3)}
    if kind == "npz":
        np.savez(tmp_path / "n.npz", **columns)
    else:
        frame = pd.DataFrame(columns)
        frame["t"] = pd.Timestamp("2026-03-01") + pd.to_timedelta(frame["t"], unit="s")
        frame.to_parquet(tmp_path / "n.parquet") if kind == "parquet" else frame.to_excel(
            tmp_path / "n.xlsx", index=False
        )
    made = survey([tmp_path / f"n.{kind}"])
    assert (made.time_column, made.label_column, made.rate) == ("t", "state", pytest.approx(50.0))
    assert dict(made.files[0].labels) == {"idle": 200, "run": 200, "stop": 200}


def test_an_index_of_pandas_behind_a_semicolon_is_no_comment(tmp_path):
    made = survey(
        [write(tmp_path / "n.csv", ";a;b\n" + "".join(f"{n};{x};{x + 1}\n" for n, x in enumerate(noise())))], 9.0
    )
    assert [channel.name for channel in made.files[0].channels] == ["a", "b"]


def test_one_column_with_decimal_commas_is_one_column(tmp_path):
    for header in ("", "Wert\n"):
        lines = "".join(f"{x}".replace(".", ",") + "\n" for x in noise())
        made = survey([write(tmp_path / "n.csv", header + lines)], 9.0)
        assert len(made.files[0].channels) == 1
        assert made.files[0].channels[0].mean == pytest.approx(noise().mean(), abs=1e-4)


def test_grouped_thousands_are_asked_about(tmp_path):
    lines = "".join(f"{200 + n % 9},{100 + n % 800};{300 + n % 7},{100 + n % 700}\n" for n in range(ROWS))
    made = survey([write(tmp_path / "n.csv", "a;b\n" + lines)], 9.0)
    assert any("does it group thousands?" in remark for remark in made.remarks)


@pytest.mark.parametrize("first", ["-,-", "1.0,ERR"])
def test_a_first_row_of_data_is_no_row_of_units(tmp_path, first):
    made = survey([write(tmp_path / "n.csv", "a,b\n" + first + "\n" + "".join(f"{x},{x + 1}\n" for x in noise()))], 9.0)
    assert "units_row" not in made.settings
    assert made.files[0].rows == ROWS + 1


def test_files_of_another_dialect_are_not_read_with_this_one(tmp_path):
    for name in ("a", "b"):
        table(tmp_path / f"{name}.csv", a=noise(), b=noise(seed=1))
    write(tmp_path / "c.csv", "Logger\nserial 5\n" + "".join(f"{x},{x}\n" for x in noise()))
    made = survey(sorted(tmp_path.glob("*.csv")), 9.0)
    assert len(made.files) == 2
    assert "c.csv is written otherwise" in made.unread[0]


def names_of(*patterns, count=3):
    return [pattern.format(n) for pattern in patterns for n in range(count)]


# Names of files, and the classes that they stand for.
CLASSES = {
    "folders": (names_of("walk/{}.csv", "sit/{}.csv"), ("sit", "walk")),
    "subjects below": (names_of("walk/s{}/0.csv", "sit/s{}/0.csv"), ("sit", "walk")),
    "subjects above": (names_of("s{}/walk/0.csv", "s{}/sit/0.csv"), ("sit", "walk")),
    "subjects with words": (names_of("s{}/walk_0.csv", "s{}/sit_0.csv"), ("sit", "walk")),
    "a division": (
        names_of("train/walk/{}.csv", "train/sit/{}.csv", "test/walk/{}.csv", "test/sit/{}.csv"),
        ("sit", "walk"),
    ),
    "digits": (names_of("0/a{}.csv", "1/a{}.csv", "2/a{}.csv"), ("0", "1", "2")),
    "a division alone": (["train/1.csv", "train/2.csv", "test/1.csv", "test/2.csv"], None),
    "dates": (["2024-01-01/1.csv", "2024-01-01/2.csv", "2024-01-02/1.csv", "2024-01-02/2.csv"], None),
    "months": (["Jan_0.csv", "Jan_1.csv", "Feb_0.csv", "Feb_1.csv"], None),
    "beginnings": (names_of("übung_{}.csv", "pause_{}.csv"), ("pause", "übung")),
    "ends": (names_of("{}_walk.csv", "{}_sit.csv"), ("sit", "walk")),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes_by_names(case):
    names, classes = CLASSES[case]
    made = classes_of(names)
    assert (None if made is None else made.names) == classes


@pytest.mark.parametrize("case", [case for case, (_, classes) in CLASSES.items() if classes])
def test_the_config_gives_each_file_the_class_that_was_meant(tmp_path, case):
    for number, name in enumerate(CLASSES[case][0]):
        table(tmp_path / "rec" / name, a=noise(200, number), b=noise(200, 99 + number))
    result = invoke("look", tmp_path / "rec" / "**" / "*.csv", "--sample-rate", "20", "--out", tmp_path / "c.toml")
    assert result.exit_code == 0, result.output
    loaded = load_classes(load_config(tmp_path / "c.toml").data, 16)
    assert loaded.class_names == CLASSES[case][1]
    for one in loaded.recordings:
        assert loaded.class_names[one.classes[0]] in one.recording.name
    if case == "a division":
        assert tomllib.loads((tmp_path / "c.toml").read_text())["data"]["test_files"] == ["test/**"]


HEALTH = {
    "normal_1.csv": (True, False),
    "good/1.csv": (True, False),
    "not good/1.csv": (False, True),
    "not_healthy_a.csv": (False, True),
    "inner_race_normal_load_1.csv": (False, True),
    "faulty/normal_c.csv": (False, True),
    "no_fault_3.csv": (True, False),
    "abnormal.csv": (False, True),
    "lookup_ok.csv": (True, False),
    "pump7.csv": (False, False),
    "fault_free.csv": (True, False),
    "fault-free_1.csv": (True, False),
    "without_faults.csv": (True, False),
    "no_leak.csv": (True, False),
    "zero_defects/1.csv": (True, False),
    "not_faulty.csv": (True, False),
    "no_fault_then_broken.csv": (False, True),
    "crackfree.csv": (True, False),
    "outer_casing.csv": (False, True),
}


@pytest.mark.parametrize("name", HEALTH)
def test_names_that_say_healthy_or_faulty(name):
    assert (is_healthy(name), is_faulty(name)) == HEALTH[name]


@pytest.mark.parametrize(
    "healthy", [["baseline.csv", "baseline2.csv"], ["normal\n1.csv", "normal2.csv"], ["ok", "ok2"]]
)
def test_the_config_of_healthy_files_reads_those_alone_as_healthy(tmp_path, healthy):
    for number, name in enumerate(healthy):
        table(tmp_path / name, a=noise(4000, number), b=noise(4000, 9 + number))
    table(tmp_path / "faults" / "c.csv", a=noise(4000, 50), b=noise(4000, 51))
    files = [tmp_path / name for name in [*healthy, "faults/c.csv"]]
    result = invoke("look", *files, "--sample-rate", "20", "--out", tmp_path / "c.toml")
    assert "run it with" in result.output, result.output
    data = prepare(load_config(tmp_path / "c.toml"))
    assert set(data.train.origins) <= set(healthy)
    assert {origin for origin, label in zip(data.test.origins, data.test.labels) if label == 1} == {"faults/c.csv"}


@pytest.mark.parametrize("task", [(), ("--task", "anomaly")])
def test_files_that_say_faulty_are_not_learned_from_where_no_other_says_healthy(tmp_path, task):
    for number, name in enumerate(("monday.csv", "tuesday.csv", "week7.csv", "fault.csv")):
        table(tmp_path / name, a=noise(4000, number), b=noise(4000, 9 + number))
    result = invoke("look", tmp_path / "*.csv", "--sample-rate", "20", *task, "--out", tmp_path / "c.toml")
    assert (
        "1 of 4 files are faulty by their names, such as fault.csv; the others are taken for healthy" in result.output
    )
    data = prepare(load_config(tmp_path / "c.toml"))
    assert "fault.csv" not in {*data.train.origins, *data.validation.origins, *data.calibration.origins}
    assert {name for name, label in zip(data.test.origins, data.test.labels.tolist()) if label == 1} == {"fault.csv"}


def test_a_part_of_a_bearing_alone_says_no_fault(tmp_path):
    for number, name in enumerate(("race_monday.csv", "outer_casing.csv", "tuesday.csv")):
        table(tmp_path / name, a=noise(4000, number), b=noise(4000, 9 + number))
    result = invoke("look", tmp_path / "*.csv", "--sample-rate", "20")
    assert "nothing says which files are healthy" in result.output


@pytest.mark.parametrize("name", ["fault_bearing", "BearingFaults", "belt Defects", "alarms", "Lagerschaden.Schaden"])
def test_names_of_columns_that_tell_a_condition(name):
    assert tells_condition(name)


@pytest.mark.parametrize("name", ["default", "Stateless", "wearable", "pressure", "errorless", "a"])
def test_names_of_columns_that_tell_none(name):
    assert not tells_condition(name)
