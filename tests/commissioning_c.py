"""A detector that learns its machine, as Python and as C with a program around it."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
from emitted_c import FIXED, WHOLE, detector
from support import SANITIZERS, WARNINGS

from micro.aot.generate import static_files
from micro.datasets.machines import exponent_of
from micro.datasets.recording import windows
from micro.detection.commissioning import Commissioning, most_moved
from micro.detection.fleet_prior import fleet_prior
from micro.detection.sensor import faults
from micro.emission.detector import detector_files
from micro.runs.commissioned import commissioned
from micro.signal.joined import sensed
from micro.signal.learned import Learned, learned_of, powers, value_fractions, whole_values
from micro.support.files import sha256
from micro.tflite.graph import read

SOURCES = ("d.c", "d_front_end.c", "d_parameters.c", "d_detector.c", "d_commissioning.c")
HARNESS = """
#include <stdio.h>
#include "d.h"
#include "d_commissioning.h"
static d_commissioning machine;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  d_sample sample[D_CHANNELS];
  d_moved moved[D_MOVED];
  int i;
  d_commissioning_reset(&machine);
  while (fread(sample, sizeof sample, 1, stdin) == 1) {
    const d_status status = d_commissioning_push(&machine, sample);
    if (status != D_WAITING) printf("%d %lld\\n", (int)status, (long long)machine.detector.score);
  }
  printf("end %d %d %d %lld %lld\\n", (int)machine.phase, (int)machine.refusal, (int)machine.place,
         (long long)machine.parameters.threshold, (long long)machine.parameters.clear_threshold);
  for (i = 0; i < D_FEATURE_COUNT; ++i) {
    printf("%ld %ld %.9g\\n", (long)machine.learned.mean[i], (long)machine.learned.deviation[i],
           (double)machine.parameters.scaling.mean[i]);
  }
  d_commissioning_explain(&machine, moved);
  for (i = 0; i < D_MOVED; ++i) {
    printf("%ld %lld %s\\n", (long)moved[i].feature, (long long)moved[i].deviations, d_feature_name(moved[i].feature));
  }
  return 0;
}
"""
ON_CHIP = """
#include "console.h"
#include "d.h"
#include "d_commissioning.h"
static d_commissioning machine;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  d_sample sample[D_CHANNELS];
  const int in = console_open("samples.bin", 0), out = console_open("result.bin", 1);
  d_commissioning_reset(&machine);
  while (console_read(in, sample, (unsigned)sizeof sample) == 0) {
    const d_status status = d_commissioning_push(&machine, sample);
    if (status != D_WAITING) {
      int64_t row[3];
      row[0] = (int64_t)status;
      row[1] = status == D_CALIBRATING || status == D_HEALTHY || status == D_ALARM ? machine.detector.score : 0;
      row[2] = machine.phase == D_PHASE_WATCHING ? machine.parameters.threshold : 0;
      console_write(out, row, (unsigned)sizeof row);
    }
  }
  return 0;
}
"""
ENDS = {"float32": WHOLE, "fixed": FIXED}


def machine(seed=0, count=9000, gain=1.0):
    """Samples of a machine, (count, 2) float32."""
    rng = np.random.default_rng(seed)
    t = np.arange(count)[:, None]
    return (gain * (np.sin(t * [0.3, 0.5]) + rng.normal(0, 0.3, (count, 2)))).astype(np.float32)


def plan_of(front_end, **changes):
    """A commissioning with the prior of six machines."""
    fleet = [sensed(front_end, windows(machine(100 + seed), front_end.window, front_end.hop)) for seed in range(6)]
    exponent = 0 if front_end.arithmetic == "fixed" else exponent_of(fleet)
    prior = fleet_prior(
        [learned_of(whole_values(front_end, frames)) for frames in fleet],
        np.array([powers(front_end, frames, exponent).mean(axis=0) for frames in fleet]),
        np.round(2.0 ** value_fractions(front_end)).astype(np.int64),
        unlike_rate=0.05,
        stopped_limit=10.0,
        exponent=exponent,
    )
    wide = replace(prior, tolerance=tuple(3 * each for each in prior.tolerance))
    return Commissioning(**{"learn_windows": 40, "calibrate_windows": 60, "rank": 58, **changes}, prior=wide)


def firmware_of(arithmetic):
    """Firmware with a model of one layer."""
    return detector(ENDS[arithmetic], "reconstruction", saturation=30000.0 if arithmetic == "fixed" else 1000.0)


def files_of(firmware, plan):
    """Contents of the C's files by name."""
    graph, digest = read(firmware.tflite), sha256(firmware.tflite)
    around = (firmware.front_end, firmware.scaling, firmware.decider)
    return {**detector_files(*around, graph, digest, "d", plan), **static_files(firmware.tflite, "d")}


def compiled(firmware, plan, folder, harness=HARNESS, flags=SANITIZERS):
    """A program of the C that reads samples."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files_of(firmware, plan).items():
        (folder / name).write_bytes(content)
    (folder / "main.c").write_text(harness)
    command = ["gcc", *WARNINGS, *flags, "-ffp-contract=off", "-Wno-long-long", *SOURCES, "main.c", "-lm", "-o", "main"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    return folder / "main"


def as_sensed(firmware, samples):
    """Samples as the chip takes them."""
    return samples if samples.dtype == np.int16 else sensed(firmware.front_end, samples)


def said_by_c(program, taken):
    """What the program prints of samples as the chip takes them."""
    done = subprocess.run([program], input=taken.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:3000]
    return done.stdout.decode().splitlines()


def said_by_python(firmware, plan, taken):
    """The same from Python, and the course."""
    front_end = firmware.front_end
    frames = windows(taken, front_end.window, front_end.hop)
    faulty = faults(firmware.decider, frames)
    course = commissioned(plan, firmware.decider, front_end, firmware.tflite, frames, faulty)
    return course, frames, faulty


def agree(firmware, plan, program, samples):
    """Assert that C and Python do the same, window by window; the course."""
    taken = as_sensed(firmware, samples)
    lines = said_by_c(program, taken)
    course, frames, faulty = said_by_python(firmware, plan, taken)
    end = next(place for place, line in enumerate(lines) if line.startswith("end"))
    assert [int(line.split()[0]) for line in lines[:end]] == [int(status) for status in course.statuses]
    for place, line in enumerate(lines[:end]):
        if course.statuses[place] in (1, 2, 8):
            assert int(line.split()[1]) == course.scores[place], place
    phase, why, where, threshold, clear = map(int, lines[end].split()[1:])
    assert (phase, why, where) == (course.phase, course.refused.why, course.refused.place)
    if course.threshold is not None:
        assert (threshold, clear) == (course.threshold, course.clear_threshold)
    if course.learned is not None:
        features = firmware.front_end.shape[0]
        rows = [line.split() for line in lines[end + 1 : end + 1 + features]]
        learned = Learned(tuple(int(row[0]) for row in rows), tuple(int(row[1]) for row in rows))
        assert learned.deviation == course.learned.deviation
        if not plan.adapt_limit:
            assert learned.mean == course.learned.mean
        unit = 1 if firmware.front_end.arithmetic == "fixed" else 65536
        assert [round(float(row[2]) * unit) for row in rows] == list(course.learned.mean)
        if phase == 2 and not faulty[-1]:
            moved = most_moved(learned, whole_values(firmware.front_end, frames[-1:])[0])
            names = firmware.front_end.names
            assert lines[end + 1 + features :] == [f"{place} {far} {names[place]}" for place, far in moved]
    return course
