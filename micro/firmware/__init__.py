"""Firmware projects of finished runs, and the emulator that runs them.

May import: errors, support, tflite, detection, emission, aot, datasets, runs.
"""

from micro.firmware.project import new_firmware

__all__ = ["new_firmware"]
