"""Emitted C: compiles strictly as C and C++, holds the model byte for byte, stays in its directory."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import micro
from micro.emission.c_text import c_string, float_text
from micro.emission.resolver import resolver_method
from micro.errors import ModelError
from micro.support.c_names import identifier
from micro.support.files import sha256, write_together
from micro.tflite.graph import read

STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
DUMP = """
#include "bearing.h"
#include <stdio.h>
int main(void) {
  size_t i;
  if (((size_t)g_bearing_model & 15u) != 0) return 1;
  for (i = 0; i < g_bearing_model_len; ++i) putchar(g_bearing_model[i]);
  return (g_bearing_model_len == BEARING_MODEL_LEN) ? 0 : 2;
}
"""


@pytest.fixture
def emitted(tmp_path, converted):
    names = ('say "hi"', "back\\slash", "trigraph ??/", "Öl-Druck\n7")
    return micro.emit(converted, tmp_path / "firmware", "bearing", class_names=names, constants={"threshold": 0.1})


@pytest.mark.parametrize(
    "compiler",
    [("gcc", "-x", "c", "-std=c99"), ("gcc", "-x", "c", "-std=c11"), ("g++", "-std=c++11"), ("g++", "-std=c++20")],
)
def test_the_compiled_array_is_the_tflite(tmp_path, emitted, converted, compiler):
    folder = emitted[0].parent
    suffix = "c" if "c" in compiler else "cc"
    (tmp_path / f"dump.{suffix}").write_text(DUMP)
    program = tmp_path / "dump"
    command = [
        *compiler,
        *STRICT,
        f"-I{folder}",
        str(folder / "bearing.cc"),
        str(tmp_path / f"dump.{suffix}"),
        "-o",
        str(program),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    assert subprocess.run([program], check=True, capture_output=True).stdout == converted.content


def test_class_names_survive_the_compiler(tmp_path, emitted):
    loop = 'int i; for (i = 0; i < 4; ++i) printf("%s|", g_bearing_class_names[i]); return 0;'
    main = f'#include "bearing.h"\n#include <stdio.h>\nint main(void) {{ {loop} }}'
    (tmp_path / "names.c").write_text(main)
    folder = emitted[0].parent
    subprocess.run(
        [
            "gcc",
            "-x",
            "c",
            "-trigraphs",
            f"-I{folder}",
            str(folder / "bearing.cc"),
            str(tmp_path / "names.c"),
            "-o",
            tmp_path / "names",
        ],
        check=True,
    )
    printed = subprocess.run([tmp_path / "names"], check=True, capture_output=True).stdout.decode()
    assert printed == 'say "hi"|back\\slash|trigraph ??/|Öl-Druck\n7|'


def test_the_header_tells_what_the_model_is(emitted, converted):
    header = emitted[0].read_text()
    values = dict(re.findall(r"#define BEARING_(\w+) (\S+)", header))
    graph = read(converted)
    tensor = graph.tensors[graph.inputs[0]]
    assert np.float32(values["INPUT_SCALE"].rstrip("f")) == np.float32(tensor.quantization.scale[0])
    assert values["INPUT_ZERO_POINT"] == f"({tensor.quantization.zero_point[0]})"
    assert [values[f"INPUT_DIM{i}"] for i in range(3)] == ["1", "32", "2"]
    assert (values["INPUT_SIZE"], values["OUTPUT_SIZE"], values["CLASS_COUNT"]) == ("64", "4", "4")
    assert int(values["ARENA_SIZE"].rstrip("u")) >= micro.measure(converted).arena_bytes
    assert int(values["ARENA_SIZE"].rstrip("u")) % 16 == 0
    assert values["THRESHOLD"] == "1.0e-01f"
    assert sha256(converted.content) in header


# What the resolver needs of TFLM's headers, so that the emitted code is compiled and run, not only read.
TFLM_STUB = """
#ifndef STUB_H
#define STUB_H
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
namespace tflite {
template <unsigned int N> struct MicroMutableOpResolver {
  unsigned int added = 0;
  TfLiteStatus Add() { return added++ < N ? kTfLiteOk : kTfLiteError; }
%s
};
}
#endif
"""


def test_the_resolver_holds_exactly_the_ops_used(tmp_path, emitted, converted):
    ops = read(converted).op_counts
    methods = "\n".join(f"  TfLiteStatus {resolver_method(op)}() {{ return Add(); }}" for op in ops)
    stub = tmp_path / "tensorflow/lite/micro/micro_mutable_op_resolver.h"
    stub.parent.mkdir(parents=True)
    stub.write_text(TFLM_STUB % methods)
    body = "BearingOpResolver r; return BearingRegisterOps(r) == kTfLiteOk && r.added == %d ? 0 : 1;"
    main = '#include "bearing_ops.h"\nint main() { ' + body + " }"
    (tmp_path / "main.cc").write_text(main % len(ops))
    command = [
        "g++",
        "-std=c++11",
        *STRICT,
        f"-I{tmp_path}",
        f"-I{emitted[0].parent}",
        tmp_path / "main.cc",
        "-o",
        tmp_path / "main",
    ]
    subprocess.run(command, check=True)
    subprocess.run([tmp_path / "main"], check=True)


def test_resolver_methods_are_spelled_as_tflm_spells_them():
    spelled = {
        "CONV_2D": "AddConv2D",
        "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
        "MEAN": "AddMean",
        "L2_NORMALIZATION": "AddL2Normalization",
        "FULLY_CONNECTED": "AddFullyConnected",
        "AVERAGE_POOL_2D": "AddAveragePool2D",
        "RELU6": "AddRelu6",
        "BATCH_MATMUL": "AddBatchMatMul",
    }
    assert {op: resolver_method(op) for op in spelled} == spelled
    with pytest.raises(ModelError, match="GELU"):
        resolver_method("GELU")


def test_same_model_same_bytes(tmp_path, converted):
    one = micro.emit(converted, tmp_path / "a", "bearing")
    two = micro.emit(converted, tmp_path / "b", "bearing")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_a_header_from_another_model_does_not_compile(tmp_path, emitted):
    header = emitted[0]
    header.write_text(header.read_text().replace("MODEL_ID 0x", "MODEL_ID 0x1"))
    done = subprocess.run(
        ["gcc", "-x", "c", "-c", header.with_suffix(".cc"), "-o", "/dev/null"], capture_output=True, text=True
    )
    assert "come from different models" in done.stderr


def test_earlier_output_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = tmp_path / "firmware"
    write_together(folder, {"a.h": b"old a", "b.cc": b"old b"})
    (folder / "mine.txt").write_text("the user's")
    real = os.replace

    def failing(source, target):
        if Path(source).name == "b.cc" and ".staged" in str(source):
            raise OSError("disk full")
        return real(source, target)

    monkeypatch.setattr("micro.support.files.os.replace", failing)
    with pytest.raises(OSError, match="disk full"):
        write_together(folder, {"a.h": b"new a", "b.cc": b"new b"})
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        "a.h": b"old a",
        "b.cc": b"old b",
        "mine.txt": b"the user's",
    }


def test_nothing_is_written_outside_the_directory(tmp_path, converted):
    outside = tmp_path / "precious.h"
    outside.write_text("keep")
    folder = tmp_path / "firmware"
    folder.mkdir()
    (folder / "bearing.h").symlink_to(outside)
    micro.emit(converted, folder, "bearing")
    assert outside.read_text() == "keep"
    assert not (folder / "bearing.h").is_symlink()
    with pytest.raises(ValueError, match="would leave"):
        write_together(folder, {"../escape.h": b""})


@given(st.text(max_size=20))
@example("int")
@example("9lives")
@example("../x")
@example("a__b")
def test_names_are_identifiers_of_c_and_cpp_or_refused_with_one(name):
    try:
        assert identifier(name) == name
        assert re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII)
    except ValueError as error:
        proposed = re.search(r"try '([^']*)'$", str(error))[1]
        assert identifier(proposed) == proposed


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_floats_read_back_exactly(value):
    text = float_text(value)
    assert re.fullmatch(r"-?\d+\.\d+e[+-]\d\df", text)
    assert np.float32(text.rstrip("f")) == np.float32(value)


@given(st.text())
def test_strings_are_plain_ascii_literals(text):
    literal = c_string(text)
    assert literal.isascii()
    assert literal.isprintable()
    assert "??" not in literal


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "my bearing"}, "not an identifier"),
        ({"class_names": ("a", "b")}, "2 class names for 4 outputs"),
        ({"constants": {"model_len": 1}}, "would redefine"),
        ({"constants": {"bad-name": 1.0}}, "not an identifier"),
        ({"constants": {"threshold": float("nan")}}, "finite"),
        ({"arena_margin": -0.1}, "arena_margin"),
    ],
)
def test_bad_arguments_are_refused_and_nothing_is_written(tmp_path, converted, arguments, says):
    with pytest.raises(ValueError, match=says):
        micro.emit(converted, tmp_path / "firmware", **{"name": "bearing", **arguments})
    assert not (tmp_path / "firmware").exists()
