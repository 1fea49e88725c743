"""Cycles and code of static C's dense nets on an AVR by operator, fitted in simavr, for micro/targets/static_c.json.

    python scripts/bench/avr_model.py [--out micro/targets/static_c.json]

As cycle_model.py, of whose nets it takes those of Dense layers and what goes with them, as far as their constants fit the
16 KiB of RAM of an ATmega1284P; built with avr-gcc -Os, as Arduino builds. An AVR has neither cache nor wait states, so
simavr's cycles are the chip's. How far the fit is off is said by predicting each net from all others. Needs avr-gcc and
simavr; takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from cycle_model import OUT, calls, code_fitted, converted, estimated, fitted, nets

from micro.aot import generate, static_size
from micro.emission.c_text import c_array
from micro.tflite.graph import read
from micro.tflite.work import works_of

CHIP, MOST_RAM = "atmega1284p", 15_000
TICK = 64  # cycles
KINDS = ("dense", "softmax", "tanh")
MAIN = """
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <stdint.h>
#include "net.h"
static const int8_t x[] = {{ {x} }};
static int8_t y[{outputs}];
static volatile uint16_t rounds;
ISR(TIMER1_OVF_vect) {{ ++rounds; }}
static void put(char c) {{
  while (!(UCSR0A & (1 << UDRE0))) {{
  }}
  UDR0 = (uint8_t)c;
}}
int main(void) {{
  uint32_t ticks;
  int8_t digit;
  UCSR0B = 1 << TXEN0;
  TIMSK1 = 1 << TOIE1;
  sei();
  TCNT1 = 0;
  TCCR1B = 3; /* a tick in 64 cycles */
  {call}
  ticks = TCNT1; /* a timer that is stopped reads 0 in simavr */
  ticks += (uint32_t)rounds << 16;
  for (digit = 7; digit >= 0; --digit) put("0123456789abcdef"[ticks >> (4 * digit) & 15]);
  put(y[0] == x[0] ? '.' : '.');
  put('\\n');
  cli();
  sleep_enable();
  sleep_cpu();
  return 0;
}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    made = []
    for name, model in nets():
        if not name.startswith(KINDS):
            continue
        content = converted(model)
        graph, size = read(content), static_size(content)
        ends = sum(graph.tensors[i].size for i in (*graph.inputs, *graph.outputs))
        if size.constants + size.arena + size.state + ends < MOST_RAM:
            made.append((name, content))
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda each: counted(each[1]), made))
    known = [(name, sample) for (name, _), sample in zip(made, found) if sample is not None]
    samples = [sample for _, sample in known]
    costs, code = fitted(samples), code_fitted(samples)
    print(f"{len(samples)} nets fitted of {len(made)} that fit")
    errors, off = [], []
    for n, (name, sample) in enumerate(known):
        others = samples[:n] + samples[n + 1 :]
        errors.append(estimated(sample["works"], fitted(others)) / sample["instructions"] - 1)
        sizes = code_fitted(others)
        guess = sizes["each"] * calls(sample["works"]) + sum(
            sizes.get(f, 0) for f in {w.family for w in sample["works"]}
        )
        off.append(guess / sample["code"] - 1)
        print(
            f"{name}: {sample['instructions']:,} cycles, {100 * errors[-1]:+.1f} %; code {sample['code']:,}, {guess:,}"
        )
    plain = json.loads(arguments.out.read_text())
    plain["cores"]["avr"] = {
        "costs": costs,
        "code": code,
        "error": [round(min(errors), 3), round(max(errors), 3)],
        "code_error": [round(min(off), 3), round(max(off), 3)],
    }
    arguments.out.write_text(json.dumps(plain, indent=1) + "\n")


def counted(content: bytes) -> dict[str, Any] | None:
    """Works, cycles and bytes of code of a net; None where it does not fit the chip."""
    graph = read(content)
    x = np.random.default_rng(0).integers(-128, 128, graph.tensors[graph.inputs[0]].size)
    outputs = graph.tensors[graph.outputs[0]].size
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        generate(content, folder, "net")
        sizes, cycles = [], 0
        for call in ("(void)x;", "net_invoke(x, y);"):
            values = ", ".join(c_array("int8_t", "x", x).rows)
            (folder / "main.c").write_text(MAIN.format(x=values, outputs=outputs, call=call))
            command = ["avr-gcc", f"-mmcu={CHIP}", "-std=c99", "-Os", "-ffunction-sections", "-Wl,--gc-sections"]
            done = subprocess.run(
                [*command, "net.c", "main.c", "-o", "net.elf"], cwd=folder, capture_output=True, text=True
            )
            if done.returncode != 0:
                print(done.stderr.splitlines()[-1])
                return None
            listed = subprocess.run(["avr-size", "-A", "net.elf"], cwd=folder, capture_output=True, text=True).stdout
            sizes.append(int(re.search(r"^\.text\s+(\d+)", listed, re.MULTILINE)[1]))
            run = subprocess.run(
                ["simavr", "-m", CHIP, "-f", "16000000", "net.elf"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=600,
            )
            said = re.search(r"([0-9a-f]{8})\.", re.sub(r"\x1b\[[0-9;]*m", "", run.stdout + run.stderr))
            if said is None:
                return None
            cycles = TICK * int(said[1], 16)
    return {"works": works_of(graph), "instructions": cycles, "code": sizes[1] - sizes[0]}


if __name__ == "__main__":
    main()
