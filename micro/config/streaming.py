"""What firmware that takes a hop at a time needs of the other sections."""

from __future__ import annotations

from collections.abc import Sequence

from micro.config.compression import QuantizeStage, Stage
from micro.config.features import FeaturesConfig
from micro.config.models import CONVOLUTIONAL, ModelConfig


def require_streaming(
    task: str, features: FeaturesConfig, student: ModelConfig, joined: bool, compress: Sequence[Stage]
) -> None:
    """ValueError for settings with which a student cannot run on the rows of a hop alone; `joined` of several sources."""
    if task in ("anomaly", "sequence"):
        why = {
            "anomaly": "an anomaly score compares all features of a window with what the student makes of them",
            "sequence": "text has no windows of samples",
        }[task]
        raise ValueError(
            f"firmware.streaming is for task 'classification', 'multilabel' or 'regression': {why}; leave it out"
        )
    if joined:
        raise ValueError(
            "firmware.streaming is for one source, and [[sources]] joins several into one window; leave one out"
        )
    if features.frame is None and not (features.raw and features.detrend == "none"):
        raise ValueError(
            "firmware.streaming needs features of which a hop only adds rows: give features.frame and features.frame_hop, or "
            'take features.kind = "raw" with detrend = "none"'
        )
    if features.hop >= features.window:
        raise ValueError(
            f"firmware.streaming needs windows that overlap, and features.hop {features.hop} is no less than features.window "
            f"{features.window}: nothing of a window is known before; take a smaller hop"
        )
    if student.path is None and (student.family not in CONVOLUTIONAL or student.padding != "valid"):
        raise ValueError(
            "firmware.streaming needs a student of convolutions without padding: family 'ds_cnn', 'conv1d', 'resnet', "
            f"'mobilenet' or 'tcn' with padding = 'valid', got {student.family!r} with padding = {student.padding!r}"
        )
    if any(isinstance(stage, QuantizeStage) and stage.activations != "int8" for stage in compress):
        raise ValueError("firmware.streaming is for an int8 student: leave out activations = 'int16'")
