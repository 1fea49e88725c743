"""Keras to a full-int8 .tflite that TFLite Micro runs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from micro.conversion.fidelity import Comparison, judge, rms
from micro.conversion.refuse import explain_interpreter, require_int8
from micro.errors import ConversionError, ConversionWarning, InterpreterError
from micro.keras_graph.accept import accept, keras_model
from micro.keras_graph.calibration_data import Samples, as_array, check_samples
from micro.keras_graph.recurrent import gru_layers, lstm_layers, require_convertible
from micro.keras_graph.to_tflite import calibrated_tflite, quantized
from micro.keras_graph.tracing import predict, traced
from micro.support.files import write_bytes
from micro.tflite.footprint import measure
from micro.tflite.graph import Graph, TfliteLike, read
from micro.tflite.interpreter import run
from micro.tflite.strip import stripped

if TYPE_CHECKING:
    import keras

    from micro.quantize.aware import QuantizationAware

Weights = Literal["auto", "per_channel", "per_tensor"]

# `auto` gives up per-channel Dense kernels if the output error grows by no more than this factor, or stays within one step
# of the int8 output. Rounding noise between two equally good quantizations of one model is of this size; a kernel that
# needs a scale for each channel exceeds it by far.
TOLERATED_ERROR = 1.10
# Operators whose operands and output TensorFlow's converter gives the range of one of them, which cuts the others off: what
# `quantize_aware` would write is compared, and taken where the error of the converter is `FAR_OFF` times as large.
CUT_OFF = frozenset({"MAXIMUM", "MINIMUM"})
FAR_OFF = 2.0
# How the weights of a model from `quantize_aware` are quantized.
AS_SIMULATED = "as simulated"
# Every eighth sample is kept from the calibration to measure the error on, where there are enough.
HELD_OUT = 8
ENOUGH = 128
# The error is measured on at most this many samples, and on no more than TFLite Micro's reference kernels compute in seconds.
MOST_JUDGED, FEWEST_JUDGED = 256, 16
MOST_MACS = 500_000_000


@dataclass(frozen=True, repr=False)
class Converted:
    """A model as int8 .tflite bytes, with how its weights were quantized and what that costs in accuracy.

    Attributes:
        content: The bytes of the .tflite.
        weights: 'per_channel', 'per_tensor', 'per_tensor_dense' (Dense kernels alone) or 'as simulated'.
        error: Root mean squared difference to the Keras model's outputs, in output units, on samples that the ranges were
            not calibrated on (`validation`, or part of the calibration data).
        constant_inputs, constant_outputs: Channels, by number along the last axis, that int8 makes all but constant.
        warnings: Why, and what to do.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(200, 4))
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> converted = micro.convert(model, x)
        >>> converted.predict(x).shape
        (200, 2)
    """

    content: bytes
    weights: str
    error: float
    constant_inputs: tuple[int, ...] = ()
    constant_outputs: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    def save(self, path: str | Path) -> Path:
        """Write the .tflite; missing folders are made. Returns the path."""
        return write_bytes(path, self.content)

    def predict(self, x: Samples) -> np.ndarray:
        """The outputs of TFLite Micro for inputs in real units, (n, *input) -> (n, *output) float32.

        Raises:
            ValueError: For inputs of another shape or that are not finite.
        """
        graph = read(self.content)
        return run(self.content, check_samples(graph.tensors[graph.inputs[0]].shape[1:], x, "x"))

    def __repr__(self) -> str:
        graph = read(self.content)
        ends = (graph.tensors[index] for index in (graph.inputs[0], graph.outputs[0]))
        shapes = " -> ".join(f"{end.dtype}{list(end.shape)}" for end in ends)
        warned = f", {len(self.warnings)} warnings" if self.warnings else ""
        return (
            f"Converted({len(self.content):,} bytes, {shapes}, weights {self.weights}, error {self.error:.3g}{warned})"
        )


def convert(
    model: keras.Model,
    calibration: Samples | None = None,
    *,
    weights: Weights = "auto",
    validation: Samples | None = None,
    anomaly_detector: bool | None = None,
) -> Converted:
    """Quantize a Keras model to int8: weights, activations, inputs and outputs, with a static batch of 1.

    Args:
        model: A Keras model of one input and one output, or a Distiller, whose student is converted; it is not changed. A
            subclassed model must have been called or fitted. Mixed precision is converted in float32. A model from
            `quantize_aware` is written with the scales and zero points that it has.
        calibration: (n, *input) inputs as the model will get them on the target, or what yields such samples: a generator, a
            tf.data.Dataset. For an anomaly detector see `calibration_data`. A model from `quantize_aware` needs none:
            without, `error` is measured on inputs drawn evenly over the input's range.
        weights: 'per_channel', a scale for each output channel; 'per_tensor', one for each kernel; 'auto', per channel in
            convolutions, and in Dense layers only where that is worth the RAM that TFLite Micro keeps for it: where the error
            would otherwise exceed one step of the int8 output and grow by more than a tenth.
        validation: (m, *input) samples to measure the error on. None holds out one in eight of 128 or more calibration
            samples; those with the smallest and the largest value stay with the calibration.
        anomaly_detector: Whether inputs beyond the calibrated range are to be detected, so that a range without headroom is
            warned of. None: a model whose output has its input's shape is a detector.

    Warns:
        ConversionWarning: As in `Converted.warnings`: constant inputs or outputs, outliers, too few samples, no headroom.

    Raises:
        ValueError: For calibration data that is empty, all 0, not finite or of another shape.
        ConversionError: Names layer and operator where something does not become int8 or is not in TFLite Micro.

    Examples:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> micro.convert(model, np.random.default_rng(0).normal(size=(200, 4))).weights
        'per_tensor_dense'

    Source: Jacob et al. 2018, https://arxiv.org/abs/1712.05877.
    """
    accepted = keras_model(model)
    converted = _converted(accepted, calibration, weights, validation, anomaly_detector)
    for problem in converted.warnings:
        warnings.warn(f"{accepted.name!r}: {problem}", ConversionWarning, stacklevel=2)
    return converted


def error_against(tflite: TfliteLike, model: keras.Model, samples: np.ndarray) -> float:
    """Root mean squared difference between a .tflite in TFLite Micro and a Keras model, on up to 256 samples."""
    judged = as_array(samples)[: _affordable(read(tflite))]
    return rms(run(tflite, judged), predict(keras_model(model), judged))


def _converted(
    model: keras.Model,
    calibration: Samples | None,
    weights: Weights,
    validation: Samples | None,
    anomaly_detector: bool | None,
) -> Converted:
    if weights not in get_args(Weights):
        raise ValueError(f"weights must be 'auto', 'per_channel' or 'per_tensor', got {weights!r}")
    from micro.quantize.aware import QuantizationAware

    if isinstance(model, QuantizationAware):
        if weights != "auto":
            raise ValueError(f"weights: {model.name!r} has its scales already; choose them in quantize_aware")
        return _written(model, calibration if validation is None else validation)
    model, samples = accept(model, calibration)
    if not samples.any():
        raise ValueError(
            f"calibration data is 0 throughout ({len(samples)} samples), which leaves every range empty; give typical inputs"
        )
    for layer in (*lstm_layers(model), *gru_layers(model)):
        require_convertible(layer)
    judged = None if validation is None else check_samples(samples.shape[1:], validation, "validation")
    return _Conversion(model, samples, *_split(samples, judged), anomaly_detector).converted(weights)


def _written(model: QuantizationAware, samples: Samples | None) -> Converted:
    """A model from `quantize_aware` as it computes."""
    from micro.quantize.write import write_tflite

    judged = model.even_inputs(MOST_JUDGED) if samples is None else check_samples(model.input_shape, samples)
    content = write_tflite(model)
    return Converted(content, AS_SIMULATED, error_against(content, model, judged))


def _split(samples: np.ndarray, validation: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Samples to calibrate ranges on, and samples to measure the error on."""
    if validation is not None:
        return samples, validation
    if len(samples) < ENOUGH:
        return samples, samples
    rows = samples.reshape(len(samples), -1)
    held = np.zeros(len(samples), bool)
    held[HELD_OUT - 1 :: HELD_OUT] = True
    # Headroom is one sample at each end of the range, which must not be lost.
    held[[rows.max(axis=1).argmax(), rows.min(axis=1).argmin()]] = False
    return samples[~held], samples[held]


def _affordable(graph: Graph) -> int:
    return min(max(MOST_MACS // max(graph.macs, 1), FEWEST_JUDGED), MOST_JUDGED)


@dataclass(frozen=True)
class _Conversion:
    """What all ways to quantize one model have in common: it is traced and calibrated once."""

    model: keras.Model
    calibration: np.ndarray
    ranges: np.ndarray
    judged: np.ndarray
    anomaly_detector: bool | None

    def converted(self, weights: Weights) -> Converted:
        """By TensorFlow's converter; as `quantize_aware` computes where that cuts values off, or has no int8 form."""
        if lstm_layers(self.model):
            return self._own(weights, self._expected())
        function = traced(self.model)
        expected = self._expected()
        best = self._best(weights, calibrated_tflite(self.model, function, self.ranges), expected)
        if CUT_OFF & read(best).op_counts.keys():
            simulated = self._simulated(weights, expected)
            if simulated is not None and best.error > FAR_OFF * simulated.error:
                return simulated
        return best

    def _own(self, weights: Weights, expected: np.ndarray) -> Converted:
        """What `quantize_aware` makes of the model untrained."""
        from micro.quantize.aware import quantize_aware
        from micro.quantize.write import write_tflite

        content = write_tflite(quantize_aware(self.model, self.ranges, weights=weights))
        kinds = read(content).op_counts.keys()
        dense = "per_tensor_dense" if "FULLY_CONNECTED" in kinds else "per_channel"
        if not kinds & {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"}:
            return self._finished("per_tensor", content, expected)  # of an LSTM alone
        return self._finished(dense if weights == "auto" else weights, content, expected)

    def _simulated(self, weights: Weights, expected: np.ndarray) -> Converted | None:
        """The same; None where it does not know a layer."""
        try:
            return self._own(weights, expected)
        except (ConversionError, ValueError):
            return None

    def _best(self, weights: Weights, calibrated: bytes, expected: np.ndarray) -> Converted:
        """The conversion with such weights; for 'auto', per channel or with per-tensor Dense kernels."""
        first = quantized(calibrated, "per_channel" if weights == "auto" else weights, self.model)
        if weights != "auto":
            return self._finished(weights, first, expected)
        per_channel = self._finished("per_channel", first, expected)
        if "FULLY_CONNECTED" not in read(per_channel).op_counts:
            return per_channel
        content = quantized(calibrated, "per_tensor_dense", self.model)
        per_tensor_dense = self._finished("per_tensor_dense", content, expected)
        saves = measure(per_tensor_dense).arena_bytes < measure(per_channel).arena_bytes
        accurate = per_tensor_dense.error <= max(TOLERATED_ERROR * per_channel.error, _output_scale(per_tensor_dense))
        return per_tensor_dense if saves and accurate else per_channel

    def _expected(self) -> np.ndarray:
        """The Keras model's outputs."""
        expected = predict(self.model, self.judged[:MOST_JUDGED])
        bad = ~np.isfinite(expected.reshape(len(expected), -1)).all(axis=1)
        if bad.any():
            raise ConversionError(
                f"model {self.model.name!r} gives values that are not finite for {bad.sum()} of {len(expected)} samples: "
                "there is nothing to quantize"
            )
        return expected

    def _finished(self, weights: str, content: bytes, expected: np.ndarray) -> Converted:
        """Refuse what is not int8 or not in TFLite Micro, and measure the error."""
        graph = read(content)
        judged = self.judged[: _affordable(graph)]
        require_int8(graph, self.model)
        smaller = stripped(content, self.model)
        try:
            outputs = run(smaller, judged)
        except InterpreterError:
            raise ConversionError(explain_interpreter(_complaint(content, judged), graph, self.model)) from None
        comparison = Comparison(
            graph, self.model, self.calibration, judged, expected[: len(judged)], outputs, self.anomaly_detector
        )
        fidelity = judge(comparison)
        return Converted(
            smaller,
            weights,
            fidelity.error,
            fidelity.constant_inputs,
            fidelity.constant_outputs,
            fidelity.problems,
        )


def _output_scale(converted: Converted) -> float:
    graph = read(converted)
    quantization = graph.tensors[graph.outputs[0]].quantization
    assert quantization is not None
    return quantization.scale[0]


def _complaint(content: bytes, samples: np.ndarray) -> str:
    """TFLite Micro's error for a model as the converter made it, whose operators its layers are known by."""
    try:
        run(content, samples[:1])
    except InterpreterError as error:
        return str(error)
    return "TFLite Micro does not run this model once it is stripped of names"
