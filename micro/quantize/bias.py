"""Bias correction: what rounding shifts on average, biases take back."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops

from micro.keras_graph.calibration_data import check_samples
from micro.quantize.aware import QuantizationAware, Simulated
from micro.quantize.operators import OPERATORS
from micro.quantize.ranges import float_values

SAMPLES = 256


def correct_bias(aware: QuantizationAware, samples: Any) -> QuantizationAware:
    """A copy whose biases make up for what rounding does to each channel on average, layer by layer from the input on.

    For models that are not trained after quantization; layers without a bias stay as they are.

    Args:
        samples: (n, *input) typical inputs; the first 256 are used.

    Raises:
        ValueError: For samples that do not fit.

    Source: Nagel et al. 2019, Data-Free Quantization, section 4.2, with means from data.
    """
    x = ops.convert_to_tensor(check_samples(aware.input_shape, samples)[:SAMPLES])
    corrected = QuantizationAware.from_config(aware.get_config())
    corrected.set_weights(aware.get_weights())
    exact = list(float_values(aware.program, aware.weights_now(), x))
    for number, operator in enumerate(corrected.operators):
        if operator.bias is None:
            continue
        rounded = corrected.values(x)
        place = operator.node.inputs[0]
        scale = corrected.grid(place).parameters()[0]
        shift = _mean_sums(operator, rounded[place], scale) - _mean_sums(aware.operators[number], exact[place], None)
        operator.bias.assign(operator.bias - shift)
    return corrected


def _mean_sums(operator: Simulated, x: Any, scale: Any) -> Any:
    """Mean of each channel before the fused activation, with weights on their grids where the input's scale is given."""
    plain = dataclasses.replace(operator.node, options={**operator.node.options, "fusedActivationFunction": 0})
    kernel, bias = (operator.kernel, operator.bias) if scale is None else operator.snapped(scale)
    sums = OPERATORS[plain.op].compute(plain, [x], kernel, bias)
    return ops.mean(sums, axis=tuple(range(len(sums.shape) - 1)))
