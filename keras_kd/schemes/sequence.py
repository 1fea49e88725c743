"""Sequences that a teacher generates, as training data for a student."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from keras_kd.optimizers import build_optimizer
from keras_kd.schemes.chains import Step
from keras_kd.schemes.decoding import require_prompts, require_sampling, writing
from keras_kd.schemes.transformers import IGNORED
from keras_kd.training import scope_of


def beam_search(
    model: keras.Model, sources: np.ndarray, *, start: int, end: int, length: int, beams: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable target of each source under beam search, with its log probability.

    Args:
        model: Takes [sources (n, s), targets so far (n, length)], both int32 with 0 for padding, and gives logits
            (n, length, vocabulary) of the token after each position.
        sources: int (n, s).
        start: Token that opens a target.
        end: Token that closes a target.
        length: Positions of a target, `start` not counted, at least 1.
        beams: Hypotheses kept, at least 1.

    Returns:
        Targets, int32 (n, length), padded with 0 after `end`, and their log probabilities, float64 (n,).

    Raises:
        ValueError: For no beams or no positions.

    Examples:
        >>> source, target = keras.Input((5,), dtype="int32"), keras.Input((4,), dtype="int32")
        >>> logits = keras.layers.Dense(10)(keras.layers.Embedding(10, 8)(target))
        >>> model = keras.Model([source, target], logits)
        >>> targets, scores = keras_kd.schemes.beam_search(model, np.ones((2, 5)), start=1, end=2, length=4, beams=2)
        >>> targets.shape, scores.shape
        ((2, 4), (2,))
    """
    if beams < 1 or length < 1:
        raise ValueError(f"beam_search: beams and length must be at least 1, got {beams} and {length}")
    count, rows = len(sources), np.arange(len(sources))
    repeated = np.repeat(np.asarray(sources, np.int32), beams, axis=0)
    tokens = np.zeros((count, beams, length), np.int32)
    scores = np.full((count, beams), -np.inf)
    scores[:, 0] = 0.0  # All beams start out the same: only one may branch at first.
    ended = np.zeros((count, beams), bool)
    for position in range(length):
        inputs = _shifted(tokens.reshape(count * beams, length), start)
        logits = np.asarray(model.predict([repeated, inputs], verbose=0))[:, position]
        scores, origin, token = _best(scores, ended, logits.reshape(count, beams, -1))
        tokens, ended = tokens[rows[:, None], origin], ended[rows[:, None], origin]
        tokens[:, :, position] = token
        ended |= token == end
        if ended.all():
            break
    winner = scores.argmax(axis=1)
    return tokens[rows, winner], scores[rows, winner]


def _best(scores: np.ndarray, ended: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best continuations of the beams: their scores, the beams that they continue, and their tokens, all (n, beams)."""
    count, beams, vocabulary = logits.shape
    step = _log_softmax(logits.astype(np.float64))
    # Padding is never generated, except that only padding follows the end.
    step[:, :, 0] = -np.inf
    step[ended] = -np.inf
    step[ended, 0] = 0.0
    total = (scores[:, :, None] + step).reshape(count, -1)
    best = np.argsort(-total, axis=1, kind="stable")[:, :beams]
    return np.take_along_axis(total, best, axis=1), best // vocabulary, best % vocabulary


def sequence_level(
    teacher: keras.Model,
    student: keras.Model,
    sources: np.ndarray,
    *,
    start: int,
    end: int,
    length: int,
    beams: int = 5,
    compile: Callable[..., None] | None = None,
    **fit: object,
) -> tuple[Step, np.ndarray]:
    """Train a student on the targets that beam search with the teacher finds.

    Args:
        teacher: A model as `beam_search` takes it.
        student: Likewise.
        sources: int (n, s), 0 for padding.
        start: Token that opens a target.
        end: Token that closes a target.
        length: Positions of a target, `start` not counted.
        beams: Hypotheses kept, at least 1.
        compile: Called with the student, to compile it; None compiles with Adam. The loss must ignore class `IGNORED`, which
            stands for padding.
        fit: Further arguments of `fit`, such as epochs and batch_size.

    Returns:
        The Step, and the targets, int32 (n, length).

    Examples:
        >>> def net():
        ...     source, target = keras.Input((5,), dtype="int32"), keras.Input((4,), dtype="int32")
        ...     return keras.Model([source, target], keras.layers.Dense(10)(keras.layers.Embedding(10, 8)(target)))
        >>> step, targets = keras_kd.schemes.sequence_level(
        ...     net(), net(), np.ones((4, 5)), start=1, end=2, length=4, verbose=0)

    Source: sequence-level knowledge distillation, Kim and Rush 2016, section 3.2, https://arxiv.org/abs/1606.07947
    """
    sources = np.asarray(sources, np.int32)
    targets, _ = beam_search(teacher, sources, start=start, end=end, length=length, beams=beams)
    with scope_of(student):
        if compile is None:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
            student.compile("adam", loss)
        else:
            compile(student)
    build_optimizer(student)
    labels = np.where(targets == 0, IGNORED, targets)
    history = student.fit([sources, _shifted(targets, start)], labels, **fit).history
    return Step(student, {name: [float(v) for v in values] for name, values in history.items()}), targets


def generate(
    model: keras.Model,
    prompts: np.ndarray,
    *,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    end: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Sample text from a teacher, to train a student on.

    A model that `encoder(causal=True)` built writes one position a step, its keys and values kept, in one compiled loop;
    others run over the whole text for each position.

    Args:
        model: A causal language model, int32 (n, length) -> logits (n, length, vocabulary).
        prompts: int (n, p), 1 <= p < length, each at least one token; shorter ones are padded with 0 at their ends.
        length: Tokens of a text, the prompt included.
        temperature: Above 0; the lower, the more probable the tokens.
        top_k: Draw from the k most probable tokens only; None draws from all.
        end: Token that ends a text, or None.
        seed: Of the draws.

    Returns:
        int32 (n, length), prompt included, 0 after `end`.

    Raises:
        ValueError: For prompts that are too long or begin with padding, or numbers out of range.

    Examples:
        >>> model = keras_kd.schemes.encoder(10, 6, width=8, depth=1, heads=2, causal=True)
        >>> text = keras_kd.schemes.generate(model, np.array([[3], [4]]), length=6, top_k=4)
        >>> text.shape, text[:, 0].tolist()
        ((2, 6), [3, 4])
    """
    require_sampling("generate", temperature, top_k)
    prompts = require_prompts(prompts, length, "generate")
    chances = np.random.default_rng(seed).random((len(prompts), length))
    return writing(model, length=length, temperature=temperature, top_k=top_k, end=end)(prompts, chances)


def _shifted(targets: np.ndarray, start: int) -> np.ndarray:
    """Decoder inputs: `start`, then each target but the last."""
    return np.concatenate([np.full((len(targets), 1), start, np.int32), targets[:, :-1]], axis=1)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
