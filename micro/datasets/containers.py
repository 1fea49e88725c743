"""Files that other libraries read: sound as FLAC or Ogg, Excel workbooks, and HDF5, which MATLAB 7.3 writes too."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micro.config import FilesData
from micro.datasets import cells, store
from micro.datasets.arrays import Column, columns_of, contents_of, one_line, require_plausible, split
from micro.datasets.channel_units import units_below
from micro.datasets.contents import Contents, EmptyFile
from micro.errors import DataError

if TYPE_CHECKING:
    import h5py
    import soundfile

# Bits of a sample by soundfile's names; sound without them, as Vorbis, is taken for 16 bits, as a player gives it.
BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}


def read_sound(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """A FLAC or Ogg file's channels c0, c1, ..., in counts of its own width (Vorbis and Opus as 16 bits), and its rate."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate, subtype = file.samplerate, file.subtype
            if 4 * file.frames * file.channels > store.LARGE:
                return _long_sound(path, file, config, settled)
            samples = file.read(dtype="float64", always_2d=True)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as sound: {one_line(error)}") from None
    if not len(samples):
        raise EmptyFile(f"{path} holds no samples")
    scaled = samples * _counts(subtype)
    named = [(f"c{place}", column) for place, column in split(path, "c", scaled)]
    return contents_of(path, columns_of(path, iter(named)), config, settled, rate=float(rate))


def _counts(subtype: str) -> int:
    """Counts of full scale."""
    return 1 if subtype in ("FLOAT", "DOUBLE") else 2 ** (BITS.get(subtype, 16) - 1)


def _long_sound(path: Path, file: soundfile.SoundFile, config: FilesData, settled: Sequence[str]) -> Contents:
    """The same of a file that is decoded in blocks, once for each channel."""

    def parts(place: int) -> Iterator[np.ndarray]:
        file.seek(0)
        for block in file.blocks(cells.BLOCK_ROWS, dtype="float64", always_2d=True):
            yield block[:, place] * _counts(file.subtype)

    columns: dict[str, Column] = {f"c{n}": (file.frames, partial(parts, n)) for n in range(file.channels)}
    return contents_of(path, columns, config, settled, rate=float(file.samplerate))


def read_excel(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """The first sheet of an Excel workbook, its columns named by the header as those of a CSV file."""
    import pandas as pd

    try:
        with zipfile.ZipFile(path) as archive:
            require_plausible(path, sum(info.file_size for info in archive.infolist()))
        with warnings.catch_warnings(action="ignore"):
            sheet = pd.read_excel(
                path, sheet_name=0, header=0 if config.header else None, skiprows=config.skip_rows, engine="openpyxl"
            )
    except DataError:
        raise
    except Exception as error:
        # openpyxl and the parsers of XML below it each have their own exceptions for a damaged workbook.
        raise DataError(f"{path} cannot be read as an Excel workbook: {one_line(error)}") from None
    units: list[object] = []
    if config.units_row and len(sheet):
        units = sheet.iloc[0].tolist()
        sheet = sheet.iloc[1:].infer_objects()
    if not len(sheet):
        raise EmptyFile(f"{path} has a header and no rows" if config.header else f"{path} is empty")
    # pandas calls a column without a name 'Unnamed: 3', and one of no header by its number.
    names = [
        "" if str(name).startswith("Unnamed: ") else str(name).strip() if config.header else f"c{place}"
        for place, name in enumerate(sheet.columns)
    ]
    columns = {}
    for place, name in enumerate(names):
        values = sheet.iloc[:, place]
        column = np.asarray(values.astype(object).where(values.notna(), None) if values.dtype == object else values)
        if name in columns:
            raise DataError(f"{path}: column {name!r} appears twice; rename one, or name the channels in columns")
        columns[name] = (len(column), lambda column=column: column)
    read = contents_of(path, columns, config, settled)
    by_column = units_below(names, range(len(names)), units)
    return replace(read, units={name: by_column[name] for name in read.channels if name in by_column})


def read_hdf5(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """Numeric arrays of an HDF5 file by their paths in it; those of MATLAB 7.3 turned, as MATLAB stores columns first.

    Links to other files are not followed; text, structures and single values are skipped.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            turned = path.open("rb").read(10) == b"MATLAB 7.3"
            named = [(name, _array(path, data, turned)) for name, data in _datasets(file)]
    except DataError:
        raise
    except Exception as error:
        # h5py raises OSError, RuntimeError, KeyError and others for a damaged file.
        raise DataError(f"{path} cannot be read as HDF5: {one_line(error)}") from None
    return contents_of(path, columns_of(path, iter(named)), config, settled)


def _datasets(group: h5py.Group, above: str = "") -> Iterator[tuple[str, h5py.Dataset]]:
    """Arrays of numbers below a group, with their paths; hard links only, so that no other file is opened."""
    import h5py

    for name in group:
        if name.startswith("#") or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group) and above.count("/") < 8:
            yield from _datasets(item, f"{above}{name}/")
        elif isinstance(item, h5py.Dataset) and not item.is_virtual and not item.external:
            # Virtual and external arrays take their values from other files.
            yield from [(f"{above}{name}", item)] if item.dtype.kind in "biuf" and item.size > 1 else []


def _array(path: Path, data: h5py.Dataset, turned: bool) -> np.ndarray:
    require_plausible(path, data.size * data.dtype.itemsize)
    array = np.asarray(data[()]).T if turned else np.asarray(data[()])
    return array.reshape(-1) if array.ndim == 2 and 1 in array.shape else array
