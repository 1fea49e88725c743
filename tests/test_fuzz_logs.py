"""Logs in any legal layout give exactly their scores and sessions; damaged ones give an answer or one line of error."""

import json
import random
import re

import numpy as np
import pytest
from support import invoke

import micro
from micro.monitoring.log import read_log
from micro.support.wording import excerpt

UNIT = 0.25
STAMPS = (
    "",
    "12:03:{:02}.250 -> ",
    "[2026-11-25 12:03:{:02}] ",
    "2026-11-25T12:03:{:02}Z ",
    "[17641.{:02}] ",
    "12:03:{:02},",
)
CHATTER = (
    "ets Jul 29 2019 12:21:46",
    "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)",
    "*** Booting Zephyr OS build v3.7.0 ***",
    "load:0x3fff0030,len:1184",
    "\0\0\0",
    "self-test: pass",
    "",
)


def sessions_of(rng, features):
    """Sessions as a log should give them back: names, scores in integers of the device, None for a fault, and features."""
    names = [f"{n}" for n in range(rng.randint(1, 5))]
    return [
        (
            name,
            [
                (None if rng.random() < 0.1 else rng.randint(0, 10**9), [rng.randint(-128, 127) for _ in features])
                for _ in range(rng.randint(1, 30))
            ],
        )
        for name in names
    ]


def csv_text(rng, sessions, features):
    """The sessions in one of many layouts: order of columns, separators, decimal commas, quotes, line ends, times, restarts."""
    separator = rng.choice(",;\t|")
    comma = separator != "," and rng.random() < 0.5
    raw = rng.random() < 0.5
    both = rng.random() < 0.2
    quoted = rng.random() < 0.2
    columns = ["session", *(["raw_score"] if raw or both else []), *([] if raw and not both else ["score"])]
    columns += [f"f{k}" for k in features] + rng.sample(["status", "temperature", "note", "seconds"], rng.randint(0, 3))
    rng.shuffle(columns)
    stamp = rng.choice(STAMPS)
    restarts = rng.random() < 0.5
    title = rng.choice((str, str.upper, lambda name: f" {name} "))

    def line(cells):
        cells = [f'"{cell}"' for cell in cells] if quoted else cells
        return stamp.format(rng.randint(0, 59)) + separator.join(cells)

    header = line([title(column) for column in columns])
    lines = [*(rng.sample(CHATTER, 3) if rng.random() < 0.3 else []), header]
    for number, (name, rows) in enumerate(sessions):
        if restarts and number:
            lines += [*(rng.sample(CHATTER, 2) if rng.random() < 0.5 else []), header]
        for score, values in rows:
            real = "" if score is None else repr(score * UNIT).replace(".", "," if comma else ".")
            cells = {
                "session": name,
                "raw_score": "" if score is None else str(score),
                "score": real,
                "note": "a b",
                "status": "ok",
            }
            cells |= {"temperature": "21", "seconds": "7"} | {f"f{k}": str(value) for k, value in zip(features, values)}
            lines.append(line([cells[column] for column in columns]))
            if rng.random() < 0.02:
                lines.append("")
    ending = rng.choice(("\n", "\r\n"))
    text = ending.join(lines) + rng.choice(("", ending))
    return text.encode(rng.choice(("utf-8", "utf-8-sig", "utf-16")))


def json_text(rng, sessions, features):
    raw = rng.random() < 0.5
    lines = []
    for name, rows in sessions:
        for score, values in rows:
            row = {"session": rng.choice((name, int(name))), ("raw_score" if raw else "score"): score}
            if score is not None and not raw:
                row["score"] = score * UNIT
            if score is not None or rng.random() < 0.5:
                row |= {f"f{k}": value for k, value in zip(features, values)}
            items = list(row.items())
            rng.shuffle(items)
            lines.append(json.dumps(dict(items)))
    return ("\n".join(lines) + "\n").encode()


def check_layout(folder, seed):
    rng = random.Random(seed)
    features = sorted(rng.sample(range(40), rng.choice((0, 0, 1, 3))))
    sessions = sessions_of(rng, features)
    text = (json_text if rng.random() < 0.3 else csv_text)(rng, sessions, features)
    (folder / "log").write_bytes(text)
    expected = [
        (name, [(score * UNIT, values) for score, values in rows if score is not None]) for name, rows in sessions
    ]
    expected = [(name, rows) for name, rows in expected if rows]
    if not expected:
        return
    log = read_log(folder / "log", UNIT, 24)
    assert log.names == tuple(name for name, _ in expected), text[:400]
    for found, (_, rows) in zip(log.sessions, expected, strict=True):
        np.testing.assert_array_equal(found, [score for score, _ in rows])
    assert log.columns == (tuple(features) if features else ())
    for found, (_, rows) in zip(log.features, expected, strict=True):
        np.testing.assert_allclose(found, np.mean([values for _, values in rows], axis=0), atol=1e-9)
    assert log.faults == sum(score is None for _, rows in sessions for score, _ in rows)


def test_a_log_in_any_legal_layout_gives_its_scores_and_sessions(tmp_path):
    for seed in range(40):
        check_layout(tmp_path, seed)


@pytest.mark.slow
def test_many_layouts_give_their_scores_and_sessions(tmp_path):
    for seed in range(1000, 3000):
        check_layout(tmp_path, seed)


TOKENS = (
    b"\0",
    b"\xff\xfe",
    b"1e999",
    b"nan",
    b"-inf",
    b"9" * 500,
    b'"',
    b",",
    b";",
    b"\n",
    b"\r",
    b"[" * 5000,
    b'{"score":',
    b"score,",
    b"0,5",
)


def damaged(rng):
    """A log of good layout with some of its bytes cut, flipped, moved or put in."""
    features = sorted(rng.sample(range(8), rng.choice((0, 2))))
    sessions = sessions_of(rng, features)
    text = bytearray((json_text if rng.random() < 0.4 else csv_text)(rng, sessions, features))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(max(1, len(text)))
        match rng.randrange(6):
            case 0:
                del text[at:]
            case 1:
                text[at : at + 1] = bytes([rng.randrange(256)])
            case 2:
                text[at:at] = rng.choice(TOKENS)
            case 3:
                del text[at : at + rng.randint(1, 40)]
            case 4:
                lines = bytes(text).split(b"\n")
                rng.shuffle(lines)
                text = bytearray(b"\n".join(lines))
            case 5:
                text += (csv_text if rng.random() < 0.5 else json_text)(rng, sessions, [])
    return bytes(text)


def check_damage(folder, seed):
    text = damaged(random.Random(seed))
    (folder / "log").write_bytes(text)
    try:
        log = read_log(folder / "log", UNIT, 24)
    except micro.DataError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert len(said.splitlines()) == 1, said
        assert len(said) < 600, said
        return "refused"
    assert all(np.isfinite(scores).all() and len(scores) for scores in log.sessions)
    assert np.isfinite(log.features).all()
    assert len(log.sessions) == len(log.names) == len(set(log.names)) == len(log.features)
    return "read"


def test_damaged_logs_are_read_or_refused_in_one_line(tmp_path):
    outcomes = [check_damage(tmp_path, seed) for seed in range(60)]
    assert {"read", "refused"} == set(outcomes)


@pytest.mark.slow
def test_many_damaged_logs_are_read_or_refused_in_one_line(tmp_path):
    outcomes = [check_damage(tmp_path, seed) for seed in range(1000, 4000)]
    assert {"read", "refused"} == set(outcomes)


@pytest.mark.slow
def test_damaged_logs_on_the_command_line_end_in_one_line(rig_run, tmp_path):
    for seed in range(300):
        (tmp_path / "log").write_bytes(damaged(random.Random(10_000 + seed)))
        result = invoke("monitor", rig_run, tmp_path / "log")
        assert result.exit_code in (0, 1, 2), result.exception
        assert result.exit_code != 2 or result.output.count("\n") == 1, result.output


def test_an_excerpt_is_short_and_on_one_line():
    rng = random.Random(0)
    for _ in range(100):
        text = "".join(
            chr(rng.choice((10, 13, 0, 34, 0x2028, rng.randrange(0xD800)))) for _ in range(rng.randrange(200))
        )
        assert len(excerpt(text).splitlines()) == 1
        assert len(re.sub(r"\\(x..|u....|U........|.)", "?", excerpt(text))) <= 62
