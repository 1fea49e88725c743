"""The commissioning of a detector in C: what it learns of its machine, and which machines it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from micro.detection.commissioning import MOVED, Commissioning
from micro.detection.learned_record import HEADER
from micro.detection.record import BLOCK, CRC, FORMAT
from micro.emission.c_text import c_array, c_string, float_text, render
from micro.emission.front_end import input_scale
from micro.errors import ConversionError
from micro.signal import AnyFrontEnd, FrontEnd, Hops
from micro.signal.learned import BEYOND, DEVIATION_FRACTION, VALUE_FRACTION, reciprocal
from micro.support.c_names import CNames
from micro.tflite.graph import Graph


def commissioning_files(
    front_end: AnyFrontEnd | Hops,
    commissioning: Commissioning,
    graph: Graph,
    digest: str,
    name: str,
    parameters: Mapping[str, Any],
) -> dict[str, bytes]:
    """NAME_commissioning and NAME_learned, a header and a C file each, for the detector of the same name.

    `parameters` are what templates are given of its parameters, by `micro.emission.parameters.parameters_context`.

    Raises:
        ConversionError: For a front end that has more than one row of features a window, or whose features the prior is not of.
    """
    front_end = require_learnable(front_end)
    context = {
        **parameters,
        **_context(front_end, commissioning, graph, digest, name),
        **_learned_context(front_end, name),
    }
    files = {f"{name}_{part}.{end}": f"{part}.{end}.j2" for part in ("commissioning", "learned") for end in "hc"}
    return {file: render(template, context).encode() for file, template in files.items()}


def require_learnable(front_end: AnyFrontEnd | Hops) -> FrontEnd:
    """A front end whose scaling can be learned; ConversionError for frames, raw samples, hops and further sources."""
    if not isinstance(front_end, FrontEnd) or len(front_end.shape) != 1:
        raise ConversionError(
            "a target learns the scaling of one row of features a window, of one source: not of frames, raw samples, hops or "
            "further sources"
        )
    return front_end


def _learned_context(front_end: FrontEnd, name: str) -> dict[str, Any]:
    """For the templates of NAME_learned."""
    size = HEADER.size + 8 * front_end.shape[0] + CRC.size
    return {
        "learned_guard": CNames(name).guard("learned"),
        "learned_format": FORMAT,
        "learned_header_size": HEADER.size,
        "learned_size": size,
        "learned_slot_size": -(-size // BLOCK) * BLOCK,
        "beyond": BEYOND,
    }


def _context(front_end: FrontEnd, commissioning: Commissioning, graph: Graph, digest: str, name: str) -> dict[str, Any]:
    prior = commissioning.prior
    if len(prior.mean) != front_end.shape[0] or len(prior.quietest) != front_end.channels:
        raise ConversionError(
            f"the prior is of {len(prior.mean)} features and {len(prior.quietest)} channels, the front end gives "
            f"{front_end.shape[0]} of {front_end.channels}"
        )
    scale, _ = input_scale(front_end, graph)
    try:
        mantissa, power = reciprocal(scale)
    except ValueError as error:
        raise ConversionError(str(error)) from None
    return {
        **CNames(name).context("commissioning"),
        "commissioning_guard": CNames(name).guard("commissioning"),
        "digest": digest,
        "fixed": front_end.arithmetic == "fixed",
        "plan": commissioning,
        "rate": f"{(commissioning.calibrate_windows + 1 - commissioning.rank) / (commissioning.calibrate_windows + 1):.4g}",
        "moved": min(MOVED, front_end.shape[0]),
        "prior_arrays": [
            c_array("int32_t", "prior_mean", prior.mean),
            c_array("int32_t", "prior_tolerance", prior.tolerance),
            c_array("int32_t", "prior_deviation", prior.deviation),
            c_array("uint8_t", "prior_idle", prior.idle),
            c_array("int64_t", "prior_quietest", prior.quietest),
        ],
        "feature_names": [c_string(each) for each in front_end.names],
        "level_factor": float_text(2.0**prior.exponent),
        "mantissa": f"UINT64_C({mantissa})",
        "power": power,
        "mean_unit": float_text(2.0**-VALUE_FRACTION),
        "deviation_unit": float_text(2.0 ** -(VALUE_FRACTION + DEVIATION_FRACTION)),
    }
