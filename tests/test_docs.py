"""Every example in the README and the docs runs as it stands, every command is one that there is, and the site builds."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from micro.cli.main import main

ROOT = Path(__file__).parents[1]
ALL = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
# Whole searches, stages and schemes; their own tests have shorter ones.
LONG = (
    *("compression.md", "fleet.md", "keras-users.md", "objectives.md", "recipes.md", "schemes.md", "search.md"),
    *("teachers.md", "views.md"),
)
PAGES = sorted(path for path in ALL if "```python" in path.read_text())


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.S)


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if page.name in LONG else [], id=page.name) for page in PAGES],
)
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks(page, "python")), page.name, "exec"), {"__name__": "example"})


@pytest.mark.slow
def test_the_example_with_keras_tuner_runs(tmp_path, monkeypatch):
    pytest.importorskip("keras_tuner", reason="keras-tuner is not installed")
    page = ROOT / "docs/keras-users.md"
    (tuned,) = blocks(page, "py")
    first = blocks(page, "python")[0]
    monkeypatch.chdir(tmp_path)
    made = {"__name__": "example"}
    exec(compile(f"{first}\n{tuned}", page.name, "exec"), made)
    assert made["best"].count_params() > 0


def test_the_worked_objective_of_contributing_runs():
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Add an objective\n")[1].split("\n## ")[0]
    code = "\n".join(re.findall(r"```python\n(.*?)```", section, flags=re.S))
    exec(compile(code, "CONTRIBUTING.md", "exec"), {"__name__": "example"})


def test_every_objective_has_an_example():
    import keras_kd.objectives

    page = "\n".join(blocks(ROOT / "docs/objectives.md", "python"))
    named = set(keras_kd.objectives.__all__) - {"FromKeras"}  # made of a Keras loss, and not by the user
    assert named <= set(re.findall(r"keras_kd\.(\w+)", page))
    assert set(keras_kd.objectives.__all__) <= set(keras_kd.__all__)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if len(blocks(page, "python")) > 1], ids=lambda path: path.name
)
def test_pages_whose_examples_need_the_ones_before_say_so(page):
    text = page.read_text()
    assert "The Python examples on this page run one after another, from the top." in text


@pytest.mark.parametrize("page", ALL, ids=lambda path: path.name)
def test_commands_are_those_that_there_are(page):
    """Each line of a shell block that calls keras-kd names a command with options that it has."""
    for line in "\n".join(blocks(page, "sh")).splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] != ["keras-kd"]:
            continue
        command = main.commands[words[1]]
        context = click.Context(command, info_name=words[1], resilient_parsing=True)
        command.parse_args(context, words[2:])
        required = [p.name for p in command.params if p.required and context.params.get(p.name) in (None, ())]
        assert not required, f"{page.name}: {line}: without {required}"


@pytest.mark.parametrize("page", ALL, ids=lambda path: path.name)
def test_toml_is_toml(page):
    for block in blocks(page, "toml"):
        tomllib.loads(block)


@pytest.mark.parametrize("page", [*ALL, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda p: p.name)
def test_lines_are_at_most_120_characters(page):
    """Tables, images and what has a link excepted."""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        assert len(line) <= 120 or line.startswith(("|", "![")) or "](" in line, f"{page.name}:{number}"


@pytest.mark.parametrize("page", [*ALL, ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_picture_is_drawn_from_a_run(rig_run, tmp_path):
    import runpy

    script = runpy.run_path(str(ROOT / "scripts/picture.py"))
    decisions = script["draw"](rig_run, tmp_path / "drawn.png")
    assert decisions[-1].status.name == "ALARM"
    for picture in (tmp_path / "drawn.png", ROOT / "docs/from-recording-to-alarm.png"):
        assert 10_000 < picture.stat().st_size < 150_000


def test_the_shortest_config_is_one():
    from micro.config import parse_config

    shortest, *_ = blocks(ROOT / "docs/config.md", "toml")
    assert parse_config(tomllib.loads(shortest), ROOT).job == "rig"


def test_every_key_of_a_config_is_described_as_the_code_has_it():
    script = ROOT / "scripts/config_reference.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}; python scripts/config_reference.py"


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda path: path.name)
def test_pages_are_listed_and_open_with_what_they_are_for(page):
    assert f": {page.name}\n" in (ROOT / "mkdocs.yml").read_text()
    assert re.match(r"# [^\n]+\n\n[A-Z][^\n]+", page.read_text())


def test_raises_are_sections_of_their_docstrings():
    """One line a kind of error under `Raises:`, as the API pages need it."""
    for package in ("keras_kd", "micro"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    continue
                text = ast.get_docstring(node) or ""
                assert not re.search(r"Raises: ?\S", text), f"{path}: {node.name}"
                section = re.search(r"\nRaises:\n((?:    .*\n?)+)", f"{text}\n")
                assert ("Raises:" in text) == (section is not None), f"{path}: {node.name}: a blank line before it?"
                for line in re.findall(r"^ {4}(\S.*)$", section[1] if section else "", flags=re.M):
                    assert re.match(r"[A-Za-z.]+: \S", line), f"{path}: {node.name}: {line}"


def test_the_site_builds_without_a_warning_and_has_every_public_name(tmp_path):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    import keras_kd
    import micro

    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    # Without --quiet: it hides warnings from --strict too.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = {name: (tmp_path / "api" / f"{name}.html").read_text() for name in ("keras_kd", "objectives", "micro")}
    for name in keras_kd.__all__:
        assert f'id="keras_kd.{name}"' in pages["keras_kd"] + pages["objectives"], name
    for name, home in micro._HOME.items():
        assert f'id="{home}.{name}"' in pages["micro"], name
