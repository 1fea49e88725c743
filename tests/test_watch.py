"""`--watch` of fleets and searches: what is read while it is written, what is said of it, and that it changes nothing."""

import io
import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from configs import rig, toml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from support import invoke

from micro.cli import terminal, watch_search
from micro.cli.watch import header, watching
from micro.cli.watch_fleet import fleet_view, machine_in_words, watching_fleet
from micro.cli.watch_search import candidate_in_words, search_view, watching_search
from micro.explore.search_lines import SearchTeller, fraction_of
from micro.explore.study import Candidate
from micro.fleet.following import Followed, progress_file
from micro.fleet.results import AssetResult
from micro.runs.folder import RunFolder
from micro.runs.progress_lines import Epoch, ProgressLine, Teller
from micro.runs.progress_reading import Place, end_of, parsed, read_on

LOSSES = {"loss": 0.25, "val_loss": 0.5}


def epoch_line(number=1, epochs=9, model="student", remaining=None, fraction=0.5):
    epoch = Epoch(model, 0, number, epochs, LOSSES)
    return ProgressLine(f"seed 0: training {model}", fraction, 3.0, remaining, epoch)


def wrote(place, *epochs):
    """What a call writes of epochs into a progress file."""
    teller = Teller()
    place.parent.mkdir(parents=True, exist_ok=True)
    teller.opened(place)
    teller.planned({"student": 9}, 1)
    for number in epochs:
        teller.tick("training student", 1, Epoch("student", 0, number, 9, LOSSES))


def numbers(lines):
    return [line.epoch.epoch for line in lines if line.epoch is not None]


@given(st.lists(st.integers(0, 400), max_size=8), st.integers(1, 6))
def test_a_file_read_while_it_grows_gives_each_whole_line_once_in_order(tmp_path_factory, cuts, count):
    """However the writing is cut into pieces, in the middle of lines and of letters."""
    file = tmp_path_factory.mktemp("grows") / "progress.jsonl"
    lines = [replace(epoch_line(n + 1), stage=f"größer {n}") for n in range(count)]
    content = "".join(f"{json.dumps(json.loads(line.to_json()), ensure_ascii=False)}\n" for line in lines).encode()
    places = sorted({*(cut % len(content) for cut in cuts), len(content)})
    found, place = [], Place()
    for start, stop in zip([0, *places], places, strict=False):
        with file.open("ab") as opened:
            opened.write(content[start:stop])
        more, place = read_on(file, place)
        found += more
    assert [replace(line, left={}) for line in found] == lines
    assert read_on(file, place) == ([], place)


def test_lines_of_earlier_calls_are_passed_over_and_a_line_cut_off_by_a_kill_is_no_line(tmp_path):
    file = tmp_path / "progress.jsonl"
    wrote(file, 1, 2)
    with file.open("a") as opened:
        opened.write('{"state": "running", "stage": "seed 0')  # killed here
    before = end_of(file)
    assert read_on(file, before) == ([], before)
    wrote(file, 3)
    lines, place = read_on(file, before)
    assert numbers(lines) == [3]
    assert numbers(read_on(file)[0]) == [1, 2, 3]
    assert numbers(read_on(file, most=1)[0]) == [3]
    # Another call from the beginning, in a folder of its own, where the earlier one was discarded.
    shutil.rmtree(tmp_path)
    assert read_on(file, place) == ([], Place())
    wrote(file, 1)
    assert numbers(read_on(file, place)[0]) == [1]
    # And one whose file is there again before anybody has looked.
    file.rename(tmp_path / "gone")
    wrote(file, 1, 2, 3, 4, 5)
    assert numbers(read_on(file, end_of(tmp_path / "gone"))[0]) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", '"a"', "[" * 100_000, "{}", '{"stage": 3, "fraction": 1}', '{"stage": "a", "fraction": "b"}']
    + ['{"stage": "a", "fraction": NaN}', f'{{"stage": "a", "fraction": 1{"0" * 400}}}'],
)
def test_what_is_no_line_of_progress_is_none(text):
    assert parsed(text) is None


def test_a_line_is_read_as_it_was_written():
    for line in (
        epoch_line(remaining=7.5),
        ProgressLine("failed", 0.25, 3.0, None, None, "failed", "no data", {"student": 3}),
        ProgressLine("done", 1.0, 3.0, 0.0, None, "done"),
    ):
        assert parsed(line.to_json()) == line
    assert parsed('{"stage": "a", "fraction": 0.5, "epoch": 2, "losses": {"loss": null, "x": []}}').epoch.losses == {}


class Clock:
    """Seconds that a test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def followed(out, *assets, workers=2):
    clock, lines = Clock(), []
    return clock, lines, Followed(assets, out, workers, lines.append, clock)


def test_a_fleets_machines_are_told_of_line_by_line_whatever_their_folders_do(tmp_path):
    files = {name: progress_file(tmp_path, name) for name in ("a", "b", "c")}
    wrote(files["a"], 1, 2, 3)  # of an earlier call
    clock, lines, fleet = followed(tmp_path, "a", "b", "c")
    fleet.begun("a")
    fleet.begun("b")
    fleet.look()
    assert [(line.asset, line.line) for line in lines] == [("a", None), ("b", None)]
    wrote(files["a"], 4)
    wrote(files["b"], 1)
    fleet.look()
    fleet.look()
    assert [(line.asset, line.line.epoch.epoch) for line in lines[2:]] == [("a", 4), ("b", 1)]
    # Published: the folder with the file is renamed, and gone. The end is told once, whether the last line was seen or not.
    with files["a"].open("a") as file:
        file.write(ProgressLine("done", 1.0, 3.0, 0.0, None, "done").to_json() + "\n")
    fleet.look()
    assert len(lines) == 4
    folder = RunFolder(tmp_path / "assets" / "a")
    folder.fresh_whole()
    folder.publish()
    assert not files["a"].exists()
    clock.now = 30.0
    fleet.ended(AssetResult("a", "done", verdict="good"))
    assert machine_in_words(lines[-1]) == "a: done: good; 1 of 3 machines, about 30 s left"
    # A worker is killed in the middle of a line, and another goes on.
    with files["b"].open("a") as file:
        file.write('{"stage": "tr')
    fleet.look()
    wrote(files["b"], 2)
    fleet.look()
    assert lines[-1].line.epoch.epoch == 2
    fleet.begun("c")
    fleet.ended(AssetResult("b", "failed", error="no data"))
    assert machine_in_words(lines[-1]).startswith("b: failed: no data; 2 of 3 machines, about")
    fleet.ended(AssetResult("c", "done", verdict="doubtful"))
    assert machine_in_words(lines[-1]) == "c: done already: doubtful; 3 of 3 machines"


def test_the_time_left_is_by_what_runs_say_and_by_what_machines_took(tmp_path):
    clock, lines, fleet = followed(tmp_path, *"abcde")
    file = progress_file(tmp_path, "a")
    fleet.begun("a")
    assert lines[-1].remaining is None
    clock.now = 10.0
    file.parent.mkdir(parents=True)
    file.write_text(epoch_line(remaining=30.0).to_json() + "\n")
    fleet.look()
    # 30 s of this one and 4 of 40 s, two at a time.
    assert (lines[-1].elapsed, lines[-1].remaining) == (10.0, pytest.approx((30 + 4 * 40) / 2))
    clock.now = 50.0
    fleet.ended(AssetResult("a", "done"))
    assert lines[-1].remaining == pytest.approx(4 * 50 / 2)
    # Those that an earlier call has done take no time.
    for name in "bcde":
        (tmp_path / "assets" / name).mkdir()
        (tmp_path / "assets" / name / "manifest.json").write_text("{}")
    file.unlink()
    clock, lines, fleet = followed(tmp_path, *"abcde")
    fleet.begun("b")
    fleet.begun("a")
    file.write_text(epoch_line(remaining=30.0).to_json() + "\n")
    fleet.look()
    assert lines[-1].remaining == 30.0


def test_nobody_is_told_and_nothing_is_read_where_nobody_watches(tmp_path):
    fleet = Followed(["a"], tmp_path / "missing", 1, None)
    fleet.begun("a")
    fleet.ended(AssetResult("a", "done"))
    assert fleet.looking is None


DONE = Candidate(3, "done", {"bands": 8, "teacher_share": 0.4}, {"flash": 2048, "ram": 900, "macs": 1500}, (0.8,), 0.9)


@pytest.mark.parametrize(("trained", "percent"), [(0, 0.1), (2, 0.475), (4, 0.85), (9, 0.85)])
def test_a_search_that_goes_on_with_fewer_trials_is_not_more_than_done(trained, percent):
    assert fraction_of(trained, 4) == pytest.approx(percent)


def test_a_search_tells_of_the_best_so_far_and_of_the_time_left():
    clock, lines = Clock(), []
    search = SearchTeller(4, lines.append, clock)
    clock.now = 100.0
    own = replace(DONE, number=-1, choice={}, score=0.7)
    search.begin(own, [replace(DONE, number=0, score=0.95), replace(DONE, number=1, state="stopped", score=None)])
    assert (lines[-1].best.number, lines[-1].trained, lines[-1].remaining) == (0, 2, None)
    clock.now = 110.0
    search.tell(replace(DONE, number=2, state="infeasible", score=None))
    assert (lines[-1].trained, lines[-1].remaining) == (2, None)
    clock.now = 120.0
    search.tell(DONE)
    # One more candidate and two seeds of four finalists, of 20 s each.
    assert (lines[-1].trained, lines[-1].remaining, lines[-1].elapsed) == (3, 9 * 20.0, 120.0)
    assert lines[-1].fraction == pytest.approx(0.1 + 0.75 * 3 / 4)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "candidate 3: score 0.9000; 2,048 bytes of flash, 900 of RAM, 1,500 MACs; bands 8, teacher share 0.4;"),
        ({"accuracy": 0.5}, "candidate 3: score 0.9000, accuracy 0.5000; 2,048"),
        (
            {"state": "stopped", "score": None},
            "candidate 3: stopped at 0.8000, as others were better at no more cost; ",
        ),
        ({"state": "infeasible", "score": None, "epoch_scores": ()}, "candidate 3: does not fit, never trained; 2,048"),
        ({"state": "infeasible"}, "candidate 3: does not fit after training; 2,048"),
        ({"state": "failed", "costs": {}, "error": "no"}, "candidate 3: failed: no; bands 8"),
        ({"number": -1, "choice": {}}, "the config's own student: score 0.9000; 2,048"),
    ],
)
def test_what_became_of_a_candidate_is_a_line(changes, says):
    lines = []
    search = SearchTeller(2, lines.append)
    search.begin(replace(DONE, number=9, score=0.95), ())
    search.tell(replace(DONE, **changes))
    said = candidate_in_words(lines[-1])
    assert said.startswith(says), said
    assert "; best so far candidate 9, 0.9500" in said
    assert "\n" not in said


@pytest.mark.parametrize("width", [80, 120])
def test_views_fit_their_terminal_and_break_no_row(tmp_path, width):
    _, lines, fleet = followed(tmp_path, *(f"pump-in-the-hall-{n}-of-the-long-building" for n in range(30)))
    for name in fleet.assets:
        fleet.begun(name)
    fleet.ended(AssetResult(fleet.assets[7], "failed", error="x" * 300))
    fleet.ended(AssetResult(fleet.assets[8], "done", verdict="inconclusive"))
    latest = {line.asset: replace(line, line=line.line or epoch_line(120, 1200, remaining=9999.0)) for line in lines}
    candidates = []
    search = SearchTeller(400, candidates.append)
    search.begin(replace(DONE, number=-1, accuracy=0.9), ())
    choice = dict.fromkeys(("bottleneck", "kernel", "scales", "sparsity", "stride", "temperature"), 0.123456)
    for number in range(100, 130):
        search.tell(replace(DONE, number=number, accuracy=0.5, choice=choice))
    console = Console(width=width, height=24, record=True, file=io.StringIO())
    for view in (
        fleet_view(sorted(latest.values(), key=lambda line: line.state), 4000.0, 12),
        search_view("training candidates", 0.5, candidates, "1 h 20 min so far, about 1 h 20 min left", 12),
        header(1.0, "10 of 10 machines, 1 h 20 min so far, about 1 h 20 min left"),
    ):
        console.print(view)
        shown = console.export_text().splitlines()
        assert all(len(line.rstrip()) <= width for line in shown)
        assert len(shown) <= 18, shown


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_on_a_terminal_views_are_drawn_again_and_an_interrupt_leaves_the_cursor_as_it_was(
    tmp_path, monkeypatch, capsys, term
):
    """A terminal that cannot be drawn on gets lines."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", term)
    drawn = term != "dumb"

    def interrupted(watched, work):
        with watched() as see:
            work(see)
            raise KeyboardInterrupt

    def fleets(see):
        fleet = Followed(["a", "b"], tmp_path, 2, see)
        fleet.begun(None)
        fleet.begun("a")
        fleet.begun("b")
        fleet.ended(AssetResult("a", "failed", error="no data"))

    def searches(both):
        both[0]("training the teacher", 0.02)
        search = SearchTeller(4, both[1])
        search.begin(replace(DONE, number=-1, choice={}), ())

    def runs(see):
        see(epoch_line(2))

    for watched, work, says in (
        (watching_fleet, fleets, "a: failed: no data"),
        (watching_search, searches, "the config's own student"),
        (watching, runs, "training student"),
    ):
        with pytest.raises(KeyboardInterrupt):
            interrupted(watched, work)
        out, err = capsys.readouterr()
        assert out == ""
        assert says in err
        assert ("\x1b[?25l" in err) == drawn
        assert err.count("\x1b[?25l") == err.count("\x1b[?25h"), "the cursor is hidden still"


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    (folder / "shared.toml").write_text(toml(rig(seed=4)))
    tables = '[[asset]]\nname = "pump-1"\n[[asset]]\nname = "fan-3"\ndata = {seconds = 0.05}\n'
    (folder / "fleet.toml").write_text(f'config = "shared.toml"\nteacher_assets = 1\n{tables}')
    return folder / "fleet.toml"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_watched_fleet_says_each_epoch_and_ends_and_goes_on_as_any_other(tmp_path, assets):
    out = tmp_path / "hall"
    result = invoke("fleet", assets, "--out", out, "--watch", "--json")
    assert result.exit_code == 1, result.output  # one machine is broken
    assert {row["state"] for row in json.loads(result.stdout)["rows"]} == {"done", "failed"}
    lines = result.stderr.splitlines()
    for name, model in (("shared teacher", "the shared teacher"), ("pump-1", "student")):
        said = [line for line in lines if re.match(rf"{name}: +\d+%  .*training {model}, epoch", line)]
        assert [int(re.search(r"epoch (\d)", line)[1]) for line in said] == [1, 2, 3], lines
        assert all("loss 0." in line or "loss 1." in line for line in said)
        assert all(", validation loss " in line for line in said)
    assert sum(line.startswith("fan-3: failed: 0.05 s at 12800 Hz are shorter than a window") for line in lines) == 1
    assert any(re.match(r"pump-1: done: \w+; \d of 2 machines", line) for line in lines)
    assert {line.split(":")[0] for line in lines} == {"shared teacher", "pump-1", "fan-3"}
    assert not list(out.rglob("*progress*"))
    again = invoke("fleet", assets, "--out", out, "--watch", "--resume")
    assert again.exit_code == 1
    ended = {line.split(";")[0] for line in again.stderr.splitlines()}
    grade = json.loads(result.stdout)["rows"][0]["verdict"]
    assert f"pump-1: done already: {grade}" in ended
    assert "keras-kd fleet" in again.stdout
    assert "--watch" in again.stdout.split("After fixing them: ")[1].splitlines()[0]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_watched_fleet_that_is_interrupted_ends_in_one_line(tmp_path, assets):
    out = tmp_path / "hall"
    command = [sys.executable, "-m", "micro.cli", "fleet", str(assets), "--out", str(out), "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
        while (first := driver.stderr.readline()) and "epoch" not in first:
            pass
        driver.send_signal(signal.SIGINT)
        said, errors = driver.communicate()
    *_, last = errors.splitlines()
    assert (driver.returncode, said) == (130, "")
    assert last == f"Error: interrupted; go on with: keras-kd fleet {assets} --out {out} --watch --resume"
    assert [line for line in errors.splitlines() if "Traceback" in line] == []


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_watched_search_says_each_candidate_and_finds_the_same(tmp_path):
    raw = rig(seed=5, seeds=1, features={"bands": 8}, teacher={"sizes": [32, 8, 32]}, student={"sizes": [8, 4, 8]})
    (tmp_path / "rig.toml").write_text(toml(raw))
    results, journals = [], []
    for folder, more in (("plain", ()), ("watched", ("--watch",))):
        (tmp_path / folder).mkdir()
        arguments = (
            "search",
            tmp_path / "rig.toml",
            "--out",
            tmp_path / folder / "s",
            "--flash",
            "4KiB",
            "--trials",
            "2",
        )
        done = invoke(*arguments, "--json", *more)
        assert done.exit_code == 0, done.output
        results.append(json.loads(done.stdout.replace(str(tmp_path / folder), "")))
        rows = [json.loads(line) for line in (tmp_path / folder / "s" / "study.jsonl").read_text().splitlines()]
        journals.append([{k: v for k, v in row.items() if "datetime" not in k and k != "worker_id"} for row in rows])
    assert results[0] == results[1]
    assert journals[0] == journals[1]
    lines = done.stderr.splitlines()
    assert all(re.match(r" *\d+%  \S", line) for line in lines), lines
    for row in results[1]["candidates"]:
        name = "the config's own student" if row["number"] == -1 else f"candidate {row['number']}"
        (said,) = (line for line in lines if line[6:].startswith(f"{name}: "))
        assert f"{row['costs']['flash']:,} bytes of flash" in said
        assert ("never trained" in said) == (row["state"] == "infeasible" and not row["epoch_scores"])
        if row["state"] == "done":
            assert f"score {row['score']:.4f}" in said
    assert any("training the finalists again, 1 of" in line for line in lines)


def test_no_time_is_left_beside_100_percent(capsys, monkeypatch):
    clock = Clock()
    for module in (terminal, watch_search):
        monkeypatch.setattr(module.time, "monotonic", clock)
    lines = []
    search = SearchTeller(1, lines.append, clock)
    search.begin(replace(DONE, number=-1, choice={}), ())
    clock.now = 20.0
    search.tell(DONE)
    seen = watch_search._Seen()
    seen.echo_candidate(lines[-1])
    seen.echo_stage("training the finalists again", 0.86)
    seen.echo_stage("done", 1.0)
    with terminal.progress(True) as tell:
        for fraction in (0.0, 0.5, 0.996, 1.0):
            tell(f"stage {fraction}", fraction)
            clock.now += 20.0
    said = capsys.readouterr().err.splitlines()
    assert any("left" in line for line in said if not line.startswith("100%"))
    assert [line for line in said if line.startswith("100%")] == ["100%  done", "100%  stage 0.996", "100%  stage 1.0"]
