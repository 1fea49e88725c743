"""A detector that learns its machine: exact in integers, refused with a reason, never moved beyond its bound."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reports import report_with

from micro.config import parse_config
from micro.detection.commissioning import (
    Commissioning,
    Prior,
    Refusal,
    Refused,
    adapt_bounds,
    adapted,
    largest,
    learn,
    learned_threshold,
    most_moved,
    part_of,
)
from micro.detection.fleet_prior import fleet_prior
from micro.detection.threshold import conformal_rank, fit_threshold
from micro.runs.assessment.judge import judge
from micro.runs.assessment.learning import learning_of
from micro.signal import FrontEnd
from micro.signal.learned import (
    BEYOND,
    Learned,
    as_scaling,
    int8_learned,
    learned_of,
    moments,
    multiplier,
    powers,
    whole_values,
)
from micro.support.wording import duration

PRIOR = Prior((0, 0), (4000, 4000), (16000, 16000), (0, 0), (1000,), 0, 10, 3.0)
PLAN = Commissioning(64, 100, 90, PRIOR)


def healthy(count=64, seed=0):
    """Features and powers of a machine that nothing is wrong with."""
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(0, 1000, (count, 2))).astype(np.int64), np.full((count, 1), 2000)


def test_a_healthy_machine_is_learned():
    values, level = healthy()
    found = learn(PLAN, values, level)
    assert isinstance(found, Learned)
    np.testing.assert_allclose(found.mean, values.mean(axis=0), atol=0.5)
    np.testing.assert_allclose(np.array(found.deviation) / 16, values.std(axis=0), atol=1 / 16 + 0.01)


@pytest.mark.parametrize(
    ("why", "place", "change"),
    [
        (Refusal.RANGE, 1, lambda values, level: values.__setitem__((5, 1), BEYOND)),
        (Refusal.RANGE, 0, lambda values, level: values.__setitem__((5, 0), -BEYOND)),
        (Refusal.DEAD, 0, lambda values, level: level.__setitem__(slice(None), 0)),
        (Refusal.DEAD, 1, lambda values, level: values.__setitem__((slice(None), 1), 77)),
        (Refusal.STOPPED, 0, lambda values, level: level.__setitem__(slice(None), 999)),
        (Refusal.CHANGED, 1, lambda values, level: values.__setitem__((slice(32), 1), values[:32, 1] + 2000)),
        (Refusal.UNLIKE, 0, lambda values, level: values.__setitem__((slice(None), 0), values[:, 0] + 4500)),
    ],
)
def test_each_refusal_has_a_signal_that_causes_it(why, place, change):
    values, level = healthy()
    change(values, level)
    assert learn(PLAN, values, level) == Refused(why, place)


def test_a_feature_that_is_constant_on_training_machines_may_be_constant():
    values, level = healthy()
    values[:, 1] = 77
    found = learn(replace(PLAN, prior=replace(PRIOR, idle=(0, 1))), values, level)
    assert isinstance(found, Learned)
    assert found.deviation[1] == PRIOR.deviation[1]


def test_a_channel_that_is_silent_on_a_training_machine_may_be_silent():
    values, level = healthy()
    assert isinstance(learn(replace(PLAN, prior=replace(PRIOR, quietest=(0,))), values, 0 * level), Learned)


def test_chance_alone_differs_by_two_over_the_root_of_windows():
    rng = np.random.default_rng(1)
    apart = []
    for _ in range(300):
        x = rng.normal(size=200)
        apart.append((x[:100].mean() - x[100:].mean()) / x.std())
    assert np.std(apart) == pytest.approx(2 / math.sqrt(200), rel=0.15)


@given(
    st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=300),
    st.floats(0.001, 0.999),
)
@settings(max_examples=300, deadline=None)
def test_threshold_of_the_buffer_is_the_conformal_one(scores, rate):
    rank = conformal_rank(len(scores), rate)
    if rank > len(scores) or rank < 1:
        return
    plan = replace(PLAN, calibrate_windows=len(scores), rank=rank)
    threshold, clear = learned_threshold(plan, scores)
    assert threshold == sorted(scores)[rank - 1]
    assert clear == threshold
    small = [score >> 12 for score in scores]  # which float64 holds
    assert learned_threshold(plan, small)[0] == int(fit_threshold(np.array(small), rate))


@given(st.lists(st.integers(-9, 9)), st.integers(1, 12))
def test_buffer_never_holds_more_and_keeps_the_largest(scores, count):
    assert largest(scores, count) == sorted(scores)[-count:]


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.integers(1, 1 << 16))
def test_part_of_a_threshold_is_at_most_it(threshold, part):
    assert part_of(threshold, part) <= threshold
    assert part_of(threshold, 1 << 16) == threshold


@given(
    st.lists(st.tuples(st.integers(-BEYOND, BEYOND), st.integers(-BEYOND, BEYOND)), min_size=1, max_size=30),
    st.integers(0, 1024),
    st.integers(1, 20),
    st.tuples(st.integers(1, 2**27), st.integers(1, 2**27)),
)
@settings(max_examples=100, deadline=None)
def test_adaptation_never_leaves_its_bound(sequence, limit, shift, deviation):
    plan = replace(PLAN, adapt_limit=limit, adapt_shift=shift)
    learned = Learned((-(2**22), 5), deviation)
    offsets = np.zeros(2, np.int64)
    for values in sequence:
        offsets = adapted(plan, learned, offsets, np.array(values))
        assert (np.abs(offsets) <= adapt_bounds(plan, learned)).all()
        assert (np.abs(offsets) <= limit / 256 * np.array(deviation) / 16 * 65536 + 1).all()


@given(st.lists(st.integers(-BEYOND + 1, BEYOND - 1), min_size=1, max_size=200))
def test_moments_are_exact(values):
    mean, deviation = moments(len(values), sum(values), sum(value * value for value in values))
    assert abs(mean * len(values) - sum(values)) * 2 <= len(values)
    around = sum((value - mean) ** 2 for value in values)
    assert deviation == math.isqrt(around * 256 // len(values))


@pytest.mark.parametrize("extreme", [BEYOND - 1, -BEYOND + 1])
def test_sums_of_the_most_windows_fit_64_bits(extreme):
    total, squares, count = 65535 * extreme, 65535 * extreme**2, 65535
    assert max(abs(total), squares, abs((extreme) * (2 * total - count * extreme))) < 2**63
    assert moments(count, total, squares) == (extreme, 0)


@given(st.integers(1, 2**27), st.floats(2**-15, 4))
def test_multiplier_is_the_reciprocal_of_scale_and_deviation(deviation, scale):
    factor, shift = multiplier(deviation, scale)
    assert 1 <= shift <= 62
    assert 2**30 <= factor < 2**31
    assert factor / 2**shift == pytest.approx(16 / (deviation * scale), rel=2**-29)


@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_learned_scaling_gives_the_features_of_a_fitted_one(arithmetic):
    front_end = FrontEnd(("spectrum", "moments"), 64, 32, bands=4, arithmetic=arithmetic, full_scale=8.0)
    samples = np.random.default_rng(0).normal(size=(300, 64, 1)).astype(np.float32)
    frames = front_end.counts(samples) if arithmetic == "fixed" else samples
    learned = learned_of(whole_values(front_end, frames))
    features = front_end(frames)
    scaling = as_scaling(front_end, learned)
    np.testing.assert_allclose(scaling.centre, features.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(scaling.spread, features.std(axis=0), rtol=1e-3)
    ours = int8_learned(front_end, frames, learned, 1 / 16, -3)
    assert np.abs(ours.astype(int) - front_end.int8(frames, scaling, 1 / 16, -3)).max() <= 1


def test_powers_are_variances():
    samples = np.random.default_rng(0).normal(5, 2, (20, 64, 2)).astype(np.float32)
    front_end = FrontEnd("statistics", 64, 32, channels=2)
    found = powers(front_end, samples, 8) / 64 / 2.0**16
    np.testing.assert_allclose(found, samples.var(axis=1), rtol=0.01)
    counts = np.round(samples * 100).astype(np.int16)
    found = powers(replace(front_end, arithmetic="fixed"), counts, 0) / 64
    np.testing.assert_allclose(found, counts.var(axis=1), rtol=1e-3)


def test_most_moved_are_the_furthest_in_deviations():
    learned = Learned((0, 10, 20, 30), (16, 32, 16, 160))
    assert most_moved(learned, np.array([-4, 14, 20, 130])) == [(3, 2560), (0, -1024), (1, 512)]


def test_a_fleets_limit_refuses_no_more_training_machines_than_asked():
    rng = np.random.default_rng(0)
    fleet = [Learned(tuple(row), (800, 800, 800)) for row in np.round(rng.normal(0, 500, (60, 3))).astype(int).tolist()]
    prior = fleet_prior(
        fleet, np.full((60, 1), 100.0), np.full(3, 256), unlike_rate=0.1, stopped_limit=10.0, exponent=0
    )
    outside = [(np.abs(np.array(one.mean) - prior.mean) > np.array(prior.tolerance)).any() for one in fleet]
    assert np.mean(outside) <= 0.1
    assert prior.quietest == (10,)


def section(**changes):
    """A config that learns its machine, with changes by section."""
    raw = {
        "job": "table",
        "data": {"files": "m*.csv", "scaling": "per_file", "sample_rate": 1000.0, "healthy_rows": [[0, 100]]},
        "features": {"kind": "moments", "window": 16, "hop": 8},
        "commissioning": {},
        "teacher": {},
        "student": {},
        "detect": {},
    }
    return parse_config(
        {key: {**value, **changes.get(key, {})} if isinstance(value, dict) else value for key, value in raw.items()}
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"detect": {"false_alarm_rate": 0.001}}, "500 are too few .* at least 999 are needed"),
        ({"data": {"scaling": "all"}}, 'set scaling = "per_file"'),
        ({"features": {"frame": 8}}, "features.frame gives several"),
        ({"features": {"kind": "raw"}}, 'kind = "raw" gives several'),
        ({"commissioning": {"learn_windows": 201}}, "must be even"),
        ({"commissioning": {"learn_windows": 40}}, "takes learn_windows of at least 64"),
        ({"commissioning": {"adapt_windows": 1000}}, "nearest to 1000: 1024"),
        ({"detect": {"method": "quantile"}}, "by detect.method"),
        ({"data": {"columns": ["a", "b"], "predict": ["a"]}}, "data.predict names some"),
        ({"commissioning": {"calibrate_windows": 60000}, "detect": {"false_alarm_rate": 0.5}}, "scores on the chip"),
    ],
)
def test_config_refuses_what_a_chip_cannot_learn(changes, said):
    with pytest.raises(ValueError, match=said):
        section(**changes)


def test_config_names_as_many_windows_as_suffice():
    assert section(commissioning={"calibrate_windows": 999}, detect={"false_alarm_rate": 0.001}).commissioning


def test_a_verdict_names_the_time_that_a_device_learns_for_and_its_bound_whatever_the_grade():
    plan = asdict(PLAN)
    report = report_with(commissioning=plan, features=asdict(FrontEnd("statistics", 16, 16, sample_rate=1000.0)))
    verdict = judge(report)
    # 64 windows of 16 samples and 100 more at 1,000 Hz; the 11 highest of 100 scores are kept.
    learning = learning_of(report)
    assert (learning.takes, learning.kept, learning.machines) == ("2.62 s", 11, 10)
    assert verdict.grade == "inconclusive"
    assert verdict.headline.endswith(
        "; each device learns its machine by itself, in 2.62 s, and then has at most 10.9 % of healthy windows above its "
        "threshold, on average of machines that stay as they were"
    )
    assert judge(report_with()).besides == ""
    assert "besides" not in judge(report_with()).to_report()
    assert [duration(each) for each in (35, 258, 7600, 300_000)] == ["35 s", "4.3 min", "2.11 h", "3.47 days"]
