"""Compiled templates, kept as Python keeps compiled modules: a project takes dozens, and filling them in takes less time."""

from __future__ import annotations

import contextlib
import importlib.util
import marshal
import os
import sys
import tempfile
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket

# What of an environment is compiled into a template.
COMPILED_IN = (
    *("block_start_string", "block_end_string", "variable_start_string", "variable_end_string", "comment_start_string"),
    *("comment_end_string", "line_statement_prefix", "line_comment_prefix", "newline_sequence", "trim_blocks"),
    *("lstrip_blocks", "keep_trailing_newline", "autoescape", "optimized"),
)


class CompiledTemplates(jinja2.BytecodeCache):
    """Keeps each template's code in `__pycache__` next to it, or below PYTHONPYCACHEPREFIX.

    A file counts as long as template, environment, Python and Jinja are those it was made with. Where PYTHONDONTWRITEBYTECODE
    is set, or the folder cannot be written into, nothing is kept.
    """

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """The template's file, or nothing of a template without one."""
        return filename or ""

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take the code from the file, if there is one that counts."""
        if not bucket.key:
            return
        # A file that was damaged ends as one that is not there: the template is compiled. Jinja's own format is a pickle.
        with contextlib.suppress(OSError, EOFError, ValueError, TypeError):
            content, head = _file(bucket.key).read_bytes(), _head(bucket)
            if content.startswith(head):
                bucket.code = marshal.loads(content[len(head) :])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Write the code into the file, which is whole at any time."""
        if sys.dont_write_bytecode or not bucket.key:
            return
        kept = _file(bucket.key)
        with contextlib.suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            number, part = tempfile.mkstemp(dir=kept.parent)
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(_head(bucket) + marshal.dumps(bucket.code))
                # Whoever may read the template may read this.
                os.chmod(part, Path(bucket.key).stat().st_mode & 0o666)
                os.replace(part, kept)
            except BaseException:
                Path(part).unlink(missing_ok=True)
                raise


def _head(bucket: Bucket) -> bytes:
    """What a file begins with that counts: of this Python, this Jinja, the environment and the template as it is."""
    options = [getattr(bucket.environment, name) for name in COMPILED_IN]
    return importlib.util.MAGIC_NUMBER + f"{jinja2.__version__} {options} {bucket.checksum}\n".encode()


def _file(template: str) -> Path:
    return Path(importlib.util.cache_from_source(f"{template}.py"))
