"""The diagnosis of a bearing on a chip: Python's twin, and that the emitted C gives the same bits."""

import shutil
import subprocess

import numpy as np
import pytest
from support import SANITIZERS, WARNINGS
from test_bearings import struck

import micro
from micro.datasets import cwru
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.signal.bearings import FAULTS

# What is written for each sample that leads to more than waiting: the status, and after a result its named part and levels.
HARNESS = """
#include <stdio.h>
#include "mo_diagnosis.c"
static mo_diagnosis state;
int main(void) {
  float sample;
  mo_diagnosis_reset(&state);
  while (fread(&sample, sizeof sample, 1, stdin) == 1) {
    const int32_t status = (int32_t)mo_diagnosis_push(&state, sample);
    if (status != MO_DIAGNOSIS_WAITING) {
      fwrite(&status, sizeof status, 1, stdout);
      fwrite(&state.named, sizeof state.named, 1, stdout);
      fwrite(state.level, sizeof state.level, 1, stdout);
      fwrite(state.rise, sizeof state.rise, 1, stdout);
    }
  }
  return 0;
}
"""
RESULT = np.dtype([("status", "<i4"), ("named", "<i4"), ("level", "<f4", 4), ("rise", "<f4", 4)])
SMALL = {"turns": 16, "blocks": 4}


def in_c(monitor, samples, folder, compiler="gcc"):
    """What the emitted C gives."""
    micro.emit_diagnosis(monitor, folder, "mo")
    (folder / "main.c").write_text(HARNESS)
    flags = SANITIZERS if compiler == "gcc" else ("-O2",)  # clang's sanitizers come in a package of their own
    strict = ("-Wdouble-promotion", "-Wmissing-prototypes", "-Wundef")
    command = [compiler, *WARNINGS, *strict, *flags, "main.c", "-lm", "-o", "main"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([folder / "main"], input=samples.astype(np.float32).tobytes(), capture_output=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return np.frombuffer(ran.stdout, RESULT)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    ("bearing", "rate", "rpm"), [("6205", 12_000, 1797), ("ZA-2115", 12_000, 1500), ("6203", 2345.6, 1733)]
)
def test_the_emitted_c_gives_the_bits_of_python(bearing, rate, rpm, compiler, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    monitor = micro.BearingMonitor(bearing, rpm, rate, **SMALL)
    rng = np.random.default_rng(1)
    count = 2 * monitor.window + 77
    turns = monitor.orders[0] * rpm / 60 * np.arange(count) / rate
    samples = 9.8 + rng.normal(size=count) * (0.2 + (turns % 1 < 0.15))
    monitor = monitor.fitted(rng.normal(size=monitor.window))
    found = in_c(monitor, samples, tmp_path, compiler)
    levels = monitor.levels(samples)
    assert len(found) == len(levels) == 2
    np.testing.assert_array_equal(found["level"].view(np.int32), levels.view(np.int32))
    np.testing.assert_array_equal(found["rise"], [monitor.rises(each) for each in levels])
    named = [monitor.named(each) for each in levels]
    assert [FAULTS[place] if place >= 0 else None for place in found["named"]] == named == ["outer race"] * 2


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_silence_names_nothing_and_a_sample_that_is_no_number_starts_over(tmp_path):
    monitor = micro.BearingMonitor("6205", 1797, 12_000, **SMALL)
    samples = np.zeros(3 * monitor.window, np.float32)
    samples[10], samples[monitor.window + 20], samples[monitor.window + 21] = np.nan, np.inf, -2e8
    found = in_c(monitor, samples, tmp_path)
    assert found["status"].tolist() == [3, 1, 3, 3, 1]
    assert (found["named"] == -1).all()
    assert (found["level"] == 0).all()


# Samples of a small generator of integers, which Python repeats.
ON_CORE = """
#include "console.h"
#include "mo_diagnosis.h"
static mo_diagnosis state;
int main(void) {
  const int out = console_open("result.bin", 1);
  uint32_t seed = 1u;
  int32_t i;
  mo_diagnosis_reset(&state);
  for (i = 0; i < MO_DIAGNOSIS_WINDOW; ++i) {
    seed = seed * 1664525u + 1013904223u;
    (void)mo_diagnosis_push(&state, (float)(int32_t)(seed >> 16) * (i % 5 == 0 ? 4.0f : 1.0f));
  }
  (void)console_write(out, state.level, sizeof state.level);
  return 0;
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m4f", "m0", "m33", "m55", "rv32imc"])
def test_emulated_cores_give_the_bits_of_python(core, tmp_path):
    if missing := missing_for(core):
        pytest.skip(f"not installed: {', '.join(missing)}")
    monitor = micro.BearingMonitor("6205", 1797, 1300, **SMALL)
    micro.emit_diagnosis(monitor, tmp_path, "mo")
    (tmp_path / "main.c").write_text(ON_CORE)
    seed, samples = 1, []
    for place in range(monitor.window):
        seed = (seed * 1664525 + 1013904223) % 2**32
        samples.append((seed >> 16) * (4.0 if place % 5 == 0 else 1.0))
    found = np.frombuffer(run_in_qemu(tmp_path, core, ["mo_diagnosis.c", "main.c"]), "<i4")
    np.testing.assert_array_equal(found, monitor.levels(np.array(samples))[0].view(np.int32))


@pytest.mark.slow
def test_the_c_breaks_no_required_rule_of_misra_and_compiles_without_warnings_everywhere(tmp_path):
    from test_emitted_c import ADVISORY, COMPILERS, STRICT, broken_rules, require_clean

    _, source = micro.emit_diagnosis(micro.BearingMonitor("6205", 1797, 12_000), tmp_path, "mo")
    for command in COMPILERS.values():
        works = (
            shutil.which(command[0])
            and not subprocess.run(
                [*command, "-fsyntax-only", "-xc", "-"], input=b"#include <math.h>\n", capture_output=True
            ).returncode
        )
        for standard in ("-std=c99", "-std=c11") if works else ():
            require_clean([*command, standard, *STRICT, "-fsyntax-only", source])
    if shutil.which("cppcheck") is None:
        pytest.skip("cppcheck is not installed")
    floats = ("-DFLT_RADIX=2", "-DFLT_MANT_DIG=24")
    found = broken_rules([floats[0], source], tmp_path, floats[1])
    assert {rule for rule, _ in found} - set(ADVISORY.split()) == set()
    assert found, "nothing was checked"


@pytest.mark.parametrize("fault", FAULTS[:3])
@pytest.mark.parametrize("slip", [-0.009, 0.004])
def test_a_struck_part_is_named_and_the_healthy_machine_is_not(fault, slip):
    order = micro.bearing_orders("6205").of(fault)
    monitor = micro.BearingMonitor("6205", 1797, 12_000)
    assert monitor.window < 9 * 12_000
    (levels,) = monitor.levels(struck(order, seconds=9, slip=slip, noise=0.1, jitter=0.003))
    assert monitor.named(levels) == fault
    worn = struck(order, seconds=9, seed=1, slip=slip, noise=0.1, jitter=0.003)
    assert monitor.fitted(worn).named(levels) is None
    for seed in range(3):
        (levels,) = monitor.levels(np.random.default_rng(seed).normal(size=monitor.window))
        assert monitor.named(levels) is None


def test_a_sound_part_that_rose_hides_no_fault():
    monitor = micro.BearingMonitor("6205", 1797, 12_000, baseline=(10.0, 0.0, 0.0, 0.0))
    assert monitor.named(np.array([21, 11.5, 0, 0], np.float32)) == "outer race"
    assert monitor.named(np.array([12.5, 11.5, 0, 0], np.float32)) is None


def test_races_of_a_real_rig_are_named_and_its_healthy_recording_is_not(cwru_folder):
    for number, fault in {105: "inner race", 130: "outer race"}.items():
        monitor = micro.BearingMonitor("6205", cwru.read_speed(cwru_folder, number), cwru.SAMPLE_RATE)
        assert monitor.named(monitor.levels(cwru.read_mat(cwru_folder, number))[0]) == fault
    healthy = cwru.load(cwru_folder, [0])[0].samples
    monitor = micro.BearingMonitor("6205", 1796, cwru.SAMPLE_RATE, blocks=4)
    assert monitor.named(monitor.levels(healthy)[0]) is None


def test_what_no_chip_could_do_is_refused():
    for says, settings in {
        "a sample rate of 1000 Hz is too low: three harmonics of all faults at 1797 RPM need 1216.4 Hz": {
            "sample_rate": 1e3
        },
        "turns must be 16 to 64 and blocks 4 to 1,000, got 8 and 8": {"turns": 8},
        "threshold must be above 0 dB": {"threshold": 0.0},
        "baseline must be 4 levels in dB": {"baseline": (1.0,)},
        "rpm must be above 0": {"rpm": 0.0},
        "'7000' is not known": {"bearing": "7000"},
    }.items():
        with pytest.raises(ValueError, match=says):
            micro.BearingMonitor(**{"bearing": "6205", "rpm": 1797, "sample_rate": 12_000, **settings})
    with pytest.raises(ValueError, match="10 samples are too few: a result takes 102,"):
        micro.BearingMonitor("6205", 1797, 12_000).fitted(np.zeros(10))
    with pytest.raises(ValueError, match="try"):
        micro.emit_diagnosis(micro.BearingMonitor("6205", 1797, 12_000), "never", "my motor")
