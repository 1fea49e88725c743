"""A machine that is off, a shaft's pulses and a device's own sensor: on every core what Python makes of the same stream."""

import functools
import shutil
import subprocess
from dataclasses import replace

import emitted_c
import numpy as np
import pytest
import streamed_c
from test_off_rms import firmware_of, samples_of

from micro.detection.detector import Status
from micro.detection.modes import NO_THRESHOLD
from micro.detection.mounted_sensor import MountedSensor
from micro.emission.parameters import parameters_of
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.runs.device import judge
from micro.signal.tachometer import Tachometer, counts, rpm, turn_times
from micro.support.files import sha256
from micro.tflite.graph import read

# Events from a file: a pulse, the values of a sensor's self-test, or a sample of the sensor. A row a sample: as the model
# takes it, the speed, status, score and whether the alarm is on.
EVENTS = r"""
#include <string.h>
#ifdef SENSOR
#include "d_record.h"
#include "d_sensor.h"
static d_parameters parameters;
static uint8_t record[D_RECORD_SIZE];
#define RAW D_SENSOR_CHANNELS
#else
#define RAW D_CHANNELS
#endif
#ifdef SHAFT
#include "d_tachometer.h"
static d_tachometer shaft;
#endif
#ifdef FIXED
typedef int32_t value;
#else
typedef float value;
#endif
int main(void) {
  static d_sample raw[RAW], sample[D_CHANNELS];
  uint32_t event[2];
  begin();
  RESET();
#ifdef SENSOR
  if (!next(record, sizeof record) || d_record_read(record, sizeof record, &parameters) != D_RECORD_OK) return 1;
  d_detector_reset_with(&detector, &parameters);
#endif
#ifdef SHAFT
  d_tachometer_reset(&shaft);
#endif
  while (next(event, sizeof event)) {
    int64_t row[3] = {0, 0, 0};
    value speed = 0;
#ifdef SHAFT
    if (event[0] == 1u) {
      d_tachometer_pulse(&shaft, event[1]);
      continue;
    }
#endif
#ifdef SENSOR
    if (event[0] == 2u) {
      value values[RAW];
      if (!next(values, sizeof values)) return 2;
      row[0] = d_sensor_at_rest(&detector.parameters->sensor, values);
      row[1] = d_sensor_responds(&detector.parameters->sensor, values);
      tell(row, sizeof row);
      continue;
    }
#endif
    if (!next(raw, sizeof raw)) return 3;
#ifdef SENSOR
    d_sensor_apply(&detector.parameters->sensor, raw, sample);
#else
    (void)memcpy(sample, raw, sizeof sample);
#endif
#ifdef SHAFT_SAMPLE
    (void)d_tachometer_sample(&shaft, event[1], &sample[D_CHANNELS - 1]);
#endif
#ifdef SHAFT_SPEED
    (void)d_tachometer_speed(&shaft, event[1], &speed);
    d_detector_set_speed(&detector, speed);
#endif
    row[0] = (int64_t)d_detector_push(&detector, sample);
    row[1] = row[0] == D_HEALTHY || row[0] == D_ALARM ? detector.score : 0;
    row[2] = (int64_t)detector.alarm;
    tell(sample, sizeof sample);
    tell(&speed, sizeof speed);
    tell(row, sizeof row);
  }
  return 0;
}
"""
CORES = ("host", "m0", "m4f", "m33", "rv32imc")
SAMPLES, MICROSECONDS = 3000, 1000  # and between two of them
LIMIT = 0.0625  # whose multiples are exact in float32 and in counts
SHAFT = Tachometer(2, 150.0, 3100.0)
NAMES = (
    "off float32", "off fixed", "off frames", "off fixed frames", "off filtered", "off fixed filtered",
    "shaft modes", "shaft modes_fixed", "shaft orders", "shaft orders_fixed",
    "sensor float32", "sensor fixed", "all float32", "all fixed",
)  # fmt: skip
# Microseconds of a turn, and how long it lasts: edges of modes exactly and a microsecond beside them, none, and too slow.
TURNS = (
    (None, 130), (75_000, 500), (100_000, 700), (66_666, 400), (66_667, 400), (None, 430), (50_000, 600), (40_001, 300),
    (40_000, 300), (33_333, 400), (20_001, 200), (20_000, 200), (430_000, 900), (60_000, 500),
)  # fmt: skip
START = 2**32 - 2_500_000
# Microseconds from pulse to pulse at the end: as long as a shaft may take, one more, as short as a pulse may come, one less.
LONGEST, SHORTEST = SHAFT.longest, SHAFT.shortest
AT_BOUNDS = (LONGEST, LONGEST, LONGEST + 1, LONGEST, SHORTEST, SHORTEST - 1, 120_000, 120_000, 90_000)
SHAFT_SAMPLES = 8000


def pulses_of(seed=0):
    """Pulses of a shaft, two a turn at unequal distances, some of which are missing and some of which bounce."""
    rng, times, begin = np.random.default_rng(seed), [], START
    for turn, milliseconds in TURNS:
        end = begin + 1000 * milliseconds
        if turn is not None:
            own = np.arange(begin, end, turn)
            both = np.sort(np.concatenate([own, own + int(0.45 * turn)]))
            left = rng.random(len(both)) < 0.03
            times += [*both[~left], *(both[rng.random(len(both)) < 0.1] + rng.integers(1, 400))]
        begin = end
    return sorted(int(time) for time in (*times, *(begin + np.cumsum([0, *AT_BOUNDS]))))


def turned(pulses, count):
    """Pulses and samples in their order; some pulses come between the time of a sample and its question for the speed."""
    rng = np.random.default_rng(5)
    early = [(time - (60 if rng.random() < 0.5 else 0), 0, True, time % 2**32) for time in pulses]
    asked = [START + MICROSECONDS * n for n in range(count)]
    return [event[2:] for event in sorted([*early, *((time, 1, False, time % 2**32) for time in asked)])]


def sensed(front_end, channels, count, seed=1):
    """Samples of a machine that is still at times, at its limit and just below, saturates, and loses its sensor."""
    fixed, rng = front_end.arithmetic == "fixed", np.random.default_rng(seed)
    level = rng.choice([0.002, 0.3, 0.6, 1.5], count // 150 + 1, p=[0.4, 0.3, 0.2, 0.1]).repeat(150)[:count, None]
    made = 0.5 + level * rng.normal(0, 1, (count, channels))
    # Half of it where `sensor_for` multiplies.
    flips = np.where(np.arange(count) % 2, LIMIT, -LIMIT)[:, None] * np.append(np.ones(channels - 1), 0.5)
    for begin in (400, 1700):
        made[begin : begin + 300] = flips[:300]
    made[2000 - 200 : 2000 : 16] = 0  # below the limit, as every other number of those windows is at it
    samples = np.round(made * 4096).clip(-32768, 32767).astype(np.int16) if fixed else made.astype(np.float32)
    for begin in (900, 2400):
        samples[begin : begin + 9] = rng.choice([-32768, 32767] if fixed else [-9.0, 8.0, 1e6], (9, channels))
    if not fixed:
        samples[1300, 0], samples[2600, -1] = np.nan, np.inf
    return samples


def decisive(firmware, samples, speed):
    """With thresholds that scores of these samples hit exactly and lie on both sides of."""
    judged = judge(firmware, samples, speed=speed)
    scores = np.sort(judged.scores[np.isin(judged.statuses, (Status.HEALTHY, Status.ALARM))])
    assert len(scores) > 8
    limit = int(scores[int(0.6 * len(scores))])
    decider = firmware.decider
    if decider.modes is None:
        return replace(firmware, decider=replace(decider, threshold=limit, clear_threshold=int(0.9 * limit)))
    pairs = tuple((NO_THRESHOLD,) * 2 if a == NO_THRESHOLD else (limit, limit) for a, _ in decider.modes.thresholds)
    return replace(firmware, decider=replace(decider, modes=replace(decider.modes, thresholds=pairs)))


def sensor_for(front_end, channels):
    """Axes that are swapped and negative, scales above and below 1, limits of a self-test."""
    fixed, own = front_end.arithmetic == "fixed", front_end.channels
    axes = [f"{sign}{axis}" for sign, axis in zip("-+-", (channels - 1, 0, 1))][:own]
    unit = 4096 if fixed else 1
    limits = {0: (-2 * unit, -unit), channels - 1: (unit, unit)}
    return MountedSensor.made(
        own, channels, axes=axes, scales=(1.5, 0.75, 1.0)[:own], rest=limits, response={1: (0, 3 * unit)}, fixed=fixed
    )


def case_of(name):
    """The firmware of a case: what it shows, and its front end or its name in `emitted_c`."""
    shows, _, of = name.partition(" ")
    if shows == "off":
        return firmware_of(of)
    if shows == "shaft":
        return replace(emitted_c.firmwares()[of], tachometer=SHAFT)
    fixed = of == "fixed"
    limits = emitted_c.FIXED_LIMITS if fixed else emitted_c.LIMITS
    front_end = emitted_c.FIXED if fixed else emitted_c.WHOLE
    if shows == "sensor":
        plain = emitted_c.detector(replace(front_end, channels=1), "reconstruction", **limits)
        return replace(plain, sensor_channels=3)
    off = tuple(each * (4096 if fixed else 1) for each in (LIMIT, 0.0, LIMIT))
    whole = emitted_c.by_speed(replace(front_end, channels=3), off_rms=off, **emitted_c.HITS, **limits)
    return replace(whole, tachometer=SHAFT, sensor_channels=5)


ROW_END = [("status", "<i8"), ("score", "<i8"), ("alarm", "<i8")]


@functools.cache
def stream_of(name):
    """Firmware, the file of events, and what Python makes of them: a row a sample, and the answers to self-tests."""
    firmware = case_of(name)
    front_end, fixed = firmware.front_end, firmware.front_end.arithmetic == "fixed"
    channels = firmware.sensor_channels or front_end.channels
    count = SHAFT_SAMPLES if firmware.tachometer else SAMPLES
    raw = sensed(front_end, channels, count)
    if name.startswith("off"):
        raw = samples_of(3, count)
        raw = front_end.counts(raw) if fixed else raw
    sensor = None if firmware.sensor_channels is None else sensor_for(front_end, channels)
    samples = raw if sensor is None else sensor.apply(raw)
    events, speeds, values = [(False, 0)] * count, np.zeros(count), np.zeros(count)
    ranges = firmware.decider.modes and firmware.decider.modes.ranges
    if firmware.tachometer is not None:
        events = turned(pulses_of(), count)
        turns = np.array(turn_times(firmware.tachometer, events), np.int64)
        if ranges is not None:
            values = counts(turns, ranges.resolution, 2**31 - 1) if fixed else rpm(turns)
            speeds = values * (ranges.resolution or 1.0)
        if front_end.orders == "channel":
            samples = samples.copy()
            samples[:, -1] = counts(turns, front_end.speed_full_scale / 32768, 32767) if fixed else rpm(turns)
    speed = None if ranges is None else speeds
    firmware = decisive(firmware, samples, speed)
    judged = judge(firmware, samples, speed=speed)
    kind = "<i2" if fixed else "<f4"
    rows = np.zeros(count, [("sample", kind, (front_end.channels,)), ("speed", "<i4" if fixed else "<f4"), *ROW_END])
    rows["sample"], rows["speed"] = samples, values
    ends = front_end.sensor_window - 1 + front_end.sensor_hop * np.arange(len(judged.statuses))
    statuses = np.array([int(each) for each in judged.statuses])
    scored = np.isin(statuses, (Status.HEALTHY, Status.ALARM))
    rows["status"][ends], rows["score"][ends] = statuses, np.where(scored, judged.scores, 0)
    told = np.flatnonzero(np.isin(rows["status"], (Status.HEALTHY, Status.ALARM)))
    last = np.searchsorted(told, np.arange(count), side="right") - 1
    rows["alarm"] = np.where(last >= 0, rows["status"][told[np.maximum(last, 0)]] == Status.ALARM, 0)
    content, answers = as_bytes(firmware, sensor, raw, events)
    return firmware, content, rows, answers


def as_bytes(firmware, sensor, raw, events):
    """The file of events, and the answers to the self-tests at its end."""
    at, parts = iter(raw), []
    for is_pulse, time in events:
        parts.append(np.array([int(is_pulse), time], "<u4").tobytes())
        parts += [] if is_pulse else [next(at).tobytes()]
    if sensor is None:
        return b"".join(parts), b""
    record = parameters_of(
        firmware.front_end, firmware.scaling, firmware.decider, read(firmware.tflite), sha256(firmware.tflite)
    )
    answers = []
    for values in self_tests(sensor):
        parts += [np.array([2, 0], "<u4").tobytes(), values.tobytes()]
        answers += [sensor.fault(values.tolist()), sensor.fault(values.tolist(), response=True), 0]
    assert set(answers) >= {-1, 0, 1, sensor.channels - 1}
    return replace(record, sensor=sensor).to_bytes() + b"".join(parts), np.array(answers, "<i8").tobytes()


def self_tests(sensor):
    """Values at each end of each limit, and next to it."""
    kind = np.int32 if sensor.fixed else np.float32
    good = np.array([low if abs(low) < 1e30 and low != -(2**31) else 0 for low, _ in sensor.rest], kind)
    yield good
    for place, pairs in enumerate(zip(sensor.rest, sensor.response)):
        for end in (end for pair in pairs for end in pair):
            for value in (
                (end, end - 1, end + 1) if sensor.fixed else (end, np.nextafter(kind(end), kind(0)), -end, np.nan)
            ):
                own = good.copy()
                own[place] = np.clip(value, -(2**31), 2**31 - 1) if sensor.fixed else value
                yield own


def program_of(firmware, folder):
    """Write the program for a firmware. Returns the names of its sources."""
    ranges, front_end = firmware.decider.modes, firmware.front_end
    shaft = firmware.tachometer is not None
    has = {
        "SENSOR": firmware.sensor_channels is not None,
        "SHAFT": shaft,
        "SHAFT_SPEED": shaft and ranges is not None,
        "SHAFT_SAMPLE": shaft and front_end.orders == "channel",
    }
    defined = "".join(f"#define {name} 1\n" for name, given in has.items() if given)
    return streamed_c.written(firmware, folder, defined + EVENTS, summaries=False)


def on(core, firmware, folder, content):
    """What the program writes on a core, or on this machine under sanitizers."""
    if core != "host":
        if missing := missing_for(core):
            pytest.skip(f"not installed: {', '.join(missing)}")
        sources = program_of(firmware, folder)
        (folder / "samples.bin").write_bytes(content)
        return run_in_qemu(folder, core, sources)
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    program = streamed_c.compiled(program_of(firmware, folder), folder)
    done = subprocess.run([program], input=content, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:3000]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", NAMES)
def test_cores_take_decide_and_measure_each_sample_as_python_does(name, core, tmp_path):
    firmware, content, rows, answers = stream_of(name)
    # Where there is a record, thresholds come from it as well.
    made = firmware if firmware.sensor_channels is None else case_of(name)
    found = on(core, made, tmp_path, content)
    assert len(found) == rows.nbytes + len(answers)
    own = np.frombuffer(found, rows.dtype, len(rows))
    for field in rows.dtype.names:
        np.testing.assert_array_equal(own[field], rows[field], err_msg=field)
    assert found[rows.nbytes :] == answers


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_streams_reach_what_could_differ(name):
    firmware, _, rows, _ = stream_of(name)
    seen = {Status(status) for status in set(rows["status"].tolist()) - {0}}
    wanted = {Status.HEALTHY, Status.ALARM}
    if firmware.decider.off_rms:
        wanted |= {Status.MACHINE_OFF}
    if firmware.decider.modes is not None:
        wanted |= {Status.MACHINE_OFF, Status.UNKNOWN_MODE}
    if firmware.decider.saturation and not name.startswith("off"):
        wanted |= {Status.FAULT_SATURATED}
    assert seen >= wanted, seen
    if "shaft modes" in name or name.startswith("all"):
        told = rows["speed"] * (0.5 if firmware.front_end.arithmetic == "fixed" else 1.0)
        assert {0.0, 600.0, 1500.0, 3000.0} <= set(told.tolist())
    if firmware.decider.modes is None:
        assert firmware.decider.threshold in rows["score"]
