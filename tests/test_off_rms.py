"""A machine that is off by its samples: no score and no alarm, the same in C, and left out of training."""

import functools
import itertools
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction

import emitted_c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SANITIZERS, WARNINGS

import micro
from micro.aot.generate import generate
from micro.config import parse_config
from micro.datasets.prepare import prepare
from micro.datasets.speeds import starts_before
from micro.detection.detector import Status, decide
from micro.detection.in_alarm import in_alarm
from micro.detection.score import Score
from micro.detection.standstill import MOST_COUNTS, limits_of, machine_off
from micro.detection.summary import summarized
from micro.detection.threshold import Threshold
from micro.emission.detector import detector_files
from micro.emission.parameters import made_for_of
from micro.emission.summary import summary_files
from micro.errors import ConversionError, DataError
from micro.monitoring.log import read_log
from micro.monitoring.periods import periods_of
from micro.runs.baseline import calibration_sessions, calibration_stops
from micro.runs.device import decisions
from micro.runs.score_files import score
from micro.support.files import sha256
from micro.tflite.graph import read

HARNESS = r"""
#include <stdio.h>
#include "d.h"
#include "d_detector.h"
static d_detector state;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  d_sample sample[D_CHANNELS];
  uint32_t at = 0, restart;
  if (fread(&restart, sizeof restart, 1, stdin) != 1) return 1;
  d_detector_reset(&state);
  while (fread(sample, sizeof sample, 1, stdin) == 1) {
    d_status status;
    if (at++ == restart) d_detector_restart(&state);
    status = d_detector_push(&state, sample);
    if (status != D_WAITING) {
      printf("%d %lld %lu %d\n", (int)status, (long long)state.score, (unsigned long)state.history, state.alarm);
    }
  }
  return 0;
}
"""
FRONT_ENDS = {
    "float32": emitted_c.WHOLE,
    "fixed": emitted_c.FIXED,
    "frames": emitted_c.FRAMES,
    "fixed frames": emitted_c.FIXED_FRAMES,
    "filtered": replace(emitted_c.FILTERED, filter=None, decimate=2),
    "fixed filtered": emitted_c.FIXED_FILTERED,
}
QUICK = ("float32", "fixed frames", "filtered")
NEVER = 2**32 - 1


def firmware_of(name):
    front_end = FRONT_ENDS[name]
    fixed = front_end.arithmetic == "fixed"
    limits = (0.05, 0.0) if name in ("frames", "fixed") else (0.05, 0.02)
    limits = tuple(each * 4096 for each in limits) if fixed else limits
    more = {} if name == "fixed frames" else emitted_c.FIXED_LIMITS if fixed else emitted_c.LIMITS
    made = emitted_c.detector(front_end, "reconstruction", clear_after=2, off_rms=limits, **emitted_c.HITS, **more)
    scores = [each.score for each in decisions(made, samples_of(9)) if each.score is not None]
    threshold = int(np.quantile(scores, 0.7) / made.decider.score.unit)
    return replace(made, decider=replace(made.decider, threshold=threshold, clear_threshold=threshold))


def samples_of(seed, count=6000):
    """Levels from far below the limits to far above, with offsets, single knocks, and a channel that rests alone."""
    rng = np.random.default_rng(seed)
    quiet = rng.random((count // 300, 1)) < 0.5
    level = np.where(
        quiet,
        rng.choice([0.0, 0.004, 0.018, 0.0205], (count // 300, 2)),
        rng.choice([0.018, 0.021, 0.045, 0.05, 0.056, 0.3, 2.0], (count // 300, 2)),
    ).repeat(300, axis=0)
    offset = rng.choice([0.0, -3.0, 6.5], (count // 300, 2)).repeat(300, axis=0)
    samples = offset + level * rng.normal(0, 1, (count, 2))
    samples[rng.integers(0, count, 4), rng.integers(0, 2, 4)] += 1.0
    return np.clip(samples, -7.9, 7.9).astype(np.float32)


def in_c(program, firmware, samples, restart=NEVER):
    if firmware.front_end.arithmetic == "fixed" and samples.dtype != np.int16:
        samples = firmware.front_end.counts(samples)
    done = subprocess.run([program], input=np.uint32(restart).tobytes() + samples.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return np.array(done.stdout.split(), np.int64).reshape(-1, 4)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """By name: the firmware, and a program of its C."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")

    @functools.cache
    def build(name):
        firmware = firmware_of(name)
        return firmware, program_of(firmware, tmp_path_factory.mktemp("off"))

    return build


def program_of(firmware, folder):
    parts = firmware.front_end, firmware.scaling, firmware.decider, read(firmware.tflite), sha256(firmware.tflite)
    emitted_c.written(detector_files(*parts, "d"), folder)
    generate(firmware.tflite, folder, "d")
    (folder / "main.c").write_text(HARNESS)
    command = ["gcc", *WARNINGS, "-Wsign-conversion", "-Wshadow", *SANITIZERS, "-Wno-long-long", "main.c"]
    sources = [f"d{part}.c" for part in ("", "_front_end", "_parameters", "_detector")]
    done = subprocess.run([*command, *sources, "-lm", "-o", "main"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    return folder / "main"


def same(found, expected, unit):
    assert found[:, 0].tolist() == [int(each.status) for each in expected]
    scored = [n for n, each in enumerate(expected) if each.score is not None]
    assert [found[n, 1] * unit for n in scored] == [expected[n].score for n in scored]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in FRONT_ENDS])
def test_c_finds_the_machine_off_where_python_does_and_forgets_earlier_windows_then(built, name):
    firmware, program = built(name)
    seen = set()
    for seed in range(4):
        samples = samples_of(seed)
        found = in_c(program, firmware, samples)
        same(found, decisions(firmware, samples), firmware.decider.score.unit)
        seen |= set(found[:, 0].tolist())
        for before, after in itertools.pairwise(found):
            if after[0] == Status.MACHINE_OFF:
                assert after[1:].tolist() == [before[1], 0, before[3]]
    assert seen >= {Status.HEALTHY, Status.ALARM, Status.MACHINE_OFF}


def with_stops(front_end, faulty, seed=2):
    """A machine that runs, and stops three times for a while, with a knock at each stop and start."""
    window, rng = front_end.sensor_window, np.random.default_rng(seed)
    runs = np.ones(60 * window, bool)
    for stop, lasts in ((9, 3.2), (21, 5.7), (38, 2.6)):
        begin = int(stop * window) + int(rng.integers(window))
        runs[begin : begin + int(lasts * window)] = False
    level = np.where(runs, 0.4, 0.003)
    level[faulty:] *= 4.0
    samples = level[:, None] * rng.normal(0, 1, (len(runs), 2))
    edges = np.flatnonzero(runs[1:] != runs[:-1])
    samples[edges + ~runs[edges]] = 7.5
    return samples.clip(-7.9, 7.9).astype(np.float32)


@pytest.mark.parametrize("hits", ["recommended", "too few"])
def test_alarms_ride_over_stops_and_starts_and_a_fault_still_alarms(hits, tmp_path, built):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    made = firmware_of("float32")
    front_end = made.front_end
    across = -(-front_end.window // front_end.hop)
    running = decisions(made, with_stops(front_end, NEVER)[: 9 * front_end.window])
    highest = max(each.score for each in running if each.score is not None) / made.decider.score.unit
    count = across + 1 if hits == "recommended" else across
    decider = replace(made.decider, threshold=int(2 * highest), clear_threshold=int(2 * highest))
    firmware = replace(made, decider=replace(decider, min_hits=count, history=count + 2, clear_after=1))
    program = program_of(firmware, tmp_path)
    for faulty in (NEVER, 50 * front_end.window):
        samples = with_stops(front_end, faulty)
        found, expected = in_c(program, firmware, samples), decisions(firmware, samples)
        same(found, expected, firmware.decider.score.unit)
        ends = front_end.window + front_end.hop * np.arange(len(found))
        alarms = ends[found[:, 0] == Status.ALARM]
        if hits == "recommended":
            assert len(alarms[alarms <= faulty]) == 0
            assert (len(alarms) > 0) == (faulty != NEVER)
        else:
            assert len(alarms[alarms <= faulty]) > 0


@pytest.mark.parametrize("name", ["filtered", "fixed frames"])
def test_levels_are_forgotten_at_a_gap(built, name):
    firmware, program = built(name)
    samples = samples_of(11, 1200)
    for restart in (1, 131, 137, 600):
        found = in_c(program, firmware, samples, restart)
        expected = [*decisions(firmware, samples[:restart]), *decisions(firmware, samples[restart:])]
        assert (found[:, 0] == Status.MACHINE_OFF).tolist() == [e.status == Status.MACHINE_OFF for e in expected]


def test_what_is_no_number_or_far_beyond_the_limit_is_no_machine_that_is_off(built):
    firmware, program = built("float32")
    samples = np.full((640, 2), 1e-3, np.float32)
    samples[70, 0] = np.nan
    samples[300, 1] = 1e7
    samples[500:] = 3.4e38
    found = in_c(program, firmware, samples)
    same(found, decisions(firmware, samples), firmware.decider.score.unit)
    assert {Status.MACHINE_OFF, Status.FAULT_NOT_FINITE} <= set(found[:, 0].tolist())


@given(st.integers(1, 40), st.integers(0, 2**31), st.sampled_from([1, 7, 300, 30000]), st.floats(0.6, 30000))
@settings(max_examples=60, deadline=None)
def test_counts_are_compared_with_the_exact_variance(window, seed, level, limit):
    rng = np.random.default_rng(seed)
    offset = int(rng.integers(-32768, 32768))
    frames = np.clip(offset + rng.integers(-level, level + 1, (5, window, 1)), -32768, 32767).astype(np.int16)
    for frame, off in zip(frames[:, :, 0].tolist(), machine_off([limit], frames)):
        mean = Fraction(sum(frame), window)
        energy = sum((value - mean) ** 2 for value in frame)
        assert bool(off) == (energy // 1 < Fraction(limit) ** 2 * window)


def at_the_ends(limit, fixed):
    """Stretches of samples at the ends of the range: constant, jumping from one to the other, and beside the last count."""
    if fixed:
        ends = [(-32768, -32768), (32767, 32767), (-32768, 32767), (-32768, 0), (0, 0)]
        return np.repeat(np.array(ends, np.int16), 160, axis=0).reshape(-1, 1).repeat(2, axis=1)
    last = np.float32(MOST_COUNTS / 128 * limit)
    near = [np.nextafter(last, np.float32(way)) for way in (0, np.inf)]
    ends = [near[0], -near[0], last, -last, near[1], -near[1], np.float32(3.4e38), np.float32(1e-45), np.float32(-0.0)]
    return np.repeat(np.array(ends, np.float32), 320).reshape(-1, 1).repeat(2, axis=1)


@pytest.mark.parametrize("name", ["float32", "fixed frames", pytest.param("fixed", marks=pytest.mark.slow)])
def test_counts_of_32_bits_hold_samples_at_the_ends_of_the_range(built, name):
    firmware, program = built(name)
    samples = at_the_ends(firmware.decider.off_rms[0], firmware.front_end.arithmetic == "fixed")
    found = in_c(program, firmware, samples)
    assert found[:, 0].tolist() == [int(each.status) for each in decisions(firmware, samples)]
    assert (found[:, 0] == Status.MACHINE_OFF).any()
    assert (found[:, 0] != Status.MACHINE_OFF).any()


def test_windows_too_long_for_sums_of_64_bits_are_refused(tmp_path):
    frames = {"kind": "mel", "frame": 512, "frame_hop": 512, "window": 2**21, "hop": 2**21}
    with pytest.raises(ValueError, match=r"float32 of at most 2,097,151 samples, .* got 2,097,152; take a shorter"):
        config(tmp_path, 0.1, features=frames)
    config(tmp_path, 0.1, features=frames | {"window": 2**20, "hop": 2**20})
    config(tmp_path, 0.1, features=frames | {"arithmetic": "fixed", "full_scale": 8.0})
    made = firmware_of("frames")
    longer = replace(made.front_end, window=2**21, hop=2**21, frame=512, frame_hop=512)
    with pytest.raises(ConversionError, match="float32 of at most 2,097,151 samples, and one has 2,097,152"):
        detector_files(longer, made.scaling, made.decider, read(made.tflite), "00" * 32, "d")


def test_the_largest_sums_stay_within_64_bits():
    window = 32768 * 16
    full = np.where(np.arange(window) % 2, 32767, -32768).astype(np.int16).reshape(1, -1, 1)
    assert not machine_off([32000.0], full)[0]
    assert machine_off([32768.0], full)[0]
    assert machine_off([1.0], np.full((1, window, 1), -32768, np.int16))[0]
    held = np.full((1, window, 1), (MOST_COUNTS - 1) / 128, np.float32)
    assert machine_off([1.0], held)[0]
    assert not machine_off([1.0], held * 2)[0]


def test_limits_are_by_channel():
    assert limits_of(0.5, ["x", "rpm"], "rpm") == (0.5, 0.0)
    with pytest.raises(ValueError, match="'z', which is no channel; they are x, y"):
        limits_of({"z": 1.0}, ["x", "y"])
    for wrong in ((0.0, 0.0), (-1.0,), (float("nan"),), (1e39,)):
        with pytest.raises(ValueError, match="off_rms"):
            micro.Detector(Score("margin", 1.0, healthy=(0,)), 1, 1, off_rms=wrong)
    firmware = emitted_c.detector(emitted_c.WHOLE, "reconstruction", off_rms=(0.1,))
    counts = emitted_c.detector(emitted_c.FIXED, "distance", off_rms=(0.0, 1e8))
    for each, says in (
        (firmware, "1 limits, and there are 2 channels"),
        (counts, "with 1e\\+08 of them no machine would"),
    ):
        with pytest.raises(ConversionError, match=says):
            detector_files(each.front_end, each.scaling, each.decider, read(each.tflite), "00" * 32, "d")


def test_a_machine_that_is_off_keeps_the_alarm_and_forgets_earlier_windows():
    rng = np.random.default_rng(0)
    score_of = Score("margin", 1.0, healthy=(0,))
    detector = micro.make_detector(score_of, Threshold(10.0, ""), min_hits=2, history=4, clear_after=3, off_rms=[1.0])
    scores, off = rng.integers(0, 20, 500), rng.random(500) < 0.4
    statuses = decide(detector, scores, np.where(off, int(Status.MACHINE_OFF), 0))
    assert {status for status, own in zip(statuses, off) if own} == {Status.MACHINE_OFF}
    alarm, hits, below = False, [], 0
    for each, own, status in zip(scores, off, statuses):
        if own:
            hits, below = [], 0
            continue
        hits, below = [*hits, each > 10][-4:], 0 if each > 10 else below + 1
        if not alarm:
            alarm = sum(hits) >= 2
        elif below >= 3:
            alarm, hits = False, []
        assert (status == Status.ALARM) == alarm
    left = in_alarm(detector, scores[~off], np.cumsum(off)[~off])
    assert left.tolist() == [status == Status.ALARM for status, own in zip(statuses, off) if not own]


def recorded(folder, rows=9000):
    for name, faulty in (("ok1", False), ("ok2", False), ("ok3", False), ("bad", True)):
        rng = np.random.default_rng(sum(map(ord, name)))
        runs = np.repeat([True, False, True, True, False, True], rows // 6)
        x = 9.81 + np.where(runs, 0.3 * (3.0 if faulty else 1.0), 0.002) * rng.normal(size=rows)
        y = np.where(runs, 1.0, 0.01) * rng.normal(size=rows)
        np.savetxt(folder / f"{name}.csv", np.stack([x, y], 1), "%.5f", ",", header="x,y", comments="")
    return folder


def config(folder, off_rms, **sections):
    features = {"kind": "statistics", "window": 32, "hop": 16, "detrend": "none", **sections.pop("features", {})}
    data = {
        "folder": str(folder),
        "files": "*.csv",
        "sample_rate": 1000.0,
        "healthy_files": "ok*",
        "faulty_files": "bad*",
    }
    return parse_config(
        {
            "job": "table", "seeds": 1, "data": data | sections.pop("data", {}), "features": features,
            "detect": {"false_alarm_rate": 0.1, "off_rms": off_rms},
            "teacher": {"sizes": [16, 4, 16], "epochs": 4}, "student": {"sizes": [4], "epochs": 4},
            "firmware": {"name": "pump"}, **sections,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"features": {"arithmetic": "fixed", "full_scale": 16.0}},
        {"features": {"decimate": 2}},
        {"data": {"folds": 3}},
    ],
    ids=["float32", "fixed", "decimated", "folds"],
)
def test_windows_of_a_machine_that_is_off_are_in_no_part_and_are_counted(tmp_path, more):
    whole, data = (prepare(config(recorded(tmp_path), limit, **more)) for limit in (None, {"x": 0.05, "y": 0.1}))
    assert whole.unjudged is None
    assert 0.2 < data.unjudged.off / data.unjudged.windows < 0.4
    assert data.unjudged.unknown == 0
    assert any(f"{data.unjudged.off:,} of " in note and "machine is off were left out" in note for note in data.notes)
    # Starts within the healthy windows that are tested, and one before the first of them where there is one.
    healthy = [(data.test.labels == 0) & (np.array(data.test.origins) == name) for name in ("ok1.csv", "ok2.csv")]
    within = sum(int((np.diff(data.test.off_before[rows]) > 0).sum()) for rows in healthy)
    assert within <= data.unjudged.starts <= within + 2
    parts = ("train", "validation", "calibration", "test")
    # The standard deviation of x, scaled: that of a machine which is off is far below all others.
    assert sum(len(getattr(data, part).x) for part in parts) < 0.8 * sum(len(getattr(whole, part).x) for part in parts)
    assert data.scaling.centre[1] > 1.2 * whole.scaling.centre[1]


@pytest.mark.parametrize(
    ("chosen", "starts"), [(range(3), 1), (range(3, 5), 0), (range(5, 9), 1), (range(2, 7), 1), (range(0), 0)]
)
def test_a_start_is_where_the_machine_was_off_since_the_window_before(chosen, starts):
    stands = np.array([1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0], bool)
    learnable = np.array([1, 2, 3, 4, 5, 8, 9, 10, 11])
    assert starts_before(stands, learnable, np.array(chosen, int)) == starts
    assert starts_before(None, learnable, np.array(chosen, int)) == 0


@pytest.mark.parametrize("features", [{}, {"arithmetic": "fixed", "full_scale": 16.0}], ids=["float32", "fixed"])
def test_a_limit_above_all_windows_is_said_with_the_highest_level(tmp_path, features):
    with pytest.raises(
        DataError, match=r"off in all 1,\d+ healthy windows, where the highest RMS is (0.4\d+) of x; take"
    ):
        prepare(config(recorded(tmp_path), {"x": 12.0}, features=features))


def test_a_files_own_scaling_is_of_the_running_machine(tmp_path):
    rows = {"healthy_rows": [[0, 7000]], "scaling": "per_file"}
    made = config(recorded(tmp_path), 0.2)
    given = made.model_dump(exclude_defaults=True) | {"job": "table"}
    given["data"] = {**{k: v for k, v in given["data"].items() if "files" not in k}, "files": "ok*.csv", **rows}
    running = prepare(parse_config(given, tmp_path))
    given["detect"].pop("off_rms")
    whole = prepare(parse_config(given, tmp_path))
    assert running.train.x.std() < whole.train.x.std() + 1
    assert running.unjudged.off > 0


@pytest.mark.parametrize(
    ("off_rms", "more", "says"),
    [
        (
            0.1,
            {
                "commissioning": {"learn_windows": 400, "calibrate_windows": 100},
                "data": {"scaling": "per_file", "healthy_rows": [[0, 7000]]},
            },
            r"detect.off_rms is not for \[commissioning\], which refuses a machine that is off",
        ),
        ({"z": 0.1}, {"data": {"columns": ["x", "y"]}}, "'z', which is not among data.columns"),
        ({}, {}, "names no channel"),
        (
            1e-5,
            {"features": {"arithmetic": "fixed", "full_scale": 16.0}},
            "less than a count of the converter, 0.000488",
        ),
        ({"x": 20.0}, {"features": {"arithmetic": "fixed", "full_scale": 16.0}}, "no machine would be on"),
        (0.0, {}, "greater than 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused_by_name(tmp_path, off_rms, more, says):
    with pytest.raises(ValueError, match=says):
        config(tmp_path, off_rms, **more)


def test_other_jobs_and_tasks_refuse_it_and_a_channel_that_is_none(tmp_path):
    with pytest.raises(ValueError, match="off_rms is for job 'table' and task 'anomaly'"):
        parse_config({"job": "rig", "teacher": {}, "student": {}, "detect": {"off_rms": 0.1}})
    with pytest.raises(DataError, match=r"detect.off_rms names 'z', which is no channel; they are x, y"):
        prepare(config(recorded(tmp_path), {"z": 0.1}))


def test_a_log_of_a_machine_that_was_off_is_no_dead_sensor(tmp_path):
    log = tmp_path / "log.csv"
    rows = ["machine off,"] * 900 + ["healthy,7"] * 100 + ["fault: sensor saturated,"] * 3
    log.write_text("status,raw_score\n" + "\n".join(rows) + "\n")
    read_back = read_log(log, 1.0, 100)
    assert (read_back.faults, read_back.dead, len(read_back.sessions[0])) == (3, (), 100)
    assert any("900" in note and "machine was off" in note for note in read_back.notes)


def test_a_summary_and_what_is_said_of_it_tell_where_windows_of_a_machine_that_is_off_are_counted():
    firmware = firmware_of("float32")
    around = firmware.front_end, firmware.decider, sha256(firmware.tflite), "d"
    assert b"with the machine off, or with another threshold" in summary_files(*around)["d_summary.h"]
    made = made_for_of(*around[:3])
    counted = summarized(np.array([5]), [Status.HEALTHY, Status.MACHINE_OFF, Status.MACHINE_OFF], 9, made, sequence=0)
    assert (counted.windows, counted.uncounted) == (1, 2)
    said = {off: periods_of([counted], set(), 1, off=off)[1] for off in (False, True)}
    assert said[False] == ["windows that the device could not count: 2"]
    assert said[True] == ["windows that are in no other count, as those with the machine off: 2"]


@pytest.mark.slow
def test_a_run_whose_machine_is_off_at_times_is_scored_simulated_and_told_alike(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    report = micro.run_pipeline(config(recorded(folder), {"x": 0.05}), tmp_path / "run")
    assert report.detector.off_rms == (0.05, 0.0)
    assert micro.RunReport.read(tmp_path / "run") == report
    scored = score(tmp_path / "run", [folder / "ok1.csv"])
    raw = np.loadtxt(folder / "ok1.csv", delimiter=",", skiprows=1, dtype=np.float32)
    simulated = micro.simulate(tmp_path / "run", raw)
    off = [each.result == "machine off" for each in scored]
    assert 0.2 < np.mean(off) < 0.5
    assert off == [each.status == Status.MACHINE_OFF for each in simulated]
    # Where the machine was off between windows of the calibration is kept for what counts alarms in them.
    kept, rows = calibration_stops(tmp_path / "run"), (tmp_path / "run/calibration_stops.csv").read_text().splitlines()
    assert [len(each) for each in kept] == [len(each) for each in calibration_sessions(tmp_path / "run")]
    assert sum(int(each[-1]) for each in kept) == len(rows) - 1 > 0
    page = (tmp_path / "run/report.html").read_text()
    assert f"the machine is off in {report.data.unjudged.off:,}" in page
    assert "unknown mode" not in page
    micro.new_firmware(tmp_path / "run", tmp_path / "fw", "cmake")
    assert "`machine off`" in (tmp_path / "fw/README.md").read_text()
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    for command in (["cmake", "-B", "build"], ["cmake", "--build", "build"]):
        done = subprocess.run(command, cwd=tmp_path / "fw", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    done = subprocess.run([tmp_path / "fw/build/pump_app"], capture_output=True, text=True)
    assert "self-test: pass" in done.stdout, done.stdout
