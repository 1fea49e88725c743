"""What errors of reading say where files are read by a finished run's settings, which cannot be set any more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from micro.config import FilesData
from micro.errors import DataError

# Keys that are ordinary words too are meant where they are set, checked or named as what holds columns.
_UNUSUAL = "|".join(name for name in FilesData.model_fields if "_" in name)
_ORDINARY = "|".join([*(name for name in FilesData.model_fields if "_" not in name), "rows"])
_NAMES_A_KEY = re.compile(rf"\b(?:{_UNUSUAL})\b|\b(?:{_ORDINARY})\b = |\b(?:check|set|in) (?:{_ORDINARY})\b")

ADVICE = (
    "these are settings of the run's config, by which files to score are read: write the file as the run's files are, or run "
    "again with a config that reads both"
)


@contextmanager
def by_the_settings_of_a_run() -> Iterator[None]:
    """Let a DataError that advises a setting of [data] say that it is one of the run, and what its user can do instead."""
    try:
        yield
    except DataError as error:
        # What reads files for a run may be called by what does so as well.
        if ADVICE in str(error) or not _NAMES_A_KEY.search(str(error)):
            raise
        raise DataError(f"{error} ({ADVICE})") from None
