"""Odd tables looked at as a person does, and what is typed in place of a wrong guess: the config has it, and runs."""

import re
import tomllib

import numpy as np
import pytest
from support import invoke

from micro.config import load_config
from micro.datasets.classes import load_classes
from micro.datasets.regression import load_runs
from micro.datasets.table import load
from micro.look.patterns import shortened

SMALL = {r"epochs = \d+": "epochs = 1", "seeds = 3": "seeds = 1"}
ROWS, LONG = 700, 9000


def noise(n=ROWS, seed=0):
    return np.random.default_rng(seed).normal(size=n).round(3)


def write(path, *, above=(), sep=",", decimal=".", units=None, encoding="utf-8", header=True, **columns):
    def text(value):
        return str(value).replace(".", decimal) if isinstance(value, float) else str(value)

    lines = [*above, *([sep.join(columns)] if header else []), *([sep.join(units)] if units else [])]
    lines += [sep.join(map(text, row)) for row in zip(*(np.asarray(column).tolist() for column in columns.values()))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def looked(tmp_path, *words):
    result = invoke("look", *words, "--out", tmp_path / "c.toml")
    assert result.exit_code == 0, result.output
    return result.stdout, tomllib.loads((tmp_path / "c.toml").read_text())


def ran(tmp_path, says="run it with"):
    text = (tmp_path / "c.toml").read_text()
    for long, short in SMALL.items():
        text = re.sub(long, short, text)
    (tmp_path / "c.toml").write_text(text)
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run", "--set", "distill.compare=false")
    assert result.exit_code == 0, result.output
    return result.output


def refused(*words):
    result = invoke("look", *words)
    assert result.exit_code == 2, result.output
    (line,) = result.output.strip().splitlines()
    return line


def halves(n=ROWS):
    return ["idle"] * (n // 2) + ["cutting"] * (n - n // 2)


def test_semicolons_decimal_commas_a_preamble_a_row_of_units_and_latin_letters_run(tmp_path):
    for number in range(3):
        write(
            tmp_path / f"normal_{number}.csv", above=["Messung 7", "Gerät: Pumpe", ""], sep=";", decimal=",",
            units=["s", "g", "°C"], encoding="cp1252", Zeit=np.arange(LONG) / 50, Schwingung=noise(LONG, seed=number),
            Öl=noise(LONG, seed=9 + number) * 3 + 40,
        )  # fmt: skip
    write(
        tmp_path / "defekt_0.csv", above=["Messung 7", "Gerät: Pumpe", ""], sep=";", decimal=",", units=["s", "g", "°C"],
        encoding="cp1252", Zeit=np.arange(LONG) / 50, Schwingung=noise(LONG, seed=77) * 4, Öl=noise(LONG, seed=78) * 3 + 60,
    )  # fmt: skip
    _, config = looked(tmp_path, tmp_path / "*.csv")
    written = {key: config["data"].get(key) for key in ("separator", "decimal", "encoding", "skip_rows", "units_row")}
    assert written == {"separator": ";", "decimal": ",", "encoding": "latin-1", "skip_rows": 3, "units_row": True}
    ran(tmp_path)


@pytest.mark.slow
def test_milliseconds_since_1970_words_a_still_column_and_copies_run(tmp_path):
    times = 1_700_000_000_000 + 20 * np.arange(ROWS)
    for number in range(4):
        write(
            tmp_path / f"m{number}.csv", epoch=times, a=noise(seed=number), still=np.full(ROWS, 5), phase=halves(),
        )  # fmt: skip
    (tmp_path / "m9.csv").write_bytes((tmp_path / "m0.csv").read_bytes())
    printed, config = looked(tmp_path, tmp_path / "*.csv")
    assert "m0.csv and m9.csv hold the same bytes" in printed
    assert (config["data"]["on_constant"], config["data"]["label_column"]) == ("drop", "phase")
    assert config["task"] == "classification"
    ran(tmp_path)


@pytest.mark.slow
def test_a_number_that_is_a_label_is_one_when_it_is_named(tmp_path):
    for number in range(4):
        write(tmp_path / f"m{number}.csv", a=noise(seed=number), gear=np.arange(ROWS) // 100 % 2 + 3)
    looked_at = invoke("look", tmp_path / "*.csv", "--sample-rate", "100")
    assert "anomaly" in looked_at.stdout
    _, config = looked(tmp_path, tmp_path / "*.csv", "--sample-rate", "100", "--label-column", "gear")
    assert (config["task"], config["data"]["label_column"]) == ("classification", "gear")
    assert load_classes(load_config(tmp_path / "c.toml").data, 16).channels == ("a",)
    ran(tmp_path)


def test_a_column_to_predict_makes_a_regression_that_runs(tmp_path):
    for number in range(4):
        a = noise(seed=number)
        write(tmp_path / f"m{number}.csv", a=a, b=noise(seed=number + 5), load=(3 * a + 1).round(3), site=["x"] * ROWS)
    printed, config = looked(tmp_path, tmp_path / "*.csv", "--sample-rate", "100", "--target-column", "load")
    assert "column 'load' is predicted, which goes from" in printed
    assert (config["task"], config["data"]["target_column"]) == ("regression", "load")
    assert config["data"]["columns"] == ["a", "b"]
    assert "coverage" in ran(tmp_path)


@pytest.mark.slow
def test_runs_in_one_file_whose_clock_starts_again_are_told_apart_by_a_column(tmp_path):
    engine = np.repeat([1, 2, 3, 4, 5, 6], 120)
    cycle = np.tile(np.arange(120), 6)
    write(tmp_path / "all.csv", engine=engine, time=cycle, heat=cycle / 60 + noise(720) / 9)
    words = ["--remaining-life", "rows", "--run-column", "engine", "--time-column", "time", "--time-unit", "s"]
    printed, config = looked(tmp_path, tmp_path / "all.csv", *words)
    assert "what is left until the end of each run of column 'engine' is predicted, in rows" in printed
    assert {**config["data"]} | {"run_column": "engine", "remaining_life": "rows", "time_unit": "s"} == config["data"]
    loaded = load_runs(load_config(tmp_path / "c.toml").data, 16)
    assert (len(loaded.recordings), loaded.channels) == (6, ("heat",))
    ran(tmp_path)


def test_what_is_given_is_read_and_written(tmp_path):
    lines = ["name|x", "unit|y", "! note", *(f"{n}|{10 + n % 7}" for n in range(90))]
    (tmp_path / "n.txt").write_text("\n".join(lines))
    words = ["--separator", "pipe", "--skip-rows", "1", "--comment", "!", "--columns", "y", "--time-column", "none"]
    _, config = looked(tmp_path, tmp_path / "n.txt", "--sample-rate", "9", "--header", *words, "--decimal", ".")
    assert {key: config["data"][key] for key in ("separator", "skip_rows", "comment", "columns", "header", "decimal")} == {
        "separator": "|", "skip_rows": 1, "comment": "!", "columns": ["y"], "header": True, "decimal": ".",
    }  # fmt: skip


def test_a_label_that_changes_often_gets_windows_that_fit_between(tmp_path):
    write(tmp_path / "n.csv", a=noise(1600), gear=np.arange(1600) // 40 % 2)
    _, config = looked(
        tmp_path, tmp_path / "n.csv", "--sample-rate", "100", "--label-column", "gear", "--task", "classification"
    )
    # Wherever one begins: 40 rows hold a window of 32 only if it begins in their first 8.
    assert config["features"]["window"] == 16


def test_a_column_that_is_no_clock_is_a_channel_when_none_is_given(tmp_path):
    write(tmp_path / "n.csv", t=np.arange(ROWS) / 10, a=noise())
    _, config = looked(tmp_path, tmp_path / "n.csv", "--time-column", "none", "--sample-rate", "10", "--columns", "?")
    assert "time_column" not in config["data"]
    assert config["data"]["columns"] == ["?"]


@pytest.mark.parametrize("typed", ["*", "?*"])
def test_a_pattern_of_columns_takes_no_labels_and_no_times_that_were_found(tmp_path, typed):
    times = [f"2026-03-01T08:{n // 60:02d}:{n % 60:02d}" for n in range(ROWS)]
    label = np.arange(ROWS) // 350
    write(tmp_path / "n.csv", time=times, x=noise(), y=noise(seed=1), label=label)
    _, config = looked(tmp_path, tmp_path / "n.csv", "--columns", typed)
    assert (config["data"]["columns"], config["data"]["label_column"]) == ([typed], "label")
    assert config["data"]["time_column"] == "time"
    assert load(load_config(tmp_path / "c.toml").data, 16).channels == ("x", "y")


def test_a_label_that_is_named_as_a_channel_is_one(tmp_path):
    write(tmp_path / "n.csv", x=noise(), y=noise(seed=1), label=np.arange(ROWS) // 350)
    words = ["--columns", "*", "--columns", "label", "--sample-rate", "10"]
    _, config = looked(tmp_path, tmp_path / "n.csv", *words)
    assert "label_column" not in config["data"]
    assert load(load_config(tmp_path / "c.toml").data, 16).channels == ("x", "y", "label")


def test_there_may_be_neither_times_nor_labels(tmp_path):
    write(tmp_path / "n.csv", t=np.arange(ROWS) / 10, x=noise(), label=np.arange(ROWS) // 350)
    words = ["--time-column", "none", "--label-column", "none", "--columns", "x", "--columns", "label"]
    _, config = looked(tmp_path, tmp_path / "n.csv", *words, "--sample-rate", "10")
    assert not config["data"].keys() & {"time_column", "label_column"}
    assert config["data"]["columns"] == ["x", "label"]


CONTRADICTIONS = {
    "--separator ;": "n.csv is no table of numbers by its first lines: with --separator ';' they do not hold "
    "mostly numbers; right would be --separator ','",
    "--decimal , --separator ,": "separator and decimal are both ','; files with decimal commas are separated by ';'",
    "--decimal ,": "right would be --decimal .",
    "--encoding utf-9": "encoding 'utf-9' is not known",
    "--encoding ascii": "is not ascii; right would be --encoding latin-1",
    "--header --skip-rows 1": "names no columns, and --header says that a row does; right would be --skip-rows 0",
    "--no-header": "n.csv, line 1: 'time,a,state,gear,Öl' names columns, and --no-header says that no row does; right would be "
    "--header",
    "--skip-rows 1": "n.csv: --skip-rows 1 skips the row that names the columns; right would be --skip-rows 0",
    "--units-row --no-header": "units_row is the row below a header, and header is false",
    "--time-column zeit": "n.csv has no column 'zeit' for --time-column; it has time, a, state, gear, Öl",
    "--time-column tim": "did you mean 'time'?",
    "--time-column a": "n.csv, line 3: ",
    "--time-format %d.%m.%Y": "'2026-03-01T08:00:00' in column 'time' is not read by --time-format '%d.%m.%Y'; right would "
    "be no --time-format",
    "--time-unit ms": "'2026-03-01T08:00:00' in column 'time' is no number, and --time-unit ms is of numbers; leave it out",
    "--columns b": "n.csv has no column 'b' for --columns",
    "--columns a,gear": "several are given as --columns a --columns gear",
    "--columns state": "column 'state' holds text such as 'idle', and --columns is of numbers; columns of numbers "
    "are a, gear, Öl",
    "--target-column state": "column 'state' holds text such as 'idle', and --target-column is of numbers",
    "--target-column a --label-column state": "--label-column is for task anomaly or classification, and "
    "--target-column is not",
    "--task regression": "--task regression needs --target-column, the column to predict, or --remaining-life",
    "--task classification --label-column none": "lies in no folder and has no name that tells its class",
    "--task anomaly": "--task anomaly needs to know which are healthy: --normal-labels",
    "--normal-labels idel": "column 'state' holds no label 'idel' for --normal-labels; it holds idle, cutting",
    "--healthy-files normal*": "--healthy-files 'normal*' matches none of the files, which are n.csv",
    "--run-column engine --remaining-life h": "has no column 'engine' for --run-column",
    "--run-column a --label-column state": "--label-column is for task",
    "--task anomaly --target-column a": "--target-column is for task regression, and --task anomaly is not; leave out one",
    "--group {group}-*.csv": "--group '{group}-*.csv' does not match it",
    "--label-column a --target-column a": "leave out one of them",
    "--time-column a --label-column a": "time_column and label_column are both 'a'",
    "--time-column none --run-column none": "--run-column names a column, and 'none' is for --time-column and --label-column "
    "alone; leave --run-column out",
    "--target-column none": "--target-column names a column, and 'none' is for --time-column and --label-column alone",
    "--columns t*": "n.csv: 't*' for --columns matches time alone, which is not taken for ",
}


@pytest.mark.parametrize("typed", CONTRADICTIONS)
def test_what_contradicts_the_files_is_one_line_that_names_file_and_what_is_right(tmp_path, typed):
    times = [f"2026-03-01T08:{n // 60:02d}:{n % 60:02d}" for n in range(ROWS)]
    write(
        tmp_path / "n.csv", encoding="latin-1", time=times, a=noise(), state=halves(), gear=np.arange(ROWS) // 9 % 4,
        Öl=noise(seed=3),
    )  # fmt: skip
    assert CONTRADICTIONS[typed] in refused(tmp_path / "n.csv", *typed.split(" "), "--out", tmp_path / "c.toml")
    assert not (tmp_path / "c.toml").exists()


def test_a_file_that_alone_contradicts_is_named(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number}.csv", t=np.arange(ROWS) * 10, a=noise(seed=number))
    write(tmp_path / "3.csv", t=np.arange(ROWS)[::-1] * 10, a=noise())
    assert "3.csv" in refused(tmp_path / "*.csv", "--time-column", "t", "--time-unit", "ms")
    assert invoke("look", tmp_path / "[0-2].csv", "--time-column", "t", "--time-unit", "ms").exit_code == 0


def test_a_damaged_file_is_left_out_whatever_is_given(tmp_path):
    write(tmp_path / "a.csv", t=np.arange(ROWS) * 10, a=noise())
    (tmp_path / "b.csv").write_bytes(b"")
    result = invoke("look", tmp_path / "*.csv", "--time-column", "t", "--time-unit", "ms")
    assert (result.exit_code, "Not read" in result.stdout) == (0, True)


@pytest.mark.slow
def test_many_columns_are_written_as_a_pattern_that_reads_them_in_every_file(tmp_path):
    for number in range(3):
        channels = {f"ch{n:02d}": noise(LONG, seed=100 * number + n) for n in range(1, 17)}
        write(
            tmp_path / f"normal_{number}.csv",
            site=["x"] * LONG,
            **channels,
            acc_x=noise(LONG),
            acc_y=noise(LONG),
            acc_z=noise(LONG),
        )
    write(
        tmp_path / "fault_0.csv", acc_z=noise(LONG), acc_y=noise(LONG), acc_x=noise(LONG), site=["x"] * LONG,
        **{f"ch{n:02d}": noise(LONG, seed=n) * 3 for n in range(16, 0, -1)},
    )  # fmt: skip
    _, config = looked(tmp_path, tmp_path / "*.csv", "--sample-rate", "100")
    assert config["data"]["columns"] == ["acc_*", "ch*"]  # as in the first file
    output = ran(tmp_path)
    assert "19 channels" in output
    scored = invoke("score", tmp_path / "run", tmp_path / "fault_0.csv")
    assert scored.exit_code == 0, scored.output


def test_a_pattern_stands_for_names_only_where_it_matches_nothing_else():
    names = [f"ch{n}" for n in range(8)]
    assert shortened(names, [[*names, "t"]], ["t"]) == ["ch*"]
    assert shortened(names, [[*names, "check"]], []) == names
    assert shortened(names, [[*names, "check"]], ["check"]) == ["ch*"]
    assert shortened(names[:6], [names[:6]], []) == names[:6]
    assert shortened(names, [names, [*names, "ch99"]], []) == names
    mixed = [f"{side}{n}_rms" for side in ("left", "right") for n in range(4)]
    assert shortened([*mixed, "t"], [[*mixed, "t"]], []) == ["left*_rms", "right*_rms", "t"]


def test_a_page_is_drawn_from_what_was_read_once(tmp_path, monkeypatch):
    from micro.look import survey as module

    for number in range(3):
        write(tmp_path / f"{number}.csv", a=noise(seed=number), b=noise(seed=9))
    opened = []
    real = module.read_contents
    monkeypatch.setattr(module, "read_contents", lambda path, *rest: opened.append(path.name) or real(path, *rest))
    result = invoke("look", tmp_path / "*.csv", "--sample-rate", "50", "--page", tmp_path / "p.html")
    assert result.exit_code == 0, result.output
    assert opened == ["0.csv", "1.csv", "2.csv"]
    assert (tmp_path / "p.html").read_bytes().count(b"<svg") == 3


@pytest.mark.parametrize(
    ("words", "name"), [(("ok", "worn"), "state"), ((0, 1), "label"), (("healthy", "faulty"), "label")]
)
def test_a_label_that_changes_late_is_found_by_its_name(tmp_path, words, name):
    late = [words[0]] * 3000 + [words[1]] * 1000
    for n in range(3):
        write(tmp_path / f"{n}.csv", x=noise(4000, n), **{name: late})
    text, config = looked(tmp_path, *sorted(tmp_path.glob("*.csv")), "--sample-rate", "100")
    assert config["data"]["label_column"] == name
    assert f"{words[1]} 3,000" in text.replace("\n", " ") or str(words[1]) in text


def test_a_label_that_never_changes_is_none_and_a_word_that_may_be_one_says_how(tmp_path):
    late = ["gut"] * 3000 + ["defekt"] * 1000
    for n in range(3):
        numbers = {name: noise(4000, 10 * n + place) for place, name in enumerate("xyz")}
        write(tmp_path / f"{n}.csv", **numbers, state=["run"] * 4000, befund=late)
    files = sorted(tmp_path.glob("*.csv"))
    text, config = looked(tmp_path, *files, "--sample-rate", "100")
    flat = " ".join(text.split())
    assert "label_column" not in config["data"]
    assert config["data"]["columns"] == ["x", "y", "z"]
    assert "olumn 'state' is left out, as it holds the same in every row of every file" in flat
    assert "where it is a label, say --label-column befund" in flat
    (tmp_path / "c.toml").unlink()
    _, config = looked(tmp_path, *files, "--sample-rate", "100", "--label-column", "befund")
    assert config["data"]["label_column"] == "befund"


def test_an_option_of_one_value_is_given_once(tmp_path):
    path = write(tmp_path / "a.csv", x=noise(), torque=noise(seed=1), wear=noise(seed=2))
    says = refused(path, "--target-column", "torque", "--target-column", "wear")
    assert (
        "--target-column is given 2 times, with torque and wear; several numbers of one model are data.target_columns"
        in says
    )
    assert "--label-column is given 2 times" in refused(path, "--label-column", "x", "--label-column", "wear")
    assert "--skip-rows is given 2 times, with 0 and 1" in refused(path, "--skip-rows", "0", "--skip-rows", "1")


def test_means_are_over_rows_and_every_copy_is_counted(tmp_path):
    write(tmp_path / "long.csv", x=noise(1000) + 103)
    write(tmp_path / "short.csv", x=noise(100, 1) + 3)
    text = invoke("look", tmp_path / "long.csv", tmp_path / "short.csv", "--sample-rate", "10", "--json").stdout
    text = invoke("look", tmp_path / "long.csv", tmp_path / "short.csv", "--sample-rate", "10").stdout
    both = np.concatenate([noise(1000) + 103, noise(100, 1) + 3])
    assert f"{both.mean():.4g}" in text
    for n in range(8):
        write(tmp_path / f"m{n}.csv", x=noise(seed=n))
        write(tmp_path / f"w{n}.csv", x=noise(seed=n))
    text = invoke("look", *sorted(tmp_path.glob("[mw]?.csv")), "--sample-rate", "10").stdout
    assert text.count("hold the same bytes") == 5
    assert "and 3 more copies of other files" in text


def test_a_column_that_is_seldom_filled_says_what_to_do(tmp_path):
    for n in range(3):
        slow = [f"{20 + place / 100:.2f}" if place % 50 == 7 else "" for place in range(4000)]
        write(tmp_path / f"{n}.csv", x=noise(4000, n), celsius=slow)
    text = " ".join(invoke("look", *sorted(tmp_path.glob("*.csv")), "--sample-rate", "100").stdout.split())
    assert "column 'celsius' is left out, as it has a value in one of 50 rows; to learn from it" in text
    assert 'a [[sources]] of its own with rows = "filled"' in text
    given = invoke(
        "look", *sorted(tmp_path.glob("*.csv")), "--sample-rate", "100", "--columns", "x", "--columns", "celsius"
    )
    assert "column 'celsius' has a value in one of 50 rows: leave it out by --columns" in " ".join(given.stdout.split())


def test_a_speed_that_is_seldom_filled_is_left_out_and_the_config_runs(tmp_path):
    for n in range(3):
        rpm = [f"{1480 + place / 100:.1f}" if place % 400 == 0 else "" for place in range(8000)]
        write(tmp_path / f"{n}.csv", x=noise(8000, n), rpm=rpm)
    text = invoke("look", *sorted(tmp_path.glob("*.csv")), "--sample-rate", "2000", "--out", tmp_path / "c.toml").stdout
    assert "probably the speed of a shaft" not in text
    assert "before it runs" not in text
    config = (tmp_path / "c.toml").read_text()
    assert tomllib.loads(config)["data"]["columns"] == ["x"]
    # The same with the column, as a config that is written by hand.
    (tmp_path / "hand.toml").write_text(config.replace('columns = ["x"]', 'columns = ["x", "rpm"]'))
    refused = " ".join(invoke("run", tmp_path / "hand.toml", "--out", tmp_path / "run", "--dry-run").stderr.split())
    assert "no healthy window to learn from: 0.csv lacks values in 99.75 % of its healthy rows" in refused
    assert (
        "column 'rpm' lacks most, in 99.75 % of the rows, as a slow sensor in a fast file: leave it out of" in refused
    )
