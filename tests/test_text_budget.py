"""A text run's flash budget: the table of characters counts, besides the model, before training and in the report."""

import json

import pytest
from support import invoke
from text_files import text_config, write_text

import micro
from micro.config import BudgetConfig
from micro.datasets.prepare import prepare
from micro.errors import RunError
from micro.program.size import program_of
from micro.runs.around_model import model_of_run
from micro.runs.budgets import exceeded
from micro.runs.finished import read_run
from micro.runs.planned_around import planned_around
from micro.runs.run_report import RunReport
from micro.targets.cores import core_of

SHORT = {"sizes": [24], "epochs": 1, "batch_size": 64}


def config(folder, flash):
    return text_config(folder, teacher={**SHORT, "context": 6}, student=SHORT, budget={"flash": flash})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run on a small text with flash enough, bytes of its program without its table, and those of the table."""
    folder = tmp_path_factory.mktemp("budget")
    write_text(folder)
    micro.run_pipeline(config(folder, "64KiB"), folder / "run")
    program = program_of(model_of_run(folder / "run", *read_run(folder / "run")), "static")
    table = RunReport.read(folder / "run").predictor.table_bytes
    return folder / "run", program.flash - table, table


def test_the_table_of_characters_takes_flash_too(run):
    folder, model, table = run
    assert RunReport.read(folder).budget.fits
    report, made = read_run(folder)
    student = model_of_run(folder, report, made)
    assert planned_around(made, prepare(made)) == student.around
    assert exceeded(BudgetConfig(flash=str(model + table)), student) == ()
    (says,) = exceeded(BudgetConfig(flash=str(model + table - 1)), student)
    assert f"the program takes {model + table:,} bytes, 1 over {model + table - 1:,}" in says
    (says,) = exceeded(BudgetConfig(flash="100"), student)
    assert f"{model + table - 100:,} over 100 (kernels of static C " in says
    assert f"; table of characters {table:,}; front end and last stage" in says
    # A table is copied to the RAM of an AVR as all constants are.
    avr = program_of(student, "static", core_of("avr"))
    assert avr.ram == avr.model_ram + student.around.ram_on(core_of("avr"))
    assert student.around.ram_on(core_of("avr")) >= student.around.ram_avr + table


def test_commands_and_report_count_the_table_alike(run):
    folder, model, table = run
    for given, code in ((model + table, 0), (model + table - 1, 1)):
        done = invoke("check", folder, "--flash", given)
        assert done.exit_code == code, done.output
        assert f"{model + table:,} bytes" in done.stdout
        assert f"table of characters {table:,}" in done.stdout
    listed = json.loads(invoke("boards", folder, "--json").stdout)["boards"]
    assert next(each for each in listed if each["core"] == "m4f")["program"]["flash"] == model + table


def test_a_budget_that_only_the_table_exceeds_is_refused_before_training(run, tmp_path):
    folder, model, table = run
    trained = []
    with pytest.raises(RunError, match=r"the program takes .*table of characters .* a smaller student\.embedding"):
        micro.run_pipeline(
            config(folder.parent, str(model + table // 4)),
            tmp_path / "out",
            progress=lambda stage, _: trained.append(stage),
        )
    assert not any("training" in stage for stage in trained)
    assert not (tmp_path / "out").exists()
