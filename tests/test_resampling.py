"""Recordings of other rates brought to one: what is below half of it stays, what is above goes, rows lead back to the file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro.config import AugmentConfig, FeaturesConfig
from micro.config.data import ClassesData, TableData
from micro.datasets import table
from micro.datasets.class_windows import class_parts
from micro.datasets.recording import Recording
from micro.datasets.resampling import resampled
from micro.datasets.table_windows import table_parts
from micro.errors import DataError


def tone(rate, hertz, seconds=8.0):
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate) + 3.0


@pytest.mark.parametrize(("rate", "wanted"), [(100.0, 40.0), (44_100.0, 16_000.0), (40.0, 100.0), (12_000.0, 12_000.0)])
def test_a_tone_keeps_its_pitch_and_what_the_new_rate_cannot_hold_is_gone(rate, wanted):
    low = 0.2 * min(rate, wanted)
    recording = Recording.whole("a", tone(rate, low, 2.0), rate, "normal", True)
    made = resampled(recording, wanted)
    assert made.sample_rate == wanted
    assert len(made.samples) == pytest.approx(2.0 * wanted, abs=1)
    expected = tone(wanted, low, 2.0)[: len(made.samples)]
    inner = slice(len(expected) // 4, -len(expected) // 4)
    np.testing.assert_allclose(made.samples[inner, 0], expected[inner], atol=0.01)
    if wanted < rate:
        aliased = resampled(Recording.whole("a", tone(rate, 0.8 * wanted, 2.0), rate, "normal", True), wanted)
        assert np.abs(aliased.samples[inner, 0] - 3.0).max() < 0.02


@given(count=st.integers(30, 400), up=st.integers(1, 9), down=st.integers(1, 9), hole=st.integers(0, 399))
def test_every_sample_leads_back_to_a_row_and_none_is_made_of_a_missing_one(count, up, down, hole):
    rate = 100.0
    recording = Recording.whole("a", np.arange(count), rate, "normal", True)
    valid = np.ones(count, bool)
    valid[min(hole, count - 1)] = False
    faulty = np.arange(count) >= count // 2
    recording = Recording(**{**vars(recording), "valid": valid, "faulty": faulty, "start": 7})
    made = resampled(recording, rate * up / down)
    assert (np.diff(made.rows) >= 0).all()
    assert 7 <= made.rows[0] <= made.rows[-1] < 7 + count
    assert (made.faulty == faulty[made.rows - 7]).all()
    if up != down:
        near = np.abs(made.rows - 7 - min(hole, count - 1)) <= 9 * max(1, down / up)
        assert not made.valid[near].any()
    assert len(made.samples) == len(made.valid) == len(made.healthy)


def test_a_ratio_that_no_filter_has_is_named():
    with pytest.raises(DataError, match=r"a is sampled at 0\.001 Hz, which cannot be brought to 40000 Hz"):
        resampled(Recording.whole("a", np.zeros(50), 0.001, "normal", True), 40_000.0)


def files(folder, label=False):
    """Two files of one tone at two rates."""
    for rate in (100, 250):
        seconds = np.arange(rate * 20) / rate
        lines = [
            f"{t:.4f},{x:.5f}" + (",on" if t >= 10 else ",off") * label for t, x in zip(seconds, tone(rate, 7.0, 20.0))
        ]
        (folder / f"at{rate}.csv").write_text("t,x" + ",s" * label + "\n" + "\n".join(lines) + "\n")


def test_files_of_two_rates_are_brought_to_one(tmp_path):
    files(tmp_path)
    plain = {"folder": str(tmp_path), "files": "*.csv", "time_column": "t", "healthy_files": "*"}
    features = FeaturesConfig(kind="raw", window=50, hop=25)
    with pytest.raises(
        DataError, match="sample rates differ, from 100 to 250 Hz; set resample = 100 to bring all to the lowest"
    ):
        table_parts(TableData(**plain), features, AugmentConfig(), 0)
    parts = table_parts(TableData(**plain, resample=50.0), features, AugmentConfig(), 0)
    assert parts.sample_rate == 50.0
    one, other = table.load(TableData(**plain, resample=50.0), 50).recordings
    np.testing.assert_allclose(one.samples[50:-50], other.samples[50:-50], atol=0.02)


def test_classes_of_rows_move_along(tmp_path):
    files(tmp_path, label=True)
    data = ClassesData(
        folder=str(tmp_path),
        files="*.csv",
        time_column="t",
        label_column="s",
        resample=50.0,
        split="time",
        on_gap="split",
    )
    parts = class_parts(data, FeaturesConfig(kind="raw", window=50, hop=25), AugmentConfig(), 0)
    counts = [sum(len(each.values) for each in (*parts.train, *parts.test) if each.label == label) for label in (0, 1)]
    assert abs(counts[0] - counts[1]) <= 2
