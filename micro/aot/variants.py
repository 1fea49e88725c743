"""Calls, constants and kernels that the emitted C has twice: for cores with the vector extension MVE, and for all others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from micro.aot.calls import Argument, Call
from micro.aot.kernel_files import kernel_sources

# Where a part of the emitted C is compiled.
Variant = Literal["any", "mve", "plain"]
# The C of an argument of a call that is compiled there.
Text = Callable[[Argument, Variant], str]

IF_MVE = "#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)"


def call_lines(call: Call, text: Text, named: Callable[[str], Mapping[int, str]] = lambda kernel: {}) -> list[str]:
    """The lines of a call. `named` gives the text of some arguments of a kernel, by their places; `text` that of the others."""

    def line(one: Call, variant: Variant) -> str:
        given = named(one.kernel)
        texts = [given[n] if n in given else text(argument, variant) for n, argument in enumerate(one.arguments)]
        return f"{one.kernel}({', '.join(texts)});"

    if call.mve is None:
        return [line(call, "any")]
    return [IF_MVE, line(call.mve, "mve"), "#else", line(call, "plain"), "#endif"]


def variant_of(used: Iterable[Variant]) -> Variant:
    """Where something is compiled that is used in such places."""
    places = set(used)
    return places.pop() if len(places) == 1 else "any"


def called(calls: Iterable[Call], mve: bool) -> set[str]:
    """Names of the kernels that calls are of, on cores with MVE or on all others."""
    return {(call.mve or call if mve else call).kernel for call in calls}


def kernels_of(calls: Iterable[Call], further: Iterable[str]) -> dict[Variant, list[str]]:
    """Sources of the kernels that calls and further lines need, each once and after those it needs."""
    every = list(calls)
    shared = [*further, *(call.kernel for call in every if call.mve is None)]
    plain = kernel_sources([*shared, *(call.kernel for call in every)])
    mve = kernel_sources([*shared, *(call.mve.kernel for call in every if call.mve is not None)])
    return {
        "any": [source for source in plain if source in mve],
        "mve": [source for source in mve if source not in plain],
        "plain": [source for source in plain if source not in mve],
    }
