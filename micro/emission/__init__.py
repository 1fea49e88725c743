"""C of models, front ends and detectors.

May import: errors, support, signal, tflite, detection.
"""

from micro.emission.c_array import emit

__all__ = ["emit"]
