"""Trains what it is told on one and on two logical CPUs and prints, as JSON, the weights each ends with."""

import json
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_kd

rng = np.random.default_rng(0)
X = rng.normal(size=(48, 6)).astype("float32")
Y, WEIGHTS = rng.integers(0, 4, 48), rng.uniform(0.5, 1.5, 48).astype("float32")
PER_EXAMPLE = {
    "soft": lambda: keras_kd.SoftTarget(keras_kd.Ramp(4.0, 2.0, 5)),
    "logits": keras_kd.LogitMatching,
    "decoupled": keras_kd.DecoupledKD,
    "hint": lambda: keras_kd.Hint(0.1, teacher_layer="body", student_layer="body"),
    "keras loss": keras.losses.MeanSquaredError,
}
# One value a batch: halves of one half each are twins, so that a half says what the whole says.
PER_BATCH = {
    "dist": keras_kd.Dist,
    "similarity": lambda: keras_kd.SimilarityPreserving(10.0),
    "distance": keras_kd.RelationalDistance,
    "of keras": lambda: keras.distillation.LogitsDistillation(2.0, keras.losses.KLDivergence()),
    "of keras, by name": lambda: keras.distillation.FeatureDistillation("mse"),
    "function": lambda: lambda t, s: keras.ops.mean(keras.ops.square(t - s)),
}


def net(units, name):
    inputs = keras.Input((6,))
    return keras.Model(
        inputs, layers.Dense(4, name="head")(layers.Dense(units, activation="tanh", name="body")(inputs)), name=name
    )


def model(kind):
    if kind == "mutual":
        return keras_kd.MutualDistiller([net(5, "a"), net(6, "b")], keras_kd.SoftTarget(keras_kd.Ramp(4.0, 2.0, 5)))
    if kind == "exits":
        return keras_kd.MultiExit(net(6, "deep"), ["body"])
    if kind == "average":
        student = net(5, "student")
        return keras_kd.Distiller(keras_kd.MovingAverage(student, 0.9), student, keras_kd.SoftTarget(1.0))
    return keras_kd.Distiller(net(8, "teacher"), net(5, "student"), ({**PER_EXAMPLE, **PER_BATCH})[kind]())


def trained(kind, strategy):
    keras.utils.set_random_seed(0)
    x, y, weights = X, Y, WEIGHTS
    if kind in PER_BATCH:
        halves = [np.r_[a, a] for a in np.split(np.arange(24), 3)]
        order = np.concatenate(halves)
        x, y, weights = X[order], Y[order], WEIGHTS[order]
    with strategy.scope():
        made = model(kind)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        made.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    history = made.fit(x, y, sample_weight=weights, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    return [w.tolist() for w in made.get_weights()], history


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    # One strategy for all: a second one would use the keys of the first one's collective operations again.
    strategies = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    found = {kind: [trained(kind, strategy) for strategy in strategies] for kind in sys.argv[1:]}
    json.dump(found, sys.stdout)
