"""A GRU layer in a .tflite: every step in operators of its own, all of the same scales, that share weights.

States and what goes into the gates are int16, as int8 states would stand still where they move slowly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from micro.quantize.fake_quant import fake_quantize_kernel
from micro.quantize.gate_scales import GATES, GRU, broadcast_gate_scales
from micro.quantize.gru import DIFFERENCE_SCALE, STATE_SCALE, WIDENING
from micro.quantize.program import Node

if TYPE_CHECKING:
    from micro.quantize.aware import Simulated
    from micro.quantize.written import Scale, Writer

UPDATE, RESET, CANDIDATE = range(GATES[GRU])


def add_gru(writer: Writer, node: Node, operator: Simulated, made: int) -> None:
    """Append the steps of a GRU, whose output is tensor `made`."""
    steps = _Steps(writer, node, operator)
    x = writer.values[node.inputs[0]]
    units, given = node.shape[-1], writer.scale_of(made)
    state = writer.constant(f"{node.name}/start", np.zeros((1, units), np.int16), writer.plain_scale(STATE_SCALE))
    sequence = len(node.shape) == 3
    states = []
    count = writer.program.shape(node.inputs[0])[1]
    for step in range(count):
        state = steps.add(x, step, state)
        if sequence:
            states.append(steps.put("QUANTIZE", [state], f"state_{step}", given, writer.program.activations))
    output = writer.values[made]
    if sequence:
        writer.operator("PACK", states, output, {"axis": 1, "valuesCount": count})
    else:
        writer.operator("QUANTIZE", [state], output, {})


class _Steps:
    """What all steps of one layer have in common: scales, weights, biases, and bounds of slices."""

    def __init__(self, writer: Writer, node: Node, operator: Simulated) -> None:
        assert node.gate_power is not None
        self.writer, self.node = writer, node
        self.units, self.inputs = node.shape[-1], writer.program.shape(node.inputs[0])[2]
        self.gate = writer.plain_scale(2.0**node.gate_power)
        self.state = writer.plain_scale(STATE_SCALE)
        self.difference = writer.plain_scale(DIFFERENCE_SCALE)
        self.given = writer.scale_of(node.inputs[0])
        self.wide = writer.program.activations == "int16"
        self.taken = self.given if self.wide else writer.plain_scale(float(self.given.scale[0]) / WIDENING)
        self.weights = self._weights(operator)

    def add(self, x: int, step: int, state: int) -> int:
        """Append a step that takes its part of x and the state before it. Returns the state after it."""
        gate, one = self.gate, self.state
        taken = self._taken(x, step)

        def product(part: int, number: int) -> int:
            source = state if part else taken
            return self.put("FULLY_CONNECTED", [source, *self.weights[part, number]], "product", gate)

        def opened(number: int) -> int:
            total = self.put("ADD", [product(0, number), product(1, number)], "sum", gate)
            return self.put("LOGISTIC", [total], "gate", one)

        update, reset = opened(UPDATE), opened(RESET)
        kept = self.put("MUL", [reset, product(1, CANDIDATE)], "kept", gate)
        new = self.put("TANH", [self.put("ADD", [product(0, CANDIDATE), kept], "sum", gate)], "new", one)
        apart = self.put("SUB", [state, new], "difference", self.difference)
        moved = self.put("MUL", [update, apart], "moved", self.difference)
        return self.put("ADD", [new, moved], "state", one)

    def put(self, op: str, inputs: list[int], name: str, scale: Scale, dtype: str = "int16") -> int:
        """Append an operator with an output of (1, units). Returns the output."""
        made = self.writer.tensor(f"{self.node.name}/{name}", dtype, (1, self.units), scale)
        self.writer.operator(op, inputs, made, {"potScaleInt16": False} if op in ("ADD", "SUB") else {})
        return made

    def _taken(self, x: int, step: int) -> int:
        """What a step takes of the input, in 16 bits."""
        writer, name, shape = self.writer, self.node.name, (1, self.inputs)
        begin, end, stride = (
            writer.constant(f"{name}/bounds", np.array(each, np.int32)) for each in ((0, step, 0), (1, 1, 1), (1, 1, 1))
        )
        made = writer.tensor(f"{name}/taken", writer.program.activations, shape, self.given)
        masks = {"beginMask": 5, "endMask": 5, "shrinkAxisMask": 2}
        writer.operator("STRIDED_SLICE", [x, begin, end, stride], made, masks)
        if self.wide:
            return made
        wider = writer.tensor(f"{name}/wide", "int16", shape, self.taken)
        writer.operator("QUANTIZE", [made], wider, {})
        return wider

    def _weights(self, operator: Simulated) -> dict[tuple[int, int], list[int]]:
        """Kernel and bias by part, 0 that of inputs and 1 that of states, and by gate."""
        writer, units, gates = self.writer, self.units, GATES[GRU]
        scales: Any = ops.convert_to_numpy(operator.kernel_scale(self.given.scale[0]))
        assert operator.kernel is not None
        quantized = ops.convert_to_numpy(fake_quantize_kernel(operator.kernel, self.node, scales))
        kernel = np.round(quantized / ops.convert_to_numpy(broadcast_gate_scales(scales, self.node))).astype(np.int8)
        bias = None if operator.bias is None else ops.convert_to_numpy(operator.bias).reshape(-1, units)
        rows = kernel[: self.inputs], kernel[self.inputs :]
        made = {}
        for part, source in enumerate((self.taken, self.state)):
            for gate in range(gates):
                scale = np.atleast_1d(scales[part, gate])
                name = f"{self.node.name}/{('kernel', 'recurrent')[part]}_{gate}"
                values = np.ascontiguousarray(rows[part][:, gate * units : (gate + 1) * units].T)
                row = gate if part == 0 else gates if gate == CANDIDATE else None
                made[part, gate] = [writer.constant(name, values, writer.plain_scale(scale))]
                if bias is None or row is None:
                    made[part, gate].append(-1)
                    continue
                summed = (scale.astype(np.float64) * source.scale).astype(np.float32)
                steps = np.round(bias[row].astype(np.float64) / summed).astype(np.int64)
                made[part, gate].append(writer.constant(f"{name}/bias", steps, writer.plain_scale(summed)))
        return made
