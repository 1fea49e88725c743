"""A file that ends in the middle of a row: what is said of it, in whichever text it is, and what is no such end."""

import gzip

import numpy as np
import pytest
from support import invoke

from micro.config import FilesData
from micro.datasets import lines
from micro.datasets.formats import read_contents
from micro.errors import DataError

ROWS = 300


def written(tail, last="{:.4f}", separator=",", name="b"):
    rng = np.random.default_rng(0)
    values = enumerate(rng.normal(size=(ROWS, 2)))
    rows = [separator.join((f"{n / 100:.2f}", f"{x:.3f}", last.format(y))) for n, (x, y) in values]
    return "\n".join([separator.join(("time", "a", name)), *rows, tail])


def read(path, **settings):
    return read_contents(path, FilesData(files=("*",), time_column="time", **settings))


CUT = {
    "30.00,0.1234": "2 of 3 values",
    "30.": "1 of 3 values",
    "30.00,0.123,": "its last value, '', seems cut off",
    "30.00,0.123,-": "its last value, '-', seems cut off",
    "30.00,0.123,0.": "its last value, '0.', seems cut off",
    "30.00,0.123,0.12": "its last value, '0.12', seems cut off",
    '30.00,0.123,"0.12': "its last value, '0.12', seems cut off",
}


@pytest.mark.parametrize("tail", CUT)
@pytest.mark.parametrize("block", [lines.BLOCK, 4096])
def test_a_row_in_which_a_file_ends_is_left_out_and_named(tmp_path, monkeypatch, tail, block):
    monkeypatch.setattr(lines, "BLOCK", block)
    path = tmp_path / "log.csv"
    path.write_text(written(tail))
    zipped, wide = tmp_path / "log.csv.gz", tmp_path / "wide.csv"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    wide.write_text(written(tail), encoding="utf-16")
    for each in (path, zipped, wide):
        found = read(each)
        assert found.unread == (f"it ends in the middle of a row, line {ROWS + 2}: {CUT[tail]}; that row is left out",)
        assert len(found.samples) == ROWS
        assert np.isfinite(found.samples).all()


def test_numbers_and_words_that_are_beginnings_of_others_are_seen(tmp_path):
    path = tmp_path / "log.csv"
    for tail, last, cut in (
        ("3.00,0.123,1", "{:+07.0f}", True),
        ("3.00,0.123,1234", "{:.0f}", False),
        ("3.00,0.123,1.5", "{:.17g}", True),
        ("3.00;0,123;0,1", "{:.4f}", True),
    ):
        text = written(tail, last, ";" if ";" in tail else ",")
        path.write_text(text.replace(".", ",") if ";" in tail else text)
        settings = {"separator": ";", "decimal": ","} if ";" in tail else {}
        assert bool(read(path, **settings).unread) is cut, tail
    for tail, cut in (("3.00,0.123,norm", True), ("3.00,0.123,normal", False), ("3.00,0.123,worn", False)):
        path.write_text(written(tail, "normal", name="state"))
        found = read(path, label_column="state")
        assert (bool(found.unread), list(found.words)) == (
            cut,
            ["normal"] if cut or "normal" in tail else ["normal", "worn"],
        )


def test_a_whole_last_row_is_read_with_a_line_end_and_without(tmp_path):
    path = tmp_path / "log.csv"
    for tail in ("3.00,0.123,0.1234", "3.00,0.123,0.1234\n", "3.00,0.123,0.1\n", "3.00,0.123,-10.1234"):
        path.write_text(written(tail))
        found = read(path)
        assert (found.unread, len(found.samples)) == ((), ROWS + 1)
    # Where rows end in a separator the last one does too.
    path.write_text("time,a,\n" + "".join(f"{n}.00,0.{n},\n" for n in range(10, 40)) + "40.00,0.40,")
    assert (read(path).unread, len(read(path).samples)) == ((), 31)
    # With a line end it is a row that lacks a value, as anywhere in the file.
    path.write_text(written("3.00,0.123\n"))
    with pytest.raises(DataError, match="2 cells where 3 are expected"):
        read(path)


def test_look_a_plan_and_a_run_say_it(tmp_path):
    for name in ("1.csv", "2.csv"):
        (tmp_path / name).write_text(written("3.00,0.1" if name == "1.csv" else "3.00,0.123,0.1234"))
    config = tmp_path / "log.toml"
    looked = invoke("look", tmp_path / "1.csv", tmp_path / "2.csv", "--out", config)
    said = f"1.csv: it ends in the middle of a row, line {ROWS + 2}: 2 of 3 values; that row is left out"
    assert said in " ".join(looked.stdout.split())
    planned = invoke("run", config, "--out", tmp_path / "run", "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert said in " ".join(planned.stdout.split())
