"""Damaged and hostile .keras files through the command line: one line, or a conversion that agrees with Keras."""

import base64
import io
import json
import marshal
import zipfile

import keras
import numpy as np
import pytest
from keras import layers
from support import invoke

from micro.tflite.graph import read
from micro.tflite.interpreter import run

VALUES = (-1, 0, 1, 2, 3, 7, 10**9, 10**18, -(10**9), 1e300, 0.5, "x", "", None, True, [], [1, 2, 3], {}, [[[]]])
CLASSES = (
    "Lambda",
    "Dense",
    "Conv2D",
    "Foo",
    "LSTM",
    "Dropout",
    "TimeDistributed",
    "Sequential",
    "Functional",
    "system",
    "eval",
)
MODULES = ("os", "subprocess", "builtins", "keras.layers", "keras", "keras.utils", "keras.src.utils", "micro", None, 3)


def base_models():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 2))
    hidden = layers.Conv1D(3, 3, padding="same", name="conv")(inputs)
    hidden = layers.ReLU()(layers.BatchNormalization(name="norm")(hidden))
    yield keras.Model(inputs, layers.Dense(2, name="out")(layers.Flatten()(hidden)), name="conv_net")
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu", name="inside")], name="inner")
    yield keras.Sequential([keras.Input((4,)), inner, layers.Dense(4, name="out")], name="nested")
    steps = [keras.Input((4, 1)), layers.UpSampling1D(2), layers.Conv1D(2, 2, name="conv"), layers.GlobalMaxPooling1D()]
    yield keras.Sequential(steps, name="up")


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """(file, calibration) of small models, as bytes and an array."""
    folder = tmp_path_factory.mktemp("bases")
    found = []
    for number, model in enumerate(base_models()):
        model.save(folder / f"{number}.keras")
        samples = np.random.default_rng(number).normal(size=(40, *model.input_shape[1:])).astype("float32")
        found.append(((folder / f"{number}.keras").read_bytes(), samples))
    return found


def members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def places(value):
    """Every (container, key) of a JSON tree."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in entries:
        yield value, key
        yield from places(item)


def flipped(rng, data, most=8):
    data = bytearray(data)
    for _ in range(int(rng.integers(1, most + 1))):
        if data:
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(data)


def edited(rng, config):
    """A config with one to three places changed."""
    for _ in range(int(rng.integers(1, 4))):
        spots = list(places(config))
        wanted = str(rng.choice(["any", "class_name", "module", "number", "drop"]))
        chosen = [(box, key) for box, key in spots if key == wanted]
        if wanted == "number":
            chosen = [(box, key) for box, key in spots if type(box[key]) in (int, float)]
        box, key = (chosen or spots)[int(rng.integers(len(chosen or spots)))]
        if wanted == "class_name":
            box[key] = str(rng.choice(CLASSES))
        elif wanted == "module":
            box[key] = MODULES[int(rng.integers(len(MODULES)))]
        elif wanted == "drop" and isinstance(box, dict):
            del box[key]
        else:
            box[key] = VALUES[int(rng.integers(len(VALUES)))]
    return config


def nested(config, depth):
    """A config, as text, inside so many models; Python's encoder does not go as deep as a file can."""
    before = (
        '{"module": "keras", "class_name": "Sequential", "registered_name": null, "config": {"name": "s", "layers": ['
    )
    return before * depth + json.dumps(config) + "]}}" * depth


def with_lambda(marker):
    """A layer whose code would make a file."""
    code = compile(f"open({str(marker)!r}, 'w')", "x", "eval")
    body = {"code": base64.b64encode(marshal.dumps(code)).decode(), "defaults": None, "closure": None}
    function = {"class_name": "__lambda__", "config": body}
    return {"module": "keras.layers", "class_name": "Lambda", "config": {"function": function}, "registered_name": None}


def calls(marker):
    """Objects whose making would make a file."""
    text = f"touch {marker}"
    yield {"module": "os", "class_name": "system", "config": text, "registered_name": "system"}
    yield {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"}
    yield {"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", str(marker)]}}
    yield {"module": "builtins", "class_name": "open", "config": {"file": str(marker), "mode": "w"}}
    yield {
        "module": "keras.utils",
        "class_name": "get_file",
        "config": {"fname": str(marker), "origin": "file:///etc/hosts"},
    }


def damaged(rng, content, marker):
    """A file after damage that `rng` draws."""
    kind = int(rng.integers(0, 12))
    files = members(content)
    config = json.loads(files["config.json"])
    if kind == 0:
        return content[: int(rng.integers(len(content)))]
    if kind == 1:
        return flipped(rng, content, 30)
    if kind == 2:
        files.pop(sorted(files)[int(rng.integers(len(files)))])
        return zipped(files)
    if kind == 3:
        files["model.weights.h5"] = flipped(rng, files["model.weights.h5"], 200)
        return zipped(files)
    if kind == 4:
        weights = files["model.weights.h5"]
        files["model.weights.h5"] = weights[: int(rng.integers(len(weights)))]
        return zipped(files)
    if kind == 5:
        files["config.json"] = nested(config, int(rng.choice([3, 50, 300, 3000]))).encode()
        return zipped(files)
    if kind == 6:
        box = config["config"]["layers"]
        box.insert(int(rng.integers(len(box) + 1)), with_lambda(marker))
    elif kind == 7:
        spots = [(box, key) for box, key in places(config) if isinstance(box[key], dict)]
        box, key = spots[int(rng.integers(len(spots)))]
        options = list(calls(marker))
        box[key] = options[int(rng.integers(len(options)))]
    elif kind == 8:
        text = str(rng.choice(["[]", "3", "null", "{", '{"class_name": 3}', "[" * 5000, '"' + "a" * 100]))
        files["config.json"] = text.encode()
        return zipped(files)
    else:
        config = edited(rng, config)
    files["config.json"] = json.dumps(config).encode()
    return zipped(files)


def judged(file, samples, folder):
    """'refused' in one line, or 'converted' with outputs near those of Keras; anything else fails."""
    np.save(folder / "x.npy", samples)
    result = invoke("convert", file, "--calibration", folder / "x.npy", "--out", folder / "out", "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    if result.exit_code == 2:
        assert result.stdout == ""
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert len(result.stderr) < 1000, result.stderr
        return "refused"
    assert (result.exit_code, result.stderr) == (0, "")
    printed = json.loads(result.stdout)
    model = keras.saving.load_model(file, compile=False, safe_mode=True)
    expected = model.predict(samples, verbose=0)
    graph = read(printed["path"])
    step = graph.tensors[graph.outputs[0]].quantization.scale[0]
    error = np.sqrt(np.mean((run(printed["path"], samples).reshape(expected.shape) - expected) ** 2))
    assert printed["warnings"] or error <= 0.3 * expected.std() + 2 * step
    return "converted"


def fuzz(bases, folder, seeds):
    marker = folder / "marker"
    seen = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        content, samples = bases[seed % len(bases)]
        file = folder / "model.keras"
        file.write_bytes(damaged(rng, content, marker))
        try:
            seen.append(judged(file, samples, folder))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        assert not marker.exists(), f"seed {seed} ran the file's code"
        keras.backend.clear_session()
    return seen


def test_sound_files_convert(bases, tmp_path):
    for content, samples in bases:
        (tmp_path / "model.keras").write_bytes(content)
        assert judged(tmp_path / "model.keras", samples, tmp_path) == "converted"


@pytest.mark.slow
def test_damaged_files_are_refused_in_a_line_or_convert(bases, tmp_path):
    seen = fuzz(bases, tmp_path, range(25))
    assert seen.count("refused") >= 10


def test_a_config_that_asks_for_more_than_the_file_holds_is_refused_before_memory_is(bases, tmp_path):
    content, samples = bases[1]
    files = members(content)
    config = json.loads(files["config.json"])
    config["config"]["layers"][-1]["config"]["units"] = 10**12
    files["config.json"] = json.dumps(config).encode()
    (tmp_path / "model.keras").write_bytes(zipped(files))
    np.save(tmp_path / "x.npy", samples)
    result = invoke("convert", tmp_path / "model.keras", "--calibration", tmp_path / "x.npy", "--out", tmp_path)
    assert result.exit_code == 2
    assert "declares 4,000,000,000,015 weights" in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(100, 900, 100))
def test_many_damaged_files_are_refused_in_a_line_or_convert(bases, tmp_path, first):
    seen = fuzz(bases, tmp_path, range(first, first + 100))
    assert len(seen) == 100
    print({kind: seen.count(kind) for kind in sorted(set(seen))})
