"""What recordings hold in common, and what is no copy: signals that repeat, follow from themselves or are coarse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro.datasets import shared_rows
from micro.datasets.apart import Divided, shared_windows
from micro.datasets.recording import Recording
from micro.datasets.twins import Alike, alike
from micro.errors import DataError


def signal(seed, rows):
    return np.random.default_rng(seed).normal(size=(rows, 2)).round(2)


def found_in(*signals, window=32):
    made = [Recording.whole(f"{n}.csv", values, 100.0, "", True) for n, values in enumerate(signals)]
    return alike(made, [], window)


@given(
    offset=st.integers(0, 400),
    count=st.integers(140, 600),
    gap=st.integers(1, 60),
    digits=st.integers(2, 5),
    window=st.sampled_from([8, 32, 64]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60, deadline=None)
def test_rows_of_another_recording_are_found_wherever_they_stand(offset, count, gap, digits, window, seed):
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=(1000, 2)).round(digits), rng.normal(size=(1000, 2)).round(digits)
    one[:5] = 0.5
    other[gap : gap + count] = one[offset : offset + count]
    one[500:503] = one[499]  # a sensor that stands still for a moment
    other[gap : gap + count] = one[offset : offset + count]
    (pair,) = found_in(one, other, rng.normal(size=(1000, 2)), window=window).overlapping
    assert pair == ("0.csv", "1.csv")
    longest = max(found_in(one, other, window=window).shared, key=lambda each: each.count)
    assert longest.start - longest.begin == gap - offset
    assert longest.count >= count


def of_nothing_new(kind, rng, rows):
    """A recording that others may well be like by chance or by rule."""
    t, phase = np.arange(rows), rng.integers(0, rows)
    if kind == "constant":
        return np.full(rows, 20.5)
    if kind == "silence":
        return np.where((t > rows // 3) & (t < rows // 2), rng.normal(size=rows), 0.0)
    if kind == "sine":
        return np.sin(2 * np.pi * (t + phase) / rng.choice([50, 64, 100])).round(3)
    if kind == "simulated":
        return np.sin(2 * np.pi * 5 * t / 100.0)
    if kind == "harmonics":
        return sum(np.sin(2 * np.pi * n * (t + phase) / 90.0 + n) / n for n in range(1, 13))
    if kind == "damped":
        return (np.exp(-t / 400.0) * np.sin(t / 7)).round(3)
    if kind == "two sines":
        return (np.sin(t / 7) + np.sin(t / 3.3)).round(2)
    if kind == "decay":
        return np.exp(-t / 400.0).round(4)
    if kind == "drifting":
        return np.sin(2 * np.pi * (t + phase) / 33.37).round(2)
    if kind == "square":
        return ((t + phase) // 25 % 2).astype(float)
    if kind == "ramp":
        return (t + phase) % 300.0
    if kind == "slow":
        return 20 + np.cumsum(np.where(rng.random(rows) < 0.02, rng.choice([-1, 1], rows), 0)) % 8
    if kind == "walk":
        return np.cumsum(rng.choice([-1, 1], rows)) % 40
    assert kind == "tenths"
    return (200 + np.cumsum(np.where(rng.random(rows) < 0.2, rng.choice([-1, 1], rows), 0)) % 60) / 10


@pytest.mark.parametrize(
    "kind",
    [
        "constant",
        "silence",
        "sine",
        "simulated",
        "harmonics",
        "decay",
        "damped",
        "two sines",
        "drifting",
        "square",
        "ramp",
        "slow",
        "walk",
        "tenths",
    ],
)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(300, 3000),
    more=st.sampled_from([0, 7]),
    window=st.sampled_from([8, 16, 64]),
)
@settings(max_examples=25, deadline=None)
def test_signals_that_repeat_or_are_coarse_are_no_leak(kind, seed, rows, more, window):
    rng = np.random.default_rng(seed)
    signals = [of_nothing_new(kind, rng, rows + more * n) for n in range(6)]
    found = found_in(*signals, window=window)
    assert (found.overlapping, found.twins) == ((), ())


def test_a_file_in_another_is_found_where_both_are_on_disk(monkeypatch):
    from micro.datasets import cells, store

    monkeypatch.setattr(store, "LARGE", 1000)
    monkeypatch.setattr(cells, "BLOCK_ROWS", 256)
    long, part = store.room(3000, 2), store.room(1500, 2)
    long[:] = signal(0, 3000)
    part[:] = long[1001:2501]
    assert store.is_stored(long)
    assert found_in(long, part).overlapping == (("0.csv", "1.csv"),)
    assert found_in(long, np.array(long)).twins == (("0.csv", "1.csv"),)
    assert Alike().related == ()


def test_a_file_that_repeats_part_of_itself_hides_nothing():
    long, part = signal(0, 12_000), signal(0, 12_000)[5000:9000]
    twice_there = np.concatenate([long[:2000], long[1000:]])  # 1,000 rows that were written twice
    within = np.concatenate([long[:7000], long[6000:]])  # and twice in both
    for one, other in ((twice_there, part), (np.concatenate([part, part]), part), (within, within[5000:9000])):
        for files in ((one, other), (other, one)):
            assert found_in(*files).overlapping == (("0.csv", "1.csv"),)


@pytest.mark.parametrize("wild", [1e7, 2147483647.0, 1e36])
def test_a_wild_value_or_another_unit_hides_nothing(wild):
    spoiled, long, large = signal(1, 3000), signal(0, 3000), signal(2, 3000) * np.float32(wild)
    spoiled[1700] = wild
    for more in (spoiled, large, np.zeros((3000, 2))):
        assert found_in(more, long, long[1000:2500]).overlapping == (("1.csv", "2.csv"),)
    copy = found_in(spoiled, spoiled.copy())
    assert copy.twins == (("0.csv", "1.csv"),)
    assert found_in(spoiled, spoiled[1000:2500]).overlapping == (("0.csv", "1.csv"),)


def coarse(kind, rng, rows):
    if kind == "noise":
        return (20 + rng.normal(0, 0.05, rows)).round(1)
    if kind == "drifting":
        return (20 + 3 * np.sin(np.arange(rows) / 9000) + rng.normal(0, 0.05, rows)).round(1)
    if kind == "edge":
        return (20.05 + rng.normal(0, 0.05, rows)).round(1)
    if kind == "slow":  # whole degrees, seldom another one
        return 20 + np.cumsum(np.where(rng.random(rows) < 0.1, rng.choice([-1, 1], rows), 0)) % 5
    assert kind == "after a sweep"
    return np.append(np.sin(np.arange(rows // 2) ** 2 / 1e5), rng.normal(size=rows - rows // 2)).round(3)


@pytest.mark.parametrize("kind", ["noise", "drifting", "edge", "slow", "after a sweep"])
@pytest.mark.parametrize("rows", [2000, 86_400])
def test_whole_copies_of_coarse_signals_are_found(kind, rows):
    rng = np.random.default_rng(0)
    one, other = coarse(kind, rng, rows), coarse(kind, rng, rows)
    assert found_in(one, other, one.copy()).twins == (("0.csv", "2.csv"),)


def test_too_many_offsets_leave_out_those_of_the_fewest_rows(monkeypatch):
    monkeypatch.setattr(shared_rows, "MOST_OFFSETS", 1)
    short, long = signal(0, 200), signal(1, 3000)
    files = [np.concatenate([short, signal(2, 500)]), np.concatenate([short, long]), long]
    assert found_in(*files).overlapping == (("1.csv", "2.csv"),)


def test_what_many_files_share_is_bounded():
    files = [signal(0, 400)] * 150
    found = found_in(*files)
    assert len(found.twins[0]) == 150
    assert 149 < len(found.shared) <= 149 + shared_rows.MOST_CLOSED


def test_windows_are_marked_alike_however_stretches_lie():
    rng = np.random.default_rng(0)
    long = signal(0, 6000)
    one, other = long[:4000], long[1370:]
    made = [Recording.whole(f"{n}.csv", values, 100.0, "", True) for n, values in enumerate((one, other))]
    found, starts = alike(made, [], 32), [np.arange(0, len(each) - 31, 8) for each in (one, other)]
    parts = [np.where(starts[0] < 1500, rng.integers(-1, 2, len(starts[0])), -1), np.zeros(len(starts[1]), int)]
    parts[1][starts[1] < 40] = -1
    divided = [Divided(*each) for each in zip(starts, parts)]
    with pytest.raises(DataError, match=r"share samples with windows of 1\.csv for training"):
        shared_windows(found, made, divided, 32, ["training", "test"])
