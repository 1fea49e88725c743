"""The Distiller under what people use every day: data in all forms, execution options, several devices."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import keras_kd


def net(units, name):
    inputs = keras.Input((16,))
    h = layers.Dense(units, activation="relu", name="body")(inputs)
    return keras.Model(inputs, layers.Dense(4, name="head")(h), name=name)


def made(**compile_arguments):
    keras.utils.set_random_seed(0)
    objectives = [
        keras_kd.SoftTarget(keras_kd.Ramp(4.0, 1.0, 20)),
        keras_kd.Hint(0.01, teacher_layer="body", student_layer="body"),
        keras_kd.RelationalDistance(0.5, teacher_layer="body", student_layer="body"),
    ]
    distiller = keras_kd.Distiller(net(12, "teacher"), net(6, "student"), objectives)
    distiller.compile(
        keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True), **compile_arguments
    )
    return distiller


class Sequence(keras.utils.PyDataset):
    def __init__(self, *arrays, size):
        super().__init__()
        self.arrays, self.size = arrays, size

    def __len__(self):
        return -(-len(self.arrays[0]) // self.size)

    def __getitem__(self, index):
        return tuple(array[index * self.size : (index + 1) * self.size] for array in self.arrays)


def weights_after(fit, **compile_arguments):
    distiller = made(**compile_arguments)
    fit(distiller)
    return distiller.student.get_weights()


def alike(one, other, tolerance=1e-5):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)


def test_arrays_py_dataset_and_tf_data_train_alike(blobs):
    import tensorflow as tf

    x, y = blobs
    weight = np.linspace(0.5, 1.5, len(x)).astype("float32")
    options = {"epochs": 2, "verbose": 0, "shuffle": False}
    arrays = weights_after(lambda d: d.fit(x, y, sample_weight=weight, batch_size=50, **options))
    alike(arrays, weights_after(lambda d: d.fit(Sequence(x, y, weight, size=50), **options)))
    stream = tf.data.Dataset.from_tensor_slices((x, y, weight)).batch(50)
    alike(arrays, weights_after(lambda d: d.fit(stream, epochs=2, verbose=0)))


PLAIN = {"batch_size": 50, "epochs": 2, "verbose": 0, "shuffle": False}


@pytest.fixture(scope="module")
def plainly(blobs):
    """Weights after training with no option."""
    return weights_after(lambda d: d.fit(*blobs, **PLAIN))


@pytest.mark.parametrize("options", [{"steps_per_execution": 4}, {"jit_compile": True}, {"run_eagerly": True}], ids=str)
def test_execution_options_train_alike(blobs, plainly, options):
    alike(plainly, weights_after(lambda d: d.fit(*blobs, **PLAIN), **options), 1e-4)


def test_mixed_precision_trains_learnt_layers_too(blobs):
    x, y = blobs
    keras.config.set_dtype_policy("mixed_float16")
    try:
        distiller = made()
        history = distiller.fit(x, y, epochs=5, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["hint"][-1] < history["hint"][0]


MIRRORED = """
import numpy as np, tensorflow as tf, keras, keras_kd
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
def net(units):
    inputs = keras.Input((16,))
    h = keras.layers.Dense(units, activation="relu", name="body")(inputs)
    return keras.Model(inputs, keras.layers.Dense(4)(h))
x = np.random.default_rng(0).normal(size=(240, 16)).astype("float32")
y = (x[:, :4]).argmax(-1)
def trained(strategy, moving):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        student = net(6)
        teacher = keras_kd.MovingAverage(student, 0.9) if moving else net(12)
        objectives = [keras_kd.SoftTarget(keras_kd.Ramp(4.0, 1.0, 20))]
        if not moving:
            objectives.append(keras_kd.Hint(0.01, teacher_layer="body", student_layer="body"))
        distiller = keras_kd.Distiller(teacher, student, objectives)
        distiller.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    logs = distiller.fit(x, y, batch_size=40, epochs=2, shuffle=False, verbose=0).history
    return [*student.get_weights(), *(teacher.get_weights() if moving else [])], logs
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for moving in (False, True):
    two, logs_two = trained(mirrored, moving)
    one, logs_one = trained(tf.distribute.get_strategy(), moving)
    for a, b in zip(one, two):
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=f"{moving}")
    for name in logs_one:
        np.testing.assert_allclose(logs_one[name], logs_two[name], rtol=1e-3, err_msg=f"{moving} {name}")
"""


def test_two_replicas_train_as_one_device_does():
    done = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
