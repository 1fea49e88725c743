"""What `doctor` says of an installation, also of one in which TensorFlow is missing or broken."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[1]


def asked(*options, paths=(), isolated=False):
    """`doctor`, in a Python of its own; `isolated` from everything that is installed."""
    words = [sys.executable, *(("-S",) if isolated else ()), "-m", "micro.cli", "doctor", *options]
    path = os.pathsep.join(map(str, (*paths, ROOT)))
    return subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)


def test_without_tensorflow_it_answers_and_says_how_to_install_it(tmp_path):
    (tmp_path / "click").symlink_to(Path(click.__file__).parent)
    own = importlib.metadata.distribution("keras-kd")
    info = tmp_path / "keras_kd-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(own.read_text("METADATA") or own.read_text("PKG-INFO"))
    result = asked(paths=[tmp_path], isolated=True)
    assert (result.returncode, result.stderr) == (1, "")
    assert "  tensorflow is needed; to mend it: pip install 'tensorflow>=2.21'" in result.stdout.splitlines()
    assert (
        "search, fleet: optuna, ray, tomli-w not installed; to mend it: pip install 'keras-kd[scale]'" in result.stdout
    )
    assert "All that runs need is here" not in result.stdout


@pytest.mark.slow
def test_a_broken_tensorflow_is_found_by_importing_it(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libsomething.so.2: cannot open shared object file')\n")
    assert asked(paths=[tmp_path]).returncode == 0
    result = asked("--deep", "--json", paths=[tmp_path])
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert not found["works"]
    troubles = [each["trouble"] for each in found["findings"] if each["level"] == "error"]
    said = "import tensorflow fails: ImportError: libsomething.so.2: cannot open shared object file"
    assert said in troubles


@pytest.mark.parametrize(("flags", "level"), [({"sse4_2"}, "error"), ({"sse4_2", "avx"}, "ok"), (None, "ok")])
def test_a_cpu_without_avx_is_an_error_on_x86_alone(flags, level, monkeypatch):
    from micro.cli import installation

    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert installation._cpu(flags).level == level
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert installation._cpu(flags).level == "ok"


@pytest.mark.parametrize(
    ("requirement", "level", "says"),
    [
        ("numpy>=2.0", "ok", None),
        ("numpy>=99.1", "error", "is too old, 99.1 is needed"),
        ("no-such-package>=1; python_version > '3'", "error", "no-such-package is needed"),
        ("tflite-micro>=0.dev20200101", "ok", None),
    ],
)
def test_a_package_is_compared_with_what_is_required(requirement, level, says):
    from micro.cli.installation import _package

    found = _package(requirement)
    assert found.level == level
    assert (found.trouble or "").endswith(says or "")


def test_every_tool_and_finding_says_how_to_mend_it():
    from micro.cli.installation import findings

    for each in findings(deep=False):
        assert each.found
        assert each.level == "ok" or (each.trouble and each.mend), each
