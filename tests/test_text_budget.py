"""A text run's flash budget: the table of characters counts, besides the model, before training and in the report."""

import pytest
from text_files import text_config, write_text

import micro
from micro.config import BudgetConfig
from micro.errors import RunError
from micro.program.size import Model
from micro.runs.budgets import exceeded
from micro.runs.run_report import RunReport
from micro.runs.text_device import load_text_firmware

SHORT = {"sizes": [24], "epochs": 1, "batch_size": 64}


def config(folder, flash):
    return text_config(folder, teacher={**SHORT, "context": 6}, student=SHORT, budget={"flash": flash})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run on a small text with flash enough, and the bytes of its model and of its table."""
    folder = tmp_path_factory.mktemp("budget")
    write_text(folder)
    micro.run_pipeline(config(folder, "64KiB"), folder / "run")
    firmware = load_text_firmware(folder / "run")
    program = micro.check(firmware.tflite, flash="1MiB", runtime="static").program
    return folder / "run", program.flash, firmware.predictor.table_bytes


def test_the_table_of_characters_takes_flash_too(run):
    folder, model, table = run
    assert RunReport.read(folder).budget.fits
    student = Model.read(load_text_firmware(folder).tflite)
    assert exceeded(BudgetConfig(flash=str(model + table)), student, table) == ()
    (says,) = exceeded(BudgetConfig(flash=str(model + table - 1)), student, table)
    assert f"the program takes {model + table:,} bytes, 1 over {model + table - 1:,}" in says
    (says,) = exceeded(BudgetConfig(flash="100"), student, table)
    assert f"{model + table - 100:,} over 100 (kernels of static C " in says
    assert f"; table of characters {table:,}); most weights: " in says


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
