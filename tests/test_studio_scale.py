"""A search and a fleet in a real browser: started, watched, stopped, gone on with, and what they have found."""

import re

import pytest
from configs import rig, toml
from pages_in_browser import chromium
from studio_client import serving
from test_studio_browser import Person, pump

By = pytest.importorskip("selenium.webdriver.common.by", reason="selenium is not installed").By
ui = pytest.importorskip("selenium.webdriver.support.ui", reason="selenium is not installed")
for needed in ("ray", "optuna"):
    pytest.importorskip(needed, reason=f"{needed} is not installed: pip install 'keras-kd[scale]'")
# As little as a search and a fleet can be made of.
SMALL = {"seeds": 1, "teacher": {"sizes": [8, 4, 8], "epochs": 2}, "student": {"sizes": [4, 2, 4], "epochs": 2}}


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


def entered(browser, client):
    """Somebody on the studio's first page."""
    browser.get(f"http://127.0.0.1:{client.port}/?token={client.token}")
    browser.get_log("browser")
    return Person(browser, f"http://127.0.0.1:{client.port}")


def text_of(person, name):
    """What an element says now, also while its page is loaded again."""
    said = "return document.getElementById(arguments[0])?.textContent ?? ''"
    return person.driver.execute_script(said, name)


def stopped_and_gone_on_with(person):
    """A job that is watched, stopped while it works, and gone on with until its report is shown; its number."""
    person.wait(lambda driver: "/jobs/" in driver.current_url)
    first = person.driver.current_url
    person.wait(lambda driver: text_of(person, "state") == "running" and text_of(person, "stage"), 600)
    begun = text_of(person, "percent")
    person.wait(lambda driver: text_of(person, "percent") not in (begun, "–"), 900)  # it moves by itself
    assert text_of(person, "state") == "running"
    assert re.match(r"\d+ [MG]iB", text_of(person, "memory").replace(".", "")), text_of(person, "memory")
    person.decide("stop", "#stop")
    person.wait(lambda driver: text_of(person, "state") == "stopped", 300)
    person.wait(lambda driver: text_of(person, "code") == "130")
    person.decide("go on with it", "#resume")
    person.wait(lambda driver: driver.current_url != first)
    assert person.shown("pre code").text.endswith(" --resume")
    person.wait(lambda driver: text_of(person, "state") in ("done", "failed"), 1500)
    person.shown("main[data-active='0'] iframe")  # the page shows it by itself once it has ended
    assert text_of(person, "state") == "done"
    assert text_of(person, "percent") == "100 %"
    assert person.errors() == []
    return person.driver.current_url.rsplit("/", 1)[1]


def in_report(person, selector):
    """The text of an element of the report that the page shows."""
    frame = person.shown("main[data-active='0'] iframe")
    person.driver.execute_script("arguments[0].scrollIntoView()", frame)
    person.driver.switch_to.frame(frame)
    try:
        return person.shown(selector).text
    finally:
        person.driver.switch_to.default_content()


@pytest.mark.slow
@pytest.mark.timeout(4000)
def test_a_search_is_started_watched_stopped_gone_on_with_and_its_choice_trained(browser, tmp_path):
    with serving(tmp_path / "studio") as client:
        person = entered(browser, client)
        person.give("these recordings", "#pick-folder", pump(tmp_path / "pump"))
        person.shown("#search", 240)
        text = browser.find_element(By.ID, "config").get_property("value")
        for pattern, small in ((r"epochs = \d+", "epochs = 2"), (r"seeds = \d+", "seeds = 1")):
            text, count = re.subn(pattern, small, text)
            assert count
        browser.execute_script("document.getElementById('config').value = arguments[0]", text)
        browser.execute_script("document.getElementById('trials').value = 2")
        person.decide("search, without a budget", "#search")
        person.wait(lambda driver: "needs a budget" in text_of(person, "problem"))
        assert [path.name for path in (tmp_path / "studio/configs").glob("*.toml")] == ["pump.toml"]
        browser.get_log("browser")  # the console has the refusal
        person.shown("#choices [name=flash]").send_keys("16KiB")
        person.decide("search", "#search")
        stopped_and_gone_on_with(person)
        assert (
            "keras-kd search configs/pump-1.toml --out searches/pump-1 --flash=16KiB --trials 2" in browser.page_source
        )
        assert in_report(person, "h1")
        person.decide("train what it has chosen", "#chosen")
        person.decide("the result", "#result", 1500)
        person.wait(lambda driver: driver.current_url.endswith("/runs/pump-1-chosen"))
        assert person.shown(".verdict").text.split(":")[0] in ("good", "doubtful", "inconclusive", "unusable")


@pytest.mark.slow
@pytest.mark.timeout(4000)
def test_a_fleet_is_started_watched_stopped_gone_on_with_and_shown(browser, tmp_path):
    with serving(tmp_path / "studio") as client:
        place = tmp_path / "studio/configs"
        (place / "shared.toml").write_text(toml(rig(**SMALL)))
        assets = "".join(f'[[asset]]\nname = "pump-{n}"\n[asset.data]\nspeed = {1450.0 + 100 * n}\n' for n in (1, 2))
        (place / "hall.toml").write_text(f'config = "shared.toml"\nteacher_assets = 2\n{assets}')
        person = entered(browser, client)
        person.decide("train the fleet", "[data-fleet='hall.toml']")
        stopped_and_gone_on_with(person)
        assert "keras-kd fleet configs/hall.toml --out fleets/hall" in browser.page_source
        rows = in_report(person, "table")
        assert "pump-1" in rows
        assert "pump-2" in rows
