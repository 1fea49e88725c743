"""Scratch buffers as estimated are never smaller than CMSIS-NN's own functions say.

KERAS_KD_CMSIS_NN names a folder with CMSIS-NN's sources; without it the tests are skipped.
"""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from micro.tflite.graph import Op, Tensor
from micro.tflite.scratch import scratch_of

FILES = (
    "ConvolutionFunctions/arm_convolve_get_buffer_sizes_s8.c",
    "ConvolutionFunctions/arm_depthwise_conv_get_buffer_sizes_s8.c",
    "FullyConnectedFunctions/arm_fully_connected_get_buffer_sizes_s8.c",
    "PoolingFunctions/arm_avgpool_get_buffer_sizes_s8.c",
    "SVDFunctions/arm_svdf_get_buffer_sizes_s8.c",
)


class Dims(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in "nhwc"]


class Tile(ctypes.Structure):
    _fields_ = [("w", ctypes.c_int32), ("h", ctypes.c_int32)]


class ConvParams(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("input_offset", "output_offset")),
        *((name, Tile) for name in ("stride", "padding", "dilation", "activation")),
    ]


class DepthwiseParams(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("input_offset", "output_offset", "ch_mult")),
        *((name, Tile) for name in ("stride", "padding", "dilation", "activation")),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = Path(os.environ.get("KERAS_KD_CMSIS_NN", "nowhere"))
    if not (folder / "Source").is_dir() or shutil.which("gcc") is None:
        pytest.skip("needs CMSIS-NN's sources in $KERAS_KD_CMSIS_NN, and gcc")
    made = tmp_path_factory.mktemp("cmsis") / "buffers.so"
    sources = [folder / "Source" / name for name in FILES]
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-w", f"-I{folder}/Include", *sources, "-o", made], check=True)
    return ctypes.CDLL(str(made))


def tensor(index, shape):
    return Tensor(index, f"t{index}", "int8", tuple(int(n) for n in shape), None, None)


def net_of(name, shapes, options):
    tensors = [tensor(n, shape) for n, shape in enumerate(shapes)]
    return Op(0, name, tuple(range(len(shapes) - 1)), (len(shapes) - 1,), options), tensors


def drawn(rng):
    """Input, window, stride, dilation, padding and output of a convolution."""
    height, width = (int(n) for n in rng.integers(1, 40, 2))
    window = [int(min(n, size)) for n, size in zip(rng.choice([1, 1, 2, 3, 3, 5, 7], 2), (height, width))]
    stride = [int(n) for n in rng.integers(1, 4, 2)]
    same = bool(rng.random() < 0.6)
    out = [-(-n // s) if same else -(-(n - k + 1) // s) for n, k, s in zip((height, width), window, stride)]
    pad = [max(0, (o - 1) * s + k - n) // 2 for o, s, k, n in zip(out, stride, window, (height, width))]
    return (height, width), window, stride, same, out, pad


@pytest.mark.parametrize("variant", ["dsp", "mve"])
def test_no_buffer_of_a_convolution_is_estimated_too_small(library, variant):
    rng = np.random.default_rng(0)
    for _ in range(3000):
        size, window, stride, same, out, pad = drawn(rng)
        channels, filters = (int(n) for n in rng.integers(1, 140, 2))
        options = {"strideH": stride[0], "strideW": stride[1], "padding": 0 if same else 1}
        tiles = [Tile(each[1], each[0]) for each in (stride, pad, (1, 1), (0, 0))]
        x, y = Dims(1, *size, channels), Dims(1, *out, filters)
        w = Dims(filters, *window, channels)
        params = ConvParams(0, 0, *tiles)
        theirs = getattr(library, f"arm_convolve_wrapper_s8_get_buffer_size_{variant}")(
            *map(ctypes.byref, (params, x, w, y))
        )
        op, tensors = net_of(
            "CONV_2D", ((1, *size, channels), (filters, *window, channels), (1, *out, filters)), options
        )
        assert sum(scratch_of(op, tensors, variant)) >= theirs, (size, window, stride, channels, filters)
        multiplier = int(rng.choice([1, 1, 2]))
        made = channels * multiplier
        y, w = Dims(1, *out, made), Dims(1, *window, made)
        params = DepthwiseParams(0, 0, multiplier, *tiles)
        theirs = getattr(library, f"arm_depthwise_conv_wrapper_s8_get_buffer_size_{variant}")(
            *map(ctypes.byref, (params, x, w, y))
        )
        op, tensors = net_of("DEPTHWISE_CONV_2D", ((1, *size, channels), (1, *window, made), (1, *out, made)), options)
        assert sum(scratch_of(op, tensors, variant)) >= theirs, (size, window, stride, channels, made)


@pytest.mark.parametrize("variant", ["dsp", "mve"])
def test_no_buffer_of_a_dense_layer_a_pool_or_an_svdf_is_estimated_too_small(library, variant):
    for n in (1, 3, 16, 129, 640):
        op, tensors = net_of("FULLY_CONNECTED", ((1, 8), (n, 8), (1, n)), {})
        w = Dims(8, 1, 1, n)
        theirs = getattr(library, f"arm_fully_connected_s8_get_buffer_size_{variant}")(ctypes.byref(w))
        assert sum(scratch_of(op, tensors, variant)) >= theirs
        op, tensors = net_of("AVERAGE_POOL_2D", ((1, 4, 4, n), (1, 2, 2, n)), {})
        theirs = getattr(library, f"arm_avgpool_s8_get_buffer_size_{variant}")(2, n)
        assert sum(scratch_of(op, tensors, variant)) >= theirs
        op, tensors = net_of("SVDF", ((1, 8), (n, 8), (n, 4), (1, n)), {})
        theirs = getattr(library, f"arm_svdf_s8_get_buffer_size_{variant}")(ctypes.byref(Dims(n, 1, 1, 8)))
        assert sum(scratch_of(op, tensors, variant)) >= theirs
