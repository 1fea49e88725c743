"""Transformers and sequences: DistilBERT's recipe, beam search, generated text."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

import keras_kd
from keras_kd import schemes
from keras_kd.schemes.transformers import IGNORED, MASKED_LM_WEIGHT

VOCABULARY, LENGTH = 14, 8


@pytest.fixture(scope="module")
def sentences():
    """Counting modulo 10 from a random start, tokens 2 to 11, of random length; 1 is the mask token."""
    rng = np.random.default_rng(0)
    tokens = (rng.integers(0, 10, (256, 1)) + np.arange(LENGTH)) % 10 + 2
    for row, length in zip(tokens, rng.integers(4, LENGTH + 1, 256)):
        row[length:] = 0
    return tokens.astype("int32")


@pytest.mark.slow
def test_distilberts_recipe(sentences):
    inputs, labels = schemes.mask_tokens(
        sentences, mask_token=1, vocabulary=VOCABULARY, reserved=[12, 13], probability=0.3
    )
    masked_lm = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
    keras.utils.set_random_seed(1)
    teacher = schemes.encoder(VOCABULARY, LENGTH, width=32, depth=4, name="teacher")
    teacher.compile(keras.optimizers.Adam(3e-3), masked_lm)
    losses = teacher.fit(inputs, labels, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]
    student = schemes.distilbert_student(teacher)
    for mine, its in (("block_0_up", "block_0_up"), ("block_1_attention", "block_2_attention"), ("head", "head")):
        for a, b in zip(student.get_layer(mine).get_weights(), teacher.get_layer(its).get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert "block_2" not in {layer.name for layer in student.layers}
    distiller = keras_kd.Distiller(
        teacher, student, schemes.distilbert_objectives(teacher, student), hard_weight=MASKED_LM_WEIGHT
    )
    distiller.compile(keras.optimizers.Adam(1e-3), masked_lm)
    history = distiller.fit(inputs, labels, epochs=6, verbose=0).history
    for name in ("soft_target", "cosine_hidden", "hard_loss"):
        assert history[name][-1] < history[name][0]
    # What stands in the padding changes nothing: only kept positions count.
    kept = inputs > 0
    t, s = (model.predict(inputs, verbose=0) for model in (teacher, student))
    by_position = np.asarray(keras_kd.SoftTarget(2.0)(t.reshape(-1, VOCABULARY), s.reshape(-1, VOCABULARY)))
    found = distiller.evaluate(inputs, labels, batch_size=256, verbose=0, return_dict=True)["soft_target"]
    assert found == pytest.approx(by_position[kept.ravel()].mean(), rel=1e-4)


def test_masking_spares_padding_and_marks_what_to_guess(sentences):
    inputs, labels = schemes.mask_tokens(sentences, mask_token=1, vocabulary=VOCABULARY, probability=0.5)
    chosen = labels != IGNORED
    assert not chosen[sentences == 0].any()
    np.testing.assert_array_equal(labels[chosen], sentences[chosen])
    np.testing.assert_array_equal(inputs[~chosen], sentences[~chosen])
    assert 0.7 < (inputs[chosen] == 1).mean() < 0.9


def translator(width, name, seed=0):
    """Source and target so far to the logits of what follows: a small encoder and decoder."""
    source, target = keras.Input((4,), dtype="int32"), keras.Input((5,), dtype="int32")
    embed = layers.Embedding(7, width)
    memory = layers.Dense(width, activation="relu")(layers.Flatten()(embed(source)))
    h = layers.Concatenate()([embed(target), layers.RepeatVector(5)(memory)])
    h = layers.Conv1D(width, 3, padding="causal", activation="relu")(h)
    return keras.Model([source, target], layers.Dense(7)(h), name=name)


@pytest.mark.slow
def test_beam_search_finds_the_most_probable_target():
    keras.utils.set_random_seed(3)
    model = translator(8, "m")
    sources = np.random.default_rng(0).integers(3, 7, (3, 4))
    start, end, length = 1, 2, 5

    def log_probability(source, target):
        total, so_far = 0.0, np.zeros((1, length), int)
        so_far[0, 0] = start
        for position, token in enumerate(target):
            logits = model.predict([source[None], so_far], verbose=0)[0, position].astype(float)
            total += logits[token] - np.logaddexp.reduce(logits)
            if position + 1 < length:
                so_far[0, position + 1] = token
            if token == end:
                break
        return total

    found, scores = schemes.beam_search(model, sources, start=start, end=end, length=length, beams=6**4)
    for source, target, score in zip(sources, found, scores):
        assert log_probability(source, [t for t in target if t]) == pytest.approx(score, abs=1e-4)
    # With every prefix in the beam it is exhaustive search; check it against all targets of the first source.
    every = [
        (*head, last)
        for n in range(3)
        for head in itertools.product([t for t in range(1, 7) if t != end], repeat=n)
        for last in [end]
    ]
    assert max(log_probability(sources[0], target) for target in every) <= scores[0] + 1e-4
    greedy, greedy_scores = schemes.beam_search(model, sources, start=start, end=end, length=length, beams=1)
    assert (greedy_scores <= scores + 1e-6).all()
    assert greedy.shape == (3, 5)


def test_sequence_level_teaches_the_teachers_own_words():
    keras.utils.set_random_seed(3)
    teacher, student = translator(16, "teacher"), translator(12, "student")
    sources = np.random.default_rng(1).integers(3, 7, (64, 4))
    step, targets = schemes.sequence_level(
        teacher,
        student,
        sources,
        start=1,
        end=2,
        length=5,
        beams=3,
        epochs=120,
        verbose=0,
    )
    assert step.history["loss"][-1] < 0.5 * step.history["loss"][0]
    again, _ = schemes.beam_search(student, sources, start=1, end=2, length=5, beams=3)
    assert (again == targets).mean() > 0.6


@pytest.mark.slow
def test_generated_text_is_drawn_from_the_teacher(sentences):
    keras.utils.set_random_seed(0)
    model = schemes.encoder(VOCABULARY, LENGTH, width=16, depth=1, causal=True)
    labels = np.concatenate([sentences[:, 1:], np.zeros((256, 1), int)], 1)
    model.compile(
        keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
    )
    model.fit(sentences, np.where(labels == 0, IGNORED, labels), epochs=15, verbose=0)
    text = schemes.generate(model, sentences[:20, :1], length=LENGTH, temperature=0.3, seed=5)
    np.testing.assert_array_equal(
        text, schemes.generate(model, sentences[:20, :1], length=LENGTH, temperature=0.3, seed=5)
    )
    follows = (text[:, 1:] - 2) == (text[:, :-1] - 2 + 1) % 10
    assert follows.mean() > 0.9
    # Causal: a change in the future leaves the past alone.
    changed = sentences.copy()
    changed[:, -1] = 3
    before, after = model.predict(sentences, verbose=0), model.predict(changed, verbose=0)
    kept = sentences[:, :-1] > 0
    np.testing.assert_allclose(before[:, :-1][kept], after[:, :-1][kept], atol=1e-5)
    greedy = schemes.generate(model, sentences[:5, :1], length=LENGTH, top_k=1)
    np.testing.assert_array_equal(greedy, schemes.generate(model, sentences[:5, :1], length=LENGTH, top_k=1, seed=9))
