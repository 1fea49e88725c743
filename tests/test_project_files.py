"""What every file of a firmware project holds: its license, and a comment on each public name."""

import shutil
import subprocess
from xml.etree import ElementTree

import pytest
from emitted_c import firmwares, frames_of, texts, written
from support import WARNINGS

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
        (board, "tflm"): project_files(firmware, frames, "pump", board, "tflm")
        for board in ("arduino", "platformio", "stm32cubeide")
    }
    return projects | {
        (board, "text"): text_project_files(*text, "keys", board, "static") for board in ("bare-cortex-m", "files")
    }


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


def test_the_ide_s_project_is_well_formed_and_its_c_compiles_for_arm(made, tmp_path):
    for runtime in ("static", "tflm"):
        files = made["stm32cubeide", runtime]
        root = ElementTree.fromstring(files[".project"])
        assert root.findtext("name") == "pump"
        settings = ElementTree.fromstring(files[".cproject"])
        kept = {option.get("superClass", "").rpartition(".option.")[2]: option for option in settings.iter("option")}
        assert kept["otherflags"].find("listOptionValue").get("value") == "-ffp-contract=off"
        ids = [
            element.get("id")
            for element in settings.iter()
            if element.tag in ("option", "tool", "toolChain", "builder")
        ]
        assert len(ids) == len(set(ids))
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    written(made["stm32cubeide", "static"], tmp_path)
    sources = sorted(path.name for path in (tmp_path / "Core" / "Src").glob("*.c"))
    assert "main.c" in sources
    command = ["arm-none-eabi-gcc", *WARNINGS, "-mcpu=cortex-m4", "-mthumb", "-fsyntax-only", *sources]
    subprocess.run(command, cwd=tmp_path / "Core" / "Src", check=True)


def test_the_three_calls_of_files_to_drop_in_compile_as_the_readme_has_them(made, tmp_path):
    for key, before in (
        (("files", "static"), "pump_sample sample[PUMP_CHANNELS] = {0};"),
        (("files", "text"), "uint32_t character = 'a';"),
    ):
        folder = written(made[key], tmp_path / key[1])
        assert sorted({path.parent.name for path in folder.rglob("*.[ch]")}) == ["src"]
        code = (folder / "README.md").read_text().split("```c\n")[1].split("```")[0]
        includes, _, body = code.partition("\n\n")
        declared, _, calls = body.partition("\n\n")
        program = f"{includes}\n{declared}\nint main(void) {{\n{before}\n{calls}\n(void)0;\n}}\n"
        (folder / "src" / "mine.c").write_text(
            program.replace("for (;;)", "for (int n = 0; n < 100; ++n)").replace("= {0};", "= {0};")
        )
        kept = [
            str(path) for path in (folder / "src").glob("*.c") if path.stem not in ("app", "sensor", "sample_queue")
        ]
        subprocess.run(["gcc", "-std=c99", *kept, "-Isrc", "-lm", "-o", "mine"], cwd=folder, check=True)
        assert subprocess.run([folder / "mine"]).returncode == 0
