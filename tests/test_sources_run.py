"""A run with a further source, from files on: what it finds, scores, firmware and the emulated chip."""

import pytest
from sklearn.neighbors import NearestNeighbors
from sources import HEALTHY, SLOW, config_text, record
from support import invoke

from micro.config import load_config
from micro.datasets.prepare import prepare
from micro.detection.metrics import auc
from micro.runs.run_report import RunReport
from micro.signal import FrontEnd


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("machine")
    for n in range(5):
        record(folder, f"ok{n}", n)
    for n in range(2):
        record(folder, f"bad{n}", 20 + n, fault=True)
    (folder / "c.toml").write_text(config_text(data=HEALTHY))
    result = invoke("run", folder / "c.toml", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    return folder


def nearest(data, columns):
    """AUC of the distance to the nearest training windows, by some of the features."""
    known = NearestNeighbors(n_neighbors=3).fit(data.train.x[:, columns])
    return auc(data.test.labels == 1, known.kneighbors(data.test.x[:, columns])[0].mean(axis=1))


def test_a_fault_that_no_source_shows_alone_is_found_by_both(made):
    report = RunReport.read(made / "run")
    assert report.deployed["auc"] > 0.75
    assert [source.name for source in report.data.sources] == ["temperature"]
    assert report.features.sources[0].front_end.sample_rate == SLOW
    named = {
        f"temperature: statistics {part}" for part in ("mean", "standard deviation", "minimum", "maximum", "mean step")
    }
    named |= {f"{axis}: {name}" for axis in "xy" for name in FrontEnd(("statistics", "moments"), 50, 25).names}
    assert {each.feature for row in report.by_origin for each in row.moved or ()} <= named
    data = prepare(load_config(made / "c.toml"))
    assert nearest(data, slice(16)) < 0.6
    assert nearest(data, slice(16, 21)) < 0.6
    assert nearest(data, slice(21)) > 0.9


@pytest.mark.parametrize("command", ["search", "fleet"])
def test_what_serves_one_source_alone_says_so_before_it_starts(made, tmp_path, command):
    config = made / "c.toml"
    if command == "fleet":
        (tmp_path / "fleet.toml").write_text(f'config = "{config}"\n[[asset]]\nname = "a"\n')
        config = tmp_path / "fleet.toml"
    more = ("--flash", "64KiB") if command == "search" else ()
    result = invoke(command, config, *more, "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert "sources" in result.output
    assert not (tmp_path / "out").exists()
