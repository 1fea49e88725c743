"""Folds for what is fitted without a window: nothing like it is fitted on, and every kind is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro.datasets.window_parts import Origins, Windows
from micro.errors import DataError
from micro.runs.held_out import held_out_sets

# Runs of windows of a kind in each recording, and how many windows on each side share samples with one.
RECORDINGS = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30)), min_size=1, max_size=3), min_size=1, max_size=9
)
NEAR = st.integers(0, 4)


def windows_of(recordings):
    """Windows of recordings, each the kinds of its windows in turn; one window of each has a copy behind it."""
    kinds = [np.array([*each, each[0]]) for each in recordings]
    places = [np.append(np.arange(len(each)), 0) for each in recordings]
    origins = tuple(f"r{number}" for number, own in enumerate(kinds) for _ in own)
    starts = np.cumsum([0, *map(len, places)])[:-1] * 3
    place = np.concatenate([own + start for own, start in zip(places, starts)])
    labels = np.concatenate(kinds)
    return Windows(np.zeros((len(labels), 2), np.float32), labels, origins, place)


def place_of(windows):
    """The place of each window in its recording, from 0, (n,)."""
    begins = {
        name: min(p for p, o in zip(windows.places, windows.origins) if o == name) for name in set(windows.origins)
    }
    return np.array([p - begins[o] for p, o in zip(windows.places, windows.origins)])


def layout_of(recordings, groups, data):
    """Windows of recordings, each runs of (kind, length), their groups and copies; both are drawn, and may be none."""
    flat = [[kind for kind, count in runs for _ in range(count)] for runs in recordings]
    copies = {}
    if data.draw(st.booleans()):
        flat.append(flat[0])
        copies = {f"r{len(flat) - 1}": "r0"}
    names = [f"r{number}" for number in range(len(flat))]
    of = dict(zip(names, [groups[number % 9] for number in range(len(flat))])) if data.draw(st.booleans()) else {}
    for copy, first in copies.items():
        if of:
            of[copy] = of[first]
    return windows_of(flat), of, copies


@settings(max_examples=150, deadline=None)
@given(
    recordings=RECORDINGS,
    near=NEAR,
    groups=st.lists(st.integers(0, 4), min_size=9, max_size=9),
    data=st.data(),
)
def test_nothing_like_a_window_is_fitted_on_and_every_kind_is(recordings, near, groups, data):
    windows, of, copies = layout_of(recordings, groups, data)
    try:
        sets = held_out_sets(windows, windows.labels, ("a", "b", "c"), Origins(of, copies), near)
    except DataError:
        # Never for what has room: every kind in two groups, or in so many windows that stretches are apart.
        of_group = np.array([of.get(name, copies.get(name, name)) for name in windows.origins], object)
        short = [np.sum(windows.labels == kind) <= 2 * (2 * near + 2) for kind in np.unique(windows.labels)]
        assert any(short) or len(set(of_group)) < 2 or near > 0
        return
    assert np.sum([mine for mine, _ in sets], axis=0).tolist() == [1] * len(windows)
    content = np.array([copies.get(name, name) for name in windows.origins])
    place = place_of(windows)
    group = np.array([str(of.get(name, copies.get(name, name))) for name in windows.origins])
    for mine, others in sets:
        assert not (mine & others).any()
        assert set(windows.labels[others]) == set(windows.labels)
        for row in np.flatnonzero(mine):
            alike = (content == content[row]) & (np.abs(place - place[row]) <= near)
            assert not (others & alike).any()
    # A kind that several groups have is not divided within one of them, unless dealing left it in one fold.
    for kind in np.unique(windows.labels):
        own = windows.labels == kind
        parts = {
            g: {n for n, (mine, _) in enumerate(sets) if (mine & own & (group == g)).any()} for g in set(group[own])
        }
        if len({min(each) for each in parts.values()}) > 1 and all(len(each) == 1 for each in parts.values()):
            for mine, others in sets:
                assert not set(group[mine & own]) & set(group[others & own])


def test_a_class_too_short_to_be_held_out_is_named():
    windows = windows_of([[0] * 40, [0] * 40, [1] * 6])
    with pytest.raises(
        DataError, match="need training windows of class 'short' in two files, or in one that is longer"
    ):
        held_out_sets(windows, windows.labels, ("long", "short"), Origins(), 9)


def test_files_of_several_classes_are_divided_with_all_of_them_on_both_sides():
    windows = windows_of([[0] * 100 + [1] * 100])
    for mine, others in held_out_sets(windows, windows.labels, ("idle", "load"), Origins(), 1):
        for kind in (0, 1):
            assert (windows.labels[mine] == kind).sum() > 15
            assert (windows.labels[others] == kind).sum() > 70


def test_nothing_of_a_recording_that_overlaps_with_one_in_the_fold_is_fitted_on():
    """Where a group is dealt whole, both are in its fold; where a kind is divided in time, what overlaps is left out."""
    windows = windows_of([[0] * 40, [0] * 40, [1] * 60, [1] * 60, [1] * 60])
    groups = {"r0": 0, "r1": 1, "r2": 2, "r3": 2, "r4": 2}
    overlapping = {"r2": {"r3"}, "r3": {"r2"}}
    of = {name: np.array([origin == name for origin in windows.origins]) for name in groups}
    for mine, others in held_out_sets(windows, windows.labels, ("a", "b"), Origins(groups, {}, overlapping), 1):
        for name, other in (("r2", "r3"), ("r3", "r2")):
            assert not (mine & of[name]).any() or not (others & of[other]).any()
    # Without the fifth recording nothing of the kind is left.
    fewer = windows.at(np.flatnonzero(~of["r4"]))
    with pytest.raises(DataError, match="of class 'b' in two files"):
        held_out_sets(fewer, fewer.labels, ("a", "b"), Origins(groups, {}, {"r2": {"r3", "r2"}, "r3": {"r2", "r3"}}), 1)
