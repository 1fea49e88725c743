"""Learning from windows without labels: the label's part of the loss leaves them out, and the teacher's part has them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_kd.recipes import Recipe
from micro.config import OF_CLASSES, Task
from micro.datasets.prepared import Prepared
from micro.runs.fitting import hard_loss


class OfLabeled(keras.losses.Loss):
    """A loss of single examples that is 0 where the label is below 0, as a class, or not a number.

    Shapes: y_true (batch,) or (batch, 1), of several numbers or labels (batch, outputs), y_pred (batch, outputs) -> (batch,).
    Means are over all examples, so that a labeled one weighs as much next to unlabeled ones as without them.
    """

    def __init__(self, loss: keras.losses.Loss, of_classes: bool) -> None:
        super().__init__(name="of_labeled", reduction="sum_over_batch_size")
        self.loss, self.of_classes = loss, of_classes

    def call(self, y_true: Any, y_pred: Any) -> Any:
        has_label = labeled(y_true) if self.of_classes else ops.logical_not(ops.isnan(y_true))
        values = self.loss.call(ops.where(has_label, y_true, ops.zeros_like(y_true)), y_pred)
        if len(has_label.shape) > 1:
            has_label = ops.all(has_label, axis=-1)
        return ops.where(ops.reshape(has_label, ops.shape(values)), values, ops.zeros_like(values))


class OfLabeledAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """Accuracy on the examples that have a class."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        weight = ops.cast(ops.reshape(labeled(y_true), (-1,)), "float32")
        return super().update_state(ops.maximum(y_true, 0), y_pred, weight)


def labeled(classes: Any) -> Any:
    """Where there is a class: (batch, ...) -> (batch, ...) bool."""
    return classes >= 0


def loss_of(model: keras.Model, data: Prepared) -> keras.losses.Loss:
    """A student's own loss under a teacher, which leaves out windows without a label where there are such."""
    loss = hard_loss(model, data.task)
    return loss if data.unlabeled is None else of_labeled(loss, data.task)


def of_labeled(loss: keras.losses.Loss, task: Task) -> OfLabeled:
    """A task's loss that leaves out examples without a label."""
    return OfLabeled(loss, task != "regression")


def metrics_of(data: Prepared, alone: bool) -> list[str | keras.metrics.Metric]:
    """What is reported of each epoch of a model's training, `alone` or under a teacher."""
    if data.task not in OF_CLASSES:
        return []
    return ["accuracy" if alone or data.unlabeled is None else OfLabeledAccuracy(name="accuracy")]


def require_no_labels(recipe: Recipe) -> None:
    """ValueError for an objective that needs the label of every window."""
    needing = next((term.objective for term in recipe.terms if term.made().needs_labels), None)
    if needing is not None:
        raise ValueError(
            f"distill: {needing} needs the label of every window, and those of unlabeled_files or of mixup have none; take an "
            "objective that compares outputs alone, such as soft_target, logit_matching or output_matching, and with recipe "
            '"auto" name such candidates'
        )
