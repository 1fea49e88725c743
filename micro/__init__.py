"""From a Keras model to firmware: convert, measure, verify, emit.

Names are looked up when first used, so that importing this package, or asking the command line for help, imports
neither Keras nor TensorFlow. They stand once, in the stub next to this file.
"""

import ast
import importlib
from pathlib import Path


def _homes() -> dict[str, str]:
    """The module of each public name, as the stub imports it."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom) and node.module]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


_HOME = _homes()
# Packages with a face of their own, such as `micro.aot.generate`.
_PACKAGES = [name for name, home in _HOME.items() if home == __name__]
for _name in _PACKAGES:
    del _HOME[_name]

__all__ = [*_HOME]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return importlib.import_module(f"micro.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'micro' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
