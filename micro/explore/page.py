"""A search as a page: the Pareto front, the chosen student, the result of every candidate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from micro.explore.study import OWN
from micro.support.html import chart, drawing, figure, page
from micro.support.wording import counted, was

# What it is called in a sentence.
OWN_STUDENT = "the config's own student"
WORDS = {"flash": "bytes of flash", "ram": "bytes of RAM", "macs": "multiply-accumulates"}
STATES = {
    "done": "trained to the end",
    "stopped": "stopped: others were better at no more cost",
    "infeasible": "never trained: exceeds the budget",
    "failed": "failed",
}
STATES_OF_OWN = {
    "done": "; the config's own student was trained beside them",
    "stopped": "; the config's own student was trained beside them",
    "infeasible": "; the config's own student does not fit",
    "failed": "; the config's own student failed",
}
SCORES = {
    "anomaly": "area under the ROC curve",
    "classification": "likelihood",
    "multilabel": "likelihood",
    "regression": "fraction of the variance explained",
}
COLORS = {"done": "#0b6e99", "stopped": "#c2571a", "infeasible": "#bbbbbb"}


def render_search(result: Mapping[str, Any]) -> bytes:
    """The page for a search's result as plain data; the same result gives the same bytes."""
    by_number = {row["number"]: row for row in result["candidates"]}
    classifies = result["task"] == "classification"
    with drawing():
        charts = [_front(result, by_number, name) for name in WORDS] + [_progress(result)]
    return page(
        "micro.explore",
        "search.html.j2",
        result=result,
        score=SCORES[result["task"]],
        headline=_headline(result, by_number[result["chosen"]]),
        judged=_judged(result),
        classifies=classifies,
        finals=sorted(_finals(result), reverse=True),
        rows=[by_number[number] for number in rows_shown(result["front"], result["chosen"], by_number)],
        means={int(number): mean_of(scores) for number, scores in result["finals"].items()},
        seeds=len(result["finals"][str(result["chosen"])]),
        chosen=by_number[result["chosen"]],
        charts=charts,
        words=WORDS,
        states=STATES,
        choice=describe,
        called=called,
        tally=tally([(row["number"], row["state"]) for row in result["candidates"]]),
    )


def _headline(result: Mapping[str, Any], chosen: Mapping[str, Any]) -> str:
    """What was chosen, why, and how it stands beside the teacher, in a sentence."""
    own = chosen["number"] == OWN
    trained = sum(row["state"] == "done" for row in result["candidates"])
    limits = any(result["budget"][cost] is not None for cost in WORDS)
    what = "The config's own student is" if own else f"Candidate {chosen['number']} is"
    among = f"the best of {counted(trained, 'student')} trained to the end" + (" within the budget" if limits else "")
    finals = {int(number): scores for number, scores in result["finals"].items()}
    score = chosen_by(finals, chosen["number"], SCORES[result["task"]])
    teacher = result["teacher_score"]
    beside = "" if teacher is None else f"; the teacher has {teacher:.4f}"
    return f"{what} {among} by {score}{beside}"


def chosen_by(finals: Mapping[int, Sequence[float]], chosen: int, score: str = "score") -> str:
    """By which figure a finalist was chosen, and its value: 'the mean score over 3 seeds, 0.8123'.

    Args:
        finals: Scores of each finalist by seed, by its number.
        chosen: The number of the one that was chosen.
        score: What the score is called.
    """
    mean = mean_of(finals[chosen])
    best = max(map(mean_of, finals.values()))
    tied = f", as good as the highest, {best:.4f}, for less" if f"{mean:.4f}" != f"{best:.4f}" else ""
    return f"the mean {score} over {counted(len(finals[chosen]), 'seed')}, {mean:.4f}{tied}"


def mean_of(scores: Sequence[float]) -> float:
    """The mean of a finalist's scores."""
    return sum(scores) / len(scores)


def rows_shown(front: Sequence[int], chosen: int, numbers: Iterable[int]) -> list[int]:
    """Numbers of a table's rows: the Pareto front in its order, the chosen student and the config's own, if not on it."""
    others = [number for number in (chosen, OWN) if number in set(numbers)]
    return list(dict.fromkeys([*front, *others]))


def called(number: int) -> str:
    """What a candidate is called: its number, or 'own' for the config's own student, which was not drawn."""
    return "own" if number == OWN else str(number)


def spoken(number: int) -> str:
    """The same in a sentence: 'candidate 3' or 'the config's own student'."""
    return OWN_STUDENT if number == OWN else f"candidate {number}"


def tally(states: Sequence[tuple[int, str]]) -> str:
    """What became of the candidates that were drawn, and of the config's own student beside them, from numbers and states."""
    drawn = [state for number, state in states if number != OWN]
    done, stopped, infeasible, failed = (drawn.count(state) for state in ("done", "stopped", "infeasible", "failed"))
    trained = f"{done + stopped} trained" + (f", {stopped} of them stopped early" if stopped else "")
    lost = [f"{infeasible} did not fit"] if infeasible else []
    lost += [f"{failed} failed"] if failed else []
    own = next((STATES_OF_OWN[state] for number, state in states if number == OWN), "")
    return f"{counted(len(drawn), 'candidate')} {was(len(drawn))} drawn: {', '.join([trained, *lost])}{own}"


def describe(choice: Mapping[str, Any]) -> str:
    """A candidate's choice in one line."""
    if not choice:
        return OWN_STUDENT
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.2g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        for name, value in sorted(choice.items())
    )


def _finals(result: Mapping[str, Any]) -> list[tuple[float, int, list[float]]]:
    """Mean score, number and scores of each finalist."""
    return [(mean_of(scores), int(number), list(scores)) for number, scores in result["finals"].items()]


def _judged(result: Mapping[str, Any]) -> str:
    if result["task"] == "anomaly":
        return "healthy validation windows and the same with synthetic anomalies"
    return (
        "validation windows and those of a training load held out from candidates"
        if result["kept"]
        else "validation windows"
    )


def _front(result: Mapping[str, Any], by_number: Mapping[int, Any], cost: str) -> dict[str, str]:
    """Score against one cost: every trained candidate, the Pareto front, the chosen one."""
    done = [row for row in by_number.values() if row["state"] == "done"]
    best: list[Any] = []
    for row in sorted(done, key=lambda row: (row["costs"][cost], -row["score"])):
        if not best or row["score"] > best[-1]["score"]:
            best.append(row)
    drawn, axes = figure(height=3.6)
    axes.scatter([row["costs"][cost] for row in done], [row["score"] for row in done], s=18, color=COLORS["done"])
    axes.step(
        [row["costs"][cost] for row in best], [row["score"] for row in best], where="post", color="black", linewidth=0.9
    )
    chosen = by_number[result["chosen"]]
    ring: dict[str, Any] = {
        "s": 110,
        "facecolors": "none",
        "edgecolors": "#b3261e",
        "linewidths": 1.6,
        "label": "chosen",
    }
    axes.scatter([chosen["costs"][cost]], [chosen["score"]], **ring)
    limit = result["budget"][cost]
    if limit is not None:
        axes.axvline(limit, color="#888888", linestyle="--", linewidth=0.9, label=f"budget, {limit:,}")
    lowest = min(by_number[number]["score"] for number in result["front"])
    low, high = _range([row["score"] for row in done], lowest)
    axes.set(xlabel=WORDS[cost], ylabel="score on windows of the search", ylim=(low, high))
    axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    below = sum(row["score"] < low for row in done)
    front = "; ".join(f"{row['score']:.4f} for {row['costs'][cost]:,}" for row in best)
    says = (
        "Each point is a trained candidate with its score from the search's own seed, the line the best score for a number of "
        f"{WORDS[cost]}: {front}. "
        f"Chosen: {chosen['score']:.4f} for {chosen['costs'][cost]:,}."
        + (f" {below} below {low:.4f} {'is' if below == 1 else 'are'} left out." if below else "")
    )
    data = {
        "candidate": [called(row["number"]) for row in done],
        WORDS[cost]: [row["costs"][cost] for row in done],
        "score": [row["score"] for row in done],
        "chosen": [row["number"] == result["chosen"] for row in done],
    }
    return chart(f"Score against {WORDS[cost]}", says, drawn, data)


def _range(scores: Sequence[float], lowest: float) -> tuple[float, float]:
    """Bounds of an axis that shows the better half and all of the front, with a margin: the worst would flatten it."""
    low, high = min(lowest, float(np.median(scores))), max(scores)
    room = 0.1 * (high - low) or 0.01
    return low - room, high + room


def _progress(result: Mapping[str, Any]) -> dict[str, str]:
    drawn, axes = figure()
    best: float | None = None
    line: list[float | None] = []
    scores = []
    for place, row in enumerate(result["candidates"]):
        if row["state"] == "done":
            axes.scatter([place], [row["score"]], s=18, color=COLORS["done"])
            scores.append(row["score"])
            best = row["score"] if best is None else max(best, row["score"])
        elif row["epoch_scores"]:
            axes.scatter([place], [row["epoch_scores"][-1]], s=18, color=COLORS["stopped"], marker="x")
        line.append(best)
    axes.plot(range(len(line)), line, color="black", linewidth=0.9, label="best so far")  # type: ignore[arg-type]
    if result["teacher_score"] is not None:
        axes.axhline(result["teacher_score"], color="#444444", linestyle=":", label="teacher")
    low, high = _range(scores, result["teacher_score"] if result["teacher_score"] is not None else best or 0.0)
    axes.set(
        xlabel="the config's own student and candidates, in the order drawn",
        ylabel="score on windows of the search",
        ylim=(low, high),
    )
    axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    says = (
        f"{tally([(row['number'], row['state']) for row in result['candidates']])}. Crosses are those that stopped early. "
        f"The best reached {best or 0.0:.4f}; scores below {low:.4f} are not shown."
    )
    rows = result["candidates"]
    data = {
        "candidate": [called(row["number"]) for row in rows],
        "state": [row["state"] for row in rows],
        "score": [row["score"] if row["state"] == "done" else (row["epoch_scores"] or [None])[-1] for row in rows],
        "best so far": line,
    }
    return chart("How the search went", says, drawn, data)
