"""What a comparison found: runs by method and seed, paired differences, and the table of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from keras_kd.recipes.ledger import Row
from keras_kd.recipes.tables import markdown


@dataclass(frozen=True)
class Paired:
    """A paired difference over seeds: its mean, its 95 % interval, and the p of a two-sided t-test; nan for one seed.

    Examples:
        >>> keras_kd.recipes.paired([0.0, 0.0])
        Paired(mean=0.0, low=0.0, high=0.0, p=1.0, seeds=2)
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int


def paired(differences: list[float] | np.ndarray) -> Paired:
    """Mean, interval and p of differences that are 0 on average if nothing differs: Student's t-test.

    Differences that are all alike have p 1 if they are 0, and 0 if not.

    Examples:
        >>> found = keras_kd.recipes.paired([0.02, 0.01, 0.03])
        >>> round(found.mean, 3), round(found.p, 3), found.seeds
        (0.02, 0.074, 3)
    """
    from scipy import stats

    values = np.asarray(differences, np.float64)
    count, mean = len(values), float(values.mean())
    if count < 2:
        return Paired(mean, math.nan, math.nan, math.nan, count)
    error = float(values.std(ddof=1)) / math.sqrt(count)
    # Sums of equal numbers may leave a rest of rounding.
    if error <= 1e-12 * max(1.0, abs(mean)):
        return Paired(mean, mean, mean, 1.0 if abs(mean) <= 1e-12 else 0.0, count)
    half = float(stats.t.ppf(0.975, count - 1)) * error
    return Paired(mean, mean - half, mean + half, 2.0 * float(stats.t.sf(abs(mean) / error, count - 1)), count)


@dataclass(frozen=True)
class Comparison:
    """Methods over seeds, beside the plain student trained as long; printed, a table in Markdown.

    `rows` are the runs, `methods` the methods in their order with the plain student first, `teacher` the teacher's metric on
    validation data by seed where it could be had.

    Examples:
        >>> rows = [keras_kd.recipes.Row(method, 0, value) for method, value in (("plain student", 0.75), ("kd", 0.875))]
        >>> found = keras_kd.recipes.Comparison("accuracy", ("plain student", "kd"), tuple(rows), {0: 1.0})
        >>> found.difference("kd").mean, found.closed("kd")
        (0.125, 0.5)
    """

    metric: str
    methods: tuple[str, ...]
    rows: tuple[Row, ...]
    teacher: dict[int, float]

    @property
    def plain(self) -> str:
        """Name of the student trained without a teacher."""
        return self.methods[0]

    def values(self, method: str, on: str = "validation") -> dict[int, float]:
        """The metric of a method by seed; `on` is 'validation' or 'test'.

        Raises:
            ValueError: For a method that was not run.
        """
        if method not in self.methods:
            raise ValueError(f"there is no method {method!r}; there are {', '.join(self.methods)}")
        rows = sorted((row for row in self.rows if row.method == method), key=lambda row: row.seed)
        return {row.seed: value for row in rows if (value := getattr(row, on)) is not None}

    def difference(self, method: str, to: str | None = None, on: str = "validation") -> Paired:
        """A method's metric less another's, by default the plain student's, over the seeds that both have."""
        mine, other = self.values(method, on), self.values(self.plain if to is None else to, on)
        return paired([mine[seed] - other[seed] for seed in mine if seed in other])

    def closed(self, method: str) -> float:
        """The fraction of the gap between plain student and teacher that a method closes on validation data, nan if unknown."""
        plain, mine = self.values(self.plain), self.values(method)
        gaps = [self.teacher[seed] - plain[seed] for seed in mine if seed in self.teacher]
        gains = [mine[seed] - plain[seed] for seed in mine if seed in self.teacher]
        return float(np.mean(gains) / np.mean(gaps)) if gaps and np.mean(gaps) else math.nan

    def __str__(self) -> str:
        tested = any(row.test is not None for row in self.rows)
        head = ["method", f"{self.metric}, validation", f"to {self.plain}", "95 %", "p", "gap closed"]
        rows = [[*self._cells(method), *([self._tested(method)] if tested else [])] for method in self.methods]
        if self.teacher:
            values = list(self.teacher.values())
            rows.append(["teacher", _spread(values), *[""] * (len(head) - 2 + tested)])
        seeds = len({row.seed for row in self.rows})
        lines = [f"{seeds} seed{'s' * (seeds != 1)}; p of paired t-tests, not corrected for multiple comparisons.", ""]
        return "\n".join([*lines, markdown([*head, *(["test"] if tested else [])], rows)])

    def _cells(self, method: str) -> list[str]:
        values = _spread(list(self.values(method).values()))
        if method == self.plain:
            return [method, values, "", "", "", ""]
        found, closed = self.difference(method), self.closed(method)
        between = "" if math.isnan(found.p) else f"{found.low:+.3g} to {found.high:+.3g}"
        p = "" if math.isnan(found.p) else f"{found.p:.3f}" if found.p >= 0.001 else "< 0.001"
        return [method, values, f"{found.mean:+.3g}", between, p, "" if math.isnan(closed) else f"{closed:.0%}"]

    def _tested(self, method: str) -> str:
        return _spread(list(self.values(method, "test").values()))


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    spread = f" ± {np.std(values, ddof=1):.2g}" if len(values) > 1 and len(set(values)) > 1 else ""
    return f"{np.mean(values):.4g}{spread}"
