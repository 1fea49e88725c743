"""A detector's parameters at run time: records as Python writes them, slots that survive power cuts, live recalibration."""

import shutil
import subprocess
import zlib
from dataclasses import replace

import emitted_c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SANITIZERS, WARNINGS

import micro
from micro.aot.generate import static_files
from micro.detection.record import FixedScaling, FloatScaling, RecordStatus, newer
from micro.emission.detector import detector_files
from micro.emission.parameters import parameters_of
from micro.errors import RecordError
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.runs.device import decisions
from micro.signal import Scaling
from micro.support.files import sha256
from micro.tflite.graph import read

STRICT = (*WARNINGS, "-Wsign-conversion", "-Wshadow", "-Wcast-align", "-Wno-long-long")
# One record after the other from stdin, its length before it: what it is found to be, and what is written of it again.
READER = r"""
#include <stdio.h>
#include <string.h>
#include "d_record.h"
int main(void) {
  static uint8_t bytes[70000], written[D_RECORD_SIZE];
  static d_parameters parameters, before;
  uint32_t length;
  while (fread(&length, sizeof length, 1, stdin) == 1 && fread(bytes, 1, length, stdin) == length) {
    const uint32_t counter = bytes[36] | (uint32_t)bytes[37] << 8 | (uint32_t)bytes[38] << 16 | (uint32_t)bytes[39] << 24;
    d_record_status status;
    (void)memset(&parameters, 0x55, sizeof parameters);
    before = parameters;
    status = d_record_read(bytes, length, &parameters);
    (void)memset(written, 0, sizeof written);
    if (status == D_RECORD_OK) d_record_write(&parameters, counter, written);
    else if (memcmp(&before, &parameters, sizeof before) != 0) return 1;
    (void)fputc((int)status, stdout);
    (void)fwrite(written, 1, sizeof written, stdout);
  }
  return 0;
}
"""
# Flash in RAM whose power fails after some bytes, the last of which is set by half. Each row of the result: what is stored
# over what, how many cuts were tried, how often the former parameters were there afterwards, the new ones, and anything else.
POWER = r"""
#include <string.h>
#include "d_record.h"
#if defined(__arm__) || defined(__riscv)
#include "console.h"
static int out;
static void begin(void) { out = console_open("result.bin", 1); }
static void tell(const uint32_t *row, unsigned size) { (void)console_write(out, row, size); }
#else
#include <stdio.h>
static FILE *out;
static void begin(void) { out = fopen("result.bin", "wb"); }
static void tell(const uint32_t *row, unsigned size) { (void)fwrite(row, 1, size, out); (void)fflush(out); }
#endif
static uint8_t cells[2][D_SLOT_SIZE], kept[2][D_SLOT_SIZE];
static uint32_t left;
static int dead(void) { if (left == 0) return 1; --left; return 0; }
static int erase(void *context, uint8_t slot) {
  uint32_t i;
  (void)context;
  for (i = 0; i < D_SLOT_SIZE; ++i) {
    if (left == 1) cells[slot][i] |= 0x0f;
    else if (left > 1) cells[slot][i] = 0xff;
    if (dead()) return -1;
  }
  return 0;
}
static int put_bytes(void *context, uint8_t slot, uint32_t offset, const uint8_t *bytes, uint32_t count) {
  uint32_t i;
  (void)context;
  if (offset % 32 != 0 || count % 32 != 0) return -1;
  for (i = 0; i < count; ++i) {
    uint8_t *cell = &cells[slot][offset + i];
    if (left == 1) *cell = (uint8_t)(*cell & (bytes[i] | 0x35));
    else if (left > 1) *cell = (uint8_t)(*cell & bytes[i]);
    if (dead()) return -1;
  }
  return 0;
}
static int get_bytes(void *context, uint8_t slot, uint32_t offset, uint8_t *bytes, uint32_t count) {
  (void)context;
  (void)memcpy(bytes, &cells[slot][offset], count);
  return left == 0 ? -1 : 0;
}
static const d_flash flash = {0, erase, put_bytes, get_bytes, 0};
static d_parameters former, next, found;
static uint8_t record[D_RECORD_SIZE], of_former[D_RECORD_SIZE], of_next[D_RECORD_SIZE], of_found[D_RECORD_SIZE];
static d_record_status change(int what) {
  if (what == 0) return d_slots_store(&flash, &next);
  if (what == 1) return d_slots_install(&flash, record, sizeof record, &found);
  return d_slots_rollback(&flash, &found);
}
static void other(d_parameters *parameters) {
  int i;
  parameters->threshold += 1000003;
  parameters->clear_threshold += 1;
  for (i = 0; i < D_SCALED; ++i) parameters->scaling.mean[i] = parameters->scaling.mean[i] + 3;
}
int main(void) {
  int what, earlier;
  begin();
  for (what = 0; what < 3; ++what) {
    for (earlier = 0; earlier < 4; ++earlier) {
      uint32_t cut, ends = 0, old = 0, new = 0, strange = 0, count;
      left = 0xffffffff;
      (void)memset(cells, 0xff, sizeof cells);
      former = d_default_parameters;
      for (count = 0; count < (uint32_t)earlier; ++count) {
        next = former;
        other(&former);
        if (d_slots_store(&flash, &former) != D_RECORD_OK) return 2;
      }
      if (what < 2) { next = former; other(&next); }
      else if (earlier == 0) next = former;
      d_record_write(&former, 0, of_former);
      d_record_write(&next, 0, of_next);
      d_record_write(&next, (uint32_t)earlier + 1, record);
      (void)memcpy(kept, cells, sizeof cells);
      for (cut = 0; !ends; ++cut) {
        (void)memcpy(cells, kept, sizeof cells);
        left = cut;
        (void)change(what);
        ends = left > 0;
        left = 0xffffffff;
        (void)d_slots_load(&flash, &found);
        d_record_write(&found, 0, of_found);
        if (memcmp(of_found, of_next, sizeof of_found) == 0) ++new;
        else if (memcmp(of_found, of_former, sizeof of_found) == 0) ++old;
        else ++strange;
        /* Whatever the cut left, the next store holds. */
        if (d_slots_store(&flash, &next) != D_RECORD_OK || d_slots_load(&flash, &found) != D_RECORD_OK) ++strange;
        d_record_write(&found, 0, of_found);
        if (memcmp(of_found, of_next, sizeof of_found) != 0) ++strange;
      }
      {
        const uint32_t row[6] = {(uint32_t)what, (uint32_t)earlier, cut, old, new, strange};
        tell(row, sizeof row);
      }
    }
  }
  return 0;
}
"""


def firmware_of(name):
    firmware = {
        "float32": lambda: emitted_c.detector(emitted_c.WHOLE, "reconstruction"),
        "fixed": lambda: emitted_c.detector(emitted_c.FIXED, "margin"),
        "joined": lambda: emitted_c.detector(emitted_c.JOINED, "reconstruction"),
        "frames": lambda: emitted_c.detector(emitted_c.FRAMES, "reconstruction"),
    }[name]()
    size = len(firmware.scaling.centre)
    return replace(firmware, scaling=Scaling(tuple(np.linspace(-3, 2, size)), tuple(np.linspace(0.5, 2, size))))


def parts_of(firmware):
    return firmware.front_end, firmware.scaling, firmware.decider, read(firmware.tflite), sha256(firmware.tflite)


def emitted(firmware, folder):
    folder.mkdir(exist_ok=True)
    return emitted_c.written(detector_files(*parts_of(firmware), "d"), folder)


def compiled(folder, main, *sources, flags=SANITIZERS):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (folder / "main.c").write_text(main)
    command = ["gcc", *STRICT, *flags, "main.c", *sources, "-lm", "-o", "main"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    return folder / "main"


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """By front end: the default parameters, and a program that reads and writes records."""
    made = {}
    for name in ("float32", "fixed", "joined"):
        firmware = firmware_of(name)
        folder = emitted(firmware, tmp_path_factory.mktemp(name))
        made[name] = (parameters_of(*parts_of(firmware)), compiled(folder, READER, "d_record.c", "d_parameters.c"))
    return made


def in_c(program, size, contents):
    """(status, record written again) of each."""
    raw = b"".join(len(content).to_bytes(4, "little") + content for content in contents)
    done = subprocess.run([program], input=raw, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    cut = [done.stdout[n : n + 1 + size] for n in range(0, len(done.stdout), 1 + size)]
    assert len(cut) == len(contents)
    return [(RecordStatus(each[0]), each[1:]) for each in cut]


def status_of(content, made_for):
    try:
        micro.Parameters.from_bytes(content, made_for)
    except RecordError as error:
        return error.status
    return RecordStatus.OK


NAMES = ("float32", "fixed", "joined")
counts = st.integers(-(2**63), 2**63 - 1)


def drawn(dice, like):
    """A scaling of as many features, of any bits that it may hold."""
    count = len(like.mean)
    if isinstance(like, FixedScaling):
        means, multipliers = dice.integers(-(2**31), 2**31, count), dice.integers(1, 2**31, count)
        return FixedScaling(tuple(means), tuple(multipliers), tuple(dice.integers(1, 63, count)))
    signs, bits = dice.integers(0, 2, count, np.uint32) << 31, dice.integers(1, 0x7F800000, (2, count), np.uint32)
    return FloatScaling(*(tuple(each.view(np.float32)) for each in (signs | bits[0], bits[1])))


@pytest.mark.parametrize("name", NAMES)
@given(st.tuples(counts, counts), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_c_reads_and_writes_the_bytes_of_python(readers, name, thresholds, counter, seed):
    default, program = readers[name]
    clear, threshold = sorted(thresholds)
    dice = np.random.default_rng(seed)
    scalings = tuple(drawn(dice, each) for each in default.scalings)
    made = replace(default, threshold=threshold, clear_threshold=clear, scalings=scalings, counter=counter)
    content = made.to_bytes()
    assert micro.Parameters.from_bytes(content + b"\xff" * 9, default.made_for) == made
    assert in_c(program, len(content), [content, content + b"\xff" * 9]) == [(RecordStatus.OK, content)] * 2


@pytest.mark.parametrize("name", NAMES)
def test_each_flipped_bit_and_each_missing_byte_is_refused_with_a_status(readers, name):
    default, program = readers[name]
    content = default.to_bytes()
    number = int.from_bytes(content, "little")
    damaged = [(number ^ 1 << bit).to_bytes(len(content), "little") for bit in range(8 * len(content))]
    damaged += [content[:length] for length in range(len(content))]
    found = [status for status, _ in in_c(program, len(content), damaged)]
    assert found == [status_of(each, default.made_for) for each in damaged]
    assert set(found) == {RecordStatus(n) for n in range(1, 5)}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_for_another_device_or_makes_no_sense_is_refused_by_name(readers, name):
    default, program = readers[name]
    of = default.made_for
    others = [replace(default, made_for=replace(of, **{what: b"another."})) for what in ("model", "front_end", "score")]
    fewer = replace(default.scalings[0], **{what: values[:-1] for what, values in vars(default.scalings[0]).items()})
    contents = [other.to_bytes() for other in others]
    contents.append(replace(default, scalings=(fewer, *default.scalings[1:])).to_bytes())
    contents += [damaged_sense(default, *change) for change in senseless(default.scalings[0])]
    found = [status for status, _ in in_c(program, len(default.to_bytes()), contents)]
    expected = [RecordStatus.OTHER_MODEL, RecordStatus.OTHER_FRONT_END, RecordStatus.OTHER_SCORE]
    expected += [RecordStatus.OTHER_FRONT_END] + [RecordStatus.NOT_SENSIBLE] * (len(contents) - 4)
    assert found == expected
    # Python knows a front end by its digest alone.
    assert [status_of(each, of) for each in contents[:3] + contents[4:]] == expected[:3] + expected[4:]


def senseless(scaling):
    """(offset, bytes) of what no detector has: a clear threshold above, and numbers of a scaling."""
    first, count = 60, len(scaling.mean)
    last = first + 4 * (count - 1)
    yield 48, (2**63 - 1).to_bytes(8, "little")
    if isinstance(scaling, FloatScaling):
        for value in (np.nan, np.inf, -np.inf):
            yield last, np.float32(value).tobytes()
        for value in (np.nan, np.inf, 0.0, -0.0, -1.0):
            yield last + 4 * count, np.float32(value).tobytes()
    else:
        for multiplier in (0, -1):
            yield last + 4 * count, np.int32(multiplier).tobytes()
        for shift in (0, 63, 255):
            yield first + 9 * count - 1, bytes([shift])


def damaged_sense(parameters, at, changed):
    content = bytearray(parameters.to_bytes()[:-4])
    content[at : at + len(changed)] = changed
    return bytes(content) + zlib.crc32(content).to_bytes(4, "little")


def require_old_or_new(content):
    rows = np.frombuffer(content, "<u4").reshape(-1, 6).tolist()
    assert [row[:2] for row in rows] == [[what, earlier] for what in range(3) for earlier in range(4)]
    for what, earlier, cuts, old, new, strange in rows:
        assert strange == 0, (what, earlier)
        assert old + new == cuts
        assert new >= 1
        if (what, earlier) != (2, 0):
            assert old >= 1
    assert max(cuts for _, _, cuts, *_ in rows) > 300  # each byte erased and each byte written


@pytest.mark.parametrize("name", [pytest.param("float32", marks=pytest.mark.slow), "fixed"])
def test_a_power_cut_at_any_byte_leaves_the_former_parameters_or_the_new_ones(name, tmp_path):
    folder = emitted(firmware_of(name), tmp_path)
    program = compiled(folder, POWER, "d_record.c", "d_parameters.c", flags=("-O2", *SANITIZERS[1:]))
    done = subprocess.run([program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    require_old_or_new((folder / "result.bin").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m0", "m4f", "m33", "rv32imc"])
def test_a_power_cut_leaves_one_or_the_other_on_emulated_cores_too(core, tmp_path):
    missing = missing_for(core)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = emitted(firmware_of("fixed"), tmp_path)
    (folder / "main.c").write_text(POWER)
    require_old_or_new(run_in_qemu(folder, core, ["main.c", "d_record.c", "d_parameters.c"]))


# What delivered records and a rollback come to, a status a line.
DELIVERIES = r"""
#include <stdio.h>
#include <string.h>
#include "d_record.h"
static uint8_t cells[2][D_SLOT_SIZE];
static int accepted = 1, broken = 0;
static int erase(void *context, uint8_t slot) { (void)context; (void)memset(cells[slot], 0xff, D_SLOT_SIZE); return 0; }
static int put_bytes(void *context, uint8_t slot, uint32_t offset, const uint8_t *bytes, uint32_t count) {
  (void)context;
  if (!broken) (void)memcpy(&cells[slot][offset], bytes, count);
  return 0;
}
static int get_bytes(void *context, uint8_t slot, uint32_t offset, uint8_t *bytes, uint32_t count) {
  (void)context;
  (void)memcpy(bytes, &cells[slot][offset], count);
  return 0;
}
static int verify(void *context, const uint8_t *bytes, uint32_t count) {
  (void)context;
  return accepted && count == D_RECORD_SIZE + 2 && bytes[D_RECORD_SIZE] == 0xa5 ? 0 : -1;
}
static d_flash flash = {0, erase, put_bytes, get_bytes, 0};
static d_parameters parameters, found;
static uint8_t bytes[D_RECORD_SIZE + 2];
static void deliver(uint32_t counter, int64_t threshold, uint32_t length) {
  parameters.threshold = threshold;
  d_record_write(&parameters, counter, bytes);
  printf("%d", (int)d_slots_install(&flash, bytes, length, &found));
  (void)d_slots_load(&flash, &found);
  printf(" %lld\n", (long long)found.threshold);
}
int main(void) {
  (void)memset(cells, 0xff, sizeof cells);
  parameters = d_default_parameters;
  parameters.clear_threshold = 1;
  deliver(UINT32_C(0xfffffffe), 100, D_RECORD_SIZE);
  deliver(UINT32_C(0xfffffffe), 101, D_RECORD_SIZE); /* as old */
  deliver(3, 102, D_RECORD_SIZE);                    /* counted around */
  deliver(UINT32_C(0xffffffff), 103, D_RECORD_SIZE); /* older */
  deliver(4, 0, D_RECORD_SIZE);                      /* clear threshold above */
  broken = 1;
  deliver(4, 104, D_RECORD_SIZE);
  broken = 0;
  deliver(4, 105, D_RECORD_SIZE);
  flash.verify_signature = verify;
  bytes[D_RECORD_SIZE] = 0xa5;
  deliver(5, 106, D_RECORD_SIZE);
  deliver(5, 107, D_RECORD_SIZE + 2);
  accepted = 0;
  deliver(6, 108, D_RECORD_SIZE + 2);
  printf("%d", (int)d_slots_rollback(&flash, &found));
  printf(" %lld\n", (long long)found.threshold);
  printf("%d", (int)d_slots_rollback(&flash, &found));
  printf(" %d\n", memcmp(&found.scaling, &d_default_parameters.scaling, sizeof found.scaling));
  printf("%d %d\n", found.threshold == d_default_parameters.threshold, (int)d_slots_store(&flash, &parameters));
  return 0;
}
"""


def test_a_delivered_record_is_kept_if_it_is_newer_signed_and_held_by_flash(tmp_path):
    program = compiled(emitted(firmware_of("fixed"), tmp_path), DELIVERIES, "d_record.c", "d_parameters.c")
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    ok, older, senseless_one, unsigned, unstored, none = (
        RecordStatus[name] for name in ("OK", "OLDER", "NOT_SENSIBLE", "NOT_SIGNED", "NOT_STORED", "NOT_A_RECORD")
    )
    # A store that flash does not hold costs the older slot, and no more.
    assert found == [
        (ok, 100), (older, 100), (ok, 102), (older, 102), (senseless_one, 102), (unstored, 102), (ok, 105),
        (unsigned, 105), (ok, 107), (unsigned, 107), (ok, 105), (none, 0), (1, ok),
    ]  # fmt: skip


def test_newer_is_counted_around():
    assert newer(1, 0)
    assert newer(0, 2**32 - 1)
    assert not newer(5, 5)
    assert not newer(2**32 - 1, 0)
    assert not newer(2**31, 0)


# Samples from stdin; before sample SWITCH the parameters of the record "new.bin" are taken.
LIVE = r"""
#include <stdio.h>
#include "d.h"
#include "d_detector.h"
#include "d_record.h"
static d_detector state;
static d_parameters parameters;
int d_infer(const int8_t *features, int8_t *outputs) { d_invoke(features, outputs); return 0; }
int main(void) {
  static uint8_t bytes[D_RECORD_SIZE];
  d_sample sample[D_CHANNELS];
  long number;
  FILE *file = fopen("new.bin", "rb");
  if (fread(bytes, 1, sizeof bytes, file) != sizeof bytes || fclose(file) != 0) return 1;
  if (d_record_read(bytes, sizeof bytes, &parameters) != D_RECORD_OK) return 2;
  d_detector_reset(&state);
  for (number = 0; fread(sample, sizeof sample, 1, stdin) == 1; ++number) {
    if (number == SWITCH) d_detector_set_parameters(&state, &parameters);
    {
      const d_status status = d_detector_push(&state, sample);
      if (status != D_WAITING) printf("%ld %d %lld\n", number, (int)status, (long long)state.score);
    }
  }
  return 0;
}
"""


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("fixed", "scaling"),
        pytest.param("float32", "scaling", marks=pytest.mark.slow),
        pytest.param("frames", "scaling", marks=pytest.mark.slow),
        pytest.param("fixed", "threshold", marks=pytest.mark.slow),
        pytest.param("frames", "threshold", marks=pytest.mark.slow),
    ],
)
def test_parameters_set_while_it_runs_give_the_scores_of_rebuilt_firmware(name, changed, tmp_path):
    old = firmware_of(name)
    scaling = old.scaling
    if changed == "scaling":
        scaling = Scaling(tuple(c + 0.4 for c in scaling.centre), tuple(1.2 * s for s in scaling.spread))
    decider = replace(old.decider, threshold=old.decider.threshold // 2, clear_threshold=old.decider.threshold // 3)
    new = replace(old, scaling=scaling, decider=decider)
    folder = emitted(old, tmp_path)
    emitted_c.written(static_files(old.tflite, "d"), folder)
    (folder / "new.bin").write_bytes(parameters_of(*parts_of(new)).to_bytes())
    switch = 701
    sources = ("d.c", "d_front_end.c", "d_detector.c", "d_parameters.c", "d_record.c")
    program = compiled(folder, LIVE.replace("SWITCH", str(switch)), *sources)
    samples = np.random.default_rng(2).normal(0, 2, (1500, 2)).astype(np.float32)
    given = old.front_end.counts(samples) if name == "fixed" else samples
    done = subprocess.run([program], cwd=folder, input=given.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.array(done.stdout.split(), np.int64).reshape(-1, 3)
    unit = old.decider.score.unit
    before, after = ({each.sample: each for each in decisions(firmware, samples)} for firmware in (old, new))
    for sample, status, score in found.tolist():
        decision = (before if sample < switch else after)[sample]
        assert decision.score == score * unit
        assert sample >= switch or decision.status == status
    judged = set(found[:, 0].tolist())
    # Windows that hold rows of both scalings, and no others, are left out.
    mixed = name == "frames" and changed == "scaling"
    left_out = {sample for sample in before if mixed and switch <= sample < switch + old.front_end.window - 1}
    assert len(judged) > 10
    assert judged | left_out == set(before)
    if not mixed:
        assert judged == set(before)
