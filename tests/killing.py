"""Kill a piece of work before its n-th step in the file system, and see what the next calls make of what is left.

Run as a program: `python killing.py JOB COUNT`, or `python killing.py JOB COUNT pairs` for two calls at once too, which prints
what it met as JSON. Each try is a child of a process that has everything imported. Training is stood in for by a few files,
except in 'real-run'; everything that touches folders is the real thing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import types
from pathlib import Path
from types import SimpleNamespace

from reports import report_with

sys.path.insert(0, str(Path(__file__).parents[1]))
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
STEPS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}


def digests(folder):
    """Every file and folder below, by its path: the content's digest. Optuna's journal tells times, and the lock of a process
    that was killed once it was done stays until the next call."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
        if path.name != "study.jsonl" and not path.name.endswith(".keras-kd.lock")
    }


def die_before(step, root):
    """From now on, kill this process before its `step`-th change below `root`; the number met is kept in the list returned."""
    met = [0]

    def one():
        met[0] += 1
        if met[0] == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, details):
        if event == "open":
            path, _, flags = details
            if flags & WRITES and isinstance(path, (str, bytes)) and os.fsdecode(path).startswith(root):
                one()
        elif event in STEPS:
            path = details[0]
            by_descriptor = any(isinstance(value, int) and value > 2 for value in details[1:])
            if by_descriptor or (isinstance(path, (str, bytes)) and os.fsdecode(path).startswith(root)):
                one()

    sys.addaudithook(hook)
    plain = os.fsync

    def fsync(descriptor):
        # Opened and not yet known to be written.
        one()
        plain(descriptor)

    os.fsync = fsync
    return met


def in_child(work, root=None, step=0):
    """What `work` says in a child of this process: (how it ended, its words or the number of steps)."""
    return wait_for(begin_child(work, root, step))


def begin_child(work, root=None, step=0):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 0
        try:
            met = die_before(step, root) if root else [0]
            said = work()
            said = said if said is not None else str(met[0])
        except BaseException as error:
            code = 1
            said = f"{type(error).__name__}: {error}"
            if not type(error).__module__.startswith("micro"):
                said = traceback.format_exc()
        with contextlib.suppress(BaseException):
            os.write(writing, said.encode()[:60_000])
        os._exit(code)
    os.close(writing)
    return child, reading


def wait_for(begun):
    child, reading = begun
    said = b""
    while part := os.read(reading, 65_536):
        said += part
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed", ""
    return ("done", "failed")[os.WEXITSTATUS(status)], said.decode()


class Job:
    """A command on a fresh folder: `first` is what is killed, `resume` and `force` what a user tries then."""

    ways = ("resume", "force")

    def prepare(self, root):
        """What lies there before."""

    def call(self, root, way):
        raise NotImplementedError

    def lost(self, root):
        """What of the user's is neither where it was nor replaced by something whole; None if nothing."""


def config():
    from micro.config import parse_config

    raw = {
        "job": "rig",
        "teacher": {"family": "autoencoder", "sizes": [8, 4, 8]},
        "student": {"family": "autoencoder", "sizes": [4]},
    }
    return parse_config(raw, Path())


def stand_in():
    """Training, data and TensorFlow replaced by a few small files that say what they were made of."""
    from micro.runs import duration, reading, start
    from micro.support.files import json_bytes, sha256, write_bytes, write_together

    def train_and_report(config, data, folder, progress):
        time.sleep(float(os.environ.get("KILLING_SLEEP", 0)))
        for seed in range(2):
            for name in ("teacher", "student"):
                place = folder.parts / f"seed-{seed}" / name
                if not (place.with_suffix(".keras").is_file() and place.with_suffix(".json").is_file()):
                    write_bytes(place.with_suffix(".keras"), f"{name} {seed} {config.seed}".encode())
                    write_bytes(place.with_suffix(".json"), b"{}")
        whole = folder.fresh_whole()
        models = {path.name: path.read_text() for path in folder.parts.rglob("*.keras")}
        write_together(whole / "firmware", {"a.h": b"a", "a.cc": b"b"})
        report = report_with(models=models)
        write_bytes(whole / "report.json", report.to_bytes())
        files = sorted(path for path in whole.rglob("*") if path.is_file())
        digests = {str(path.relative_to(whole)): sha256(path.read_bytes()) for path in files}
        raw = json.loads(folder.config_file.read_bytes())
        write_bytes(whole / "manifest.json", json_bytes({"config": raw, "sha256": digests}))
        return report

    pipeline = types.ModuleType("micro.runs.pipeline")
    pipeline.check_work, pipeline.train_and_report = (lambda config, data: None), train_and_report
    sys.modules["micro.runs.pipeline"] = pipeline
    import micro

    micro.runs.pipeline = pipeline
    reading.prepare = lambda config, fold=0: SimpleNamespace(notes=(), unlabeled=None)
    reading.require_enough = lambda config, data, fold=0: None
    duration.estimated_seconds = lambda config, data, trainings: 60.0
    start.import_frameworks = lambda: None


def one_process(function_of):
    """Ray's cluster and its workers replaced by calls in this process."""
    from micro.errors import MicroError
    from micro.support.workers import Outcome

    @contextlib.contextmanager
    def cluster(workers=2, address=None):
        yield

    def run_all(work, pieces, *, workers=2, retries=2, look=None):
        for name, arguments in pieces:
            try:
                yield Outcome(name, function_of(work)(**arguments), None, 1)
            except (MicroError, ValueError, OSError) as error:
                yield Outcome(name, None, str(error), 1)

    return cluster, run_all


class Run(Job):
    """A run into a new folder."""

    def __init__(self):
        stand_in()
        self.config = config()

    def call(self, root, way):
        from micro.runs import start

        start.run_pipeline(
            self.config, root / "rig", resume=way == "resume", force=way == "force" or (way == "first" and self.over)
        )

    over = False


class RunOver(Run):
    """A run that replaces an earlier one of another config."""

    over = True

    def prepare(self, root):
        from micro.runs import start

        start.run_pipeline(self.config.model_copy(update={"seed": 99}), root / "rig")

    def lost(self, root):
        from micro.runs.summary import plain_config

        wanted = [
            plain_config(one, root / "rig")["seed"]
            for one in (self.config, self.config.model_copy(update={"seed": 99}))
        ]
        for place in (root / "rig", root / "rig.partial" / "earlier"):
            with contextlib.suppress(OSError):
                manifest = json.loads((place / "manifest.json").read_text())
                whole = all(
                    hashlib.sha256((place / name).read_bytes()).hexdigest() == digest
                    for name, digest in manifest["sha256"].items()
                )
                if whole and manifest["config"]["seed"] in wanted:
                    return None
        return "the earlier run"


class Fleet(Job):
    """Three machines under one teacher, one of which is broken."""

    ways = ("resume", "first")

    def __init__(self):
        stand_in()
        from micro.fleet import Fleet, machine, page
        from micro.fleet import driver as fleet
        from micro.support.files import write_bytes

        def teach(places, path, about, progress):
            write_bytes(about, b'{"classes": []}')
            write_bytes(path, b"teacher")
            return {}

        def train(**arguments):
            if arguments["name"] == "broken":
                raise ValueError("no data")
            return machine.train_asset(**arguments)

        functions = {fleet.TEACH: teach, fleet.TRAIN: train}
        fleet.cluster, fleet.run_all = one_process(functions.__getitem__)
        fleet.require_ray = lambda: None
        page.render_fleet = lambda rows, job, task, targets: b"page"
        machine._note = lambda log, name, event: None
        self.run_fleet = fleet.run_fleet
        shared = config().model_dump(mode="json")
        names = ("one", "broken", "two")
        self.fleet = Fleet.model_validate({"shared": shared, "asset": [{"name": name} for name in names]})

    def call(self, root, way):
        self.run_fleet(self.fleet, root / "hall", resume=way == "resume")


class Search(Job):
    """Six candidates in two batches."""

    ways = ("resume", "first")

    def __init__(self):
        import numpy as np

        import micro.explore.search  # noqa: F401
        from micro.explore import page, task
        from micro.explore import selection as choice
        from micro.runs.publish import write_folder
        from micro.support.files import array_bytes, json_bytes

        def windows(config, folder, teacher_from=None, kept=False):
            time.sleep(float(os.environ.get("KILLING_SLEEP", 0)))
            about = json_bytes({"teacher_score": 0.9, "teacher": "x"})
            write_folder(folder, {"about.json": about, "train_x.npy": array_bytes(np.zeros((4, 8), np.float32))})
            return {"teacher_score": 0.9}

        def trial(config, folder, budget, runtime, seed, finished=(), learn=True):
            drawn = (
                int(
                    hashlib.sha256(
                        json.dumps(["a", config["student"]["sizes"], config["features"]["bands"], seed]).encode()
                    ).hexdigest()[:6],
                    16,
                )
                / 2**24
            )
            costs = {"flash": int(1000 + 2000 * drawn), "ram": 500, "macs": 100}
            return {
                "state": "done",
                "costs": costs,
                "epoch_scores": [drawn / 2],
                "score": drawn / 1.2,
                "accuracy": None,
            }

        search = sys.modules["micro.explore.search"]  # the package's name of it is the function
        functions = {task.TRIAL: trial, task.WINDOWS: windows}
        cluster, run_all = one_process(functions.__getitem__)
        for module in (search, task, choice):
            module.run_all = run_all
        search.cluster = cluster
        search.require_ray = lambda: None
        search.search_windows = lambda config: None
        page.render_search = lambda result: b"page"
        search.require_optuna()
        self.search, self.config = search.search, config()

    def call(self, root, way):
        os.chdir(root)
        self.search(self.config, "small", flash=2900, trials=6, resume=way == "resume")


class NewFirmware(Job):
    """A project's folder, written at once."""

    ways = ("first",)

    def call(self, root, way):
        from micro.runs.publish import write_folder

        write_folder(root / "fw", {"README.md": b"read", "src/app.c": b"int x;", "src/a/b.c": b"int y;"})


class Recalibrate(Job):
    """A copy of a finished run with another threshold."""

    ways = ("first",)

    def __init__(self):
        stand_in()
        from micro.monitoring import recalibration
        from micro.runs.run_report import RunReport
        from micro.support.files import write_together

        recalibration.read_run = lambda folder: (RunReport.read(folder), config())
        recalibration.emit = lambda tflite, folder, name, constants: write_together(folder, {"a.h": b"new"})
        recalibration.parameters_record = lambda folder: b"record"
        self.recalibrate = recalibration.recalibrate

    def prepare(self, root):
        from micro.runs import start

        start.run_pipeline(config(), root / "rig")

    def call(self, root, way):
        import numpy as np

        from micro.detection.threshold import Threshold
        from micro.monitoring.result import Monitoring
        from micro.runs.baseline import Calibration

        sessions = Calibration(("start 0",), (np.array([1.0, 2.0]),), (0,), np.zeros((1, 1)))
        new = Threshold(2.0, "said")
        found = Monitoring("recalibrate", "why", (), None, 0.0, 1.0, new, 2, 1, 0, (), None, 1.0, (), sessions)
        self.recalibrate(root / "rig", found, root / "again")


class RealRun(Job):
    """A run with nothing stood in for: two seeds, a stage of pruning, firmware and page."""

    def __init__(self):
        from configs import rig

        from micro.config import parse_config
        from micro.support.silence import import_frameworks

        import_frameworks()
        import matplotlib.pyplot  # noqa: F401

        import micro.runs.pipeline  # noqa: F401

        raw = rig(
            seeds=2,
            data={f"{part}_recordings": 2 for part in ("train", "validation", "calibration", "test")},
            features={"bands": 8},
            teacher={"sizes": [8, 2, 8], "epochs": 1},
            student={"sizes": [2], "epochs": 1},
            compress=[{"stage": "prune", "target_sparsity": 0.3, "epochs": 1}],
            detect={"false_alarm_rate": 0.1},
        )
        self.config = parse_config(raw, Path())

    def call(self, root, way):
        from micro.runs import start

        start.run_pipeline(self.config, root / "rig", resume=way == "resume", force=way == "force")


class RealFolds(RealRun):
    """A cross-validation with nothing stood in for: three folds of three files of each class."""

    def __init__(self):
        super().__init__()
        from micro.config import parse_config

        models = {"sizes": [4], "epochs": 1}
        self.raw = {
            "job": "table", "task": "classification", "seeds": 1,
            "data": {"files": "*/*.csv", "sample_rate": 100.0, "folds": 3},
            "features": {"kind": "statistics", "window": 16, "hop": 16}, "teacher": {**models, "folds": 2},
            "student": models,
        }  # fmt: skip
        self.parse = parse_config

    def prepare(self, root):
        import numpy as np

        for number, name in enumerate(("calm", "busy") * 3):
            path = self.files(root) / name / f"{number}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = np.random.default_rng(number).normal(size=(96, 2)) * (1 + number % 2)
            np.savetxt(path, rows, delimiter=",", header="a,b", comments="", fmt="%.3f")

    def files(self, root):
        """Beside the folders of all tries, so that their configs are the same."""
        return root.parent / "folds-files"

    def call(self, root, way):
        from micro.runs import start

        config = self.parse(self.raw, self.files(root))
        start.run_pipeline(config, root / "rig", resume=way == "resume", force=way == "force")


JOBS = {
    "run": Run,
    "real-run": RealRun,
    "real-folds": RealFolds,
    "run-over": RunOver,
    "fleet": Fleet,
    "search": Search,
    "new-firmware": NewFirmware,
    "recalibrate": Recalibrate,
}


def fresh(job, folder, name):
    root = folder / name
    root.mkdir()
    kind, said = in_child(lambda: job.prepare(root))
    assert kind == "done", said
    return root


def tried(job, folder, step, whole):
    """What goes wrong after a kill before a step, in words; None where all is well."""
    root = fresh(job, folder, "tried")
    try:
        kind, said = in_child(lambda: job.call(root, "first"), str(root), step)
        if kind != "killed":
            return f"step {step}: not killed: {kind} {said}"
        lost = job.lost(root)
        if lost is not None:
            return f"step {step}: lost {lost}"
        refusals = []
        for way in job.ways:
            kind, said = in_child(lambda way=way: job.call(root, way))
            if kind == "done":
                break
            refusals.append(f"{way}: {said}")
            if "Traceback" in said and "FileExistsError" not in said:
                return f"step {step}: {said}"
        else:
            if digests(root) != whole:  # else it was done already, and says so
                return f"step {step}: blocked: {refusals}"
        found = digests(root)
        if found != whole:
            return f"step {step}: {way} gave other files: {sorted(set(found.items()) ^ set(whole.items()))[:6]}"
        return None
    finally:
        shutil.rmtree(root)


def paired(job, folder, ways, whole, left):
    """What goes wrong where two calls meet, in words; None where one works and the other does too, or says why it does not."""
    root = fresh(job, folder, "tried")
    try:
        if left:
            assert in_child(lambda: job.call(root, "first"), str(root), left)[0] == "killed"
        os.environ["KILLING_SLEEP"] = "0.3"
        both = [begin_child(lambda way=way: job.call(root, way)) for way in ways]
        ended = [wait_for(begun) for begun in both]
        del os.environ["KILLING_SLEEP"]
        said = [words for kind, words in ended if kind != "done"]
        if len(said) > 1 or not all(words.startswith("RunError: ") for words in said):
            return f"{ways}: {said}"
        if digests(root) != whole:
            return f"{ways}: other files: {sorted(set(digests(root).items()) ^ set(whole.items()))[:6]}"
        return None
    finally:
        shutil.rmtree(root)


def main(name, count, pairs=False):
    job = JOBS[name]()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        root = fresh(job, folder, "tried")
        kind, said = in_child(lambda: job.call(root, "first"), str(root))
        assert kind == "done", said
        steps, whole = int(said), digests(root)
        shutil.rmtree(root)
        met = {}
        if pairs:
            again = [(way, way) for way in job.ways if way != "first"] + [("resume", "force")] * ("force" in job.ways)
            meetings = [(ways, left) for ways in again for left in (steps // 3, 2 * steps // 3, steps - 6)]
            meetings.append((("first", "first"), 0))
            met["pairs"] = len(meetings)
            met["wrong_pairs"] = [
                found for ways, left in meetings if (found := paired(job, folder, ways, whole, left)) is not None
            ]
        chosen = range(1, steps + 1)
        if count < steps:
            chosen = sorted({1 + round(n * (steps - 1) / (count - 1)) for n in range(count)})
        wrong = [found for step in chosen if (found := tried(job, folder, step, whole)) is not None]
    print(json.dumps({"steps": steps, "tried": len(chosen), "wrong": wrong, **met}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), "pairs" in sys.argv[3:])
