"""The C of a fitted estimator: its files alone, or a firmware project around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np

from micro.aot.generate import static_files
from micro.detection.recognizer import Recognizer
from micro.emission.c_array import write_sources
from micro.emission.c_text import render
from micro.firmware.boards import BOARDS
from micro.firmware.layout import FOLDER, INTERPRETER, Runtime
from micro.firmware.project import SELF_TEST_VALUES, SELF_TEST_WINDOWS, project_files, stage_files
from micro.runs.firmware import Firmware
from micro.runs.kept_windows import self_test_windows
from micro.runs.publish import write_folder
from micro.support.files import sha256
from micro.tflite.graph import read


def files_of(firmware: Firmware, kept: np.ndarray, name: str, board: str | None, runtime: Runtime) -> dict[str, bytes]:
    """Contents of files by path: front end, last stage and static C, or with a board a project.

    Raises:
        ValueError: For an unknown board or runtime, or a name that is no C identifier.
    """
    if runtime not in get_args(Runtime):
        raise ValueError(f"runtime must be one of {', '.join(get_args(Runtime))}, got {runtime!r}")
    if board is not None:
        if board not in BOARDS:
            raise ValueError(f"board must be one of {', '.join(BOARDS)}, got {board!r}")
        count = min(len(kept), max(1, min(SELF_TEST_WINDOWS, SELF_TEST_VALUES // kept[0].size)))
        classes = firmware.decider.class_names if isinstance(firmware.decider, Recognizer) else ()
        return project_files(firmware, self_test_windows(firmware, kept, count), name, board, runtime, classes)
    if runtime != "static":
        raise ValueError(f"runtime {runtime!r} is for a project: name a board")
    made = stage_files(firmware, read(firmware.tflite), sha256(firmware.tflite), name)
    stage = "recognizer" if isinstance(firmware.decider, Recognizer) else "detector"
    file, template = INTERPRETER["static"]
    glue = render(f"common/{template}", {"name": name, "stage": stage, "hops": False}, FOLDER).encode()
    return made | static_files(firmware.tflite, name) | {f"{name}_{file}": glue}


def write(directory: str | Path, files: Mapping[str, bytes], board: str | None) -> tuple[Path, ...]:
    """Write them: a project into a folder that is new or empty, files alone over earlier ones."""
    return write_sources(directory, files) if board is None else write_folder(directory, files)
