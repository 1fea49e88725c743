"""Several models in one program, of C and of C++: no two symbols meet, and each self-test passes."""

import re
import shutil
import subprocess

import pytest
from emitted_c import firmwares, frames_of, texts, written

from micro.firmware.project import project_files
from micro.firmware.text_project import text_project_files

MAIN = """
#include "pump_detector.h"
#include "pump_self_test.h"
#include "fan_self_test.h"
#include "ear_self_test.h"
static pump_detector pump;
static fan_detector fan;
static ear_labeler ear;
int main(void) {
  return pump_self_test(&pump) + fan_self_test(&fan) + ear_self_test(&ear);
}
"""
# Files of the application, of which a program has one.
APPLICATION = ("app", "sensor", "sample_queue")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The C of three runs in one folder, two of them of the same kind."""
    folder = tmp_path_factory.mktemp("several")
    for name, kind in (("pump", "reconstruction"), ("fan", "residual"), ("ear", "labels")):
        firmware = firmwares()[kind]
        files = project_files(firmware, frames_of(firmware.front_end), name, "files", "static")
        written({path: content for path, content in files.items() if "README" not in path}, folder)
    for name in APPLICATION:
        for path in folder.glob(f"src/{name}.*"):
            path.unlink()
    return folder / "src"


@pytest.mark.parametrize(
    ("library", "main"),
    [(("gcc",), ("gcc",)), (("gcc",), ("g++", "-x", "c++")), (("g++", "-x", "c++"), ("g++", "-x", "c++"))],
    ids=["C", "C in C++", "C++"],
)
def test_three_runs_share_a_program(sources, tmp_path, library, main):
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    (tmp_path / "main.c").write_text(MAIN)
    files = sorted(str(path) for path in sources.glob("*.c"))
    flags = ("-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", f"-I{sources}")
    standards = {"gcc": "-std=c99", "g++": "-std=c++17"}
    subprocess.run([*library, standards[library[0]], *flags, "-c", *files], cwd=tmp_path, check=True)
    subprocess.run([*main, standards[main[0]], *flags, "-c", "main.c"], cwd=tmp_path, check=True)
    objects = sorted(str(path) for path in tmp_path.glob("*.o"))
    subprocess.run(["g++", *objects, "-lm", "-o", "app"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "app"]).returncode == 0


NAMED = (
    (re.compile(r"#define (\w+)[( ]\S"), None),
    (re.compile(r"(?:typedef .*?(\w+);|(?:typedef )?(?:struct|enum) ?\w* ?\{)$"), False),
    (re.compile(r"(?:const )?\w+ \**(\w+)\("), False),
    (re.compile(r"(?:volatile |const )?\w+ .*?(\w+)(?:\[[^;]*\])?;|([A-Z]\w+)(?: = .*)?,?$"), True),
)


def undocumented(header):
    """Public names of a header of which none has a comment, as Doxygen reads it: macros, types, functions, fields."""
    found, documented = [], set()
    comment, above, depth = False, False, 0
    for line in map(str.strip, header.splitlines()):
        if comment or line.startswith("/*"):
            comment = "*/" not in line
            above = not comment
            continue
        if not line or re.match(
            r"#(if|el|en)|extern", line
        ):  # of a group behind a comment, such as both sides of an #if
            continue
        code = re.sub(r" */\*.*", "", line)
        for pattern, within in NAMED:
            match = pattern.match(code) if within in (None, depth > 0) else None
            if match is not None:
                name = next(filter(None, match.groups()), line)
                found.append(name)
                documented |= {name} if above or "/**<" in line else set()
                break
        depth = max(0, depth + code.count("{") - code.count("}"))
        above = False
    return sorted(set(found) - documented)


def test_what_is_not_documented_is_found():
    assert undocumented("int bare(void);\n") == ["bare"]
    assert undocumented("/** @brief A function. */\nint bare(void);\n#define BARE 3\n") == ["BARE"]
    assert undocumented("/** A struct. */\ntypedef struct {\n  int a; /**< It. */\n  int b;\n} s;\n") == ["b"]


def test_every_public_name_of_emitted_headers_has_a_comment():
    kinds = {name: firmwares()[name] for name in ("reconstruction", "residual", "once", "labels", "several", "picture")}
    made = {
        kind: project_files(firmware, frames_of(firmware.front_end), "pump", "files", "static")
        for kind, firmware in kinds.items()
    } | {kind: text_project_files(*each, "pump", "files", "static") for kind, each in texts().items()}
    headers = {
        (kind, path): content.decode()
        for kind, files in made.items()
        for path, content in files.items()
        if path.endswith(".h")
    }
    assert len(headers) > 40
    assert {key: missing for key, header in headers.items() if (missing := undocumented(header))} == {}
