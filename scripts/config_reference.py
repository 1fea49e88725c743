"""Write docs/config.md: type and default of every key of a config, read from the code; what it means is kept from the page.

Usage: python scripts/config_reference.py [--check]. A key that is new gets an empty meaning to fill in; one that is gone loses
its row. With --check nothing is written: the exit code is 1 where the page is not what would be written.
"""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from micro.config import (
    augmentation,
    bearing,
    commissioning,
    compression,
    data,
    deployment,
    distillation,
    features,
    files,
    grouped,
    labels,
    models,
    modes,
    read,
    sources,
    text,
    vibration,
)

PAGE = Path(__file__).parents[1] / "docs/config.md"
# Headings of the page, in its order, and the class behind each.
SECTIONS: dict[str, type[BaseModel]] = {
    "Top level": read.Config,
    '[data], job = "rig"': data.RigData,
    "data.bearing": data.BearingData,
    '[data], job = "cwru"': data.CwruData,
    '[data], job = "table"': data.TableData,
    '[data], job = "table", task = "classification"': data.ClassesData,
    '[data], job = "table", task = "multilabel"': labels.LabelsData,
    '[data], job = "table", task = "regression"': data.RegressionData,
    '[data], job = "text"': text.TextData,
    "[features]": features.FeaturesConfig,
    "features.filter": features.FilterConfig,
    "[[sources]]": sources.SourceConfig,
    "[augment]": augmentation.AugmentConfig,
    "[modes]": modes.ModesConfig,
    "[teacher]": models.TeacherConfig,
    "[student]": models.StudentConfig,
    "[distill]": distillation.DistillConfig,
    '[[compress]], stage = "shrink"': compression.ShrinkStage,
    '[[compress]], stage = "prune"': compression.PruneStage,
    '[[compress]], stage = "cluster"': compression.ClusterStage,
    '[[compress]], stage = "quantize_aware"': compression.QuantizeStage,
    "[budget]": deployment.BudgetConfig,
    "[convert]": deployment.ConvertConfig,
    "[detect]": deployment.DetectConfig,
    "[recognize]": deployment.RecognizeConfig,
    "[estimate]": deployment.EstimateConfig,
    "[firmware]": deployment.FirmwareConfig,
    "[commissioning]": commissioning.CommissioningConfig,
    "[vibration]": vibration.VibrationConfig,
    "[bearing]": bearing.BearingConfig,
}
WORDS = {str: "text", int: "integer", float: "number", bool: "true or false", type(None): ""}
PLURALS = {"text": "texts", "integer": "integers", "number": "numbers", "table": "tables"}
# Keys whose default depends on others.
DEPENDS = {
    "task": "by the job",
    "family": "by the task",
    "objective": "by the task",
    "candidates": "by the task",
    "temperature": "`4.0`; a recipe's as published",
    "weight": "`0.5`; a recipe's as published",
    "hard_weight": "`0.5`; a recipe's as published; `1.0` beside `objectives`",
}
# Keys that another table of the page has: those of reading files.
ELSEWHERE = {
    '[data], job = "table", task = "classification"': set(files.FilesData.model_fields) - {"label_column", "on_short"},
    '[data], job = "table", task = "multilabel"': set(grouped.GroupedData.model_fields) - {"split"},
    '[data], job = "table", task = "regression"': set(grouped.GroupedData.model_fields) - {"split"},
}
BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
HEAD = "| key | type | default | meaning |\n| --- | --- | --- | --- |\n"


def kind(annotation: object, metadata: tuple[object, ...] = ()) -> str:
    """A type in words, with its bounds."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(inner[0], (*inner[1:], *metadata))
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in inner)
    if origin in (Union, types.UnionType):
        if len(inner) == 2 and get_origin(inner[1]) is tuple and get_args(inner[1])[:1] == inner[:1]:
            return f"{kind(inner[0])}, or a list of these"
        return " or ".join(filter(None, (kind(one, metadata) for one in inner)))
    if origin is tuple:
        first = kind(inner[0])
        if inner[-1] is not Ellipsis:
            return f"list of {len(inner)} {PLURALS.get(first.split(',')[0], first)}"
        head, comma, rest = first.partition(",")
        return f"list of {PLURALS.get(head, head)}{comma}{rest}"
    if origin is dict and inner[1] is Any:
        return "table"
    if origin is dict:
        return f"table of {kind(inner[1]).removeprefix('list of ')} by name"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return ", ".join([WORDS[annotation], *bounds(metadata)]) if WORDS[annotation] else ""  # type: ignore[index]


def bounds(metadata: tuple[object, ...]) -> list[str]:
    """`above 0`, `at most 32`: what the annotations of pydantic limit a value to."""
    parts = [part for one in metadata for part in (one.metadata if isinstance(one, FieldInfo) else [one])]
    return [
        f"{word} {getattr(part, name):,}" if isinstance(getattr(part, name), int) else f"{word} {getattr(part, name):g}"
        for part in parts
        for name, word in BOUNDS.items()
        if hasattr(part, name)
    ]


def default(field: FieldInfo) -> str:
    """A default as TOML has it."""
    if field.is_required():
        return "required"
    value = field.default if field.default_factory is None else field.default_factory()  # type: ignore[call-arg]
    if field.validate_default:
        return "its own"
    if isinstance(value, dict):
        return "`{}`" if not value else f"`{value}`"
    if value is None:
        return "none"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)}`"


def meanings(page: str) -> dict[tuple[str, str], str]:
    """What the page says of each key, by heading and key."""
    said: dict[tuple[str, str], str] = {}
    for heading, below in re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", page, flags=re.M):
        for key, meaning in re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", below, flags=re.M):
            said[heading, key] = meaning
    return said


def render(page: str) -> str:
    """The page with each table as the code has it."""
    said = meanings(page)
    for heading, section in SECTIONS.items():
        # Sections that stand in the top level have tables of their own.
        rows = "".join(
            f"| `{key}` | {kind(field.annotation, tuple(field.metadata))} | {DEPENDS.get(key) or default(field)} "
            f"| {said.get((heading, key), '')} |\n"
            for key, field in section.model_fields.items()
            if not (
                section is read.Config and {"table", "tables"} & set(kind(field.annotation).split())
            )  # the sections have tables of their own
            and key not in ELSEWHERE.get(heading, ())
        )
        pattern = rf"(^## {re.escape(heading)}\n(?:(?!## |\|).*\n)*)(?:\|.*\n)+"
        page, found = re.subn(pattern, lambda match, rows=rows: match[1] + HEAD + rows, page, flags=re.M)
        if not found:
            raise SystemExit(f"{PAGE} has no table under '## {heading}'")
    return page


def main() -> None:
    """Write the page, or say that it is not what it should be."""
    before = PAGE.read_text(encoding="utf-8")
    after = render(before)
    empty = [f"{heading} {key}" for (heading, key), meaning in meanings(after).items() if not meaning.strip()]
    if "--check" in sys.argv[1:]:
        sys.exit(
            "\n".join([f"{PAGE} is not up to date"] * (before != after) + [f"no meaning: {one}" for one in empty]) or 0
        )
    PAGE.write_text(after, encoding="utf-8")
    print("\n".join(["written", *(f"no meaning: {one}" for one in empty)]))


if __name__ == "__main__":
    main()
