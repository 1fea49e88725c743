"""Kernels of static C around the sizes at which their loops change, each as a model of one layer: every byte TFLite Micro's."""

from __future__ import annotations

import numpy as np
import pytest
from int8_graphs import Builder
from test_aot import gcc, random_inputs, require_equal  # noqa: F401

from micro.aot.generate import static_files
from micro.aot.kernel_files import read_kernel
from micro.aot.operators.convolution import LARGEST_COPY, MVE_COLUMNS
from micro.firmware.emulate import missing_tools
from micro.firmware.qemu import run_in_qemu
from micro.tflite.interpreter import all_outputs

TABLES = {
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
}


def layer(seed, name, x_shape, w_shape, least=-127, per_channel=True, gain=0.02, activation=0, bias=True, **options):
    """A model of one layer with random weights from `least` on; gain: scale of the sums over that of the output, about."""
    rng = np.random.default_rng(seed)
    b = Builder(rng)
    depthwise = name == "DEPTHWISE_CONV_2D"
    channels = w_shape[3] if depthwise else w_shape[0]
    x = b.tensor(x_shape, scale=0.05, zero=int(rng.choice([-128, 127, 0, 11])))
    scales = 0.01 * 2.0 ** rng.uniform(-1, 1, channels if per_channel else 1)
    weights = rng.integers(least, 128, w_shape).astype(np.int8)
    weights.reshape(-1)[:: rng.integers(3, 9)] = least
    tensors = [x, b.tensor(w_shape, scale=scales, zero=0, data=weights, axis=3 if depthwise else 0)]
    if bias:
        values = rng.integers(-9000, 9001, channels).astype(np.int32)
        tensors.append(b.tensor((channels,), "int32", scale=scales * 0.05, zero=0, data=values))
    elif not depthwise:
        tensors.append(-1)
    if name == "FULLY_CONNECTED":
        shape, stated = (*x_shape[:-1], channels), {"keepNumDims": True}
    else:
        shape, stated = reached(x_shape, w_shape, channels, options)
        stated["depthMultiplier"] = channels // x_shape[3] if depthwise else None
    if not depthwise:
        stated.pop("depthMultiplier", None)
    y = b.tensor(shape, scale=0.0005 / gain, zero=int(rng.integers(-128, 128)))
    return b.build([x], [b.op(name, tensors, y, TABLES[name], fusedActivationFunction=activation, **stated)])


def reached(x_shape, w_shape, channels, options):
    """Output shape and all options of a convolution of which some are given."""
    stride, dilation, padding = (options.get(key, default) for key, default in (("s", 1), ("d", 1), ("padding", 0)))
    sizes = []
    for size, taps in zip(x_shape[1:3], w_shape[1:3]):
        span = (taps - 1) * dilation + 1
        sizes.append(-(-(size if padding == 0 else size - span + 1) // stride))
    named = {"strideH": stride, "strideW": stride, "dilationHFactor": dilation, "dilationWFactor": dilation}
    return (x_shape[0], *sizes, channels), {**named, "padding": padding}


def dense_layers():
    """Depths around the steps of four and of 252, outputs around the groups of four, weights of -128, wide sums."""
    for seed, (depth, outputs) in enumerate([(1, 4), (3, 5), (4, 8), (251, 4), (252, 7), (256, 5), (515, 9)]):
        rows = 1 + 2 * (seed % 2)
        yield layer(seed, "FULLY_CONNECTED", (rows, depth), (outputs, depth), per_channel=bool(seed % 3), bias=seed % 4 > 0,
                    activation=seed % 2, gain=0.3 / depth)  # fmt: skip
    yield layer(20, "FULLY_CONNECTED", (2, 9), (6, 9), least=-128)
    for seed, gain in enumerate((0.9, 1.7, 5.0, 40.0), 21):  # powers of two from -1 to 5
        yield layer(seed, "FULLY_CONNECTED", (2, 3), (5, 3), gain=gain)


def convolutions():
    """Windows that are copied, rows that are multiplied where they lie, and taps one by one."""
    shapes = [
        ((1, 6, 5, 1), (5, 3, 3, 1)), ((1, 5, 7, 3), (8, 3, 3, 3)), ((1, 4, 4, 4), (9, 3, 2, 4)), ((1, 5, 4, 8), (4, 3, 3, 8)),
        ((1, 1, 9, 8), (6, 1, 5, 8)), ((1, 5, 5, 18), (5, 3, 3, 18)), ((2, 3, 3, 5), (7, 1, 1, 5)),
    ]  # fmt: skip
    for seed, (x_shape, w_shape) in enumerate(shapes):
        for padding in (0, 1):
            yield layer(seed, "CONV_2D", x_shape, w_shape, padding=padding, s=1 + (seed + padding) % 3, gain=0.004)
    for seed, (x_shape, w_shape) in enumerate(shapes[1:4] + shapes[5:6], 30):
        yield layer(seed, "CONV_2D", x_shape, w_shape, d=2, gain=0.004, per_channel=False, activation=1)
    yield layer(40, "CONV_2D", (1, 4, 4, 4), (6, 3, 3, 4), least=-128, gain=0.01, bias=False)


def depthwise_convolutions():
    """Channels around the groups of four, windows of one to five taps across, several filters a channel."""
    cases = [(4, 1, 3), (5, 1, 3), (8, 1, 1), (3, 1, 2), (9, 1, 4), (12, 1, 5), (1, 8, 3), (2, 3, 3)]
    for seed, (channels, multiplier, width) in enumerate(cases):
        for padding in (0, 1):
            yield layer(seed, "DEPTHWISE_CONV_2D", (1, 6, 7, channels), (1, 3, width, channels * multiplier), padding=padding,
                        s=1 + (seed + padding) % 2, per_channel=bool(seed % 3), gain=0.02)  # fmt: skip
    yield layer(30, "DEPTHWISE_CONV_2D", (2, 6, 7, 6), (1, 3, 3, 6), d=2, least=-128, activation=3)
    yield layer(31, "DEPTHWISE_CONV_2D", (1, 5, 5, 4), (1, 1, 1, 4), gain=2.0, bias=False)


LAYERS = {"dense": dense_layers, "conv": convolutions, "depthwise": depthwise_convolutions}


def test_layers_around_the_sizes_of_loops_are_equal_to_the_byte(tmp_path, gcc):  # noqa: F811
    require_equal([model for layers in LAYERS.values() for model in layers()], tmp_path, gcc, count=3, storage="dense")


@pytest.mark.parametrize(
    ("core", "every"),
    [
        pytest.param("m0", 4, marks=pytest.mark.slow),
        ("m4f", 1),
        ("m55", 5),
        pytest.param("m55", 1, marks=pytest.mark.slow),
    ],
)
def test_chips_compute_the_same_around_the_sizes_of_loops(tmp_path, core, every):
    if missing_tools():
        pytest.skip(f"not installed: {', '.join(missing_tools())}")
    models = [model for layers in LAYERS.values() for model in layers()][::every]
    main, theirs = ['#include <stdint.h>\n#include "app.h"\n#include "console.h"\nstatic int8_t y[4000];\n'], b""
    calls = 'int main(void) { const int out = console_open("result.bin", 1);\n'
    for number, model in enumerate(models):
        for name, content in static_files(model, f"m{number}", "dense").items():
            (tmp_path / name).write_bytes(content)
        x = random_inputs(model, 1, number)
        y = all_outputs(model, [x])["output0"]
        numbers = ", ".join(map(str, x.reshape(-1)))
        main.append(f'#include "m{number}.h"\nstatic const int8_t x{number}[] = {{{numbers}}};\n')
        calls += f"  m{number}_invoke(x{number}, y); console_write(out, y, {y.size}u);\n"
        theirs += y.tobytes()
    (tmp_path / "main.c").write_text("".join(main) + calls + "  return 0; }\n")
    found = run_in_qemu(tmp_path, core, [*(f"m{n}.c" for n in range(len(models))), "main.c"])
    assert found == theirs


def test_every_kernel_s_paths_are_drawn():
    """Wide sums and others, copied windows and others, filters that stand alone: as the calls in C say."""
    sources = [
        static_files(model, "net", "dense")["net.c"].decode() for layers in LAYERS.values() for model in layers()
    ]
    bodies = [source.split("net_invoke_in(", 1)[1].split("{", 1)[1] for source in sources]
    plain = [body.split("#else", 1)[-1] for body in bodies]
    arguments = [body.split("(", 1)[1].split(");")[0].split(", ") for body in plain]
    for place, what in ((-4, "wide"), (-5, "per channel")):
        assert {each[place] for each in arguments} == {"0", "1"}, what
    assert {each[-9] for each in arguments if len(each) == 30} == {"0", "1"}  # conv_2d's windows that are copied


def test_convolutions_hold_the_largest_windows_that_are_copied():
    assert f"int8_t window[{LARGEST_COPY}];" in read_kernel("conv_2d")[1]
    assert f"int8_t columns[{MVE_COLUMNS}];" in read_kernel("conv_2d_mve")[1]
