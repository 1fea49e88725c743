"""A detector that predicts some channels from the others: what it finds, its firmware, and what does not go with it."""

import shutil
import subprocess

import keras
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from support import build_app, invoke, read_samples_from_stdin

import micro
from micro.config import load_config, parse_config
from micro.datasets.prepare import prepare
from micro.datasets.prepared import calibration_windows
from micro.detection.metrics import auc
from micro.detection.residual import measured, taken
from micro.errors import DataError
from micro.firmware import emulate as emulation
from micro.runs.device import judge, simulate
from micro.runs.firmware import load_firmware
from micro.runs.score_files import score
from micro.tflite.interpreter import run

ROWS = 1100
CONFIG = """
job = "table"
seeds = 1
[data]
files = "*.csv"
healthy_files = ["ok*.csv"]
faulty_files = ["bad*.csv"]
columns = ["pressure", "current", "flow", "speed", "heat"]
predict = ["heat", "current"]
sample_rate = 10.0
{data}
[features]
{features}
[teacher]
sizes = [48, 32]
family = "dense"
epochs = 40
learning_rate = 0.004
[student]
sizes = [14]
family = "dense"
epochs = 60
learning_rate = 0.006
batch_size = 32
[detect]
false_alarm_rate = 0.05
[firmware]
name = "pump"
{more}
"""
STATISTICS = 'kind = "statistics"\nwindow = 12\nhop = 7'
RAW = 'kind = "raw"\nwindow = 9\nhop = 5\ndetrend = "none"\narithmetic = "fixed"\nfull_scale = 8.0'


def drifting(rng, rows):
    """A quantity that wanders slowly within ±1."""
    steps = rng.normal(size=rows + 400)
    slow = np.convolve(steps, np.hanning(201) / np.sqrt((np.hanning(201) ** 2).sum()), "same")[200:-200]
    return np.tanh(slow)


def pump(seed, fault=False, rows=ROWS):
    """A pump's channels by name; under a fault current and heat are those of another pump, each as usual by itself."""

    def state(rng):
        pressure, flow, speed = (drifting(rng, rows) for _ in range(3))
        current = 0.9 * pressure * (1.2 + speed) + 0.6 * flow + rng.normal(0, 0.05, rows)
        heat = 0.8 * speed - 0.7 * flow * pressure + rng.normal(0, 0.05, rows)
        return {"pressure": pressure, "current": current, "flow": flow, "speed": speed, "heat": heat}

    here = state(np.random.default_rng(seed))
    other = state(np.random.default_rng(1000 + seed)) if fault else here
    return {**here, "current": other["current"], "heat": other["heat"]}


def record(folder, name, channels):
    columns = list(channels)
    np.savetxt(
        folder / f"{name}.csv",
        np.stack([channels[column] for column in columns], axis=1),
        delimiter=",",
        header=",".join(columns),
        comments="",
        fmt="%.5f",
    )


def config_text(features=STATISTICS, data="", more=""):
    return CONFIG.format(features=features, data=data, more=more)


def recorded(folder):
    for n in range(6):
        record(folder, f"ok{n}", pump(n))
    for n in range(3):
        record(folder, f"bad{n}", pump(50 + n, fault=True))
    return folder


@pytest.fixture(scope="module", params=["statistics", pytest.param("raw", marks=pytest.mark.slow)])
def made(request, tmp_path_factory):
    folder = recorded(tmp_path_factory.mktemp(request.param))
    features = STATISTICS if request.param == "statistics" else RAW
    (folder / "c.toml").write_text(config_text(features, more="[distill]\ncompare = false"))
    result = invoke("run", folder / "c.toml", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    assert "models predict current, heat from pressure, flow, speed" in result.output
    return folder


def test_a_fault_that_no_channel_shows_alone_is_found_by_what_the_others_predict(made):
    report = micro.RunReport.read(made / "run")
    assert report.deployed["auc"] > 0.9
    assert report.deployed["false_alarm_rate"] < 0.2
    assert report.deployed["detection_rate"] > 0.5
    assert report.data.predicted == ("current", "heat")
    assert report.detector.score.kind == "residual"
    page = (made / "run" / "report.html").read_text()
    assert "<td>Predicted from the others</td><td>current, heat</td>" in page
    assert "Threshold of the residual score" in page
    data = prepare(load_config(made / "c.toml"))
    for channel in range(5):
        own = data.features.places_of([channel])
        known = NearestNeighbors(n_neighbors=3).fit(measured(data.train.x, own).reshape(len(data.train), -1))
        far = known.kneighbors(measured(data.test.x, own).reshape(len(data.test), -1))[0].mean(axis=1)
        assert auc(data.test.labels == 1, far) < 0.7, channel


def test_nothing_of_a_predicted_channel_goes_into_the_model(made):
    report, data = micro.RunReport.read(made / "run"), prepare(load_config(made / "c.toml"))
    names = report.features.frame_names
    student = keras.models.load_model(made / "run" / "student.keras")
    others = [n for n, name in enumerate(names) if name.startswith(("channel 0", "channel 2", "channel 3"))]
    each = len(names) // report.features.window if report.features.kinds == ("raw",) else len(names)
    assert taken(np.arange(each), data.predicted).tolist() == [place for place in others if place < each]
    assert student.input_shape[1:] == data.shapes[0] == calibration_windows(data, 0).shape[1:]
    assert student.output_shape[1:] == data.shapes[1]
    assert student.input_shape[-1] * 2 == student.output_shape[-1] * 3
    assert (made / "run" / "teacher.keras").is_file()


def test_files_are_scored_as_the_firmware_decides(made):
    record(made, "new", pump(90, fault=True, rows=300))
    samples = np.stack(list(pump(90, fault=True, rows=300).values()), axis=1).round(5).astype("float32")
    scored, said = score(made / "run", [made / "new.csv"]), simulate(made / "run", samples)
    (made / "new.csv").unlink()
    assert len(scored) == len(said) > 30
    assert [one.score for one in scored] == pytest.approx([decision.score for decision in said])
    assert any(one.alarm for one in scored)
    assert [bool(one.alarm) for one in scored] == [decision.status.name == "ALARM" for decision in said]
    report = micro.RunReport.read(made / "run")
    firmware = load_firmware(made / "run")
    frames = np.stack([samples[d.sample + 1 - report.features.window : d.sample + 1] for d in said])
    real = report.scaling(report.features(frames))
    outputs = run(firmware.tflite, taken(real, firmware.decider.score.places))
    by_hand = np.mean(np.square(measured(real, firmware.decider.score.places) - outputs).reshape(len(said), -1), axis=1)
    assert np.median(np.abs(by_hand - [d.score for d in said]) / np.maximum(by_hand, 0.05)) < 0.1


def test_the_application_and_an_emulated_chip_say_what_python_says(made, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder, firmware = tmp_path / "project", load_firmware(made / "run")
    assert invoke("new-firmware", made / "run", "--board", "cmake", "--out", folder).exit_code == 0
    assert subprocess.run([build_app(folder)], capture_output=True, text=True).stdout == "self-test: pass\n"
    stream = np.stack(list(pump(91, fault=True, rows=400).values()), axis=1).astype("float32")
    stream = firmware.front_end.counts(stream) if firmware.front_end.arithmetic == "fixed" else stream
    read_samples_from_stdin(folder, "pump")
    done = subprocess.run([build_app(folder, "-DAPP_LOG=2")], input=stream.tobytes(), capture_output=True)
    header, *lines = done.stdout.decode().splitlines()
    found = np.array([line.split(",")[1:] for line in lines], np.int64)
    expected = judge(firmware, stream)
    assert header.split(",")[1] == "raw_score"
    assert len(expected.scores) > 30
    assert found[:, 0].tolist() == expected.scores.tolist()
    assert np.array_equal(found[:, 1:], expected.features.reshape(len(lines), -1))
    statuses = [line.split(",")[0] for line in lines]
    assert statuses == ["ALARM" if status.name == "ALARM" else "healthy" for status in expected.statuses]
    assert {"ALARM", "healthy"} <= set(statuses)
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    window = firmware.front_end.window
    frames = pump(92, fault=True, rows=window * 20)
    frames = np.stack(list(frames.values()), axis=1).reshape(20, window, 5).astype("float32")
    for found in emulation.emulate_firmware(firmware, frames, "pump", ("m0", "m4f")):
        assert found.equal


def test_its_scores_can_be_monitored_and_its_layers_scanned(made, tmp_path):
    log = tmp_path / "log.csv"
    assert invoke("score", made / "run", *sorted(made.glob("ok*.csv")), "--out", log).exit_code == 0
    result = invoke("monitor", made / "run", log)
    assert result.exit_code in (0, 1), result.output
    assert "threshold" in result.output
    page = tmp_path / "page.html"
    assert invoke("sensitivity", made / "run", "--out", page).exit_code == 0
    assert "mean squared error" in page.read_text()
    files = made / "run" / "calibration_features.csv"
    if files.is_file():
        assert files.read_text().splitlines()[0].endswith("f24")


@pytest.mark.slow
def test_compressed_and_chosen_by_trial_it_stays_what_it_is(tmp_path):
    recorded(tmp_path)
    more = '[distill]\nrecipe = "auto"\n[[compress]]\nstage = "prune"\ntarget_sparsity = 0.3\nepochs = 5\n'
    more += '[[compress]]\nstage = "quantize_aware"\nactivations = "int16"\nepochs = 2\n'
    text = config_text(more=more, data='scaling = "per_file"\nhealthy_rows = [[0, 500]]').replace(
        "epochs = 60", "epochs = 20"
    )
    (tmp_path / "c.toml").write_text(text)
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    report = micro.RunReport.read(tmp_path / "run")
    assert report.recipe.metric == "prediction error"
    assert report.detector is None  # of int16 there is no firmware, and files are scored with real numbers
    assert report.deployed["auc"] > 0.8
    scored = score(tmp_path / "run", [tmp_path / "bad0.csv"])
    assert np.mean([one.above_threshold for one in scored]) > 0.3


@pytest.mark.slow
def test_a_fleet_shares_a_teacher_that_predicts(tmp_path):
    recorded(tmp_path)
    text = config_text().replace("epochs = 60", "epochs = 3").replace("epochs = 40", "epochs = 3")
    (tmp_path / "c.toml").write_text(text)
    (tmp_path / "fleet.toml").write_text('config = "c.toml"\n[[asset]]\nname = "a"\n[[asset]]\nname = "b"\n')
    result = invoke("fleet", tmp_path / "fleet.toml", "--workers", "1", "--out", tmp_path / "fleet")
    assert result.exit_code == 0, result.output
    assert micro.RunReport.read(next((tmp_path / "fleet").rglob("a/report.json")).parent).data.predicted


def raw(**changes):
    data = {"files": "*.csv", "healthy_files": "ok*", "columns": ["a", "b", "c"], "predict": "c", "sample_rate": 1.0}
    sections = {"job": "table", "data": {**data, **changes.pop("data", {})}, "teacher": {}, "student": {}, **changes}
    return {name: section for name, section in sections.items() if section is not None}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": {"predict": ["c", "d"]}}, "predict names 'd', which columns does not: a, b, c"),
        ({"data": {"predict": ["a", "b", "c"]}}, "predict names every one of columns, which leaves nothing"),
        ({"data": {"predict": ["c", "c"]}}, "predict names 'c' twice"),
        ({"data": {"predict": "c", "known_faults": "bad*"}}, "known_faults are not for predict"),
        ({"data": {"files": "*.png", "columns": [], "sample_rate": None}}, "predict is not for pictures"),
        ({"teacher": {"detectors": ["neighbors"]}}, "leave detectors out"),
        ({"task": "classification"}, "data: predict is for task 'anomaly'"),
        ({"task": "regression", "data": {"target_column": "d"}}, "the number in target_column"),
        ({"sources": [{"name": "s", "columns": ["d"], "features": {"kind": "statistics"}}]}, "channels of one source"),
        ({"distill": {"objective": "score_matching"}}, "name teacher.detectors"),
        ({"teacher": {"columns": ["a", "b"]}}, "teacher.columns"),
    ],
)
def test_what_cannot_be_predicted_is_refused_by_name(tmp_path, changes, says):
    plain = raw(**changes)
    if plain["data"].get("sample_rate") is None:
        plain["data"].pop("sample_rate")
    with pytest.raises(ValueError, match=says):
        parse_config(plain, tmp_path)


def test_what_only_the_files_tell_is_refused_before_training(tmp_path):
    recorded(tmp_path)
    still = {**pump(3), "heat": np.full(ROWS, 0.5)}
    for n in range(6):
        record(tmp_path, f"still{n}", still)
    teacher = keras.Sequential([keras.Input((25,)), keras.layers.Dense(25)])
    teacher.save(tmp_path / "autoencoder.keras")
    columns = 'columns = ["pressure", "current", "flow", "speed", "heat"]\npredict = ["heat", "current"]\n'
    cases = {
        "no_such": (
            columns,
            'predict = ["torque"]\n',
            "predict names 'torque', which is no channel that is learned from; these",
        ),
        "all": (columns, 'predict = ["heat", "current", "flow", "speed", "pressure"]\n', "predict names every channel"),
        "constant": (
            'files = "*.csv"\nhealthy_files = ["ok*.csv"]',
            'files = "still*.csv"\nhealthy_files = ["still*.csv"]\non_constant = "drop"',
            "predict names 'heat', which is no channel that is learned from",
        ),
        "own": (
            'sizes = [48, 32]\nfamily = "dense"',
            'path = "autoencoder.keras"',
            r"takes (25,), the data need (15,)",
        ),
    }
    for name, (old, new, says) in cases.items():
        text = config_text()
        assert old in text
        text = text.replace(old, new)
        if name == "constant":
            text = text.replace('faulty_files = ["bad*.csv"]\n', "")
        (tmp_path / f"{name}.toml").write_text(text)
        result = invoke("run", tmp_path / f"{name}.toml", "--out", tmp_path / name)
        assert result.exit_code == 2, (name, result.output)
        assert says in " ".join(result.output.split()), (name, result.output)
        assert not (tmp_path / name).exists()
    (tmp_path / "c.toml").write_text(config_text())
    result = invoke("search", tmp_path / "c.toml", "--flash", "64KiB", "--out", tmp_path / "found")
    assert result.exit_code == 2
    assert "data.predict" in result.output


@pytest.mark.parametrize(
    ("columns", "predict", "predicted"),
    [
        (["*"], ["b"], (1,)),
        (["a", "t_*"], ["t_*"], (1, 2)),
        (["*"], ["t_2", "a"], (0, 3)),
        (["?", "t_1"], ["t_?"], (2,)),
    ],
)
def test_channels_to_predict_may_be_patterns_as_columns_are(tmp_path, columns, predict, predicted):
    rng = np.random.default_rng(0)
    for name in ("ok0", "ok1"):
        record(tmp_path, name, {each: rng.normal(size=400) for each in ("a", "b", "t_1", "t_2")})
    plain = raw(data={"columns": columns, "predict": predict}, features={"kind": "statistics", "window": 16, "hop": 16})
    plain |= {"teacher": {"sizes": [4]}, "student": {"sizes": [4]}}
    data = prepare(parse_config(plain, tmp_path))
    per = len(data.features.names) // len(data.channels)
    assert len(data.predicted) == per * len(predicted)
    assert data.predicted == data.features.places_of(predicted)
    plain["data"]["predict"] = ["*"]
    with pytest.raises(DataError, match="predict names every channel that is learned from"):
        prepare(parse_config(plain, tmp_path))
    plain["data"]["predict"] = ["u*"]
    with pytest.raises(DataError, match=r"predict names 'u\*', which is no channel that is learned from"):
        prepare(parse_config(plain, tmp_path))
