"""The page of runs side by side: whether one is better by more than chance first, then figures, costs and what differs."""

from __future__ import annotations

from collections.abc import Sequence

from micro.examination.compare import Compared, Figure, Pair
from micro.examination.compare_words import DATA, cell, sections
from micro.examination.paired import NAMES
from micro.support.html import chart, drawing, figure, label_of, page, plain

# Metrics that are better the lower they are.
LOWER_IS_BETTER = (NAMES["regression"],)
# Of the picture of figures, as a fraction of their middle.
LEAST_SPAN = 0.1
# Of a run's name.
LETTERS = 24
# One for each run.
COLORS = ("#0b6e99", "#c2571a", "#3a7d2c", "#444444", "#8e4585", "#c2881a")


def render_compared(found: Compared) -> bytes:
    """The page, whole in itself; the same runs give the same bytes."""
    with drawing():
        charts = [differences_chart(found.pairs), figures_chart(found)]
    return page(
        "micro.examination",
        "compare.html.j2",
        found=found,
        says=[in_words(pair) for pair in found.pairs],
        grade="good"
        if any(pair.difference is not None and pair.difference.sure for pair in found.pairs)
        else "doubtful",
        data=DATA[found.same_data],
        tables=sections(found),
        cell=cell,
        charts=[each for each in charts if each],
    )


def in_words(pair: Pair) -> tuple[str, str]:
    """Whether the other run is better than the first, and what that is from."""
    found = pair.difference
    if found is None:
        return f"{pair.other} and {pair.one} cannot be compared", pair.says
    if not found.sure:
        return f"{pair.other} is not shown to be better or worse than {pair.one}", pair.says
    better = (found.difference > 0) != (found.metric in LOWER_IS_BETTER)
    return f"{pair.other} is {'better' if better else 'worse'} than {pair.one}", pair.says


def differences_chart(pairs: Sequence[Pair]) -> dict[str, str] | None:
    """The difference of each run to the first with its interval; None where none is known."""
    known = [(pair, pair.difference) for pair in pairs if pair.difference is not None]
    if not known:
        return None
    drawn, axes = figure(1.1 + 0.4 * len(known))
    for place, (_, each) in enumerate(known):
        color = COLORS[0] if each.sure else "#777777"
        axes.plot([each.low, each.high], [place, place], color=color, linewidth=2)
        axes.plot([each.difference], [place], color=color, marker="o")
    axes.axvline(0, color="black", linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(known)), [label_of(pair.other, LETTERS) for pair, _ in known])
    axes.set(
        ylim=(len(known) - 0.5, -0.5),
        xlabel=f"{known[0][1].metric}, less that of {label_of(known[0][0].one, LETTERS)}",
    )
    says = (
        f"Difference to {known[0][0].one} on the recordings that both tested, with its interval at 95 % by drawing recordings "
        "again; gray: no more than chance, or too few recordings to tell."
    )
    data: dict[str, list[object]] = {
        "run": [pair.other for pair, _ in known],
        "difference": [each.difference for _, each in known],
        "low": [each.low for _, each in known],
        "high": [each.high for _, each in known],
        "recordings": [each.recordings for _, each in known],
    }
    return chart("Difference", says, drawn, data)


def figures_chart(found: Compared) -> dict[str, str] | None:
    """The first metric of students and teachers, run by run, with its standard deviation; None where no run has one."""
    if not found.metrics:
        return None
    metric = found.metrics[0].name.split(", ")[0]
    rows = [row for row in found.metrics if row.name.split(", ")[0] == metric]
    drawn, axes = figure(0.9 + 0.34 * len(rows) * len(found.runs))
    data: dict[str, list[object]] = {"model": [], "run": [], "mean": [], "deviation": []}
    places: list[int] = []
    labels: list[str] = []
    for row in rows:
        for number, (run, value) in enumerate(zip(found.runs, row.values)):
            if not isinstance(value, Figure):
                continue
            mean = value.deployed if value.mean is None else value.mean
            if mean is None:
                continue
            places.append(len(places))
            labels.append(f"{plain(row.name.split(', ', 1)[-1])}: {label_of(run, 18)}")
            color = COLORS[number % len(COLORS)]
            axes.errorbar([mean], [places[-1]], xerr=[value.deviation or 0.0], color=color, marker="o", capsize=3)
            for name, each in (("model", row.name), ("run", run), ("mean", mean), ("deviation", value.deviation)):
                data[name].append(each)
    if not places:
        return None
    axes.set_yticks(places, labels, fontsize=9)
    axes.set(ylim=(len(places) - 0.5, -0.5), xlabel=plain(metric))
    low, high = axes.get_xlim()
    if high - low < LEAST_SPAN * abs(high + low) / 2:  # what is hardly apart should look so
        middle, half = (low + high) / 2, LEAST_SPAN * abs(high + low) / 4
        axes.set_xlim(middle - half, middle + half)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    return chart(metric, f"{metric} of each run's test, with the standard deviation over seeds or folds.", drawn, data)
