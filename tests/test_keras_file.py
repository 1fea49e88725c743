"""Models that other libraries made, from their .keras files."""

import json
import re
import shutil
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from micro.conversion.keras_file import load_keras
from micro.errors import ModelError

PICTURES = np.random.default_rng(0).random((3, 12, 7, 1), np.float32)


@keras.saving.register_keras_serializable("test_keras_file")
class Classifier(keras.Model):
    """A functional model that compiles itself while it is made, as keras-hub's tasks do."""

    def __init__(self, classes: int, optimizer: str = "adam", **keywords):
        inputs = keras.Input((12, 7, 1))
        h = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3, activation="relu")(inputs))
        super().__init__(inputs, layers.Dense(classes)(h), **keywords)
        self.settings = {"classes": classes, "optimizer": optimizer}
        self.compile(keras.optimizers.get({"class_name": optimizer, "config": {"learning_rate": 0.01}}), "mse")

    def get_config(self):
        return {"name": self.name, **self.settings}


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adafactor"])
def test_a_model_that_compiles_itself_is_read(tmp_path, optimizer):
    model = Classifier(3, optimizer)
    model.save(tmp_path / "own.keras")
    read = load_keras(tmp_path / "own.keras")
    assert type(read) is Classifier
    np.testing.assert_array_equal(read(PICTURES), model(PICTURES))
    # What was set aside to read it is as it was.
    assert int(keras.optimizers.Adam().iterations) == 0
    with pytest.raises(ValueError, match="stateless scope"), keras.StatelessScope(initialize_variables=False):
        keras.optimizers.Adam()


def test_sizes_that_the_file_cannot_hold_are_refused_before_they_are_made(tmp_path):
    Classifier(3).save(tmp_path / "own.keras")
    edited(tmp_path / "own.keras", '"classes": 3', '"classes": 3000000000')
    with pytest.raises(ModelError, match=r"weights, and its model\.weights\.h5 has"):
        load_keras(tmp_path / "own.keras")


def test_a_package_that_is_missing_is_named(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)], name="plain")
    model.save(tmp_path / "model.keras")
    config = {"module": "keras_cv.src.models.nothing", "class_name": "Nothing", "registered_name": "keras_cv>Nothing"}
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        whole = json.loads(archive.read("config.json"))
    edited(tmp_path / "model.keras", json.dumps(whole), json.dumps({**whole, **config}), reformat=True)
    with pytest.raises(
        ModelError, match=r"'Nothing' of the package keras_cv, which cannot be .* pip install keras-cv$"
    ):
        load_keras(tmp_path / "model.keras")


def test_a_classifier_of_keras_hub_is_read(tmp_path):
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed").models
    sizes = {"stackwise_num_repeats": [1, 1], "growth_rate": 4, "compression_ratio": 0.5}
    model = hub.DenseNetImageClassifier(backbone=hub.DenseNetBackbone(**sizes, image_shape=(32, 32, 1)), num_classes=3)
    model.save(tmp_path / "hub.keras")
    read = load_keras(tmp_path / "hub.keras")
    pictures = np.random.default_rng(0).random((2, 32, 32, 1), np.float32)
    np.testing.assert_array_equal(read(pictures), model(pictures))


def edited(path, old, new, reformat=False):
    """Replace text in the config.json of a .keras file."""
    shutil.move(path, path.with_suffix(".zip"))
    with zipfile.ZipFile(path.with_suffix(".zip")) as archive, zipfile.ZipFile(path, "w") as written:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                text = json.dumps(json.loads(content)) if reformat else content.decode()
                assert re.search(re.escape(old), text)
                content = text.replace(old, new).encode()
            written.writestr(name, content)
