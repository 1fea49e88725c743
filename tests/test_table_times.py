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
        ([f"{n:02d}.01.2026 00:00:00" for n in range(1, 29)], {}, 'line 2: .*set time_format, such as "%d.%m.%Y'),
        ([*range(60), *[f"2026-01-01T00:00:{n:02d}" for n in range(60)]], {}, "line 2: '0' in column 't' is neither|mixed"),
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
