"""Shared models and data: small, real, made once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import pytest
from configs import rig
from hypothesis import HealthCheck, settings
from support import data_folder, made_once

settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    """A test starts from the same weights alone and among others."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(scope="session")
def cwru_folder() -> Path:
    return data_folder("cwru")


@pytest.fixture(scope="session")
def watch() -> Path:
    """Exercises of ten people, recorded by a watch: shoulder_watch."""
    return data_folder("shoulder_watch") / "watch.npz"


@pytest.fixture(scope="session")
def peer_models() -> Path:
    return data_folder("peer_models")


@pytest.fixture(scope="session")
def blobs():
    """A four-class problem of 16 features: (x, y), 600 examples."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 16)) * 1.5
    y = rng.integers(0, 4, 600)
    return (centres[y] + rng.normal(size=(600, 16))).astype("float32"), y


@pytest.fixture(scope="session")
def conv_model():
    """A Conv1D net with BatchNormalization and a softmax, not trained."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    inputs = keras.Input((32, 2))
    h = layers.Conv1D(8, 3, strides=2, padding="same", name="conv")(inputs)
    h = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(h))
    h = layers.GlobalAveragePooling1D(name="pool")(h)
    h = layers.Dense(12, activation="relu", name="hidden")(h)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="out")(h), name="tiny_conv")


@pytest.fixture(scope="session")
def conv_samples():
    return np.random.default_rng(5).normal(size=(200, 32, 2)).astype("float32")


@pytest.fixture(scope="session")
def converted(conv_model, conv_samples):
    import micro

    return micro.convert(conv_model, conv_samples)


@pytest.fixture(scope="session")
def rig_run(tmp_path_factory) -> Path:
    """A finished run of the simulated rig, small, with enough sessions of calibration to watch by."""
    from micro.config import parse_config
    from micro.runs.start import run_pipeline

    raw = rig(
        seed=6,
        seeds=2,
        data={"train_recordings": 8, "validation_recordings": 2, "calibration_recordings": 16, "test_recordings": 4},
        features={"kind": ["spectrum", "moments"], "bands": 32},
        teacher={"sizes": [32, 8, 32], "epochs": 6, "learning_rate": 0.003},
        student={"sizes": [8], "epochs": 10, "learning_rate": 0.003},
        compress=[{"stage": "prune", "target_sparsity": 0.3, "epochs": 2}],
        budget={"flash": "16KiB", "ram": "16KiB"},
        detect={"min_hits": 2, "history": 3, "saturation": 7.9, "max_saturated": 4},
    )
    return made_once(tmp_path_factory, "rig", lambda out: run_pipeline(parse_config(raw, Path()), out))
