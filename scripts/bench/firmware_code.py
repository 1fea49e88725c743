"""Flash of the emitted C around a model by part and core, fitted to what compilers and linkers make of it.

    python scripts/bench/firmware_code.py [--programs 200] [--seed 0] [--out micro/targets/firmware_code.json]

Makes front ends and last stages by chance, compiles each project's C for every core whose compiler is installed, links
what its application calls, with the compiler's libraries and without the model, and fits the sizes to the parts that
micro/emission/flash.py counts, none of them below zero. How far the fit is off is said by predicting each fifth of the
programs from the others. Arm, RISC-V and Xtensa are compiled with -O2 as the projects are, an AVR with -Os as Arduino
does. Takes about a quarter of an hour. Run it again whenever the templates of front ends or last stages change.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from micro.detection.detector import Detector
from micro.emission.flash import parts_of
from micro.firmware.project import project_files
from micro.firmware.text_project import text_project_files
from micro.runs.firmware import Firmware
from micro.signal import Filter, FrontEnd, JoinedFrontEnd, Source
from micro.targets.cores import all_cores

ROOT = Path(__file__).parents[2]
OUT = ROOT / "micro" / "targets" / "firmware_code.json"
ARM = ("arm-none-eabi-", "-O2", "-mthumb", "--specs=nano.specs", "--specs=nosys.specs")
# Of each core the compiler's prefix and its flags.
CORES = {
    "m0": (*ARM, "-mcpu=cortex-m0"),
    "m4f": (*ARM, "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
    "m33": (*ARM, "-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
    "m55": (*ARM, "-mcpu=cortex-m55", "-mfloat-abi=hard"),
    "rv32imc": ("riscv64-unknown-elf-", "-O2", "-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"),
    # Libraries are there for cores with atomic instructions as well, which the code has none of.
    "rv32ec": ("riscv64-unknown-elf-", "-O2", "-march=rv32eac", "-mabi=ilp32e", "--specs=picolibc.specs"),
    "lx106": ("xtensa-lx106-elf-", "-O2", "-mlongcalls"),
    "avr": ("avr-", "-Os", "-mmcu=atmega1284p"),
}
# What is no front end and no last stage: the model, the application, and what it does besides.
BESIDES = (
    "app",
    "sensor",
    "sample_queue",
    "NAME",
    "NAME_infer_static",
    "NAME_self_test",
    "NAME_record",
    "NAME_summary",
)
FLAGS = ("-std=c99", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections", "-w", "-c")
FIFTHS, LITTLE = 5, 64.0
# Samples that velocity is measured of.
BLOCKS = (128, 512, 2048, 4096)


def made(rng: random.Random, kinds: Any) -> Firmware:
    """A firmware by chance; `kinds` is tests/emitted_c.py."""
    fixed, framed = rng.random() < 0.5, rng.random() < 0.3
    front_end = _front_end(rng, fixed, framed)
    whole = front_end
    plain = not framed and "raw" not in front_end.kinds and not front_end.conditioning.changes
    if plain and front_end.orders is None and rng.random() < 0.25:
        sources = [_front_end(rng, rng.random() < 0.5, False) for _ in range(rng.randint(1, 2))]
        sources = [each for each in sources if "raw" not in each.kinds and not each.conditioning.changes]
        sources = [each for each in sources if each.orders is None]
        if sources:
            whole = JoinedFrontEnd(front_end, tuple(Source(f"s{n}", each, 50) for n, each in enumerate(sources)))
    limits = kinds.FIXED_LIMITS if front_end.arithmetic == "fixed" else kinds.LIMITS
    limits = limits if rng.random() < 0.5 and front_end.orders != "channel" else {}
    off = (0.01, *[0.0] * (front_end.channels - 1 - (front_end.orders == "channel")))
    own = {"off_rms": off, **kinds.HITS} if rng.random() < 0.3 and "raw" not in front_end.kinds else {}
    stage = rng.choice(
        ["detector", "detector", "detector", "modes", "learns", "learns", "recognizer", "labeler", "estimator"]
    )
    if stage == "learns" and (whole is not front_end or len(front_end.shape) > 1 or front_end.conditioning.changes):
        stage = "detector"
    if stage == "learns":
        firmware = kinds.learning(front_end, **limits)
    elif stage == "modes":
        firmware = kinds.by_speed(whole, **limits)
    elif stage == "detector":
        scores = ["reconstruction", "distance", "margin"] + (["residual"] if front_end.channels > 1 else [])
        score = rng.choice(scores if whole is front_end and front_end.orders is None else scores[:3])
        firmware = kinds.detector(whole, score, **own, **limits)
    else:
        firmware = _other(rng, kinds, whole, stage, limits)
    return firmware if stage == "learns" or whole is not front_end else _with_more(rng, kinds, firmware)


def _front_end(rng: random.Random, fixed: bool, framed: bool) -> FrontEnd:
    while True:
        kinds = rng.choice([("raw",), *[()] * 6]) or tuple(
            rng.sample(["spectrum", "mel", "envelope", "moments", "shape", "statistics"], rng.randint(1, 3))
        )
        length = rng.choice([16, 32] if "raw" in kinds else [16, 32, 64, 128, 256, 512, 1024])
        given: dict[str, Any] = {"window": length, "hop": rng.choice([length, length // 2])}
        if framed:
            given = {
                "window": length + 3 * (length // 2),
                "hop": length // 2,
                "frame": length,
                "frame_hop": length // 2,
            }
        # Now and then many features, so that what each takes is told apart from the code.
        channels = rng.choice([12, 40]) if length <= 64 and rng.random() < 0.2 else rng.randint(1, 3)
        given |= {"channels": channels, "sample_rate": 1000.0, "bands": rng.choice([2, 4, 5, 16, 40])}
        given |= {"envelope_bands": rng.choice([2, 2, 16]), "detrend": rng.choice(["none", "mean", "mean", "linear"])}
        given |= {"arithmetic": "fixed", "full_scale": 8.0} if fixed else {}
        if rng.random() < 0.2:
            given |= {"decimate": rng.choice([2, 3]), "filter": rng.choice([None, Filter("highpass", 20.0)])}
        elif rng.random() < 0.2:
            given["filter"] = rng.choice([Filter("bandpass", 20.0, 200.0, 2), Filter("lowpass", high=200.0)])
        elif rng.random() < 0.5 and not framed and {"spectrum", "envelope"} & set(kinds):
            given |= {"orders": rng.choice(["channel", "spectrum"]), "slowest": 1500.0, "fastest": 3000.0}
            given |= {"low": 0.5, "high": 4.5, "envelope_high": 4.0, "channels": 2}
            given |= {"speed_full_scale": 6000.0} if fixed and given["orders"] == "channel" else {}
        try:
            return FrontEnd(kinds, **given)
        except ValueError:
            continue  # settings that do not fit together


def _other(rng: random.Random, kinds: Any, whole: Any, stage: str, limits: dict[str, Any]) -> Firmware:
    count = rng.choice([2, 3, 4, 5, 20])
    names = tuple(f"class {n}" for n in range(count))
    if stage == "recognizer":
        return kinds.stage(whole, count, kinds.Recognizer(0.1, names, (3,) * count, **limits))
    if stage == "labeler":
        return kinds.stage(whole, count, kinds.Labeler(0.1, 3, names, (3,) * count, **limits))
    numbers = [replace(kinds.numbers(**limits), name=name) for name in names[: rng.choice([1, 1, 2])]]
    decider = numbers[0] if len(numbers) == 1 else kinds.Estimators(tuple(numbers))
    return kinds.stage(whole, len(numbers), decider)


def _with_more(rng: random.Random, kinds: Any, firmware: Firmware) -> Firmware:
    front_end = firmware.front_end
    if front_end.arithmetic == "float32" and rng.random() < 0.25 and front_end.channels == 2:
        borders = rng.choice([kinds.SEVERE.borders, None])
        firmware = replace(firmware, vibration=replace(kinds.SEVERE, window=rng.choice(BLOCKS), borders=borders))
    elif front_end.arithmetic == "fixed" and rng.random() < 0.25 and front_end.channels == 2:
        firmware = replace(firmware, vibration=replace(kinds.PLAIN, window=rng.choice(BLOCKS)))
    detects = isinstance(firmware.decider, Detector)
    if detects and rng.random() < 0.15 and front_end.channels == 2:
        firmware = replace(firmware, diagnosis=kinds.DIAGNOSING)
    described = detects and rng.random() < 0.15
    return replace(firmware, sensor_channels=front_end.channels) if described else firmware


def parts(firmware: Firmware) -> Mapping[str, float]:
    """The parts of a firmware, as a run's are counted."""
    monitor = None if firmware.diagnosis is None else firmware.diagnosis.monitor
    around = firmware.hops or firmware.front_end
    sensor = firmware.sensor_channels is not None
    more = firmware.commissioning, firmware.vibration, monitor
    return parts_of(around, firmware.decider, *more, describes_sensor=sensor)


def sized(folder: Path, core: str) -> tuple[int, int] | None:
    """As `linked`; None of what an AVR does not compile, whose structs have less than 32 KiB."""
    try:
        return linked(folder, core)
    except subprocess.CalledProcessError:
        if core != "avr":
            raise
        return None


def linked(folder: Path, core: str) -> tuple[int, int]:
    """Bytes of what the application in a project's `src` calls, without the model, linked for a core: of flash, and of these
    constants that are copied to RAM."""
    prefix, *flags = CORES[core]
    name = next(folder.glob("src/*_self_test.c")).stem.removesuffix("_self_test")
    besides = {each.replace("NAME", name) for each in BESIDES}
    built = folder / core
    built.mkdir()
    sources = [each for each in sorted(folder.glob("src/*.c")) if each.stem == "app" or each.stem not in besides]
    subprocess.run([f"{prefix}gcc", *flags, *FLAGS, f"-I{folder / 'src'}", *sources], cwd=built, check=True)
    objects = sorted(path for path in built.glob("*.o") if path.stem != "app")
    there = _symbols(prefix, objects, "--defined-only")
    called = sorted(there & _symbols(prefix, [built / "app.o"], "--undefined-only"))
    start = "".join(f"void {each}(void);\n" for each in called)
    calls = "".join(f"  {each}();\n" for each in called)
    (built / "start.c").write_text(f"{start}void start(void) {{\n{calls}}}\n")
    program = built / "whole.elf"
    libraries = ("-nostdlib", "-Wl,--start-group", "-lm", "-lc", "-lgcc", "-Wl,--end-group")
    if core == "lx106":
        libraries = ("-nostdlib", "-lgcc")
    keep = ("-nostartfiles", "-Wl,--gc-sections,-e,start,--unresolved-symbols=ignore-all")
    command = [f"{prefix}gcc", *flags, "-w", *keep, built / "start.c", *objects, *libraries, "-o", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{core}: {done.stderr[-600:]}")
    text, data, *_ = map(int, _output(f"{prefix}size", program).splitlines()[1].split()[:3])
    start_bytes = sum(int(size, 16) for size, what in _sizes(prefix, program) if what == "start")
    shutil.rmtree(built)
    return text + data - start_bytes, data


def _output(*words: Any) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _symbols(prefix: str, objects: list[Path], which: str) -> set[str]:
    return set(re.findall(r"^(?:\S+)?\s+[A-Za-z] (\S+)$", _output(f"{prefix}nm", which, *objects), re.MULTILINE))


def _sizes(prefix: str, program: Path) -> list[tuple[str, str]]:
    return re.findall(r"^\S+ (\S+) [tT] (\S+)$", _output(f"{prefix}nm", "-S", program), re.MULTILINE)


def fitted(rows: list[Mapping[str, float]], sizes: list[int]) -> dict[str, float]:
    """Bytes of each part, none below zero, by least squares of relative errors, of little ones less."""
    names = sorted({name for row in rows for name in row})
    matrix = np.array([[row.get(name, 0) for name in names] for row in rows], float)
    weights = 1 / np.maximum(sizes, LITTLE)
    found, _ = nnls(matrix * weights[:, None], np.array(sizes) * weights, maxiter=100 * len(names))
    return {name: round(float(value), 2) for name, value in zip(names, found)}


def predicted(table: Mapping[str, float], row: Mapping[str, float]) -> float:
    """Bytes of parts by a table of sizes."""
    return sum(table.get(name, 0.0) * count for name, count in row.items())


def errors(rows: list[Mapping[str, float]], sizes: list[int]) -> list[float]:
    """Of each program the error of what the others predict, as a fraction."""
    found = []
    for place in range(FIFTHS):
        kept = [n for n in range(len(rows)) if n % FIFTHS != place]
        table = fitted([rows[n] for n in kept], [sizes[n] for n in kept])
        found += [predicted(table, rows[n]) / sizes[n] - 1 for n in range(place, len(rows), FIFTHS)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    import emitted_c

    rng = random.Random(arguments.seed)
    firmwares = [*emitted_c.firmwares().values(), *(made(rng, emitted_c) for _ in range(arguments.programs))]
    firmwares = [each for each in firmwares if each.front_end is not emitted_c.PICTURE]
    cores = [core for core, (prefix, *_) in CORES.items() if shutil.which(f"{prefix}gcc")]
    with tempfile.TemporaryDirectory() as folder:
        folders = []
        for number, firmware in enumerate(firmwares):
            files = project_files(firmware, emitted_c.frames_of(firmware.front_end), "pump", "cmake", "static")
            folders.append(emitted_c.written(files, Path(folder) / str(number)))
        texts = {}
        for name, (firmware, examples) in emitted_c.texts().items():
            files = text_project_files(firmware, examples, "pump", "cmake", "static")
            texts[name] = emitted_c.written(files, Path(folder) / name)
        rows = [parts(firmware) for firmware in firmwares]
        tables = {}
        with ThreadPoolExecutor(2) as pool:
            for core in cores:
                found = [*pool.map(partial(sized, core=core), [*folders, *texts.values()])]
                counted = [*rows, *({f"predictor {name}": 1} for name in texts)]
                kept = [(row, one) for row, one in zip(counted, found) if one is not None]
                counted, sizes = [row for row, _ in kept], [one[0] for _, one in kept]
                off = errors(counted[: -len(texts)], sizes[: -len(texts)])
                tables[core] = {"flash": fitted(counted, sizes), "error": [round(min(off), 3), round(max(off), 3)]}
                if next(each for each in all_cores().values() if core in (each.id, each.counted_as)).constants_in_ram:
                    tables[core]["constants"] = fitted(counted, [one[1] for _, one in kept])
                middle = np.percentile(np.abs(off), [50, 90])
                print(
                    f"{core}: {min(off):+.0%} to {max(off):+.0%}, half within {middle[0]:.1%}, "
                    f"nine tenths {middle[1]:.1%}, {len(sizes)} programs of {min(sizes):,} to {max(sizes):,} bytes"
                )
                arguments.out.write_text(json.dumps({"cores": tables}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
