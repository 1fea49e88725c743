"""Filters of a stream of samples: their response, and that the emitted C gives the same windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal
from test_front_end import GRID, in_c, needs_gcc

from micro.datasets.recording import windows
from micro.signal import Conditioning, Filter, FrontEnd, JoinedFrontEnd, Scaling, Source
from micro.signal.conditioning import (
    LARGEST_SAMPLE,
    UNUSABLE,
    _by_steps,
    filtered_float32,
    fixed_sections,
    float32_sections,
    response,
)

RATE = 12_800.0


def alike(front_end, samples, folder):
    """C takes the sensor's samples, Python filters the stream and cuts it into windows."""
    size = int(np.prod(front_end.shape))
    scaling = Scaling((0.0,) * front_end.shape[-1], (1.0,) * front_end.shape[-1])
    values, features = in_c(front_end, scaling, samples, folder)
    frames = windows(front_end.conditioned(samples), front_end.window, front_end.hop)
    fixed = front_end.arithmetic == "fixed"
    expected = front_end.integers(frames) if fixed else front_end(frames)
    assert len(features) == len(expected) > 0
    if front_end.frame is None:
        np.testing.assert_array_equal(values, expected.reshape(-1, size))
    np.testing.assert_array_equal(features, front_end.int8(frames, scaling, *GRID).reshape(-1, size))


@st.composite
def filters(draw, rate):
    kind = draw(st.sampled_from(["highpass", "lowpass", "bandpass"]))
    low = rate * draw(st.floats(0.002, 0.2))
    high = draw(st.floats(1.3 * low, 0.48 * rate))
    bounds = {"highpass": {"low": low}, "lowpass": {"high": high}, "bandpass": {"low": low, "high": high}}[kind]
    return Filter(kind, order=draw(st.integers(1, 8)), **bounds)


@st.composite
def front_ends(draw):
    decimate = draw(st.integers(1, 16))
    window = draw(st.integers(9, 90))
    return FrontEnd(
        draw(st.sampled_from([("statistics",), ("raw",), ("shape", "statistics")])),
        window,
        draw(st.integers(1, 2 * window) if draw(st.booleans()) else st.integers(1, window)) % window + 1,
        channels=draw(st.sampled_from([1, 3])),
        sample_rate=RATE,
        arithmetic=draw(st.sampled_from(["float32", "fixed"])),
        decimate=decimate,
        filter=draw(st.none() | filters(RATE / decimate)),
    )


@st.composite
def streams(draw, front_end):
    """Extreme samples, impulses, constants, and squares at the edge of the filter, in counts."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    length = front_end.decimate * (front_end.window + 3 * front_end.hop) + draw(st.integers(0, 5))
    time = np.arange(length)[:, None] + np.zeros(front_end.channels)
    edge = RATE / 8 if front_end.filter is None else front_end.filter.bounds[-1]
    made = {
        "noise": lambda: rng.normal(size=time.shape) * 3000,
        "impulse": lambda: np.where(time == length // 3, 32767, 0),
        "constant": lambda: np.full(time.shape, -32768),
        "square": lambda: np.where((time * edge / RATE) % 1 < 0.5, 32767, -32768),
        "random": lambda: np.where(rng.random(time.shape) < 0.5, 32767, -32768),
    }[draw(st.sampled_from(["noise", "impulse", "constant", "square", "random"]))]()
    if front_end.arithmetic == "fixed":
        return np.clip(np.round(made), -32768, 32767).astype(np.int16)
    return made.astype(np.float32)


@needs_gcc
@given(st.data())
@settings(max_examples=8)
def test_c_filters_as_python_does_bit_for_bit(tmp_path_factory, data):
    front_end = data.draw(front_ends())
    alike(front_end, data.draw(streams(front_end)), tmp_path_factory.mktemp("c"))


@pytest.mark.slow
@needs_gcc
@given(st.data())
@settings(max_examples=400, deadline=None)
def test_c_filters_as_python_does_on_many_streams(tmp_path_factory, data):
    front_end = data.draw(front_ends())
    alike(front_end, data.draw(streams(front_end)), tmp_path_factory.mktemp("c"))


@needs_gcc
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_c_filters_frames_of_a_spectrum(tmp_path, arithmetic):
    front_end = FrontEnd(
        ("spectrum",), 96, 32, 2, RATE, bands=4, frame=32, frame_hop=16, decimate=3, arithmetic=arithmetic,
        filter=Filter("bandpass", 100.0, 1500.0, 2),
    )  # fmt: skip
    samples = np.random.default_rng(0).normal(size=(3 * 400, 2)) * 1000
    alike(front_end, samples.astype(np.int16 if arithmetic == "fixed" else np.float32), tmp_path)


@needs_gcc
def test_samples_that_are_not_finite_restart_the_filter_and_leave_no_trace(tmp_path):
    made = Conditioning(RATE, 2, Filter("highpass", 50.0))
    x = np.random.default_rng(1).normal(size=600).astype(np.float32)
    x[[100, 101, 333]] = [np.nan, np.inf, -2e8]
    y = made(x)
    assert np.flatnonzero(y == UNUSABLE).tolist() == [50, 166]
    np.testing.assert_array_equal(y[51:166], made(x[102:332]))
    front_end = FrontEnd(
        ("raw",), 25, 25, sample_rate=RATE, decimate=2, filter=Filter("highpass", 50.0), detrend="none"
    )
    alike(front_end, x[:, None], tmp_path)


@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
@pytest.mark.parametrize(
    "chosen", [Filter("highpass", 10.0), Filter("lowpass", None, 500.0, 8), Filter("bandpass", 100.0, 3000.0, 5)]
)
def test_the_response_is_butterworth_s_within_a_tenth_of_a_decibel(arithmetic, chosen):
    made = Conditioning(RATE, 1, chosen, arithmetic)
    bounds = chosen.bounds if chosen.kind == "bandpass" else chosen.bounds[0]
    wanted = signal.butter(chosen.order, bounds, chosen.kind, output="sos", fs=RATE)
    frequencies = np.array([b * r for b in chosen.bounds for r in (0.7, 1.0, 1.4)])
    for frequency, gain in zip(frequencies, np.abs(signal.sosfreqz(wanted, frequencies, fs=RATE)[1])):
        if gain < 1e-2:
            continue
        period = np.arange(60_000 if chosen.bounds[0] < 20 else 12_000)
        tone = 20_000 * np.sin(2 * np.pi * frequency / RATE * period)
        y = made(tone.round().astype(np.int16) if arithmetic == "fixed" else tone).astype(float)[len(tone) // 2 :]
        at = np.arange(len(tone) // 2, len(tone)) * 2 * np.pi * frequency / RATE
        basis = np.stack([np.sin(at), np.cos(at)], axis=1)
        level = np.linalg.norm(np.linalg.lstsq(basis, y, rcond=None)[0]) / 20_000
        assert abs(20 * np.log10(level / gain)) < 0.1


@pytest.mark.parametrize("factor", range(2, 17))
def test_what_would_fold_into_the_pass_band_is_80_decibels_down(factor):
    sections = Conditioning(None, factor).low_pass
    kept = np.abs(response(sections, np.linspace(0, 0.8 * np.pi / factor, 2000)))
    folded = np.abs(response(sections, np.linspace(1.2 * np.pi / factor, np.pi, 8000)))
    assert 20 * np.log10(kept.min()) > -0.06
    assert 20 * np.log10(kept.max()) < 0.001
    assert 20 * np.log10(folded.max()) < -79.9


@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_a_constant_is_as_if_it_had_always_been_there(arithmetic):
    samples = np.full(100, 12_345, np.int16 if arithmetic == "fixed" else np.float32)
    low = Conditioning(RATE, 4, None, arithmetic)(samples)
    assert np.abs(low / 12_345 - 10 ** (-0.05 / 20)).max() < 1e-4
    high = Conditioning(RATE, 1, Filter("highpass", 20.0), arithmetic)(samples)
    assert np.abs(high).max() < 0.05


@given(st.data())
@settings(max_examples=15)
def test_the_worst_stream_stays_within_32_bits(data):
    """Full scale with the signs of the impulse response, reversed, is what makes a value largest."""
    made = Conditioning(RATE, 1, data.draw(filters(RATE)), "fixed")
    sections = made.sections
    for count in range(1, len(sections) + 1):
        impulse = signal.sosfilt(sections[:count], np.eye(1, 3000)[0])
        assert 2.0**27 * np.abs(impulse).sum() < 2**31
        worst = np.where(impulse[::-1] > 0, 32767, -32768).astype(np.int16)
        made(worst)
    assert np.abs(fixed_sections(sections)).max() < 2**31


def test_scipy_s_loop_gives_what_is_stated():
    x = np.random.default_rng(2).normal(size=400).astype(np.float32)
    sections = Conditioning(RATE, 1, Filter("bandpass", 100.0, 3000.0)).sections
    np.testing.assert_array_equal(filtered_float32(sections, x), _by_steps(float32_sections(sections), x))
    assert LARGEST_SAMPLE < UNUSABLE


@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_skewness_is_that_of_the_field(arithmetic):
    rng = np.random.default_rng(3)
    samples = np.stack([rng.normal(size=500), rng.exponential(size=500), -rng.exponential(size=500)])[:, :, None] * 900
    front_end = FrontEnd(("shape",), 500, 500, arithmetic=arithmetic)
    rows = front_end(samples.round().astype(np.int16) if arithmetic == "fixed" else samples)
    centred = samples[:, :, 0] - samples[:, :, 0].mean(axis=1, keepdims=True)
    skewness = (centred**3).mean(axis=1) / (centred**2).mean(axis=1) ** 1.5
    np.testing.assert_allclose(rows[:, 2], skewness, atol=2e-3)
    plain = FrontEnd(("moments",), 500, 500, arithmetic=arithmetic)
    same = plain(samples.round().astype(np.int16) if arithmetic == "fixed" else samples)
    np.testing.assert_array_equal(rows[:, [0, 1, 3]], same)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"decimate": 17}, "decimate must be 1 to 16, got 17"),
        ({"filter": Filter("lowpass", None, 700.0), "sample_rate": None}, "sample_rate is needed for a filter"),
        (
            {"filter": Filter("lowpass", None, 700.0), "decimate": 10},
            "below half the rate, 640 Hz after decimation, got 700",
        ),
        ({"filter": Filter("highpass", 0.5, order=8)}, "bounds are too low for its order"),
    ],
)
def test_what_does_not_fit_is_refused(settings_, message):
    with pytest.raises(ValueError, match=message):
        FrontEnd(("statistics",), 64, 64, **{"sample_rate": RATE, **settings_})


def test_filters_and_further_sources_are_refused_together():
    plain = FrontEnd(("statistics",), 64, 64, sample_rate=RATE)
    filtered = FrontEnd(("statistics",), 64, 64, sample_rate=RATE, decimate=2)
    with pytest.raises(ValueError, match=r"the main source: .* take no filter and no decimate"):
        JoinedFrontEnd(filtered, (Source("heat", plain, 10),))


@pytest.mark.parametrize(
    "bad", [{"kind": "highpass"}, {"kind": "notch", "low": 1.0}, {"kind": "lowpass", "high": 1.0, "order": 9}]
)
def test_filters_that_do_not_exist_are_refused(bad):
    with pytest.raises(ValueError, match=r"needs low|must be one of|order must be 1 to 8"):
        Filter(**bad)
