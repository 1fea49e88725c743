"""Training a copy of a model while callbacks change its weights, with or without a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_kd.layers import copied


class HeldKernels(keras.callbacks.Callback):
    """Constrain some kernels during any `fit`; earlier constraints are applied first.

    The constraints are on the kernels only while a training step runs, and the model's own training function stands in its
    place between steps: a `fit` that ends early, by an exception or by Ctrl-C, leaves the layers as they were.

    Subclasses write `hold`, which gives a kernel's constraint around the one that it had.
    """

    def __init__(self, kernels: Sequence[keras.Variable]) -> None:
        super().__init__()
        self.kernels = list(kernels)
        self._constraints: list[Any] = []
        self._own: Any = None
        self._constrained: Any = None

    def hold(self, kernel: keras.Variable, before: Any) -> Any:
        """The constraint to train this kernel under."""
        raise NotImplementedError

    def on_train_begin(self, logs: Any = None) -> None:
        self._constraints = [self.hold(kernel, kernel.constraint) for kernel in self.kernels]
        self._own = self.model.train_function
        # A step traced earlier does not know the constraints, and one traced under them must not be used without.
        self.model.make_train_function(force=True)
        self._constrained = self.model.train_function
        self.model.train_function = self._own

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # Several of these in one `fit` share one traced function, each around the next.
        before = self.model.train_function
        inner = before if isinstance(before, _ConstrainedStep) else self._constrained
        self.model.train_function = _ConstrainedStep(self.model, self._own, inner, self.kernels, self._constraints)

    def on_train_end(self, logs: Any = None) -> None:
        self._constraints, self._own, self._constrained = [], None, None


class _ConstrainedStep:
    """A training function that puts constraints on kernels, runs, and takes them and itself away again."""

    def __init__(
        self,
        model: keras.Model,
        own: Any,
        inner: Callable[..., Any],
        kernels: Sequence[keras.Variable],
        constraints: Sequence[Any],
    ) -> None:
        self.model, self.own, self.inner = model, own, inner
        self.kernels, self.constraints = kernels, constraints

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before = [kernel.constraint for kernel in self.kernels]
        try:
            for kernel, constraint in zip(self.kernels, self.constraints):
                kernel.constraint = constraint
            return self.inner(*args, **kwargs)
        finally:
            for kernel, constraint in zip(self.kernels, before):
                kernel.constraint = constraint
            self.model.train_function = self.own


def require_lessons(y: Any, loss: Any, teacher: Any, objectives: Sequence[Any] | None, what: str) -> None:
    """ValueError where there is nothing to train on."""
    if (teacher is None) != (not objectives):
        raise ValueError("a teacher needs objectives, and objectives need a teacher")
    if teacher is None and (loss is None or y is None):
        raise ValueError(f"without a teacher, {what} needs y and a loss")


def fine_tuned(
    model: keras.Model,
    make_callbacks: Callable[[keras.Model, int], list[keras.callbacks.Callback]],
    x: Any,
    y: Any,
    *,
    loss: Any,
    teacher: keras.Model | None,
    objectives: Sequence[Any] | None,
    hard_weight: float,
    optimizer: Any,
    epochs: int,
    batch_size: int,
    verbose: int | str,
) -> keras.Model:
    """A trained copy of the model; `make_callbacks` gets the copy and the number of training steps."""
    copy = copied(model)
    fit_on(
        copy,
        make_callbacks(copy, epochs * -(-len(x) // batch_size)),
        x,
        y,
        loss=loss,
        teacher=teacher,
        objectives=objectives,
        hard_weight=hard_weight,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        verbose=verbose,
    )
    return copy


def fit_on(
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
    x: Any,
    y: Any,
    *,
    loss: Any,
    epochs: int,
    batch_size: int,
    teacher: keras.Model | None = None,
    objectives: Sequence[Any] | None = None,
    hard_weight: float = 1.0,
    optimizer: Any = None,
    verbose: int | str = 0,
) -> None:
    """Train the model itself, under the teacher where there is one."""
    trained = model
    if teacher is not None:
        import keras_kd

        trained = keras_kd.Distiller(teacher, model, objectives or (), hard_weight=hard_weight)
    trained.compile(optimizer=optimizer or keras.optimizers.Adam(1e-3), loss=loss)
    trained.fit(x, y, epochs=epochs, batch_size=batch_size, callbacks=list(callbacks), verbose=verbose)
