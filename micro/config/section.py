"""What all sections of a config have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A section's settings: frozen, no other names, no infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


def own_defaults() -> Any:
    """The default of a section within another: its own defaults, read like a section without settings, so that it needs no
    validator beside the one of the whole."""
    return Field(default_factory=dict, validate_default=True)


def listed(value: object) -> object:
    """One value where several are allowed is a list of one."""
    return [value] if isinstance(value, str | int | float) else value


def tables(value: object) -> object:
    """One table, written [compress] in place of [[compress]], is a list of one."""
    return [value] if isinstance(value, dict) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(listed)]


def _words(value: object) -> object:
    """Labels may be written as they are in the file: words, numbers, true and false."""
    value = listed(value)
    if not isinstance(value, list | tuple):
        return value
    return [str(word) if isinstance(word, bool | int | float) else word for word in value]


Labels = Annotated[tuple[str, ...], BeforeValidator(_words)]


def with_paths(section: object, folder: Path) -> object:
    """The section with its paths taken from `folder`, from which its patterns start too.

    A section of the wrong type is left as it is, for the check to name.
    """
    if not isinstance(section, dict):
        return section
    resolved = {**section, "folder": section.get("folder", ".")} if "files" in section else dict(section)
    for key in ("folder", "path"):
        if isinstance(resolved.get(key), str):
            resolved[key] = str(folder / resolved[key])
    return resolved
