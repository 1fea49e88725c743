"""Whether firmware keeps up with its sensor: the figures, and the queue between an interrupt and the program."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from emitted_c import firmwares, frames_of, written
from hypothesis import given
from hypothesis import strategies as st
from support import WARNINGS, build_app

from micro.emission.c_text import render
from micro.firmware.building import missing_tools
from micro.firmware.project import project_files
from micro.firmware.qemu import TEMPLATES
from micro.program.real_time import Pace, current_of, queue_of, real_time
from micro.targets.boards import board_of
from micro.targets.cores import core_of

PACE = Pace(rate=12800.0, hop=512, push=120_000, hop_instructions=180_000, counted_on="m4f", fixed=False)
# A producer thread and a consumer of a queue that is far too small, or of one that has room for all.
THREADS = r"""
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "sample_queue.h"
typedef struct { uint32_t number, twice, thrice; } item;
static item room[CAPACITY];
static sample_queue queue;
static volatile int over;
static void *produce(void *unused) {
  uint32_t n;
  (void)unused;
  for (n = 0; n < 200000u; ++n) {
    const item next = {n, 2u * n, 3u * n};
    while (sample_queue_push(&queue, &next) != 0 && WAITS) {
    }
  }
  over = 1;
  return 0;
}
int main(void) {
  pthread_t thread;
  item got;
  uint32_t taken = 0, next = 0;
  sample_queue_init(&queue, room, sizeof(item), CAPACITY);
  (void)pthread_create(&thread, 0, produce, 0);
  for (;;) {
    const int last = over;
    while (sample_queue_pop(&queue, &got) == 0) {
      if (got.number < next || got.twice != 2u * got.number || got.thrice != 3u * got.number) { return 1; }
      next = got.number + 1u;
      ++taken;
    }
    if (last) { break; }
  }
  (void)pthread_join(thread, 0);
  printf("%u %u\n", taken, (unsigned)sample_queue_lost(&queue));
  return 0;
}
"""
# The sensor's interrupt: a timer that pushes the samples of the self-test again and again.
SYSTICK_SENSOR = """
#include "sensor.h"
void tick(void);
int sensor_read(pump_sample *sample) { (void)sample; return -1; }
static volatile uint32_t ticked;
int sensor_start(void) {
  volatile uint32_t *systick = (volatile uint32_t *)0xE000E010u;
  systick[1] = PERIOD;
  systick[2] = 0;
  systick[0] = 7; /* with its interrupt */
  return 0;
}
void tick(void) {
  pump_sample sample[PUMP_CHANNELS];
  int c;
  for (c = 0; c < PUMP_CHANNELS; ++c) {
    sample[c] = (pump_sample)((ticked * 37u + (uint32_t)c) % 7u);
  }
  ++ticked;
  (void)sensor_push(sample);
}
"""


def test_real_time_is_instructions_against_clock_hop_and_rate():
    found = real_time(PACE, core_of("m4f"), 64.0)
    least, likely, most = core_of("m4f").cycles
    assert found.load == pytest.approx([each * 180_000 * 25 / 64e6 for each in (least, likely, most)])
    assert found.push_ms == pytest.approx([each * 120_000 / 64e3 for each in (least, likely, most)])
    assert found.arriving == int(np.ceil(most * 120_000 / 64e6 * 12800))
    assert str(found).startswith(
        "real time on Cortex-M4F at 64 MHz: holds, 12 % load (7 % to 19 %); the longest push takes 3.2 ms"
    )
    assert str(found).endswith("collect samples by interrupt into a queue of at least 128")
    slow = real_time(PACE, core_of("m4f"), 2.0, "board")
    assert not slow.holds
    assert str(slow).startswith("real time on board at 2 MHz: does not hold: needs about 3.8 times the clock")
    assert "FPU" not in str(slow)


def test_float32_without_an_fpu_is_said_where_it_is_too_slow_and_not_counted_by_a_core_with_one():
    soft = Pace(12800.0, 512, 1_200_000, 2_000_000, "m0", False)
    assert "features.arithmetic = 'fixed' (this core has no FPU)" in str(real_time(soft, core_of("m0"), 16.0))
    assert real_time(PACE, core_of("m3"), 64.0) is None
    assert real_time(PACE, core_of("m0"), 64.0) is None
    fixed = Pace(12800.0, 512, 1_200_000, 2_000_000, "m4f", True)
    assert real_time(fixed, core_of("m3"), 64.0) is not None
    assert "less than from one sample to the next" in str(
        real_time(Pace(1.0, 5, 900, 1000, "m0", True), core_of("m0"), 16.0)
    )


@given(st.integers(0, 20_000))
def test_a_queue_holds_what_arrives(arriving):
    queue = queue_of(arriving)
    assert queue & (queue - 1) == 0
    assert arriving < queue <= max(2, 2 * arriving)


@pytest.fixture
def queue_folder(tmp_path):
    for name in ("sample_queue.h", "sample_queue.c"):
        (tmp_path / name).write_text(render(f"common/{name}.j2", {}, TEMPLATES))
    return tmp_path


@pytest.mark.parametrize(("capacity", "waits"), [(1, 1), (4, 1), (64, 0), (4096, 0)])
def test_a_queue_between_two_threads_keeps_order_tears_nothing_and_counts_what_is_lost(queue_folder, capacity, waits):
    (queue_folder / "main.c").write_text(THREADS)
    flags = (*WARNINGS, "-O2", f"-DCAPACITY={capacity}u", f"-DWAITS={waits}")
    command = ["gcc", *flags, "-pthread", "main.c", "sample_queue.c", "-o", "app"]
    subprocess.run(command, cwd=queue_folder, check=True)
    done = subprocess.run([queue_folder / "app"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    taken, lost = map(int, done.stdout.split())
    assert taken == 200_000 if waits else taken + lost == 200_000 or lost == 65535


@pytest.mark.parametrize("compiler", [("avr-gcc", "-mmcu=atmega2560"), ("clang",), ("g++", "-x", "c++", "-std=c++11")])
def test_the_queue_compiles_strictly_where_int_has_16_bits_and_as_other_languages(queue_folder, compiler):
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed")
    flags = [flag for flag in WARNINGS if compiler[0] != "g++" or flag != "-std=c99"]
    subprocess.run(
        [compiler[0], *flags, "-Wshadow", *compiler[1:], "-c", "sample_queue.c"], cwd=queue_folder, check=True
    )


def project(folder, sensor, board="cmake"):
    firmware = firmwares()["reconstruction"]
    written(project_files(firmware, frames_of(firmware.front_end), "pump", board, "static"), folder)
    (folder / "src" / "sensor.c").write_text(sensor)
    return folder


def test_an_application_with_a_queue_starts_its_sensor_and_says_what_was_lost(tmp_path):
    sensor = """
#include "sensor.h"
int sensor_read(pump_sample *sample) { (void)sample; return -1; }
int sensor_start(void) {
  pump_sample sample[PUMP_CHANNELS] = {0};
  int n;
  for (n = 0; n < 17; ++n) { (void)sensor_push(sample); }
  return 0;
}
"""
    folder = project(tmp_path / "p", sensor)
    enough = queue_of(firmwares()["reconstruction"].front_end.sensor_hop)
    assert f"{enough} is for the samples of a hop, enough on any chip" in (folder / "README.md").read_text()
    main = folder / "main.c"
    main.write_text(
        main.read_text().replace("void app_wait(void) {}", "#include <stdlib.h>\nvoid app_wait(void) { exit(7); }")
    )
    done = subprocess.run([build_app(folder, "-DSENSOR_QUEUE=16")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (7, "self-test: pass\nsamples lost\n")
    done = subprocess.run([build_app(folder, "-DSENSOR_QUEUE=32")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (7, "self-test: pass\n")


@pytest.mark.slow
@pytest.mark.skipif(bool(missing_tools()), reason="emulator or compiler is not installed")
def test_an_interrupt_feeds_the_queue_while_windows_are_computed(tmp_path):
    printed = {}
    for period, queue in ((300, 128), (300, 2)):
        folder = project(tmp_path / f"{period}-{queue}", SYSTICK_SENSOR.replace("PERIOD", str(period)), "bare-cortex-m")
        changed = (
            ("board/startup.c", "trap, trap, 0, trap, trap}", "trap, trap, 0, trap, tick}"),
            ("board/startup.c", "int main(void);", "int main(void);\nvoid tick(void);"),
            ("board/main.c", "app_step() == 0", "steps++ < 400 && app_step() == 0"),
            ("board/main.c", "const int failed", "int steps = 0;\n  const int failed"),
            ("Makefile", "-Iboard ", f"-Iboard -DSENSOR_QUEUE={queue} "),
        )
        for path, old, new in changed:
            text = (folder / path).read_text()
            assert old in text
            (folder / path).write_text(text.replace(old, new, 1))
        done = subprocess.run(["make", "CORE=m4f", "run"], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        printed[queue] = done.stderr  # where QEMU prints
    assert "self-test: pass" in printed[128]
    assert "samples lost" not in printed[128]
    assert "samples lost" in printed[2]


def test_the_current_is_the_table_s_by_the_share_of_time_awake():
    board = board_of("nrf52840")
    pace = replace(PACE, window=1024)
    found = real_time(pace, core_of("m4f"), 32.0, board.id)
    share = core_of("m4f").cycles[1] * 180_000 * 25 / 32e6
    active = board.active_ma / 2
    said = current_of(found, pace, board)
    assert (
        f"about {share * active + (1 - share) * board.sleep_ua / 1e3:.2g} mA without a break" in said
        or "uA without" in said
    )
    minute = share * 0.08 / 60 * 1e3 * active + board.sleep_ua
    assert f"{minute:.2g} uA with a window a minute" in said
    assert current_of(replace(found, load=(2.0, 2.0, 2.0)), pace, board) is None


def test_a_program_that_sleeps_between_windows_judges_whole_windows_one_at_a_time(tmp_path):
    sensor = """
#include "sensor.h"
#include "app.h"
int sensor_read(pump_sample *sample) {
  static uint32_t n;
  int c;
  for (c = 0; c < PUMP_CHANNELS; ++c) { sample[c] = 0.001f * (pump_sample)((n * 7u) % 13u); }
  return ++n > 3u * PUMP_WINDOW ? -1 : 0;
}
"""
    folder = project(tmp_path / "p", sensor)
    main = folder / "main.c"
    main.write_text(
        main.read_text().replace("{ (void)seconds; }", '{ app_print(seconds == 60u ? "sleeps\\n" : "wrong\\n"); }')
    )
    done = subprocess.run([build_app(folder, "-DAPP_EVERY=60", "-DAPP_LOG=1")], capture_output=True, text=True)
    rows = done.stdout.splitlines()
    assert rows[0].startswith("status")
    assert [row.partition(",")[0] for row in rows[1:]].count("sleeps") == 3
    assert len(rows) == 7
