"""How much code each of TFLite Micro's operators brings, estimated from the tflite-micro wheel that is installed.

Usage: python scripts/bench/code_size.py [--out micro/tflite/code_size.json]

The wheel holds TFLite Micro's reference kernels for x86-64 with their symbols. What an operator brings is all that can be
reached from its registration, over calls and addresses taken, and not from the interpreter itself. Sizes on a Cortex-M4
differ by a factor for the interpreter and one for the kernels, fitted to three programs measured there. Needs objdump and
readelf. Writes the table that micro/tflite/code_size.py reads, and prints how well it fits.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections import defaultdict
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import numpy as np

from micro.emission.resolver import IRREGULAR, REGULAR
from micro.support.files import json_bytes, write_bytes

ROOTS = (
    "MicroInterpreter",
    "MicroAllocator",
    "MicroGraph",
    "MicroInterpreterContext",
    "ParseOp",
    "MicroMutableOpResolver",
)
# Measured on a Cortex-M4, gcc 12.2 -O2, minimal resolver: .text + .data in bytes, and the operators of the program.
MEASURED = {
    "ae": (18_400, ("FULLY_CONNECTED",)),
    "conv1d": (30_600, ("CONV_2D", "FULLY_CONNECTED", "MEAN", "RESHAPE")),
    "dscnn": (40_200, ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN", "SOFTMAX")),
}


def functions_of(library: Path) -> tuple[dict[int, tuple[str, int]], dict[int, set[int]]]:
    """Every function by address with name and size, and whom it calls or takes the address of."""
    symbols: dict[int, tuple[str, int]] = {}
    table = subprocess.run(["readelf", "-sW", str(library)], capture_output=True, text=True, check=True).stdout
    for line in table.splitlines():
        cells = line.split()
        if len(cells) >= 8 and cells[3] == "FUNC" and cells[6] != "UND" and int(cells[2], 0):
            symbols[int(cells[1], 16)] = (cells[7].split("@")[0], int(cells[2], 0))
    by_name = {name: address for address, (name, _) in symbols.items()}
    slots = {}
    relocations = subprocess.run(["readelf", "-rW", str(library)], capture_output=True, text=True, check=True).stdout
    for line in relocations.splitlines():
        cells = line.split()
        if len(cells) >= 4 and cells[2] in (
            "R_X86_64_GLOB_DAT",
            "R_X86_64_JUMP_SLO",
            "R_X86_64_JUMP_SLOT",
            "R_X86_64_64",
        ):
            name = cells[4].split("@")[0] if len(cells) > 4 else ""
            if name in by_name:
                slots[int(cells[0], 16)] = by_name[name]
        elif len(cells) == 4 and cells[2] == "R_X86_64_RELATIVE" and int(cells[3], 16) in symbols:
            slots[int(cells[0], 16)] = int(cells[3], 16)
    reached: dict[int, set[int]] = defaultdict(set)
    current = None
    code = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(library)], capture_output=True, text=True, check=True
    )
    for line in code.stdout.splitlines():
        head = re.match(r"^([0-9a-f]+) <", line)
        if head:
            current = int(head[1], 16) if int(head[1], 16) in symbols else None
            continue
        if current is None:
            continue
        for found in re.findall(r"<([^>+@]+)@plt>", line):
            if found in by_name:
                reached[current].add(by_name[found])
        for found in re.findall(r"(?:call|jmp|j\w+)\s+([0-9a-f]+) <", line) + re.findall(r"# ([0-9a-f]+) <", line):
            address = int(found, 16)
            target = slots.get(address, address)
            if target in symbols and target != current:
                reached[current].add(target)
    return symbols, reached


def closure(roots: set[int], reached: dict[int, set[int]], without: frozenset[int] = frozenset()) -> set[int]:
    """All that can be reached."""
    found, waiting = set(roots) - without, list(set(roots) - without)
    while waiting:
        for target in reached[waiting.pop()] - without:
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    folder = Path(str(resources.files("tflite_micro") / "python" / "tflite_micro"))
    symbols, reached = functions_of(next(folder.glob("_runtime*.so")))
    names = {address: name for address, (name, _) in symbols.items()}

    def size(addresses: set[int]) -> int:
        return sum(symbols[address][1] for address in addresses)

    registrations = {
        {"DECODE": "TFLM_DECODE"}.get(found[1], found[1]): address
        for address, name in names.items()
        if (found := re.search(r"\d+Register_([A-Z0-9_]+)Ev$", name))
    }
    python = {address for address, name in names.items() if "PythonOpsResolver" in name or "pybind" in name}
    barred = frozenset(registrations.values()) | frozenset(python)
    interpreter = closure({a for a, name in names.items() if any(root in name for root in ROOTS)}, reached, barred)
    # A program parses the options of its own operators only.
    interpreter -= {a for a in interpreter if "Parse" in names[a]}
    own = {}
    for op in sorted((set(REGULAR) | set(IRREGULAR)) & set(registrations)):
        camel = "".join(part.capitalize() for part in op.split("_")).replace("2d", "2D")
        parsing = {a for a, name in names.items() if re.search(rf"\d+Parse{camel}E", name)}
        address = registrations[op]
        own[op] = closure({address} | parsing, reached, barred - {address} | frozenset(interpreter))
    shares = np.array(
        [[size(interpreter), size(set().union(*(own[op] for op in ops)))] for _, ops in MEASURED.values()]
    )
    measured = np.array([code for code, _ in MEASURED.values()])
    factors = np.linalg.lstsq(shares.astype(float), measured.astype(float), rcond=None)[0]
    for (program, (code, _)), estimate in zip(MEASURED.items(), shares @ factors):
        print(f"{program}: measured {code:,}, estimated {estimate:,.0f}, {100 * (estimate / code - 1):+.1f} %")
    pieces: dict[tuple[str, ...], float] = defaultdict(float)
    for address in set().union(*own.values()):
        pieces[tuple(op for op in own if address in own[op])] += factors[1] * symbols[address][1]
    print(f"factors {factors}, {len(pieces)} pieces")
    if arguments.out:
        table = {
            "tflite-micro": version("tflite-micro"),
            "interpreter": round(factors[0] * size(interpreter)),
            "pieces": [{"ops": list(ops), "bytes": round(code)} for ops, code in sorted(pieces.items())],
        }
        write_bytes(arguments.out, json_bytes(table))


if __name__ == "__main__":
    main()
