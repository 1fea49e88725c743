"""The config on a run's page: what is not at its default, as TOML that gives the same config again."""

import tomllib
from pathlib import Path

import pytest

from micro.config import parse_config
from micro.runs.report.about import config_text

HEAD = """job = "table"
[data]
files = ["a/*.csv"]
scaling = "per_file"
sample_rate = 101.0
folder = "/somewhere"
healthy_rows = [[0, 500]]
[features]
kind = "moments"
window = 64
arithmetic = "fixed"
full_scale = 20.0
[teacher]
sizes = [12, 2, 12]
[student]
sizes = [4]
"""


def shown(more):
    given = parse_config(tomllib.loads(HEAD + more), Path())
    return given, config_text(given)


@pytest.mark.parametrize(
    "more",
    ["", "[commissioning]\n", "[vibration]\nunit = 'g'\n", '[[compress]]\nstage = "prune"\ntarget_sparsity = 0.5\n'],
)
def test_the_config_on_the_page_is_the_config_but_for_where_data_are(more):
    given, text = shown(more)
    assert "somewhere" not in text
    read = tomllib.loads(text)
    read["data"]["folder"] = str(given.data.folder)
    assert parse_config(read, Path()) == given


def test_folders_of_further_sources_are_left_out():
    source = '[[sources]]\nname = "warm"\nfiles = "b/{recording}.csv"\nfolder = "/elsewhere"\nsample_rate = 7.0\n'
    own = '[sources.features]\nkind = "moments"\nwindow = 8\nhop = 8\narithmetic = "fixed"\nfull_scale = 200.0\n'
    _, text = shown(source + own)
    assert "files" in tomllib.loads(text)["sources"][0]
    assert "elsewhere" not in text
