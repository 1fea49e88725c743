"""Damaged .tflite files: bytes that are missing, offsets that lead astray, fields that make no sense."""

from __future__ import annotations

import resource
import sys

import flatbuffers
import numpy as np

from micro.graph import schema_module

SPITEFUL = (0, 1, -1, 2, 3, 127, -128, 255, 2**15, 2**24, 2**31 - 1, -(2**31))


def truncated(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content))]


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    damaged = np.frombuffer(content, np.uint8).copy()
    places = rng.integers(8, len(content), rng.integers(1, 20))
    damaged[places] = rng.integers(0, 256, len(places))
    return damaged.tobytes()


def misled(content: bytes, rng: np.random.Generator) -> bytes:
    """Offsets and lengths are 32-bit words."""
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        place = 4 * rng.integers(2, len(content) // 4)
        word = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1, rng.integers(len(content)), rng.integers(2**32)]))
        damaged[place : place + 4] = word.to_bytes(4, "little")
    return bytes(damaged)


def noise(content: bytes, rng: np.random.Generator) -> bytes:
    return content[:8] + rng.integers(0, 256, rng.integers(3000), np.uint8).tobytes()


def senseless(content: bytes, rng: np.random.Generator) -> bytes:
    """A file in good order with a few fields that make no sense."""
    model = schema_module().ModelT.InitFromPackedBuf(content, 0)
    for _ in range(rng.integers(1, 4)):
        _spoil(model, rng)
    builder = flatbuffers.Builder(4096)
    try:
        builder.Finish(model.Pack(builder), b"TFL3")
    except Exception:  # numbers that the format cannot hold
        return content
    return bytes(builder.Output())


def _spoil(model, rng: np.random.Generator) -> None:
    subgraph = model.subgraphs[0]
    tensor = subgraph.tensors[rng.integers(len(subgraph.tensors))]
    operator = subgraph.operators[rng.integers(len(subgraph.operators))]
    other = int(rng.choice(SPITEFUL) if rng.random() < 0.3 else rng.integers(len(subgraph.tensors)))
    what = rng.integers(9)
    if what == 0 and len(tensor.shape):
        shape = [int(n) for n in tensor.shape]
        shape[rng.integers(len(shape))] = int(rng.choice([*SPITEFUL, shape[0] + 1]))
        tensor.shape = shape
    elif what == 1:
        tensor.shape = [int(n) for n in rng.integers(0, 9, rng.integers(6))]
    elif what == 2 and tensor.quantization is not None and tensor.quantization.scale is not None:
        tensor.quantization.scale = [float(rng.choice([0.0, -1.0, np.nan, np.inf, 1e-38, 1e38]))]
    elif what == 3 and tensor.quantization is not None:
        tensor.quantization.zeroPoint = [int(rng.choice(SPITEFUL))]
    elif what == 4 and model.buffers[tensor.buffer].data is not None:
        data = model.buffers[tensor.buffer].data
        model.buffers[tensor.buffer].data = data[: rng.integers(len(data) + 1)]
    elif what == 5 and model.buffers[tensor.buffer].data is not None:
        model.buffers[tensor.buffer].data = rng.integers(0, 256, len(model.buffers[tensor.buffer].data), np.uint8)
    elif what == 6:
        side = "inputs" if rng.random() < 0.7 else "outputs"
        places = [int(n) for n in getattr(operator, side)]
        places[rng.integers(len(places))] = other
        setattr(operator, side, places)
    elif what == 7 and operator.builtinOptions is not None:
        fields = [name for name, value in vars(operator.builtinOptions).items() if isinstance(value, int)]
        if fields:
            setattr(operator.builtinOptions, str(rng.choice(fields)), int(rng.choice(SPITEFUL[:7])))
    else:
        operator.opcodeIndex = int(rng.integers(len(model.operatorCodes)))


KINDS = (truncated, flipped, misled, noise, senseless, senseless, senseless)


def main(first: int, count: int, megabytes: int) -> None:
    """Make C of damaged files within so much memory; print what became of each."""
    import micro
    from micro.aot.generate import static_files
    from tests.int8_graphs import random_graph

    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        damaged = KINDS[seed % len(KINDS)](random_graph(int(rng.integers(300))), rng)
        try:
            static_files(damaged, "net")
            print("made")
        except micro.MicroError as error:
            print(" ".join(str(error).split()))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
