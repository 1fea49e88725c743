"""Several sources of other rates: which windows are joined, what is left out, what is refused, and that parts share nothing."""

import numpy as np
import pytest
from sources import HEALTHY, RATE, SLOW, config_text, machine, record, write

from micro.config import load_config, parse_config
from micro.datasets import table
from micro.datasets.class_windows import class_parts
from micro.datasets.partners import partner
from micro.datasets.prepare import prepare
from micro.datasets.recording import Recording, Samples, Stream, cut
from micro.datasets.regression_windows import regression_parts
from micro.datasets.sources import join
from micro.datasets.table_windows import table_parts
from micro.errors import DataError
from micro.signal import FrontEnd, JoinedFrontEnd, Source


def config_of(folder, text):
    (folder / "c.toml").write_text(text)
    return load_config(folder / "c.toml")


def counting(seconds, rate, begins=0.0, clock=None):
    """Samples that count, so that each says which it is."""
    values = np.arange(round(seconds * rate), dtype=np.float32)[:, None]
    return Samples(values, np.ones(len(values), bool), ((0, len(values)),), (begins,), rate, clock)


def by_hand(recording, stream, front_end):
    """Windows of the definition: for each main window the latest of the source that is complete, or nothing."""
    main, source = front_end.main, front_end.sources[0]
    file, found = stream.file, []
    starts = range(0, len(recording.samples) - main.window + 1, main.hop)
    for start in starts:
        end, best = start + main.window - 1, None
        for (first, past), seconds in zip(file.edges, file.seconds):
            own = source.front_end
            for at in range(first, past - own.window + 1, own.hop):
                taken = stream.begins + seconds + (at - first + own.window - 1) / file.rate - recording.start_seconds
                arrival = next(n for n in range(-(10**4), 10**6) if n / recording.sample_rate >= taken - 1e-9)
                if arrival <= end and stream.begins + seconds + (at - first) / file.rate >= stream.not_before:
                    best = (at, end - arrival + 1)
        found.append(best if best is not None and best[1] <= source.max_age else None)
    return np.array(starts), found


@pytest.mark.parametrize("rates", [(101.0, 7.0), (10.0, 1.0), (13.0, 29.0), (6.6, 0.9)])
@pytest.mark.parametrize("begins", [0.0, -0.303, 0.204])
def test_each_window_is_joined_with_the_latest_complete_one_of_every_source(rates, begins):
    rate, slow = rates
    main = FrontEnd("statistics", window=8, hop=5, sample_rate=rate)
    own = FrontEnd("statistics", window=9, hop=2, sample_rate=slow)
    seconds = 40 * max(1 / rate, 1 / slow)
    recording = Recording.whole("a", counting(seconds, rate).samples, rate, "", True)
    begins *= seconds
    halves = Samples(
        counting(seconds, slow).samples,
        np.ones(round(seconds * slow), bool),
        ((0, 15), (15, round(seconds * slow))),
        (0.0, 17 / slow),
        slow,
        None,
    )
    for not_before in (-np.inf, 5 / slow):
        stream = Stream(halves, begins, not_before)
        front_end = JoinedFrontEnd(main, (Source("s", own, max_age=max(1, int(6 / slow * rate))),))
        frames, starts = cut(Recording(**{**vars(recording), "streams": (stream,)}), front_end)
        expected = by_hand(recording, stream, front_end)
        kept = [(start, *best) for start, best in zip(expected[0].tolist(), expected[1]) if best is not None]
        made = list(zip(starts.tolist(), frames.sources[0].chosen.tolist(), frames.sources[0].ages.tolist()))
        assert made == kept
        assert len(kept) > 2
        flat = frames.flat()
        assert flat[:, 0].tolist() == [start for start, _, _ in kept]
        assert flat[:, 8].tolist() == [at for _, at, _ in kept]
        # All that a window depends on was sampled within its span.
        first = recording.start_seconds + (starts + main.window - front_end.span) / rate
        at = frames.sources[0].chosen
        stretch = np.where(at < 15, at / slow, (at - 15 + 17) / slow)
        assert (begins + stretch >= first - 1e-9).all()


def write_counting(folder, name, seconds=80, slow=SLOW):
    """Samples that count from a number of the recording's own, at both rates, and the file of the source."""
    base = 1e5 * (sum(map(ord, name)) % 97)
    fast = base + np.arange(int(seconds * RATE))
    write(folder / f"{name}.csv", np.stack([fast, np.random.default_rng(1).normal(size=len(fast))], 1), "x,y")
    own = base + np.arange(int(seconds * slow))
    write(folder / "slow" / f"{name}_temp.csv", own[:, None], "celsius")


def require_nothing_shared(parts):
    """Neither a sample of the main source nor one of the further source is in two parts."""
    groups = [parts.train, parts.validation, parts.test]
    if parts.calibration is not parts.validation:
        groups.append(parts.calibration)
    seen = []
    for group in groups:
        rows = parts.features.frames_of(np.concatenate([each.samples for each in group]))
        fast = set(rows.main[:, :, 0].ravel().tolist())
        slow = set(rows.sources[0].frames.ravel().tolist())
        assert fast
        assert slow
        seen.append((fast, slow))
    for place, (fast, slow) in enumerate(seen):
        for other_fast, other_slow in seen[place + 1 :]:
            assert not fast & other_fast
            assert not slow & other_slow


@pytest.mark.parametrize("source", ["", "max_age = 5.0", "max_age = 0.7"])
def test_parts_of_anomaly_detection_share_no_sample_of_any_source(tmp_path, source):
    write_counting(tmp_path, "a", 300)
    rows = 'healthy_rows = [[1000, 24000]]\non_constant = "keep"\ncolumns = ["x", "y"]'
    settings = f'{source}\ncolumns = "celsius"'
    config = config_of(tmp_path, config_text(data=rows, source=settings))
    parts = table_parts(config.data, config.features, config.augment, 0, sources=config.sources)
    require_nothing_shared(parts)
    # Windows of rows that are not known to be healthy are in the test as well, and depend on no healthy row.
    assert {each.label for each in parts.test} == {0, -1}
    others = np.concatenate([each.samples for each in parts.test if each.label == -1])
    taken = parts.features.frames_of(others).sources[0].frames % 1e5 / SLOW * RATE
    assert ((taken < 1000) | (taken >= 24000 - 1)).all()


def test_parts_of_a_classification_in_time_share_no_sample_of_any_source(tmp_path):
    write_counting(tmp_path, "a", 400)
    labels = np.where(np.arange(int(400 * RATE)) // 5000 % 2, "on", "off")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join([f"{lines[0]},state", *map(",".join, zip(lines[1:], labels))]))
    data = 'label_column = "state"\ncolumns = ["x", "y"]\nsplit = "time"'
    task = 'task = "classification"'
    config = config_of(tmp_path, config_text(task=task, data=data, source='columns = "celsius"'))
    parts = class_parts(config.data, config.features, config.augment, 0, sources=config.sources)
    require_nothing_shared(parts)
    for each in (*parts.train, *parts.validation, *parts.test):
        # A window of a class depends on no row of another one.
        rows = parts.features.frames_of(each.samples)
        own = (rows.sources[0].frames[:, :, 0] % 1e5 / SLOW * RATE).astype(int) // 5000 % 2
        assert (own == each.label).all()


def test_parts_of_a_regression_in_time_share_no_sample_of_any_source(tmp_path):
    write_counting(tmp_path, "a", 300)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    numbers = [f"{0.001 * row:.3f}" if row % 6000 < 5900 else "" for row in range(len(lines) - 1)]
    (tmp_path / "a.csv").write_text("\n".join([f"{lines[0]},wear", *map(",".join, zip(lines[1:], numbers))]))
    data = 'target_column = "wear"\ncolumns = ["x", "y"]\nsplit = "time"\non_missing = "drop"'
    config = config_of(tmp_path, config_text(task='task = "regression"', data=data, source='columns = "celsius"'))
    parts = regression_parts(config.data, config.features, config.augment, 0, sources=config.sources)
    require_nothing_shared(parts)


def with_clock(folder, name, begins, seconds=60, file="slow/{}_temp.csv", slow=True):
    """A recording whose files have a clock, in seconds."""
    fast = begins + np.arange(int(seconds * 10)) / 10
    write(folder / f"{name}.csv", np.stack([fast, np.random.default_rng(0).normal(size=len(fast))], 1), "time,x")
    if slow:
        write(folder / file.format(name), np.stack([fast[::10], np.arange(len(fast[::10]))], 1), "time,celsius")


def sharing_one_file(folder, begins):
    """Recordings that begin so late, whose source has one file for all of them."""
    times = np.arange(1000.0, 1400.0)
    write(folder / "slow" / "all.csv", np.stack([times, times], 1), "time,celsius")
    for place, each in enumerate(begins):
        with_clock(folder, f"r{place}", each, slow=False)


CLOCKS = """
job = "table"
seeds = 1
[data]
files = "*.csv"
time_column = "time"
healthy_files = "*"
[features]
kind = "statistics"
window = 20
hop = 10
[[sources]]
name = "temperature"
files = "slow/all.csv"
time_column = "time"
columns = "celsius"
[sources.features]
kind = "statistics"
window = 8
hop = 1
[teacher]
sizes = [4]
[student]
sizes = [4]
"""


def test_one_file_with_a_clock_is_for_all_recordings(tmp_path):
    sharing_one_file(tmp_path, (1100, 1165, 1300))
    config = config_of(tmp_path, CLOCKS)
    parts = table_parts(config.data, config.features, config.augment, 0, sources=config.sources)
    ends = {}
    for each in (*parts.train, *parts.validation, *parts.calibration, *parts.test):
        rows = parts.features.frames_of(each.samples)
        ends.setdefault(each.origin, []).extend(rows.sources[0].frames[:, -1, 0].tolist())
    # The first takes windows from before its beginning; the second none that reach into the first, which ends at 1160.
    assert min(ends["r0.csv"]) == 1101
    assert min(ends["r1.csv"]) >= 1160 + 7
    assert max(ends["r2.csv"]) == 1359


def test_windows_without_a_recent_source_are_counted(tmp_path):
    times = np.concatenate([np.arange(1000.0, 1040.0), np.arange(1100.0, 1200.0)])
    write(tmp_path / "slow" / "all.csv", np.stack([times, times], 1), "time,celsius")
    with_clock(tmp_path, "r", 1000, seconds=160)
    text = CLOCKS.replace('columns = "celsius"', 'columns = "celsius"\non_gap = "split"\nmax_age = 3.0')
    data = prepare(config_of(tmp_path, text))
    notes = [note for note in data.notes if "source temperature" in note]
    assert len(notes) == 1
    assert "were left out, as source temperature has no complete window that recent: r.csv" in notes[0]
    # Complete from the 8th second on, 3 s after its last sample, and again 8 s after the gap.
    left = int(notes[0].split(" of ")[0])
    assert 6 + 60 <= left <= 6 + 70


def test_columns_of_the_same_file_are_a_source_of_their_own(tmp_path):
    vibration, _ = machine(0)
    slow = np.repeat(np.arange(len(vibration) // 100 + 1), 100)[: len(vibration), None]
    write(tmp_path / "ok.csv", np.concatenate([vibration, slow], 1), "x,y,celsius")
    text = config_text(data='healthy_files = "*"\ncolumns = ["x", "y"]', source='columns = "celsius"')
    text = text.replace('files = "slow/{recording}_temp.csv"\nsample_rate = 7.0\n', "").replace(
        "window = 9", "window = 300"
    )
    data = prepare(config_of(tmp_path, text))
    assert data.sources[0].channels == ("celsius",)
    assert data.sources[0].sample_rate == RATE
    assert data.train.x.shape[1] == 2 * 8 + 5
    assert data.channels == ("x", "y")


@pytest.mark.parametrize("clock", [False, True])
@pytest.mark.parametrize("resample", ["", "resample = 50.5"])
def test_a_column_that_is_filled_in_now_and_then_is_a_slow_source(tmp_path, clock, resample):
    rows = 6000
    times = np.arange(rows) / RATE
    cells = [str(n // 20) if n % 20 == 7 else "" for n in range(rows)]
    x = np.random.default_rng(0).normal(size=rows)
    lines = [f"{time:.6f},{value:.4f},{cell}" for time, value, cell in zip(times, x, cells)]
    (tmp_path / "ok.csv").write_text("\n".join(["t,x,celsius", *lines]))
    text = config_text(
        data=f'healthy_files = "*"\ncolumns = "x"\n{resample}', source='columns = "celsius"\nrows = "filled"'
    )
    text = text.replace('files = "slow/{recording}_temp.csv"\nsample_rate = 7.0\n', "")
    if clock:
        text = text.replace("sample_rate = 101.0", 'time_column = "t"')
    config = config_of(tmp_path, text)
    parts = table_parts(config.data, config.features, config.augment, 0, sources=config.sources)
    # Resampling is of the main source; what is filled in keeps its own rate.
    assert parts.sample_rate == pytest.approx(50.5 if resample else RATE, rel=1e-4)
    assert parts.sources[0].sample_rate == pytest.approx(RATE / 20, rel=1e-4)
    first = parts.features.frames_of(parts.train[0].samples[:1])
    # The window of 9 values is complete in row 7 + 8 * 20 = 167, and the first main window that ends later at 174 or 198.
    assert first.sources[0].frames[0, :, 0].tolist() == list(range(9))
    content = (tmp_path / "ok.csv").read_text().splitlines()
    lonely = [line if not n else line.rpartition(",")[0] + (",4" if n == 9 else ",") for n, line in enumerate(content)]
    whole = (tmp_path / "ok.csv").read_text()
    (tmp_path / "ok.csv").write_text("\n".join(lonely))
    with pytest.raises(DataError, match=r"ok.csv, line 10: no other row has a value, and a rate takes two"):
        table_parts(config.data, config.features, config.augment, 0, sources=config.sources)
    (tmp_path / "ok.csv").write_text(whole.replace(",3\n", ",\n"))
    if not clock:
        with pytest.raises(DataError, match=r"ok.csv, line 89: its values do not come at equal steps of rows"):
            table_parts(config.data, config.features, config.augment, 0, sources=config.sources)


@pytest.mark.parametrize("on_missing", ["error", "drop"])
def test_a_slow_column_read_row_by_row_is_told_of_filled_rows(tmp_path, on_missing):
    cells = [str(n // 20) if n % 20 == 7 else "" for n in range(3000)]
    x = np.random.default_rng(0).normal(size=3000)
    (tmp_path / "ok.csv").write_text("\n".join(["x,celsius", *(f"{a:.4f},{b}" for a, b in zip(x, cells))]))
    data = f'healthy_files = "*"\ncolumns = "x"\non_missing = "{on_missing}"'
    text = config_text(data=data, source='columns = "celsius"')
    text = text.replace('files = "slow/{recording}_temp.csv"\nsample_rate = 7.0\n', "")
    said = r"only 150 of 3,000 rows have a value in celsius, and no window of 9 in a row; .* set rows = \"filled\""
    with pytest.raises(DataError, match=said):
        prepare(config_of(tmp_path, text))
    # The same column among the main ones.
    alone = text[: text.index("[[sources]]")].replace('columns = "x"', "") + text[text.index("[distill]") :]
    if on_missing == "error":
        with pytest.raises(
            DataError, match=r"celsius', which has one in 5 % .* make it one of \[\[sources\]\] with rows"
        ):
            prepare(config_of(tmp_path, alone))


def test_columns_that_are_filled_at_other_rates_name_the_source_and_the_files(tmp_path):
    for name, every in (("ok1", 20), ("ok2", 40)):
        cells = [str(n % 90) if n % every == 7 else "" for n in range(6000)]
        x = np.random.default_rng(every).normal(size=6000)
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,celsius", *(f"{a:.4f},{b}" for a, b in zip(x, cells))]))
    text = config_text(data='healthy_files = "*"\ncolumns = "x"', source='columns = "celsius"\nrows = "filled"')
    text = text.replace('files = "slow/{recording}_temp.csv"\nsample_rate = 7.0\n', "")
    with pytest.raises(
        DataError, match=r"source temperature: its values come at 2.525 Hz in ok2.csv and at 5.05 Hz in ok1.csv"
    ):
        prepare(config_of(tmp_path, text))


def test_what_is_scored_does_not_depend_on_its_company(tmp_path):
    sharing_one_file(tmp_path, (1100, 1165, 1300))
    config = config_of(tmp_path, CLOCKS)
    known = prepare(config).sources
    # The second overlaps the first: nothing is learned, so nothing can be learned twice.
    with_clock(tmp_path, "r1", 1110, slow=False)

    def scored(*names):
        paths = {tmp_path / name: name for name in names}
        recordings, channels, _ = table.load(config.data, 20, ("x",), paths)
        front_end = config.features.front_end(len(channels), 10.0)
        named = {name: path for path, name in paths.items()}
        joined = join(recordings, front_end, named, config.data, config.sources, channels, known)
        cuts = {one.name: cut(one, joined.features) for one in joined.recordings}
        return {
            name: (starts.tolist(), joined.features(frames).tolist(), frames.sources[0].ages.tolist())
            for name, (frames, starts) in cuts.items()
        }

    together = scored("r0.csv", "r1.csv", "r2.csv")
    assert [len(starts) for starts, _, _ in together.values()] == [59, 59, 59]
    assert together == {name: scored(name)[name] for name in together}


def test_a_recording_from_elsewhere_takes_the_source_beside_it(tmp_path):
    times = np.arange(1000.0, 1400.0)
    write(tmp_path / "t" / "slow" / "all.csv", np.stack([times, times], 1), "time,celsius")
    config = config_of(tmp_path / "t", CLOCKS)
    elsewhere = tmp_path / "u" / "r0.csv"
    with_clock(tmp_path / "u", "r0", 1100, slow=False)
    with pytest.raises(DataError, match=r"source temperature: .*u/slow/all.csv: no such file, which r0.csv needs"):
        partner(elsewhere, "r0.csv", config.sources[0], config.data)
    write(tmp_path / "u" / "slow" / "all.csv", np.stack([times, times], 1), "time,celsius")
    found = partner(elsewhere, "r0.csv", config.sources[0], config.data)
    assert found == tmp_path / "u" / "slow" / "all.csv"


def test_a_recording_from_elsewhere_may_be_laid_out_as_the_runs_own_were(tmp_path):
    text = config_text(data=HEALTHY.replace('"ok', '"v/ok').replace('"bad', '"v/bad'))
    text = text.replace('files = "*.csv"', 'files = "v/*.csv"')
    text = text.replace('files = "slow/{recording}_temp.csv"', 'files = "{recording}.csv"\nfolder = "slow"')
    (tmp_path / "t").mkdir()
    config = config_of(tmp_path / "t", text)
    new = tmp_path / "else" / "v" / "new.csv"
    write(new, machine(0)[0], "x,y")
    with pytest.raises(DataError, match=r"source temperature: its file of new.csv would be new.csv itself"):
        partner(new, "new.csv", config.sources[0], config.data)
    write(tmp_path / "else" / "slow" / "v" / "new.csv", machine(0)[1], "celsius")
    found = partner(new, "new.csv", config.sources[0], config.data)
    assert found == tmp_path / "else" / "slow" / "v" / "new.csv"


def test_a_source_is_no_file_of_the_recordings_themselves(tmp_path):
    record(tmp_path, "ok0", 0)
    text = config_text(data=HEALTHY).replace('files = "slow/{recording}_temp.csv"', 'files = "{recording}.csv"')
    with pytest.raises(
        DataError, match=r"its file of ok0.csv would be ok0.csv itself; put it into a folder of its own"
    ):
        prepare(config_of(tmp_path, text))


@pytest.mark.parametrize(
    ("main", "sources", "says"),
    [
        ('"*"', ['"cels*"'], "source s0: column 'celsius' is one of data.columns too"),
        ('["x", "y"]', ['"celsius"', '"cel*"'], "source s1: column 'celsius' is one of source s0 too"),
    ],
)
def test_a_column_is_of_one_source(tmp_path, main, sources, says):
    vibration, _ = machine(0)
    slow = np.arange(len(vibration))[:, None]
    write(tmp_path / "ok.csv", np.concatenate([vibration, slow], 1), "x,y,celsius")
    text = config_text(data=f'healthy_files = "*"\ncolumns = {main}').partition("[[sources]]")[0]
    for place, columns in enumerate(sources):
        text += f'[[sources]]\nname = "s{place}"\ncolumns = {columns}\n'
        text += '[sources.features]\nkind = "statistics"\nwindow = 50\nhop = 25\n'
    with pytest.raises(DataError, match=says):
        prepare(config_of(tmp_path, text + "[teacher]\nsizes = [4]\n[student]\nsizes = [4]\n"))


def test_an_age_is_one_that_c_counts():
    main, own = (
        FrontEnd("moments", window=8, hop=8, sample_rate=1.0),
        FrontEnd("statistics", window=8, hop=1, sample_rate=1.0),
    )
    assert JoinedFrontEnd(main, (Source("s", own, 2**31 - 2),)).sources[0].max_age == 2**31 - 2
    for age in (0, 2**31 - 1, 2**32 - 1):
        with pytest.raises(
            ValueError, match=f"s: max_age must be 1 to 2147483646 samples of the main source, got {age}"
        ):
            JoinedFrontEnd(main, (Source("s", own, age),))


REFUSED = {
    'files = "temp.csv"': "needs a time_column here and in",
    'time_column = "t"': "has a time_column and [data] has none",
    'recording = "{group}.csv"': "one {recording}",
    "window = 4": "window must be 8 to",
    'kind = "raw"': "one row of features",
    "frame = 16": "sources.0.features: a window of frames",
    "hop = 10": "longer than the window",
    'name = "Temp"': "name",
    'name = "a__b"': "name",
    "max_age = 0.0": "max_age",
}


@pytest.mark.parametrize("line", REFUSED)
def test_settings_that_do_not_fit_are_refused(tmp_path, line):
    text = config_text(data=HEALTHY)
    before, own = text.split("[[sources]]")
    key = line.split(" = ")[0]
    lines = [each for each in own.splitlines() if not each.startswith(f"{key} =")]
    if line.startswith("time_column"):
        lines = [each for each in lines if not each.startswith("sample_rate")]
    place = lines.index("[sources.features]") + (1 if key in ("window", "kind", "frame", "hop") else 0)
    lines.insert(place, line)
    with pytest.raises(ValueError) as error:
        config_of(tmp_path, before + "[[sources]]" + "\n".join(lines))
    assert REFUSED[line] in str(error.value)
    assert "source" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"job": "rig"}, "sources are for files"),
        ({"features": {"kind": "raw", "window": 16, "hop": 8}}, "sources: they are joined where"),
        ({"features": {"kind": "statistics", "window": 32, "hop": 16, "frame": 16}}, "sources: they are joined where"),
        ({"twice": True}, "'temperature' comes twice"),
        (
            {"teacher": {"features": {"window": 64}}},
            r"teacher\.features is not for data with \[\[sources\]\]: student and",
        ),
        (
            {
                "sources": [
                    {"name": "slow", "columns": ["la*"], "features": {"kind": "statistics", "window": 8, "hop": 1}}
                ],
                "data": {
                    "files": "*.csv",
                    "sample_rate": 100.0,
                    "columns": ["x"],
                    "label_column": "label",
                    "healthy_files": "*",
                },
            },
            "sources, slow: columns takes 'label' in, which is no channel: it is the label_column",
        ),
        ({"teacher": {"columns": ["x"]}}, r"teacher\.columns is not for data with \[\[sources\]\]: student and"),
    ],
)
def test_what_cannot_be_joined_is_refused(change, said):
    source = {"name": "temperature", "files": "{recording}_t.csv", "sample_rate": 1.0}
    source["features"] = {"kind": "statistics", "window": 8, "hop": 1}
    data = {"files": "*.csv", "sample_rate": 100.0, "healthy_files": "*"}
    raw = {"job": "table", "data": data, "features": {"kind": "statistics", "window": 16, "hop": 8}}
    if change.pop("twice", False):
        raw["sources"] = [source, source]
    raw = {
        **raw,
        "sources": raw.get("sources", [source]),
        "teacher": {"sizes": [4]},
        "student": {"sizes": [4]},
        **change,
    }
    if raw["job"] == "rig":
        raw.pop("data")
    with pytest.raises(ValueError, match=said):
        parse_config(raw)


def test_a_recording_without_its_file_names_both(tmp_path):
    record(tmp_path, "ok1", 1)
    write(tmp_path / "lonely.csv", machine(2)[0], "x,y")
    config = config_of(tmp_path, config_text(data='healthy_files = "*"'))
    with pytest.raises(DataError, match=r"temperature: lonely.csv has no file .*lonely_temp.csv"):
        prepare(config)
    config = config_of(tmp_path, config_text(data='healthy_files = "*"').replace("slow/{rec", "{rec"))
    (tmp_path / "lonely.csv").unlink()
    write(tmp_path / "ok1_temp.csv", machine(2)[1], "celsius")
    with pytest.raises(DataError, match=r"ok1_temp.csv has no file .*data.files name the main recordings alone"):
        prepare(config)


def test_recordings_that_overlap_cannot_take_one_file(tmp_path):
    sharing_one_file(tmp_path, (1100, 1120))
    with pytest.raises(DataError, match=r"r0.csv and r1.csv overlap in time and both take all.csv"):
        prepare(config_of(tmp_path, CLOCKS))


@pytest.mark.parametrize(
    ("change", "said"),
    [("max_age = 0.1", "max_age = 0.1 s is shorter than its hop"), ("", "none of")],
)
def test_a_source_that_is_never_there_is_refused(tmp_path, change, said):
    record(tmp_path, "ok1", 1)
    if not change:
        write(tmp_path / "slow" / "ok1_temp.csv", machine(2)[1][:8], "celsius")
    config = config_of(tmp_path, config_text(data='healthy_files = "*"', source=change))
    with pytest.raises(DataError, match=said):
        prepare(config)


def test_names_of_main_files_and_of_a_source_may_share_a_part(tmp_path):
    for n in range(2):
        record(tmp_path, f"vib_{n}", n)
        (tmp_path / "slow" / f"vib_{n}_temp.csv").rename(tmp_path / "slow" / f"heat-{n}.csv")
    text = config_text(data='healthy_files = "*"', source='recording = "vib_{recording}.csv"')
    assert prepare(config_of(tmp_path, text.replace("{recording}_temp.csv", "heat-{recording}.csv"))).sources


def test_augmentation_changes_the_main_source_alone(tmp_path):
    record(tmp_path, "ok1", 1)
    more = '[augment]\ncopies = 1\nlayers = [{class = "RandomGain", decibels = [6.1, 8.0]}]\n'
    plain = prepare(config_of(tmp_path, config_text(data='healthy_files = "*"')))
    data = prepare(config_of(tmp_path, config_text(data='healthy_files = "*"', more=more)))
    raw, copied = (each.train.x * each.scaling.spread + each.scaling.centre for each in (plain, data))
    half = len(copied) // 2
    assert half == len(raw)
    assert "samples of further sources stay as they are" in " ".join(data.notes)
    np.testing.assert_allclose(copied[half:, 16:], raw[:, 16:], rtol=1e-3, atol=1e-3)
    assert np.abs(copied[half:, 1] / raw[:, 1]).min() > 1.9
