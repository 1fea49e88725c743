"""Run a .tflite in TFLite Micro on this machine: what it computes, what it takes, and whether TFLite agrees."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from micro.code_size import CodeSize, estimate_code
from micro.cost import Flash, LayerCost, bytes_of, flash_parts, layer_costs, saved_on_32_bits, work_of
from micro.errors import InterpreterError, ModelError
from micro.graph import Graph, Quantization, Tensor, TfliteLike, content_of, read
from micro.scratch import cmsis_nn_extra

# What is run at most: the activations that a model may hold at once, the arena that it is tried in, its work for an inference.
# Microcontrollers have at most some tens of MiB behind them; a damaged model declares what it likes.
MOST_HELD, LARGEST_ARENA, MOST_WORK = 1 << 26, 1 << 28, 1 << 33
SECONDS_ALLOWED = 600
# Random samples are drawn and compared in blocks of so many bytes of inputs and outputs.
BLOCK_BYTES = 1 << 26
# How much an interpreter's own words may take of a message.
MOST_WORDS = 400
INTEGERS = ("int8", "uint8", "int16")
# Samples on which operators are compared one by one, once outputs are seen to differ.
TRACED_SAMPLES = 16


@dataclass(frozen=True)
class Footprint:
    """What a model takes on a chip, measured in TFLite Micro on a 64-bit host.

    With TFLM's reference kernels the activation part is the same on every chip; the persistent part holds pointers and is
    larger here than on a 32-bit chip, so the total is an upper bound. `arena_bytes_32bit` is a closer one: the interpreter's
    bookkeeping is counted at its size on a 32-bit chip, the kernels' own data as on the host. CMSIS-NN's kernels ask for
    buffers of their own: `arena_bytes_cmsis_nn` (Cortex-M0 to M33) and `arena_bytes_cmsis_nn_mve` (M55, M85) add what its
    published formulas give, estimated and not measured; other makers' kernels are not counted.
    `flash` are the model's bytes by part, `layers` the operators in the order in which they run, `code` an estimate of the
    interpreter's code with these operators.
    """

    model_bytes: int
    arena_bytes: int
    activation_bytes: int
    persistent_bytes: int
    macs: int
    ops: dict[str, int]
    arena_bytes_32bit: int
    flash: Flash
    layers: tuple[LayerCost, ...]
    code: CodeSize
    arena_bytes_cmsis_nn: int
    arena_bytes_cmsis_nn_mve: int

    @property
    def ram_bytes(self) -> int:
        """RAM to set aside for the arena whichever of these kernels the firmware is built with."""
        return max(self.arena_bytes_32bit, self.arena_bytes_cmsis_nn, self.arena_bytes_cmsis_nn_mve)


@dataclass(frozen=True)
class OpDifference:
    """An operator that gave other values than the reference on the very same inputs."""

    index: int
    op: str
    tensor: str
    mismatches: int
    max_abs_difference: int


@dataclass(frozen=True)
class Parity:
    """TFLite Micro's kernels beside TFLite's reference kernels, value by value; differences are in LSB.

    `by_op` names the operators in which differences arise, found on the first samples that differ.
    """

    samples: int
    values: int
    mismatches: int
    max_abs_difference: int
    by_op: tuple[OpDifference, ...] = ()


def measure(tflite: TfliteLike) -> Footprint:
    """Model bytes, tensor arena, operators and multiply-accumulates of a .tflite.

    Raises:
        ModelError: If it cannot be read.
        InterpreterError: If TFLite Micro does not run it.
    """
    content = content_of(tflite)
    graph = read(content)
    require_runnable(graph)
    zeros = [np.zeros((1, *graph.tensors[i].shape), graph.tensors[i].dtype) for i in graph.inputs]
    _, log = _invoke(content, graph, zeros)
    total, head, tail = (_allocation(part, log) for part in ("total", "head", "tail"))
    on_chip = total - saved_on_32_bits(log)
    return Footprint(
        len(content),
        total,
        head,
        tail,
        graph.macs,
        graph.op_counts,
        on_chip,
        flash_parts(content, graph),
        layer_costs(graph),
        estimate_code(graph.op_counts),
        on_chip + cmsis_nn_extra(graph, head, "dsp"),
        on_chip + cmsis_nn_extra(graph, head, "mve"),
    )


def run(tflite: TfliteLike, samples: Any) -> np.ndarray:
    """Outputs of a single-output model in TFLite Micro, in real units.

    Shapes: samples (n, *input) in real units, or int8 as quantized -> (n, *output) float32.
    Raises:
        MicroError: As `measure`.
        ValueError: For samples of another shape.
    """
    content = content_of(tflite)
    graph = read(content)
    inputs = quantize_inputs(graph, samples)
    outputs, _ = _invoke(content, graph, inputs)
    tensor = graph.tensors[graph.outputs[0]]
    return dequantize(outputs["output0"][:, 0], tensor.quantization)


def raw_outputs(tflite: TfliteLike, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Quantized outputs for random quantized inputs, by 'output0', 'output1', ..."""
    content = content_of(tflite)
    graph = read(content)
    return _invoke(content, graph, random_inputs(graph, count, seed))[0]


def all_outputs(tflite: TfliteLike, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Quantized outputs for quantized inputs, (n, *shape) each, by 'output0', 'output1', ..."""
    content = content_of(tflite)
    return _invoke(content, read(content), list(inputs))[0]


def verify(tflite: TfliteLike, samples: Any = None, *, count: int = 256, seed: int = 0) -> Parity:
    """Run samples through TFLite Micro and through TFLite's reference kernels and compare every output value.

    Args:
        samples: (n, *input) in real units or as quantized integers; a sequence of such arrays for a model of several
            inputs; None for `count` random integer inputs over the whole range, drawn from `seed`.

    Raises:
        MicroError: As `measure`.
        ValueError: For samples of another shape or with values that are not finite.
    """
    content = content_of(tflite)
    graph = read(content)
    require_runnable(graph)
    for index in graph.outputs:
        if graph.tensors[index].dtype not in INTEGERS:
            tensor = graph.tensors[index]
            raise ModelError(
                f"output {tensor.name!r} is {tensor.dtype}; steps are compared, so outputs must be integers"
            )
    if samples is None and count < 1:
        raise ValueError(f"verify: count must be at least 1, got {count}")
    blocks = _random_blocks(graph, count, seed) if samples is None else [quantize_inputs(graph, samples)]
    taken = values = mismatches = largest = 0
    differing: list[list[np.ndarray]] = []
    for inputs in blocks:
        ours, _ = _invoke(content, graph, inputs)
        theirs = _reference(content, graph, inputs, [])
        odd: set[int] = set()
        for name in ours:
            difference = _differences(name, ours[name], theirs[name])
            values += difference.size
            mismatches += int(np.count_nonzero(difference))
            largest = max(largest, int(difference.max(initial=0)))
            odd.update(np.flatnonzero(difference.reshape(len(difference), -1).any(axis=1)).tolist())
        taken += len(inputs[0])
        missing = TRACED_SAMPLES - sum(len(kept[0]) for kept in differing)
        if odd and missing > 0:
            differing.append([array[sorted(odd)[:missing]] for array in inputs])
    by_op: tuple[OpDifference, ...] = ()
    if differing:
        by_op = _by_op(content, graph, [np.concatenate(arrays) for arrays in zip(*differing)])
    return Parity(taken, values, mismatches, largest, by_op)


def require_runnable(graph: Graph) -> None:
    """Refuse a model that holds or computes more than any microcontroller does, before anything is made of it.

    Raises:
        InterpreterError: With the figure.
    """
    for layer in layer_costs(graph):
        if layer.held_bytes > MOST_HELD:
            raise InterpreterError(
                f"operator {layer.index} ({layer.op}, {layer.name!r}) holds {layer.held_bytes:,} bytes of activations at "
                f"once; no microcontroller does: at most {MOST_HELD:,} are run here"
            )
    held = sum(bytes_of(graph.tensors[i]) for i in {*graph.inputs, *graph.outputs})
    work = sum(work_of(op, graph.tensors) for op in graph.ops)
    if held > MOST_HELD or work > MOST_WORK:
        what = f"takes and gives {held:,} bytes" if held > MOST_HELD else f"computes {work:,} products and sums"
        most = MOST_HELD if held > MOST_HELD else MOST_WORK
        raise InterpreterError(f"the model {what} an inference; no microcontroller does: at most {most:,} are run here")


def _random_blocks(graph: Graph, count: int, seed: int) -> Iterator[list[np.ndarray]]:
    """Random inputs for so many samples, as many at once as BLOCK_BYTES hold; the first block is drawn from `seed` itself."""
    each = sum(bytes_of(graph.tensors[i]) for i in (*graph.inputs, *graph.outputs))
    at_once = max(1, BLOCK_BYTES // max(each, 1))
    for block, start in enumerate(range(0, count, at_once)):
        yield random_inputs(graph, min(at_once, count - start), seed + block)


def quantize_inputs(graph: Graph, samples: Any) -> list[np.ndarray]:
    """Samples as the model's integer inputs, (n, *input shape with its batch of 1) each.

    Raises:
        ValueError: For another number of inputs, another shape, no samples, or values that are not finite.
    """
    given = list(samples) if len(graph.inputs) > 1 and isinstance(samples, Sequence) else [samples]
    if len(given) != len(graph.inputs):
        raise ValueError(f"the model has {len(graph.inputs)} inputs, samples for {len(given)} were given")
    return [_quantize(np.asarray(array), graph.tensors[i]) for array, i in zip(given, graph.inputs)]


def random_inputs(graph: Graph, count: int, seed: int) -> list[np.ndarray]:
    """Integer inputs drawn evenly over the type's whole range."""
    rng = np.random.default_rng(seed)
    inputs = []
    for index in graph.inputs:
        tensor = graph.tensors[index]
        if tensor.dtype not in INTEGERS:
            raise ModelError(f"input {tensor.name!r} is {tensor.dtype}; random inputs need an integer model")
        info = np.iinfo(tensor.dtype)
        inputs.append(rng.integers(info.min, info.max + 1, (count, *tensor.shape), tensor.dtype))
    return inputs


def dequantize(values: np.ndarray, quantization: Quantization | None) -> np.ndarray:
    """Integers in real units, float32; values without quantization as they are."""
    if quantization is None:
        return values.astype(np.float32)
    real = quantization.scale[0] * (values.astype(np.float64) - quantization.zero_point[0])
    return real.astype(np.float32)


def _quantize(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    wanted = tensor.shape[1:]
    if array.ndim != len(wanted) + 1 or array.shape[1:] != wanted:
        raise ValueError(f"samples must have shape (n, {', '.join(map(str, wanted))}), got {array.shape}")
    if not len(array):
        raise ValueError("samples are empty")
    if array.dtype != tensor.dtype:
        if not np.isfinite(array).all():
            raise ValueError(f"samples hold {np.count_nonzero(~np.isfinite(array))} values that are not finite")
        if tensor.quantization is None:
            array = array.astype(tensor.dtype)
        else:
            scale = tensor.quantization.scale[0]
            if not (math.isfinite(scale) and scale > 0):
                raise ModelError(f"input {tensor.name!r} has the scale {scale}; a scale is a positive number")
            info = np.iinfo(tensor.dtype)
            steps = np.round(array / tensor.quantization.scale[0]) + tensor.quantization.zero_point[0]
            array = np.clip(steps, info.min, info.max).astype(tensor.dtype)
    return array[:, None]


def _invoke(
    content: bytes, graph: Graph, inputs: Sequence[np.ndarray], traced: Sequence[int] = ()
) -> tuple[dict[str, np.ndarray], str]:
    """Outputs of every sample, and what TFLite Micro printed."""
    require_runnable(graph)
    activations = sum(bytes_of(tensor) for tensor in graph.tensors if tensor.data is None)
    arena = min(4 * len(content) + 16 * activations + (1 << 20), LARGEST_ARENA)
    while True:
        done, answer = _ask_worker("tflm", content, graph, inputs, traced, arena)
        if done.returncode == 0:
            return answer, done.stderr
        if not _wants_more(done.stderr) or arena >= LARGEST_ARENA:
            raise InterpreterError(f"TFLite Micro does not run this model: {_reason(done)}")
        arena = min(8 * arena, LARGEST_ARENA)


def _ask_worker(
    engine: str, content: bytes, graph: Graph, inputs: Sequence[np.ndarray], traced: Sequence[int], arena: int = 0
) -> tuple[subprocess.CompletedProcess[str], dict[str, np.ndarray]]:
    """An interpreter's answer ('tflm' or 'tflite'), and what it printed; the answer is empty where it gave none."""
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.npz", Path(folder) / "answer.npz"
        np.savez(
            request,
            allow_pickle=False,
            engine=engine,
            model=np.frombuffer(content, np.uint8),
            arena_bytes=arena,
            traced=np.asarray(traced, np.int64),
            inputs=np.asarray(graph.inputs, np.int64),
            outputs=np.asarray(graph.outputs, np.int64),
            input_count=len(inputs),
            **{f"input{i}": values for i, values in enumerate(inputs)},
        )
        worker = Path(__file__).with_name("_tflm_worker.py")
        try:
            done = subprocess.run(
                [sys.executable, str(worker), str(request), str(answer)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS_ALLOWED,
            )
        except subprocess.TimeoutExpired:
            names = {"tflm": "TFLite Micro", "tflite": "TFLite"}
            raise InterpreterError(f"{names[engine]} gave no answer in {SECONDS_ALLOWED} s") from None
        if done.returncode != 0:
            return done, {}
        with np.load(answer, allow_pickle=False) as arrays:
            return done, dict(arrays)


def _wants_more(log: str) -> bool:
    return "missing:" in log or "Failed to allocate" in log or "Failed to resize buffer" in log


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The interpreter's own words, without Python's traceback."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    told = []
    for line in lines:
        if line.startswith("Traceback"):
            break
        told.append(line)
    if done.returncode < 0:
        told.append(f"its process died of signal {-done.returncode}")
    said = "; ".join(told) or (lines[-1] if lines else f"exit code {done.returncode}")
    return said if len(said) <= MOST_WORDS else f"{said[:MOST_WORDS]} ..."


def _allocation(part: str, log: str) -> int:
    found = re.search(rf"Arena allocation {part} (\d+) bytes", log)
    if found is None:
        raise InterpreterError("TFLite Micro did not report its arena; is this version of tflite-micro supported?")
    return int(found[1])


def _reference(
    content: bytes, graph: Graph, inputs: Sequence[np.ndarray], traced: Sequence[int]
) -> dict[str, np.ndarray]:
    """Outputs (and traced tensors) of TFLite's reference kernels.

    Raises:
        ModelError: For a packed model, and where TFLite lacks an operator or refuses the file.
    """
    if "TFLM_DECODE" in graph.op_counts:
        raise ModelError(
            "this .tflite is packed: TFLite's kernels cannot run TFLM_DECODE; verify it as it was before `pack`"
        )
    done, answer = _ask_worker("tflite", content, graph, inputs, traced)
    if done.returncode != 0:
        raise ModelError(_only_micro(_reason(done)))
    return answer


def _only_micro(said: str) -> str:
    """That TFLite Micro ran a model which TFLite's kernels refuse, and what these say of it, by its first sentence."""
    custom = re.search(r"unresolved custom op: (\S+?)\.?(?:\s|$)", said)
    why = (
        f"they lack the custom operator {custom[1]}"
        if custom
        else f"they refuse it: {re.split(r'[.](?=[A-Z ]|$)', said)[0][:200]}"
    )
    return f"only TFLite Micro runs this model, and there is nothing to compare it with: TFLite's own kernels cannot, {why}"


def _differences(name: str, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How far values lie apart; ModelError where TFLite makes another shape than the file says, by which TFLite Micro goes."""
    if ours.size != theirs.size:
        raise ModelError(
            f"{name} has shape {list(ours.shape[1:])} in TFLite Micro, by the file, and {list(theirs.shape[1:])} in TFLite, "
            "by its operators: the file's shapes do not go together"
        )
    return np.abs(ours.astype(np.int64) - theirs.astype(np.int64).reshape(ours.shape))


def _by_op(content: bytes, graph: Graph, inputs: Sequence[np.ndarray]) -> tuple[OpDifference, ...]:
    """Operators whose inputs agree on a sample while their outputs do not: where differences arise."""
    computed = [i for op in graph.ops for i in op.outputs if i >= 0]
    ours, _ = _invoke(content, graph, inputs, computed)
    theirs = _reference(content, graph, inputs, computed)

    def differences(index: int) -> np.ndarray:
        name = f"tensor{index}"
        if name not in ours:
            return np.zeros((len(inputs[0]), 1), np.int64)
        samples = len(ours[name])
        return _differences(name, ours[name].reshape(samples, -1), theirs[name].reshape(samples, -1))

    found = []
    for op in graph.ops:
        clean = ~np.any([differences(i).any(axis=1) for i in op.inputs if i >= 0], axis=0)
        for output in op.outputs:
            arising = differences(output)[clean]
            if arising.any():
                name = graph.tensors[output].name
                found.append(OpDifference(op.index, op.name, name, int(np.count_nonzero(arising)), int(arising.max())))
    return tuple(found)
