"""Files whose channels are called differently in each, and whose rates differ: patterns of columns, rates by file."""

import numpy as np
import pytest
from support import invoke
from tables import columns, config_of, data_of, wave

from micro.config import parse_config
from micro.datasets import table
from micro.datasets.prepare import prepare
from micro.errors import DataError

SETTINGS = {"files": "*", "columns": ["X*_DE"], "sample_rate": 100.0, "healthy_files": "*"}


@pytest.fixture
def folder(tmp_path):
    for number in (97, 105):
        (tmp_path / f"{number}.csv").write_text(
            columns(**{f"X{number}_DE": wave(seed=number), f"X{number}_FE": wave()})
        )
        np.savez(tmp_path / f"{number}.npz", **{f"X{number}_FE": wave(), f"X{number}_DE": wave(seed=number)})
    return tmp_path


def test_a_pattern_reads_the_column_that_it_matches_in_each_file(folder):
    found = table.load(data_of(folder, **SETTINGS), 16)
    assert found.channels == ("X*_DE",)
    for recording in found.recordings:
        expected = wave(seed=int(recording.name.split(".")[0]))
        np.testing.assert_allclose(recording.samples[:, 0], expected, rtol=1e-6)


def test_patterns_and_names_go_together_in_the_order_of_the_config(folder):
    for number in (97, 105):
        (folder / f"{number}.csv").write_text(columns(load=wave(seed=1), **{f"X{number}_DE": wave(seed=number)}))
    found = table.load(data_of(folder, **{**SETTINGS, "files": "*.csv", "columns": ["X?*_DE", "load"]}), 16)
    assert found.channels == ("X?*_DE", "load")
    assert all(np.allclose(one.samples[:, 1], wave(seed=1)) for one in found.recordings)


def test_a_pattern_of_several_columns_stands_for_all_of_them_by_name(tmp_path):
    for number in (1, 2):
        sensors = {f"ch{n}": wave(seed=10 * number + n) for n in range(1, 5)}
        order = sensors if number == 1 else dict(reversed(sensors.items()))
        (tmp_path / f"{number}.csv").write_text(columns(**order, load=wave(seed=number)))
    settings = {**SETTINGS, "columns": ["load", "ch*"]}
    found = table.load(data_of(tmp_path, **settings), 16)
    assert found.channels == ("load", "ch1", "ch2", "ch3", "ch4")
    for number, one in enumerate(found.recordings, 1):
        np.testing.assert_allclose(one.samples[:, 4], wave(seed=10 * number + 4), rtol=1e-6)
    prepared = prepare(config_of(tmp_path, {**settings, "columns": ["ch4", "ch*"]}))
    assert prepared.channels == ("ch4", "ch1", "ch2", "ch3")
    (tmp_path / "2.csv").write_text(columns(**sensors, ch5=wave(), load=wave()))
    assert "ch5" in table.load(data_of(tmp_path, **settings), 16).notes[0]


def test_a_pattern_may_match_a_column_that_is_named_already(tmp_path):
    (tmp_path / "1.csv").write_text(columns(a=wave(400, 1), b=wave(400, 2)))
    config = config_of(tmp_path, {**SETTINGS, "columns": ["a", "a*"]})
    assert prepare(config).channels == ("a",)
    raw = {"job": "table", "data": {**SETTINGS, "columns": ["a"]}, "student": {"sizes": [4]}}
    raw["teacher"] = {"detectors": ["pca_q"], "columns": ["a*", "b"]}
    raw["features"] = {"kind": "statistics", "window": 16, "hop": 16}
    data = prepare(parse_config(raw, tmp_path))
    assert (data.channels, data.teacher.channels) == (("a",), ("a", "b"))


def test_a_teacher_sees_what_a_pattern_of_its_own_matches(tmp_path):
    sensors = {f"ch{n}": wave(400, n) for n in range(3)}
    (tmp_path / "1.csv").write_text(columns(**sensors, t1=wave(400, 8), t2=wave(400, 9)))
    raw = {
        "job": "table",
        "data": {**SETTINGS, "columns": ["ch*"]},
        "features": {"kind": "statistics", "window": 16, "hop": 8},
    }
    config = parse_config(
        {**raw, "teacher": {"detectors": ["autoencoder"], "columns": ["t*", "ch1"]}, "student": {"sizes": [4]}},
        tmp_path,
    )
    prepared = prepare(config)
    assert prepared.channels == ("ch0", "ch1", "ch2")
    assert prepared.of_teacher.channels == ("t1", "t2", "ch1")


def test_a_pattern_takes_no_clock_and_no_label_for_a_channel(tmp_path):
    state = np.where(np.arange(400) < 350, "0", "1")
    (tmp_path / "1.csv").write_text(columns(t_s=np.arange(400) / 100, a_s=wave(400), state_s=state))
    settings = {"files": "*", "columns": ["*_s"], "time_column": "t_s", "label_column": "state_s", "healthy_files": "*"}
    settings["sample_rate"] = None
    found = table.load(data_of(tmp_path, **settings), 16)
    np.testing.assert_allclose(found.recordings[0].samples[:, 0], wave(400), rtol=1e-5)


def test_a_file_that_is_scored_elsewhere_has_the_rate_of_its_folder(tmp_path):
    config = data_of(
        tmp_path, files="*/*.csv", healthy_files="*", sample_rate=100.0, sample_rates={"slow/*.csv": 400.0}
    )
    for path in ("slow/1.csv", "fast/1.csv", "elsewhere/slow/1.csv"):
        place = tmp_path / path if path[0] != "e" else tmp_path.parent / f"{tmp_path.name} {path}"
        assert table._given_rate(place, config) == (100.0 if path[0] == "f" else 400.0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"columns": ["X*"]},
            r"97.csv has no column 'X105_DE', which 'X\*' in columns matches with others in the first file",
        ),
        ({"columns": ["X*_DE", "*DE"]}, "two patterns of columns match 'X105_DE'"),
        ({"columns": ["Y*_DE"]}, r"has no column 'Y\*_DE'; it has X105_DE"),
        ({"columns": ["X[0-9]*_DE"]}, r"has no column 'X\[0-9\]\*_DE'"),
        ({"sample_rates": {"98.*": 400.0}}, r"sample_rates: '98.\*' matches none of 4 files"),
        ({"sample_rates": {"97.*": 400.0, "*.npz": 200.0}}, "in sample_rates both match it and give different rates"),
        ({"sample_rates": {"97.*": 400.0}}, "the files' sample rates differ, from 100 to 400 Hz; set resample = 100"),
    ],
)
def test_what_patterns_cannot_tell_is_named(folder, changes, says):
    with pytest.raises(DataError, match=says):
        prepare(config_of(folder, {**SETTINGS, **changes}))


def test_rates_by_file_are_brought_to_one(folder):
    seconds = np.arange(4000) / 400.0
    tone = np.sin(2 * np.pi * 5 * seconds)
    for name, step in (("fast", 1), ("slow", 4)):
        (folder / f"{name}.csv").write_text(columns(x=tone[::step].round(5)))
    settings = {"files": ["fast.csv", "slow.csv"], "sample_rate": 100.0, "sample_rates": {"fast*": 400.0}}
    fast, slow = table.load(data_of(folder, **settings, resample=100.0), 16).recordings
    assert len(fast.samples) == len(slow.samples)
    np.testing.assert_allclose(fast.samples[50:-50], slow.samples[50:-50], atol=2e-3)


def test_a_rate_of_unlabeled_files_alone_is_taken(tmp_path):
    for name in ("one", "two", "one_2", "two_2", "one_3", "two_3"):
        (tmp_path / f"{name}.csv").write_text(columns(x=wave(400, seed=len(name) + ord(name[0]))))
    (tmp_path / "more").mkdir()
    (tmp_path / "more/extra.csv").write_text(columns(x=wave(800, seed=5)))
    classes = {"one": "one*.csv", "two": "two*.csv"}
    data = {"files": "*.csv", "sample_rate": 100.0, "resample": 100.0, "classes": classes, "split": "time"}
    data |= {"unlabeled_files": "more/*.csv", "sample_rates": {"more/*": 200.0}}
    made = prepare(config_of(tmp_path, data, task="classification"))
    assert len(made.unlabeled) == 49  # of 400 rows at 100 Hz, not of 800
    with pytest.raises(DataError, match=r"sample_rates: 'other/\*' matches none"):
        prepare(config_of(tmp_path, {**data, "sample_rates": {"other/*": 200.0}}, task="classification"))


def test_a_clock_and_rates_by_file_contradict(tmp_path):
    (tmp_path / "c.toml").write_text(
        'job = "table"\n[data]\nfiles = ["*.csv"]\nhealthy_files = ["*"]\ntime_column = "t"\n'
        'sample_rates = {"a.csv" = 10.0}\n'
    )
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "sample_rates are of files without a clock" in result.output
