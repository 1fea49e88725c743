"""Estimated code size of TFLite Micro with a model's operators."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

SOURCE = (
    "estimate: reference kernels of the tflite-micro {version} wheel (x86-64, by symbol), scaled to a Cortex-M4 by three "
    "programs measured there with gcc 12.2 -O2; it meets those within 1 %"
)


# CMSIS-NN's kernels by the reference kernels' size: three programs on a Cortex-M4 (gcc 12.2 -O2) take 29.9, 60.5 and 82.6 KB
# of code with them and 18.4, 30.6 and 40.2 KB without; this factor on the part beside the interpreter meets those within 4 %.
CMSIS_NN_FACTOR = 2.6


@dataclass(frozen=True)
class CodeSize:
    """Estimated bytes of code on a Cortex-M4: the interpreter, each operator on its own, and all together.

    Operators share code, so `total` is less than the sum. `unknown` are operators without an estimate. `source` says what the
    figures rest on; for CMSIS-NN's kernels, which take more, see `code_with`.
    """

    total: int
    interpreter: int
    ops: dict[str, int]
    unknown: tuple[str, ...]
    source: str


def estimate_code(ops: Iterable[str]) -> CodeSize:
    """Code size of the interpreter with a resolver for these operators only, by their names in the schema."""
    table = _table()
    wanted = sorted(set(ops))
    pieces = [(set(piece["ops"]), piece["bytes"]) for piece in table["pieces"]]
    known = set().union(*(names for names, _ in pieces))
    alone = {op: sum(size for names, size in pieces if op in names) for op in wanted if op in known}
    shared = sum(size for names, size in pieces if names & set(wanted))
    return CodeSize(
        table["interpreter"] + shared,
        table["interpreter"],
        alone,
        tuple(op for op in wanted if op not in known),
        SOURCE.format(version=table["tflite-micro"]),
    )


def code_with(code: CodeSize, kernels: str) -> int:
    """Estimated bytes of code with other kernels than the reference kernels: 'cmsis-nn' or 'cmsis-nn-mve'."""
    factor = CMSIS_NN_FACTOR if kernels.startswith("cmsis-nn") else 1.0
    return code.interpreter + round(factor * (code.total - code.interpreter))


@cache
def _table() -> dict[str, Any]:
    return json.loads((resources.files("micro.tflite") / "code_size.json").read_text(encoding="utf-8"))
