"""Values of losses and the lengths of their gradients, asked of the backend that Keras runs on: keras.ops has no gradients."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_kd.types import Tensor

Losses = Callable[[], Sequence[Tensor]]


def sizes(losses: Losses, variables: Sequence[Any]) -> tuple[list[float], list[float]]:
    """The value of each scalar that `losses` gives, and the Euclidean length of its gradient in the variables.

    What `losses` changes, such as statistics of batches, seeds and metrics, is as before afterwards.
    """

    def stateless(values: Sequence[Any]) -> list[Any]:
        with keras.StatelessScope(state_mapping=list(zip(variables, values)), collect_losses=True):
            return [ops.cast(loss, "float32") for loss in losses()]

    values, gradients = {"jax": _jax, "torch": _torch, "tensorflow": _tensorflow}[keras.backend.backend()](
        stateless, [variable.value for variable in variables]
    )
    return [_number(value) for value in values], [_length(each) for each in gradients]


def _jax(losses: Callable[[Sequence[Any]], list[Any]], values: list[Any]) -> tuple[list[Any], list[list[Any]]]:
    given, back = importlib.import_module("jax").vjp(losses, values)
    return given, [back([ops.ones(()) * (n == m) for m in range(len(given))])[0] for n in range(len(given))]


def _torch(losses: Callable[[Sequence[Any]], list[Any]], values: list[Any]) -> tuple[list[Any], list[list[Any]]]:
    torch = importlib.import_module("torch")
    leaves = [value.detach().clone().requires_grad_(True) for value in values]
    given = losses(leaves)
    return given, [
        torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True) if loss.requires_grad else []
        for loss in given
    ]


def _tensorflow(losses: Callable[[Sequence[Any]], list[Any]], values: list[Any]) -> tuple[list[Any], list[list[Any]]]:
    tensorflow = importlib.import_module("tensorflow")
    leaves = [tensorflow.convert_to_tensor(value) for value in values]
    with tensorflow.GradientTape(persistent=True) as tape:
        tape.watch(leaves)
        given = losses(leaves)
    # Gradients of embeddings come as slices.
    return given, [
        [None if each is None else tensorflow.convert_to_tensor(each) for each in tape.gradient(loss, leaves)]
        for loss in given
    ]


def _length(gradients: Sequence[Any]) -> float:
    squares = [ops.sum(ops.square(ops.cast(each, "float32"))) for each in gradients if each is not None]
    return _number(ops.sqrt(sum(squares[1:], squares[0]))) if squares else 0.0


def _number(value: Any) -> float:
    return float(ops.convert_to_numpy(value))
