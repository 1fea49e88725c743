"""Folding, equalisation and bias correction: the same function, easier to quantize."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from keras import layers
from keras_graphs import graphs, lively

import micro
from micro.keras_graph.topology import topology_of
from micro.quantize.aware import quantize_aware
from micro.quantize.equalize import _pairs


def norms_in(model):
    return [layer.name for layer in model.layers if isinstance(layer, layers.BatchNormalization)]


def inputs_of(model, count=9):
    return np.random.default_rng(2).normal(size=(count, *model.input_shape[1:])).astype("float32")


def every_kind():
    inputs = keras.Input((12, 10, 3))
    h = layers.BatchNormalization(name="stays")(inputs)
    for number, layer in enumerate(
        [
            layers.Conv2D(8, 3, use_bias=False),
            layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
            layers.SeparableConv2D(6, 3),
        ]
    ):
        h = layers.ReLU()(
            layers.BatchNormalization(name=f"goes_{number}", scale=number != 1, center=number != 2)(layer(h))
        )
    h = layers.Flatten()(h)
    h = layers.BatchNormalization(name="goes_3")(layers.Dense(7)(h))
    shared = layers.Dense(5, name="shared")
    h = layers.Add()([layers.BatchNormalization(name="reads_one_of_two")(shared(h)), shared(h)])
    return lively(keras.Model(inputs, layers.Dense(2)(h), name="every_kind"))


def test_batch_normalization_goes_where_it_can_and_the_function_stays():
    model = every_kind()
    before = [w.copy() for w in model.get_weights()]
    folded = micro.fold_batchnorm(model)
    assert norms_in(folded) == ["stays", "reads_one_of_two"]
    x = inputs_of(model)
    np.testing.assert_allclose(folded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-4)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


@given(graphs())
@settings(max_examples=15)
def test_random_graphs_fold_to_the_same_function(model):
    x = inputs_of(model)
    folded = micro.fold_batchnorm(model)
    assert not norms_in(folded)
    np.testing.assert_allclose(folded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-3, atol=1e-3)


def test_nested_and_sequential_models_fold():
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(5), layers.BatchNormalization()], name="inner")
    model = keras.Sequential([keras.Input((6,)), lively(inner), layers.Dense(3)])
    folded = micro.fold_batchnorm(model)
    assert not norms_in(folded.get_layer("inner"))
    x = inputs_of(model)
    np.testing.assert_allclose(folded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def uneven():
    """A depthwise net whose channels differ in range a hundredfold, as MobileNets' do."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 4))
    h = layers.Conv1D(16, 3, padding="same", name="a")(inputs)
    h = layers.ReLU()(layers.BatchNormalization()(h))
    h = layers.DepthwiseConv1D(3, padding="same", activation="relu", name="b")(h)
    h = layers.MaxPooling1D(2)(h)
    h = layers.SeparableConv1D(12, 3, activation="relu", name="c")(h)
    h = layers.Dense(8, activation="relu", name="d")(layers.Flatten()(h))
    model = lively(keras.Model(inputs, layers.Dense(4, name="e")(h), name="uneven"))
    factors = np.geomspace(0.02, 2.0, 16)
    first, second = model.get_layer("b"), model.get_layer("c")
    first.set_weights([first.get_weights()[0] * factors[:, None], first.get_weights()[1] * factors])
    second.set_weights([second.get_weights()[0] / factors[:, None], *second.get_weights()[1:]])
    return model


def test_equalised_kernels_share_their_range_and_the_function_stays():
    model = uneven()
    equal = micro.equalize(model)
    x = inputs_of(model, 200)
    np.testing.assert_allclose(equal.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-3, atol=1e-3)
    pairs = _pairs(equal, topology_of(equal))
    assert [(one.layer.name, other.layer.name) for one, other in pairs] == [
        *[("a", "b"), ("b", "c"), ("c", "c"), ("c", "d"), ("d", "e")]
    ]
    for one, other in pairs:
        made = one.largest_made()
        np.testing.assert_allclose(made, other.largest_taken(len(made)), rtol=0.01)


@pytest.mark.slow
def test_equalising_and_correcting_biases_help_where_one_scale_serves_a_kernel():
    model = uneven()
    x = inputs_of(model, 300)
    exact = model.predict(x, verbose=0)

    def error(candidate):
        return np.sqrt(np.mean((candidate.predict(x, verbose=0) - exact) ** 2))

    plain = quantize_aware(model, x, weights="per_tensor")
    equal = quantize_aware(micro.equalize(model), x, weights="per_tensor")
    assert error(equal) < 0.5 * error(plain)
    corrected = micro.correct_bias(plain, x)

    def bias(candidate):
        return np.abs(np.mean(candidate.predict(x, verbose=0) - exact, axis=0)).mean()

    assert bias(corrected) < 0.5 * bias(plain)
    assert error(corrected) < error(plain)


def test_what_cannot_be_equalised_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu6"), layers.Dense(2)], name="capped")
    with pytest.raises(ValueError, match="equalize: no two kernels of 'capped' have only ReLU, pooling or padding"):
        micro.equalize(model)
    aware = quantize_aware(model, np.random.default_rng(0).normal(size=(9, 4)))
    with pytest.raises(ValueError, match=r"must have shape \(n, 4\), got \(5, 3\)"):
        micro.correct_bias(aware, np.ones((5, 3)))
