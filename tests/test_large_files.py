"""Files larger than memory: what is read in parts and kept on disk gives the same windows bit for bit, in less memory."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import tomllib
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy.io import wavfile
from sources import HEALTHY, config_text, record

from micro.config import load_config, parse_config
from micro.datasets import arrays, cells, lines, recording, store, table, views
from micro.datasets.formats import read_contents
from micro.datasets.prepare import prepare
from micro.datasets.regression import load_runs
from micro.errors import DataError
from micro.runs import student_scores
from micro.runs.score_files import score_noted
from micro.runs.start import run_pipeline

ROWS = 40_000
FORMATS = ("csv", "npy", "parquet", "wav", "flac", "24.wav")


def signal(rows=ROWS, channels=2):
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(rows)[:, None] * np.linspace(0.05, 0.3, channels))
    return (0.3 * wave + 0.05 * rng.normal(size=(rows, channels))).clip(-0.99, 0.99)


def write(path, samples):
    kind = path.suffix[1:]
    if kind == "csv":
        pd.DataFrame(samples, columns=list("xyz")[: samples.shape[1]]).to_csv(path, index=False)
    elif kind == "parquet":
        pd.DataFrame(samples, columns=list("xyz")[: samples.shape[1]]).to_parquet(path, row_group_size=3000)
    elif kind == "npy":
        np.save(path, samples)
    elif kind == "flac" or path.name.endswith("24.wav"):
        soundfile.write(path, samples, 1000, subtype="PCM_24" if kind == "wav" else "PCM_16")
    else:
        wavfile.write(path, 1000, (32768 * samples).astype(np.int16))


def config_of(folder, kind, data=None, features=None, teacher=None, **more):
    rate = {} if kind.endswith(("wav", "flac")) else {"sample_rate": 1000.0}
    data = {"files": f"*.{kind}", "healthy_files": "*", **rate, **(data or {})}
    features = {"kind": "spectrum", "window": 64, "hop": 16, "bands": 8, **(features or {})}
    models = {
        "teacher": teacher or {"sizes": [8, 4, 8]},
        "student": {"sizes": [4, 2, 4]},
        "firmware": {"name": "machine"},
    }
    return parse_config({"job": "table", "data": data, "features": features, **models, **more}, folder)


def same(one, other):
    assert one.scaling == other.scaling
    assert one.notes == other.notes
    for part in ("train", "validation", "calibration", "test"):
        a, b = getattr(one, part), getattr(other, part)
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(one.test_vectors, other.test_vectors)


def read_small_parts(monkeypatch):
    """Let every file be large, and every part of one small; the parts of each column, or of a text file, are counted."""
    monkeypatch.setattr(store, "LARGE", 1000)
    monkeypatch.setattr(cells, "BLOCK_ROWS", 1500)
    monkeypatch.setattr(lines, "BLOCK", 1 << 16)
    monkeypatch.setattr(recording, "WINDOWS_AT_ONCE", 100)
    monkeypatch.setattr(views, "CHUNK", 512)
    counts = []
    of_column, of_text = arrays.parts_of, store.Growing.add

    def parts_of(column):
        counts.append(0)
        for part in of_column(column):
            counts[-1] += 1
            yield part

    def add(self, part):
        counts[:] = [sum(counts) + 1]
        of_text(self, part)

    monkeypatch.setattr(arrays, "parts_of", parts_of)
    monkeypatch.setattr(store.Growing, "add", add)
    return counts


def both(config, monkeypatch, on_disk=True):
    """What is prepared in memory and on disk, there from many parts."""
    whole = prepare(config)
    counts = read_small_parts(monkeypatch)
    (first, *_) = table.load(config.data, config.features.window).recordings
    assert store.is_stored(first.samples) == on_disk
    assert min(counts) > 10
    return whole, prepare(config)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_kept_on_disk_gives_the_same_windows(tmp_path, monkeypatch, kind):
    write(tmp_path / f"a.{kind}", signal())
    same(*both(config_of(tmp_path, kind), monkeypatch))


@pytest.mark.parametrize(
    ("data", "features"),
    [
        ({"healthy_rows": [[0, 30_000]]}, {}),
        ({"scaling": "per_file", "healthy_rows": [[0, 30_000]]}, {"kind": ["spectrum", "moments"]}),
        ({"columns": ["y"]}, {"kind": "raw", "hop": 64}),
        ({}, {"arithmetic": "fixed", "full_scale": 2.0}),
        ({"resample": 500.0}, {}),
    ],
    ids=["rows", "per file", "raw", "fixed", "resampled"],
)
def test_so_do_other_settings(tmp_path, monkeypatch, data, features):
    write(tmp_path / "a.csv", signal())
    # What is brought to another rate is whole in memory.
    same(*both(config_of(tmp_path, "csv", data, features), monkeypatch, on_disk="resample" not in data))


def test_so_do_numbers_to_estimate(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.parquet", signal(channels=3))
    raw = {
        "job": "table",
        "task": "regression",
        "data": {"files": "*.parquet", "sample_rate": 1000.0, "target_columns": ["z", "x"]},
        "features": {"kind": "statistics", "window": 50, "hop": 50},
        "teacher": {"sizes": [4]},
        "student": {"sizes": [4]},
    }
    config = parse_config(raw, tmp_path)
    whole = prepare(config)
    counts = read_small_parts(monkeypatch)
    (one, *_) = load_runs(config.data, 50).recordings
    assert store.is_stored(one.recording.samples)
    assert one.recording.samples.shape[1] == 1
    assert min(counts) > 10
    parted = prepare(config)
    assert whole.target == parted.target
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(whole, part).x, getattr(parted, part).x)
        np.testing.assert_array_equal(getattr(whole, part).labels, getattr(parted, part).labels)


@pytest.mark.parametrize("gaps", [False, True])
def test_so_does_a_teacher_that_sees_other_inputs(tmp_path, monkeypatch, gaps):
    samples = signal(channels=3)
    samples[20_000 if gaps else [], 0] = np.nan
    write(tmp_path / "a.parquet", samples)
    more = {"detectors": ["pca_q"], "columns": ["x", "y", "z"], "features": {"kind": "statistics", "window": 100}}
    data = {"columns": ["z"], "on_missing": "drop"}
    config = config_of(tmp_path, "parquet", data, teacher=more)
    whole, parted = both(config, monkeypatch)
    same(whole, parted)
    np.testing.assert_array_equal(whole.train.of_teacher, parted.train.of_teacher)
    assert whole.train.of_teacher.shape[1:] == (15,)


@pytest.mark.parametrize("gaps", [False, True])
def test_so_do_further_sources(tmp_path, monkeypatch, gaps):
    for number, name in enumerate(("ok0", "ok1", "bad")):
        record(tmp_path, name, number, fault=name == "bad")
    if gaps:
        path = tmp_path / "ok0.csv"
        content = path.read_text().splitlines()
        content[3000] = ","
        path.write_text("\n".join(content))
    config = parse_config(tomllib.loads(config_text(data=f'{HEALTHY}\non_missing = "drop"')), tmp_path)
    whole = prepare(config)
    counts = read_small_parts(monkeypatch)
    monkeypatch.setattr(lines, "BLOCK", 1 << 8)
    same(whole, prepare(config))
    assert counts[0] > 100


@pytest.mark.parametrize("on_missing", ["drop", "interpolate"])
def test_so_do_missing_values_and_constant_channels(tmp_path, monkeypatch, on_missing):
    samples = signal(channels=3)
    samples[:, 1] = 0.5
    samples[np.random.default_rng(1).integers(0, ROWS, 40), 0] = np.nan
    write(tmp_path / "a.parquet", samples)
    config = config_of(tmp_path, "parquet", {"on_missing": on_missing, "on_constant": "drop"})
    same(*both(config, monkeypatch))


@pytest.mark.slow
def test_a_large_file_is_scored_as_a_small_one(tmp_path, monkeypatch):
    write(tmp_path / "a.csv", signal())
    write(tmp_path / "later.csv", np.vstack([signal(), [[np.nan, 0.0]], 2 * signal(rows=4000)]))
    text = json.dumps(str(tmp_path / "a.csv"))
    (tmp_path / "a.toml").write_text(
        f'job = "table"\nseeds = 1\n[data]\nfiles = {text}\nsample_rate = 1000.0\non_missing = "drop"\n'
        'healthy_files = "*"\n[features]\nkind = "spectrum"\nwindow = 64\nhop = 32\nbands = 8\n[distill]\ncompare = false\n'
        "[teacher]\nsizes = [8, 4, 8]\nepochs = 1\n[student]\nsizes = [4, 2, 4]\nepochs = 1\n[firmware]\nname = 'machine'\n"
    )
    run_pipeline(load_config(tmp_path / "a.toml"), tmp_path / "out")
    whole = score_noted(tmp_path / "out", [tmp_path / "later.csv"])
    counts = read_small_parts(monkeypatch)
    monkeypatch.setattr(student_scores, "SAMPLES_AT_ONCE", 12_800)
    assert score_noted(tmp_path / "out", [tmp_path / "later.csv"]) == whole
    assert counts[0] > 10
    assert len(whole.windows) > 1300


def test_a_ramp_and_a_value_beyond_float32_are_named_where_they_are(tmp_path, monkeypatch):
    counts = read_small_parts(monkeypatch)
    samples = signal()
    samples[:, 0] = np.arange(ROWS)
    write(tmp_path / "a.npy", samples)
    with pytest.raises(DataError, match="'c0' only counts up evenly"):
        prepare(config_of(tmp_path, "npy"))
    samples[31_000, 1] = 1e200
    write(tmp_path / "a.npy", samples)
    with pytest.raises(DataError, match="row 31000: 1e\\+200 in column 'c1'"):
        read_contents(tmp_path / "a.npy", config_of(tmp_path, "npy").data)
    assert min(counts) > 10


def test_flags_that_lack_in_some_parts_are_numbers_in_all(tmp_path, monkeypatch):
    flags = pd.array(np.arange(ROWS) // 100 % 2 == 1, "boolean")
    flags[5000:5040] = pd.NA
    pd.DataFrame({"x": signal()[:, 0], "on": flags}).to_parquet(tmp_path / "a.parquet", row_group_size=3000)
    whole, parted = both(config_of(tmp_path, "parquet", {"on_missing": "drop"}, {"kind": "statistics"}), monkeypatch)
    same(whole, parted)
    assert any("windows with rows that lack a value" in note for note in whole.notes)
    found = read_contents(tmp_path / "a.parquet", config_of(tmp_path, "parquet").data).samples[:, 1]
    np.testing.assert_array_equal(found, flags.to_numpy(np.float32, na_value=np.nan))


@pytest.mark.parametrize("lacking", [False, True])
def test_flags_as_labels_stay_words(tmp_path, monkeypatch, lacking):
    labels = pd.array(np.arange(ROWS) >= 30_000, "boolean")
    if lacking:
        labels[100:140] = pd.NA
    pd.DataFrame({"x": signal()[:, 0], "bad": labels}).to_parquet(tmp_path / "a.parquet", row_group_size=3000)
    data = {"label_column": "bad", "normal_labels": ["False"]}
    whole, parted = both(config_of(tmp_path, "parquet", data), monkeypatch)
    same(whole, parted)
    assert (whole.test.labels == 1).any()


def test_windows_around_a_missing_value_are_not_copied(tmp_path, monkeypatch):
    """Windows that overlap 128 times would take 128 times the samples, in memory and on disk."""
    samples = signal(rows=100_000, channels=1)
    samples[50_000] = np.nan
    write(tmp_path / "a.npy", samples)
    config = config_of(tmp_path, "npy", {"on_missing": "drop"}, {"window": 256, "hop": 2, "bands": 2})
    tracemalloc.start()
    whole = prepare(config)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * 128 * 4 * len(samples)
    read_small_parts(monkeypatch)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * len(samples), before[1]))
    try:
        same(whole, prepare(config))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["npy", "csv"])
def test_where_the_disk_is_full_it_is_said(tmp_path, monkeypatch, kind):
    write(tmp_path / f"a.{kind}", signal())
    read_small_parts(monkeypatch)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(DataError, match=r"[123]\d\d,\d\d\d bytes of samples do not fit into .*TMPDIR"):
            read_contents(tmp_path / f"a.{kind}", config_of(tmp_path, kind).data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_at_the_last_bytes_is_said_too(tmp_path, monkeypatch):
    """Those stay in the buffer of the file, and are written when nobody asks."""
    write(tmp_path / "a.csv", signal(rows=300))
    monkeypatch.setattr(store, "LARGE", 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(DataError, match="2,400 bytes of samples do not fit into"):
            read_contents(tmp_path / "a.csv", config_of(tmp_path, "csv").data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_samples_lie_in_the_users_temporary_folder_else_where_files_are_on_disk(tmp_path, monkeypatch):
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert store.folder() == "/var/tmp"
    monkeypatch.setattr(store, "LASTING", str(tmp_path / "nowhere"))
    assert store.folder() == tempfile.gettempdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert store.folder() == str(tmp_path)


def test_samples_of_several_stretches_stay_on_disk_when_joined(monkeypatch):
    whole = signal(rows=5000).astype(np.float32)
    read_small_parts(monkeypatch)
    stored = store.room(5000, 2)
    stored[:] = whole
    joined = store.joined([stored[:1800], stored[1900:1901], stored[1901:]])
    assert store.is_stored(joined)
    np.testing.assert_array_equal(joined, np.delete(whole, np.s_[1800:1900], axis=0))
    assert store.joined([stored]) is stored


PEAK = """
import json, re, sys
from micro.config import load_config
from micro.datasets.prepare import prepare
made = prepare(load_config(sys.argv[1]))
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(json.dumps([int(peak[1]) / 1e6, len(made.train)]))
"""


def peak_of(folder, kind, gigabytes):
    """Peak memory in GB of reading a file of this size, and the number of training windows."""
    path = folder / f"a.{kind}"
    block = signal(1 << 20, 1 if kind == "wav" else 3)
    if kind == "wav":
        with soundfile.SoundFile(path, "w", 16_000, 1, "PCM_16", format="RF64") as file:
            for _ in range(round(gigabytes * 1e9 / 2 / len(block))):
                file.write(block)
    elif kind == "npy":
        rows = round(gigabytes * 1e9 / 24)
        out = np.lib.format.open_memmap(path, "w+", np.float64, (rows, 3))
        for first in range(0, rows, len(block)):
            out[first : first + len(block)] = block[: rows - first]
    else:
        text = pd.DataFrame(block[: 1 << 17]).to_csv(index=False, header=False, float_format="%.6f").encode()
        with path.open("wb") as file:
            file.write(b"x,y,z\n")
            while file.tell() < gigabytes * 1e9:
                file.write(text)
    (folder / "a.toml").write_text(
        f'job = "table"\n[data]\nfiles = "a.{kind}"\nhealthy_files = "*"\n'
        + ("" if kind == "wav" else "sample_rate = 16000.0\n")
        + '[features]\nkind = "spectrum"\nwindow = 1024\nhop = 4096\nbands = 16\n'
        + "[teacher]\nsizes = [16, 4, 16]\n[student]\nsizes = [8, 4, 8]\n[firmware]\nname = 'machine'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder / "a.toml")], capture_output=True, text=True, check=True
    )
    path.unlink()
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "npy", "wav"])
def test_memory_does_not_grow_with_the_file(tmp_path, kind):
    """The size of the larger file in GB is that of KERAS_KD_LARGE, by default 2; the peak must not depend on it."""
    larger = float(os.environ.get("KERAS_KD_LARGE", "2"))
    one, _ = peak_of(tmp_path, kind, larger / 2)
    two, windows = peak_of(tmp_path, kind, larger)
    assert windows > 1000
    assert two < 3.0
    assert two < 1.25 * one
