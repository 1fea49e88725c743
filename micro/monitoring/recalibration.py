"""A run with another threshold, from the healthy windows that a device has logged."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from micro.detection.detector import make_detector
from micro.detection.score import score_from_config
from micro.emission import emit
from micro.errors import RunError
from micro.monitoring.comparison import Monitoring, trained_threshold
from micro.runs.baseline import HEARD, calibration_files
from micro.runs.lock import settled
from micro.runs.publish import made_whole
from micro.runs.score_files import read_run
from micro.support.files import json_bytes, sha256, write_bytes

# Parts of a report that hang on the threshold and were measured on the test, which a recalibration does not have.
OF_FORMER_THRESHOLD = ("seeds", "summary", "by_origin", "stages")


def recalibrate(run_folder: str | Path, found: Monitoring, out: str | Path) -> Path:
    """A copy of a run with the threshold that a log calls for in report, detector and header; its firmware is made from there.

    The recent sessions of the log become the run's calibration. The report's `recalibration` keeps the threshold that the run
    was trained with, from which all recalibrations together may lead away by the factor `FARTHEST` only, and says which of the
    report's figures are of the former threshold. The verdict over the test is left out, and so is the page.

    Args:
        found: What `monitor` says of that run, with the advice 'recalibrate'.

    Raises:
        RunError: If there is nothing to recalibrate, the folder is no finished run with a detector, or `out` exists.
    """
    folder, out = Path(run_folder), Path(out)
    report, config = read_run(folder)
    if report["detector"] is None:
        raise RunError(f"{folder} has no detector whose threshold could change")
    if found.advice != "recalibrate" or found.recalibrated is None:
        raise RunError(f"nothing to recalibrate: {found.advice}: {found.why}")
    if found.threshold != float(report["threshold"]):
        raise RunError(f"{folder} is not the run that was monitored: its threshold is {report['threshold']:.6g}")
    if out.exists():
        raise RunError(f"{out} exists; choose another folder for the recalibrated run")
    threshold = found.recalibrated
    told = config.detect.model_dump(exclude={"false_alarm_rate", "method"})
    told["saturation"] = report["detector"]["saturation"]
    detector = make_detector(score_from_config(report["detector"]["score"]), threshold, **told)
    report["recalibration"] = _record(report, found)
    report["threshold"] = threshold.value
    report["detector"] = {**dataclasses.asdict(detector), "real_threshold": threshold.value}
    report.pop("verdict", None)
    with made_whole(settled(out)) as staged:
        shutil.copytree(folder, staged, dirs_exist_ok=True)
        emit(
            staged / "student_int8.tflite",
            staged / "firmware",
            config.firmware.name,
            constants={"threshold": threshold.value},
        )
        (staged / HEARD).unlink(missing_ok=True)
        for name, content in calibration_files(found.calibration).items():
            write_bytes(staged / name, content)
        write_bytes(staged / "report.json", json_bytes(report))
        (staged / "report.html").unlink(missing_ok=True)  # its charts are of the threshold that was
        manifest = json.loads((staged / "manifest.json").read_text())
        files = [path for path in sorted(staged.rglob("*")) if path.is_file() and path.name != "manifest.json"]
        manifest["sha256"] = {str(path.relative_to(staged)): sha256(path.read_bytes()) for path in files}
        write_bytes(staged / "manifest.json", json_bytes(manifest))
    return out


def _record(report: dict[str, Any], found: Monitoring) -> dict[str, Any]:
    """What the report says of a recalibration: where the threshold came from, what it guarantees, and what is not of it."""
    assert found.recalibrated is not None
    sessions = found.calibration.scores
    windows = sum(map(len, sessions))
    above = sum(int((scores > found.recalibrated.value).sum()) for scores in sessions)
    earlier = report.get("recalibration") or {}
    former = [name for name in OF_FORMER_THRESHOLD if name in report]
    measured = float(earlier.get("figures_threshold", report["threshold"]))
    return {
        "times": earlier.get("times", 0) + 1,
        "trained_threshold": trained_threshold(report),
        "former_threshold": report["threshold"],
        "threshold": found.recalibrated.value,
        "factor": found.recalibrated.value / trained_threshold(report),
        "guarantee": found.recalibrated.promise,
        "sessions": len(sessions),
        "windows": windows,
        "false_alarm_rate": above / windows,
        "detection_rate": None,
        "figures_threshold": measured,
        "figures_of_former_threshold": former,
        "says": (
            f"The threshold is {found.recalibrated.value:.6g}, from {windows} windows of {len(sessions)} sessions that a "
            f"device logged and that are taken for healthy: {found.recalibrated.promise}. Rates of false alarms and of faults "
            f"found in {', '.join(former)} were measured on the test with the threshold of {measured:.6g}, before any "
            "recalibration; how many faults are found with the new one was not measured."
        ),
    }
