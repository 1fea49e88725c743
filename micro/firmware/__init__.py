"""Firmware projects of finished runs and for benchmarks, and the emulator that runs them.

May import: errors, support, signal, targets, tflite, program, detection, config, emission, aot, datasets, runs, live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from micro.firmware.benchmark import new_benchmark as new_benchmark
    from micro.firmware.project import new_firmware as new_firmware

__all__ = ["new_benchmark", "new_firmware"]


def __getattr__(name: str) -> Any:
    # Looked up when used: the command line lists the boards without importing what makes projects.
    if name == "new_firmware":
        from micro.firmware.project import new_firmware

        return new_firmware
    if name == "new_benchmark":
        from micro.firmware.benchmark import new_benchmark

        return new_benchmark
    raise AttributeError(f"module 'micro.firmware' has no attribute {name!r}")
