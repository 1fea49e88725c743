"""Bias correction: biases make up for what rounding shifts on average."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from keras import ops

from micro.keras_graph.calibration_data import Samples, check_inputs
from micro.quantize.aware import QuantizationAware, Simulated
from micro.quantize.gate_scales import RECURRENT
from micro.quantize.operators import OPERATORS
from micro.quantize.ranges import float_values

if TYPE_CHECKING:
    from keras_kd.types import Tensor

SAMPLES = 256


def correct_bias(aware: QuantizationAware, samples: Samples) -> QuantizationAware:
    """A copy whose biases make up for what rounding does to each channel on average, layer by layer from the input on.

    For models that are not trained after quantization; layers without a bias, and LSTM and GRU layers, stay as they are.

    Args:
        aware: A model from `quantize_aware`; it is not changed.
        samples: (n, *input) typical inputs; the first 256 are used.

    Raises:
        ValueError: For samples that do not fit.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> narrow = micro.quantize_aware(model, x, bits=3)
        >>> corrected = micro.correct_bias(narrow, x)
        >>> bias = lambda aware: abs(np.mean(aware.predict(x, verbose=0) - model.predict(x, verbose=0), axis=0)).max()
        >>> bool(bias(corrected) < bias(narrow))
        True

    Source: Nagel et al. 2019, Data-Free Quantization, section 4.2, https://arxiv.org/abs/1906.04721, with means from data.
    """
    program = aware.program
    arrays = check_inputs(program.inputs_in, program.input_shapes, samples)
    x = [ops.convert_to_tensor(array[:SAMPLES]) for array in arrays]
    corrected = QuantizationAware.from_config(aware.get_config())
    corrected.set_weights(aware.get_weights())
    exact = list(float_values(program, aware.weights_now(), x))
    for number, operator in enumerate(corrected.operators):
        if operator.bias is None or operator.node.op in RECURRENT:
            continue
        rounded = corrected.values(x)
        value = operator.node.inputs[0]
        scale = corrected.grid(value).parameters()[0]
        shift = _mean_sums(operator, rounded[value], scale) - _mean_sums(aware.operators[number], exact[value], None)
        operator.bias.assign(operator.bias - shift)
    return corrected


def _mean_sums(operator: Simulated, x: Tensor, scale: Tensor | None) -> Tensor:
    """Mean of each channel before the fused activation, with quantized weights where the input's scale is given."""
    plain = dataclasses.replace(operator.node, options={**operator.node.options, "fusedActivationFunction": 0})
    kernel, bias = (operator.kernel, operator.bias) if scale is None else operator.quantized_weights(scale)
    sums = OPERATORS[plain.op].compute(plain, [x], kernel, bias)
    return ops.mean(sums, axis=tuple(range(len(sums.shape) - 1)))
