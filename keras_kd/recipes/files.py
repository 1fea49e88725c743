"""Recipes as TOML: written by hand, read with every error naming the file and the key."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_kd.recipes.terms import Argument, Term

# The keys of a file beside its objectives, by the kind of their values.
KEYS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "hard_weight": (float, int),
    "warmup_steps": (int,),
    "source": (str,),
    "note": (str,),
}
# The key under which an objective's table lists the arguments that are None.
NONE = "none"
KINDS = {str: "text", float: "a number", int: "an integer"}


def as_toml(values: Mapping[str, Any], terms: Sequence[Term]) -> str:
    """The text of a recipe's file: its values, then a table for each objective."""
    lines = [f"{key} = {_text(values[key])}" for key in KEYS]
    for term in terms:
        lines += ["", "[[objectives]]", f"class = {_text(term.objective)}"]
        lines += [f"{key} = {_text(value)}" for key, value in term.arguments.items() if value is not None]
        none = [key for key, value in term.arguments.items() if value is None]
        # TOML has no word for None.
        lines += [f"{NONE} = {_text(none)}"] if none else []
    return "\n".join(lines) + "\n"


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], tuple[Term, ...]]:
    """A file's values and its objectives.

    Raises:
        ValueError: Naming the file and the key of what is unknown, missing or of the wrong kind.
    """
    try:
        raw = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is no TOML: {error}") from None
    objectives = raw.pop("objectives", None)
    for key, value in raw.items():
        if key not in KEYS:
            raise ValueError(f"{path}: {key}: there is no such key; known are {', '.join(KEYS)} and [[objectives]]")
        if not isinstance(value, KEYS[key]) or isinstance(value, bool):
            raise ValueError(f"{path}: {key} must be {KINDS[KEYS[key][0]]}, got {value!r}")
    if "name" not in raw:
        raise ValueError(f"{path}: name is missing")
    if not isinstance(objectives, list) or not objectives or not all(isinstance(each, dict) for each in objectives):
        raise ValueError(f"{path}: objectives: at least one table [[objectives]] is needed, with class and arguments")
    return raw, tuple(_term(path, number, each) for number, each in enumerate(objectives))


def _term(path: str | os.PathLike[str], number: int, table: dict[str, Any]) -> Term:
    name = table.pop("class", None)
    if name is None:
        raise ValueError(f'{path}: objectives[{number}].class is missing, as in class = "SoftTarget"')
    none = table.pop(NONE, [])
    if not isinstance(none, list) or not all(isinstance(key, str) for key in none):
        raise ValueError(f"{path}: objectives[{number}].{NONE} must be a list of arguments that are None, got {none!r}")
    try:
        return Term(name, {**table, **dict.fromkeys(none)})
    except ValueError as error:
        raise ValueError(f"{path}: objectives[{number}].{error}") from None


def _text(value: Argument) -> str:
    """A value in TOML that reads back as the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # TOML's escapes are JSON's, but that it also wants the one of DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_text(each)}" for key, each in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_text(each) for each in value) + "]"
    if isinstance(value, (int, float)):
        return repr(value)
    raise ValueError(f"a recipe's file cannot hold {value!r}")
