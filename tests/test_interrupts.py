"""An interrupt ends the work wherever it is met, also where Python ignores exceptions."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

IGNORED_IN = {
    "a hook of a fork": "os.register_at_fork(after_in_parent=meet)\nif os.fork() == 0: os._exit(0)",
    "a finalizer": "class Held:\n    def __del__(self): meet()\nheld = Held()\ndel held",
    "a weak reference's callback": "class Held: pass\nheld = Held()\nseen = weakref.ref(held, lambda _: meet())\ndel held",
}


@pytest.mark.parametrize("place", IGNORED_IN)
@pytest.mark.parametrize(("number", "expected"), [("SIGTERM", "Terminated"), ("SIGINT", "KeyboardInterrupt")])
def test_an_interrupt_that_python_ignores_comes_once_more(place, number, expected):
    body = "\n".join(f"        {line}" for line in IGNORED_IN[place].splitlines())
    done = _run(
        "import os, signal, time, weakref\n"
        "from micro.support.interrupts import ended_by_sigterm\n"
        # A shell ignores SIGINT for what it runs in the background.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"def meet(): os.kill(os.getpid(), signal.{number}); time.sleep(0.001)\n"
        "try:\n"
        "    with ended_by_sigterm():\n"
        f"{body}\n"
        "        time.sleep(30)\n"
        "        print('never')\n"
        "except KeyboardInterrupt as interrupt: print(type(interrupt).__name__)"
    )
    assert (done.stdout, done.stderr, done.returncode) == (f"{expected}\n", "", 0)


def test_other_ignored_exceptions_are_still_told():
    done = _run(
        "from micro.support.interrupts import ended_by_sigterm\n"
        "class Held:\n"
        "    def __del__(self): raise ValueError('shut')\n"
        "with ended_by_sigterm():\n"
        "    held = Held(); del held\n"
        "print('done')"
    )
    assert done.stdout == "done\n"
    assert "ValueError: shut" in done.stderr


def test_sigterm_while_ray_starts_its_processes_leaves_nothing():
    pytest.importorskip("ray")
    folder = Path(tempfile.mkdtemp(prefix="kd-", dir="/tmp"))  # short, as the paths of sockets must be
    done = _run(
        "import os, signal, tempfile; from micro.errors import Terminated\n"
        "from micro.support.workers import cluster\n"
        f"tempfile.tempdir = {str(folder)!r}\n"
        "met = []\n"
        "def meet():\n"
        "    if not met: met.append(1); os.kill(os.getpid(), signal.SIGTERM)\n"
        "os.register_at_fork(after_in_parent=meet)\n"
        "try:\n"
        "    with cluster(1): print('ran' if not met else 'started')\n"
        "except Terminated: print('ended')"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("ended\n", "", 0)
    assert list(folder.iterdir()) == []
    folder.rmdir()


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
