"""What every file of a firmware project holds: its license, and a comment on each public name."""

import pytest
from emitted_c import firmwares, frames_of, texts

from micro.firmware.benchmark import new_benchmark
from micro.firmware.boards import BOARDS
from micro.firmware.project import project_files
from micro.firmware.text_project import text_project_files

LICENSE = "SPDX-License-Identifier: 0BSD"
# Files that say nothing of their license: prose, and files that a development environment writes again.
UNLICENSED = ("README.md", ".project", ".cproject")


@pytest.fixture(scope="module")
def made():
    """Projects by what they are: each board with each runtime, and texts."""
    firmware = firmwares()["residual_raw"]
    text = texts()["text"]
    frames = frames_of(firmware.front_end)
    projects = {(board, "static"): project_files(firmware, frames, "pump", board, "static") for board in BOARDS}
    # TFLite Micro's files differ on two boards, text's on one.
    projects |= {
        (board, "tflm"): project_files(firmware, frames, "pump", board, "tflm") for board in ("arduino", "platformio")
    }
    return projects | {("bare-cortex-m", "text"): text_project_files(*text, "keys", "bare-cortex-m", "static")}


def test_every_emitted_file_says_its_license_once_at_the_top(made, tmp_path):
    benchmark = new_benchmark(firmwares()["picture"].tflite, tmp_path / "p", task="kws01")
    files = {str(path): path.read_bytes() for path in benchmark}
    for project in made.values():
        files = files | project
        for path, content in project.items():
            text = content.decode()
            assert text.count("SPDX") == (0 if path.endswith(UNLICENSED) else 1), path
            assert path.endswith(UNLICENSED) or LICENSE in text.splitlines()[0], path
    kinds = {path.rsplit("/", 1)[-1] for path in files}
    assert {
        "Makefile",
        "CMakeLists.txt",
        "Kconfig",
        "link_m0.ld",
        "pump.ino",
        "platformio.ini",
        "pump_infer_tflm.cc",
    } <= kinds
    assert all(LICENSE in content.decode() or path.endswith(UNLICENSED) for path, content in files.items())
