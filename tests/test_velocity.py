"""Velocity RMS against closed forms, and the zones of severity."""

import numpy as np
import pytest

from micro.signal.readings import read_vibration
from micro.signal.severity import BORDERS, borders_of, vibration_zone
from micro.signal.velocity import Vibration, velocity_rms

RATES = (2560.0, 4096.0, 12000.0, 48000.0)
# Of a velocity in mm/s: 0.1 % of it.
WITHIN = 1e-3


def tone(frequency, rate, seconds, peak=1.0, phase=0.3):
    return peak * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate + phase)


def rms_of(frequency, peak=1.0):
    """Velocity RMS in mm/s of an acceleration of that peak in m/s2."""
    return 1e3 * peak / (2 * np.pi * frequency) / np.sqrt(2)


def block(rate, arithmetic="float32", **more):
    return Vibration(rate, "m/s2", arithmetic=arithmetic, full_scale=40.0 if arithmetic == "fixed" else None, **more)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frequency", [12.0, 13.37, 50.0, 159.15, 501.7, 997.0])
def test_a_sine_has_the_velocity_of_the_closed_form_within_a_thousandth(frequency, rate):
    vibration = block(rate)
    seconds = vibration.span / rate
    found = [
        velocity_rms(tone(frequency, rate, seconds, phase=phase), rate, unit="m/s2") for phase in (0.0, 1.1, 2.2, 4.0)
    ]
    np.testing.assert_allclose(found, rms_of(frequency), rtol=WITHIN)


@pytest.mark.parametrize("rate", RATES)
def test_a_line_two_bins_inside_the_band_is_right_within_a_thousandth(rate):
    vibration = block(rate)
    seconds = vibration.span / rate
    for frequency in (10 + 2 * vibration.width, 1000 - 2 * vibration.width):
        found = velocity_rms(tone(frequency, rate, seconds), rate, unit="m/s2")
        assert found == pytest.approx(rms_of(frequency), rel=WITHIN)


@pytest.mark.parametrize("rate", RATES)
def test_a_line_at_a_border_counts_with_about_half_its_power(rate):
    vibration = block(rate)
    for frequency in (10.0, 1000.0):
        found = velocity_rms(tone(frequency, rate, vibration.span / rate), rate, unit="m/s2")
        assert (found / rms_of(frequency)) ** 2 == pytest.approx(0.5, abs=0.07)


def test_two_tones_add_their_squares():
    rate = 4096.0
    for first, second, ratio in ((12.3, 700.1, 20.0), (25.0, 50.0, 1.0), (49.8, 52.6, 0.5), (30.7, 990.0, 500.0)):
        x = tone(first, rate, 4) + tone(second, rate, 4, ratio, 2.0)
        wanted = np.hypot(rms_of(first), rms_of(second, ratio))
        # Lines nearer than 4 bins beat against one another within a block.
        assert velocity_rms(x, rate, unit="m/s2") == pytest.approx(wanted, rel=WITHIN if second - first > 4 else 5e-3)


def test_gravity_and_a_trend_do_not_count():
    rate = 4096.0
    x = tone(50, rate, 2, 0.1)
    drift = 9.81 + np.linspace(0, 3.0, len(x))
    assert velocity_rms(x + drift, rate, unit="m/s2") == pytest.approx(rms_of(50, 0.1), rel=WITHIN)
    assert velocity_rms(drift, rate, unit="m/s2") < 2e-3
    assert velocity_rms(np.full(len(x), 9.81), rate, unit="m/s2") < 1e-5


def test_strong_lines_outside_the_band_hardly_count():
    rate = 12000.0
    vibration = block(rate)
    x = tone(50, rate, vibration.span / rate)
    for frequency, peak in ((5.0, 1.0), (7.0, 0.3), (1100.0, 5.0), (2990.0, 50.0), (3050.0, 50.0), (5500.0, 50.0)):
        found = velocity_rms(x + tone(frequency, rate, vibration.span / rate, peak), rate, unit="m/s2")
        assert found == pytest.approx(rms_of(50), rel=2e-3), frequency


@pytest.mark.parametrize("rate", RATES[:3])
def test_white_noise_has_the_velocity_of_the_integral(rate):
    rng = np.random.default_rng(7)
    vibration = block(rate)
    blocks = 120
    x = rng.normal(0, 1, blocks * vibration.span).astype(np.float32)
    # Of a density of 2 / rate in (m/s2)^2 per Hz, over (2 pi f)^2 from 10 to 1,000 Hz.
    wanted = 1e3 * np.sqrt(2 / rate / (2 * np.pi) ** 2 * (1 / 10 - 1 / 1000))
    # The scatter of 120 blocks, and the half bin at the lower border.
    assert velocity_rms(x, rate, unit="m/s2") == pytest.approx(wanted, rel=0.04)


@pytest.mark.parametrize("rate", RATES)
def test_fixed_point_gives_the_closed_form_within_a_thousandth_and_a_micrometer(rate):
    vibration = block(rate, "fixed")
    for frequency in (12.0, 13.37, 50.0, 159.15, 501.7, 997.0):
        for peak in (0.1, 2.0, 35.0):
            x = tone(frequency, rate, vibration.span / rate, peak) + (3.0 if peak < 30 else 0.0)
            (found,) = vibration.block_velocities(vibration.taken(x[None]))
            assert found == pytest.approx(1000 * rms_of(frequency, peak), rel=WITHIN, abs=1.0), (frequency, peak)


def test_units_are_of_the_samples():
    rate = 4096.0
    x = tone(50, rate, 1)
    in_si = velocity_rms(x, rate, unit="m/s2")
    assert velocity_rms(x / 9.80665, rate, unit="g") == pytest.approx(in_si, rel=1e-6)
    assert velocity_rms(1000 * x, rate, unit="mm/s2") == pytest.approx(in_si, rel=1e-6)


def test_each_channel_has_its_own_velocity():
    rate = 4096.0
    x = np.stack([tone(frequency, rate, 2) for frequency in (20.0, 50.0, 333.3)], axis=1)
    found = velocity_rms(x, rate, unit="m/s2")
    np.testing.assert_allclose(found, [rms_of(20), rms_of(50), rms_of(333.3)], rtol=WITHIN)


def test_the_running_value_is_the_mean_square_of_the_latest_blocks():
    vibration = block(4096.0, average=2, borders=(1.4, 2.8, 4.5))
    levels = np.array([0.5, 1.0, 4.0, 4.0])
    x = np.concatenate([tone(50, 4096.0, 1, level) for level in levels])[:, None]
    seen = read_vibration(vibration, x)
    each = rms_of(50, levels)
    np.testing.assert_allclose(seen.blocks, each, rtol=WITHIN)
    wanted = [each[0], *(np.sqrt((each[n - 1] ** 2 + each[n] ** 2) / 2) for n in (1, 2, 3))]
    np.testing.assert_allclose(seen.velocities, wanted, rtol=WITHIN)
    assert ["ABCD"[zone - 1] for zone in seen.zones] == [vibration_zone(v, borders=(1.4, 2.8, 4.5)) for v in wanted]


def test_the_largest_of_the_channels_counts():
    vibration = block(4096.0, channels=3, measured=(0, 2))
    x = np.stack([tone(50, 4096.0, 4), tone(50, 4096.0, 4, 99.0), tone(50, 4096.0, 4, 2.0)], axis=1)
    seen = read_vibration(vibration, x)
    np.testing.assert_allclose(seen.velocities, rms_of(50, np.array([1.0, 2.0, 2.0, 2.0])), rtol=WITHIN)
    assert seen.channels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("borders", BORDERS.values())
def test_a_velocity_at_a_border_is_in_the_lower_zone(borders):
    for zone, border in zip("ABC", borders):
        assert vibration_zone(border, borders=borders) == zone
        assert vibration_zone(np.nextafter(border, 99), borders=borders) == chr(ord(zone) + 1)
    assert vibration_zone(0.0, borders=borders) == "A"


@pytest.mark.parametrize(
    ("category", "power", "borders"),
    [
        (1, 200, (2.5, 4.0, 6.6)),
        (1, 200.1, (3.5, 5.0, 7.6)),
        (2, 1.1, (3.2, 5.1, 8.5)),
        (2, 400, (4.2, 6.1, 9.5)),
    ],
)
def test_the_zones_of_pumps_are_those_of_iso_10816_7(category, power, borders):
    assert borders_of(None, None, None, category, power) == borders
    assert vibration_zone(borders[1], pump_category=category, pump_power=power) == "B"


def test_the_zones_of_the_table_are_those_of_the_standard():
    assert borders_of(1, "rigid") == borders_of(2, "flexible") == (2.3, 4.5, 7.1)
    assert borders_of(1, "flexible") == (3.5, 7.1, 11.0)
    assert borders_of(2, "rigid") == (1.4, 2.8, 4.5)
    assert borders_of(None, None) is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: vibration_zone(1.0), "needs machine_group and support, pump_category and pump_power, or borders"),
        (lambda: vibration_zone(1.0, machine_group=3, support="rigid"), "machine_group 1 or 2"),
        (lambda: vibration_zone(1.0, machine_group=1), "support 'rigid' or 'flexible', got 1 and None"),
        (lambda: vibration_zone(-1.0, borders=(1, 2, 3)), "0 or more"),
        (lambda: vibration_zone(float("nan"), borders=(1, 2, 3)), "0 or more"),
        (lambda: vibration_zone(1.0, borders=(2, 2, 3)), "rise from above 0"),
        (lambda: vibration_zone(1.0, borders=(1, 2, 3), support="rigid"), "one or the other"),
        (lambda: Vibration(2000.0, "g"), "sample rate of 2560 Hz at least, got 2000; or set high to 781.2 Hz"),
        (lambda: Vibration(12000.0, "g", window=1024), r"holds 3.41 periods of 10 Hz, fewer than 4; take window 2048"),
        (lambda: Vibration(12000.0, "g", low=1.0), "take a low of 2.93 Hz"),
        (lambda: Vibration(4096.0, "mm"), "unit must be one of g, m/s2, mm/s2, got 'mm'"),
        (lambda: Vibration(4096.0, "g", window=1000), "window must be a power of two"),
        (lambda: Vibration(4096.0, "g", low=50.0, high=20.0), "must rise"),
        (lambda: Vibration(4096.0, "g", average=65), "average must be 1 to 64"),
        (lambda: Vibration(4096.0, "g", arithmetic="fixed"), "needs full_scale"),
        (lambda: Vibration(4096.0, "g", channels=2, measured=(2,)), "channels from 0 to 1"),
        (lambda: velocity_rms(np.zeros(4095), 4096.0, unit="g"), r"needs 4,096 samples at 4096 Hz \(1 s\), got 4,095"),
        (lambda: velocity_rms(np.full(4096, np.nan), 4096.0, unit="g"), "not finite"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_would_be_right(call, said):
    with pytest.raises(ValueError, match=said):
        call()
