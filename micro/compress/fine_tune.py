"""Fine-tuning a model while callbacks constrain its kernels, with or without a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np

import keras_kd
from keras_kd.layers import copied
from keras_kd.optimizers import build_optimizer

if TYPE_CHECKING:
    from keras_kd.types import Structure

# What `compile` takes as a loss.
Loss: TypeAlias = "str | keras.losses.Loss | Callable[..., Any]"
# What Keras takes as the constraint of a weight: the value after an update -> the value that is allowed.
Constraint = Callable[[Any], Any]


@dataclass(frozen=True)
class FineTuning:
    """The data, the loss, the teacher and the settings of one fine-tuning, as the arguments of `micro.prune` by these names.

    `supplied` is what a teacher that is no model gave for each row of `x`; `watching` are callbacks that change nothing.
    """

    x: np.ndarray
    y: np.ndarray | None = None
    loss: Loss | None = None
    teacher: keras.Model | keras_kd.Supplied | None = None
    objectives: Sequence[keras_kd.Objective] | None = None
    hard_weight: float = 1.0
    optimizer: str | keras.optimizers.Optimizer | None = None
    epochs: int = 4
    batch_size: int = 32
    verbose: int | str = 0
    class_weight: dict[int, float] | None = None
    supplied: np.ndarray | None = None
    watching: Sequence[keras.callbacks.Callback] = ()

    @property
    def steps(self) -> int:
        """Training steps of all epochs."""
        return self.epochs * -(-len(self.x) // self.batch_size)

    def require_targets(self, what: str) -> None:
        """ValueError where there is nothing to train towards."""
        if (self.teacher is None) != (not self.objectives):
            raise ValueError("a teacher needs objectives, and objectives need a teacher")
        if self.teacher is None and (self.loss is None or self.y is None):
            raise ValueError(f"without a teacher, {what} needs y and a loss")

    def train(self, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback] = ()) -> keras.Model:
        """Train the model in place, as the teacher's student where there is one; returns the model."""
        trained = model
        if self.teacher is not None:
            trained = keras_kd.Distiller(self.teacher, model, self.objectives or (), hard_weight=self.hard_weight)
        trained.compile(optimizer=self.optimizer or keras.optimizers.Adam(1e-3), loss=self.loss)
        build_optimizer(trained)
        trained.fit(
            with_supplied(self.x, self.supplied),
            self.y,
            epochs=self.epochs,
            batch_size=self.batch_size,
            callbacks=[*callbacks, *self.watching],
            class_weight=self.class_weight,
            verbose=self.verbose,
        )
        return model

    def train_copy(
        self, model: keras.Model, make_callbacks: Callable[[keras.Model], list[keras.callbacks.Callback]]
    ) -> keras.Model:
        """A trained copy of the model; `make_callbacks` gets the copy."""
        copy = copied(model)
        return self.train(copy, make_callbacks(copy))


def with_supplied(x: np.ndarray, supplied: np.ndarray | None) -> Structure:
    """Inputs as `fit` takes them: with what a teacher that is no model gave for them, where there is such a teacher."""
    return x if supplied is None else {"inputs": x, "teacher": {"outputs": supplied}}


class HeldKernels(keras.callbacks.Callback):
    """Constrain some kernels during any `fit`; earlier constraints are applied first.

    The constraints are on the kernels only while a training step runs, and the model's own training function stands in its
    place between steps: a `fit` that ends early, by an exception or by Ctrl-C, leaves the layers as they were.

    Subclasses write `hold`, which gives a kernel's constraint around the one that it had.
    """

    def __init__(self, kernels: Sequence[keras.Variable]) -> None:
        super().__init__()
        self.kernels = list(kernels)
        self._constraints: list[Constraint] = []
        self._own: Callable[..., Any] | None = None
        self._constrained: Callable[..., Any] | None = None

    def hold(self, kernel: keras.Variable, before: Constraint | None) -> Constraint:
        """The constraint to train this kernel under; `before` is the one that it has."""
        raise NotImplementedError

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._constraints = [self.hold(kernel, kernel.constraint) for kernel in self.kernels]
        self._own = self.model.train_function
        # A step traced earlier does not know the constraints, and one traced under them must not be used without.
        self.model.make_train_function(force=True)
        self._constrained = self.model.train_function
        self.model.train_function = self._own

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Several of these in one `fit` share one traced function, each around the next.
        before = self.model.train_function
        inner = before if isinstance(before, _ConstrainedStep) else self._constrained
        assert inner is not None
        self.model.train_function = _ConstrainedStep(self.model, self._own, inner, self.kernels, self._constraints)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._constraints, self._own, self._constrained = [], None, None


@dataclass(frozen=True, eq=False)
class _ConstrainedStep:
    """A training function that puts constraints on kernels, runs, and takes them and itself away again."""

    model: keras.Model
    own: Callable[..., Any] | None
    inner: Callable[..., Any]
    kernels: Sequence[keras.Variable]
    constraints: Sequence[Constraint]

    def __call__(self, *args: object, **kwargs: object) -> object:
        before = [kernel.constraint for kernel in self.kernels]
        try:
            for kernel, constraint in zip(self.kernels, self.constraints):
                kernel.constraint = constraint
            return self.inner(*args, **kwargs)
        finally:
            for kernel, constraint in zip(self.kernels, before):
                kernel.constraint = constraint
            self.model.train_function = self.own
