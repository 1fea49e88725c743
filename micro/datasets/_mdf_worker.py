"""The process in which asammdf reads an MDF file.

Its C code ends the process on some damaged files (seen with 8.8), takes as much memory as they declare, and logs. In a process
of its own, none of that reaches the caller. Run as `python _mdf_worker.py FILE FOLDER`; imports nothing of this package. It
writes the file's channels as one line of JSON, reads which of them are wanted from another, and leaves their arrays in FOLDER.
"""

import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

# Exit codes when the library refuses the file, and when it cannot be imported; its message is on standard error.
REFUSED, NO_LIBRARY = 3, 4
# Bytes that the file may take beyond twenty times its own.
PLENTY = 2 << 30


def main(path: str, folder: str) -> None:
    """Answer one request: the header's start, channels by [group, name, number of the group, place], arrays of those wanted."""
    try:
        import asammdf
    except ImportError as error:
        end(error, NO_LIBRARY)
    most = 20 * Path(path).stat().st_size + PLENTY
    limit_memory(most)
    try:
        with asammdf.MDF(path, process_bus_logging=False) as file:
            print(json.dumps({**channels_of(file), "start": start_of(file.header)}), flush=True)
            wanted = json.loads(sys.stdin.readline())
            for group in {group for group, _ in wanted}:
                np.save(f"{folder}/times{group}.npy", np.asarray(file.get_master(group), np.float64))
            for group, place in wanted:
                signal = file.get(group=group, index=place, ignore_invalidation_bits=True)
                np.save(f"{folder}/values{group}_{place}.npy", np.asarray(signal.samples), allow_pickle=False)
                if signal.invalidation_bits is not None and np.any(signal.invalidation_bits):
                    np.save(f"{folder}/invalid{group}_{place}.npy", np.asarray(signal.invalidation_bits, bool))
    except MemoryError:
        end(
            MemoryError(
                f"that takes more than {most:,} bytes of memory; export the channels you need to a smaller file"
            ),
            REFUSED,
        )
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        end(ValueError(f"{said}; the file may be damaged or cut off: export it again"), REFUSED)


def end(error: Exception, code: int) -> NoReturn:
    """Leave with the error's message as the last line of standard error."""
    print(f"\n{' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr, flush=True)
    # At once: on an ordinary way out the library's finalizers complain, and would have the last line.
    os._exit(code)


def channels_of(file: Any) -> dict[str, list[Any]]:
    """Channels that hold rows and have a master, without the masters; and the names of the others."""
    found: dict[str, list[Any]] = {"channels": [], "without_times": [], "without_rows": []}
    for number, group in enumerate(file.groups):
        master = file.masters_db.get(number)
        if not group.channel_group.cycles_nr or master is None:
            kind = "without_times" if group.channel_group.cycles_nr else "without_rows"
            found[kind] += [channel.name for place, channel in enumerate(group.channels) if place != master]
            continue
        called = getattr(group.channel_group, "acq_name", "") or f"group{number}"
        for place, channel in enumerate(group.channels):
            if place != master:
                found["channels"].append((called, channel.name, number, place))
    return found


def start_of(header: Any) -> float | None:
    """When the times of a file are 0, in seconds since 1970, of local time where the header has no other; None if unknown.

    Not by the library's own `start_time`, which is the time of reading where the header holds none.
    """
    if getattr(header, "abs_time", 0):
        return float(header.abs_time / 10**9)
    with contextlib.suppress(AttributeError, ValueError):  # before version 3.2 there is a date alone
        said = f"{header.date.decode('ascii')} {header.time.decode('ascii')}".strip("\0 ")
        return datetime.strptime(said, "%d:%m:%Y %H:%M:%S").replace(tzinfo=UTC).timestamp()
    return None


def limit_memory(most: int) -> None:
    """Let the process take that many bytes beyond those it has."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # no such limits on Windows
        import resource

        with open("/proc/self/statm") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + most, mapped + most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
