"""Sounds that only their course in time tells apart: from files to a chip that computes a row of features a frame."""

import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from support import build_app, invoke, read_samples_from_stdin

import micro
from micro.firmware import emulate as emulation
from micro.runs.device import simulate
from micro.runs.firmware import load_firmware

RATE = 4000
CONFIG = """
job = "table"
task = "classification"
seeds = 1
[data]
files = "**/*.flac"
group = ["{group}-*.flac", "{group}.flac"]
on_short = "pad"
[features]
kind = "mel"
window = 1792
hop = 384
frame = 256
frame_hop = 128
bands = 12
low = 100.0
arithmetic = "fixed"
full_scale = 32768.0
[teacher]
family = "conv1d"
sizes = [16, 16]
kernel = 3
stride = 2
epochs = 40
learning_rate = 0.003
batch_size = 8
[student]
family = "ds_cnn"
sizes = [8, 8]
kernel = 3
stride = 2
epochs = 40
batch_size = 8
learning_rate = 0.005
[recognize]
background_classes = "noise"
[firmware]
name = "whistle"
"""


def whistle(kind, seed, seconds=0.5):
    """A tone that rises or falls, or noise, in counts of 16 bits."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, int(seconds * RATE))
    low, high = rng.uniform(300, 500), rng.uniform(1200, 1700)
    pitch = {"rising": low + (high - low) * time, "falling": high - (high - low) * time, "noise": 0 * time}[kind]
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * 10.0 ** rng.uniform(3.0, 4.0)
    return np.round(tone + rng.normal(0, 300, len(time))).astype(np.int16)


def whistled(folder, config, seconds):
    """A folder with recordings of each kind, of these lengths, and the run of a config on them; (folder, what it said)."""
    for c, kind in enumerate(("rising", "falling", "noise")):
        (folder / kind).mkdir()
        for n, length in enumerate(seconds):
            name = f"{n}.flac" if kind == "noise" else f"person{n % 10}-{n}.flac"
            soundfile.write(folder / kind / name, whistle(kind, 100 * c + n, length), RATE)
    (folder / "w.toml").write_text(config)
    result = invoke("run", folder / "w.toml", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    return folder, result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    # The shortest are a little shorter than a window.
    seconds = [0.44 if n % 9 == 8 else 0.5 for n in range(30)]
    folder, said = whistled(tmp_path_factory.mktemp("whistles"), CONFIG, seconds)
    assert "windows of 1,792 samples (0.448 s), one every 384, each of 13 frames, one every 128 samples" in said
    return folder


def test_what_only_time_tells_apart_is_learned(made):
    report = micro.RunReport.read(made / "run")
    assert report.deployed["accuracy"] > 0.85
    assert report.features.frame == 256
    moved = {each.feature for origin in report.by_origin for each in origin.moved}
    assert moved
    assert all(name.startswith("mel ") and name.endswith((": mean", ": standard deviation")) for name in moved)


def test_the_application_and_an_emulated_chip_say_what_python_says(made, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    stream = np.concatenate([whistle(kind, 900 + n) for n, kind in enumerate(("noise", "rising", "falling", "noise"))])
    folder = tmp_path / "project"
    assert invoke("new-firmware", made / "run", "--board", "cmake", "--out", folder).exit_code == 0
    assert subprocess.run([build_app(folder)], capture_output=True, text=True).stdout == "self-test: pass\n"
    read_samples_from_stdin(folder, "whistle")
    done = subprocess.run([build_app(folder, "-DAPP_LOG=1")], input=stream.tobytes(), capture_output=True)
    expected = simulate(made / "run", stream)
    assert [line.split(",")[0].strip('"') for line in done.stdout.decode().splitlines()[1:]] == [
        each.recognized or "unknown" for each in expected
    ]
    assert {each.recognized for each in expected} >= {"rising", "falling"}
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    frames = stream[: len(stream) // 1792 * 1792].reshape(-1, 1792, 1).astype(np.float32)
    (found,) = emulation.emulate_firmware(load_firmware(made / "run"), frames, "whistle", ("m4f",))
    assert found.equal
    assert found.front_end_instructions > found.inference_instructions / 10
    assert found.stack < 4096
