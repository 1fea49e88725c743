"""Packages that only some commands need, and how they are installed."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path
from types import ModuleType

from micro.errors import RunError


def required(module: str, extra: str) -> ModuleType:
    """A module of an optional package.

    Raises:
        RunError: With the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = (error.name or module).split(".")[0]
        raise RunError(f"{name} is not installed; install it with: {install_command(extra)}") from None
    except ImportError as error:
        raise RunError(
            f"{module} cannot be imported ({error}); install it again with: {install_command(extra)} --force-reinstall"
        ) from None


def install_command(extra: str) -> str:
    """The command that installs an extra: of the clone that this package runs from, or of the package."""
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file():
        return f"pip install -e {shlex.quote(f'{root}[{extra}]')}"
    return f"pip install 'keras-kd[{extra}]'"
