"""What a model takes on a chip, measured in TFLite Micro on this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from micro.errors import InterpreterError
from micro.tflite.code_size import CodeSize, estimate_code
from micro.tflite.cost import Flash, LayerCost, flash_parts, layer_costs, saved_on_32_bits
from micro.tflite.graph import TfliteLike, content_of, read
from micro.tflite.interpreter import invoke, require_runnable
from micro.tflite.scratch import cmsis_nn_extra


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
    _, log = invoke(content, graph, zeros)
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


def _allocation(part: str, log: str) -> int:
    found = re.search(rf"Arena allocation {part} (\d+) bytes", log)
    if found is None:
        raise InterpreterError("TFLite Micro did not report its arena; is this version of tflite-micro supported?")
    return int(found[1])
