"""Another model of the same layers: every weight, bias, scale and zero point of a .tflite drawn again, nothing else changed."""

from __future__ import annotations

import numpy as np

from micro.tflite.graph import packed, schema_module

# Scales and zero points that TFLite prescribes, which stay: of SOFTMAX and LOGISTIC, and of TANH.
PRESCRIBED = ((1 / 256, -128), (1 / 128, 0))
HAVE_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def redrawn(model: bytes, seed: int) -> bytes:
    """The model with other numbers; tensors of one grid keep one grid, as pooling and joining need."""
    schema = schema_module()
    made = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(model)))
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    rng, grids = np.random.default_rng(seed), {}
    (graph,) = made.subgraphs
    for tensor in graph.tensors:
        if tensor.type != schema.TensorType.INT8 or tensor.quantization is None:
            continue
        unit, own = tensor.quantization, made.buffers[tensor.buffer]
        old = tuple(map(float, unit.scale)), tuple(map(int, unit.zeroPoint))
        grid = (old[0][0], old[1][0])
        if own.data is not None and len(own.data):
            own.data = rng.permutation(np.asarray(own.data, np.uint8).view(np.int8)).view(np.uint8)
        if len(old[0]) == 1 and grid in PRESCRIBED:
            continue
        if old not in grids:
            zero = int(rng.integers(-90, 91)) if any(old[1]) else 0
            factors = rng.uniform(0.9, 1.1, len(old[0]))
            grids[old] = [float(np.float32(s * f)) for s, f in zip(old[0], factors)], [zero] * len(old[1])
        unit.scale, unit.zeroPoint = grids[old]
    for op in graph.operators:
        code = made.operatorCodes[op.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if name in HAVE_BIAS and len(op.inputs) > 2 and op.inputs[2] >= 0:
            x, weights, bias = (graph.tensors[i] for i in op.inputs[:3])
            if bias.quantization is not None and bias.quantization.scale is not None:
                bias.quantization.scale = [x.quantization.scale[0] * s for s in weights.quantization.scale]
            own = made.buffers[bias.buffer]
            own.data = rng.permutation(np.asarray(own.data, np.uint8).view(np.int32)).view(np.uint8)
    return packed(made)
