"""Last stages behind filters: the same results in C from the sensor's own samples, and faults where these have them."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from emitted_c import detector, learning, numbers, stage
from support import SANITIZERS, WARNINGS
from test_front_end import needs_gcc

from micro.aot.generate import static_files
from micro.detection.detector import Status
from micro.detection.estimator import Estimators
from micro.detection.labeler import Labeler
from micro.detection.recognizer import Recognizer
from micro.emission.sensor import stage_context
from micro.firmware import emulate as emulation
from micro.firmware.project import stage_files
from micro.runs.device import judge
from micro.signal import Filter, FrontEnd
from micro.support.files import sha256
from micro.tflite.graph import read

RATE = 1000.0
LIMITS = {"saturation": 8.0, "max_saturated": 2}
COUNTS = {"saturation": 32766.5, "max_saturated": 2}
HITS = {"min_hits": 2, "history": 3}
# Windows that hops do not divide, windows without a divisor, and frames whose last part is shorter.
SHAPES = FrontEnd(
    ("shape", "statistics"), 25, 10, channels=3, sample_rate=RATE, decimate=3, filter=Filter("highpass", 20.0)
)
ALONE = FrontEnd(
    ("spectrum", "shape"), 64, 29, channels=2, sample_rate=RATE, bands=4, filter=Filter("bandpass", 50.0, 300.0, 2)
)
FRAMES = FrontEnd(("mel", "shape"), 64 + 3 * 24, 48, 1, RATE, bands=4, frame=64, frame_hop=24, decimate=2)
RAW = FrontEnd("raw", 11, 5, channels=2, sample_rate=RATE, decimate=16, filter=Filter("lowpass", None, 25.0))


def fixed(front_end):
    return replace(front_end, arithmetic="fixed", full_scale=8.0)


def learner(front_end, **limits):
    """A detector that learns its machine from few windows, which overlap: halves of them may differ by more."""
    made = learning(front_end, **limits)
    return replace(made, commissioning=replace(made.commissioning, halves_limit=512))


def firmwares():
    """By name: of every last stage some."""
    return {
        "detector": detector(SHAPES, "reconstruction", clear_threshold=0.9, clear_after=2, **HITS, **LIMITS),
        "detector_fixed": detector(fixed(SHAPES), "distance", **HITS, **COUNTS),
        "residual": detector(RAW, "residual", **LIMITS),
        "margin": detector(FRAMES, "margin", **LIMITS),
        "learns": learner(SHAPES, **LIMITS),
        "learns_fixed": learner(fixed(SHAPES), **COUNTS),
        "recognizer": stage(ALONE, 3, Recognizer(0.1, ("a", "b", "c"), (3, 5, 2), **HITS, **LIMITS)),
        "recognizer_fixed": stage(fixed(FRAMES), 3, Recognizer(0.1, ("a", "b", "c"), (3, 5, 2), **HITS)),
        "labeler": stage(SHAPES, 3, Labeler(0.1, 3, ("a", "b", "c"), (3, -5, 2), **HITS, **LIMITS)),
        "labeler_fixed": stage(fixed(ALONE), 3, Labeler(0.1, 3, ("a", "b", "c"), (3, -5, 2), **HITS, **COUNTS)),
        "number": stage(FRAMES, 1, numbers(**LIMITS)),
        "numbers_fixed": stage(
            fixed(RAW), 2, Estimators((numbers(**COUNTS), replace(numbers(**COUNTS), name="load", unit=100.0)))
        ),
    }  # fmt: skip


HARNESS = """
#include <stdio.h>
#include "d.h"
#include "d_STAGE.h"
static d_STAGE state;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  d_sample sample[D_CHANNELS];
  d_STAGE_reset(&state);
  while (fread(sample, sizeof sample, 1, stdin) == 1) {
    const d_status status = d_STAGE_push(&state, sample);
    if (status != D_WAITING) {
      int32_t i;
      printf("%d %ld", (int)status, (long)(WHAT));
      for (i = 0; i < D_FEATURE_COUNT; ++i) printf(" %d", FEATURES()[i]);
      printf("\\n");
    }
  }
  return 0;
}
"""
STAGES = {
    "detector": ("detector", "state.score"),
    "residual": ("detector", "state.score"),
    "margin": ("detector", "state.score"),
    "learns": ("commissioning", "state.detector.score"),
    "recognizer": ("recognizer", "state.recognized"),
    "labeler": ("labeler", "state.labels"),
    "number": ("estimator", "state.score"),
    "numbers": ("estimator", "state.scores[1]"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """By name: the firmware and a program of its C; compiled when first asked for."""
    made, firmware_of = {}, firmwares()

    def of(name):
        if name not in made:
            firmware, folder = firmware_of[name], tmp_path_factory.mktemp(name)
            kind, what = STAGES[name.removesuffix("_fixed")]
            files = stage_files(firmware, read(firmware.tflite), sha256(firmware.tflite), "d") | static_files(
                firmware.tflite, "d"
            )
            for file, content in files.items():
                (folder / file).write_bytes(content)
            features = "d_detector_features" if kind == "commissioning" else "d_STAGE_features"
            text = HARNESS.replace("FEATURES", features).replace("STAGE", kind).replace("WHAT", what)
            (folder / "main.c").write_text(text)
            sources = [file for file in files if file.endswith(".c")]
            done = subprocess.run(
                ["gcc", *WARNINGS, *SANITIZERS, "-ffp-contract=off", *sources, "main.c", "-lm", "-o", "main"],
                cwd=folder, capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            made[name] = (firmware, folder / "main")
        return made[name]

    return of


def require_alike(program, firmware, samples, name):
    """Python's results, which are those of the C."""
    done = subprocess.run([program], input=samples.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = judge(firmware, samples)
    rows = [line.split() for line in done.stdout.decode().splitlines()]
    assert [int(row[0]) for row in rows] == [int(status) for status in found.statuses]
    good = found.faulty == 0
    what = {"recognizer": found.classes, "labeler": found.labels}.get(name.removesuffix("_fixed"), found.scores)
    what = what if what.ndim == 1 else what[:, 1]
    if name.startswith("learns"):
        good &= np.isin(found.statuses, (Status.HEALTHY, Status.ALARM))
    written = np.array([row[1:] for row in rows], np.int64).reshape(len(good), -1)
    kept = good if "recognizer" not in name and "labeler" not in name else slice(None)
    np.testing.assert_array_equal(written[kept, 0], what[kept])
    np.testing.assert_array_equal(written[good, 1:], found.features[good].reshape(int(good.sum()), -1))
    return found


def noise(rng, firmware, count, scale=3.0):
    made = rng.normal(0, scale, (count, firmware.front_end.channels))
    if firmware.front_end.arithmetic == "fixed":
        return np.clip(np.round(made * 4096), -32768, 32767).astype(np.int16)
    return made.astype(np.float32)


QUICK = ("detector", "recognizer_fixed", "labeler_fixed", "numbers_fixed", "learns")
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in firmwares()]


@needs_gcc
@pytest.mark.parametrize("name", NAMES)
def test_c_and_python_say_the_same_of_the_sensor_s_samples(built, name):
    firmware, program = built(name)
    rng = np.random.default_rng(7)
    learns = firmware.commissioning is not None
    samples = noise(rng, firmware, (90 if learns else 20) * firmware.front_end.sensor_window + 5, 2.5)
    if samples.dtype == np.float32 and not learns:
        samples[rng.random(samples.shape) < 0.0002] = np.nan
        samples[rng.random(samples.shape) < 0.0002] = 3e38
    if learns:  # a machine with a fault while it is learned is refused
        samples = samples // 4 if samples.dtype == np.int16 else np.clip(samples, -7, 7)
    found = require_alike(program, firmware, samples, name)
    assert (found.faulty == 0).sum() > 3
    if learns:
        assert {Status.LEARNING, Status.CALIBRATING, Status.ALARM} < set(found.statuses)


@needs_gcc
@pytest.mark.parametrize("name", ["detector", pytest.param("recognizer", marks=pytest.mark.slow)])
def test_a_window_has_the_faults_of_its_own_samples_alone(built, name):
    """The ring holds filtered samples: of three one, on which a fault of another leaves its traces, or none."""
    firmware, program = built(name)
    window, hop = firmware.front_end.sensor_window, firmware.front_end.sensor_hop
    samples = noise(np.random.default_rng(4), firmware, 12 * window, 0.1)
    for place in range(3 * window, 3 * window + 7):
        for faulty in ([np.nan], [8.0, -9.0, 8.5]):
            broken = samples.copy()
            broken[place : place + len(faulty), 1] = faulty
            found = require_alike(program, firmware, broken, name)
            ends = window + hop * np.arange(len(found.faulty))
            expected = (ends - window <= place) & (place + len(faulty) <= ends)
            np.testing.assert_array_equal(found.faulty != 0, expected)


@pytest.mark.parametrize(
    ("front_end", "parts", "samples", "counts"),
    [
        (FrontEnd("raw", 4096, 4096, decimate=16), 1, "((uint32_t)4096 * PUMP_DECIMATE)", ("uint32_t", "uint32_t")),
        (FrontEnd("raw", 4096, 4096, 3, decimate=8), 1, "((uint32_t)4096 * PUMP_DECIMATE)", ("uint16_t", "uint32_t")),
        (SHAPES, 5, "((uint32_t)5 * PUMP_DECIMATE)", ("uint16_t", "uint16_t")),
        (ALONE, 64, "1", ("uint16_t", "uint16_t")),
        (FRAMES, 3 + 3, "((uint32_t)PUMP_FRAME_HOP * PUMP_DECIMATE)", ("uint16_t", "uint16_t")),
        (replace(FRAMES, decimate=1), 3 + 3, "PUMP_FRAME_HOP", ("uint16_t", "uint16_t")),
        (FrontEnd("raw", 4096, 4096), None, "", ("uint16_t", "uint16_t")),
    ],
)
def test_faults_are_counted_in_types_that_hold_a_part(front_end, parts, samples, counts):
    context = stage_context("recognizer", Recognizer(0.1, ("a", "b"), (3, 5)), front_end, "", "pump")
    assert context["parts"] == parts
    assert context["part_samples"] == samples
    assert (context["filled_count"], context["part_count"]) == counts


@pytest.mark.slow
@pytest.mark.skipif(bool(emulation.missing_tools()), reason="no compiler or emulator for Cortex-M")
@pytest.mark.parametrize("name", list(firmwares()))
def test_emulated_chips_say_what_python_says_of_the_sensor_s_samples(name):
    firmware = firmwares()[name]
    front_end = firmware.front_end
    kept = np.random.default_rng(3).normal(0, 2.5, (12, front_end.sensor_window, front_end.channels)).astype(np.float32)
    kept[5, 3:7] = 8.5
    for found in emulation.emulate_firmware(firmware, kept, "pump", ("m0", "m4f")):
        assert found.equal
        assert found.windows > 8
