"""Bands in orders of a shaft's speed: a band stays on its multiple at every speed, and the emitted C finds the same bins."""

import dataclasses
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_front_end import alike, in_c, in_python

from micro.datasets.recording import windows
from micro.signal import FrontEnd, fit_scaling, fixed_point, float32

RATE, SLOWEST, FASTEST = 1024.0, 960.0, 2160.0
KNOWN = FrontEnd(
    ("spectrum", "moments", "envelope"), 256, 96, channels=3, sample_rate=RATE, bands=6, low=0.5, high=9.5, envelope_bands=3,
    envelope_high=4.0, orders="channel", slowest=SLOWEST, fastest=FASTEST,
)  # fmt: skip
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def in_fixed(front_end):
    scale = 3000.0 if front_end.orders == "channel" else None
    return dataclasses.replace(front_end, arithmetic="fixed", full_scale=8.0, speed_full_scale=scale)


def estimated(front_end, **changes):
    return dataclasses.replace(front_end, orders="spectrum", channels=front_end.channels - 1, **changes)


def machine(speeds, seed=0, lines=(1.0, 0.5, 0.3, 0.2), noise=0.3):
    """Vibration whose lines are multiples of a speed in RPM at each sample, (n,), in two channels, and the speed behind it."""
    rng = np.random.default_rng(seed)
    turns = np.cumsum(speeds) / 60 / RATE
    lines = [level * np.cos(2 * np.pi * (order * turns + rng.random())) for order, level in enumerate(lines, 1)]
    signal = sum(lines) + noise * rng.normal(size=len(turns))
    return np.stack([signal, 0.1 * signal + 0.01 * rng.normal(size=len(turns)), speeds], axis=1)


def at_speeds(front_end, speeds, seed=0):
    """A window at each speed."""
    frames = np.stack([machine(np.full(front_end.window, each), seed + place) for place, each in enumerate(speeds)])
    return frames[:, :, : front_end.channels]


@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
@pytest.mark.parametrize("source", ["channel", "spectrum"])
def test_a_band_stays_on_its_multiple_at_every_speed(arithmetic, source):
    front_end = FrontEnd("spectrum", 1024, 512, channels=3, sample_rate=RATE, bands=9, low=0.5, high=9.5, orders="channel",
                         slowest=SLOWEST, fastest=FASTEST)  # fmt: skip
    front_end = front_end if source == "channel" else estimated(front_end)
    front_end = in_fixed(front_end) if arithmetic == "fixed" else front_end
    values = front_end(at_speeds(front_end, np.linspace(SLOWEST, FASTEST, 80)))
    assert values.shape == (80, 18)
    assert front_end.names[:2] == ("channel 0: spectrum 0.5 to 1.5 orders", "channel 0: spectrum 1.5 to 2.5 orders")
    assert values[:, :4].std(axis=0).max() < 0.1  # of log10: each band holds its line
    levels = np.median(values[:, :9], axis=0)
    assert np.diff(levels[:5]).max() < -0.2
    in_hz = dataclasses.replace(
        front_end, orders=None, slowest=None, fastest=None, speed_full_scale=None, low=0.0, high=300.0
    )
    assert in_hz(at_speeds(front_end, np.linspace(SLOWEST, FASTEST, 80)))[:, :4].std(axis=0).min() > 0.15


@pytest.mark.parametrize("arithmetic", [float32, fixed_point])
def test_the_speed_is_estimated_within_2_percent_and_never_as_half_or_double(arithmetic):
    rng = np.random.default_rng(3)
    for lines in ((1.0, 0.5, 0.3, 0.2), (1.0,), (0.2, 1.0, 0.1, 0.5), (0.5,) * 12):
        front_end = FrontEnd(
            "spectrum", 1024, 512, sample_rate=RATE, bands=4, orders="spectrum", slowest=SLOWEST, fastest=FASTEST
        )
        front_end = in_fixed(front_end) if arithmetic is fixed_point else front_end
        speeds = rng.uniform(SLOWEST, FASTEST, 100)
        frames = np.stack([machine(np.full(1024, each), n, lines)[:, :1] for n, each in enumerate(speeds)])
        frames = front_end.counts(frames) if arithmetic is fixed_point else frames.astype(np.float32)
        found = arithmetic.positions(front_end, frames) / 65536 / 1024 * RATE * 60
        # One line alone is as wide as the window function makes it.
        assert np.abs(found / speeds - 1).max() < (0.1 if len(lines) == 1 else 0.025), lines


FRONT_ENDS = {
    "known": KNOWN,
    "estimated": estimated(KNOWN),
    "frames": dataclasses.replace(KNOWN, window=448, hop=128, frame=256, frame_hop=64, kinds=("envelope", "statistics")),
    "one": estimated(dataclasses.replace(KNOWN, channels=2, kinds=("spectrum",), detrend="none", taper="none")),
}  # fmt: skip


@needs_gcc
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_c_and_python_agree_bit_for_bit_while_the_speed_changes(name, arithmetic, tmp_path):
    front_end = FRONT_ENDS[name] if arithmetic == "float32" else in_fixed(FRONT_ENDS[name])
    rng = np.random.default_rng(5)
    ramp = np.interp(np.arange(6000), np.linspace(0, 6000, 25), rng.uniform(0.5 * SLOWEST, 1.4 * FASTEST, 25))
    parts = [machine(ramp, 1)[:, : front_end.channels], np.zeros((700, front_end.channels))]
    if front_end.orders == "channel":  # speeds of no machine
        parts += [
            np.concatenate([rng.normal(size=(500, 2)), np.full((500, 1), bad)], axis=1) for bad in (-900.0, 1e6, 1e-3)
        ]
    samples = (
        front_end.counts(np.concatenate(parts)) if arithmetic == "fixed" else np.concatenate(parts).astype(np.float32)
    )
    if front_end.frame is None:
        alike(front_end, samples, tmp_path)
        return
    scaling = fit_scaling(front_end(windows(samples, front_end.window, front_end.hop)))
    of_python = in_python(front_end, scaling, samples)[1]
    assert np.array_equal(in_c(front_end, scaling, samples, tmp_path)[1], of_python)


@given(
    st.floats(1.0, 2000.0),
    st.floats(1.05, 2.9),
    st.sampled_from([64, 256, 1024]),
    st.sampled_from(["float32", "fixed"]),
)
@settings(max_examples=60, deadline=None)
def test_every_band_has_a_bin_at_every_speed_of_the_range(slowest, factor, window, arithmetic):
    rate = slowest / 60 * window / 5  # five turns a window
    front_end = FrontEnd(
        "spectrum", window, window, channels=2, sample_rate=rate, bands=4, orders="channel", slowest=slowest,
        fastest=slowest * factor, arithmetic=arithmetic, full_scale=8.0,
        speed_full_scale=slowest * factor if arithmetic == "fixed" else None,
    )  # fmt: skip
    speeds = np.linspace(slowest, slowest * factor, 9)
    frames = np.concatenate(
        [np.random.default_rng(0).normal(size=(9, window, 1)), np.repeat(speeds, window).reshape(9, window, 1)], 2
    )
    assert (front_end(frames) > -8).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"orders": None}, "slowest is for bands in orders"),
        ({"orders": "pin"}, "must be 'channel' or 'spectrum'"),
        ({"kinds": ("spectrum", "mel")}, "without 'mel' and 'raw'"),
        ({"kinds": ("moments",)}, "kinds 'spectrum' and 'envelope'"),
        ({"decimate": 2}, "leave out decimate and filter"),
        ({"slowest": None}, "range of speeds"),
        ({"slowest": 2160.0}, "range of speeds"),
        ({"channels": 1}, "last of two channels at least"),
        ({"arithmetic": "fixed", "full_scale": 1.0}, "speed_full_scale, the RPM of 32768 counts, at least fastest"),
        ({"high": 20.0}, "rise from 0 to 14.22 orders"),
        ({"bands": 40}, "narrower than a bin at 960 RPM; take 36 at most"),
        ({"orders": "spectrum", "slowest": 600.0}, "range below a factor of 3"),
        ({"orders": "spectrum", "slowest": 9e3, "fastest": 2e4, "high": None, "low": 0.0, "bands": 1}, "has fewer"),
        ({"orders": "spectrum", "window": 64, "hop": 32, "bands": 1}, "multiples are 4 bins apart"),
    ],
)  # fmt: skip
def test_settings_of_orders_that_do_not_fit_are_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(KNOWN, **changes)


def test_windows_are_of_the_mean_speed():
    front_end = dataclasses.replace(KNOWN, kinds=("spectrum",))
    ramp = machine(np.linspace(1400, 1600, 2048), 2)
    steady = machine(np.full(2048, 1500.0), 2)
    difference = np.abs(front_end(windows(ramp, 256, 96)) - front_end(windows(steady, 256, 96)))
    assert np.median(difference[:, 0]) < 0.1
