"""C out of a .tflite."""

from micro.emission.c_array import emit

__all__ = ["emit"]
