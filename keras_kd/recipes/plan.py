"""A recipe: objectives with their layers, weights and warm-up, as data that can be printed, edited, saved and used."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_kd.checks import require_number
from keras_kd.distiller import Distiller
from keras_kd.objectives.base import Objective
from keras_kd.recipes.files import as_toml, read
from keras_kd.recipes.terms import Argument, Term
from keras_kd.supplied import Supplied


@dataclass(frozen=True)
class Recipe:
    """What a student learns from, as data: objectives with their arguments, and the weight of the loss on labels.

    `keras_kd.recipes.recipe` makes one of a published method for two models. New objectives are made each time they are
    asked for, so that one recipe serves any number of students of one architecture.

    Args:
        name: Of the method.
        terms: What is compared, at least one `Term`.
        hard_weight: Factor of the loss on labels, at least 0.
        warmup_steps: Training steps over which the weights of all objectives rise linearly from 0; 0 for none.
        source: Where the numbers come from.
        note: What differs from the source here, and why; empty if nothing does.

    Raises:
        ValueError: For numbers out of range, no objective, or a warm-up of a weight that is a schedule.

    Examples:
        >>> soft = keras_kd.recipes.Term("SoftTarget", {"temperature": 4.0, "weight": 0.9})
        >>> recipe = keras_kd.recipes.Recipe("mine", (soft,), hard_weight=0.1)
        >>> print(recipe.edited("SoftTarget", temperature=2.0))
        mine: hard_weight 0.1
          SoftTarget(temperature=2, weight=0.9) on outputs
    """

    name: str
    terms: tuple[Term, ...]
    hard_weight: float = 1.0
    warmup_steps: int = 0
    source: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for key in ("name", "source", "note"):
            if not isinstance(getattr(self, key), str):
                raise ValueError(f"Recipe: {key} must be text, got {getattr(self, key)!r}")
        object.__setattr__(self, "terms", tuple(self.terms))
        if not self.terms or not all(isinstance(term, Term) for term in self.terms):
            raise ValueError(f"Recipe {self.name!r}: terms must be Terms, at least one, got {self.terms!r}")
        require_number(self.hard_weight, f"Recipe {self.name!r}: hard_weight", minimum=0.0)
        if not isinstance(self.warmup_steps, int) or isinstance(self.warmup_steps, bool) or self.warmup_steps < 0:
            raise ValueError(
                f"Recipe {self.name!r}: warmup_steps must be an integer of at least 0, got {self.warmup_steps!r}"
            )
        if self.warmup_steps:
            self.objectives()

    @property
    def layers(self) -> tuple[tuple[Any, Any], ...]:
        """The pairs of layers that are compared, (teacher, student), in the order of the objectives; None is the output."""
        return tuple((term.arguments.get("teacher_layer"), term.arguments.get("student_layer")) for term in self.terms)

    def objectives(self) -> list[Objective]:
        """The objectives, as a Distiller takes them: new ones each time, with learned layers of their own."""
        return [term.made(self.warmup_steps) for term in self.terms]

    def distiller(self, teacher: keras.Model | Supplied, student: keras.Model, **kwargs: Any) -> Distiller:
        """A Distiller of this recipe; `kwargs` are its other arguments, such as `teacher_inputs`.

        Raises:
            ValueError: As a Distiller does, for models that this recipe does not fit.
        """
        return Distiller(teacher, student, self.objectives(), **{"hard_weight": self.hard_weight, **kwargs})

    def changed(self, **fields: Any) -> Recipe:
        """A recipe with other fields, such as `hard_weight` or `note`.

        Raises:
            ValueError: For a field that there is not, and as for a new recipe.
        """
        known = [each.name for each in dataclasses.fields(self)]
        for key in fields:
            if key not in known:
                raise ValueError(
                    f"a recipe has no {key!r}, it has {', '.join(known)}; an objective's arguments are changed by `edited`"
                )
        return dataclasses.replace(self, **fields)

    def edited(self, which: str | int, **arguments: Argument) -> Recipe:
        """A recipe with other arguments of the objectives of a class, or of the one at a place, counted from 0.

        None takes an argument away, so that the objective's default holds.

        Raises:
            ValueError: If the recipe has no such objective, or the objective refuses the arguments.
        """
        chosen = [n for n, term in enumerate(self.terms) if which in (n, term.objective)]
        if not chosen or isinstance(which, bool):
            raise ValueError(f"recipe {self.name!r} has no objective {which!r}; it has {self._listed()}")
        return dataclasses.replace(
            self, terms=tuple(term.changed(**arguments) if n in chosen else term for n, term in enumerate(self.terms))
        )

    def without(self, which: str | int) -> Recipe:
        """A recipe without the objectives of a class, or without the one at a place.

        Raises:
            ValueError: If the recipe has no such objective, or no other.
        """
        left = tuple(term for n, term in enumerate(self.terms) if which not in (n, term.objective))
        if len(left) == len(self.terms) or not left:
            raise ValueError(
                f"recipe {self.name!r} has {self._listed()}; taking away {which!r} leaves it as it is or empty"
            )
        return dataclasses.replace(self, terms=left)

    def toml(self) -> str:
        """The recipe as the text of its file."""
        return as_toml({each.name: getattr(self, each.name) for each in dataclasses.fields(self)}, self.terms)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the recipe as TOML; `load` gives it back as it was."""
        Path(path).write_text(self.toml(), encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recipe:
        """A recipe from its file.

        Raises:
            ValueError: Naming the file and the key of what is unknown, missing or wrong.
        """
        values, terms = read(path)
        try:
            return cls(terms=terms, **values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def __str__(self) -> str:
        warmup = f", weights rise over {self.warmup_steps} steps" if self.warmup_steps else ""
        lines = [f"{self.name}: hard_weight {self.hard_weight:g}{warmup}", *(f"  {term}" for term in self.terms)]
        lines += [f"  {key}: {text}" for key in ("note", "source") if (text := getattr(self, key))]
        return "\n".join(lines)

    def _listed(self) -> str:
        return ", ".join(f"{n}: {term.objective}" for n, term in enumerate(self.terms))
