"""Optimizers of models that are trained."""

from __future__ import annotations

import keras


def build_optimizer(model: keras.Model) -> None:
    """Create the variables of a compiled model's optimizer where its weights are known.

    Left to Keras on TensorFlow they are created in the first training step, which is traced a second time for that. Models
    on several devices are left to it.
    """
    strategy = getattr(model, "distribute_strategy", None)
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or optimizer.built or not model.built:
        return
    if strategy is None or strategy.num_replicas_in_sync == 1:
        optimizer.build(model.trainable_variables)
