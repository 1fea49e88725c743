"""Files through filters: what windows, their labels and numbers are of, and that a stream is one up to a gap."""

import numpy as np
import pytest
from tables import config_of

from micro.config import parse_config
from micro.datasets.augmented import _in_units
from micro.datasets.filtered import filtered
from micro.datasets.prepare import prepare
from micro.datasets.recording import Recording, cut
from micro.datasets.views import Views
from micro.detection.sensor import faults
from micro.errors import DataError
from micro.runs.device import counts_of, stream_windows
from micro.signal import Filter, FrontEnd
from micro.signal.joined_frames import main_of, sensed_of

RATE = 1000.0
PLAIN = FrontEnd("shape", 25, 10, channels=3, sample_rate=RATE)
SPLIT = FrontEnd("shape", 25, 10, 3, RATE, decimate=3, filter=Filter("highpass", 20.0))
COUNTED = FrontEnd(
    "shape", 25, 10, 3, RATE, decimate=3, filter=Filter("highpass", 20.0), arithmetic="fixed", full_scale=8.0
)


def recording(count=700, seed=0):
    return Recording.whole("a", np.random.default_rng(seed).normal(1, 2, (count, 3)), RATE, "on", healthy=True)


@pytest.mark.parametrize("front_end", [SPLIT, COUNTED], ids=["float32", "fixed"])
def test_windows_of_a_file_are_those_of_the_target_s_stream(front_end):
    one = recording()
    (made,) = filtered([one], front_end)
    frames, starts = cut(made, front_end)
    stream = counts_of(front_end, stream_windows(one.samples, front_end))
    np.testing.assert_array_equal(main_of(frames), main_of(stream))
    np.testing.assert_array_equal(sensed_of(frames), one.samples[starts[:, None] * 3 + np.arange(75)])
    assert len(frames) == 21
    assert made.rows[starts].tolist() == list(range(0, 630, 30))
    assert made.sample_rate == RATE / 3


def test_without_a_filter_recordings_stay_as_they_are():
    one = recording()
    assert filtered([one], PLAIN)[0] is one


@pytest.mark.parametrize("front_end", [SPLIT, COUNTED], ids=["float32", "fixed"])
def test_filters_begin_anew_behind_rows_that_lack_a_value(front_end):
    one = recording()
    one.valid[200:211] = False
    one.samples[200:211] = 1e6  # whatever was filled in
    (made,) = filtered([one], front_end)
    assert np.flatnonzero(~made.valid).tolist() == [66, 67, 68, 69, 70]
    frames, starts = cut(made, front_end)
    assert not ((starts <= 70) & (starts + 25 > 66)).any()
    if front_end is COUNTED:
        np.testing.assert_array_equal(made.samples[71:], front_end.conditioned(one.samples[213:]))
    else:  # the low pass begins with the next sample, the filter with the next that is kept
        target = one.samples.copy()
        target[200:211] = np.nan
        np.testing.assert_array_equal(made.samples[71:], front_end.conditioned(target)[71:])
    np.testing.assert_array_equal(main_of(frames), made.samples[starts[:, None] + np.arange(25)])


def test_a_sample_that_is_kept_is_faulty_where_one_of_those_left_out_is():
    one = recording(90)
    one.faulty[31], one.healthy[31], one.healthy[62] = True, False, False
    (made,) = filtered([one], SPLIT)
    assert np.flatnonzero(made.faulty).tolist() == [10]
    assert np.flatnonzero(~made.healthy).tolist() == [10, 20]


def test_faults_of_the_sensor_are_seen_in_samples_that_are_left_out():
    class Limits:
        saturation, max_saturated = 8.0, 0

    samples = np.zeros((400, 3), np.float32)
    samples[100, 1] = 9.0
    frames = counts_of(SPLIT, stream_windows(samples, SPLIT))
    assert np.abs(main_of(frames)).max() < 8
    ends = 75 + 30 * np.arange(len(frames))
    assert np.array_equal(faults(Limits, sensed_of(frames)) != 0, (ends > 100) & (ends - 75 <= 100))


def test_a_filter_that_begins_with_a_window_hardly_shows_in_its_features():
    """Self-tests and searches take windows out of their streams."""
    front_end = FrontEnd(("shape", "spectrum"), 256, 128, 3, RATE, bands=8, decimate=3, filter=Filter("highpass", 10.0))
    time = np.arange(30_000)[:, None]
    stream = 50 + np.random.default_rng(0).normal(size=(30_000, 3)) + 20 * np.sin(time * 0.01)
    amid = front_end(main_of(stream_windows(stream, front_end)))[5:]
    own = np.stack([stream[start : start + 768] for start in range(0, 30_000 - 767, 384)])[5:]
    begun = front_end(main_of(front_end.filtered_each(own)))
    assert np.abs(begun - amid).mean() < 0.02
    assert np.abs(begun - amid).mean() < 0.1 * amid.std(axis=0).mean()


def written(folder, name, count, seed, more=None):
    rng = np.random.default_rng(seed)
    rows = np.column_stack([np.arange(count) / RATE, rng.normal(seed % 3, 1, (count, 2))])
    head, cells = "t,x,y", [",".join(f"{value:.4f}" for value in row) for row in rows]
    if more is not None:
        head, cells = f"{head},{more[0]}", [f"{cell},{value}" for cell, value in zip(cells, more[1])]
    (folder / name).write_text("\n".join([head, *cells]) + "\n")


FILTERED = {"decimate": 3, "filter": {"kind": "highpass", "low": 20.0}, "window": 16, "hop": 7}


def test_a_window_has_the_class_that_all_rows_of_the_sensor_share(tmp_path):
    """At row 601 of 1,200 the class changes, in the middle of three rows of which one is kept."""
    for n in range(6):
        written(tmp_path, f"{n}.csv", 1200, n, ("state", ["a"] * 601 + ["b"] * 599))
    data = {"files": "*.csv", "time_column": "t", "label_column": "state"}
    made = prepare(config_of(tmp_path, data, "classification", **FILTERED))
    starts = 21 * np.arange(55)
    a, b = (starts + 48 <= 601).sum(), (starts >= 601).sum()
    total = sum(np.bincount(part.labels, minlength=2) for part in (made.train, made.validation, made.test))
    assert total.tolist() == [6 * a, 6 * b]
    assert made.test_vectors.shape[1:] == (48, 2)
    assert made.sample_rate == pytest.approx(RATE)


def test_a_window_has_the_number_of_the_sensor_s_last_row(tmp_path):
    for n in range(6):
        written(tmp_path, f"{n}.csv", 300, n, ("wear", range(1000 * n, 1000 * n + 300)))
    data = {"files": "*.csv", "time_column": "t", "target_column": "wear", "split": "files"}
    made = prepare(config_of(tmp_path, data, "regression", **FILTERED))
    assert set((made.test.labels % 1000).tolist()) <= {47.0 + 21 * n for n in range(13)}


def test_rows_that_two_files_share_are_found_before_they_are_filtered(tmp_path):
    """The copy begins two rows later, so that of three rows another one is kept."""
    for n in range(6):
        written(tmp_path, f"{n}.csv", 1200, n)
    lines = (tmp_path / "0.csv").read_text().splitlines()
    (tmp_path / "faulty.csv").write_text("\n".join([lines[0], *lines[3:]]) + "\n")
    data = {
        "files": "*.csv",
        "sample_rate": RATE,
        "columns": ["x", "y"],
        "healthy_files": "?.csv",
        "faulty_files": "faulty.csv",
    }
    with pytest.raises(DataError, match="hold some of the same rows"):
        prepare(config_of(tmp_path, data, **FILTERED))


BASE = {"files": "*.csv", "sample_rate": 1000.0, "healthy_files": "*"}


@pytest.mark.parametrize(
    ("features", "data", "says"),
    [
        ({"decimate": 17}, {}, "features.decimate"),
        ({"filter": {"kind": "notch"}}, {}, "features.filter.kind"),
        ({"filter": {"kind": "highpass", "high": 3}}, {}, "a highpass filter needs low and takes no high"),
        ({"filter": {"kind": "lowpass", "high": 3, "order": 9}}, {}, "features.filter.order"),
        ({"filter": {"kind": "bandpass", "low": 30, "high": 20}}, {}, "filter bounds must rise"),
        ({"filter": {"kind": "lowpass", "high": 500}}, {}, "features.filter: .* below half the rate, 500 Hz, got 500"),
        ({"decimate": 4, "filter": {"kind": "lowpass", "high": 130}}, {}, "125 Hz after decimation, got 130"),
        ({"filter": {"kind": "lowpass", "high": 130}}, {"resample": 200}, "below half the rate, 100 Hz"),
        ({"filter": {"kind": "highpass", "low": 0.01, "order": 8}}, {}, "features.filter: .* too low for its order"),
    ],
)  # fmt: skip
def test_filters_that_cannot_be_are_refused_before_files_are_read(tmp_path, features, data, says):
    with pytest.raises(ValueError, match=says):
        config_of(tmp_path, {**BASE, **data}, **features)


def test_what_takes_no_filter_refuses_it_by_name(tmp_path):
    sides = {"sizes": [4]}
    raw = {
        "job": "table",
        "data": BASE,
        "features": {"kind": "shape", "decimate": 2},
        "teacher": sides,
        "student": sides,
    }
    source = {"name": "heat", "columns": ["heat"], "features": {"kind": "statistics", "window": 8, "hop": 8}}
    with pytest.raises(ValueError, match=r"features.decimate is for runs of one source"):
        parse_config({**raw, "sources": [source]}, tmp_path)
    source["features"]["decimate"] = 2
    with pytest.raises(ValueError, match=r"sources.*take no decimate and no filter"):
        parse_config({**raw, "features": {}, "sources": [source]}, tmp_path)
    own = {"detectors": ["autoencoder"], "features": {"kind": "spectrum", "decimate": 1}}
    with pytest.raises(ValueError, match=r"teacher.features: decimate and filter are the student's"):
        parse_config({**raw, "teacher": own}, tmp_path)
    own["features"].pop("decimate")
    assert parse_config({**raw, "teacher": own}, tmp_path).teacher.features.decimate == 2
    pictures = {"files": "*.png", "image_size": [8, 8], "healthy_files": "*"}
    with pytest.raises(ValueError, match=r"features.filter is for streams of samples"):
        parse_config({**raw, "data": pictures, "features": {"filter": {"kind": "lowpass", "high": 3}}}, tmp_path)


def test_counts_are_augmented_in_the_unit_of_the_samples():
    """From which the front end counts again what a layer leaves as it is."""
    main = np.arange(-32768, 32768, dtype=np.int16).reshape(-1, 1, 1)
    for full_scale in (8.0, 32768.0, 0.0137):
        fixed = FrontEnd("shape", 25, 10, 3, RATE, decimate=3, arithmetic="fixed", full_scale=full_scale)
        units = _in_units(main, Views(fixed))
        np.testing.assert_array_equal(fixed.counts(units), main)
        assert np.abs(units).max() == pytest.approx(full_scale)
    plain = main.astype(np.float32)
    assert _in_units(plain, Views(SPLIT)) is plain
