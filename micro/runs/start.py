"""How a run begins: folder, config and data are checked before TensorFlow starts, and its folder is made after that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micro.config import Config
from micro.datasets.find import find_files
from micro.runs.folder import NOT_BEGUN, RunFolder
from micro.runs.lock import holding, settled
from micro.runs.progress_lines import Teller, Watch, nobody
from micro.runs.summary import plain_config
from micro.support.files import json_bytes
from micro.support.progress import Progress
from micro.support.silence import import_frameworks, quiet_frameworks

if TYPE_CHECKING:
    from micro.datasets.prepared import Prepared
    from micro.runs.run_report import RunReport


def run_pipeline(
    config: Config,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: Progress = lambda stage, fraction: None,
    watch: Watch = nobody,
) -> RunReport:
    """Run a config into the run folder `out` and return its report.

    Work is done in `OUT.partial`, made once the data have been read and checked, and renamed to `out` when complete. `resume`
    continues an interrupted run of the same config, or returns the report of a finished one; `force` replaces an earlier run.
    With both, work on this config is continued, and anything else replaced. `progress` is called with the stage and the
    fraction done, `watch` with each line that is written into `OUT.partial/progress.jsonl`: epochs, losses, remaining time.

    Raises:
        RunError: If `out` is in the way, or another process works on it.
        DataError: For recordings that cannot be read or are too few.
        ValueError: For settings that do not fit the data.
        ConversionError: For a student that does not convert.

    Examples:
        >>> from pathlib import Path
        >>> from micro.config import parse_config
        >>> data = {"train_recordings": 8, "severities": [0.5, 1.0]}
        >>> teacher = {"sizes": [64, 8, 64], "epochs": 15}
        >>> config = parse_config({"job": "rig", "data": data, "teacher": teacher, "student": {"sizes": [8]}}, Path())
        >>> config.task
        'anomaly'
        >>> report = micro.run_pipeline(config, "runs/large-teacher")  # doctest: +SKIP
        >>> print(report.verdict.headline)  # doctest: +SKIP
    """
    folder = RunFolder(settled(out))
    plain = plain_config(config, folder.out)
    with holding(folder.out):
        if folder.settle(json_bytes(plain), resume=resume):
            progress("done", 1.0)
            from micro.runs.run_report import RunReport

            return RunReport.read(folder.out)
        return run_held(config, folder, plain, resume=resume, force=force, teller=Teller(progress, watch))


def run_held(
    config: Config,
    folder: RunFolder,
    plain: dict[str, Any],
    *,
    resume: bool,
    force: bool,
    teller: Teller,
) -> RunReport:
    """As `run_pipeline`, in a folder that is locked and settled; `plain` is the config as the folder keeps it."""
    content = json_bytes(plain)
    folder.check(content, resume=resume, force=force)
    try:
        teller.say("reading data", 0.0)
        _require_files(config)
        from micro.runs.duration import estimated_seconds, in_words
        from micro.runs.reading import checked_data

        data = checked_data(config)
        whole = "as a whole " if resume else ""
        teller.say(f"takes {whole}{in_words(estimated_seconds(config, data[0], len(data)))}", 0.01)
        teller.say("starting TensorFlow", 0.01)
        import_frameworks()
        from micro.runs import pipeline

        with quiet_frameworks():
            # A fold without unlabeled windows takes objectives that the others do not.
            checked = next((one for one in data if one.unlabeled is not None), data[0])
            pipeline.check_work(config, checked)
            _check_teachers(config, [one for one in data if one is not checked])
    except KeyboardInterrupt as interrupt:
        if not folder.goes_on(content):
            interrupt.add_note(NOT_BEGUN)
        raise
    folder.begin(content, resume=resume)
    teller.opened(folder.progress_file)
    with _ending_told(teller), quiet_frameworks():
        report = pipeline.train_and_report(config, data, folder, teller)
    folder.publish()
    teller.progress("done", 1.0)
    return report


@contextmanager
def _ending_told(teller: Teller) -> Iterator[None]:
    """Tell how the work within the block has ended."""
    try:
        yield
    except KeyboardInterrupt:
        teller.ended("interrupted")
        raise
    except Exception as error:
        teller.ended("failed", str(error) or type(error).__name__)
        raise
    teller.ended("done")


def _require_files(config: Config) -> None:
    """DataError where the files of a config are not there, before what reads them is imported."""
    files = getattr(config.data, "files", ())
    if files:
        find_files(files, getattr(config.data, "folder", "."))


def _check_teachers(config: Config, others: Sequence[Prepared]) -> None:
    """Compare the teacher with the folds beside the one that is checked as a whole, if there are any."""
    if not others:
        return
    from micro.runs.train import check_teacher

    for one in others:
        check_teacher(config, one)
