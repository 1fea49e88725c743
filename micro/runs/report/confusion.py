"""Windows by recorded class and by the class that is given, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from micro.support.html import figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_of(
    matrix: np.ndarray, names: Sequence[str], given: str, column: str
) -> tuple[Figure, dict[str, list[object]]]:
    """A picture of windows by class, rows as recorded, and what it is drawn from.

    Args:
        matrix: Windows by recorded class and by the given one, (classes, classes) int.
        names: Of the classes.
        given: What the axis of given classes is called; `column` in the data.
    """
    drawn, axes = figure(4.4)
    axes.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for row, place in np.argwhere(matrix):
        color = "white" if matrix[row, place] > matrix[row].sum() / 2 else "black"
        axes.text(place, row, str(matrix[row, place]), ha="center", va="center", color=color)
    shown = [plain(name) for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), shown)
    axes.set(xlabel=given, ylabel="recorded")
    rows, columns = np.indices(matrix.shape)
    data = {
        "recorded": [names[n] for n in rows.ravel().tolist()],
        column: [names[n] for n in columns.ravel().tolist()],
        "windows": matrix.ravel().tolist(),
    }
    return drawn, data
