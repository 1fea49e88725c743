"""Sample weights and masks of examples, positions and outputs: any shape, as Keras's own losses weigh."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops
from support import later

import keras_kd
from keras_kd.objectives.weighing import batch_mean


class Masked(layers.Layer):
    """Carries a mask with a tensor, as Embedding(mask_zero=True) does."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def call(self, x):
        return ops.copy(x)

    def compute_mask(self, x, previous_mask=None):
        return ops.convert_to_tensor(self.kept)


class ByPosition(keras_kd.Objective):
    """One value a position, and no thought of weights."""

    def compare(self, teacher, student, y=None):
        return ops.mean(ops.abs(teacher - student), axis=-1)


OBJECTIVES = {
    "soft": keras_kd.SoftTarget(2.0),
    "bernoulli": keras_kd.SoftTarget(2.0, form="bernoulli"),
    "standardized": keras_kd.SoftTarget(2.0, standardize=True),
    "logits": keras_kd.LogitMatching(),
    "reconstruction": keras_kd.Reconstruction(),
    "cosine": keras_kd.CosineHidden(),
    "keras loss": keras_kd.FromKeras(keras.losses.MeanAbsoluteError()),
    "keras function": keras_kd.FromKeras(keras.losses.mean_squared_error),
    "by position": ByPosition(),
}
# The batch is as large as an axis in most: there an axis taken for another is no error but a wrong number.
SHAPES = [(4, 4, 5, 3), (4, 4, 4, 4), (3, 5, 3, 3), (5, 5, 4), (4, 6, 3), (1, 4, 4, 3), (1, 1, 3), (6, 3)]


def expected(objective, t, s, weights=None, mask=None):
    """Keras's mean: sum of value * weight over all positions, over their number, or over the number that a mask keeps."""
    positions = t.shape[:-1]
    flat = objective(t.reshape(-1, t.shape[-1]), s.reshape(-1, t.shape[-1]))
    total, count = ops.convert_to_numpy(flat).reshape(positions).astype(float), np.prod(positions)
    if mask is not None:
        mask = np.broadcast_to(mask.reshape(*mask.shape, *[1] * (len(positions) - mask.ndim)), positions)
        total, count = total * mask, mask.sum()
    if weights is not None:
        total = total * weights.reshape(*weights.shape, *[1] * (len(positions) - weights.ndim))
    return total.sum() / max(count, 1)


@pytest.mark.parametrize("name", OBJECTIVES)
@given(
    shape=st.sampled_from(SHAPES),
    axes=st.integers(0, 3),
    masked=st.integers(0, 3),
    column=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=25)
def test_weights_and_masks_count_as_in_kerass_losses(name, shape, axes, masked, column, seed):
    """`axes` and `masked`: how many axes weights and mask have, 0 for none; `column`: weights with a last axis of 1."""
    rng = np.random.default_rng(seed)
    t, s = rng.normal(size=(2, *shape)).astype("float32")
    positions = shape[:-1]
    weights = rng.uniform(0, 2, positions[: min(axes, len(positions))]).astype("float32") if axes else None
    mask = rng.random(positions[: max(2, min(masked, len(positions)))]) > 0.4 if masked and len(positions) > 1 else None
    given = weights[..., None] if column and weights is not None else weights
    student = s if mask is None else Masked(mask)(ops.convert_to_tensor(s))
    found = batch_mean(OBJECTIVES[name], t, student, None, given)
    np.testing.assert_allclose(found, expected(OBJECTIVES[name], t, s, weights, mask), rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 4, 5, 3), (3, 4, 3)])
def test_a_hint_leaves_masked_positions_out_and_weighs_the_others(shape):
    rng = np.random.default_rng(0)
    t, s = rng.normal(size=(2, *shape)).astype("float32")
    positions = shape[:-1]
    weights, mask = rng.uniform(0, 2, positions).astype("float32"), rng.random(positions) > 0.3
    wild = Masked(mask)(ops.convert_to_tensor(np.where(mask[..., None], s, 1e3).astype("float32")))
    hint, information = keras_kd.Hint(), keras_kd.VariationalInformation(initial_variance=2.0)
    share = mask / mask.mean()
    found = batch_mean(hint, t, wild, None, weights)
    kernel, bias = hint.adapter_layer.get_weights()
    squares = np.mean((t - (s @ kernel + bias)) ** 2, -1)
    np.testing.assert_allclose(found, (squares * weights * share).mean(), rtol=1e-4)
    found = batch_mean(information, t, wild, None, weights)
    kernel, bias = information.adapter_layer.get_weights()
    values = np.mean((t - (s @ kernel + bias)) ** 2 / 4.0 + 0.5 * np.log(2.0), -1)
    np.testing.assert_allclose(found, (values * weights * share).mean(), rtol=1e-4)


def test_weights_of_a_map_follow_it_to_the_teachers_size():
    t, s = np.ones((2, 2, 2, 3), "float32"), np.ones((2, 4, 4, 3), "float32")
    weights = np.zeros((2, 4, 4), "float32")
    weights[:, :2, :2] = 1.0  # what covers the teacher's first position
    hint = keras_kd.Hint()
    every = ops.convert_to_numpy(hint(t, s))
    assert float(batch_mean(hint, t, s, None, weights)) == pytest.approx(every.mean() / 4, rel=1e-5)


@pytest.mark.parametrize(
    "objective", [keras_kd.AttentionTransfer(), ByPosition(teacher_layer=None), keras_kd.Reconstruction()]
)
def test_where_an_objective_has_other_positions_an_example_counts_by_its_mean_weight(objective):
    rng = np.random.default_rng(0)
    t, s = rng.normal(size=(2, 4, 3, 3, 2)).astype("float32")
    weights = rng.uniform(0, 2, (4, 7)).astype("float32")  # no axis of the layer's
    values = ops.convert_to_numpy(objective(t, s)).reshape(4, -1).mean(-1)
    found = batch_mean(objective, t, s, None, weights)
    assert float(found) == pytest.approx((values * weights.mean(1)).mean(), rel=1e-5)


# In a Distiller, beside what Keras makes of the same student, labels and weights


def images(batch):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(batch, 6, 5, 2)).astype("float32")
    return x, rng.integers(0, 3, (batch, 6, 5)), rng.uniform(0, 2, (batch, 6, 5)).astype("float32")


def segmenter(name):
    inputs = keras.Input((6, 5, 2))
    return keras.Model(
        inputs, layers.Conv2D(3, 1, name="head")(layers.Conv2D(4, 3, padding="same", name="body")(inputs)), name=name
    )


def evaluated(teacher, student, data, weights, objectives=None, batch=None):
    made = keras_kd.Distiller(teacher, student, objectives or [keras_kd.SoftTarget(2.0)])
    made.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = data
    return made.evaluate(x, y, sample_weight=weights, batch_size=batch or len(x), verbose=0, return_dict=True)


# Batches as long as an axis of the images and not; with an objective on a layer, one of each.
PIXELS = [(batch, axes, listening) for batch in (6, 5, 4, 1) for axes in (3, 2, 1) for listening in (False, True)]
QUICK = {(4, 3, True), (1, 1, True), *((batch, axes, False) for batch in (5, 4, 1) for axes in (3, 2, 1))}


@pytest.mark.parametrize(("batch", "axes", "listening"), [each if each in QUICK else later(*each) for each in PIXELS])
def test_per_pixel_weights_in_a_fit(batch, axes, listening):
    x, y, weights = images(batch)
    weights = weights.reshape(batch, -1)[:, 0] if axes == 1 else weights[(slice(None),) * axes + (0,) * (3 - axes)]
    teacher, student = segmenter("teacher"), segmenter("student")
    objectives = [keras_kd.SoftTarget(2.0)]
    if listening:
        objectives.append(keras_kd.Hint(0.1, teacher_layer="body", student_layer="body"))
    found = evaluated(teacher, student, (x, y), weights, objectives)
    t, s = teacher.predict(x, verbose=0), student.predict(x, verbose=0)
    assert found["soft_target"] == pytest.approx(expected(objectives[0], t, s, weights), rel=1e-4)
    log_q = s - np.log(np.exp(s).sum(-1, keepdims=True))
    values = -np.take_along_axis(log_q, y[..., None], -1)[..., 0]
    by_hand = (values * weights.reshape(*weights.shape, *[1] * (3 - weights.ndim))).mean()
    assert found["hard_loss"] == pytest.approx(by_hand, rel=1e-4)
    if axes == 3:
        student.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        alone = student.evaluate(x, y, sample_weight=weights, batch_size=batch, verbose=0)
        assert found["hard_loss"] == pytest.approx(alone, rel=1e-5)


def tagger(width, name):
    inputs = keras.Input((None,), dtype="int32")
    h = layers.Embedding(20, width, mask_zero=True, name="embed")(inputs)
    return keras.Model(inputs, layers.Dense(5, name="head")(h), name=name)


SEQUENCES = [(6, "position"), (6, "example"), (4, None), (1, "position")]


@pytest.mark.parametrize(
    ("batch", "kind", "policy"),
    [
        *((*each, "float32") for each in SEQUENCES),
        *((*SEQUENCES[0], policy) for policy in ("mixed_float16", "mixed_bfloat16", "float64")),
        *(later(*each, policy) for each in SEQUENCES[1:] for policy in ("mixed_float16", "mixed_bfloat16", "float64")),
    ],
)
def test_masked_sequences_with_weights_in_any_precision(batch, kind, policy):
    before = keras.mixed_precision.global_policy(), keras.config.floatx()
    keras.mixed_precision.set_global_policy(policy)
    if policy == "float64":
        keras.config.set_floatx("float64")
    try:
        rng = np.random.default_rng(batch)
        tokens = rng.integers(1, 20, (batch, 6))
        for row, length in zip(tokens, rng.integers(1, 7, batch)):
            row[length:] = 0
        weights = {
            None: None,
            "example": rng.uniform(0.5, 2, batch).astype("float32"),
            "position": rng.uniform(0.5, 2, (batch, 6)).astype("float32"),
        }[kind]
        y = rng.integers(0, 5, (batch, 6))
        teacher, student = tagger(8, "teacher"), tagger(4, "student")
        objectives = [keras_kd.SoftTarget(2.0), keras_kd.CosineHidden()]
        found = evaluated(teacher, student, (tokens, y), weights, objectives)
        t, s = (np.asarray(model.predict(tokens, verbose=0), "float32") for model in (teacher, student))
        close = {"mixed_float16": 5e-3, "mixed_bfloat16": 3e-2}.get(policy, 1e-4)
        for objective in objectives:
            assert found[objective.name] == pytest.approx(expected(objective, t, s, weights, tokens > 0), rel=close)
        if kind != "example":  # where Keras alone fails, or where batch and steps agree, is wrong
            student.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            alone = student.evaluate(tokens, y, sample_weight=weights, batch_size=batch, verbose=0)
            assert found["hard_loss"] == pytest.approx(alone, rel=close)
    finally:
        keras.mixed_precision.set_global_policy(before[0])
        keras.config.set_floatx(before[1])


def test_a_last_partial_batch_counts_by_its_examples():
    x, y, weights = images(7)
    teacher, student = segmenter("teacher"), segmenter("student")
    whole = evaluated(teacher, student, (x, y), weights)
    parts = evaluated(teacher, student, (x, y), weights, batch=3)
    assert parts == pytest.approx(whole, rel=1e-5)


class OwnLoss(keras.losses.Loss):
    """One value an image."""

    def call(self, y_true, y_pred):
        return ops.mean(ops.square(ops.mean(y_pred, axis=-1) - ops.cast(y_true, "float32")), axis=(1, 2))


def test_one_weight_an_image_fits_a_loss_of_one_value_an_image():
    x, y, _ = images(6)
    weights = np.arange(6, dtype="float32")
    student = segmenter("student")
    made = keras_kd.Distiller(segmenter("teacher"), student, [keras_kd.SoftTarget()])
    made.compile("sgd", OwnLoss())
    found = made.evaluate(x, y, sample_weight=weights, batch_size=6, verbose=0, return_dict=True)["hard_loss"]
    values = ops.convert_to_numpy(OwnLoss(reduction=None)(y, student(x)))
    assert found == pytest.approx((values * weights).mean(), rel=1e-5)


# Several outputs


def two_heads(units, name, kind):
    inputs = keras.Input((16,))
    h = layers.Dense(units, activation="relu", name="body")(inputs)
    heads = [layers.Dense(4, name="z_kind")(h), layers.Dense(3, activation="sigmoid", name="a_worn")(h)]
    if kind == "dict":
        return keras.Model(inputs, {"kind": heads[0], "worn": heads[1]}, name=name)
    return keras.Model(inputs, heads, name=name)


@pytest.mark.parametrize(
    ("outputs", "weights"),
    [
        ("dict", "dict"),
        ("list", "list"),
        ("list", "by name"),
        later("dict", "one"),
        ("list", "one"),
        later("dict", "part"),
    ],
)
def test_each_output_has_its_own_weights(outputs, weights, blobs):
    x = blobs[0][:24]
    rng = np.random.default_rng(0)
    y = [rng.integers(0, 4, 24), rng.integers(0, 2, (24, 3)).astype("float32")]
    given = [rng.uniform(0, 2, 24).astype("float32") for _ in range(2)]
    teacher, student = two_heads(12, "teacher", outputs), two_heads(6, "student", outputs)
    objectives = [keras_kd.SoftTarget(2.0), keras_kd.Hint(0.1, teacher_layer="body", student_layer="body")]
    made = keras_kd.Distiller(teacher, student, objectives)
    names = ("kind", "worn") if outputs == "dict" else ("z_kind", "a_worn")
    losses = [keras.losses.SparseCategoricalCrossentropy(from_logits=True), keras.losses.BinaryCrossentropy()]
    keyed = outputs == "dict" or weights == "by name"
    made.compile("sgd", dict(zip(names, losses)) if keyed else losses)
    labels = dict(zip(names, y)) if keyed else y
    passed = {
        "dict": dict(zip(names, given)),
        "list": given,
        "by name": dict(zip(names, given)),
        "one": given[0],
        "part": {names[0]: given[0], names[1]: np.ones(24, "float32")},
    }[weights]
    found = made.evaluate(x, labels, sample_weight=passed, batch_size=24, verbose=0, return_dict=True)
    used = {"one": [given[0]] * 2, "part": [given[0], np.ones(24)]}.get(weights, given)
    t, s = (model.predict(x, verbose=0) for model in (teacher, student))
    t, s = ([side["kind"], side["worn"]] if outputs == "dict" else side for side in (t, s))
    soft = [
        keras_kd.SoftTarget(2.0),
        keras_kd.SoftTarget(2.0, teacher_activation="sigmoid", student_activation="sigmoid"),
    ]
    by_hand = sum(
        (ops.convert_to_numpy(loss.call(ops.convert_to_tensor(truth), ops.convert_to_tensor(mine))) * weight).mean()
        for loss, truth, mine, weight in zip(losses, y, s, used)
    )
    assert found["hard_loss"] == pytest.approx(by_hand, rel=1e-4)
    for name, objective, theirs, mine, weight in zip(("z_kind", "a_worn"), soft, t, s, used):
        by_hand = (ops.convert_to_numpy(objective(theirs, mine)) * weight).mean()
        assert found[f"soft_target_{name}"] == pytest.approx(by_hand, rel=1e-4), name
    hint = made.objectives[-1]
    values = hint(*(ops.convert_to_numpy(model.get_layer("body")(x)) for model in (teacher, student)))
    by_hand = (ops.convert_to_numpy(values) * np.mean(used, axis=0)).mean()
    assert found["hint"] == pytest.approx(by_hand, rel=1e-4)


def test_labels_of_several_outputs_go_to_the_objective_on_each(blobs):
    x = blobs[0][:24]
    y = {"kind": np.arange(24) % 4, "worn": np.zeros((24, 3), "float32")}
    teacher, student = two_heads(12, "teacher", "dict"), two_heads(6, "student", "dict")
    made = keras_kd.Distiller(teacher, student, keras_kd.DecoupledKD(teacher_layer="z_kind", student_layer="z_kind"))
    made.compile("sgd")
    found = made.evaluate(x, y, batch_size=24, verbose=0, return_dict=True)["decoupled_kd"]
    t, s = (model.predict(x, verbose=0)["kind"] for model in (teacher, student))
    assert found == pytest.approx(float(np.mean(keras_kd.DecoupledKD()(t, s, y["kind"]))), rel=1e-4)
    with pytest.raises(ValueError, match="y has the keys 'sort'; the outputs of 'student' are 'kind', 'worn'"):
        made.compute_loss(x, {"sort": y["kind"]})


def test_a_dict_of_one_output_is_that_output(blobs):
    def single(units, name):
        inputs = keras.Input((16,))
        return keras.Model(inputs, {"kind": layers.Dense(4, name="out")(layers.Dense(units)(inputs))}, name=name)

    x, y = blobs
    made = keras_kd.Distiller(single(8, "teacher"), single(4, "student"), keras_kd.SoftTarget())
    made.compile("sgd", {"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True)})
    logs = made.fit(x, {"kind": y}, sample_weight={"kind": np.ones(len(y))}, verbose=0).history
    assert np.isfinite(logs["soft_target"]).all()
