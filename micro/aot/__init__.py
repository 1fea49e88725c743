"""Static C for a .tflite: no interpreter, no heap, results equal to TFLite Micro's reference kernels bit for bit.

May import: errors, support, tflite, emission.

What `generate` does, step by step:

- `decode` unpacks packed weights,
- `validate` refuses damaged graphs,
- `operators` turn each operator of the graph into calls of kernels, with weights stored as `weight_layout` chooses,
- `memory` places tensors in RAM by their lifetimes (`arena`), over each other as far as the order of access allows (`overlap`),
  and lets operators be computed together row by row (`rows`, `run_text`); `states` are what is kept between inferences,
- `block` puts what comes of weights, scales and zero points into one struct, where these are to be exchangeable, and
  `weights_format` says how it travels,
- `kernel_files` collects the kernels that are called, each a C file in `kernels`,
- `templates` hold the C file and its header.
"""

from micro.aot.block import Block
from micro.aot.generate import StaticSize, generate, static_size, weights_of
from micro.aot.weights_file import weights_record
from micro.aot.weights_format import WeightsRecord, WeightsStatus

__all__ = [
    "Block",
    "StaticSize",
    "WeightsRecord",
    "WeightsStatus",
    "generate",
    "static_size",
    "weights_of",
    "weights_record",
]
