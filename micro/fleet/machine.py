"""What workers of a fleet do: take one machine from its recordings to its firmware. One that is done needs no TensorFlow."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from micro.config import Config, parse_config
from micro.errors import ConversionError
from micro.program.budget import compare
from micro.program.size import Program
from micro.runs.around_model import model_of_run
from micro.runs.assessment.folds import unsure_of_false_alarms
from micro.runs.budgets import limits_of
from micro.runs.folder import RunFolder
from micro.runs.lock import PATIENCE, holding
from micro.runs.progress_lines import Teller
from micro.runs.run_report import RunReport
from micro.runs.start import run_held
from micro.runs.summary import plain_config
from micro.support.files import json_bytes


def train_asset(name: str, config: Mapping[str, Any], out: str, log: str, fleet: str) -> dict[str, Any]:
    """One machine's run: new, continued, done already, or run again because its config has changed; a row of the fleet's table.

    Args:
        fleet: The fleet's folder; the shared teacher in it is kept by its path relative to the machine's, so that all can
            be moved.

    Raises:
        RunError: If another process is at work on this machine; what the run raises.
    """
    parsed, folder = parse_config(dict(config), Path()), RunFolder(Path(out))
    plain = plain_config(parsed, folder.out, Path(fleet))
    with holding(folder.out, patience=PATIENCE):
        content = json_bytes(plain)
        if folder.settle(content, resume=True):
            return row(RunReport.read(folder.out), folder.out, parsed)
        _note(log, name, "resumed" if folder.goes_on(content) else "started")
        report = run_held(parsed, folder, plain, resume=True, force=True, teller=Teller())
        _note(log, name, "done")
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    return row(report, folder.out, parsed)


def row(report: RunReport, folder: Path, config: Config) -> dict[str, Any]:
    """A machine's figures in the fleet's table, from its report and its model."""
    verdict, program = report.verdict, _program(report, folder, config)
    return {
        "metrics": report.deployed,
        "teacher": report.seeds[0].models["teacher"],
        "flash": program.flash,
        "ram": program.ram,
        "macs": report.footprint.macs,
        "threshold": report.threshold,
        "too_few_windows": unsure_of_false_alarms(report),
        "budget": None if report.budget is None else report.budget.fits,
        "verdict": None if verdict is None else verdict.grade,
        "reasons": None if verdict is None else verdict.because,
    }


def _program(report: RunReport, folder: Path, config: Config) -> Program:
    """What a run takes with its budget's runtime and on its core, as `keras-kd check` says it."""
    model, limits = model_of_run(folder, report, config), limits_of(config.budget)
    try:
        return compare(model, limits).program
    except ConversionError:
        return compare(model, replace(limits, runtime="tflm")).program  # static C lacks one of its operators


def _note(log: str, name: str, event: str) -> None:
    """One line in the fleet's log, whole even where several workers write."""
    line = json.dumps({"asset": name, "event": event, "time": round(time.time(), 3), "process": os.getpid()})
    with open(log, "a", encoding="utf-8") as file:
        file.write(line + "\n")
