"""What a model takes, as commands print it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from micro.program.operators import OperatorShare
    from micro.program.size import Model
    from micro.targets.cores import Core, Runtime
    from micro.tflite.footprint import Footprint


def costs_of(footprint: Footprint) -> dict[str, Any]:
    """A footprint without its operators one by one."""
    return {name: value for name, value in dataclasses.asdict(footprint).items() if name != "layers"}


def sizes_of(model: Model, runtime: Runtime, core: Core) -> dict[str, Any]:
    """What a model is, and what it takes with a runtime; of TFLite Micro its arena with each kind of kernels."""
    from micro.errors import ConversionError
    from micro.program.size import program_of

    about = {"model_bytes": len(model.content), "macs": model.graph.macs, "ops": model.graph.op_counts}
    if runtime == "tflm":
        return {**about, "runtime": "TFLite Micro", **costs_of(model.footprint)}
    try:
        program = program_of(model, runtime, core)
    except ConversionError as error:
        _ = model.footprint  # TFLite Micro says why where it does not run the model either
        return {**about, "runtime": "static C", "refused": str(error)}
    parts = {name: getattr(program, name) for name in ("code", "constants", "arena", "buffers", "state")}
    return {**about, "runtime": "static C", "flash": program.flash, "ram": program.ram, **parts}


def share_of(share: OperatorShare | None) -> dict[str, Any]:
    """An operator's part of the time; what is not known is left to JSON's null."""
    if share is None:
        return {"instructions": None, "percent_of_time": None, "ms": None}
    percent = None if share.share is None else round(100 * share.share, 1)
    return {"instructions": share.instructions, "percent_of_time": percent, "ms": share.milliseconds}
