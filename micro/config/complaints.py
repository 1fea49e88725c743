"""What is wrong with a config, in one line that says what would be right."""

from __future__ import annotations

import difflib
import re
import reprlib
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

# A file larger than this, in bytes, or nested deeper, is not a config.
LARGEST, DEEPEST = 1 << 20, 32

# How alike, from 0 to 1, words are of which one may be meant by the other, and those of which one is a slip for the other.
LIKE, SLIP = 0.6, 0.85

_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxlist, _short.maxdict, _short.maxlong = 3, 80, 8, 4, 60


def load_toml(path: str | Path, what: str) -> dict[str, Any]:
    """A TOML file as plain data.

    Raises:
        ValueError: In one line naming `what` it is, the file, and why it cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"{what} {path}: {error.strerror or error}") from None
    if len(content) > LARGEST:
        raise ValueError(f"{what} {path} is larger than {LARGEST:,} bytes; is it the right file?")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{what} {path} is not TOML: it is UTF-16; save it as UTF-8")
    try:
        raw = tomllib.loads(content.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError(f"{what} {path} is not TOML that can be read: it is nested too deeply") from None
    except ValueError as error:
        # TOMLDecodeError, bytes that are not UTF-8, and integers of thousands of digits.
        raise ValueError(f"{what} {path} is not TOML: {' '.join(str(error).split())}") from None
    if not raw:
        raise ValueError(f"{what} {path} is empty: it holds no settings")
    if not _shallow(raw):
        raise ValueError(f"{what} {path} is nested deeper than {DEEPEST} levels")
    return raw


def _shallow(raw: object) -> bool:
    level: list[object] = [raw]
    for _ in range(DEEPEST):
        level = [
            v for one in level if isinstance(one, dict | list) for v in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return True
    return False


def did_you_mean(given: object, known: Iterable[str], cutoff: float = LIKE) -> str:
    """'; did you mean X?' where one of the known words is near the given one, at least as alike as `cutoff`, else ''."""
    if not isinstance(given, str):
        return ""
    small = {word.lower(): word for word in known}
    near = difflib.get_close_matches(given.lower(), small, n=1, cutoff=cutoff)
    return f"; did you mean {small[near[0]]!r}?" if near else ""


def shown(value: object) -> str:
    """A value as an error repeats it: short, in one line."""
    return _short.repr(value)


def first_complaint(
    error: ValidationError,
    section: str = "",
    model: type[BaseModel] | None = None,
    whole: type[BaseModel] | None = None,
) -> str:
    """The first complaint of a validation, in one line.

    Args:
        section: Where in the config the model is.
        model: What was validated; its settings are suggested for an unknown one.
        whole: The config of which it is a section, to suggest where a setting belongs.
    """
    first = _telling(error)
    place = tuple(part for part in first["loc"] if not (isinstance(part, str) and re.search(r"[\[\]()-]", part)))
    where = ".".join(str(part) for part in (*((section,) if section else ()), *place))
    message = _message(first, place, model, whole)
    return f"{where + ': ' if where else ''}{message[0].lower() + message[1:]}"


def told_unknown(error: ValidationError) -> str | None:
    """The setting that does not exist, where the first complaint is of one that stands in the section itself; else None."""
    first = _telling(error)
    return str(first["loc"][0]) if first["type"] == "extra_forbidden" and len(first["loc"]) == 1 else None


def _telling(error: ValidationError) -> ErrorDetails:
    """The first error; of those that one value raised as each of several types, the most specific one.

    A missing setting may be there misspelled, so a name that does not exist comes before it.
    """
    errors = error.errors(include_url=False)
    if errors[0]["type"] == "missing":
        section = errors[0]["loc"][:-1]
        errors.sort(key=lambda one: one["type"] != "extra_forbidden" or one["loc"][:-1] != section)
    fields = errors[0]["loc"][:1]
    alike = [one for one in errors if one["loc"][:1] == fields and any("[" in str(part) for part in one["loc"])]
    if errors[0] not in alike:
        return errors[0]
    return max(alike, key=lambda one: (len(one["loc"]), one["type"] == "literal_error"))


def _message(
    first: ErrorDetails, place: tuple[int | str, ...], model: type[BaseModel] | None, whole: type[BaseModel] | None
) -> str:
    kind, given = first["type"], first["input"]
    message = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    if kind == "extra_forbidden":
        return f"no such setting{_elsewhere(place, model, whole)}"
    if kind == "missing":
        return "it is missing"
    if kind == "value_error":
        return message
    if kind == "model_type":
        return f"must be a section of settings, got {shown(given)}"
    if kind == "union_tag_not_found":
        return "'stage' is missing: it names the kind of stage"
    if kind in ("literal_error", "enum"):
        options = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        return f"{message}, got {shown(given)}{did_you_mean(given, options)}"
    if kind == "union_tag_invalid":
        options = re.findall(r"'([^']*)'", first["ctx"]["expected_tags"])
        return f"{message}{did_you_mean(first['ctx']['tag'], options)}"
    return f"{message}, got {shown(given)}"


def _elsewhere(place: tuple[int | str, ...], model: type[BaseModel] | None, whole: type[BaseModel] | None) -> str:
    """What was probably meant by a setting that does not exist where it is."""
    name = str(place[-1]) if place else ""
    at = model
    for part in place[:-1]:
        at = _inner(at, part)
    top = whole or model
    if at is not None and (slip := did_you_mean(name, at.model_fields, SLIP)):
        return slip
    # What is called so to the letter in another section was meant there, before what is a little like it here.
    for section, field in top.model_fields.items() if top is not None else ():
        for inner in _models(field.annotation):
            if name in inner.model_fields and inner is not at and (whole is None or section != "data"):
                return f"; it belongs to [{section}]"
    if at is None:
        return ""
    return did_you_mean(name, at.model_fields) or f"; there are {', '.join(at.model_fields)}"


def _inner(model: type[BaseModel] | None, part: int | str) -> type[BaseModel] | None:
    """The model that a part of a place leads to: a field's, or the one of a union with that tag."""
    if model is None or isinstance(part, int):
        return model
    if part in model.model_fields:
        models = list(_models(model.model_fields[part].annotation))
        return models[0] if len(models) == 1 else _Union(models)  # type: ignore[return-value]
    return model.tagged(part) if isinstance(model, _Union) else None


class _Union:
    """Models that may be at one place, distinguished by a tag."""

    def __init__(self, models: list[type[BaseModel]]) -> None:
        self.models = models
        self.model_fields = {name: field for model in models for name, field in model.model_fields.items()}

    def tagged(self, tag: str) -> type[BaseModel] | None:
        """The model one of whose fields can only be the tag."""
        return next(
            (m for m in self.models if any(get_args(field.annotation) == (tag,) for field in m.model_fields.values())),
            None,
        )


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
