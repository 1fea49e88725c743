"""Models and samples that commands are given as files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import keras
    import numpy as np


def load_keras(path: str) -> keras.Model:
    """A model from a .keras file, without running code from it; ClickException with what would be right otherwise."""
    file = Path(path)
    if file.is_dir():
        kind = "a SavedModel folder" if (file / "saved_model.pb").is_file() else "a folder"
        raise click.ClickException(
            f"{path} is {kind}, not a .keras file; rebuild the model in Keras 3, load its weights and write it with "
            "model.save('NAME.keras')"
        )
    if not file.is_file():
        raise click.ClickException(f"{path}: no such file")
    if not zipfile.is_zipfile(file):
        raise click.ClickException(_not_an_archive(file))
    from micro.conversion.keras_file import load_keras

    return load_keras(file)


def _not_an_archive(file: Path) -> str:
    """What a file is that is no .keras archive, and what to do with it."""
    with file.open("rb") as opened:
        head = opened.read(8)
    if not head:
        return f"{file} is empty"
    if head[4:8] == b"TFL3":
        return f"{file} is a .tflite already; keras-kd inspect, check, verify, emit and aot take it as it is"
    if head == b"\x89HDF\r\n\x1a\n":
        return f"{file} is an HDF5 file, not a .keras file; load it in Keras and write it with model.save('NAME.keras')"
    return f"{file} is not a .keras file, which is a zip archive as model.save('NAME.keras') writes it"


def inputs_of(model: keras.Model) -> Sequence[str]:
    """The names of a Keras model's inputs; none where it does not know."""
    from micro.keras_graph.ends import inputs_of
    from micro.quantize.aware import QuantizationAware

    if isinstance(model, QuantizationAware):
        return model.program.inputs_in.names
    return inputs_of(model).names if getattr(model, "inputs", None) else ()


def load_samples(path: str, inputs: Sequence[str]) -> np.ndarray | dict[str, np.ndarray]:
    """The array of an .npy, or the only one of an .npz; of several, the one named x; those of several inputs by their names."""
    import numpy as np

    file = Path(path)
    if file.is_dir():
        raise click.ClickException(f"{path} is a folder; an .npy or .npz file with the inputs is needed")
    if not file.is_file():
        raise click.ClickException(f"{path}: no such file")
    if not file.stat().st_size:
        raise click.ClickException(f"{path} is empty")
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _numbers(loaded, path)
        with loaded as archive:
            names = archive.files
            if len(inputs) > 1 and set(inputs) <= set(names):
                return {name: _numbers(archive[name], path) for name in inputs}
            if len(inputs) < 2 and (len(names) == 1 or "x" in names):
                return _numbers(archive["x" if "x" in names else names[0]], path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise click.ClickException(f"{path} is not an .npy or .npz of plain arrays: {reason}") from None
    wanted = f"the model's inputs are {', '.join(inputs)}" if len(inputs) > 1 else "name the inputs x"
    raise click.ClickException(f"{path} holds {_listed(names)}; {wanted}")


def _numbers(array: np.ndarray, path: str) -> np.ndarray:
    """The array, if it holds real numbers."""
    if array.dtype.kind not in "biuf":
        raise click.ClickException(f"{path} holds {array.dtype} values; the model's inputs are real numbers")
    return array


def _listed(names: Sequence[str]) -> str:
    return f"the arrays {', '.join(names)}" if names else "no array"
