"""Tables in dialects drawn by seed with what they hold, and the same tables and configs damaged.

Run as `python -m tests.fuzz_tables KIND FIRST COUNT`: each seed either gives finite values or one line that says what is wrong.
"""

from __future__ import annotations

import gzip
import io
import json
import resource
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from support import peak_kib

from micro.config import TableData, load_config
from micro.datasets import table
from micro.datasets.prepare import prepare
from micro.errors import MicroError

WINDOW = 8
# Address space of a fuzzing process, and seconds of its own processor time that one seed may take.
MEMORY, SECONDS = 6 << 30, 60


@dataclass(frozen=True)
class Written:
    """A table as bytes, the settings that read it, and what it holds: (n, channels) float32, NaN where a cell is empty."""

    content: bytes
    suffix: str
    settings: dict
    channels: tuple[str, ...]
    values: np.ndarray
    faulty: np.ndarray | None
    rate: float


def written(seed: int) -> Written:
    """A legal table in a dialect drawn by the seed."""
    rng = np.random.default_rng([seed, 1])
    count, width = int(rng.integers(40, 120)), int(rng.integers(1, 5))
    pick = lambda *options: options[int(rng.integers(len(options)))]  # noqa: E731
    encoding = pick("utf-8", "utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le")
    separator = pick(",", ",", ";", "\t", "|", " ")
    decimal = pick(".", ",") if separator not in ", " else "."
    header = bool(rng.random() < 0.8)
    names = tuple(
        f"{pick('a', 'Temp °C', 'µm', 'x y', 'acc')}{n}".replace(" ", "" if separator == " " else " ")
        for n in range(width)
    )
    names = names if header else tuple(f"c{n}" for n in range(width))
    texts = [[_number(rng, decimal) for _ in range(width)] for _ in range(count)]
    settings: dict = {"separator": separator, "decimal": decimal, "header": header, "healthy_files": ("n.*",)}
    if encoding in ("latin-1", "cp1252", "utf-16-le"):
        settings["encoding"] = encoding
    if rng.random() < 0.3 and separator != " ":
        settings["on_missing"] = "drop"
        for _ in range(3):
            row = int(rng.integers(1, count - 1))
            texts[row][int(rng.integers(width))] = pick("NaN", "n/a", "-inf", "NULL", "", " ")
    values = np.array([[_read(text, decimal) for text in row] for row in texts], np.float32)
    values[~np.isfinite(values)] = np.nan
    columns = {name: [row[n] for row in texts] for n, name in enumerate(names)}
    rate = _add_time(rng, columns, settings, count, decimal) if header and rng.random() < 0.5 else None
    if rate is None:
        settings["sample_rate"] = rate = 50.0
    faulty = None
    if header and rng.random() < 0.4:
        words = [pick("OK", "NOK", "Ok ", "fault, big" if separator == ";" else "fault", "") for _ in range(count)]
        words = [word or "OK" for word in words] if separator == " " else ["OK", *words[1:]]
        columns["state"] = words
        settings |= {"label_column": "state", "normal_labels": "ok"}
        faulty = np.array([word.strip().lower() not in ("ok", "") for word in words])
    rows = [list(columns)] if header else []
    if header and rng.random() < 0.2:
        settings["units_row"] = True
        rows.append(["[-]"] * len(columns))
    rows += [list(cells) for cells in zip(*columns.values())]
    content = _dialect(rng, rows, settings).encode(encoding)
    zipped = bool(rng.random() < 0.15)
    content = gzip.compress(content, mtime=0) if zipped else content
    return Written(content, ".csv.gz" if zipped else pick(".csv", ".txt"), settings, names, values, faulty, rate)


def _number(rng: np.random.Generator, decimal: str) -> str:
    value = float(rng.normal() * 10.0 ** rng.integers(-6, 7))
    form = ("{:.6f}", "{:.3e}", "{:.9g}", "{:+.4f}", "{:.0f}", "{!r}")[int(rng.integers(6))]
    return form.format(value).replace(".", decimal)


def _read(text: str, decimal: str) -> float:
    try:
        return float(text.replace(decimal, "."))
    except ValueError:
        return float("nan")


def _add_time(rng: np.random.Generator, columns: dict, settings: dict, count: int, decimal: str) -> float:
    rate = float((100.0, 12.5, 1000.0)[int(rng.integers(3))])
    kind = int(rng.integers(5))
    steps = np.arange(count)
    start = datetime(2026, 3, 29, 0, 59, 58)
    if kind == 0:
        columns["t"] = [f"{n / rate:.6f}".replace(".", decimal) for n in steps]
    elif kind in (1, 2):
        unit = (10**3, 10**6)[kind - 1]
        columns["t"] = [str(1_700_000_000 * unit + round(n * unit / rate)) for n in steps]
    elif kind == 3:
        columns["t"] = [(start + timedelta(seconds=n / rate)).isoformat() for n in steps]
    else:
        settings["time_format"] = "%d.%m.%Y/%H:%M:%S.%f"
        columns["t"] = [(start + timedelta(seconds=n / rate)).strftime(settings["time_format"]) for n in steps]
    settings["time_column"] = "t"
    return rate


def _dialect(rng: np.random.Generator, rows: list[list[str]], settings: dict) -> str:
    """Rows as text, with what people's files have about them."""
    separator = settings["separator"]
    quoted, padded, trailing = rng.random() < 0.2, rng.random() < 0.2 and separator not in " \t", rng.random() < 0.15
    trailing = trailing and separator != " "
    if rng.random() < 0.3:
        settings["comment"] = "#"
    lines = []
    if rng.random() < 0.3:
        settings["skip_rows"] = int(rng.integers(1, 4))
        lines += [f"Logger {n}{separator}serial" for n in range(settings["skip_rows"])]
    for cells in rows:
        if "comment" in settings and lines and rng.random() < 0.1:
            lines.append("# paused, 3" + separator)
        if rng.random() < 0.03 and len(cells) > 1 and len(lines) > settings.get("skip_rows", 0) + 3:
            lines.append("")
        shown = [f'"{text}"' if quoted or separator in text else f" {text} " if padded else text for text in cells]
        # In R's and LabVIEW's way: a separator ends each row, or each but the header.
        lines.append(separator.join(shown) + (separator if trailing else ""))
    end = ("\n", "\r\n", "\r")[int(rng.integers(3))]
    return end.join(lines) + (end if rng.random() < 0.8 else "")


def damaged_table(seed: int) -> tuple[bytes, str, dict]:
    """A table's bytes after some accidents, its suffix, and the settings that read it whole."""
    rng = np.random.default_rng([seed, 2])
    made = written(seed)
    content, suffix, settings = made.content, made.suffix, dict(made.settings)
    if rng.random() < 0.4:
        content, suffix = _binary(rng, made)
        settings = {"sample_rate": 50.0, "healthy_files": "n.*"}
    for _ in range(int(rng.integers(1, 3))):
        content = _accident(rng, content)
    for key in [
        key for key in settings if key not in ("healthy_files", "sample_rate", "time_column") and rng.random() < 0.2
    ]:
        del settings[key]
    for key, values in (("on_missing", ("drop", "interpolate")), ("on_text", ("missing",)), ("on_gap", ("split",))):
        if rng.random() < 0.4:
            settings[key] = values[int(rng.integers(len(values)))]
    return content, suffix, {**settings, "on_constant": "keep"}


def _binary(rng: np.random.Generator, made: Written) -> tuple[bytes, str]:
    """The values as arrays in another format, some of kinds that are no samples."""
    import pyarrow as pa
    from pyarrow import parquet
    from scipy import io as scipy_io
    from scipy.io import wavfile

    out = io.BytesIO()
    kind = int(rng.integers(5))
    dtype = ("f4", "f8", "f2", "i2", "i8", "u8", "c8", "?", "U9", "S9", "M8[ns]", "m8[s]")[int(rng.integers(12))]
    whole = np.nan_to_num(made.values)
    with np.errstate(all="ignore"):
        values = whole.astype(np.int64).astype(dtype) if dtype[0] in "Mmiu" else whole.astype(dtype)
    arrays = {f"a{n}": values[:, n] for n in range(values.shape[1])}
    if kind == 0:
        extra = {
            "s": np.float64(3.0),
            "cube": np.zeros((2, 2, 2)),
            "rec": np.zeros(len(values), [("p", "f4"), ("q", "c8")]),
        }
        np.savez_compressed(out, **arrays, **{k: v for k, v in extra.items() if rng.random() < 0.3})
        return out.getvalue(), ".npz"
    if kind == 1:
        np.save(out, values if rng.random() < 0.7 else values.T)
        return out.getvalue(), ".npy"
    if kind == 2:
        scipy_io.savemat(out, {"x": whole.astype("f8"), "fs": 50.0}, do_compression=bool(rng.random() < 0.5))
        return out.getvalue(), ".mat"
    if kind == 3:
        wavfile.write(out, 50, whole.astype(np.int16))
        return out.getvalue(), ".wav"
    parquet.write_table(pa.table({"x": whole[:, 0].astype("f8"), "s": [str(n) for n in range(len(whole))]}), out)
    return out.getvalue(), ".parquet"


HOSTILE = (
    b"\0" * 50,
    b'"',
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"1e999",
    b"1" * 5000,
    b",,,,,,",
    b"\n\n\n",
    b"1_000",
    b"0x1F",
    b"9" * 400,
)


def _accident(rng: np.random.Generator, content: bytes) -> bytes:
    kind, place = int(rng.integers(8)), int(rng.integers(len(content) + 1))
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[place:]
    if kind == 2 and content:
        flipped = bytearray(content)
        for where in rng.integers(0, len(content), int(rng.integers(1, 9))):
            flipped[where] ^= 1 << int(rng.integers(8))
        return bytes(flipped)
    if kind == 3:
        return content[:place] + HOSTILE[int(rng.integers(len(HOSTILE)))] + content[place:]
    if kind == 4:
        old, new = (b",;\t| .\n\r"[n : n + 1] for n in rng.integers(0, 8, 2))
        return content.replace(old, new)
    if kind == 5:
        return content[:place] + rng.bytes(40) + content[place:]
    if kind == 6:
        lines = content.split(b"\n")
        rng.shuffle(lines)
        return b"\n".join(lines)
    return content + content[place:]


def refusal(error: Exception) -> str:
    """The kind of an error; AssertionError unless it says something in one line."""
    if not str(error) or "\n" in str(error):
        raise AssertionError(f"not one line: {error!r}")
    return type(error).__name__


def try_table(seed: int, folder: Path) -> str:
    """'read' or the kind of refusal; AssertionError for anything else."""
    content, suffix, settings = damaged_table(seed)
    path = folder / f"n{suffix}"
    path.write_bytes(content)
    if settings.get("decimal") == settings.get("separator", ","):
        settings["separator"] = ";"
    try:
        found = table.load(TableData(files=str(path), **settings), WINDOW)
    except (MicroError, ValueError) as error:
        return refusal(error)
    finally:
        path.unlink()
    for recording in found.recordings:
        assert recording.samples.dtype == np.float32
        assert np.isfinite(recording.samples).all(), "values that are not finite"
        assert 0 < recording.sample_rate < np.inf
        assert recording.samples.shape == (len(recording.healthy), len(found.channels))
    return "read"


CONFIG = """
job = "rig"
seed = 3
seeds = 2
[data]
train_recordings = 2
validation_recordings = 1
calibration_recordings = 1
test_recordings = 1
fault_recordings = 1
seconds = 0.2
severities = [1.0]
speed = 1780.0
bearing = {balls = 9, ball_diameter = 7.94}
[features]
kind = ["spectrum", "moments"]
window = 256
hop = 128
bands = 16
[teacher]
family = "autoencoder"
sizes = [16, 4, 16]
epochs = 2
[student]
sizes = [8]
[[compress]]
stage = "prune"
target_sparsity = 0.5
[budget]
flash = "16KiB"
[detect]
false_alarm_rate = 0.1
[firmware]
name = "pump"
"""
ODD = (
    "nan", "inf", "-1", "0", "1e300", "-1e-300", "10" + "0" * 30, "9" * 5000, '""', '"\\u0000"', "true", "[]", "[[]]", "{}",
    "{a = 1}", "1979-05-27", '"x"', "[1, [2, [3]]]", "[" * 60 + "]" * 60, "4294967295", "0.5", '["raw"]', "3e-5",
    "[1e300]", "1", "2", "4", "16", "64", "0.25", "[0.5, 2.0]", "[4, 8]",
)  # fmt: skip


def damaged_config(seed: int) -> bytes:
    """A config's text with other values, other keys, or accidents."""
    rng = np.random.default_rng([seed, 3])
    lines = CONFIG.splitlines()
    for _ in range(int(rng.integers(1, 3))):
        place = int(rng.integers(len(lines)))
        key, equals, _ = lines[place].partition("=")
        kind = int(rng.integers(10))
        if kind <= 7 and equals:
            lines[place] = f"{key}= {ODD[int(rng.integers(len(ODD)))]}"
        elif kind == 8:
            del lines[place]
        else:
            lines.insert(place, lines[int(rng.integers(len(lines)))])
    content = "\n".join(lines).encode()
    return _accident(rng, content) if rng.random() < 0.2 else content


def try_config(seed: int, folder: Path) -> str:
    """'read', 'prepared' or the kind of refusal; AssertionError for anything else."""
    path = folder / "c.toml"
    path.write_bytes(damaged_config(seed))
    try:
        config = load_config(path)
        assert json.dumps(config.model_dump(mode="json"))
        data = config.data
        count = sum(getattr(data, name) for name in type(data).model_fields if name.endswith("_recordings"))
        if config.job != "rig" or count * len(data.severities) * data.seconds > 40:
            return "read"
        found = prepare(config)
    except (MicroError, ValueError) as error:
        return refusal(error)
    for part in (found.train, found.validation, found.calibration, found.test):
        assert np.isfinite(part.x).all(), "features that are not finite"
    return "prepared"


def _hung(*_: object) -> None:
    raise AssertionError(f"more than {SECONDS} s")


def main(kind: str, first: int, count: int) -> int:
    """Try so many seeds; print what became of them, and each that failed."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGVTALRM, _hung)
    attempt = {"tables": try_table, "configs": try_config}[kind]
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
            try:
                outcomes[attempt(seed, Path(folder))] += 1
            except Exception as error:
                outcomes["failed"] += 1
                print(f"seed {seed}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    print(json.dumps({"outcomes": dict(sorted(outcomes.items())), "peak_mib": peak_kib() // 1024}))
    return 1 if outcomes["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
