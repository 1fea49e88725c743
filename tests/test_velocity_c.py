"""Velocity RMS in emitted C: equal to Python block by block, on the host with sanitizers and on emulated cores."""

import shutil
import subprocess

import numpy as np
import pytest
from avr import run_on_avr
from support import SANITIZERS, WARNINGS

from micro.emission.vibration import vibration_files
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.signal.readings import read_vibration
from micro.signal.velocity import NOT_FINITE, SATURATED, Vibration

STRICT = (*WARNINGS, "-Wsign-conversion", "-Wshadow", "-Wcast-align")
FRONT_END = """#ifndef V_FRONT_END_H
#define V_FRONT_END_H
#include <stdint.h>
#define V_CHANNELS {channels}
typedef {type} v_sample;
#endif
"""
# For every block its status, its velocity, the running one, the zone, and the velocity as an integer.
REPORT = """
static v_vibration state;
static void report(v_vibration_status status) {
  int32_t words[5] = {0, 0, 0, 0, 0};
  words[0] = (int32_t)status;
  (void)memcpy(&words[1], &state.block, 4);
  (void)memcpy(&words[2], &state.velocity, 4);
  words[3] = (int32_t)state.zone;
  words[4] = v_vibration_velocity(&state);
  put(words);
}
"""
HOST = """
#include <stdio.h>
#include <string.h>
#include "v_vibration.h"
static void put(const int32_t *words) {{ fwrite(words, 4, 5, stdout); }}
{report}
int main(void) {{
  v_sample sample[V_CHANNELS];
  v_vibration_reset(&state);
  while (fread(sample, sizeof sample, 1, stdin) == 1) {{
    const v_vibration_status status = v_vibration_push(&state, sample);
    if (status != V_VIBRATION_WAITING) report(status);
  }}
  return 0;
}}
"""
CHIP = """
#include <string.h>
#include "app.h"
#include "console.h"
#include "v_vibration.h"
static int out;
static void put(const int32_t *words) {{ console_write(out, words, 20); }}
static const v_sample samples[] = {{{samples}}};
{report}
int main(void) {{
  uint32_t i;
  out = console_open("result.bin", 1);
  v_vibration_reset(&state);
  for (i = 0; i < sizeof samples / sizeof samples[0]; i += V_CHANNELS) {{
    const v_vibration_status status = v_vibration_push(&state, samples + i);
    if (status != V_VIBRATION_WAITING) report(status);
  }}
  return 0;
}}
"""
AVR = """
#include <string.h>
#include "serial.h"
#include "v_vibration.h"
static void put(const int32_t *words) {{
  uint8_t i;
  for (i = 0; i < 20; ++i) put_byte(((const uint8_t *)words)[i]);
}}
{report}
int main(void) {{
  v_sample sample[V_CHANNELS];
  uint32_t seed = 1;
  uint16_t n;
  UCSR0B = 1 << TXEN0;
  v_vibration_reset(&state);
  for (n = 0; n < {count}u; ++n) {{
    v_vibration_status status;
    seed = seed * 1664525u + 1013904223u;
    sample[0] = (v_sample)((int16_t)(seed >> 16) / (1 + (int16_t)(n / 256u))){divisor};
    status = v_vibration_push(&state, sample);
    if (status != V_VIBRATION_WAITING) report(status);
  }}
  stop();
  return 0;
}}
"""
BORDERS = (1.4, 2.8, 4.5)
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def emitted(vibration, folder):
    for name, content in vibration_files(vibration, "0" * 64, "v").items():
        (folder / name).write_bytes(content)
    kind = "int16_t" if vibration.arithmetic == "fixed" else "float"
    (folder / "v_front_end.h").write_text(FRONT_END.format(channels=vibration.channels, type=kind))


def expected(vibration, samples):
    """What C reports, as rows of five int32."""
    seen = read_vibration(vibration, samples)
    if vibration.arithmetic == "fixed":
        bits, shown = (seen.blocks, seen.velocities), seen.velocities
    else:
        bits = (seen.blocks.view(np.int32), seen.velocities.view(np.int32))
        shown = np.minimum(seen.velocities * np.float32(1000) + np.float32(0.5), 2e9).astype(np.int64)
        shown[seen.velocities >= 2e6] = 2_000_000_000
    statuses = np.where(seen.faults == 0, 1, seen.faults)
    return np.stack([statuses, *bits, seen.zones, shown], axis=1).astype(np.int32)


def on_host(vibration, samples, folder, compiler="gcc"):
    emitted(vibration, folder)
    (folder / "main.c").write_text(HOST.format(report=REPORT))
    flags = SANITIZERS if compiler == "gcc" else ("-O2",)
    built = subprocess.run(
        [compiler, *STRICT, *flags, "main.c", "v_vibration.c", "-lm", "-o", "main"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr[:3000]
    ran = subprocess.run([folder / "main"], input=vibration.taken(samples).tobytes(), capture_output=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return np.frombuffer(ran.stdout, np.int32).reshape(-1, 5)


def vibration_of(arithmetic, rate=4096.0, window=512, **more):
    scale = {"full_scale": 40.0} if arithmetic == "fixed" else {}
    return Vibration(rate, "m/s2", 40.0, 1000.0, window, 3, BORDERS, arithmetic=arithmetic, **scale, **more)


def machine(vibration, blocks, seed=0):
    """Vibration with gravity, noise and a level that changes from block to block."""
    rng, n = np.random.default_rng(seed), vibration.span * blocks
    time = np.arange(n) / vibration.sample_rate
    level = np.repeat(rng.uniform(0.1, 4.0, blocks), vibration.span)
    x = 9.81 + level * np.sin(2 * np.pi * 49.3 * time) + rng.normal(0, 0.5, n) + 0.3 * np.sin(2 * np.pi * 731 * time)
    return np.stack([x * (1 + 0.3 * channel) for channel in range(vibration.channels)], axis=1)


CASES = [
    ("a filter", {"rate": 12000.0}),
    ("three of five channels in turn", {"channels": 5, "measured": (0, 2, 4)}),
    ("a long filter", {"rate": 51200.0, "window": 256}),
]


@needs_gcc
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_c_and_python_agree_bit_for_bit(case, arithmetic, tmp_path):
    vibration = vibration_of(arithmetic, **case[1])
    samples = machine(vibration, 7)
    found = on_host(vibration, samples, tmp_path)
    np.testing.assert_array_equal(found, expected(vibration, samples))
    assert set(found[:, 3]) - {0}


def extremes(vibration, arithmetic):
    """Blocks of zeros, full swing, one wrong sample, and machines between them."""
    span = vibration.span
    good = machine(vibration, 9)
    if arithmetic == "fixed":
        good = vibration.taken(good)
        good[:span] = 0
        good[span : 2 * span] = np.where(np.arange(span) % 8 < 4, 32766, -32766)[:, None]
        good[3 * span + 5] = -32768
        good[4 * span + 5] = 32767
        good[6 * span : 7 * span] = 1
        good[7 * span : 8 * span] = np.where(np.arange(span) % 2, 1, 0)[:, None]
        return good, [0, 0, 0, SATURATED, SATURATED, 0, 0, 0, 0]
    good = good.astype(np.float32)
    good[:span] = 0
    good[span : 2 * span] = 1e8 * np.where(np.arange(span) % 8 < 4, 1, -1)[:, None]
    good[3 * span + 5] = np.nan
    good[4 * span + 7] = -np.inf
    good[5 * span + 9] = 1.1e8
    good[6 * span : 7 * span] *= np.float32(1e-30)
    good[7 * span : 8 * span] = np.finfo(np.float32).tiny
    return good, [0, 0, 0, NOT_FINITE, NOT_FINITE, NOT_FINITE, 0, 0, 0]


@needs_gcc
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
@pytest.mark.parametrize("rate", [4096.0, pytest.param(12000.0, marks=pytest.mark.slow)])
def test_extreme_samples_agree_and_wrong_ones_are_faults(arithmetic, rate, tmp_path):
    vibration = vibration_of(arithmetic, rate, 512)
    samples, faults = extremes(vibration, arithmetic)
    found = on_host(vibration, samples, tmp_path)
    np.testing.assert_array_equal(found, expected(vibration, samples))
    np.testing.assert_array_equal(found[:, 0], np.where(np.array(faults) == 0, 1, faults))
    assert found[0, 1] == 0
    # A block with a fault leaves value and zone as they were.
    np.testing.assert_array_equal(found[3, 2:4], found[2, 2:4])


@needs_gcc
def test_a_limit_of_the_sensor_is_a_fault_in_both(tmp_path):
    vibration = vibration_of("float32", saturation=13.0)
    samples = machine(vibration, 7)
    found = on_host(vibration, samples, tmp_path)
    np.testing.assert_array_equal(found, expected(vibration, samples))
    assert {1, SATURATED} == set(found[:, 0])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_clang_gives_the_same_bits(arithmetic, tmp_path):
    vibration = vibration_of(arithmetic, 12000.0, 512)
    samples = machine(vibration, 4)
    np.testing.assert_array_equal(on_host(vibration, samples, tmp_path, "clang"), expected(vibration, samples))


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
@pytest.mark.parametrize("core", ["m0", "m4f", "m33", "rv32imc"])
def test_emulated_cores_agree_with_python(core, arithmetic, tmp_path):
    if missing_for(core):
        pytest.skip(f"not installed: {', '.join(missing_for(core))}")
    scale = {"full_scale": 40.0} if arithmetic == "fixed" else {}
    vibration = Vibration(
        600.0, "m/s2", 10.0, 100.0, 128, 3, BORDERS, channels=2, measured=(0, 1), arithmetic=arithmetic, **scale
    )
    samples = vibration.taken(machine(vibration, 5))
    emitted(vibration, tmp_path)
    values = ", ".join(str(value) if arithmetic == "fixed" else f"{float(value)!r}f" for value in samples.ravel())
    (tmp_path / "main.c").write_text(CHIP.format(samples=values, report=REPORT))
    found = np.frombuffer(run_in_qemu(tmp_path, core, ["v_vibration.c", "main.c"]), np.int32).reshape(-1, 5)
    np.testing.assert_array_equal(found, expected(vibration, samples))


def drawn(count):
    """Counts as the AVR's program draws them."""
    seed, values = 1, []
    for n in range(count):
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
        high = seed >> 16
        values.append(int((high - 65536 if high >= 32768 else high) / (1 + n // 256)))
    return np.array(values, np.int16)[:, None]


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_an_avr_whose_int_has_16_bits_agrees_with_python(arithmetic, tmp_path):
    scale = {"full_scale": 40.0} if arithmetic == "fixed" else {}
    vibration = Vibration(600.0, "m/s2", 10.0, 100.0, 128, 3, BORDERS, arithmetic=arithmetic, **scale)
    count = 4 * vibration.span + 3
    samples = drawn(count)
    if arithmetic == "float32":
        samples = samples.astype(np.float32) / np.float32(1024)
    emitted(vibration, tmp_path)
    divisor = "" if arithmetic == "fixed" else " / 1024.0f"
    (tmp_path / "main.c").write_text(AVR.format(report=REPORT, count=count, divisor=divisor))
    found = np.frombuffer(run_on_avr(tmp_path, ["v_vibration.c", "main.c"]), "<i4").reshape(-1, 5)
    np.testing.assert_array_equal(found, expected(vibration, samples))
