"""Weight sharing and its packing: few values that stay few, the same outputs, flash won and RAM lost as reported."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

import keras_kd
import micro
from micro.compress.cluster import k_means
from micro.keras_graph.kernels import prunable_kernels
from micro.tflite.graph import read
from micro.tflite.interpreter import raw_outputs


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def net(width=32):
    inputs = keras.Input((16,))
    h = layers.Dense(width, activation="relu", name="a")(inputs)
    h = layers.Dense(width, activation="relu", name="b")(h)
    return keras.Model(inputs, layers.Dense(4, name="out")(h))


def values_of(kernel):
    return np.unique(keras.ops.convert_to_numpy(kernel))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(2, 20), st.floats(0, 0.9), st.integers(0, 1000))
def test_shared_values_are_few_and_near(shape, clusters, zeros, seed):
    rng = np.random.default_rng(seed)
    weights = (rng.normal(size=shape) * (rng.random(shape) >= zeros)).astype("float32")
    values, shares = k_means(weights, clusters)
    assert shares.shape == weights.shape
    assert len(values) <= clusters
    shared = values[shares]
    np.testing.assert_array_equal(shared == 0, weights == 0)
    if len(np.unique(weights)) <= clusters:
        np.testing.assert_allclose(shared, weights, rtol=1e-6)
    # Nobody is further from its value than the whole range is wide.
    assert np.abs(shared - weights).max() <= np.ptp(weights) + 1e-6


@pytest.mark.parametrize("clusters", [2, 16, 32])
def test_every_kernel_keeps_few_values_and_learns_them(blobs, clusters):
    model = net()
    before = [w.copy() for w in model.get_weights()]
    clustered = micro.cluster(model, clusters, *blobs, loss=cross_entropy(), epochs=4)
    for kernel, old in zip(prunable_kernels(clustered), prunable_kernels(model)):
        assert len(values_of(kernel)) <= clusters
        # Learnt: not what k-means found in the model handed in.
        start, _ = k_means(keras.ops.convert_to_numpy(old), clusters)
        assert not np.array_equal(np.sort(start), values_of(kernel))
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_pruned_zeros_stay_zero(blobs):
    pruned = micro.prune(net(), 0.7, *blobs, loss=cross_entropy(), epochs=3)
    clustered = micro.cluster(pruned, 8, *blobs, loss=cross_entropy(), epochs=3)
    for before, after in zip(prunable_kernels(pruned), prunable_kernels(clustered)):
        gone = keras.ops.convert_to_numpy(before) == 0
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(after)[gone], 0)
        assert len(values_of(after)) <= 8


def test_a_teacher_can_watch_in_any_fit(blobs):
    x, y = blobs
    student = net()
    distiller = keras_kd.Distiller(net(48), student, [keras_kd.SoftTarget()])
    distiller.compile("adam", cross_entropy(), steps_per_execution=3)
    distiller.fit(x, y, epochs=2, callbacks=[micro.ClusterWeights(student, 4, layers=["a"])], verbose=0)
    counts = [len(values_of(kernel)) for kernel in prunable_kernels(student)]
    assert counts[0] <= 4 < min(counts[1:])
    assert all(kernel.constraint is None for kernel in prunable_kernels(student))
    clustered = micro.cluster(student, 16, x, teacher=student, objectives=[keras_kd.SoftTarget()], epochs=1)
    assert max(len(values_of(kernel)) for kernel in prunable_kernels(clustered)) <= 16


@pytest.fixture(scope="module")
def autoencoder():
    """A Dense autoencoder of 16 values a kernel as int8, and the same one packed."""
    keras.utils.set_random_seed(1)
    x = np.random.default_rng(0).normal(size=(300, 128)).astype("float32")
    sizes = (128, 128, 8, 128, 128)
    inputs = keras.Input((128,))
    h = inputs
    for size in sizes:
        h = layers.Dense(size, activation="relu")(h)
    model = keras.Model(inputs, layers.Dense(128)(h))
    clustered = micro.cluster(model, 16, x, x, loss="mse", epochs=1)
    tflite = micro.convert(clustered, x, weights="per_tensor")
    return tflite, micro.pack(tflite)


def test_sixteen_values_cut_the_emitted_array_by_two_fifths(tmp_path, autoencoder):
    tflite, packed = autoencoder
    assert packed.flash_before == len(tflite.content)
    assert packed.flash_after == len(packed.content)
    assert packed.flash_after <= 0.6 * packed.flash_before
    micro.emit(packed, tmp_path, name="packed")
    assert "AddDecode()" in (tmp_path / "packed_ops.h").read_text()


def test_packed_outputs_are_the_same_to_the_bit(autoencoder):
    tflite, packed = autoencoder
    one, other = (raw_outputs(each, 200, seed=3) for each in (tflite, packed))
    np.testing.assert_array_equal(one["output0"], other["output0"])
    assert len(np.unique(one["output0"])) > 10


def test_what_packing_costs_is_told_and_bounded(autoencoder):
    tflite, packed = autoencoder
    assert packed.arena_after > packed.arena_before == micro.measure(tflite).arena_bytes_32bit
    assert packed.arena_after == micro.measure(packed).arena_bytes_32bit
    before = micro.measure(tflite).ram_bytes
    within = micro.pack(tflite, ram=before + 2048)
    assert 0 < len(within.tensors) < len(packed.tensors)
    assert micro.check(within, ram=before + 2048, runtime="tflm").fits
    nothing = micro.pack(tflite, ram=before)
    assert nothing.tensors == ()
    assert nothing.content == tflite.content


def test_what_tflite_cannot_run_is_said(autoencoder):
    with pytest.raises(
        micro.ModelError, match="is packed, and TFLite's kernels cannot run TFLM_DECODE; verify the model from before"
    ):
        micro.verify(autoencoder[1])


def test_kernels_of_many_values_are_left_alone(converted):
    packed = micro.pack(converted)
    graph = read(converted)
    for name in packed.tensors:
        data = next(tensor.data for tensor in graph.tensors if tensor.name == name)
        assert len(np.unique(np.frombuffer(data, np.int8))) <= 128
    assert packed.flash_after <= packed.flash_before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"clusters": 1}, "clusters must be at least 2, got 1"),
        ({"layers": ["c"]}, "'c' has no kernel to prune"),
        ({"loss": None}, "without a teacher, clustering needs y and a loss"),
        ({"objectives": [keras_kd.SoftTarget()]}, "objectives need a teacher"),
    ],
)
def test_bad_arguments_are_refused(blobs, arguments, says):
    given = {"clusters": 16, "x": blobs[0], "y": blobs[1], "loss": cross_entropy(), **arguments}
    with pytest.raises(ValueError, match=says):
        micro.cluster(net(), **given)
