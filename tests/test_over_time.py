"""Curves of scores over time: none is drawn through a gap, and no alarm beyond a recording."""

import numpy as np

from micro.runs.report.over_time import Track, broken, scores_over_time
from micro.support.html import drawing


def test_a_curve_is_broken_at_each_gap_and_keeps_its_points():
    at = np.array([0.0, 1, 2, 10, 11, 30])
    x, y = broken(at, at**2, np.array([2.0, 11]), np.array([10.0, 30]))
    assert x.tolist() == [0, 1, 2, 6, 10, 11, 20.5, 30]
    assert np.flatnonzero(np.isnan(y)).tolist() == [3, 6]
    assert np.array_equal(y[~np.isnan(y)], at**2)


def test_alarms_end_with_the_recording_and_before_a_gap(monkeypatch):
    seconds = np.array([1.0, 2, 3, 4, 20, 21, 22])
    drawn = []
    from matplotlib.axes import Axes

    monkeypatch.setattr(Axes, "broken_barh", lambda axes, bars, *args, **kwargs: drawn.extend(bars))
    alarm = np.array([0, 0, 1, 1, 0, 1, 1], bool)
    with drawing():
        made = scores_over_time([Track("a.csv", seconds, np.arange(1.0, 8), alarm)], 2.5)
    assert made is not None
    ends = [begin + length for begin, length in drawn]
    assert [begin for begin, _ in drawn] == [3, 21]
    assert 4 <= ends[0] < 5
    assert 22 <= ends[1] < 23
