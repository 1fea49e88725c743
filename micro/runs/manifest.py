"""Whether a folder is a finished run, said before what reads runs is imported."""

from __future__ import annotations

from pathlib import Path

from micro.errors import RunError

NAME = "manifest.json"


def require_run(folder: str | Path) -> None:
    """Require that a folder is a finished run, whatever its files hold.

    Raises:
        RunError: In one line, if its manifest cannot be read.
    """
    try:
        (Path(folder) / NAME).open("rb").close()
    except OSError as error:
        raise not_finished(Path(folder), error) from None


def not_finished(folder: Path, error: OSError) -> RunError:
    """The error for a folder that lacks a file of a finished run."""
    return RunError(f"{folder} is not a finished run: {error.filename}: {error.strerror}")
