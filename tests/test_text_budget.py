"""A text run's flash budget: the table of characters counts, besides the model."""

from types import SimpleNamespace

import pytest

from micro.config import BudgetConfig
from micro.detection.predictor import Predictor
from micro.detection.vocabulary import Vocabulary
from micro.runs import reporting
from micro.tflite.budget import Check


@pytest.mark.parametrize(("flash", "fits"), [("1008", True), ("1007", False)])
def test_the_table_of_characters_takes_flash_too(monkeypatch, flash, fits):
    table = ((0, 0), (1, 1), (2, 3), (4, 5))
    predictor = Predictor("text", Vocabulary(("a", "b")), (("a",), ("b",)), "", 2, -1, table, unit=0.1)
    footprint = SimpleNamespace(model_bytes=1000)
    monkeypatch.setattr(reporting, "check", lambda tflite, flash, ram: Check(footprint, 1007, None, (), "arena", 0))
    config = SimpleNamespace(budget=BudgetConfig(flash=flash))
    found = reporting._budget(config, b"", predictor)
    assert found.fits == fits
    assert fits or "model and its table of characters take 1,008 bytes, 1 over 1,007" in found.broken[0]
    assert reporting._budget(config, b"", None).fits
