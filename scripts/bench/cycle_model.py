"""Instructions and code of static C by operator, fitted in the emulator, for micro/targets/static_c.json.

    python scripts/bench/cycle_model.py [--core m0 --core m55 ...] [--out micro/targets/static_c.json] [--check-only]

Builds nets of one or two layers, runs each as static C in QEMU, and fits for every kernel
`instructions = mac * steps + row * rows + output * outputs + call` with coefficients of at least zero, and the bytes of code.
Then it counts the nets in the shared data, none of which took part, and prints how far the fit is off. Needs
arm-none-eabi-gcc and qemu-system-arm; takes about a quarter of an hour. Run it again whenever a kernel changes.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from scipy.optimize import nnls
from static_c import figures

import micro
from micro.errors import RunError
from micro.targets.work import Cost, Work
from micro.tflite.graph import read
from micro.tflite.work import works_of

OPTIMIZE = "-O2"
FEATURES = ("mac", "row", "output", "call")
OUT = Path(__file__).parents[2] / "micro" / "targets" / "static_c.json"


def nets() -> Iterator[tuple[str, keras.Model]]:
    """Small nets that between them have every kernel, in the sizes that nets for microcontrollers have."""
    for inputs, units in ((8, 4), (16, 16), (33, 10), (64, 12), (128, 32), (200, 100), (256, 64), (640, 16)):
        yield f"dense {inputs}-{units}", net((inputs,), layers.Dense(units))
    for size, channels, filters, window, stride in (
        *(
            (16, 1, 8, 3, 1),
            (16, 3, 16, 3, 1),
            (16, 3, 16, 3, 2),
            (16, 4, 8, 3, 1),
            (12, 8, 8, 3, 1),
            (8, 16, 16, 3, 1),
        ),
        *(
            (8, 32, 32, 3, 1),
            (12, 8, 16, 1, 1),
            (8, 16, 32, 1, 1),
            (6, 64, 64, 1, 1),
            (16, 1, 4, 5, 2),
            (9, 12, 6, 2, 1),
        ),
        *((12, 6, 10, 5, 1), (8, 32, 8, 1, 2)),
    ):
        layer = layers.Conv2D(filters, window, stride, padding="same")
        yield f"conv {size}x{size}x{channels}, {filters} of {window}", net((size, size, channels), layer)
    for length, channels, filters, window, stride in (
        (256, 1, 8, 9, 2),
        (128, 3, 8, 5, 1),
        (64, 8, 16, 3, 1),
        (64, 16, 16, 3, 2),
    ):
        layer = layers.Conv1D(filters, window, stride, padding="same")
        yield f"conv1d {length}x{channels}, {filters} of {window}", net((length, channels), layer)
    for size, channels, window, stride in (
        *((16, 8, 3, 1), (16, 4, 3, 2), (12, 16, 3, 1), (8, 32, 3, 1), (8, 64, 3, 2), (10, 6, 5, 1), (24, 1, 3, 1)),
    ):
        layer = layers.DepthwiseConv2D(window, stride, padding="same")
        yield f"depthwise {size}x{size}x{channels} of {window}", net((size, size, channels), layer)
    for steps, inputs, units in ((8, 4, 6), (16, 3, 12), (32, 6, 8), (20, 12, 20), (40, 2, 16)):
        yield f"lstm {steps}x{inputs}, {units}", net((steps, inputs), layers.LSTM(units, return_sequences=True))
    yield from elementwise()
    yield from stacks()


def elementwise() -> Iterator[tuple[str, keras.Model]]:
    """Pooling, and what computes value by value or moves values."""
    for size, channels, window in ((16, 4, 2), (12, 8, 3), (8, 16, 2), (8, 32, 4), (5, 64, 5)):
        for kind in (layers.AveragePooling2D, layers.MaxPooling2D):
            yield f"{kind.__name__} {size}x{size}x{channels} of {window}", net((size, size, channels), kind(window))
    for size, channels in ((4, 8), (8, 16), (6, 32), (12, 4)):
        yield f"mean {size}x{size}x{channels}", net((size, size, channels), layers.GlobalAveragePooling2D())
    for size in (4, 10, 40, 200):
        yield f"softmax {size}", net((size,), layers.Softmax())
    for shape in ((64,), (8, 8, 8), (12, 12, 16)):
        yield f"tanh {shape}", net(shape, layers.Activation("tanh"))
        yield f"add {shape}", two(shape, layers.Add())
        yield f"multiply {shape}", two(shape, layers.Multiply())
        yield f"concatenate {shape}", two(shape, layers.Concatenate())
    for shape in ((8, 8, 4), (16, 16, 8), (6, 6, 32)):
        yield f"pad {shape}", net(shape, layers.ZeroPadding2D(1))
        yield f"permute {shape}", net(shape, layers.Permute((3, 1, 2)))
        yield f"crop {shape}", net(shape, layers.Cropping2D(1))


def stacks() -> Iterator[tuple[str, keras.Model]]:
    """Nets of several layers, whose kernels are called more than once."""
    for shape, filters in (((32, 32, 1), (8, 12, 16)), ((24, 24, 3), (8, 16, 24, 32)), ((20, 8, 2), (6, 6, 8, 8, 10))):
        yield f"convs {filters}", stack(shape, [layers.Conv2D(n, 3, 2 - n % 2, padding="same") for n in filters])
        separable = [
            layer
            for number, n in enumerate(filters)
            for layer in (layers.DepthwiseConv2D(3, 1 + number % 2, padding="same"), layers.Conv2D(n, 1))
        ]
        yield (
            f"separable {filters}",
            stack(shape, [*separable, layers.GlobalAveragePooling2D(), layers.Dense(5), layers.Softmax()]),
        )
    for units in ((32, 16, 32), (64, 32, 16, 8, 64)):
        yield f"denses {units}", stack((48,), [layers.Dense(n, activation="relu") for n in units])


def stack(shape: tuple[int, ...], several: list[keras.Layer]) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *several])


def net(shape: tuple[int, ...], layer: keras.Layer) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


def two(shape: tuple[int, ...], layer: keras.Layer) -> keras.Model:
    """A net whose layer takes the input and something else computed from it."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer([inputs, layers.Activation("tanh")(inputs)]))


def converted(model: keras.Model) -> bytes:
    samples = np.random.default_rng(0).normal(size=(32, *model.input_shape[1:])).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return micro.convert(model, samples, weights="per_channel").content


def counted(content: bytes, core: str) -> dict[str, Any]:
    """Works, instructions and bytes of code of a net."""
    found = figures(content, "dense", core, OPTIMIZE)
    return {"works": works_of(read(content)), **found}


def row_of(works: tuple[Work, ...], families: list[str]) -> np.ndarray:
    """The features of a net: a block of four for each family."""
    row = np.zeros((len(families), len(FEATURES)))
    for work in works:
        row[families.index(work.family)] += (work.macs, work.rows, work.outputs, 1)
    return row.reshape(-1)


def fitted(samples: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Cost of each family: the least squares of relative errors, no coefficient below zero."""
    families = sorted({work.family for sample in samples for work in sample["works"]})
    target = np.array([sample["instructions"] for sample in samples], float)
    matrix = np.array([row_of(sample["works"], families) for sample in samples]) / target[:, None]
    # What the columns weigh differs by orders of magnitude.
    scale = np.maximum(matrix.max(axis=0), 1e-30)
    found = nnls(matrix / scale, np.ones(len(samples)), maxiter=10_000)[0] / scale
    blocks = found.reshape(len(families), len(FEATURES))
    return {family: dict(zip(FEATURES, (round(float(v), 4) for v in block))) for family, block in zip(families, blocks)}


def code_fitted(samples: list[dict[str, Any]]) -> dict[str, int]:
    """Bytes of code: for each operator that calls a kernel, and for each kernel that a net has."""
    families = sorted({work.family for sample in samples for work in sample["works"]} - {"RESHAPE"})
    matrix = np.array(
        [
            [calls(sample["works"]), *(any(w.family == f for w in sample["works"]) for f in families)]
            for sample in samples
        ],
        float,
    )
    found = nnls(matrix, np.array([sample["code"] for sample in samples], float))[0]
    return dict(zip(("each", *families), (round(float(v)) for v in found)))


def calls(works: tuple[Work, ...]) -> int:
    return sum(work.family != "RESHAPE" for work in works)


def estimated(works: tuple[Work, ...], costs: dict[str, dict[str, float]]) -> float:
    return sum(Cost(**costs[work.family]).of(work) for work in works if work.family in costs)


def shared_models() -> list[Path]:
    data = Path(os.environ.get("KERAS_KD_DATA", Path(__file__).parents[3] / "shared" / "data"))
    return sorted([*data.glob("peer_models/*.tflite"), *data.glob("mlperf_tiny/*.tflite")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", action="append", choices=("m0", "m4f", "m33", "m55"))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--check-only", action="store_true", help="Print errors of the constants as they are.")
    arguments = parser.parse_args()
    cores = arguments.core or ["m0", "m4f", "m33", "m55"]
    made = [] if arguments.check_only else [(name, converted(model)) for name, model in nets()]
    plain = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {"optimize": OPTIMIZE, "cores": {}}
    for core in cores:
        if made:
            with ThreadPoolExecutor(2) as pool:
                samples = list(pool.map(lambda each, core=core: counted(each[1], core), made))
            plain["cores"][core] = {"costs": fitted(samples), "code": code_fitted(samples)}
            within = [estimated(s["works"], plain["cores"][core]["costs"]) / s["instructions"] - 1 for s in samples]
            print(f"{core}: {len(samples)} nets fitted, half within {100 * np.median(np.abs(within)):.1f} %, worst:")
            for n in np.argsort(-np.abs(within))[:6]:
                print(f"  {made[n][0]}: {samples[n]['instructions']:,} instructions, fit {100 * within[n]:+.0f} %")
        errors, off = [], []
        code = plain["cores"][core]["code"]
        for path in shared_models():
            try:
                sample = counted(path.read_bytes(), core)
            except RunError as error:
                print(f"{core} {path.stem}: {error}")  # it does not fit the emulated board
                continue
            guess = estimated(sample["works"], plain["cores"][core]["costs"])
            error = guess / sample["instructions"] - 1
            bytes_of_code = code["each"] * calls(sample["works"]) + sum(
                code.get(f, 0) for f in {w.family for w in sample["works"]}
            )
            errors.append(error)
            off.append(bytes_of_code / sample["code"] - 1)
            print(
                f"{core} {path.stem}: {sample['instructions']:,} counted, {guess:,.0f} estimated, {100 * error:+.1f} %; "
                f"code {sample['code']:,}, estimated {bytes_of_code:,}",
                flush=True,
            )
        plain["cores"][core]["error"] = [round(min(errors), 3), round(max(errors), 3)]
        plain["cores"][core]["code_error"] = [round(min(off), 3), round(max(off), 3)]
        arguments.out.write_text(json.dumps(plain, indent=1) + "\n")


if __name__ == "__main__":
    main()
