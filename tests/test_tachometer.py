"""The speed of a shaft from pulses of a pin: C and Python are one, whatever the pulses do."""

import ctypes
import functools
import shutil
import subprocess
from dataclasses import replace

import emitted_c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import WARNINGS

import micro
from micro.config import parse_config
from micro.config.tachometer import tachometer_for
from micro.detection.modes import Ranges
from micro.emission.tachometer import tachometer_files
from micro.firmware.project import project_files
from micro.signal.tachometer import counts, rpm, turn_times

RANGES = Ranges("rpm", (600.0, 900.0, 3000.0))
SENSOR = """
#include "d_tachometer.h"
static d_tachometer state;
void reset(void) { d_tachometer_reset(&state); }
void pulse(uint32_t now) { d_tachometer_pulse(&state, now); }
double speed(uint32_t now) { SPEED found; d_tachometer_speed(&state, now, &found); return (double)found; }
double sample(uint32_t now) { SAMPLE found; d_tachometer_sample(&state, now, &found); return (double)found; }
"""


@functools.cache
def library(folder, pulses, fixed):
    """The C of a tachometer, with both of its outputs."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    tachometer = micro.Tachometer(pulses, 300.0, 3000.0)
    front_end = emitted_c.FIXED_ORDERS if fixed else emitted_c.ORDERS
    ranges = replace(RANGES, resolution=0.25) if fixed else RANGES
    emitted_c.written(tachometer_files(tachometer, front_end, ranges, "d"), folder)
    kinds = ("int32_t", "int16_t") if fixed else ("float", "float")
    (folder / "main.c").write_text(SENSOR.replace("SPEED", kinds[0]).replace("SAMPLE", kinds[1]))
    flags = [each for each in WARNINGS if "prototypes" not in each]
    command = ["gcc", *flags, "-Wsign-conversion", "-Wno-long-long", "-O1", "-shared", "-fPIC", "-o", "d.so"]
    done = subprocess.run([*command, "d_tachometer.c", "main.c"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]
    loaded = ctypes.CDLL(str(folder / "d.so"))
    for name in ("speed", "sample"):
        getattr(loaded, name).restype = ctypes.c_double
    return tachometer, loaded


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return functools.cache(lambda *key: tmp_path_factory.mktemp("tachometer"))


def in_c(loaded, events, output):
    loaded.reset()
    ask, found = getattr(loaded, output), []
    for is_pulse, time in events:
        if is_pulse:
            loaded.pulse(ctypes.c_uint32(time))
        else:
            found.append(ask(ctypes.c_uint32(time)))
    return found


def asked_after_each(pulses, wait=100):
    return [event for time in pulses for event in ((True, int(time) % 2**32), (False, int(time + wait) % 2**32))]


def drawn(seed, pulses):
    """Pulses of a speed that changes, with jitter, bounces, missing ones, stops, and times that wrap around."""
    rng = np.random.default_rng(seed)
    time, events = int(rng.integers(0, 2**32)), []
    for _ in range(rng.integers(1, 12)):
        period = 60e6 / rng.uniform(100, 4000) / pulses
        for _ in range(rng.integers(0, 40)):
            step = period * rng.uniform(0.95, 1.05) * (2 if rng.random() < 0.1 else 1)
            time += int(step)
            events.append((True, time % 2**32))
            if rng.random() < 0.2:
                events.append((True, (time + int(rng.integers(0, 400))) % 2**32))
            if rng.random() < 0.3:
                events.append((False, (time + int(rng.integers(-50, int(period) * 4))) % 2**32))
        if rng.random() < 0.5:
            time += int(rng.choice([500_000, 2_000_000, 2**31 - 5_000_000, 2**32 + 30_000]))
            events.append((False, (time - 20_000) % 2**32))
    return events


@pytest.mark.parametrize("fixed", [False, True], ids=["float32", "fixed"])
@pytest.mark.parametrize("pulses", [1, 3])
def test_c_tells_the_speed_that_python_tells(folders, pulses, fixed):
    tachometer, loaded = library(folders(pulses, fixed), pulses, fixed)

    @given(st.integers(0, 2**32))
    @settings(max_examples=60, deadline=None)
    def check(seed):
        events = drawn(seed, pulses)
        turns = np.array(turn_times(tachometer, events), np.int64)
        if fixed:
            expected = counts(turns, 0.25, 2**31 - 1), counts(turns, 6000.0 / 32768, 32767)
        else:
            expected = rpm(turns), rpm(turns)
        for output, own in zip(("speed", "sample"), expected, strict=True):
            assert in_c(loaded, events, output) == own.astype(float).tolist()

    check()


@given(st.floats(310, 2900), st.integers(1, 60), st.integers(0, 2**32 - 1), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_steady_shaft_has_its_speed_with_jitter_bounces_and_over_the_wrap(speed, pulses, start, seed):
    tachometer = micro.Tachometer(pulses, 300.0, 3000.0)
    rng = np.random.default_rng(seed)
    distance = 60e6 / speed / pulses
    marks = np.cumsum(
        np.tile(distance * (1 + 0.3 * np.linspace(-1, 1, pulses + 2)[1:-1]), 9)
    )  # uneven, in each turn alike
    times = start + marks + rng.uniform(-0.5, 0.5, len(marks)) * min(10, tachometer.shortest / 8)
    bounced = np.sort(np.concatenate([times, times[::2] + min(20, tachometer.shortest / 4)]))
    found = turn_times(tachometer, asked_after_each(bounced, 1))
    assert found[0] == 0
    assert rpm(found[-1:])[0] == pytest.approx(speed, rel=0.002)


def test_a_pulse_that_is_missing_or_too_many_does_not_change_the_speed():
    tachometer = micro.Tachometer(1, 300.0, 3000.0)
    times = 50_000 * np.arange(40)
    for place in range(4, 39):
        without = turn_times(tachometer, asked_after_each(np.delete(times, place)))
        assert set(without[3:]) == {50_000}
        more = turn_times(tachometer, asked_after_each(np.sort(np.append(times, times[place] + 15_000))))
        assert set(more[5:]) == {50_000}


def test_a_stop_is_seen_and_stays_seen_when_times_wrap_around():
    tachometer = micro.Tachometer(1, 300.0, 3000.0)
    events = asked_after_each(50_000 * np.arange(10))
    last = 450_000
    events += [(False, last + tachometer.longest), (False, last + tachometer.longest + 1), (False, last + 2**31 - 1)]
    events += [(False, (last + 2**32 + 10) % 2**32), *asked_after_each(last + 2**32 + 50_000 * np.arange(1, 4))]
    found = turn_times(tachometer, events)
    assert found[:2] == [0, 50_000]
    assert found[10:14] == [50_000, 0, 0, 0]
    assert found[14:] == [0, 50_000, 50_000]


def test_no_speed_before_a_whole_turn_and_a_pulse_after_the_time_was_taken_is_no_stop():
    tachometer = micro.Tachometer(4, 300.0, 3000.0)
    found = turn_times(tachometer, asked_after_each(12_500 * np.arange(6)))
    assert found == [0, 0, 0, 0, 50_000, 50_000]
    assert turn_times(tachometer, [*asked_after_each(12_500 * np.arange(6)), (False, 62_000)])[-1] == 50_000


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((0, 300.0, 3000.0), "1 to 1,024, got 0"),
        ((1, 3000.0, 300.0), "above 0 and rise"),
        ((1024, 300.0, 300_000.0), "too fast for microseconds"),
        ((1, 0.01, 300.0), "longer than 32 bits"),
    ],
)
def test_tachometers_that_cannot_be_are_refused(given, says):
    with pytest.raises(ValueError, match=says):
        micro.Tachometer(*given)


def config(**sections):
    return parse_config(
        {
            "job": "table", "data": {"files": "*.csv", "healthy_files": "ok*", "sample_rate": 1000.0}, "teacher": {},
            "student": {}, "firmware": {"pulses_per_revolution": 2}, **sections,
        }
    )  # fmt: skip


def test_pulses_are_for_runs_that_take_a_speed():
    modes = {"column": "rpm", "edges": [600.0, 3000.0], "off_below": 100.0}
    assert config(modes=modes).firmware.pulses_per_revolution == 2
    for wrong in ({}, {"modes": {"column": "rpm", "off_below": 100.0}}):
        with pytest.raises(ValueError, match=r"pulses_per_revolution is for firmware that takes a speed"):
            config(**wrong)
    with pytest.raises(ValueError, match="must be speeds in RPM above 0"):
        config(modes={"column": "load", "edges": [-2.0, -1.0]})


def test_a_shaft_too_slow_for_orders_still_turns_for_modes():
    """0 RPM would be a machine that is off, and pulses faster than the last edge would count as bounces."""
    orders = {"orders": "channel", "speed_column": "rpm", "slowest": 1500.0, "fastest": 3000.0, "low": 0.5, "high": 4.5}
    modes = {"column": "rpm", "edges": [600.0, 1500.0, 7000.0], "off_below": 100.0}
    for sections, speeds in (
        ({}, (1500.0, 3000.0)),
        ({"modes": modes}, (100.0, 7000.0)),
        ({"modes": {"column": "rpm", "off_below": 200.0}}, (200.0, 3000.0)),
    ):
        made = config(features=orders, **sections)
        found = tachometer_for(2, made.features, made.modes)
        assert (found.slowest, found.fastest) == speeds


DECLARED = """#pragma once
#include <stdint.h>
struct device;
struct gpio_dt_spec { const struct device *port; uint8_t pin; };
struct gpio_callback { int used; };
typedef uint32_t gpio_port_pins_t;
typedef void (*gpio_callback_handler_t)(const struct device *, struct gpio_callback *, gpio_port_pins_t);
#define DT_PATH(node) 0
#define GPIO_DT_SPEC_GET(node, property) { 0, 3 }
#define GPIO_INPUT 1u
#define GPIO_INT_EDGE_TO_ACTIVE 2u
#define BIT(n) (1u << (n))
int gpio_is_ready_dt(const struct gpio_dt_spec *spec);
int gpio_pin_configure_dt(const struct gpio_dt_spec *spec, uint32_t flags);
int gpio_pin_interrupt_configure_dt(const struct gpio_dt_spec *spec, uint32_t flags);
void gpio_init_callback(struct gpio_callback *own, gpio_callback_handler_t handler, gpio_port_pins_t mask);
int gpio_add_callback(const struct device *port, struct gpio_callback *own);
uint64_t k_ticks_to_us_floor64(uint64_t ticks);
int64_t k_uptime_ticks(void);
"""


def test_the_example_compiles_against_what_zephyr_declares(tmp_path):
    firmware = emitted_c.firmwares()["modes"]
    files = project_files(firmware, emitted_c.frames_of(firmware.front_end, 1), "pump", "zephyr", "static")
    folder = emitted_c.written(files, tmp_path)
    for header in ("device.h", "kernel.h", "drivers/gpio.h"):
        path = tmp_path / "platform/zephyr" / header
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('#include "all.h"\n' if header != "drivers/gpio.h" else '#include "../all.h"\n')
    (tmp_path / "platform/zephyr/all.h").write_text(DECLARED)
    command = ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Isrc", "-Iplatform", "-c", "-o", "example.o"]
    for ticks, says in ((10_000, ""), (32, "pulses come too soon for these ticks")):
        own = [*command, f"-DCONFIG_SYS_CLOCK_TICKS_PER_SEC={ticks}", "examples/sensor_zephyr_tachometer.c"]
        done = subprocess.run(own, cwd=folder, capture_output=True, text=True)
        assert (done.returncode == 0) == (says == ""), done.stderr
        assert says in done.stderr


@pytest.mark.parametrize("name", ["modes", "orders_fixed"])
def test_a_project_has_the_tachometer_and_where_to_call_it(name):
    firmware = emitted_c.firmwares()[name]
    frames = emitted_c.frames_of(firmware.front_end)
    files = project_files(firmware, frames, "pump", "zephyr", "static")
    sensor = files["src/sensor.c"].decode()
    assert "pump_tachometer shaft;" in sensor
    assert ("pump_tachometer_sample(&shaft" in sensor) == (name == "orders_fixed")
    assert b"src/pump_tachometer.c" in files["CMakeLists.txt"]
    example = files["examples/sensor_zephyr_tachometer.c"].decode()
    assert "pump_tachometer_pulse(&shaft, tachometer_microseconds())" in example
    if name == "orders_fixed":
        # A core without an FPU does not compute in floats.
        assert "float" not in files["src/pump_tachometer.c"].decode()
    without = project_files(replace(firmware, tachometer=None), frames, "pump", "zephyr", "static")
    assert not [path for path in without if "tachometer" in path]
