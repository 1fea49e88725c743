"""Recordings of what comes live: whatever is lost or damaged on the way is said, and never a wrong value."""

import contextlib
import csv
import io
import itertools
import json
import math
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

import numpy as np
import pytest
from broker import Broker
from hypothesis import given
from hypothesis import strategies as st
from support import invoke

import micro
from micro.cli.live import write_header, write_score
from micro.datasets import table
from micro.datasets.find import find_files
from micro.detection.detector import decide
from micro.detection.recognizer import recognize
from micro.errors import DataError
from micro.live.arrivals import arrivals
from micro.live.counts import Counts
from micro.live.forwarded import about, check
from micro.live.lines import Line, LineCutter
from micro.live.record import Wanted, record
from micro.live.recording import Recorder, beside
from micro.live.remembered import Remembered
from micro.live.rows import RowReader
from micro.live.scoring import Scored, differing
from micro.live.source import parse_source
from micro.look.survey import reading


def read(path):
    """Header and rows of a recording."""
    with Path(path).open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def recorded(tmp_path, content, **wanted):
    """What is recorded of a file of these bytes at 10 Hz: the result, and header and rows of each file."""
    (tmp_path / "sent").write_bytes(content)
    made = record(
        parse_source(str(tmp_path / "sent")), tmp_path / "out", Wanted(**{"rate": 10.0, **wanted}), lambda said: None
    )
    return made, [read(path) for path in made.files]


def forward(rows, names=("x", "y"), first=0, parts=("samples",)):
    """Rows as firmware sends them, at 10 Hz."""
    header = ",".join(("seq", *names, "check"))
    lines = [about(parts, 10.0, header), header]
    for number, row in enumerate(rows, first):
        line = ",".join(map(str, (number, *row))) + ","
        lines.append(f"{line}{check(line.encode())}")
    return lines


SENT = b"boot v1.2\r\nax,ay\r\n" + b"".join(b"%d,%.2f\r\n" % (n, n / 8) for n in range(40)) + b"1,x\r\n7\r\n5,6\r\n"


@given(st.lists(st.integers(0, len(SENT)), max_size=12))
def test_the_same_samples_come_out_wherever_the_bytes_are_cut(cuts):
    places = [0, *sorted(cuts), len(SENT)]
    cutter, reader = LineCutter(), RowReader()
    lines = [line for a, b in itertools.pairwise(places) for line in cutter.lines(SENT[a:b])]
    rows = [row for row in map(reader.row, lines) if row is not None]
    assert [row.texts for row in rows[:40]] == [(f"{n}", f"{n / 8:.2f}") for n in range(40)]
    assert len(rows) == 41
    assert rows[-1].values == (5.0, 6.0)
    assert rows[-1].lost == 2
    assert reader.columns.channel_names == ("ax", "ay")
    assert (reader.counts.damaged, reader.counts.text) == (2, 1)


@given(st.binary(max_size=400), st.integers(0, 400))
def test_no_bytes_from_the_wire_raise_anything_but_a_data_error(noise, place):
    content = b"a,b\n1,2\n" + noise + b"\n3,4\n"
    cutter, reader = LineCutter(), RowReader()
    with contextlib.suppress(DataError):
        for line in cutter.lines(content[: place % len(content)]) + cutter.lines(content[place % len(content) :]):
            row = reader.row(line)
            assert row is None or all(math.isfinite(value) or math.isnan(value) for value in row.values)


def test_a_recording_is_read_by_look_and_run_without_edits(tmp_path):
    made, ((header, rows),) = recorded(tmp_path, SENT[:-13], label="healthy")
    assert header == ["time", "ax", "ay"]
    assert rows[:2] == [["0", "0", "0.00"], ["0.1", "1", "0.12"]]
    assert made.files[0].parent == tmp_path / "out" / "healthy"
    looked = invoke("look", str(tmp_path / "out" / "**" / "*"), "--out", tmp_path / "mine.toml")
    assert looked.exit_code == 0, looked.output
    assert "1 file, 40 rows. Read with: time_column = 'time'." in looked.stdout
    assert "Not read" not in looked.stdout
    held = json.loads(beside(made.files[0]).read_text())
    assert (held["label"], held["rate"], held["channels"], held["samples"]) == ("healthy", 10.0, ["ax", "ay"], 40)
    # The JSON file beside it is no recording, whatever a pattern says.
    assert list(find_files(["**/*"], tmp_path / "out").values()) == [f"healthy/{made.files[0].name}"]
    data = reading({"time_column": "time"})
    files = [table.File(made.files[0], "a", healthy=True, faulty=False)]
    ((_, contents),) = table.read_files(files, data, (), {}, table.LeftOut(data, scoring=False))
    np.testing.assert_array_equal(contents.samples[:, 0], np.arange(40))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"1,2,3", "has 3 fields in place of 2"),
        (b"7", "has 1 fields in place of 2"),
        (b"1.5.2,3", "'1.5.2' in place of a number"),
        (b"4e99,3", "'4e99' in place of a number"),
        (b"1,\xff2", "bytes that are no text"),
        (b"1,\x002", "bytes that are no text"),
        (b"x1,y2", "is no row of numbers"),
        (b'{"a": 3, "b": 4', "is no JSON object of numbers"),
    ],
)
def test_a_damaged_line_is_counted_said_and_a_gap_in_time(tmp_path, line, words):
    made, ((_, rows),) = recorded(tmp_path, b"a,b\n1,2\n" + line + b"\n3,4\n")
    assert rows == [["0", "1", "2"], ["0.2", "3", "4"]]
    assert (made.counts.damaged, made.counts.lost) == (1, 1)
    assert words in made.counts.first_damaged
    assert "1 damaged line" in made.counts.words()


def test_words_for_no_number_are_missing_values_and_no_zeros(tmp_path):
    _, ((_, rows),) = recorded(tmp_path, b"a,b\nnan,2\n3,inf\n,5\n")
    assert rows == [["0", "", "2"], ["0.1", "3", ""], ["0.2", "", "5"]]


def test_a_last_line_without_an_end_may_be_cut_off_and_is_left_out(tmp_path):
    made, ((_, rows),) = recorded(tmp_path, b"a,b\n1,2\n3,4")
    assert rows == [["0", "1", "2"]]
    assert made.counts.cut == 1


def test_other_columns_end_a_recording_that_is_kept(tmp_path):
    with pytest.raises(DataError, match="the columns become a, c where they were a, b"):
        recorded(tmp_path, b"a,b\n1,2\n3,4\na,c\n5,6\n")
    (path,) = (tmp_path / "out").glob("*.csv")
    assert read(path)[1] == [["0", "1", "2"], ["0.1", "3", "4"]]


def test_what_a_board_prints_when_it_resets_is_no_data(tmp_path):
    boot = b"rst:0x1 (POWERON),boot:0x13\nload:0x3fff,len:4\nentry\na,b\n"
    made, files = recorded(tmp_path, boot + b"1,2\n" + boot + b"3,4\n")
    assert [rows for _, rows in files] == [[["0", "1", "2"]], [["0", "3", "4"]]]
    assert made.counts.restarts == 1
    assert "samples after a restart are in a file of their own" in made.notes


def test_numbers_that_are_missing_from_a_sequence_are_a_gap_in_time(tmp_path):
    lines = forward([(n, -n) for n in range(8)])
    del lines[5:7]
    made, ((header, rows),) = recorded(tmp_path, "\n".join([*lines, ""]).encode(), rate=None)
    assert header == ["time", "x", "y"]
    assert [row[0] for row in rows] == ["0", "0.1", "0.2", "0.5", "0.6", "0.7"]
    assert [row[1] for row in rows] == ["0", "1", "2", "5", "6", "7"]
    assert made.counts.lost == 2
    assert made.rate == 10.0


def test_counts_of_the_converter_are_said_beside_the_recording(tmp_path):
    for parts, unit, notes in ((("samples", "counts"), "counts", 1), (("samples",), "m/s^2", 0)):
        lines = forward([(n, -n) for n in range(8)], parts=parts)
        place = tmp_path / parts[-1]
        place.mkdir()
        made, _ = recorded(place, "\n".join([*lines, ""]).encode(), rate=None, unit="m/s^2")
        assert json.loads(beside(made.files[0]).read_text())["unit"] == unit
        assert sum("counts of the board's converter" in note for note in made.notes) == notes


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_forwarded_row_with_a_wrong_byte_is_never_a_value(place, change):
    lines = forward([(n, 100 * n) for n in range(5)])
    content = bytearray("\n".join([*lines, ""]).encode())
    content[place % len(content)] ^= change
    cutter, reader = LineCutter(), RowReader()
    rows = [row for row in map(reader.row, cutter.lines(bytes(content))) if row is not None]
    assert {row.values for row in rows} <= {(float(n), 100.0 * n) for n in range(5)}
    assert reader.columns is None or reader.columns.channel_names == ("x", "y")
    assert reader.forward is None or reader.forward.rate == 10.0
    assert len(rows) >= 3 or reader.columns is None


def test_rows_that_come_before_their_header_wait_for_it(tmp_path):
    lines = forward([(n, -n) for n in range(8)])
    made, ((header, rows),) = recorded(
        tmp_path, "\n".join([*lines[4:6], *lines[:2], *lines[6:], ""]).encode(), rate=None
    )
    assert header == ["time", "x", "y"]
    assert rows[0] == ["0", "4", "-4"]
    assert made.counts.unnamed == 2


def test_a_board_that_counts_from_0_again_has_begun_again(tmp_path):
    lines = forward([(1, 1)] * 5) + forward([(2, 2)] * 3)
    made, files = recorded(tmp_path, "\n".join([*lines, ""]).encode(), rate=None)
    assert [len(rows) for _, rows in files] == [5, 3]
    assert made.counts.restarts == 1


def test_the_boards_own_clock_is_the_time_unless_a_rate_is_given(tmp_path):
    content = b"t_ms,x\n10,1\n20,2\n30,3\n"
    made, ((header, rows),) = recorded(tmp_path, content, rate=None)
    assert (header, rows[1], made.rate) == (["t_ms", "x"], ["20", "2"], None)
    made, ((header, rows),) = recorded(tmp_path, content)
    assert (header, rows[1]) == (["time", "x"], ["0.1", "2"])
    with pytest.raises(DataError, match="the time stands still at 10 in column 't_ms'; give --rate"):
        recorded(tmp_path, b"t_ms,x\n10,1\n10,2\n", rate=None)


@pytest.mark.parametrize(
    ("content", "wanted", "says"),
    [
        (b"1,2\n", {"rate": None}, "the source has no clock of its own: give --rate"),
        (b"", {}, "no sample came from"),
        (b"hello\n" * 2000, {}, "lines in a row were no samples"),
        (b"1,2\n", {"channels": ("a",)}, "--channels names 1, and lines have 2 fields"),
        (b"a,b\n1,2\n", {"channels": ("c",)}, "the source has no channel 'c'; it has a, b"),
        (
            "\n".join(forward([(1, 2)])).encode() + b"\n",
            {"rate": 50.0},
            "the board sends 10 samples a second, and --rate is 50",
        ),
    ],
)
def test_what_cannot_be_recorded_is_said(tmp_path, content, wanted, says):
    with pytest.raises(DataError, match=says):
        recorded(tmp_path, content, **wanted)


@pytest.mark.parametrize(
    ("content", "wanted", "says"),
    [
        (
            b"0,4635\n0,0938\n1,2974\n-0,0387\n",
            {},
            "'0,4635' reads as numbers with a decimal comma: send '0.4635'; if it is",
        ),
        (b"1,46\n0,09\n", {}, "'1,46' reads as numbers with a decimal comma: send '1.46'"),
        (
            b"0,46,1,50\n0,07,1,05\n",
            {},
            "send '0.46;1.50'; if it is 4 integers, name a channel for each by --channels",
        ),
        (b"vib\n12,5\n", {}, "below the one name 'vib' '12,5' reads as numbers with a decimal comma: send '12.5'"),
        (b"a,b\n1,5,2,5\n", {}, "below 2 names '1,5,2,5' reads as numbers with a decimal comma: send '1.5;2.5'"),
        (b"12,5\n", {"channels": ("vib",)}, "name all of them, or '12,5' reads as numbers with a decimal comma"),
        (b"0,4635;-0,1907\n", {}, "'0,4635;-0,1907' has decimal commas; send decimal points: '0.4635;-0.1907'"),
        (b"a;b\n0,4635;3\n", {}, "has decimal commas"),
        (b"0,5\t3\n", {}, "has decimal commas"),
        (b"0,5 1,5\n", {}, "has decimal commas"),
        (
            b"a,b\n" + b"1.5,2,3\n" * 9,
            {},
            "'1.5,2,3' has 3 fields, and the line above names 2: a, b; let it name each field",
        ),
        (b"a,b\n1.5,2,3\n", {}, "'1.5,2,3' has 3 fields in place of 2"),
    ],
)
def test_no_decimal_comma_becomes_two_numbers_and_nothing_is_left_of_it(tmp_path, content, wanted, says):
    with pytest.raises(DataError, match=says):
        recorded(tmp_path, content, label="pump", **wanted)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"512,498\n7,1000\n0,0\n",
        b"0512,0498\n0007,0010\n",
        b"512,498\n" * 99 + b"512,098\n",
        b"512,498\n" * 200 + b"512,098\n" * 5,
        b"ready\n1,2\n3,4\n",
        b"entry 0x40\n1,2\n",
        b"0.5,3\n0,05\n0,05\n",
    ],
    ids=["whole", "padded", "damaged", "later", "greeting", "sentence", "points"],
)
def test_whole_numbers_are_two_channels(tmp_path, content):
    if content.count(b"512,098") == 1:
        content += b"-1,-1\n"  # one damaged row tells nothing
    made, ((header, _),) = recorded(tmp_path, content)
    assert (header, made.counts.damaged) == (["time", "c0", "c1"], 0)
    made, _ = recorded(tmp_path, b"0,46\n0,07\n0,05\n", channels=("x", "y"))
    assert made.counts.samples == 3


def test_a_row_of_units_is_no_header_and_says_the_unit_of_the_time(tmp_path):
    content = "Zeit;A;B\nms;m/s²;m/s²\n".encode() + b"".join(b"%d;1.5;%d\n" % (5 * n, n) for n in range(40))
    made, ((header, rows), again) = recorded(tmp_path, content + content, rate=None)
    assert again == (header, rows)
    assert (header, rows[1], made.counts.text, made.counts.damaged) == (
        ["Zeit [ms]", "A", "B"],
        ["5", "1.5", "1"],
        0,
        0,
    )
    looked = invoke("look", str(made.files[0]), "--out", tmp_path / "mine.toml")
    assert "40 │ 200 │" in looked.stdout, looked.output
    made, ((header, _),) = recorded(tmp_path, b"x y\nboot,ok\nax,ay\n1,2\n")
    assert (header, made.counts.text) == (["time", "ax", "ay"], 2)


def test_channels_that_are_all_other_names_rename_those_of_the_source(tmp_path):
    made, ((header, rows),) = recorded(tmp_path, b"t_ms,a,b\n1,2,3\n2,4,5\n", channels=("x", "y"), rate=None)
    assert (header, rows[0]) == (["t_ms", "x", "y"], ["1", "2", "3"])
    assert "channels a, b are called x, y" in made.notes
    with pytest.raises(
        DataError, match=r"no channel 'x'; it has a, b: .* or 2 other names for all of them in this order"
    ):
        recorded(tmp_path, b"a,b\n1,2\n", channels=("a", "x"))


def test_channels_can_be_named_and_chosen(tmp_path):
    _, ((header, rows),) = recorded(tmp_path, b"1 2 3\n4 5 6\n", channels=("x", "y", "z"))
    assert (header, rows[1]) == (["time", "x", "y", "z"], ["0.1", "4", "5", "6"])
    _, ((header, rows),) = recorded(tmp_path, b"x;y;z\n1;2;3\n", channels=("z", "x"))
    assert (header, rows) == (["time", "z", "x"], [["0", "3", "1"]])


def test_a_duration_is_so_many_samples(tmp_path):
    _, ((_, rows),) = recorded(tmp_path, SENT, duration=1.5)
    assert len(rows) == 15


def test_a_rate_is_measured_and_the_times_are_written_by_all_of_it(tmp_path):
    reader = RowReader()
    recorder = Recorder(tmp_path, "a", {}, reader)
    for n in range(400):
        row = reader.row(Line(f"{n},{n}"))
        recorder.add([row], 5.0 + n / 80 + 0.01 * (n % 3))
        # Times are known once there is a rate, after two seconds.
        assert bool(recorder.paths) == (n >= 160), n
    path = recorder.close()
    assert recorder.rate == pytest.approx(80, rel=1e-3)
    rows = read(path)[1]
    assert len(rows) == 400
    assert float(rows[-1][0]) == pytest.approx(399 / recorder.rate)


def test_samples_after_a_silence_are_in_another_file(tmp_path):
    reader = RowReader()
    recorder = Recorder(tmp_path, "a", {}, reader, rate=10.0)
    for n, when in enumerate([0.0, 0.1, 0.2, 7.0, 7.1]):
        recorder.add([reader.row(Line(f"{n},{n}"))], when)
    recorder.close()
    assert [len(read(path)[1]) for path in recorder.paths] == [3, 2]
    held = [json.loads(beside(path).read_text()) for path in recorder.paths]
    assert [each["samples"] for each in held] == [3, 5]
    assert None not in [each["ended"] for each in held]
    assert reader.counts.restarts == 1


def in_background(source, out, **wanted):
    """A recording in a thread; gives what it says, and a function that waits for the result."""
    said, results = [], []

    def work():
        try:
            results.append(record(parse_source(source), out, Wanted(**wanted), said.append))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def result():
        thread.join(30)
        assert not thread.is_alive()
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    return said, result


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_serial_port_is_recorded_from_its_first_whole_line_and_sought_when_it_is_lost(tmp_path):
    pytest.importorskip("serial", reason="pyserial is not installed: pip install 'keras-kd[live]'")
    link = tmp_path / "port"

    def plugged():
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(theirs))
        return ours, theirs

    ours, theirs = plugged()
    said, result = in_background(f"serial:{link}?baud=9600", tmp_path / "out", rate=10.0, duration=None, reconnect=1.5)
    time.sleep(0.4)
    os.write(ours, b"x,y\n1,2\n3,")
    until(lambda: any("recording to" in line for line in said))
    os.close(theirs)
    os.close(ours)
    until(lambda: any("is lost" in line for line in said))
    ours, theirs = plugged()
    until(lambda: any("is back" in line for line in said))
    for _ in range(20):  # without a silence, after which a line would begin
        os.write(ours, b"4")
        time.sleep(0.04)
    os.write(ours, b"4\n7,8\n")
    until(lambda: sum("recording to" in line for line in said) == 2)
    os.close(theirs)
    os.close(ours)
    link.unlink()
    with pytest.raises(DataError, match=r"is lost and has not come back in 1\.5 s"):
        result()
    files = sorted((tmp_path / "out").glob("*.csv"), key=lambda path: (len(path.name), path.name))
    assert [read(path) for path in files] == [
        (["time", "x", "y"], [["0", "1", "2"]]),
        (["time", "x", "y"], [["0", "7", "8"]]),
    ]


def test_datagrams_are_recorded_and_those_that_are_late_are_left_out(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _, result = in_background(f"udp://127.0.0.1:{port}", tmp_path / "out", rate=10.0, duration=1.0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        time.sleep(0.3)
        for number in (0, 1, 2, 4, 3, 4, 5, 6, 7, 8, 9, 10):
            sender.sendto(json.dumps({"seq": number, "<b>x</b>": number / 4}).encode(), ("127.0.0.1", port))
        made = result()
    header, rows = read(made.files[0])
    assert header == ["time", "<b>x</b>"]
    assert [row[0] for row in rows] == ["0", "0.1", "0.2", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]
    assert (made.counts.late, made.counts.lost) == (2, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not count them")
def test_datagrams_that_find_no_room_are_counted():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        port = sender.getsockname()[1]
    coming = arrivals(parse_source(f"udp://127.0.0.1:{port}"))
    next(coming)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for n in range(20_000):
            sender.sendto(b"%d" % n * 300, ("127.0.0.1", port))
        came, dropped = 0, 0
        for arrival in coming:
            came, dropped = came + arrival.content.count(b"\n") + bool(arrival.content), dropped + arrival.dropped
            if not arrival.content:
                break
        sender.sendto(b"last", ("127.0.0.1", port))
        dropped += next(coming).dropped
    coming.close()
    assert came < 20_000
    assert came + dropped == 20_000
    assert "7 datagrams dropped, as this machine was too slow" in Counts(dropped=7).words()


def test_payloads_of_a_topic_are_recorded_and_the_broker_is_sought_when_it_is_lost(tmp_path):
    pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed: pip install 'keras-kd[live]'")
    broker = Broker()
    said, result = in_background(f"mqtt://127.0.0.1:{broker.port}/pump/a", tmp_path / "out", rate=5.0, reconnect=1.5)
    assert broker.subscribed.wait(20)
    assert broker.topics == ["pump/a"]
    broker.publish("pump/a", b'{"x": 99, "y": 99}', retain=True)
    broker.publish("pump/a", b'{"x": 1, "y": 2.5}')
    broker.publish("pump/a", b'{"y": 3, "x": 4}')
    broker.publish("pump/a", b'{"x": "4", "y": 3}')
    broker.publish("pump/a", b'{"x": 5, "y": null}')
    until(lambda: any("recording to" in line for line in said))
    time.sleep(0.2)
    broker.drop()
    until(lambda: any("is lost" in line for line in said))
    assert broker.subscribed.wait(20)
    broker.publish("pump/a", b"\n".join(b'{"x": %d, "y": 0}' % n for n in range(3)))
    until(lambda: sum("recording to" in line for line in said) == 2)
    broker.close()
    made = None
    with pytest.raises(DataError, match="has not come back"):
        made = result()
    assert made is None
    first, second = (
        read(path)[1] for path in sorted((tmp_path / "out").glob("*.csv"), key=lambda each: len(each.name))
    )
    assert first == [["0", "1", "2.5"], ["0.2", "4", "3"], ["0.6", "5", ""]]
    assert [row[1] for row in second] == ["0", "1", "2"]


def test_a_broker_may_want_a_password_and_tls_and_no_password_is_written(tmp_path, monkeypatch):
    pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed: pip install 'keras-kd[live]'")
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which makes a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    broker = Broker(login=(b"me", b"secret"), tls=tls)
    text = f"mqtts://localhost:{broker.port}/pump"
    with pytest.raises(DataError, match=r"cannot be reached: .*certificate"):
        record(parse_source(text), tmp_path / "out", Wanted(rate=5.0), lambda said: None)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(DataError, match=r"the broker refuses: Not authorized; --user gives a name, and KERAS_KD_MQTT"):
        record(parse_source(text), tmp_path / "out", Wanted(rate=5.0), lambda said: None)
    monkeypatch.setenv("KERAS_KD_MQTT_PASSWORD", "secret")
    results = []
    words = ("record", text, tmp_path / "out", "--rate", "5", "--user", "me", "--unit", "m/s²", "--duration", "0.6")
    thread = threading.Thread(target=lambda: results.append(invoke(*words)))
    thread.start()
    assert broker.subscribed.wait(20)
    for n in range(4):
        broker.publish("pump", b'{"x": %d}' % n)
    thread.join(20)
    broker.close()
    assert results[0].exit_code == 0, results[0].output
    (path,) = (tmp_path / "out").glob("*.csv")
    held = beside(path).read_text()
    assert json.loads(held)["unit"] == "m/s²"
    assert json.loads(held)["source"] == text
    assert "secret" not in held + results[0].output + repr(parse_source(text, user="me", password="secret"))


def test_a_disk_that_takes_no_more_leaves_whole_lines_and_says_how_many(tmp_path):
    pytest.importorskip("resource", reason="limits of files are of POSIX")
    (tmp_path / "sent").write_text("x\n" + "".join(f"{n}\n" for n in range(40_000)))
    code = "import resource, sys; from micro.cli.main import main; " + (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_001, 100_001)); sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "record", tmp_path / "sent", tmp_path / "out", "--rate", "100"]
    done = subprocess.run(words, capture_output=True, text=True)
    (path,) = (tmp_path / "out").glob("*.csv")
    rows = read(path)[1]
    assert done.returncode == 2
    assert [row[1] for row in rows] == [str(n) for n in range(len(rows))]
    assert path.read_bytes().endswith(b"\n")
    assert f"{path} cannot be written: File too large; {len(rows):,} samples until then are kept" in done.stderr


def test_a_pipe_that_nobody_writes_to_ends_with_ctrl_c_and_a_terminal_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    words = [sys.executable, "-m", "micro.cli", "record", tmp_path / "pipe", tmp_path / "out", "--rate", "100"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "nothing has come yet; Ctrl-C stops\n"
        process.send_signal(signal.SIGINT)
        assert "no sample came from" in process.communicate(timeout=10)[1]
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    with pytest.raises(DataError, match=f"{name} is a serial port: serial:{name} reads it"):
        record(parse_source(name), tmp_path / "out", Wanted(rate=1.0), lambda said: None)
    os.close(ours)
    os.close(theirs)


def test_a_header_whose_beginning_may_be_missing_names_no_channel():
    reader = RowReader()
    cutter = LineCutter(partial=True)
    rows = [reader.row(line) for line in cutter.lines(b"x,ay\n1,2\n3,4\n")]
    assert reader.columns.channel_names == ("c0", "c1")
    assert [row is None for row in rows] == [True, False, False]
    assert reader.counts.cut == 1


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 0), pytest.param(signal.SIGTERM, 0, marks=pytest.mark.slow), (signal.SIGKILL, -9)],
)
def test_nothing_is_lost_by_ctrl_c_and_a_kill_leaves_a_file_that_reads(tmp_path, number, code):
    words = [sys.executable, "-m", "micro.cli", "record", "-", tmp_path / "out", "--rate", "100"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write("x,y\n" + "".join(f"{n},{n}\n" for n in range(500)) + "500,5")
        process.stdin.flush()
        assert "recording to" in process.stdout.readline()
        (path,) = tmp_path.glob("out/*.csv")
        until(lambda: path.read_text().count("\n") == 501)
        process.send_signal(number)
        process.stdin.close()
        assert process.wait() == code
    (path,) = (tmp_path / "out").glob("*.csv")
    assert [row[1] for row in read(path)[1]] == [str(n) for n in range(500)]
    held = json.loads(beside(path).read_text())
    assert (held["ended"] is None) == (number == signal.SIGKILL)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http://a/b", "http is not known"),
        ("udp://127.0.0.1", "has no port"),
        ("udp://0.0.0.0:5005", "may receive from other machines"),
        ("udp://:5005", "names no host"),
        ("udp://127.0.0.1:99999", "Port out of range"),
        ("mqtt://localhost", "must name one topic"),
        ("mqtt://localhost/a/#", "without wildcards"),
        ("mqtt://me:secret@localhost/a", "a name or password cannot stand in the source; give --user"),
        ("serial:", "names no port"),
        ("serial:/dev/x?baud=fast", "baud must be"),
        ("serial:/dev/x?parity=e", "'parity' is no setting"),
    ],
)
def test_a_source_that_is_wrong_is_named_with_what_would_be_right(text, says):
    with pytest.raises(ValueError, match=says) as caught:
        parse_source(text)
    assert "secret" not in str(caught.value)
    assert parse_source("udp://0.0.0.0:5005", anywhere=True).place == "0.0.0.0"


def rig_lines(run, sent=None):
    """Samples of a run's channels as a board sends them with scores, of which that of window `sent` is another."""
    from micro.runs.device import judge
    from micro.runs.firmware import load_firmware

    firmware = load_firmware(run)
    front_end = firmware.front_end
    rng = np.random.default_rng(2)
    samples = np.load(run / "test_vectors.npy")[:3].reshape(-1, front_end.channels)
    samples = np.concatenate([samples, rng.uniform(-6, 6, (5 * front_end.hop, front_end.channels))]).astype(np.float32)
    judged = judge(firmware, samples)
    ends = {front_end.window - 1 + front_end.hop * n: n for n in range(len(judged.faulty))}
    names = [*read_run_channels(run), "status", "score"]
    header = ",".join(("seq", *names, "check"))
    lines = [about(["samples", "scores"], front_end.sample_rate, header), header]
    for number, sample in enumerate(samples):
        n = ends.get(number)
        window = ("", "")
        if n is not None:
            window = (int(judged.statuses[n]), "" if judged.faulty[n] else int(judged.scores[n]) + (n == sent))
        line = ",".join(map(str, (number, *map(repr, map(float, sample)), *window))) + ","
        lines.append(f"{line}{check(line.encode())}")
    return lines, judged, sorted(ends)


def read_run_channels(run):
    return json.loads((run / "report.json").read_text())["data"]["channels"]


def scored(tmp_path, run, lines):
    """What the command line says of lines, and the file of scores."""
    (tmp_path / "sent").write_text("\n".join([*lines, ""]))
    result = invoke("record", tmp_path / "sent", tmp_path / "out", "--run", run, "--scores", tmp_path / "scores.csv")
    return result, read(tmp_path / "scores.csv")[1]


def test_samples_are_scored_as_they_come_and_the_boards_scores_compared(tmp_path, rig_run):
    lines, judged, ends = rig_lines(rig_run)
    result, rows = scored(tmp_path, rig_run, lines)
    assert result.exit_code == 0, result.output
    assert [int(row[0]) for row in rows] == ends
    assert [row[2] for row in rows] == [status.name.lower() for status in judged.statuses]
    assert "alarm" in {row[2] for row in rows}
    assert all(len(row[3].lstrip("-0.").replace(".", "").split("e")[0]) <= 9 for row in rows)
    assert ": alarm, score " in result.stdout or ": alarm" in result.stdout
    assert f"of {(judged.faulty == 0).sum()} of them, and all are as they should be" in result.stdout
    lines, _, _ = rig_lines(rig_run, sent=1)
    result, rows = scored(tmp_path, rig_run, lines)
    assert result.exit_code == 1
    assert [row[4] != "" for row in rows] == [n == 1 for n in range(len(rows))]
    assert "; the board has a score of " in result.stdout


def test_after_a_loss_no_window_spans_it_and_windows_end_where_the_boards_do(tmp_path, rig_run):
    lines, _, ends = rig_lines(rig_run)
    del lines[ends[1] + 10]
    result, rows = scored(tmp_path, rig_run, lines)
    assert "1 sample lost" in result.stdout
    numbers = [int(row[0]) for row in rows]
    assert set(numbers) < set(ends)
    assert numbers[:2] == ends[:2]
    assert numbers[2] - ends[1] - 8 >= ends[0]
    assert "and all are as they should be" in result.stdout


def test_a_source_that_does_not_fit_the_run_is_refused_by_name(tmp_path, rig_run):
    (tmp_path / "sent").write_text("one,two\n1,2\n3,4\n")
    result = invoke("record", tmp_path / "sent", tmp_path / "out", "--rate", "50", "--run", rig_run)
    assert result.exit_code == 2
    assert "the source has one, two, and no " in result.stderr
    assert not (tmp_path / "out").exists()
    names = ",".join(read_run_channels(rig_run))
    (tmp_path / "sent").write_text("\n".join([names, *[",".join("1" * (names.count(",") + 1))] * 3, ""]))
    result = invoke("record", tmp_path / "sent", tmp_path / "out", "--rate", "50", "--run", rig_run)
    assert "samples a second, and the source gives 50" in result.stderr


@pytest.mark.parametrize(
    "decider",
    [
        micro.Detector(None, threshold=20, clear_threshold=10, min_hits=2, history=3, clear_after=2, saturation=99.0),
        micro.Detector(None, threshold=20, clear_threshold=20, saturation=99.0),
        micro.Recognizer(0.1, ("a", "b"), thresholds=(3, 3), min_hits=2, history=4),
        micro.Recognizer(0.1, ("a", "b"), thresholds=(3, 3), min_hits=2, history=3, suppression=4),
    ],
)
def test_windows_that_are_forgotten_change_no_later_result(decider):
    rng = np.random.default_rng(0)
    is_detector = isinstance(decider, micro.Detector)
    scores = rng.integers(0, 30, 600) if is_detector else rng.integers(-1, 2, 600)
    faulty = (rng.random(600) < 0.1) * 2
    results = decide if is_detector else recognize
    expected = results(decider, scores, faulty) if is_detector else results(decider, scores, faulty)[0]
    remembered, most = Remembered(decider), 0
    for score, fault, wanted in zip(scores, faulty, expected):
        seen = np.array([*remembered.windows, score])
        found = results(decider, seen, np.array([*[0] * len(remembered.windows), fault]))
        result = (found if is_detector else found[0])[-1]
        assert result == wanted
        remembered.add(score, result, faulty=bool(fault))
        most = max(most, len(remembered.windows))
    assert most <= 8


@pytest.mark.slow
def test_after_samples_that_the_board_lost_windows_end_where_its_own_do(tmp_path, rig_run):
    lines, _, ends = rig_lines(rig_run)
    header, rows = lines[:2], [line.split(",") for line in lines[2:]]
    # The board began to take samples again, and counted on, so that its windows end elsewhere by number.
    for row in rows:
        row[0] = str(int(row[0]) + 12_345)
    again = [",".join(row[:-1]) + "," for row in rows]
    result, scores = scored(tmp_path, rig_run, [*lines, *(f"{line}{check(line.encode())}" for line in again)])
    assert result.exit_code == 0, result.output
    assert header == lines[:2]
    assert len(scores) > 1.6 * len(ends)
    assert "and all are as they should be" in result.stdout


def test_every_command_has_the_same_time_of_a_window_and_counts_an_alarm_from_its_end(tmp_path, rig_run):
    lines, _, ends = rig_lines(rig_run)
    _, rows = scored(tmp_path, rig_run, lines)
    (file,) = (tmp_path / "out").rglob("*.csv")
    from micro.examination.explain import explain  # TensorFlow comes with it

    one = ("--channel", read_run_channels(rig_run)[0])
    result = invoke("score", rig_run, file, *one, "--out", tmp_path / "score.csv")
    assert result.exit_code == 0, result.output
    header, table = read(tmp_path / "score.csv")
    begin, end = header.index("begin"), header.index("end")
    rate = json.loads((rig_run / "report.json").read_text())["data"]["sample_rate"]
    assert [float(row[end]) for row in table] == pytest.approx([(n + 1) / rate for n in ends], abs=1e-6)
    assert {round((float(row[end]) - float(row[begin])) * rate) for row in table} == {ends[0] + 1}
    # `record` while the samples come, to the millisecond.
    assert [float(row[1]) for row in rows] == pytest.approx([float(row[end]) for row in table], abs=6e-4)
    first = next(float(row[end]) for row in table if row[header.index("alarm")] == "1")
    (tmp_path / "events.csv").write_text(f"file,start,end,label\n{file.name},0,1000,normal\n")
    words = (*one, "--events", tmp_path / "events.csv", "--json")
    tested = json.loads(invoke("test", rig_run, file, *words).stdout)
    assert tested["detector"]["by_alarm"][0]["reported"] == pytest.approx(first, abs=1e-6)
    told = explain(rig_run, file, channel=one[1])
    assert told.seconds.tolist() == pytest.approx([float(row[end]) for row in table], abs=1e-6)
    alarm = told.explained[0]
    assert min(abs(alarm.begin - float(row[begin])) for row in table) < 1e-6
    assert min(abs(alarm.end - float(row[end])) for row in table) < 1e-6


def test_a_row_of_scores_has_its_five_cells_also_where_several_scores_differ():
    file = io.StringIO(newline="")
    write_header(file)
    write_score(file, Scored(9, "healthy", None, differing((1, 2), (1, 3))), 10.0)
    header, row = csv.reader(file.getvalue().splitlines())
    assert len(row) == len(header)
    assert row[:4] == ["9", "1.000", "healthy", ""]
    assert row[4] == "the board has scores of 1, 2 where they should be 1, 3"


@pytest.mark.parametrize("sent", ["", "1,2,3,4,5\n" * 50], ids=["no sample", "other channels"])
def test_what_is_refused_leaves_no_file_of_scores_and_an_earlier_one_as_it_was(tmp_path, rig_run, sent):
    (tmp_path / "sent").write_text(sent)
    (tmp_path / "earlier.csv").write_text("mine")
    typed = ("record", tmp_path / "sent", tmp_path / "out", "--rate", "9", "--run", rig_run, "--scores")
    for scores in (tmp_path / "new" / "scores.csv", tmp_path / "earlier.csv"):
        result = invoke(*typed, scores)
        assert result.exit_code == 2, result.output
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "earlier.csv").read_text() == "mine"
    result = invoke(*typed, tmp_path / "sent" / "s")
    assert "cannot be written" in result.output
    if os.geteuid():  # root may write all files
        (tmp_path / "earlier.csv").chmod(0o444)
        result = invoke(*typed, tmp_path / "earlier.csv")
        assert "it is there already, and protected from writing" in result.output
