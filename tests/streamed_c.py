"""The C of a detector with all that belongs to it, and a program around it that runs on a host and on emulated cores."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import emitted_c
import numpy as np
from emitted_c import FIXED_FILTERED, FIXED_LIMITS, PLAIN, detector
from support import SANITIZERS

from micro.aot.generate import static_files
from micro.detection.modes import Modes
from micro.emission.detector import detector_files
from micro.emission.diagnosis import diagnosis_files
from micro.emission.summary import summary_files
from micro.emission.tachometer import tachometer_files
from micro.emission.vibration import vibration_files
from micro.support.files import sha256
from micro.tflite.graph import read

# What a program has to be given of a detector: macros of the parts that it has.
AROUND = r"""
#include <stdint.h>
#if defined(__arm__) || defined(__riscv)
#include "console.h"
static int in, out;
static void begin(void) { in = console_open("samples.bin", 0); out = console_open("result.bin", 1); }
static int next(void *to, uint32_t size) { return console_read(in, to, size) == 0; }
static void tell(const void *from, uint32_t size) { (void)console_write(out, from, size); }
#else
#include <stdio.h>
static void begin(void) {}
static int next(void *to, uint32_t size) { return fread(to, 1, size, stdin) == size; }
static void tell(const void *from, uint32_t size) { (void)fwrite(from, 1, size, stdout); }
#endif
#include "d.h"
#ifdef LEARNS
#include "d_commissioning.h"
static d_commissioning machine;
#define DETECTOR machine.detector
#define RESET() d_commissioning_reset(&machine)
#define RESTART() d_detector_restart(&machine.detector)
#define PUSH(sample) d_commissioning_push(&machine, sample)
#define OF_MACHINE &machine,
#else
#include "d_detector.h"
static d_detector detector;
#define DETECTOR detector
#define RESET() d_detector_reset(&detector)
#define RESTART() d_detector_restart(&detector)
#define PUSH(sample) d_detector_push(&detector, sample)
#define OF_MACHINE
#endif
#ifdef SUMMARY
#include "d_summary.h"
static d_summary summary;
static d_summary_features sums;
static uint8_t bytes[D_SUMMARY_MAX_BYTES];
#endif
#ifdef DIAGNOSIS
#include "d_diagnosis.h"
static d_diagnosis diagnosis;
#endif
#ifdef VIBRATION
#include "d_vibration.h"
static d_vibration vibration;
#endif
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
"""
# A row a window: status, score where there is one, and features; a summary after each fifth window.
ROWS = r"""
int main(void) {
  d_sample sample[D_CHANNELS];
#ifdef SUMMARY
  uint32_t windows = 0;
#endif
  begin();
  RESET();
#ifdef SUMMARY
  d_summary_reset(&summary, &sums, 0);
#endif
#ifdef DIAGNOSIS
  d_diagnosis_reset(&diagnosis);
#endif
#ifdef VIBRATION
  d_vibration_reset(&vibration);
#endif
  while (next(sample, sizeof sample)) {
    d_status status;
#ifdef MODES
    MODES speed;
    if (!next(&speed, sizeof speed)) return 2;
    d_detector_set_speed(&detector, speed);
#endif
#ifdef DIAGNOSIS
    (void)d_diagnosis_push(&diagnosis, (float)sample[0]);
#endif
#ifdef VIBRATION
    if (d_vibration_push(&vibration, sample) == D_VIBRATION_MEASURED) {
      d_summary_velocity(&summary, d_vibration_velocity(&vibration));
    }
#endif
    status = PUSH(sample);
    if (status != D_WAITING) {
      int64_t row[2];
      row[0] = (int64_t)status;
      row[1] = status == D_HEALTHY || status == D_ALARM ? DETECTOR.score : 0;
      tell(row, sizeof row);
      tell(d_detector_features(), D_FEATURE_COUNT);
#ifdef SUMMARY
      d_summary_add(&summary, &DETECTOR, status);
      if (++windows % 5u == 0u) {
        const uint32_t count = d_summary_write(&summary, OF_MACHINE 0, bytes, sizeof bytes);
        tell(&count, sizeof count);
        tell(bytes, count);
      }
#endif
    }
  }
  return 0;
}
"""
# Many samples of a small generator, in stretches: ordinary, extreme, constant, jumping and, of float32, no numbers. Between
# them all that an application may call. Windows are counted at the end.
LONG = r"""
#include <string.h>
#include <stdlib.h>
static uint64_t state = 88172645463325252u;
static uint32_t drawn(void) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return (uint32_t)(state >> 32); }
static uint32_t below(uint32_t n) { return drawn() % n; }
/* A machine is learned from longer stretches. */
#ifdef LEARNS
#define STRETCH 15000
#else
#define STRETCH 1500
#endif
#ifdef FIXED
static int16_t extreme(void) {
  static const int16_t ends[] = {-32768, 32767, 0, 1, -1, 32766, -32767, 16384};
  return ends[below(8)];
}
static int16_t plain(uint32_t scale) { return (int16_t)((int32_t)below(2u * scale + 1u) - (int32_t)scale); }
static int32_t speed_drawn(void) {
  static const int32_t ends[] = {INT32_MIN, INT32_MAX, 0, -1, 1200, 2000, 5999};
  return ends[below(7)];
}
#else
static float extreme(void) {
  static const uint32_t ends[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc12345u, 0x7f7fffffu, 0xff7fffffu, 1u, 0x80000001u,
                                  0x00800000u, 0u, 0x80000000u, 0x5f000000u, 0x4b189680u, 0xcb189680u};
  const uint32_t bits = below(4) == 0u ? drawn() : ends[below(14)];
  float value;
  (void)memcpy(&value, &bits, sizeof value);
  return value;
}
static float plain(uint32_t scale) { return ((float)below(65536u) - 32768.0f) / 32768.0f * (float)scale; }
static float speed_drawn(void) { return below(3) == 0u ? extreme() : (float)below(4000); }
#endif
int main(int argc, char **argv) {
  d_sample sample[D_CHANNELS] = {0};
  const long long samples = argc > 1 ? strtoll(argv[1], 0, 10) : 100000;
  long long at, windows = 0, scored = 0, summaries = 0;
  uint32_t left = 0, kind = 0, scale = 1, c;
  if (argc > 2) state ^= strtoull(argv[2], 0, 10) * 2654435761u;
  RESET();
#ifdef SUMMARY
  d_summary_reset(&summary, &sums, 4294967290u);
#endif
#ifdef DIAGNOSIS
  d_diagnosis_reset(&diagnosis);
#endif
#ifdef VIBRATION
  d_vibration_reset(&vibration);
#endif
  for (at = 0; at < samples; ++at) {
    d_status status;
    if (left == 0u) {
      static const uint32_t scales[] = {1, 8, 100, 3000, 32767};
      left = 1u + below(STRETCH);
      kind = below(6);
      scale = scales[below(5)];
      switch (below(12)) {
        case 0: RESET(); break;
        case 1: RESTART(); break;
#ifdef SUMMARY
        case 2: d_summary_restarted(&summary); break;
#endif
#ifdef DIAGNOSIS
        case 3: d_diagnosis_reset(&diagnosis); break;
#endif
#ifdef VIBRATION
        case 4: d_vibration_reset(&vibration); break;
#endif
        default: break;
      }
    }
    --left;
    for (c = 0; c < D_CHANNELS; ++c) {
      switch (kind) {
        case 0: break;                                                 /* constant */
        case 1: sample[c] = extreme(); break;
        case 2: sample[c] = below(200) == 0u ? extreme() : plain(scale); break;
        case 3: sample[c] = (d_sample)(at % 2 == 0 ? (c == 0u ? 32767 : -32768) : (c == 0u ? -32768 : 32767)); break;
        default: sample[c] = plain(scale); break;
      }
    }
#ifdef MODES
    if (below(400) == 0u) d_detector_set_speed(&detector, speed_drawn());
#endif
#ifdef DIAGNOSIS
    (void)d_diagnosis_push(&diagnosis, (float)sample[0]);
#endif
#ifdef VIBRATION
    if (d_vibration_push(&vibration, sample) == D_VIBRATION_MEASURED) {
#ifdef SUMMARY
      d_summary_velocity(&summary, d_vibration_velocity(&vibration));
#endif
    }
#endif
    status = PUSH(sample);
    if (status == D_WAITING) continue;
    if ((int)status < 0 || (int)status > 11) return 3;
    ++windows;
    scored += status == D_HEALTHY || status == D_ALARM;
#ifdef SUMMARY
    d_summary_add(&summary, &DETECTOR, status);
    if (below(50) == 0u) {
      uint32_t i;
      for (i = 0; i < D_FEATURE_COUNT; ++i) {
        uint8_t part[D_SUMMARY_FEATURES_BYTES(1)];
        if (d_summary_write_features(&summary, i, 1, part, sizeof part) > sizeof part) return 4;
      }
      if (d_summary_write(&summary, OF_MACHINE drawn(), bytes, below(2 * sizeof bytes)) > sizeof bytes) return 5;
      ++summaries;
    }
#endif
  }
  (void)printf("%lld %lld %lld\n", windows, scored, summaries);
  return 0;
}
"""


def cases():
    """By name: firmware of the parts that came later than the plain detector."""
    made = emitted_c.firmwares()
    names = ("learns", "learns_fixed", "modes", "modes_fixed", "orders", "orders_fixed", "estimated", "estimated_fixed")
    chosen = {name: made[name] for name in (*names, "filtered", "severe")}
    filtered = detector(FIXED_FILTERED, "reconstruction", **FIXED_LIMITS)
    plain = replace(detector(emitted_c.FIXED, "distance", **FIXED_LIMITS), vibration=PLAIN)
    return chosen | {"filtered_fixed": filtered, "velocity_fixed": plain}


def macros(firmware, *, summaries=True):
    """Of the parts that a firmware has."""
    fixed = firmware.front_end.arithmetic == "fixed"
    has = {
        "FIXED": fixed,
        "LEARNS": firmware.commissioning is not None,
        "SUMMARY": summaries and firmware.decider.modes is None,
        "DIAGNOSIS": firmware.diagnosis is not None,
        "VIBRATION": firmware.vibration is not None,
    }
    modes = [f"#define MODES {'int32_t' if fixed else 'float'}\n"] if isinstance(firmware.decider.modes, Modes) else []
    return "".join([*(f"#define {name} 1\n" for name, given in has.items() if given), *modes])


def written(firmware, folder, program, *, summaries=True):
    """Write the C with a program around it. Returns the names of its files."""
    folder.mkdir(parents=True, exist_ok=True)
    graph, digest = read(firmware.tflite), sha256(firmware.tflite)
    plan, vibration = firmware.commissioning, firmware.vibration
    around = (
        firmware.front_end,
        firmware.scaling,
        firmware.decider,
        graph,
        digest,
        "d",
        plan,
        firmware.sensor_channels,
    )
    files = {**detector_files(*around), **static_files(firmware.tflite, "d")}
    if summaries and firmware.decider.modes is None:
        about = (firmware.front_end, firmware.decider, digest, "d", plan)
        files |= summary_files(*about, vibration=vibration is not None)
    if vibration is not None:
        files |= vibration_files(vibration, digest, "d")
    if firmware.diagnosis is not None:
        files |= diagnosis_files(firmware.diagnosis.monitor, "d")
    if firmware.tachometer is not None:
        ranges = None if firmware.decider.modes is None else firmware.decider.modes.ranges
        files |= tachometer_files(firmware.tachometer, firmware.front_end, ranges, "d")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "main.c").write_text(macros(firmware, summaries=summaries) + AROUND + program)
    unused = ("d_learned.c",) if firmware.sensor_channels else ("d_record.c", "d_learned.c")
    return ["main.c", *sorted(name for name in files if name.endswith(".c") and name not in unused)]


def compiled(sources, folder, flags=(*SANITIZERS, "-fsanitize=float-cast-overflow")):
    """A program for the host."""
    command = ["gcc", "-std=c99", *flags, "-ffp-contract=off", *sources, "-lm", "-o", "main"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    return folder / "main"


def stream(firmware, count, seed=0):
    """Samples, as the C takes them, and the speed at each as bytes of its own type, or None."""
    rng = np.random.default_rng(seed)
    front_end = firmware.front_end
    t = np.arange(count)[:, None] * np.linspace(0.2, 0.9, front_end.channels)
    x = np.sin(t) * (1 + (np.arange(count)[:, None] // 700) % 3) + rng.normal(0, 0.3, t.shape)
    if front_end.orders == "channel":
        x[:, -1] = 2000 + 600 * np.sin(np.arange(count) / 500)
    samples = front_end.counts(x) if front_end.arithmetic == "fixed" else x.astype(np.float32)
    if firmware.decider.modes is None:
        return samples, None
    return samples, np.repeat(rng.choice([20.0, 700.0, 1000.0, 2000.0, 700.0], count // 400 + 1), 400)[:count]


def as_bytes(firmware, samples, speed):
    """A stream as the program of `ROWS` reads it."""
    if speed is None:
        return samples.tobytes()
    ranges = firmware.decider.modes.ranges
    values = ranges.values(speed).astype("<f4" if ranges.resolution is None else "<i4")
    return b"".join(row.tobytes() + value.tobytes() for row, value in zip(samples, values))
