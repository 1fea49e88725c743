"""Pages in a real browser: no error, no network, nothing wider than a phone, and every figure says what it shows."""

import json
import re
import shutil
from dataclasses import asdict

import pytest
from pages_in_browser import DESK, PHONE, axe_core, chromium, shown_as, violations
from support import invoke

from micro.explore.page import render_search
from micro.firmware.emulate import add_to_report
from micro.fleet.page import render_fleet
from micro.fleet.results import AssetResult
from micro.runs.emulated import Emulated
from micro.runs.run_report import RunReport

selenium = pytest.importorskip("selenium", reason="selenium is not installed")
LOOK = """
const figures = [...document.querySelectorAll("figure")];
const wide = [...document.querySelectorAll("body *")].filter((e) =>
  e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest(".scroll, pre, svg"));
return {
  figures: figures.length,
  silent: figures.filter((f) => !f.getAttribute("aria-label").trim() || !f.querySelector("figcaption").innerText.trim()).length,
  charts: document.querySelectorAll("svg").length,
  strays: [...document.querySelectorAll("svg")].filter((s) => !s.closest("figure")).length,
  wide: wide.map((e) => e.tagName + ": " + e.innerText.slice(0, 60)),
  fetched: performance.getEntriesByType("resource").map((r) => r.name),
  small: Math.min(...[...document.querySelectorAll("svg text")].map((t) => t.getBoundingClientRect().height)),
  cut: [...document.querySelectorAll("svg text")].filter((t) => {
    const [own, svg] = [t.getBoundingClientRect(), t.closest("svg").getBoundingClientRect()];
    return own.left < svg.left - 1 || own.right > svg.right + 1 || own.top < svg.top - 1 || own.bottom > svg.bottom + 1;
  }).map((t) => t.textContent),
  data: figures.filter((f) => f.querySelector("a[download$='.csv'][href^='data:text/csv']")).length,
  titles: figures.map((f) => f.querySelector("h2").innerText),
};
"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


CANDIDATES = [
    {
        "number": n - 1, "state": state, "choice": {"bands": 32, "teacher_share": 0.51234} if n else {},
        "epoch_scores": [0.7, 0.72],
        "costs": {"flash": 1800 + 400 * n, "ram": 1100 + 50 * n, "macs": 400 + 200 * n},
        "score": 0.75 + 0.01 * n if state == "done" else None, "error": None,
        "accuracy": None,
    }
    for n, state in enumerate(["done", "done", "infeasible", "stopped", "done", "done"])
]  # fmt: skip
SEARCH = {
    "candidates": CANDIDATES, "front": [-1, 0, 3, 4], "chosen": 3,
    "finals": {"3": [0.79, 0.78, 0.8], "4": [0.8, 0.7, 0.6]},
    "kept": False, "budget": {"flash": 4096, "ram": None, "macs": 2000}, "runtime": "tflm", "teacher_score": 0.74,
    "task": "anomaly", "job": "rig", "seed": 0, "chosen_sizes": [12, 6, 12], "chosen_config": "0" * 64,
    "command": "keras-kd run a/folder/with/a/long/name/chosen.toml --out a/folder/with/a/long/name/chosen",
}  # fmt: skip
ROWS = [
    AssetResult(
        f"pump-{n}{' of the second hall, north side' * (n == 8)}", "done",
        {"auc": 0.9 + n / 100, "detection_rate": None, "false_alarm_rate": 0.01 * n}, {"auc": 0.9},
        flash=3000, ram=1100, macs=500, threshold=1.25,
        verdict=("good", "doubtful", "unusable")[n % 3], reasons="few faulty windows in the test (3)",
    )
    for n in range(9)
] + [AssetResult("fan-9", "failed", error="9.csv, row 12: channel 'x' holds text: 'ERR <b>'")]  # fmt: skip
EMULATED = [
    {
        "core": "m4f", "windows": 200, "differing_features": 0, "differing_outputs": 0, "differing_scores": 0,
        "differing_decisions": 0, "flash": 10816, "ram": 8776, "stack": 700, "front_end_instructions": 316680,
        "inference_instructions": 4720, "compiler": "arm-none-eabi-gcc 12.2",
    }
]  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory, rig_run):
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(rig_run, folder / "run")
    add_to_report(folder / "run", [Emulated(**EMULATED[0])])
    (folder / "run" / "report.html").rename(folder / "run.html")
    (folder / "search.html").write_bytes(render_search(SEARCH))
    (folder / "fleet.html").write_bytes(render_fleet(ROWS, "rig", "anomaly"))
    return folder


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("name", ["run", "search", "fleet"])
def test_a_page_opens_without_error_or_network_and_fits(browser, pages, name, size):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE},
    )
    browser.get_log("browser")
    browser.get(f"file://{pages / name}.html")
    seen = browser.execute_script(LOOK)
    assert browser.get_log("browser") == []
    assert seen["fetched"] == []
    assert seen["wide"] == []
    assert seen["cut"] == []
    assert seen["figures"] == seen["charts"] == seen["data"] >= 1
    assert seen["silent"] == seen["strays"] == 0
    assert seen["small"] >= 8  # pixels of the smallest letters in a chart


def test_a_run_s_page_can_be_read_by_all_in_light_and_dark(browser, pages):
    axe = axe_core()
    for size, scheme in ((PHONE, "light"), (DESK, "dark")):
        shown_as(browser, *size, scheme, "screen")
        browser.get(f"file://{pages / 'run'}.html")
        assert violations(browser, axe) == []


def test_a_run_s_page_has_all_its_charts_and_the_emulated_chips(browser, pages):
    browser.get(f"file://{pages / 'run.html'}")
    titles = browser.execute_script(LOOK)["titles"]
    wanted = ["Learning curves", "ROC", "Precision and recall", "Scores and threshold", "Scores over time", "Sizes"]
    assert titles == [*wanted, "Flash and RAM by operator", "Operators"]
    text = browser.execute_script("return document.body.innerText")
    for words in ("Parity with TensorFlow Lite", "Firmware on emulated chips", "316,680"):
        assert words in text


def test_a_page_prints(browser, pages):
    import base64

    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000


def test_a_classifier_s_page_shows_its_dark_knowledge(browser, tmp_path, cwru_folder):
    from pathlib import Path

    from micro.config import parse_config
    from micro.runs.start import run_pipeline

    raw = {
        "job": "cwru", "seeds": 1, "data": {"folder": str(cwru_folder)}, "distill": {"objective": "soft_target"},
        "teacher": {"family": "dense", "sizes": [32], "epochs": 2}, "student": {"family": "dense", "sizes": [8], "epochs": 2},
    }  # fmt: skip
    report = run_pipeline(parse_config(raw, Path()), tmp_path / "run")
    for side in ("teacher", "student"):
        assert all(abs(sum(row) - 1) < 1e-6 for row in getattr(report.soft_targets, side))
    browser.get(f"file://{tmp_path / 'run' / 'report.html'}")
    seen = browser.execute_script(LOOK)
    assert seen["titles"] == [
        *("Learning curves", "Confusion matrix", "Dark knowledge", "Sizes", "Flash and RAM by operator", "Operators")
    ]
    assert seen["wide"] == []


def test_text_of_users_is_shown_and_not_run(browser, pages):
    browser.get(f"file://{pages / 'fleet.html'}")
    assert "holds text: 'ERR <b>'" in browser.execute_script("return document.body.innerText")


def test_the_name_on_each_sheet_of_paper_ends_no_style():
    from micro.support.html import css_text

    html = render_fleet(ROWS, '"; } </style><script>alert(1)</script>', "anomaly").decode()
    assert "<script" not in html
    assert html.count("</style>") == html.count("<style")
    assert css_text("Pumpe 3, Süd: rig") == "Pumpe 3, Süd: rig"
    assert not {*css_text("\"\\\n</>{}'*;")} - {*"\\ 0123456789abcdef"}


def test_a_fleet_s_page_counts_machines_of_every_grade_and_draws_them_with_their_names():
    html = render_fleet(ROWS, "rig", "anomaly").decode()
    assert "3 of 10 machines good</b>, 3 doubtful, 0 inconclusive, 3 unusable, 1 failed." in html
    chart = html[html.index("<svg") : html.index("</svg>")]
    assert all(row.asset[-20:] in chart for row in ROWS if row.state == "done")


@pytest.mark.parametrize("verdict", ["good", "inconclusive", "unusable"])
def test_a_fleet_shows_no_rate_of_false_alarms_from_too_few_windows_whatever_the_verdict(verdict):
    sizes = {"flash": 3000, "ram": 1100, "macs": 500}
    rows = [
        AssetResult(name, "done", {"auc": 0.9, "false_alarm_rate": rate}, **sizes, verdict=verdict, too_few_windows=few)
        for name, rate, few in (("a", 0.1234, True), ("b", 0.0567, False))
    ]
    html = render_fleet(rows, "rig", "anomaly").decode()
    assert html.count("<td>too few windows</td>") == 1
    assert "0.1234" not in html
    assert "0.0567" in html


def test_the_same_gives_the_same_bytes():
    assert render_search(SEARCH) == render_search(json.loads(json.dumps(SEARCH)))
    again = [AssetResult(**row) for row in json.loads(json.dumps([asdict(row) for row in ROWS]))]
    assert render_fleet(ROWS, "rig", "anomaly") == render_fleet(again, "rig", "anomaly")


def test_emulated_results_come_on_the_page_once(rig_run, tmp_path):
    shutil.copytree(rig_run, tmp_path / "run")
    for _ in range(2):
        add_to_report(tmp_path / "run", [Emulated(**EMULATED[0])])
    html = (tmp_path / "run" / "report.html").read_text()
    assert html.count("Firmware on emulated chips") == html.count("<h2>Boards</h2>") == 1


def test_boards_are_judged_by_what_was_counted_on_the_page_as_by_the_commands(rig_run, tmp_path):
    """Flash, RAM and time of the whole firmware, where they were counted; elsewhere time is said to be the model's alone."""
    before = (rig_run / "report.html").read_text()
    assert "Time is the model's alone" in before
    shutil.copytree(rig_run, tmp_path / "run")
    front_end = RunReport.read(rig_run).features
    period = front_end.sensor_hop / front_end.sample_rate
    # On a Cortex-M4F at 64 MHz, 1.7 cycles an instruction: a hop takes twice the time until the next.
    late = int(2 * period * 64e6 / 1.7)
    add_to_report(tmp_path / "run", [Emulated(**{**EMULATED[0], "hop_instructions": late})])
    html = (tmp_path / "run" / "report.html").read_text()
    assert "Time on Cortex-M4F, Cortex-M7 is the firmware's with its features" in html.replace("\n", " ")
    said = "time: keeping up with its sensor needs about 2 times the clock"
    assert said in html
    found = {
        each["board_id"]: each for each in json.loads(invoke("boards", tmp_path / "run", "--json").stdout)["boards"]
    }
    own = found["nrf52840"]
    assert (own["whole"], own["fits"], own["problems"]) == (True, False, [said])
    assert own["milliseconds"]["likely"] == pytest.approx(2e3 * period, rel=1e-6)
    assert not found["nucleo-f072rb"]["whole"]
    # A Cortex-M3 runs floating point in software, which was not counted.
    assert not found["bluepill"]["whole"]
    done = invoke("check", tmp_path / "run", "--board", "nrf52840")
    # The parts of a size add up, also where the whole was counted.
    (row,) = re.findall(r"as projects are written</td>(.*?)</tr>", html)
    code, constants, around, flash, _ = (int(each.replace(",", "")) for each in re.findall(r"<td>([\d,]+)</td>", row))
    assert code + constants + around == flash
    assert (done.exit_code, done.stdout.startswith("fits flash and RAM, but does not keep up: ")) == (1, True)
    assert "does not hold: needs about 2 times the clock" in done.stdout


def test_drawing_a_page_leaves_the_users_own_charts_alone():
    import matplotlib

    before = matplotlib.get_backend()
    matplotlib.use("template")  # as a notebook chooses its own
    try:
        first = render_search(SEARCH)
        assert matplotlib.get_backend() == "template"
    finally:
        matplotlib.use(before)
    assert render_search(SEARCH) == first


def test_charts_of_a_page_share_no_id_and_refer_to_their_own():
    from micro.support.html import chart, drawing, figure

    def drawn(title):
        with drawing():
            made, axes = figure()
            axes.plot([0, 1], [0, 1], marker="o")
            axes.set_title('<g id="x"> url(#y)')
            return chart(title, "", made, {"x": [0, 1]})["svg"]

    one, other = drawn("one"), drawn("other")
    ids, others = (re.findall(r'<[^<>]* id="([^"]*)"', svg) for svg in (one, other))
    assert ids
    assert len({*ids, *others}) == len(ids) + len(others)
    assert {*re.findall(r'(?:href="#|url\(#)(c[^")]*)', one)} <= {*ids}
    assert "url(#y)" in one
    assert drawn("one") == one
