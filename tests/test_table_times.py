"""Time columns of users' tables: units, dates, gaps, and what an error says."""

import numpy as np
import pytest
from tables import ROWS, columns, data_of, loaded, wave

from micro.config import TableData
from micro.datasets import table
from micro.errors import DataError


def timed(tmp_path, name, cells, **settings):
    (recording, *_), *_ = loaded(
        tmp_path,
        columns(**{name: cells, "x": wave(len(cells))}),
        **{"time_column": name, "sample_rate": None, **settings},
    )
    return recording.sample_rate


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("since", [0, 1_700_000_000])
def test_units_are_told_by_name_size_or_setting(tmp_path, unit, since):
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    if unit == "s":
        cells = [f"{since + n / 100:.2f}" for n in range(ROWS)]
    else:
        cells = [since * factor + n * factor // 100 for n in range(ROWS)]
    assert timed(tmp_path, "t", cells, time_unit=unit) == pytest.approx(100.0)
    assert timed(tmp_path, f"time [{unit}]", cells) == pytest.approx(100.0)
    assert timed(tmp_path, f"t_{unit}", cells) == pytest.approx(100.0)
    if since:
        assert timed(tmp_path, "t", cells) == pytest.approx(100.0)
    if since and unit == "ms":
        with pytest.raises(
            DataError, match=r'look like milliseconds since 1970, .* says ns; set time_unit = "ms" or "ns"'
        ):
            timed(tmp_path, "t_ns", cells)
    if unit != "s":
        np.savez(tmp_path / "n.npz", t=np.array(cells).astype(f"datetime64[{unit}]"), x=wave())
        (recording,), *_ = table.load(data_of(tmp_path, files="n.npz", time_column="t", sample_rate=None), 16)
        assert recording.sample_rate == pytest.approx(100.0)


def test_a_clock_in_milliseconds_serves_300_hz(tmp_path):
    cells = [f"{round(n / 300, 3):.3f}" for n in range(600)]
    assert timed(tmp_path, "t", cells) == pytest.approx(300.0, rel=1e-3)


@pytest.mark.parametrize(
    ("cells", "settings", "says"),
    [
        ([f"2026-10-25T0{3 - n // 60}:00:{n % 60:02d}" for n in range(ROWS)], {}, "line 62: time does not.*3659 s before"),
        ([f"{n // 2 / 100}" for n in range(ROWS)], {}, "line 3: .*the same time as the row before.*set sample_rate"),
        ([f"{n:02d}.01.2026 00:00:00" for n in range(1, 29)], {}, 'line 2: .*set time_format = "%d.%m.%Y %H:%M:%S"$'),
        ([f"Day {n}" for n in range(1, 29)], {}, 'line 2: .*set time_format, such as "%d.%m.%Y'),
        ([*range(60), *[f"2026-01-01T00:00:{n:02d}" for n in range(60)]], {}, "line 62: '2026-01.* is not a number"),
        (["2026-01-01T00:00:00Z", "2026-01-01T00:00:01"] * 9, {}, "line 3: some times have a zone, some have none"),
        ([*range(60), "", *range(61, 90)], {}, 'line 62: no time in column .*set on_missing = "drop"'),
        ([f"{n},5" for n in range(40)], {"separator": ";"}, 'a decimal comma is read with decimal = ","'),
    ],
)  # fmt: skip
def test_times_that_go_wrong_are_named_by_row(tmp_path, cells, settings, says):
    sep = settings.get("separator", ",")
    text = columns(sep, t=cells, x=wave(len(cells)))
    with pytest.raises(DataError, match=says):
        loaded(tmp_path, text, time_column="t", sample_rate=None, **settings)


DATES = [f"02.11.2026 09:00:{n:02d},{500 * (n % 2):06d}" for n in range(60)]
ISO = [f"2026-11-02T09:00:{n:02d}" for n in range(60)]
SLASHES = [f"{month}/02/2026 9:00" for month in range(1, 13)]


@pytest.mark.parametrize(
    ("cells", "settings", "says"),
    [
        (DATES, {"time_column": "t"}, 'set time_format = "%d.%m.%Y %H:%M:%S,%f"'),
        (DATES, {"time_column": "t", "time_format": "%d.%m.%Y %H:%M:%S"}, 'set time_format = "%d.%m.%Y %H:%M:%S,%f"'),
        (DATES, {"sample_rate": 1.0}, 'time_column = \'t\' and time_format = "%d.%m.%Y %H:%M:%S,%f" in place of sample_rate'),
        (ISO, {"sample_rate": 1.0}, "set time_column = 't' in place of sample_rate"),
        (ISO, {"time_column": "t", "time_format": "%H:%M:%S"}, "leave time_format out"),
        ([*range(60)], {"time_column": "t", "time_format": "%H:%M:%S"}, "leave time_format out"),
        (["09:00:01", "09:00:02"] * 9, {"sample_rate": 1.0}, 'set time_column = \'t\' and time_format = "%H:%M:%S" in place'),
        (["9:00 AM", "9:01 PM"] * 9, {"time_column": "t"}, 'set time_format = "%I:%M %p"'),
        (SLASHES[:9], {"time_column": "t"}, 'set time_format = "%d/%m/%Y %H:%M" or "%m/%d/%Y %H:%M"'),
        ([*SLASHES[:9], "1/31/2026 9:00"], {"time_column": "t"}, 'set time_format = "%m/%d/%Y %H:%M"'),
        ([*ISO, "later"], {"time_column": "t"}, "line 62: 'later' in column 't' is neither seconds nor an ISO 8601 date"),
        (ISO, {"sample_rate": 1.0, "columns": ("x", "t")}, "set time_column = 't'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scoring", [False, True])
def test_dates_are_no_row_of_units_and_name_what_reads_them(tmp_path, cells, settings, says, scoring):
    """Nor are words: only a row without any number or date above one with some may be of units."""
    content = columns(";", t=cells, x=["0,05320"] * len(cells), Status=["ok"] * len(cells))
    (tmp_path / "n.csv").write_text(content)
    config = data_of(tmp_path, **{"sample_rate": None, "separator": ";", "decimal": ",", "columns": ("x",), **settings})
    if "sample_rate" in settings:
        config = config.model_copy(update={"columns": ("t", "x")})
    with pytest.raises(DataError) as raised:
        table.load(config, 8, config.columns, {tmp_path / "n.csv": "n.csv"} if scoring else None)
    assert says in str(raised.value)
    assert "row of units" not in str(raised.value)


@pytest.mark.parametrize(
    ("row", "refused"),
    [
        ("s;g;", False),
        ("[s];1;-", False),
        ("hh:mm:ss;1/min;m/s2", False),
        ("0,02;0,5;ok", True),
        ("1;1;1", True),
        ("02.11.2026 09:00:00;;", True),
        ("09:00:00;x;ok", True),
    ],
)
def test_a_row_of_units_holds_no_numbers(tmp_path, row, refused):
    rows = "".join(f"{n},5;{n * n % 7},5;ok\n" for n in range(40))
    (tmp_path / "n.csv").write_text(f"t;x;Status\n{row}\n{rows}")
    settings = {"separator": ";", "decimal": ",", "time_column": "t", "sample_rate": None, "columns": ("x",)}
    config = data_of(tmp_path, units_row=True, **settings)
    if refused:
        says = r"n\.csv, line 2: units_row = true, but the row below the header holds numbers or times .* leave units_row out"
        with pytest.raises(DataError, match=says):
            table.load(config, 8)
    else:
        assert len(table.load(config, 8).recordings[0].samples) == 40
        if row != "[s];1;-":  # a 1 may be a number too, so no advice is given
            with pytest.raises(DataError, match=r"line 2: .*a row of units \(.*\)\? set units_row = true"):
                table.load(data_of(tmp_path, **settings), 8)


def test_zones_and_formats_of_dates_are_read(tmp_path):
    zoned = [f"2026-10-25T02:{59 - (n < 60) * 0:02d}:{n % 60:02d}+0{2 - n // 60}:00" for n in range(120)]
    with pytest.raises(DataError, match="line 62: 3541 s after the row before"):
        timed(tmp_path, "t", zoned)
    assert timed(
        tmp_path, "t", [f"{n:02d}.01.2026 06:00" for n in range(1, 29)], time_format="%d.%m.%Y %H:%M"
    ) == pytest.approx(1 / 86_400)


def test_a_stretch_after_a_gap_begins_when_its_clock_says(tmp_path):
    times = [*range(100, 120), *range(150, 175)]
    (tmp_path / "a.csv").write_text("t,x\n" + "\n".join(f"{t},{(7 * t) % 11}" for t in times))
    config = TableData(
        folder=str(tmp_path), files=("a.csv",), healthy_files=("a.csv",), time_column="t", time_unit="s", on_gap="split"
    )
    found = table.load(config, 8).recordings
    assert [(recording.start, recording.start_seconds) for recording in found] == [(0, 0.0), (20, 50.0)]
