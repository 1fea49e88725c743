"""Writing with cached keys and values, and distillation on what the student writes."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import special
from support import later

import keras_kd
from keras_kd import schemes
from keras_kd.schemes import decoding

VOCABULARY, LENGTH = 9, 7


def encoder(width=16, heads=2, depth=2, length=LENGTH, name="encoder", seed=0):
    keras.utils.set_random_seed(seed)
    return schemes.encoder(VOCABULARY, length, width=width, depth=depth, heads=heads, causal=True, name=name)


def recurrent(units=8, name="recurrent"):
    tokens = keras.Input((None,), dtype="int32")
    h = layers.GRU(units, return_sequences=True)(layers.Embedding(VOCABULARY, units)(tokens))
    return keras.Model(tokens, layers.Dense(VOCABULARY)(h), name=name)


def compile_it(model):
    model.compile(keras.optimizers.Adam(1e-2))


def prompts(count=6, size=2, seed=0):
    return np.random.default_rng(seed).integers(1, VOCABULARY, (count, size))


@pytest.mark.parametrize(
    ("width", "heads", "depth", "length"), [(8, 1, 1, 5), (12, 3, 2, 7), (16, 4, 3, 2), (6, 2, 1, 7)]
)
@pytest.mark.parametrize("shorter", [0, 1])
def test_cached_logits_are_those_of_the_whole_text(width, heads, depth, length, shorter):
    model = encoder(width, heads, depth, length)
    text = prompts(length, length)  # as many rows as positions
    whole = ops.convert_to_numpy(model(text))
    caches = decoding.empty_caches(model, length, length - shorter)
    for position in range(length - shorter):
        token = ops.convert_to_tensor(text[:, position], dtype="int32")
        logits, caches = decoding.next_logits(model, token, position, caches)
        np.testing.assert_allclose(ops.convert_to_numpy(logits), whole[:, position], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", [later("mixed_bfloat16"), "mixed_float16"])
def test_cached_logits_in_mixed_precision(policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        model, text = encoder(), prompts(4, LENGTH)
        whole = np.asarray(ops.cast(model(text), "float32"))
        caches = decoding.empty_caches(model, 4, LENGTH)
        for position in range(LENGTH):
            token = ops.convert_to_tensor(text[:, position], dtype="int32")
            logits, caches = decoding.next_logits(model, token, position, caches)
            np.testing.assert_allclose(np.asarray(ops.cast(logits, "float32")), whole[:, position], atol=0.1)
        assert schemes.generate(model, text[:, :2], length=LENGTH).min() > 0
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize(
    "settings",
    [later({}), later({"end": 3}), {"end": 2, "top_k": 3, "temperature": 0.5}],
    ids=["all", "end", "top"],
)
def test_both_ways_of_writing_write_the_same(settings, monkeypatch):
    model = encoder()
    given = prompts(12, 3)
    given[::3, 1:], given[1::3, 2:] = 0, 0  # shorter prompts
    fast = schemes.generate(model, given, length=LENGTH, seed=4, **settings)
    np.testing.assert_array_equal(fast, schemes.generate(model, given, length=LENGTH, seed=4, **settings))
    assert (fast != schemes.generate(model, given, length=LENGTH, seed=5, **settings)).any()
    monkeypatch.setattr(decoding, "is_causal_encoder", lambda model: False)
    np.testing.assert_array_equal(fast, schemes.generate(model, given, length=LENGTH, seed=4, **settings))
    assert ((fast == given[:, :1].repeat(LENGTH, 1)) | (given[:, :1] > 0)).all()
    np.testing.assert_array_equal(np.where(given > 0, fast[:, :3], 0), given)
    for text, prompt in zip(fast, given):
        rest = text[(prompt > 0).sum() :]
        ends = np.flatnonzero(rest == settings.get("end", -1))
        written = rest[: ends[0] + 1] if len(ends) else rest
        assert (written > 0).all(), "padding is never written"
        assert (rest[len(written) :] == 0).all(), "nothing follows the end"


@pytest.mark.parametrize(
    ("make", "temperature", "top_k"),
    [(encoder, 0.6, 4), (recurrent, 1.0, None), later(encoder, 1.0, None), later(recurrent, 0.6, 4)],
)
def test_samples_follow_the_model(make, temperature, top_k):
    model, count = make(), 3000
    model.set_weights([w * 4.0 for w in model.get_weights()])
    prompt = np.array([[4, 2, 5]])
    logits = ops.convert_to_numpy(model(np.pad(prompt, ((0, 0), (0, LENGTH - 3)))))[0, 2].astype(float) / temperature
    logits[0] = -np.inf
    if top_k:
        logits[logits < np.sort(logits)[-top_k]] = -np.inf
    expected = special.softmax(logits) * count
    found = np.bincount(
        schemes.generate(
            model,
            prompt.repeat(count, 0),
            length=LENGTH if make is recurrent else 4,
            temperature=temperature,
            top_k=top_k,
        )[:, 3],
        minlength=VOCABULARY,
    )
    possible = expected > 0
    assert found[~possible].sum() == 0
    assert np.ptp(expected[possible]) > 100, "a model that prefers some tokens"
    chi_squared = np.sum((found - expected)[possible] ** 2 / expected[possible])
    assert chi_squared < 40  # 7 degrees of freedom or fewer: one in a million of right samplers


def test_drawing_is_the_inverse_of_the_summed_probabilities():
    logits = np.log(np.array([[0.5, 0.1, 0.2, 0.2]] * 6, "float32"))
    chances = np.array([0.0, 0.19, 0.21, 0.59, 0.61, 1.0], "float32")
    np.testing.assert_array_equal(decoding.drawn(logits, chances, None), [1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(decoding.drawn(logits, chances, 2), [2, 2, 2, 3, 3, 3])


def written_positions(text, prompt_lengths):
    follows = np.concatenate([text[:, 1:], np.zeros((len(text), 1), int)], 1)
    return (np.arange(1, text.shape[1] + 1) >= prompt_lengths[:, None]) & (follows > 0)


@pytest.mark.parametrize("make", [encoder, recurrent], ids=["masked", "unmasked"])
def test_the_loss_is_the_mean_over_what_was_written(make):
    teacher, student = encoder(24, name="teacher", seed=2), make()
    given = prompts(8, 3)
    given[::2, 1:] = 0
    texts = schemes.generate(teacher, given, length=LENGTH, end=4, seed=1)
    assert (texts[:, -1] == 0).any()
    step = schemes.on_policy(
        teacher,
        student,
        given,
        length=LENGTH,
        texts=texts,
        student_fraction=0.0,
        batch_size=8,
        compile=lambda distiller: distiller.compile(keras.optimizers.SGD(0.0)),
        objectives=keras_kd.Divergence("reverse"),
    )
    t, s = (ops.convert_to_numpy(model(texts)).astype(float) for model in (teacher, student))
    p, q = special.log_softmax(t, -1), special.log_softmax(s, -1)
    values = np.sum(np.exp(q) * (q - p), -1)
    counts = written_positions(texts, (given > 0).sum(1))
    assert step.history["divergence"] == pytest.approx([values[counts].mean()], rel=1e-4)
    assert step.history["student_fraction"] == [0.0]


@pytest.mark.slow
def test_the_student_learns_on_its_own_texts_and_the_same_seed_trains_the_same():
    teacher = encoder(24, name="teacher", seed=2)
    teacher.set_weights([w * 2.0 for w in teacher.get_weights()])
    before = teacher.get_weights()
    given = prompts(48)
    ends = []
    for _ in range(2):
        student = encoder()
        step = schemes.on_policy(
            teacher, student, given, length=LENGTH, end=4, rounds=10, batch_size=16, compile=compile_it, seed=3
        )
        ends.append(student.get_weights())
    assert step.model is student
    assert step.history["divergence"][-1] < 0.75 * step.history["divergence"][0]
    assert step.history["student_fraction"] == [1.0] * 10
    for mine, its in zip(*ends):
        np.testing.assert_allclose(mine, its, atol=1e-6)
    for mine, its in zip(before, teacher.get_weights()):
        np.testing.assert_array_equal(mine, its)


def test_schedules_and_callbacks_act_as_in_a_fit():
    teacher, student = encoder(24, name="teacher", seed=2), encoder()
    made = []

    def compile_and_keep(distiller):
        compile_it(distiller)
        made.append(distiller)

    objective = keras_kd.Divergence("forward", keras_kd.Ramp(4.0, 1.0, 6), keras_kd.Ramp(0.0, 1.0, 4))
    rates = keras.callbacks.LearningRateScheduler(lambda round: [0.0, 0.0, 0.1, 0.1][round])
    stop = keras.callbacks.EarlyStopping(monitor="loss", patience=0, mode="min", start_from_epoch=1, min_delta=1e9)
    step = schemes.on_policy(
        teacher,
        student,
        prompts(8),
        length=LENGTH,
        rounds=4,
        batch_size=4,
        objectives=[objective],
        compile=compile_and_keep,
        callbacks=[rates, stop],
    )
    assert int(made[0]._steps) == 2 * len(step.history["loss"]) < 8
    assert step.history["learning_rate"] == pytest.approx([0.0, 0.0, 0.1][: len(step.history["loss"])])
    # The first of the two steps of round 0 has weight 0, the second 0.25.
    assert step.history["loss"][0] == pytest.approx(0.125 * step.history["divergence"][0], rel=0.2)


@pytest.mark.slow
def test_given_texts_take_their_share():
    teacher, student = encoder(24, name="teacher", seed=2), encoder()
    given = prompts(40)
    texts = schemes.generate(teacher, given, length=LENGTH)
    step = schemes.on_policy(
        teacher, student, given, length=LENGTH, texts=texts[:, :-1], batch_size=1, compile=compile_it, seed=1
    )
    assert 0.2 < step.history["student_fraction"][0] < 0.8


BASE = {"length": LENGTH, "compile": compile_it}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"prompts": np.zeros((2, 3), int)},
            r"prompts must be \(n, 1 to 6\) tokens, with padding \(0\) only at their ends",
        ),
        ({"prompts": np.array([[1, 0, 2]])}, "prompts must be"),
        ({"prompts": np.ones((2, LENGTH), int)}, "prompts must be"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"student_fraction": 0.5}, "the other batches need texts"),
        ({"student_fraction": 1.5}, "student_fraction must be at most 1"),
        ({"texts": np.ones((3, 4), int)}, r"texts must be \(6, 2 to 7\) tokens, got \(3, 4\)"),
        ({"texts": np.full((6, 4), 12)}, "each text begins with its prompt; text 0 does not"),
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"teacher": keras_kd.Function(lambda x: x, (LENGTH, VOCABULARY))}, "must be a Keras model, got Function"),
        ({"length": LENGTH + 1}, "length must be at most the 7 positions of 'encoder', got 8"),
    ],
)
def test_bad_arguments_are_refused(change, says):
    change = dict(change)
    teacher, given = change.pop("teacher", None) or encoder(), change.pop("prompts", prompts())
    with pytest.raises(ValueError, match=says):
        schemes.on_policy(teacher, encoder(), given, **{**BASE, **change})


def test_which_models_keep_keys_and_values():
    assert decoding.is_causal_encoder(encoder())
    assert not decoding.is_causal_encoder(recurrent())
    assert not decoding.is_causal_encoder(schemes.encoder(VOCABULARY, LENGTH, width=8, depth=1, heads=2))
    changed = encoder()
    more = keras.Model(changed.inputs, layers.Dense(VOCABULARY, name="more")(changed.outputs[0]))
    assert not decoding.is_causal_encoder(more)
