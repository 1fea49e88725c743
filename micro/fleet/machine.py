"""What workers of a fleet do: take one machine from its recordings to its firmware. One that is done needs no TensorFlow."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from micro.config import parse_config
from micro.runs.folder import RunFolder
from micro.runs.lock import PATIENCE, holding
from micro.runs.start import report_of, run_held
from micro.runs.summary import told_by
from micro.runs.verdict import verdict_of
from micro.support.files import json_bytes

# The arena with each kind of kernels in a report's footprint, the largest of which budgets are compared with; reports of an
# earlier version have the first alone.
ARENAS = ("arena_bytes_32bit", "arena_bytes_cmsis_nn", "arena_bytes_cmsis_nn_mve")


def train_asset(name: str, config: Mapping[str, Any], out: str, log: str, fleet: str) -> dict[str, Any]:
    """One machine's run, new, gone on with, found done, or done anew where its config has changed: a row of the fleet's table.

    Args:
        fleet: The fleet's folder; the shared teacher in it is told by its path from the machine's, so that all can be moved.

    Raises:
        RunError: If another process is at work on this machine; what the run raises.
    """
    told, folder = parse_config(dict(config), Path()), RunFolder(Path(out))
    plain = told_by(told, folder.out, Path(fleet))
    with holding(folder.out, patience=PATIENCE):
        content = json_bytes(plain)
        if folder.settle(content, resume=True):
            return row(report_of(folder.out))
        _note(log, name, "resumed" if folder.goes_on(content) else "started")
        report = run_held(told, folder, plain, resume=True, force=True)
        _note(log, name, "done")
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    return row(report)


def row(report: Mapping[str, Any]) -> dict[str, Any]:
    """A machine's figures in the fleet's table, from its report."""
    metrics = report["seeds"][0]["student_int8"]
    teacher = report["seeds"][0]["teacher"]
    verdict = verdict_of(report)
    return {
        "metrics": metrics,
        "teacher": teacher,
        "flash": report["footprint"]["model_bytes"],
        "ram": max(report["footprint"].get(kernels, 0) for kernels in ARENAS),
        "macs": report["footprint"]["macs"],
        "threshold": report["threshold"],
        "budget": None if report["budget"] is None else report["budget"]["fits"],
        "verdict": None if verdict is None else verdict.grade,
        "reasons": None if verdict is None else verdict.because,
    }


def _note(log: str, name: str, event: str) -> None:
    """One line in the fleet's log, whole even where several workers write."""
    line = json.dumps({"asset": name, "event": event, "time": round(time.time(), 3), "process": os.getpid()})
    with open(log, "a", encoding="utf-8") as file:
        file.write(line + "\n")
