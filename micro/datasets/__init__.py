"""Recordings: simulated, from the Bearing Data Center, or a user's own."""

from micro.datasets.recording import Recording

__all__ = ["Recording"]
