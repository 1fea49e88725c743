"""Whether a run can be tried on this computer's microphone, and at which rate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from micro.studio.workspace import Workspace

# Samples a second that a browser takes from a microphone.
LEAST_RATE, MOST_RATE = 8_000, 96_000
# Files of sound, and how those are called whose samples are read in counts of 16 bits, as the microphone's are.
SOUND, OF_16_BITS = (".wav", ".flac", ".ogg"), ("PCM_16", "VORBIS", "OPUS")


def sound_rate(space: Workspace, run: str, report: Mapping[str, Any]) -> int | None:
    """Samples a second at which a run takes sound, None of a run that learned from something else.

    That is one channel of 16 bits, by the first of the run's files that is still there: samples count as their file has them,
    so that of a run on other bits, or on a table without names, those of a microphone would be far too loud or too soft.
    """
    data = report.get("data")
    if not isinstance(data, dict) or data.get("channels") != ["c0"] or data.get("sources"):
        return None
    rate = data.get("sample_rate")
    if not isinstance(rate, int | float) or not LEAST_RATE <= rate <= MOST_RATE or rate != int(rate):
        return None
    return int(rate) if _learned_from_16_bits(space.runs / run) else None


def _learned_from_16_bits(folder: Path) -> bool:
    import soundfile

    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        paths = [Path(manifest["config"]["data"]["folder"], name) for name in manifest["data"]]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    first = next((path for path in paths if path.suffix.lower() in SOUND and path.is_file()), None)
    try:
        return first is not None and soundfile.info(first).subtype in OF_16_BITS
    except (soundfile.SoundFileError, OSError):
        return False
