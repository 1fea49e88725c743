"""How the few faults that are known join what a run trains on.

A network that learns alone, a teacher or the student for comparison, learns them by `keras_kd.Deviation`. A student learns to
reconstruct them as its teacher does, badly; one that follows detectors, that their score is at least the margin.
"""

from __future__ import annotations

import keras
import numpy as np

import keras_kd
from micro.datasets.prepare import Windows
from micro.datasets.prepared import Prepared
from micro.datasets.spacing import evenly_spaced

# Healthy windows for each window of a known fault, standard deviations of healthy windows' scores that are to lie between, and
# how strongly. Settled on simulated rigs: with more faults, or a stronger pull, others are found less often.
HEALTHY_EACH, MARGIN, PULL = 9, 5.0, 0.3


def learned_faults(data: Prepared) -> np.ndarray:
    """Windows of known faults as a run trains on them, (k, *shape), k a ninth of the healthy ones: repeated where there are
    fewer, drawn evenly where there are more; none without known faults."""
    if data.faults is None:
        return data.train.x[:0]
    return as_many(data.faults, -(-len(data.train) // HEALTHY_EACH))


def as_many(windows: Windows, count: int) -> np.ndarray:
    """`count` of the windows, each as often as any other or once more."""
    rows = np.arange(count) % len(windows) if len(windows) < count else evenly_spaced(len(windows), count)
    return windows.x[rows]


def deviating(model: keras.Model) -> keras_kd.Distiller:
    """A model, to be trained alone on healthy windows and known faults; which are faults comes with the batches, 1 or 0."""
    labels = keras_kd.Supplied({"outputs": (1,)}, {"outputs": "linear"})
    return keras_kd.Distiller(labels, model, keras_kd.Deviation(margin=MARGIN, pull=PULL), hard_weight=0.0)


def flags(healthy: int, faults: int) -> np.ndarray:
    """What marks faults behind healthy windows: (healthy + faults, 1) float32."""
    return np.repeat(np.array([0.0, 1.0], np.float32), [healthy, faults])[:, None]
