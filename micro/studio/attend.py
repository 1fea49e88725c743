"""Runs one command and notes how it ended: a program of its own, so that jobs outlive the studio and its browser.

Called with the file to write and the command. Imports nothing of this project, so that it takes little memory beside a run.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time


def attend(note: str, command: list[str]) -> int:
    """Run a command; its exit code, which is also noted with the time and its peak memory in KiB."""
    # A shell that starts the studio in the background has SIGINT ignored, which would be passed on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    child = subprocess.Popen(command)
    # What stops the command is sent to the whole group: this program has to be there when it ends.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: None)
    code = child.wait()
    ended = {
        "code": code if code >= 0 else 128 - code,
        "ended": time.time(),
        "peak_kib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
    }
    with open(f"{note}.new", "w", encoding="utf-8") as file:
        json.dump(ended, file)
    os.replace(f"{note}.new", note)
    return code


if __name__ == "__main__":
    sys.exit(attend(sys.argv[1], sys.argv[2:]))
