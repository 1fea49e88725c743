"""Pages in chromium: how they are opened, and what axe-core says of them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PHONE, DESK = (390, 844), (1280, 900)
# Width, height, color scheme and medium.
MODES = [(*DESK, "light", "screen"), (*PHONE, "light", "screen"), (*DESK, "dark", "screen"), (*PHONE, "dark", "screen"),
         (*DESK, "light", "print")]  # fmt: skip
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@contextmanager
def chromium(downloads: Path | None = None, words: Sequence[str] = ()) -> Iterator[Any]:
    """A browser without a window, whose console is kept; skips the test where there is none."""
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("no chromium or chromedriver: pages are not looked at")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *words):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if downloads is not None:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(300)
    try:
        yield driver
    finally:
        driver.quit()


def shown_as(driver: Any, width: int, height: int, scheme: str, medium: str) -> None:
    """Size, color scheme and medium of the pages that are opened next."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": medium, "features": features})


def axe_core() -> str:
    """The accessibility checks of axe-core, as its package for Python brings them; skips the test where it is not installed."""
    for place in sys.path:
        for package in ("axe_playwright_python", "axe_core_python"):
            found = Path(place or ".") / package / "axe.min.js"
            if found.is_file():
                return found.read_text()
    return pytest.skip("axe.min.js is not there: pip install axe-core-python")


def violations(driver: Any, axe: str) -> list[tuple[str, list[str]]]:
    """What axe-core finds against WCAG 2.2 A and AA on the page that is open: the rule, and the elements."""
    driver.execute_script(axe)
    found = driver.execute_async_script(
        f"axe.run(document, {{iframes: false, runOnly: {json.dumps(LEVELS)}}}).then(arguments[0])"
    )
    return [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found["violations"]]
