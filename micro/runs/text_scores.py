"""A finished run's int8 student over new text: figures of running text or pairs, and outputs of sources."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micro.config import TextData
from micro.datasets.find import short_names
from micro.datasets.text_files import Pair, read_pairs, read_sources, read_text
from micro.detection.predictor import Predictor
from micro.detection.transcription import BEST, best_symbols, distance
from micro.detection.vocabulary import lowered
from micro.errors import DataError, RunError
from micro.runs.finished import read_run
from micro.runs.text_device import TextFirmware, load_text_firmware
from micro.support.wording import counted

# Characters that are run at a time.
BATCH = 50_000


@dataclass(frozen=True)
class ScoredText:
    """A file of running text: characters, fractions of them that were predicted first and among three, and the mean
    cross-entropy in nats of those that an output stands for, None where there are none."""

    file: str
    characters: int
    top_1: float
    top_3: float
    cross_entropy: float | None


@dataclass(frozen=True)
class Transcribed:
    """A source of a file: the likeliest outputs, how far each is behind the first in nats, and the target, None where the file
    has none."""

    file: str
    source: str
    outputs: tuple[str, ...]
    behind: tuple[float, ...]
    target: str | None = None
    wrong_tokens: int | None = None
    target_tokens: int | None = None

    @property
    def right(self) -> bool | None:
        """Whether the first output is the target."""
        return None if self.target is None else self.outputs[0] == self.target


def is_text(run_folder: str | Path) -> bool:
    """Whether a finished run is on text; RunError where it is no finished run."""
    return read_run(Path(run_folder))[0].predictor is not None


def score_text(run_folder: str | Path, files: Sequence[str | Path]) -> list[ScoredText] | list[Transcribed]:
    """Score files with the int8 student of a run on text, in TFLite Micro, as its firmware computes.

    Files are running text, or pairs; a file without any tab is one of sources alone.

    Raises:
        RunError: If the folder is no finished run on text.
        DataError: Names file and line of what cannot be read.
    """
    folder = Path(run_folder)
    _, config = read_run(folder)
    if not isinstance(config.data, TextData):
        raise RunError(f"{folder} is no run on text")
    firmware, names = load_text_firmware(folder), short_names(files)
    if firmware.predictor.form == "text":
        return [_running(firmware, path, name) for path, name in names.items()]
    return [row for path, name in names.items() for row in _transcribed(firmware, config.data, path, name)]


def _running(firmware: TextFirmware, path: Path, name: str) -> ScoredText:
    predictor = firmware.predictor
    text = read_text(path)
    text = lowered(text) if predictor.vocabulary.lowercase else text
    number = {symbol[0]: place for place, symbol in enumerate(predictor.symbols)}
    labels = np.array([number.get(character, -1) for character in text])
    first = among = 0
    nats: list[np.ndarray] = []
    # Each batch begins with what the model sees before it.
    for start in range(0, len(text), BATCH):
        seen = max(0, start - predictor.before)
        outputs = firmware.outputs([text[seen : start + BATCH]])[0][start - seen :]
        wanted = labels[start : start + BATCH]
        found = best_symbols(outputs)
        first += int(np.count_nonzero(found[:, 0] == wanted))
        among += int(np.count_nonzero((found == wanted[:, None]).any(axis=-1)))
        logits = outputs[wanted >= 0] * np.float64(predictor.unit)
        logs = logits - np.log(np.exp(logits - logits.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True))
        logs -= logits.max(axis=-1, keepdims=True)
        nats.append(-logs[np.arange(len(logs)), wanted[wanted >= 0]])
    every = np.concatenate(nats)
    return ScoredText(
        name, len(text), first / len(text), among / len(text), float(every.mean()) if len(every) else None
    )


def _transcribed(firmware: TextFirmware, config: TextData, path: Path, name: str) -> Iterator[Transcribed]:
    predictor = firmware.predictor
    paired = _paired(path)
    pairs = read_pairs(path, config) if paired else [Pair(source, ()) for source in read_sources(path, config)]
    long = next((pair.source for pair in pairs if len(pair.source) > predictor.longest), None)
    if long is not None:
        raise DataError(
            f"{path}: the source {long!r} has {len(long)} characters, and the firmware takes at most {predictor.longest}; "
            "divide it or leave it out"
        )
    step = max(1, BATCH // max(len(pair.source) for pair in pairs))
    for start in range(0, len(pairs), step):
        some = pairs[start : start + step]
        for pair, outputs in zip(some, firmware.outputs([each.source for each in some])):
            yield _row(predictor, name, pair, outputs, paired)


def _paired(path: Path) -> bool:
    """Whether a file holds pairs, or sources alone; DataError for one that holds both."""
    lines = [(number, line) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    paired = "\t" in lines[0][1]
    other = next((number for number, line in lines if ("\t" in line) != paired), None)
    if other is not None:
        has, lacks = (lines[0][0], other) if paired else (other, lines[0][0])
        raise DataError(
            f"{path}: line {has} has a tab and line {lacks} has none; a file holds pairs or sources alone, not both"
        )
    return paired


def _row(predictor: Predictor, name: str, pair: Pair, outputs: np.ndarray, paired: bool) -> Transcribed:
    best = predictor.transcribed(outputs)
    texts = tuple(predictor.spelled(tokens) for tokens, _ in best)
    behind = tuple(round((score - best[0][1]) * predictor.unit, 6) for _, score in best)
    if not paired:
        return Transcribed(name, pair.source, texts, behind)
    wrong = distance(best[0][0], pair.target)
    return Transcribed(name, pair.source, texts, behind, predictor.spelled(pair.target), wrong, len(pair.target))


def text_csv(scored: Sequence[ScoredText] | Sequence[Transcribed]) -> bytes:
    """Rows with a header: of running text one a file, of pairs and sources one a source."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    if scored and isinstance(scored[0], ScoredText):
        writer.writerow(("file", "characters", "top_1", "top_3", "cross_entropy"))
        for each in scored:
            assert isinstance(each, ScoredText)
            nats = "" if each.cross_entropy is None else f"{each.cross_entropy:.6g}"
            writer.writerow((each.file, each.characters, f"{each.top_1:.6g}", f"{each.top_3:.6g}", nats))
        return out.getvalue().encode()
    ranks = [f"{word}_{rank + 1}" for rank in range(BEST) for word in ("output", "behind")]
    writer.writerow(("file", "source", *ranks, "target", "right"))
    for row in scored:
        assert isinstance(row, Transcribed)
        filled = [(*pair,) for pair in zip(row.outputs, (f"{away:.6g}" for away in row.behind))]
        filled += [("", "")] * (BEST - len(filled))
        cells = [cell for pair in filled for cell in pair]
        right = "" if row.right is None else int(row.right)
        writer.writerow((row.file, row.source, *cells, row.target or "", right))
    return out.getvalue().encode()


def text_summary(scored: Sequence[ScoredText] | Sequence[Transcribed]) -> str:
    """What the rows come to, in one sentence."""
    texts = [each for each in scored if isinstance(each, ScoredText)]
    if texts:
        total = sum(each.characters for each in texts)
        first, among = (
            100 * sum(getattr(each, name) * each.characters for each in texts) / total for name in ("top_1", "top_3")
        )
        return f"{counted(total, 'character')}: {first:.1f} % of the next right, {among:.1f} % among three"
    rows = [each for each in scored if isinstance(each, Transcribed)]
    paired = [row for row in rows if row.target is not None]
    if not paired:
        return counted(len(rows), "source")
    right = 100 * sum(bool(row.right) for row in paired) / len(paired)
    among = 100 * sum(row.target in row.outputs for row in paired) / len(paired)
    tokens = sum(row.target_tokens or 0 for row in paired)
    wrong = 100 * sum(row.wrong_tokens or 0 for row in paired) / tokens
    of = counted(len(paired), "source")
    return f"{of} with a target: {right:.1f} % right, {among:.1f} % among three, {wrong:.1f} % of the tokens to change"
