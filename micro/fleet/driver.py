"""The fleet's driver: pieces of work handed out, a row for each machine, a table and a page that grow with them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from micro.config import Config
from micro.errors import RunError
from micro.fleet.following import Followed, Watch, progress_file
from micro.fleet.results import AssetResult, FleetResult, table_csv
from micro.fleet.spec import Fleet
from micro.runs.detectors import require_detectors
from micro.runs.estimators import require_estimators
from micro.runs.folder import check_claim, claim_folder, starting
from micro.runs.lock import holding, settled
from micro.runs.publish import remove
from micro.support.files import json_bytes, write_bytes
from micro.support.progress import Progress
from micro.support.workers import Outcome, cluster, require_ray, run_all

TEACH, TRAIN = "micro.fleet.teacher:teach", "micro.fleet.machine:train_asset"
LOG = "fleet.log.jsonl"
# Next to the shared teacher: the classes or labels that it gives.
TAUGHT = "teacher.json"
# Drawing the page takes about as long as finding a machine done.
SECONDS_BETWEEN_TABLES = 10.0


def run_fleet(
    fleet: Fleet,
    out: str | Path,
    *,
    workers: int = 2,
    address: str | None = None,
    resume: bool = False,
    progress: Progress = lambda stage, fraction: None,
    watch: Watch | None = None,
) -> FleetResult:
    r"""Train, calibrate and emit one firmware for each machine of a fleet under one teacher.

    Each machine gets a run folder `out/assets/NAME`, complete once it is there. A machine that fails stops no other; a killed
    worker's is continued where it stopped, and so is a killed driver's with `resume`; a machine whose config has changed
    since is run again. Table, page and failures are written while the fleet goes on. The teacher is that of the shared
    config's `teacher.path`, or trained on windows of `teacher_assets` machines; another takes the place of a broken one.
    Detectors and estimators are not shared: each machine's are fitted on its own windows.

    Args:
        workers: Processes on this machine; on a cluster, machines trained at a time.
        address: Of a Ray cluster whose workers see `out` and the data under the same paths; None for this machine.
        progress: Called with the stage and the fraction of machines that are done.
        watch: Called with each `FleetLine`: machines' epochs, losses, ends; the time that is left.

    Raises:
        RunError: If `out` is in the way, another driver uses it, or the teacher cannot be trained.

    Examples:
        >>> from pathlib import Path
        >>> _ = Path("rig.toml").write_text('job = "rig"\n[teacher]\nsizes = [64, 8, 64]\n[student]\nsizes = [8]\n')
        >>> _ = Path("hall.toml").write_text('config = "rig.toml"\n[[asset]]\nname = "pump-1"\n')
        >>> fleet = micro.load_fleet("hall.toml")
        >>> result = micro.run_fleet(fleet, "fleets/hall", workers=4)  # doctest: +SKIP
        >>> print(result.failed, result.unusable)  # doctest: +SKIP
    """
    require_ray()
    out = settled(out, renamed=False)
    with holding(out):
        fresh = _claim(out, fleet, resume)
        with ExitStack() as stack:
            with starting(out, fresh=fresh):
                stack.enter_context(cluster(workers, address))
                followed = Followed([asset.name for asset in fleet.asset], out, workers, watch)
                progress("training the shared teacher", 0.0)
                teacher = _teacher(fleet, out, workers, followed)
            table, pieces = _Table(fleet, out), _pieces(fleet, out, teacher, _classes(teacher, out), followed)
            for outcome in run_all(TRAIN, pieces, workers=workers, look=followed.looking):
                followed.ended(table.take(outcome))
                _say(outcome, len(table.outcomes), len(fleet.asset), progress)
        return table.publish()


def _say(outcome: Outcome, done: int, machines: int, progress: Progress) -> None:
    """Report a machine that failed, and how many have ended."""
    if outcome.error is not None:
        progress(f"failed: {outcome.name}: {outcome.error}", (done - 1) / machines)
    progress(f"{done} of {machines} machines", done / machines)


def _claim(out: Path, fleet: Fleet, resume: bool) -> bool:
    """Make `out` this fleet's, or see that it is already; machines may have come or gone since. True if it is new."""
    return claim_folder(*_claim_words(out, fleet, resume))


def check_fleet(out: Path, fleet: Fleet, resume: bool) -> None:
    """See that a folder can be claimed for a fleet and that Ray is there; nothing is changed."""
    require_ray()
    check_claim(*_claim_words(out, fleet, resume))


def _claim_words(out: Path, fleet: Fleet, resume: bool) -> tuple[Path, bytes, bool, str, str]:
    claim = json_bytes({"shared": fleet.shared, "teacher_assets": fleet.teacher_assets})
    return out, claim, resume, "fleet", "another shared config"


def _teacher(fleet: Fleet, out: Path, workers: int, followed: Followed) -> str | None:
    """Path of the shared teacher; trained where there is none yet. None for detectors and estimators, which each machine
    fits on its own windows."""
    teacher = fleet.shared.get("teacher", {})
    config = fleet.config(fleet.asset[0])
    if config.teacher.detectors:
        require_detectors(config.teacher.detectors)
        return None
    if config.teacher.estimators:
        require_estimators(config.teacher.estimators, config.task)
        return None
    if teacher.get("path"):
        return str(Path(teacher["path"]).resolve())
    path, said = out / "teacher.keras", progress_file(out, None)
    if not path.is_file():
        places = [[fleet.config(asset).model_dump(mode="json") for asset in place] for place in fleet.teaching()]
        work = {"places": places, "path": str(path), "about": str(out / TAUGHT), "progress": str(said)}
        followed.begun(None)
        for outcome in run_all(TEACH, [("teacher", work)], workers=workers, look=followed.looking):
            followed.taught()
            if outcome.error is not None:
                names = ", ".join(asset.name for asset, *_ in fleet.teaching())
                raise RunError(f"the shared teacher, trained on {names}: {outcome.error}")
    remove(said)
    return str(path)


def _classes(teacher: str | None, out: Path) -> tuple[str, ...]:
    """The classes or labels that the fleet's own teacher was taught; of classes machines may have some."""
    path = out / TAUGHT
    if teacher is None or Path(teacher).parent != out or not path.is_file():
        return ()
    return tuple(json.loads(path.read_bytes())["classes"])


def _pieces(
    fleet: Fleet, out: Path, teacher: str | None, classes: tuple[str, ...], followed: Followed
) -> Iterator[tuple[str, dict[str, Any]]]:
    for asset in fleet.asset:
        config = fleet.config(asset, teacher, classes).model_dump(mode="json")
        folder = out / "assets" / asset.name
        plain = {"name": asset.name, "config": config, "out": str(folder), "log": str(out / LOG), "fleet": str(out)}
        followed.begun(asset.name)
        yield asset.name, plain


class _Table:
    """The results so far, written while the fleet goes on: as JSON, CSV and page."""

    def __init__(self, fleet: Fleet, out: Path) -> None:
        self.fleet, self.out = fleet, out
        self.outcomes: dict[str, Outcome] = {}
        self._written = -math.inf

    def take(self, outcome: Outcome) -> AssetResult:
        """Note an outcome, and write the table unless that was done a moment ago; the machine's row."""
        self.outcomes[outcome.name] = outcome
        if time.monotonic() - self._written >= SECONDS_BETWEEN_TABLES:
            self.publish()
        return _row(outcome.name, outcome)

    def publish(self) -> FleetResult:
        """Write the table. Attempts are of this driver alone, and stay out: the same fleet gives the same bytes."""
        from micro.fleet.page import render_fleet

        rows = tuple(_row(asset.name, self.outcomes.get(asset.name)) for asset in self.fleet.asset)
        job, config = self.fleet.shared.get("job", "rig"), self.fleet.config(self.fleet.asset[0])
        task, targets = config.task, _outputs_of(config)
        result = FleetResult(rows, _removed(self.fleet, self.out), task, targets)
        plain = [{key: value for key, value in asdict(row).items() if key != "attempts"} for row in rows]
        write_bytes(
            self.out / "fleet.json",
            json_bytes({"job": job, "task": task, "rows": plain, "removed": list(result.removed)}),
        )
        write_bytes(self.out / "fleet.csv", table_csv(rows, task, targets))
        write_bytes(self.out / "report.html", render_fleet(rows, job, task, targets))
        self._written = time.monotonic()
        return result


def _outputs_of(config: Config) -> tuple[str, ...]:
    """The several numbers that machines estimate, or the labels that they tell; none where there is one output or classes."""
    targets = getattr(config.data, "targets", ())
    return tuple(getattr(config.data, "label_columns", ())) or (targets if len(targets) > 1 else ())


def _row(name: str, outcome: Outcome | None) -> AssetResult:
    if outcome is None:
        return AssetResult(name, "waiting")
    if outcome.value is None:
        tries = f", {outcome.attempts} times; --resume tries again" if outcome.attempts > 1 else ""
        return AssetResult(name, "failed", error=f"{outcome.error}{tries}", attempts=outcome.attempts)
    return AssetResult(name, "done", **outcome.value, attempts=outcome.attempts)


def _removed(fleet: Fleet, out: Path) -> tuple[str, ...]:
    """Names of finished machines that are no longer in the list."""
    listed = {asset.name for asset in fleet.asset}
    found = (path.parent.name for path in (out / "assets").glob("*/manifest.json"))
    return tuple(sorted(name for name in found if name not in listed))
