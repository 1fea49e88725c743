"""Keeping results, and the table that they make."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Experiment:
    """Methods that are compared on one data set.

    `prepare` makes what all methods of a seed share, such as a trained teacher; each method gives its figures from that.
    `against` names, for a method, the one that it is compared with. `gap` names two methods; of every other one the table then
    tells how much of the way from the first to the second it went, on average and in the worst seed.
    """

    title: str
    load: Callable[[Any], Any]
    prepare: Callable[[Any, int], Any]
    methods: dict[str, Callable[[Any, Any, int], dict[str, float]]]
    figures: tuple[str, ...]
    against: dict[str, str]
    gap: tuple[str, str] | None = None


class Ledger:
    """Results in a file of JSON lines; what is in it is not run again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def rows(self) -> list[dict[str, Any]]:
        """All results."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def fill(self, experiment: Experiment, data: Any, seed: int, only: Sequence[str] | None = None) -> None:
        """Run the methods of a seed that are missing; `only` these, if any are named."""
        done = {row["method"] for row in self.rows() if row["seed"] == seed}
        missing = [name for name in experiment.methods if name not in done and (not only or name in only)]
        if not missing:
            return
        keras.utils.set_random_seed(seed)
        shared = experiment.prepare(data, seed)
        for name in missing:
            started = time.perf_counter()
            keras.utils.set_random_seed(seed)
            figures = experiment.methods[name](data, shared, seed)
            row = {"method": name, "seed": seed, **{key: float(value) for key, value in figures.items()}}
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{time.perf_counter() - started:6.1f} s  {row}", flush=True)


def table(experiment: Experiment, rows: list[dict[str, Any]]) -> str:
    """Markdown: mean and deviation of each figure; of the first also the paired difference to another method, and its p."""
    first = experiment.figures[0]
    found = {
        name: {row["seed"]: row for row in rows if row["method"] == name}
        for name in experiment.methods
        if any(row["method"] == name for row in rows)
    }
    seeds = sorted(set.intersection(*map(set, found.values()))) if found else []
    head = ["method", *experiment.figures, "difference", "to", "p"]
    ends = [found.get(name) for name in experiment.gap or ()]
    head += ["gap closed", "in the worst seed"] if experiment.gap else []
    lines = [f"### {experiment.title}", "", f"{len(seeds)} seeds.", "", _line(head), _line(["---"] * len(head))]
    for name, by_seed in found.items():
        cells = [name]
        for figure in experiment.figures:
            values = [by_seed[seed][figure] for seed in seeds if figure in by_seed[seed]]
            cells.append(_cell(values))
        other = experiment.against.get(name)
        if other in found and len(seeds) > 1:
            difference = np.array([by_seed[seed][first] - found[other][seed][first] for seed in seeds])
            p = stats.ttest_1samp(difference, 0.0).pvalue if difference.any() else 1.0
            cells += [f"{difference.mean():+.3g}", other, f"{p:.3f}" if p >= 0.001 else "< 0.001"]
        else:
            cells += ["", "", ""]
        if experiment.gap:
            fair = experiment.against.get(name) == experiment.gap[0]
            cells += _closed(
                [by_seed[seed][first] for seed in seeds],
                *([end[seed][first] for seed in seeds] for end in ends if end and fair),
            )
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _closed(values: list[float], start: list[float] | None = None, end: list[float] | None = None) -> list[str]:
    """Of the way from start to end, in percent: of the means, and the least of a seed in which the end lies ahead."""
    if not start or not end or not np.mean(end) - np.mean(start):
        return ["", ""]
    way = np.mean(end) - np.mean(start)
    parts = [(value - a) / (b - a) for value, a, b in zip(values, start, end) if (b - a) * way > 0]
    whole = (np.mean(values) - np.mean(start)) / way
    return [f"{whole:.0%}", f"{min(parts):.0%}"]


def _cell(values: list[float]) -> str:
    if len(values) < 2:
        return ""
    if len(set(values)) == 1 and values[0].is_integer():
        return f"{values[0]:,.0f}"
    return f"{np.mean(values):.4g} ± {np.std(values, ddof=1):.2g}"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
