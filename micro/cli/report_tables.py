"""Tables of a run's report on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from micro.support.wording import counted, listed

if TYPE_CHECKING:
    from rich.table import Table

    from micro.runs.emulated import Emulated
    from micro.runs.recipe_choice import RecipeChoice
    from micro.runs.report_parts import Spread
    from micro.runs.run_report import RunReport


def models_table(report: RunReport) -> Table:
    """Every model of a run with its metrics, means over seeds or folds."""
    from rich.table import Table

    from micro.runs.assessment.folds import unsure_of_false_alarms
    from micro.runs.assessment.words import METRIC_NAMES
    from micro.runs.report import names_of

    metrics, unsure = report.metrics, unsure_of_false_alarms(report)
    seeds, what = report.repeats
    table = Table(title=f"{report.job}: {report.tested_windows:,} test windows, {counted(seeds, what)}")
    table.add_column("model")
    for metric in metrics:
        table.add_column(METRIC_NAMES.get(metric, metric.replace("_", " ")), justify="right")
    for model, name in names_of(report).items():
        found = report.summary.get(model)
        if found:
            figures = (_mean(found.get(metric), seeds) for metric in metrics)
            shown = (UNSURE if unsure and each == "false_alarm_rate" else said for each, said in zip(metrics, figures))
            table.add_row(name, *shown)
    return table


# What stands in place of a rate of false alarms where too few healthy windows were tested to tell it.
UNSURE = "too few windows"


def numbers_table(report: RunReport) -> Table:
    """Each of several numbers as the deployed student estimates it."""
    from rich.table import Table

    from micro.runs.assessment.words import METRIC_NAMES

    table = Table(title="Deployed student, int8, number by number")
    table.add_column("number")
    for metric in report.numbers[0].metrics:
        table.add_column(METRIC_NAMES.get(metric, metric), justify="right")
    for number in report.numbers:
        table.add_row(number.name, *("–" if value is None else _figure(value) for value in number.metrics.values()))
    return table


def labels_table(report: RunReport) -> Table:
    """Each of several labels as the deployed student tells it, and as the firmware reports it."""
    from rich.table import Table

    from micro.runs.assessment.words import METRIC_NAMES

    table = Table(title="Deployed student, int8, label by label")
    table.add_column("label")
    for metric in report.labels[0].metrics:
        table.add_column(METRIC_NAMES.get(metric, metric), justify="right")
    firmware = ("threshold", "reported with it", "without it") if report.by_label else ()
    for column in firmware:
        table.add_column(column, justify="right")
    rows = report.by_label or (None,) * len(report.labels)
    for label, row in zip(report.labels, rows, strict=True):
        cells = ["–" if value is None else _figure(value) for value in label.metrics.values()]
        if row is not None:
            cells.append("never" if row.threshold is None else f"{100 * row.threshold:.3g} %")
            cells += ["–" if each is None else f"{100 * each:.1f} %" for each in (row.reported, row.falsely_reported)]
        table.add_row(label.name, *cells)
    return table


def modes_table(report: RunReport) -> Table:
    """Each operating mode with its threshold, and what it does to the test windows of that mode."""
    from rich.table import Table

    table = Table(title="Deployed student, int8, by operating mode")
    table.add_column("mode")
    for column in ("threshold", "healthy windows", "false alarms", "faulty windows", "found"):
        table.add_column(column, justify="right")
    for row in report.by_mode:
        rates = ["–" if each is None else f"{100 * each:.1f} %" for each in (row.false_alarms, row.detected)]
        threshold = "unknown mode" if row.threshold is None else f"{row.threshold:.4g}"
        table.add_row(row.name, threshold, f"{row.healthy:,}", rates[0], f"{row.faulty:,}", rates[1])
    return table


# Of the int8 student of a detector's fold beside what models are compared by, with heads of several lines.
RATES_OF_DETECTORS = {"detection_rate": "faults\nfound,\nint8", "false_alarm_rate": "false\nalarms,\nint8"}


def folds_table(report: RunReport) -> Table:
    """What each fold tested, and how its students did."""
    from rich.table import Table

    from micro.runs.assessment.folds import unsure_of_false_alarms
    from micro.runs.assessment.words import METRIC_NAMES
    from micro.runs.report import SHORT_NAMES

    metric = report.known_metric
    name_of_metric = METRIC_NAMES.get(metric, metric.replace("_", " "))
    table = Table(title=f"{name_of_metric} by fold; the first fold's student is deployed")
    table.add_column("fold", justify="right", no_wrap=True)
    table.add_column("tested", overflow="fold")
    table.add_column("windows", justify="right", no_wrap=True)
    # Members of a teacher, as many as a config names, are on the page.
    names = {model: name for model, name in SHORT_NAMES.items() if model in report.folds[0].models}
    for name in names.values():
        # Of a long head the words stand below one another, none of them cut.
        table.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)
    # Without an AUC one of the rates is what models are compared by, and the other is not known.
    rates = RATES_OF_DETECTORS if report.task == "anomaly" and metric == report.metric else {}
    for head in rates.values():
        table.add_column(head, justify="right", no_wrap=True)
    unsure = unsure_of_false_alarms(report)

    def said(rate: str, value: float | None) -> str:
        return UNSURE if unsure and rate == "false_alarm_rate" else _figure_of(rate, value)

    for fold in report.folds:
        figures = [said(metric, fold.models[model].get(metric)) for model in names]
        figures += [said(rate, fold.models["student_int8"].get(rate)) for rate in rates]
        table.add_row(str(fold.fold), listed(fold.tested), f"{fold.windows.test:,}", *figures)
    return table


def recipes_table(choice: RecipeChoice) -> Table:
    """What recipe "auto" tried."""
    from rich.table import Table

    table = Table(title=f"Recipes tried: {counted(choice.epochs, 'epoch')} each, {choice.windows:,} validation windows")
    table.add_column("recipe")
    table.add_column(choice.metric, justify="right")
    table.add_column("compared with the best recipe")
    for trial in choice.trials:
        name = f"{trial.name} *" if trial.name == choice.chosen else trial.name
        table.add_row(name, "-" if trial.value is None else f"{trial.value:.4g}", trial.standing)
    return table


def stages_table(report: RunReport) -> Table:
    """What each stage of compression made of the int8 student."""
    from rich.table import Table

    from micro.runs.report import STAGES

    table = Table(title="int8 student, stage by stage")
    table.add_column("stage")
    for name in (report.metric, ".tflite bytes", "RAM bytes", "MACs", "sparsity"):
        table.add_column(name, justify="right")
    for row in report.stages:
        costs = (f"{cost:,}" for cost in (row.flash, row.arena, row.macs))
        metric = _mean(row.metrics.get(report.metric), report.repeats[0])
        table.add_row(STAGES[row.stage], metric, *costs, f"{100 * row.zeros:.0f} %")
    return table


def operators_table(results: Sequence[Emulated]) -> Table:
    """The instructions of each operator on emulated cores, beside their estimates."""
    from rich.table import Table

    table = Table(title="Instructions of each operator: counted, and estimated as by keras-kd inspect")
    table.add_column("operator")
    table.add_column("computes", overflow="ellipsis", no_wrap=True, max_width=32)
    for result in results:
        table.add_column(result.core, justify="right")
        table.add_column("estimated", justify="right")
    for number, operator in enumerate(results[0].operators):
        cells = [operator.op, operator.output]
        for result in results:
            each = result.operators[number]
            cells += [f"{each.instructions:,}", "unknown" if each.estimate is None else f"{each.estimate:,}"]
        table.add_row(*cells)
    return table


def _mean(spread: Spread | None, seeds: int) -> str:
    """A mean over seeds, with the standard deviation where there are several."""
    if spread is None:
        return "–"
    mean = _figure(spread.mean)
    return f"{mean} ± {_figure(spread.deviation)}" if seeds > 1 else mean


def _figure(value: float) -> str:
    """Four decimals, or four digits of what those would not show."""
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 10_000 else f"{value:.4g}"


def _figure_of(metric: str, value: float | None) -> str:
    """A model's figure on the windows of a fold; a detector's rates in percent."""
    if value is None:
        return "–"
    return f"{100 * value:.3g} %" if metric in RATES_OF_DETECTORS else _figure(value)
