"""Models, data and measures that the tests of conversion have in common."""

import warnings

import keras
import numpy as np
from keras import layers

import micro
from micro.quantize.aware import quantize_aware
from micro.tflite.interpreter import run

X = np.random.default_rng(0).normal(size=(200, 8)).astype("float32")


def dense(units=8, **kwargs):
    return keras.Sequential([keras.Input((8,)), layers.Dense(units, **kwargs)])


def lively(model, seed=0):
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([weight + 0.1 * rng.normal(size=weight.shape) for weight in layer.get_weights()])
    return model


def steps_apart(model, x, **options):
    """By how many steps of the output's grid simulation and TFLite Micro differ at most."""
    aware = quantize_aware(model, x, **options)
    scale, _ = aware.grid(len(aware.program.nodes)).parameters()
    outputs = run(micro.convert(aware, x), x)
    return float(np.abs(np.round((outputs - aware.predict(x, verbose=0)) / float(scale))).max())


def relative_error(converted, model, x):
    exact = keras.tree.flatten(model.predict(x, verbose=0))[0].astype("float64")
    return float(np.sqrt(np.mean((converted.predict(x) - exact) ** 2)) / exact.std())


def silently(model, calibration, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error", micro.ConversionWarning)
        return micro.convert(model, calibration, **options)
