"""Sequences that a teacher writes, as lessons for a student."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_kd.objectives.base import require_number
from keras_kd.schemes.chains import Step
from keras_kd.schemes.transformers import IGNORED


def beam_search(
    model: keras.Model, sources: np.ndarray, *, start: int, end: int, length: int, beams: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable target of each source under beam search, with its log probability.

    Args:
        model: Takes [sources (n, s), targets so far (n, length)], both int32 with 0 for padding, and gives logits
            (n, length, vocabulary) of the token after each position.
        sources: int (n, s).
        start, end: Tokens that open and close a target.
        length: Positions of a target, `start` not counted.
        beams: Hypotheses kept, at least 1.

    Returns int32 (n, length), padded with 0 after `end`, and float64 (n,).

    Raises:
        ValueError: For no beams or no positions.
    """
    if beams < 1 or length < 1:
        raise ValueError(f"beam_search: beams and length must be at least 1, got {beams} and {length}")
    sources = np.asarray(sources, np.int32)
    count = len(sources)
    repeated = np.repeat(sources, beams, axis=0)
    tokens = np.zeros((count, beams, length), np.int32)
    scores = np.full((count, beams), -np.inf)
    scores[:, 0] = 0.0  # All beams begin alike: only one may branch at first.
    ended = np.zeros((count, beams), bool)
    for position in range(length):
        inputs = _shifted(tokens.reshape(count * beams, length), start)
        logits = np.asarray(model.predict([repeated, inputs], verbose=0))[:, position]
        step = _log_softmax(logits.astype(np.float64)).reshape(count, beams, -1)
        step[:, :, 0] = -np.inf  # Padding is no token to write,
        step[ended] = -np.inf
        step[ended, 0] = 0.0  # but all that follows the end.
        total = (scores[:, :, None] + step).reshape(count, -1)
        best = np.argsort(-total, axis=1, kind="stable")[:, :beams]
        origin, token = best // step.shape[-1], best % step.shape[-1]
        rows = np.arange(count)[:, None]
        tokens, ended, scores = tokens[rows, origin], ended[rows, origin], np.take_along_axis(total, best, axis=1)
        tokens[:, :, position] = token
        ended |= token == end
        if ended.all():
            break
    winner = scores.argmax(axis=1)
    return tokens[np.arange(count), winner], scores[np.arange(count), winner]


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
    **fit: Any,
) -> tuple[Step, np.ndarray]:
    """Train a student on the targets that the teacher's beam search finds; the Step, and those targets.

    Both models take and give what `beam_search` says. The student is compiled by `compile`, or with Adam; the loss must ignore
    class `IGNORED`, which stands for padding.

    Source: sequence-level knowledge distillation, Kim and Rush 2016, section 3.2.
    """
    sources = np.asarray(sources, np.int32)
    targets, _ = beam_search(teacher, sources, start=start, end=end, length=length, beams=beams)
    if compile is None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)
        student.compile("adam", loss)
    else:
        compile(student)
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
    """Text that a teacher makes up, to train a student on: prompts (n, p) -> int32 (n, length), prompt included, 0 after `end`.

    Args:
        model: A causal language model, int32 (n, length) -> logits (n, length, vocabulary), such as `encoder(causal=True)`.
        prompts: int (n, p) without padding, 1 <= p < length.
        temperature: Above 0; below 1 the text keeps to the probable.
        top_k: Draw among the k most probable tokens only.

    Raises:
        ValueError: For prompts that are too long or hold padding, or numbers out of range.
    """
    require_number(temperature, "generate: temperature", above=0.0)
    prompts = np.asarray(prompts, np.int32)
    if prompts.ndim != 2 or not 1 <= prompts.shape[1] < length or (prompts == 0).any():
        raise ValueError(
            f"generate: prompts must be (n, 1 to {length - 1}) tokens without padding, got {prompts.shape}"
        )
    if top_k is not None and top_k < 1:
        raise ValueError(f"generate: top_k must be at least 1, got {top_k}")
    rng = np.random.default_rng(seed)
    text = np.zeros((len(prompts), length), np.int32)
    text[:, : prompts.shape[1]] = prompts
    ended = np.zeros(len(prompts), bool)
    for position in range(prompts.shape[1], length):
        logits = np.asarray(model.predict(text, verbose=0), np.float64)[:, position - 1] / temperature
        logits[:, 0] = -np.inf
        if top_k is not None and top_k < logits.shape[1] - 1:
            least = np.sort(logits, axis=1)[:, -top_k][:, None]
            logits = np.where(logits < least, -np.inf, logits)
        # The largest of logit plus Gumbel noise is a draw from the softmax.
        token = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
        text[:, position] = np.where(ended, 0, token)
        if end is not None:
            ended |= token == end
            if ended.all():
                break
    return text


def _shifted(targets: np.ndarray, start: int) -> np.ndarray:
    """Decoder inputs: `start`, then each target but the last."""
    return np.concatenate([np.full((len(targets), 1), start, np.int32), targets[:, :-1]], axis=1)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
