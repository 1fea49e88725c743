"""Settings given beside a file, KEY=VALUE as on the command line, and whom to blame when a config is wrong."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from micro.config.complaints import shown

T = TypeVar("T")


def split_setting(typed: str) -> tuple[tuple[str, ...], Any]:
    """Key and value of a setting such as 'teacher.epochs=5'.

    The key is dotted as in TOML, parts with other characters quoted. The value is TOML; what is no TOML is a text as it stands,
    unless it begins like a list, a table or a quoted text.

    Raises:
        ValueError: In one line for what is no KEY=VALUE.

    Examples:
        >>> split_setting("features.kind=spectrum")
        (('features', 'kind'), 'spectrum')
        >>> split_setting('data.sample_rates."a*.csv"=100')
        (('data', 'sample_rates', 'a*.csv'), 100)
    """
    found = re.fullmatch(r"""\s*((?:[^=\s"']|"[^"\n]*"|'[^'\n]*')+)\s*=(.*)""", typed, re.DOTALL)
    if found is None:
        raise ValueError(f"--set {shown(typed)}: must be KEY=VALUE, such as --set teacher.epochs=5")
    key, value = found[1], found[2].strip()
    try:
        nested: object = tomllib.loads(f"{key} = 0")
    except ValueError:
        raise ValueError(f"--set {shown(typed)}: {key} is no dotted key, such as teacher.epochs") from None
    parts: list[str] = []
    while isinstance(nested, dict):
        [(part, nested)] = nested.items()
        parts.append(part)
    return tuple(parts), _value(value, typed)


def _value(text: str, typed: str) -> Any:
    opens = text.startswith(("[", "{", '"', "'"))
    if "#" in text and not opens:
        return text  # TOML would take the rest as a comment
    try:
        parsed = tomllib.loads(f"value = {text}")
        if parsed.keys() == {"value"}:
            return parsed["value"]
    except (ValueError, RecursionError) as error:
        if opens:
            said = " ".join(str(error).split())
            raise ValueError(f"--set {shown(typed)}: the value is not TOML: {said}") from None
    return text


def with_settings(raw: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Plain data of a config with settings in place of its own, which are listed in `overrides`; in a list of tables a number
    from 0 is the place of one.

    Raises:
        ValueError: In one line for what is no setting, or leads into what is no section.
    """
    changed = copy.deepcopy(dict(raw))
    for typed in settings:
        parts, value = split_setting(typed)
        if parts[0] == "overrides":
            raise ValueError(f"--set {shown(typed)}: overrides is what --set itself writes")
        at: Any = changed
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            where: str = ".".join(parts[:number])
            place: str | int = part
            if isinstance(at, list):
                place = _place(at, part, where, typed)
            elif isinstance(at, dict):
                at.setdefault(part, {})
            else:
                raise ValueError(f"--set {shown(typed)}: {where} is {shown(at)}, and no section of settings")
            if last:
                at[place] = value
            at = at[place]
    return {**changed, "overrides": list(settings)} if settings else changed


def _place(tables: list[Any], part: str, where: str, typed: str) -> int:
    if part.isascii() and part.isdecimal() and int(part) < len(tables):
        return int(part)
    raise ValueError(
        f"--set {shown(typed)}: {where} is a list of {len(tables)}, whose places are 0 to {len(tables) - 1}: "
        f"{where}.0 is the first"
    )


def read_with(read: Callable[[dict[str, Any]], T], raw: Mapping[str, Any], settings: Sequence[str], what: str) -> T:
    """What `read` makes of plain data with settings; an error that one of them causes names that in place of the file.

    Args:
        read: Takes plain data, raises ValueError.
        raw: The file's own.
        settings: Each KEY=VALUE.
        what: What errors call the file.
    """
    given = with_settings(raw, settings)
    try:
        return read(given)
    except ValueError as error:
        wrong = error
    said = str(wrong)
    # The setting with which the error comes and stays.
    counts = range(len(settings), 0, -1)
    cause = next((n for n in counts if _error(read, with_settings(raw, settings[: n - 1])) != said), None)
    if cause is None:
        raise wrong
    raise ValueError(f"--set {settings[cause - 1]}: {said.removeprefix(f'{what}: ')}")


def _error(read: Callable[[dict[str, Any]], T], raw: dict[str, Any]) -> str | None:
    try:
        read(raw)
    except ValueError as error:
        return str(error)
    return None
