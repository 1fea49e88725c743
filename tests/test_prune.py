"""Pruning: the sparsity asked for, tfmot's masks, zeros that survive quantization, with and without a teacher."""

import os
import subprocess
import sys
from itertools import pairwise

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from keras import layers

import keras_kd
import micro
from micro.compress.masks import magnitude_mask, pattern_mask
from micro.compress.prune import sparsity_of
from micro.compress.schedules import polynomial_schedule
from micro.compress.sensitivity import pareto
from micro.keras_graph.kernels import prunable_kernels
from micro.tflite.graph import read


def net(width=24):
    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [
            keras.Input((16,)),
            layers.Dense(width, activation="relu", name="a"),
            keras.Sequential([layers.Dense(12, activation="relu", name="b")], name="inner"),
            layers.Dense(4, name="out"),
        ]
    )


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize("target", [0.0, 0.5, 0.8, 0.95])
def test_every_kernel_reaches_the_target(blobs, target):
    model = net()
    before = [w.copy() for w in model.get_weights()]
    pruned = micro.prune(model, target, *blobs, loss=cross_entropy(), epochs=3)
    for kernel in prunable_kernels(pruned):
        values = keras.ops.convert_to_numpy(kernel)
        assert abs((values == 0).mean() - target) <= 0.5 / values.size + 1e-6
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_zeros_survive_quantization(blobs):
    pruned = micro.prune(net(), 0.7, *blobs, loss=cross_entropy(), epochs=3)
    graph = read(micro.convert(pruned, blobs[0][:200]))
    kernels = [t for t in graph.tensors if t.data is not None and t.dtype == "int8"]
    zeros = sum((np.frombuffer(t.data, np.int8) == 0).sum() for t in kernels)
    assert zeros >= 0.7 * sum(t.size for t in kernels) - 3
    assert all(set(t.quantization.zero_point) == {0} for t in kernels)


def test_a_teacher_can_watch_without_labels(blobs):
    x, y = blobs
    teacher = net(64)
    teacher.compile("adam", cross_entropy(), metrics=["accuracy"])
    teacher.fit(x, y, epochs=8, verbose=0)
    student = keras.models.clone_model(teacher)
    student.set_weights(teacher.get_weights())
    pruned = micro.prune(student, 0.6, x, teacher=teacher, objectives=[keras_kd.SoftTarget(2.0)], epochs=4)
    assert sparsity_of(pruned) == pytest.approx(0.6, abs=0.01)
    assert (pruned.predict(x, verbose=0).argmax(1) == y).mean() > 0.9


def test_pruning_joins_any_fit_and_leaves_nothing_behind(blobs):
    x, y = blobs
    student = net()
    distiller = keras_kd.Distiller(net(48), student, [keras_kd.SoftTarget()])
    distiller.compile("adam", cross_entropy(), steps_per_execution=3)
    schedule = polynomial_schedule(0.5, end_step=10)
    distiller.fit(x, y, epochs=2, callbacks=[micro.PruneWeights(student, schedule, layers=["a", "b"])], verbose=0)
    zeros = {w.path.split("/")[-2]: (keras.ops.convert_to_numpy(w) == 0).mean() for w in prunable_kernels(student)}
    assert zeros["a"] == pytest.approx(0.5, abs=0.01)
    assert zeros["b"] == pytest.approx(0.5, abs=0.01)
    assert zeros["out"] == 0
    assert all(kernel.constraint is None for kernel in prunable_kernels(student))
    distiller.fit(x, y, epochs=1, verbose=0)
    assert sparsity_of(student) < 0.1


@given(st.lists(st.integers(1, 12), min_size=1, max_size=3), st.floats(0, 0.99), st.integers(0, 1000))
@example([9, 10], 0.95, 0)
def test_masks_are_those_of_tfmot(shape, sparsity, seed):
    weights = np.random.default_rng(seed).normal(size=shape).astype("float32")
    np.testing.assert_array_equal(magnitude_mask(weights, sparsity), tfmot_mask(weights, sparsity))


def tfmot_mask(weights, sparsity, pattern=None):
    before = dict(os.environ)
    import tensorflow as tf
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl, pruning_schedule

    os.environ.clear()
    os.environ.update(before)
    schedule = pruning_schedule.ConstantSparsity(sparsity, 0)
    pruning = pruning_impl.Pruning(lambda: 0, [], schedule, [1, 1], "AVG", pattern)
    return pruning._maybe_update_block_mask(tf.constant(weights))[1].numpy().astype(bool)


channels = st.tuples(st.integers(1, 13), st.integers(1, 6))


@given(
    st.one_of(channels, st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 5))),
    st.sampled_from([(2, 4), (1, 2), (3, 4), (1, 4)]),
    st.integers(0, 1000),
)
@settings(max_examples=50)
def test_patterns_are_those_of_tfmot(shape, pattern, seed):
    weights = np.random.default_rng(seed).normal(size=shape).astype("float32")
    np.testing.assert_array_equal(pattern_mask(*pattern)(weights, 0.0), tfmot_mask(weights, 0.5, pattern))


@pytest.mark.slow
def test_masks_are_those_of_a_tf_keras_twin_that_tfmot_pruned():
    """The same weights, tfmot's own front door on its own Keras, in a process of its own."""
    code = """
import numpy as np, tensorflow_model_optimization as tfmot, tf_keras
from micro.compress.masks import magnitude_mask
from tf_keras import layers
net = tf_keras.Sequential([layers.Input((8, 8, 2)), layers.Conv2D(6, 3), layers.Flatten(), layers.Dense(5)])
schedule = tfmot.sparsity.keras.ConstantSparsity(0.7, 0, frequency=1)
twin = tfmot.sparsity.keras.prune_low_magnitude(net, pruning_schedule=schedule)
before = [w.numpy() for w in twin.trainable_weights if w.shape.rank > 1]
twin.compile(tf_keras.optimizers.SGD(0.0), "mse")
twin.fit(np.ones((8, 8, 8, 2)), np.ones((8, 5)), verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])
after = [w.numpy() for w in tfmot.sparsity.keras.strip_pruning(twin).trainable_weights if w.shape.rank > 1]
for old, new in zip(before, after, strict=True):
    np.testing.assert_array_equal(old * magnitude_mask(old, 0.7), new)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_of_four_holds_to_the_int8_bytes(blobs):
    pruned = micro.prune(net(), None, *blobs, pattern=(2, 4), loss=cross_entropy(), epochs=3)
    assert sparsity_of(pruned) == pytest.approx(0.5)
    graph = read(micro.convert(pruned, blobs[0][:200]))
    kernels = [t for t in graph.tensors if t.data is not None and t.dtype == "int8"]
    assert len(kernels) == 3
    for tensor in kernels:
        blocks = np.frombuffer(tensor.data, np.int8).reshape(-1, 4)
        assert ((blocks == 0).sum(axis=1) >= 2).all()


def test_each_layer_can_have_a_target_of_its_own(blobs):
    pruned = micro.prune(net(), {"a": 0.75, "out": 0.25}, *blobs, loss=cross_entropy(), epochs=3)
    zeros = {w.path.split("/")[-2]: (keras.ops.convert_to_numpy(w) == 0).mean() for w in prunable_kernels(pruned)}
    assert zeros["a"] == pytest.approx(0.75, abs=0.01)
    assert zeros["out"] == pytest.approx(0.25, abs=0.02)
    assert zeros["b"] == 0


def test_a_scan_finds_the_layer_that_can_spare_nothing(blobs):
    x, _ = blobs
    inputs = keras.Input((16,))
    needed = layers.Dense(4, use_bias=False, name="needed")(inputs)
    idle = layers.Dense(4, use_bias=False, name="idle")(inputs)
    model = keras.Model(inputs, layers.Add()([needed, idle]))
    model.get_layer("idle").set_weights([np.full((16, 4), 1e-6, "float32")])
    wanted = model.predict(x, verbose=0)

    def score(candidate):
        return -float(np.mean((candidate.predict(x, verbose=0) - wanted) ** 2))

    before = [w.copy() for w in model.get_weights()]
    rows = micro.sensitivity(model, score, rates=(0.5, 0.9))
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)
    assert [(row.layer, row.change, row.amount, row.weights) for row in rows] == [
        ("needed", "zeros", 0.5, 64),
        ("needed", "zeros", 0.9, 64),
        ("idle", "zeros", 0.5, 64),
        ("idle", "zeros", 0.9, 64),
    ]
    assert micro.layer_targets(rows, tolerance=1e-6) == {"idle": 0.9}
    lost = {(row.layer, row.amount): row.lost for row in rows}
    assert lost["needed", 0.9] > lost["needed", 0.5] > 1e-3
    assert not any(row.flash_saved or row.ram_saved or row.macs_saved for row in rows)
    with pytest.raises(ValueError, match="every layer loses more than 0"):
        micro.layer_targets(rows[:2], 0.0)
    with pytest.raises(ValueError, match="no zeros were scanned"):
        micro.layer_targets([], 0.0)


@pytest.mark.slow
def test_channels_and_narrow_weights_are_scanned_with_what_they_really_save(blobs):
    x, y = blobs
    hidden = [layers.Dense(32, activation="relu", name=name) for name in "ab"]
    model = keras.Sequential([keras.Input((16,)), *hidden, layers.Dense(4, name="out")])
    model.compile("adam", cross_entropy())
    model.fit(x, y, epochs=3, verbose=0)

    def score(candidate):
        return float(np.mean(candidate.predict(x, verbose=0).argmax(-1) == y))

    rows = micro.sensitivity(model, score, (), channels=(0.5,), bits=(4, 2), calibration=x)
    assert [(row.layer, row.change, row.amount) for row in rows] == [
        ("a", "channels", 0.5),
        ("a", "bits", 4),
        ("a", "bits", 2),
        ("b", "channels", 0.5),
        ("b", "bits", 4),
        ("b", "bits", 2),
        ("out", "bits", 4),
        ("out", "bits", 2),
    ]
    halved = next(row for row in rows if row.layer == "a" and row.change == "channels")
    whole, half = (
        micro.measure(micro.convert(micro.quantize_aware(each, x)))
        for each in (model, micro.shrink(model, 0.5, layers=["a"]))
    )
    assert halved.flash_saved == whole.model_bytes - half.model_bytes > 0
    assert halved.macs_saved == whole.macs - half.macs > 0
    narrow = next(row for row in rows if row.layer == "b" and row.amount == 4)
    assert narrow.flash_saved > 0 > narrow.ram_saved
    assert narrow.macs_saved == 0
    front = pareto(rows, "flash_saved")
    for one, other in pairwise(front):
        assert one.flash_saved < other.flash_saved
        assert one.lost < other.lost
    for row in rows:
        assert row.flash_saved <= 0 or any(
            best.flash_saved >= row.flash_saved and best.lost <= row.lost for best in front
        )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rates": (1.0,)}, r"rates must be in \(0, 1\), got \[1.0\]"),
        ({"channels": (0.0,)}, r"channels must be in \(0, 1\), got \[0.0\]"),
        ({"bits": (8,)}, r"bits must be 2 to 7, got \[8\]"),
        ({"bits": (4,)}, "channels and bits need calibration data"),
        ({"rates": ()}, "nothing to try; give rates, channels or bits"),
    ],
)
def test_scans_that_make_no_sense_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        micro.sensitivity(net(), lambda model: 0.0, **arguments)


@given(st.floats(0.01, 0.99), st.integers(1, 100), st.integers(0, 50))
@settings(max_examples=25)
def test_the_schedule_ends_at_its_target(target, span, begin):
    schedule = polynomial_schedule(target, begin_step=begin, end_step=begin + span)
    reached = [float(s) for step in range(begin + 2 * span + 2) for due, s in [schedule(step)] if bool(due)]
    assert reached == sorted(reached)
    assert reached[-1] == pytest.approx(target, abs=1e-5)


def test_tfmot_does_not_turn_the_process_to_keras_2():
    polynomial_schedule(0.5, end_step=10)
    assert "TF_USE_LEGACY_KERAS" not in os.environ


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"target_sparsity": 1.0}, r"target_sparsity must be in \[0, 1\)"),
        ({"target_sparsity": -0.1}, r"target_sparsity must be in \[0, 1\)"),
        ({"target_sparsity": {"a": 1.5}}, r"must be in \[0, 1\), got 1.5 for 'a'"),
        ({"target_sparsity": {"no such": 0.5}}, "'no such' has no kernel to prune"),
        ({"target_sparsity": {"a": 0.5}, "layers": ["a"]}, "leave layers out"),
        ({"target_sparsity": None}, "either target_sparsity or a pattern"),
        ({"pattern": (2, 4)}, "either target_sparsity or a pattern"),
        ({"target_sparsity": None, "pattern": (4, 4)}, r"0 < zeros < of, got \(4, 4\)"),
        ({"layers": ["no such"]}, "'no such' has no kernel to prune in .*; those that do: a, b, out"),
        ({"loss": None}, "needs y and a loss"),
        ({"objectives": [keras_kd.SoftTarget()]}, "objectives need a teacher"),
    ],
)
def test_bad_arguments_are_refused(blobs, arguments, says):
    with pytest.raises(ValueError, match=says):
        micro.prune(
            net(), *(), **{"target_sparsity": 0.5, "x": blobs[0], "y": blobs[1], "loss": cross_entropy(), **arguments}
        )
