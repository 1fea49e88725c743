"""Sound, workbooks and HDF5: the values are those that were written, and damaged files are one line."""

import os

import h5py
import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from support import data_folder

from micro.config.data import TableData
from micro.datasets import table
from micro.datasets.contents import EmptyFile
from micro.datasets.formats import read_contents
from micro.errors import DataError


def config_of(**changes):
    return TableData(**{"files": "*", "healthy_files": "*", "sample_rate": 10.0, **changes})


WAVE = (np.sin(np.arange(3000) / 7)[:, None] * [0.5, -0.25]).astype(np.float64)


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_S8", 8), ("PCM_16", 16), ("PCM_24", 24)])
def test_flac_is_read_in_counts_of_its_own_width(tmp_path, subtype, bits):
    counts = np.round(WAVE * 2 ** (bits - 1))
    soundfile.write(tmp_path / "a.flac", counts / 2 ** (bits - 1), 8000, subtype=subtype)
    read = read_contents(tmp_path / "a.flac", config_of(files="*.flac", sample_rate=None))
    np.testing.assert_array_equal(read.samples, counts.astype(np.float32))
    assert (read.rate, read.channels) == (8000.0, ("c0", "c1"))


def test_ogg_is_read_as_a_player_gives_it(tmp_path):
    soundfile.write(tmp_path / "a.ogg", WAVE, 16_000, subtype="VORBIS")
    read = read_contents(tmp_path / "a.ogg", config_of(files="*.ogg", sample_rate=None))
    assert len(read.samples) == len(WAVE)
    assert np.abs(read.samples / 32768 - WAVE).max() < 0.05


def test_real_speech_is_read():
    path = next(data_folder("speech_commands").rglob("*.flac"))
    read = read_contents(path, config_of(files="*.flac", sample_rate=None))
    assert (read.rate, read.samples.shape[1]) == (16_000.0, 1)
    assert 100 < np.abs(read.samples).max() <= 32768


def test_a_workbook_is_read_as_a_table(tmp_path):
    frame = pd.DataFrame(
        {"t": pd.date_range("2026-03-01", periods=50, freq="100ms"), "x": np.sin(np.arange(50)), "y": 1.0}
    )
    frame["state"] = ["ok"] * 30 + ["worn"] * 20
    frame.loc[7, "y"] = None
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    config = config_of(
        folder=str(tmp_path), files="*.xlsx", sample_rate=None, time_column="t", label_column="state", normal_labels="ok",
        on_missing="interpolate", on_constant="keep",
    )  # fmt: skip
    (recording,) = table.load(config, 8).recordings
    assert recording.sample_rate == pytest.approx(10.0)
    np.testing.assert_array_equal(recording.samples, np.stack([frame["x"], np.ones(50)], axis=1).astype(np.float32))
    assert (recording.faulty == (np.arange(50) >= 30)).all()


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("above", [0, 2])
def test_a_workbook_with_units_lines_above_and_no_header(tmp_path, header, above):
    values = np.random.default_rng(0).normal(size=(20, 3)).round(3)
    rows = [["Logger", None, None]] * above + [["a", "b", "c"], ["g", "g", "mm"]] * header + values.tolist()
    pd.DataFrame(rows).to_excel(tmp_path / "a.xlsx", index=False, header=False)
    config = config_of(header=header, units_row=header, skip_rows=above)
    read = read_contents(tmp_path / "a.xlsx", config)
    np.testing.assert_array_equal(read.samples, values.astype(np.float32))
    assert read.channels == (("a", "b", "c") if header else ("c0", "c1", "c2"))


def test_hdf5_and_matlabs_newest_format(tmp_path):
    values = np.random.default_rng(1).normal(size=(40, 2))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["run/x"], file["run/rate"] = values, 12.0
        file["name"] = "pump"
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/secret")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.arange(40.0)
    read = read_contents(tmp_path / "a.h5", config_of())
    assert read.channels == ("run/x0", "run/x1")
    np.testing.assert_array_equal(read.samples, values.astype(np.float32))
    with h5py.File(tmp_path / "m.mat", "w", userblock_size=512) as file:
        file["acc"], file["speed"] = values.T, np.full((1, 40), 3.0)
    with (tmp_path / "m.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")
    read = read_contents(tmp_path / "m.mat", config_of())
    assert read.channels == ("acc0", "acc1", "speed")
    np.testing.assert_array_equal(read.samples[:, :2], values.astype(np.float32))


def made(folder, kind):
    path = folder / f"whole.{kind}"
    if not path.exists():
        if kind == "flac":
            soundfile.write(path, WAVE, 8000)
        elif kind == "xlsx":
            pd.DataFrame({"x": np.arange(30.0), "y": np.arange(30) % 7}).to_excel(path, index=False)
        else:
            with h5py.File(path, "w") as file:
                file["x"] = np.arange(400.0)
    return path.read_bytes()


@given(
    kind=st.sampled_from(["flac", "xlsx", "h5"]),
    place=st.floats(0, 1),
    length=st.integers(1, 64),
    cut=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused_in_one_line_or_read(tmp_path_factory, kind, place, length, cut, seed):
    folder = tmp_path_factory.getbasetemp()
    content = bytearray(made(folder, kind))
    at = int(place * (len(content) - 1))
    if cut:
        del content[at:]
    else:
        content[at : at + length] = np.random.default_rng(seed).bytes(min(length, len(content) - at))
    path = folder / f"damaged.{kind}"
    path.write_bytes(content)
    refused = ""
    try:
        read_contents(path, config_of(on_text="missing"))
    except (DataError, EmptyFile) as error:
        refused = str(error)
    assert "\n" not in refused
    assert not refused or os.fspath(path) in refused
