"""C on an emulated ATmega2560, whose int has 16 bits: compiled by avr-gcc, run by simavr, read from the serial line."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import WARNINGS

CHIP = "atmega2560"
# `put_byte` writes a byte in hexadecimal; `main` ends by `stop()`, on which simavr ends as well.
SERIAL = """
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <stdint.h>
static void put_digit(uint8_t digit) {
  while (!(UCSR0A & (1 << UDRE0))) {
  }
  UDR0 = (uint8_t)(digit < 10 ? '0' + digit : 'a' + digit - 10);
}
static inline void put_byte(uint8_t byte) {
  put_digit(byte >> 4);
  put_digit(byte & 15);
}
static inline void stop(void) {
  while (!(UCSR0A & (1 << UDRE0))) {
  }
  UDR0 = '\\n';
  cli();
  sleep_enable();
  sleep_cpu();
}
"""


def run_on_avr(folder: Path, sources: Sequence[str], optimise: str = "-Os") -> bytes:
    """Bytes that a program wrote by `put_byte`; its C files include "serial.h". The test is skipped without the tools."""
    for tool in ("avr-gcc", "simavr"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}: C with an int of 16 bits cannot be run")
    (folder / "serial.h").write_text(SERIAL)
    command = ["avr-gcc", f"-mmcu={CHIP}", *WARNINGS, optimise, *sources, "-o", "avr.elf"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:4000]
    done = subprocess.run(
        ["simavr", "-m", CHIP, "-f", "16000000", "avr.elf"], cwd=folder, capture_output=True, text=True, timeout=300
    )
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr).splitlines()
    # simavr breaks long lines, ends them in dots for what is not printable, and says other things too.
    return bytes.fromhex("".join(line.rstrip(".") for line in said if re.fullmatch(r"[0-9a-f]+\.*", line)))
