"""Every page that is written can be read by all: no violation of WCAG 2.2 A and AA in light and dark, on a desk and on a phone,
no error, nothing fetched, nothing wider than the screen."""

import shutil

import numpy as np
import pytest
from pages_in_browser import MODES, axe_core, chromium, shown_as, violations
from support import invoke
from test_fold_verdict import classified, detected, estimated, healthy_alone, near, page_of
from test_monitor import features_log, write_log
from test_pages import ROWS, SEARCH

from micro.compress.sensitivity import Sensitivity
from micro.datasets import rig
from micro.explore.page import render_search
from micro.fleet.page import render_fleet
from micro.runs.baseline import calibration_sessions
from micro.runs.sensitivity_page import render_sensitivity

pytest.importorskip("selenium", reason="selenium is not installed")
LAYERS = [
    Sensitivity("a_layer_with_a_long_name/with_its_block", change, amount, 640, 0.9 - lost, lost, flash, ram, macs)
    for change, amount, lost, flash, ram, macs in (
        ("zeros", 0.9, 0.2, 0, 0, 0), ("channels", 0.25, 0.01, 300, 100, 4000), ("bits", 4, -0.0005, 320, -20, 0),
    )
]  # fmt: skip
LOOK = """
return {
  wide: [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right >
    document.documentElement.clientWidth + 1 && !e.closest(".scroll, pre, svg")).map((e) => e.outerHTML.slice(0, 80)),
  fetched: performance.getEntriesByType("resource").map((r) => r.name).filter((name) => !name.startsWith("data:")),
  smallest: Math.min(99, ...[...document.querySelectorAll("svg text")].map((t) => t.getBoundingClientRect().height)),
  before: [...document.querySelectorAll("main > *")].map((e) => e.tagName).slice(0, 2),
};
"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def axe():
    return axe_core()


def faults(browser, axe, page):
    """What is wrong with a page, in any mode."""
    wrong = []
    browser.get_log("browser")
    for mode in MODES:
        shown_as(browser, *mode)
        browser.get(f"file://{page}")
        seen = browser.execute_script(LOOK)
        if (seen["wide"] and mode[3] == "screen") or seen["fetched"] or seen["smallest"] < 8:
            wrong.append((page.name, mode, seen))
        if mode[3] == "screen":
            wrong += [(page.name, mode, *each) for each in violations(browser, axe)]
        assert seen["before"] == ["H1", "SECTION"], (page.name, "a verdict comes first")
    return wrong + [(page.name, entry["message"]) for entry in browser.get_log("browser")]


def of_folds():
    """Pages of runs of several tasks, without charts, which come of no training."""
    classes = dict.fromkeys(("normal", "inner", "outer"), (100, 95))
    return {
        "detector": page_of(detected((0, 80), (2, 90), (10, 100))),
        "healthy": page_of(healthy_alone(2, 3, 4)),
        "classifier": page_of(classified(classes, classes, classes)),
        "regression": page_of(estimated(*(near(centre, 1.0) for centre in (10, 20, 30)))[0]),
    }


@pytest.fixture(scope="module")
def pages(tmp_path_factory, rig_run):
    folder = tmp_path_factory.mktemp("pages")
    for name, html in of_folds().items():
        (folder / f"{name}.html").write_text(html)
    (folder / "run.html").write_bytes((rig_run / "report.html").read_bytes())
    (folder / "search.html").write_bytes(render_search(SEARCH))
    (folder / "fleet.html").write_bytes(render_fleet(ROWS, "rig", "anomaly"))
    (folder / "layers.html").write_bytes(render_sensitivity(LAYERS, "accuracy, points"))
    for kind, more in (("normal", {}), ("outer race", {"fault": "outer", "severity": 1.0})):
        (folder / kind).mkdir()
        for n in range(2):
            samples = rig.simulate_rig(rig.Rig(), 1.0, np.random.default_rng([n, 5]), **more).samples
            np.savetxt(folder / kind / f"<b>pump {n}.csv", samples, header="a", comments="", fmt="%.6g")
    files = sorted(folder.glob("*/*.csv"))
    steady = write_log(folder / "steady.csv", calibration_sessions(rig_run))
    moved = features_log(folder / "moved.csv", rig_run, 3, 8, speed=1.6 * 1780, background=0.3)
    shutil.copytree(rig_run, folder / "again")
    for name, words in (
        ("score", ("score", rig_run, *files, "--out", folder / "s.csv")),
        ("test", ("test", rig_run, *files)),
        ("explain", ("explain", rig_run, files[-1])),
        ("quiet", ("explain", rig_run, files[0])),
        ("monitor", ("monitor", rig_run, steady)),
        ("moved", ("monitor", rig_run, moved)),
        ("compare", ("compare", rig_run, folder / "again")),
        ("look", ("look", *files, "--sample-rate", "12800")),
    ):
        done = invoke(*words, "--page", folder / f"{name}.html")
        assert done.exit_code in (0, 1), (name, done.output)
    return folder


@pytest.mark.slow
def test_every_page_opens_with_a_verdict_and_can_be_read_by_all(browser, axe, pages):
    found = sorted(pages.glob("*.html"))
    assert len(found) == 16
    assert [fault for page in found for fault in faults(browser, axe, page)] == []
