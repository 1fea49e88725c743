"""Names of emitted files, symbols and macros: whatever is accepted compiles, and meets no other name."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import micro
from micro.emission.c_array import TAKEN
from micro.firmware.boards import BOARDS
from micro.firmware.project import COMMON
from micro.support.c_names import ENDINGS, HEADERS, KEYWORDS, LONGEST, RESERVED, CNames, identifier, macro_names

WORDS = (
    sorted(set().union(*RESERVED.values()))
    + [ending.strip("_") for ending in ENDINGS]
    + ["pump", "gain", "a", "b2", "2"]
)
names = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map("_".join) | st.text(
    st.sampled_from("abAB12_-. é"), min_size=1, max_size=8
)


def accepted(name):
    try:
        return identifier(name) == name
    except ValueError as error:
        proposed = re.search(r"try '([^']*)'$", str(error))[1]
        assert identifier(proposed) == proposed
        return False


def all_of(name):
    """Files, symbols, macros and types that emitters make of a name, as a file system or a compiler sees them."""
    made = CNames(name)
    symbols = {name + ending for ending in ENDINGS} | {
        f"g_{name}_model",
        f"{name}_front_end_features",
        f"{name}_detector_push",
    }
    files = {f"{name.lower()}{ending}" for ending in ("", *ENDINGS)}
    return (
        symbols
        | files
        | {f"{made.upper}_{word}" for word in TAKEN}
        | {f"{made.camel}OpResolver", made.guard(), made.guard("ops")}
    )


@given(names, names)
@example("gain", "GAIN")
@example("pump", "pump_detector")
@example("a_1b", "a1b")
@example("a_b", "ab")
def test_names_that_differ_by_more_than_case_share_nothing(one, other):
    if accepted(one) and accepted(other) and one.lower() != other.lower():
        assert not all_of(one) & all_of(other)


@given(names)
@example("app")
@example("Sensor")
@example("main")
@example("string")
@example("test")
@example("x_")
@example("a" * 41)
def test_an_accepted_name_is_no_keyword_header_project_file_or_target(name):
    if accepted(name):
        assert name.lower() not in set().union(*RESERVED.values())
        assert len(name) <= LONGEST
        assert not name.endswith("_")
        assert max(map(len, all_of(name))) <= 63


def test_every_file_of_every_project_is_refused_as_a_name():
    paths = [path for board in BOARDS.values() for runtime in ("static", "tflm") for path in board.files(runtime)]
    sources = [Path(path) for path in [*paths, *COMMON] if path.endswith((".c", ".h", ".cc", ".cpp", ".ino"))]
    stems = {path.stem for path in sources if "{name}" not in path.name}
    assert {"app", "sensor", "main", "startup", "replay"} <= stems
    for stem in stems:
        with pytest.raises(ValueError, match=r"cannot be a prefix"):
            identifier(stem)


@pytest.mark.parametrize("compiler", ["gcc", "arm-none-eabi-gcc", "avr-gcc"])
def test_every_header_of_an_installed_c_library_is_refused_as_a_name(compiler):
    """Where gcc looks for <string.h>, it must not find the model's string.h first."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    done = subprocess.run([compiler, "-E", "-Wp,-v", "-xc", "/dev/null"], capture_output=True, text=True, check=True)
    folders = [Path(line.strip()) for line in done.stderr.splitlines() if line.startswith(" /")]
    library = set("stdio string math stdint stdlib errno ctype time limits float assert inttypes".split())  # noqa: SIM905
    found = {path.stem for folder in folders for path in folder.glob("*.h")} & (HEADERS | KEYWORDS | library)
    assert {"stdio", "string", "math", "stdint"} <= found
    for stem in found:
        assert not accepted(stem), stem
    if compiler != "gcc":  # the host's folder holds what anybody installed
        everything = {path.stem for folder in folders for path in folder.glob("*.h") if not path.stem.startswith("_")}
        inner = {stem for stem in everything if re.search(r"-|avr|^(lto|gcc-)", stem)}
        assert not {stem for stem in everything - inner if accepted(stem)}


def test_files_that_differ_only_in_case_are_refused(tmp_path, converted):
    micro.emit(converted, tmp_path, "gain")
    with pytest.raises(ValueError, match=r"holds gain\.h, which some file systems treat as GAIN\.h"):
        micro.emit(converted, tmp_path, "GAIN")
    assert len(list(tmp_path.iterdir())) == 3
    micro.emit(converted, tmp_path, "gain")


@given(
    st.dictionaries(
        st.sampled_from(["gain", "GAIN", "Gain", "offset", "window", "input_scale", "a b", "x"]), st.just(1)
    )
)
@example({"gain": 1, "GAIN": 2})
def test_constants_become_macros_of_their_own_or_are_refused(constants):
    uppers = [key.upper() for key in constants]
    if len(set(uppers)) < len(uppers) or set(constants) & {"window", "input_scale", "a b"}:
        with pytest.raises(ValueError, match=r"constants? '"):
            macro_names(constants, TAKEN, ("INPUT_", "OUTPUT_"))
        return
    made = macro_names(constants, TAKEN, ("INPUT_", "OUTPUT_"))
    assert len(set(made.values())) == len(constants)
    assert not set(made.values()) & set(TAKEN)
    assert all(re.fullmatch(r"[A-Z]\w*", macro) for macro in made.values())


def test_constants_keep_their_value_in_c(tmp_path, converted):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    values = {"whole": -7, "large": -(2**62), "share": -0.5, "top": 2**31}
    micro.emit(converted, tmp_path, "bearing", constants=values)
    tests = " && ".join(f"1 - BEARING_{key.upper()} == 1 - ({value})" for key, value in values.items())
    (tmp_path / "main.c").write_text(f'#include "bearing.h"\nint main(void) {{ return {tests} ? 0 : 1; }}\n')
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "main"], check=True)
    for wrong in ({"gain": 2**63}, {"gain": 1e39}, {"gain": float("inf")}):
        with pytest.raises(ValueError, match="must be"):
            micro.emit(converted, tmp_path / "other", "bearing", constants=wrong)


@pytest.mark.parametrize("name", [None, 5, b"model", Path("model")])
def test_a_name_that_is_no_text_is_refused_as_such(name):
    with pytest.raises(ValueError, match=f"name must be text, got {type(name).__name__}"):
        identifier(name)
