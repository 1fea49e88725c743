"""The simulated rig: its bearing's orders, its impacts, its sensor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from micro.datasets import rig


def test_orders_of_an_skf_6205_are_the_published_ones():
    # Multiples of shaft speed that the Bearing Data Center publishes for its drive-end bearing; BSF there counts both races.
    orders = rig.Bearing().orders()
    assert orders["bpfo"] == pytest.approx(3.5848, abs=5e-3)
    assert orders["bpfi"] == pytest.approx(5.4152, abs=5e-3)
    assert orders["ftf"] == pytest.approx(0.39828, abs=5e-3)
    assert 2 * orders["bsf"] == pytest.approx(4.7135, abs=5e-3)


@pytest.mark.parametrize(("fault", "order"), [("outer", "bpfo"), ("inner", "bpfi")])
def test_a_faults_frequency_stands_out_in_the_envelope(fault, order):
    machine = rig.Rig(speed_range=0.0, speed_drift=0.0)
    recording = rig.simulate_rig(machine, 8.0, np.random.default_rng(0), fault=fault, severity=2.0)
    band = signal.butter(4, (2500, 4500), "bandpass", fs=machine.sample_rate, output="sos")
    envelope = np.abs(signal.hilbert(signal.sosfiltfilt(band, recording.samples[:, 0])))
    power = np.abs(np.fft.rfft(envelope - envelope.mean())) ** 2
    frequency = np.fft.rfftfreq(len(envelope), 1 / machine.sample_rate)
    expected = machine.speed / 60 * machine.bearing.orders()[order]
    near = np.abs(frequency - expected) < 0.03 * expected
    elsewhere = (frequency > 0.6 * expected) & (frequency < 1.4 * expected) & ~near
    assert power[near].max() > 2 * power[elsewhere].max()


def test_the_shaft_turns_at_the_speed_asked_for():
    machine = rig.Rig(speed_range=0.0)
    turns = rig.shaft_turns(machine, 128_000, np.random.default_rng(1))
    assert (turns[-1] - turns[0]) / 10 * 60 == pytest.approx(machine.speed, rel=0.01)
    assert (np.diff(turns) > 0).all()


def test_impacts_recur_at_the_bearings_order():
    machine = rig.Rig(speed_range=0.0)
    turns = rig.shaft_turns(machine, 256_000, np.random.default_rng(2))
    for fault, order in (("outer", "bpfo"), ("inner", "bpfi"), ("cage", "ftf")):
        train = rig.impacts(machine, turns, fault, np.random.default_rng(3))
        rate = np.count_nonzero(train) / (turns[-1] - turns[0])
        assert rate == pytest.approx(machine.bearing.orders()[order], rel=0.02)


@given(st.integers(4, 16), st.floats(0.5, 16), st.integers(0, 99))
def test_the_sensor_clips_and_steps(bits, full_scale, seed):
    sensor = rig.Sensor(full_scale, bits, 0.0)
    rng = np.random.default_rng(seed)
    given_g = rng.normal(size=500) * full_scale
    read = rig.sense(sensor, given_g, rng)
    step = 2 * full_scale / 2**bits
    assert read.min() >= -full_scale * (1 + 1e-6)
    assert read.max() <= (full_scale - step) * (1 + 1e-6)
    np.testing.assert_allclose(read / step, np.round(read / step), atol=1e-2)
    inside = np.abs(given_g) < full_scale - step
    assert np.abs(read - given_g)[inside].max(initial=0) <= 0.51 * step


def test_same_seed_same_recording():
    one, two = (
        rig.simulate_rig(rig.Rig(), 1.0, np.random.default_rng(5), fault="ball", severity=0.5) for _ in range(2)
    )
    np.testing.assert_array_equal(one.samples, two.samples)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"fault": "belt"}, "fault must be one of"),
        ({"severity": -1.0}, "severity"),
        ({"seconds": 0.0}, "not one sample"),
    ],
)
def test_the_rig_refuses_what_it_cannot_simulate(arguments, says):
    with pytest.raises(ValueError, match=says):
        rig.simulate_rig(**{"rig": rig.Rig(), "seconds": 1.0, "rng": np.random.default_rng(0), **arguments})
