"""Runs a .tflite on the host, in TFLite Micro and in TFLite's reference kernels."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from micro.errors import InterpreterError, ModelError
from micro.support.wording import excerpt
from micro.tflite.cost import bytes_of, layer_costs, work_of
from micro.tflite.graph import Graph, TfliteLike, content_of, read
from micro.tflite.integers import Samples, dequantize, quantize_inputs, random_inputs
from micro.tflite.states import without_starts
from micro.tflite.worker_process import answered

# Limits for models that are run: bytes of activations held at once, bytes of the arena, and operations of an inference.
# Microcontrollers have at most some tens of MiB of memory; a damaged model may declare anything.
MOST_HELD, LARGEST_ARENA, MOST_WORK = 1 << 26, 1 << 28, 1 << 33
SECONDS_ALLOWED = 600
# Characters of an interpreter's own message that an error quotes.
MOST_WORDS = 400


def run(tflite: TfliteLike, samples: Samples) -> np.ndarray:
    """The first output of a model in TFLite Micro, in real units: of most models the only one.

    Shapes: samples (n, *input) in real units, or int8 as quantized -> (n, *output) float32.
    Raises:
        MicroError: As `measure`.
        ValueError: For samples of another shape.
    """
    return run_all(tflite, samples)[0]


def run_all(tflite: TfliteLike, samples: Samples) -> list[np.ndarray]:
    """Every output of a model in TFLite Micro, in real units; samples are a list where there are several inputs.

    Raises:
        MicroError: As `measure`.
        ValueError: For samples of another shape, or for another number of inputs.
    """
    content = content_of(tflite)
    graph = read(content)
    inputs = quantize_inputs(graph, samples)
    outputs, _ = invoke(content, graph, inputs)
    made = [graph.tensors[index] for index in graph.outputs]
    return [dequantize(outputs[f"output{k}"][:, 0], tensor.quantization) for k, tensor in enumerate(made)]


def raw_outputs(tflite: TfliteLike, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Quantized outputs for random quantized inputs, by 'output0', 'output1', ..."""
    content = content_of(tflite)
    graph = read(content)
    return invoke(content, graph, random_inputs(graph, count, seed))[0]


def all_outputs(tflite: TfliteLike, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Quantized outputs for quantized inputs, (n, *shape) each, by 'output0', 'output1', ..."""
    content = content_of(tflite)
    return invoke(content, read(content), list(inputs))[0]


def run_inputs(tflite: TfliteLike, inputs: np.ndarray) -> np.ndarray:
    """int8 outputs of int8 inputs in TFLite Micro: (n, ...) -> (n, *output)."""
    graph = read(tflite)
    return all_outputs(tflite, [inputs.reshape(-1, *graph.tensors[graph.inputs[0]].shape)])["output0"]


def require_runnable(graph: Graph) -> None:
    """Refuse a model that holds or computes more than any microcontroller can, before it is run.

    Raises:
        InterpreterError: With the figure.
    """
    for layer in layer_costs(graph):
        if layer.held_bytes > MOST_HELD:
            raise InterpreterError(
                f"operator {layer.index} ({layer.op}, {excerpt(layer.name)}) holds {layer.held_bytes:,} bytes of activations "
                f"at once, more than any microcontroller: the limit is {MOST_HELD:,}"
            )
    held = sum(bytes_of(graph.tensors[i]) for i in {*graph.inputs, *graph.outputs})
    work = sum(work_of(op, graph.tensors) for op in graph.ops)
    if held > MOST_HELD or work > MOST_WORK:
        what = (
            f"has inputs and outputs of {held:,} bytes" if held > MOST_HELD else f"computes {work:,} products and sums"
        )
        most = MOST_HELD if held > MOST_HELD else MOST_WORK
        raise InterpreterError(f"the model {what} per inference, more than any microcontroller: the limit is {most:,}")


def invoke(
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
        if not _arena_too_small(done.stderr) or arena >= LARGEST_ARENA:
            raise InterpreterError(f"TFLite Micro does not run this model: {_reason(done)}")
        arena = min(8 * arena, LARGEST_ARENA)


def _ask_worker(
    engine: str,
    content: bytes,
    graph: Graph,
    inputs: Sequence[np.ndarray],
    traced: Sequence[int],
    arena: int = 0,
    reset: bool = False,
) -> tuple[subprocess.CompletedProcess[str], dict[str, np.ndarray]]:
    """Run 'tflm' or 'tflite' in a process of its own. Returns the process and its answer, empty if it failed.

    With `reset`, states are set to 0 before every sample.
    """
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.npz", Path(folder) / "answer.npz"
        np.savez(
            request,
            allow_pickle=False,
            engine=engine,
            model=np.frombuffer(content, np.uint8),
            arena_bytes=arena,
            reset=reset,
            traced=np.asarray(traced, np.int64),
            inputs=np.asarray(graph.inputs, np.int64),
            outputs=np.asarray(graph.outputs, np.int64),
            input_count=len(inputs),
            **{f"input{i}": values for i, values in enumerate(inputs)},
        )
        try:
            done = answered(engine, request, answer, SECONDS_ALLOWED)
        except subprocess.TimeoutExpired:
            names = {"tflm": "TFLite Micro", "tflite": "TFLite"}
            raise InterpreterError(f"{names[engine]} gave no answer in {SECONDS_ALLOWED} s") from None
        if done.returncode != 0:
            return done, {}
        with np.load(answer, allow_pickle=False) as arrays:
            return done, dict(arrays)


def _arena_too_small(log: str) -> bool:
    return "missing:" in log or "Failed to allocate" in log or "Failed to resize buffer" in log


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The interpreter's own message, without Python's traceback."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    messages = []
    for line in lines:
        if line.startswith("Traceback"):
            break
        messages.append(line)
    if done.returncode < 0:
        messages.append(f"its process died of signal {-done.returncode}")
    text = "; ".join(messages) or (lines[-1] if lines else f"exit code {done.returncode}")
    return text if len(text) <= MOST_WORDS else f"{text[:MOST_WORDS]} ..."


def reference(
    content: bytes, graph: Graph, inputs: Sequence[np.ndarray], traced: Sequence[int]
) -> dict[str, np.ndarray]:
    """Outputs (and traced tensors) of TFLite's reference kernels.

    Raises:
        ModelError: For a packed model, and where TFLite lacks an operator or refuses the file.
    """
    if "TFLM_DECODE" in graph.op_counts:
        raise ModelError(
            "this .tflite is packed, and TFLite's kernels cannot run TFLM_DECODE; verify the model from before `pack`"
        )
    stateless = without_starts(content)
    done, answer = _ask_worker("tflite", stateless or content, graph, inputs, traced, reset=stateless is not None)
    if done.returncode != 0:
        raise ModelError(_only_micro(_reason(done)))
    return answer


def _only_micro(message: str) -> str:
    """That TFLite Micro ran a model which TFLite's kernels refuse, with the first sentence of their message."""
    custom = re.search(r"unresolved custom op: (\S+?)\.?(?:\s|$)", message)
    why = (
        f"they lack the custom operator {custom[1]}"
        if custom
        else f"they refuse it: {re.split(r'[.](?=[A-Z ]|$)', message)[0][:200]}"
    )
    return (
        f"only TFLite Micro runs this model, so there is nothing to compare it with: TFLite's own kernels cannot, {why}"
    )
