"""A run whose firmware takes a hop at a time: from the config to a chip that says what Python says of whole windows."""

import shutil
import subprocess

import numpy as np
import pytest
from support import build_app, invoke, read_samples_from_stdin
from test_frames_run import CONFIG, whistle, whistled

import micro
from micro.firmware import emulate as emulation
from micro.runs.device import simulate
from micro.runs.firmware import load_firmware

# 13 rows of features a window, of which a hop adds 3: the first hop holds one row.
STREAMED = (
    CONFIG.replace("stride = 2\nepochs = 40\nbatch_size", 'stride = 1\npadding = "valid"\nepochs = 40\nbatch_size')
    .replace('name = "whistle"', 'name = "whistle"\nstreaming = true')
    .replace('background_classes = "noise"', 'background_classes = "noise"\nsaturation = 32000.0')
)


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return whistled(tmp_path_factory.mktemp("streamed"), STREAMED, [0.5] * 20)[0]


def stream_of(*kinds):
    return np.concatenate([whistle(kind, 900 + n) for n, kind in enumerate(kinds)])


def test_the_report_says_what_streaming_saves(made):
    report = micro.RunReport.read(made / "run")
    streaming = report.streaming
    assert (streaming.hop, streaming.hops, streaming.verified) == (3, 5, report.data.windows.test)
    assert streaming.macs * 2 < streaming.whole_macs
    assert {"whistle.c", "whistle.h"} == set(report.firmware)


def test_the_application_says_what_python_says_of_whole_windows(made, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    stream = stream_of("noise", "rising", "falling", "noise", "rising")
    stream[5000:5003] = 32767  # a sensor fault that every window with it reports, and none after it
    folder = tmp_path / "project"
    assert invoke("new-firmware", made / "run", "--board", "cmake", "--out", folder).exit_code == 0
    assert subprocess.run([build_app(folder)], capture_output=True, text=True).stdout == "self-test: pass\n"
    read_samples_from_stdin(folder, "whistle")
    done = subprocess.run([build_app(folder, "-DAPP_LOG=1")], input=stream.tobytes(), capture_output=True)
    expected = simulate(made / "run", stream)
    rows = [line.split(",") for line in done.stdout.decode().splitlines()[1:]]
    faulty = [each.status >= micro.Recognition.FAULT_NOT_FINITE for each in expected]
    assert sum(faulty) == 5
    assert [row[0].startswith("fault") for row in rows] == faulty
    assert [row[0].strip('"') for row, fault in zip(rows, faulty) if not fault] == [
        each.recognized or "unknown" for each, fault in zip(expected, faulty) if not fault
    ]


@pytest.mark.skipif(bool(emulation.missing_tools()), reason="no compiler or emulator for Cortex-M")
def test_every_feature_output_and_result_of_an_emulated_chip_is_pythons(made):
    frames = stream_of("noise", "rising", "falling", "noise")[: 4 * 1792].reshape(-1, 1792, 1).astype(np.float32)
    (found,) = emulation.emulate_firmware(load_firmware(made / "run"), frames, "whistle", ("m4f",))
    assert found.equal
