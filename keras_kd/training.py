"""What the models that distill share: knowing when a step runs, logs, schedules, the sum of losses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_kd.objectives.base import Objective
from keras_kd.optimizers import build_optimizer
from keras_kd.types import Structure, Tensor

# The model whose train or test step is running. Its `call` then also gives what the losses need besides its outputs, which
# saves a second forward pass; called outside a step, the model behaves as any other.
_stepping: ContextVar[keras.Model | None] = ContextVar("keras_kd_stepping", default=None)


class Batch(NamedTuple):
    """What Keras gives a loss: inputs, labels, what `call` gave, and weights of examples."""

    x: Structure | None
    y: Structure | None
    y_pred: Structure | None
    sample_weight: Structure | None


class TeachingModel(keras.Model):
    """A Keras model whose `compute_loss` adds objectives to the compiled loss; a subclass writes `_terms`."""

    # Counted here and not read off the optimizer: on JAX a step's loss cannot see the optimizer's variables.
    _steps: Any = None

    def make_train_function(self, force: bool = False) -> Any:
        """The function of training steps, as the backend's own trainer makes it, with an optimizer that is built."""
        build_optimizer(self)
        return super().make_train_function(force)

    def train_step(self, *args: object) -> Any:
        """One step, as the backend's own trainer makes it."""
        self._require_own_scope()
        with self._one_step():
            return super().train_step(*args)

    def test_step(self, *args: object) -> Any:
        """One evaluation step, as the backend's own trainer makes it."""
        with self._one_step():
            return super().test_step(*args)

    def compute_loss(
        self,
        x: Structure | None = None,
        y: Structure | None = None,
        y_pred: Structure | None = None,
        sample_weight: Structure | None = None,
        training: bool = True,
    ) -> Tensor:
        """The sum that training minimizes, a scalar; `y_pred` is what `call` gave. Its parts are logged."""
        return self._total(self._terms(Batch(x, y, y_pred, sample_weight), training), training)

    def _terms(self, batch: Batch, training: bool) -> list[Tensor]:
        """The terms of the sum, each a scalar."""
        raise NotImplementedError(f"{type(self).__name__}: write _terms(self, batch, training)")

    @property
    def in_step(self) -> bool:
        """Whether a train or test step of this model is running."""
        return _stepping.get() is self

    def _require_own_scope(self) -> None:
        """ValueError for models of a distribution strategy in whose scope this one was not made."""
        mine = getattr(self, "distribute_strategy", None)
        for model in self.layers:
            its: Any = getattr(model, "distribute_strategy", mine)
            if its is not mine and its.num_replicas_in_sync > 1:
                raise ValueError(
                    f"{type(self).__name__}: {model.name!r} was made in the scope of a distribution strategy; make and compile "
                    f"the {type(self).__name__} in that scope too"
                )

    @contextmanager
    def _one_step(self) -> Iterator[None]:
        token = _stepping.set(self)
        try:
            yield
        finally:
            _stepping.reset(token)

    def _count_steps_for(self, objectives: Iterable[Objective]) -> None:
        """Count training steps if some objective follows a schedule."""
        if any(objective.at(0) is not objective for objective in objectives):
            self._steps = self.add_weight(
                shape=(),
                initializer="zeros",
                dtype="int32",
                trainable=False,
                aggregation="only_first_replica",
                name="steps",
            )

    def _now(self, objective: Objective, training: bool) -> Objective:
        """The objective with the values that its schedules have at this step."""
        return objective.at(0 if self._steps is None else self._steps, training)

    def _total(self, terms: Sequence[Any], training: bool) -> Any:
        """The sum of all terms, in the precision of Keras's own losses; a training step is counted."""
        if training and self._steps is not None:
            self._steps.assign_add(1)
        cast = [ops.cast(term, keras.config.floatx()) for term in terms]
        return sum(cast[1:], cast[0])

    def _log_mean(self, metric: keras.metrics.Metric, mean: Tensor, x: Structure | None) -> None:
        """Log a mean as Keras logs `loss`: batches count by their size, and the scaling for several replicas is undone."""
        strategy = getattr(self, "distribute_strategy", None)
        replicas = strategy.num_replicas_in_sync if strategy is not None else 1
        metric.update_state(mean * replicas, sample_weight=ops.shape(keras.tree.flatten(x)[0])[0])


def scope_of(model: keras.Model) -> AbstractContextManager[Any]:
    """The scope in which what trains with a model must be made: that of its distribution strategy, where it has one."""
    strategy = getattr(model, "distribute_strategy", None)
    return nullcontext() if strategy is None or strategy.num_replicas_in_sync == 1 else strategy.scope()


def once(variables: Sequence[Any]) -> list[Any]:
    """The variables without those that came before, as where two objectives share an adapter."""
    return list({id(variable): variable for variable in variables}.values())


def without(variables: Sequence[Any], excluded: Sequence[Any]) -> list[Any]:
    """The variables that are not among others."""
    gone = {id(variable) for variable in excluded}
    return [variable for variable in variables if id(variable) not in gone]
