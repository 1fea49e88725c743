"""Jobs on public data by their configs alone: teacher, student with it and without it, as int8, over seeds.

Usage: python scripts/jobs [NAME ...] [--seeds 5] [--out runs/jobs] [--data FOLDER], where a NAME is a .toml beside this file;
all without. Data are looked for in FOLDER, by default $KERAS_KD_DATA. A run that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from job_files import WRITTEN

from micro.config import parse_config, with_firmware_name
from micro.config.complaints import load_toml
from micro.runs.folder import can_resume
from micro.runs.repeats import compare, summarize
from micro.runs.run_report import RunReport
from micro.runs.start import run_pipeline

HERE = Path(__file__).parent
MODELS = {
    "teacher": "teacher",
    "student_int8": "student, int8",
    "alone_int8": "student without a teacher, int8",
}


def main() -> None:
    names = sorted(path.stem for path in HERE.glob("*.toml"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/jobs"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("KERAS_KD_DATA", ".")))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in names]
    if unknown:
        parser.error(f"no job {unknown[0]!r}; there are {', '.join(names)}")
    for name in arguments.names or names:
        raw = load_toml(HERE / f"{name}.toml", "config")
        folder = arguments.data
        if name in WRITTEN:
            folder = arguments.out / f"{name}-files"
            WRITTEN[name](arguments.data, folder)
        reports = []
        for folder_name, changed in runs_of(name, raw, arguments.seeds):
            out = arguments.out / folder_name
            begun = out.exists() or can_resume(out)
            reports.append(
                run_pipeline(parse_config(with_firmware_name(changed, name), folder, name), out, resume=begun)
            )
        print(table(name, reports), flush=True)


def runs_of(name: str, raw: dict[str, Any], seeds: int) -> list[tuple[str, dict[str, Any]]]:
    """The runs of a job, each with its folder's name and its config: one, or one a seed or a fold where the test is another."""
    if raw["job"] == "rig":  # whose recordings come from the seed: each has its own
        return [(f"{name}-{seed}", {**raw, "seed": seed, "seeds": 1}) for seed in range(1, 1 + seeds)]
    folds = [{"test_files": [f"{person}_*" for person in held]} for held in FOLDS.get(name, ())]
    if folds:
        return [
            (f"{name}-{number}", {**raw, "seeds": seeds, "data": {**raw["data"], **fold}})
            for number, fold in enumerate(folds)
        ]
    return [(name, {**raw, "seeds": seeds})]


# Jobs whose people are tested in turns, and who is tested when.
FOLDS = {"gestures": [[f"p{person:02d}" for person in range(first, 11, 3)] for first in (1, 2, 3)]}


def table(name: str, reports: Sequence[RunReport]) -> str:
    """Markdown: mean and standard deviation of each metric over all seeds, and what the first report's student takes."""
    report = reports[0]
    seeds = [seed.models for one in reports for seed in one.seeds]
    summary = summarize(seeds)
    metrics = list(summary["student_int8"])
    lines = [f"{name}:", f"| model | {' | '.join(metrics)} |", f"| --- |{' --- |' * len(metrics)}"]
    for model, words in MODELS.items():
        found = summary.get(model, {})
        cells = (f"{found[metric].mean:.4g} ± {found[metric].deviation:.2g}" for metric in metrics)
        lines.append(f"| {words} | {' | '.join(cells)} |")
    compared = compare(seeds, report.metric, "student_int8", "alone_int8")
    if compared is not None:
        differences = ", ".join(f"{each:+.4f}" for each in compared.differences)
        lines.append(f"{compared.metric} with a teacher less without, by seed: {differences}: {compared.verdict}.")
    parameters, footprint = report.parameters, report.footprint
    large = "" if parameters.teacher is None else f" (teacher {parameters.teacher:,})"
    lines.append(
        f"Parameters {parameters.student:,}{large}, .tflite {footprint.model_bytes:,} B, arena "
        f"{footprint.ram_bytes:,} B, {footprint.macs:,} multiply-accumulates."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
