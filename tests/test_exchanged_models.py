"""Projects whose model is exchanged on the device, with its score and parameters: all of a new run, or all of the old."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from dataclasses import replace

import emitted_c
import numpy as np
import pytest
from emitted_c import FIXED, FIXED_FRAMES, FRAMES, JOINED, LIMITS, RAW, WHOLE, by_speed, detector, frames_of
from other_models import redrawn
from repeated_graphs import repeated_graph
from support import SANITIZERS, WARNINGS, invoke
from test_weights_record import CONSOLE, FLASH

from micro.aot import WeightsRecord, weights_of
from micro.aot.block import DIGEST
from micro.aot.generate import static_files
from micro.aot.weights_format import BLOCK_AT
from micro.detection.score import distance_score, margin_score, reconstruction_score, residual_score
from micro.detection.score_record import attached_parameters, score_size
from micro.errors import ConversionError, RunError
from micro.firmware.exchangeable import require_exchangeable
from micro.firmware.project import project_files
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.firmware.update import model_record, update_device
from micro.runs.finished import read_run
from micro.runs.firmware import load_firmware
from micro.runs.kept_windows import load_windows
from micro.runs.parameters_file import Update, real_threshold, run_parameters
from micro.runs.run_report import RunReport
from micro.runs.start import run_pipeline
from micro.signal import Scaling

STRICT = (*WARNINGS, "-Wsign-conversion", "-Wshadow", "-Wcast-align", "-Wno-long-long", "-ffp-contract=off")
# Where the digest of the model stands in a record of weights.
MODEL_AT = BLOCK_AT + DIGEST
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
#if SUMMARIES
#include "pump_summary.h"
/* Whether a summary is of the model in use, and counts the windows of a stream of zeros or leaves them out. */
static int summarizes(int counts) {
  static pump_summary summary;
  static uint8_t bytes[PUMP_SUMMARY_MAX_BYTES];
  static const pump_sample zeros[PUMP_CHANNELS];
  static int begun = 0;
  int32_t i;
  uint32_t windows;
  if (!begun) pump_summary_reset(&summary, 0, 0);
  begun = 1;
  windows = counts ? 0 : summary.windows;
  for (i = 0; i < 8 * PUMP_WINDOW; ++i) pump_summary_add(&summary, &state, pump_detector_push(&state, zeros));
  if (!counts) return summary.windows == windows && summary.uncounted > 0;
  if (summary.windows == 0 || pump_summary_write(&summary, 0, bytes, sizeof bytes) == 0) return 0;
  for (i = 0; i < 4 * PUMP_WINDOW; ++i) pump_summary_add(&summary, &state, pump_detector_push(&state, zeros));
  return memcmp(&bytes[6], pump_record_made_for(), 24) == 0;
}
#else
static int summarizes(int counts) { return counts >= 0; }
#endif
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
  if (!summarizes(1)) return 23;
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
  /* A period that began with the former model counts no windows of this one; the next one is of this one. */
  if (!summarizes(0)) return 24;
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
# Install over as many records as there were, or rollback, cut at each byte. Of each: cuts, all of the old, of the new, a mix.
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


def exchange(firmware, new, folder, run=on_host, kept=None, content=None):
    """The step in which an exchange is not as it should be, 0 for none; of `kept` windows and `content`, the record."""
    good = record_of(new, 2) if content is None else WeightsRecord.from_bytes(content)
    kept = frames_of(new.front_end, 3) if kept is None else kept
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
    theirs = project_files(new, kept, "pump", "files", "static")["src/pump_self_test.c"].decode()
    (folder / "new_self_test.c").write_text(
        theirs.replace("int pump_self_test(", "int new_self_test(pump_detector *state);\nint new_self_test(")
    )
    # With modes and several sources a stream of zeros is not judged.
    says_all = int(firmware.decider.modes is None and firmware.front_end is not JOINED)
    summaries = int(says_all and firmware.decider.score.kind != "margin")
    text = STEPS.replace("SAYS_ALL", str(says_all)).replace("SUMMARIES", str(summaries))
    (folder / "main.c").write_text(main_of(text, len(arrays["record"])))
    return int.from_bytes(run(folder, [*sources, "new_self_test.c"]), "little")


@pytest.mark.parametrize(
    "name",
    [each if each == "frames" else pytest.param(each, marks=pytest.mark.slow) for each in FIRMWARES],
)
def test_a_device_computes_as_python_of_the_new_run_after_one_record_and_as_before_after_a_rollback(name, tmp_path):
    firmware = FIRMWARES[name]()
    assert exchange(firmware, retrained(firmware, 1), tmp_path) == 0


def power_main(folder):
    firmware = FIRMWARES["raw"]()
    records = {f"record_{n}": record_of(retrained(firmware, n), n, windows=1).to_bytes() for n in (1, 2)}
    sources = project(firmware, folder, records)
    attached_at = int.from_bytes(records["record_1"][36:40], "little")
    size = score_size(firmware.decider.score)
    numbers = {"MODEL_AT": MODEL_AT, "AFTER_MODEL": attached_at - MODEL_AT, "SCORE_SIZE": size}
    text = POWER
    for name, number in numbers.items():
        text = text.replace(name, str(number))
    (folder / "main.c").write_text(main_of(text, len(records["record_1"])))
    return [name for name in sources if name in ("pump.c", "pump_weights.c", "pump_record.c", "pump_parameters.c")]


def require_no_mix(content):
    rows = np.frombuffer(content, "<u4").reshape(-1, 4).tolist()
    assert len(rows) == 4
    for cuts, old, new, mixed in rows:
        assert mixed == 0
        assert old + new == cuts
        assert min(old, new) >= 1
    assert max(row[0] for row in rows) > 700  # each byte erased and each byte written


def test_a_power_cut_at_any_byte_leaves_model_score_and_parameters_of_one_run(tmp_path):
    require_no_mix(on_host(tmp_path, power_main(tmp_path), ("-O1",)))


def on_chip(core):
    missing = missing_for(core)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return lambda folder, sources: run_in_qemu(folder, core, [*sources, "main.c"])


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m0", "m4f"])
def test_an_emulated_chip_computes_as_python_of_the_new_run_too(core, tmp_path):
    firmware = FIRMWARES["frames"]()
    assert exchange(firmware, retrained(firmware, 1), tmp_path, on_chip(core)) == 0


@pytest.mark.slow
def test_a_power_cut_leaves_no_mix_on_an_emulated_chip_too(tmp_path):
    require_no_mix(on_chip("m4f")(tmp_path, power_main(tmp_path)))


def changed_run(run, folder, firmware=None, **changes):
    """A copy of a run with another student and detector, or with another report."""
    shutil.copytree(run, folder)
    if firmware is not None:
        (folder / "student_int8.tflite").write_bytes(firmware.tflite)
        changes |= {"detector": firmware.decider, "scaling": firmware.scaling}
    (folder / "report.json").write_bytes(RunReport.read(run).model_copy(update=changes).to_bytes())
    return folder


@pytest.fixture(scope="module")
def runs(rig_run, tmp_path_factory):
    """A run, one of a student trained again, and one with another threshold alone."""
    place = tmp_path_factory.mktemp("runs")
    firmware = load_firmware(rig_run)
    decider = replace(firmware.decider, threshold=2 * firmware.decider.threshold)
    return (
        rig_run,
        changed_run(rig_run, place / "again", retrained(firmware, 1)),
        changed_run(rig_run, place / "higher", replace(firmware, decider=decider)),
    )


def test_update_writes_model_and_parameters_together_only_where_the_model_is_another(runs, tmp_path):
    old, again, higher = runs
    written = update_device(higher, old, tmp_path / "new.bin")
    assert isinstance(written, Update)
    assert (tmp_path / "new.bin").read_bytes() == run_parameters(load_firmware(higher)).to_bytes()
    assert update_device(again, again, tmp_path / "own.bin").says.startswith("threshold")
    written = update_device(again, old, tmp_path / "new.bin", 5)
    content, new = (tmp_path / "new.bin").read_bytes(), load_firmware(again)
    record = WeightsRecord.from_bytes(content, weights_of(load_firmware(old).tflite))
    assert (record.counter, len(record.windows)) == (5, 8)
    assert record.model == weights_of(new.tflite).model
    assert attached_parameters(record.attached) == run_parameters(new)
    assert written.says == (
        f"model {weights_of(load_firmware(old).tflite).model.hex()} to "
        f"{record.model.hex()}, threshold {real_threshold(load_firmware(old)):.6g} to {real_threshold(new):.6g}, "
        f"8 windows of self-test, {len(content):,} bytes"
    )
    held = json.loads(invoke("show-record", tmp_path / "new.bin", "--json").output)
    assert (held["kind"], held["threshold"]) == ("weights", new.decider.threshold)
    assert held["threshold_as_score"] == pytest.approx(real_threshold(new), rel=1e-5)
    assert "says by itself what scores are" in invoke("show-record", tmp_path / "new.bin", "--run", again).output
    of_parameters = invoke("show-record", tmp_path / "own.bin", "--run", again, "--json").output
    assert json.loads(of_parameters)["threshold_as_score"] == pytest.approx(real_threshold(new), rel=1e-5)
    assert "is for another model" in invoke("show-record", tmp_path / "own.bin", "--run", old).output


def test_update_names_what_needs_new_firmware_and_writes_nothing(runs, tmp_path):
    old, again, _ = runs
    report = RunReport.read(again)
    changes = {
        "front end": {"features": replace(report.features, taper="hamming")},
        "min_hits and history": {"detector": replace(report.detector, min_hits=1, history=9)},
        "kind of score": {"detector": replace(report.detector, score=replace(report.detector.score, kind="margin"))},
    }
    for words, change in changes.items():
        folder = changed_run(again, tmp_path / words, **change)
        done = invoke("update", folder, "--from", old, "--out", tmp_path / "none.bin")
        assert done.exit_code == 2
        assert (
            f"{folder} differs from {old} in its {words}, which a record does not change; make new firmware"
            in done.stderr
        )
    done = invoke("update", again, "--from", old, "--out", tmp_path / "none.bin", "--sensor", tmp_path / "sensor.toml")
    assert done.exit_code == 2
    assert "write the model without --sensor" in done.stderr
    firmware = load_firmware(again)
    shape, size = firmware.front_end.shape, math.prod(firmware.front_end.shape)
    layers = replace(firmware, tflite=emitted_c.dense_model(shape, size))
    score = reconstruction_score(layers.tflite)
    folder = changed_run(again, tmp_path / "layers", replace(layers, decider=replace(firmware.decider, score=score)))
    done = invoke("update", folder, "--from", old, "--out", tmp_path / "none.bin")
    assert done.exit_code == 2
    assert "other layers than the firmware's: " in done.stderr
    assert "; make new firmware" in done.stderr
    assert not (tmp_path / "none.bin").exists()


def test_what_is_not_exchanged_with_its_weights_is_refused_by_name():
    names = {
        "learns": r"with \[commissioning\] each device learns its own",
        "picture": "a detector's parameters, and the run has a recognizer",
        "labels": "and the run has a labeler",
        "number": "and the run has an estimator",
    }
    made = emitted_c.firmwares()
    for name, words in names.items():
        with pytest.raises(RunError, match=f"runs/x: .*{words}; do this"):
            require_exchangeable(made[name], "runs/x", "do this")
    with pytest.raises(RunError, match="in static C, and runtime is 'tflm'"):
        require_exchangeable(made["margin"], "runs/x", "do this", "tflm")
    with pytest.raises(RunError, match=r"firmware\.streaming gives one that takes hops"):
        require_exchangeable(replace(made["residual"], step=b"a step"), "runs/x", "do this")
    with pytest.raises(ConversionError, match="is in steps that repeat, as those of a GRU do"):
        static_files(repeated_graph(0), "m1", weights="exchangeable", with_detector=True)


@pytest.mark.slow
def test_a_run_trained_again_reaches_a_device_of_the_former_run(rig_run, tmp_path):
    """Both are trained here; the project as `new-firmware` writes it passes its own self-test on an emulated Cortex-M4F, and
    gives the new run's results on it once that run's record is installed."""
    config = read_run(rig_run)[1]
    again = tmp_path / "again"
    run_pipeline(config.model_copy(update={"seed": 77, "seeds": 1}), again)
    folder = tmp_path / "firmware"
    done = invoke("new-firmware", rig_run, "--board", "bare-cortex-m", "--weights", "exchangeable", "--out", folder)
    assert done.exit_code == 0, done.output
    name = config.firmware.name
    on_chip("m4f")
    made = subprocess.run(["make", "CORE=m4f", "run"], cwd=folder, capture_output=True, text=True)
    assert "self-test: pass" in made.stdout + made.stderr
    assert invoke("update", again, "--from", rig_run, "--out", tmp_path / "new.bin", "--counter", 2).exit_code == 0
    old, new = load_firmware(rig_run), load_firmware(again)
    assert old.tflite != new.tflite
    assert name == "bearing"
    kept = load_windows(again, new)[:16]
    content = (tmp_path / "new.bin").read_bytes()
    (tmp_path / "host").mkdir()
    assert exchange(old, new, tmp_path / "host", kept=kept, content=content) == 0
    (tmp_path / "chip").mkdir()
    assert exchange(old, new, tmp_path / "chip", on_chip("m4f"), kept=kept, content=content) == 0
