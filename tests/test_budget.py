"""What a model costs by part and operator, and whether it fits."""

import json
from itertools import pairwise

import pytest
from configs import rig, toml
from hypothesis import given
from hypothesis import strategies as st
from support import data_folder, invoke

import micro
from micro.tflite.code_size import estimate_code
from micro.tflite.cost import parse_bytes
from micro.tflite.graph import read
from micro.tflite.scratch import planned_bytes, tensors_held

# Arena in use on a Cortex-M4 with TFLM's reference kernels; measured apart from this project, see README.md beside the models.
ON_CHIP = {"ae": 15_524, "conv1d": 3_748, "dscnn": 14_484}
# The same with CMSIS-NN, and models of MLPerf Tiny as published from a Cortex-M4F board: see SOURCE.md beside those.
WITH_CMSIS_NN = {
    "peer_models/ae": 15_828,
    "peer_models/conv1d": 4_116,
    "peer_models/dscnn": 14_548,
    "mlperf_tiny/ad01_int8": 2_596,
    "mlperf_tiny/kws_ref_model": 24_164,
    "mlperf_tiny/pretrainedResnet_quant": 55_188,
    "mlperf_tiny/person_detect": 82_740,
}


@pytest.mark.parametrize("name", WITH_CMSIS_NN)
def test_what_does_not_fit_with_cmsis_nn_is_never_said_to_fit(name):
    folder, model = name.split("/")
    path = data_folder(folder) / f"{model}.tflite"
    footprint = micro.measure(path)
    assert WITH_CMSIS_NN[name] <= footprint.arena_bytes_cmsis_nn <= footprint.ram_bytes
    assert footprint.arena_bytes_cmsis_nn <= 1.4 * WITH_CMSIS_NN[name]  # a bound, and not far above
    refused = micro.check(path, ram=WITH_CMSIS_NN[name] - 1, runtime="tflm")
    assert not refused.fits
    assert "estimated" in refused.broken[0]


@pytest.mark.parametrize("name", WITH_CMSIS_NN)
def test_activations_are_planned_as_tflite_micro_plans_them(name):
    folder, model = name.split("/")
    path = data_folder(folder) / f"{model}.tflite"
    assert planned_bytes(tensors_held(read(path))) == micro.measure(path).activation_bytes


@pytest.mark.parametrize("name", ON_CHIP)
def test_the_arena_of_a_32_bit_chip_is_bounded_closely(peer_models, name):
    footprint = micro.measure(peer_models / f"{name}.tflite")
    assert ON_CHIP[name] <= footprint.arena_bytes_32bit < footprint.arena_bytes
    assert footprint.arena_bytes_32bit - ON_CHIP[name] <= 1024


@pytest.mark.parametrize("name", ON_CHIP)
def test_parts_and_layers_add_up(peer_models, name):
    footprint = micro.measure(peer_models / f"{name}.tflite")
    parts = footprint.flash
    assert parts.weights + parts.quantization + parts.graph == footprint.model_bytes
    assert min(parts.weights, parts.quantization, parts.graph) > 0
    assert sum(layer.macs for layer in footprint.layers) == footprint.macs
    assert sum(footprint.ops.values()) == len(footprint.layers)
    # TFLM cannot do with less than what is held at the peak; beyond it there are alignment and scratch.
    assert max(layer.held_bytes for layer in footprint.layers) <= footprint.activation_bytes


def test_weights_are_counted_as_they_are(peer_models):
    footprint = micro.measure(peer_models / "ae.tflite")
    sizes = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    # int8 kernels; this model has no biases.
    assert [layer.weight_bytes for layer in footprint.layers] == [a * b for a, b in pairwise(sizes)]
    # Every layer's input and output, and no more: nothing branches.
    assert [layer.held_bytes for layer in footprint.layers] == [a + b for a, b in pairwise(sizes)]


def test_what_a_branch_waits_for_is_held():
    import keras
    import numpy as np

    inputs = keras.Input((16,))
    first = keras.layers.Dense(32, activation="relu", name="first")(inputs)
    second = keras.layers.Dense(8, activation="relu")(first)
    third = keras.layers.Dense(32)(second)
    model = keras.Model(inputs, keras.layers.Add()([first, third]))
    layers = micro.measure(micro.convert(model, np.random.default_rng(0).normal(size=(50, 16)))).layers
    held = {layer.index: layer.held_bytes for layer in layers}
    assert [held[n] for n in range(3)] == [16 + 32, 32 + 8, 32 + 8 + 32]  # the third waits for the first
    assert max(held.values()) == 32 + 32 + 32  # Add


@pytest.mark.parametrize("name", ["ae", "conv1d", "dscnn"])
def test_the_emitted_arena_holds_what_cmsis_nn_is_estimated_to_need(peer_models, tmp_path, name):
    header = micro.emit(peer_models / f"{name}.tflite", tmp_path, "bearing", arena_margin=0.0)[0].read_text()
    footprint = micro.measure(peer_models / f"{name}.tflite")
    size = int(header.split("#else\n#define BEARING_ARENA_SIZE ")[1].split("u")[0])
    assert size % 16 == 0
    assert footprint.ram_bytes <= size <= max(footprint.ram_bytes, footprint.arena_bytes) + 15


def test_a_budget_that_is_met_and_one_that_is_not(peer_models):
    model = peer_models / "dscnn.tflite"
    footprint = micro.measure(model)
    program = micro.check(model, ram="1MiB", runtime="tflm").program
    assert program.flash == footprint.model_bytes + program.code > footprint.model_bytes + footprint.code.total
    exactly = micro.check(model, flash=program.flash, ram=footprint.ram_bytes, runtime="tflm")
    assert exactly.fits
    assert not micro.check(model, ram=footprint.ram_bytes - 1, runtime="tflm").fits
    assert micro.check(model, ram=footprint.arena_bytes_32bit, kernels="reference", runtime="tflm").fits
    tight = micro.check(model, flash=program.flash - 1, ram="8KiB", runtime="tflm")
    assert not tight.fits
    flash, ram = tight.broken
    assert "1 over" in flash
    assert "most weights: " in flash
    assert ram.startswith("ram: the arena takes")
    peak = max(footprint.layers, key=lambda layer: layer.held_bytes)
    assert f"at its peak {peak.op} holds {peak.held_bytes:,} bytes" in ram
    assert all(name.split(";")[0] in ram for name in peak.held)


def test_the_command_gates_by_its_exit_code(peer_models):
    model = peer_models / "conv1d.tflite"
    fits = invoke("check", model, "--flash", "128KiB", "--ram", "16 kB")
    assert (fits.exit_code, fits.output[:5]) == (0, "fits:")
    broken = invoke("check", model, "--ram", "2KiB", "--json")
    assert broken.exit_code == 1
    printed = json.loads(broken.stdout)
    assert (printed["fits"], printed["ram_budget"]) == (False, 2048)
    assert len(printed["broken"]) == 1
    for arguments, says in (
        ((), "give a budget"),
        (("--flash", "lots"), "flash must be a size"),
        (("--ram", "0"), "ram must be"),
    ):
        refused = invoke("check", model, *arguments)
        assert refused.exit_code == 2
        assert says in refused.stderr


def test_what_is_built_beyond_its_budget_is_never_said_to_fit(peer_models):
    # Bytes of code with CMSIS-NN on a Cortex-M4 (README.md beside the models): the .tflite alone would fit 64 KiB.
    for name, code in (("conv1d", 60_500), ("dscnn", 82_600)):
        model = peer_models / f"{name}.tflite"
        assert micro.measure(model).model_bytes < 65_536 < micro.measure(model).model_bytes + code
        (said,) = micro.check(model, flash="64KiB", runtime="tflm").broken
        assert said.startswith("flash: the program takes ")
        assert "TFLite Micro with CMSIS-NN's kernels" in said
        assert micro.check(model, flash="64KiB").fits


def test_static_c_is_judged_by_its_own_sizes(peer_models):
    model = peer_models / "ae.tflite"
    static, tflm = (micro.check(model, ram="1MiB", runtime=runtime).program for runtime in ("static", "tflm"))
    assert static.flash < tflm.flash
    assert static.ram < tflm.ram
    (said,) = micro.check(model, ram=static.ram - 1, runtime="static").broken
    assert said.startswith(f"ram: static C takes {static.ram:,} bytes, 1 over")


@pytest.mark.parametrize("runtime", ["static", "tflm"])
def test_time_and_energy_are_limits_that_name_their_range(peer_models, runtime):
    model = peer_models / "ae.tflite"
    loose = micro.check(model, runtime=runtime, board="nrf52840", latency="1s", energy="1J")
    assert loose.fits
    low, likely, high = loose.milliseconds
    assert low < likely < high
    assert loose.microjoules == pytest.approx(3.0 * 3.3 * likely)
    tight = micro.check(model, runtime=runtime, board="nrf52840", latency=f"{likely / 2:.6f}ms", energy="1uJ")
    assert [said.split(":")[0] for said in tight.broken] == ["latency", "energy"]
    assert all(loose.basis in said for said in tight.broken)
    at_half = micro.check(model, runtime=runtime, core="m4f", latency="1s@32MHz")
    assert at_half.milliseconds[1] == pytest.approx(2 * likely)


def test_kernels_that_stand_for_a_boards_own_are_named(peer_models):
    program = micro.check(peer_models / "ae.tflite", board="esp32", runtime="tflm").program
    assert program.kernels == "cmsis-nn"
    assert program.described.startswith(
        "TFLite Micro with ESP-NN's kernels, whose sizes are unknown and counted as CMSIS-NN's"
    )
    assert micro.check(peer_models / "ae.tflite", board="nrf52840", runtime="tflm").program.stood_for == ""


def test_what_is_measured_already_is_not_measured_again(peer_models, monkeypatch):
    """A run's budget and its table of times are judged by the footprint that the student's stage has."""
    from micro.config import BudgetConfig
    from micro.program.size import Model
    from micro.runs.budgets import exceeded
    from micro.runs.operator_times import time_report
    from micro.tflite import footprint

    model = Model.read(peer_models / "ae.tflite")
    assert model.footprint.macs == model.graph.macs
    monkeypatch.setattr(footprint, "measure", lambda *_: pytest.fail("measured again"))
    for runtime in ("static", "tflm"):
        budget = BudgetConfig(flash="1MiB", ram="1MiB", runtime=runtime)
        assert exceeded(budget, model) == ()
        assert time_report(model, budget).operators


def test_a_budget_leaves_the_arena_what_its_ram_or_the_boards_is_beyond_the_firmware():
    import keras

    from micro.config import BudgetConfig
    from micro.program.size import Around
    from micro.runs.budgets import arena_left
    from micro.targets.boards import board_of

    student = keras.Sequential([keras.Input((30,)), keras.layers.Dense(10)])
    left = {
        (ram, board): arena_left(BudgetConfig(ram=ram, board=board, runtime="tflm"), Around(1000, 990), student)
        for ram in (None, "16KiB", "1KiB")
        for board in (None, "microbit")
    }
    assert left[None, None] is None
    assert left[None, "microbit"] == board_of("microbit").ram - 1040
    assert left["16KiB", "microbit"] == left["16KiB", None] == 16384 - 1040
    assert left["1KiB", None] == 1
    assert arena_left(BudgetConfig(board="microbit"), Around(1000, 990), student) is None


def test_a_runtime_that_a_board_has_not_is_not_recommended(peer_models):
    from micro.config import BudgetConfig
    from micro.program.size import Model
    from micro.runs.budgets import exceeded

    (said,) = exceeded(BudgetConfig(board="uno", runtime="tflm"), Model.read(peer_models / "ae.tflite"))
    assert "TFLite Micro does not run on" in said
    assert said.endswith("budget.runtime = 'static' judges it with static C")


def test_what_nobody_measured_is_refused_and_not_guessed(peer_models):
    (said,) = micro.check(peer_models / "ae.tflite", core="m0plus", latency="1s@64MHz", runtime="tflm").broken
    assert said.startswith("latency: cannot be judged on Cortex-M0+ at 64 MHz: no published time")


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"latency": "20ms"}, "latency needs a clock, such as 20ms@64MHz"),
        ({"latency": "20"}, "its unit is missing"),
        ({"energy": "50uJ"}, "energy needs a board"),
        ({"energy": "50uJ", "board": "pico"}, "energy needs the current of pico, which no document"),
        ({"board": "toaster"}, "there is no board 'toaster'"),
        ({"latency": "1s@1MHz", "core": "m99"}, "there is no core 'm99'; known are m0, "),
        ({"board": "uno", "core": "m4f"}, "core is 'm4f', and board 'uno' has 'avr'"),
        ({"flash": "1MiB", "runtime": "fast"}, "runtime must be one of static, tflm"),
        (
            {"flash": "1MiB", "kernels": "cmsis-nn"},
            "kernels 'cmsis-nn' are TFLite Micro's, and the runtime is static C",
        ),
    ],
)
def test_a_budget_that_cannot_be_judged_is_refused(peer_models, limits, says):
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        micro.check(peer_models / "ae.tflite", **limits)


@given(st.integers(1, 10**6))
def test_sizes_are_read_in_every_unit(number):
    assert parse_bytes(f"{number}", "flash") == parse_bytes(f"{number}B", "flash") == number
    assert parse_bytes(f"{number}KiB", "flash") == parse_bytes(f"{number * 1024}", "flash")
    assert parse_bytes(f"{number} kB", "flash") == 1000 * number
    assert parse_bytes(f"{number}MiB", "flash") == 1024**2 * number


@pytest.mark.parametrize("text", ["", "-1", "0", "1GiB", "1e3", "KiB", "1.2.3k", "inf", "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="ram must be a size such as 64KiB"):
        parse_bytes(text, "ram")


def test_code_is_estimated_near_what_a_cortex_m4_takes(peer_models):
    rows = (line.split("|") for line in (peer_models / "README.md").read_text().splitlines() if "| reference |" in line)
    for row in rows:
        name, measured = row[1].strip(), int(row[7].strip().replace(",", ""))
        code = micro.measure(peer_models / f"{name}.tflite").code
        assert code.total == pytest.approx(measured, rel=0.02)
        assert code.total <= code.interpreter + sum(code.ops.values())
        assert code.source.startswith("estimate")
        assert not code.unknown


def test_an_operator_without_an_estimate_is_named():
    assert estimate_code(["RELU", "NOVEL"]).unknown == ("NOVEL",)


@pytest.mark.parametrize(
    ("budget", "features", "said"),
    [
        (
            {"board": "bluepill"},
            {},
            "bluepill (Cortex-M3) has no FPU: features in float32 are computed in software there",
        ),
        ({"core": "m0"}, {}, "Cortex-M0 has no FPU"),
        ({"board": "bluepill"}, {"arithmetic": "fixed", "full_scale": 16.0}, None),
        ({"board": "bluepill"}, {"kind": "raw", "window": 64, "hop": 64}, None),
        ({"board": "nrf52840"}, {}, None),
        ({"flash": "64KiB"}, {}, None),
    ],
)
def test_a_board_without_fpu_is_said_to_be_slow_at_features_before_training(tmp_path, budget, features, said):
    """Whatever the arithmetic of features leaves to do: nothing, in integers and of samples as they are."""
    (tmp_path / "rig.toml").write_text(toml(rig(budget=budget, features=features)))
    plan = invoke("run", tmp_path / "rig.toml", "--out", tmp_path / "run", "--dry-run")
    assert plan.exit_code == 0, plan.output
    if said is None:
        assert "has no FPU" not in plan.output
    else:
        assert said in " ".join(plan.output.split())
