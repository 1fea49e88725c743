"""Commands that make a run and go on with one: training, scores, sensitivity."""

from __future__ import annotations

import dataclasses
from importlib import resources
from pathlib import Path

import click

from micro.cli.plans import print_plan
from micro.cli.terminal import (
    UNUSABLE,
    RunFolder,
    as_json,
    command_line,
    dry_run,
    print_json,
    print_report,
    progress,
    settings,
)
from micro.cli.watch import watching
from micro.runs.manifest import require_run

JOBS = ("rig", "cwru", "table", "text")
TASKS = ("anomaly", "classification", "multilabel", "regression", "sequence")


@click.command(short_help="Write a commented config to start from")
@click.argument("job", type=click.Choice(JOBS))
@click.option("--task", type=click.Choice(TASKS), help="What to learn; by default what the job is for.")
@click.option("--out", type=click.Path(dir_okay=False), help="File to write; JOB.toml by default.")
@as_json
def init(job: str, task: str | None, out: str | None, as_json: bool) -> None:
    """Write a commented config to start from: the simulated rig, the CWRU bearings, recordings of your own in tables, or text.

    Your own recordings teach a detector of anomalies; with --task classification a classifier, with --task multilabel what
    tells several conditions that may hold at once, with --task regression an estimator of a number, such as remaining life.

    \b
    Example:
      keras-kd init table --out pump.toml
      keras-kd init table --task classification --out gestures.toml
      keras-kd init table --task multilabel --out pump.toml
      keras-kd init table --task regression --out engines.toml
      keras-kd init text --out keyboard.toml
    """
    from micro.config import tasks_of

    tasks = tasks_of(job)
    if task is not None and task not in tasks:
        raise click.UsageError(f"job {job!r} has task {' and '.join(tasks)}, not {task!r}")
    name = job if task in (None, tasks[0]) else f"{job}-{task}"
    target = Path(out or f"{job}.toml")
    content = (resources.files("micro.config") / "jobs" / f"{name}.toml").read_bytes()
    try:
        with target.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise click.ClickException(f"{target} exists already; choose another --out") from None
    if as_json:
        print_json({"path": str(target)})
    else:
        click.echo(f"wrote {target}; run it with: {command_line('run', target, '--out', f'runs/{job}')}")


@click.command(short_help="Train, compress, quantize, report, emit")
@click.argument("config", required=False, type=click.Path(dir_okay=False))
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Run folder to create.")
@click.option("--resume", is_flag=True, help="Continue an interrupted run.")
@click.option("--force", is_flag=True, help="Replace an earlier run in the folder.")
@click.option("--strict", is_flag=True, help="Exit code 3 if the verdict is 'unusable' or 'inconclusive'.")
@click.option("--watch", is_flag=True, help="Show each epoch's losses, and the time that is left.")
@settings
@dry_run
@as_json
def run(
    config: str | None,
    out: str,
    resume: bool,
    force: bool,
    strict: bool,
    watch: bool,
    settings: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Train teacher and student, compress, quantize, verify, emit firmware and a report.

    CONFIG is a TOML file as `keras-kd init` writes it; without one the built-in rig runs. Exit code 1 if the student does
    not fit the config's budget; with --strict exit code 3 if the verdict is 'unusable', whatever the reason, or
    'inconclusive': too few healthy windows were tested to tell.

    \b
    Example:
      keras-kd run pump.toml --out runs/pump
      keras-kd run pump.toml --out runs/pump --dry-run
      keras-kd run pump.toml --out runs/pump-short --set teacher.epochs=5 --watch
    """
    from micro.config import load_config

    if config is None:
        with resources.as_file(resources.files("micro.config") / "jobs" / "rig.toml") as built_in:
            loaded = load_config(built_in, settings)
    else:
        loaded = load_config(config, settings)
    if dry_run:
        from micro.runs.plan import plan_run

        print_plan(plan_run(loaded, out, resume=resume, force=force), as_json)
        return 0
    from micro.runs import start  # what is wrong of the config is said before this is loaded
    from micro.runs.verdict import REFUSED

    if watch:
        with watching() as see:
            report = start.run_pipeline(loaded, out, resume=resume, force=force, watch=see)
    else:
        with progress(enabled=not as_json) as tell:
            report = start.run_pipeline(loaded, out, resume=resume, force=force, progress=tell)
    if as_json:
        print_json(report.to_dict())
    else:
        print_report(report, out)
    if strict and report.verdict is not None and report.verdict.grade in REFUSED:
        return UNUSABLE
    return 0 if report.budget is None or report.budget.fits else 1


@click.command(short_help="Score new recordings with a run's student")
@click.argument("run_folder", metavar="RUN", type=RunFolder())
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--out", type=click.Path(dir_okay=False), help="CSV to write instead of printing.")
@click.option("--channel", help="Column to score, for runs of the built-in jobs.")
@click.option("--page", type=click.Path(dir_okay=False), help="HTML page of the scores to write.")
@as_json
def score(
    run_folder: str, files: tuple[str, ...], out: str | None, channel: str | None, page: str | None, as_json: bool
) -> None:
    """Score new recordings or text with a finished RUN's int8 student, window by window.

    Each window has its score, whether it is above the threshold, and whether the detector is in alarm after it, or which class
    the recognizer reports, counted as the firmware does: k of the last n windows. Of a run on text FILES are text, pairs, or
    sources, one a line.

    \b
    Example:
      keras-kd score runs/pump monday.csv tuesday.csv --out scores.csv
    """
    require_run(run_folder)
    from micro.runs.alarm_times import said as alarms_said
    from micro.runs.score_csv import to_csv
    from micro.runs.score_files import score_noted
    from micro.runs.score_words import estimated_spans, labels_said, not_judged
    from micro.runs.text_scores import is_text
    from micro.support.files import write_bytes

    if is_text(run_folder):
        if page is not None:
            raise click.UsageError("--page is for recordings, and the run is on text")
        _score_text(run_folder, files, out, channel, as_json)
        return
    scores = score_noted(run_folder, files, channel=channel)
    scored = scores.windows
    for note in (*scores.notes, *not_judged(scored)):
        click.echo(f"Note: {note}", err=True)
    if page is not None:
        from micro.runs.score_page import render_scores

        written = write_bytes(page, render_scores(run_folder, scores))
        if out is not None and not as_json:
            click.echo(f"Page: {written}")
    if as_json:
        print_json([dataclasses.asdict(window) for window in scored])
    elif out is None:
        click.echo(to_csv(scored), nl=False)
    for sentence in alarms_said(scores.alarms) if out is not None and not as_json else ():
        click.echo(sentence)
    for file, line in scores.diagnoses:
        click.echo(f"{file}: {line}", err=as_json or out is None)
    if out is not None:
        write_bytes(out, to_csv(scored))
        if not as_json:
            spans = estimated_spans(scored)
            if spans:
                click.echo(f"wrote {len(scored)} windows to {out}: estimates {spans}")
                return
            above, alarms = sum(bool(s.above_threshold) for s in scored), sum(bool(s.alarm) for s in scored)
            said = f"{alarms} in alarm"
            if any(s.labels for s in scored):
                click.echo(f"wrote {len(scored)} windows to {out}: {labels_said(scored)}")
                return
            if any(s.recognized is not None for s in scored):
                said = f"a class recognized after {sum(bool(s.recognized) for s in scored)}"
            click.echo(f"wrote {len(scored)} windows to {out}: {above} above the threshold, {said}")


def _score_text(run: str, files: tuple[str, ...], out: str | None, channel: str | None, as_json: bool) -> None:
    """Outputs or figures of text, as CSV, JSON, or a file with a sentence on them."""
    from micro.runs.text_scores import score_text, text_csv, text_summary
    from micro.support.files import write_bytes

    if channel is not None:
        raise click.UsageError("--channel is for recordings, and the run is on text")
    scored = score_text(run, files)
    if as_json:
        print_json([dataclasses.asdict(row) for row in scored])
    elif out is None:
        click.echo(text_csv(scored), nl=False)
    if out is not None:
        write_bytes(out, text_csv(scored))
    if not as_json:
        click.echo(text_summary(scored), err=out is None)


@click.command(short_help="Show how much each layer can be compressed")
@click.argument("run_folder", metavar="RUN", type=RunFolder())
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="HTML page to write.")
@as_json
def sensitivity(run_folder: str, out: str, as_json: bool) -> None:
    """Show how much each layer of a finished RUN's student can be compressed: a page with a table and Pareto fronts.

    \b
    Example:
      keras-kd sensitivity runs/pump --out layers.html
    """
    require_run(run_folder)
    from micro.support.files import write_bytes
    from micro.support.silence import import_frameworks

    with progress(enabled=not as_json) as tell:
        tell("starting TensorFlow", 0.0)
        import_frameworks()
        from micro.runs.sensitivity_page import render_sensitivity, scan_run

        tell("compressing layers one by one", 0.1)
        rows, score_name = scan_run(run_folder)
    path = write_bytes(out, render_sensitivity(rows, score_name))
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        click.echo(f"wrote {len(rows)} changes to {path}")
