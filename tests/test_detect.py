"""Scores, thresholds and their guarantee."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micro.detection.metrics import alarm_rates, auc
from micro.detection.threshold import fit_threshold, reconstruction_error
from micro.runs.repeats import compare


@given(st.integers(0, 999), st.sampled_from([0.01, 0.05, 0.2]), st.integers(100, 400))
def test_the_threshold_is_the_conformal_order_statistic(seed, rate, count):
    scores = np.random.default_rng(seed).exponential(size=count)
    threshold = fit_threshold(scores, rate)
    above = (scores > threshold).sum()
    # With one more exchangeable score, the chance to land above is (above + 1) / (count + 1).
    assert (above + 1) / (count + 1) <= rate + 1e-12
    assert (above + 2) / (count + 1) > rate


def test_false_alarms_stay_below_the_rate_on_average():
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(2000):
        calibration, fresh = rng.exponential(size=99), rng.exponential(size=50)
        rates.append((fresh > fit_threshold(calibration, 0.05)).mean())
    assert np.mean(rates) == pytest.approx(0.05, abs=0.003)


def test_too_few_healthy_windows_are_refused():
    with pytest.raises(ValueError, match="at least 99 are needed"):
        fit_threshold(np.arange(98.0), 0.01)
    assert fit_threshold(np.arange(99.0), 0.01) == 98.0


def test_reconstruction_error_and_rates_are_what_they_say():
    x = np.array([[1.0, 2.0], [0.0, 4.0]])
    np.testing.assert_allclose(reconstruction_error(x, np.zeros((2, 2))), [2.5, 8.0])
    rates = alarm_rates(np.array([0, 0, 1, 1]), np.array([0.0, 2.0, 2.0, 3.0]), 1.0)
    assert rates == {"false_alarm_rate": 0.5, "detection_rate": 1.0}
    assert auc(np.array([0, 0, 1, 1]), np.array([0.0, 2.0, 2.0, 3.0])) == pytest.approx(0.875)
    assert auc(np.zeros(3), np.arange(3.0)) is None


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ((0.1, 0.2), "better in every seed"),
        ((-0.1, -0.2), "worse in every seed"),
        ((0.1, -0.2), "no consistent difference"),
        ((0.0, 0.0), "the same in every seed"),
    ],
)
def test_verdicts_say_no_more_than_the_seeds_do(differences, verdict):
    seeds = [{"a": {"auc": 0.5 + d}, "b": {"auc": 0.5}} for d in differences]
    found = compare(seeds, "auc", "a", "b")
    assert found.verdict == verdict
    assert found.mean_difference == pytest.approx(np.mean(differences))


ROOT = Path(__file__).parent.parent
PROPOSALS = sorted([*(ROOT / "micro/config/jobs").glob("*.toml"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("path", PROPOSALS, ids=lambda path: path.name)
def test_settings_that_count_windows_say_when_the_alarm_ends(path):
    text = path.read_text()
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if path.suffix == ".md" else [text]
    for block in blocks:
        for own in re.findall(r"^\[detect\]\n(.*?)(?=^\[|\Z)|detect = \{(.*?)\}", block, re.DOTALL | re.MULTILINE):
            keys = dict(re.findall(r"(history|clear_after) = (\d+)", "".join(own)))
            if int(keys.get("history", 1)) > 1:
                # Else a window below the threshold would end the alarm of a steady fault.
                assert int(keys.get("clear_after", 1)) >= int(keys["history"]), own
