"""A finished run, read back: its report and its config."""

from __future__ import annotations

import json
from pathlib import Path

from micro.config import Config, RenamedError
from micro.errors import RunError
from micro.runs.manifest import NAME, not_finished
from micro.runs.run_report import RunReport
from micro.runs.summary import config_from_plain


def read_run(folder: Path) -> tuple[RunReport, Config]:
    """Report and config of a finished run.

    Raises:
        RunError: In one line, if the folder is not one or holds what no run has written.
    """
    try:
        manifest = json.loads((folder / NAME).read_text(encoding="utf-8"))
        config = config_from_plain(manifest["config"], folder)
        return RunReport.read(folder), config
    except OSError as error:
        raise not_finished(folder, error) from None
    except RenamedError as error:
        raise RunError(f"{folder} was made by an earlier version: {error}; make it again") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{folder} is damaged: {error}") from None
