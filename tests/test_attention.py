"""Objectives on attention layers beside formulas written from the papers in NumPy, pair of positions by pair."""

import keras
import numpy as np
import pytest
from keras import layers
from scipy import special
from support import gradient, later

import keras_kd
from keras_kd import schemes
from keras_kd.objectives.weighing import batch_mean

STEPS = 6
OBJECTIVES = {
    "scores": keras_kd.AttentionScores,
    "distribution": keras_kd.AttentionDistribution,
    "relation": lambda **more: keras_kd.AttentionRelation(relation_heads=4, **more),
    "values": lambda **more: keras_kd.AttentionRelation(relations=("value",), **more),
}


def encoder(heads, width, depth=2, causal=False, name="encoder", seed=0):
    keras.utils.set_random_seed(seed)
    return schemes.encoder(12, STEPS, width=width, depth=depth, heads=heads, causal=causal, name=name)


def tokens(count=5, seed=0):
    rng = np.random.default_rng(seed)
    text = rng.integers(1, 12, (count, STEPS))
    for row, length in zip(text, rng.integers(2, STEPS + 1, count)):
        row[length:] = 0
    return text


def projections(model, text, layer):
    """Queries, keys and values of one layer by its own weights: (n, steps, heads, size) each."""
    attention = model.get_layer(layer)
    given = keras.Model(model.inputs, model.get_layer(layer.replace("attention", "query")).output)
    h = given.predict(text, verbose=0).astype(float)
    found = []
    for dense in (attention.query_dense, attention.key_dense, attention.value_dense):
        kernel, bias = (np.asarray(w, float) for w in dense.get_weights())
        found.append(np.einsum("nsw,whd->nshd", h, kernel) + bias)
    return found


def scores(q, k):
    """One example and head after the other: list of (heads, steps, steps)."""
    return [[(q[n, :, h] @ k[n, :, h].T) / np.sqrt(q.shape[-1]) for h in range(q.shape[2])] for n in range(len(q))]


def resplit(x, heads):
    return x.reshape(*x.shape[:2], heads, -1)


def kl(t_row, s_row):
    p, q = special.log_softmax(t_row), special.log_softmax(s_row)
    return np.sum(np.exp(p) * (p - q))


def by_paper(kind, teacher, student, kept, causal):
    """Mean over the batch, from projections."""
    if kind in ("scores", "distribution"):
        pairs = [(scores(*teacher[:2]), scores(*student[:2]))]
    elif kind == "relation":
        pairs = [(scores(*[resplit(t, 4)] * 2), scores(*[resplit(s, 4)] * 2)) for t, s in zip(teacher, student)]
    else:
        heads = student[2].shape[2]
        pairs = [(scores(*[resplit(teacher[2], heads)] * 2), scores(*[resplit(student[2], heads)] * 2))]
    total = 0.0
    for theirs, mine in pairs:
        values = []
        for n in range(len(kept)):
            for i in np.flatnonzero(kept[n]):
                seen = [j for j in np.flatnonzero(kept[n]) if j <= i or not causal]
                by_head = [(t[i][seen], s[i][seen]) for t, s in zip(theirs[n], mine[n], strict=True)]
                if kind == "scores":
                    values += [(t - s) ** 2 for t, s in by_head]
                else:
                    values += [[kl(t, s)] for t, s in by_head]
        total += np.concatenate(values).mean()
    return total


# What runs each day; the others run nightly.
DAILY = {("scores", True), ("distribution", False)}


@pytest.mark.parametrize(
    ("kind", "causal"),
    [
        pytest.param(kind, causal, marks=[] if (kind, causal) in DAILY else pytest.mark.slow)
        for kind in OBJECTIVES
        for causal in (False, True)
    ],
)
@pytest.mark.parametrize("batch", [pytest.param(5, marks=pytest.mark.slow), STEPS])
def test_values_in_a_distiller_are_the_papers(kind, causal, batch):
    student_heads = 4 if kind in ("scores", "distribution") else 2
    teacher, student = encoder(4, 16, causal=causal, name="teacher"), encoder(student_heads, 8, causal=causal, seed=1)
    text = tokens(batch)
    objective = OBJECTIVES[kind](causal=causal, teacher_layer="block_1_attention", student_layer="block_0_attention")
    distiller = keras_kd.Distiller(teacher, student, [keras_kd.SoftTarget(2.0), objective])
    distiller.compile(keras.optimizers.Adam(1e-2))
    found = distiller.evaluate(text, batch_size=batch, verbose=0, return_dict=True)[objective.name]
    t, s = projections(teacher, text, "block_1_attention"), projections(student, text, "block_0_attention")
    assert found == pytest.approx(by_paper(kind, t, s, text > 0, causal), rel=1e-4)
    before = student.get_layer("block_0_attention").get_weights()
    values = distiller.fit(text, epochs=12, verbose=0).history[objective.name]
    assert values[-1] < values[0]
    changed = [not np.array_equal(a, b) for a, b in zip(before, student.get_layer("block_0_attention").get_weights())]
    assert any(changed)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_on_arrays_with_masks_and_weights_of_queries(kind):
    rng = np.random.default_rng(0)
    t, s = rng.normal(size=(3, 4, STEPS, 4, 8)), rng.normal(size=(3, 4, STEPS, 4, 8))
    mask = rng.random((4, STEPS)) > 0.3
    mask[:, 0] = True
    objective = OBJECTIVES[kind]()
    used = slice(0, 2) if kind in ("scores", "distribution") else slice(2, 3) if kind == "values" else slice(0, 3)
    found = keras.ops.convert_to_numpy(objective(tuple(t[used]), tuple(s[used]), mask=mask))
    assert found.shape == (4,)
    assert found.mean() == pytest.approx(by_paper(kind, list(t), list(s), mask, False), rel=1e-4)
    # What stands in the padding changes nothing, and gets no gradient.
    wild = np.where(mask[..., None, None], s, 50.0)
    again = keras.ops.convert_to_numpy(objective(tuple(t[used]), tuple(wild[used]), mask=mask))
    np.testing.assert_allclose(again, found, rtol=1e-4)
    slope = gradient(lambda x: objective(tuple(t[used]), tuple(x[i] for i in range(len(s[used]))), mask=mask), s[used])
    assert (slope[:, ~mask] == 0).all()
    assert np.abs(slope[:, mask]).max() > 1e-6
    # A query of weight 0 does not count, yet is looked at.
    weights = np.ones((4, STEPS), "float32")
    weights[:, 1:] = 0.0
    only = objective.value(tuple(t[used]), tuple(s[used]), position_weights=weights)
    slope = gradient(
        lambda x: objective.value(tuple(t[used]), tuple(x[i] for i in range(len(s[used]))), position_weights=weights),
        s[used],
    )
    assert np.isfinite(keras.ops.convert_to_numpy(only)).all()
    assert np.abs(slope[:, :, 1:]).max() > 1e-6
    np.testing.assert_allclose(objective(tuple(t[used]), tuple(t[used])), 0.0, atol=1e-6)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind == "relation" else pytest.mark.slow) for kind in OBJECTIVES]
)
def test_they_survive_saving(kind, tmp_path):
    teacher, student = encoder(2, 16, name="teacher"), encoder(2, 8)
    objective = OBJECTIVES[kind](
        causal=True,
        weight=keras_kd.Ramp(0.0, 1.0, 4),
        teacher_layer="block_1_attention",
        student_layer="block_0_attention",
    )
    distiller = keras_kd.Distiller(teacher, student, objective)
    distiller.compile("adam")
    text = tokens()
    distiller.fit(text, verbose=0)
    distiller.save(tmp_path / "d.keras")
    again = keras.saving.load_model(tmp_path / "d.keras")
    expected = distiller.evaluate(text, verbose=0, return_dict=True)
    assert again.evaluate(text, verbose=0, return_dict=True) == pytest.approx(expected, rel=1e-5)
    mine, its = distiller.objectives[0].get_config(), again.objectives[0].get_config()
    assert {k: v for k, v in mine.items() if k != "weight"} == {k: v for k, v in its.items() if k != "weight"}
    exported = keras.models.clone_model(student)
    assert exported.count_params() == student.count_params()


def nested(heads, name):
    inputs = keras.Input((None, 8))
    h = layers.MultiHeadAttention(heads, 4, name="attention")(inputs, inputs)
    inner = keras.Model(inputs, layers.LayerNormalization()(h), name="inner")
    outer = keras.Input((None, 8))
    return keras.Model(outer, layers.Dense(3)(inner(outer)), name=name)


@pytest.mark.parametrize("ref", [later("attention"), "inner/attention", later("layer"), "callable"])
def test_layers_in_nested_models_and_steps_of_unknown_number(ref):
    teacher, student = nested(3, "teacher"), nested(2, "student")

    def of(model):
        layer = model.get_layer("inner").get_layer("attention")
        return {"layer": layer, "callable": lambda m: m.get_layer("inner").get_layer("attention")}.get(ref, ref)

    objective = keras_kd.AttentionRelation(teacher_layer=of(teacher), student_layer=of(student))
    distiller = keras_kd.Distiller(teacher, student, objective)
    distiller.compile("sgd")
    x = np.random.default_rng(0).normal(size=(4, 5, 8)).astype("float32")
    assert distiller.fit(x, verbose=0).history["attention_relation"][0] > 0
    assert distiller.objectives[0].student_layer[0] == "inner/attention"


def test_tokens_without_a_label_are_still_looked_at():
    query, key = (np.random.default_rng(n).normal(size=(2, 3, 5, 2, 4)).astype("float32") for n in (0, 1))
    output = np.zeros((3, 5, 8), "float32")
    y = np.array([[1, -1, 2, -1, 3]] * 3)
    objective = keras_kd.AttentionDistribution()
    t, s = ((output, query[n], key[n]) for n in (0, 1))
    found = float(batch_mean(objective, t, s, y, ignored=-1))

    def scores(n):
        return np.einsum("bqhd,bkhd->bhqk", query[n], key[n]) / 2.0

    log_p, log_q = (special.log_softmax(scores(n), axis=-1) for n in (0, 1))  # over all keys
    by_query = (np.exp(log_p) * (log_p - log_q)).sum(-1).mean(1)
    assert found == pytest.approx(by_query[y >= 0].mean(), rel=1e-4)


def test_targets_of_attention_layers_can_be_recorded(tmp_path):
    teacher, student = encoder(2, 16, name="teacher"), encoder(2, 8)
    text = tokens(12)
    names = [f"block_1_attention{part}" for part in ("", "/query", "/key")]
    recorded = keras_kd.record(teacher, text, tmp_path / "r", layers=names)
    objective = keras_kd.AttentionScores(teacher_layer="block_1_attention", student_layer="block_0_attention")
    logs = []
    for source in (teacher, recorded):
        distiller = keras_kd.Distiller(source, student, objective)
        distiller.compile("adam")
        data = text if source is teacher else recorded.batches(text, batch_size=12, shuffle=False)
        logs.append(distiller.evaluate(data, batch_size=12 if source is teacher else None, verbose=0, return_dict=True))
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)


def grouped(name):
    inputs = keras.Input((5, 8))
    h = layers.GroupQueryAttention(4, 4, 2, name="attention")(inputs, inputs)
    return keras.Model(inputs, layers.Dense(3, name="head")(h), name=name)


def across(name):
    inputs, other = keras.Input((5, 8)), keras.Input((7, 8))
    h = layers.MultiHeadAttention(2, 4, name="attention")(inputs, other)
    return keras.Model([inputs, other], layers.Dense(3)(h), name=name)


def between(make, objective, layer="attention"):
    objective.teacher_layer = objective.student_layer = layer
    return keras_kd.Distiller(make("teacher"), make("student"), objective)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: between(grouped, keras_kd.AttentionScores()), "teacher layer 'attention' is a GroupedQueryAttention"),
        (
            lambda: between(grouped, keras_kd.AttentionRelation(), "head"),
            "teacher layer 'head' is a Dense; name a keras",
        ),
        (
            lambda: between(across, keras_kd.AttentionScores()),
            "compares self-attention, the teacher has 5 queries and 7 keys",
        ),
        (
            lambda: keras_kd.Distiller(
                encoder(2, 8),
                encoder(4, 8),
                keras_kd.AttentionScores(teacher_layer="block_0_attention", student_layer="block_0_attention"),
            ),
            "teacher has 2 heads, student has 4; head is compared with head, so take as many, or AttentionRelation",
        ),
        (
            lambda: keras_kd.Distiller(encoder(2, 8), encoder(2, 8), keras_kd.AttentionScores()),
            "name an attention layer by teacher_layer",
        ),
        (
            lambda: keras_kd.AttentionRelation(relations=("query", "mask")),
            "relations are some of 'query', 'key', 'value'",
        ),
        (lambda: keras_kd.AttentionRelation(relation_heads=0), "relation_heads must be at least 1"),
        (
            lambda: keras_kd.AttentionRelation(relation_heads=5)(np.ones((3, 2, 4, 2, 8)), np.ones((3, 2, 4, 2, 8))),
            "name an attention layer",
        ),
        (
            lambda: keras_kd.AttentionRelation(relation_heads=5)(
                tuple(np.ones((3, 2, 4, 2, 8))), tuple(np.ones((3, 2, 4, 2, 8)))
            ),
            "2 heads of 8 are 16 numbers, which 5 relation heads do not divide",
        ),
        (
            lambda: keras_kd.AttentionScores()(tuple(np.ones((2, 2, 4, 2, 8))), tuple(np.ones((2, 2, 5, 2, 8)))),
            "teacher has 4 positions, student has 5",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
