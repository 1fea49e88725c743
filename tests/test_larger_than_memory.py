"""A recording of 10 GB trains by a whole run in less memory than a small computer has."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

# Of the recording in GB; and how much memory in GB no process of the run may take.
SIZE = float(os.environ.get("KERAS_KD_RECORDING_GB", "10"))
MOST = 3.0
BLOCK = 1 << 20
RATE = 16_000

CONFIG = """
job = "table"
seeds = 1
[data]
files = "*.wav"
healthy_files = "healthy.wav"
[features]
kind = ["spectrum", "moments"]
window = 1024
hop = 16384
bands = 16
[distill]
compare = false
[teacher]
sizes = [32, 8, 32]
epochs = 2
[student]
sizes = [16, 4, 16]
epochs = 2
[firmware]
name = "machine"
"""
# VmHWM is the most that this process alone has taken, mapped files included; ru_maxrss the most of one that it started, which
# Linux counts from what this process had when it started it.
MEASURED = """
import json, re, resource, sys
from micro.cli.main import main
main(sys.argv[1:], standalone_mode=False)
own = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"itself": own * 1024 / 1e9, "started": started * 1024 / 1e9}))
"""


def record(path, gigabytes, fault=False):
    """A machine of one vibration sensor as float32; a level that drifts makes blocks differ. Returns the file's bytes."""
    rng = np.random.default_rng(int(fault))
    times = np.arange(BLOCK) / RATE
    block = 0.2 * np.sin(2 * np.pi * 60 * times) + 0.02 * rng.normal(size=BLOCK)
    if fault:
        block += 0.2 * np.sin(2 * np.pi * 3000 * times)
    with soundfile.SoundFile(path, "w", RATE, 1, "FLOAT", format="RF64") as file:
        for number in range(max(1, round(gigabytes * 1e9 / 4 / BLOCK))):
            file.write(((1 + 0.1 * np.sin(number)) * block).astype(np.float32))
    return path.stat().st_size


@pytest.mark.slow
def test_a_recording_larger_than_memory_trains(tmp_path):
    """The size in GB is that of KERAS_KD_RECORDING_GB, by default 10; the disk takes it twice."""
    size = record(tmp_path / "healthy.wav", SIZE)
    record(tmp_path / "fault.wav", 0.01, fault=True)
    (tmp_path / "a.toml").write_text(CONFIG)
    arguments = ["run", str(tmp_path / "a.toml"), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True)
    (tmp_path / "healthy.wav").unlink()
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    print(
        f"{size / 1e9:.3g} GB: peak {measured['itself']:.2f} GB, of a process that it started {measured['started']:.2f} GB"
    )
    assert size > 0.99e9 * SIZE
    assert report["data"]["windows"]["train"] > 0.5 * SIZE * 1e9 / 4 / 16_384
    assert max(measured.values()) < MOST
