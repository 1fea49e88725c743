"""A run on text as firmware has it: characters in, symbols out, without a chip."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.detection.predictor import Predictor
from micro.errors import RunError
from micro.runs.finished import read_run
from micro.tflite.graph import read
from micro.tflite.interpreter import run_inputs

# Where a run keeps texts of its test.
TEST_TEXTS = "test_texts.json"


@dataclass(frozen=True)
class TextFirmware:
    """All that a run on text puts on a chip: the table of characters, the model and the symbols."""

    predictor: Predictor
    tflite: bytes

    def outputs(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The model's int8 outputs at each place of some texts, (characters, symbols) each, in TFLite Micro."""
        predictor = self.predictor
        windows = [predictor.windows(text) for text in texts]
        every = np.concatenate(windows)
        found = run_inputs(self.tflite, predictor.inputs(every)).reshape(len(every), -1)
        return np.split(found, np.cumsum([len(each) for each in windows])[:-1])


def load_text_firmware(run_folder: str | Path) -> TextFirmware:
    """What a finished run on text puts on a chip.

    Raises:
        RunError: If the folder is no finished run on text, or is damaged.
    """
    folder = Path(run_folder)
    report, _ = read_run(folder)
    predictor = report.predictor
    if predictor is None:
        raise RunError(f"{folder} is no run on text")
    try:
        content = (folder / "student_int8.tflite").read_bytes()
    except OSError as error:
        raise RunError(f"{folder} is damaged: {error.filename}: {error.strerror}") from None
    graph = read(content)
    taken, given = (graph.tensors[side[0]] for side in (graph.inputs, graph.outputs))
    wanted = (1, predictor.length, predictor.width)
    if tuple(taken.shape) != wanted or given.size != len(predictor.symbols) or taken.dtype != "int8":
        raise RunError(
            f"{folder} is damaged: its model takes {tuple(taken.shape)} and gives {given.size} values, its predictor has "
            f"{wanted} and {len(predictor.symbols)}"
        )
    return TextFirmware(predictor, content)


def load_texts(run_folder: str | Path) -> tuple[str, ...]:
    """The texts of the test that a run has kept.

    Raises:
        RunError: Where there are none, or the file is damaged.
    """
    path = Path(run_folder) / TEST_TEXTS
    try:
        texts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is missing or damaged: {error}") from None
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise RunError(f"{path} is damaged: it is no list of texts")
    return tuple(texts)
