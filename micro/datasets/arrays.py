"""Files of arrays: NumPy's, MATLAB's, Parquet and WAV."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from micro.config import FilesData
from micro.datasets import cells as cell
from micro.datasets import clock, precision, store
from micro.datasets.contents import Contents, EmptyFile, Rows, choose, label_columns, narrowed
from micro.datasets.matlab import read_variables
from micro.datasets.precision import Precision
from micro.errors import DataError

# An archive may declare more content than this, in bytes, only if it is at least a hundredth as large itself.
PLENTY, RATIO = 1 << 28, 100
# A column: its length, and a function that gives it, so that no more than one must be in memory; or gives consecutive parts.
Column = tuple[int, Callable[[], np.ndarray | Iterator[np.ndarray]]]


def read_npz(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """A NumPy archive of arrays (n,), (n, channels) or structured ones; those of one number only are skipped."""
    try:
        with zipfile.ZipFile(path) as archive, warnings.catch_warnings(action="ignore"):
            size = sum(info.file_size for info in archive.infolist())
            for info in archive.infolist():
                with archive.open(info) as member:
                    _require_whole(path, member, info.file_size)
        require_plausible(path, size)
        with warnings.catch_warnings(action="ignore"), np.load(path, allow_pickle=False) as loaded:
            return contents_of(path, columns_of(path, ((name, loaded[name]) for name in loaded.files)), config, settled)
    except DataError:
        raise
    except Exception as error:
        # numpy, zipfile and zlib each have their own exceptions for a damaged archive.
        raise DataError(f"{path} cannot be read as .npz: {one_line(error)}") from None


def _require_whole(path: Path, member: IO[bytes], size: int) -> None:
    """DataError where the header of an .npy declares more than its file holds."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    if any(n < 0 for n in shape) or int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize > size:
        raise DataError(f"{path} is damaged: an array of shape {shape} is longer than the file")


def read_npy(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """A NumPy array, (n,) or (n, channels), its channels named c0, c1, ...; or a structured one, with names of its own."""
    try:
        with warnings.catch_warnings(action="ignore"):
            with path.open("rb") as file:
                _require_whole(path, file, path.stat().st_size)
            array = np.load(path, mmap_mode="r" if is_large(path) else None, allow_pickle=False)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path} cannot be read as .npy: {one_line(error)}") from None
    if array.ndim == 0:
        raise DataError(f"{path} holds one value, not an array of samples")
    named = [("", array)] if array.dtype.names else [(f"c{n}", column) for n, column in split(path, "c", array)]
    return contents_of(path, columns_of(path, iter(named)), config, settled)


def read_mat(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """Variables of a MATLAB file up to version 7, as those of a NumPy archive; single values are skipped."""
    try:
        loaded = read_variables(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read as .mat: {one_line(error)}") from None
    named: list[tuple[str, np.ndarray]] = []
    for name, value in loaded.items():
        if value.size < 2:
            continue
        named.append((name, value.reshape(-1) if value.ndim == 2 and 1 in value.shape else value))
    return contents_of(path, columns_of(path, iter(named)), config, settled)


def read_wav(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """A WAV file's channels c0, c1, ..., in counts of its own format, and its sample rate."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                rate, samples = wavfile.read(path, mmap=is_large(path))
            except ValueError:
                # Samples of 24 bits have no type of their own, and cannot be mapped.
                rate, samples = wavfile.read(path)
    except Exception as error:
        raise DataError(f"{path} cannot be read as .wav: {one_line(error)}") from None
    if not len(samples):
        raise EmptyFile(f"{path} holds no samples")
    named = [(f"c{n}", column) for n, column in split(path, "c", np.asarray(samples))]
    return contents_of(path, columns_of(path, iter(named)), config, settled, rate=float(rate))


def read_parquet(path: Path, config: FilesData, settled: Sequence[str] = ()) -> Contents:
    """Columns of a Parquet file; an unnamed index of pandas is left out."""
    from pyarrow import float32, parquet, types

    try:
        with parquet.ParquetFile(path, buffer_size=1 << 20 if is_large(path) else 0) as file:
            rows = file.metadata.num_rows
            names = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]

            def column(name: str) -> np.ndarray:
                return given(name, file.read(columns=[name]).column(0))

            def parts(name: str) -> Iterator[np.ndarray]:
                for batch in file.iter_batches(cell.BLOCK_ROWS, columns=[name]):
                    yield given(name, batch.column(0))

            def given(name: str, values: Any) -> np.ndarray:
                # Where flags lack, pyarrow gives objects in place of booleans: of some parts of a file, and not of others.
                flags = types.is_boolean(values.type) and name not in (config.label_column, *label_columns(config))
                return np.asarray((values.cast(float32()) if flags else values).to_numpy(zero_copy_only=False))

            read = parts if is_large(path) else column
            columns: dict[str, Column] = {name: (rows, partial(read, name)) for name in names}
            return contents_of(path, columns, config, settled)
    except DataError:
        raise
    except Exception as error:
        # pyarrow has its own exceptions, and also raises OSError, ValueError and KeyError.
        raise DataError(f"{path} cannot be read as Parquet: {one_line(error)}") from None


def is_large(path: Path) -> bool:
    """Whether a file is read in parts."""
    return path.stat().st_size > store.LARGE


def split(path: Path, name: str, array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The columns of an array (n,) or (n, channels) with their places; DataError for one of another shape."""
    if array.ndim > 2:
        raise DataError(f"{path}: array {name!r} has shape {array.shape}; (n,) or (n, channels) can be read")
    for place in range(1 if array.ndim == 1 else array.shape[1]):
        yield place, array if array.ndim == 1 else array[:, place]


def columns_of(path: Path, named: Iterator[tuple[str, np.ndarray]]) -> dict[str, Column]:
    """Arrays as columns by name: 'x' of (n,), 'x0', 'x1', ... of (n, channels), and the fields of structured arrays."""
    columns: dict[str, Column] = {}

    def add(name: str, column: np.ndarray) -> None:
        if name in columns:
            raise DataError(f"{path}: column {name!r} appears twice")
        if column.dtype.kind == "U" and column.dtype.itemsize:
            codes = np.ascontiguousarray(column).view(np.uint32)
            if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
                raise DataError(f"{path} is damaged: column {name!r} holds text that is not Unicode")
        columns[name] = (len(column), lambda: column)

    for name, array in named:
        if array.ndim == 0 and not array.dtype.names:
            continue
        if array.dtype.names:
            for field in array.dtype.names:
                values = np.atleast_1d(array[field])
                for place, column in split(path, field, values):
                    add(field if values.ndim == 1 else f"{field}{place}", column)
        else:
            many = array.ndim == 2 and array.shape[1] > 1
            for place, column in split(path, name, array):
                add(f"{name}{place}" if many else name, column)
    return columns


def contents_of(
    path: Path, columns: Mapping[str, Column], config: FilesData, settled: Sequence[str], rate: float | None = None
) -> Contents:
    """The columns that a config names, read one after the other."""
    if not columns:
        raise EmptyFile(f"{path} holds no arrays")
    names = list(columns)
    chosen = choose(path, names, config, settled)
    lengths = {columns[names[place]][0] for place in chosen.places}
    if len(lengths) != 1:
        listed = ", ".join(f"{names[place]} {columns[names[place]][0]:,}" for place in chosen.places[:6])
        raise DataError(f"{path}: needs arrays of one length, got {listed}; name the channels to use in columns")
    count = lengths.pop()
    if not count:
        raise EmptyFile(f"{path} has no rows")
    rows, texts, words = Rows(path), dict[int, str](), dict[str, int]()
    kept: dict[str, Precision] = {}
    samples = store.room(count, len(chosen.channels))
    for place, column in enumerate(chosen.channels):
        first = 0
        for part in parts_of(columns[names[column]][1]()):
            if first + len(part) <= count:
                out = samples[first : first + len(part), place]
                text = _fill(out, part, names[column], config, rows, first, kept)
                if text is not None:
                    texts.setdefault(place, text)
            store.release(samples)
            first += len(part)
        _require_count(path, names[column], first, count)
    moments = labels = None
    if chosen.time is not None:
        moments = clock.from_array(_whole(path, names[chosen.time], columns), config, rows.where)
    if chosen.label is not None:
        labels = cell.encoded(_whole(path, names[chosen.label], columns).tolist(), words)
    coded = [cell.encoded(_whole(path, names[place], columns).tolist(), words) for place in chosen.flags]
    flags = np.stack(coded, axis=1) if coded else None
    kept = {name: kept[names[column]] for name, column in zip(chosen.names, chosen.channels) if names[column] in kept}
    read = (path, chosen.names, samples, rows, moments, labels, words, rate, texts, tuple(names))
    return Contents(*read, precision=kept, flags=flags)


def parts_of(column: np.ndarray | Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Consecutive parts of a column; the pages of one that is mapped are released after each."""
    if isinstance(column, np.ndarray):
        yield from (column[part] for part in store.blocks(column))
    else:
        yield from column


def _whole(path: Path, name: str, columns: Mapping[str, Column]) -> np.ndarray:
    """A column in one piece."""
    count, give = columns[name]
    given = give()
    column = given if isinstance(given, np.ndarray) else np.concatenate(list(given))
    _require_count(path, name, len(column), count)
    return column


def _require_count(path: Path, name: str, found: int, count: int) -> None:
    """DataError where a column has fewer or more values than its file declares: nothing may stand in for them."""
    if found != count:
        raise DataError(f"{path} is damaged: column {name!r} has {found:,} values, its file declares {count:,}")


def _fill(
    out: np.ndarray,
    column: np.ndarray,
    name: str,
    config: FilesData,
    rows: Rows,
    begin: int,
    kept: dict[str, Precision],
) -> str | None:
    """Write a part of a column that begins at a row as float32 into `out`, (n,); the first text where text is missing.

    What float32 keeps of it is added to `kept`.
    """
    kind = column.dtype.kind
    if kind == "c":
        raise DataError(
            f"{rows.path}: column {name!r} holds complex numbers; keep real and imaginary part, or the magnitude, as columns"
        )
    if kind in "mM":
        raise DataError(
            f"{rows.path}: column {name!r} holds dates or durations; if it is the time, set time_column = {name!r}, else name "
            "the channels to use in columns"
        )
    if kind in "biuf":
        for first in range(0, len(column), cell.BLOCK_ROWS):
            part = column[first : first + cell.BLOCK_ROWS]
            wide = part if part.dtype in (np.float32, np.float16) else part.astype(np.float64)
            out[first : first + len(part)] = narrowed(wide, name, begin + first, rows)
            precision.note(kept, name, wide, out[first : first + len(part)])
        return None
    if kind not in "USO":
        raise DataError(f"{rows.path}: column {name!r} holds {column.dtype}, which are not numbers")
    return _fill_text(out, column, name, config, rows, begin, kept)


def _fill_text(
    out: np.ndarray,
    column: np.ndarray,
    name: str,
    config: FilesData,
    rows: Rows,
    begin: int,
    kept: dict[str, Precision],
) -> str | None:
    first_text = None
    values = np.empty(len(column))
    for row, value in enumerate(column.tolist()):
        text = "" if value is None else value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        number = cell.number(text, config.decimal)
        if number is None and config.on_text == "error":
            where = rows.where(begin + row)
            raise DataError(
                f"{where}: {text[:60]!r} in column {name!r} is not a number; {cell.hint(text, config.decimal)}"
            )
        if number is None and first_text is None:
            first_text = text
        if number is not None and np.isinf(number):
            raise DataError(f"{rows.where(begin + row)}: {text[:60]!r} in column {name!r} is beyond what float32 holds")
        values[row] = np.nan if number is None else number
    out[:] = narrowed(values, name, begin, rows)
    precision.note(kept, name, values, out)
    return first_text


def require_plausible(path: Path, size: int) -> None:
    """DataError for a file that unpacks to very many bytes, and to very many times its own."""
    if size > PLENTY and size > RATIO * path.stat().st_size:
        raise DataError(f"{path} unpacks to {size:,} bytes, more than {RATIO} times its own; it is refused")


def one_line(error: BaseException) -> str:
    """An exception's message in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
