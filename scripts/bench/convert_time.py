"""What `micro.convert` takes beside TensorFlow's converter alone, on the same models and calibration data, in one run.

Usage: python scripts/bench/convert_time.py [--rounds N] [--samples N]. Prints medians of interleaved rounds and their ratio, so
that whatever else the machine does falls on both alike. `micro.convert` chooses the weights' scales, runs the result in TFLite
Micro and measures the error; the converter alone does none of that.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import micro
from micro.support.silence import silenced


def camera() -> keras.Model:
    """A depthwise-separable net on 96 x 96 x 3 images, 3.7 M multiply-accumulates."""
    inputs = hidden = keras.Input((96, 96, 3))
    for width in (8, 16, 32, 32):
        hidden = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(hidden)
        hidden = layers.ReLU()(layers.BatchNormalization()(hidden))
        hidden = layers.SeparableConv2D(width, 3, padding="same", use_bias=False)(hidden)
        hidden = layers.ReLU()(layers.BatchNormalization()(hidden))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(hidden)))


def autoencoder() -> keras.Model:
    """A dense autoencoder of 64 bands, as the detectors of this project are."""
    inputs = hidden = keras.Input((64,))
    for width in (12, 6, 12):
        hidden = layers.Dense(width, activation="relu")(hidden)
    return keras.Model(inputs, layers.Dense(64)(hidden))


def converter_alone(model: keras.Model, samples: np.ndarray) -> bytes:
    """Full int8 by TensorFlow's converter, as its guide tells."""

    def representative() -> Iterator[list[np.ndarray]]:
        for sample in samples:
            yield [sample[None]]

    with silenced():
        fixed = keras.Input(batch_shape=(1, *model.input_shape[1:]))
        converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(fixed, model(fixed, training=False)))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes, in seconds of the clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=512)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'model':14} {'converter alone':>16} {'micro.convert':>14} {'ratio':>6}")
    for name, model in (("camera", camera()), ("autoencoder", autoencoder())):
        samples = np.random.default_rng(0).normal(size=(chosen.samples, *model.input_shape[1:])).astype("float32")
        alone, ours = [], []
        for _ in range(chosen.rounds):
            alone.append(seconds(lambda model=model, samples=samples: converter_alone(model, samples)))
            ours.append(seconds(lambda model=model, samples=samples: micro.convert(model, samples)))
        one, other = statistics.median(alone), statistics.median(ours)
        print(f"{name:14} {one:14.2f} s {other:12.2f} s {other / one:6.2f}", flush=True)


if __name__ == "__main__":
    main()
