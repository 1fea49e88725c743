"""Stack that static C takes on each core, for micro/targets/stack.json, by the compiler's own figures.

    python scripts/bench/stack.py [--out micro/targets/stack.json]

Compiles the small nets of tests/emitted_c.py, which between them have every kernel, for each core and level of
optimization with -fcallgraph-info=su, adds the frames along the deepest chain of calls from each kernel on, and keeps
for each kernel the most that it and its callers take. Prints how far the stated bytes lie above the measured ones. Takes
some minutes. Run it again whenever a kernel changes.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from micro.aot.stack import _measured, stack_bytes

ROOT = Path(__file__).parents[2]
OUT = ROOT / "micro" / "targets" / "stack.json"
ARM = ("arm-none-eabi-gcc", "-mthumb")
CORES = {
    "Cortex-M0": (*ARM, "-mcpu=cortex-m0"),
    "Cortex-M4F": (*ARM, "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
    "Cortex-M33": (*ARM, "-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
    "Cortex-M55": (*ARM, "-mcpu=cortex-m55", "-mfloat-abi=hard"),
    "RV32IMC": ("riscv64-unknown-elf-gcc", "-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"),
    "Xtensa LX106": ("xtensa-lx106-elf-gcc",),
}
LEVELS = ("-O2", "-Os")
# What the room that the header leaves covers of a net.
ENOUGH = 1.05
# So that a kernel that is called once is not put into its caller.
APART = ("-fno-inline-functions-called-once", "-fno-inline-small-functions", "-fno-inline-functions")
# Bytes of a function of the compiler's library, such as memcpy or a product of 64 bits, at most, and of a division.
LIBRARY, DIVISION = 40, 112
NODE = re.compile(r'node: \{ title: "([^"]*)" label: "([^"]*)"')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"')


def depths(graph: str) -> dict[str, int]:
    """Bytes along the deepest chain of calls from each function on, of the compiler's file of calls (.ci).

    Raises:
        ValueError: For a frame of unknown size, a call through a pointer, or recursion.
    """
    frames: dict[str, int] = {}
    called: dict[str, set[str]] = {}
    for title, label in NODE.findall(graph):
        frame = re.search(r"(\d+) bytes \((.*?)\)", label)
        if title == "__indirect_call" or (frame is not None and frame[2] != "static"):
            raise ValueError(f"{title} has no known stack")
        frames[title] = int(frame[1]) if frame is not None else DIVISION if re.search("div|mod", title) else LIBRARY
    for source, target in EDGE.findall(graph):
        called.setdefault(source, set()).add(target)

    def below(title: str, above: tuple[str, ...]) -> int:
        if title in above:
            raise ValueError(f"{title} calls itself")
        return frames[title] + max((below(each, (*above, title)) for each in called.get(title, ())), default=0)

    return {title: below(title, ()) for title in frames}


def compiled(source: Path, core: str, level: str, *flags: str) -> dict[str, int]:
    """`depths` of the functions of a C file on a core."""
    with tempfile.TemporaryDirectory() as made:
        command = [*CORES[core], "-std=c99", level, *flags, "-fcallgraph-info=su", "-c", source, "-o", "net.o"]
        subprocess.run(command, cwd=made, check=True)
        return depths(next(Path(made).glob("*.ci")).read_text())


def measured(folder: Path, name: str, core: str, level: str) -> int:
    """Bytes of stack that NAME_invoke of a folder's NAME.c takes on a core."""
    return compiled(folder / f"{name}.c", core, level)[f"{name}_invoke"]


def by_kernel(source: Path, core: str, level: str, kernels: set[str]) -> dict[str, int]:
    """Bytes of stack from each kernel on, and under '' those of their callers, where kernels stay functions of their own."""
    found = compiled(source, core, level, *APART)
    most: dict[str, int] = {}
    for title, bytes_ in found.items():
        kernel = re.split(r"[.$]", title.split(":")[-1])[0]
        if kernel in kernels:
            most[kernel] = max(most.get(kernel, 0), bytes_)
    most[""] = found[f"{source.stem}_invoke"] - max(most.values(), default=0)
    return most


def cores_of(core: str) -> str:
    """Which of the two tables a core belongs to."""
    return "mve" if core == "Cortex-M55" else "plain"


def called_kernels(source: str) -> set[str]:
    """The kernels that NAME_invoke_in calls itself."""
    body = source.split("_invoke_in(")[1].split("\n}\n")[0]
    return set(re.findall(r"^ +(\w+)\(", body, re.MULTILINE)) & set(
        re.findall(r"^static .*?(\w+)\(", source, re.MULTILINE)
    )


def compiler() -> str:
    """Versions of the compilers that are installed."""
    found = {}
    for program in {command[0] for command in CORES.values() if shutil.which(command[0])}:
        done = subprocess.run([program, "-dumpversion"], capture_output=True, text=True, check=True)
        found[program] = ".".join(done.stdout.strip().split(".")[:2])
    return " and ".join(sorted(set(found.values())))


Nets = dict[tuple[str, str, str], dict[str, int]]


def fitted(whole: dict[tuple[str, str, str], int], parts: Nets) -> dict[str, int]:
    """For each kernel the most that it takes anywhere, and its callers where they take least, as where it is alone.

    Args:
        whole: Bytes of each net, core and level.
        parts: Of each of these the bytes by kernel, as `by_kernel` has them.
    """
    table: dict[str, int] = {}
    holding: dict[str, set[str]] = {}
    for core, level in {each[1:] for each in parts}:
        found = {net: part for (net, *on), part in parts.items() if (*on,) == (core, level)}
        for kernel in {kernel for part in found.values() for kernel in part if kernel}:
            holding[kernel] = {net for net, part in found.items() if kernel in part}
            some = [found[net] for net in holding[kernel]]
            taken = max(part[kernel] for part in some) + min(part[""] for part in some)
            table[kernel] = max(table.get(kernel, 0), taken)
    # A caller into which several kernels were put may take more than the deepest. Where operators are computed together row by
    # row, move_down answers for it, elsewhere the rarest of the deep ones.
    for (net, core, level), bytes_ in sorted(whole.items(), key=lambda each: each[1]):
        own = [kernel for kernel in parts[net, core, level] if kernel]
        deepest = max((table[kernel] for kernel in own), default=0)
        if own and bytes_ > ENOUGH * deepest:
            deep = [kernel for kernel in own if 2 * table[kernel] >= deepest]
            deep = [kernel for kernel in own if kernel == "move_down"] or deep
            table[min(deep, key=lambda kernel: (len(holding[kernel]), kernel))] = round(bytes_ / ENOUGH)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    import emitted_c

    with tempfile.TemporaryDirectory() as made:
        folder = emitted_c.written(emitted_c.static_c(), Path(made))
        names = sorted(path.stem for path in folder.glob("*.c"))
        cores = [core for core, command in CORES.items() if shutil.which(command[0])]
        work = [(name, core, level) for name in names for core in cores for level in LEVELS]
        kernels = {name: called_kernels((folder / f"{name}.c").read_text()) for name in names}
        with ThreadPoolExecutor(2) as pool:
            whole = dict(zip(work, pool.map(lambda each: measured(folder, *each), work)))
            parts = dict(
                zip(work, pool.map(lambda one: by_kernel(folder / f"{one[0]}.c", *one[1:], kernels[one[0]]), work))
            )
    tables = {}
    for kind in ("plain", "mve"):
        on = {each for each in work if cores_of(each[1]) == kind}
        table = fitted({each: whole[each] for each in on}, {each: parts[each] for each in on})
        tables[kind] = dict(sorted(table.items()))
    content = {"compiler": compiler(), "levels": list(LEVELS), "cores": cores, "bytes": tables}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")
    stack_bytes.cache_clear()
    _measured.cache_clear()
    for core in cores:
        shares = []
        for name in names:
            called = tuple(sorted(kernel for kernel in parts[name, core, LEVELS[0]] if kernel))
            taken = max(whole[name, core, level] for level in LEVELS)
            shares.append(stack_bytes(called, cores_of(core)) / max(taken, 1))
        print(f"{core}: stated / measured {min(shares):.2f} to {max(shares):.2f}")


if __name__ == "__main__":
    main()
