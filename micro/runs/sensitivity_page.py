"""How much each layer of a run's student can be compressed, as a page: the table and the Pareto fronts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from micro.compress.sensitivity import Sensitivity, pareto, sensitivity
from micro.datasets.prepare import prepare
from micro.detection.residual import measured, taken
from micro.detection.threshold import reconstruction_error
from micro.errors import RunError
from micro.quantize.aware import QuantizationAware
from micro.runs.finished import read_run
from micro.runs.synthetic_windows import synthesized
from micro.support.html import chart, drawing, figure, page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ZEROS, CHANNELS, BITS = (0.5, 0.8, 0.9), (0.25, 0.5, 0.75), (6, 4, 3, 2)
SAVINGS = {"flash_saved": "bytes of flash", "ram_saved": "bytes of RAM", "macs_saved": "multiply-accumulates"}
WORDS = {"zeros": "{:.0%} zeros", "channels": "{:.0%} of channels removed", "bits": "{:.0f}-bit weights"}
# Added to errors before the logarithm.
TINY = 1e-12
COLORS = {"zeros": "#888888", "channels": "#0b6e99", "bits": "#c2571a"}


def scan_run(run_folder: str | Path) -> tuple[tuple[Sensitivity, ...], str]:
    """Scan the student of a finished run on the run's validation windows, and what its score is.

    A classifier's score is its accuracy in percent, of several labels the fraction of labels that is right; others' is the mean
    squared error, negated: of the features given back or predicted, of the number over its standard deviation, or of the
    logarithm of the error against its own, of a student that follows detectors or has learned from known faults.

    Raises:
        RunError: If the folder is no finished run or its student is quantization-aware.
        DataError: Where the run's data cannot be read again.
    """
    folder = Path(run_folder)
    _, config = read_run(folder)
    if config.task == "sequence":
        raise RunError(f"{folder} is a run on text, whose student is not scanned: its windows are tokens, not features")
    student = keras.saving.load_model(folder / "student.keras", compile=False, safe_mode=True)
    if isinstance(student, QuantizationAware):
        raise RunError(f"{folder}: the student is quantization-aware; scan a run without stage 'quantize_aware'")
    data = prepare(config)
    x, labels = data.validation.x, data.validation.labels
    if config.teacher.detectors:
        x = np.concatenate([x, synthesized(data.train.x, 4 * len(x), config.seed)])
    if data.faults is not None:
        x = np.concatenate([x, data.faults.x])
    wanted = measured(x, data.predicted) if data.target is None else data.target.standardized(labels)
    x = taken(x, data.predicted)

    def accuracy(model: keras.Model) -> float:
        return 100 * float(np.mean(model.predict(x, batch_size=1024, verbose=0).argmax(-1) == labels))

    def labels_right(model: keras.Model) -> float:
        return 100 * float(np.mean((model.predict(x, batch_size=1024, verbose=0) > 0) == (labels == 1)))

    def errors(model: keras.Model) -> np.ndarray:
        return reconstruction_error(wanted, model.predict(x, batch_size=1024, verbose=0))

    def closeness(model: keras.Model) -> float:
        return -float(np.mean(errors(model)))

    score, name = closeness, "mean squared error"
    if data.class_names:
        score, name = accuracy, "accuracy, points"
    if data.label_names:
        score, name = labels_right, "labels right, points"
    if config.teacher.detectors or data.faults is not None:
        own = np.log(errors(student) + TINY)

        def likeness(model: keras.Model) -> float:
            return -float(np.mean((np.log(errors(model) + TINY) - own) ** 2))

        score, name = likeness, "mean squared difference of log errors"
    rows = sensitivity(
        student,
        score,
        ZEROS,
        channels=CHANNELS,
        bits=BITS,
        calibration=data.inputs(data.train)[:: max(1, len(data.train) // 256)],
    )
    return rows, name


def render_sensitivity(rows: Sequence[Sensitivity], score_name: str) -> bytes:
    """The page for a scan; the same rows give the same bytes."""
    with drawing():
        charts = [
            _loss_chart(rows, saved, what, score_name)
            for saved, what in SAVINGS.items()
            if any(getattr(row, saved) > 0 for row in rows)
        ]
    says = _verdict(rows, score_name)
    return page(
        "micro.runs", "sensitivity.html.j2", rows=rows, charts=charts, says=says, score=score_name, describe=describe
    )


def describe(row: Sensitivity) -> str:
    """The change in words, such as '4-bit weights'."""
    return WORDS[row.change].format(row.amount)


def _verdict(rows: Sequence[Sensitivity], score_name: str) -> list[str]:
    """Where most is saved at no loss, or else what costs least, and which layer bears least, in sentences."""
    saving = [row for row in rows if row.flash_saved > 0]
    if not saving:
        return ["No change of a single layer saves flash."]
    free = [row for row in saving if row.lost <= 0]
    best = max(free, key=lambda row: row.flash_saved) if free else min(saving, key=lambda row: row.lost)
    first = (
        f"Most flash is saved at no loss of {score_name} in"
        if free
        else "Every change that saves flash costs something; the least in"
    )
    costs = "" if free else f" for {best.lost:.3g} of {score_name}"
    said = [f"{first} layer {best.layer}: {describe(best)} save {best.flash_saved:,} bytes{costs}."]
    worst = max(rows, key=lambda row: row.lost)
    if worst.lost > 0:
        said.append(f"Layer {worst.layer} bears least: {describe(worst)} cost {worst.lost:.3g} of {score_name}.")
    return said


def _loss_chart(rows: Sequence[Sensitivity], saved: str, what: str, score_name: str) -> dict[str, str]:
    """What each change of one layer saves of something, and what it costs."""
    chosen = [row for row in rows if getattr(row, saved) > 0]
    data = {
        "layer": [row.layer for row in chosen],
        "change": [describe(row) for row in chosen],
        f"{what} saved": [getattr(row, saved) for row in chosen],
        f"{score_name} lost": [row.lost for row in chosen],
    }
    drawn = _front(rows, saved, what, score_name)
    return chart(f"Loss against {what}", _says(rows, saved, what, score_name), drawn, data)


def _front(rows: Sequence[Sensitivity], saved: str, what: str, score_name: str) -> Figure:
    drawn, axes = figure(height=3.8)
    for change, color in COLORS.items():
        chosen = [row for row in rows if row.change == change and getattr(row, saved) > 0]
        if chosen:
            axes.scatter(
                [getattr(row, saved) for row in chosen], [row.lost for row in chosen], color=color, label=change, s=18
            )
    best = pareto(rows, saved)  # type: ignore[arg-type]
    axes.plot([getattr(row, saved) for row in best], [row.lost for row in best], color="black", linewidth=0.9)
    axes.axhline(0, color="#bbbbbb", linewidth=0.8)
    largest = max((abs(row.lost) for row in rows), default=1.0) or 1.0
    axes.set(xlabel=f"{what} saved", ylabel=f"{score_name} lost")
    axes.set_yscale("symlog", linthresh=largest / 20)
    axes.set_ylim(min(-largest / 50, 1.3 * min(row.lost for row in rows)), 1.5 * largest)
    axes.legend(frameon=False)
    return drawn


def _says(rows: Sequence[Sensitivity], saved: str, what: str, score_name: str) -> str:
    best = pareto(rows, saved)  # type: ignore[arg-type]
    listed = "; ".join(f"{row.layer}, {describe(row)}: {getattr(row, saved):,} for {row.lost:.3g}" for row in best)
    return (
        "Each point is one layer changed alone; the line is the Pareto front. "
        f"{what.capitalize()} saved for {score_name} lost: {listed}."
    )
