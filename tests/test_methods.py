"""The methods of 2017 to 2024 beside formulas written apart from the papers and their authors' code."""

import keras
import numpy as np
import pytest
from formulas import (
    channel_wise,
    finite_difference,
    gaussian,
    inter_channel,
    margin_relu,
    neuron_selectivity,
    simple_recipe,
    unit,
)
from keras import layers, ops
from scipy.special import log_softmax
from support import gradient

import keras_kd
from keras_kd.objectives.resizing import covering_matrix

MARGINS = (-0.7, -0.2, -1.5)
# Objective without an adapter, its formula on (teacher, student), and the number of axes of positions that it takes.
FORMULAS = {
    "channel wise": (keras_kd.ChannelWise(3.0, adapter=None), lambda t, s: channel_wise(t, s, 3.0), (1, 2, 3)),
    "inter-channel": (keras_kd.InterChannel(adapter=None), inter_channel, (1, 2, 3)),
    "neuron selectivity": (keras_kd.NeuronSelectivity(), neuron_selectivity, (1, 2, 3)),
    "simple recipe": (keras_kd.SimpleRecipe(adapter=None), simple_recipe, (0, 1, 2, 3)),
    "simple recipe, 1.5": (
        keras_kd.SimpleRecipe(power=1.5, adapter=None),
        lambda t, s: simple_recipe(t, s, 1.5),
        (0, 2),
    ),
    "margin relu": (
        keras_kd.MarginRelu(margins=MARGINS, adapter=None),
        lambda t, s: margin_relu(t, s, MARGINS),
        (0, 1, 2, 3),
    ),
    "hint": (keras_kd.Hint(adapter=None), lambda t, s: ((t - s) ** 2).reshape(len(t), -1).mean(-1), (0, 1, 2, 3)),
}
# Sizes in which the batch is as large as one of the axes of positions.
SIZES = {0: (5, 3), 1: (5, 5, 3), 2: (4, 4, 3, 3), 3: (3, 2, 3, 2, 3)}
CASES = [(name, axes) for name, (_, _, every) in FORMULAS.items() for axes in every]


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def value(objective, *arguments, **keywords):
    return ops.convert_to_numpy(objective(*arguments, **keywords))


@pytest.mark.parametrize(("name", "axes"), CASES)
def test_values_and_gradients_are_the_papers(name, axes):
    objective, formula, _ = FORMULAS[name]
    t, s = draw(axes, SIZES[axes], SIZES[axes])
    np.testing.assert_allclose(value(objective, t, s), formula(t, s), rtol=1e-4, atol=1e-5)
    found = gradient(lambda student: objective(t, student), s)
    np.testing.assert_allclose(found, finite_difference(lambda x: formula(t, x), s), rtol=5e-3, atol=2e-4)


@pytest.mark.parametrize("adapter", ["linear", "norm", "conv", "mlp", "as_needed", "own"])
@pytest.mark.parametrize("axes", SIZES)
def test_every_adapter_brings_the_students_channels_to_the_teachers(adapter, axes):
    t, s = draw(1, SIZES[axes], (*SIZES[axes][:-1], 2))
    own = layers.Dense(3, use_bias=False)
    objective = keras_kd.Hint(adapter=own if adapter == "own" else adapter)
    found = value(objective, t, s)
    adapted = ops.convert_to_numpy(objective.adapter_layer(ops.convert_to_tensor(s)))
    assert adapted.shape == t.shape
    np.testing.assert_allclose(found, ((t - adapted) ** 2).reshape(len(t), -1).mean(-1), rtol=1e-4)
    assert len(objective.adapter_layer.trainable_weights) == {"norm": 3, "conv": 3, "mlp": 4, "own": 1}.get(adapter, 2)


def test_an_adapter_of_ones_own_is_trained_and_kept():
    own = layers.Dense(6, name="own")
    own.build((None, 3))
    own.set_weights([np.full((3, 6), 0.5), np.zeros(6)])
    teacher = keras.Sequential([keras.Input((4,)), layers.Dense(6, name="body"), layers.Dense(3)])
    student = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="body"), layers.Dense(3)])
    twice = [keras_kd.Hint(adapter=own, teacher_layer="body", student_layer="body")] * 2
    distiller = keras_kd.Distiller(teacher, student, twice)
    assert distiller.objectives[0].adapter is own
    assert distiller.objectives[1].adapter is not own
    distiller.compile("sgd")
    distiller.fit(np.ones((8, 4)), verbose=0)
    assert not np.allclose(own.get_weights()[0], 0.5)
    assert not any("own" in weight.path for weight in student.weights)


@pytest.mark.parametrize("axes", [0, 2])
def test_masked_generation_masks_in_training_alone(axes):
    t, s = draw(2, SIZES[axes], (*SIZES[axes][:-1], 2))
    objective = keras_kd.MaskedGeneration(masked=0.5, seed=1)
    once, again = value(objective, t, s), value(objective, t, s)
    np.testing.assert_array_equal(once, again)
    training = objective.at(0, training=True)
    first, second = value(training, t, s), value(training, t, s)
    assert not np.allclose(first, second)
    assert not np.allclose(first, once)


def test_margins_follow_the_negative_responses():
    rng = np.random.default_rng(0)
    objective = keras_kd.MarginRelu(adapter=None)
    training = objective.at(0, training=True)
    batches = rng.normal(size=(6, 50, 2)) * [1.0, 2.0] + [0.0, 1.0]
    for batch in batches:
        value(training, batch, batch)
    seen = batches.reshape(-1, 2)
    expected = [column[column < 0].mean() for column in seen.T]
    margins = ops.convert_to_numpy(objective.negative_means.value(ops.zeros((1, 2)), keep=False))
    np.testing.assert_allclose(margins, expected, rtol=1e-5)
    norm = layers.BatchNormalization()
    norm.build((None, 2))
    norm.set_weights([np.array([1.0, -2.0]), np.array([0.0, 1.0]), np.zeros(2), np.ones(2)])
    many = rng.normal(size=(400_000, 2)) * [1.0, 2.0] + [0.0, 1.0]
    np.testing.assert_allclose(keras_kd.margins_of(norm), [c[c < 0].mean() for c in many.T], rtol=0.01)


def embedded(objective, t, s):
    found = []
    for x, layer in ((t, objective.embed_teacher), (s, objective.embed_student)):
        kernel, bias = layer.get_weights()
        found.append(unit(x.reshape(len(x), -1).astype(float) @ kernel + bias))
    return found


def test_a_queue_holds_the_teachers_last_embeddings():
    objective = keras_kd.InfoNCE(dimensions=4, temperature=0.5, queue=7)
    batches = [draw(seed, (4, 6), (4, 3)) for seed in range(3)]
    value(objective, *batches[0])
    training, past = objective.at(0, training=True), np.zeros((0, 4))
    for t, s in batches:
        a, b = embedded(objective, t, s)
        scores = np.concatenate([b @ a.T, b @ past.T], axis=1) / 0.5
        np.testing.assert_allclose(value(training, t, s), -np.diag(log_softmax(scores, axis=1)), rtol=1e-4)
        past = np.concatenate([a, past])[:7]
    rows, filled = objective.past.read()
    np.testing.assert_allclose(ops.convert_to_numpy(rows), past, atol=1e-6)
    assert ops.convert_to_numpy(filled).tolist() == [1.0] * 7
    # Outside training nothing is put in.
    value(objective, *batches[0])
    np.testing.assert_allclose(ops.convert_to_numpy(objective.past.read()[0]), past, atol=1e-6)


def test_contrastive_counts_the_queue_as_negatives():
    objective = keras_kd.Contrastive(dimensions=4, temperature=0.5, queue=6)
    (t0, s0), (t, s) = draw(0, (4, 6), (4, 3)), draw(1, (5, 6), (5, 3))
    value(objective, t0, s0)
    training = objective.at(0, training=True)
    value(training, t0, s0)
    past, b0 = embedded(objective, t0, s0)
    z = np.exp(b0 @ past.T / 0.5).mean()
    a, b = embedded(objective, t, s)
    expected = []
    for i in range(5):
        total = 0.0
        for j, other in enumerate([*a, *past]):
            p = np.exp(b[i] @ other / 0.5) / z
            h = p / (p + 8)
            total -= np.log(h) if j == i else np.log(1 - h)
        expected.append(total)
    np.testing.assert_allclose(value(training, t, s), expected, rtol=1e-4)


def test_review_is_the_authors_fusion():
    t = draw(0, (2, 6, 5), (2, 3, 4), (2, 3))
    s = draw(1, (2, 12, 2), (2, 4, 3), (2, 4))
    names = ("a", "b", "c")
    objective = keras_kd.ReviewKD(teacher_layer=names, student_layer=names)
    found = value(objective, t, s)
    rng = np.random.default_rng(2)
    for fusion in objective.fusions:
        fusion.set_weights([rng.normal(size=w.shape) * 0.5 if "gamma" not in n else w for n, w in named(fusion)])
    found = value(objective, t, s)

    def norm(x, layer):
        gamma, beta, mean, variance = (np.asarray(w) for w in layer.get_weights())
        return (x - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta

    def conv(x, layer):
        kernel = np.asarray(layer.get_weights()[0])
        bias = layer.get_weights()[1] if layer.use_bias else 0.0
        if kernel.ndim == 2:
            return x @ kernel + bias
        size = len(kernel)
        padded = np.pad(x, ((0, 0), (size // 2, size // 2), (0, 0)))
        return sum(padded[:, k : k + x.shape[1]] @ kernel[k] for k in range(size)) + bias

    def nearest(x, size):
        x = x[:, None] if x.ndim == 2 else x
        return x[:, [i * x.shape[1] // size for i in range(size)]]

    def averaged(x, size):
        return np.einsum("op,bpc->boc", covering_matrix(x.shape[1], size), x)

    total, before = 0.0, None
    for fusion, theirs, mine in zip(objective.fusions, t[::-1], s[::-1]):
        h = norm(conv(mine, fusion.enter), fusion.enter_norm)
        if before is not None:
            before = nearest(before, h.shape[1])
            shares = 1 / (1 + np.exp(-conv(np.concatenate([h, before], -1), fusion.attention)))
            h = h * shares[..., :1] + before * shares[..., 1:]
        before = nearest(h, theirs.shape[1]) if theirs.ndim == 3 else h
        guided = norm(conv(before, fusion.leave), fusion.leave_norm)
        parts, weights = [((theirs - guided) ** 2).reshape(2, -1).mean(-1)], [1.0]
        for size in (4, 2, 1):
            if theirs.ndim == 3 and size < theirs.shape[1]:
                parts.append(((averaged(theirs, size) - averaged(guided, size)) ** 2).reshape(2, -1).mean(-1))
                weights.append(weights[-1] / 2)
        total = total + sum(w * p for w, p in zip(weights, parts)) / sum(weights)
    np.testing.assert_allclose(found, total, rtol=1e-3)


def named(layer):
    return [(variable.path, ops.convert_to_numpy(variable)) for variable in layer.weights]


def test_factors_are_compared_at_length_one():
    teacher = keras.Sequential([keras.Input((9, 2)), layers.Conv1D(6, 3, padding="same", name="body")])
    x = draw(0, (16, 9, 2))[0]
    paraphraser = keras_kd.paraphraser(teacher, "body", x, epochs=2, verbose=0)
    assert paraphraser.output_shape == (None, 9, 3)
    objective = keras_kd.FactorTransfer(paraphraser)
    t, s = draw(1, (4, 9, 6), (4, 9, 2))
    found = value(objective, t, s)
    factors = [np.asarray(paraphraser(t)), np.asarray(objective.translator(ops.convert_to_tensor(s)))]
    a, b = (unit(side.reshape(4, -1)) for side in factors)
    np.testing.assert_allclose(found, np.abs(a - b).sum(-1) / np.sqrt(27), rtol=1e-4)
    before = [w.copy() for w in paraphraser.get_weights()]
    student = keras.Sequential([keras.Input((9, 2)), layers.Conv1D(2, 3, padding="same", name="body")])
    distiller = keras_kd.Distiller(
        teacher, student, [keras_kd.FactorTransfer(paraphraser, teacher_layer="body", student_layer="body")] * 2
    )
    distiller.compile("sgd")
    distiller.fit(x, verbose=0)
    for old, new in zip(before, paraphraser.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_a_paraphraser_is_saved_with_its_distiller(tmp_path):
    teacher = keras.Sequential([keras.Input((4,)), layers.Dense(6, name="body"), layers.Dense(3)])
    student = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="body"), layers.Dense(3)])
    x = draw(0, (16, 4))[0]
    paraphraser = keras_kd.paraphraser(teacher, "body", x, epochs=3, verbose=0)
    weight = keras_kd.Ramp(1.0, 2.0, 10)
    objective = keras_kd.FactorTransfer(paraphraser, weight, teacher_layer="body", student_layer="body")
    distiller = keras_kd.Distiller(teacher, student, [objective, objective])
    distiller.compile("sgd")
    distiller.fit(x, verbose=0)
    distiller.save(tmp_path / "it.keras")
    again = keras.saving.load_model(tmp_path / "it.keras")
    for old, new in zip(paraphraser.get_weights(), again.objectives[0].paraphraser.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert again.evaluate(x, verbose=0) == pytest.approx(distiller.evaluate(x, verbose=0), rel=1e-5)
    assert not any("paraphrase" in variable.path for variable in distiller.trainable_variables)


def test_another_training_begins_with_the_adapter_as_it_was():
    own = layers.Dense(3, use_bias=False)
    own.build((None, 2))
    objective = keras_kd.Hint(keras_kd.Ramp(0.0, 1.0, 5), adapter=own)
    other = objective.fresh()
    assert other.adapter is not own
    np.testing.assert_array_equal(other.adapter.get_weights()[0], own.get_weights()[0])
    assert objective.changed(name="again").adapter is own
    assert keras_kd.Hint(adapter=layers.Dense(3)).fresh().adapter.units == 3


def test_a_student_is_bounded_by_its_teacher():
    t, s, y = draw(3, (50, 2), (50, 2), (50, 2))
    errors = [((y - side) ** 2).mean(-1) for side in (t, s)]
    expected = np.where(errors[1] + 0.1 > errors[0], errors[1], 0.0)
    np.testing.assert_allclose(value(keras_kd.TeacherBounded(0.1), t, s, y), expected, rtol=1e-4)
    quantiles = np.array([0.1, 0.9])
    labels = y[:, :1]
    pinball = [np.maximum(quantiles * (labels - q), (quantiles - 1) * (labels - q)).mean(-1) for q in (t, s)]
    expected = np.where(pinball[1] > pinball[0], pinball[1], 0.0)
    objective = keras_kd.TeacherBounded(error="pinball", quantiles=quantiles)
    np.testing.assert_allclose(value(objective, t, s, labels[:, 0]), expected, rtol=1e-4)


def test_a_gaussian_target_is_the_divergence_of_two_normals():
    t, s = draw(4, (3, 4), (3, 4))
    expected = [[gaussian(a[k], a[k + 2], b[k], b[k + 2]) for k in range(2)] for a, b in zip(t, s)]
    np.testing.assert_allclose(value(keras_kd.GaussianTarget(), t, s), np.mean(expected, -1), rtol=1e-3)
    expected = [[gaussian(a[k], a[k + 2], b[k], a[k + 2]) for k in range(2)] for a, b in zip(t, s)]
    found = value(keras_kd.GaussianTarget(variance="teacher"), t, s[:, :2])
    np.testing.assert_allclose(found, np.mean(expected, -1), rtol=1e-3)


def test_boxes_count_where_the_teacher_sees_an_object():
    t, s = draw(5, (3, 4, 4, 6), (3, 4, 4, 6))
    seen = 1 / (1 + np.exp(-t[..., 4]))
    squares = ((t[..., :4] - s[..., :4]) ** 2).mean(-1)
    expected = (seen * squares).sum((1, 2)) / seen.sum((1, 2))
    np.testing.assert_allclose(value(keras_kd.ObjectnessScaled(range(4), 4), t, s), expected, rtol=1e-4)


@pytest.mark.parametrize("axes", SIZES)
@pytest.mark.parametrize(
    "objective",
    [keras_kd.SoftTarget(2.0, standardize=True), keras_kd.DecoupledKD(temperature=2.0), keras_kd.Dist(2.0, 3.0, 1.5)],
    ids=["standardized", "decoupled", "dist"],
)
def test_positions_count_as_examples_and_masked_ones_do_not(objective, axes):
    shape = SIZES[axes]
    t, s = draw(6, shape, shape)
    rng = np.random.default_rng(7)
    y, kept = rng.integers(0, 3, shape[:-1]), rng.random(shape[:-1]) > 0.3
    rows = objective(t[kept], s[kept], y[kept])
    found = objective(t, s, y, mask=kept)
    assert float(ops.mean(found)) == pytest.approx(float(ops.mean(rows)), rel=1e-4)
    slopes = gradient(lambda student: ops.mean(objective(t, student, y, mask=kept)), s)
    assert not slopes[~kept].any()
    assert np.abs(slopes[kept]).max() > 1e-6
    for labels in (y[..., None], np.eye(3)[y]):
        again = objective(t, s, labels, mask=kept)
        np.testing.assert_allclose(ops.convert_to_numpy(again), ops.convert_to_numpy(found), rtol=1e-6)


SCALE_FREE = {
    "hint": lambda: keras_kd.Hint(adapter=None),
    "cosine": keras_kd.CosineHidden,
    "attention": keras_kd.AttentionTransfer,
    "channel wise": lambda: keras_kd.ChannelWise(adapter=None),
    "neuron selectivity": keras_kd.NeuronSelectivity,
    "inter-channel": lambda: keras_kd.InterChannel(adapter=None),
    "simple recipe": lambda: keras_kd.SimpleRecipe(adapter=None),
    "margin relu": lambda: keras_kd.MarginRelu(adapter=None),
    "reconstruction": keras_kd.Reconstruction,
    "logits": keras_kd.LogitMatching,
    "bernoulli": lambda: keras_kd.SoftTarget(form="bernoulli"),
    "dist": keras_kd.Dist,
    "similarity": keras_kd.SimilarityPreserving,
    "congruence": keras_kd.CorrelationCongruence,
    "distance": keras_kd.RelationalDistance,
    "angle": keras_kd.RelationalAngle,
}
# Repeating channels makes classes equal, or lengthens what a temperature divides.
NOT_OF_WIDTH = {"dist", "channel wise"}
# Repeating positions spreads a channel's softmax over them and leaves its divergence as it is, so all others agree too.


@pytest.mark.parametrize("name", SCALE_FREE)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_weight_means_the_same_at_any_batch_size_and_width(name, axis):
    if axis == 2 and name in NOT_OF_WIDTH:
        pytest.skip("classes that are equal are another task")
    t, s = draw(8, (5, 6, 4), (5, 6, 4))
    wider = [np.repeat(side, 3, axis=axis) for side in (t, s)]
    found, again = (np.mean(value(SCALE_FREE[name](), *sides)) for sides in ((t, s), wider))
    # Of three equal examples, two are at distance zero and form no angle: relations of triplets see that.
    assert again == pytest.approx(
        found, rel=0.35 if (name, axis) in {("angle", 0), ("distance", 0)} else 1e-3, abs=1e-6
    )
