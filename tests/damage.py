"""Damaged .tflite files: bytes that are missing, offsets that lead astray, fields that make no sense."""

from __future__ import annotations

import resource
import sys

import flatbuffers
import numpy as np

from micro.tflite.graph import schema_module

ODD_NUMBERS = (0.0, -1.0, np.nan, np.inf, 1e-38, 1e38, 1e-7, 1.0, 255.0)
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
    return _written(model, content)


def _written(model, content: bytes) -> bytes:
    """A changed model as a file; the file as it was where the format cannot hold its numbers."""
    builder = flatbuffers.Builder(4096)
    try:
        builder.Finish(model.Pack(builder), b"TFL3")
    except Exception:
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


def edited(content: bytes, rng: np.random.Generator) -> bytes:
    """A file in good order with a few fields, whichever the format has, put to values that they may hold."""
    model = schema_module().ModelT.InitFromPackedBuf(content, 0)
    for _ in range(rng.integers(1, 5)):
        _edit(model, rng)
    return _written(model, content)


def _edit(table, rng: np.random.Generator) -> None:
    """Walk down to some field, and change it by its kind."""
    while True:
        owner, names = table, [name for name, value in vars(table).items() if value is not None]
        if not names:
            return
        name = names[rng.integers(len(names))]
        value = getattr(owner, name)
        if isinstance(value, (list, np.ndarray)) and len(value) and hasattr(value[0], "__dict__"):
            if rng.random() < 0.85:
                table = value[rng.integers(len(value))]
                continue
            setattr(owner, name, _rearranged(value, rng))
        elif isinstance(value, (list, np.ndarray)):
            setattr(
                owner, name, _rearranged(_respelled(value, rng), rng) if rng.random() < 0.5 else _respelled(value, rng)
            )
        elif hasattr(value, "__dict__"):
            if rng.random() < 0.95:
                table = value
                continue
            setattr(owner, name, None)
        elif isinstance(value, bool):
            setattr(owner, name, not value)
        elif isinstance(value, int):
            setattr(owner, name, int(rng.choice([*SPITEFUL, value + 1, value - 1, rng.integers(9)])))
        elif isinstance(value, float):
            setattr(owner, name, float(rng.choice(ODD_NUMBERS)))
        else:
            setattr(owner, name, None)
        return


def _rearranged(values, rng: np.random.Generator):
    """A list with something missing, twice, or elsewhere."""
    values = list(values)
    what, place = rng.integers(4), rng.integers(max(len(values), 1))
    if what == 0:
        return values[:place]
    if what == 1 and values:
        return [*values, values[place]]
    if what == 2 and values:
        return values[place:] + values[:place]
    return values[:place] + values[place + 1 :]


def _respelled(values, rng: np.random.Generator):
    """Numbers with one of them changed."""
    if not len(values):
        return values
    changed = list(values)
    place = rng.integers(len(changed))
    if isinstance(changed[place], (float, np.floating)):
        changed[place] = float(rng.choice([*ODD_NUMBERS, 2 * changed[place], changed[place] / 1000]))
    else:
        changed[place] = int(rng.choice([*SPITEFUL, int(changed[place]) + 1, rng.integers(256)]))
    if isinstance(values, np.ndarray) and values.dtype == np.uint8:
        return np.asarray(changed).astype(np.uint8)
    return changed


KINDS = (truncated, flipped, misled, noise, senseless, senseless, senseless)


def main(first: int, count: int, megabytes: int) -> None:
    """Make C of damaged files within so much memory; print what became of each."""
    from int8_graphs import random_graph

    import micro
    from micro.aot.generate import static_files

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
