"""The table of boards, and where a model fits, how fast and how long on a battery."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import data_folder, invoke

from micro.program.operators import operator_shares
from micro.program.placement import Use, place, placements
from micro.program.size import Model, program_of
from micro.targets.boards import all_boards, board_of
from micro.targets.cores import all_cores, core_of, static_c, tflm
from micro.targets.timing import UNCHECKED, timing
from micro.targets.units import parse_charge, parse_duration, parse_energy, parse_latency


@pytest.fixture(scope="module")
def nets():
    return {
        path.stem: Model.read(path)
        for folder in ("peer_models", "mlperf_tiny")
        for path in sorted(data_folder(folder).glob("*.tflite"))
    }


def test_the_table_holds_many_boards_each_with_its_documents():
    boards = all_boards()
    assert len(boards) >= 30
    assert len({board.id for board in boards}) == len(boards)
    assert sum(board.memory_checked is not None for board in boards) >= 20
    for board in boards:
        assert board.id == board.id.lower()
        assert board.core in all_cores()
        assert board.memory_source
        assert board.memory_checked is None or "." in board.memory_checked
        assert 1024 <= board.ram <= 1 << 21
        assert board.ram < board.flash or board.external_flash
        assert 8 <= board.mhz <= 800
        given_currents = (board.active_ma, board.sleep_ua)
        # A number without its document, or a current without its voltage, is worth nothing.
        assert (board.current_source is None) == (given_currents == (None, None))
        assert (board.volts is None) == (given_currents == (None, None))
        assert (board.basis is None) == (board.active_ma is None)
        assert board.sleep_ua is None or board.active_ma is None or board.sleep_ua / 1e3 < board.active_ma


def test_every_core_says_what_its_time_rests_on():
    for core in all_cores().values():
        assert (core.cycles is None) == (core.cycles_source is None) == (core.counted_as is None)
        if core.counted_as is not None and core.cycles is not None:
            least, likely, most = core.cycles
            assert 0.5 < least <= likely <= most < 5
            low, high = static_c(core.counted_as).error
            assert -0.5 < low <= high < 1
    for core in ("m4f", "m33", "m7", "lx6", "lx7", "rv32imc"):
        known = tflm(core)
        assert known is not None
        assert known.boards
        assert -1 < known.error[0] <= known.error[1]


def test_static_c_of_nets_that_the_fit_has_not_seen_is_within_the_error_that_is_said(nets):
    # Counted in QEMU by scripts/bench/static_c.py when the constants were fitted; they change together.
    for net in nets.values():
        found = timing(net.works("static"), core_of("m4f"), "static")
        low, likely, high = found.cycles
        assert low < likely < high
        assert UNCHECKED in found.basis


@pytest.mark.parametrize(
    ("board", "net", "measured_ms"),
    [
        ("nrf52840", "ad01_int8", 22.03),
        ("nrf52840", "kws_ref_model", 224.6),
        ("nrf52840", "pretrainedResnet_quant", 1241.8),
        ("nrf52840", "person_detect", 657.3),
        ("esp32", "kws_ref_model", 162.3),
        ("esp32", "person_detect", 474.4),
        ("nrf5340", "kws_ref_model", 76.1),
        ("ra6m4", "person_detect", 162.4),
        ("teensy40", "pretrainedResnet_quant", 42.4),
    ],
)
def test_times_measured_on_real_boards_lie_in_the_range_that_is_said(nets, board, net, measured_ms):
    found = place(nets[net], board_of(board), "tflm", Use())
    low, _, high = found.milliseconds
    assert found.timing.checked
    assert low <= measured_ms <= high


def test_what_fits_stands_first_and_what_does_not_says_by_how_much(nets):
    found = placements(nets["kws_ref_model"], all_boards(), "static")
    fits = [each.fits for each in found]
    assert fits == sorted(fits, reverse=True)
    assert {True, False} == set(fits)
    for each in found:
        over = [each.program.flash - each.board.flash, each.program.ram - each.board.ram]
        assert each.fits == (max(over) <= 0)
        for bytes_over, words in zip(over, ("flash", "RAM")):
            named = [said for said in each.problems if said.startswith(f"{words}:")]
            assert len(named) == (bytes_over > 0)
            assert not named or f"{bytes_over:,} more than" in named[0]


def test_constants_of_static_c_take_ram_on_avr(nets):
    avr, arm = (program_of(nets["conv1d"], "static", core_of(core)) for core in ("avr", "m4f"))
    assert avr.ram == arm.ram + arm.constants


def test_code_with_cmsis_nn_is_that_of_the_programs_that_were_built(nets):
    # Bytes of code on a Cortex-M4: README.md beside the models.
    for name, reference, cmsis_nn in (("ae", 18_400, 29_900), ("conv1d", 30_600, 60_500), ("dscnn", 40_200, 82_600)):
        for kernels, built in (("reference", reference), ("cmsis-nn", cmsis_nn)):
            program = program_of(nets[name], "tflm", kernels=kernels)
            assert program.code == pytest.approx(built, rel=0.05)
            assert program.flash == program.code + nets[name].footprint.model_bytes


def test_battery_life_is_charge_over_mean_current(nets):
    board = board_of("nrf52840")
    found = place(nets["ad01_int8"], board, "tflm", Use(every=10.0, battery=220.0))
    awake = found.milliseconds[1] / 10_000
    assert found.microjoules == pytest.approx(3.0 * 3.3 * found.milliseconds[1])
    assert found.days == pytest.approx(220 / (awake * 3.3 + (1 - awake) * 0.00316) / 24)
    late = place(nets["kws_ref_model"], board, "tflm", Use(every=0.1, battery=220.0))
    assert (late.fits, late.days) == (False, None)
    assert late.problems[0].startswith("time: ")


@pytest.mark.parametrize("runtime", ["static", "tflm"])
def test_shares_of_operators_add_up_to_the_whole(nets, runtime):
    for net in nets.values():
        shares, time = operator_shares(net, runtime, core_of("m4f"), 64)
        assert len(shares) == len(net.graph.ops)
        assert sum(each.share for each in shares.values()) == pytest.approx(1)
        assert sum(each.milliseconds for each in shares.values()) == pytest.approx(time.milliseconds(64)[1])
        assert all((each.instructions is None) == (runtime == "tflm") for each in shares.values())


def test_what_no_document_gives_is_unknown_and_not_a_number(nets):
    found = place(nets["ad01_int8"], board_of("pico"), "tflm", Use(every=1.0, battery=220.0))
    assert (found.milliseconds, found.microjoules, found.days) == (None, None, None)
    assert "no published time" in found.timing.basis


def test_the_page_has_the_table_as_it_is():
    script = Path(__file__).parents[1] / "scripts" / "board_table.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}run python scripts/board_table.py"


def test_the_command_prints_json_with_sources(nets, peer_models):
    printed = json.loads(invoke("boards", peer_models / "ae.tflite", "--json").stdout)
    assert len(printed["boards"]) == len(all_boards())
    assert all(each["memory_source"] and each["milliseconds"]["basis"] for each in printed["boards"])


@given(st.integers(1, 10**6))
def test_units_are_read_as_they_are_typed(n):
    assert parse_duration(f"{n}ms", "x") == pytest.approx(n / 1000)
    assert parse_duration(f"{n} min", "x") == pytest.approx(60 * n)
    assert parse_charge(f"{n}mAh", "x") == parse_charge(f"{n / 1000:.6f}Ah", "x") == pytest.approx(n)
    assert parse_energy(f"{n}µJ", "x") == pytest.approx(n)
    assert parse_latency(f"{n}ms@64MHz", "x").mhz == 64
    assert parse_latency(f"{n}ms", "x").mhz is None


@pytest.mark.parametrize("text", ["", "0s", "-1s", "5", "s", "1 parsec", "nans", "1e3s", "infs", "20ms@", "1,5s"])
def test_what_is_no_duration_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match="latency") as refused:
        parse_latency(text, "latency")
    assert "\n" not in str(refused.value)


def test_code_and_time_on_avr_are_its_own(nets):
    """Dense layers were compiled and counted for it; other kernels are taken to be larger than a Cortex-M4F's."""
    avr, arm = core_of("avr"), core_of("m4f")
    for name in ("ad01_int8", "conv1d"):
        assert program_of(nets[name], "static", avr).code > 2 * program_of(nets[name], "static", arm).code
    time = timing(nets["ad01_int8"].works("static"), avr, "static")
    assert time.basis.startswith(f"{UNCHECKED}: cycles counted in simavr, ")
    assert 50 * nets["ad01_int8"].footprint.macs < time.cycles[1] < 150 * nets["ad01_int8"].footprint.macs
    assert all(each.instructions is None for each in time.operators)
    unknown = timing(nets["conv1d"].works("static"), avr, "static")
    assert unknown.cycles is None
    assert "no time is known for CONV_2D" in unknown.basis
