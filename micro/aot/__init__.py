"""Static C for a .tflite: no interpreter, no heap, the arithmetic of TFLite Micro's reference kernels.

May import: errors, support, tflite, emission.
"""

from micro.aot.generate import StaticSize, generate, static_size

__all__ = ["StaticSize", "generate", "static_size"]
