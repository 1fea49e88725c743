"""A run on text on emulated cores: the texts that it has kept, compared with Python place by place."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from micro.detection.transcription import BEST, best_symbols
from micro.emission.predictor import target_tokens
from micro.firmware.building import compiler_version, on_each, replayed, require_tools
from micro.firmware.text_project import after_each, chosen_texts, text_project_files
from micro.runs.emulated import Emulated
from micro.runs.publish import write_folder
from micro.runs.text_device import TextFirmware

# Characters that a core is given: a model runs once for each.
MOST_CHARACTERS = 4000
RESULT = np.dtype([("score", "<i4"), ("sum", "<u4")])


def emulate_text(firmware: TextFirmware, kept: Sequence[str], name: str, cores: Sequence[str]) -> tuple[Emulated, ...]:
    """Results on each core, as `micro.firmware.emulate.emulate`; a window is a source, or a character of running text.

    Raises:
        RunError: If a tool is missing or the program does not run.
    """
    require_tools()
    texts = chosen_texts(firmware, kept, len(kept))
    most = max(1, int(np.searchsorted(np.cumsum([len(text) for text in texts]), MOST_CHARACTERS)))
    texts = texts[:most]
    expected = _expected(firmware, texts)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "project"
        write_folder(folder, text_project_files(firmware, texts[:1], name, "bare-cortex-m", "static"))
        (folder / "samples.bin").write_bytes(b"".join(text.encode() + b"\0" for text in texts))
        compiler = compiler_version()
        return on_each(cores, lambda core: _on(core, folder, expected, compiler))


def _record(firmware: TextFirmware) -> np.dtype:
    """What the program writes of each result."""
    predictor = firmware.predictor
    return np.dtype(
        [
            ("features", "i1", (predictor.length * predictor.width,)),
            ("outputs", "i1", (len(predictor.symbols),)),
            ("count", "u1"),
            ("best", RESULT, (BEST,)),
        ]
    )


def _expected(firmware: TextFirmware, texts: Sequence[str]) -> np.ndarray:
    """What the program should write, a record a source or a character."""
    predictor = firmware.predictor
    pairs = predictor.form == "pairs"
    if pairs:
        windows = [predictor.windows(text) for text in texts]
        outputs = firmware.outputs(texts)
        places = [len(each) - 1 for each in windows]
    else:
        windows = [predictor.windows(f"{text} ")[1:] for text in texts]
        outputs = after_each(firmware, texts)
        places = []
    rows = []
    number = {token: place + 1 for place, token in enumerate(target_tokens(predictor))}
    for n, (seen, given) in enumerate(zip(windows, outputs)):
        for place in [places[n]] if pairs else range(len(given)):
            best = np.zeros(BEST, RESULT)
            if pairs:
                found = [
                    (int(score), sum(number[token] * (at + 1) for at, token in enumerate(tokens)))
                    for tokens, score in predictor.transcribed(given)
                ]
            else:
                values = given[place].astype(int)
                chosen = best_symbols(given[place]).tolist()
                found = [(int(values[each] - values[chosen[0]]), each) for each in chosen]
            best[: len(found)] = found
            features = predictor.inputs(seen[place : place + 1]).reshape(-1)
            rows.append((features, given[place], len(found), best))
    return np.array(rows, _record(firmware))


def _on(core: str, folder: Path, expected: np.ndarray, compiler: str) -> Emulated:
    written, costs = replayed(folder, core, expected.dtype, len(expected), "results")
    scores = written["best"]["score"] != expected["best"]["score"]
    decided = (written["count"] == expected["count"]) & (written["best"]["sum"] == expected["best"]["sum"]).all(axis=-1)
    return Emulated(
        core,
        len(expected),
        int(np.count_nonzero(written["features"] != expected["features"])),
        int(np.count_nonzero(written["outputs"] != expected["outputs"])),
        int(np.count_nonzero(scores)),
        int(np.count_nonzero(~decided)),
        **asdict(costs),
        compiler=compiler,
    )
