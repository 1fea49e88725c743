"""What float32 keeps of a channel with a large offset: reading says it, and does not call such a channel constant."""

import numpy as np
import pytest
from tables import ROWS, columns, data_of, loaded, wave

from micro.config import ClassesData, RegressionData
from micro.datasets import table
from micro.datasets.classes import load_classes
from micro.datasets.regression import load_runs
from micro.errors import DataError
from micro.look.survey import survey

SMALL = 0.01 * np.sin(np.arange(ROWS))


def offset(by):
    return [f"{by + value:.6f}" for value in SMALL]


def test_a_channel_whose_changes_float32_loses_is_not_called_constant(tmp_path):
    text = columns(a=wave(), level=offset(1e6))
    with pytest.raises(DataError) as error:
        loaded(tmp_path, text)
    said = str(error.value)
    assert "never changes" not in said
    assert "'level'" in said
    assert "goes from 999999.99 to 1000000.01" in said
    assert "subtract an offset such as 1e+06" in said


@pytest.mark.parametrize("write", ["npz", "npy", "parquet"])
def test_arrays_say_it_too(tmp_path, write):
    a, level = wave().astype(np.float64), 1e6 + SMALL
    if write == "npz":
        np.savez(tmp_path / "n.npz", a=a, level=level)
    elif write == "npy":
        np.save(tmp_path / "n.npy", np.stack([a, level], axis=1))
    else:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table({"a": a, "level": level}), tmp_path / "n.parquet")
    with pytest.raises(DataError, match="float32, in which features are computed, keeps none"):
        table.load(data_of(tmp_path, files=f"*.{write}"), 16)


def test_a_column_left_out_for_it_is_not_said_to_never_change(tmp_path):
    found = loaded(tmp_path, columns(a=wave(), level=offset(1e6)), on_constant="drop")
    assert found.channels == ("a",)
    assert any("was left out: it goes from 999999.99" in note for note in found.notes)
    assert not any("never changes" in note for note in found.notes)


def test_too_few_steps_are_noted(tmp_path):
    found = loaded(tmp_path, columns(a=wave(), level=offset(1e5)))
    (note,) = [note for note in found.notes if "float32" in note]
    assert "'level'" in note
    assert "keeps 2 steps" in note


@pytest.mark.parametrize(
    "cells",
    [
        [1_000_000 + row % 3 for row in range(ROWS)],  # integers that float32 holds
        [round(20 + 0.1 * (row % 3), 1) for row in range(ROWS)],
        [0.1 + 0.2 if row % 2 else 0.3 for row in range(ROWS)],  # the last digit of a computation
    ],
)
def test_what_float32_keeps_is_not_remarked(tmp_path, cells):
    found = loaded(tmp_path, columns(a=wave(), level=cells), on_constant="keep")
    assert not any("float32" in note for note in found.notes)


def test_a_file_that_stands_still_beside_files_that_move_is_not_remarked(tmp_path):
    (tmp_path / "still.csv").write_text(columns(level=offset(1e6)))
    (tmp_path / "moves.csv").write_text(columns(level=(1e6 * wave(seed=1))))
    found = table.load(data_of(tmp_path), 16)
    assert not any("float32" in note for note in found.notes)


def test_files_to_score_are_told_as_well(tmp_path):
    (tmp_path / "n.csv").write_text(columns(level=offset(1e5)))
    path = tmp_path / "n.csv"
    found = table.load(data_of(tmp_path, on_constant="keep"), 16, ("level",), {path: "n.csv"})
    assert any("keeps 2 steps" in note for note in found.notes)


def test_classes_and_targets_say_it(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text(columns(a=wave(), level=offset(1e6)))
    sources = {"folder": str(tmp_path), "files": "*.csv", "sample_rate": 100.0}
    with pytest.raises(DataError, match="column 'level' goes from"):
        load_classes(ClassesData(**sources, classes={"one": "one.csv", "two": "two.csv"}), 16)
    with pytest.raises(DataError, match="target column 'level' goes from 999999"):
        load_runs(RegressionData(**sources, target_column="level"), 16)


def test_look_says_it_and_leaves_the_channel_out(tmp_path):
    (tmp_path / "n.csv").write_text(columns(a=wave(), level=offset(1e6), pressure=offset(1e5)))
    found = survey([tmp_path / "n.csv"], sample_rate=100.0)
    remarks = " ".join(found.remarks)
    assert "column 'level' is left out, as it goes from 999999.99" in remarks
    assert "column 'pressure' goes from" in remarks
    level = next(each for each in found.files[0].channels if each.name == "level")
    assert "never changes" not in level.remarks
