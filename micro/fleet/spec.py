"""What a fleet is made of: a config that all machines share, and what each has of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError, field_validator

from micro.config import Config, parse_config, require_current_names, with_firmware_name, with_paths
from micro.config.complaints import first_complaint, load_toml
from micro.config.overrides import read_with
from micro.config.sources import with_source_folders

# Sections in which a machine may differ; features and teacher are what a fleet shares.
OWN = ("data", "student", "detect", "recognize", "estimate", "budget", "firmware")

# Settings of the fleet's own file, which a config does not have.
_OF_FLEET = ("teacher_assets", "asset")

# Machines that may teach in place of one whose data cannot be used.
STAND_INS = 3


class Asset(BaseModel):
    """One machine: its name, which is its folder's too, and its own values in sections of the config."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    data: dict[str, Any] = {}
    student: dict[str, Any] = {}
    detect: dict[str, Any] = {}
    recognize: dict[str, Any] = {}
    estimate: dict[str, Any] = {}
    budget: dict[str, Any] = {}
    firmware: dict[str, Any] = {}

    @field_validator("name")
    @classmethod
    def _is_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
            raise ValueError("must be letters, digits, '-' and '_', 64 at most: it names a folder")
        return name


class Fleet(BaseModel):
    """The shared config as plain data, the machines, and how many of them teach the teacher."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shared: dict[str, Any]
    teacher_assets: PositiveInt = 8
    asset: tuple[Asset, ...]

    def config(self, asset: Asset, teacher: str | None = None, classes: Sequence[str] = ()) -> Config:
        """A machine's whole config: one seed, no student without teacher, the shared teacher where one is named, with the
        classes that it gives.

        Raises:
            ValueError: Names the machine and what is wrong.
        """
        plain = dict(self.shared)
        for section in OWN:
            plain[section] = _merged(plain.get(section, {}), getattr(asset, section))
        plain["seeds"] = 1
        plain["distill"] = {**plain.get("distill", {}), "compare": False}
        if teacher is not None:
            # How many networks it is the mean of, and what they see, is said of one that is trained, not of a file.
            trained = ("members", "augment")
            plain["teacher"] = {key: value for key, value in plain["teacher"].items() if key not in trained}
            plain["teacher"]["path"] = teacher
            if classes:
                plain["teacher"]["classes"] = list(classes)
        return parse_config(plain, Path(), f"asset {asset.name!r}")

    def teaching(self) -> Iterator[tuple[Asset, ...]]:
        """The machines that teach the teacher, spread evenly over all: for each place one, and those that stand in for it."""
        count = min(self.teacher_assets, len(self.asset))
        bounds = [place * len(self.asset) // count for place in range(count + 1)]
        for first, end in pairwise(bounds):
            yield self.asset[first : min(end, first + 1 + STAND_INS)]


def load_fleet(path: str | Path, settings: Sequence[str] = ()) -> Fleet:
    r"""Read a fleet's TOML file and the config that it names, and check every machine's config; paths are taken from its own
    folder.

    Args:
        path: The fleet's file.
        settings: Each KEY=VALUE, such as 'teacher.epochs=5', in place of the shared config's, or of the fleet's own
            `teacher_assets` and `asset`; errors name them as `--set`.

    Raises:
        ValueError: In one line naming the machine and what is wrong.

    Examples:
        >>> from pathlib import Path
        >>> rig = 'job = "rig"\n[teacher]\nsizes = [64, 8, 64]\n[student]\nsizes = [8]\n'
        >>> _ = Path("rig.toml").write_text(rig)
        >>> _ = Path("hall.toml").write_text('config = "rig.toml"\n[[asset]]\nname = "pump-1"\n[[asset]]\nname = "pump-2"\n')
        >>> [asset.name for asset in micro.load_fleet("hall.toml").asset]
        ['pump-1', 'pump-2']
    """
    path = Path(path)
    plain = load_toml(path, "fleet")
    base = plain.pop("config", None)
    if not isinstance(base, str):
        raise ValueError(f"fleet {path}: config must name the .toml that all machines share")
    shared_path = path.parent / base
    shared = with_firmware_name(load_toml(shared_path, "config"), shared_path.stem)
    both = {**shared, **{key: plain.pop(key) for key in _OF_FLEET if key in plain}}

    def read(given: dict[str, Any]) -> Fleet:
        own = {key: given.pop(key) for key in _OF_FLEET if key in given}
        return _checked(path, {**plain, **own}, shared_path, given)

    return read_with(lambda given: read(dict(given)), both, settings, f"fleet {path}")


def _checked(path: Path, plain: dict[str, Any], shared_path: Path, shared: dict[str, Any]) -> Fleet:
    """The fleet of a file's settings, and of those of the config that it names."""
    require_current_names(shared, str(shared_path))
    for section in ("data", "teacher", "student"):
        if section in shared:
            shared[section] = with_paths(shared[section], shared_path.parent.resolve())
    if "sources" in shared:
        shared["sources"] = with_source_folders(shared["sources"], shared_path.parent.resolve())
    assets = plain.get("asset", [])
    if not isinstance(assets, list) or not assets:
        raise ValueError(f"fleet {path}: it has no [[asset]]")
    own = path.parent.resolve()
    assets = [
        {**asset, "data": with_paths(asset["data"], own)} if isinstance(asset, dict) and "data" in asset else asset
        for asset in assets
    ]
    try:
        fleet = Fleet.model_validate({**plain, "asset": assets, "shared": shared})
    except ValidationError as error:
        raise ValueError(f"fleet {path}: {first_complaint(error, '', Fleet)}") from None
    _require_apart(path, fleet)
    configs = [fleet.config(asset) for asset in fleet.asset]
    for config in configs:
        _require_shared(path, config)
        _require_no_fold_teacher(path, config)
    _require_same_numbers(path, configs)
    _require_same_labels(path, configs)
    _require_named_outputs(path, configs)
    return fleet


def _require_shared(path: Path, config: Config) -> None:
    """ValueError for a run that machines cannot share a teacher of."""
    if config.task == "sequence":
        raise ValueError(f"fleet {path}: task 'sequence' has no fleet; run each machine by itself (keras-kd run)")
    if getattr(config.data, "folds", None):
        raise ValueError(
            f"fleet {path}: data.folds have no fleet, whose shared teacher would know what other folds test; run each machine "
            "by itself (keras-kd run)"
        )


def _require_no_fold_teacher(path: Path, config: Config) -> None:
    """ValueError for a teacher whose networks are each taught without a fold of one machine's windows."""
    if config.teacher.folds is not None:
        raise ValueError(
            f"fleet {path}: teacher.folds have no fleet: its machines share one teacher, and only some of them teach it, so "
            "that no network of it lacks a fold of each machine's windows; take teacher.members, or run each machine by itself "
            "(keras-kd run)"
        )


def _require_same_numbers(path: Path, configs: Sequence[Config]) -> None:
    """ValueError for machines whose several numbers are not those that the shared teacher gives."""
    targets = [getattr(config.data, "targets", ()) for config in configs]
    other = next((each for each in targets if each != targets[0]), None)
    if other is not None and max(len(other), len(targets[0])) > 1:
        raise ValueError(
            f"fleet {path}: machines estimate {_numbers_of(targets[0])} and {_numbers_of(other)}; one teacher gives the same "
            "numbers in the same order for all of them"
        )


def _require_same_labels(path: Path, configs: Sequence[Config]) -> None:
    """ValueError for machines whose several labels are not those that the shared teacher tells, in whatever order."""
    labels = [tuple(getattr(config.data, "label_columns", ())) for config in configs]
    other = next((each for each in labels if set(each) != set(labels[0])), None)
    if other is not None:
        raise ValueError(
            f"fleet {path}: machines have label_columns {', '.join(labels[0])} and {', '.join(other)}; one teacher tells the "
            "same labels of all of them"
        )


def _require_named_outputs(path: Path, configs: Sequence[Config]) -> None:
    """ValueError for a teacher of the user's own whose outputs machines could take for other classes or labels."""
    for config in configs:
        if config.teacher.path is None or config.teacher.classes:
            continue
        if config.task == "classification":
            what = "machines' files may be of other classes, which are matched by name"
        elif getattr(config.data, "label_columns", ()) != getattr(configs[0].data, "label_columns", ()):
            what = "machines have label_columns in other orders"
        else:
            continue
        raise ValueError(
            f"fleet {path}: {what}, and nothing says what {config.teacher.path} gives: name its outputs in their order by "
            "teacher.classes"
        )


def _numbers_of(targets: Sequence[str]) -> str:
    return f"columns {', '.join(targets)}" if targets else "remaining life"


def _require_apart(path: Path, fleet: Fleet) -> None:
    """ValueError where two machines would share a folder, here or on a system that ignores case."""
    seen: dict[str, str] = {}
    for asset in fleet.asset:
        other = seen.get(asset.name.casefold())
        seen[asset.name.casefold()] = asset.name
        if other is None:
            continue
        if other == asset.name:
            raise ValueError(f"fleet {path}: asset {asset.name!r} comes twice")
        raise ValueError(
            f"fleet {path}: assets {other!r} and {asset.name!r} differ in case only, which not every system "
            "distinguishes in the names of folders; rename one"
        )


def _merged(shared: Any, own: Mapping[str, Any]) -> Any:
    """A section with a machine's own values in place of the shared ones, tables within it merged likewise."""
    if not isinstance(shared, dict):
        return shared
    merged = dict(shared)
    for key, value in own.items():
        merged[key] = _merged(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged
