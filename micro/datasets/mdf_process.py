"""The other side of `_mdf_worker`: starts the process that reads an MDF file, and says why where it fails."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.datasets._mdf_worker import NO_LIBRARY, REFUSED
from micro.errors import DataError

# How long the process may take.
SECONDS_ALLOWED = 3600


@dataclass(frozen=True)
class MdfChannels:
    """The channels of an MDF file.

    Attributes:
        places: Group and place of each that can be read, by the names of its group and its own.
        without_times: Names of those that have rows and no master channel, which would give their times.
        without_rows: Names of those that hold nothing.
        start: When their times are 0, in seconds since 1970, as the file's header says; None where it does not.
    """

    places: dict[tuple[str, str], tuple[int, int]]
    without_times: list[str]
    without_rows: list[str]
    start: float | None


class Worker:
    """A process that reads an MDF file, and what it answers; see `_mdf_worker`."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        self.late = threading.Event()
        script = Path(__file__).with_name("_mdf_worker.py")
        with (folder / "stderr").open("w") as said:
            # Without -P, modules next to the script would hide others of their names from the library.
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(script), str(path.resolve()), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self.timer = threading.Timer(SECONDS_ALLOWED, self._stop)

    def __enter__(self) -> Worker:
        self.timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.timer.cancel()
        self.process.kill()
        self.process.communicate()

    def channels(self) -> MdfChannels:
        """What channels there are."""
        assert self.process.stdout is not None
        answer = self.process.stdout.readline()
        if not answer:
            self._finish()
        said = json.loads(answer)
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for called, name, group, place in said["channels"]:
            key = (called, name)
            while key in found:
                key = (f"{key[0]}.{group}.{place}", name)
            found[key] = (group, place)
        return MdfChannels(found, said["without_times"], said["without_rows"], said["start"])

    def read(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Have the arrays of channels read."""
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate(json.dumps(list(wanted)) + "\n")
        self._finish()

    def array(self, name: str) -> np.ndarray:
        """An array that was read."""
        return np.asarray(np.load(self.folder / f"{name}.npy", allow_pickle=False))

    def has(self, name: str) -> bool:
        """Whether there is such an array."""
        return (self.folder / f"{name}.npy").exists()

    def _stop(self) -> None:
        self.late.set()
        self.process.kill()

    def _finish(self) -> None:
        code = self.process.wait()
        if code:
            raise DataError(f"{self.path} cannot be read as MDF: {self._why(code)}")

    def _why(self, code: int) -> str:
        """Why the process ended with a code other than 0."""
        lines = (self.folder / "stderr").read_text(errors="replace").strip().splitlines()
        said = lines[-1][:200] if lines else ""
        if self.late.is_set():
            return f"it took longer than {SECONDS_ALLOWED:,} s; export the channels you need to a smaller file"
        if code == NO_LIBRARY:
            return f"its library asammdf cannot be imported: {said}"
        if code == REFUSED:
            return said
        # Windows has no signals: codes there are never below 0.
        ended = signal.Signals(-code).name if code < 0 else None
        if ended == "SIGKILL":
            return "the process that reads it was killed, as happens where memory runs out"
        if ended is not None:
            return f"it makes the library that reads it crash ({ended}): it is damaged"
        return f"the process that reads it ended with exit code {code}: {said}"
