"""Keras to a full-int8 .tflite that TFLite Micro runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from micro.conversion.batches import given
from micro.conversion.converted import Converted
from micro.conversion.fidelity import Comparison, judge, rms
from micro.conversion.refuse import explain_interpreter, require_int8, require_small_constants
from micro.errors import ConversionError, ConversionWarning, InterpreterError
from micro.keras_graph.accept import accept, keras_model
from micro.keras_graph.calibration_data import Samples, check_inputs
from micro.keras_graph.ends import inputs_of, outputs_of
from micro.keras_graph.recurrent import gru_layers, lstm_layers, require_convertible
from micro.keras_graph.to_tflite import calibrated_tflite, quantized
from micro.keras_graph.tracing import predict, traced
from micro.tflite.footprint import measure
from micro.tflite.graph import Graph, TfliteLike, read
from micro.tflite.interpreter import run_all
from micro.tflite.strip import stripped

if TYPE_CHECKING:
    import keras

    from micro.quantize.aware import QuantizationAware

Weights = Literal["auto", "per_channel", "per_tensor"]
# Samples of each input, (n, *input).
Arrays: TypeAlias = tuple[np.ndarray, ...]

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
        model: A Keras model, or a Distiller, whose student is converted; it is not changed. Several inputs and outputs keep
            Keras's names and order. A subclassed model must have been called or fitted. Mixed precision is converted in
            float32. A model from `quantize_aware` is written with the scales and zero points that it has.
        calibration: (n, *input) inputs as the model will get them on the target, or what yields such samples: a generator, a
            tf.data.Dataset; of several inputs a list, or a dict by name. For an anomaly detector see `calibration_data`. A
            model from `quantize_aware` needs none: without, `error` is measured on inputs drawn evenly over the inputs' ranges.
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


def error_against(tflite: TfliteLike, model: keras.Model, samples: Samples) -> float:
    """Root mean squared difference between a .tflite in TFLite Micro and a Keras model, on up to 256 samples."""
    return rms(*_compared(tflite, *accept(keras_model(model), samples)))


def _compared(
    tflite: TfliteLike, model: keras.Model, samples: tuple[np.ndarray, ...]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outputs of a .tflite and of the Keras model, on as many samples as are affordable."""
    judged = [each[: _affordable(read(tflite))] for each in samples]
    return run_all(tflite, given(judged)), predict(model, judged)


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
    if not any(each.any() for each in samples):
        count = len(samples[0])
        raise ValueError(
            f"calibration data is 0 throughout ({count} samples), which leaves every range empty; give typical inputs"
        )
    for layer in (*lstm_layers(model), *gru_layers(model)):
        require_convertible(layer)
    shapes = [each.shape[1:] for each in samples]
    judged = None if validation is None else check_inputs(inputs_of(model), shapes, validation, "validation")
    return _Conversion(model, samples, *_split(samples, judged), anomaly_detector).converted(weights)


def _written(model: QuantizationAware, samples: Samples | None) -> Converted:
    """A model from `quantize_aware` as it computes."""
    import keras

    from micro.quantize.write import write_tflite

    program = model.program
    judged = model.even_inputs(MOST_JUDGED)
    if samples is not None:
        judged = check_inputs(program.inputs_in, program.input_shapes, samples)
    content = write_tflite(model)
    judged = tuple(each[: _affordable(read(content))] for each in judged)
    simulated = keras.tree.flatten(model.predict(program.inputs_in.packed(judged), verbose=0))
    outputs = run_all(content, given(judged))
    return Converted(
        content,
        AS_SIMULATED,
        rms(outputs, simulated),
        errors=_of_each(outputs, simulated),
        inputs_in=program.inputs_in,
        outputs_in=program.outputs_in,
    )


def _of_each(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> tuple[float, ...]:
    """The error of each output, where there are several."""
    return tuple(rms([one], [other]) for one, other in zip(outputs, expected)) if len(outputs) > 1 else ()


def _split(samples: Arrays, validation: Arrays | None) -> tuple[Arrays, Arrays]:
    """Samples to calibrate ranges on, and samples to measure the error on."""
    count = len(samples[0])
    if validation is not None:
        return samples, validation
    if count < ENOUGH:
        return samples, samples
    held = np.zeros(count, bool)
    held[HELD_OUT - 1 :: HELD_OUT] = True
    for each in samples:
        rows = each.reshape(count, -1)
        # Headroom is one sample at each end of the range, which must not be lost.
        held[[rows.max(axis=1).argmax(), rows.min(axis=1).argmin()]] = False
    return tuple(each[~held] for each in samples), tuple(each[held] for each in samples)


def _affordable(graph: Graph) -> int:
    return min(max(MOST_MACS // max(graph.macs, 1), FEWEST_JUDGED), MOST_JUDGED)


@dataclass(frozen=True)
class _Conversion:
    """What all ways to quantize one model have in common: it is traced and calibrated once."""

    model: keras.Model
    calibration: Arrays
    ranges: Arrays
    judged: Arrays
    anomaly_detector: bool | None

    def converted(self, weights: Weights) -> Converted:
        """By TensorFlow's converter; as `quantize_aware` computes where that cuts values off, or has no int8 form."""
        if lstm_layers(self.model) or gru_layers(self.model):
            return self._own(weights, self._expected())
        function = traced(self.model)
        expected = self._expected()
        best = self._best(weights, calibrated_tflite(self.model, function, self.ranges), expected)
        if CUT_OFF & read(best).op_counts.keys():
            simulated = self._simulated(weights, expected)
            if simulated is not None and _far_off(best, simulated):
                return simulated
        return best

    def _own(self, weights: Weights, expected: list[np.ndarray]) -> Converted:
        """What `quantize_aware` makes of the model untrained."""
        from micro.quantize.aware import quantize_aware
        from micro.quantize.write import write_tflite

        samples = inputs_of(self.model).packed(self.ranges)
        content = write_tflite(quantize_aware(self.model, samples, weights=weights))
        kinds = read(content).op_counts.keys()
        dense = "per_tensor_dense" if "FULLY_CONNECTED" in kinds else "per_channel"
        if not kinds & {"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"}:
            return self._finished("per_tensor", content, expected)  # of recurrent layers alone
        return self._finished(dense if weights == "auto" else weights, content, expected)

    def _simulated(self, weights: Weights, expected: list[np.ndarray]) -> Converted | None:
        """The same; None where it does not know a layer."""
        try:
            return self._own(weights, expected)
        except (ConversionError, ValueError):
            return None

    def _best(self, weights: Weights, calibrated: bytes, expected: list[np.ndarray]) -> Converted:
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
        scales = _output_scales(per_tensor_dense)
        accurate = all(
            one <= max(TOLERATED_ERROR * other, scale)
            for one, other, scale in zip(_errors(per_tensor_dense), _errors(per_channel), scales, strict=True)
        )
        return per_tensor_dense if saves and accurate else per_channel

    def _expected(self) -> list[np.ndarray]:
        """The Keras model's outputs."""
        expected = predict(self.model, [each[:MOST_JUDGED] for each in self.judged])
        bad = np.any([~np.isfinite(each.reshape(len(each), -1)).all(axis=1) for each in expected], axis=0)
        if bad.any():
            raise ConversionError(
                f"model {self.model.name!r} gives values that are not finite for {bad.sum()} of {len(bad)} samples: "
                "there is nothing to quantize"
            )
        return expected

    def _finished(self, weights: str, content: bytes, expected: list[np.ndarray]) -> Converted:
        """Refuse what is not int8 or not in TFLite Micro, and measure the error."""
        graph = read(content)
        judged = tuple(each[: _affordable(graph)] for each in self.judged)
        require_int8(graph, self.model)
        require_small_constants(graph, self.model)
        inputs, outputs = inputs_of(self.model), outputs_of(self.model)
        names = [end.names if len(end.names) > 1 else (what,) for end, what in ((inputs, "input"), (outputs, "output"))]
        smaller = stripped(content, self.model, *names)
        try:
            found = run_all(smaller, given(judged))
        except InterpreterError:
            raise ConversionError(explain_interpreter(_complaint(content, judged), graph, self.model)) from None
        comparison = Comparison(
            graph,
            self.model,
            self.calibration,
            judged,
            [each[: len(judged[0])] for each in expected],
            found,
            self.anomaly_detector,
        )
        fidelity = judge(comparison)
        return Converted(
            smaller,
            weights,
            rms(found, comparison.expected),
            fidelity.constant_inputs,
            fidelity.constant_outputs,
            fidelity.problems,
            fidelity.errors if len(found) > 1 else (),
            inputs,
            outputs,
        )


def _errors(converted: Converted) -> tuple[float, ...]:
    return converted.errors or (converted.error,)


def _far_off(one: Converted, other: Converted) -> bool:
    """Whether an output of one has an error FAR_OFF times as large as the other's."""
    return any(error > FAR_OFF * least for error, least in zip(_errors(one), _errors(other), strict=True))


def _output_scales(converted: Converted) -> list[float]:
    graph = read(converted)
    found = [graph.tensors[index].quantization for index in graph.outputs]
    return [0.0 if quantization is None else quantization.scale[0] for quantization in found]


def _complaint(content: bytes, samples: Arrays) -> str:
    """TFLite Micro's error for a model as the converter made it, whose operators its layers are known by."""
    try:
        run_all(content, given([each[:1] for each in samples]))
    except InterpreterError as error:
        return str(error)
    return "TFLite Micro does not run this model once it is stripped of names"
