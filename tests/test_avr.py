"""Emitted C where int has 16 bits: an AVR decides as Python does, in simavr."""

import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
from keras import layers
from support import WARNINGS

import micro
from micro.aot import generate
from micro.datasets.recording import windows
from micro.detection.detector import make_detector
from micro.detection.residual import taken
from micro.detection.score import distance_score, margin_score, reconstruction_score, residual_score
from micro.detection.threshold import Threshold
from micro.emission.detector import emit_detector
from micro.runs.device import judge
from micro.runs.firmware import Firmware
from micro.signal import FrontEnd, fit_scaling
from micro.tflite.interpreter import run_inputs

CHIP = "atmega1284p"
SAMPLES = 1200
HARNESS = r"""
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include "d.h"
#include "d_detector.h"
static d_detector state;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
static void put(char c) {
  while (!(UCSR0A & (1 << UDRE0))) {
  }
  UDR0 = (uint8_t)c;
}
static void hex(uint64_t x, uint8_t digits) {
  while (digits-- > 0) put("0123456789abcdef"[(uint8_t)(x >> (4 * digits)) & 15u]);
  put(' ');
}
int main(void) {
  d_sample sample[D_CHANNELS];
  uint32_t seed = 1, n, i;
  UCSR0B = 1 << TXEN0;
  d_detector_reset(&state);
  for (n = 0; n < SAMPLES; ++n) {
    d_status status;
    for (i = 0; i < D_CHANNELS; ++i) {
      seed ^= seed << 13;
      seed ^= seed >> 17;
      seed ^= seed << 5;
      sample[i] = SAMPLE;
    }
    status = d_detector_push(&state, sample);
    if (status != D_WAITING) {
      uint32_t sum = 0;
      for (i = 0; i < D_FEATURE_COUNT; ++i) sum = sum * 31u + (uint8_t)d_detector_features()[i];
      hex((uint64_t)status, 2);
      hex((uint64_t)state.score, 16);
      hex(sum, 8);
      put('\n');
    }
  }
  put('.');
  put('\n');
  cli();
  sleep_enable();
  sleep_cpu();
  return 0;
}
"""
# A sample: 16 bits of the generator, quieter from stretch to stretch.
QUIETER = "((int32_t)seed >> 16 >> (n / 100 % 14))"
SAMPLE = {"fixed": f"(int16_t){QUIETER}", "float32": f"(float){QUIETER} / 4096.0f"}
CASES = [
    (("spectrum", "moments"), "reconstruction", "fixed"),
    (("mel", "envelope"), "distance", "fixed"),
    (("statistics",), "margin", "fixed"),
    (("raw",), "margin", "fixed"),
    (("spectrum", "moments"), "reconstruction", "float32"),
    (("mel", "envelope", "statistics"), "margin", "float32"),
    (("statistics", "moments"), "residual", "fixed"),
    (("raw",), "residual", "float32"),
]


def samples_of(arithmetic):
    seed, drawn = 1, []
    for number in range(2 * SAMPLES):
        seed ^= seed << 13 & 0xFFFFFFFF
        seed ^= seed >> 17
        seed ^= seed << 5 & 0xFFFFFFFF
        high = seed >> 16
        drawn.append((high - 65536 if high >= 32768 else high) >> (number // 2 // 100 % 14))
    counts = np.array(drawn).reshape(-1, 2)
    return counts.astype(np.int16) if arithmetic == "fixed" else (counts / np.float32(4096)).astype(np.float32)


def built(kinds, kind, arithmetic, folder):
    """Firmware and its C in a folder."""
    front_end = FrontEnd(
        kinds, 64, 32, channels=2, bands=4, sample_rate=1000.0, envelope_bands=2, envelope_high=300.0,
        arithmetic=arithmetic, full_scale=8.0, detrend="linear",
    )  # fmt: skip
    frames = windows(samples_of(arithmetic), 64, 32)
    features = front_end(frames)
    scaling = fit_scaling(features)
    places = front_end.places_of([0]) if kind == "residual" else ()
    x = taken(scaling(features), places)
    inputs = keras.Input(x.shape[1:])
    hidden = layers.Dense(6, activation="relu")(layers.Flatten()(inputs) if x.ndim > 2 else inputs)
    same = kind in ("reconstruction", "residual")
    outputs = layers.Dense(x[0].size if same else 3)(hidden)
    tflite = micro.convert(keras.Model(inputs, outputs), x).content
    firmware = Firmware(front_end, scaling, tflite, None)
    int8_inputs = firmware.features(frames)
    said = run_inputs(tflite, taken(int8_inputs, places))
    score = {
        "reconstruction": lambda: reconstruction_score(tflite),
        "residual": lambda: residual_score(tflite, places),
        "distance": lambda: distance_score(tflite, said),
        "margin": lambda: margin_score(tflite, [0]),
    }[kind]()
    threshold = Threshold(float(np.median(score(int8_inputs, said))) * score.unit, "")
    saturation = 30000.5 if arithmetic == "fixed" else 7.5
    detector = make_detector(
        score,
        threshold,
        clear_threshold=0.9,
        min_hits=2,
        history=3,
        clear_after=2,
        saturation=saturation,
        max_saturated=3,
    )
    emit_detector(front_end, scaling, detector, tflite, folder, "d")
    generate(tflite, folder, "d")
    return Firmware(front_end, scaling, tflite, detector)


def in_simavr(folder, arithmetic):
    (folder / "main.c").write_text(HARNESS)
    defines = (f"-DSAMPLE={SAMPLE[arithmetic]}", f"-DSAMPLES={SAMPLES}u", "-DF_CPU=16000000UL")
    sources = ("main.c", "d.c", "d_detector.c", "d_parameters.c", "d_front_end.c")
    done = subprocess.run(
        ["avr-gcc", f"-mmcu={CHIP}", "-Os", *WARNINGS, *defines, *sources, "-lm", "-o", "program.elf"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:3000]
    command = ["simavr", "-m", CHIP, "-f", "16000000", "program.elf"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    return re.findall(r"([0-9a-f]{2}) ([0-9a-f]{16}) ([0-9a-f]{8})", said.stdout + said.stderr)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join([*case[0], *case[1:]]))
def test_an_avr_decides_as_python_does(case, tmp_path):
    missing = [tool for tool in ("avr-gcc", "simavr") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    firmware = built(*case, tmp_path)
    judged = judge(firmware, samples_of(case[2]))
    expected, last = [], (0, 0)
    for status, features, score, fault in zip(judged.statuses, judged.features, judged.scores, judged.faulty):
        if not fault:
            total = 0
            for value in features.reshape(-1):
                total = (total * 31 + int(value) % 256) % 2**32
            last = (int(score) % 2**64, total)
        expected.append((f"{int(status):02x}", f"{last[0]:016x}", f"{last[1]:08x}"))
    assert {int(status) for status in judged.statuses} >= {1, 2, 4}
    assert in_simavr(tmp_path, case[2]) == expected
