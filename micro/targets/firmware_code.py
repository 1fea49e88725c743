"""Flash of the emitted C around a model on each core, by part: firmware_code.json, fitted by scripts/bench/firmware_code.py."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from micro.targets.cores import Core


def flash_of(parts: Mapping[str, float], core: Core) -> int:
    """Bytes of flash of parts on a core, estimated, with their tables and what they take of the compiler's libraries.

    Args:
        parts: As `micro.emission.flash.parts_of` counts them.
        core: One that was not compiled for counts as one with as much of an FPU.

    Examples:
        >>> from micro.targets.cores import core_of
        >>> flash_of({"recognizer": 1}, core_of("m0")) > flash_of({}, core_of("m0"))
        True
    """
    return _sum(_table(core)["flash"], parts)


def constants_of(parts: Mapping[str, float], core: Core) -> int:
    """Bytes of RAM that constants of parts take on a core whose compilers copy them there; 0 elsewhere."""
    return _sum(_table(core).get("constants", {}), parts)


def _sum(table: Mapping[str, float], parts: Mapping[str, float]) -> int:
    return math.ceil(sum(table.get(name, 0.0) * count for name, count in parts.items()))


def _table(core: Core) -> Mapping[str, Any]:
    counted = core.counted_as or ("m4f" if core.fpu else "m0")
    # Floating point without an FPU takes the compiler's library.
    like = "m0" if counted == "m4f" and not core.fpu else counted
    return _tables()[core.id if core.id in _tables() else like]


@cache
def _tables() -> Mapping[str, Any]:
    return json.loads((resources.files("micro.targets") / "firmware_code.json").read_text(encoding="utf-8"))["cores"]
