"""Records of weights: what devices take and refuse, slots that survive power cuts, rollback, on hosts and emulated chips."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from dataclasses import replace

import numpy as np
import pytest
from int8_graphs import random_graph
from other_models import redrawn
from support import SANITIZERS, WARNINGS

from micro.aot import WeightsRecord, WeightsStatus, generate, weights_of, weights_record
from micro.errors import ConversionError, RecordError
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs

STRICT = (*WARNINGS, "-Wsign-conversion", "-Wshadow", "-Wcast-align", "-Wno-long-long")
# Pooling, a convolution and two dense layers.
MODEL = random_graph(37)
OTHERS = [redrawn(MODEL, seed) for seed in (1, 2)]
BLOCK = weights_of(MODEL)
SHAPE = read(MODEL).tensors[read(MODEL).inputs[0]].shape
DRAWN = np.random.default_rng(0).integers(-128, 128, (3, *SHAPE)).astype(np.int8)
# Flash in RAM whose power fails after some bytes, the last of which is set by half.
FLASH = r"""
#include <string.h>
#include "pump_weights.h"
#define SIZE 512u
static union { uint32_t aligned[SIZE / 2]; uint8_t slots[2][SIZE]; } cells, kept;
static uint32_t left = 0xffffffff;
static int dead(void) { if (left == 0) return 1; --left; return 0; }
static int erase(void *context, uint8_t slot) {
  uint32_t i;
  (void)context;
  for (i = 0; i < SIZE; ++i) {
    if (left == 1) cells.slots[slot][i] |= 0x0f;
    else if (left > 1) cells.slots[slot][i] = 0xff;
    if (dead()) return -1;
  }
  return 0;
}
static int put_unit(void *context, uint8_t slot, uint32_t offset, const uint8_t *bytes) {
  uint32_t i;
  (void)context;
  if (offset % 32 != 0 || offset >= SIZE) return -1;
  for (i = 0; i < 32; ++i) {
    uint8_t *cell = &cells.slots[slot][offset + i];
    if (left == 1) *cell = (uint8_t)(*cell & (bytes[i] | 0x35));
    else if (left > 1) *cell = (uint8_t)(*cell & bytes[i]);
    if (dead()) return -1;
  }
  return 0;
}
"""
# Records from stdin, the length of each before it: it is installed, with 0 rolled back. Of each the status, the model in use,
# what is attached and the output.
DELIVERIES = (
    FLASH
    + r"""
#include <stdio.h>
static int verify(void *context, const uint8_t *bytes, uint32_t count) {
  (void)context;
  return bytes[count - 1] == 0x5a ? 0 : -1;
}
int main(int count, char **arguments) {
  pump_weights_flash flash = {0, {cells.slots[0], cells.slots[1]}, SIZE, erase, put_unit, 0};
  static uint8_t bytes[70001];
  static int8_t x[PUMP_INPUT_COUNT], y[PUMP_OUTPUT_COUNT];
  uint32_t length;
  (void)arguments;
  if (count > 1) flash.verify_signature = verify;
  (void)memset(&cells, 0xff, sizeof cells);
  (void)memset(&kept, 0, sizeof kept);
  flash.slots[0] = cells.slots[0] + 2;
  if (pump_weights_load(&flash) != PUMP_WEIGHTS_NOT_STORED) return 1;
  flash.slots[0] = cells.slots[0];
  if (pump_weights_load(&flash) != PUMP_WEIGHTS_NOT_A_RECORD) return 1;
  if (fread(x, 1, sizeof x, stdin) != sizeof x) return 2;
  while (fread(&length, sizeof length, 1, stdin) == 1 && fread(bytes + 1, 1, length, stdin) == length) {
    uint32_t attached;
    const uint8_t *more;
    (void)fputc((int)(length == 0 ? pump_weights_rollback(&flash) : pump_weights_install(&flash, bytes + 1, length)), stdout);
    (void)fwrite(pump_weights_in_use()->model, 1, 8, stdout);
    more = pump_weights_attached(&attached);
    (void)fputc((int)attached, stdout);
    (void)fputc(attached > 0 ? more[0] : 0, stdout);
    pump_invoke(x, y);
    (void)fwrite(y, 1, sizeof y, stdout);
  }
  return 0;
}
"""
)
CONSOLE = r"""
#ifdef __arm__
#include "console.h"
static int out;
static void begin(void) { out = console_open("result.bin", 1); }
static void tell(const void *row, unsigned size) { (void)console_write(out, row, size); }
#else
#include <stdio.h>
static FILE *out;
static void begin(void) { out = fopen("result.bin", "wb"); }
static void tell(const void *row, unsigned size) { (void)fwrite(row, 1, size, out); (void)fflush(out); }
#endif
#include "records.h"
"""
# Install over as many records as were there, or rollback, cut at each byte. Of each: what, cuts, old, new, anything else.
POWER = (
    FLASH
    + CONSOLE
    + r"""
static int is(const uint8_t *model) { return memcmp(pump_weights_in_use()->model, model, 8) == 0; }
int main(void) {
  const pump_weights_flash flash = {0, {cells.slots[0], cells.slots[1]}, SIZE, erase, put_unit, 0};
  uint32_t what;
  begin();
  for (what = 0; what < 4; ++what) {
    const uint8_t *before = what == 0 ? pump_default_weights.model : &record_1[20];
    const uint8_t *after = what < 2 ? &record_2[20] : &record_1[20];
    uint32_t row[5] = {0, 0, 0, 0, 0}, cut, ends = 0;
    if (what == 2) { before = &record_2[20]; }
    if (what == 3) { before = &record_1[20]; after = pump_default_weights.model; }
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
      if (is(after)) ++row[3];
      else if (is(before)) ++row[2];
      else ++row[4];
      /* Whatever the cut left, the next record is taken. */
      if (pump_weights_install(&flash, record_3, sizeof record_3) != PUMP_WEIGHTS_OK || !is(&record_3[20])) ++row[4];
    }
    row[0] = what;
    row[1] = cut;
    tell(row, sizeof row);
  }
  return 0;
}
"""
)
# Outputs of the firmware's own model, and of a record's.
OUTPUTS = (
    FLASH
    + CONSOLE
    + r"""
int main(void) {
  const pump_weights_flash flash = {0, {cells.slots[0], cells.slots[1]}, SIZE, erase, put_unit, 0};
  static int8_t y[PUMP_OUTPUT_COUNT];
  int n, which;
  begin();
  (void)memset(&cells, 0xff, sizeof cells);
  kept = cells;
  for (which = 0; which < 2; ++which) {
    if (which == 1 && pump_weights_install(&flash, record_1, sizeof record_1) != PUMP_WEIGHTS_OK) return 2;
    for (n = 0; n < 3; ++n) {
      pump_invoke((const int8_t *)inputs + n * PUMP_INPUT_COUNT, y);
      tell(y, sizeof y);
    }
  }
  return 0;
}
"""
)


def record(model, counter, attached=b"\x07more"):
    return weights_record(model, DRAWN[:2], firmware_from=MODEL, attached=attached, counter=counter)


def written(folder, main):
    generate(MODEL, folder, "pump", weights="exchangeable")
    arrays = {f"record_{n}": record(OTHERS[n % 2], n).to_bytes() for n in (1, 2, 3)} | {"inputs": DRAWN.tobytes()}
    lines = [f"static const uint8_t {name}[] = {{{', '.join(map(str, content))}}};" for name, content in arrays.items()]
    use = "static const void *const all_of[] = {record_1, record_2, record_3, inputs};\n"
    (folder / "records.h").write_text("\n".join(lines) + "\n" + use)
    (folder / "main.c").write_text(main.replace("begin();", "begin();\n  (void)all_of;", 1))


def compiled(folder, main, flags=SANITIZERS):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: emitted C cannot be compiled")
    written(folder, main)
    command = ["gcc", *STRICT, *flags, "pump.c", "pump_weights.c", "main.c", "-o", "main"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:4000]
    return folder / "main"


def delivered(program, contents, *arguments):
    """(status, model in use, attached bytes, the first of them, output) after each."""
    raw = DRAWN[0].tobytes() + b"".join(len(content).to_bytes(4, "little") + content for content in contents)
    done = subprocess.run([program, *arguments], input=raw, capture_output=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    size = 11 + read(MODEL).tensors[read(MODEL).outputs[0]].size
    rows = [done.stdout[n : n + size] for n in range(0, len(done.stdout), size)]
    assert len(rows) == len(contents)
    return [(WeightsStatus(row[0]), row[1:9], row[9], row[10], row[11:]) for row in rows]


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("device"), DELIVERIES)


def status_of(content):
    try:
        WeightsRecord.from_bytes(content, BLOCK)
    except RecordError as error:
        return error.status
    return WeightsStatus.OK


def resealed(content, at, changed):
    body = bytearray(content[:-4])
    body[at : at + len(changed)] = changed
    return bytes(body) + zlib.crc32(body).to_bytes(4, "little")


def test_a_device_takes_newer_records_and_names_why_it_refuses_others(device):
    one, two = (record(model, counter) for model, counter in zip(OTHERS, (2, 3)))
    other = random_graph(57)
    shape = read(other).tensors[read(other).inputs[0]].shape
    wrong = replace(two, windows=(two.windows[0][:-1] + bytes([two.windows[0][-1] ^ 1]), two.windows[1]))
    contents = [
        one.to_bytes(),
        one.to_bytes(),
        record(OTHERS[1], 1).to_bytes(),
        weights_record(other, np.zeros(shape, np.int8)[None], counter=9).to_bytes(),
        wrong.to_bytes(),
        replace(two, attached=bytes(600)).to_bytes(),
        two.to_bytes() + b"behind it",
        b"",
        b"",
        b"",
    ]
    found = delivered(device, contents)
    said = [row[0].name for row in found]
    kept = ["OK", "OLDER", "OLDER", "OTHER_LAYERS", "FAILED_TEST", "TOO_LONG", "OK"]
    assert said == [*kept, "OK", "NOT_A_RECORD", "NOT_A_RECORD"]
    models = [OTHERS[0]] * 6 + [OTHERS[1], OTHERS[0], MODEL, MODEL]
    for (_, model, size, first, output), used in zip(found, models):
        assert model == weights_of(used).model
        assert (size, first) == ((0, 0) if used is MODEL else (5, 7))
        assert output == all_outputs(used, [DRAWN[:1]])["output0"].tobytes()


def test_each_flipped_bit_and_each_missing_byte_is_refused_with_the_status_of_python(device):
    content = record(OTHERS[0], 2).to_bytes()
    number = int.from_bytes(content, "little")
    damaged = [(number ^ 1 << bit).to_bytes(len(content), "little") for bit in range(8 * len(content))]
    damaged += [content[:length] for length in range(1, len(content))]
    damaged += [resealed(content, at, b"\xff\xff\xff\xff") for at in (6, 32, 36, 40, 44, 48)]
    found = [row[0] for row in delivered(device, damaged)]
    assert WeightsStatus.OK not in found
    # Where the CRC is right and parts do not fit, C may name the damage where Python names other layers.
    assert found[:-6] == [status_of(each) for each in damaged[:-6]]


def test_a_signature_is_asked_for_first(device):
    content = record(OTHERS[0], 2).to_bytes()
    found = delivered(device, [content, content + b"\x5a"], "signed")
    assert [row[0].name for row in found] == ["NOT_SIGNED", "OK"]


def test_python_reads_what_it_writes_and_says_what_it_holds():
    made = record(OTHERS[0], 7)
    assert WeightsRecord.from_bytes(made.to_bytes() + b"\xff", weights_of(MODEL)) == made
    assert "record 7" in made.says()
    assert "2 windows of self-test, 5 bytes attached" in made.says()
    with pytest.raises(ConversionError, match=r"other layers than the firmware's: .*make new firmware"):
        weights_record(OTHERS[0], DRAWN, firmware_from=random_graph(57))
    with pytest.raises(ValueError, match="windows must be int8 of shape"):
        weights_record(OTHERS[0], DRAWN.astype("float32"))


def require_old_or_new(content):
    rows = np.frombuffer(content, "<u4").reshape(-1, 5).tolist()
    assert [row[0] for row in rows] == list(range(4))
    for what, cuts, old, new, strange in rows:
        assert strange == 0, what
        assert old + new == cuts
        assert min(old, new) >= 1
    assert max(row[1] for row in rows) > 800  # each byte erased and each byte written


def test_a_power_cut_at_any_byte_leaves_the_former_model_or_the_new_one(tmp_path):
    program = compiled(tmp_path, POWER, ("-O2", *SANITIZERS[1:]))
    done = subprocess.run([program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    require_old_or_new((tmp_path / "result.bin").read_bytes())


def on_chip(folder, core, main):
    missing = missing_for(core)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    written(folder, main)
    return run_in_qemu(folder, core, ["main.c", "pump.c", "pump_weights.c"])


@pytest.mark.slow
def test_a_power_cut_leaves_one_or_the_other_on_an_emulated_chip_too(tmp_path):
    require_old_or_new(on_chip(tmp_path, "m4f", POWER))


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m0", "m4f"])
def test_emulated_chips_give_the_outputs_of_the_record(tmp_path, core):
    # Record 1 is of the second of the others.
    wanted = all_outputs(MODEL, [DRAWN])["output0"].tobytes() + all_outputs(OTHERS[1], [DRAWN])["output0"].tobytes()
    assert on_chip(tmp_path, core, OUTPUTS) == wanted
