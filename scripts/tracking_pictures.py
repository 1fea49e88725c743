"""Draw docs/tensorboard.png and docs/mlflow.png: curves of students under three temperatures, as the two programs show them.

Usage: python scripts/tracking_pictures.py [tensorboard] [mlflow]. Needs the packages selenium, tensorboard and, for its pages,
the whole of mlflow, besides the programs chromium and chromedriver. Both servers listen on this machine alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEMPERATURES = (1.0, 2.0, 4.0)
EPOCHS, WAIT, SIZE = 20, 180, (1800, 960)
# Pixels at the right that are no curves: settings, and an assistant.
ASIDE = {"tensorboard": 252, "mlflow": 466}
SERVERS = {
    "tensorboard": ["tensorboard.main", "--logdir", "logs", "--host", "127.0.0.1", "--port"],
    "mlflow": ["mlflow", "server", "--backend-store-uri", "sqlite:///mlflow.db", "--host", "127.0.0.1", "--port"],
}


def train(folder: Path) -> str:
    """A teacher and three students of noisy classes, logged in the folder; gives the page of their curves in MLflow."""
    import keras
    import mlflow
    import numpy as np

    import keras_kd

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 16))
    y = rng.integers(0, 12, 4000)
    x = (centres[y] + rng.normal(0, 0.9, (len(y), 16))).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def net(width: int) -> keras.Model:
        inputs = keras.Input((16,))
        return keras.Model(inputs, keras.layers.Dense(12)(keras.layers.Dense(width, activation="relu")(inputs)))

    teacher = net(128)
    teacher.compile("adam", loss)
    teacher.fit(x, y, epochs=EPOCHS, verbose=0)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = mlflow.set_experiment("temperature").experiment_id
    for temperature in TEMPERATURES:
        name = f"temperature {temperature:g}"
        distiller = keras_kd.Distiller(teacher, net(6), keras_kd.SoftTarget(temperature), hard_weight=0.5)
        distiller.compile("adam", loss, metrics=["accuracy"])
        logs = [keras_kd.TensorBoardLog(folder / "logs" / name), keras_kd.MlflowLog()]
        with mlflow.start_run(run_name=name):
            distiller.fit(x, y, validation_split=0.25, epochs=EPOCHS, verbose=0, callbacks=logs)
    return f"#/experiments/{experiment}/runs?compareRunsMode=CHART"


@contextlib.contextmanager
def served(name: str, folder: Path) -> Iterator[str]:
    """The server's address, while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", *SERVERS[name], str(port)], cwd=folder)
    try:
        address, end = f"http://127.0.0.1:{port}/", time.monotonic() + WAIT
        while True:
            try:
                urllib.request.urlopen(address).close()
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise SystemExit(f"{name} did not start within {WAIT} s") from None
                time.sleep(1)
        yield address
    finally:
        process.terminate()
        process.wait()


def photograph(address: str, shown: str, aside: int, out: Path) -> None:
    """The page, once it shows a text, without a number of pixels at its right, as PNG."""
    from PIL import Image
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in ("--headless=new", "--no-sandbox", "--hide-scrollbars", f"--window-size={SIZE[0]},{SIZE[1]}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        browser.get(address)
        WebDriverWait(browser, WAIT).until(lambda each: shown in each.page_source)
        # Charts are drawn after the page, and say nothing when they are done.
        time.sleep(10)
        browser.save_screenshot(str(out))
    finally:
        browser.quit()
    picture = Image.open(out)
    picture = picture.crop((0, 0, picture.width - aside, picture.height))
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(out, optimize=True)


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pages = {"tensorboard": "#timeseries&smoothing=0", "mlflow": train(folder)}
        for name in names or list(SERVERS):
            with served(name, folder) as address:
                photograph(address + pages[name], "temperature 4", ASIDE[name], ROOT / "docs" / f"{name}.png")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(sys.argv[1:])
