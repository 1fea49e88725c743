"""Files that `keras-kd look` leaves out: each is named with the reason that a run would give."""

import json

import numpy as np
import pytest
from support import invoke

from micro.config import TableData
from micro.datasets.formats import read_contents
from micro.errors import DataError


def lines():
    values = np.random.default_rng(0).normal(size=(600, 2))
    return ["x,note,y", *(f"{x:.3f},ok,{y:.3f}" for x, y in values)]


def replaced(place, line):
    return ["\n".join([*lines()[:place], line, *lines()[place + 1 :]]) + "\n"]


# Files among good ones: their text, and what a run says of each.
LEFT_OUT = {
    "a quote in the first row": (replaced(1, '0.1,"ok,0.2'), "line 2: a quote"),
    "a quote in an early row": (replaced(100, '0.1,"ok,0.2'), "line 101: a quote"),
    "a quote beyond the rows that are looked at first": (replaced(550, '0.1,"ok,0.2'), "line 551: a quote"),
    "a quote before a number": (replaced(300, '"0.1,ok,0.2'), "line 301: a quote"),
    "a quote in the header": (replaced(0, 'x,"note,y'), "line 1: a quote"),
    "a quote before the header": (replaced(0, '"x,note,y'), "line 1: a quote"),
    "a row that is too long": (replaced(300, "1,ok,2,3"), "line 301: 4 cells where 3 are expected"),
    "a number that is too large": (replaced(500, "1,ok,1e99"), "line 501: 1e+99 in column 'y' is beyond"),
    "empty": ([""], "is empty"),
    "a header alone": (["x,note,y\n"], "no rows"),
    "a picture": (["\x89PNG\r\n\x1a\n" + "\0" * 90], "is a picture"),
    "JSON": (['{"x": [1, 2]}'], "is JSON"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_a_file_that_is_left_out_is_named_with_the_reason_of_a_run(tmp_path, case):
    (text,), reason = LEFT_OUT[case]
    for number in range(3):
        (tmp_path / f"good_{number}.csv").write_text("\n".join(lines()) + "\n")
    bad = tmp_path / "bad.csv"
    bad.write_text(text, encoding="latin-1", newline="")
    config = TableData(files="*", healthy_files="*", sample_rate=1.0, columns=("x", "y"))
    with pytest.raises(DataError, match=reason.replace("+", r"\+")):
        read_contents(bad, config)
    said = json.loads(invoke("look", tmp_path / "*.csv", "--sample-rate", "100", "--json").stdout)
    assert len(said["files"]) == 3
    (why,) = said["unread"]
    assert (str(bad) in why, reason in why) == (True, True), why


def test_every_file_that_is_left_out_is_named_and_stands_in_the_config(tmp_path):
    (tmp_path / "good.csv").write_text("\n".join(lines()) + "\n")
    for number in range(9):
        (tmp_path / f"bad_{number}.csv").write_text(replaced(300 + number, '0.1,"ok,0.2')[0])
    result = invoke("look", tmp_path / "*.csv", "--sample-rate", "100", "--out", tmp_path / "c.toml")
    config = (tmp_path / "c.toml").read_text()
    for number in range(9):
        reason = f"bad_{number}.csv, line {301 + number}: a quote"
        assert (reason in result.stdout, reason in config) == (True, True)


def test_a_file_that_is_written_otherwise_says_how(tmp_path):
    for number in range(2):
        (tmp_path / f"good_{number}.csv").write_text("\n".join(lines()) + "\n")
    (tmp_path / "other.csv").write_text("\n".join(lines()).replace(",", ";") + "\n")
    said = json.loads(invoke("look", tmp_path / "*.csv", "--sample-rate", "100", "--json").stdout)
    assert "(separator = ';', not ','): write all files alike, or look at it by itself" in said["unread"][0]


def test_a_column_without_values_at_first_is_not_said_to_be_empty_throughout(tmp_path):
    """A sensor that was switched on late: more than the first rows is not known of it yet."""
    rows = [f"{n % 7 + 0.5},{n % 5 + 0.5 if n >= 500 else ''}" for n in range(1000)]
    (tmp_path / "a.csv").write_text("\n".join(["x,late", *rows]) + "\n")
    result = invoke("look", tmp_path / "a.csv", "--sample-rate", "100")
    said = " ".join(result.stdout.split())
    assert "column 'late' is left out, as it is empty in the first " in said
    assert "rows; where it has values later on, name it in columns" in said


WHOLE = [
    (["normal_1", "normal_2"], ["faulty_1", "faulty_2"], (), "all 2 faulty files were left out: faulty_1.csv, faulty_2.csv"),
    (["faulty_1", "faulty_2"], ["normal_1"], (), "the only healthy file was left out: normal_1.csv"),
    (["good/1", "good/2"], ["worn/1"], (), "the only faulty file was left out: worn/1.csv"),
    (["a", "b"], ["c", "d"], ("--healthy-files", "a*", "--healthy-files", "b*"), "all 2 faulty files were left out: c.csv"),
    (["walk/1", "walk/2"], ["run/1", "run/2"], (), "all 2 files of class 'run' were left out: run/1.csv, run/2.csv"),
    (["walk_1", "walk_2"], ["run_1", "run_2"], (), "all 2 files of class 'run' were left out: run_1.csv, run_2.csv"),
    (["normal_1", "faulty_1"], ["faulty_2"], (), None),
]  # fmt: skip


@pytest.mark.parametrize(("good", "odd", "more", "says"), WHOLE)
def test_what_was_left_out_as_a_whole_is_said_last(tmp_path, good, odd, more, says):
    for names, text in ((good, "\n".join(lines()) + "\n"), (odd, replaced(300, '0.1,"ok,0.2')[0])):
        for name in names:
            (tmp_path / f"{name}.csv").parent.mkdir(exist_ok=True)
            (tmp_path / f"{name}.csv").write_text(text)
    result = invoke("look", tmp_path / "**/*.csv", "--sample-rate", "100", *more)
    assert result.exit_code == 0, result.output
    last = result.output.splitlines()[-1]
    assert says is None if "left out" not in last else last.startswith(f"Warning: {says}"), result.output
