"""Writing files whole or not at all, and the same bytes for the same content."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import numpy as np

# The earliest moment a zip entry can name: archives get it instead of the clock.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
# How names of files and folders end that are being written: what a kill leaves of them is known by it.
UNFINISHED = ".unfinished"


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: str | Path) -> str:
    """Hex digest of a file, read in parts; OSError where it cannot be read."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write a file under a temporary name next to it and rename: readers see the old file or the new one.

    Raises:
        OSError: Names the file, which is then as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file, naming(path):
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def is_unfinished(path: Path) -> bool:
    """Whether a file or folder is what a kill left of one that was being written."""
    return path.name.startswith(".") and path.name.endswith(UNFINISHED)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in an error that knows none, as a full disk's does."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_together(directory: str | Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write several files into a directory, replacing earlier ones of those names all together or not at all.

    Everything is staged in the directory first; if a rename fails the files already replaced are put back.

    Raises:
        ValueError: For a name that is more than a file name.
    """
    directory = Path(directory)
    for name in files:
        if name != os.path.basename(name) or name in ("", ".", ".."):
            raise ValueError(f"file name {name!r} would leave {directory}")
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".staged-", suffix=UNFINISHED, dir=directory) as staged_name:
        staged = Path(staged_name)
        for name, content in files.items():
            with naming(directory / name):
                (staged / name).write_bytes(content)
        replaced: list[str] = []
        try:
            for name in files:
                target = directory / name
                if target.is_symlink() or target.exists():
                    os.replace(target, staged / f"{name}.before")
                replaced.append(name)
                os.replace(staged / name, target)
        except BaseException:
            for name in replaced:
                (directory / name).unlink(missing_ok=True)
                if (staged / f"{name}.before").exists():
                    os.replace(staged / f"{name}.before", directory / name)
            raise
    return tuple(directory / name for name in files)


def json_bytes(value: object) -> bytes:
    """JSON with sorted keys, stable to the byte; floats that are not finite are refused."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def array_bytes(array: np.ndarray) -> bytes:
    """The array as an .npy file."""
    import numpy as np

    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def read_array(path: Path) -> np.ndarray:
    """The array of an .npy file, as `array_bytes` writes it.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no such file.
    """
    import numpy as np

    try:
        array = np.load(path, allow_pickle=False)
    except (EOFError, SyntaxError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no .npy file: {error}") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} is no .npy file, but an archive of arrays")
    return array


def keras_bytes(model: keras.Model) -> bytes:
    """The model as a .keras archive that depends on the model alone: no clock, no order of saving."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in sorted(archive.namelist())}
    metadata = json.loads(entries["metadata.json"])
    metadata["date_saved"] = "1980-01-01@00:00:00"
    entries["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    return out.getvalue()
