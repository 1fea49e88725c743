"""Finished runs in a file of JSON lines: a line for the settings, then one a run; what is in it is not run again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# How the first line of a ledger begins.
BEGINS = b'{"settings": '


@dataclass(frozen=True)
class Row:
    """One run: a method from one seed, the metric on validation data and later on test data, and how long it trained.

    Examples:
        >>> keras_kd.recipes.Row("kd", 0, validation=0.9).test is None
        True
    """

    method: str
    seed: int
    validation: float
    test: float | None = None
    seconds: float = 0.0
    recipe: str = ""


class Ledger:
    """Runs by (method, seed), in a file or in memory.

    A line that a killed process left unfinished is dropped. Settings are compared with those of the file.

    Args:
        path: The file, made when the first run is added; None keeps runs in memory.
        settings: What all runs share, as text or numbers by name.

    Raises:
        ValueError: For a file of other settings, naming the first that differs, or one that is no ledger.

    Examples:
        >>> ledger = keras_kd.recipes.Ledger("runs.jsonl", {"epochs": 5})
        >>> ledger.add(keras_kd.recipes.Row("kd", 0, validation=0.9))
        >>> keras_kd.recipes.Ledger("runs.jsonl", {"epochs": 5}).row("kd", 0).validation
        0.9
        >>> keras_kd.recipes.Ledger("runs.jsonl", {"epochs": 6})
        Traceback (most recent call last):
        ValueError: runs.jsonl was made with epochs 5, now it is 6; name another ledger
    """

    def __init__(self, path: str | os.PathLike[str] | None, settings: dict[str, str | int | float]) -> None:
        self.path = None if path is None else Path(path)
        self.settings = dict(settings)
        self._rows: dict[tuple[str, int], Row] = {}
        self._is_new = True
        if self.path is not None and self.path.exists():
            self._read(self.path)

    @property
    def rows(self) -> tuple[Row, ...]:
        """All runs, in the order in which they were added."""
        return tuple(self._rows.values())

    def row(self, method: str, seed: int) -> Row | None:
        """A run, None if it is missing."""
        return self._rows.get((method, seed))

    def add(self, row: Row) -> None:
        """Keep a run, on disk before this returns; one of the same method and seed is replaced."""
        self._rows[row.method, row.seed] = row
        if self.path is None:
            return
        lines = [json.dumps({"settings": self.settings})] if self._is_new else []
        lines.append(json.dumps(asdict(row)))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._is_new = False

    def _read(self, path: Path) -> None:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.decode("utf-8", errors="replace").splitlines()
        if lines:
            head = _parsed(path, 1, lines[0]).get("settings")
            if not isinstance(head, dict):
                raise ValueError(f"{path} is no ledger: its first line holds no settings")
            self._compare(path, head)
            for number, line in enumerate(lines[1:], 2):
                row = _row(path, number, _parsed(path, number, line))
                self._rows[row.method, row.seed] = row
            self._is_new = False
        # A line cut by a kill is dropped; where nothing is whole yet, only the beginning of a first line of ours is.
        if not lines and not content.startswith(BEGINS) and not BEGINS.startswith(content):
            raise ValueError(f"{path} is no ledger: it does not begin with settings")
        if len(whole) < len(content):
            os.truncate(path, len(whole))

    def _compare(self, path: Path, found: dict[str, Any]) -> None:
        for key in dict.fromkeys((*self.settings, *found)):
            then, now = found.get(key), self.settings.get(key)
            if then != now:
                raise ValueError(f"{path} was made with {key} {then}, now it is {now}; name another ledger")


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: line {number} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: line {number} is no table of names and values")
    return value


def _row(path: Path, number: int, values: dict[str, Any]) -> Row:
    try:
        return Row(**values)
    except TypeError as error:
        raise ValueError(f"{path}: line {number} is no run: {error}") from None
