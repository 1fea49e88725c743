"""Budget search beside a student picked by hand for the same budget: `keras-kd search` of 40 trials, judged on the test."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from micro.config import Config, parse_config
from micro.explore import search
from micro.runs.start import run_pipeline

RIG = {
    "job": "rig",
    "features": {"kind": ["spectrum", "envelope", "moments"]},
    "teacher": {"sizes": [128, 64, 12, 64, 128], "epochs": 40, "learning_rate": 0.003},
    "student": {"sizes": [8, 4, 8], "epochs": 60, "learning_rate": 0.003},
}
CWRU = {
    "job": "cwru",
    "teacher": {"family": "dense", "sizes": [256, 128], "epochs": 30},
    "student": {"family": "dense", "sizes": [24], "epochs": 30, "learning_rate": 0.003},
    "distill": {"objective": "soft_target", "temperature": 4.0, "weight": 0.9, "hard_weight": 0.1},
}
# Windows of samples instead of spectra: harder, and slower to train on.
CWRU_RAW = {
    "job": "cwru",
    "features": {"kind": "raw", "window": 512, "hop": 512},
    "teacher": {"family": "conv1d", "sizes": [32, 64, 64], "epochs": 20, "learning_rate": 0.003},
    "student": {"family": "conv1d", "sizes": [16, 24, 24], "epochs": 20, "learning_rate": 0.003},
    "distill": {"objective": "soft_target", "temperature": 4.0, "weight": 0.9, "hard_weight": 0.1},
}
# A third of a turn of the shaft: students of this size are not right on nearly all of it, so that there is something to win.
CWRU_SHORT = {**CWRU_RAW, "features": {"kind": "raw", "window": 128, "hop": 512}}
JOBS: dict[str, tuple[dict[str, Any], str, str]] = {
    "rig": (RIG, "9KiB", "10KiB"),
    "cwru": (CWRU, "20KiB", "16KiB"),
    "cwru-raw": (CWRU_RAW, "17KiB", "12KiB"),
    "cwru-short": (CWRU_SHORT, "17KiB", "9KiB"),
}


def config_of(job: str, seed: int, cwru: Path) -> Config:
    """One student, of one seed, and none without a teacher beside it."""
    raw = {**JOBS[job][0], "seed": seed, "seeds": 1}
    raw["distill"] = {**raw.get("distill", {}), "compare": False}
    if raw["job"] == "cwru":
        raw["data"] = {"folder": str(cwru.resolve())}
    return parse_config(raw, Path())


def one_seed(job: str, seed: int, out: Path, cwru: Path, trials: int) -> dict[str, float]:
    """Search, then train chosen and hand-picked student by the same pipeline and seed; figures of the int8 students' test."""
    config = config_of(job, seed, cwru)
    _, flash, ram = JOBS[job]
    folder = out / f"{job}-{seed}"
    started = time.perf_counter()
    search(config, folder, flash=flash, ram=ram, trials=trials, resume=(folder / "claim.json").is_file())
    seconds = time.perf_counter() - started
    import tomllib

    chosen = parse_config(tomllib.loads((folder / "chosen.toml").read_text()), folder)
    row: dict[str, float] = {"seed": seed, "minutes": seconds / 60}
    for name, student_config in (("chosen", chosen), ("hand", config)):
        report = run_pipeline(student_config, folder / name, force=True)
        metrics = report.deployed
        row[name] = metrics["auc" if job == "rig" else "accuracy"]
        row[f"{name} teacher"] = report.seeds[0].models["teacher"]["auc" if job == "rig" else "accuracy"]
        row[f"{name} flash"], row[f"{name} ram"] = (
            report.footprint.model_bytes,
            report.footprint.arena_bytes_32bit,
        )
        row[f"{name} macs"] = report.footprint.macs
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="*", help=", ".join(JOBS) + "; all without")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce/search"))
    parser.add_argument("--cwru", type=Path, default=Path(os.environ.get("KERAS_KD_DATA", ".")) / "cwru")
    arguments = parser.parse_args()
    for job in arguments.jobs or JOBS:
        ledger = arguments.out / f"{job}.jsonl"
        ledger.parent.mkdir(parents=True, exist_ok=True)
        rows = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []
        for seed in range(arguments.seeds):
            if seed not in {row["seed"] for row in rows}:
                rows.append(one_seed(job, seed, arguments.out, arguments.cwru, arguments.trials))
                with ledger.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                print(json.dumps(rows[-1]), flush=True)
        difference = np.array([row["chosen"] - row["hand"] for row in rows])
        p = stats.ttest_1samp(difference, 0.0).pvalue if len(rows) > 1 and difference.any() else 1.0
        print(
            f"{job}: chosen less hand-picked {difference.mean():+.4f}, by seed {np.round(difference, 4).tolist()}, p {p:.3f}"
        )
        for name in rows[0]:
            values = [row[name] for row in rows]
            print(f"  {name}: {np.mean(values):.4f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.4f}")


if __name__ == "__main__":
    main()
