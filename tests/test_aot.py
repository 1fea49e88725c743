"""Static C: every output byte that of TFLite Micro, under strict compilers and sanitizers."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from avr import run_on_avr
from hypothesis import given
from hypothesis import strategies as st
from int8_graphs import Builder, random_graph
from int8_more import newer_graph
from support import SANITIZERS, WARNINGS, invoke
from wired_graphs import wired_graph

import micro
from micro.aot import generate, static_size
from micro.aot.fixed_point import high_product
from micro.firmware.emulate import missing_tools
from micro.firmware.qemu import run_in_qemu
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs

MAIN = """
static void run_{name}(void) {{
  static int8_t x[{inputs}], y[{outputs}];
  for (int n = 0; n < {count}; ++n) {{
    if (fread(x, 1, sizeof x, stdin) != sizeof x) exit(1);
    {name}_invoke(x, y);
    fwrite(y, 1, sizeof y, stdout);
  }}
}}
"""


@pytest.fixture(scope="module")
def gcc():
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: emitted C cannot be compiled")
    return "gcc"


def outputs_of(models, inputs, folder, compiler, flags=SANITIZERS, storage="auto"):
    """What the static C of each model gives for its inputs, all compiled into one program."""
    main = ["#include <stdio.h>\n#include <stdlib.h>\n"]
    for number, (model, x) in enumerate(zip(models, inputs)):
        name = f"m{number}"
        generate(model, folder, name, storage=storage)
        graph = read(model)
        sizes = [graph.tensors[side[0]].size for side in (graph.inputs, graph.outputs)]
        main += [f'#include "{name}.h"\n', MAIN.format(name=name, inputs=sizes[0], outputs=sizes[1], count=len(x))]
    main.append("int main(void) {" + "".join(f" run_m{n}();" for n in range(len(models))) + " return 0; }\n")
    (folder / "main.c").write_text("".join(main))
    sources = [f"m{number}.c" for number in range(len(models))]
    command = [compiler, *WARNINGS, *flags, *sources, "main.c", "-o", "program"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:4000]
    samples = b"".join(x.tobytes() for x in inputs)
    done = subprocess.run([folder / "program"], input=samples, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:4000]
    found, start = [], 0
    for model, x in zip(models, inputs):
        graph = read(model)
        shape = (len(x), *graph.tensors[graph.outputs[0]].shape)
        found.append(np.frombuffer(done.stdout, np.int8, int(np.prod(shape)), start).reshape(shape))
        start += int(np.prod(shape))
    return found


def random_inputs(model, count, seed=0):
    graph = read(model)
    shape = graph.tensors[graph.inputs[0]].shape
    return np.random.default_rng(seed).integers(-128, 128, (count, *shape)).astype(np.int8)


def require_equal(models, folder, compiler, count=6, flags=SANITIZERS, storage="auto"):
    inputs = [random_inputs(model, count, seed) for seed, model in enumerate(models)]
    for model, x, ours in zip(models, inputs, outputs_of(models, inputs, folder, compiler, flags, storage)):
        theirs = all_outputs(model, [x])["output0"].reshape(ours.shape)
        ops = [op.name for op in read(model).ops]
        assert np.array_equal(ours, theirs), f"{ops}: {np.count_nonzero(ours != theirs)} of {ours.size} differ"


@pytest.mark.parametrize("name", ["ae", "conv1d", "dscnn"])
def test_other_peoples_models_give_their_recorded_outputs(peer_models, tmp_path, gcc, name):
    golden = np.load(peer_models / f"{name}_golden.npz")
    model = (peer_models / f"{name}.tflite").read_bytes()
    graph = read(model)
    x = golden["x"].reshape(1, *graph.tensors[graph.inputs[0]].shape)
    (ours,) = outputs_of([model], [x], tmp_path, gcc)
    np.testing.assert_array_equal(ours.reshape(-1), golden["y"].reshape(-1))
    require_equal([model], tmp_path, gcc, count=4)


@pytest.mark.parametrize("block", [0, *(pytest.param(block, marks=pytest.mark.slow) for block in range(1, 6))])
def test_random_graphs_are_equal_to_the_byte(tmp_path, gcc, block):
    storage = ("auto", "small", "dense", "small")[block % 4]
    require_equal([random_graph(25 * block + n) for n in range(25)], tmp_path, gcc, storage=storage)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(40))
def test_two_thousand_random_graphs_are_equal_to_the_byte(tmp_path, gcc, block):
    storage = ("auto", "small", "dense", "small")[block % 4]
    require_equal([random_graph(1000 + 50 * block + n) for n in range(50)], tmp_path, gcc, storage=storage)


@pytest.mark.parametrize("block", [0, *(pytest.param(block, marks=pytest.mark.slow) for block in range(1, 41))])
def test_random_graphs_of_newer_operators_are_equal_to_the_byte(tmp_path, gcc, block):
    storage = ("auto", "small", "dense", "small")[block % 4]
    count = 50 if block else 25
    require_equal([newer_graph(1000 * block + n) for n in range(count)], tmp_path, gcc, storage=storage)


def line(*ops, outputs=None):
    """A model of the given operators, each a function of builder and value."""
    b = Builder(np.random.default_rng(0))
    start = value = b.tensor((1, 4, 3, 2), scale=0.05, zero=3)
    made = []
    for op in ops:
        value = op(b, value)
        made.append(value)
    return b.build([start], [value] if outputs is None else [made[i] for i in outputs])


def reshaped(b, x):
    return b.op("RESHAPE", [x, b.numbers((1, 24))], b.like(x, (1, 24)))


def negated(b, x):
    return b.op(
        "SUB", [b.tensor((1,), scale=0.1, zero=0, data=np.zeros(1, np.int8)), x], b.value(b.shape(x), 3.0), "SubOptions"
    )


def test_outputs_that_lie_elsewhere_are_copied(tmp_path, gcc):
    require_equal([line(reshaped), line(negated, reshaped)], tmp_path, gcc)


def test_several_outputs_are_several_arguments(tmp_path, gcc):
    model = line(negated, reshaped, outputs=(0, 1))
    generate(model, tmp_path, "two")
    assert "void two_invoke(const int8_t *input, int8_t *output0, int8_t *output1);" in (tmp_path / "two.h").read_text()
    (tmp_path / "main.c").write_text(
        '#include "two.h"\n#include <stdio.h>\nstatic int8_t x[24], a[24], b[24];\nint main(void) {'
        " if (fread(x, 1, 24, stdin) != 24) return 1; two_invoke(x, a, b);"
        " fwrite(a, 1, 24, stdout); fwrite(b, 1, 24, stdout); return 0; }\n"
    )
    subprocess.run([gcc, *WARNINGS, *SANITIZERS, "two.c", "main.c", "-o", "two"], cwd=tmp_path, check=True)
    x = random_inputs(model, 1)
    done = subprocess.run([tmp_path / "two"], input=x.tobytes(), capture_output=True, check=True)
    theirs = all_outputs(model, [x])
    wanted = np.concatenate([theirs["output0"].reshape(-1), theirs["output1"].reshape(-1)])
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.int8), wanted)


# What a compiler may call of its own accord: functions that a freestanding C has (made of loops and of arrays set to 0),
# and its own arithmetic where the core lacks an instruction. docs/firmware.md names both.
OF_MEMORY = {"memcpy", "memmove", "memset"}
ARITHMETIC = re.compile(
    r"__(aeabi_(i|u|l)\w+|(u|add|sub|cmp|neg|div|mod|mul|ash|lsh)\w*|do_(clear_bss|copy_data)|gnu_thumb1_case_\w+)"
)
TOOLCHAINS = {
    "gcc": ("gcc", "nm"),
    "clang": ("clang", "nm"),
    "m0": ("arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb", "arm-none-eabi-nm"),
    "m4f": ("arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16", "arm-none-eabi-nm"),
    "avr": ("avr-gcc -mmcu=atmega2560", "avr-nm"),
    "rv32imc": ("riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32 -ffreestanding", "riscv64-unknown-elf-nm"),
    "lx106": ("xtensa-lx106-elf-gcc -ffreestanding", "xtensa-lx106-elf-nm"),
}


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_the_object_calls_no_library_and_keeps_its_state_in_the_arena(tmp_path, toolchain, peer_models):
    compiler, lister = TOOLCHAINS[toolchain]
    if shutil.which(compiler.split()[0]) is None:
        pytest.skip(f"no {compiler.split()[0]}")
    models = {f"m{n}": wired_graph(n) for n in (0, 3, 7, 9, 11)}
    if toolchain != "avr":
        models["conv1d"] = (peer_models / "conv1d.tflite").read_bytes()
    for name, model in models.items():
        generate(model, tmp_path, name)
    sources = [f"{name}.c" for name in models]
    subprocess.run([*compiler.split(), *WARNINGS, "-O3", "-c", *sources], cwd=tmp_path, check=True)
    for name in models:
        done = subprocess.run([lister, f"{name}.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
        symbols = [(row.split()[-2], row.split()[-1]) for row in done.stdout.splitlines()]
        called = {symbol for kind, symbol in symbols if kind == "U" and not ARITHMETIC.fullmatch(symbol)}
        assert called <= OF_MEMORY, (name, called)
        # A small arena may end up in registers.
        held = {symbol for kind, symbol in symbols if kind in "bBdD"}
        assert all(re.fullmatch(r"static_arena|static_words|static_state", symbol) for symbol in held), held
        given = {symbol for kind, symbol in symbols if kind == "T" and not symbol.startswith("__")}
        of_states = {f"{name}_reset", f"{name}_reset_in", f"{name}_invoke_with"}
        assert given - of_states == {f"{name}_invoke", f"{name}_invoke_in"}


def dense_net(weights, name="net"):
    """A model of one Dense layer of these int8 weights, (outputs, depth)."""
    b = Builder(np.random.default_rng(0))
    x = b.tensor((1, weights.shape[1]), scale=0.05, zero=3)
    kernel = b.tensor(weights.shape, scale=0.01, zero=0, data=weights)
    y = b.tensor((1, len(weights)), scale=0.2, zero=-5)
    return b.build([x], [b.op("FULLY_CONNECTED", [x, kernel, -1], y, "FullyConnectedOptions")])


def array_bytes(folder, name):
    """Bytes of the constant arrays in a generated C file, as cores without MVE have them."""
    sizes = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "int": 4}
    text = re.sub(
        r"#if defined\(__ARM_FEATURE_MVE\).*?\n#else", "", (folder / f"{name}.c").read_text(), flags=re.DOTALL
    )
    found = re.findall(r"static const (u?int(?:\d+_t)?) \w+\[(\d+)\] = ", text)
    return sum(sizes[kind] * int(count) for kind, count in found)


def test_zeros_and_shared_values_take_less_flash_and_no_ram(tmp_path, gcc):
    rng = np.random.default_rng(0)
    full = rng.integers(-127, 128, (128, 640)).astype(np.int8)
    pruned = np.where(rng.random(full.shape) < 0.86, 0, full).astype(np.int8)
    clustered = rng.choice(rng.integers(-127, 128, 16).astype(np.int8), full.shape)
    for name, weights, storage, share in (
        ("pruned", pruned, "auto", 0.45),
        ("clustered", clustered, "small", 0.51),
        ("full", full, "small", 1.01),
    ):
        generate(dense_net(weights), tmp_path, name, storage=storage)
        assert array_bytes(tmp_path, name) <= share * full.size
        assert "_SCRATCH_SIZE 0\n" in (tmp_path / f"{name}.h").read_text()
    require_equal([dense_net(weights) for weights in (pruned, clustered)], tmp_path, gcc, storage="small")
    (tmp_path / "x").mkdir()
    require_equal([dense_net(np.zeros((3, 5), np.int8))], tmp_path / "x", gcc, storage="small")


def test_the_size_told_is_that_of_what_is_written(tmp_path, peer_models):
    rng = np.random.default_rng(2)
    pruned = dense_net(np.where(rng.random((40, 600)) < 0.9, 0, rng.integers(-99, 99, (40, 600))).astype(np.int8))
    for name, model in (("pruned", pruned), ("dscnn", (peer_models / "dscnn.tflite").read_bytes())):
        header = generate(model, tmp_path, name)[0].read_text()
        size = static_size(model)
        assert size.constants == array_bytes(tmp_path, name)
        assert f"_SCRATCH_SIZE {size.arena}\n" in header
        assert f"_SHARED_SIZE {size.shared}\n" in header


def test_packed_models_are_decoded_where_they_are_multiplied(tmp_path, gcc):
    rng = np.random.default_rng(1)
    model = dense_net(rng.choice(np.arange(-8, 8).astype(np.int8), (64, 80)))
    packed = micro.pack(model).content
    assert "TFLM_DECODE" in read(packed).op_counts
    require_equal([packed], tmp_path, gcc)
    assert array_bytes(tmp_path, "m0") < 0.55 * 64 * 80


def test_clang_agrees(tmp_path, peer_models):
    if shutil.which("clang") is None:
        pytest.skip("no clang: emitted C is compiled by gcc alone")
    require_equal([random_graph(n) for n in range(10)], tmp_path, "clang", flags=("-O2",))


ON_CHIP = """
#include <stdint.h>
#include "app.h"
#include "console.h"
{includes}
{inputs}
static int8_t y[{largest}];
int main(void) {{
  const int out = console_open("result.bin", 1);
{calls}
  return 0;
}}
"""


@pytest.mark.parametrize("core", ["m0", "m4f", pytest.param("m33", marks=pytest.mark.slow)])
def test_chips_agree_to_the_byte(tmp_path, peer_models, core):
    """Random graphs in QEMU; on the M4F and the M33 by SMLAD."""
    if missing_tools():
        pytest.skip(f"not installed: {', '.join(missing_tools())}")
    models = [random_graph(5000 + n) for n in range(12 if core == "m0" else 40)]
    models += [] if core == "m0" else [(peer_models / f"{name}.tflite").read_bytes() for name in ("conv1d", "dscnn")]
    inputs = [random_inputs(model, 1, seed) for seed, model in enumerate(models)]
    theirs = [all_outputs(model, [x])["output0"].reshape(-1) for model, x in zip(models, inputs)]
    for number, model in enumerate(models):
        generate(model, tmp_path, f"m{number}")
    numbers = [", ".join(str(value) for value in x.reshape(-1)) for x in inputs]
    main = ON_CHIP.format(
        includes="\n".join(f'#include "m{n}.h"' for n in range(len(models))),
        inputs="\n".join(f"static const int8_t x{n}[] = {{{row}}};" for n, row in enumerate(numbers)),
        largest=max(y.size for y in theirs),
        calls="\n".join(f"  m{n}_invoke(x{n}, y); console_write(out, y, {y.size}u);" for n, y in enumerate(theirs)),
    )
    (tmp_path / "main.c").write_text(main)
    sources = [f"m{number}.c" for number in range(len(models))]
    printed = run_in_qemu(tmp_path, core, [*sources, "main.c"])
    assert printed == b"".join(y.tobytes() for y in theirs)


def test_a_chip_whose_int_has_16_bits_agrees_to_the_byte(tmp_path):
    """An ATmega in simavr: every operator, products and shifts beyond 16 bits among them."""
    models = [random_graph(7000 + n) for n in range(16)] + [line(negated, reshaped)]
    models = [m for m in models if len(m) < 6000 and max(t.size for t in read(m).tensors if t.data is None) < 400]
    assert {op.name for model in models for op in read(model).ops} >= {"SOFTMAX", "SUB", "MUL", "MEAN", "CONV_2D"}
    printed = b""
    for start in range(0, len(models), 4):  # 8 KiB of RAM hold so many models' constants
        some = models[start : start + 4]
        folder = tmp_path / str(start)
        inputs = [random_inputs(model, 1, seed) for seed, model in enumerate(some)]
        main = ['#include "serial.h"\n']
        body = []
        for number, (model, x) in enumerate(zip(some, inputs)):
            generate(model, folder, f"m{number}")
            graph = read(model)
            size = graph.tensors[graph.outputs[0]].size
            row = ", ".join(map(str, x.reshape(-1)))
            main.append(
                f'#include "m{number}.h"\nstatic const int8_t x{number}[] = {{{row}}};\nstatic int8_t y{number}[{size}];\n'
            )
            body.append(f"m{number}_invoke(x{number}, y{number});")
            body.append(f"for (int16_t i = 0; i < {size}; ++i) put_byte((uint8_t)y{number}[i]);")
        main.append("int main(void) {" + "".join(body) + " stop(); return 0; }\n")
        (folder / "main.c").write_text("".join(main))
        printed = run_on_avr(folder, [*(f"m{number}.c" for number in range(len(some))), "main.c"])
        wanted = b"".join(all_outputs(model, [x])["output0"].tobytes() for model, x in zip(some, inputs))
        assert printed == wanted, [[op.name for op in read(model).ops] for model in some]


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**31 - 1))
def test_the_high_product_rounds_as_gemmlowp_s_does(a, b):
    assert (a * b + 2**30) >> 31 == high_product(a, b)


def test_same_model_same_bytes_and_the_command_writes_them(tmp_path, peer_models):
    model = peer_models / "dscnn.tflite"
    first = [path.read_bytes() for path in generate(model, tmp_path / "a", "net")]
    assert invoke("aot", model, "--out", tmp_path / "b", "--name", "net").exit_code == 0
    assert first == [(tmp_path / "b" / name).read_bytes() for name in ("net.h", "net.c")]


def test_the_arena_is_no_larger_than_the_interpreters_activations(tmp_path, peer_models):
    for name in ("ae", "conv1d", "dscnn"):
        header = generate(peer_models / f"{name}.tflite", tmp_path, name)[0].read_text()
        arena = int(header.split("_SCRATCH_SIZE ")[1].split()[0])
        assert 0 < arena <= micro.measure(peer_models / f"{name}.tflite").activation_bytes
