"""Values as TOML has them."""

from __future__ import annotations

import json


def toml_of(value: object) -> str:
    """A setting's value as TOML.

    Examples:
        >>> toml_of([1, {"stage": "prune"}])
        '[1, {"stage" = "prune"}]'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_of(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_of, value))}]"
    return json.dumps(value, ensure_ascii=False)
