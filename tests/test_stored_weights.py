"""A run whose weights are stored otherwise than the firmware's says what its config has to set."""

import keras
import numpy as np

import micro
from micro.config import parse_config
from micro.firmware.update import stored_otherwise


def test_weights_that_are_stored_otherwise_say_what_the_config_has_to_set(tmp_path):
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
    channels, kernels = (micro.convert(model, x, weights=how).content for how in ("per_channel", "per_tensor"))
    models = {"teacher": {"sizes": [8, 4, 8], "epochs": 1}, "student": {"sizes": [4], "epochs": 1}}
    plain, staged = (
        parse_config({"job": "rig", "compress": stages, **models}, tmp_path)
        for stages in ([], [{"stage": "quantize_aware"}])
    )
    assert stored_otherwise(channels, channels, plain) == ""
    assert stored_otherwise(kernels, channels, plain).startswith(
        ', or set [convert] weights = "per_channel" and run it'
    )
    assert stored_otherwise(channels, kernels, plain).startswith(', or set [convert] weights = "per_tensor" and run it')
    assert "stage 'quantize_aware' = \"per_channel\"" in stored_otherwise(kernels, channels, staged)
