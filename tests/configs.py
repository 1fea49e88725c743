"""Configs that several tests start from."""

from pathlib import Path

from micro.config import Config, parse_config

SMALL_RIG = """
job = "rig"
seed = 3
seeds = {seeds}
[data]
train_recordings = 6
validation_recordings = 2
calibration_recordings = 4
test_recordings = 3
fault_recordings = 1
seconds = 2.0
severities = [0.5]
[teacher]
sizes = [48, 8, 48]
epochs = 4
[student]
sizes = [8]
epochs = 4
learning_rate = 0.003
[[compress]]
stage = "prune"
target_sparsity = 0.3
epochs = 2
[detect]
false_alarm_rate = 0.05
"""
# What all machines of a fleet share.
SHARED = """
job = "rig"
seed = 4
[data]
train_recordings = 4
validation_recordings = 1
calibration_recordings = 3
test_recordings = 2
fault_recordings = 1
seconds = 1.0
severities = [1.0]
[features]
bands = 16
[teacher]
sizes = [16, 4, 16]
epochs = 3
[student]
sizes = [4]
epochs = 3
[detect]
false_alarm_rate = 0.05
"""
BASES = {
    "autoencoder": {"job": "rig", "teacher": {"sizes": [16]}, "student": {"sizes": [12, 6, 12]}},
    "dense": {
        "job": "cwru",
        "data": {"folder": "."},
        "teacher": {"family": "dense"},
        "student": {"family": "dense", "sizes": [24]},
        "distill": {"objective": "soft_target"},
    },
    "conv1d": {
        "job": "cwru",
        "data": {"folder": "."},
        "features": {"kind": "raw", "window": 256},
        "teacher": {"family": "conv1d"},
        "student": {"family": "conv1d", "sizes": [8, 12, 18]},
        "distill": {"objective": "logit_matching"},
    },
}


def base(family, **more) -> Config:
    return parse_config({**BASES[family], **more}, Path())
