"""Compiled templates are kept next to them and used as long as they are what was compiled."""

import sys

import jinja2
import pytest

from micro.support.compiled_templates import CompiledTemplates


class Counting(jinja2.Environment):
    """Counts the templates that are compiled."""

    compiled = 0

    def compile(self, *args, **keywords):
        self.compiled += 1
        return super().compile(*args, **keywords)


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """What a template gives in an environment of its own, and how many templates were compiled for it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    (tmp_path / "a.c.j2").write_text("int {{ name }};")
    (tmp_path / "a.h.j2").write_text("extern int {{ name }};")

    def fill(template="a.c.j2", **options):
        loader = jinja2.FileSystemLoader(tmp_path)
        environment = Counting(loader=loader, bytecode_cache=CompiledTemplates(), **options)
        return environment.get_template(template).render(name="x"), environment.compiled

    return fill


def test_a_template_is_compiled_once(filled, tmp_path):
    assert filled() == ("int x;", 1)
    assert filled() == ("int x;", 0)
    assert filled("a.h.j2") == ("extern int x;", 1)
    assert filled("a.h.j2") == ("extern int x;", 0)
    assert len([*(tmp_path / "__pycache__").iterdir()]) == 2


def test_a_changed_template_is_compiled_again(filled, tmp_path):
    filled()
    (tmp_path / "a.c.j2").write_text("long {{ name }};")
    assert filled() == ("long x;", 1)
    assert filled() == ("long x;", 0)


def test_a_template_of_another_environment_is_compiled_again(filled, tmp_path):
    (tmp_path / "a.c.j2").write_text("{% if name %}\n{{ name }}<{% endif %}\n")
    assert filled()[0] == "\nx<"
    assert filled(trim_blocks=True)[0] == "x<"
    assert filled(trim_blocks=True, keep_trailing_newline=True)[0] == "x<"
    assert filled(trim_blocks=True, keep_trailing_newline=True)[1] == 0


def test_whoever_may_read_a_template_may_read_what_is_kept_of_it(filled, tmp_path):
    (tmp_path / "a.c.j2").chmod(0o644)
    filled()
    (kept,) = (tmp_path / "__pycache__").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o644


def test_a_template_without_a_file_takes_nothing_from_the_folder_at_hand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment = jinja2.Environment(loader=jinja2.DictLoader({"a": "x"}), bytecode_cache=CompiledTemplates())
    assert environment.get_template("a").render() == "x"
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("content", [b"", b"j2", b"\0" * 400])
def test_a_damaged_file_is_as_none(filled, tmp_path, content):
    filled()
    (kept,) = (tmp_path / "__pycache__").iterdir()
    for damaged in (content, kept.read_bytes()[:-20]):
        kept.write_bytes(damaged)
        assert filled()[0] == "int x;"


def test_nothing_is_kept_where_python_keeps_nothing(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert filled() == filled() == ("int x;", 1)
    assert not (tmp_path / "__pycache__").exists()


def test_a_folder_that_cannot_be_written_into_is_no_error(filled, tmp_path):
    (tmp_path / "__pycache__").write_text("a file in its place")
    assert filled() == filled() == ("int x;", 1)
