"""Velocity in whole firmware projects: the self-test, what the application prints, and what `keras-kd monitor` reads of it."""

import dataclasses
import shutil
import subprocess

import emitted_c
import numpy as np
import pytest
from support import build_app, read_samples_from_stdin

from micro.detection.sensor import Fault
from micro.firmware.project import project_files
from micro.monitoring.log import read_log
from micro.runs.device import judge
from micro.signal.readings import read_vibration

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
SEVERE = dataclasses.replace(
    emitted_c.detector(emitted_c.WHOLE, "reconstruction", **emitted_c.HITS), vibration=emitted_c.SEVERE
)
FIXED = dataclasses.replace(
    emitted_c.detector(emitted_c.FIXED, "reconstruction", **emitted_c.HITS), vibration=emitted_c.PLAIN
)


def project(firmware, folder):
    files = project_files(firmware, emitted_c.frames_of(firmware.front_end, 3), "pump", "cmake", "static")
    emitted_c.written(files, folder)
    return folder


def stream_of(vibration, blocks):
    """Vibration that grows, with a sample that is not a number where the arithmetic has those."""
    time = np.arange(vibration.span * blocks) / vibration.sample_rate
    level = np.repeat(np.linspace(0.001, 0.3, blocks), vibration.span)
    x = np.stack([level * np.sin(2 * np.pi * 63.7 * time), 2 * level * np.sin(2 * np.pi * 101 * time + 1)], axis=1)
    x = x.astype(np.float32)
    if vibration.arithmetic == "float32":
        x[3 * vibration.span + 40] = np.nan
    return vibration.taken(x)


def printed(folder, samples, *flags):
    read_samples_from_stdin(folder, "pump")
    done = subprocess.run([build_app(folder, *flags)], input=samples.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout.decode().splitlines()


def velocities_at(firmware, samples):
    """Velocity and zone when each feature window is complete, as cells; empty after a block with a fault."""
    seen = read_vibration(firmware.vibration, samples)
    window, hop = firmware.front_end.window, firmware.front_end.hop
    ends = window - 1 + hop * np.arange(1 + (len(samples) - window) // hop)
    places = np.searchsorted(seen.ends, ends, side="right") - 1
    fixed = firmware.vibration.arithmetic == "fixed"
    shown = seen.velocities if fixed else seen.velocities * np.float32(1000) + np.float32(0.5)
    cells = []
    for place in places:
        known = place >= 0 and seen.faults[place] == 0
        velocity = f"{int(shown[place]) // 1000}.{int(shown[place]) % 1000:03}" if known else ""
        zone = " ABCD"[seen.zones[place]].strip() if known else ""
        cells.append((velocity, zone) if firmware.vibration.borders else (velocity,))
    return cells


@needs_gcc
@pytest.mark.parametrize("firmware", [SEVERE, pytest.param(FIXED, marks=pytest.mark.slow)], ids=["float32", "fixed"])
def test_the_log_has_velocity_and_zone_and_monitor_reads_it(firmware, tmp_path):
    folder = project(firmware, tmp_path)
    samples = stream_of(firmware.vibration, 8)
    lines = printed(folder, samples, "-DAPP_LOG=2")
    names = lines[0].split(",")
    columns = ["velocity", "zone"] if firmware.vibration.borders else ["velocity"]
    assert names[:5] == ["status", "raw_score", *columns, "f0", "f1"][:5]
    wanted = velocities_at(firmware, samples)
    assert [tuple(line.split(",")[2 : 2 + len(columns)]) for line in lines[1:]] == wanted
    assert len(set(wanted)) > 3
    (tmp_path / "device.csv").write_text("\n".join(lines) + "\n")
    unit, decided = firmware.decider.score.unit, judge(firmware, samples)
    log = read_log(tmp_path / "device.csv", unit, 10)
    assert log.faults == sum(decided.faulty == Fault.NOT_FINITE)
    scores = decided.scores[decided.faulty == 0] * unit
    found = np.concatenate(log.sessions)
    np.testing.assert_allclose(found, scores[: len(found)], rtol=1e-6)


@needs_gcc
def test_the_self_test_passes_and_zones_are_printed_as_they_change(tmp_path):
    folder = project(SEVERE, tmp_path)
    samples = stream_of(SEVERE.vibration, 8)
    lines = printed(folder, samples)
    assert lines[0] == "self-test: pass"
    said = [line for line in lines if line.startswith("vibration:")]
    seen = read_vibration(SEVERE.vibration, samples)
    good = seen.faults == 0
    changes = [zone for zone, before in zip(seen.zones[good], [0, *seen.zones[good]]) if zone != before]
    assert [line[-1] for line in said if "zone" in line] == ["ABCD"[zone - 1] for zone in changes]
    assert "vibration: fault: sample not finite" in said


@pytest.mark.slow
@needs_gcc
def test_a_build_that_measures_something_else_fails_its_self_test(tmp_path):
    folder = project(SEVERE, tmp_path)
    source = folder / "src" / "pump_vibration.c"
    source.write_text(
        source.read_text().replace(
            "energy += weights[bin - FIRST] * power(bin)", "energy += weights[bin - FIRST] * (power(bin) + 1.0e-3f)"
        )
    )
    read_samples_from_stdin(folder, "pump")
    done = subprocess.run([build_app(folder)], input=b"", capture_output=True)
    assert done.returncode != 0
    assert done.stdout == b"self-test: FAIL\n"
