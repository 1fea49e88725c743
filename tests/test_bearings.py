"""Which bearing part is damaged: orders from geometry, lines in the envelope's spectrum, what is refused, and the command."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import invoke

import micro
from micro.datasets import cwru
from micro.look.vibration import vibration_of
from micro.signal.bearings import BEARINGS, FAULTS, parsed_bearing
from micro.signal.kurtogram import choose_band, kurtogram
from micro.signal.squared_envelope import Band, squared_envelope, whitened

RATE, RPM = 12_000.0, 1797.0


def struck(
    order, *, seed=0, seconds=5.0, rate=RATE, rpm=RPM, noise=0.5, slip=0.0, jitter=0.01, ringing=3000.0, turning=0.0
):
    """Impacts at an order of the shaft that ring and die out, with jitter from one to the next, in noise.

    `turning` is by how much their strength follows the shaft, as on an inner race that turns through the load.
    """
    rng = np.random.default_rng(seed)
    count = int(seconds * rate)
    period = 60 / rpm / (order * (1 + slip))
    times = np.cumsum(period * (1 + jitter * rng.normal(size=int(seconds / period * 1.1))))
    samples = noise * rng.normal(size=count)
    own = np.arange(int(0.005 * rate)) / rate
    for time in times[times < seconds - 0.01]:
        start = math.ceil(time * rate)
        since = own + start / rate - time
        strength = 1 + turning * np.cos(2 * np.pi * time * rpm / 60)
        samples[start : start + len(own)] += strength * np.exp(-1000 * since) * np.sin(2 * np.pi * ringing * since)
    return samples


def test_orders_are_those_that_are_published():
    published = {
        "6205": (3.5848, 5.4152, 4.7135, 0.39828),  # Case Western Reserve University
        "6203": (3.0530, 4.9469, 3.9874, 0.3817),  # the same, fan end
        "ER16K": (3.57, 5.43, None, None),  # University of Ottawa
        "ZA-2115": (236.4 * 60 / 2000, 296.9 * 60 / 2000, 279.8 / 2000 * 60, None),  # IMS, Hz at 2000 RPM
    }
    for name, figures in published.items():
        orders = micro.bearing_orders(name)
        for found, figure in zip((orders.bpfo, orders.bpfi, 2 * orders.bsf, orders.ftf), figures):
            assert figure is None or found == pytest.approx(figure, rel=2e-3), name


@given(st.integers(3, 40), st.floats(0.05, 0.95), st.floats(0.1, 500), st.floats(0, 60))
def test_the_races_share_the_balls_and_the_cage_turns_slower_than_half_the_shaft(balls, share, pitch, angle):
    ball = share * pitch * math.sin(math.pi / balls)
    orders = micro.bearing_orders(micro.Bearing(balls, ball, pitch, angle))
    assert orders.bpfo + orders.bpfi == pytest.approx(balls)
    assert orders.bpfo == pytest.approx(balls * orders.ftf)
    assert 0 < orders.ftf <= 0.5 < orders.bpfi


def test_a_bearing_is_typed_by_name_or_by_numbers():
    assert parsed_bearing("6205-2RS") is parsed_bearing(" 6205 ") is BEARINGS["6205"]
    assert parsed_bearing("9, 7.94,39.04").pitch_diameter == 39.04
    assert parsed_bearing("16,8.4,71.5,15.17").contact_angle == 15.17
    for wrong, says in {
        "62055": "'62055' is not known; near it are 6205",
        "9,7.94": "BALLS,BALL_DIAMETER,PITCH_DIAMETER",
        "9.5,8,40": "BALLS,BALL_DIAMETER",
        "nine,8,40": "got 'nine,8,40'",
        "2,8,40": "from 3 to 1,000",
        "9,40,39": "below pitch_diameter",
        "9,8,40,90": "below 90 degrees",
        "20,8,40": "at most 15 do",
        "9,nan,40": "below pitch_diameter",
    }.items():
        with pytest.raises(ValueError, match=says):
            parsed_bearing(wrong)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("slip", [0.0, -0.009, 0.008])
def test_a_struck_part_is_named_at_its_frequency(fault, slip):
    order = micro.bearing_orders("6205").of(fault)
    found = micro.diagnose(struck(order, slip=slip, noise=0.2, seconds=6.0), RATE, RPM, "6205")
    assert found.fault == fault, found
    assert found.highest.frequency == pytest.approx(order * (1 + slip) * RPM / 60, rel=3e-3, abs=0.3)
    assert str(found).startswith(f"{fault}, {found.highest.level:.0f} dB over its surroundings at ")


def test_the_band_of_the_ringing_is_chosen_and_one_knock_does_not_choose_it():
    samples = struck(3.585, ringing=4400.0)
    band = choose_band(samples, RATE, 600.0)
    assert band.low <= 4400 <= band.high <= band.low + 3000
    time = np.arange(400) / RATE
    samples[20_000:20_400] += 60 * np.exp(-400 * time) * np.sin(2 * np.pi * 1200 * time)
    assert choose_band(samples, RATE, 600.0) == band
    tone = np.sin(2 * np.pi * 1000 * np.arange(12_001) / RATE)
    assert kurtogram(tone, RATE, 600.0)[Band(0.0, 6000.0)] == pytest.approx(-1, abs=0.01)
    noise = kurtogram(np.random.default_rng(0).normal(size=60_001), RATE, 600.0)
    assert max(map(abs, noise.values())) < 0.3


@given(st.integers(4000, 4100), st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_the_squared_envelope_of_a_band_is_that_of_its_tones(count, seed):
    """Two tones in the band beat at their difference, and nothing outside the band is left, at odd and even lengths."""
    time = np.arange(count) / count
    a, b = np.random.default_rng(seed).integers(600, 990, 2)
    samples = np.cos(2 * np.pi * a * time) + 0.5 * np.cos(2 * np.pi * b * time) + 3 * np.cos(2 * np.pi * 300 * time)
    envelope, rate = squared_envelope(np.fft.rfft(samples), count, float(count), Band(500.0, 1000.0))
    assert rate == 1000
    expected = 1.25 + np.cos(2 * np.pi * (a - b) * np.arange(1000) / 1000)
    np.testing.assert_allclose(envelope, expected, atol=1e-9)


def test_levelling_takes_tones_and_resonances_away():
    rng, time = np.random.default_rng(0), np.arange(40_001) / RATE
    samples = np.convolve(rng.normal(size=40_001), [1, 1.2, 0.9], "same") + 20 * np.sin(2 * np.pi * 1000 * time)
    power = np.abs(np.fft.rfft(whitened(samples, RATE, 30.0))) ** 2
    each = [part.mean() for part in np.array_split(power, 20)]
    assert max(each) < 1.3 * min(each)


def test_healthy_noise_and_a_smooth_shaft_name_nothing():
    """The rate that is stated: at most 1 of 100 recordings of the least length, and none of longer ones."""
    named = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        time = np.arange(15_000) / 3000
        shaft = sum(
            np.cos(2 * np.pi * k * 30 * time + k) * (1 + 0.3 * np.cos(2 * np.pi * 30 * time)) for k in (1, 2, 5)
        )
        named += micro.diagnose(rng.normal(size=len(time)) + shaft, 3000, 1800, "6205").fault is not None
    assert named == 0


def test_a_baseline_takes_away_what_the_healthy_machine_shows():
    healthy, worn = struck(3.585, seed=1, noise=0.4), struck(3.585, seed=2, noise=0.4)
    assert micro.diagnose(worn, RATE, RPM, "6205").fault == "outer race"
    assert micro.diagnose(worn, RATE, RPM, "6205", healthy).fault is None
    inner = struck(5.415, seed=3, noise=0.3, turning=0.6)
    found = micro.diagnose(inner + healthy[: len(inner)] * 0.5, RATE, RPM, "6205", healthy)
    assert found.fault == "inner race"
    line = next(each for each in found.lines if each.fault == "inner race")
    assert f"{line.rise:.0f} dB over the baseline at 5.42 orders" in str(found)
    # A baseline at another speed is looked at with its own.
    slow = struck(3.585, seed=4, noise=0.4, rpm=1600)
    assert micro.diagnose(worn, RATE, RPM, "6205", slow, baseline_rpm=1600).fault is None


def test_scale_offset_and_shape_of_one_sensor_do_not_matter():
    samples = struck(3.585, seconds=3.0)
    once = micro.diagnose(samples, RATE, RPM, "6205")
    again = micro.diagnose((1000 * samples + 50)[:, None].astype(np.float32), RATE, RPM, "6205")
    assert (again.fault, again.band) == (once.fault, once.band) == ("outer race", once.band)
    assert again.highest.level == pytest.approx(once.highest.level, abs=0.01)


def test_what_cannot_be_diagnosed_is_refused_with_what_would_do():
    samples = np.random.default_rng(0).normal(size=36_000)
    for says, call in {
        "a sample rate of 1000 Hz is too low: at 1797 RPM the inner race has 162.2 Hz, whose 3 harmonics need 1216": (
            lambda: micro.diagnose(samples, 1000, RPM, "6205")
        ),
        r"samples of 1 s are too short: they hold 29.9 turns of the shaft at 1797 RPM, and 64 \(2.14 s\)": (
            lambda: micro.diagnose(samples[:12_000], RATE, RPM, "6205")
        ),
        "baseline of 1 s are too short": lambda: micro.diagnose(samples, RATE, RPM, "6205", samples[:12_000]),
        "samples hold 1 values that are not finite": lambda: micro.diagnose(
            np.where(np.arange(36_000) == 7, np.nan, samples), RATE, RPM, "6205"
        ),
        r"one sensor, \(n,\), got the shape \(12000, 3\)": lambda: micro.diagnose(
            samples.reshape(-1, 3), RATE, RPM, "6205"
        ),
        "samples never change": lambda: micro.diagnose(np.full(36_000, 9.8), RATE, RPM, "6205"),
        "rpm must be above 0, got -3": lambda: micro.diagnose(samples, RATE, -3, "6205"),
        "slip must be from 0 to 0.05": lambda: micro.diagnose(samples, RATE, RPM, "6205", slip=0.2),
        "from low to below twice low": lambda: micro.estimate_speed(samples, RATE, 900, 1800),
        "are too short: 10 turns at 100 RPM take 6 s": lambda: micro.estimate_speed(samples, RATE, 100, 150),
        "too low to see three multiples": lambda: micro.estimate_speed(samples, 100, 1500, 2000),
    }.items():
        with pytest.raises(ValueError, match=says):
            call()


@given(st.floats(1510, 1990), st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_the_speed_is_found_where_multiples_of_it_stand_out_and_noise_is_not_sure(rpm, seed):
    rng, time = np.random.default_rng(seed), np.arange(24_001) / 4000
    shaft = sum(0.4 * np.cos(2 * np.pi * k * rpm / 60 * time + rng.uniform(0, 6)) for k in (1, 2, 3, 5, 7))
    found = micro.estimate_speed(shaft + rng.normal(size=len(time)), 4000, 1500, 2000)
    assert found.sure
    assert found.rpm == pytest.approx(rpm, rel=2e-3)
    assert not micro.estimate_speed(rng.normal(size=len(time)), 4000, 1500, 2000).sure


def test_recordings_of_a_real_rig_are_named_as_measured(cwru_folder):
    """Three of those that docs/results.md lists, each with its own band, and the healthy one."""
    for number, fault in {105: "inner race", 130: "outer race", 222: "ball"}.items():
        samples, rpm = cwru.read_mat(cwru_folder, number), cwru.read_speed(cwru_folder, number)
        assert micro.diagnose(samples, cwru.SAMPLE_RATE, rpm, "6205").fault == fault
        assert micro.estimate_speed(samples, cwru.SAMPLE_RATE, 1500, 2000).rpm == pytest.approx(rpm, rel=3e-3)
    healthy = cwru.load(cwru_folder, [0])[0]
    assert micro.diagnose(healthy.samples, healthy.sample_rate, 1796, "6205").fault is None


def test_the_command_reads_files_as_look_does_and_names_each_channel(tmp_path):
    wavfile = pytest.importorskip("scipy.io.wavfile")
    samples, noise = struck(5.415, turning=0.5), np.random.default_rng(9).normal(size=60_000)
    wavfile.write(tmp_path / "two.wav", 12_000, np.stack([samples, noise], axis=1).astype(np.float32))
    time = np.arange(60_000) / RATE
    table = np.stack([time + (time > 4.5) * 3, samples], axis=1)
    np.savetxt(tmp_path / "t.csv", table, "%.7f", ",", header="time,acc", comments="")
    typed = ("diagnose", tmp_path / "two.wav", tmp_path / "t.csv", "--bearing", "6205", "--rpm", 1797)
    result = invoke(*typed)
    lines = result.stdout.splitlines()
    assert (result.exit_code, len(lines)) == (1, 3), result.output
    assert re.search("two.wav, .*: inner race, ", lines[0])
    assert lines[1].split(": ", 1)[1].startswith("no bearing frequency stands out, band ")
    assert "t.csv: inner race, " in lines[2]
    # The longest stretch without a gap, at the clock's own rate.
    (signal,) = vibration_of(tmp_path / "t.csv")
    assert (signal.channel, len(signal.samples), round(signal.sample_rate)) == ("acc", 54_001, 12_000)
    plain = json.loads(invoke(*typed, "--json").stdout)
    assert [row["fault"] for row in plain] == ["inner race", None, "inner race"]
    assert plain[0]["text"] in lines[0]
    with_baseline = invoke(*typed[:2], *typed[3:], "--baseline", tmp_path / "two.wav")
    assert (with_baseline.exit_code, with_baseline.stdout.count("no bearing frequency")) == (0, 2)
    assert "has no channel 'acc', which" in invoke(*typed, "--baseline", tmp_path / "two.wav").stderr
