"""A run folder from anywhere: nothing of it reaches C, build files or paths unchecked."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from micro.errors import ConversionError, ModelError, RunError
from micro.firmware import new_firmware
from micro.firmware.boards import BOARDS
from micro.support.files import array_bytes

MARK = "INJECTED"
# What ends a comment, a string, a line, an argument, a path or a value in C, CMake, Kconfig, YAML, make, a shell and Markdown.
TEXTS = (
    f"*/ int {MARK}; /*",
    f'";\n#include "{MARK}"\n',
    f"\\\n#define {MARK} 1\n",
    f"$(shell touch {MARK})`touch {MARK}`${{{MARK}}}",
    f"../../{MARK}",
    f"a: {{b: {MARK}}}\n- {MARK}",
)
NUMBERS = (-1, 0, 1e400, float("nan"), 2**70, -(2**70), 1e-300, 0.5, True, None, [], {})


def leaves(value, path=()):
    """Places of all strings and numbers in plain data; of a long list its first two."""
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(min(len(value), 2)):
            yield from leaves(value[index], (*path, index))
    yield path


def put(value, path, new):
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


@pytest.fixture
def copied(rig_run, tmp_path):
    """A run's files that firmware reads, as a folder of one's own."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("report.json", "manifest.json", "test_vectors.npy", "test_outputs.npy", "student_int8.tflite"):
        shutil.copy(rig_run / name, folder / name)
    return folder


def project(folder, out, board="bare-cortex-m", runtime="static"):
    """What a project's files hold, or None where the run is refused as it should be: in one line."""
    try:
        new_firmware(folder, out, board, runtime=runtime, windows=1)
    except (RunError, ConversionError, ModelError, ValueError) as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert "\n" not in said
        return None
    made = {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}
    assert not re.search(
        r"\b(None|nan|inff?|True)\b", "".join(text for path, text in made.items() if path.endswith((".c", ".h")))
    )
    shutil.rmtree(out)
    return made


def code(text):
    """C without its comments, and other files as they are."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


def read_by_firmware(report, manifest):
    """Places of what firmware reads: in the report, and in the manifest's config."""
    heads = ("features", "scaling", "detector")
    mine = [
        ("report.json", path)
        for path in leaves(report)
        if path and (path[0] in heads or path[:2] == ("data", "class_names"))
    ]
    return mine + [("manifest.json", ("config", "firmware", "name")), ("manifest.json", ("config", "firmware"))]


@pytest.mark.parametrize("runtime", ["static", "tflm"])
def test_no_text_of_a_run_folder_gets_into_a_project(copied, tmp_path, runtime):
    files = {name: json.loads((copied / name).read_text()) for name in ("report.json", "manifest.json")}
    board = "bare-cortex-m" if runtime == "static" else "cmake"
    plain = project(copied, tmp_path / "out", board, runtime)
    tried = refused = 0
    for number, (name, path) in enumerate(read_by_firmware(files["report.json"], files["manifest.json"])):
        text = TEXTS[number % len(TEXTS)]
        changed = json.loads(json.dumps(files[name]))
        put(changed, path, text)
        (copied / name).write_text(json.dumps(changed))
        made = project(copied, tmp_path / "out", board, runtime)
        (copied / name).write_text(json.dumps(files[name]))
        tried += 1
        refused += made is None
        if made is not None:
            assert path[-1] in ("guarantee", "real_threshold"), path
            assert made.keys() == plain.keys()
            for file, content in made.items():
                assert MARK not in code(content), (path, file)
                assert code(content) == code(plain[file])
    assert tried - refused <= 2
    assert tried > 40


@pytest.mark.parametrize("guarantee", TEXTS)
def test_a_guarantee_stays_in_its_comment(copied, tmp_path, guarantee):
    report = json.loads((copied / "report.json").read_text())
    plain = project(copied, tmp_path / "out")
    report["detector"]["guarantee"] = guarantee
    (copied / "report.json").write_text(json.dumps(report))
    made = project(copied, tmp_path / "out")
    assert MARK in made["src/bearing_detector.h"]
    assert {file: code(text) for file, text in made.items()} == {file: code(text) for file, text in plain.items()}


def test_every_number_of_a_run_folder_is_checked(copied, tmp_path):
    """Whatever stands where a number should: refused in one line, or a project whose C has numbers there."""
    report = json.loads((copied / "report.json").read_text())
    places = [path for name, path in read_by_firmware(report, {}) if name == "report.json"]
    for number, path in enumerate(places):
        changed = json.loads(json.dumps(report))
        put(changed, path, NUMBERS[number % len(NUMBERS)])
        (copied / "report.json").write_text(json.dumps(changed))
        project(copied, tmp_path / "out")


@pytest.mark.parametrize(("name", "content"), [
    ("report.json", b"[]"),
    ("report.json", b'{"detector": {}}'),
    ("report.json", b'{"detector": "x"}'),
    ("test_vectors.npy", b"nonsense"),
    ("test_vectors.npy", b"PK\x03\x04"),
    ("test_outputs.npy", b"nonsense"),
    ("test_outputs.npy", b"PK\x03\x04"),
    ("test_outputs.npy", array_bytes(np.zeros(3))),
    ("student_int8.tflite", b"nonsense"),
    ("manifest.json", b"{}"),
    ("manifest.json", b'{"config": []}'),
])  # fmt: skip
def test_damaged_files_are_refused_in_one_line(copied, tmp_path, name, content):
    (copied / name).write_bytes(content)
    assert project(copied, tmp_path / "out") is None
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("board", sorted(BOARDS))
@pytest.mark.parametrize("runtime", ["static", "tflm"])
def test_a_name_that_is_code_names_no_file(copied, tmp_path, board, runtime):
    manifest = json.loads((copied / "manifest.json").read_text())
    for name in ("../up", "a b", "app", "x;rm", "x\n", "$(x)", "int"):
        manifest["config"]["firmware"]["name"] = name
        (copied / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises((RunError, ValueError), match=r"firmware\.name"):
            new_firmware(copied, tmp_path / "out", board, runtime=runtime)
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["run"]
