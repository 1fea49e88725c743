"""The studio takes sound from a microphone: a real browser whose microphone plays a file."""

import io
import json
import shutil

import numpy as np
import pytest
import soundfile
from pages_in_browser import chromium
from scipy.io import wavfile
from studio_client import serving

from micro.studio.sound import sound_rate
from micro.studio.workspace import Workspace

By = pytest.importorskip("selenium.webdriver.common.by", reason="selenium is not installed").By
ui = pytest.importorskip("selenium.webdriver.support.ui", reason="selenium is not installed")
TONE, RATE = 937.5, 16_000


def hum(rng, seconds, rate, tone=TONE):
    """A steady tone in noise, int16."""
    at = np.arange(int(seconds * rate)) / rate
    return (6000 * np.sin(2 * np.pi * tone * at + rng.uniform(0, 6)) + rng.normal(0, 600, len(at))).astype(np.int16)


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(tmp_path_factory, downloads):
    played = tmp_path_factory.mktemp("sound") / "tone.wav"
    wavfile.write(played, 48_000, hum(np.random.default_rng(1), 20, 48_000))
    words = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={played}",
    )
    with chromium(downloads, words) as driver:
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
def test_a_recording_whose_set_was_deleted_meanwhile_can_be_saved(browser, downloads, tmp_path):
    uploads = tmp_path / "studio/uploads"
    with serving(tmp_path / "studio") as client:
        client.enter()
        client.post("/api/recordings", {"name": "fan"})
        browser.get(f"http://127.0.0.1:{client.port}/?token={client.token}")
        browser.get(f"http://127.0.0.1:{client.port}/live?name=fan")
        # What no file may be called is another name in the list too.
        browser.find_element(By.ID, "label").send_keys("../worn: 2*")
        record(browser, "sound-state", 1)
        item = wait(browser, lambda driver: driver.find_elements(By.CSS_SELECTOR, "#sounds li"))[0].text
        (kept,) = uploads.rglob("*.wav")
        assert item.startswith(f"fan/{kept.relative_to(uploads / 'fan').as_posix()}, ")
        shutil.rmtree(uploads / "fan")
        record(browser, "sound-state", 1)
        problem = wait(browser, lambda driver: driver.find_element(By.ID, "problem").text)
        assert problem == "there are no recordings 'fan'"
        link = browser.find_element(By.CSS_SELECTOR, "#sound-state a")
        link.click()
        saved = downloads / link.get_attribute("download")
        wait(browser, lambda driver: saved.is_file() and saved.stat().st_size)
        require_tone(saved.read_bytes(), RATE)


# Listens for 4 s, and has the microphone unplugged after so many.
LISTENS = """
    const [rate, longest, unplugged, tell] = arguments;
    const told = [], devices = navigator.mediaDevices, own = devices.getUserMedia.bind(devices);
    let track;
    devices.getUserMedia = async (wanted) => {
        const stream = await own(wanted);
        [track] = stream.getTracks();
        return stream;
    };
    import("/static/microphone.js").then(async ({ listen }) => {
        const one = await listen(rate, (...words) => told.push(words), longest);
        delete devices.getUserMedia;
        if (unplugged) setTimeout(() => track.dispatchEvent(new Event("ended")), 1000 * unplugged);
        setTimeout(async () => tell([told, (await one.stop()).size]), 4000);
    });
"""


@pytest.mark.slow
def test_a_recording_ends_at_its_longest_and_says_so_and_keys_are_enough(browser, tmp_path):
    with serving(tmp_path / "studio") as client:
        browser.get(f"http://127.0.0.1:{client.port}/?token={client.token}")
        browser.get(f"http://127.0.0.1:{client.port}/live?name=fan")
        assert "at most ten minutes at a time" in browser.find_element(By.CSS_SELECTOR, "main").text
        told, size = browser.execute_async_script(LISTENS, RATE, 1.2, 0)
        assert [why for *_, why in told] == ["", "", "the longest recording"]
        assert 1.2 <= told[-1][0] < 1.25
        assert size == 44 + 2 * round(told[-1][0] * RATE)
        told, size = browser.execute_async_script(LISTENS, RATE, 600, 2)
        assert ["" for _ in told[:-1]] + ["the microphone is gone"] == [why for *_, why in told]
        assert size == 44 + 2 * round(told[-1][0] * RATE)
        button, state = browser.find_element(By.ID, "microphone"), browser.find_element(By.ID, "sound-state")
        button.send_keys(" ")
        wait(browser, lambda driver: state.text.endswith("of full scale"))
        browser.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        wait(browser, lambda driver: float(state.text.split(" s,")[0]) > 2)
        # Who types stops it by the same key, and is not read the level twice a second.
        assert browser.switch_to.active_element == button
        assert state.get_attribute("aria-live") == "off"
        leaves = "const leave = new Event('beforeunload', { cancelable: true }); return dispatchEvent(leave)"
        assert browser.execute_script(leaves) is False
        browser.switch_to.active_element.send_keys(" ")
        wait(browser, lambda driver: driver.find_elements(By.CSS_SELECTOR, "#sounds li"))
        assert state.get_attribute("aria-live") is None


@pytest.mark.parametrize(
    ("subtype", "channels", "name", "rate"),
    [
        ("PCM_16", ["c0"], "a.wav", RATE),
        ("PCM_16", ["c0"], "a.flac", RATE),
        ("PCM_24", ["c0"], "a.wav", None),
        ("FLOAT", ["c0"], "a.wav", None),
        ("PCM_16", ["c0", "c1"], "a.wav", None),
        ("PCM_16", ["c0"], "a.npy", None),
    ],
)
def test_a_run_takes_the_microphone_where_its_sound_has_counts_of_16_bits(tmp_path, subtype, channels, name, rate):
    """Samples count as files have them: a microphone's would be 32,768 times too loud for a run that learned from floats."""
    space = Workspace(tmp_path).make()
    folder, run = space.uploads / "fan/healthy", space.runs / "fan"
    folder.mkdir(parents=True)
    run.mkdir()
    soundfile.write(folder / "a.wav", np.zeros((RATE, len(channels))), RATE, subtype=subtype, format="WAV")
    if name.endswith("flac"):
        soundfile.write(folder / name, np.zeros((RATE, len(channels))), RATE, subtype=subtype)
    config = {"data": {"folder": str(space.uploads / "fan")}}
    (run / "manifest.json").write_text(json.dumps({"config": config, "data": {f"healthy/{name}": ""}}))
    report = {"data": {"channels": channels, "sample_rate": float(RATE), "sources": []}}
    assert sound_rate(space, "fan", report) == rate
    (folder / name).unlink(missing_ok=True)
    assert sound_rate(space, "fan", report) is None


@pytest.mark.slow
def test_a_run_scores_what_the_microphone_records(browser, tmp_path):
    studio = tmp_path / "studio"
    browser.get_log("browser")  # of other tests
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
