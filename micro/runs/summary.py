"""A config as a run keeps it, and back: paths of models may move along with the run, paths of data are absolute."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from micro.config import Config, parse_config


def plain_config(config: Config, out: Path, within: Path | None = None) -> dict[str, Any]:
    """A config as plain data, as `out` keeps it.

    Args:
        out: The run's folder.
        within: A folder that `out` and models of the config are moved or copied with: their paths lead there from `out`.
    """
    plain = config.model_dump(mode="json")
    for side in ("teacher", "student"):
        path = plain[side].get("path")
        if path:
            path = os.path.abspath(path)
            inside = within is not None and Path(path).is_relative_to(within)
            plain[side]["path"] = Path(os.path.relpath(path, out)).as_posix() if inside else path
    if "folder" in plain["data"]:
        plain["data"]["folder"] = os.path.abspath(plain["data"]["folder"])
    for source in plain["sources"]:
        if source["folder"] is not None:
            source["folder"] = os.path.abspath(source["folder"])
    return plain


def config_from_plain(plain: object, out: Path) -> Config:
    """The config that a run's folder keeps, its models' paths taken from there.

    Raises:
        ValueError: In one line for what is no config.
    """
    if not isinstance(plain, dict):
        raise ValueError(f"manifest.json: config is no section of settings but {type(plain).__name__}")
    sides = {}
    for side in ("teacher", "student"):
        section = plain.get(side)
        if isinstance(section, dict) and isinstance(section.get("path"), str):
            sides[side] = {**section, "path": os.path.normpath(out.resolve() / section["path"])}
    return parse_config({**plain, **sides}, Path(), "manifest.json")
