"""What repeats of a run, by seeds or by folds, have in common, and how two models differ over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from micro.runs.report_parts import Comparison, Metrics, Spread


def summarize(seeds: Sequence[Mapping[str, Metrics]]) -> dict[str, dict[str, Spread]]:
    """Each metric of each model over the seeds, where every seed has it."""
    summary: dict[str, dict[str, Spread]] = {}
    for model, metrics in seeds[0].items():
        for metric in metrics:
            values = [value for seed in seeds if (value := seed[model][metric]) is not None]
            if len(values) == len(seeds):
                summary.setdefault(model, {})[metric] = _spread(values)
    return summary


def _spread(values: Sequence[float]) -> Spread:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Spread(mean=float(np.mean(values)), deviation=deviation, min=float(min(values)), max=float(max(values)))


def compare(
    seeds: Sequence[Mapping[str, Metrics]], metric: str, one: str, other: str, over: str = "seed"
) -> Comparison | None:
    """Paired difference of a metric between two models over the seeds, or folds, and what it allows to say.

    None where one lacks the metric.
    """
    differences = []
    for seed in seeds:
        a, b = (seed.get(model, {}).get(metric) for model in (one, other))
        if a is None or b is None:
            return None
        differences.append(float(a - b))
    if min(differences) > 0:
        verdict = f"better in every {over}"
    elif max(differences) < 0:
        verdict = f"worse in every {over}"
    elif not any(differences):
        verdict = f"the same in every {over}"
    else:
        verdict = "no consistent difference"
    mean = float(np.mean(differences))
    return Comparison(metric=metric, mean_difference=mean, differences=tuple(differences), verdict=verdict)
