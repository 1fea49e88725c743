"""The most memory that this process has held."""

from __future__ import annotations

from pathlib import Path


def peak_kib() -> int:
    """Peak resident memory in KiB since this program was started.

    `getrusage` would count what the process that forked it held: a test's own megabytes hide what is measured.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
