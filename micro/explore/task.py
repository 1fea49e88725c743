"""What is searched and where it is kept, as workers take it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micro.config import Config
from micro.errors import RunError
from micro.explore.holdout import kept_back
from micro.explore.space import resolutions
from micro.explore.study import Budget
from micro.program.size import Around
from micro.support.workers import Outcome, run_all

TRIAL, WINDOWS = "micro.explore.trial:try_candidate", "micro.explore.windows:prepare_windows"


@dataclass(frozen=True)
class Task:
    """What is searched, where it is kept, and with how many workers; `kept` where a training load is kept from candidates."""

    config: Config
    out: Path
    budget: Budget
    runtime: str
    workers: int
    kept: bool = False

    def folder(self, bands: int) -> Path:
        """Where the windows of a resolution lie."""
        return (self.out / "windows" / f"bands-{bands}{'-kept' if self.kept else ''}").resolve()

    def resolution(self, bands: int, teacher_from: str | None) -> dict[str, Any]:
        """A resolution as workers take it."""
        config = self.config.model_copy(update={"features": self.config.features.model_copy(update={"bands": bands})})
        plain = {"config": self._plain(config), "folder": str(self.folder(bands))}
        return {**plain, "teacher_from": teacher_from, "kept": self.kept}

    def piece(self, config: Config, seed: int, **more: object) -> dict[str, Any]:
        """A candidate as workers take it."""
        plain = {"config": self._plain(config), "folder": str(self.folder(config.features.bands)), "seed": seed}
        return {**plain, "budget": self.budget, "runtime": self.runtime, **more}

    def _plain(self, config: Config) -> dict[str, Any]:
        """What a config's students learn by; relative paths made whole, since workers may have another working directory."""
        if self.kept:
            config = kept_back(config) or config
        plain = config.model_dump(mode="json")
        for section, key in (("data", "folder"), ("teacher", "path"), ("student", "path")):
            if plain[section].get(key):
                plain[section][key] = os.path.abspath(plain[section][key])
        for source in plain["sources"]:
            if source["folder"]:
                source["folder"] = os.path.abspath(source["folder"])
        return plain


def prepare(task: Task) -> float | None:
    """Windows and teacher's outputs of every resolution, on disk unless they lie there; the score of the config's teacher."""
    config = task.config
    own = config.features.bands
    others = [bands for bands in resolutions(config) if bands != own]
    # Logits and numbers serve whatever the student's features; an autoencoder's teacher speaks in its own features.
    shared = str(task.folder(own)) if config.task != "anomaly" else None
    rounds = [[own], others] if shared else [[own, *others]]
    for wanted in rounds:
        pieces = [
            (f"{bands} bands", task.resolution(bands, None if bands == own else shared))
            for bands in wanted
            if not task.folder(bands).exists()
        ]
        for outcome in run_all(WINDOWS, pieces, workers=task.workers):
            value(outcome)
    about = json.loads((task.folder(own) / "about.json").read_text())
    return None if about["teacher_score"] is None else float(about["teacher_score"])


def around_in(folder: Path) -> Around | None:
    """What every candidate takes besides its own, as `prepare_windows` wrote it beside a resolution's windows."""
    around = json.loads((folder / "about.json").read_text()).get("around")
    return None if around is None else Around(**around)


def value(outcome: Outcome) -> dict[str, Any]:
    """What a piece gave.

    Raises:
        RunError: If it failed.
    """
    if outcome.value is None:
        raise RunError(f"search: {outcome.error}")
    return outcome.value
