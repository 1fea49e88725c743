"""Folders of work: what stands in the way is told in a line and left alone, a full disk loses nothing, locks leave nothing."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import invoke

from micro.cli.again import go_on
from micro.cli.main import main
from micro.config import parse_config
from micro.errors import DataError, RunError
from micro.runs.folder import RunFolder, can_resume, claim_folder, unclaim_folder
from micro.runs.lock import holding, settled
from micro.runs.publish import made_whole, write_folder
from micro.runs.summary import config_from_plain, plain_config
from micro.support.extras import install_command, required
from micro.support.files import json_bytes, write_bytes

TABLE = """
job = "table"
[data]
files = "*.csv"
healthy_files = ["*"]
sample_rate = 100.0
columns = ["{column}"]
[teacher]
sizes = [8, 4, 8]
[student]
sizes = [4]
"""


@pytest.fixture
def table(tmp_path):
    """A config that names a column which its recording does not have."""
    (tmp_path / "a.csv").write_text("x\n" + "\n".join(map(str, range(3000))))
    (tmp_path / "c.toml").write_text(TABLE.format(column="nope"))
    return tmp_path / "c.toml"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("command", [("run",), ("search", "--flash", "4KiB")])
def test_a_start_that_fails_leaves_nothing_in_the_way_of_the_next(table, command):
    before = names(table.parent)
    for out in ("new", "a/new/deep/one"):
        result = invoke(command[0], table, "--out", table.parent / out, *command[1:])
        assert result.exit_code == 2
        assert "a.csv has no column 'nope'; it has x" in result.output
        assert names(table.parent) == before


def test_data_are_read_before_tensorflow_starts(table):
    code = (
        "import sys; from micro.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 2, end.code\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    words = ["run", str(table), "--out", str(table.parent / "new")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "starting TensorFlow" not in done.stderr


@pytest.mark.parametrize("command", ["run", "search", "new-firmware", "monitor"])
def test_places_where_no_folder_can_be_are_named(table, command, monkeypatch):
    folder = table.parent
    (folder / "file").write_text("mine")
    (folder / "loop").symlink_to(folder / "loop")
    for out, says in (
        ("file", "is a file|exists"),
        ("file/below", "lies in .*file, which is a file|exists"),
        ("loop/below", "leads nowhere|is a file"),
    ):
        with pytest.raises(RunError, match=says):
            settled(folder / out, renamed=command != "search")
    monkeypatch.chdir(folder)
    for out in (".", ".."):
        if command != "search":
            with pytest.raises(RunError, match="is the folder that you are in"):
                settled(out)
        else:
            assert settled(out, renamed=False).is_dir()
    assert (folder / "file").read_text() == "mine"


def test_a_link_as_out_is_followed_and_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk" / "rig")
    write_folder(tmp_path / "runs", {"a.txt": b"a"})
    assert (tmp_path / "runs").is_symlink()
    assert (tmp_path / "disk" / "rig" / "a.txt").read_bytes() == b"a"


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a/../../up", "", "."])
def test_no_file_leaves_its_folder(tmp_path, name):
    with pytest.raises(ValueError, match="would leave"):
        write_folder(tmp_path / "fw", {"fine.txt": b"", name: b""})
    assert names(tmp_path) == []


def full_disk(monkeypatch, name):
    """Writing files of a name fails as on a full disk, after their content has begun."""
    plain = os.fsync

    def fsync(descriptor):
        if name in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_full_disk_loses_nothing_and_is_told_in_a_line(tmp_path, monkeypatch):
    out = tmp_path / "rig"
    write_folder(out, {"manifest.json": b"{}", "report.json": b"earlier"})
    folder = RunFolder(out)
    config = json_bytes({"seed": 1})
    full_disk(monkeypatch, "report.json")

    def work():
        with holding(out):
            folder.check(config, resume=False, force=True)
            folder.begin(config, resume=False)
            write_bytes(folder.parts / "teacher.keras", b"taught")
            write_bytes(folder.fresh_whole() / "report.json", b"new")

    with pytest.raises(RunError) as caught:
        work()
    assert str(caught.value).endswith(
        "rig.partial/whole/report.json: No space left on device; what is done is kept: make room and go on with --resume"
    )
    assert (out / "report.json").read_bytes() == b"earlier"
    assert names(tmp_path) == ["rig", "rig.partial"]
    assert names(folder.whole) == []
    assert can_resume(out)
    folder.check(config, resume=True, force=False)  # it replaces the earlier run as it was told to
    with pytest.raises(RunError, match="make room and try again"), made_whole(tmp_path / "fw") as staged:
        write_bytes(staged / "report.json", b"")
    assert names(tmp_path) == ["rig", "rig.partial"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    import filelock

    class Refusing:
        def __init__(self, path):
            pass

        def acquire(self, timeout):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(filelock, "FileLock", Refusing)
    with (
        pytest.raises(RunError, match=r"new/rig: nothing can be written in .*new: Permission denied"),
        holding(tmp_path / "new" / "rig"),
    ):
        pass
    assert names(tmp_path) == []


def test_a_run_that_came_by_itself_is_not_replaced_by_resume(tmp_path):
    folder = RunFolder(tmp_path / "rig")
    config = json_bytes({"seed": 1})
    folder.begin(config, resume=False)
    write_folder(folder.out, {"manifest.json": b"{}"})
    with pytest.raises(RunError, match="holds a run already; choose another --out, or replace it with --force"):
        folder.check(config, resume=True, force=False)
    folder.check(config, resume=True, force=True)


def test_what_a_user_puts_where_a_run_is_being_published_is_not_lost(tmp_path):
    folder = RunFolder(tmp_path / "rig")
    config = json_bytes({"seed": 1})
    folder.begin(config, resume=False)
    write_bytes(folder.fresh_whole() / "manifest.json", b"new")
    write_bytes(folder.mark, b"")
    write_bytes(folder.earlier / "manifest.json", b"earlier")
    write_bytes(folder.out / "thesis.txt", b"years of work")
    for resume in (True, False):
        with pytest.raises(RunError, match="move one away"):
            folder.settle(config, resume=resume)
    assert (folder.earlier / "manifest.json").read_bytes() == b"earlier"
    assert (folder.out / "thesis.txt").read_bytes() == b"years of work"


def test_what_could_not_start_makes_way_and_what_is_not_ours_is_kept(tmp_path):
    out = tmp_path / "small"
    assert claim_folder(out, b"claim", False, "search", "another budget")
    write_bytes(out / "windows" / "a.npy", b"")
    unclaim_folder(out)
    assert names(tmp_path) == []
    write_bytes(out / "mine.txt", b"mine")
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "told.json").write_bytes(b"claim")
    with pytest.raises(RunError, match="holds a search of an earlier version"):
        claim_folder(tmp_path / "earlier", b"claim", True, "search", "another budget")
    with pytest.raises(RunError, match="is not a search's folder"):
        claim_folder(out, b"claim", False, "search", "another budget")


def test_a_model_in_the_fleet_s_folder_is_told_by_the_way_there(tmp_path):
    raw = {
        "job": "rig",
        "teacher": {"family": "autoencoder", "sizes": [8], "path": str(tmp_path / "hall" / "teacher.keras")},
        "student": {"family": "autoencoder", "sizes": [4]},
    }
    config = parse_config(raw, Path())
    out = tmp_path / "hall" / "assets" / "pump"
    plain = plain_config(config, out, tmp_path / "hall")
    assert plain["teacher"]["path"] == "../../teacher.keras"
    assert config_from_plain(plain, out) == config
    assert plain_config(config, out)["teacher"]["path"] == raw["teacher"]["path"]
    moved = config_from_plain(plain, tmp_path / "elsewhere" / "assets" / "pump")
    assert moved.teacher.path == str(tmp_path / "elsewhere" / "teacher.keras")


def test_missing_packages_are_named_with_the_command_that_installs_them_from_the_clone():
    with pytest.raises(RunError, match=r"no_such_package is not installed; install it with: pip install -e "):
        required("no_such_package", "scale")
    root = Path(__file__).parents[1]
    assert str(root) in install_command("scale")
    assert "[scale]" in install_command("scale")


@pytest.mark.parametrize("command", [("search", "--flash", "4KiB"), ("fleet",)])
def test_a_search_or_fleet_without_its_packages_leaves_nothing(tmp_path, monkeypatch, command):
    shared = TABLE.format(column="x")
    (tmp_path / "c.toml").write_text(shared)
    (tmp_path / "f.toml").write_text('config = "c.toml"\n[[asset]]\nname = "a"\n')
    monkeypatch.setitem(sys.modules, "ray", None)
    before = names(tmp_path)
    config = tmp_path / ("f.toml" if command[0] == "fleet" else "c.toml")
    result = invoke(command[0], config, "--out", tmp_path / "out", *command[1:])
    assert result.exit_code == 2
    assert "ray is not installed; install it with: pip install -e" in result.output
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "a b.toml", "--out", "begun", "--force"], "go on with: keras-kd run 'a b.toml' --out begun --resume"),
        (["--debug", "run", "--resume", "--out=begun"], "go on with: keras-kd --debug run --resume --out=begun"),
        (["run", "c.toml", "--out", "new"], "nothing was kept, start again with: keras-kd run c.toml --out new"),
        (["fleet", "f.toml", "--out", "hall"], "go on with: keras-kd fleet f.toml --out hall --resume"),
        (
            ["new-firmware", "rig", "--out", "begun"],
            "nothing was kept, start again with: keras-kd new-firmware rig --out begun",
        ),
        (["nothing", "--out", "begun"], "nothing was kept, start again with: keras-kd nothing --out begun"),
        ([], "nothing was kept, start again with: keras-kd"),
    ],
)
def test_the_advice_after_an_interrupt_is_the_command_that_works(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    RunFolder(tmp_path / "begun").begin(b"{}", resume=False)
    claim_folder(tmp_path / "hall", b"{}", False, "fleet", "")
    assert go_on(main, words) == said


def test_an_interrupt_while_data_are_read_does_not_advise_to_resume_another_run(tmp_path, monkeypatch, table):
    from micro.runs import reading

    def interrupt(config, fold):
        raise KeyboardInterrupt

    monkeypatch.setattr(reading, "prepare", interrupt)
    RunFolder(tmp_path / "rig").begin(b"{}", resume=False)
    result = invoke("run", table, "--out", tmp_path / "rig", "--force")
    assert result.exit_code == 130
    assert "interrupted; nothing was kept, start again with: keras-kd run" in result.output
    assert "--force" in result.output


def test_the_lock_of_a_killed_process_holds_nobody(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from micro.runs.lock import holding\n"
        "with holding(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "rig")], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    with pytest.raises(RunError, match="another keras-kd has been at work on it; wait"), holding(tmp_path / "rig"):
        pass
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    started = time.monotonic()
    with holding(tmp_path / "rig"):
        assert time.monotonic() - started < 5
    assert names(tmp_path) == []


def test_a_config_that_cannot_be_used_names_itself_before_any_folder(tmp_path):
    from micro.runs import start

    config = parse_config(
        {
            "job": "rig",
            "data": {"seconds": 0.01},
            "teacher": {"family": "autoencoder", "sizes": [8]},
            "student": {"family": "autoencoder", "sizes": [4]},
        },
        Path(),
    )
    with pytest.raises(DataError, match="shorter than a window"):
        start.run_pipeline(config, tmp_path / "new")
    assert names(tmp_path) == []
    assert json.loads(json_bytes(plain_config(config, tmp_path)))["job"] == "rig"
