"""Flash, RAM and MACs of a model, measured in TFLite Micro on the host."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from micro.errors import InterpreterError
from micro.support.notebook import table
from micro.tflite.code_size import CodeSize, estimate_code
from micro.tflite.cost import Flash, LayerCost, flash_parts, layer_costs, saved_on_32_bits
from micro.tflite.graph import TfliteLike, content_of, read
from micro.tflite.interpreter import invoke, require_runnable
from micro.tflite.scratch import cmsis_nn_extra


@dataclass(frozen=True)
class Footprint:
    """Flash, RAM and MACs of a model, measured in TFLite Micro on a 64-bit host.

    Attributes:
        model_bytes: Size of the .tflite, which lies in flash.
        arena_bytes: The tensor arena with TFLM's reference kernels: `activation_bytes`, the same on every MCU, plus
            `persistent_bytes`, which hold pointers and are smaller on a 32-bit MCU. An upper bound there.
        macs: Multiply-accumulates of one inference.
        ops: How often each operator occurs.
        arena_bytes_32bit: A closer upper bound: the interpreter's bookkeeping at its size on a 32-bit MCU, the kernels' own
            data as on the host.
        flash: The model's bytes by what they hold.
        layers: The operators in the order in which they run.
        code: An estimate of the interpreter's code with these operators.
        arena_bytes_cmsis_nn, arena_bytes_cmsis_nn_mve: The arena with CMSIS-NN's kernels, on Cortex-M0 to M33 and on M55 and
            M85: `arena_bytes_32bit` plus the scratch buffers by CMSIS-NN's published formulas. Estimated, not measured;
            kernels of other vendors are not covered.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> footprint = micro.measure(tflite)
        >>> footprint.ops, footprint.macs, footprint.arena_bytes_32bit < footprint.arena_bytes
        ({'FULLY_CONNECTED': 1}, 24, True)
    """

    model_bytes: int
    arena_bytes: int
    activation_bytes: int
    persistent_bytes: int
    macs: int
    ops: dict[str, int]
    arena_bytes_32bit: int
    flash: Flash
    # Thousands, where a network has steps: too many to print.
    layers: tuple[LayerCost, ...] = field(repr=False)
    code: CodeSize
    arena_bytes_cmsis_nn: int
    arena_bytes_cmsis_nn_mve: int

    @property
    def ram_bytes(self) -> int:
        """Bytes of RAM to reserve for the arena, whichever of these kernels the firmware is built with."""
        return max(self.arena_bytes_32bit, self.arena_bytes_cmsis_nn, self.arena_bytes_cmsis_nn_mve)

    def _repr_html_(self) -> str:
        parts = (
            ("flash: model, bytes", self.model_bytes),
            ("flash: code of TFLite Micro, bytes, estimated", self.code.total),
            ("RAM: arena, bytes, at most", self.ram_bytes),
            ("RAM: activations in it, bytes", self.activation_bytes),
            ("multiply-accumulates", self.macs),
        )
        layers = [(each.op, each.name, each.macs, each.weight_bytes, each.held_bytes) for each in self.layers]
        header = ("Operator", "Output", "MACs", "Constants, bytes", "Held, bytes")
        return table("Footprint", parts) + table("Operators", layers, header, [each.macs for each in self.layers])


def measure(tflite: TfliteLike) -> Footprint:
    """Model bytes, tensor arena, operators and multiply-accumulates of a .tflite.

    Args:
        tflite: Bytes, a path, or what `convert` returns.

    Returns:
        The `Footprint`, in bytes. It takes one inference in TFLite Micro, in a process of its own.

    Raises:
        ModelError: If the file cannot be read.
        InterpreterError: If TFLite Micro does not run it.

    Examples:
        >>> inputs = keras.Input((8,))
        >>> model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        >>> tflite = micro.convert(model, np.random.default_rng(0).normal(size=(32, 8)).astype("float32"))
        >>> micro.measure(tflite).macs
        24
    """
    content = content_of(tflite)
    graph = read(content)
    require_runnable(graph)
    zeros = [np.zeros((1, *graph.tensors[i].shape), graph.tensors[i].dtype) for i in graph.inputs]
    _, log = invoke(content, graph, zeros)
    total, head, tail = (_allocation(part, log) for part in ("total", "head", "tail"))
    on_target = total - saved_on_32_bits(log)
    return Footprint(
        len(content),
        total,
        head,
        tail,
        graph.macs,
        graph.op_counts,
        on_target,
        flash_parts(content, graph),
        layer_costs(graph),
        estimate_code(graph.op_counts),
        on_target + cmsis_nn_extra(graph, head, "dsp"),
        on_target + cmsis_nn_extra(graph, head, "mve"),
    )


def _allocation(part: str, log: str) -> int:
    match = re.search(rf"Arena allocation {part} (\d+) bytes", log)
    if match is None:
        raise InterpreterError("TFLite Micro did not report its arena; is this version of tflite-micro supported?")
    return int(match[1])
