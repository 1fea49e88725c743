"""Inputs on which models and static C once failed: the right value, or the right sentence."""

from __future__ import annotations

import subprocess
import time

import flatbuffers
import numpy as np
import pytest
from int8_graphs import Builder, random_graph
from support import SANITIZERS, WARNINGS, case_folder, data_folder, invoke

import micro
from micro.aot import generate
from micro.aot.generate import static_files
from micro.tflite.graph import packed, read, schema_module
from micro.tflite.interpreter import LARGEST_ARENA, all_outputs

# Of each file in the folder: which of measure, verify and aot say no, and what they say.
DAMAGED = {
    "s1_a_1457_diff": {"verify": "they refuse it: Didn't find op .* 'SQUEEZE'", "aot": "int8 without a scale"},
    "s1_a_727_diff": {"verify": "0 zero_point values", "aot": "'t0' is int8 without a scale and a zero point"},
    "s1_a_413_c-sanitizer": dict.fromkeys(("measure", "verify"), "died of signal")
    | {"aot": "too fine for TFLite's sums"},
    **{
        f"s6_add_yscale_1e-{power}": dict.fromkeys(("measure", "verify"), "died of signal")
        | {"aot": r"operator 0 \(ADD, 't2'\) has output scale 1e-\d+ for input scale 1: too fine"}
        for power in ("06", "28")
    },
    **{
        f"s1_macs_IndexError_{number}": dict.fromkeys(("measure", "verify", "aot"), f"operator {op} lacks its input 1")
        for number, op in ((11, r"2 \(FULLY_CONNECTED\)"), (112, r"1 \(FULLY_CONNECTED\)"), (37, r"0 \(CONV_2D\)"))
    },
    "verify_runtimeerror": {"verify": "only TFLite Micro runs this model", "aot": "paddings that make no sense"},
    "s6_duplicate_output": {"verify": "Didn't find op .* 'RELU'"},
    "s6_trial_22_diff": {},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_models_are_refused_for_what_is_wrong_or_computed_right(name):
    content = (case_folder("damaged") / f"{name}.tflite").read_bytes()
    steps = {
        "measure": lambda: micro.measure(content),
        "verify": lambda: micro.verify(content, count=2),
        "aot": lambda: static_files(content, "net"),
    }
    for step, call in steps.items():
        if step in DAMAGED[name]:
            with pytest.raises(micro.MicroError, match=DAMAGED[name][step]):
                call()
        else:
            call()


def test_every_damaged_model_is_among_them():
    assert {path.stem for path in case_folder("damaged").glob("*.tflite")} == set(DAMAGED)


def run_c(model, folder, x):
    """Every output of the static C of a model of one input, compiled under sanitizers, as written after a fill with 77."""
    generate(model, folder, "net")
    graph = read(model)
    sizes = [graph.tensors[i].size for i in graph.outputs]
    names = [f"y{n}" for n in range(len(sizes))]
    fills = "".join(f"for (int i = 0; i < {size}; ++i) {name}[i] = 77;" for name, size in zip(names, sizes))
    writes = "".join(f"fwrite({name}, 1, sizeof {name}, stdout);" for name in names)
    (folder / "main.c").write_text(
        '#include "net.h"\n#include <stdio.h>\nint main(void) {'
        f"static int8_t x[{x.size}], {', '.join(f'{name}[{size}]' for name, size in zip(names, sizes))}; {fills}"
        f"if (fread(x, 1, sizeof x, stdin) != sizeof x) return 1; net_invoke(x, {', '.join(names)}); {writes} return 0; }}\n"
    )
    subprocess.run(["gcc", *WARNINGS, *SANITIZERS, "net.c", "main.c", "-o", "net"], cwd=folder, check=True)
    done = subprocess.run([folder / "net"], input=x.tobytes(), capture_output=True, check=True)
    return np.split(np.frombuffer(done.stdout, np.int8), np.cumsum(sizes)[:-1])


@pytest.mark.parametrize("name", ["s6_duplicate_output", "s6_trial_22_diff"])
def test_one_tensor_as_two_outputs_is_written_twice(tmp_path, name):
    content = (case_folder("damaged") / f"{name}.tflite").read_bytes()
    graph = read(content)
    x = np.random.default_rng(0).integers(-128, 128, (1, *graph.tensors[graph.inputs[0]].shape)).astype(np.int8)
    theirs = all_outputs(content, [x])
    for number, ours in enumerate(run_c(content, tmp_path, x)):
        np.testing.assert_array_equal(ours, theirs[f"output{number}"].reshape(-1))


def stripped(content):
    """A .tflite without names and descriptions, as TFLite Micro's own strip tool leaves it."""
    model = schema_module().ModelT.InitFromPackedBuf(content, 0)
    model.description = None
    for subgraph in model.subgraphs:
        subgraph.name = None
        for tensor in subgraph.tensors:
            tensor.name = None
    return packed(model)


def test_a_model_without_names_is_as_sound_as_with_them(tmp_path):
    case_folder("05-stripped-names")
    content = (data_folder("peer_models") / "conv1d.tflite").read_bytes()
    bare = stripped(content)
    assert [tensor.name for tensor in read(bare).tensors[:2]] == ["tensor 0", "tensor 1"]
    assert micro.measure(bare).arena_bytes == micro.measure(content).arena_bytes
    assert micro.verify(bare, count=4) == micro.verify(content, count=4)
    assert (
        static_files(bare, "net")["net.c"].split(b"*/", 1)[1]
        == static_files(content, "net")["net.c"].split(b"*/", 1)[1]
    )
    (tmp_path / "bare.tflite").write_bytes(bare)
    for command in (("inspect",), ("check", "--ram", "64KiB"), ("verify",)):
        done = invoke(command[0], tmp_path / "bare.tflite", *command[1:])
        assert (done.exit_code, done.stderr) == (0, "")


def one_operator(name, shapes, dtype="int8"):
    """A .tflite of one operator on inputs of these shapes."""
    b = Builder(np.random.default_rng(0))
    made = [b.tensor(shape, dtype, scale=0.1, zero=0) for shape in shapes]
    return b.build(made, [b.op(name, made, b.tensor(shapes[0], dtype, scale=0.1, zero=0))])


@pytest.mark.parametrize(("name", "inputs"), [("EXP", 1), ("DEQUANTIZE", 1), ("SELECT", 3), ("FLOOR_MOD", 5)])
def test_an_operator_that_static_c_lacks_is_named_whatever_its_inputs(name, inputs):
    case_folder("15-aot-message")
    with pytest.raises(micro.ConversionError, match=rf"\({name}, .*\) is not among the \d+ operators of static C"):
        static_files(one_operator(name, [(1, 4)] * inputs), "net")


@pytest.mark.parametrize("custom", ["SignalWindow", "CONV_2D"])
def test_a_custom_operator_goes_by_its_own_name(custom):
    case_folder("14-verify-custom-ops")
    model = schema_module().ModelT.InitFromPackedBuf(one_operator("ADD", [(1, 4)] * 2), 0)
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema_module().BuiltinOperator.CUSTOM
    code.customCode = custom
    with pytest.raises(micro.ConversionError, match=rf"\((CUSTOM )?{custom}, .*is not among the \d+ operators"):
        static_files(packed(model), "net")
    with pytest.raises(micro.InterpreterError):  # TFLite Micro has the one, and faults without its options
        micro.verify(packed(model), count=1)


def declaring(shape):
    b = Builder(np.random.default_rng(0))
    x = b.tensor(shape, scale=0.1, zero=0)
    return b.build([x], [b.op("RELU", [x], b.like(x))])


@pytest.mark.parametrize("shape", [(1, 1 << 28), (1 << 14, 1 << 14), (1, 1 << 13, 1 << 13, 127), (1, 2**31 - 1, 9)])
def test_a_small_file_that_declares_much_costs_nothing(tmp_path, monkeypatch, shape):
    content = declaring(shape)
    assert len(content) < 600
    monkeypatch.setattr(
        "micro.tflite.interpreter.answered", lambda *args, **kwargs: pytest.fail("an interpreter was started")
    )
    started = time.process_time()
    for call in (micro.measure, micro.verify, lambda model: micro.check(model, ram="64KiB"), read):
        if call is read:
            read(content)
            continue
        with pytest.raises(
            micro.InterpreterError, match=r"holds [\d,]+ bytes of activations at once, more than any microcontroller"
        ):
            call(content)
    with pytest.raises(micro.ModelError, match="has shape"):
        static_files(content, "net")
    (tmp_path / "much.tflite").write_bytes(content)
    assert invoke("inspect", tmp_path / "much.tflite").exit_code == 2
    assert time.process_time() - started < 5  # it took 92 s
    assert LARGEST_ARENA <= 1 << 28


def test_work_without_end_is_refused_before_it_is_begun():
    b = Builder(np.random.default_rng(0))
    x = b.tensor((1, 2048, 2048, 1), scale=0.1, zero=0)
    kernel = b.tensor((1, 64, 64, 1), scale=0.1, zero=0, data=np.ones((1, 64, 64, 1), np.int8))
    options = {"padding": 0, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    y = b.op("CONV_2D", [x, kernel], b.like(x), "Conv2DOptions", **options)
    with pytest.raises(micro.InterpreterError, match=r"computes 17,179,869,184 products and sums per inference"):
        micro.measure(b.build([x], [y]))


def test_many_tables_on_the_same_bytes_are_refused():
    builder = flatbuffers.Builder(1 << 16)
    schema = schema_module()
    name = builder.CreateString("n" * 20_000)
    tensors = []
    for _ in range(500):
        schema.TensorStart(builder)
        schema.TensorAddName(builder, name)
        tensors.append(schema.TensorEnd(builder))
    schema.SubGraphStartTensorsVector(builder, len(tensors))
    for tensor in tensors:
        builder.PrependUOffsetTRelative(tensor)
    vector = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, vector)
    subgraph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(subgraph)
    subgraphs = builder.EndVector()
    buffer = schema.BufferStart(builder) or schema.BufferEnd(builder)
    schema.ModelStartBuffersVector(builder, 1)
    builder.PrependUOffsetTRelative(buffer)
    buffers = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, subgraphs)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    with pytest.raises(micro.ModelError, match="characters of names"):
        read(bytes(builder.Output()))


def test_an_open_shape_is_told_from_damage():
    content = declaring((1, 8))
    model = schema_module().ModelT.InitFromPackedBuf(content, 0)
    model.subgraphs[0].tensors[0].shape = [-1, 8]
    with pytest.raises(micro.ModelError, match=r"open shape \[-1, 8\].*convert with a batch of 1"):
        read(packed(model))


def test_sums_that_32_bits_do_not_hold_are_refused(tmp_path):
    def dense(bias, depth=8, scale=0.2):
        b = Builder(np.random.default_rng(0))
        x = b.tensor((1, depth), scale=0.05, zero=3)
        kernel = b.tensor((4, depth), scale=0.01, zero=0, data=np.full((4, depth), 127, np.int8))
        offset = b.tensor((4,), "int32", scale=0.0005, zero=0, data=np.full(4, bias, np.int32))
        return b.build([x], [b.op("FULLY_CONNECTED", [x, kernel, offset], b.tensor((1, 4), scale=scale, zero=0),
                                  "FullyConnectedOptions")])  # fmt: skip

    static_files(dense(1000), "net")
    for model in (dense(2**31 - 1), dense(0, depth=140_000), dense(1000, scale=1e-9)):
        with pytest.raises(micro.ConversionError, match="32 bits do not hold"):
            static_files(model, "net")


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e39, -3.5e38])
def test_no_number_becomes_an_infinity_of_c(tmp_path, value):
    with pytest.raises(ValueError, match="a C constant must be finite as float32"):
        micro.emit(data_folder("peer_models") / "conv1d.tflite", tmp_path, "net", constants={"limit": value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", [None, 123, 1.5, ["a"], np.zeros(3)])
def test_what_is_no_model_is_named_by_its_type(given):
    for take in (micro.measure, micro.verify, read):
        with pytest.raises(ValueError, match=f"a .tflite is needed, .*got {type(given).__name__}"):
            take(given)


def test_a_file_that_ends_early_is_said_to(peer_models):
    content = (peer_models / "conv1d.tflite").read_bytes()
    with pytest.raises(micro.ModelError, match="it ends early, or an offset leads past its end"):
        read(content[: len(content) // 3])


GEOMETRY = ("strideW", "strideH", "dilationWFactor", "dilationHFactor", "filterWidth", "filterHeight")


@pytest.mark.parametrize("value", [0, -1, -(2**31)])
def test_strides_dilations_and_windows_below_one_are_refused(value):
    """Whatever the window's size: with one of a single tap, a dilation of 0 changes no shape and would be divided by.

    Seed 32 pools a tensor of one value, which has the shape of no window at all.
    """
    seen = set()
    for seed in range(40):
        content = random_graph(seed)
        for place, op in enumerate(read(content).ops):
            for name in set(GEOMETRY) & set(op.options):
                model = schema_module().ModelT.InitFromPackedBuf(content, 0)
                setattr(model.subgraphs[0].operators[place].builtinOptions, name, value)
                with pytest.raises(micro.MicroError):
                    static_files(packed(model), "net")
                seen.add((op.name, name))
    assert {
        ("CONV_2D", "dilationHFactor"),
        ("DEPTHWISE_CONV_2D", "dilationWFactor"),
        ("MAX_POOL_2D", "filterWidth"),
    } <= seen


@pytest.mark.parametrize(
    "wrong", [{"depthMultiplier": n} for n in (0, 1, 3, -2)] + [{"dilationHFactor": 0}, {"strideW": 0}], ids=str
)
def test_options_that_contradict_the_shapes_are_refused(wrong):
    """TFLite Micro follows the option: it would divide by nothing, or leave outputs unwritten."""

    def depthwise(**changed):
        b = Builder(np.random.default_rng(0))
        x = b.tensor((1, 4, 4, 3), scale=0.1, zero=0)
        kernel = b.tensor((1, 1, 1, 6), scale=0.1, zero=0, data=np.ones((1, 1, 1, 6), np.int8))
        strides = {"padding": 0, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
        options = {**strides, "depthMultiplier": 2, **changed}
        y = b.tensor((1, 4, 4, 6), scale=0.1, zero=0)
        return b.build([x], [b.op("DEPTHWISE_CONV_2D", [x, kernel], y, "DepthwiseConv2DOptions", **options)])

    assert static_files(depthwise(), "net")
    with pytest.raises(micro.ConversionError, match=r"DEPTHWISE_CONV_2D.* that make no sense"):
        static_files(depthwise(**wrong), "net")
