"""TDMS and MDF: what their own libraries write is what is read, and what does not fit together is one line."""

import datetime
import json
import os
import signal
import struct
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from micro.cli.main import main
from micro.config import load_config, parse_config
from micro.config.data import TableData
from micro.config.files import FilesData
from micro.datasets import mdf_process, sources, store, table
from micro.datasets.arrays import contents_of
from micro.datasets.cells import label
from micro.datasets.formats import read_contents
from micro.datasets.prepare import prepare
from micro.datasets.rasters import brought
from micro.errors import DataError, MicroError, RunError
from micro.support.extras import required

X = np.sin(np.arange(3000) / 7)
SECONDS = np.arange(3000) * 0.002


def config_of(**changes):
    return TableData(**{"files": "*.tdms", "healthy_files": "*", **changes})


def write_tdms(path, *channels, segments=3):
    """Channels (group, name, values, properties), in several segments as a logger writes them."""
    nptdms = pytest.importorskip("nptdms", reason="npTDMS is not installed: pip install 'keras-kd[tdms]'")
    with nptdms.TdmsWriter(path) as writer:
        for number in range(segments):
            writer.write_segment(
                [
                    nptdms.ChannelObject(group, name, np.array_split(values, segments)[number], properties)
                    for group, name, values, properties in channels
                ]
            )


def write_mdf(path, *groups, version="4.10", start=0.0, begin=None):
    """Groups of channels: times, and values by name; `begin` is the header's moment."""
    asammdf = pytest.importorskip("asammdf", reason="asammdf is not installed: pip install 'keras-kd[mdf]'")
    with asammdf.MDF(version=version) as file:
        for times, channels in groups:
            made = []
            for name, values in channels.items():
                text = {"encoding": "utf-8"} if values.dtype.kind == "S" else {}
                made.append(asammdf.Signal(values, times + start, name=name, **text))
            file.append(made)
        if begin is not None:
            file.header.start_time = begin
        file.save(path, overwrite=True)


def test_tdms_has_its_channels_and_its_rate(tmp_path):
    wave = {"wf_increment": 1 / 51_200, "wf_start_time": datetime.datetime(2026, 3, 1)}
    counts = (1000 * X).astype(np.int16)
    write_tdms(tmp_path / "a.tdms", ("vib", "x", X, wave), ("vib", "y", counts, wave))
    read = read_contents(tmp_path / "a.tdms", config_of())
    assert (read.channels, read.rate) == (("x", "y"), 51_200.0)
    np.testing.assert_array_equal(read.samples, np.stack([X, counts], axis=1).astype(np.float32))
    (recording,) = table.load(config_of(folder=str(tmp_path)), 64).recordings
    assert recording.sample_rate == 51_200.0


def test_channels_of_one_name_are_known_by_their_groups(tmp_path):
    write_tdms(tmp_path / "a.tdms", ("front", "x", X, {}), ("rear", "x", 2 * X, {}), ("rear", "y", 3 * X, {}))
    read = read_contents(tmp_path / "a.tdms", config_of(sample_rate=100.0))
    assert read.channels == ("front/x", "rear/x", "y")
    read = read_contents(tmp_path / "a.tdms", config_of(sample_rate=100.0, columns=["rear/x"]))
    np.testing.assert_array_equal(read.samples[:, 0], (2 * X).astype(np.float32))


def test_every_channel_has_a_name_of_its_own(tmp_path):
    channels = [("A", "x", X, {}), ("B", "x", 2 * X, {}), ("C", "A/x", 3 * X, {}), ("D", "C/A/x", 4 * X, {})]
    write_tdms(tmp_path / "a.tdms", *channels)
    read = read_contents(tmp_path / "a.tdms", config_of(sample_rate=100.0))
    assert read.channels == ("A/x", "B/x", "C/A/x", "D/C/A/x")
    np.testing.assert_allclose(read.samples, X[:, None] * [1, 2, 3, 4], rtol=1e-6)
    write_tdms(tmp_path / "b.tdms", *((group, name, X, {}) for group, name in [("A", "b/x"), ("A/b", "x"), ("c", "x")]))
    read = read_contents(tmp_path / "b.tdms", config_of(sample_rate=100.0))
    assert read.channels == ("b/x", "A/b/x", "c/x")


def test_channels_of_one_group_and_name_written_as_one_are_named(tmp_path):
    names = [("A", "b/x"), ("C", "b/x"), ("A/b", "x"), ("C", "x")]
    write_tdms(tmp_path / "a.tdms", *((group, name, X, {}) for group, name in names))
    with pytest.raises(
        DataError, match="channel 'b/x' of group 'A' and channel 'x' of group 'A/b' are both 'A/b/x'; rename"
    ):
        read_contents(tmp_path / "a.tdms", config_of(sample_rate=100.0))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ((X[:300], {"wf_increment": 0.001}), "300 rows"),
        ((X, {"wf_increment": 0.01}), "100 Hz"),
        ((X, {"wf_increment": 0.001, "wf_start_time": datetime.datetime(2026, 3, 2)}), "2026-03-02"),
    ],
    ids=["length", "rate", "start"],
)
def test_channels_of_other_times_are_named_with_the_setting_that_helps(tmp_path, other, said):
    own = {"wf_increment": 0.001, "wf_start_time": datetime.datetime(2026, 3, 1)}
    write_tdms(tmp_path / "a.tdms", ("a", "fast", X, own), ("b", "slow", *other))
    with pytest.raises(DataError, match=rf"fast: 3,000 rows.*slow: .*{said}.*in columns$"):
        read_contents(tmp_path / "a.tdms", config_of())
    read = read_contents(tmp_path / "a.tdms", config_of(columns=["fast"]))
    assert (read.channels, read.rate) == (("fast",), 1000.0)


DAY = datetime.datetime(2026, 3, 1)


@pytest.mark.parametrize(
    ("properties", "agree"),
    [
        ([{}, {"wf_increment": 0.001}, {"wf_increment": 0.002}], False),
        ([{"wf_increment": 0.001}, {}, {"wf_increment": 0.001}], True),
        ([{}, {"wf_start_time": DAY}, {"wf_start_time": DAY + datetime.timedelta(seconds=1)}], False),
        ([{"wf_start_time": DAY}, {"wf_start_time": DAY, "wf_start_offset": 0.5}], False),
        ([{"wf_start_offset": 0.0}, {}, {"wf_start_offset": 0.5}], False),
        (
            [{"wf_start_time": DAY + datetime.timedelta(seconds=1)}, {"wf_start_time": DAY, "wf_start_offset": 1.0}],
            True,
        ),
        ([{"wf_increment": 0.001}, {"wf_start_time": DAY}, {"wf_increment": 0.001, "wf_start_time": DAY}], True),
        ([{"wf_increment": 0.001}, {"wf_start_time": DAY}, {"wf_increment": 0.01}], False),
    ],
)
def test_what_a_channel_leaves_out_hides_no_difference_of_others(tmp_path, properties, agree):
    for turned in (properties, properties[::-1]):
        write_tdms(tmp_path / "a.tdms", *(("g", f"c{n}", X, {**each}) for n, each in enumerate(turned)))
        if agree:
            steps = {each["wf_increment"] for each in turned if "wf_increment" in each}
            rate = read_contents(tmp_path / "a.tdms", config_of(sample_rate=10.0)).rate
            assert rate == (1 / steps.pop() if steps else None)
        else:
            with pytest.raises(DataError, match="were not sampled at the same times"):
                read_contents(tmp_path / "a.tdms", config_of(sample_rate=10.0))


def test_a_tdms_that_is_cut_off_is_read_as_far_as_it_is_whole_if_the_config_says_so(tmp_path):
    write_tdms(tmp_path / "a.tdms", ("g", "x", X, {}))
    content = (tmp_path / "a.tdms").read_bytes()
    (tmp_path / "a.tdms").write_bytes(content[:-4003])
    with pytest.raises(DataError, match=r'a\.tdms is cut off at its end; set on_missing = "drop"'):
        read_contents(tmp_path / "a.tdms", config_of(sample_rate=10.0))
    read = read_contents(tmp_path / "a.tdms", config_of(sample_rate=10.0, on_missing="drop"))
    np.testing.assert_array_equal(read.samples[:, 0], X[: 3000 - 501].astype(np.float32))


def test_a_tdms_without_a_rate_asks_for_one_and_one_of_another_rate_is_refused(tmp_path):
    write_tdms(tmp_path / "a.tdms", ("g", "x", X, {}))
    with pytest.raises(DataError, match=r"a\.tdms has no sample rate of its own; set sample_rate"):
        table.load(config_of(folder=str(tmp_path)), 64)
    write_tdms(tmp_path / "a.tdms", ("g", "x", X, {"wf_increment": 0.001}))
    with pytest.raises(DataError, match="was sampled at 1000 Hz by its own header; sample_rate is 50 Hz"):
        table.load(config_of(folder=str(tmp_path), sample_rate=50.0), 64)


@pytest.mark.parametrize("version", ["3.30", "4.10"])
def test_mdf_has_its_channels_at_the_times_of_their_master(tmp_path, version):
    name = "a.mf4" if version > "4" else "a.mdf"
    write_mdf(tmp_path / name, (SECONDS, {"x": X, "n": (1000 * X).astype(np.int16)}), version=version, start=7.5)
    read = read_contents(tmp_path / name, config_of(files=name))
    assert read.channels == ("x", "n")
    np.testing.assert_array_equal(read.samples[:, 0], X.astype(np.float32))
    (recording,) = table.load(config_of(folder=str(tmp_path), files=name), 64).recordings
    assert recording.sample_rate == pytest.approx(500.0)


def test_a_gap_in_the_masters_times_is_a_gap(tmp_path):
    times = np.where(np.arange(3000) < 1000, SECONDS, SECONDS + 60.0)
    write_mdf(tmp_path / "a.mf4", (times, {"x": X}))
    config = config_of(folder=str(tmp_path), files="*.mf4")
    with pytest.raises(DataError, match=r"row 1000: 60.*on_gap"):
        table.load(config, 64)
    found = table.load(config.model_copy(update={"on_gap": "split"}), 64).recordings
    assert [len(each.samples) for each in found] == [1000, 2000]


def test_a_gap_is_one_where_the_config_says_the_rate_too(tmp_path):
    times = np.where(np.arange(3000) < 1000, SECONDS, SECONDS + 60.0)
    write_mdf(tmp_path / "a.mf4", (times, {"x": X}))
    config = config_of(folder=str(tmp_path), files="*.mf4", sample_rate=500.0)
    with pytest.raises(DataError, match=r"row 1000: 60.*on_gap"):
        table.load(config, 64)
    split = config.model_copy(update={"on_gap": "split"})
    first, second = table.load(split, 64).recordings
    assert [len(first.samples), len(second.samples)] == [1000, 2000]
    assert second.start_seconds == pytest.approx(62.0)
    by_file = split.model_copy(update={"sample_rate": None, "sample_rates": {"a.*": 500.0}})
    assert len(table.load(by_file, 64).recordings) == 2
    # A gap of exactly one row, and a time that is late by itself.
    write_mdf(tmp_path / "a.mf4", (np.delete(SECONDS, 1000), {"x": X[1:]}))
    with pytest.raises(DataError, match=r"row 1000: 0\.004 s after the row before"):
        table.load(config, 64)
    write_mdf(tmp_path / "a.mf4", (SECONDS + 0.0015 * (np.arange(3000) == 1000), {"x": X}))
    assert len(table.load(config, 64).recordings) == 1


def test_a_gap_of_a_clock_that_stamps_rows_in_batches_is_one(tmp_path):
    stamps = np.repeat(SECONDS[::10], 10)
    config = config_of(folder=str(tmp_path), files="*.mf4", sample_rate=500.0, on_gap="split")
    write_mdf(tmp_path / "a.mf4", (stamps, {"x": X}))
    assert len(table.load(config, 64).recordings) == 1
    write_mdf(tmp_path / "a.mf4", (stamps + 5.0 * (np.arange(3000) >= 1000), {"x": X}))
    assert [len(each.samples) for each in table.load(config, 64).recordings] == [1000, 2000]


def test_a_clock_that_stands_still_is_named(tmp_path):
    write_mdf(tmp_path / "a.mf4", (np.where(np.arange(3000) == 9, SECONDS[8], SECONDS), {"x": X}))
    with pytest.raises(DataError, match="column 'its master channel'"):
        table.load(config_of(folder=str(tmp_path), files="*.mf4"), 64)
    config = config_of(folder=str(tmp_path), files="*.mf4", sample_rate=500.0)
    assert table.load(config, 64).recordings[0].sample_rate == 500.0
    with pytest.raises(DataError, match="was sampled at 500 Hz by its own header; sample_rate is 10 Hz"):
        table.load(config.model_copy(update={"sample_rate": 10.0}), 64)


def test_mdf_channels_of_other_times_are_named_or_interpolated(tmp_path):
    slow = np.arange(5, 55) * 0.1
    write_mdf(tmp_path / "a.mf4", (SECONDS, {"x": X}), (slow, {"ramp": 3 * slow, "word": np.array([b"on"] * 50)}))
    with pytest.raises(DataError, match=r"x: 3,000 rows at 500 Hz; ramp: 50 rows at 10 Hz.*columns"):
        read_contents(tmp_path / "a.mf4", config_of(files="*.mf4", columns=["x", "ramp"]))
    read = read_contents(tmp_path / "a.mf4", config_of(files="*.mf4", columns=["ramp"]))
    np.testing.assert_allclose(read.samples[:, 0], 3 * slow, rtol=1e-6)
    read = read_contents(tmp_path / "a.mf4", config_of(files="*.mf4", columns=["x", "ramp"], resample=100.0))
    within = ~((slow[0] > SECONDS) | (slow[-1] < SECONDS))
    np.testing.assert_allclose(read.samples[within, 1], 3 * SECONDS[within], rtol=1e-5)
    assert np.isnan(read.samples[~within, 1]).all()


def at_or_before(own, values, wanted, missing):
    """What the last of the own times up to each wanted one has."""
    return [next((v for t, v in zip(own[::-1], values[::-1]) if t <= time), missing) for time in wanted]


@pytest.mark.parametrize(
    "dtype", [np.float64, "S4", *(pytest.param(each, marks=pytest.mark.slow) for each in (np.int16, np.uint8))]
)
@pytest.mark.parametrize("begin", [pytest.param(0, marks=pytest.mark.slow), 5])
def test_states_of_other_times_keep_each_value_until_the_next(tmp_path, dtype, begin):
    fast, slow = SECONDS[:60], SECONDS[begin:60:7]
    states = (np.arange(len(slow)) // 2 % 3).astype(np.uint8).astype(dtype)
    write_mdf(tmp_path / "a.mf4", (fast, {"x": X[:60]}), (slow, {"state": states}))
    config = config_of(files="*.mf4", resample=100.0, label_column="state", on_text="missing")
    read = read_contents(tmp_path / "a.mf4", config)
    spelled = list(read.words)
    found = [label(spelled[code]) for code in read.labels]
    own = [label(each.decode() if dtype == "S4" else str(each)) for each in states]
    # After its last time a label is not known; a state that models see goes on.
    held = at_or_before(slow, own, fast, "")
    assert found == [word if time <= slow[-1] else "" for word, time in zip(held, fast)]
    assert held[-1]
    late = int((fast > slow[-1]).sum())
    assert any(f"{late} rows after the last time of 'state' have none of its values" in said for said in read.unread)
    config = config_of(files="*.mf4", resample=100.0, columns=["x", "state"], on_text="missing")
    values = read_contents(tmp_path / "a.mf4", config).samples[:, 1]
    if dtype == np.float64:
        np.testing.assert_allclose(values, np.interp(fast, slow, states, np.nan, np.nan), rtol=1e-6)
    else:
        np.testing.assert_array_equal(values, at_or_before(slow, states.astype(np.float32), fast, np.nan))


@pytest.mark.parametrize(
    "task", ["classification", *(pytest.param(task, marks=pytest.mark.slow) for task in ("multilabel", "regression"))]
)
def test_what_is_to_be_learned_is_not_known_after_the_end_of_its_channel(tmp_path, task):
    """A whole part of the recording is left out, and counted, whose label another recorder no longer wrote."""
    fast = np.arange(1200) / 100
    for number in range(6):
        label = ((np.arange(30) + number) // 5 % 2).astype(np.uint8)
        noise = np.random.default_rng(number).normal(size=1200)
        labels = {"y": label, **({"z": 1 - label} if task == "multilabel" else {})}
        write_mdf(tmp_path / f"{number}.mf4", (fast, {"x": noise}), (np.arange(30) * 0.2, labels))
    several = {"multilabel": {"label_columns": ["y", "z"]}, "regression": {"target_column": "y"}}
    data = several.get(task, {"label_column": "y"})
    config = {
        "job": "table",
        "task": task,
        "data": {"folder": str(tmp_path), "files": ["*.mf4"], "resample": 100.0, **data},
    }
    config |= {
        "features": {"kind": "statistics", "window": 16, "hop": 16},
        "teacher": {"sizes": [4]},
        "student": {"sizes": [4]},
    }
    made = prepare(parse_config(config))
    windows = sum(len(part) for part in (made.train, made.validation, made.test))
    # The last time of a label is 5.8 s: windows that end later have none.
    assert 0 < windows <= 6 * 36
    assert any("619 rows after the last time of 'y' have none of its values" in note for note in made.notes)
    assert any("left out, as" in note for note in made.notes)


@pytest.mark.parametrize("counted", ["products", "sums"])
def test_times_that_are_the_same_but_for_rounding_have_their_own_state_and_value(tmp_path, counted):
    fast = np.arange(3001) / 100
    slow = np.arange(301) * 0.1 if counted == "products" else np.cumsum(np.full(301, 0.1)) - 0.1
    # Compared digit by digit, states of these rows would come a row late.
    assert (slow > fast[::10]).any()
    states, level = np.arange(301, dtype=np.int16), np.arange(301.0)
    write_mdf(tmp_path / "a.mf4", (fast, {"x": np.ones(3001)}), (slow, {"state": states, "level": level}))
    read = read_contents(tmp_path / "a.mf4", config_of(files="*.mf4", resample=50.0))
    np.testing.assert_array_equal(read.samples[:, 1], np.arange(3001) // 10)
    np.testing.assert_allclose(read.samples[:, 2], np.arange(3001) / 10, atol=1e-4)


def test_a_value_at_the_very_end_is_not_missing_by_rounding(tmp_path):
    fast, slow = np.arange(31) / 100, np.array([0.0, 0.1, 0.2, 0.3 - 1e-13])
    write_mdf(tmp_path / "a.mf4", (fast, {"x": np.ones(31)}), (slow, {"level": slow}))
    read = read_contents(tmp_path / "a.mf4", config_of(files="*.mf4", resample=50.0))
    np.testing.assert_allclose(read.samples[:, 1], fast, atol=1e-6)
    write_mdf(tmp_path / "a.mf4", (fast, {"x": np.ones(31)}), (slow[:3], {"level": slow[:3]}))
    read = read_contents(tmp_path / "a.mf4", config_of(files="*.mf4", resample=50.0))
    np.testing.assert_array_equal(np.isnan(read.samples[:, 1]), np.arange(31) > 20)


def test_a_gap_in_a_channels_own_times_is_no_straight_line():
    own = np.concatenate([np.arange(0, 100) / 10, np.arange(400, 640) / 10])
    wanted = np.arange(64 * 50) / 50
    found = brought(Path("a.mf4"), "b", np.sin(own), own, wanted, FilesData(files="*", sample_rate=50.0))
    missing = np.isnan(found)
    assert missing.tolist() == ((wanted > 9.9 + 1e-6) & (wanted < 40 - 1e-6) | (wanted > 63.9 + 1e-6)).tolist()
    np.testing.assert_allclose(found[~missing], np.sin(wanted[~missing]), atol=0.01)


def test_a_time_column_of_other_times_is_refused(tmp_path):
    slow = SECONDS[::10]
    write_mdf(tmp_path / "a.mf4", (SECONDS, {"x": X}), (slow, {"clock": slow}))
    config = config_of(files="*.mf4", resample=100.0, time_column="clock")
    with pytest.raises(DataError, match=r"time_column 'clock' has other times .*leave time_column out"):
        read_contents(tmp_path / "a.mf4", config)


def test_times_that_differ_by_rounding_are_the_same(tmp_path):
    write_mdf(tmp_path / "a.mf4", (SECONDS, {"x": X}), (SECONDS + 1e-7, {"y": X, "word": np.array([b"7"] * 3000)}))
    read = read_contents(tmp_path / "a.mf4", config_of(files="*.mf4", resample=100.0))
    np.testing.assert_array_equal(read.samples, np.stack([X, X, np.full(3000, 7.0)], axis=1).astype(np.float32))


@pytest.mark.parametrize("lengths", [(0,), (50,), (2999,), (1500, 1501), (3001,), (3000, 3000)])
@pytest.mark.parametrize("role", ["channel", "time", "label"])
def test_a_column_of_another_length_than_declared_is_refused(tmp_path, lengths, role):
    parts = [np.arange(length) * 0.1 for length in lengths]
    columns = {"x": (3000, lambda: X), "y": (3000, lambda: iter(parts))}
    named = {"time": {"time_column": "y"}, "label": {"label_column": "y"}}
    config = config_of(on_text="missing", on_missing="drop", **named.get(role, {}))
    with pytest.raises(DataError, match=rf"column 'y' has {sum(lengths):,} values, its file declares 3,000"):
        contents_of(tmp_path / "a", columns, config, ())


def test_values_that_an_mdf_calls_invalid_are_missing(tmp_path):
    asammdf = pytest.importorskip("asammdf", reason="asammdf is not installed: pip install 'keras-kd[mdf]'")
    with asammdf.MDF(version="4.10") as file:
        file.append([asammdf.Signal(X, SECONDS, name="x", invalidation_bits=np.arange(3000) % 100 == 7)])
        file.save(tmp_path / "a.mf4")
    read = read_contents(tmp_path / "a.mf4", config_of(files="*.mf4"))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(read.samples[:, 0])), np.arange(7, 3000, 100))


def without_master(path, number):
    """Make the master channel of a group an ordinary one, as in files of loggers that write no times."""
    content = bytearray(path.read_bytes())
    masters = []
    at = content.find(b"##CN")
    while at >= 0:
        (links,) = struct.unpack_from("<Q", content, at + 16)
        if content[at + 24 + 8 * links] == 2:
            masters.append(at + 24 + 8 * links)
        at = content.find(b"##CN", at + 1)
    content[masters[number]] = content[masters[number] + 1] = 0
    path.write_bytes(content)


def test_channels_without_times_or_rows_are_named_where_they_are_left_out(tmp_path, monkeypatch):
    none = np.empty(0)
    write_mdf(tmp_path / "a.mf4", (SECONDS, {"x": X}), (SECONDS, {"lost": X}), (none, {"off": none}))
    without_master(tmp_path / "a.mf4", 1)
    config = config_of(folder=str(tmp_path), files="*.mf4")
    loaded = table.load(config, 64)
    assert loaded.channels == ("x",)
    (times,) = [note for note in loaded.notes if "(no master channel)" in note]
    assert "lost" in times
    assert "a.mf4: 2 channels without times" in times
    assert any(note.endswith("a.mf4: 1 channel without rows was left out: off.") for note in loaded.notes)
    assert not table.load(config.model_copy(update={"columns": ("x",)}), 64).notes
    with pytest.raises(DataError, match=r"lost.*2 channels without times \(no master channel\) were left out: .*lost"):
        read_contents(tmp_path / "a.mf4", config_of(files="*.mf4", columns=["lost"]))
    write_mdf(tmp_path / "b.mf4", (SECONDS, {"lost": X}))
    without_master(tmp_path / "b.mf4", 0)
    with pytest.raises(DataError, match=r"b\.mf4: 2 channels without times"):
        read_contents(tmp_path / "b.mf4", config)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["look", "a.mf4", "--out", "a.toml"])
    assert done.exit_code == 0, done.output
    assert "(no master channel) were left out" in " ".join(done.output.split())


def test_tdms_channels_without_samples_are_named(tmp_path):
    write_tdms(tmp_path / "a.tdms", ("g", "x", X, {"wf_increment": 0.001}), ("g", "off", np.empty(0), {}))
    loaded = table.load(config_of(folder=str(tmp_path)), 64)
    assert loaded.channels == ("x",)
    assert loaded.notes == (f"{tmp_path / 'a.tdms'}: 1 channel without rows was left out: off.",)


def refused_mdf(folder):
    """Why a file that is whole is refused, in one line."""
    write_mdf(folder / "a.mf4", (SECONDS, {"x": X}))
    with pytest.raises(DataError) as refused:
        read_contents(folder / "a.mf4", config_of(files="*.mf4"))
    assert "damaged" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("kept", [64, 0.5, -5000])
def test_an_mdf_that_is_cut_off_says_so_in_words_of_files(tmp_path, kept):
    write_mdf(tmp_path / "a.mf4", (SECONDS, {"x": X}))
    content = (tmp_path / "a.mf4").read_bytes()
    length = int(kept * len(content)) if isinstance(kept, float) else kept
    (tmp_path / "a.mf4").write_bytes(content[:length])
    with pytest.raises(DataError) as refused:
        read_contents(tmp_path / "a.mf4", config_of(files="*.mf4", columns=["x"]))
    assert "cannot be read as MDF" in str(refused.value)
    assert str(refused.value).endswith("; the file may be damaged or cut off: export it again")
    assert "has no attribute '_file'" not in str(refused.value)


def test_a_file_that_takes_too_long_is_not_called_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(mdf_process, "SECONDS_ALLOWED", 0.01)
    assert "it took longer than 0.01 s; export" in refused_mdf(tmp_path)


def with_library(folder, monkeypatch, code):
    """Have the process that reads MDF import this code as its library."""
    pytest.importorskip("asammdf", reason="asammdf is not installed: pip install 'keras-kd[mdf]'")
    folder.mkdir()
    (folder / "asammdf.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


def test_a_library_that_cannot_be_imported_is_said(tmp_path, monkeypatch):
    with_library(tmp_path / "broken", monkeypatch, "raise ImportError('liblz4.so.1 is missing')")
    assert refused_mdf(tmp_path).endswith("its library asammdf cannot be imported: liblz4.so.1 is missing")


def test_a_reader_that_is_killed_is_not_called_damaged(tmp_path, monkeypatch):
    with_library(tmp_path / "killed", monkeypatch, "import os\nos.kill(os.getpid(), 9)")
    assert "was killed, as happens where memory runs out" in refused_mdf(tmp_path)


def test_a_reader_that_ends_is_explained_where_there_is_no_signal_to_kill(tmp_path, monkeypatch):
    with_library(tmp_path / "ended", monkeypatch, "import os\nos._exit(7)")
    monkeypatch.setattr(mdf_process, "signal", types.SimpleNamespace(Signals=signal.Signals))  # as on Windows
    assert "the process that reads it ended with exit code 7" in refused_mdf(tmp_path)


def test_arrays_of_an_mdf_lie_where_those_of_large_files_do(tmp_path, monkeypatch):
    write_mdf(tmp_path / "a.mf4", (SECONDS, {"x": X}))
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    lasting = tmp_path / "lasting"
    lasting.mkdir()
    monkeypatch.setattr(store, "LASTING", str(lasting))
    seen = []
    real = mdf_process.Worker.read
    monkeypatch.setattr(mdf_process.Worker, "read", lambda self, wanted: seen.append(self.folder) or real(self, wanted))
    read_contents(tmp_path / "a.mf4", config_of(files="*.mf4"))
    assert [folder.parent for folder in seen] == [lasting]
    assert not list(lasting.iterdir())


BEGIN = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
UNSET = datetime.datetime(1980, 1, 1, tzinfo=datetime.UTC)


def begins_of(folder, main, slow, more=""):
    """Seconds from the first row of the main file to that of the source, which are joined."""
    (folder / "c.toml").write_text(
        f"""job = "table"
[data]
files = "*{main}"
healthy_files = "*"
columns = ["x"]
{more}
[features]
kind = "statistics"
window = 50
hop = 25
[[sources]]
name = "slow"
files = "slow/{{recording}}{slow}"
columns = ["level"]
[sources.features]
kind = "statistics"
window = 9
hop = 4
[teacher]
sizes = [4, 2, 4]
[student]
sizes = [4, 2, 4]
"""
    )
    config = load_config(folder / "c.toml")
    read = table.load(config.data, 50)
    front_end = config.features.front_end(1, read.recordings[0].sample_rate)
    paths = {one.name: folder / one.name for one in read.recordings}
    joined = sources.join(read.recordings, front_end, paths, config.data, config.sources, read.channels)
    return [one.streams[0].begins for one in joined.recordings]


@pytest.mark.parametrize("version", [*(pytest.param(old, marks=pytest.mark.slow) for old in ("3.10", "3.30")), "4.10"])
@pytest.mark.parametrize("more", [pytest.param("", marks=pytest.mark.slow), "sample_rate = 500.0"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((0, 3), 3 + 0.5),
        ((2, 0), -2 + 0.5),
        pytest.param((0, None), 0.0, marks=pytest.mark.slow),
        ((None, None), 0.0),
    ],
)
def test_two_files_are_joined_by_the_moments_of_their_headers(tmp_path, version, more, headers, expected):
    begin, later = (UNSET if each is None else BEGIN + datetime.timedelta(seconds=each) for each in headers)
    (tmp_path / "slow").mkdir()
    name = "a.mf4" if version > "4" else "a.mdf"
    write_mdf(tmp_path / name, (SECONDS, {"x": X}), version=version, start=1.0, begin=begin)
    times = np.arange(60) * 0.1
    write_mdf(tmp_path / "slow" / name, (times, {"level": times}), version=version, start=1.5, begin=later)
    (found,) = begins_of(tmp_path, Path(name).suffix, Path(name).suffix, more)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("later", "expected"), [(3, 3 + 0.25 - 1), (None, 0.0)])
def test_a_tdms_is_joined_with_an_mdf_by_its_wf_start_time(tmp_path, later, expected):
    (tmp_path / "slow").mkdir()
    write_mdf(tmp_path / "a.mf4", (SECONDS, {"x": X}), start=1.0, begin=BEGIN)
    start = datetime.datetime(1904, 1, 1) if later is None else datetime.datetime(2026, 3, 1, 12, 0, later)
    wave = {"wf_increment": 0.1, "wf_start_time": start, "wf_start_offset": 0.25}
    write_tdms(tmp_path / "slow" / "a.tdms", ("g", "level", np.arange(60) * 0.1, wave))
    (found,) = begins_of(tmp_path, ".mf4", ".tdms")
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_package_that_is_there_and_cannot_be_imported_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "halfpackage.py").write_text("raise ImportError('libhalf.so.1 is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RunError, match=r"halfpackage cannot be imported \(libhalf.so.1 is missing\); install it again"):
        required("halfpackage", "mdf")


@pytest.mark.parametrize(
    ("start", "module", "extra"),
    [
        pytest.param(b"TDSm", "nptdms", "tdms", marks=pytest.mark.slow),
        (b"MDF     4.10    ", "asammdf", "mdf"),
    ],
)
def test_without_its_library_a_file_says_which_extra(tmp_path, start, module, extra):
    path = tmp_path / f"a.{extra}"
    path.write_bytes(start.ljust(600, b"\0"))
    code = f"import sys; sys.modules[{module!r}] = None\nfrom micro.cli.main import main\nmain(['look', {str(path)!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    said = done.stderr.strip()
    assert "\n" not in said
    assert str(path) in said
    assert f"{module} is not installed; install it with: pip install" in said
    assert f"[{extra}]" in said


def test_look_writes_a_config_for_tdms_that_reads_it(tmp_path, monkeypatch):
    for name in ("normal1", "normal2", "fault1"):
        samples = np.roll(np.tile(X, 3), len(name) + int(name[-1]))
        write_tdms(tmp_path / f"{name}.tdms", ("g", "x", samples, {"wf_increment": 0.001}))
    monkeypatch.chdir(tmp_path)
    files = sorted(each.name for each in tmp_path.glob("*.tdms"))
    done = CliRunner().invoke(main, ["look", *files, "--out", "a.toml", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["lacking"] is None
    assert [file["rate"] for file in said["files"]] == [1000.0] * 3
    assert "sample_rate" not in Path("a.toml").read_text()


def written(folder, kind):
    path = folder / f"whole.{kind}"
    if not path.exists():
        if kind == "tdms":
            write_tdms(path, ("g", "x", X[:200], {"wf_increment": 0.001}), ("g", "y", X[:200], {}))
        else:
            write_mdf(path, (SECONDS[:200], {"x": X[:200], "n": np.arange(200)}))
    return path.read_bytes()


def refused_or_read(path, content):
    path.write_bytes(content)
    refused = ""
    try:
        read_contents(path, config_of(on_text="missing", on_missing="drop"))
    except MicroError as error:
        refused = str(error)
    assert "\n" not in refused
    assert not refused or str(path) in refused
    return refused


@given(place=st.floats(0, 1), length=st.integers(1, 64), cut=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_damaged_tdms_is_refused_in_one_line_or_read(tmp_path_factory, place, length, cut, seed):
    folder = tmp_path_factory.getbasetemp()
    content = bytearray(written(folder, "tdms"))
    at = int(place * (len(content) - 1))
    if cut:
        del content[at:]
    else:
        content[at : at + length] = np.random.default_rng(seed).bytes(min(length, len(content) - at))
    refused_or_read(folder / "damaged.tdms", content)


@pytest.mark.parametrize(
    ("block", "place", "new"),
    [(b"##CN", 93, b"\x60\x2c"), (b"##HD", 0, b"none"), (b"##CG", 24, b"\xff" * 8)],
    ids=["a channel beyond its record, which crashes asammdf", "no header", "links to nowhere"],
)
def test_a_damaged_mdf_is_refused_in_one_line(tmp_path, block, place, new, capfd):
    content = bytearray(written(tmp_path, "mf4"))
    at = content.rindex(block) + place
    content[at : at + len(new)] = new
    assert refused_or_read(tmp_path / "damaged.mf4", content)
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(300))
def test_no_damaged_mdf_ends_the_process(tmp_path_factory, seed):
    folder = tmp_path_factory.getbasetemp()
    content = bytearray(written(folder, "mf4"))
    rng = np.random.default_rng(seed)
    at = int(rng.integers(len(content)))
    if seed % 5 == 0:
        del content[at:]
    else:
        new = rng.bytes(min(int(rng.integers(1, 9)), len(content) - at))
        content[at : at + len(new)] = new
    refused_or_read(folder / "damaged.mf4", content)
