"""The fleet's driver: pieces of work handed out, a row for each machine, a table and a page at the end."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from micro.engine import Outcome, cluster, run_all
from micro.errors import RunError
from micro.files import claim_folder, json_bytes, write_bytes
from micro.fleet.assets import Asset, Fleet
from micro.fleet.results import AssetResult, FleetResult, table_csv

TEACH, TRAIN = "micro.fleet.work:teach", "micro.fleet.work:train_asset"
LOG = "fleet.log.jsonl"
Progress = Callable[[str, float], None]


def run_fleet(
    fleet: Fleet,
    out: str | Path,
    *,
    workers: int = 2,
    address: str | None = None,
    resume: bool = False,
    progress: Progress = lambda stage, share: None,
) -> FleetResult:
    """Train, calibrate and emit one firmware for each machine of a fleet under one teacher.

    Each machine gets a run folder `out/assets/NAME`, whole once it is there. A machine that fails stops no other; a killed
    worker's is begun again where it stopped, and so is a killed driver's with `resume`. The teacher is that of the shared
    config's `teacher.path`, or trained on windows of `teacher_assets` machines; another takes the place of a broken one.

    Args:
        workers: Processes on this machine; on a cluster, machines trained at a time.
        address: Of a Ray cluster whose workers see `out` and the data under the same paths; None for this machine.

    Raises:
        RunError: If `out` is in the way, another driver is at work in it, or the teacher cannot be trained.
    """
    out = Path(out).resolve()
    _claim(out, fleet, resume)
    with _only_driver(out), cluster(workers, address):
        progress("teaching the shared teacher", 0.0)
        teacher = _teacher(fleet, out, workers)
        outcomes: dict[str, Outcome] = {}
        for outcome in run_all(TRAIN, _pieces(fleet, out, teacher), workers=workers):
            outcomes[outcome.name] = outcome
            progress(f"{len(outcomes)} of {len(fleet.asset)} machines", len(outcomes) / len(fleet.asset))
    rows = tuple(_row(asset, outcomes[asset.name]) for asset in fleet.asset)
    result = FleetResult(rows)
    _publish(result, fleet, out)
    return result


def _claim(out: Path, fleet: Fleet, resume: bool) -> None:
    """Make `out` this fleet's, or see that it is already; machines may have come or gone since."""
    told = json_bytes({"shared": fleet.shared, "teacher_assets": fleet.teacher_assets})
    claim_folder(out, told, resume, "fleet", "another shared config")


@contextmanager
def _only_driver(out: Path) -> Iterator[None]:
    with (out / ".driver.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{out}: another driver is at work on this fleet") from None
        yield


def _teacher(fleet: Fleet, out: Path, workers: int) -> str:
    """Path of the shared teacher; trained where there is none yet."""
    given = fleet.shared.get("teacher", {}).get("path")
    if given:
        return str(Path(given).resolve())
    path = out / "teacher.keras"
    if not path.is_file():
        places = [[fleet.config(asset).model_dump(mode="json") for asset in place] for place in fleet.teaching()]
        for outcome in run_all(TEACH, [("teacher", {"places": places, "path": str(path)})], workers=workers):
            if outcome.error is not None:
                names = ", ".join(asset.name for asset, *_ in fleet.teaching())
                raise RunError(f"the shared teacher, taught by {names}: {outcome.error}")
    return str(path)


def _pieces(fleet: Fleet, out: Path, teacher: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for asset in fleet.asset:
        config = fleet.config(asset, teacher).model_dump(mode="json")
        folder = out / "assets" / asset.name
        yield asset.name, {"name": asset.name, "config": config, "out": str(folder), "log": str(out / LOG)}


def _row(asset: Asset, outcome: Outcome) -> AssetResult:
    if outcome.value is None:
        return AssetResult(asset.name, "failed", error=outcome.error, attempts=outcome.attempts)
    return AssetResult(asset.name, "done", **outcome.value, attempts=outcome.attempts)


def _publish(result: FleetResult, fleet: Fleet, out: Path) -> None:
    """The table as JSON, CSV and page. Attempts are of this driver alone, and stay out: the same fleet gives the same bytes."""
    from micro.fleet.page import render_fleet

    job = fleet.shared.get("job", "rig")
    rows = [{key: value for key, value in asdict(row).items() if key != "attempts"} for row in result.rows]
    write_bytes(out / "fleet.json", json_bytes({"job": job, "rows": rows}))
    write_bytes(out / "fleet.csv", table_csv(result.rows))
    write_bytes(out / "report.html", render_fleet(result.rows, job))
