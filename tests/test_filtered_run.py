"""Recordings filtered and decimated: from files with a gap to chips, in float32 and in counts, all say the same."""

import csv
import shutil
import subprocess

import numpy as np
import pytest
from support import build_app, invoke, read_samples_from_stdin

import micro
from micro.datasets import rig
from micro.firmware import emulate as emulation
from micro.runs.device import simulate
from micro.runs.firmware import load_firmware

pytestmark = pytest.mark.slow
RATE = 12_800
# Hop and window have no divisor but 1, and the hop is odd where two samples become one.
CONFIG = """
job = "table"
seeds = 1
[data]
files = ["healthy*.csv", "fault*.csv"]
healthy_files = "healthy*.csv"
faulty_files = "fault*.csv"
time_column = "t"
on_gap = "split"
[features]
kind = ["shape", "spectrum"]
window = 256
hop = 131
bands = 8
decimate = 2
filter = {kind = "highpass", low = 200, order = 4}
ARITHMETIC
[teacher]
sizes = [16, 6, 16]
epochs = 10
[student]
sizes = [6]
epochs = 10
[detect]
saturation = SATURATION
max_saturated = 3
false_alarm_rate = 0.03
min_hits = 2
history = 3
[firmware]
name = "pump"
"""
COUNTS = {"ARITHMETIC": 'arithmetic = "fixed"\nfull_scale = 32768.0', "SATURATION": "32000.0"}
VELOCITY = '[vibration]\nunit = "g"\nchannels = ["ax"]\nlow = 20.0\nhigh = 500.0\nwindow = 512\n'
FLOATS = {"ARITHMETIC": "", "SATURATION": "7.9", "[firmware]": VELOCITY + "[firmware]"}


def machine(seed, fault=None, seconds=1.0):
    """Three sensors of a machine, of which one has an offset and one drifts: (n, 3)."""
    each = [
        rig.simulate_rig(rig.Rig(), seconds, np.random.default_rng([seed, n]), fault=fault, severity=float(fault is not None))
        for n in range(3)
    ]  # fmt: skip
    found = np.concatenate([one.samples for one in each], axis=1).astype(float)
    found[:, 1] += 0.5
    found[:, 2] = 0.5 * found[:, 2] + 0.2 * np.sin(np.arange(len(found)) / 300)
    return found


def written(path, samples, kind, lost=slice(0, 0)):
    """What a file of samples holds, in its precision, without the rows that were lost."""
    held = np.round(samples * 2048).astype(np.int16) if kind == "counts" else samples.round(6).astype(np.float32)
    time = np.delete(np.arange(len(held)) / RATE, lost)
    held = np.delete(held, lost, axis=0)
    cell = str if kind == "counts" else "{:.6f}".format
    rows = [",".join([f"{t:.7f}", *map(cell, row.tolist())]) for t, row in zip(time, held)]
    path.write_text("\n".join(["t,ax,ay,az", *rows]) + "\n")
    return held


@pytest.fixture(scope="module", params=["floats", "counts"])
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    text = CONFIG
    for word, value in (COUNTS if request.param == "counts" else FLOATS).items():
        text = text.replace(word, value)
    (folder / "c.toml").write_text(text)
    for n in range(8):
        written(folder / f"healthy{n}.csv", machine(n), request.param, slice(5001, 5300) if n == 3 else slice(0, 0))
    for n, fault in enumerate(rig.FAULTS[:3]):
        written(folder / f"fault{n}.csv", machine(100 + n, fault, 0.6), request.param)
    result = invoke("run", folder / "c.toml", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    assert "of every 2 samples one, behind a highpass filter of order 4, 200 Hz, which leaves 6,400 Hz" in result.output
    assert "windows of 256 samples (0.04 s)" in result.output
    return folder, request.param


def scored(folder, name):
    assert invoke("score", folder / "run", folder / name, "--out", folder / "s.csv").exit_code == 0
    with (folder / "s.csv").open() as file:
        return list(csv.DictReader(file))


def test_score_application_and_chips_say_the_same_of_a_file(made, tmp_path):
    folder, kind = made
    sound, broken = machine(500), machine(501, rig.FAULTS[3], 0.6)
    stream = np.concatenate([sound, broken])
    stream[3000:3009:2, 1] = 15.9  # five saturated samples, of which filters would keep none as it was
    held = written(folder / "new.csv", stream, kind)
    rows, expected = scored(folder, "new.csv"), simulate(folder / "run", held)
    assert len(rows) == len(expected) > 60
    assert [int(row["row"]) + 2 * 256 - 1 for row in rows] == [each.sample for each in expected]
    assert [row["result"] == "sensor fault" for row in rows] == [each.score is None for each in expected]
    assert {"sensor fault", "ok", "alarm"} == {row["result"] for row in rows}
    for row, each in zip(rows, expected):
        assert each.score is None or row["score"] == f"{each.score:.6g}"
        assert row["alarm"] == ("" if each.score is None else str(int(each.status == micro.Status.ALARM)))
    project = tmp_path / "project"
    assert invoke("new-firmware", folder / "run", "--board", "cmake", "--out", project).exit_code == 0
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    assert subprocess.run([build_app(project)], capture_output=True, text=True).stdout == "self-test: pass\n"
    read_samples_from_stdin(project, "pump")
    done = subprocess.run([build_app(project, "-DAPP_LOG=1")], input=held.tobytes(), capture_output=True)
    words = {"ok": "healthy", "alarm": "ALARM", "sensor fault": "fault: sensor saturated"}
    said = [line.split(",")[0] for line in done.stdout.decode().splitlines()[1:]]
    assert said == [words[row["result"]] for row in rows]
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    kept = held[: len(held) // 512 * 512].reshape(-1, 512, 3).astype(np.float32)
    for found in emulation.emulate_firmware(load_firmware(folder / "run"), kept, "pump", ("m0", "m4f")):
        assert found.equal
        assert found.windows > 60
        # Pushes of a hop filter 262 samples of three channels, besides what a window takes.
        assert found.hop_instructions > found.front_end_instructions + 262 * 3 * 50


def test_behind_a_gap_a_file_is_scored_as_a_chip_that_restarts(made):
    folder, kind = made
    held = written(folder / "gap.csv", machine(502, seconds=0.6), kind, slice(3001, 3100))
    rows = scored(folder, "gap.csv")
    halves = [simulate(folder / "run", part) for part in (held[:3001], held[3001:])]
    assert [row["score"] for row in rows] == [f"{each.score:.6g}" for half in halves for each in half]
    starts = [each.sample - 511 + first for half, first in zip(halves, (0, 3001)) for each in half]
    assert [int(row["row"]) for row in rows] == starts


def test_what_a_run_has_kept_and_reports_is_of_the_sensor(made):
    folder, kind = made
    report = micro.RunReport.read(folder / "run")
    assert report.data.sample_rate == pytest.approx(RATE)
    assert np.load(folder / "run" / "test_vectors.npy").shape[1:] == (512, 3)
    assert "samples are filtered first: of every 2 samples one" in (folder / "run" / "report.html").read_text()
    assert (report.vibration is None) == (kind == "counts")
    if report.vibration is not None:
        span = load_firmware(folder / "run").vibration.span
        assert report.vibration.seconds == pytest.approx(span / RATE)
        assert {row.blocks for row in report.vibration.rows if row.origin == "healthy0.csv"} == {RATE // span}
