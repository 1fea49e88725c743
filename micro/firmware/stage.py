"""What templates of an application are given of its last stage."""

from __future__ import annotations

from typing import Any

from micro.detection.estimator import Estimator, Estimators
from micro.detection.labeler import Labeler
from micro.detection.outcome import Decider
from micro.detection.recognizer import Recognizer
from micro.emission.c_text import c_string
from micro.emission.detector import modes_context
from micro.firmware.boards import PLAIN_STAGE
from micro.firmware.printed import csv_cell, printed, printed_name


def stage_context(decider: Decider) -> dict[str, Any]:
    """What templates are given of the last stage."""
    if isinstance(decider, Recognizer):
        return {
            **PLAIN_STAGE,
            "stage": "recognizer",
            "monitored": False,
            "class_names": decider.class_names,
        }
    if isinstance(decider, Estimator):
        about = {"stage": "estimator", "monitored": False, "target": decider.name}
        return {**PLAIN_STAGE, **about, **printed(decider)}
    if isinstance(decider, Estimators):
        several = [printed_name(one) | printed(one, wide=True) for one in decider.each]
        return {**PLAIN_STAGE, "stage": "estimator", "monitored": False, "values": "NUMBERS", "several": several}
    if isinstance(decider, Labeler):
        return {
            **PLAIN_STAGE,
            "stage": "labeler",
            "monitored": False,
            "values": "LABELS",
            "label_names": decider.label_names,
            "headers": [c_string(f",{csv_cell(f'raw {each}')}") for each in decider.label_names],
        }
    # A classifier's margin is no anomaly score, of which a baseline was kept.
    monitored = decider.score.kind != "margin"
    own = {
        "monitored": monitored,
        "summarizes": monitored,
        "predicts": bool(decider.score.places),
    }
    return {**PLAIN_STAGE, **own, "modes": modes_context(decider.modes), "off": any(decider.off_rms)}
