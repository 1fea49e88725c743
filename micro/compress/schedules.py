"""When pruning sets its masks, and for which sparsity: tfmot's schedules."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType

import numpy as np

# A schedule of tfmot: step -> (whether to prune now, sparsity to reach).
Schedule = Callable[[int], tuple[bool | np.ndarray, float | np.ndarray]]


def polynomial_schedule(target_sparsity: float, *, end_step: int, begin_step: int = 0) -> Schedule:
    """tfmot's PolynomialDecay from no zeros to the target, with masks set about 50 times."""
    span = max(end_step - begin_step, 1)
    frequency = max(1, span // 50)
    # tfmot prunes at begin_step + k * frequency: the last of these must be the end, or the target is never reached.
    end = begin_step + -(-span // frequency) * frequency
    return _schedules().PolynomialDecay(0.0, target_sparsity, begin_step, end, frequency=frequency)


def constant_schedule(target_sparsity: float, *, end_step: int) -> Schedule:
    """tfmot's ConstantSparsity: the target from the first step on, with masks set about 50 times until `end_step`."""
    return _schedules().ConstantSparsity(target_sparsity, 0, max(end_step, 0), frequency=max(1, end_step // 50))


def _schedules() -> ModuleType:
    # tfmot switches the process to Keras 2 through this variable on import; nothing else here should see that.
    before = os.environ.get("TF_USE_LEGACY_KERAS")
    try:
        from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule
    finally:
        if before is None:
            os.environ.pop("TF_USE_LEGACY_KERAS", None)
        else:
            os.environ["TF_USE_LEGACY_KERAS"] = before
    return pruning_schedule
