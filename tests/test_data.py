"""Recordings in, windows out: the Bearing Data Center's files, users' tables."""

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro.config import TableData, parse_config
from micro.datasets import cwru, table
from micro.datasets.prepare import prepare
from micro.datasets.recording import Recording, split_in_time, windows
from micro.errors import DataError
from micro.signal import FrontEnd, fit_scaling


@given(st.integers(0, 200), st.integers(1, 40), st.integers(1, 40))
def test_windows_are_the_slices_they_name(count, window, hop):
    samples = np.arange(2 * count).reshape(count, 2)
    frames = windows(samples, window, hop)
    starts = range(0, count - window + 1, hop)
    assert len(frames) == len(starts)
    for frame, start in zip(frames, starts):
        np.testing.assert_array_equal(frame, samples[start : start + window])


@given(st.integers(20, 400), st.integers(1, 64), st.integers(1, 64))
def test_no_window_straddles_a_split(count, window, hop):
    try:
        runs = split_in_time(count, (0.6, 0.2, 0.2), window, hop)
    except ValueError as error:
        assert "too few to split" in str(error)  # noqa: PT017
        return
    for before, after in pairwise(runs):
        assert (before.stop - 1) * hop + window <= after.start * hop
    assert runs[0].start == 0
    assert runs[-1].stop == count


def test_band_energies_find_a_tone_in_its_band():
    rate, window, bands = 12_800, 1024, 64
    features = FrontEnd(("spectrum",), window, window, bands=bands)
    for frequency in (450.0, 1710.0, 5030.0):
        tone = np.sin(2 * np.pi * frequency * np.arange(window) / rate)[None, :, None] + 3.0
        found = features(tone)
        assert found.shape == (1, bands)
        assert found[0].argmax() == int(frequency / (rate / 2) * bands)


def test_features_keep_channels_apart_and_statistics_are_what_they_say():
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(5, 64, 3)).astype("float32")
    spectrum = FrontEnd(("spectrum",), 64, 64, channels=3, bands=8)
    alone = FrontEnd(("spectrum",), 64, 64, bands=8)
    np.testing.assert_array_equal(spectrum(frames)[:, 8:16], alone(frames[:, :, 1:2]))
    statistics = FrontEnd(("statistics",), 64, 64, channels=3)(frames)
    assert statistics.shape == (5, 15)
    np.testing.assert_allclose(statistics[:, 1::5], frames.std(axis=1), rtol=1e-5)
    np.testing.assert_allclose(statistics[:, 4::5], np.abs(np.diff(frames, axis=1)).mean(axis=1), rtol=1e-5)


def test_scaling_is_fitted_on_what_it_is_given_and_bounded():
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, 2.0, size=(500, 4))
    x[:, 2] = 7.0
    scaling = fit_scaling(x)
    scaled = scaling(x)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 0, 1], atol=1e-2)
    assert np.abs(scaling(x * 1e6)).max() <= 8.0
    with pytest.raises(ValueError, match="not finite"):
        fit_scaling(np.array([[np.nan]]))


def test_cwru_reads_the_real_files(cwru_folder):
    recordings = cwru.load(cwru_folder, (0, 1))
    assert len(recordings) == 1 + 9 * 2
    assert {r.label for r in recordings} == set(cwru.CLASSES)
    assert {r.sample_rate for r in recordings} == {12_000.0}
    baseline = cwru.read_mat(cwru_folder, 97)
    assert len(recordings[0].samples) == -(-len(baseline) // 4)
    assert len(cwru.load(cwru_folder, (2,), baseline_rate=12_000)[0].samples) == len(baseline)


def test_cwru_names_a_missing_or_damaged_file(tmp_path, cwru_folder):
    with pytest.raises(DataError, match=r"97\.mat is missing; download"):
        cwru.load(tmp_path, (0,))
    shutil.copy(cwru_folder / "97.mat", tmp_path / "97.mat")
    content = (cwru_folder / "118.mat").read_bytes()
    (tmp_path / "118.mat").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"118\.mat is damaged"):
        cwru.load(tmp_path, (0,))
    (tmp_path / "118.mat").write_bytes((cwru_folder / "119.mat").read_bytes())
    with pytest.raises(DataError, match=r"118\.mat is damaged: it has no X118_DE_time"):
        cwru.load(tmp_path, (0,))
    with pytest.raises(ValueError, match="loads must be"):
        cwru.load(tmp_path, (3,))


@pytest.mark.parametrize(
    ("loads", "problem"),
    [
        ({"train_loads": [0, 2]}, r"data: loads \[2\] are in both train_loads and test_loads"),
        ({"train_loads": [0, 0]}, r"data: train_loads must be different loads, one at least, got \[0, 0\]"),
        ({"train_loads": []}, r"data: train_loads must be different loads"),
    ],
)
def test_loads_that_cannot_be_are_named_before_any_work(loads, problem):
    with pytest.raises(ValueError, match=problem):
        parse_config({"job": "cwru", "data": {"folder": ".", **loads}}, Path())


def test_cwru_parts_share_no_samples(cwru_folder):
    data = {"folder": str(cwru_folder)}
    sides = {"family": "dense", "sizes": [8]}
    config = parse_config(
        {"job": "cwru", "data": data, "teacher": sides, "student": sides, "distill": {"objective": "soft_target"}},
        Path(),
    )
    prepared = prepare(config)
    tested = {origin for origin, label in zip(prepared.test.origins, prepared.test.labels) if label}
    assert not tested & set(prepared.train.origins)
    assert set(prepared.train.labels) == set(prepared.test.labels) == set(range(10))
    assert np.abs(prepared.train.x.mean()) < 0.01


def write_csv(path, columns, separator=","):
    names = list(columns)
    rows = [separator.join(names)] + [separator.join(map(str, row)) for row in zip(*columns.values())]
    path.write_text("\n".join(rows) + "\n")


def table_data(folder, **changes):
    return TableData(**{"files": (str(folder / "*.csv"),), "sample_rate": 100.0, "healthy_files": ("n*",), **changes})


def test_tables_of_several_channels_are_read(tmp_path):
    t = np.arange(300) / 50
    x = np.random.default_rng(0).normal(size=(300, 2)).round(4)
    write_csv(tmp_path / "n1.csv", {"time": t, "a": x[:, 0], "b": x[:, 1], "state": ["ok"] * 300}, ";")
    config = table_data(
        tmp_path, separator=";", sample_rate=None, time_column="time", label_column="state", normal_labels=("ok",)
    )
    (recording,), names, _ = table.load(config, 100)
    assert names == ("a", "b")
    assert recording.sample_rate == pytest.approx(50.0)
    np.testing.assert_allclose(recording.samples, x, rtol=1e-6)
    assert recording.healthy.all()
    assert not recording.faulty.any()


def test_dates_and_npz_and_headless_files_are_read(tmp_path):
    write_csv(
        tmp_path / "n.csv", {"when": [f"2026-01-01T00:00:{s:02d}" for s in range(60)], "a": [s % 7 for s in range(60)]}
    )
    (recording,), *_ = table.load(table_data(tmp_path, sample_rate=None, time_column="when"), 10)
    assert recording.sample_rate == 1.0
    np.savez(tmp_path / "n.npz", a=np.arange(50.0) % 7, b=np.sin(np.arange(100.0)).reshape(50, 2))
    (recording,), names, _ = table.load(table_data(tmp_path, files=(str(tmp_path / "n.npz"),)), 10)
    assert names == ("a", "b0", "b1")
    (tmp_path / "n.csv").write_text("1,2\n3,5\n4,4\n")
    (recording,), names, _ = table.load(table_data(tmp_path, header=False, columns=("c1",)), 2)
    np.testing.assert_array_equal(recording.samples[:, 0], [2, 5, 4])


ROWS = {
    "t": [f"{i / 100:.2f}" for i in range(60)],
    "a": [str(i % 7) for i in range(60)],
    "b": [str(i % 5) for i in range(60)],
}


def broken(**changes):
    columns = {name: list(cells) for name, cells in ROWS.items()}
    for place, value in changes.items():
        name, row = place.split("_")
        columns[name][int(row)] = value
    return columns


@pytest.mark.parametrize(
    ("columns", "options", "says"),
    [
        (broken(a_10="oops"), {}, r"n\.csv, line 12: 'oops' in column 'a' is not a number"),
        (broken(b_20=""), {}, r"n\.csv, line 22: no finite value in column 'b'"),
        (broken(b_20="inf"), {}, r"n\.csv, line 22: no finite value"),
        (
            {**ROWS, "t": [*ROWS["t"][:30], *(f"{1 + i / 100:.2f}" for i in range(30))]},
            {},
            r"line 32: 0\.71 s after the row",
        ),
        (broken(t_7="0.01"), {}, r"line 9: time does not move forward"),
        (
            broken(t_7="soon"),
            {},
            r"line 9: 'soon' in column 't' is not a number, as the times before it are",
        ),
        ({**ROWS, "b": ["3"] * 60}, {}, "column 'b' never changes"),
        ({name: cells[:20] for name, cells in ROWS.items()}, {}, "20 samples in a row, shorter than a window of 32"),
        (ROWS, {"columns": ("a", "speed")}, "no column 'speed'; it has t, a, b"),
        (ROWS, {"files": ("nowhere/*.csv",)}, "no file matches"),
        (ROWS, {"healthy_rows": ((90, 99),)}, "healthy_rows start at 90, the file has 60 rows"),
        (ROWS, {"header": False}, "is not a number|neither seconds"),
    ],
)
def test_broken_tables_name_file_and_row(tmp_path, columns, options, says):
    write_csv(tmp_path / "n.csv", columns)
    time = "c0" if options.get("header") is False else "t"
    config = table_data(tmp_path, **{"sample_rate": None, "time_column": time, **options})
    with pytest.raises(DataError, match=says):
        table.load(config, 32)


def test_what_to_do_about_broken_tables_is_an_option(tmp_path):
    write_csv(tmp_path / "n.csv", broken(a_10="oops", b_20=""))
    common = {"columns": ("a", "b"), "on_text": "missing"}
    (kept,), *_ = table.load(table_data(tmp_path, **common, on_missing="drop"), 16)
    assert list(np.flatnonzero(~kept.valid)) == [10, 20]
    (filled,), *_ = table.load(table_data(tmp_path, **common, on_missing="interpolate"), 16)
    assert filled.valid.all()
    assert filled.samples[20, 1] == pytest.approx((4 + 1) / 2)
    jumping = {**ROWS, "t": [*ROWS["t"][:30], *(f"{1 + i / 100:.2f}" for i in range(30))]}
    write_csv(tmp_path / "n.csv", jumping)
    parts, *_ = table.load(table_data(tmp_path, sample_rate=None, time_column="t", on_gap="split"), 16)
    assert [(part.start, len(part.samples)) for part in parts] == [(0, 30), (30, 30)]
    write_csv(tmp_path / "n.csv", {**ROWS, "b": ["3"] * 60})
    recordings, names, notes = table.load(table_data(tmp_path, columns=("a", "b"), on_constant="drop"), 16)
    assert names == ("a",)
    assert recordings[0].samples.shape == (60, 1)
    assert notes == ("column 'b' never changes in the healthy rows and was left out.",)


def test_ragged_and_binary_and_pickled_files_are_refused(tmp_path):
    (tmp_path / "n.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(DataError, match="line 3: 1 cell where 2 are expected"):
        table.load(table_data(tmp_path), 2)
    (tmp_path / "n.csv").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(DataError, match="cannot be read as CSV"):
        table.load(table_data(tmp_path), 2)
    np.savez(tmp_path / "n.npz", a=np.array([{"evil": 1}], dtype=object))
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        table.load(table_data(tmp_path, files=(str(tmp_path / "n.npz"),)), 2)


def test_windows_with_missing_values_and_across_labels_are_told_apart(tmp_path):
    rng = np.random.default_rng(0)
    state = ["ok"] * 2000 + ["bad"] * 400
    values = rng.normal(size=2400).round(4).astype(object)
    values[100] = ""
    write_csv(tmp_path / "m.csv", {"a": values, "state": state})
    sides = {"family": "autoencoder", "sizes": [4]}
    raw = {
        "job": "table",
        "data": {
            "files": "m.csv",
            "sample_rate": 100.0,
            "healthy_rows": [[0, 1800]],
            "label_column": "state",
            "normal_labels": ["ok"],
            "on_missing": "drop",
        },
        "features": {"kind": "statistics", "window": 20, "hop": 10},
        "teacher": sides,
        "student": sides,
    }
    prepared = prepare(parse_config(raw, Path(tmp_path)))
    assert set(prepared.train.labels) == {0}
    assert set(prepared.test.labels) == {0, 1}
    # (2400 - 2000) / 10 windows begin in the bad part or reach into it, less those past the end.
    assert int((prepared.test.labels == 1).sum()) == 40
    total = sum(len(part) for part in (prepared.train, prepared.validation, prepared.calibration))
    assert total < 1800 / 10


def test_a_part_of_a_recording_keeps_its_place():
    recording = Recording.whole("x", np.arange(10.0), 5.0, "normal", True)
    assert recording.samples.shape == (10, 1)
    assert recording.healthy.all()
    assert not recording.faulty.any()
