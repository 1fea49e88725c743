"""A config as a run keeps it, and back: what was told, with the paths of models that move along with the run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from micro.config import Config, parse_config


def told_by(config: Config, out: Path, within: Path | None = None) -> dict[str, Any]:
    """A config as plain data, as `out` keeps it.

    Args:
        out: The run's folder.
        within: A folder that `out` and models of the config are moved or copied with: their paths lead there from `out`.
    """
    told = config.model_dump(mode="json")
    for side in ("teacher", "student"):
        path = told[side].get("path")
        if path:
            path = os.path.abspath(path)
            inside = within is not None and Path(path).is_relative_to(within)
            told[side]["path"] = Path(os.path.relpath(path, out)).as_posix() if inside else path
    return told


def config_kept(told: dict[str, Any], out: Path) -> Config:
    """The config that a run's folder keeps, its models' paths taken from there.

    Raises:
        ValueError: In one line for what is no config.
    """
    sides = {}
    for side in ("teacher", "student"):
        section = told.get(side)
        if isinstance(section, dict) and isinstance(section.get("path"), str):
            sides[side] = {**section, "path": os.path.normpath(out.resolve() / section["path"])}
    return parse_config({**told, **sides}, Path(), "manifest.json")
