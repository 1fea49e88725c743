"""An objective as data: the name of its class and its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import keras

from keras_kd import objectives
from keras_kd.checks import require_number
from keras_kd.objectives.base import Objective, ObjectiveArguments
from keras_kd.schedules import Ramp

Argument: TypeAlias = (
    "bool | int | float | str | Ramp | Mapping[str, bool | int | float | str] | Sequence[Argument] | None"
)
"""What an argument of an objective may be in a recipe: what TOML has, or a Ramp, which is a table of its own arguments."""

# The arguments of a Ramp, as a table of a recipe holds them.
RAMP = tuple(inspect.signature(Ramp).parameters)


@dataclass(frozen=True)
class Term:
    """One objective of a recipe, as data.

    Args:
        objective: Name of a class of keras_kd, or of a registered class of your own, as 'package>Name'.
        arguments: Its arguments by name; schedules are a Ramp or a table of a Ramp's arguments.

    Raises:
        ValueError: For an unknown class or argument, or a value that the class refuses.

    Examples:
        >>> term = keras_kd.recipes.Term("SoftTarget", {"temperature": 4.0, "weight": 0.9})
        >>> term.made().temperature
        4.0
    """

    objective: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.arguments, Mapping):
            raise ValueError(f"arguments of {self.objective!r} must be a mapping by name, got {self.arguments!r}")
        accepted = arguments_of(class_of(self.objective))
        for key, value in self.arguments.items():
            if key not in accepted:
                known = ", ".join(accepted)
                raise ValueError(f"{key}: {self.objective} takes no such argument; it takes {known}")
            require_kind(value, accepted[key], key)
        object.__setattr__(self, "arguments", {key: _plain(value) for key, value in self.arguments.items()})
        self.made()

    def made(self, warmup_steps: int = 0) -> Objective:
        """A new objective with layers of its own; its weight rises from 0 over `warmup_steps`.

        Raises:
            ValueError: For a warm-up of a weight that is a schedule already.
        """
        given = {key: _value(value, key) for key, value in self.arguments.items()}
        cls = class_of(self.objective)
        if warmup_steps:
            weight = given.get("weight", arguments_of(cls)["weight"])
            if isinstance(weight, Ramp):
                raise ValueError(
                    f"weight: that of {self.objective} is a schedule and cannot be warmed up besides; "
                    "give the recipe warmup_steps=0"
                )
            given["weight"] = Ramp(0.0, weight, warmup_steps)
        return cls(**given)

    def changed(self, **arguments: Argument) -> Term:
        """A term with other arguments; None takes one away, so that the class's default holds.

        Raises:
            ValueError: As for a new term.
        """
        together = {**self.arguments, **arguments}.items()
        return Term(self.objective, {key: value for key, value in together if not (key in arguments and value is None)})

    def __str__(self) -> str:
        shown = {key: value for key, value in self.arguments.items() if not key.endswith("_layer")}
        text = ", ".join(f"{key}={_shown(value)}" for key, value in shown.items())
        layers = [self.arguments.get(f"{side}_layer") for side in ("teacher", "student")]
        where = (
            "outputs"
            if layers == [None, None]
            else " -> ".join("output" if one is None else str(one) for one in layers)
        )
        return f"{self.objective}({text}) on {where}"


def class_of(name: str) -> type[Objective]:
    """The class of that name: one of keras_kd, or a registered one.

    Raises:
        ValueError: If there is none.
    """
    found = {each: getattr(objectives, each) for each in objectives.__all__ if each not in ("FromKeras", "Objective")}
    known = {each: cls for each, cls in found.items() if isinstance(cls, type)}
    cls = known.get(name) if isinstance(name, str) else None
    if cls is None and isinstance(name, str) and ">" in name:
        cls = keras.saving.get_registered_object(name)
    if not (isinstance(cls, type) and issubclass(cls, Objective)):
        raise ValueError(
            f"there is no objective {name!r}; those of keras_kd are {', '.join(sorted(known))}; one of your own is "
            "registered with Keras and named 'package>Name'"
        )
    return cls


def arguments_of(cls: type[Objective]) -> dict[str, object]:
    """The arguments that a class of objectives takes, with their defaults."""
    given = inspect.signature(cls).parameters.values()
    own = {each.name: each.default for each in given if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)}
    return {**own, **dict.fromkeys(key for key in ObjectiveArguments.__annotations__ if key not in own)}


def require_kind(value: object, default: object, key: str) -> None:
    """ValueError unless a value is of its default's kind: true or false, an integer, a number or a schedule."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{key} must be true or false, got {value!r}")
    elif isinstance(default, int) and not isinstance(default, bool):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{key} must be an integer, got {value!r}")
    elif isinstance(default, float):
        if not isinstance(value, (Ramp, Mapping)):
            require_number(value, key)  # type: ignore[arg-type]
    elif key.endswith("_layer") or isinstance(default, str):
        parts = value if isinstance(value, (list, tuple)) else [value]
        if value is not None and not all(isinstance(part, str) for part in parts):
            raise ValueError(f"{key} must be a name, got {value!r}")


def _plain(value: Argument) -> Any:
    """A value as TOML has it: a Ramp as its arguments, a list as a tuple."""
    if isinstance(value, Ramp):
        return {**value.get_config()}
    if isinstance(value, (list, tuple)):
        return tuple(_plain(part) for part in value)
    return dict(value) if isinstance(value, Mapping) else value


def _value(value: Argument, key: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    unknown = [each for each in value if each not in RAMP]
    if unknown or not {"start", "end", "steps"} <= set(value):
        raise ValueError(
            f"{key}: a table is a Ramp, with start, end and steps, and maybe begin and shape; got {dict(value)}"
        )
    for each in ("start", "end"):
        require_number(value[each], f"{key}.{each}")  # type: ignore[arg-type]
    for each in {"steps", "begin"} & set(value):
        require_kind(value[each], 1, f"{key}.{each}")
    return Ramp(**value)  # type: ignore[arg-type]


def _shown(value: Argument) -> str:
    if isinstance(value, Mapping):
        return f"from {value['start']:g} to {value['end']:g} over {value['steps']} steps"
    return f"{value:g}" if isinstance(value, float) else repr(value)
