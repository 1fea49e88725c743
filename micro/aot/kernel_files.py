"""The kernels: one C file each, whose first line names the kernels that it calls."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

NEEDS = re.compile(r"/\* needs: (.*) \*/\n")


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
    """The kernels that a kernel calls, by its first line `/* needs: scaled, clamped */`, and its source without that line."""
    text = (resources.files("micro.aot") / "kernels" / f"{kernel}.c").read_text(encoding="utf-8").rstrip()
    line = NEEDS.match(text)
    return (tuple(line[1].split(", ")), text[line.end() :]) if line else ((), text)
