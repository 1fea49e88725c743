"""Which signals are said to stay at their limit: those that a sensor cut off, and no others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micro.look.channels import channel_of

ROWS = np.arange(6000)


def clipped(values):
    return channel_of("x", np.asarray(values, np.float32)).at_limit


def sine(steps, phase=0.0):
    return np.sin(steps * ROWS + phase)


# Several turning points, and no fewer samples than two of a period.
slow = st.floats(0.005, 3.0)
phases = st.floats(0.0, 6.3)


@given(amplitude=st.floats(9.0, 3000.0), steps=slow, phase=phases, offset=st.integers(-5000, 5000))
@settings(max_examples=300)
def test_a_sine_in_coarse_integers_is_not_clipped(amplitude, steps, phase, offset):
    assert not clipped(np.round(amplitude * sine(steps, phase)) + offset)


@given(period=st.integers(2, 600), amplitude=st.integers(9, 400), phase=phases)
@settings(max_examples=300)
def test_nor_is_one_of_a_whole_number_of_rows(period, amplitude, phase):
    assert not clipped(np.round(amplitude * sine(2 * np.pi / period, phase)))


@given(
    steps=st.floats(0.005, 0.1),
    phase=phases,
    level=st.floats(0.3, 0.8),
    both=st.booleans(),
    grain=st.sampled_from([0, 40]),
)
@settings(max_examples=200)
def test_a_sine_that_is_cut_off_is_clipped(steps, phase, level, both, grain):
    cut = np.clip(sine(steps, phase), -level if both else -2.0, level)
    assert clipped(cut if not grain else np.round(grain * cut))


def noise(seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(size=len(ROWS)) * scale


def held(levels, length=40):
    """A value that is set every so many rows."""
    return np.repeat(np.random.default_rng(1).choice(levels, len(ROWS) // length), length)


# Signals that repeat their largest or smallest value for reasons of their own.
WHOLE = {
    "a valve in percent": np.clip(50 + 80 * sine(0.01), 0, 100),
    "a fraction": np.clip(0.5 + sine(0.01), 0, 1),
    "a speed that rests at 0": np.maximum(0, 1500 * sine(0.004) + noise(scale=9)),
    "a duty that is set in steps": held(np.r_[np.linspace(-3, 7, 30), [7] * 10, [-3] * 10]),
    "a switch": held([0.4, 2.1]),
    "integers at random": np.random.default_rng(0).integers(3, 40, len(ROWS)),
    "a triangle in integers": np.round(30 * np.abs(ROWS / 100 % 2 - 1)) - 7,
    "coarse noise": np.round(noise(scale=6)),
    "steps of a tenth": np.round(noise(scale=0.4) + 2 * sine(0.03), 1),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_signal_whose_values_end_where_they_should_is_not_clipped(case):
    assert not clipped(WHOLE[case])


CLIPPED = {
    "noise": np.clip(noise(), -0.8, 0.8),
    "a converter of 12 bits": np.clip(np.round(2048 + 3000 * sine(0.05) + noise(scale=50)), 0, 4095),
    "one side": np.minimum(noise() + sine(0.1), 1.1),
}


@pytest.mark.parametrize("case", CLIPPED)
def test_a_signal_that_is_cut_off_is_clipped(case):
    assert clipped(CLIPPED[case])
