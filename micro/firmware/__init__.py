"""Firmware projects of finished runs."""

from micro.firmware.project import new_firmware

__all__ = ["new_firmware"]
