"""A run with another threshold, from the healthy windows that a device has logged."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

from micro.detect import Threshold
from micro.detector import make_detector
from micro.emission import emit
from micro.errors import RunError
from micro.files import json_bytes, sha256, write_bytes
from micro.runs.folder import made_whole, settled
from micro.score import read_run
from micro.scoring import score_from_config


def recalibrate(run_folder: str | Path, threshold: Threshold, out: str | Path) -> Path:
    """A copy of a run with another threshold in report, detector and header; its firmware is made anew from there.

    Raises:
        RunError: If the folder is no finished run with a detector, or `out` exists.
    """
    folder, out = Path(run_folder), Path(out)
    report, config = read_run(folder)
    if report["detector"] is None:
        raise RunError(f"{folder} has no detector whose threshold could change")
    if out.exists():
        raise RunError(f"{out} exists; choose another folder for the recalibrated run")
    told = config.detect.model_dump(exclude={"false_alarm_rate", "method"})
    told["saturation"] = report["detector"]["saturation"]
    detector = make_detector(score_from_config(report["detector"]["score"]), threshold, **told)
    report["threshold"] = threshold.value
    report["detector"] = {**dataclasses.asdict(detector), "real_threshold": threshold.value}
    with made_whole(settled(out)) as staged:
        shutil.copytree(folder, staged, dirs_exist_ok=True)
        emit(
            staged / "student_int8.tflite",
            staged / "firmware",
            config.firmware.name,
            constants={"threshold": threshold.value},
        )
        write_bytes(staged / "report.json", json_bytes(report))
        (staged / "report.html").unlink(missing_ok=True)  # its charts are of the threshold that was
        manifest = json.loads((staged / "manifest.json").read_text())
        files = [path for path in sorted(staged.rglob("*")) if path.is_file() and path.name != "manifest.json"]
        manifest["sha256"] = {str(path.relative_to(staged)): sha256(path.read_bytes()) for path in files}
        write_bytes(staged / "manifest.json", json_bytes(manifest))
    return out
