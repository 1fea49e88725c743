"""What reviewers of embedded C run, over all C that is emitted: MISRA C:2012, strict warnings, and the stack."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import emitted_c
import numpy as np
import pytest
from int8_graphs import random_graph
from test_aot_each_operator import nets_of
from test_aot_kernels import depthwise_convolutions
from test_aot_rows import tall_net

from micro.aot import generate
from micro.aot.stack import stack_bytes
from micro.firmware.building import missing_tools
from micro.firmware.qemu import WARNINGS, compiler_command, missing_for, run_in_qemu
from micro.tflite.graph import read

ROOT = Path(__file__).parents[1]
STACK = runpy.run_path(str(ROOT / "scripts/bench/stack.py"))
# MISRA C:2012 with its amendments. All other rules are required.
MANDATORY = """
    9.1 12.5 13.6 17.3 17.4 17.6 19.1 21.13 21.17 21.18 21.19 21.20 21.22 22.2 22.4 22.5 22.6
"""
ADVISORY = """
    2.3 2.4 2.5 2.6 2.7 4.2 5.9 8.7 8.9 8.11 8.13 10.5 11.4 11.5 12.1 12.3 12.4 13.3 13.4 15.1 15.4 15.5 17.5 17.8 18.4
    18.5 19.2 20.1 20.5 20.10 21.12
"""
FOUND = re.compile(r"^(.*?):misra-c2012-([\d.]+)$", re.MULTILINE)
# A part of a project by a file's name.
PARTS = {
    "front end": r"_front_end\.",
    "parameters": r"_(parameters|record|learned|summary)\.",
    "last stage": r"_(detector|commissioning|recognizer|labeler|estimator|predictor)\.",
    "vibration": r"_vibration\.",
    "self-test": r"_self_test\.",
    "application": r"(^app|^sensor|_infer_static)\.",
    "board": r"^(main|startup|console|replay|ticks)\.",
}
# Warnings that all emitted C is free of. Numbers of 64 bits are C99.
STRICT = [
    *(
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wpedantic",
        "-Wconversion",
        "-Wsign-conversion",
        "-Wdouble-promotion",
        "-Wshadow",
    ),
    *("-Wcast-align", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wundef", "-Wvla"),
]
COMPILERS = {
    "gcc": ("gcc",),
    "gcc, 32 bits": ("gcc", "-m32"),
    "clang": ("clang",),
    "clang, 32 bits": ("clang", "-m32"),
    **STACK["CORES"],
    "AVR": ("avr-gcc", "-mmcu=atmega2560"),
}


def part_of(path: str) -> str:
    return next((part for part, name in PARTS.items() if re.search(name, Path(path).name)), "model")


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A folder with one of each: static C, and a project of each kind."""
    folder = tmp_path_factory.mktemp("emitted")
    emitted_c.written(emitted_c.static_c() | emitted_c.exchangeable(), folder / "static")
    for name, files in emitted_c.projects().items():
        emitted_c.written(files, folder / name)
    return folder


@pytest.mark.slow
def test_what_is_checked_has_every_kernel(everything):
    kernels, emitted = (
        {name for path in folder.glob("*.c") for name in emitted_c.DEFINED.findall(path.read_text())}
        for folder in (ROOT / "micro/aot/kernels", everything / "static")
    )
    # Some are emitted once for each width.
    emitted |= {re.sub(r"(_\d+)+$", "", name) for name in emitted}
    assert len(kernels) > 120
    assert kernels - emitted == set()


def broken_rules(sources, folder, define):
    """(rule, file) of each finding of cppcheck in C files that are one program."""
    command = ["cppcheck", "--addon=misra", "--std=c99", "--platform=unix32", "-q", "--template={file}:{id}", define]
    places = [f"-I{folder / name}" for name in ("", "src", "board")]
    done = subprocess.run([*command, *places, *sources], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    assert "Traceback" not in done.stdout + done.stderr
    return {(rule, path) for path, rule in FOUND.findall(done.stderr)}


def deviations():
    """(rule, part) of each row of the table of docs/firmware.md."""
    text = (ROOT / "docs/firmware.md").read_text().split("| rule | where | why |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()[2:]]
    return {(rule, part) for rules, parts, _ in rows for rule in rules.split(", ") for part in parts.split(", ")}


@pytest.mark.slow
def test_no_required_rule_of_misra_c_is_broken_but_those_that_the_docs_name(everything):
    if shutil.which("cppcheck") is None:
        pytest.skip("cppcheck is not installed")
    found = set()
    for folder in sorted(everything.iterdir()):
        sources = sorted(folder.rglob("*.c"))
        # Nets are programs of their own, for cores without and with SMLAD or MVE; a project has a main and the one of its
        # emulation. A macro that is defined keeps cppcheck from trying all.
        if folder.name == "static":
            for path in sources:
                found |= broken_rules([path], folder, f"-D{path.stem.upper()}_SHARED_ARENA")
                found |= broken_rules([path], folder, "-D__ARM_FEATURE_DSP")
                found |= broken_rules([path], folder, "-D__ARM_FEATURE_MVE=1")
        else:
            found |= broken_rules([path for path in sources if path.name != "replay.c"], folder, "-DAPP_LOG=2")
            found |= broken_rules(
                [path for path in sources if path.name in ("app.c", "replay.c")], folder, "-DAPP_SUMMARY=5"
            )
    assert not {each for each in found if each[0] in MANDATORY.split()}
    broken = {(rule, part_of(path)) for rule, path in found if rule not in ADVISORY.split()}
    listed = deviations()
    assert broken - listed == set()
    assert listed - broken == set(), "the docs name a rule that is not broken"


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
def test_all_c_compiles_without_warnings(everything, compiler):
    command = COMPILERS[compiler]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    probe = subprocess.run([*command, "-fsyntax-only", "-xc", "-"], input="#include <stdint.h>\n#include <math.h>\n", text=True,
                           capture_output=True)  # fmt: skip
    if probe.returncode != 0:
        pytest.skip(f"{' '.join(command)} has no C library")
    seen = set()
    for folder in sorted(everything.iterdir()):
        places = [f"-I{folder / name}" for name in ("", "src", "board")]
        # Board files are for Cortex-M.
        every = [path for path in sorted(folder.rglob("*.c")) if path.parent.name != "board" or "Cortex" in compiler]
        sources = [path for path in every if path.read_bytes() not in seen]
        seen |= {path.read_bytes() for path in sources}
        for standard in ("-std=c99", "-std=c11"):
            require_clean([*command, standard, *STRICT, "-fsyntax-only", *places, *sources])


@pytest.mark.slow
@pytest.mark.parametrize("flags", [f"-DSENSOR_QUEUE={queue} -DAPP_EVERY={every} -DAPP_LOG={log} -DAPP_SUMMARY={9 * (log != 1)}"
                                   for queue in (0, 64) for every in (0, 60) for log in (0, 1, 2)])  # fmt: skip
def test_every_application_compiles_with_what_its_user_may_set(everything, flags):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    applications = sorted(everything.rglob("app.c"))
    assert len(applications) > 10
    for path in applications:
        require_clean(["gcc", "-std=c99", *STRICT, *flags.split(), "-fsyntax-only", f"-I{path.parent}", path])


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_kernels_for_mve_compile_at_every_level_of_optimization(tmp_path, compiler):
    """Assembly that leaves a compiler too few registers is not found by its front end alone."""
    if missing := missing_for("m55", compiler):
        pytest.skip(f"not installed: {', '.join(missing)}")
    command = [*compiler_command("m55", compiler), *WARNINGS]
    held = set()
    for model in (*depthwise_convolutions(), *map(random_graph, range(12)), *map(tall_net, range(4))):
        source = generate(model, tmp_path, "net")[1]
        kernels = set(re.findall(r"^ +(\w+_mve)\(", source.read_text(), re.MULTILINE))
        if kernels <= held:
            continue
        held |= kernels
        for level in ("-O0", "-O1", "-O2"):
            require_clean([*command, level, "-c", source, "-o", tmp_path / "net.o"])
    assert held >= {"depthwise_3x3_mve", "conv_2d_mve", "fully_connected_mve", "add_mve", "mul_mve"}, held


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["g++", "clang++", "arm-none-eabi-g++"])
def test_headers_are_c_plus_plus_too(everything, tmp_path, compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    flags = [flag for flag in STRICT if "prototypes" not in flag]
    for folder in sorted(everything.iterdir()):
        headers = [path for path in sorted(folder.rglob("*.h")) if path.parent.name != "board"]
        (tmp_path / "all.cc").write_text("".join(f'#include "{path}"\n' for path in headers))
        require_clean([compiler, "-std=c++11", *flags, "-fsyntax-only", f"-I{folder / 'src'}", tmp_path / "all.cc"])
        for path in headers:
            text = path.read_text()
            assert 'extern "C" {' in text or not re.search(r"^\w[^#\n]*\);", text, re.MULTILINE), path.name


def require_clean(command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]


def stated_stack(header: Path, mve: bool = False) -> int:
    """What the header states: of two figures the first is that of cores with MVE."""
    return [int(found) for found in re.findall(r"_STACK_BYTES (\d+)", header.read_text())][0 if mve else -1]


@pytest.mark.slow
@pytest.mark.parametrize("core", STACK["CORES"])
def test_the_stack_stays_below_what_the_header_states(everything, core):
    """By the compiler's own figures, along the deepest chain of calls."""
    if shutil.which(STACK["CORES"][core][0]) is None:
        pytest.skip(f"{STACK['CORES'][core][0]} is not installed")
    headers = [header for header in (everything / "static").glob("*.h") if "_STACK_BYTES " in header.read_text()]
    assert len(headers) > 60
    for header in sorted(headers):
        for level in STACK["LEVELS"]:
            taken = STACK["measured"](header.parent, header.stem, core, level)
            assert taken <= stated_stack(header, core == "Cortex-M55"), f"{header.stem} {level}"


PAINTED = """
#include <stdint.h>
#include "app.h"
#include "console.h"
#include "net.h"
static INPUT x[NET_INPUT_COUNT];
static OUTPUT y[NET_OUTPUT_COUNT];
#define WORDS 1024
int main(void) {
  const int out = console_open("result.bin", 1);
  volatile uint32_t *top; /* What is below is free; volatile, or memset would paint over its own frame. */
  volatile uint32_t *at;
  uint32_t taken;
  __asm volatile("mov %0, sp" : "=r"(top));
  for (at = top - WORDS; at < top; ++at) {
    *at = 0xa5a5a5a5u;
  }
  net_invoke(x, y);
  for (at = top - WORDS; at < top && *at == 0xa5a5a5a5u; ++at) {
  }
  taken = (uint32_t)((uintptr_t)top - (uintptr_t)at);
  (void)console_write(out, &taken, sizeof taken);
  return 0;
}
"""


@pytest.mark.parametrize(
    "core", ["m4f", *(pytest.param(core, marks=pytest.mark.slow) for core in ("m0", "m33", "m55"))]
)
def test_the_stack_that_an_emulated_core_takes_is_below_what_the_header_states(tmp_path, core):
    if missing_tools():
        pytest.skip(f"not installed: {', '.join(missing_tools())}")
    for level in ("-O2", "-Os"):
        for name in ("CONV_2D in groups", "L2_NORMALIZATION"):
            folder = tmp_path / f"{name}{level}".replace(" ", "_")
            (model,) = nets_of(name, 1)
            header, _ = generate(model, folder, "net")
            assert len(read(model).outputs) == 1
            (folder / "main.c").write_text(PAINTED.replace("INPUT", "int8_t", 1).replace("OUTPUT", "int8_t", 1))
            (taken,) = np.frombuffer(run_in_qemu(folder, core, ["net.c", "main.c"], level), "<u4")
            assert 16 <= taken <= stated_stack(header, core == "m55")


def test_a_kernel_that_was_not_measured_counts_as_the_deepest():
    for cores, table in STACK["_measured"]()["bytes"].items():
        assert stack_bytes(("unknown",), cores) == max(stack_bytes((kernel,), cores) for kernel in table)
