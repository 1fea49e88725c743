"""What all sections of a config have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Section(BaseModel):
    """A section's settings: frozen, no other names, no infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
