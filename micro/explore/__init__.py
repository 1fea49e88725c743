"""From a budget to the best student that fits: what may vary, what a candidate costs, how it is trained, which is chosen.

May import: keras_kd, errors, support, signal, targets, tflite, program, detection, quantize, config, datasets, runs.
"""

from micro.explore.result import SearchResult
from micro.explore.search import search

__all__ = ["SearchResult", "search"]
