"""After lost samples a window begins with the next sample: nothing of before is left, and all that was set or learned is."""

import shutil
import subprocess

import numpy as np
import pytest
from commissioning_c import compiled, firmware_of, machine, plan_of
from emitted_c import FRAMES, LIMITS, detector
from support import SANITIZERS, WARNINGS

import micro
from micro.aot.generate import generate
from micro.emission.c_text import render

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

# For each count of samples before the loss, of which the last is not finite: the status of the first window after it, whose
# first sample is finite or not.
FRAMES_HARNESS = """
#include <math.h>
#include <stdio.h>
#include "d.h"
#include "d_detector.h"
static d_detector detector;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
static int first_after(int before, int bad) {
  static d_parameters own;
  float sample[D_CHANNELS] = {0.1f, 0.2f};
  int i;
  d_status status = D_WAITING;
  own = d_default_parameters;
  own.scaling.mean[0] += 1.0f;
  d_detector_reset_with(&detector, &own);
  for (i = 0; i < before; ++i) {
    sample[0] = i == before - 1 ? NAN : 0.1f * (float)(i % 7);
    (void)d_detector_push(&detector, sample);
  }
  d_detector_restart(&detector);
  if (detector.parameters != &own || detector.front_end.scaling != &own.scaling) return -1;
  for (i = 0; i < D_WINDOW; ++i) {
    sample[0] = i == 0 && bad ? NAN : 0.1f * (float)(i % 5);
    status = d_detector_push(&detector, sample);
    if (status != D_WAITING && i < D_WINDOW - 1) return -2;
  }
  return (int)status;
}
int main(void) {
  int before;
  for (before = 0; before < 200; ++before) printf("%d %d\\n", first_after(before, 0), first_after(before, 1));
  return 0;
}
"""


def test_a_window_after_a_gap_has_the_faults_of_its_own_samples_alone(tmp_path):
    firmware = detector(FRAMES, "reconstruction", **LIMITS)
    micro.emit_detector(FRAMES, firmware.scaling, firmware.decider, firmware.tflite, tmp_path, "d")
    generate(firmware.tflite, tmp_path, "d")
    (tmp_path / "main.c").write_text(FRAMES_HARNESS)
    sources = ["d.c", "d_front_end.c", "d_parameters.c", "d_detector.c", "main.c"]
    command = ["gcc", *WARNINGS, *SANITIZERS, "-ffp-contract=off", *sources, "-lm", "-o", "main"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:2000]
    said = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout.split()
    found = np.array(said, int).reshape(-1, 2)
    assert set(found[:, 0]) <= {int(micro.Status.HEALTHY), int(micro.Status.ALARM)}
    assert set(found[:, 1]) == {int(micro.Status.FAULT_NOT_FINITE)}


QUEUE_HARNESS = """
#include <stdio.h>
#include "sample_queue.h"
int main(void) {
  static uint16_t room[4], got;
  static sample_queue queue;
  unsigned long round, i, noticed = 0;
  sample_queue_init(&queue, room, sizeof room[0], 4);
  for (round = 0; round < 10; ++round) {
    for (i = 0; i < 65540; ++i) { const uint16_t item = (uint16_t)i; (void)sample_queue_push(&queue, &item); }
    noticed += (unsigned long)sample_queue_gap(&queue);
    while (sample_queue_pop(&queue, &got) == 0) {}
    if (sample_queue_gap(&queue) != 0) return 1;
  }
  printf("%lu %u\\n", noticed, (unsigned)sample_queue_lost(&queue));
  return 0;
}
"""


def test_every_gap_is_noticed_however_many_samples_were_lost(tmp_path):
    for end in ("c", "h"):
        (tmp_path / f"sample_queue.{end}").write_text(render(f"common/sample_queue.{end}.j2", {}, "firmware/templates"))
    (tmp_path / "main.c").write_text(QUEUE_HARNESS)
    command = ["gcc", *WARNINGS, *SANITIZERS, "sample_queue.c", "main.c", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout.split() == [
        "10",
        "65535",
    ]


RESUME_HARNESS = """
#include <stdio.h>
#include "d.h"
#include "d_commissioning.h"
static d_commissioning machine;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  d_sample sample[D_CHANNELS];
  d_learned learned;
  d_parameters before;
  int i;
  d_commissioning_reset(&machine);
  while (fread(sample, sizeof sample, 1, stdin) == 1) (void)d_commissioning_push(&machine, sample);
  before = machine.parameters;
  learned = machine.learned;
  for (i = 0; i < 2; ++i) {
    if (d_commissioning_resume(&machine, i == 0 ? &machine.learned : &learned) != 0) return 1;
    printf("%d %d %d\\n", machine.phase == D_PHASE_WATCHING, before.threshold == machine.parameters.threshold,
           before.scaling.mean[3] == machine.parameters.scaling.mean[3]);
  }
  learned.deviation[0] = 0;
  i = d_commissioning_resume(&machine, &learned);
  printf("%d %d\\n", i, machine.phase == D_PHASE_LEARNING);
  return 0;
}
"""


def test_what_was_learned_is_resumed_from_a_copy_and_from_where_it_stands(tmp_path):
    firmware = firmware_of("float32")
    program = compiled(firmware, plan_of(firmware.front_end), tmp_path / "resume", RESUME_HARNESS)
    done = subprocess.run([program], input=machine(1, 5000).tobytes(), capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == ["1 1 1", "1 1 1", "-1 1"]
