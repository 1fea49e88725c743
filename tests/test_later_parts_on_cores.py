"""Modes, orders, filters, summaries, learning, velocity, diagnosis: the same bits on every core, and no stream breaks them."""

import shutil
import subprocess

import numpy as np
import pytest
import streamed_c

from micro.detection.detector import Status
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.runs.device import judge

CASES = streamed_c.cases()
# Cores that learn a machine are in test_commissioning_c.py.
UNLEARNED = [name for name in CASES if CASES[name].commissioning is None]
SAMPLES = 6000
# Samples of each stream.
LONG = 1_000_000


def rows_of(output, firmware):
    """Status, score and features of each window, and the summaries between them."""
    rows, summaries, at = [], [], 0
    size = int(np.prod(firmware.front_end.shape))
    while at < len(output):
        status, score = np.frombuffer(output, "<i8", 2, at).tolist()
        rows.append((status, score, output[at + 16 : at + 16 + size]))
        at += 16 + size
        if firmware.decider.modes is None and len(rows) % 5 == 0:
            length = int.from_bytes(output[at : at + 4], "little")
            summaries.append(output[at + 4 : at + 4 + length])
            at += 4 + length
    return rows, summaries


def on_host(firmware, folder, stream, **flags):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    program = streamed_c.compiled(streamed_c.written(firmware, folder, streamed_c.ROWS), folder, **flags)
    done = subprocess.run([program], input=stream, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:3000]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", UNLEARNED)
def test_the_host_gives_what_python_does(name, tmp_path):
    firmware = CASES[name]
    samples, speed = streamed_c.stream(firmware, SAMPLES)
    rows, _ = rows_of(on_host(firmware, tmp_path, streamed_c.as_bytes(firmware, samples, speed)), firmware)
    seen = judge(firmware, samples, speed=speed)
    assert [status for status, _, _ in rows] == [int(status) for status in seen.statuses]
    scored = np.isin(seen.statuses, (Status.HEALTHY, Status.ALARM))
    assert scored.any()
    assert [score for _, score, _ in np.array(rows, object)[scored]] == seen.scores[scored].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m0", "m33", "rv32imc"])
@pytest.mark.parametrize("name", UNLEARNED)
def test_cores_give_the_bytes_of_the_host(name, core, tmp_path):
    if missing := missing_for(core):
        pytest.skip(f"not installed: {', '.join(missing)}")
    firmware = CASES[name]
    stream = streamed_c.as_bytes(firmware, *streamed_c.stream(firmware, SAMPLES // 3))
    wanted = on_host(firmware, tmp_path / "host", stream, flags=("-O1",))
    sources = streamed_c.written(firmware, tmp_path / "core", streamed_c.ROWS)
    (tmp_path / "core" / "samples.bin").write_bytes(stream)
    assert run_in_qemu(tmp_path / "core", core, sources) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_no_stream_however_extreme_breaks_a_rule_of_c(name, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    program = streamed_c.compiled(streamed_c.written(CASES[name], tmp_path, streamed_c.LONG), tmp_path)
    done = subprocess.run([program, str(LONG)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    windows, scored, summaries = map(int, done.stdout.split())
    assert windows > 1000
    assert scored > 50
    assert summaries > 0 or CASES[name].decider.modes is not None
