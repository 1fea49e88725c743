"""Commands that need no TensorFlow do not start it."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import invoke

from micro.cli.main import main

ROOT = Path(__file__).parents[1]
HEAVY = (
    "tensorflow",
    "keras",
    "tensorflow_model_optimization",
    "scipy",
    "pandas",
    "sklearn",
    "matplotlib",
    "ray",
    "optuna",
)
# Each command in a process of its own, forked from one that has loaded what several of them do.
DRIVER = """
import contextlib, io, json, os, sys
import micro.runs.run_report, micro.program.operators, micro.runs.start
from micro.cli.main import main
for words in json.load(sys.stdin):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                main(words)
            except SystemExit as end:
                code = end.code
        loaded = [name for name in HEAVY if name in sys.modules]
        os.write(write, json.dumps([code, loaded, said.getvalue()[-400:]]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        print(file.read(), flush=True)
    os.waitpid(child, 0)
"""
# What is typed, and the exit code.
TYPED = {
    "--help": 0,
    **{f"{name} --help": 0 for name in main.commands},
    "doctor": 0,
    "init table --out {tmp}/table.toml": 0,
    "run {tmp}/missing.toml --out {tmp}/a": 2,
    "run {tmp}/rig.toml --out {tmp}/a --set student.epoch=2": 2,
    "run {tmp}/rig.toml --out {tmp}/a --resume": 2,
    "run {tmp}/table.toml --out {tmp}/a": 2,
    "run {tmp}/damaged.toml --out {tmp}/a": 2,
    "search {tmp}/rig.toml --out {tmp}/a": 2,
    "score {tmp}/none {tmp}/none.csv": 2,
    "update {run} --from {tmp}/none.bin --out {tmp}/none.bin": 2,
    "look {tmp}/none.csv --out {tmp}/none.toml": 2,
    "fleet {tmp}/rig.toml --out {tmp}/a": 2,
    "run {tmp}/rig.toml --out {tmp}/a --set data.calibration_recordings=4 --set detect.false_alarm_rate=0.1 --dry-run": 0,
    "monitor {run} {run}/calibration.csv --every 2 --recent 2": 1,
    "new-firmware {run} --board bare-cortex-m --out {tmp}/fw": 0,
    "update {run} --from {run} --out {tmp}/parameters.bin": 0,
    "check {run} --board nrf52840": 0,
    "check {run}/student_int8.tflite --runtime tflm --flash 1MiB": 0,
    "inspect {run}/student_int8.tflite": 0,
    "inspect {run}/student_int8.tflite --runtime tflm": 0,
    "boards {run} --every 1s": 0,
    "emit {run}/student_int8.tflite --out {tmp}/c --name net": 0,
    "aot {run}/student_int8.tflite --out {tmp}/c --name net": 0,
}
# The rig is simulated by SciPy.
NEEDED = {"run": ["scipy"]}


@pytest.fixture(scope="module")
def ends(rig_run, tmp_path_factory):
    """Of each line its exit code, the heavy packages that were loaded, and what was said."""
    place = tmp_path_factory.mktemp("start")
    shutil.copy(ROOT / "micro/config/jobs/rig.toml", place)
    (place / "recordings").mkdir()
    (place / "damaged").mkdir()
    (place / "damaged" / "a.csv").write_text("a\n1\nx\n")
    table = 'job = "table"\n[data]\nfiles = ["damaged/*.csv"]\nsample_rate = 9\nhealthy_files = ["*"]\n[teacher]\n[student]\n'
    (place / "damaged.toml").write_text(table)
    words = [shlex.split(typed.format(tmp=place, run=rig_run)) for typed in TYPED]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", f"HEAVY = {HEAVY!r}\n{DRIVER}"],
        input=json.dumps(words),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(TYPED, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("typed", TYPED)
def test_a_command_that_needs_no_tensorflow_does_not_load_it(typed, ends):
    code, loaded, said = ends[typed]
    assert code == TYPED[typed], said
    works = code != 2 and "--help" not in typed
    assert loaded == (NEEDED.get(typed.split()[0], []) if works else []), said


# What is said of data that are not there, or before any are read, needs none of these.
ERRORS = {
    "score {tmp}/none {tmp}/none.csv": {"numpy", "pydantic", "micro.config", "micro.tflite"},
    "update {run} --from {tmp}/none.bin --out {tmp}/p.bin": {"numpy", "pydantic", "micro.config", "micro.tflite"},
    "monitor {tmp}/none {tmp}/none.csv": {"numpy", "pydantic", "pyarrow", "micro.config", "micro.detection"},
    "new-firmware {tmp}/none --board bare-cortex-m --out {tmp}/fw": {"numpy", "pydantic", "jinja2", "micro.config"},
    "emulate {tmp}/none": {"numpy", "pydantic", "micro.config"},
    "test {tmp}/none {tmp}/none.csv": {"numpy", "pydantic", "micro.config"},
    "explain {tmp}/none {tmp}/none.csv": {"numpy", "pydantic", "micro.config"},
    "sensitivity {tmp}/none --out {tmp}/page.html": {"numpy", "tensorflow", "micro.config"},
    "look {tmp}/none.csv --out {tmp}/c.toml": {"numpy", "pydantic", "micro.config", "micro.look"},
    "run {tmp}/wrong.toml --out {tmp}/a": {
        *(
            "micro.detection.detector",
            "micro.signal.velocity",
            "micro.signal.bearings",
            "micro.datasets",
            "micro.tflite",
        ),
        *("micro.cli.models", "micro.cli.firmware", "micro.firmware"),
    },
    "run {tmp}/table.toml --out {tmp}/a": {
        *("micro.datasets.prepare", "micro.detection.detector", "micro.runs.run_report", "rich"),
    },
}
# What commands that work leave alone: sources of data where a report is read, static C where none is written.
UNUSED = {
    "monitor {run} {run}/calibration.csv --every 2 --recent 2": {
        *("micro.aot", "micro.datasets.table", "micro.datasets.prepared", "micro.runs.evaluate", "filelock", "jinja2"),
        *("micro.program", "pyarrow", "micro.emission", "micro.detection.commissioning", "micro.detection.predictor"),
        *("micro.monitoring.histograms", "micro.monitoring.learned_log", "micro.monitoring.recalibration"),
        *("micro.runs.bearing_report", "micro.runs.fold_parts", "micro.runs.vibration_report"),
    },
    "new-firmware {run} --board bare-cortex-m --out {tmp}/fw-2": {"micro.datasets.prepared", "micro.runs.evaluate"},
    "check {run} --board nrf52840": {
        *("micro.datasets.table", "micro.datasets.prepared", "micro.runs.evaluate", "jinja2", "tflite_micro"),
        *("micro.detection.commissioning", "micro.runs.bearing_report", "micro.runs.fold_parts"),
    },
    "inspect {run}/student_int8.tflite": {"pydantic", "micro.config", "tflite_micro"},
    "boards {run}/student_int8.tflite --runtime static": {"pydantic", "micro.config", "tflite_micro"},
    "aot {run}/student_int8.tflite --out {tmp}/c --name net": {"pydantic", "micro.config", "tflite_micro"},
}
ALONE = """
import json, sys
from micro.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.mark.parametrize("typed", [*ERRORS, *UNUSED])
def test_a_command_imports_what_it_needs_alone(typed, rig_run, tmp_path):
    rig = (ROOT / "micro/config/jobs/rig.toml").read_text()
    (tmp_path / "wrong.toml").write_text(rig.replace("epochs", "epoch"))
    shutil.copy(ROOT / "micro/config/jobs/table.toml", tmp_path)
    words = shlex.split(typed.format(tmp=tmp_path, run=rig_run))
    done = subprocess.run([sys.executable, "-c", ALONE, *words], capture_output=True, text=True, cwd=ROOT, check=False)
    *said, last = done.stderr.splitlines()
    code, modules = json.loads(last)
    assert (code == 2) == (typed in ERRORS), said
    assert not {*ERRORS.get(typed, ()), *UNUSED.get(typed, ())} & set(modules)


@pytest.mark.parametrize("command", ["check", "boards", "inspect"])
def test_what_a_model_takes_as_static_c_is_said_without_running_it(command, rig_run, monkeypatch):
    monkeypatch.setattr("micro.tflite.interpreter.answered", lambda *_, **__: pytest.fail("an interpreter was started"))
    done = invoke(command, rig_run / "student_int8.tflite", *(["--board", "nrf52840"] if command == "check" else []))
    assert (done.exit_code, done.stderr) == (0, "")


def test_importing_configs_and_reports_builds_no_validators_and_typing_a_command_searches_for_no_plugins():
    code = """
import gc, os
import micro.config, micro.runs.run_report as reports
from micro.cli.main import NEW_OBJECTS, main
print(micro.config.Config.__pydantic_complete__, reports.RunReport.__pydantic_complete__)
main(["doctor", "--help"], standalone_mode=False)
print(os.environ["PYDANTIC_DISABLE_PLUGINS"], gc.get_threshold()[0] == NEW_OBJECTS)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[0] == "False False"
    assert done.stdout.splitlines()[-1] == "__all__ True"
