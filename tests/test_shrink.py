"""Structured pruning: the smaller model computes what the larger one does without the channels that left."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import keras_kd
import micro
from micro.compress.shrink import apply_shrink
from micro.keras_graph.channels import SEPARABLE


def silenced(model, plan):
    """The model with everything that leaves set to zero: what it adds to later layers is nothing."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in copy.layers:
        gone = np.isin(
            plan.channels.groups(plan.channels.outputs.get(layer.name, np.array([], int))), list(plan.removed)
        )
        if not layer.weights or not gone.any():
            continue
        weights = [w.copy() for w in layer.get_weights()]
        for number, weight in enumerate(weights):
            if isinstance(layer, layers.BatchNormalization):
                if number < 2:  # scale and shift
                    weight[gone] = 0
            elif isinstance(layer, (layers.DepthwiseConv1D, layers.DepthwiseConv2D)):
                weight.reshape(-1, len(gone))[:, gone] = 0
            elif not isinstance(layer, SEPARABLE) or number:
                weight[..., gone] = 0
        layer.set_weights(weights)
    return copy


def randomised(model, seed=0):
    """BatchNormalizations and biases that do something."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(
                [rng.uniform(0.2, 1.0, w.shape) * rng.choice([-1, 1], w.shape) for w in layer.get_weights()]
            )
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([np.abs(w) for w in layer.get_weights()])
    return model


def residual():
    inputs = keras.Input((12, 10, 3))
    h = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(inputs)
    h = layers.ReLU()(layers.BatchNormalization(name="stem_norm")(h))
    side = layers.Conv2D(8, 3, padding="same", name="side")(h)
    h = layers.ReLU()(layers.Add()([h, side]))
    h = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, name="depthwise")(h)
    h = layers.Conv2D(6, 1, activation="relu", name="point")(h)
    other = layers.SeparableConv2D(5, 3, padding="same", activation="relu", name="separable")(h)
    h = layers.Concatenate()([h, other])
    h = layers.MaxPooling2D()(h)
    h = layers.Flatten()(h)
    h = layers.Dense(9, activation="relu", name="hidden")(h)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="out")(h), name="residual")


def one_dimension():
    inputs = keras.Input((32, 2))
    h = layers.Conv1D(8, 5, strides=2, name="first")(inputs)
    h = layers.ReLU()(layers.BatchNormalization()(h))
    h = layers.SeparableConv1D(6, 3, depth_multiplier=2, activation="relu", name="second")(h)
    h = layers.DepthwiseConv1D(3, activation="relu")(h)
    h = layers.Reshape((10, 6))(h)
    h = layers.GlobalAveragePooling1D()(h)
    return keras.Model(inputs, layers.Dense(3, name="out")(h), name="one_dimension")


def sequential():
    return keras.Sequential([keras.Input((16,)), layers.Dense(20, "relu"), layers.Dense(10, "relu"), layers.Dense(16)])


def shared():
    one, other = keras.Input((6,)), keras.Input((6,))
    twin = layers.Dense(8, activation="relu", name="twin")
    h = layers.Subtract()([twin(one), twin(other)])
    return keras.Model([one, other], layers.Dense(2, name="out")(layers.ReLU()(h)), name="shared")


def inputs_of(model, count=7):
    rng = np.random.default_rng(1)
    drawn = [rng.normal(size=(count, *i.shape[1:])).astype("float32") for i in model.inputs]
    return drawn[0] if len(drawn) == 1 else drawn


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("make", [residual, one_dimension, sequential, shared])
def test_what_stays_computes_what_it_did(make, rate):
    model = randomised(make())
    before = [w.copy() for w in model.get_weights()]
    plan = micro.plan_shrink(model, rate)
    small = apply_shrink(model, plan)
    x = inputs_of(model)
    np.testing.assert_allclose(
        small.predict(x, verbose=0), silenced(model, plan).predict(x, verbose=0), rtol=1e-4, atol=1e-4
    )
    for name, (full, stay) in plan.widths.items():
        assert stay == full - min(int(rate * full + 1e-9), full - 1), name
        assert small.get_layer(name).output.shape[-1] == stay
    assert small.output_shape == model.output_shape
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)
    if rate == 0:
        assert small.count_params() == model.count_params()


@st.composite
def graphs(draw):
    """A random net of convolutions with branches that meet in Add or Concatenate, depthwise layers, strides and padding."""
    inputs = keras.Input((draw(st.sampled_from([8, 11])), 9, draw(st.integers(1, 3))))
    h = layers.Conv2D(draw(st.integers(2, 8)), 3, padding="same", activation="relu")(inputs)
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["conv", "depthwise", "separable", "add", "concatenate", "norm", "pool"]))
        width = draw(st.integers(2, 8))
        if kind == "conv":
            options = {"strides": draw(st.integers(1, 2)), "padding": draw(st.sampled_from(["same", "valid"]))}
            h = layers.Conv2D(width, draw(st.integers(1, 2)), activation="relu", **options)(h)
        elif kind == "depthwise":
            h = layers.DepthwiseConv2D(2, depth_multiplier=draw(st.integers(1, 2)), padding="same", activation="relu")(
                h
            )
        elif kind == "separable":
            h = layers.SeparableConv2D(width, 2, padding="same", activation="relu")(h)
        elif kind == "add":
            h = layers.ReLU()(layers.Add()([h, layers.Conv2D(h.shape[-1], 3, padding="same")(h)]))
        elif kind == "concatenate":
            h = layers.Concatenate()([layers.Conv2D(width, 1, activation="relu")(h), h])
        elif kind == "norm":
            h = layers.ReLU()(layers.BatchNormalization()(h))
        else:
            h = layers.MaxPooling2D(2, padding="same")(h)
    h = layers.Flatten()(h) if draw(st.booleans()) else layers.GlobalAveragePooling2D()(h)
    return keras.Model(inputs, layers.Dense(3)(h))


@pytest.mark.slow
@given(graphs(), st.sampled_from([0.0, 0.25, 0.5, 0.8]), st.integers(0, 99))
@settings(max_examples=30)
def test_random_graphs_shrink_to_what_stays(model, rate, seed):
    randomised(model, seed)
    plan = micro.plan_shrink(model, rate)
    x = inputs_of(model, 3)
    small, expected = apply_shrink(model, plan), silenced(model, plan).predict(x, verbose=0)
    scale = 1e-5 * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(small.predict(x, verbose=0), expected, rtol=1e-4, atol=scale)
    if rate == 0:
        np.testing.assert_allclose(small.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=scale)


def test_half_the_channels_save_most_of_the_work():
    inputs = keras.Input((32, 32, 1))
    h = inputs
    for number, width in enumerate((16, 32, 32)):
        h = layers.Conv2D(width, 3, strides=1 + number % 2, padding="same", activation="relu")(h)
    model = keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(h)))
    x = np.random.default_rng(0).normal(size=(40, 32, 32, 1)).astype("float32")
    before, after = (micro.measure(micro.convert(m, x)) for m in (model, micro.shrink(model, 0.5)))
    assert after.macs <= 0.4 * before.macs
    assert after.activation_bytes <= 0.6 * before.activation_bytes


def test_l1_and_gamma_and_taylor_find_the_channels_that_do_nothing(blobs):
    x, y = blobs
    inputs = keras.Input((16,))
    h = layers.Dense(12, use_bias=False, name="made")(inputs)
    h = layers.ReLU()(layers.BatchNormalization(name="norm")(h))
    model = keras.Model(inputs, layers.Dense(4, name="out")(h))
    idle = [1, 4, 7, 8, 9, 11]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kernel, (scale, *rest) = model.get_layer("made").get_weights()[0], model.get_layer("norm").get_weights()

    def without(layer, weights):
        for known in ("made", "norm"):
            model.get_layer(known).set_weights([kernel] if known == "made" else [scale, *rest])
        model.get_layer(layer).set_weights(weights)

    mask = np.isin(np.arange(12), idle)
    for criterion, layer, weights in (
        ("l1", "made", [np.where(mask, kernel * 0.01, kernel)]),
        ("gamma", "norm", [np.where(mask, 0.01, 1.0), *rest]),
        ("taylor", "norm", [np.where(mask, 0.0, 1.0), *rest]),
    ):
        without(layer, weights)
        plan = micro.plan_shrink(model, 0.5, criterion=criterion, x=x, y=y, loss=loss)
        gone = np.isin(plan.channels.groups(plan.channels.outputs["made"]), list(plan.removed))
        assert np.flatnonzero(gone).tolist() == idle, criterion


def test_in_steps_with_a_teacher(blobs):
    x, y = blobs
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher = keras.Sequential([keras.Input((16,)), layers.Dense(32, "relu", name="a"), layers.Dense(4, name="out")])
    teacher.compile(keras.optimizers.Adam(1e-2), loss)
    teacher.fit(x, y, epochs=5, verbose=0)
    widths = []

    def fine_tune(student):
        widths.append(student.get_layer("a").units)
        distiller = keras_kd.Distiller(teacher, student, [keras_kd.SoftTarget(2.0)])
        distiller.compile(keras.optimizers.Adam(1e-2), loss)
        distiller.fit(x, y, epochs=3, verbose=0)

    small = micro.shrink(teacher, 0.75, steps=3, fine_tune=fine_tune)
    assert widths == [24, 16, 8]
    assert (small.predict(x, verbose=0).argmax(1) == y).mean() > 0.9


def test_what_cannot_shrink_is_named_with_the_reason():
    inputs = keras.Input((10, 4))
    h = layers.Conv1D(8, 3, padding="same", name="conv")(inputs)
    h = layers.LayerNormalization(name="norm")(h)
    h = layers.Dense(6, activation="relu", name="hidden")(layers.GlobalAveragePooling1D()(h))
    model = keras.Model(inputs, layers.Dense(2, name="out")(h), name="mixed")
    plan = micro.plan_shrink(model, 0.5)
    assert plan.widths == {"hidden": (6, 3)}
    assert plan.left == {
        "conv": "goes through 'norm' (LayerNormalization), which is not known to keep channels apart",
        "out": "makes an output of the model",
    }
    with pytest.raises(ValueError, match="layer 'conv' cannot shrink: what it makes goes through 'norm'"):
        micro.shrink(model, 0.5, layers=["conv"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rate": 1.0}, r"rate must be in \[0, 1\), got 1.0"),
        ({"rate": -0.5}, r"rate must be in \[0, 1\)"),
        ({"rate": float("nan")}, r"rate must be in \[0, 1\)"),
        ({"layers": ["no such"]}, "'no such' of .* makes no channels; those that do: dense"),
        ({"criterion": "gamma"}, "needs a BatchNormalization with scale after"),
        ({"criterion": "taylor"}, "needs x, y and loss"),
        ({"criterion": "luck"}, "criterion must be"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        micro.shrink(sequential(), **{"rate": 0.5, **arguments})


def test_a_model_with_nothing_to_shrink_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="only")])
    with pytest.raises(ValueError, match=r"nothing in .* can shrink: 'only': what it makes makes an output"):
        micro.shrink(model, 0.5)
