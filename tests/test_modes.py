"""Operating modes: a threshold for each range of speed that keeps its rate, the same in C, and what is not judged."""

import itertools
import shutil
import subprocess
from dataclasses import replace

import emitted_c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SANITIZERS, WARNINGS, build_app

import micro
from micro.aot.generate import generate
from micro.detection.detector import Status, decide, with_modes
from micro.detection.in_alarm import in_alarm
from micro.detection.modes import NO_THRESHOLD, OFF, UNKNOWN, Modes, Ranges
from micro.detection.record import RecordStatus
from micro.detection.score import Score
from micro.detection.threshold import Threshold, calibrate
from micro.emission.detector import detector_files
from micro.emission.parameters import parameters_of
from micro.firmware.project import project_files
from micro.runs.device import decisions
from micro.signal import FrontEnd
from micro.support.files import sha256
from micro.tflite.graph import read

# Each sample comes behind a speed; at some of them the parameters are exchanged for those of the record before the samples.
HARNESS = r"""
#include <stdio.h>
#include "d.h"
#include "d_record.h"
#include "d_detector.h"
static d_detector state;
static d_parameters other;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  static uint8_t record[D_RECORD_SIZE], again[D_RECORD_SIZE];
  d_sample sample[D_CHANNELS];
  SPEED speed;
  uint32_t at = 0, exchange, restart, i;
  if (fread(&restart, sizeof restart, 1, stdin) != 1) return 1;
  if (fread(&exchange, sizeof exchange, 1, stdin) != 1 || fread(record, sizeof record, 1, stdin) != 1) return 1;
  if (d_record_read(record, sizeof record, &other) != D_RECORD_OK) return 2;
  d_record_write(&other, 1, again);
  for (i = 0; i < sizeof record; ++i) if (record[i] != again[i]) return 3;
  d_detector_reset(&state);
  while (fread(&speed, sizeof speed, 1, stdin) == 1 && fread(sample, sizeof sample, 1, stdin) == 1) {
    d_status status;
    if (at == restart) d_detector_restart(&state);
    if (at++ == exchange) d_detector_set_parameters(&state, &other);
    d_detector_set_speed(&state, speed);
    status = d_detector_push(&state, sample);
    if (status != D_WAITING) {
      printf("%d %lld %lu %d\n", (int)status, (long long)state.score, (unsigned long)state.history, state.alarm);
    }
  }
  return 0;
}
"""
EDGES = (600.0, 900.0, 1500.0)
NAMES = ("float32", "fixed", "frames", "off alone", "filtered", "filtered fixed")
FIXED_ONES = ("fixed", "filtered fixed")
NEVER = 2**32 - 1


def firmware_of(name):
    front_end = {
        "fixed": emitted_c.FIXED,
        "frames": emitted_c.FRAMES,
        "filtered": emitted_c.FILTERED,
        "filtered fixed": emitted_c.FIXED_FILTERED,
    }.get(name, emitted_c.WHOLE)
    resolution = 0.25 if name in FIXED_ONES else None
    ranges = Ranges("rpm", () if name == "off alone" else EDGES, off_below=100.0, resolution=resolution)
    firmware = emitted_c.detector(front_end, "reconstruction", min_hits=2, history=3, clear_after=2)
    scores = np.array([d.score for d in decisions(firmware, samples_of(firmware, 0))])
    levels = [Threshold(float(np.quantile(scores, level)), "") for level in (0.5, 0.8)[: ranges.count]]
    return replace(firmware, decider=with_modes(firmware.decider, ranges, levels, clear_threshold=0.9))


def samples_of(firmware, seed, count=4000, longer=1):
    rng = np.random.default_rng(seed)
    stays = 200 * longer
    samples = rng.normal(0, 1, (count, 2)) * rng.uniform(0.2, 3, count // stays).repeat(stays)[:, None]
    return np.clip(samples, -7.9, 7.9).astype(np.float32)


def speeds_of(seed, count=4000):
    """Speeds that stay for a while, drift, jump, stand on edges, and are no numbers."""
    rng = np.random.default_rng(seed)
    levels = [
        0,
        99.9,
        100,
        100.1,
        350,
        599.9,
        600,
        750,
        899.99,
        900,
        1200,
        1499.99,
        1500,
        4000,
        -5,
        np.nan,
        1e30,
        899.9,
    ]
    parts, total = [], 0
    while total < count:
        length = int(rng.integers(1, 400))
        noise = rng.choice([0.0, 0.0, 1.0, 30.0])
        parts.append(rng.choice(levels) + noise * rng.normal(size=length))
        total += length
    return np.concatenate(parts)[:count]


def signals_of(firmware, seed):
    """Samples and speeds that stay for several windows, however many samples these take."""
    longer = -(-firmware.front_end.sensor_window // 64)
    speeds = speeds_of(seed)
    samples = samples_of(firmware, seed, longer * len(speeds), longer)
    return samples, speeds.repeat(longer)


def parts_of(firmware):
    return firmware.front_end, firmware.scaling, firmware.decider, read(firmware.tflite), sha256(firmware.tflite)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """By name: the firmware, and a program of its C."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    made = {}
    for name in NAMES:
        firmware = firmware_of(name)
        made[name] = (firmware, program_of(firmware, tmp_path_factory.mktemp("modes")))
    return made


def program_of(firmware, folder):
    emitted_c.written(detector_files(*parts_of(firmware), "d"), folder)
    generate(firmware.tflite, folder, "d")
    kind = "int32_t" if firmware.front_end.arithmetic == "fixed" else "float"
    (folder / "main.c").write_text(HARNESS.replace("SPEED", kind))
    command = ["gcc", *WARNINGS, "-Wsign-conversion", "-Wshadow", *SANITIZERS, "-Wno-long-long", "main.c"]
    sources = [f"d{part}.c" for part in ("", "_front_end", "_parameters", "_record", "_detector")]
    done = subprocess.run([*command, *sources, "-lm", "-o", "main"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    return folder / "main"


def in_c(program, firmware, samples, speeds, record, exchange=NEVER, restart=NEVER):
    """Status, score, history and alarm of each window."""
    fixed = firmware.front_end.arithmetic == "fixed"
    given_speeds = firmware.decider.modes.ranges.values(speeds)
    if fixed:
        samples = np.clip(np.rint(samples / 8.0 * 32768), -32768, 32767)
        given_speeds = np.nan_to_num(given_speeds, nan=-(2.0**31))
    kinds = ("<i4", "<i2") if fixed else ("<f4", "<f4")
    rows = np.empty(len(samples), [("speed", kinds[0]), ("sample", kinds[1], (2,))])
    rows["speed"], rows["sample"] = given_speeds, samples
    raw = np.array([restart, exchange], np.uint32).tobytes() + record + rows.tobytes()
    done = subprocess.run([program], input=raw, capture_output=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    return np.array(done.stdout.split(), np.int64).reshape(-1, 4)


@pytest.mark.parametrize("name", NAMES)
def test_c_decides_as_python_while_the_speed_changes(built, name):
    firmware, program = built[name]
    seen = set()
    for seed in range(6):
        samples, speeds = signals_of(firmware, seed)
        if name in FIXED_ONES:
            speeds = np.nan_to_num(speeds, nan=-1e12)
        found = in_c(program, firmware, samples, speeds, parameters_of(*parts_of(firmware)).to_bytes())
        expected = decisions(firmware, samples, speed=speeds)
        assert found[:, 0].tolist() == [int(each.status) for each in expected]
        scored = [n for n, each in enumerate(expected) if each.score is not None]
        unit = firmware.decider.score.unit
        assert [found[n, 1] * unit for n in scored] == [expected[n].score for n in scored]
        seen |= set(found[:, 0].tolist())
        for before, after in itertools.pairwise(found):
            if after[0] == Status.UNKNOWN_MODE:  # changes nothing
                assert before[1:].tolist() == after[1:].tolist()
            if after[0] == Status.MACHINE_OFF:
                assert after[1:].tolist() == [before[1], 0, before[3]]
    assert seen == {Status.HEALTHY, Status.ALARM, Status.MACHINE_OFF, Status.UNKNOWN_MODE}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["float32", "fixed", "frames", "filtered", "filtered fixed"])
def test_a_machine_is_off_by_its_samples_or_by_its_speed_and_faults_come_first(name, tmp_path):
    firmware = firmware_of(name)
    limits = (2048.0, 1843.0) if name in FIXED_ONES else (0.5, 0.45)
    firmware = replace(firmware, decider=replace(firmware.decider, off_rms=limits))
    program, seen = program_of(firmware, tmp_path), set()
    for seed in range(6):
        samples, speeds = signals_of(firmware, seed)
        if name in FIXED_ONES:
            speeds = np.nan_to_num(speeds, nan=-1e12)
        else:
            samples[np.random.default_rng(seed).integers(0, len(samples), 2), 1] = [np.nan, 1e9]
        found = in_c(program, firmware, samples, speeds, parameters_of(*parts_of(firmware)).to_bytes())
        assert found[:, 0].tolist() == [int(each.status) for each in decisions(firmware, samples, speed=speeds)]
        seen |= set(found[:, 0].tolist())
    assert seen >= {Status.HEALTHY, Status.ALARM, Status.MACHINE_OFF, Status.UNKNOWN_MODE}


@pytest.mark.parametrize("name", NAMES)
def test_thresholds_by_mode_are_exchanged_while_it_runs(built, name):
    firmware, program = built[name]
    samples, speeds = samples_of(firmware, 9), np.full(4000, 700.0)
    before = parameters_of(*parts_of(firmware))
    lower = replace(before, **{what: (-1,) * len(before.threshold) for what in ("threshold", "clear_threshold")})
    none = replace(
        before, **{what: (NO_THRESHOLD,) * len(before.threshold) for what in ("threshold", "clear_threshold")}
    )
    assert set(in_c(program, firmware, samples, speeds, lower.to_bytes(), 0)[2:, 0]) == {Status.ALARM}
    assert set(in_c(program, firmware, samples, speeds, none.to_bytes(), 0)[:, 0]) == {Status.UNKNOWN_MODE}
    found = in_c(program, firmware, samples, speeds, none.to_bytes(), 2000)[:, 0]
    expected = [int(each.status) for each in decisions(firmware, samples, speed=speeds)]
    first = (2000 - firmware.front_end.sensor_window) // firmware.front_end.sensor_hop + 1
    assert found[:first].tolist() == expected[:first]
    assert set(found[first:]) == {Status.UNKNOWN_MODE}


def test_a_window_after_a_gap_has_the_mode_of_its_own_samples_alone(built):
    firmware, program = built["fixed"]
    samples = samples_of(firmware, 3)
    for before, after in ((0.0, 700.0), (700.0, 0.0), (700.0, 1200.0), (700.0, 700.0), (0.0, 0.0)):
        for restart in (70, 101, 140):
            speeds = np.where(np.arange(400) < restart, before, after)
            found = in_c(
                program, firmware, samples[:400], speeds, parameters_of(*parts_of(firmware)).to_bytes(), restart=restart
            )
            earlier = decisions(firmware, samples[:restart], speed=speeds[:restart])
            later = decisions(firmware, samples[restart:400], speed=speeds[restart:])
            judged = [each.status < Status.MACHINE_OFF for each in (*earlier, *later)]
            assert (found[:, 0] < Status.MACHINE_OFF).tolist() == judged
            assert set(judged[len(earlier) :]) == {after > 0}


QUEUE_SENSOR = """
#include "sensor.h"
int sensor_read(pump_sample *sample, SPEED *speed) { (void)sample; (void)speed; return -1; }
int sensor_start(void) {
  static const SPEED speeds[] = {0, 1200, 5000, 700};
  pump_sample sample[PUMP_CHANNELS];
  int n, c;
  for (n = 0; n < 4 * PUMP_WINDOW; ++n) {
    for (c = 0; c < PUMP_CHANNELS; ++c) { sample[c] = (pump_sample)(n * 7 % 5); }
    (void)sensor_push(sample, speeds[n / PUMP_WINDOW]);
  }
  return 0;
}
"""


@pytest.mark.parametrize("name", ["modes", "modes_fixed"])
def test_each_sample_of_the_queue_comes_with_its_speed(name, tmp_path):
    firmware = emitted_c.firmwares()[name]
    frames = emitted_c.frames_of(firmware.front_end, 5)
    files = project_files(firmware, frames, "pump", "cmake", "static")
    folder = emitted_c.written(files, tmp_path)
    kind = "int32_t" if name == "modes_fixed" else "float"
    (folder / "src/sensor.c").write_text(QUEUE_SENSOR.replace("SPEED", kind))
    main = (folder / "main.c").read_text()
    (folder / "main.c").write_text(
        main.replace("void app_wait(void) {}", "#include <stdlib.h>\nvoid app_wait(void) { exit(7); }")
    )
    done = subprocess.run([build_app(folder, "-DSENSOR_QUEUE=256")], capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    # Without a change of speed, windows of 64 samples every 32: of one speed, then of two.
    said = done.stdout.splitlines()
    between = "unknown mode"
    assert said[:3] == ["self-test: pass", "machine off", between]
    assert [each for each in said[3:] if each not in ("healthy", "ALARM")] == [between]
    assert said[3] in ("healthy", "ALARM")
    # As a log each row with a score has its mode.
    done = subprocess.run([build_app(folder, "-DSENSOR_QUEUE=256", "-DAPP_LOG=1")], capture_output=True, text=True)
    header, *rows = (line.split(",") for line in done.stdout.splitlines())
    assert header == ["status", "raw_score", "mode"]
    assert {len(row) for row in rows} == {3}
    assert [row[2] == "" for row in rows] == [row[1] == "" for row in rows]
    assert {row[2] for row in rows if row[0] in ("healthy", "ALARM")} < {"0", "1", "2"}


def test_a_long_window_is_counted_where_an_int_has_16_bits(tmp_path):
    """2,048 samples of which each is one of 16 are 32,768 of the sensor, one more than such an int holds."""
    if shutil.which("avr-gcc") is None:
        pytest.skip("no avr-gcc: C with an int of 16 bits cannot be compiled")
    front_end = FrontEnd("statistics", 2048, 1024, 1, 1000.0, decimate=16, arithmetic="fixed", full_scale=8.0)
    firmware = emitted_c.by_speed(front_end)
    parts = front_end, firmware.scaling, firmware.decider, read(firmware.tflite), "00" * 32
    folder = emitted_c.written(detector_files(*parts, "d"), tmp_path)
    command = ["avr-gcc", "-mmcu=atmega2560", *WARNINGS, "-Wno-long-long", "-c", "d_detector.c", "-o", "d.o"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_records_of_modes_are_read_back_and_no_others():
    firmware = firmware_of("float32")
    made = parameters_of(*parts_of(firmware))
    assert made.thresholds == firmware.decider.modes.thresholds
    assert micro.Parameters.from_bytes(made.to_bytes(), made.made_for) == made
    other = replace(firmware.decider.modes.ranges, edges=(600.0, 901.0, 1500.0))
    decider = replace(firmware.decider, modes=replace(firmware.decider.modes, ranges=other))
    for changed in (decider, replace(decider, modes=None)):
        of = parameters_of(*parts_of(replace(firmware, decider=changed))).made_for
        with pytest.raises(micro.RecordError) as raised:
            micro.Parameters.from_bytes(made.to_bytes(), of)
        assert raised.value.status == RecordStatus.OTHER_SCORE


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60), st.integers(1, 12), st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_a_window_is_of_the_mode_of_its_mean_if_all_its_values_are_and_of_unknown_mode_otherwise(values, window, hop):
    ranges = Ranges("load", (-5.0, 0.0, 10.0, 1000.0), off_below=-100.0)
    starts = np.arange(0, max(0, len(values) - window + 1), hop)
    found = ranges.of_windows(values, starts, window) if len(starts) else []
    for start, mode in zip(starts, found):
        own = np.asarray(values[start : start + window])
        each = set(ranges.of_values(own).tolist())
        assert mode == (each.pop() if len(each) == 1 else UNKNOWN)
        if mode >= 0:
            assert ranges.edges[mode] <= own.mean() < ranges.edges[mode + 1]
        if mode == OFF:
            assert own.mean() < -100.0


def test_windows_of_unknown_mode_change_nothing_and_a_machine_that_is_off_forgets_earlier_ones():
    rng = np.random.default_rng(0)
    modes = Modes(Ranges("rpm", EDGES, off_below=1.0), ((10, 8), (NO_THRESHOLD, NO_THRESHOLD)))
    detector = replace(
        micro.make_detector(
            Score("margin", 1.0, healthy=(0,)), Threshold(10.0, ""), min_hits=2, history=4, clear_after=3
        ),
        modes=modes,
    )
    scores, of = rng.integers(0, 20, 500), rng.choice([0, 1, OFF, UNKNOWN], 500)
    statuses = decide(detector, scores, None, of)
    told = (of == 0) | (of == OFF)
    assert [status for status, own in zip(statuses, told) if own] == decide(detector, scores[told], None, of[told])
    judged = of == 0
    left = in_alarm(detector, scores[judged], np.cumsum(of == OFF)[judged], of[judged])
    assert left.tolist() == [status == Status.ALARM for status, own in zip(statuses, judged) if own]
    once = replace(detector, history=2)
    for between, ends in ((UNKNOWN, Status.ALARM), (OFF, Status.HEALTHY)):
        assert decide(once, np.array([11, 0, 11]), None, np.array([0, between, 0]))[-1] == ends
    assert all(s == Status.MACHINE_OFF for s, m in zip(statuses, of) if m == OFF)
    assert all(s == Status.UNKNOWN_MODE for s, m in zip(statuses, of) if m in (UNKNOWN, 1))


def test_thresholds_by_mode_are_calibrated_on_healthy_windows_of_each():
    rng = np.random.default_rng(1)
    scores, of = rng.exponential(size=900) + 1, rng.integers(0, 3, 900)
    score = Score("margin", 1e-6, healthy=(0,))
    each = [calibrate(scores[of == mode], 0.05) for mode in range(3)]
    one = micro.make_detector(score, calibrate(scores, 0.05), clear_threshold=0.8)
    made = with_modes(one, Ranges("rpm", (0, 1, 2, 3)), each, clear_threshold=0.8).modes
    alone = [micro.make_detector(score, threshold, clear_threshold=0.8) for threshold in each]
    assert made.thresholds == tuple((own.threshold, own.clear_threshold) for own in alone)
    assert made.guarantees == tuple(threshold.guarantee for threshold in each)


def test_each_mode_keeps_its_rate_where_one_threshold_for_all_does_not():
    rate, machines, calibration, test = 0.05, 300, 150, 200
    rng = np.random.default_rng(7)
    level = np.array([1.0, 1.6, 3.0])  # of healthy scores, by speed
    alarms = {"one": np.zeros((machines, 3)), "by mode": np.zeros((machines, 3))}
    for machine in range(machines):
        known = rng.gamma(4, level[:, None], (3, calibration))
        fresh = rng.gamma(4, level[:, None], (3, test))
        alarms["one"][machine] = (fresh > calibrate(known.ravel(), rate).value).mean(axis=1)
        by_mode = np.array([calibrate(own, rate).value for own in known])
        alarms["by mode"][machine] = (fresh > by_mode[:, None]).mean(axis=1)
    error = {name: each.std(axis=0, ddof=1) / np.sqrt(machines) for name, each in alarms.items()}
    assert (alarms["by mode"].mean(axis=0) < rate + 4 * error["by mode"]).all()
    assert (alarms["by mode"].mean(axis=0) > rate - 1 / calibration - 4 * error["by mode"]).all()
    assert alarms["one"].mean(axis=0)[2] > 2 * rate + 4 * error["one"][2]
    assert alarms["one"].mean(axis=0)[0] < 0.1 * rate


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"edges": (1.0,)}, "two numbers at least"),
        ({"edges": (2200.0,)}, r"n edges make n - 1 modes; for a mode below 2200 .* as \[LOWEST, 2200, HIGHEST\]"),
        ({"edges": ()}, r"n edges make n - 1 modes; \[600, 1200, 1800\] are 600 to 1200 and 1200 to 1800"),
        ({"edges": ()}, "none where off_below is given"),
        ({"edges": (1.0, 1.0)}, "must rise, in float32"),
        ({"edges": (1e9, 1e9 + 1)}, "must rise, in float32"),
        ({"edges": (1.0, 1.4), "resolution": 1.0}, None),
        ({"edges": (1.1, 1.4), "resolution": 1.0}, "must rise, in counts of 1"),
        ({"edges": (0.0, 1e39)}, "within float32"),
        ({"edges": (0.0, 1e12), "resolution": 1.0}, "within int32"),
        ({"edges": (1.0, 2.0), "off_below": 1.5}, "at most the first edge"),
        ({"edges": (1.0, 2.0), "resolution": 0.0}, "above 0"),
        ({"edges": tuple(range(66))}, "65 at most"),
    ],
)
def test_ranges_that_are_none_are_refused(changes, says):
    if says is None:
        Ranges("rpm", **changes)
        return
    with pytest.raises(ValueError, match=says):
        Ranges("rpm", **changes)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "frames"])
def test_the_value_for_a_self_test_is_of_its_mode(name):
    ranges = firmware_of(name).decider.modes.ranges
    for mode in ranges.every:
        given = ranges.middle(mode) * (ranges.resolution or 1.0)
        assert ranges.of_values([given]).tolist() == [mode]


def test_speed_is_asked_for_where_there_are_modes_and_refused_elsewhere():
    firmware = firmware_of("float32")
    samples = samples_of(firmware, 0)
    with pytest.raises(ValueError, match="modes by 'rpm', whose values are needed"):
        decisions(firmware, samples)
    with pytest.raises(ValueError, match="has no modes"):
        decisions(
            replace(firmware, decider=replace(firmware.decider, modes=None)), samples, speed=np.zeros(len(samples))
        )
    with pytest.raises(ValueError, match=r"shape \(4000,\), a value for each sample, got \(3999,\)"):
        decisions(firmware, samples, speed=np.zeros(3999))


def test_each_range_has_a_name_of_its_own_however_near_its_edges_lie():
    assert Ranges("rpm", (600.0, 900.5, 1e6)).names == ("600 to 900.5", "900.5 to 1e+06")
    assert Ranges("place", (1e6, 1e6 + 1, 1e6 + 2)).names == ("1000000 to 1000001", "1000001 to 1000002")
    assert Ranges("load", (0.1, 0.1 + 2**-26), resolution=2**-27).names == ("0.1 to 0.10000001",)


@pytest.mark.parametrize("name", ["modes", "modes_fixed"])
def test_the_instructions_of_a_project_name_its_modes_and_its_program(name):
    firmware = emitted_c.firmwares()[name]
    files = project_files(firmware, emitted_c.frames_of(firmware.front_end, 3), "pump", "cmake", "static")
    readme = " ".join(files["README.md"].decode().split())
    ranges = "Operating modes: `600 to 900`, `900 to 1500`, `1500 to 3000` (no threshold, not judged)"
    counts = ", in the unit of the training data" if name == "modes_fixed" else ""
    assert f"{ranges}{counts}; below 50 the machine is off." in readme
    assert "The program is `build/pump_app`." in readme
