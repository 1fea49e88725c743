"""Cycles of TFLite Micro's operators on real boards, fitted to published times, for micro/targets/tflm.json.

    python scripts/bench/board_times.py [--out micro/targets/tflm.json]

From times by operator (board_times.toml, `layers`): the cycles of each kernel, linear in its size. From times of whole nets
(`whole`): one factor a core, against the table that the core is `like`. Each also with one net left out, whose time is then
predicted from the others; the worst of these errors go into the file, and into what the commands print. Takes seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from micro.targets.work import Cost, Work
from micro.tflite.graph import read
from micro.tflite.work import works_of

HERE = Path(__file__).parent
MODELS = {"ad": "ad01_int8", "kws": "kws_ref_model", "ic": "pretrainedResnet_quant", "vww": "person_detect"}
# What the cycles of a kernel grow with: few nets are published, so that more coefficients would fit anything.
COLUMNS = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), ("mac",)),
    **dict.fromkeys(("FULLY_CONNECTED", "AVERAGE_POOL_2D"), ("mac", "call")),
    **dict.fromkeys(("ADD", "SOFTMAX"), ("output", "call")),
    "RESHAPE": ("call",),
}
# Kernels without a measurement, and the one that does most nearly the same.
LIKE = {"MAX_POOL_2D": "AVERAGE_POOL_2D", "MEAN": "AVERAGE_POOL_2D", "MUL": "ADD", "LOOKUP": "ADD", "MOVEMENT": "ADD"}
SOLVED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
Costs = dict[str, Cost]
Table = dict[str, dict[str, float]]


def works() -> dict[str, tuple[Work, ...]]:
    data = Path(os.environ.get("KERAS_KD_DATA", HERE.parents[2] / "shared" / "data")) / "mlperf_tiny"
    return {name: works_of(read(data / f"{file}.tflite")) for name, file in MODELS.items()}


def features(found: Sequence[Work]) -> dict[str, float]:
    return {
        "mac": sum(work.macs for work in found),
        "output": sum(work.outputs for work in found),
        "call": len(found),
    }


def fitted(entry: dict[str, Any], nets: dict[str, tuple[Work, ...]], names: Sequence[str]) -> Costs:
    """Cycles of each kernel from these nets' operators, by the least squares of relative errors."""
    costs = {}
    for family, columns in COLUMNS.items():
        cases = [
            (features([work for work in nets[name] if work.family == family]), entry[name][family] * entry["mhz"])
            for name in names
            if family in entry[name]
        ]
        if not cases:
            continue
        used = columns if len(cases) > len(columns) else columns[:1]
        matrix = np.array([[size[column] / cycles for column in used] for size, cycles in cases])
        scale = matrix.max(axis=0)
        found = nnls(matrix / scale, np.ones(len(cases)))[0] / scale
        values = {**dict.fromkeys(("mac", "row", "output", "call"), 0.0), **dict(zip(used, map(float, found)))}
        costs[family] = Cost(**values)
    for family, other in LIKE.items():
        if other in costs:
            costs[family] = costs[other]
    return costs


def cycles(found: Sequence[Work], costs: Costs) -> float:
    return sum(costs[work.family].of(work) for work in found if work.family in costs)


def layered(entry: dict[str, Any], nets: dict[str, tuple[Work, ...]]) -> tuple[Costs, dict[str, float]]:
    """The table of a core, and the error of each net's time as predicted from the other nets."""
    names = [name for name in MODELS if name in entry]
    errors = {}
    for name in names:
        others = [each for each in names if each != name]
        costs = fitted(entry, nets, others)
        known = [work for work in nets[name] if work.family in costs]
        true = sum(us for family, us in entry[name].items() if family in costs) * entry["mhz"]
        missing = sorted({work.family for work in nets[name]} - set(costs))
        errors[name] = cycles(known, costs) / true - 1
        extra = f", without {', '.join(missing)}, which no other net has" if missing else ""
        print(f"{entry['board']}: {name} from the others {100 * errors[name]:+.0f} %{extra}")
    return fitted(entry, nets, names), errors


def by_kernel(
    entry: dict[str, Any], table: Costs, own: float, nets: dict[str, tuple[Work, ...]], names: Sequence[str]
) -> Costs:
    """A table whose costs a MAC of convolutions and Dense layers come from whole nets, the rest `own` times another's."""
    scaled = {f: Cost(c.mac * own, c.row * own, c.output * own, c.call * own) for f, c in table.items()}
    kernels = [f for f in SOLVED if any(dominant(nets[name], f) for name in names)]
    rest = {name: tuple(work for work in nets[name] if work.family not in kernels) for name in names}
    target = np.array([max(entry[name] * 1e3 * entry["mhz"] - cycles(rest[name], scaled), 1.0) for name in names])
    sizes = [[features([w for w in nets[name] if w.family == f])["mac"] for f in kernels] for name in names]
    matrix = np.array(sizes, float) / target[:, None]
    scale = np.maximum(matrix.max(axis=0), 1e-30)
    found = nnls(matrix / scale, np.ones(len(names)))[0] / scale
    return {**scaled, **{f: Cost(float(mac), 0.0, 0.0, 0.0) for f, mac in zip(kernels, found) if mac > 0}}


def dominant(found: Sequence[Work], family: str) -> bool:
    """Whether a kernel has enough of a net's MACs for its cost to show in the time of the whole net."""
    return sum(w.macs for w in found if w.family == family) >= 0.05 * sum(w.macs for w in found)


def factor(ratios: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


def whole(
    entries: Sequence[dict[str, Any]], tables: dict[str, Costs], nets: dict[str, tuple[Work, ...]]
) -> dict[str, Any]:
    """The factor of each core that is like another, and the error of each net as predicted from the other nets' factor."""
    cores: dict[str, Any] = {}
    for core in dict.fromkeys(entry["core"] for entry in entries):
        of_core = [entry for entry in entries if entry["core"] == core]
        table = tables[of_core[0]["like"]]

        def ratio(entry: dict[str, Any], name: str, table: Costs = table) -> float:
            return entry[name] * 1e3 * entry["mhz"] / cycles(nets[name], table)

        fit = [entry for entry in of_core if entry["fits"]]
        own = factor([ratio(entry, name) for entry in fit for name in MODELS if name in entry]) if fit else 1.0
        errors = []
        if of_core[0].get("by_kernel"):
            names = [name for name in MODELS if name in of_core[0]]
            for name in names:
                others = [each for each in names if each != name]
                without = factor([ratio(of_core[0], each) for each in others])
                guess = cycles(nets[name], by_kernel(of_core[0], table, without, nets, others))
                errors.append(guess / (of_core[0][name] * 1e3 * of_core[0]["mhz"]) - 1)
                print(f"{of_core[0]['board']}: {name} from the others {100 * errors[-1]:+.0f} %")
            tables[core] = by_kernel(of_core[0], table, own, nets, names)
        for entry in of_core if not of_core[0].get("by_kernel") else []:
            for name in (each for each in MODELS if each in entry):
                # A board that was not measured, and a net that was not: as a user's are.
                others = [ratio(each, other) for each in fit for other in MODELS if other in each and other != name]
                errors.append((factor(others) if others else own) / ratio(entry, name) - 1)
                print(f"{entry['board']}: {name} {100 * errors[-1]:+.0f} %")
        cores[core] = {
            "like": core if core in tables else of_core[0]["like"],
            "kernels": of_core[0]["kernels"],
            "factor": 1.0 if core in tables else round(own, 3),
            "error": errors,
            "boards": [entry["board"] for entry in of_core],
        }
    return cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "micro" / "targets" / "tflm.json")
    out = parser.parse_args().out
    published = tomllib.loads((HERE / "board_times.toml").read_text())
    nets = works()
    tables, plain = {}, {}
    for entry in published["layers"]:
        tables[entry["core"]], errors = layered(entry, nets)
        plain[entry["core"]] = {
            "like": entry["core"],
            "kernels": entry["kernels"],
            "factor": 1.0,
            "error": list(errors.values()),
            "boards": [entry["board"]],
        }
    for core, made in whole(published["whole"], tables, nets).items():
        earlier = plain.get(core, {"error": [], "boards": []})
        made |= {"error": [*earlier["error"], *made["error"]], "boards": [*earlier["boards"], *made["boards"]]}
        plain[core] = made
    for made in plain.values():
        made["error"] = [round(min(made["error"]), 2), round(max(made["error"]), 2)]
    costs: dict[str, Table] = {
        core: {family: {k: round(v, 3) for k, v in vars(cost).items()} for family, cost in table.items()}
        for core, table in tables.items()
    }
    out.write_text(json.dumps({"costs": costs, "cores": plain}, indent=1) + "\n")
    for core, made in plain.items():
        low, high = (round(100 * each) for each in made["error"])
        print(f"{core}: {made['factor']} x {made['like']} ({made['kernels']}), errors {low:+} to {high:+} %")


if __name__ == "__main__":
    main()
