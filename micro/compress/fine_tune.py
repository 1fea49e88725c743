"""Training a copy of a model while callbacks change its weights, with or without a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_kd.layers import copied


class HeldKernels(keras.callbacks.Callback):
    """Constrain some kernels for as long as a `fit` lasts; earlier constraints are applied first and put back afterwards.

    Subclasses write `hold`, which gives a kernel's constraint around the one that it had.
    """

    def __init__(self, kernels: Sequence[keras.Variable]) -> None:
        super().__init__()
        self.kernels = list(kernels)
        self._before: list[Any] = []

    def hold(self, kernel: keras.Variable, before: Any) -> Any:
        """The constraint to train this kernel under."""
        raise NotImplementedError

    def on_train_begin(self, logs: Any = None) -> None:
        self._before = [kernel.constraint for kernel in self.kernels]
        for kernel, before in zip(self.kernels, self._before):
            kernel.constraint = self.hold(kernel, before)
        # A step traced earlier does not know the constraints.
        self.model.make_train_function(force=True)

    def on_train_end(self, logs: Any = None) -> None:
        for kernel, before in zip(self.kernels, self._before):
            kernel.constraint = before
        self.model.make_train_function(force=True)


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
