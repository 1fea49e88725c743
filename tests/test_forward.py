"""Firmware that forwards: what it prints is read by `record`, and is what went in and what Python computes of it."""

import csv
import json
import shutil
import subprocess

import numpy as np
import pytest
from support import build_app, read_samples_from_stdin

import micro
from micro.live.record import Wanted, record
from micro.live.source import parse_source
from micro.runs.device import judge
from micro.runs.firmware import load_firmware


def said_by(folder, run, samples, *parts):
    """What a project that forwards prints of samples."""
    micro.new_firmware(run, folder, "cmake", forward=parts)
    read_samples_from_stdin(folder, json.loads((run / "manifest.json").read_text())["config"]["firmware"]["name"])
    app = build_app(folder)
    return subprocess.run([app], input=samples.astype(np.float32).tobytes(), capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def samples(rig_run):
    """A stretch of every size of number that a float may have, and a fault of the sensor."""
    rng = np.random.default_rng(4)
    front_end = load_firmware(rig_run).front_end
    shape = (front_end.window + 6 * front_end.hop, front_end.channels)
    made = rng.normal(size=shape).astype(np.float32)
    with np.errstate(over="ignore"):
        made[-60:-20, 0] = (rng.uniform(-1, 1, 40) * 10.0 ** np.arange(-45, 35, 2)).astype(np.float32)
    made[-18:-12, 0] = [0.0, -0.0, np.finfo(np.float32).max * 0.999, np.finfo(np.float32).tiny, 1e-45, np.nan]
    return made


def test_forwarded_samples_are_those_that_went_in_to_the_bit(tmp_path, rig_run, samples):
    printed = said_by(tmp_path / "app", rig_run, samples, "samples", "scores")
    (tmp_path / "printed").write_bytes(printed)
    windows = []

    def watch(rows, reader, rate):
        windows.extend((number, *row.window) for row, number in rows if row.window is not None)

    made = record(parse_source(str(tmp_path / "printed")), tmp_path / "out", Wanted(), lambda said: None, watch)
    assert (made.counts.lost, made.counts.damaged) == (0, 0)
    with made.files[0].open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[0] == "time"
    got = np.array([[float(cell or "nan") for cell in row[1:]] for row in rows]).astype(np.float32)
    np.testing.assert_array_equal(got, samples)
    firmware = load_firmware(rig_run)
    judged = judge(firmware, samples)
    front_end = firmware.front_end
    ends = front_end.window - 1 + front_end.hop * np.arange(len(judged.faulty))
    good = judged.faulty == 0
    assert good.any()
    expected = [(int(end), int(status), int(score)) for end, status, score in zip(ends, judged.statuses, judged.scores)]
    assert windows == [each for each, usable in zip(expected, good) if usable]


def test_forwarded_scores_and_features_are_those_of_python(tmp_path, rig_run, samples):
    printed = said_by(tmp_path / "app", rig_run, samples, "scores", "features").decode().splitlines()
    header = printed.index(next(line for line in printed if line.startswith("seq,")))
    names = printed[header].split(",")
    rows = [line.split(",") for line in printed[header + 1 :]]
    judged = judge(load_firmware(rig_run), samples)
    features = judged.features.reshape(len(judged.faulty), -1)
    assert names == ["seq", "status", "score", *(f"f{n}" for n in range(features.shape[1])), "check"]
    assert len(rows) == len(judged.faulty)
    for n, row in enumerate(rows):
        assert [int(cell) for cell in row[:2]] == [n, int(judged.statuses[n])]
        values = (
            [*(str(v) for v in [judged.scores[n], *features[n]])] if judged.faulty[n] == 0 else [""] * (len(names) - 3)
        )
        assert row[2:-1] == values


def test_a_program_that_forwards_samples_alone_has_no_model(tmp_path, rig_run):
    micro.new_firmware(rig_run, tmp_path / "app", "cmake", forward=["samples"])
    text = (tmp_path / "app/src/app.c").read_text()
    assert "self_test(&" not in text
    assert "keras-kd record serial:" in (tmp_path / "app/README.md").read_text()


def test_what_cannot_be_forwarded_is_refused_by_name(tmp_path, rig_run):
    with pytest.raises(ValueError, match="forward must be one of samples, features, scores, got 'all'"):
        micro.new_firmware(rig_run, tmp_path / "app", "cmake", forward=["all"])
    assert not (tmp_path / "app").exists()


def test_samples_that_find_no_room_are_left_out_of_the_numbers_of_rows(tmp_path, rig_run):
    micro.new_firmware(rig_run, tmp_path / "app", "cmake", forward=["samples"])
    assert "is left out of `seq`, a number for each" in (tmp_path / "app/README.md").read_text()
    # 20 samples come while there is room for 8; then 5 at a time.
    (tmp_path / "app/src/sensor.c").write_text(
        '#include "sensor.h"\nstatic int next;\n'
        "static void push(int count) { bearing_sample sample[BEARING_CHANNELS]; int n, c; for (n = 0; n < count; ++n) {\n"
        "  for (c = 0; c < BEARING_CHANNELS; ++c) { sample[c] = (bearing_sample)next; }\n"
        "  ++next; (void)sensor_push(sample); } }\n"
        "int sensor_start(void) { push(20); return 0; }\nvoid app_wait(void) { push(next < 60 ? 5 : 10); }\n"
    )
    main = (tmp_path / "app/main.c").read_text().replace("void app_wait(void) {}", "void app_wait(void);")
    (tmp_path / "app/main.c").write_text(
        main.replace("app_step() == 0", "rows-- > 0 && app_step() == 0").replace(
            "  const int failed", "  int rows = 80;\n  const int failed"
        )
    )
    printed = subprocess.run([build_app(tmp_path / "app", "-DSENSOR_QUEUE=8")], capture_output=True, check=True).stdout
    rows = [line.split(",") for line in printed.decode().splitlines() if line[:1].isdigit()]
    # A sample's value is how many came before it, and so is its row's number.
    assert [row[0] for row in rows] == [row[1] for row in rows]
    assert printed.startswith(b"# keras-kd forward 1, samples, ")
    assert rows[0][0] == "20"
    (tmp_path / "printed").write_bytes(printed)
    made = record(parse_source(str(tmp_path / "printed")), tmp_path / "out", Wanted(), lambda said: None)
    assert made.counts.samples == len(rows) == 80
    assert made.counts.lost == int(rows[-1][0]) - 20 - 79 > 0


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m0", "m4f"])
def test_a_chip_prints_what_the_host_prints(tmp_path, rig_run, samples, core):
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None:
        pytest.skip("needs arm-none-eabi-gcc and qemu-system-arm")
    sent = samples[-80:].ravel().view(np.uint32)
    micro.new_firmware(rig_run, tmp_path / "chip", "bare-cortex-m", forward=["samples"])
    (tmp_path / "chip/src/sensor.c").write_text(
        '#include "sensor.h"\n#include <string.h>\n'
        f"static const uint32_t bits[] = {{{', '.join(f'{each}u' for each in sent)}}};\n"
        "int sensor_read(bearing_sample *sample) { static unsigned at = 0;\n"
        f"  if (at >= {len(sent)}u) {{ return -1; }}\n"
        "  memcpy(sample, bits + at, sizeof *sample * BEARING_CHANNELS); at += BEARING_CHANNELS; return 0; }\n"
    )
    done = subprocess.run(["make", f"CORE={core}", "run"], cwd=tmp_path / "chip", capture_output=True, text=True)
    host = said_by(tmp_path / "host", rig_run, samples[-80:], "samples").decode()
    assert "warning" not in done.stderr
    assert host.count("\n") == 82
    assert host in done.stdout + done.stderr
