"""The studio takes sound from a microphone: a real browser whose microphone plays a file."""

import io

import numpy as np
import pytest
from pages_in_browser import chromium
from scipy.io import wavfile
from studio_client import serving

By = pytest.importorskip("selenium.webdriver.common.by", reason="selenium is not installed").By
ui = pytest.importorskip("selenium.webdriver.support.ui", reason="selenium is not installed")
TONE, RATE = 937.5, 16_000


def hum(rng, seconds, rate, tone=TONE):
    """A steady tone in noise, int16."""
    at = np.arange(int(seconds * rate)) / rate
    return (6000 * np.sin(2 * np.pi * tone * at + rng.uniform(0, 6)) + rng.normal(0, 600, len(at))).astype(np.int16)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    played = tmp_path_factory.mktemp("sound") / "tone.wav"
    wavfile.write(played, 48_000, hum(np.random.default_rng(1), 20, 48_000))
    words = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={played}",
    )
    with chromium(words=words) as driver:
        yield driver


def wait(browser, condition, seconds=60):
    return ui.WebDriverWait(browser, seconds, poll_frequency=0.2).until(condition)


def record(browser, state, seconds):
    """Press the button, wait for the seconds, and press it again."""
    button = browser.find_element(By.ID, "microphone")
    button.click()

    def long_enough(driver):
        assert driver.find_element(By.ID, "problem").text == ""
        said = driver.find_element(By.ID, state).text
        return said.endswith("of full scale") and float(said.split(" s,")[0]) >= seconds

    wait(browser, long_enough)
    assert button.text == "Stop recording"
    button.click()


def require_tone(content, rate):
    """One channel of 16 bits at the rate, whose strongest frequency is the tone's."""
    found, samples = wavfile.read(io.BytesIO(content))
    assert (found, samples.dtype, samples.ndim) == (rate, np.int16, 1)
    # The browser's microphone begins in silence, and plays its file again and again.
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    strongest = np.argmax(spectrum) * rate / len(samples)
    assert abs(strongest - TONE) < 3, strongest
    assert 3000 < np.abs(samples.astype(int)).max() <= 9500


@pytest.mark.slow
def test_sound_of_the_microphone_is_recorded_as_it_is_under_a_label(browser, tmp_path):
    with serving(tmp_path / "studio") as client:
        browser.get(f"http://127.0.0.1:{client.port}/?token={client.token}")
        browser.get(f"http://127.0.0.1:{client.port}/live")
        browser.find_element(By.ID, "microphone").click()
        problem = wait(browser, lambda driver: driver.find_element(By.ID, "problem").text)
        assert problem == "Say into which recordings: a name above."
        rates = {"healthy": RATE, "worn": 11_025}
        for count, (label, rate) in enumerate(rates.items(), start=1):
            for name, given in (("name", "fan"), ("label", label), ("sound-rate", str(rate))):
                element = browser.find_element(By.ID, name)
                element.clear()
                element.send_keys(given)
            record(browser, "sound-state", 2)
            wait(browser, lambda driver, n=count: len(driver.find_elements(By.CSS_SELECTOR, "#sounds li")) == n)
        element = browser.find_element(By.ID, "sound-rate")
        element.clear()
        element.send_keys("4000")
        browser.find_element(By.ID, "microphone").click()
        problem = wait(browser, lambda driver: driver.find_element(By.ID, "problem").text)
        assert problem == "A browser records 8000 to 96000 samples a second, not 4000."
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        kept = sorted((tmp_path / "studio/uploads/fan").rglob("*.wav"))
        assert [path.parent.name for path in kept] == list(rates)
        for path, rate in zip(kept, rates.values()):
            require_tone(path.read_bytes(), rate)


@pytest.mark.slow
def test_a_run_scores_what_the_microphone_records(browser, tmp_path):
    studio = tmp_path / "studio"
    with serving(studio) as client:
        client.enter()
        name = client.post("/api/recordings", {"name": "fan"})["name"]
        rng = np.random.default_rng(2)
        for label, tone in (("healthy", TONE), ("worn", 2 * TONE)):
            for n in range(4):
                held = io.BytesIO()
                wavfile.write(held, RATE, hum(rng, 6, RATE, tone))
                client.put(name, f"{label}/{n}.wav", held.getvalue())
        looked = client.ended(client.post(f"/api/recordings/{name}/look")["id"])
        assert looked["state"] == "done", looked["log"]
        text = (studio / "configs/fan.toml").read_text()
        job = client.post("/api/train", {"name": name, "text": text, "choices": {"seeds": "1"}})["id"]
        done = client.ended(job, 1500)
        assert done["state"] == "done", done["log"]
        browser.get(f"http://127.0.0.1:{client.port}/?token={client.token}")
        browser.get(f"http://127.0.0.1:{client.port}/runs/fan-1")
        record(browser, "try-state", 3)
        table = wait(browser, lambda driver: driver.find_elements(By.CSS_SELECTOR, "#try-table tbody tr"), 300)
        assert len(table) == 1
        assert "microphone-" in table[0].text
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        (kept,) = (studio / "uploads/new-fan-1").glob("*.wav")
        require_tone(kept.read_bytes(), RATE)
