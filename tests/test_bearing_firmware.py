"""The diagnosis of a bearing in whole firmware projects: the self-test, and what the application prints in an alarm."""

import dataclasses
import shutil
import subprocess

import emitted_c
import numpy as np
import pytest
from support import build_app, read_samples_from_stdin

from micro.detection.detector import Status
from micro.firmware.project import project_files
from micro.runs.device import judge
from micro.signal.bearings import FAULTS
from micro.signal.joined import sensed

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
NAMED = dataclasses.replace(
    emitted_c.detector(emitted_c.WHOLE, "reconstruction", **emitted_c.HITS), diagnosis=emitted_c.DIAGNOSING
)
FIXED = dataclasses.replace(
    emitted_c.detector(emitted_c.FIXED, "distance", **emitted_c.HITS), diagnosis=emitted_c.DIAGNOSING
)


def project(firmware, folder):
    files = project_files(firmware, emitted_c.frames_of(firmware.front_end, 3), "pump", "cmake", "static")
    emitted_c.written(files, folder)
    read_samples_from_stdin(folder, "pump")
    return folder


def stream_of(firmware, results):
    """Quiet noise, then louder noise that is struck at the outer race's frequency, with one sample that is not a number."""
    monitor = firmware.diagnosis.monitor
    rng, count = np.random.default_rng(2), results * monitor.window
    turns = monitor.rpm / 60 * np.arange(count) / monitor.sample_rate
    struck = (0.2 + (turns * monitor.orders[0] % 1 < 0.15)) * 3.0
    level = np.where(np.arange(count) < 1.3 * monitor.window, 0.02, struck)
    x = (rng.normal(size=(count, 2)) * level[:, None]).astype(np.float32)
    if firmware.front_end.arithmetic == "float32":
        x[100, 1] = np.nan
    return sensed(firmware.front_end, x)


def said_of(firmware, samples):
    """The lines that the application prints, by Python's decisions and levels."""
    diagnosing, front_end = firmware.diagnosis, firmware.front_end
    monitor, taken = diagnosing.monitor, samples[:, diagnosing.channel].astype(np.float32)
    first = 101 if np.isnan(taken[100]) else 0
    results = {first + (n + 1) * monitor.window - 1: each for n, each in enumerate(monitor.levels(taken[first:]))}
    statuses = judge(firmware, samples).statuses
    lines, alarmed, latest, before, was_alarmed = [], False, None, None, False

    def say(levels):
        fault = monitor.named(levels)
        if fault is None:
            return "bearing: no part stands out"
        tenths = int(np.float32(monitor.rises(levels)[FAULTS.index(fault)]) * np.float32(10) + np.float32(0.5))
        return f"bearing: {fault} {tenths // 10}.{tenths % 10} dB over the baseline"

    for end in range(len(samples)):
        if end in results:
            latest = results[end]
            if alarmed and (not was_alarmed or monitor.named(latest) != before):
                lines.append(say(latest))
            was_alarmed, before = alarmed, monitor.named(latest)
        since = end + 1 - front_end.window
        if since >= 0 and since % front_end.hop == 0:
            alarm = statuses[since // front_end.hop] == Status.ALARM
            if alarm and not alarmed and latest is not None and monitor.named(latest) is not None:
                lines.append(say(latest))
            alarmed = alarm
    return lines


def alarming(firmware, samples):
    """The firmware with a threshold that half of the later windows are above."""
    scores = judge(firmware, samples).scores
    threshold = int(np.median(scores[len(scores) // 2 :]))
    return dataclasses.replace(
        firmware, decider=dataclasses.replace(firmware.decider, threshold=threshold, clear_threshold=threshold)
    )


@needs_gcc
@pytest.mark.parametrize("firmware", [NAMED, pytest.param(FIXED, marks=pytest.mark.slow)], ids=["float32", "fixed"])
def test_the_application_names_the_part_in_an_alarm_and_its_self_test_passes(firmware, tmp_path):
    samples = stream_of(firmware, 4)
    firmware = alarming(firmware, samples)
    folder = project(firmware, tmp_path)
    done = subprocess.run([build_app(folder)], input=samples.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "self-test: pass"
    said = [line for line in lines if line.startswith("bearing:")]
    assert said == said_of(firmware, samples)
    assert any(line.startswith("bearing: outer race") for line in said), lines
    assert "dB over the baseline" in (folder / "README.md").read_text()


@pytest.mark.slow
@needs_gcc
def test_a_build_that_diagnoses_otherwise_fails_its_self_test_and_a_log_stays_a_log(tmp_path):
    folder, samples = project(NAMED, tmp_path), stream_of(NAMED, 2)
    logged = subprocess.run([build_app(folder, "-DAPP_LOG=1")], input=samples.tobytes(), capture_output=True)
    assert logged.returncode == 0
    assert b"bearing" not in logged.stdout
    source = folder / "src" / "pump_diagnosis.c"
    text = source.read_text()
    assert "* 0.5f +" in text
    source.write_text(text.replace("* 0.5f +", "* 0.55f +"))
    done = subprocess.run([build_app(folder)], input=b"", capture_output=True)
    assert done.returncode != 0
    assert done.stdout == b"self-test: FAIL\n"
