"""Summaries that a device sends home: C and Python write the same bytes, of a stated size, and hostile bytes are refused."""

import contextlib
import itertools
import shutil
import subprocess
from dataclasses import replace

import cbor2
import emitted_c
import numpy as np
import pytest
from commissioning_c import firmware_of as learning_firmware
from commissioning_c import plan_of
from support import SANITIZERS
from test_parameters import STRICT

import micro
from micro.datasets.views import Views
from micro.detection.commissioning import Phase, Refusal
from micro.detection.sample_levels import SampleLevels
from micro.detection.score_bins import BINS, PARTS, bounds_of, counts_of
from micro.detection.summary import LearnedState, Summary, crc_of_learned, feature_part, summarized
from micro.detection.summary_format import MOST, RADIO, features_of_part, largest_part, largest_summary
from micro.emission.detector import detector_files
from micro.emission.parameters import made_for_of
from micro.emission.summary import summary_files
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.signal import Hops
from micro.signal.joined_frames import main_of
from micro.signal.learned import Learned
from micro.signal.octaves import BEYOND, Octaves, _integer_level, octaves_of
from micro.support.files import sha256
from micro.tflite.graph import read

# Windows as numbers: threshold, score, status and a byte that all features are made of; then a summary of the last n windows is
# asked for by status -1, a restart by -2, a velocity by -3 and its score.
DRIVER = r"""
#include "d_summary.h"
#if defined(__arm__) || defined(__riscv)
#include "console.h"
static int in, out;
static void begin(void) {{ in = console_open("rows.bin", 0); out = console_open("result.bin", 1); }}
static int next(int64_t *row) {{ return console_read(in, row, 32u) == 0; }}
static void put(const void *from, uint32_t count) {{ (void)console_write(out, from, count); }}
#else
#include <stdio.h>
static void begin(void) {{}}
static int next(int64_t *row) {{ return fread(row, 32, 1, stdin) == 1; }}
static void put(const void *from, uint32_t count) {{ (void)fwrite(from, 1, count, stdout); }}
#endif
static int8_t features[{inputs}];
/* Samples that follow from a number: any, or the ends of the range. */
static void fill(d_front_end *window, uint32_t state) {{
  const uint32_t count = sizeof window->ring / sizeof window->ring[0];
  const int ends = state % 5u == 0u;
  uint32_t i;
  window->next = (uint16_t)(state % (count / D_CHANNELS));
  for (i = 0; i < count; ++i) {{
    state = state * 1664525u + 1013904223u;
    window->ring[i] = (d_sample)(ends ? (state >> 31 ? 32767 : -32768) : (int32_t)(state >> 16) - 32768);
  }}
}}
const int8_t *d_detector_features(void) {{ return features; }}
{machine}
static d_detector detector;
static d_parameters parameters;
static d_summary summary;
static d_summary_features sums;
static uint8_t bytes[D_SUMMARY_MAX_BYTES + D_SUMMARY_FEATURES_BYTES({step})];
static void tell(uint32_t count) {{
  put(&count, (uint32_t)sizeof count);
  put(bytes, count);
}}
int main(void) {{
  int64_t row[4];
  uint32_t i;
  begin();
  detector.parameters = &parameters;
  d_summary_reset(&summary, &sums, 4294967294u);
  while (next(row)) {{
    if (row[2] == -1) {{
      uint8_t small[D_SUMMARY_MAX_BYTES - 1];
      for (i = 0; i < {inputs}; i += {step}) {{
        const uint32_t count = {inputs} - i < {step} ? {inputs} - i : {step};
        if (d_summary_write_features(&summary, i, count, bytes, D_SUMMARY_FEATURES_BYTES(count) - 1) != 0) return 3;
        tell(d_summary_write_features(&summary, i, count, bytes, D_SUMMARY_FEATURES_BYTES(count)));
      }}
      if (d_summary_write_features(&summary, {inputs}, 1, bytes, sizeof bytes) != 0) return 4;
      if (d_summary_write_features(&summary, 1, {inputs}, bytes, sizeof bytes) != 0) return 5;
      if (d_summary_write(&summary, {of_machine} 0xffffffffu, small, sizeof small) != 0) return 6;
      tell(d_summary_write(&summary, {of_machine} (uint32_t)row[0], bytes, D_SUMMARY_MAX_BYTES));
    }} else if (row[2] == -2) {{
      d_summary_restarted(&summary);
    }} else if (row[2] == -3) {{
      {velocity}
    }} else {{
      parameters.threshold = row[0];
      detector.score = row[1];
      for (i = 0; i < {inputs}; ++i) features[i] = (int8_t)(uint8_t)((uint64_t)row[3] >> (i % 56u));
      fill(&detector.front_end, (uint32_t)(uint64_t)row[3]);
      d_summary_add(&summary, &detector, (d_status)row[2]);
    }}
  }}
  return 0;
}}
"""
MACHINE = r"""
static d_commissioning machine;
static void learn(void) {
  int i;
  machine.phase = D_PHASE_FAULT; machine.refusal = D_REFUSAL_UNLIKE; machine.place = 32767;
  machine.learned.threshold = -5;
  for (i = 0; i < D_FEATURE_COUNT; ++i) {
    machine.learned.mean[i] = 3 - 8388000 * (i % 2);
    machine.learned.deviation[i] = i + 1;
  }
}
"""
STEP = 7


def ring_of(front_end, number):
    """The samples that `fill` makes of a number, (1, length, channels), the oldest first."""
    main = getattr(front_end, "main", front_end)
    count, state = main.length * main.channels, number % 2**32
    ends, start, drawn = state % 5 == 0, state % main.length, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        drawn.append((32767 if state >> 31 else -32768) if ends else (state >> 16) - 32768)
    ring = np.array(drawn, np.int16 if main.arithmetic == "fixed" else np.float32).reshape(
        1, main.length, main.channels
    )
    return np.roll(ring, -start, axis=1)


class Case:
    """A firmware whose summaries are written by C and by Python."""

    def __init__(self, firmware, plan=None, vibration=False, sources=False):
        self.firmware, self.plan, self.vibration, self.sources = firmware, plan, vibration, sources
        self.around = (firmware.front_end, firmware.scaling, firmware.decider)
        self.digest = sha256(firmware.tflite)
        self.made_for = made_for_of(firmware.front_end, firmware.decider, self.digest)
        self.inputs = int(np.prod(firmware.front_end.shape))

    def files(self):
        graph = read(self.firmware.tflite)
        more = summary_files(
            self.firmware.front_end, self.firmware.decider, self.digest, "d", self.plan, vibration=self.vibration
        )
        return {**detector_files(*self.around, graph, self.digest, "d", self.plan), **more}

    def written(self, folder):
        for name, content in self.files().items():
            (folder / name).write_bytes(content)
        text = DRIVER.format(
            inputs=self.inputs,
            step=STEP,
            machine=MACHINE if self.plan else "",
            of_machine="(learn(), &machine)," if self.plan else "",
            velocity="d_summary_velocity(&summary, (int32_t)row[1]);" if self.vibration else "return 9;",
        )
        (folder / "main.c").write_text(text)
        return folder

    def compiled(self, folder):
        if shutil.which("gcc") is None:
            pytest.skip("gcc is not installed")
        self.written(folder)
        command = ["gcc", *STRICT, *SANITIZERS, "main.c", "d_summary.c", "d_parameters.c", "-o", "main"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:3000]
        return folder / "main"

    def learned(self):
        if self.plan is None:
            return None
        count = self.firmware.front_end.shape[0]
        found = Learned(tuple(3 - 8388000 * (i % 2) for i in range(count)), tuple(i + 1 for i in range(count)))
        return LearnedState(Phase.FAULT, Refusal.UNLIKE, 32767, crc_of_learned(found, -5))

    def said(self, rows):
        """Items that Python writes of the same rows."""
        items, period, sequence = [], [], 2**32 - 2
        default = self.firmware.decider.threshold
        for row in rows:
            if row[2] != -1:
                period.append(row)
                continue
            windows = np.array([each for each in period if each[2] >= 0], dtype=object).reshape(-1, 4)
            if len(windows):
                # As long as no window has a score, the threshold of the latest one is taken.
                scored = [place for place, status in enumerate(windows[:, 2]) if status in (1, 2)]
                default = windows[scored[0] if scored else -1, 0]
            other = np.array([threshold != default for threshold in windows[:, 0]], bool)
            statuses = np.where(other & np.isin(windows[:, 2].astype(int), (1, 2)), 99, windows[:, 2].astype(int))
            velocities = [each[1] for each in period if each[2] == -3 and each[1] >= 0] if self.vibration else None
            octaves = octaves_of(self.firmware.front_end)
            seen = [octaves(ring_of(self.firmware.front_end, int(word)))[0] for word in windows[:, 3]]
            summary = summarized(
                windows[:, 1].astype(np.int64),
                statuses,
                default,
                self.made_for,
                sequence=sequence,
                counter=row[0],
                sources=self.sources,
                restarts=sum(each[2] == -2 for each in period),
                velocities=velocities,
                learned=self.learned(),
                octaves=(octaves, np.array(seen, np.int64).reshape(len(windows), 2 * octaves.count)),
            )
            shifts = np.arange(self.inputs) % 56
            counted = windows[np.isin(statuses, (1, 2)), 3]
            features = np.array([[int(word) >> int(shift) & 255 for shift in shifts] for word in counted], np.uint8)
            for first in range(0, self.inputs, STEP):
                part = b""
                if len(counted):
                    part = feature_part(features.view(np.int8), self.made_for, sequence, first, STEP).to_bytes()
                items.append(part)
            items.append(summary.to_bytes())
            sequence, period = (sequence + 1) % 2**32, []
        return items


CASES = {
    "float32": lambda: Case(emitted_c.detector(emitted_c.WHOLE, "reconstruction")),
    "fixed, vibration": lambda: Case(emitted_c.detector(emitted_c.FIXED, "distance"), vibration=True),
    "learns, vibration": lambda: Case(
        (firmware := learning_firmware("float32")), plan_of(firmware.front_end), vibration=True
    ),
    "joined": lambda: Case(emitted_c.detector(emitted_c.JOINED, "reconstruction"), sources=True, vibration=True),
}


def rows_of(case, seed=0, count=400):
    """Windows, ordinary and extreme, and what is asked for between them."""
    rng = np.random.default_rng(seed)
    rows = [(0, 0, -1, 0)]  # a period without windows
    extremes = [1, 0, -1, 7, 2**63 - 1, -(2**63), 2**62, 65535, 65536, 2**61 + 12345]
    for threshold in (*extremes, *(int(each) for each in rng.integers(1, 2**50, 8))):
        edges = [edge + step for edge in bounds_of(threshold) for step in (-1, 0, 1)]
        scores = [each for each in (*edges, 0, 2**63 - 1) if -(2**63) <= each < 2**63]
        statuses = [0, 1, 2, 3, 4, 5] + ([6] if case.sources else []) + ([7, 8, 9] if case.plan else [])
        for place in range(int(rng.integers(1, count))):
            other = threshold ^ 1 if rng.random() < 0.05 and place else threshold
            word = (
                int(rng.integers(0, 2**63))
                if rng.random() < 0.5
                else int(rng.choice([0x8080808080808080, 0x7F7F7F7F7F7F7F7F]))
            )
            word -= 2**64 if word >= 2**63 else 0
            status = int(rng.choice([1, 2])) if place == 0 or rng.random() < 0.6 else int(rng.choice(statuses))
            rows.append((other, int(rng.choice(scores)), status, word))
            if rng.random() < 0.05:
                rows.append((0, 0, -2, 0))
            if case.vibration and rng.random() < 0.2:
                rows.append((0, int(rng.choice([0, 5, 2**31 - 1, -3, 1234567])), -3, 0))
        rows.append((int(rng.integers(0, 2**32)), 0, -1, 0))
    rows += [(77, 0, status, 0) for status in (3, 4, 0, 5, 3)] + [(2**32 - 1, 0, -1, 0)]
    return rows


def told(program, rows):
    """Items that C writes."""
    done = subprocess.run([program], input=np.array(rows, "<i8").tobytes(), capture_output=True)
    assert done.returncode == 0, (done.returncode, done.stderr.decode()[:3000])
    return items_of(done.stdout)


def items_of(stream):
    """Maps, each behind its length."""
    items, at = [], 0
    while at < len(stream):
        size = int.from_bytes(stream[at : at + 4], "little")
        items.append(stream[at + 4 : at + 4 + size])
        at += 4 + size
    return items


QUICK = "learns, vibration"


@pytest.mark.parametrize(
    "name", [each if each == QUICK else pytest.param(each, marks=pytest.mark.slow) for each in CASES]
)
def test_c_and_python_write_the_same_bytes_for_the_same_windows(name, tmp_path):
    case = CASES[name]()
    program = case.compiled(tmp_path)
    for seed in range(1 if name == QUICK else 3):
        rows = rows_of(case, seed, 100 if name == QUICK else 400)
        items, wanted = told(program, rows), case.said(rows)
        assert len(items) == len(wanted)
        for place, (item, want) in enumerate(zip(items, wanted)):
            assert item == want, (place, cbor2.loads(item), cbor2.loads(want))
        assert max(map(len, items)) <= largest_summary(
            3 + case.sources,
            vibration=case.vibration,
            learns=bool(case.plan),
            octaves=octaves_of(case.firmware.front_end).count,
        )
        for item in items:
            if item and 12 not in cbor2.loads(item):
                assert Summary.from_bytes(item).to_bytes() == item


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m0", "m33", "rv32imc"])
@pytest.mark.parametrize("name", CASES)
def test_emulated_cores_write_the_same_bytes(name, core, tmp_path):
    missing = missing_for(core)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    case = CASES[name]()
    rows = rows_of(case, 5, 60)
    case.written(tmp_path)
    (tmp_path / "rows.bin").write_bytes(np.array(rows, "<i8").tobytes())
    assert items_of(run_in_qemu(tmp_path, core, ["main.c", "d_summary.c", "d_parameters.c"])) == case.said(rows)


def test_the_stated_size_is_that_of_the_longest_summary_and_fits_a_lorawan_payload():
    case = CASES["float32"]()
    forms = ((4, True, False), (3, True, True), (3, False, False), (4, False, True))
    for (faults, vibration, learns), octaves, count in itertools.product(forms, (0, 7, 8, 11), (MOST, 65_535)):
        most = (count,) * 4
        made = Summary(
            case.made_for,
            2**32 - 1,
            2**32 - 1,
            2**63 - 1,
            count,
            most[:faults],
            count,
            count,
            (count,) * BINS,
            (count, 2**31 - 1, 2**31 - 1) if vibration else None,
            LearnedState(Phase.FAULT, Refusal.MODEL, 32767, 2**32 - 1) if learns else None,
            SampleLevels((65_535,) * octaves, (255,) * octaves) if octaves else None,
        )
        size = largest_summary(faults, vibration=vibration, learns=learns, octaves=octaves, most=count)
        assert len(made.to_bytes()) == size
        assert size <= RADIO or (octaves and count == MOST)
    longest = feature_part(np.full((2, 28), -128, np.int8), case.made_for, 2**32 - 1)
    longest = replace(longest, first=65000, deviations=(2040,) * 28)
    assert len(longest.to_bytes()) <= largest_part(28) <= RADIO
    assert features_of_part(RADIO) == 28


def test_bounds_are_ascending_and_the_threshold_is_one_of_them():
    assert list(PARTS) == sorted(set(PARTS))
    for threshold in (1, 5, 1000, 2**40, 2**63 - 1):
        bounds = bounds_of(threshold)
        assert bounds == sorted(bounds)
        assert counts_of([threshold, threshold], threshold)[: PARTS.index(65536) + 1].sum() == 2
    assert counts_of([-3, -2, -1], -2).tolist() == [2, *[0] * (BINS - 2), 1]


def test_bytes_of_no_device_are_refused_by_name():
    case = CASES["float32"]()
    good = summarized(np.array([5, 2000]), [1, 2], 1000, case.made_for)
    entries = cbor2.loads(good.to_bytes())

    def changed(**values):
        return cbor2.dumps({**entries, **{int(key[1:]): value for key, value in values.items()}}, canonical=True)

    wrong = {
        "ends within an item": b"\xa1",
        "nested deeper": cbor2.dumps({0: [[1]]}),
        "states 1,000,000,000 bytes": b"\xa1\x00\x5a" + (10**9).to_bytes(4, "big"),
        "holds byte 0x9f": b"\x9f\x00\xff",
        "holds byte 0xc2": cbor2.dumps({0: 2**70}),
        "holds byte 0xfb": cbor2.dumps({0: 1.1}),
        "is not a map": cbor2.dumps([1, 2]),
        "format 4": changed(k0=4),
        "is not encoded as a device encodes it": changed(k0=2),
        "not encoded as a device encodes": changed(k0=3),
        "of its operating mode, and not mode": changed(k0=3, k16=[64, 0, 0]),
        "levels and crossings that are no bytes": changed(k0=2, k15=7),
        "has 4 bytes of levels": changed(k0=2, k15=b"1234"),
        "has 0 bytes of levels": changed(k0=2, k15=b""),
        "does not say what its firmware": changed(k1=b"short"),
        "has threshold 9223372036854775808": changed(k4=2**63),
        "has alarms -1": changed(k5=-1),
        "windows with the alarm on, of 2": changed(k5=3),
        "3 or 4 and 20": changed(k9=[1] * 19),
        "has bins -1": changed(k9=[-1] * 20),
        "has no faults": changed(k6=7),
        "is not encoded as a device": changed(k99=1, k0=1),
        "not encoded as a device": changed(k15=b"123"),
        "velocity of": changed(k10=[1, 5, 3]),
        "commissioning": changed(k11=[9, 0, 0, 0]),
    }
    for why, content in wrong.items():
        with pytest.raises(micro.DataError, match=why):
            Summary.from_bytes(content)
    # Keys in another order, and a number longer than it need be.
    for content in (
        cbor2.dumps(dict(reversed(entries.items()))),
        good.to_bytes().replace(b"\x00\x01", b"\x00\x18\x01", 1),
    ):
        with pytest.raises(micro.DataError, match="is not encoded as a device"):
            Summary.from_bytes(content)
    rng = np.random.default_rng(0)
    whole = good.to_bytes()
    for _ in range(3000):
        content = bytearray(whole)
        for _ in range(int(rng.integers(1, 4))):
            content[rng.integers(len(content))] = rng.integers(256)
        with contextlib.suppress(micro.DataError):
            assert Summary.from_bytes(bytes(content)).to_bytes() == content


MODES_DRIVER = r"""
#include <stdio.h>
#include "d_summary.h"
static int8_t features[D_FEATURE_COUNT];
const int8_t *d_detector_features(void) { return features; }
static d_detector detector;
static d_parameters parameters;
static d_summary summary[D_MODES];
static uint8_t bytes[D_SUMMARY_MAX_BYTES];
int main(void) {
  int32_t row[3];
  int16_t mode;
  detector.parameters = &parameters;
  for (mode = 0; mode < D_MODES; ++mode) {
    parameters.thresholds[mode] = 1000 * (mode + 1);
    d_summary_reset(&summary[mode], mode, NULL, 5);
  }
  while (fread(row, sizeof row, 1, stdin) == 1) {
    detector.mode = (int16_t)row[0];
    detector.score = row[1];
    for (mode = 0; mode < D_MODES; ++mode) d_summary_add(&summary[mode], &detector, (d_status)row[2]);
  }
  for (mode = 0; mode < D_MODES; ++mode) {
    const uint32_t count = d_summary_write(&summary[mode], 7, bytes, sizeof bytes);
    fwrite(bytes, 1, count, stdout);
  }
  return 0;
}
"""


@pytest.mark.parametrize("name", ["modes", "modes_fixed"])
def test_of_operating_modes_each_has_a_summary_and_c_writes_the_bytes_of_python(name, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    firmware = emitted_c.firmwares()[name]
    front_end, digest = firmware.front_end, sha256(firmware.tflite)
    around = (front_end, firmware.scaling, firmware.decider, read(firmware.tflite), digest, "d")
    made = {**detector_files(*around), **summary_files(front_end, firmware.decider, digest, "d")}
    folder = emitted_c.written(made, tmp_path)
    (folder / "main.c").write_text(MODES_DRIVER)
    command = ["gcc", *STRICT, *SANITIZERS, "main.c", "d_summary.c", "d_parameters.c", "-lm", "-o", "main"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    count, rng = firmware.decider.modes.ranges.count, np.random.default_rng(0)
    rows = np.stack(
        [rng.integers(0, count, 500), rng.integers(0, 4000, 500), rng.choice([1, 2, 3, 4, 5, 10, 11], 500)], 1
    )
    done = subprocess.run([folder / "main"], input=rows.astype("<i4").tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr
    made_for, octaves = made_for_of(front_end, firmware.decider, digest), octaves_of(front_end)
    empty = octaves(
        np.zeros((1, front_end.length, front_end.channels), np.int16 if name == "modes_fixed" else np.float32)
    )
    path, expected = tmp_path / "device.cbor", []
    for mode in range(count):
        words = {
            "sequence": 5,
            "counter": 7,
            "mode": mode,
            "modes": rows[:, 0],
            "octaves": (octaves, empty.repeat(500, 0)),
        }
        expected.append(summarized(rows[:, 1], rows[:, 2], 1000 * (mode + 1), made_for, **words))
    assert done.stdout == b"".join(each.to_bytes() for each in expected)
    assert [each.mode.off > 0 for each in expected] == [mode == 0 for mode in range(count)]
    assert sum(each.windows for each in expected) == np.isin(rows[:, 2], (1, 2)).sum()
    assert sum(sum(each.faults) + each.mode.off + each.mode.unknown for each in expected) == (rows[:, 2] > 2).sum()
    path.write_bytes(done.stdout)
    assert micro.read_summaries(path, made_for).each == tuple(expected)
    wrong = replace(expected[1], mode=replace(expected[1].mode, off=3))
    with pytest.raises(micro.DataError, match="of its operating mode"):
        Summary.from_bytes(wrong.to_bytes())


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_octaves_show_gain_in_levels_alone_and_pitch_in_crossings(dtype):
    octaves = Octaves(1024, 1)

    def seen(gain, cycles):
        phases = np.random.default_rng(0).uniform(0, 2 * np.pi, (200, 1))
        wave = gain * np.sin(2 * np.pi * cycles * np.arange(1024) / 1024 + phases)
        return octaves.means(octaves(wave.astype(dtype)[:, :, None]).sum(axis=0), 200)

    plain, louder, faster = seen(1000, 10.0), seen(2000, 10.0), seen(1000, 12.5)
    np.testing.assert_allclose(louder[:9] - plain[:9], 2.0, atol=0.1)
    np.testing.assert_allclose(louder[9:], plain[9:], atol=0.01)
    # Two crossings a cycle, of 63 that are possible in means of 16.
    np.testing.assert_allclose(63 * plain[9 + 4], 2 * 10.0, atol=0.6)
    np.testing.assert_allclose(63 * faster[9 + 4], 2 * 12.5, atol=0.6)
    assert len(octaves.names(12_800.0)) == 18
    assert octaves.names(12_800.0)[0] == "signal level, 3.2e+03 to 6.4e+03 Hz"


def test_levels_of_energies_are_a_logarithm_to_a_tenth_of_a_doubling():
    energies = np.unique(2.0 ** np.linspace(0, 53, 4000)).astype(np.int64)
    found = _integer_level(np.append(energies, [0, 2**53 + 1, 2**53 - 1])) / 256 - 1
    np.testing.assert_allclose(found[: len(energies)], np.log2(energies), atol=0.1)
    assert (found[-3:] + 1).tolist() == [0.0, 54.0, 53 + 255 / 256]


def test_what_is_beyond_float32_has_the_highest_level():
    octaves = Octaves(8, 1)
    for value in (np.inf, np.nan, 3e38):
        wave = np.array([value, -1, value, 1, 1, 1, 1, 1], np.float32).reshape(1, 8, 1)
        assert octaves(wave)[0, 0] == BEYOND


@pytest.mark.parametrize("name", ["WHOLE", "FIXED", "FRAMES", "FILTERED", "FIXED_FILTERED", "ORDERS"])
def test_levels_of_calibration_are_those_of_the_samples_that_the_front_end_keeps(name):
    front_end = getattr(emitted_c, name)
    octaves = octaves_of(front_end)
    assert octaves.channels == front_end.measured
    windows = np.random.default_rng(0).normal(0, 2, (7, front_end.sensor_window, front_end.channels))
    frames = front_end.filtered_each(windows)
    kept = main_of(frames)[:, -octaves.samples :, : octaves.channels]
    assert kept.dtype == (np.int16 if front_end.arithmetic == "fixed" else np.float32)
    rows = np.array([5, 0, 3])
    np.testing.assert_array_equal(Views(front_end).octaves(frames, rows), octaves(kept)[rows])


def test_raw_samples_hop_by_hop_have_no_levels():
    assert octaves_of(Hops.of(micro.FrontEnd("raw", window=64, hop=16))) is None
    assert octaves_of(Hops.of(emitted_c.FRAMES)).samples == 64
