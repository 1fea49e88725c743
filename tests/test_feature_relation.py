"""Feature, relation and further response objectives beside their papers' formulas, written independently in NumPy."""

import keras
import numpy as np
import pytest
from formulas import (
    attention,
    congruence,
    cosine,
    decoupled,
    dist,
    finite_difference,
    flow,
    probabilistic,
    rkd_angle,
    rkd_distance,
    similarity,
    standardized,
    unit,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy.special import softmax
from support import gradient

import keras_kd
from keras_kd.objectives.resizing import at_one_size, pooled


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


# Objective, its formula on (teacher, student), and the shapes of the two.
FORMULAS = {
    "dist": (keras_kd.Dist(1.5, 0.5, 2.0), lambda t, s: dist(t, s, 1.5, 0.5, 2.0), (7, 5), (7, 5)),
    "standardized": (keras_kd.SoftTarget(2.0, standardize=True), lambda t, s: standardized(t, s, 2.0), (6, 5), (6, 5)),
    "attention": (keras_kd.AttentionTransfer(), attention, (4, 5, 6, 3), (4, 5, 6, 2)),
    "attention 1-D": (keras_kd.AttentionTransfer(), attention, (4, 9, 3), (4, 9, 2)),
    "distance": (keras_kd.RelationalDistance(), rkd_distance, (6, 4), (6, 3, 2)),
    "angle": (keras_kd.RelationalAngle(), rkd_angle, (5, 4), (5, 3)),
    "similarity": (keras_kd.SimilarityPreserving(), similarity, (6, 4, 2), (6, 3)),
    "congruence": (keras_kd.CorrelationCongruence(), congruence, (6, 4), (6, 3)),
    "congruence 3": (
        keras_kd.CorrelationCongruence(gamma=0.2, order=3),
        lambda t, s: congruence(t, s, 0.2, 3),
        (6, 4),
        (6, 3),
    ),
    "probabilistic": (keras_kd.ProbabilisticTransfer(), probabilistic, (6, 4), (6, 3)),
    "cosine": (keras_kd.CosineHidden(), cosine, (3, 4, 5), (3, 4, 5)),
}


def gradient_of(objective, teacher, student, y=None):
    return gradient(lambda s: objective(teacher, s, y), student)


@pytest.mark.parametrize("name", FORMULAS)
@given(seed=st.integers(0, 10_000), batch=st.integers(3, 9))
@settings(max_examples=12)
def test_values_are_the_papers(name, seed, batch):
    objective, formula, t_shape, s_shape = FORMULAS[name]
    t, s = draw(seed, (batch, *t_shape[1:]), (batch, *s_shape[1:]))
    np.testing.assert_allclose(ops.convert_to_numpy(objective(t, s)), formula(t, s), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_gradients_are_the_formulas(name):
    objective, formula, t_shape, s_shape = FORMULAS[name]
    t, s = draw(11, t_shape, s_shape)
    np.testing.assert_allclose(
        gradient_of(objective, t, s), finite_difference(lambda x: formula(t, x), s), rtol=2e-3, atol=1e-5
    )


@given(
    seed=st.integers(0, 10_000),
    batch=st.integers(1, 8),
    classes=st.integers(2, 12),
    temperature=st.floats(0.5, 10),
    one_hot=st.booleans(),
)
@settings(max_examples=40)
def test_decoupled_kd_is_the_papers_formula(seed, batch, classes, temperature, one_hot):
    t, s = draw(seed, (batch, classes), (batch, classes))
    y = np.random.default_rng(seed).integers(0, classes, batch)
    objective = keras_kd.DecoupledKD(1.0, 8.0, temperature)
    expected = decoupled(t, s, y, 1.0, 8.0, temperature)
    got = objective(t, s, np.eye(classes)[y] if one_hot else y)
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, rtol=1e-4, atol=1e-5)


def test_decoupled_kd_with_beta_of_the_rest_is_soft_targets():
    # KL = TCKD + (1 - p_t) NCKD (equation 5): with one example the two agree for beta = 1 - p_t.
    t, s = draw(4, (1, 6), (1, 6))
    rest = 1 - softmax(t[0].astype(float) / 3.0)[2]
    decoupled_value = keras_kd.DecoupledKD(1.0, rest, 3.0)(t, s, np.array([2]))
    np.testing.assert_allclose(decoupled_value, keras_kd.SoftTarget(3.0)(t, s), rtol=1e-5)


def test_decoupled_kd_gradient():
    t, s = draw(5, (4, 6), (4, 6))
    y = np.array([0, 5, 2, 2])
    found = gradient_of(keras_kd.DecoupledKD(1.0, 8.0, 4.0), t, s, y)
    np.testing.assert_allclose(
        found, finite_difference(lambda x: decoupled(t, x, y, 1.0, 8.0, 4.0), s), rtol=1e-3, atol=1e-5
    )


@given(seed=st.integers(0, 10_000), pooled=st.booleans())
@settings(max_examples=15)
def test_flow_of_solution_is_the_papers_formula(seed, pooled):
    t1, t2, s1, s2 = draw(seed, (3, 4, 4, 2), (3, 4, 4, 5), (3, 8, 4, 2) if pooled else (3, 4, 4, 2), (3, 4, 4, 5))
    expected = flow((t1, t2), (s1.reshape(3, 4, 2, 4, 2).max(2) if pooled else s1, s2))
    got = keras_kd.FlowOfSolution()((t1, t2), (s1, s2))
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, rtol=1e-4, atol=1e-5)


@given(seed=st.integers(0, 10_000), shape=st.sampled_from([(3, 4), (3, 5, 4), (2, 3, 3, 4)]))
@settings(max_examples=15)
def test_hint_and_variational_information_are_the_papers_formulas(seed, shape):
    t, s = draw(seed, shape, (*shape[:-1], 2))
    hint = keras_kd.Hint()
    value = ops.convert_to_numpy(hint(t, s))
    kernel, bias = (w.astype(float) for w in hint.adapter_layer.get_weights())
    difference = (t - (s @ kernel + bias)).reshape(len(t), -1)
    np.testing.assert_allclose(value, np.mean(difference**2, -1), rtol=1e-4)
    information = keras_kd.VariationalInformation(initial_variance=2.0)
    value = ops.convert_to_numpy(information(t, s))
    kernel, bias = (w.astype(float) for w in information.adapter_layer.get_weights())
    squares = ((t - (s @ kernel + bias)) ** 2).reshape(len(t), -1)
    np.testing.assert_allclose(value, np.mean(0.5 * np.log(2.0) + squares / 4.0, -1), rtol=1e-4)


def embedded(objective, t, s):
    found = []
    for x, layer in ((t, objective.embed_teacher), (s, objective.embed_student)):
        kernel, bias = layer.get_weights()
        found.append(unit(x.reshape(len(x), -1).astype(float) @ kernel + bias))
    return found


def contrastive(t, s, temperature, data_set, z):
    """Equations 17 to 19 with P = exp(c / T) / Z, each pair by itself; t and s are embeddings of length 1."""
    batch = len(t)
    values = []
    for i in range(batch):
        value = 0.0
        for j in range(batch):
            p = np.exp(t[j] @ s[i] / temperature) / z
            h = p / (p + (batch - 1) / data_set)
            value -= np.log(h) if i == j else np.log(1 - h)
        values.append(value)
    return np.array(values)


@given(seed=st.integers(0, 10_000), batch=st.integers(2, 8), examples=st.sampled_from([None, 50, 1_000_000]))
@settings(max_examples=15)
def test_contrastive_is_the_papers_critic_over_the_authors_constant(seed, batch, examples):
    first_t, first_s, t, s = draw(seed, (batch, 5), (batch, 3), (batch + 1, 5), (batch + 1, 3))
    objective = keras_kd.Contrastive(dimensions=4, temperature=0.5, examples=examples)
    data_set = examples or batch

    def constant(t, s):
        a, b = embedded(objective, t, s)
        return data_set * np.exp(a @ b.T / 0.5).mean()

    # On arrays, Z is that of the batch at hand, however often it is called.
    for sides in ((first_t, first_s), (t, s), (first_t, first_s)):
        found = ops.convert_to_numpy(objective(*sides))
        expected = contrastive(*embedded(objective, *sides), 0.5, data_set, constant(*sides))
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    # In training the first batch's Z is kept, and used outside training from then on.
    z = constant(first_t, first_s)
    training = objective.at(0, training=True)
    for one, sides in ((training, (first_t, first_s)), (training, (t, s)), (objective, (t, s))):
        expected = contrastive(*embedded(objective, *sides), 0.5, data_set, z)
        np.testing.assert_allclose(ops.convert_to_numpy(one(*sides)), expected, rtol=1e-4)


def test_contrastive_temperatures_near_zero_stay_finite():
    t, s = draw(0, (6, 5), (6, 3))
    objective = keras_kd.Contrastive(dimensions=4, temperature=0.005)
    assert np.isfinite(ops.convert_to_numpy(objective(t, s))).all()
    assert np.isfinite(gradient_of(objective, t, s)).all()


def retrieval(objective, steps=150):
    """Share of 200 examples whose teacher embedding is nearest to their own student's, after training on 64 at a time."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 12)).astype("float32")
    inputs = keras.Input((12,))
    teacher = keras.Model(inputs, keras.layers.Dense(10, activation="tanh", name="feature")(inputs), name="teacher")
    body = keras.layers.Dense(24, activation="relu")(inputs)
    student = keras.Model(inputs, keras.layers.Dense(8, name="feature")(body), name="student")
    distiller = keras_kd.Distiller(teacher, student, [objective])
    distiller.compile(keras.optimizers.Adam(5e-3), jit_compile=False)
    for _ in range(steps):
        distiller.train_on_batch(x[rng.integers(0, 200, 64)])
    t, s = embedded(
        distiller.objectives[0], *(np.asarray(model.predict(x[:200], verbose=0)) for model in (teacher, student))
    )
    return np.mean((t @ s.T).argmax(1) == np.arange(200))


class InfoNCE(keras_kd.Contrastive):
    """Van den Oord et al. 2018, equation 4, on the same embeddings: the reference."""

    def compare(self, teacher, student, y=None):
        t, s = (
            x / ops.norm(x, axis=-1, keepdims=True) for x in (self.embed_teacher(teacher), self.embed_student(student))
        )
        return -ops.diagonal(ops.log_softmax(ops.matmul(t, ops.transpose(s)) / self.temperature, axis=-1))


@pytest.fixture(scope="module")
def reference_retrieval():
    keras.utils.set_random_seed(0)
    return retrieval(InfoNCE(dimensions=16))


@pytest.mark.parametrize("examples", [500, 60_000, 1_000_000])
def test_retrieval_does_not_fall_as_the_data_set_grows(examples, reference_retrieval):
    found = retrieval(keras_kd.Contrastive(dimensions=16, examples=examples))
    assert reference_retrieval > 0.8
    assert found > reference_retrieval - 0.1


def everything():
    flat = [
        keras_kd.SoftTarget(4.0, standardize=True),
        keras_kd.DecoupledKD(),
        keras_kd.Dist(),
        keras_kd.Hint(),
        keras_kd.VariationalInformation(),
        keras_kd.CosineHidden(),
        keras_kd.RelationalDistance(),
        keras_kd.RelationalAngle(),
        keras_kd.SimilarityPreserving(),
        keras_kd.CorrelationCongruence(),
        keras_kd.ProbabilisticTransfer(),
        keras_kd.Contrastive(dimensions=3),
    ]
    flat += [
        keras_kd.SimpleRecipe(),
        keras_kd.MarginRelu(),
        keras_kd.MaskedGeneration(),
        keras_kd.InfoNCE(dimensions=3),
    ]
    flat += [
        keras_kd.Contrastive(dimensions=3, queue=6, name="queued"),
        keras_kd.TeacherBounded(),
        keras_kd.GaussianTarget(),
    ]
    maps = [keras_kd.AttentionTransfer(), keras_kd.Hint(), keras_kd.VariationalInformation(), keras_kd.ChannelWise()]
    maps += [keras_kd.InterChannel(), keras_kd.NeuronSelectivity(), keras_kd.MaskedGeneration(), keras_kd.MarginRelu()]
    maps += [keras_kd.ObjectnessScaled((0, 1), 2), keras_kd.SimpleRecipe(), keras_kd.SoftTarget(), keras_kd.Dist()]
    return [*((o, (6,)) for o in flat), *((o, (4, 4, 3)) for o in maps)]


@pytest.mark.parametrize(("objective", "shape"), everything(), ids=lambda v: getattr(v, "name", str(v)))
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("kind", ["zeros", "equal", "random"])
def test_degenerate_batches_give_finite_values_and_gradients(objective, shape, batch, kind):
    t, s = draw(1, (batch, *shape), (batch, *shape))
    if kind != "random":
        t, s = np.full_like(t, 0.0 if kind == "zeros" else 1.5), np.full_like(s, 0.0 if kind == "zeros" else 1.5)
    y = np.zeros(batch, int)
    assert np.isfinite(ops.convert_to_numpy(objective(t, s, y))).all()
    assert np.isfinite(gradient_of(objective, t, s, y)).all()


OF_ANY_SIZE = [
    keras_kd.AttentionTransfer,
    keras_kd.Hint,
    keras_kd.VariationalInformation,
    keras_kd.MarginRelu,
    keras_kd.InterChannel,
    keras_kd.NeuronSelectivity,
]


@pytest.mark.parametrize("student_map", [(2, 5, 4, 2), (2, 20, 16, 2), (2, 13, 3, 2), (2, 7, 8, 2), (2, 1, 31, 2)])
@pytest.mark.parametrize("rank", [3, 4])
@pytest.mark.parametrize("objective", OF_ANY_SIZE, ids=lambda kind: kind.__name__)
def test_every_position_of_a_map_of_another_size_is_taught(objective, student_map, rank):
    t, s = draw(0, (2, 10, 8, 3), student_map)
    if rank == 3:
        t, s = t[:, :, 0], s[:, :, 0]
    objective = objective()
    if s.shape[1:-1] == (1,) and isinstance(objective, keras_kd.AttentionTransfer | keras_kd.NeuronSelectivity):
        with pytest.raises(ValueError, match="a map of one position"):
            objective(t, s)
        return
    assert objective(t, s).shape == (2,)
    slopes = gradient_of(objective, t, s)
    assert (np.abs(slopes).sum(-1) > 0).all()


def test_two_maps_meet_at_the_smaller_size_of_each_axis():
    t, s = draw(0, (2, 9, 4, 3), (2, 3, 8, 2))
    theirs, mine = (ops.convert_to_numpy(side) for side in at_one_size(t, s))
    np.testing.assert_allclose(theirs, t.reshape(2, 3, 3, 4, 3).mean(2), atol=1e-6)
    np.testing.assert_allclose(mine, s.reshape(2, 3, 4, 2, 2).mean(3), atol=1e-6)


def test_smaller_maps_are_means_of_what_they_cover():
    (x,) = draw(0, (2, 12, 6, 3))
    found = ops.convert_to_numpy(pooled(x, (4, 3)))
    np.testing.assert_allclose(found, x.reshape(2, 4, 3, 3, 2, 3).mean(axis=(2, 4)), atol=1e-6)
    # Five positions on three, as PyTorch's adaptive_avg_pool: windows from floor(5 n / 3) to ceil(5 (n + 1) / 3).
    (line,) = draw(1, (1, 5, 1))
    a, b, c, d, e = line[0, :, 0]
    expected = [(a + b) / 2, (b + c + d) / 3, (d + e) / 2]
    np.testing.assert_allclose(ops.convert_to_numpy(pooled(line, (3,)))[0, :, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        keras_kd.DecoupledKD(2.0, 3.0, 4.0, 0.5),
        keras_kd.Dist(1.0, 2.0, 3.0, name="ranks"),
        keras_kd.SoftTarget(
            keras_kd.Ramp(8.0, 1.0, 100), keras_kd.Ramp(0.1, 0.9, 10, shape="cosine"), standardize=True
        ),
        keras_kd.Hint(0.1, teacher_layer="a", student_layer="b"),
        keras_kd.VariationalInformation(initial_variance=3.0),
        keras_kd.FlowOfSolution(teacher_layer=("a", "b"), student_layer=("c", "d")),
        keras_kd.CorrelationCongruence(gamma=0.2, order=3),
        keras_kd.Contrastive(dimensions=8, temperature=0.1, examples=100, queue=7),
        keras_kd.Hint(adapter=None, ignore_class=-1, name="plain_hint"),
        keras_kd.Hint(adapter=keras.layers.Dense(3), name="own_adapter"),
        keras_kd.MarginRelu(margins=(-1.0, -0.5)),
        keras_kd.MaskedGeneration(masked=0.2, seed=3),
        keras_kd.ChannelWise(2.0, 0.5, adapter="mlp"),
        keras_kd.ReviewKD(middle=8, teacher_layer=("a", "b"), student_layer=("c", "d")),
        keras_kd.InfoNCE(queue=5),
        keras_kd.TeacherBounded(0.1, error="pinball", quantiles=(0.1, 0.9)),
        keras_kd.GaussianTarget(variance="teacher"),
        keras_kd.ObjectnessScaled((0, 1), 2, from_logits=False),
        keras_kd.SimpleRecipe(power=3.0),
        keras_kd.FromKeras(
            keras.distillation.LogitsDistillation(temperature=2.0, loss=keras.losses.KLDivergence()), 0.3
        ),
    ],
    ids=lambda o: o.name,
)
def test_every_objective_round_trips(objective):
    config = keras.saving.serialize_keras_object(objective)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(objective)
    assert keras.saving.serialize_keras_object(again) == config


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_a_ramp_goes_from_start_to_end(shape):
    ramp = keras_kd.Ramp(8.0, 2.0, 10, begin=5, shape=shape)
    values = [float(ramp(step)) for step in range(30)]
    assert values[:6] == [8.0] * 6
    assert values[10] == pytest.approx(5.0)
    assert values[15:] == pytest.approx([2.0] * 15)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: keras_kd.DecoupledKD(alpha=-1.0), "alpha must be at least 0"),
        (lambda: keras_kd.Dist(temperature=0.0), "temperature must be above 0"),
        (lambda: keras_kd.Dist(teacher_activation="sigmoid"), "must be one of linear, softmax"),
        (lambda: keras_kd.SoftTarget(standardize=True, form="bernoulli"), "standardize is for the categorical form"),
        (lambda: keras_kd.SoftTarget(keras_kd.Ramp(1.0, 0.0, 5)), "temperature at its end must be above 0"),
        (lambda: keras_kd.Ramp(1.0, float("nan"), 5), "end must be finite"),
        (lambda: keras_kd.Ramp(1.0, 0.5, 0), "steps must be at least 1"),
        (lambda: keras_kd.Contrastive(temperature=-1.0), "temperature must be above 0"),
        (lambda: keras_kd.FromKeras("mse"), "got 'mse'; pass an object such as keras.losses.MeanSquaredError"),
        (lambda: keras_kd.FromKeras(keras.losses.Huber), "got the class Huber; write Huber"),
        (lambda: keras_kd.Contrastive(dimensions=1), "dimensions must be at least 2"),
        (lambda: keras_kd.InfoNCE(queue=-1), "objective InfoNCE: queue must be at least 0"),
        (lambda: keras_kd.Hint(adapter="dense"), "adapter must be 'linear', 'norm', 'conv', 'mlp', 'as_needed'"),
        (
            lambda: keras_kd.Hint(adapter=None)(np.ones((2, 3)), np.ones((2, 4))),
            "3 channels, the student 4; pass adapter",
        ),
        (
            lambda: keras_kd.Hint(adapter=keras.layers.Dense(5))(np.ones((2, 3)), np.ones((2, 4))),
            "gives 5 channels, the",
        ),
        (lambda: keras_kd.Hint(ignore_class="none"), "ignore_class must be a label, 'loss' or None"),
        (lambda: keras_kd.MarginRelu(margins=[0.5]), "at most 0"),
        (lambda: keras_kd.MarginRelu(margins=[-0.5])(np.ones((2, 3)), np.ones((2, 4))), "1 margins for 3 channels"),
        (lambda: keras_kd.margins_of(keras.layers.Dense(2)), "takes a built BatchNormalization"),
        (lambda: keras_kd.ReviewKD(teacher_layer="a", student_layer=("a", "b")), "name at least two layers"),
        (
            lambda: keras_kd.ReviewKD(teacher_layer=("a", "b"), student_layer=("a", "b", "c")),
            "2 layers of the teacher for 3",
        ),
        (lambda: keras_kd.MaskedGeneration(masked=1.0), "masked must be at most"),
        (lambda: keras_kd.FactorTransfer(None), "paraphraser must be a trained Keras model"),
        (lambda: keras_kd.TeacherBounded(error="pinball"), "quantiles go with error='pinball'"),
        (lambda: keras_kd.TeacherBounded(error="huber"), "error must be 'squared', 'absolute', 'pinball'"),
        (lambda: keras_kd.GaussianTarget()(np.ones((2, 3)), np.ones((2, 3))), "an even number"),
        (lambda: keras_kd.ObjectnessScaled((0, 1), 1), "objectness another one"),
        (lambda: keras_kd.ChannelWise()(np.ones((2, 1, 3)), np.ones((2, 4, 3))), "a map of one position"),
        (lambda: keras_kd.InterChannel()(np.ones((2, 4, 1)), np.ones((2, 4, 3))), "a single channel"),
        (lambda: keras_kd.AttentionTransfer()(np.ones((2, 3)), np.ones((2, 3))), "name a layer before pooling"),
        (lambda: keras_kd.Hint()(np.ones((2, 3)), np.ones((2, 3, 3))), "the ranks must agree"),
        (lambda: keras_kd.DecoupledKD()(np.ones((2, 3)), np.ones((2, 3))), "needs labels: pass y"),
        (lambda: keras_kd.FlowOfSolution()(np.ones((2, 3, 3)), np.ones((2, 3, 3))), "must be a pair of layers"),
        (lambda: keras_kd.CosineHidden()(np.ones((2, 3)), np.ones((2, 4))), "must have the same shape"),
    ],
)
def test_bad_arguments_say_what_is_wrong(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_masked_positions_do_not_count_and_the_mean_is_over_those_kept():
    t, s = draw(2, (3, 4, 5), (3, 4, 5))
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], "float32")
    objective = keras_kd.SoftTarget(2.0)
    values = ops.convert_to_numpy(objective(t, s, mask=mask))
    by_position = ops.convert_to_numpy(objective(t.reshape(12, 5), s.reshape(12, 5)))
    assert values.mean() == pytest.approx(by_position[mask.ravel() > 0].mean(), rel=1e-5)
    assert values[2] == 0
    wild = np.where(mask[:, :, None] > 0, s, 100.0).astype("float32")
    np.testing.assert_allclose(ops.convert_to_numpy(objective(t, wild, mask=mask)), values, rtol=1e-6)
    for other in (keras_kd.CosineHidden(), keras_kd.SimilarityPreserving()):
        np.testing.assert_allclose(
            ops.convert_to_numpy(other(t, wild, mask=mask)), ops.convert_to_numpy(other(t, s, mask=mask)), rtol=1e-5
        )
