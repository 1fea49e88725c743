"""How a run begins: folder, config and data are looked at before TensorFlow starts, and its folder is made after that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from micro.config import Config
from micro.datasets.prepare import Prepared, prepare
from micro.detection.threshold import threshold_rank
from micro.runs.folder import NOT_BEGUN, RunFolder
from micro.runs.lock import holding, settled
from micro.runs.summary import told_by
from micro.support.files import json_bytes
from micro.support.progress import Progress
from micro.support.silence import import_frameworks


def run_pipeline(
    config: Config,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: Progress = lambda stage, share: None,
) -> dict[str, Any]:
    """Carry out a config into the run folder `out` and return its report.

    Work goes on in `OUT.partial`, made once the data have been read and checked, and is renamed to `out` when whole. `resume`
    goes on with an interrupted run of the same config, and finds a finished one done; `force` replaces an earlier run folder.
    With both, what is there of this config is gone on with, and all else replaced. `progress` is told the stage and the share
    done.

    Raises:
        RunError: If `out` is in the way, or another process works on it.
        DataError: For recordings that cannot be read or are too few.
        ValueError: For settings that do not fit the data.
        ConversionError: For a student that does not convert.
    """
    folder = RunFolder(settled(out))
    told = told_by(config, folder.out)
    with holding(folder.out):
        if folder.settle(json_bytes(told), resume=resume):
            progress("done", 1.0)
            return report_of(folder.out)
        return run_held(config, folder, told, resume=resume, force=force, progress=progress)


def run_held(
    config: Config,
    folder: RunFolder,
    told: dict[str, Any],
    *,
    resume: bool,
    force: bool,
    progress: Progress = lambda stage, share: None,
) -> dict[str, Any]:
    """As `run_pipeline`, in a folder that is held and settled, under the words that the folder is to keep of the config."""
    content = json_bytes(told)
    folder.check(content, resume=resume, force=force)
    try:
        progress("reading data", 0.0)
        data = prepare(config)
        _require_enough(config, data)
        progress("starting TensorFlow", 0.01)
        import_frameworks()
        from micro.runs import pipeline

        pipeline.check_work(config, data)
    except KeyboardInterrupt as interrupt:
        if not folder.goes_on(content):
            interrupt.add_note(NOT_BEGUN)
        raise
    folder.begin(content, resume=resume)
    report = pipeline.carry_out(config, data, folder, progress)
    folder.publish()
    progress("done", 1.0)
    return report


def report_of(out: Path) -> dict[str, Any]:
    """The report of a finished run."""
    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return report


def _require_enough(config: Config, data: Prepared) -> None:
    """ValueError where the rate of false alarms takes more calibration windows than there are."""
    if config.task == "anomaly" and config.detect.method == "conformal":
        threshold_rank(len(data.calibration), config.detect.false_alarm_rate)
