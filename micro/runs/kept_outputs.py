"""What TFLite Micro gave for the windows that a run has kept, so that firmware projects of it need not start TFLite Micro."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.errors import RunError
from micro.support.files import read_array

NAME = "test_outputs.npy"


@dataclass(frozen=True)
class KeptOutputs:
    """int8 outputs by the SHA-256 of the model and of the int8 input that gave them."""

    by_digest: Mapping[bytes, np.ndarray]

    def of(self, tflite: bytes, inputs: np.ndarray) -> np.ndarray | None:
        """Outputs (n, *output) of inputs (n, ...); None where one of them is not kept, or not of this model."""
        found = [self.by_digest.get(digest) for digest in _digests(tflite, inputs)]
        kept = [each for each in found if each is not None]
        return np.stack(kept) if kept and len(kept) == len(found) else None


def outputs_file(tflite: bytes, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """What `kept_outputs` reads: of int8 inputs (n, ...) and outputs (n, *output) an array with a row for each input."""
    kept = dict(zip(_digests(tflite, inputs), outputs))
    rows = np.zeros(len(kept), _row_of(outputs.shape[1:]))
    for row, (digest, output) in zip(rows, kept.items()):
        row["digest"], row["output"] = np.frombuffer(digest, np.uint8), output
    return rows


def kept_outputs(folder: Path, shape: tuple[int, ...]) -> KeptOutputs | None:
    """What a run's folder has kept of a model with outputs of a shape; None where it has kept nothing, as of former versions.

    Raises:
        RunError: Where the file is damaged.
    """
    path = folder / NAME
    try:
        rows = read_array(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from None
    if rows.dtype != _row_of(shape) or rows.ndim != 1:
        raise RunError(f"{path} is damaged: it does not hold outputs of shape {shape} with the digests of their inputs")
    return KeptOutputs({row["digest"].tobytes(): row["output"] for row in rows})


def _row_of(shape: tuple[int, ...]) -> np.dtype[np.void]:
    return np.dtype([("digest", np.uint8, 32), ("output", np.int8, shape)])


def _digests(tflite: bytes, inputs: np.ndarray) -> list[bytes]:
    """Of the model and each input."""
    model = hashlib.sha256(tflite).digest()
    return [hashlib.sha256(model + np.ascontiguousarray(each, np.int8).tobytes()).digest() for each in inputs]
