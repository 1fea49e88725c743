"""Records that someone forged, with a CRC that is right: devices read and write nothing outside them, and name most of them."""

from __future__ import annotations

import subprocess
import zlib

import numpy as np
import pytest
from support import SANITIZERS
from test_exchanged_models import FIRMWARES, main_of, project, record_of, retrained
from test_parameters import READER, compiled, in_c, parts_of, status_of
from test_sensor_record import emitted, firmware_of, with_sensor

from micro.aot.weights_format import BLOCK_AT, WeightsStatus
from micro.detection.record import RecordStatus
from micro.emission.parameters import parameters_of

# What forged numbers do to the model's arithmetic wraps around, as it does on chips.
MEMORY = ("-O1", "-fwrapv", "-fsanitize=address,bounds,alignment,object-size", "-fno-sanitize-recover=all")
NUMBERS = (0, 1, 2**16, 2**30, 2**31 - 1, 2**31, 2**32 - 1, 0x7FC00000, 0x7F800000, 0xFF800000)
# Each record is installed in empty flash; with one that is taken the detector runs. In the end how often each status was.
TAKER = r"""
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  const pump_weights_flash flash = {0, {cells.slots[0], cells.slots[1]}, SIZE, erase, put_unit, 0};
  static pump_detector state;
  static const pump_sample sample[PUMP_CHANNELS] = {3};
  uint32_t length, counts[16] = {0};
  begin();
  while (fread(&length, 4, 1, stdin) == 1) {
    uint8_t *const bytes = malloc(length + (length == 0)); /* so that each byte behind it is found */
    int32_t i, status;
    if (fread(bytes, 1, length, stdin) != length) return 1;
    (void)memset(&cells, length % 2 == 0 ? 0xff : 0, sizeof cells);
    (void)pump_weights_load(&flash);
    status = (int32_t)pump_weights_install(&flash, bytes, length);
    ++counts[status];
    free(bytes);
    pump_detector_reset(&state);
    for (i = 0; i < 3 * PUMP_WINDOW; ++i) (void)pump_detector_push(&state, sample);
  }
  (void)kept;
  tell(counts, sizeof counts);
  return 0;
}
"""


def put(content, at, number, size=4):
    content[at : at + size] = (int(number) % 2 ** (8 * size)).to_bytes(size, "little")


def sealed(content, start=0, end=None):
    """The CRC set right, where there is room for one."""
    end = len(content) if end is None else end
    if end - start >= 4:
        put(content, end - 4, zlib.crc32(bytes(content[start : end - 4])))


def forged(good, seed, count):
    """Records with other counts and places, numbers of weights, scores and parameters, and lengths."""
    rng = np.random.default_rng(seed)
    attached, size = (int.from_bytes(good[at : at + 4], "little") for at in (36, 40))
    inner = attached + int.from_bytes(good[attached + 4 : attached + 8], "little")
    for n in range(count):
        made = bytearray(good)
        kind = n % 4
        if kind == 0:
            places = (0, 1, 3, 2**16 - 1, 2**31, 2**32 - 1, 2**32 - 16, *(len(good) + d for d in (-8, -4, 0, 4)))
            put(made, rng.choice([6, 32, 36, 40, 44]), rng.choice(places))
        elif kind == 1:
            put(made, BLOCK_AT + 16 + 4 * rng.integers(0, (attached - BLOCK_AT - 20) // 4), rng.choice(NUMBERS))
        elif kind == 2:
            put(made, attached + 4 * rng.integers(0, size // 4 - 1), rng.choice(NUMBERS))
            sealed(made, inner, attached + size)
        else:
            made = made[: rng.integers(0, len(made))]
            if len(made) >= 12:
                put(made, 8, len(made))
        sealed(made)
        yield bytes(made)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["raw", "frames", "modes"])
def test_forged_weights_lead_nowhere_outside_their_record(name, tmp_path):
    firmware = FIRMWARES[name]()
    good = record_of(retrained(firmware, 1), 2, windows=1).to_bytes()
    sources = project(firmware, tmp_path, {})
    (tmp_path / "main.c").write_text(main_of(TAKER, len(good)))
    command = ["gcc", *MEMORY, "-ffp-contract=off", *sources, "main.c", "-lm", "-o", "main"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:3000]
    raw = b"".join(len(each).to_bytes(4, "little") + each for each in (good, *forged(good, 0, 4000)))
    done = subprocess.run([tmp_path / "main"], cwd=tmp_path, input=raw, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = np.frombuffer((tmp_path / "result.bin").read_bytes(), "<u4")
    assert counts.sum() == 4001
    wanted = ("OK", "TOO_SHORT", "DAMAGED", "FAILED_TEST", "OTHER_DETECTOR")
    assert min(counts[WeightsStatus[each]] for each in wanted) > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["float32", "fixed", "joined"])
def test_forged_parameters_and_sensors_are_refused_as_python_refuses_them(name, tmp_path):
    firmware = firmware_of(name)
    default = parameters_of(*parts_of(firmware))
    program = compiled(emitted(firmware, tmp_path), READER, "d_record.c", "d_parameters.c", flags=SANITIZERS)
    good, rng, made = with_sensor(default, 7).to_bytes(), np.random.default_rng(1), []
    for n in range(10_000):
        content = bytearray(good if n % 5 else default.to_bytes())
        if n % 2:
            put(content, 40 + 4 * rng.integers(0, (len(content) - 44) // 4), rng.choice(NUMBERS))
        else:
            content[rng.integers(36, len(content) - 4)] = rng.integers(0, 256)
        sealed(content)
        made.append(bytes(content))
    found = [status for status, _ in in_c(program, len(good), made)]
    expected = [status_of(each, default.made_for) for each in made]
    # Python is not told how many features and channels the firmware has.
    other = [n for n, each in enumerate(found) if each == RecordStatus.OTHER_FRONT_END]
    assert [n for n, each in enumerate(found) if each != expected[n] and n not in set(other)] == []
    assert {RecordStatus.OK, RecordStatus.NOT_SENSIBLE, RecordStatus.OTHER_FRONT_END} <= set(found)
