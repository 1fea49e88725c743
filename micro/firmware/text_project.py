"""A firmware project of a run on text: characters in, the likeliest symbols out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from micro.datasets.spacing import evenly_spaced
from micro.detection.transcription import best_symbols
from micro.emission.c_text import c_array, c_string
from micro.emission.predictor import predictor_context, predictor_files
from micro.firmware.boards import BOARDS, MACHINES
from micro.firmware.layout import Runtime, assembled
from micro.runs.text_device import TextFirmware, load_text_firmware, load_texts
from micro.support.c_names import CNames
from micro.support.files import sha256
from micro.tflite.graph import read

COMMON = {
    "{name}_self_test.h": "text/self_test.h.j2",
    "{name}_self_test.c": "text/self_test.c.j2",
    "app.h": "text/app.h.j2",
    "app.c": "text/app.c.j2",
    "sensor.h": "text/sensor.h.j2",
    "sensor.c": "text/sensor.c.j2",
}
REPLACED = {"bare-cortex-m/replay.c.j2": "text/replay.c.j2"}
# Texts of a self-test where nothing is said.
SELF_TEST_TEXTS = 4


def text_project(
    run_folder: str | Path, name: str, board: str, runtime: Runtime, count: int | None
) -> dict[str, bytes]:
    """Contents of the project of a finished run on text, with `count` texts in its self-test, None for 4.

    Raises:
        ValueError: For more texts than the run has kept.
        RunError: If the run is damaged.
    """
    firmware, kept = load_text_firmware(run_folder), load_texts(run_folder)
    count = min(len(kept), SELF_TEST_TEXTS) if count is None else count
    if not 1 <= count <= len(kept):
        raise ValueError(f"windows must be 1 to {len(kept)}, the texts that the run has kept, got {count}")
    return text_project_files(firmware, chosen_texts(firmware, kept, count), name, board, runtime)


def chosen_texts(firmware: TextFirmware, kept: Sequence[str], count: int) -> list[str]:
    """`count` of the texts, evenly spaced among those that the firmware has room for and that no null byte ends early."""
    most = firmware.predictor.longest or max(map(len, kept))
    fit = [text for text in kept if len(text) <= most and "\0" not in text] or list(kept)
    return [fit[row] for row in evenly_spaced(len(fit), count)]


def text_project_files(
    firmware: TextFirmware, texts: Sequence[str], name: str, board: str, runtime: Runtime
) -> dict[str, bytes]:
    """Contents of a project's files by path; ValueError where two files would have one path."""
    predictor, digest = firmware.predictor, sha256(firmware.tflite)
    stage = predictor_files(predictor, read(firmware.tflite), digest, name)
    layout = BOARDS[board]
    context: dict[str, Any] = {
        **predictor_context(predictor, digest, name),
        **CNames(name).context("self_test"),
        "stage": "predictor",
        "monitored": False,
        "several": [],
        "hops": False,
        "forward": None,
        "learns": False,
        "exchangeable": False,
        "vibration": None,
        "diagnosis": None,
        "image_size": None,
        "sample_rate": None,
        "fixed": True,
        "runtime": runtime,
        "package": layout.package,
        "machines": MACHINES,
        "title": layout.title,
        "folder": layout.sources.format(name=name),
        "windows": len(texts),
        **_expected(firmware, texts),
    }
    return assembled(stage, firmware.tflite, context, COMMON, board, runtime, replaced=REPLACED)


def _expected(firmware: TextFirmware, texts: Sequence[str]) -> dict[str, Any]:
    """What the self-test runs and what the predictor computes: outputs at the last place, and results."""
    predictor = firmware.predictor
    if predictor.form == "pairs":
        outputs = firmware.outputs(texts)
        found = [predictor.transcribed(each) for each in outputs]
        results = [
            [{"score": int(score), "text": c_string(predictor.spelled(tokens))} for tokens, score in best]
            for best in found
        ]
        longest = max(len(predictor.spelled(tokens).encode()) for best in found for tokens, _ in best) + 1
    else:
        outputs = after_each(firmware, texts)
        longest = 0
        results = []
        for each in outputs:
            best = best_symbols(each[-1]).tolist()
            last = each[-1].astype(int)
            results.append([{"score": int(last[number] - last[best[0]]), "symbol": number} for number in best])
    return {
        "test_texts": [c_string(text) for text in texts],
        "model_outputs": [c_array("int8_t", "", each[-1]).rows for each in outputs],
        "expected": results,
        "longest_text": longest,
    }


def after_each(firmware: TextFirmware, texts: Sequence[str]) -> list[np.ndarray]:
    """The model's outputs after each character of running texts, (characters, symbols) each: what comes next."""
    return [each[1:] for each in firmware.outputs([f"{text} " for text in texts])]
