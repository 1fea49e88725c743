"""Classes of other libraries that a config names by their path: imported and made, with errors that say whose they are."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from micro.config.complaints import did_you_mean
from micro.datasets.arrays import one_line
from micro.errors import DataError


def class_of(named: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The path of a class and its arguments, from its path alone or a table with it as `class`."""
    if isinstance(named, str):
        return named, {}
    return named["class"], {key: value for key, value in named.items() if key != "class"}


def imported(path: str, key: str) -> Any:
    """What a path names, which need not be a class; DataError with the config's key where it is not there."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        package = path.partition(".")[0]
        missing = (error.name or "").partition(".")[0] == package and importlib.util.find_spec(package) is None
        hint = f"; install it: pip install {package}" if missing else ""
        raise DataError(f"{key}: {path} cannot be imported: {error}{hint}") from None
    except AttributeError:
        near = did_you_mean(name, dir(importlib.import_module(module)))
        raise DataError(f"{key}: {module} has no class {name!r}{near}") from None


def seeded(kind: type, arguments: Mapping[str, Any], seed: int) -> Any:
    """An object of a class, with the seed where it takes one and none is given."""
    made = kind(**arguments)
    if "random_state" not in arguments and "random_state" in getattr(made, "get_params", dict)():
        made.set_params(random_state=seed)
    return made


@contextlib.contextmanager
def said_of(name: str, key: str) -> Iterator[None]:
    """DataError with key and name for whatever a library raises; what it prints goes where progress does."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except DataError:
        raise
    except Exception as error:
        # scikit-learn gives the reason why a method is missing as the cause.
        raise DataError(f"{key}: {name}: {one_line(error.__cause__ or error)}") from None
