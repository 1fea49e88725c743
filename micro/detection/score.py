"""The anomaly score of a window, in integers, so that Python and every target agree on it."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from micro.detection.residual import measured, taken
from micro.errors import ConversionError
from micro.tflite.graph import Graph, Quantization, TfliteLike, read

# Fraction bits of the factors that bring input and output to one unit, and of an output's centre.
FACTOR_BITS, CENTRE_BITS = 14, 4
Kind = Literal["reconstruction", "residual", "distance", "margin"]
# Normal numbers of float32: the C header holds the unit as one.
SMALLEST_UNIT, LARGEST_UNIT = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
# Ranges of a score's numbers, so that squares and their sums stay within 64 bits.
LIMITS = {
    "factors": (0, 1 << FACTOR_BITS),
    "zeros": (-128, 127),
    "centre": (-128 << CENTRE_BITS, 127 << CENTRE_BITS),
    "weights": (0, 32767),
    "healthy": (0, 65535),
    "places": (0, 65535),
}


@dataclass(frozen=True)
class Score:
    """A score of int8 inputs and outputs; `unit` times it is the score in real units.

    'reconstruction': squares of `factors[0]` * (input - `zeros[0]`) - `factors[1]` * (output - `zeros[1]`), summed.
    'residual': the same of the features at `places`, which the model predicts from the others.
    'distance': `weights` * (16 * output - `centre`)^2, summed.
    'margin': the highest output that is not in `healthy` minus the highest that is.

    Attributes:
        kind: One of the four above.
        unit: What a score of 1 is in real units, above 0.
        factors, zeros: Of 'reconstruction' and 'residual', for input and output each.
        centre, weights: Of 'distance', one for each output.
        healthy: Of 'margin', the places of the healthy classes.
        places: Of 'residual', those of the predicted features along the last axis. All features have the scale and zero point
            of the model's input.

    Raises:
        ValueError: For numbers that the C detector's types do not hold.

    Examples:
        >>> score = micro.Score("margin", unit=0.1, healthy=(0,))
        >>> outputs = np.array([[5, 1], [1, 5]], "int8")
        >>> score(np.zeros((2, 4), "int8"), outputs).tolist()
        [-4, 4]
    """

    kind: Kind
    unit: float
    factors: tuple[int, int] = (0, 0)
    zeros: tuple[int, int] = (0, 0)
    centre: tuple[int, ...] = ()
    weights: tuple[int, ...] = ()
    healthy: tuple[int, ...] = ()
    places: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind of score must be one of {', '.join(get_args(Kind))}, got {self.kind!r}")
        if not SMALLEST_UNIT <= real(self.unit, "unit of scores") <= LARGEST_UNIT:
            raise ValueError(f"unit of scores must be above 0 and within float32, got {self.unit!r}")
        for what, (low, high) in LIMITS.items():
            try:
                values = tuple(operator.index(value) for value in getattr(self, what))
            except TypeError:
                raise ValueError(f"{what} of scores must be integers, got {getattr(self, what)!r}") from None
            wrong = [value for value in values if not low <= value <= high]
            if wrong:
                raise ValueError(f"{what} of scores must be {low} to {high}, got {wrong[0]}")
            object.__setattr__(self, what, values)
        if len(self.factors) != 2 or len(self.zeros) != 2:
            raise ValueError("factors and zeros of scores are two each, of input and output")
        if len(self.centre) != len(self.weights):
            raise ValueError(
                f"a score needs as many weights as centres, got {len(self.weights)} and {len(self.centre)}"
            )
        if (self.kind == "residual") != bool(self.places) or len(set(self.places)) < len(self.places):
            raise ValueError(f"places are of a 'residual' score, one or more, each once; got {list(self.places)}")
        if self.places != tuple(sorted(self.places)):
            raise ValueError(
                f"places must be in the order of a row, as the model's outputs are; got {list(self.places)}"
            )

    def __call__(self, features: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Shapes: int8 (n, ...) and (n, ...) -> (n,) int64; `features` are the model's input, with what it predicts."""
        compared = measured(np.asarray(features), self.places)
        x, y = (np.asarray(side).reshape(len(side), -1).astype(np.int64) for side in (compared, outputs))
        if self.kind in ("reconstruction", "residual"):
            difference = self.factors[0] * (x - self.zeros[0]) - self.factors[1] * (y - self.zeros[1])
            return np.sum(difference * difference, axis=1)
        if self.kind == "distance":
            return np.sum(np.array(self.weights) * ((y << CENTRE_BITS) - np.array(self.centre)) ** 2, axis=1)
        chosen = np.isin(np.arange(y.shape[1]), self.healthy)
        return y[:, ~chosen].max(axis=1) - y[:, chosen].max(axis=1)

    def inputs(self, features: np.ndarray) -> np.ndarray:
        """What the model takes of features: all of them, of 'residual' those that it does not predict."""
        return taken(features, self.places)


def reconstruction_score(tflite: TfliteLike) -> Score:
    """The mean squared difference of an autoencoder's input and output.

    Args:
        tflite: A model that is int8 in and out, as bytes, a path or what `convert` gives.

    Raises:
        ConversionError: For a model that is not int8, or whose output has another size than its input.

    Examples:
        >>> healthy = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
        >>> tflite = micro.convert(model, micro.calibration_data(healthy))
        >>> micro.reconstruction_score(tflite).kind
        'reconstruction'
    """
    graph = read(tflite)
    one, other = _quantizations(graph)
    sizes = [graph.tensors[side[0]].size for side in (graph.inputs, graph.outputs)]
    if sizes[0] != sizes[1]:
        raise ConversionError(f"the model takes {sizes[0]} values and gives {sizes[1]}: it reconstructs nothing")
    return Score("reconstruction", *_squares(one, other, sizes[1]))


def residual_score(tflite: TfliteLike, places: Sequence[int]) -> Score:
    """The mean squared difference of what a model predicts of some features from the others, and what was measured.

    Args:
        tflite: A model that is int8 in and out. Its input are rows of the other features, in their order, its output rows of
            the predicted ones.
        places: The predicted features' places in a row of all features, in that order.

    Raises:
        ConversionError: For a model that is not int8, or that gives something else.
        ValueError: For no places, or places beyond a row or not in its order.

    Examples:
        >>> healthy = np.random.default_rng(0).normal(size=(100, 3)).astype("float32")
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> tflite = micro.convert(model, micro.calibration_data(healthy))
        >>> score = micro.residual_score(tflite, places=[3])
        >>> score.inputs(np.array([[1, 2, 3, 4]], "int8")).tolist()
        [[1, 2, 3]]
    """
    graph = read(tflite)
    one, other = _quantizations(graph)
    inputs, outputs = (graph.tensors[side[0]].shape for side in (graph.inputs, graph.outputs))
    row = inputs[-1] + len(places)
    if math.prod(outputs) != math.prod(inputs[:-1]) * len(places):
        raise ConversionError(
            f"the model takes {inputs} and gives {outputs}: it does not give {len(places)} of a row of {row} features"
        )
    score = Score("residual", *_squares(one, other, math.prod(outputs)), places=tuple(places))
    if max(score.places) >= row:
        raise ValueError(f"places must be below {row}, the features of a row, got {max(score.places)}")
    return score


def _squares(one: Quantization, other: Quantization, count: int) -> tuple[float, tuple[int, int], tuple[int, int]]:
    """Unit, factors and zero points by which values of two tensors are compared, `count` of each."""
    largest = max(one.scale[0], other.scale[0])
    factors = [round(quantization.scale[0] / largest * (1 << FACTOR_BITS)) for quantization in (one, other)]
    unit = (largest / (1 << FACTOR_BITS)) ** 2 / count
    return unit, (factors[0], factors[1]), (one.zero_point[0], other.zero_point[0])


def distance_score(tflite: TfliteLike, healthy_outputs: np.ndarray) -> Score:
    """The mean squared distance of the outputs from healthy ones, each in units of its standard deviation.

    Args:
        tflite: A model that is int8 in and out.
        healthy_outputs: Its outputs for healthy windows, (n, ...) int8.

    Raises:
        ConversionError: For a model that is not int8.
        ValueError: For fewer than two outputs.

    Examples:
        >>> healthy = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> tflite = micro.convert(model, micro.calibration_data(healthy))
        >>> micro.distance_score(tflite, np.array([[0, 5, 1], [2, 5, 0]], "int8")).centre
        (16, 80, 8)
    """
    _quantizations(read(tflite))  # refuses what is not int8
    outputs = np.asarray(healthy_outputs).reshape(len(healthy_outputs), -1).astype(np.float64)
    if len(outputs) < 2:
        raise ValueError(f"a distance is fitted on two healthy windows or more, got {len(outputs)}")
    # An output that hardly moves would outweigh all others: take at least the standard deviation of rounding.
    deviation = np.maximum(outputs.std(axis=0), 12**-0.5)
    weights = np.maximum(np.round(32767 * (deviation.min() / deviation) ** 2), 1)
    unit = 1 / (32767 * deviation.min() ** 2 * (1 << 2 * CENTRE_BITS) * outputs.shape[1])
    centre = np.round(outputs.mean(axis=0) * (1 << CENTRE_BITS))
    return Score("distance", float(unit), centre=_integers(centre), weights=_integers(weights))


def margin_score(tflite: TfliteLike, healthy: Sequence[int]) -> Score:
    """By how much a classifier's highest faulty output exceeds its highest healthy one.

    Args:
        tflite: A model that is int8 in and out.
        healthy: Places of the healthy classes among the outputs.

    Raises:
        ConversionError: For a model that is not int8.
        ValueError: Where `healthy` names no class, all of them, or one that does not exist.

    Examples:
        >>> samples = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> tflite = micro.convert(model, samples, anomaly_detector=False)
        >>> micro.margin_score(tflite, healthy=[0]).healthy
        (0,)
    """
    graph = read(tflite)
    _, quantization = _quantizations(graph)
    count = graph.tensors[graph.outputs[0]].size
    if not healthy or not set(healthy) < set(range(count)):
        raise ValueError(f"healthy classes must be some of 0 to {count - 1} and not all, got {list(healthy)}")
    return Score("margin", quantization.scale[0], healthy=tuple(sorted(healthy)))


def real(value: object, what: str) -> float:
    """A number as it is; ValueError for anything else, including text and booleans."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"{what} must be a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _quantizations(graph: Graph) -> tuple[Quantization, Quantization]:
    quantizations = []
    for side, indices in (("input", graph.inputs), ("output", graph.outputs)):
        tensor = graph.tensors[indices[0]]
        if len(indices) != 1 or tensor.dtype != "int8" or tensor.quantization is None:
            raise ConversionError(f"scores are computed from models with one int8 {side}")
        quantizations.append(tensor.quantization)
    return quantizations[0], quantizations[1]


def _integers(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
