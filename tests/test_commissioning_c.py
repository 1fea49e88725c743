"""A detector that learns its machine does on the chip what it does in Python, window by window, bit for bit."""

import shutil

import numpy as np
import pytest
from commissioning_c import (
    ON_CHIP,
    SOURCES,
    agree,
    as_sensed,
    compiled,
    files_of,
    firmware_of,
    machine,
    plan_of,
    said_by_python,
)

from micro.detection.commissioning import Phase, Refusal
from micro.firmware.qemu import missing_for, run_in_qemu

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
PLANS = {
    "plain": {},
    "adapting": {"adapt_limit": 128, "adapt_shift": 3, "adapt_below": 40000, "clear": 50000},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """By arithmetic and plan: firmware, plan and program."""
    made = {}
    for arithmetic in ("float32", "fixed"):
        for name, changes in PLANS.items():
            firmware = firmware_of(arithmetic)
            plan = plan_of(firmware.front_end, **changes)
            made[arithmetic, name] = (firmware, plan, compiled(firmware, plan, tmp_path_factory.mktemp(arithmetic)))
    return made


@pytest.fixture(params=[("float32", "plain"), ("fixed", "adapting")], ids="-".join)
def one(request, built):
    return built[request.param]


def test_a_machine_is_learned_watched_and_its_fault_found(one):
    firmware, plan, program = one
    samples = machine(1, 5000)
    samples[4500:, 1] += 2 * np.random.default_rng(0).normal(size=500).astype(np.float32)
    course = agree(firmware, plan, program, samples)
    assert course.phase == Phase.WATCHING
    statuses = [int(status) for status in course.statuses]
    assert statuses[:40] == [7] * 40
    assert statuses[40:100] == [8] * 60
    assert 2 in statuses[139:]


@pytest.mark.parametrize(
    ("why", "damage"),
    [
        (Refusal.SENSOR, lambda samples: samples.__setitem__((500, 0), np.nan)),
        (Refusal.SENSOR, lambda samples: samples.__setitem__((slice(2000, 2400), 0), 2000.0)),
        (Refusal.DEAD, lambda samples: samples.__setitem__((slice(None), 1), 0.25)),
        (Refusal.STOPPED, lambda samples: samples.__imul__(0.05)),
        (Refusal.CHANGED, lambda samples: samples.__setitem__((slice(700, None), 0), 3 * samples[700:, 0])),
        (Refusal.UNLIKE, lambda samples: samples.__imul__(2.5)),
    ],
)
def test_what_is_refused_is_refused_alike(built, why, damage):
    for (arithmetic, name), (firmware, plan, program) in built.items():
        if name != "plain":
            continue
        samples = machine(2, 2700)
        damage(samples)
        if arithmetic == "fixed":
            samples = np.round(np.nan_to_num(samples, nan=100.0).clip(-7.99, 7.99) * 4096).astype(np.int16)
        course = agree(firmware, plan, program, samples)
        assert course.phase == Phase.FAULT, name
        assert course.refused.why == why, name


@pytest.mark.slow
@pytest.mark.parametrize(("arithmetic", "name"), [(a, p) for a in ("float32", "fixed") for p in PLANS])
def test_random_and_extreme_samples_give_the_same(built, arithmetic, name):
    firmware, plan, program = built[arithmetic, name]
    rng = np.random.default_rng(3)
    for trial in range(24):
        samples = machine(trial, 5200, gain=float(rng.choice([0.5, 1, 1, 2])))
        for _ in range(trial):
            start = rng.integers(0, 5200)
            samples[start : start + rng.integers(1, 400)] *= float(rng.choice([0, 0.1, 3, 30, 1e7]))
        agree(firmware, plan, program, samples)


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
@pytest.mark.parametrize("core", ["m0", "m4f", "m33", "rv32imc"])
def test_cores_learn_the_same_machine_to_the_bit(tmp_path, core, arithmetic):
    missing = missing_for(core)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    firmware = firmware_of(arithmetic)
    plan = plan_of(firmware.front_end, **PLANS["adapting"])
    taken = as_sensed(firmware, machine(1, 4200))
    taken[3900:] *= 2
    (tmp_path / "samples.bin").write_bytes(taken.tobytes())
    for name, content in files_of(firmware, plan).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "main.c").write_text(ON_CHIP)
    rows = np.frombuffer(run_in_qemu(tmp_path, core, [*SOURCES, "main.c"]), "<i8").reshape(-1, 3)
    course, _, _ = said_by_python(firmware, plan, taken)
    assert course.phase == Phase.WATCHING
    assert rows[:, 0].tolist() == [int(status) for status in course.statuses]
    scored = np.isin(rows[:, 0], (1, 2, 8))
    assert (rows[scored, 1] == course.scores[scored]).all()
    assert (rows[scored & (rows[:, 0] != 8), 2] == course.threshold).all()


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_ten_million_samples_give_the_same(tmp_path, arithmetic):
    firmware = firmware_of(arithmetic)
    changes = {
        **PLANS["adapting"],
        "adapt_shift": 10,
        "learn_windows": 20000,
        "calibrate_windows": 20000,
        "rank": 19990,
    }
    plan = plan_of(firmware.front_end, **changes)
    program = compiled(firmware, plan, tmp_path, flags=("-O2",))
    samples = machine(5, 5_000_000)  # of two channels
    samples[4_000_000:] *= np.float32(1.05)
    assert agree(firmware, plan, program, samples).phase == Phase.WATCHING
