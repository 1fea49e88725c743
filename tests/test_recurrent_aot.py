"""LSTM and GRU as static C: every output byte that of TFLite Micro, on the host and on emulated chips."""

import shutil

import keras
import numpy as np
import pytest
from avr import run_on_avr
from int8_graphs import Builder
from keras import layers
from recurrent_graphs import LSTM, random_lstm, random_lstm_16
from repeated_graphs import repeated_graph
from test_aot import ON_CHIP, random_inputs, require_equal
from test_aot_each_operator import in_tflm
from test_aot_operators_on_chips import program
from test_wired_graphs import SAMPLES, outputs_in_c

import micro
from micro.aot import generate, static_size
from micro.firmware.emulate import missing_tools
from micro.firmware.qemu import missing_for, run_in_qemu
from micro.tflite.graph import read
from micro.tflite.interpreter import all_outputs
from micro.tflite.sigmoids import sigmoids_of_int16, tanhs_of_int16


@pytest.fixture(scope="module")
def gcc():
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: emitted C cannot be compiled")
    return "gcc"


@pytest.mark.parametrize("block", [0, *(pytest.param(block, marks=pytest.mark.slow) for block in range(1, 9))])
def test_random_lstm_are_equal_to_the_byte(tmp_path, gcc, block):
    require_equal([random_lstm(20 * block + n) for n in range(20)], tmp_path, gcc)


def require_equal_16(
    models, folder, compiler="gcc", flags=("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover")
):
    rng, inputs = np.random.default_rng(0), []
    for model in models:
        shape = next(iter(read(model).tensors[i].shape for i in read(model).inputs))
        drawn = rng.integers(-(1 << 15), 1 << 15, (SAMPLES, *shape)).astype(np.int16)
        inputs.append([np.where(rng.random(drawn.shape) < 0.1, np.int16(-(1 << 15)), drawn)])
    for number, (ours, model, x) in enumerate(
        zip(outputs_in_c(models, inputs, folder, "auto", compiler, flags), models, inputs)
    ):
        for array, wanted in zip(ours, in_tflm(model, x), strict=True):
            assert np.array_equal(array, wanted), f"{number}: {np.count_nonzero(array != wanted)} differ"


@pytest.mark.parametrize("block", [0, *(pytest.param(block, marks=pytest.mark.slow) for block in range(1, 6))])
def test_random_lstm_of_16_bit_values_are_equal_to_the_byte(tmp_path, gcc, block):
    """Also those whose states go on from sample to sample, and of which the last step alone is held."""
    require_equal_16([random_lstm_16(20 * block + n) for n in range(20)], tmp_path)


def test_sums_of_16_bit_values_beyond_32_bits_are_equal_to_the_byte(tmp_path, gcc):
    require_equal_16([random_lstm_16(n, (2, depth, 2)) for n, depth in enumerate((255, 256, 257, 700))], tmp_path)


def test_lstms_of_16_bit_values_agree_to_the_byte_on_chips(tmp_path):
    models = [random_lstm_16(4000 + n, from_int8=True) for n in range(4)]
    for core in ("m4f", "m0"):
        if missing_for(core):
            pytest.skip(f"not installed: {', '.join(missing_for(core))}")
        folder = tmp_path / core
        folder.mkdir()
        sources, wanted = program(models, folder, "qemu")
        assert run_in_qemu(folder, core, sources) == wanted


def narrow_biases(graph, op):
    bias = graph.tensors[op.inputs[13]]
    bias.type, bias.shape = 2, [2 * bias.shape[0]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (narrow_biases, "biases that are not constant int64"),
        (lambda graph, op: setattr(graph.tensors[op.inputs[0]].quantization, "zeroPoint", [3]), "zero point"),
        (
            lambda graph, op: setattr(graph.tensors[op.inputs[18]].quantization, "scale", [0.5]),
            "states with another scale",
        ),
        (lambda graph, op: setattr(graph.tensors[op.inputs[1]].quantization, "scale", [900.0]), "64 bits do not hold"),
    ],
    ids=["biases", "zero", "state", "sums"],
)
def test_16_bit_values_that_tflite_micro_has_no_kernel_for_are_refused_by_name(change, says):
    from micro.tflite.graph import packed, schema_module

    model = schema_module().ModelT.InitFromPackedBuf(random_lstm_16(2, (3, 2, 2)), 0)
    graph = model.subgraphs[0]
    change(graph, next(op for op in graph.operators if len(op.inputs) == 24))
    with pytest.raises(micro.ConversionError, match=rf"\({LSTM}, .*{says}"):
        static_size(packed(model))


def test_a_model_quantized_with_16_bit_activations_is_equal_to_the_byte(tmp_path, gcc):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((6, 3)), layers.LSTM(5, return_sequences=True), layers.LSTM(4), layers.Dense(2)]
    )
    x = np.random.default_rng(0).normal(size=(64, 6, 3)).astype("float32")
    content = micro.convert(micro.quantize_aware(model, x, activations="int16")).content
    assert [op.name for op in read(content).ops].count(LSTM) == 2
    require_equal_16([content], tmp_path)


def test_clang_agrees_without_a_warning(tmp_path):
    if shutil.which("clang") is None:
        pytest.skip("no clang")
    flags = ("-O3", "-Wdouble-promotion", "-Wshadow", "-Wcast-align")
    require_equal([random_lstm(1000 + n) for n in range(6)], tmp_path, "clang", flags=flags)


@pytest.mark.parametrize("power", [-12, -8])
@pytest.mark.parametrize(("kind", "curve"), [("LOGISTIC", sigmoids_of_int16), ("TANH", tanhs_of_int16)])
def test_curves_of_every_int16_value_are_tflite_micro_s(kind, curve, power):
    b = Builder(np.random.default_rng(0))
    x, y = (b.tensor((1, 65536), "int16", scale=scale, zero=0) for scale in (2.0**power, 2.0**-15))
    every = np.arange(-32768, 32768).astype(np.int16)
    model = b.build([x], [b.op(kind, [x], y)])
    theirs = all_outputs(model, [every.reshape(1, 1, 65536)])["output0"].reshape(-1)
    np.testing.assert_array_equal(curve(power) * 2**15, theirs)


def test_a_constant_in_another_shape_is_copied(tmp_path, gcc):
    b = Builder(np.random.default_rng(0))
    x = b.tensor((1, 4), scale=0.05, zero=3)
    given = b.tensor((2, 2), scale=0.05, zero=-7, data=np.arange(4, dtype=np.int8).reshape(2, 2))
    made = b.op("RESHAPE", [given, b.numbers((1, 4))], b.tensor((1, 4), scale=0.05, zero=-7))
    model = b.build([x], [b.op("ADD", [x, made], b.tensor((1, 4), scale=0.1, zero=0), "AddOptions")])
    require_equal([model], tmp_path, gcc)


def trained(*middle, steps=10):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((steps, 3)), *middle, layers.Dense(2)])
    return micro.convert(model, np.random.default_rng(0).normal(size=(64, steps, 3)).astype("float32"))


def test_models_of_keras_are_equal_to_the_byte(tmp_path, gcc):
    models = [
        trained(layers.Conv1D(4, 3, activation="relu"), layers.LSTM(6, return_sequences=True), layers.LSTM(5)),
        trained(layers.Bidirectional(layers.LSTM(4))),
        trained(layers.AveragePooling1D(2), layers.GRU(4)),
        trained(layers.Bidirectional(layers.GRU(3, return_sequences=True)), layers.GRU(5, use_bias=False)),
    ]
    require_equal([model.content for model in models], tmp_path, gcc)


def test_a_gru_is_one_loop_over_its_steps(tmp_path):
    sizes = []
    for steps in (10, 49):
        converted = trained(layers.GRU(6), steps=steps)
        source = generate(converted, tmp_path, f"gru{steps}")[0].with_suffix(".c").read_text()
        assert source.count(f"step < {steps};") == 1
        assert source.count("fully_connected_16(") == 7  # the kernel, and one call for each gate's inputs and states
        sizes.append(static_size(converted))
    assert sizes[0].arena == sizes[1].arena < 100
    assert abs(sizes[0].constants - sizes[1].constants) < 64  # equal numbers are stored once


def test_the_arena_holds_sequence_and_cells_alone(tmp_path):
    converted = trained(layers.LSTM(6, return_sequences=True))
    # The sequence of 10 states of 6, and 6 cells of 16 bits; Dense writes to the output.
    assert static_size(converted).arena == 60 + 12
    assert static_size(converted).constants < len(converted.content) / 2


def on_chip(tmp_path, models):
    """Inputs, and what TFLite Micro gives for them, of models whose C is written."""
    for number, model in enumerate(models):
        generate(model, tmp_path, f"m{number}")
    inputs = [random_inputs(model, 1, seed) for seed, model in enumerate(models)]
    return inputs, [all_outputs(model, [x])["output0"].reshape(-1) for model, x in zip(models, inputs)]


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m0", "m4f"])
def test_grus_and_repeated_steps_agree_on_chips_to_the_byte(tmp_path, core):
    middle = [layers.Bidirectional(layers.GRU(3, return_sequences=True)), layers.GRU(5)]
    grus = [trained(layers.GRU(7), steps=49), trained(*middle)]
    agree_on_chip(tmp_path, core, [gru.content for gru in grus] + [repeated_graph(n) for n in range(10)])


def test_an_m4f_agrees_to_the_byte(tmp_path):
    agree_on_chip(tmp_path, "m4f", [random_lstm(2000 + n) for n in range(4)])


def agree_on_chip(tmp_path, core, models):
    """Require that a core in QEMU gives the bytes of TFLite Micro."""
    if missing_tools():
        pytest.skip(f"not installed: {', '.join(missing_tools())}")
    inputs, theirs = on_chip(tmp_path, models)
    rows = [", ".join(map(str, x.reshape(-1))) for x in inputs]
    (tmp_path / "main.c").write_text(
        ON_CHIP.format(
            includes="\n".join(f'#include "m{n}.h"' for n in range(len(models))),
            inputs="\n".join(f"static const int8_t x{n}[] = {{{row}}};" for n, row in enumerate(rows)),
            largest=max(y.size for y in theirs),
            calls="\n".join(f"  m{n}_invoke(x{n}, y); console_write(out, y, {y.size}u);" for n, y in enumerate(theirs)),
        )
    )
    printed = run_in_qemu(tmp_path, core, [*(f"m{n}.c" for n in range(len(models))), "main.c"])
    assert printed == b"".join(y.tobytes() for y in theirs)


def test_a_chip_whose_int_has_16_bits_agrees_to_the_byte(tmp_path):
    agree_on_avr(tmp_path, [random_lstm(3001), random_lstm(3002)])


@pytest.mark.slow
def test_repeated_steps_agree_where_int_has_16_bits(tmp_path):
    agree_on_avr(tmp_path, [trained(layers.GRU(3), steps=9).content, repeated_graph(3), repeated_graph(4)])


def agree_on_avr(tmp_path, models):
    """Require that an ATmega in simavr gives the bytes of TFLite Micro."""
    inputs, theirs = on_chip(tmp_path, models)
    main, body = ['#include "serial.h"\n'], []
    for n, (x, y) in enumerate(zip(inputs, theirs)):
        row = ", ".join(map(str, x.reshape(-1)))
        main.append(f'#include "m{n}.h"\nstatic const int8_t x{n}[] = {{{row}}};\nstatic int8_t y{n}[{y.size}];\n')
        body.append(f"m{n}_invoke(x{n}, y{n}); for (int16_t i = 0; i < {y.size}; ++i) put_byte((uint8_t)y{n}[i]);")
    (tmp_path / "main.c").write_text("".join(main) + "int main(void) {" + "".join(body) + " stop(); return 0; }\n")
    assert run_on_avr(tmp_path, [*(f"m{n}.c" for n in range(len(models))), "main.c"]) == b"".join(
        y.tobytes() for y in theirs
    )


def damaged(change):
    """A random LSTM, its tables changed."""
    from micro.tflite.graph import packed, schema_module

    schema = schema_module()
    model = schema.ModelT.InitFromPackedBuf(random_lstm(5), 0)
    graph = model.subgraphs[0]
    lstm = next(op for op in graph.operators if len(op.inputs) == 24)
    change(model, graph, lstm)
    return packed(model)


def drop_starts(model, graph, lstm):
    graph.operators = [op for op in graph.operators if len(op.inputs) == 24]


def test_an_lstm_without_starts_goes_on_from_its_last_inference(tmp_path, gcc):
    def clipped(model, graph, lstm):
        drop_starts(model, graph, lstm)
        lstm.builtinOptions.cellClip = 0.5

    require_equal([damaged(drop_starts), damaged(clipped)], tmp_path, gcc)
    assert "_reset(void)" in (tmp_path / "m0.h").read_text()


def start_elsewhere(model, graph, lstm):
    given = graph.tensors[graph.operators[0].inputs[0]]
    data = model.buffers[given.buffer].data
    model.buffers[given.buffer].data = (data + 1).astype(np.uint8)


def unlike_output(model, graph, lstm):
    graph.tensors[lstm.inputs[18]].quantization.scale = [0.5]


def odd_cells(model, graph, lstm):
    graph.tensors[lstm.inputs[19]].quantization.scale = [0.001]


def another_activation(model, graph, lstm):
    lstm.builtinOptions.fusedActivationFunction = 1


def first_axis_time(model, graph, lstm):
    lstm.builtinOptions.timeMajor = True


def peephole(model, graph, lstm):
    lstm.inputs = [lstm.inputs[12] if place == 9 else index for place, index in enumerate(lstm.inputs)]


def no_biases(model, graph, lstm):
    lstm.inputs = [-1 if place == 13 else index for place, index in enumerate(lstm.inputs)]


def more_units(model, graph, lstm):
    graph.tensors[lstm.inputs[2]].shape = list(graph.tensors[lstm.inputs[2]].shape)[::-1]


def state_read_twice(model, graph, lstm):
    graph.outputs = [graph.operators[0].outputs[0]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (start_elsewhere, "starts from states in .* that are not 0"),
        (unlike_output, "states with another scale or zero point"),
        (odd_cells, "scales of cells"),
        (another_activation, "another activation than tanh"),
        (first_axis_time, "time as its first axis"),
        (peephole, "peephole"),
        (no_biases, "inputs that make no sense"),
        (more_units, "weights of shape"),
        (state_read_twice, "more than the state of one LSTM"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_static_c_does_not_compute_is_refused_by_name(change, says):
    with pytest.raises(micro.ConversionError, match=rf"\((RESHAPE|{LSTM}), .*{says}"):
        static_size(damaged(change))


def test_time_and_size_of_an_lstm_are_judged():
    model = random_lstm(3)
    found = micro.check(model, runtime="static", ram="64KiB", latency="10s@64MHz")
    assert found.fits
    assert found.program.ram == static_size(model).arena + found.program.buffers
    (broken,) = micro.check(model, runtime="static", latency="1us@64MHz").broken
    assert "an inference takes about" in broken
