"""Firmware projects whose model is exchanged on the device, with its score and parameters: all of a new run, or all of the old."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import emitted_c
import numpy as np
import pytest
from emitted_c import FIXED, FIXED_FRAMES, FRAMES, JOINED, LIMITS, RAW, WHOLE, by_speed, detector, frames_of
from other_models import redrawn
from support import SANITIZERS, WARNINGS
from test_weights_record import CONSOLE, FLASH

from micro.aot import WeightsRecord, weights_record
from micro.detection.score import distance_score, margin_score, reconstruction_score, residual_score
from micro.detection.score_record import attached_parameters
from micro.errors import ConversionError
from micro.firmware.project import project_files
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.firmware.update import model_record
from micro.runs.parameters_file import run_parameters
from micro.signal import Scaling

STRICT = (*WARNINGS, "-Wsign-conversion", "-Wshadow", "-Wcast-align", "-Wno-long-long", "-ffp-contract=off")
FIRMWARES = {
    "float32": lambda: detector(WHOLE, "reconstruction", **LIMITS),
    "fixed": lambda: detector(FIXED, "distance"),
    "frames": lambda: detector(FRAMES, "residual"),
    "classes": lambda: detector(FIXED_FRAMES, "margin"),
    "sources": lambda: detector(JOINED, "reconstruction"),
    "modes": lambda: by_speed(FIXED),
    "raw": lambda: detector(RAW, "distance"),
}
# The self-test of a project of the new run, compiled in beside the old one's, compares features, outputs, scores and results of
# the model in use with Python's of the new run. Each step that is not as it should be has a number of its own.
STEPS = r"""
int new_self_test(pump_detector *state);
static pump_detector state;
static pump_parameters parameters;
static uint8_t slots[2][PUMP_SLOT_SIZE];
static int erase_slot(void *context, uint8_t slot) {
  (void)context;
  (void)memset(slots[slot], 0xff, PUMP_SLOT_SIZE);
  return 0;
}
static int write_slot(void *context, uint8_t slot, uint32_t offset, const uint8_t *bytes, uint32_t count) {
  (void)context;
  (void)memcpy(&slots[slot][offset], bytes, count);
  return 0;
}
static int read_slot(void *context, uint8_t slot, uint32_t offset, uint8_t *bytes, uint32_t count) {
  (void)context;
  (void)memcpy(bytes, &slots[slot][offset], count);
  return 0;
}
/* The result of a stream of zeros of some windows. */
static pump_status of_zeros(void) {
  static const pump_sample zeros[PUMP_CHANNELS];
  pump_status last = PUMP_WAITING;
  int32_t i;
  for (i = 0; i < 8 * PUMP_WINDOW; ++i) {
    const pump_status now = pump_detector_push(&state, zeros);
    last = now == PUMP_WAITING ? last : now;
  }
  return last;
}
static int steps(void) {
  const pump_weights_flash flash = {0, {cells.slots[0], cells.slots[1]}, SIZE, erase, put_unit, 0};
  const pump_flash kept_parameters = {0, erase_slot, write_slot, read_slot, 0};
  (void)memset(&cells, 0xff, sizeof cells);
  (void)memset(slots, 0xff, sizeof slots);
  kept = cells;
  if (pump_weights_load(&flash) != PUMP_WEIGHTS_NOT_A_RECORD) return 1;
  if (pump_self_test(&state) != 0) return 2;
  if (new_self_test(&state) == 0) return 3;
  /* The device keeps parameters of its own for the model that it has. */
  parameters = pump_default_parameters;
  if (pump_slots_store(&kept_parameters, &parameters) != PUMP_RECORD_OK) return 4;
  pump_detector_reset_with(&state, &parameters);
  (void)of_zeros();
  if (pump_weights_install(&flash, other, sizeof other) != PUMP_WEIGHTS_OTHER_DETECTOR) return 5;
  if (pump_weights_install(&flash, bare, sizeof bare) != PUMP_WEIGHTS_OTHER_DETECTOR) return 6;
  if (pump_self_test(&state) != 0) return 7;
  pump_detector_reset_with(&state, &parameters);
  if (pump_weights_install(&flash, record, sizeof record) != PUMP_WEIGHTS_OK) return 8;
  /* A detector that goes on with parameters of the former model judges nothing. */
  if (SAYS_ALL && of_zeros() != PUMP_FAULT_MODEL) return 9;
  if (new_self_test(&state) != 0) return 10;
  if (pump_self_test(&state) != 0) return 11;
  /* After a reset. */
  (void)pump_use_weights(&pump_default_weights);
  if (pump_weights_load(&flash) != PUMP_WEIGHTS_OK) return 12;
  if (new_self_test(&state) != 0) return 13;
  /* What the device kept for the former model is not for this one. */
  if (pump_slots_load(&kept_parameters, &parameters) != PUMP_RECORD_OTHER_MODEL) return 14;
  if (memcmp(&parameters, pump_parameters_of_model(), sizeof parameters) != 0) return 15;
  if (memcmp(&parameters, &pump_default_parameters, sizeof parameters) == 0) return 16;
  if (pump_slots_install(&kept_parameters, former, sizeof former, &parameters) != PUMP_RECORD_OTHER_MODEL) return 17;
  pump_detector_reset(&state);
  (void)of_zeros();
  pump_detector_set_parameters(&state, &parameters);
  if (pump_slots_install(&kept_parameters, latter, sizeof latter, &parameters) != PUMP_RECORD_OK) return 18;
  if (pump_weights_rollback(&flash) != PUMP_WEIGHTS_NOT_A_RECORD) return 19;
  if (SAYS_ALL && of_zeros() != PUMP_FAULT_MODEL) return 20;
  /* Parameters of another model start the detector over. */
  pump_detector_set_parameters(&state, pump_parameters_of_model());
  if (SAYS_ALL && of_zeros() == PUMP_FAULT_MODEL) return 21;
  return pump_self_test(&state) == 0 ? 0 : 22;
}
int main(void) {
  const int step = steps();
  begin();
  tell(&step, sizeof step);
  return 0;
}
"""
# Install over as many records as there were, or rollback, cut at each byte. Of each: cuts, all of the old, all of the new, a mix.
POWER = r"""
static int is(const uint8_t *model) {
  static uint8_t written[PUMP_RECORD_SIZE];
  uint32_t size = SCORE_SIZE, count;
  const uint8_t *attached = pump_weights_attached(&count);
  if (memcmp(pump_weights_in_use()->model, model, 8) != 0) return 0;
  pump_record_write(pump_parameters_of_model(), 7, written);
  if (model == pump_default_weights.model) {
    return attached == 0 && pump_parameters_of_model() == &pump_default_parameters &&
           pump_record_score_in_use() == &pump_record_default_score && pump_record_fits(&written[12]);
  }
  attached = model + AFTER_MODEL;
  return memcmp(pump_record_score_in_use(), attached, size) == 0 && memcmp(written, attached + size, sizeof written) == 0 &&
         pump_record_fits(&written[12]);
}
int main(void) {
  const pump_weights_flash flash = {0, {cells.slots[0], cells.slots[1]}, SIZE, erase, put_unit, 0};
  uint32_t what;
  begin();
  for (what = 0; what < 4; ++what) {
    const uint8_t *before = what == 0 ? pump_default_weights.model : &record_1[MODEL_AT];
    const uint8_t *after = what < 2 ? &record_2[MODEL_AT] : &record_1[MODEL_AT];
    uint32_t row[4] = {0, 0, 0, 0}, cut, ends = 0;
    if (what == 2) { before = &record_2[MODEL_AT]; }
    if (what == 3) { before = &record_1[MODEL_AT]; after = pump_default_weights.model; }
    left = 0xffffffff;
    (void)memset(&cells, 0xff, sizeof cells);
    (void)pump_weights_load(&flash);
    if (what > 0 && pump_weights_install(&flash, record_1, sizeof record_1) != PUMP_WEIGHTS_OK) return 2;
    if (what == 2 && pump_weights_install(&flash, record_2, sizeof record_2) != PUMP_WEIGHTS_OK) return 3;
    kept = cells;
    for (cut = 0; !ends; ++cut) {
      cells = kept;
      left = 0xffffffff;
      (void)pump_weights_load(&flash);
      if (!is(before)) return 4;
      left = cut;
      if (what < 2) (void)pump_weights_install(&flash, record_2, sizeof record_2);
      else (void)pump_weights_rollback(&flash);
      ends = left > 0;
      left = 0xffffffff;
      (void)pump_weights_load(&flash);
      ++row[is(after) ? 2 : is(before) ? 1 : 3];
    }
    row[0] = cut;
    tell(row, sizeof row);
  }
  return 0;
}
"""
HEADERS = '#include "pump.h"\n#include "pump_weights.h"\n#include "pump_record.h"\n#include "pump_self_test.h"\n'


def retrained(firmware, seed):
    """Another run's firmware with the same layers and front end: other weights, scales, scaling, score and threshold."""
    old = firmware.decider
    tflite, rng = redrawn(firmware.tflite, seed), np.random.default_rng(seed)
    outputs = (50, len(old.score.centre))
    score = {
        "reconstruction": lambda: reconstruction_score(tflite),
        "distance": lambda: distance_score(tflite, rng.integers(-128, 128, outputs).astype(np.int8)),
        "margin": lambda: margin_score(tflite, [0]),
        "residual": lambda: residual_score(tflite, old.score.places),
    }[old.score.kind]()
    size = len(firmware.scaling.centre)
    scaling = Scaling(tuple(rng.normal(0, 0.2, size)), tuple(rng.uniform(0.8, 1.5, size)))
    more = {"threshold": old.threshold // 2 + seed, "clear_threshold": old.threshold // 3}
    if old.modes is not None:
        more = {"modes": replace(old.modes, thresholds=tuple((a - seed, b - 9) for a, b in old.modes.thresholds))}
    return replace(firmware, tflite=tflite, scaling=scaling, decider=replace(old, score=score, **more))


def record_of(firmware, counter, windows=3):
    return model_record(firmware, frames_of(firmware.front_end, windows), run_parameters(firmware, 7), counter)


def project(firmware, folder, records, **options):
    """The sources of a project with exchangeable weights, and records as arrays of C, in one folder."""
    files = project_files(
        firmware, frames_of(firmware.front_end, 3), "pump", "files", "static", weights="exchangeable", **options
    )
    emitted_c.written(
        {path.removeprefix("src/"): each for path, each in files.items() if path.startswith("src/")}, folder
    )
    lines = [
        f"static const uint8_t {name}[] = {{{', '.join(map(str, content))}}};" for name, content in records.items()
    ]
    (folder / "records.h").write_text("\n".join(lines) + "\n")
    apart = ("app", "sensor", "sample_queue")
    return sorted(path.name for path in folder.glob("*.c") if path.stem not in apart)


def main_of(text, size):
    console = CONSOLE.replace("static const void *const all_of[]", "")
    slots = FLASH.replace('#include "pump_weights.h"', HEADERS.strip()).replace("512u", f"{-(-size // 32) * 32 + 32}u")
    return slots + console + text


def on_host(folder, sources, flags=SANITIZERS):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: emitted C cannot be compiled")
    built = subprocess.run(
        ["gcc", *STRICT, *flags, *sources, "main.c", "-lm", "-o", "main"], cwd=folder, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[:4000]
    done = subprocess.run([folder / "main"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    return (folder / "result.bin").read_bytes()


def exchange(firmware, new, folder, run=on_host):
    """The step in which an exchange is not as it should be, 0 for none."""
    good = record_of(new, 2)
    other = retrained(firmware, 5)
    records = {
        "record": good,
        # The score and the parameters of one model with the weights of another, and weights alone.
        "other": replace(good, attached=record_of(other, 2).attached),
        "bare": replace(good, attached=b""),
    }
    arrays = {name: each.to_bytes() for name, each in records.items()}
    arrays |= {"former": run_parameters(firmware, 9).to_bytes(), "latter": run_parameters(new, 9).to_bytes()}
    sources = project(firmware, folder, arrays)
    theirs = project_files(new, frames_of(new.front_end, 3), "pump", "files", "static")["src/pump_self_test.c"].decode()
    (folder / "new_self_test.c").write_text(
        theirs.replace("int pump_self_test(", "int new_self_test(pump_detector *state);\nint new_self_test(")
    )
    # With modes and several sources a stream of zeros is not judged.
    says_all = int(firmware.decider.modes is None and firmware.front_end is not JOINED)
    (folder / "main.c").write_text(main_of(STEPS.replace("SAYS_ALL", str(says_all)), len(arrays["record"])))
    return int.from_bytes(run(folder, [*sources, "new_self_test.c"]), "little")


@pytest.mark.parametrize(
    "name",
    [each if each in ("fixed", "frames") else pytest.param(each, marks=pytest.mark.slow) for each in FIRMWARES],
)
def test_a_device_computes_as_python_of_the_new_run_after_one_record_and_as_before_after_a_rollback(name, tmp_path):
    firmware = FIRMWARES[name]()
    assert exchange(firmware, retrained(firmware, 1), tmp_path) == 0
