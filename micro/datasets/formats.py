"""Files by their content, whatever their names: which reader reads them, and what those are that none reads."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from micro.config import FilesData
from micro.datasets import arrays, containers, measurements
from micro.datasets.contents import Contents, EmptyFile
from micro.datasets.delimited import read_delimited
from micro.datasets.lines import GZIP, bare_utf16
from micro.datasets.named_units import units_in
from micro.datasets.pictures import read_picture
from micro.errors import DataError

READ = "CSV (also as .csv.gz), .xlsx, .npz, .npy, .parquet, .mat, .h5, .tdms, .mf4, .wav, .flac and .ogg are read"
PICTURE = 'pictures are read where patterns of files end as they do, as in files = ["**/*.png"]'
# How files begin that cannot be read, and what they are. Those with a reader are recognized by `_reader`.
OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls); save it as CSV"),
    (b"ARROW1", "a Feather (Arrow) file; save it as Parquet"),
    (b"TDSh", "the index of a TDMS file; name the .tdms file itself"),
    (b"UnFinMF ", "a measurement data file (MDF) that was not finished; have the tool that wrote it finish it"),
    (b"%PDF", "a PDF"),
    (b"SQLite format 3", "an SQLite database; export the table as CSV"),
    (b"ID3", "an MP3 file; save it as .wav"),
    (b"\x89PNG", f"a picture; {PICTURE}"),
    (b"\xff\xd8\xff", f"a picture; {PICTURE}"),
    (b"GIF8", f"a picture; save it as PNG: {PICTURE}"),
    (b"II*\x00", f"a picture (TIFF); save it as PNG: {PICTURE}"),
    (b"MM\x00*", f"a picture (TIFF); save it as PNG: {PICTURE}"),
    (b"BZh", "compressed with bzip2; unpack it"),
    (b"\xfd7zXZ", "compressed with xz; unpack it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"RIFX", "a big-endian WAV file; save it as an ordinary .wav"),
    (b"<?xml", "XML; export it as CSV"),
    (b"<!DOCTYPE", "a web page; download the table itself"),
    (b"<html", "a web page; download the table itself"),
    (b'{"', "JSON; save it as CSV"),
    (b"[{", "JSON; save it as CSV"),
    (b"[[", "JSON; save it as CSV"),
)
Reader = Callable[[Path, FilesData, Sequence[str]], Contents]


def read_contents(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """One file, read in the format that its first bytes show.

    Args:
        settled: Channels that an earlier run determined; empty to determine them by the config.

    Raises:
        DataError: Names a format that cannot be read, or a file that is damaged.
        EmptyFile: Without content.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    if not start:
        raise EmptyFile(f"{path} is empty")
    if config.pictures:
        return read_picture(path, config)
    read = _reader(path, start, config)(path, config, settled)
    # A row of units, a property of a channel and a file beside say more than a name.
    return replace(read, units={**units_in(read.channels, read.header), **read.units})


def is_text(path: Path) -> bool:
    """Whether a file is read as separated text.

    Raises:
        DataError: As `read_contents`.
    """
    with path.open("rb") as file:
        start = file.read(512)
    start = _unpacked(path) if start.startswith(GZIP) else start
    config = FilesData(files=("*",), sample_rate=1.0, encoding=bare_utf16(start) or "latin-1")
    return bool(start) and _reader(path, start, config) is read_delimited


def _reader(path: Path, start: bytes, config: FilesData) -> Reader:
    if start.startswith(GZIP):
        start = _unpacked(path)
        if start.startswith((b"\x93NUMPY", b"PK\x03\x04")):
            raise DataError(f"{path} is a compressed array; unpack it")
    if start.startswith(b"PK"):
        return _zipped(path)
    if start.startswith(b"\x93NUMPY"):
        return arrays.read_npy
    if start.startswith(b"PAR1"):
        return arrays.read_parquet
    if start.startswith((b"RIFF", b"RF64")) and start[8:12] == b"WAVE":
        return arrays.read_wav
    if start.startswith(b"MATLAB 5.0"):
        return arrays.read_mat
    if start.startswith((b"\x89HDF\r\n\x1a\n", b"MATLAB 7.3")):
        return containers.read_hdf5
    if start.startswith((b"fLaC", b"OggS")):
        return containers.read_sound
    if start.startswith(b"TDSm"):
        return measurements.read_tdms
    if start.startswith(b"MDF     "):
        return measurements.read_mdf
    for magic, name in OTHERS:
        if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(magic):
            raise DataError(f"{path} is {name}; {READ}")
    known = {
        ".npz": "a NumPy archive",
        ".npy": "a NumPy array",
        ".parquet": "Parquet",
        ".mat": "MATLAB's",
        ".wav": "WAV",
    }
    suffix = path.suffix.lower()
    if suffix in known:
        raise DataError(f"{path} cannot be read as {suffix}: it does not begin as {known[suffix]} does; it is damaged")
    _require_text(path, start, config)
    return read_delimited


def _require_text(path: Path, start: bytes, config: FilesData) -> None:
    """DataError for bytes that are not text in the config's encoding."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or config.encoding.lower().replace("_", "-").startswith("utf-16"):
        return
    if (name := bare_utf16(start)) is not None:
        raise DataError(f'{path} is UTF-16 without a byte order mark; set encoding = "{name}"')
    controls = sum(0 < byte < 9 or 13 < byte < 32 for byte in start)
    if start.count(0) > 0.9 * len(start):
        raise DataError(f"{path} holds NUL bytes, as a file does that was being written when the power failed")
    if start.startswith(b"\x80") or controls > 0.1 * len(start):
        raise DataError(f"{path} is neither text nor in a known format; {READ}")


def _zipped(path: Path) -> Reader:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        kind = ".npz" if path.suffix.lower() == ".npz" else "a zip archive"
        raise DataError(f"{path} cannot be read as {kind}: {error}") from None
    if names and all(name.endswith(".npy") for name in names):
        return arrays.read_npz
    if "xl/workbook.xml" in names:
        return containers.read_excel
    if "[Content_Types].xml" in names:
        raise DataError(f"{path} is an Office file that is no workbook; save its table as CSV; {READ}")
    if "mimetype" in names:
        raise DataError(f"{path} is an OpenDocument file (.ods); save it as CSV; {READ}")
    if not names:
        raise EmptyFile(f"{path} is an archive without arrays")
    raise DataError(f"{path} is a zip archive; unpack it; {READ}")


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(512)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be unpacked: {error}") from None
