"""On-policy distillation of language models: the student writes, the teacher scores what it wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_kd.checks import require_number
from keras_kd.distiller import Distiller
from keras_kd.layers import MaskOf
from keras_kd.objectives.divergence import Divergence
from keras_kd.objectives.keras_losses import Objectives
from keras_kd.schemes.chains import Compile, Step
from keras_kd.schemes.decoding import Write, require_prompts, require_sampling, writing


def on_policy(
    teacher: keras.Model,
    student: keras.Model,
    prompts: np.ndarray,
    *,
    length: int,
    compile: Compile,
    texts: np.ndarray | None = None,
    student_fraction: float | None = None,
    rounds: int = 1,
    batch_size: int = 32,
    temperature: float = 1.0,
    end: int | None = None,
    objectives: Objectives = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> Step:
    """Train a student on texts that it writes itself, each position on what the teacher would have said there.

    Each step takes a batch of prompts. With probability `student_fraction` the student, as it is at that step, goes on from
    them; else the given texts are taken. The objectives compare teacher and student at each position that a token follows
    which was written: prompts and padding are left out, and the mean is over the rest. No gradient flows through the writing.

    Args:
        teacher: A trained causal language model, int32 (n, length) -> logits (n, length, vocabulary).
        student: The model to train, likewise; one that `encoder(causal=True)` built writes fastest.
        prompts: int (n, p), 1 <= p < length; shorter ones are padded with 0 at their ends.
        length: Tokens of a text, the prompt included.
        compile: Called with the Distiller, to compile it; it needs no loss.
        texts: int (n, up to length), each beginning with its prompt, padded with 0; None where there are none.
        student_fraction: Of the batches, how many the student writes, in [0, 1]: GKD's lambda. By default 0.5 with texts, and
            1 without.
        rounds: How often each prompt is used, at least 1. Callbacks and the history count them as epochs.
        batch_size: Prompts of a step, at least 1.
        temperature: Of the student's writing, above 0.
        end: Token that ends a text, or None.
        objectives: As a Distiller takes them; Divergence('jensen_shannon', beta=0.5) by default.
        seed: Of the order, the choice and the writing.
        callbacks: As `fit` takes them.
        verbose: As `fit` takes it; 0 shows nothing.

    Returns:
        A Step of the student, with its history by round, 'student_fraction' being the fraction of batches that it wrote.

    Raises:
        ValueError: For prompts that are too long or begin with padding, texts that do not begin with them, numbers out of
            range, a teacher whose targets come with the batches, and models of a distribution strategy.

    Examples:
        >>> teacher, student = (keras_kd.schemes.encoder(10, 6, width=8 * n, depth=n, heads=2, causal=True) for n in (2, 1))
        >>> step = keras_kd.schemes.on_policy(
        ...     teacher, student, np.array([[3], [4]]), length=6, compile=lambda distiller: distiller.compile("adam"))
        >>> sorted(step.history)
        ['divergence', 'loss', 'student_fraction']

    Source: GKD, Agarwal et al. 2024, algorithm 1, https://arxiv.org/abs/2306.13649
    """
    require_sampling("on_policy", temperature, None)
    _refuse(teacher, student)
    rounds = int(require_number(rounds, "on_policy: rounds", minimum=1.0))
    prompts = require_prompts(prompts, length, "on_policy")
    source = _Source(
        prompts,
        None if texts is None else _texts(texts, prompts, length),
        length=length,
        fraction=_fraction(student_fraction, texts),
        batch_size=int(require_number(batch_size, "on_policy: batch_size", minimum=1.0)),
        rng=np.random.default_rng(seed),
    )
    chosen = Divergence("jensen_shannon", beta=0.5) if objectives is None else objectives
    distiller = Distiller(teacher, student, chosen, hard_weight=0.0)
    compile(distiller)
    write = writing(student, length=length, temperature=temperature, end=end)
    # Whether padding is masked in what the student gives, and so left out by the objectives.
    masked = MaskOf()(student(np.pad(prompts[:1], ((0, 0), (0, length - prompts.shape[1]))))) is not None
    history = _trained(distiller, source, write, rounds, callbacks, verbose, masked)
    return Step(student, {name: [float(value) for value in values] for name, values in history.items()})


@dataclass(frozen=True)
class _Source:
    """Where batches come from."""

    prompts: np.ndarray
    texts: np.ndarray | None
    length: int
    fraction: float
    batch_size: int
    rng: np.random.Generator

    def __len__(self) -> int:
        return -(-len(self.prompts) // self.batch_size)

    def batches(self, write: Write) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
        """Texts, which of their positions count, and whether the student wrote them, for each prompt once."""
        order = self.rng.permutation(len(self.prompts))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            prompts = self.prompts[rows]
            by_student = self.texts is None or bool(self.rng.random() < self.fraction)
            chances = self.rng.random((len(rows), self.length))
            text = write(prompts, chances) if self.texts is None or by_student else self.texts[rows]
            # A position counts by the token that follows it.
            follows = np.pad(text[:, 1:], ((0, 0), (0, 1)))
            written = np.arange(1, self.length + 1) >= (prompts > 0).sum(1, keepdims=True)
            yield text, written & (follows > 0), by_student


def _trained(
    distiller: Distiller,
    source: _Source,
    write: Write,
    rounds: int,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int,
    masked: bool,
) -> dict[str, list[Any]]:
    """The history of a loop as `fit` makes it, whose batches depend on the student."""
    listening = keras.callbacks.CallbackList(
        list(callbacks),
        add_history=True,
        add_progbar=bool(verbose),
        model=distiller,
        epochs=rounds,
        steps=len(source),
        verbose=verbose,
    )
    distiller.stop_training = False
    listening.on_train_begin()
    logs: dict[str, float] = {}
    for number in range(rounds):
        listening.on_epoch_begin(number)
        sums: dict[str, float] = {}
        rows = wrote = 0
        for step, (text, counts, by_student) in enumerate(source.batches(write)):
            listening.on_train_batch_begin(step)
            found = distiller.train_on_batch(text, sample_weight=_weights(text, counts, masked), return_dict=True)
            # A batch counts by its size, as in `fit`.
            sums = {name: sums.get(name, 0.0) + float(value) * len(text) for name, value in found.items()}
            rows, wrote = rows + len(text), wrote + by_student
            logs = {name: value / rows for name, value in sums.items()}
            listening.on_train_batch_end(step, logs)
        logs = {**logs, "student_fraction": wrote / len(source)}
        listening.on_epoch_end(number, logs)
        if distiller.stop_training:
            break
    listening.on_train_end(logs)
    return distiller.history.history


def _weights(text: np.ndarray, counts: np.ndarray, masked: bool) -> np.ndarray:
    """Weights of positions with which the mean that objectives take is the mean over those that count."""
    every = (text > 0).mean() if masked else 1.0
    return (counts * (every / max(counts.mean(), 1e-9))).astype("float32")


def _refuse(teacher: object, student: keras.Model) -> None:
    if not isinstance(teacher, keras.Model):
        raise ValueError(
            f"on_policy: the teacher must score texts that the student has just written, so it must be a Keras model, got "
            f"{type(teacher).__name__}"
        )
    for model in (teacher, student):
        strategy = getattr(model, "distribute_strategy", None)
        if strategy is not None and strategy.num_replicas_in_sync > 1:
            raise ValueError(
                f"on_policy: {model.name!r} belongs to a distribution strategy of {strategy.num_replicas_in_sync} replicas, on "
                "which the student cannot write; make both models outside its scope"
            )


def _fraction(fraction: float | None, texts: np.ndarray | None) -> float:
    if fraction is None:
        return 1.0 if texts is None else 0.5
    number = require_number(fraction, "on_policy: student_fraction", minimum=0.0, maximum=1.0)
    if texts is None and number < 1.0:
        raise ValueError(f"on_policy: with student_fraction={number:g} the other batches need texts: pass texts")
    return number


def _texts(texts: np.ndarray, prompts: np.ndarray, length: int) -> np.ndarray:
    """Texts as int32 (n, length)."""
    texts = np.asarray(texts, np.int32)
    if texts.ndim != 2 or len(texts) != len(prompts) or not prompts.shape[1] <= texts.shape[1] <= length:
        raise ValueError(
            f"on_policy: texts must be ({len(prompts)}, {prompts.shape[1]} to {length}) tokens, got {texts.shape}"
        )
    differs = ((texts[:, : prompts.shape[1]] != prompts) & (prompts > 0)).any(1)
    if differs.any():
        raise ValueError(f"on_policy: each text begins with its prompt; text {int(differs.argmax())} does not")
    return np.pad(texts, ((0, 0), (0, length - texts.shape[1])))
