"""Figures of a regression on test windows: of its one number, or of each of several and of all together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micro.datasets.targets import AnyTarget, Targets
from micro.datasets.window_parts import Windows
from micro.detection.estimator import half_width
from micro.detection.metrics import fit_of
from micro.runs.report_parts import METRICS, Metrics, of_target


def half_widths(errors: np.ndarray, coverage: float) -> tuple[tuple[float, str], ...]:
    """The half width of each number's interval and what it guarantees.

    Args:
        errors: Of held-out windows, (n,) or (n, targets).
        coverage: In (0, 1), of each interval by itself.
    """
    return tuple(half_width(column, coverage) for column in _columns(errors))


def number_figures(
    target: AnyTarget, windows: Windows, numbers: np.ndarray, widths: Sequence[tuple[float, str]]
) -> Metrics:
    """How well numbers fit those of windows, (n,) or (n, targets).

    Of several: 'mean_r2' is the mean of their fractions of variance explained, 'relative_rmse' the mean of their RMSE, each in
    standard deviations of the training windows, 'lowest_coverage' that of the number whose interval holds least often; and the
    figures of each number, as `of_target` calls them.
    """
    last = _last_of_each(windows.origins)
    each = [
        _figures(true, found, width[0], last)
        for true, found, width in zip(_columns(windows.labels), _columns(numbers), widths, strict=True)
    ]
    if not isinstance(target, Targets):
        return {**each[0]}
    return {
        "mean_r2": float(np.mean([one["r2"] for one in each])),
        "relative_rmse": relative_rmse(target, [one["rmse"] for one in each]),
        "lowest_coverage": min(one["coverage"] for one in each),
        **{
            of_target(name, part.name): value
            for part, one in zip(target.each, each, strict=True)
            for name, value in one.items()
        },
    }


def number_row(target: AnyTarget, true: np.ndarray, found: np.ndarray) -> dict[str, object]:
    """What a report says of a recording's windows: (n,) or (n, targets) each."""
    rows = []
    for numbers, estimates in zip(_columns(true), _columns(found), strict=True):
        rmse, bias = fit_of(numbers, estimates)["rmse"], float(np.mean(estimates - numbers))
        rows.append({"rmse": rmse, "bias": bias, "last": float(numbers[-1]), "last_estimate": float(estimates[-1])})
    if not isinstance(target, Targets):
        return {**rows[0]}
    named = tuple({"name": part.name, **row} for part, row in zip(target.each, rows, strict=True))
    return {"relative_rmse": relative_rmse(target, [row["rmse"] for row in rows]), "numbers": named}


def relative_rmse(target: AnyTarget, errors: Sequence[float]) -> float:
    """The mean of the numbers' RMSE, each in standard deviations of its training windows."""
    return float(np.mean([error / part.deviation for part, error in zip(target.each, errors, strict=True)]))


def _figures(true: np.ndarray, found: np.ndarray, width: float, last: Sequence[int]) -> dict[str, float]:
    """The figures of one number: (n,), (n,), and the places of recordings' last windows."""
    figures = fit_of(true, found) | {
        "coverage": float(np.mean(np.abs(found - true) <= width)),
        "rmse_last": fit_of(true[last], found[last])["rmse"],
    }
    return {name: figures[name] for name in METRICS["regression"]}


def _columns(numbers: np.ndarray) -> Sequence[np.ndarray]:
    """Numbers, (n,) or (n, targets), as a list of (n,)."""
    return [numbers] if numbers.ndim == 1 else list(numbers.T)


def _last_of_each(origins: Sequence[str]) -> list[int]:
    """The place of each recording's last window."""
    return list({origin: place for place, origin in enumerate(origins)}.values())
