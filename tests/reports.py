"""Reports of runs, as small as they can be."""

from __future__ import annotations

from dataclasses import asdict

from micro.detection.detector import Detector
from micro.detection.score import Score
from micro.runs.run_report import RunReport, reported
from micro.signal import FrontEnd

FLASH = {"weights": 500, "quantization": 100, "graph": 300}
FOOTPRINT = {
    "model_bytes": 900, "arena_bytes": 1100, "activation_bytes": 300, "persistent_bytes": 800, "macs": 400,
    "ops": {"FULLY_CONNECTED": 2}, "arena_bytes_32bit": 900, "flash": FLASH, "layers": [],
    "code": {"total": 20000, "interpreter": 15000, "ops": {"FULLY_CONNECTED": 3000}, "unknown": [], "source": "estimate"},
    "arena_bytes_cmsis_nn": 1200, "arena_bytes_cmsis_nn_mve": 1100,
}  # fmt: skip
METRICS = {"auc": 0.97, "detection_rate": 0.9, "false_alarm_rate": 0.02}


def plain_report(**changes):
    """A detector's report as plain data, with other values for some of its keys."""
    detector = reported(Detector(Score("reconstruction", 1e-6), 1_000_000, 1_000_000), 1.0)
    return {
        "job": "rig", "task": "anomaly", "threshold": 1.0, "false_alarm_rate": 0.02, "detector": asdict(detector),
        "data": {
            "windows": dict.fromkeys(("train", "validation", "calibration", "test"), 100),
            "class_names": [], "channels": ["x"], "sample_rate": 1000.0, "notes": [], "untested": None,
        },
        "features": asdict(FrontEnd("statistics", window=16, hop=16)),
        "scaling": {"centre": [0.0] * 5, "spread": [1.0] * 5},
        "parameters": {"teacher": 1000, "student": 100}, "sparsity": 0.0, "stages": [], "budget": None,
        "seeds": [{"seed": 0, "student_int8": METRICS, "student_distilled": METRICS, "teacher": METRICS}],
        "summary": {}, "by_origin": [], "graph": [], "soft_targets": None,
        "conversion": {"weights": "per_tensor", "error": 0.01}, "footprint": FOOTPRINT,
        "parity": {"samples": 10, "values": 100, "mismatches": 0, "max_abs_difference": 0, "by_op": []},
        "firmware": ["bearing.h"], "no_project": None, "history": {}, **changes,
    }  # fmt: skip


def report_with(**changes):
    """A detector's report, with other values for some of its keys."""
    return RunReport.from_dict(plain_report(**changes))
