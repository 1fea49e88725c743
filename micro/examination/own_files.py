"""Which files of a test the run has read itself, whatever they are called now: by the digests of their content."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from micro.errors import DataError, RunError
from micro.runs.report_parts import DividedReport
from micro.runs.score_files import ToScore
from micro.support.files import file_sha256
from micro.support.wording import counted, listed, was


@dataclass(frozen=True)
class OwnFiles:
    """Names of a test's files that are the run's own, each with what the run calls it where that is another name.

    Attributes:
        learned: Models, thresholds or intervals were fitted on a part of them at least.
        tested: The run's own test had them, and nothing was fitted on them.
        of: How many files there are.
        read: Of a run that does not keep what became of each of its files.
    """

    learned: tuple[str, ...]
    tested: tuple[str, ...]
    of: int
    read: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What to make of a test on them, without a full stop; '' where there are none."""
        said = []
        if self.learned:
            which = f"{len(self.learned):,} of {counted(self.of, 'file')}"
            said.append(f"the run has learned from {which} ({listed(self.learned)}): figures of them flatter it")
        if self.read:
            which = f"{len(self.read):,} of {counted(self.of, 'file')}"
            said.append(f"the run has read {which} itself ({listed(self.read)}): figures of them may flatter it")
        if self.tested:
            which = f"{len(self.tested):,} of {counted(self.of, 'file')}"
            these = f"{was(len(self.tested))} in the run's own test ({listed(self.tested)})"
            said.append(f"{which} {these}: figures of them are nothing new")
        return "; ".join(said)


def own_files(given: ToScore) -> OwnFiles:
    """The run's own files among those that are given, by their content; of a run that kept no digests, by their places."""
    digests = _digests(given.folder)
    places = {} if digests else _by_place(given)
    parts = {row.origin: row for row in given.report.data.divided}
    learned: list[str] = []
    tested: list[str] = []
    read: list[str] = []
    for name, path in given.paths.items():
        own = digests.get(file_sha256(path)) if digests else places.get(path.resolve())
        if own is None:
            continue
        called = name if Path(own).name == path.name else f"{name}, a copy of {own}"
        row = parts.get(own)
        (read if row is None else learned if _fitted(row) else tested).append(called)
    return OwnFiles(tuple(learned), tuple(tested), len(given.paths), tuple(read))


def _fitted(row: DividedReport) -> bool:
    """Whether models, thresholds or intervals were fitted on a part of a recording."""
    return any(getattr(row, part) for part in ("train", "validation", "calibration", "faults", "unlabeled"))


def refuse_own_files(own: OwnFiles, run: Path) -> None:
    """Refuse a test on files that the run has read itself.

    Raises:
        DataError: Names them.
    """
    if own.sentence:
        raise DataError(f"{run} is to be tested on new files only, and {own.sentence}; leave them out")


def _digests(folder: Path) -> dict[str, str]:
    """What a run calls the files that its data are from, by their digests; empty of a run that kept none."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / 'manifest.json'} cannot be read: {error}") from None
    found = manifest.get("data")
    return {str(digest): str(name) for name, digest in found.items()} if isinstance(found, dict) else {}


def _by_place(given: ToScore) -> dict[Path, str]:
    from micro.datasets.find import find_files

    patterns, folder = getattr(given.config.data, "files", ()), getattr(given.config.data, "folder", ".")
    try:
        return {path.resolve(): name for path, name in find_files(patterns, folder).items()} if patterns else {}
    except DataError:
        return {}  # They are not there any more, so these are others.
