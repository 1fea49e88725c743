"""Figures of a model of text on the test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from micro.datasets.prepared import Prepared
from micro.datasets.text import NO_SYMBOL, Text
from micro.detection.transcription import BEST, Transcription, best_symbols, distance, transcribe
from micro.runs.report_parts import METRICS, Metrics, RecordingReport, TextReport


def text_figures(outputs: np.ndarray, labels: np.ndarray, text: Text) -> tuple[Metrics, np.ndarray]:
    """Metrics of the test windows' logits, (n, symbols), and 1 for what is right and 0 for what is not.

    Of running text, place by place, (n,): the next character first or among three, and the cross-entropy in nats, of places
    whose character an output stands for. Of pairs, source by source: the target first or among three, sources that are not
    right, and tokens to insert, leave out or change over those of all targets.
    """
    if text.form == "text":
        return _of_running_text(outputs.astype(np.float64), labels)
    firsts, among, away, total = [], [], 0, 0
    for pair, best in zip(text.pairs, transcriptions(outputs, [len(pair.source) for pair in text.pairs], text.symbols)):
        firsts.append(best[0][0] == pair.target)
        among.append(any(tokens == pair.target for tokens, _ in best))
        away += distance(best[0][0], pair.target)
        total += len(pair.target)
    right = np.array(firsts, np.int64)
    figures: Metrics = {
        "top_1": float(right.mean()),
        "top_3": float(np.mean(among)),
        "word_error_rate": 1.0 - float(right.mean()),
        "token_error_rate": away / total,
    }
    return {name: figures[name] for name in METRICS["sequence"] if name in figures}, right


def transcriptions(
    outputs: np.ndarray, lengths: Sequence[int], symbols: Sequence[tuple[str, ...]]
) -> Iterator[list[Transcription]]:
    """The best whole outputs of sources whose places follow one another in `outputs`, (places, symbols)."""
    at = 0
    for length in lengths:
        yield transcribe(outputs[at : at + length], symbols)
        at += length


def _of_running_text(outputs: np.ndarray, labels: np.ndarray) -> tuple[Metrics, np.ndarray]:
    found = best_symbols(outputs, BEST)
    right = (found[:, 0] == labels).astype(np.int64)
    known = labels != NO_SYMBOL
    nats: float | None = None
    if known.any():
        logits = outputs[known] - outputs[known].max(axis=-1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        nats = -float(logs[np.arange(len(logs)), labels[known]].mean())
    figures: Metrics = {
        "top_1": float(right.mean()),
        "top_3": float((found == labels[:, None]).any(axis=-1).mean()),
        "cross_entropy": nats,
    }
    return figures, right


def text_rows(right: np.ndarray, origins: Sequence[str], labels: np.ndarray, text: Text) -> tuple[RecordingReport, ...]:
    """How much is right file by file, or of pairs by the length of the source, `windows` being sources."""
    if text.form == "pairs":
        names = [f"sources of {len(pair.source)} characters" for pair in text.pairs]
        order = sorted(set(names), key=lambda name: int(name.split()[2]))
    else:
        names, order = list(origins), list(dict.fromkeys(origins))
    of_each: dict[str, list[int]] = {name: [] for name in order}
    for name, one in zip(names, right.tolist()):
        of_each[name].append(one)
    return tuple(
        RecordingReport.model_validate(
            {"origin": name, "state": "", "windows": len(ones), "accuracy": sum(ones) / len(ones)}
        )
        for name, ones in of_each.items()
    )


def text_report(data: Prepared) -> TextReport | None:
    """What a report keeps of a run's text; None of other runs."""
    text = data.text
    if text is None:
        return None
    if text.form == "text":
        commonest = np.bincount(data.train.labels, minlength=len(text.symbols)).argmax()
        constant = float(np.mean(data.test.labels == commonest))
    else:
        constant = float(np.mean([text.between.join(pair.target) == pair.source for pair in text.pairs]))
    return TextReport(
        form=text.form,
        characters=len(text.vocabulary.characters),
        symbols=len(text.symbols),
        sources=len(text.pairs),
        constant=constant,
    )
