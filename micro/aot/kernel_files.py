"""The kernels: one C file each, whose first line names the kernels that it calls."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

NEEDS = re.compile(r"/\* needs: (.*) \*/\n")
# Kernels that only move values, at 16 or 32 bits; and those whose arithmetic is the same on 16 bits but for the range of values
# and the fraction bits of sums.
MOVED_WIDER = re.compile(r"(copy_rows|gather|pad|pick|spread|fill|larger|choose|put)_(16|32)")
COMPUTED_WIDER = re.compile(
    r"(add|sum_of|clamped|mul|mean|average_pool_2d|max_pool_2d|prelu|squared_difference|widened|narrowed)_(16)"
)
# Arguments that stay as they are.
NOT_WIDER = r"(?! \*(?:condition|alpha)\b)"
CAST = re.compile(r"cast_(8|16|32)_(8|16|32)")
CALLED_WIDER = re.compile(r"\b(sum_of|clamped)\b")


def kernel_sources(called: Iterable[str]) -> list[str]:
    """Sources of the kernels that are called, each once and after those it needs."""
    ordered: dict[str, str] = {}

    def add(kernel: str) -> None:
        needed, source = read_kernel(kernel)
        for other in needed:
            add(other)
        ordered.setdefault(kernel, source)

    for kernel in sorted(set(called)):
        add(kernel)
    return list(ordered.values())


@cache
def read_kernel(kernel: str) -> tuple[tuple[str, ...], str]:
    """The kernels that a kernel calls, by its first line `/* needs: scaled, clamped */`, and its source without that line.

    Some kernels serve wider values too: `gather_16` is `gather` with `int16_t` in place of `int8_t`.
    """
    wide = MOVED_WIDER.fullmatch(kernel) or COMPUTED_WIDER.fullmatch(kernel)
    if wide:
        needed, source = read_kernel(wide[1])
        source = re.sub(rf"\b{wide[1]}\(", f"{kernel}(", re.sub(f"int8_t{NOT_WIDER}", f"int{wide[2]}_t", source))
        if COMPUTED_WIDER.fullmatch(kernel):
            source = CALLED_WIDER.sub(r"\1_16", source).replace("-128", "INT16_MIN").replace("127", "INT16_MAX")
            source = source.replace("(int32_t)1 << 20", "(int32_t)1 << 15").replace(" * 128", "")
        return tuple(CALLED_WIDER.sub(r"\1_16", each) for each in needed), source
    cast = CAST.fullmatch(kernel)
    if cast:
        source = read_kernel("cast")[1].replace("cast(", f"{kernel}(")
        return (), source.replace("from_t", f"int{cast[1]}_t").replace("to_t", f"int{cast[2]}_t")
    text = (resources.files("micro.aot") / "kernels" / f"{kernel}.c").read_text(encoding="utf-8").rstrip()
    line = NEEDS.match(text)
    return (tuple(line[1].split(", ")), text[line.end() :]) if line else ((), text)


@cache
def kinds_of(kernel: str) -> tuple[str, ...]:
    """Types of a kernel's arguments, in order; of pointers what they point to.

    Examples:
        >>> from micro.aot.kernel_files import kinds_of
        >>> kinds_of("fill")
        ('int8_t', 'int32_t', 'int8_t')
    """
    _, source = read_kernel(kernel)
    found = re.search(rf"^static void {kernel}\(([^)]*)\)", source, re.MULTILINE)
    return tuple(re.findall(r"(?:const )?(\w+) [*\w]+(?:const \*)?\w*(?:,|$)", found[1])) if found else ()
