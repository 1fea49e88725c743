"""Kernels for the vector extension MVE (Helium) that are not sums of products alone: every byte TFLite Micro's on an M55."""

import re

import numpy as np
import pytest
from int8_graphs import Builder
from recurrent_graphs import lstm
from test_aot_operators_on_chips import program

from micro.aot.generate import static_files
from micro.firmware.qemu import missing_for, run_in_qemu

KERNELS = {"lstm_mve", "mean_mve", "mean_of_rows_mve", "softmax_mve"}


def one_lstm(seed, steps, depth, units, wide=1.0, cell_power=None, second=0):
    b = Builder(np.random.default_rng(seed))
    x = b.tensor((1, steps, depth), scale=0.05, zero=(-128, 3, 127)[seed % 3])
    y = lstm(b, x, units, wide=wide, cell_power=cell_power)
    return b.build([x], [lstm(b, y, second) if second else y])


def one_mean(seed, shape, axes, scale=0.03):
    b = Builder(np.random.default_rng(seed))
    x = b.tensor(shape, scale=0.05, zero=(-128, 3, 127)[seed % 3])
    y = b.tensor([n for axis, n in enumerate(shape) if axis not in axes], scale=scale, zero=(-9, 127)[seed % 2])
    return b.build([x], [b.op("MEAN", [x, b.numbers(axes)], y, "ReducerOptions", keepDims=False)])


def one_softmax(rows, depth, scale):
    b = Builder(np.random.default_rng(0))
    x, y = b.tensor((rows, depth), scale=scale, zero=3), b.tensor((rows, depth), scale=1 / 256, zero=-128)
    return b.build([x], [b.op("SOFTMAX", [x], y, "SoftmaxOptions", beta=1.0)])


def models():
    """Units around groups of four; inputs and units around the 16 of a vector; sums scaled up and down; cells of any scale."""
    for seed, (depth, units) in enumerate([(1, 1), (2, 3), (15, 4), (16, 5), (17, 16), (3, 17), (33, 7), (1, 2)]):
        yield one_lstm(seed, 1 + 3 * seed, depth, units, wide=(0.05, 1.0, 16.0)[seed % 3], cell_power=-8 - seed)
    for seed, power in enumerate((-24, -12, -11, 0), 10):
        yield one_lstm(seed, 5, 2, 6, wide=4.0, cell_power=power)
    yield one_lstm(20, 9, 4, 5, second=3)  # the last of whose states are taken by turns
    for seed, channels in enumerate((1, 2, 7, 8, 9, 17)):
        yield one_mean(seed, (2, 3, 4, channels), (1, 2))
    yield one_mean(7, (1, 256, 3), (1,))  # sums beyond 16 bits
    yield one_mean(8, (1, 700, 2), (1,), 0.9)
    for seed, count in enumerate((2, 15, 16, 17, 600), 10):
        yield one_mean(seed, (1, 3, count), (2,))
    yield one_mean(20, (1, 2, 5), (1,), 0.01)  # scaled up, without a kernel of its own
    yield one_mean(21, (2, 3, 5, 4), (1, 3))  # axes apart
    for depth in (1, 2, 3, 4, 5, 8, 11, 33):
        yield one_softmax(3, depth, (0.01, 0.1, 0.9)[depth % 3])


SLOW = [("gcc", "-O0"), ("gcc", "-O2"), ("gcc", "-Os"), ("gcc", "-O3"), ("clang", "-O2"), ("clang", "-Os")]


@pytest.mark.parametrize(
    ("compiler", "optimize", "every"),
    [("gcc", "-O2", 4), *(pytest.param(*each, 1, marks=pytest.mark.slow) for each in SLOW)],
)
def test_lstms_means_and_softmaxes_agree_to_the_byte_on_a_core_with_vectors(tmp_path, compiler, optimize, every):
    if missing := missing_for("m55", compiler):
        pytest.skip(f"not installed: {', '.join(missing)}")
    nets = list(models())[every // 4 :: every]
    sources, wanted = program(nets, tmp_path, "qemu")
    called = {
        name for source in sources for name in re.findall(r"^ +(\w+_mve)\(", (tmp_path / source).read_text(), re.M)
    }
    assert called >= KERNELS
    assert run_in_qemu(tmp_path, "m55", sources, optimize, compiler) == wanted


def test_sums_that_are_scaled_up_or_over_axes_apart_have_no_kernel_for_vectors():
    for net in (one_mean(20, (1, 2, 5), (1,), 0.01), one_mean(21, (2, 3, 5, 4), (1, 3))):
        assert "_mve(" not in static_files(net, "net")["net.c"].decode()
