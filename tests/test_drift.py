"""Drift of scores: distances against others' formulas, a level that is kept over many checks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from micro.detection import permutation
from micro.detection.drift import watch
from micro.detection.permutation import histogram_test, session_test


def sessions(rng, count, *, shift=0.0, size=40, between=0.5):
    """Windows of one session are alike: each session has a level of its own."""
    return [np.exp(shift + between * rng.standard_normal() + 0.3 * rng.standard_normal(size)) for _ in range(count)]


@given(st.integers(0, 2**31), st.floats(0, 2))
def test_the_distance_is_kolmogorov_s_but_for_the_grid(seed, shift):
    rng = np.random.default_rng(seed)
    reference, latest = (list(rng.normal(middle, 1, (4, 100))) for middle in (0, shift))
    distance = session_test(reference, latest, 0.05, seed).ks
    exact = stats.ks_2samp(np.concatenate(reference), np.concatenate(latest)).statistic
    # Between two of 128 quantiles of all lie 1 / 129 of all windows, which are 2 / 129 of either half at most.
    assert exact - 2 / 129 - 2 / 400 <= distance <= exact + 1e-6


@given(st.integers(0, 2**31), st.floats(-2, 2))
def test_the_stability_index_of_a_check_is_the_sum_over_deciles(seed, shift):
    rng = np.random.default_rng(seed)
    reference, scores = rng.normal(size=500), rng.normal(shift, size=200)
    check = watch(np.split(reference, 10), np.split(scores, 4), false_alarm_rate=0.5)[0]
    edges = [-np.inf, *np.percentile(reference, range(10, 100, 10)), np.inf]
    total = 0.0
    for low, high in pairwise(edges):
        ours, theirs = (np.sum((values >= low) & (values < high)) for values in (scores, reference))
        p, q = (ours + 0.5) / (200 + 5), (theirs + 0.5) / (500 + 5)
        total += (p - q) * np.log(p / q)
    assert check.psi == pytest.approx(total)


def test_healthy_logs_are_hardly_ever_said_to_drift_though_their_windows_are_alike():
    """100 logs of ten checks; a test that took windows for independent would find drift in nearly all."""
    rng = np.random.default_rng(0)
    false = naive = 0
    for n in range(100):
        reference, log = sessions(rng, 30), sessions(rng, 40)
        false += watch(reference, log, false_alarm_rate=0.05, seed=n)[-1].drifted
        naive += stats.ks_2samp(np.concatenate(reference), np.concatenate(log[:8])).pvalue < 0.05 / 2
    assert false <= 10  # 5 expected at most; more than 10 would come by chance once in a hundred
    assert naive > 75


def test_a_shift_is_found_soon_and_a_look_says_when():
    rng = np.random.default_rng(1)
    found = []
    for n in range(15):
        checks = watch(sessions(rng, 30), [*sessions(rng, 8), *sessions(rng, 24, shift=1.5)], seed=n)
        found.append(checks[-1].windows if checks[-1].drifted else None)
        assert all(not check.drifted for check in checks[:-1])
        assert [check.number for check in checks] == list(range(1, len(checks) + 1))
    assert sum(windows is not None and windows <= 40 * 20 for windows in found) >= 13


@given(st.floats(0.001, 0.5), st.integers(1, 6))
@settings(max_examples=20)
def test_levels_of_all_looks_ever_add_up_to_the_rate(rate, every):
    rng = np.random.default_rng(0)
    checks = watch(sessions(rng, 12), sessions(rng, 5 * every), false_alarm_rate=rate, every=every, recent=2 * every)
    assert sum(check.level for check in checks) == pytest.approx(rate * (1 - 1 / (len(checks) + 1)))


def test_the_test_s_p_is_no_smaller_than_it_should_be_where_nothing_changed():
    rng = np.random.default_rng(2)
    found = np.array(
        [session_test(sessions(rng, 10, size=15), sessions(rng, 4, size=15), 0.05, n).p for n in range(300)]
    )
    for level in (0.05, 0.2, 0.5):
        assert np.mean(found <= level) <= level + 2.5 * np.sqrt(level * (1 - level) / 300)
    assert np.mean(found <= 0.5) > 0.25  # and not so careful that it sees nothing


def test_sessions_that_move_in_both_directions_are_found():
    """As when a sensor's gain changes: each session is moved, the middle of all hardly."""
    rng = np.random.default_rng(4)
    log = [*sessions(rng, 4, shift=0.8, between=0.05), *sessions(rng, 4, shift=-0.8, between=0.05)]
    reference = sessions(rng, 30, between=0.05)
    check = watch(reference, log, recent=8)[-1]
    assert check.drifted
    assert check.wander > 5


def session_means(rng, count, *, moved=0.0, features=30):
    """Means of features that vary together between sessions; one of them is moved."""
    found = rng.standard_normal((count, features)) + rng.standard_normal((count, 1))
    found[:, 7] += moved
    return found


def test_drift_that_scores_do_not_show_is_found_in_features():
    rng = np.random.default_rng(5)
    reference, log = sessions(rng, 30), sessions(rng, 16)
    assert not watch(reference, log)[-1].drifted
    check = watch(reference, log, features=(session_means(rng, 30), session_means(rng, 16, moved=5.0)))[-1]
    assert check.drifted
    assert not check.scores_drifted
    assert check.shift.feature == 7
    assert check.shift.deviations > 1


def test_many_features_do_not_make_healthy_logs_drift():
    rng = np.random.default_rng(6)
    found = []
    for n in range(200):
        features = (session_means(rng, 12), session_means(rng, 4))
        found.append(session_test(sessions(rng, 12, size=15), sessions(rng, 4, size=15), 0.05, n, features))
    ps = np.array([min(one.p, one.shift.p) for one in found])
    for level in (0.05, 0.2):
        assert np.mean(ps <= level) <= level + 2.5 * np.sqrt(level * (1 - level) / 200)
    assert np.mean(ps <= 0.5) > 0.2


def test_a_feature_that_never_changes_says_nothing():
    rng = np.random.default_rng(7)
    still = np.zeros((16, 3))
    check = watch(sessions(rng, 12), sessions(rng, 4), features=(still[:12], still[12:]))[-1]
    assert check.shift.p == 1
    assert not check.drifted


def test_the_same_seed_says_the_same():
    rng = np.random.default_rng(3)
    reference, log = sessions(rng, 20), sessions(rng, 12, shift=0.4)
    assert watch(reference, log, seed=5) == watch(reference, log, seed=5)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"false_alarm_rate": 0.0}, "false_alarm_rate must be between 0 and 1"),
        ({"every": 0}, "every must be at least 1"),
        ({"every": 8, "recent": 4}, "recent at least every"),
    ],
)
def test_wrong_arguments_are_named(arguments, problem):
    log = sessions(np.random.default_rng(0), 8)
    with pytest.raises(ValueError, match=problem):
        watch(log, log, **arguments)
    with pytest.raises(ValueError, match="calibration has 1 session; a comparison takes at least 2"):
        watch(log[:1], log)


def test_what_several_features_have_in_common_is_found_sooner_than_by_any_and_no_oftener_by_chance():
    rng = np.random.default_rng(0)
    counts = np.ones((38, 20), int)
    found = {(moved, common): 0 for moved in (0.0, 1.0) for common in ((), range(6))}
    for seed in range(60):
        columns = rng.normal(size=(38, 18))
        for moved, common in found:
            own = columns + moved * (np.arange(38)[:, None] >= 30) * (np.arange(18) < 6)
            test = histogram_test(counts[:30], counts[30:], 0.01, seed, (own[:30], own[30:]), common)
            found[moved, common] += test.shift.p <= 0.01
            if moved and common:
                assert test.shift.feature == 18
    assert found[1.0, range(6)] > found[1.0, ()] + 20
    assert max(found[0.0, ()], found[0.0, range(6)]) <= 3


def test_permutations_that_are_measured_in_blocks_say_what_all_at_once_say(monkeypatch):
    rng = np.random.default_rng(8)
    reference, latest = sessions(rng, 20), sessions(rng, 8, shift=0.3)
    features = rng.normal(size=(20, 5)), rng.normal(0.5, 1, size=(8, 5))
    said = []
    for alone in (1, permutation.ALONE):
        monkeypatch.setattr(permutation, "ALONE", alone)
        said.append(session_test(reference, latest, 0.01, 4, features))
    assert said[0] == said[1]
