"""Predictions judged by losses and metrics as Keras judges those of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from micro.keras_graph.ends import Ends

# Predictions that losses and metrics are handed at a time; figures do not depend on it.
AT_ONCE = 4096


def evaluated(
    ends: Ends, outputs: Sequence[np.ndarray], y: Any, sample_weight: Any, loss: Any, metrics: Any
) -> dict[str, float]:
    """The loss and the metrics of predictions, by the names that Keras gives them.

    A model that only passes its inputs on is compiled and evaluated, so that names of metrics, dicts by output and weights
    mean what they mean in `keras.Model.compile` and `evaluate`.

    Args:
        ends: Names of the outputs, and what holds them.
        outputs: (n, *output) float32 of each output, in order.
        y: Labels, in the structure of the model's outputs.

    Raises:
        ValueError: Without loss and metrics, or for labels that are not as many as the predictions.
    """
    if loss is None and not metrics:
        raise ValueError(
            "evaluate needs a loss or metrics, as keras.Model.compile takes them, such as metrics=['accuracy']"
        )
    import keras

    counts = {len(each) for each in keras.tree.flatten(y)}
    if counts != {len(outputs[0])}:
        found = " and ".join(f"{count:,}" for count in sorted(counts))
        raise ValueError(f"y must have a label for each of the {len(outputs[0]):,} samples, got {found}")
    inputs = [keras.Input(each.shape[1:]) for each in outputs]
    passed = [keras.layers.Identity(name=name.replace("/", "_"))(each) for name, each in zip(ends.names, inputs)]
    model = keras.Model(inputs, ends.packed(passed))
    model.compile(loss=loss, metrics=metrics, run_eagerly=True)
    figures = model.evaluate(list(outputs), y, AT_ONCE, 0, sample_weight, return_dict=True)
    return {name: float(value) for name, value in figures.items() if loss is not None or name != "loss"}


def joined(parts: Sequence[Any]) -> Any:
    """Labels of batches as those of one."""
    import keras

    return keras.tree.map_structure(lambda *each: np.concatenate([np.asarray(one) for one in each]), *parts)
