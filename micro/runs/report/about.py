"""What else a run's page says: boards that the student fits, sizes with a runtime, the config, versions, when data are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from micro.config import Config
from micro.errors import ConversionError
from micro.program.placement import Placement, Use, placements
from micro.program.size import Model, Program, program_of
from micro.support.toml_text import toml_of
from micro.targets.boards import all_boards
from micro.targets.cores import Runtime, core_of

# The boards that are shown first, and the charge that days are of: a coin cell CR2032, in mAh.
SHOWN = ("microbit", "pico", "nano33ble", "nucleo-l476rg", "esp32-s3", "esp32-c3", "uno")
CHARGE = 220.0
CORE = "m4f"


@dataclass(frozen=True)
class About:
    """What the page is given besides report and data.

    Attributes:
        config: Of the run.
        versions: Of the libraries that it was made with, by name.
        model: The student as it is deployed.
        every: Seconds from window to window; None where windows have no time.
    """

    config: Config
    versions: Mapping[str, str]
    model: Model
    every: float | None


def about_context(about: About) -> dict[str, Any]:
    """For the template."""
    runtime, programs = _programs(about.model)
    found: tuple[Placement, ...] = ()
    if runtime is not None:
        charge = None if about.every is None else CHARGE
        found = placements(about.model, all_boards(), runtime, Use(about.every, charge))
    own = about.config.budget.board
    first = [each for each in found if each.board.id in SHOWN or each.board.id == own]
    return {
        "runtime": runtime,
        "programs": programs,
        "boards": first,
        "other_boards": [each for each in found if each not in first],
        "fitting": sum(each.fits for each in found),
        "counted_cores": list(dict.fromkeys(core_of(each.board.core).title for each in found if _is_counted(each))),
        "timed_cores": list(dict.fromkeys(core_of(each.board.core).title for each in found if each.whole)),
        "core_of": core_of,
        "charge": CHARGE,
        "every": about.every,
        "config_text": config_text(about.config),
        "versions": about.versions,
    }


def _is_counted(placement: Placement) -> bool:
    """Whether the whole program was counted for the board's core."""
    return placement.program is not None and placement.program.counted is not None


def _programs(model: Model) -> tuple[Runtime | None, list[Program]]:
    """The model with each runtime on a Cortex-M4F, and the one that firmware gets: static C where it has all operators."""
    made: list[Program] = []
    for runtime in ("static", "tflm"):
        try:
            made.append(program_of(model, runtime, core_of(CORE)))
        except ConversionError:
            continue
    return (made[0].runtime if made else None), made


def config_text(config: Config) -> str:
    """The settings that are not at their defaults, as TOML; folders of data are left out, which are others elsewhere."""
    plain = config.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    for source in plain.get("sources", ()):
        source.pop("folder", None)
    tables = {name: each for name, each in plain.items() if isinstance(each, dict)}
    lines = [f"{name} = {toml_of(each)}" for name, each in plain.items() if name not in tables and name != "overrides"]
    for name, table in tables.items():
        rows = [f"{key} = {toml_of(each)}" for key, each in table.items() if (name, key) != ("data", "folder")]
        # A section of defaults alone is there too: without it there would be no commissioning, for example.
        lines += ["", f"[{name}]", *rows]
    return "\n".join(lines)
