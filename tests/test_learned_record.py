"""What a device learned, kept over a loss of power: old, new or refused, never a mix."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from commissioning_c import files_of, firmware_of, plan_of
from support import SANITIZERS
from test_parameters import compiled

from micro.detection.learned_record import LearnedRecord
from micro.detection.record import RecordStatus
from micro.emission.parameters import parameters_of
from micro.errors import RecordError
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.signal.learned import BEYOND, Learned
from micro.support.files import sha256
from micro.tflite.graph import read

# One record after the other from stdin, its length before it: what it is found to be, and what is written of it again.
READER = r"""
#include <stdio.h>
#include <string.h>
#include "d_learned.h"
int main(void) {
  static uint8_t bytes[70000], written[D_LEARNED_SIZE];
  static d_learned learned, before;
  uint32_t length;
  while (fread(&length, sizeof length, 1, stdin) == 1 && fread(bytes, 1, length, stdin) == length) {
    d_record_status status;
    (void)memset(&learned, 0x55, sizeof learned);
    before = learned;
    status = d_learned_read(bytes, length, &learned);
    (void)memset(written, 0, sizeof written);
    if (status == D_RECORD_OK) d_learned_write(&learned, 7, written);
    else if (memcmp(&before, &learned, sizeof before) != 0) return 1;
    (void)fputc((int)status, stdout);
    (void)fwrite(written, 1, sizeof written, stdout);
  }
  return 0;
}
"""
# Flash in RAM whose power fails after some bytes, the last of which is set by half. In turn: what was there before, cuts tried,
# how often the former was loaded afterwards, the new one, none, and anything else.
POWER = r"""
#include <string.h>
#include "d_learned.h"
#if defined(__arm__) || defined(__riscv)
#include "console.h"
static int out;
static void begin(void) { out = console_open("result.bin", 1); }
static void tell(const uint32_t *row, unsigned size) { (void)console_write(out, row, size); }
#else
#include <stdio.h>
static void begin(void) {}
static void tell(const uint32_t *row, unsigned size) { (void)fwrite(row, 1, size, stdout); }
#endif
static uint8_t cells[2][D_LEARNED_SLOT_SIZE], kept[2][D_LEARNED_SLOT_SIZE];
static uint32_t left;
static int dead(void) { if (left == 0) return 1; --left; return 0; }
static int erase(void *context, uint8_t slot) {
  uint32_t i;
  (void)context;
  for (i = 0; i < D_LEARNED_SLOT_SIZE; ++i) {
    if (left == 1) cells[slot][i] |= 0x0f;
    else if (left > 1) cells[slot][i] = 0xff;
    if (dead()) return -1;
  }
  return 0;
}
static int put_bytes(void *context, uint8_t slot, uint32_t offset, const uint8_t *bytes, uint32_t count) {
  uint32_t i;
  (void)context;
  if (offset % 32 != 0 || count % 32 != 0 || offset + count > D_LEARNED_SLOT_SIZE) return -1;
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
static d_learned former, next, found;
static uint8_t one[D_LEARNED_SIZE], other[D_LEARNED_SIZE];
static int same(const d_learned *a, const d_learned *b) {
  d_learned_write(a, 0, one);
  d_learned_write(b, 0, other);
  return memcmp(one, other, sizeof one) == 0;
}
int main(void) {
  int earlier, i;
  begin();
  for (earlier = 0; earlier < 4; ++earlier) {
    uint32_t cut, ends = 0, old = 0, new = 0, none = 0, strange = 0, row[6];
    (void)memset(cells, 0xff, sizeof cells);
    left = 0xffffffff;
    for (i = 0; i < D_FEATURE_COUNT; ++i) { former.mean[i] = i - 5; former.deviation[i] = i + 1; }
    former.threshold = 1000;
    for (i = 0; i < earlier; ++i) {
      former.threshold += 1;
      former.mean[0] += 3;
      if (d_learned_store(&flash, &former) != D_RECORD_OK) return 2;
    }
    next = former;
    for (i = 0; i < D_FEATURE_COUNT; ++i) { next.mean[i] -= 77; next.deviation[i] *= 3; }
    next.threshold = -1;
    (void)memcpy(kept, cells, sizeof cells);
    for (cut = 0; !ends; ++cut) {
      d_record_status status;
      (void)memcpy(cells, kept, sizeof cells);
      left = cut;
      (void)d_learned_store(&flash, &next);
      ends = left > 0;
      left = 0xffffffff;
      status = d_learned_load(&flash, &found);
      if (status != D_RECORD_OK) ++none;
      else if (same(&found, &next)) ++new;
      else if (same(&found, &former)) ++old;
      else ++strange;
      /* Whatever the cut left, the next store holds. */
      if (d_learned_store(&flash, &next) != D_RECORD_OK || d_learned_load(&flash, &found) != D_RECORD_OK) ++strange;
      if (!same(&found, &next)) ++strange;
    }
    row[0] = (uint32_t)earlier; row[1] = cut; row[2] = old; row[3] = new; row[4] = none; row[5] = strange;
    tell(row, sizeof row);
  }
  return 0;
}
"""


@pytest.fixture(scope="module")
def emitted(tmp_path_factory):
    """A record, and the folder of its C."""
    firmware = firmware_of("float32")
    folder = tmp_path_factory.mktemp("learned")
    for name, content in files_of(firmware, plan_of(firmware.front_end)).items():
        (folder / name).write_bytes(content)
    around = (firmware.front_end, firmware.scaling, firmware.decider, read(firmware.tflite), sha256(firmware.tflite))
    count = firmware.front_end.shape[0]
    learned = Learned(tuple(range(-3, count - 3)), tuple(range(1, count + 1)))
    return LearnedRecord(learned, 12345678901, parameters_of(*around).made_for, 7), folder


@pytest.fixture(scope="module")
def reader(emitted):
    return compiled(emitted[1], READER, "d_learned.c").rename(emitted[1] / "reader")


def in_c(program, size, contents):
    """What C finds each of them to be, and what it writes of it."""
    stream = b"".join(len(content).to_bytes(4, "little") + content for content in contents)
    done = subprocess.run([program], input=stream, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:3000]
    rows = [done.stdout[start : start + size + 1] for start in range(0, len(done.stdout), size + 1)]
    return [(RecordStatus(row[0]), row[1:]) for row in rows]


def in_python(content, made_for):
    try:
        LearnedRecord.from_bytes(content, made_for)
    except RecordError as error:
        return error.status
    return RecordStatus.OK


def test_every_cut_and_every_flipped_bit_is_refused_by_c_and_python_alike(emitted, reader):
    record, _ = emitted
    whole = record.to_bytes()
    extreme = [
        replace(record, threshold=threshold, counter=7, learned=Learned((mean,) * count, (deviation,) * count))
        for count in [len(record.learned.mean)]
        for threshold, mean, deviation in [
            (2**63 - 1, BEYOND - 1, 32 * BEYOND),
            (-(2**63), 1 - BEYOND, 1),
        ]
    ]
    good = [whole, whole + b"\xff" * 40, *(each.to_bytes() for each in extreme)]
    flipped = np.frombuffer(whole, np.uint8)[None] ^ (
        (1 << np.arange(8, dtype=np.uint8))[None, :, None] * np.eye(len(whole), dtype=np.uint8)[:, None, :]
    ).reshape(-1, len(whole))
    bad = [*(whole[:cut] for cut in range(len(whole))), *(row.tobytes() for row in flipped)]
    found = in_c(reader, len(whole), [*good, *bad])
    for content, (status, written) in zip(good, found):
        assert (status, written) == (RecordStatus.OK, content[: len(whole)])
    for content, (status, _) in zip(bad, found[len(good) :]):
        assert status != RecordStatus.OK
        assert status == in_python(content, record.made_for)


def test_what_cannot_have_been_learned_and_what_another_model_learned_is_refused(emitted, reader):
    record, _ = emitted
    count, wrong = len(record.learned.mean), []
    for mean, deviation in ((BEYOND, 1), (-BEYOND, 1), (0, 0), (0, -1), (0, 32 * BEYOND + 1)):
        made = object.__new__(LearnedRecord)
        learned = Learned((0,) * (count - 1) + (mean,), (1,) * (count - 1) + (deviation,))
        for field, value in {**vars(record), "learned": learned}.items():
            object.__setattr__(made, field, value)
        wrong.append((made.to_bytes(), RecordStatus.NOT_SENSIBLE))
    for what in ("model", "front_end", "score"):
        other = replace(record, made_for=replace(record.made_for, **{what: b"another!"}))
        wrong.append((other.to_bytes(), RecordStatus[f"OTHER_{what.upper()}"]))
    fewer = Learned(record.learned.mean[1:], record.learned.deviation[1:])
    wrong.append((replace(record, learned=fewer).to_bytes(), RecordStatus.OTHER_FRONT_END))
    found = in_c(reader, len(record.to_bytes()), [content for content, _ in wrong])
    assert [status for status, _ in found] == [status for _, status in wrong]
    for content, status in wrong[:-1]:
        assert in_python(content, record.made_for) == status


def test_wherever_power_fails_the_former_or_the_new_is_loaded(emitted):
    _, folder = emitted
    program = compiled(folder, POWER, "d_learned.c", flags=SANITIZERS)
    require_former_or_new(subprocess.run([program], capture_output=True, check=True).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m0", "m33", "rv32imc"])
def test_wherever_power_fails_on_emulated_cores_the_former_or_the_new_is_loaded(emitted, core, tmp_path):
    if missing := missing_for(core):
        pytest.skip(f"not installed: {', '.join(missing)}")
    shutil.copytree(emitted[1], tmp_path, dirs_exist_ok=True)
    (tmp_path / "main.c").write_text(POWER)
    require_former_or_new(run_in_qemu(tmp_path, core, ["main.c", "d_learned.c"]))


def require_former_or_new(output):
    rows = np.frombuffer(output, "<u4").reshape(-1, 6)
    assert rows[:, 0].tolist() == [0, 1, 2, 3]
    for earlier, cuts, old, new, none, strange in rows.tolist():
        assert strange == 0
        assert cuts > 300
        assert new >= 1
        assert (none > 0, old > 0) == (earlier == 0, earlier > 0)
        assert old + new + none == cuts
