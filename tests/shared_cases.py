"""Where the small inputs stand that the product once failed on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def case_folder(name: str) -> Path:
    """A folder of ../shared/cases (or $KERAS_KD_CASES); the test is skipped where it is missing."""
    told = os.environ.get("KERAS_KD_CASES")
    place = Path(told) if told else Path(__file__).parents[2] / "shared" / "cases"
    if not (place / name).is_dir():
        pytest.skip(f"no case {name!r}: looked in {place}; set KERAS_KD_CASES")
    return place / name
