"""The stack that static C takes at most: that of its deepest kernel, as compilers gave it for each, with some room."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, Literal

# Compilers put a kernel that is called once into its caller, whose frame then holds a little of each.
ROOM, STEP = 1.15, 16
# What the function around them takes, where kernels take next to nothing.
LEAST = 32


# Cores with the vector extension MVE have kernels of their own, which hold columns of windows on the stack.
Cores = Literal["plain", "mve"]


@cache
def stack_bytes(kernels: tuple[str, ...], cores: Cores = "plain") -> int:
    """Bytes of stack that an inference takes at most, without interrupts, on the cores and at the levels in targets/stack.json.

    Args:
        kernels: All that are called. One that was not measured counts as the deepest.
        cores: Those with the vector extension MVE, or all others.

    Examples:
        >>> stack_bytes(("lookup",)) < stack_bytes(("lookup", "conv_2d"))
        True
    """
    table = _measured()["bytes"][cores]
    deepest = max((table.get(kernel, max(table.values())) for kernel in kernels), default=0)
    return -(-int(max(deepest, LEAST) * ROOM) // STEP) * STEP


def measured_on() -> dict[str, Any]:
    """By what a header says of it: compiler, levels of optimization and cores that the table was measured with."""
    made = _measured()
    return {name: made[name] for name in ("compiler", "levels", "cores")}


@cache
def _measured() -> dict[str, Any]:
    return dict(json.loads((resources.files("micro") / "targets" / "stack.json").read_text(encoding="utf-8")))
