"""Arguments of kernels as C: where tensors lie, names of constants, and what else a call takes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from micro.aot.calls import Argument, Constant, Held, Several, Stepped, array_of
from micro.aot.memory import C_TYPES
from micro.aot.variants import Variant, variant_of
from micro.emission.c_text import CArray, c_array
from micro.tflite.graph import Tensor


@dataclass(frozen=True)
class Constants:
    """The constant arrays that calls take, which become more while calls are written.

    Attributes:
        arrays: In the order in which they are first taken.
        names: Of each by its C type and bytes: equal ones are stored once.
        used: Variants of kernels that take it, by its name.
    """

    arrays: list[CArray] = field(default_factory=list)
    names: dict[tuple[str, bytes], str] = field(default_factory=dict)
    used: dict[str, set[Variant]] = field(default_factory=dict)

    def of(self, variant: Variant) -> list[CArray]:
        """Those that only kernels of a variant take, or those of all."""
        return [array for array in self.arrays if variant_of(self.used[array.name]) == variant]

    def name_of(self, constant: Constant, variant: Variant) -> str:
        """The name of a constant that a kernel of a variant takes; it is stored where it is new."""
        kind = C_TYPES[constant.values.dtype.name]
        flat = np.ascontiguousarray(constant.values).reshape(-1)
        key = (kind, flat.tobytes())
        if key not in self.names:
            self.names[key] = f"constant_{len(self.arrays)}"
            self.arrays.append(c_array(kind, self.names[key], flat))
        self.used.setdefault(self.names[key], set()).add(variant)
        return self.names[key]


def argument_text(argument: Argument, variant: Variant, places: dict[int, str], constants: Constants) -> str:
    """The C of an argument of a kernel; `places` are expressions for inputs and computed tensors, by their indices."""
    if isinstance(argument, tuple):
        first = argument_text(argument[0], variant, places, constants)
        return f"{first} + {argument[1]}" if argument[1] else first
    if isinstance(argument, Stepped):
        first = argument_text((argument.tensor, argument.start), variant, places, constants)
        return f"{first} + step * {argument.stride}"
    if isinstance(argument, Several):
        parts = (argument_text(part, variant, places, constants) for part in argument.parts)
        return f"(const int8_t *const[]){{{', '.join(parts)}}}"
    if isinstance(argument, Held):
        return argument.text
    if isinstance(argument, Tensor) and argument.data is None:
        return places[argument.index]
    if isinstance(argument, Tensor):
        argument = Constant(array_of(argument))
    return constants.name_of(argument, variant) if isinstance(argument, Constant) else str(argument)
