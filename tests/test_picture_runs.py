"""Runs on pictures: from folders, through look and run, to firmware that takes pixels."""

import csv
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from support import build_app, invoke, read_samples_from_stdin
from test_pictures import SIZE, cut, noise, saved

from micro.config import load_config, parse_config
from micro.datasets.prepare import prepare
from micro.errors import DataError
from micro.firmware import emulate as emulation
from micro.runs.device import judge, simulate
from micro.runs.firmware import load_firmware
from micro.runs.summary import config_from_plain, plain_config

CONFIG = {
    "job": "table",
    "task": "classification",
    "data": {"files": "*/*.png"},
    "teacher": {},
    "student": {},
}


def config_of(folder=".", task="classification", **sections):
    return parse_config({**CONFIG, "task": task, **sections}, folder)


def shape_of(name, rng):
    """A bar, a disk or a slope somewhere in a picture that is higher than wide, with noise."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    down, right = rng.uniform(3, 8), rng.uniform(3, 6)
    drawn = {
        "bar": 150 * (np.abs(x - right) < 1.5),
        "disk": 150 * ((x - right) ** 2 + (y - down) ** 2 < 9),
        "slope": 12 * (x + y),
    }[name]
    return np.clip(drawn + 40 + rng.normal(0, 10, SIZE), 0, 255).astype(np.uint8)


def write_classes(folder, count=10):
    rng = np.random.default_rng(0)
    for name in ("bar", "disk", "slope"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            saved(folder / name / f"{number}.png", shape_of(name, rng))
    return folder


def test_a_picture_is_a_window_and_its_rows_are_frames(tmp_path):
    write_classes(tmp_path)
    data = prepare(config_of(tmp_path))
    assert data.train.x.shape[1:] == data.features.shape == (*SIZE, 1)
    assert (data.image_size, data.sample_rate, data.channels) == (SIZE, None, ("gray",))
    assert len(data.train) + len(data.validation) + len(data.test) == 30
    for x, origin in zip(data.test.x, data.test.origins):
        picture = np.asarray(Image.open(tmp_path / origin), np.float32)[..., None]
        np.testing.assert_allclose(x, data.scaling(picture), atol=1e-5)
    colored = prepare(config_of(tmp_path, data={"files": "*/*.png", "color": "rgb", "image_size": [5, 7]}))
    assert colored.test.x.shape[1:] == (5, 7, 3)
    assert colored.channels == ("red", "green", "blue")


def test_a_run_s_config_is_read_back_as_it_was(tmp_path):
    for data in ({"files": "*.png"}, {"files": "*.png", "image_size": [12, 10], "color": "rgb"}):
        config = config_of(tmp_path, data=data)
        assert config_from_plain(json.loads(json.dumps(plain_config(config, tmp_path))), tmp_path) == config


def test_pictures_of_several_sizes_need_one(tmp_path):
    write_classes(tmp_path)
    saved(tmp_path / "bar" / "5.png", noise(10, 12))
    with pytest.raises(DataError) as caught:
        prepare(config_of(tmp_path))
    said = str(caught.value)
    assert "bar/0.png has 12 x 10 pixels" in said
    assert "bar/5.png has 10 x 12 pixels" in said
    assert "set image_size = [12, 10]" in said
    assert prepare(config_of(tmp_path, data={"files": "*/*.png", "image_size": [12, 10]})).image_size == SIZE


def test_healthy_pictures_alone_are_learned_from_too(tmp_path):
    write_classes(tmp_path, 20)
    data = {"files": "*/*.png", "healthy_files": "bar/*.png", "faulty_files": "disk/*.png"}
    made = prepare(config_of(tmp_path, "anomaly", data=data))
    assert (made.task, made.train.x.shape[1:]) == ("anomaly", (*SIZE, 1))
    assert all(origin.startswith("bar/") for origin in made.train.origins)
    assert (made.test.labels == 1).sum() == 20


def test_a_burst_of_healthy_pictures_and_files_of_the_same_bytes_are_not_on_two_sides(tmp_path):
    """Neighbors in the order of names stay together, and each copy is where its original is."""
    write_classes(tmp_path, 20)
    for number in (3, 11, 19):
        (tmp_path / "bar" / f"copy of {number}.png").write_bytes((tmp_path / "bar" / f"{number}.png").read_bytes())
    data = {"files": "*/*.png", "healthy_files": "bar/*.png", "faulty_files": "disk/*.png"}
    made = prepare(config_of(tmp_path, "anomaly", data=data))
    healthy_tests = [name for name, label in zip(made.test.origins, made.test.labels) if label == 0]
    parts = [made.train.origins, made.validation.origins, made.calibration.origins, healthy_tests]
    where = {name: place for place, names in enumerate(parts) for name in names}
    assert len(where) == 23
    assert all(where[f"bar/{number}.png"] == where[f"bar/copy of {number}.png"] for number in (3, 11, 19))
    ordered = [where[name] for name in sorted(where) if "copy" not in name]
    assert ordered == sorted(ordered)
    assert any("hold the same bytes" in note for note in made.notes)
    assert any(note.startswith("healthy pictures were divided in the order of their names: ") for note in made.notes)


def test_recordings_beside_a_picture_are_looked_at_as_recordings(tmp_path):
    for number in range(5):
        (tmp_path / f"rec{number}.csv").write_text("x\n" + "\n".join(map(str, range(50))) + "\n")
    saved(tmp_path / "plot.png", noise(12, 10))
    result = invoke("look", tmp_path)
    assert "1 picture" not in result.output
    assert invoke("look", *sorted(tmp_path.glob("*")), "--sample-rate", "10").exit_code == 0


def test_pictures_may_be_called_anything_where_a_size_is_set(tmp_path):
    write_classes(tmp_path)
    for path in tmp_path.glob("*/*.png"):
        path.rename(path.with_suffix(""))
    made = prepare(config_of(tmp_path, data={"files": "*/*", "image_size": list(SIZE)}))
    assert made.image_size == SIZE


def test_copies_are_shifted_as_pictures_and_stay_between_black_and_white(tmp_path):
    write_classes(tmp_path)
    layers = [
        {"class": "RandomTranslation", "fraction": 0.4, "value": 0.0},
        {"class": "RandomGain", "decibels": [0, 20]},
    ]
    plain, more = (prepare(config_of(tmp_path, augment={"layers": chosen})) for chosen in ([], layers))
    assert len(more.train) == 2 * len(plain.train)
    samples = more.train.x * np.float32(more.scaling.spread) + np.float32(more.scaling.centre)
    assert samples.min() > -0.01
    assert samples.max() < 255.01
    shifted = prepare(config_of(tmp_path, augment={"layers": layers[:1]}))
    pixels = shifted.train.x * np.float32(shifted.scaling.spread) + np.float32(shifted.scaling.centre)
    copies = pixels.round()[1::2, ..., 0]
    assert any((copy == 0).all(axis=0).any() and (copy == 0).all(axis=1).any() for copy in copies)
    for copy in copies[:5]:
        rows = copy[copy.any(axis=1)]
        assert rows.shape[0] >= SIZE[0] - 4
        assert any(set(rows[0][rows[0] > 0]) <= set(np.asarray(Image.open(path))[row].tolist())
                   for path in tmp_path.glob("*/*.png") for row in range(SIZE[0]))  # fmt: skip


# By name: changed sections of a config, and what is said of them.
REFUSED = {
    "rate": ({"data": {"files": "*.png", "sample_rate": 10.0}}, "sample_rate is not for pictures"),
    "time": ({"data": {"files": "*.png", "time_column": "t"}}, "time_column is not for pictures"),
    "resample": ({"data": {"files": "*.JPG", "resample": 5.0}}, "resample is not for pictures"),
    "units": ({"data": {"files": "*.png", "units_row": True}}, "units_row is not for pictures"),
    "labels": ({"data": {"files": "*.png", "label_column": "x"}}, "label_column is not for pictures"),
    "intervals": ({"data": {"files": "*.png", "intervals": "x.csv"}}, "intervals is not for pictures"),
    "pad": ({"data": {"files": "*.png", "on_short": "pad"}}, 'on_short = "pad" is not for pictures'),
    "in time": ({"data": {"files": "*.png", "split": "time"}}, 'split = "time" is not for pictures'),
    "mixed": ({"data": {"files": ["*.png", "*.csv"], "sample_rate": 1.0}}, "files names pictures, such as '*.png'"),
    "color": ({"data": {"files": "*.csv", "sample_rate": 1.0, "color": "rgb"}}, "color is for pictures"),
    "large": (
        {"data": {"files": "*.png", "image_size": [1000, 1000]}},
        "image_size must be [height, width] of at most",
    ),
    "side": ({"data": {"files": "*.png", "image_size": [0, 10]}}, "image_size.0"),
    "kind": ({"features": {"kind": "spectrum"}}, "features.kind of pictures is 'raw', got 'spectrum'"),
    "detrend": ({"features": {"detrend": "mean"}}, "features.detrend of pictures is 'none', got 'mean'"),
    "window": (
        {"data": {"files": "*.png", "image_size": [12, 10]}, "features": {"window": 1024}},
        "features.window of pictures of 12 x 10 pixels is 120, got 1024",
    ),
    "frame": ({"features": {"frame": 8}}, "features.frame of pictures comes from their size; leave it out, or set"),
    "bands": ({"features": {"bands": 8}}, "features.bands is for spectra"),
    "speed": ({"augment": {"layers": [{"class": "RandomSpeed"}]}}, "RandomSpeed is not for pictures: a picture has no"),
    "shift": ({"augment": {"layers": [{"class": "RandomShift"}]}}, "take RandomTranslation"),
    "translation": (
        {"data": {"files": "*.csv", "sample_rate": 1.0}, "augment": {"layers": [{"class": "RandomTranslation"}]}},
        "RandomTranslation is for pictures, which have two directions; take RandomShift",
    ),
    "number": (
        {"task": "regression", "data": {"files": "*.png", "target_column": "x"}},
        "pictures have no column or time",
    ),
    "white beyond int16": (
        {"data": {"files": "*.png"}, "features": {"arithmetic": "fixed", "full_scale": 255.0}},
        "full_scale of pictures must be at least 256, or int16 does not hold white",
    ),
    "rows": (
        {"task": "anomaly", "data": {"files": "*.png", "healthy_rows": [0, 5]}},
        "healthy_rows is not for pictures",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_for_pictures_is_refused(case):
    sections, said = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        config_of(**sections)
    assert "\n" not in str(caught.value)


# By name: what is done to the files, and what is said.
UNFIT = {
    "damaged": (lambda folder: cut(folder / "bar" / "3.png"), r"bar/3\.png cannot be read as a picture"),
    "twins": (
        lambda folder: (folder / "disk" / "0.png").write_bytes((folder / "bar" / "0.png").read_bytes()),
        r"bar/0\.png \(bar\) and disk/0\.png \(disk\) hold the same bytes",
    ),
    "few": (
        lambda folder: [(folder / "bar" / f"{n}.png").unlink() for n in range(2, 10)],
        "2 files hold; record it in three files or more$",
    ),
    "black": (
        lambda folder: [saved(path, np.zeros(SIZE, np.uint8)) for path in folder.glob("*/*.png")],
        "every pixel of every picture is the same in any file",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_files_that_no_run_can_learn_from_end_it_before_training(tmp_path, case):
    change, said = UNFIT[case]
    change(write_classes(tmp_path))
    with pytest.raises(DataError, match=said):
        prepare(config_of(tmp_path))


def test_a_table_s_run_says_how_pictures_are_named(tmp_path):
    write_classes(tmp_path)
    with pytest.raises(DataError, match=r'is a picture; pictures are read where .* files = \["\*\*/\*\.png"\]'):
        prepare(config_of(tmp_path, data={"files": "*/*", "sample_rate": 1.0}))
    assert prepare(config_of(tmp_path, data={"files": "*/*", "image_size": [12, 10]})).image_size == SIZE


def test_a_folder_of_pictures_is_looked_at_and_its_config_runs(tmp_path):
    folder = write_classes(tmp_path / "shapes")
    saved(folder / "disk" / "large.JPG", noise(300, 200, 3))
    cut(folder / "bar" / "cut.png")
    (folder / "slope" / "again.png").write_bytes((folder / "slope" / "0.png").read_bytes())
    (folder / "disk" / "notes.txt").write_text("taken in May")
    result = invoke("look", folder, "--out", tmp_path / "c.toml")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "32 pictures of 2 sizes, 12 x 10 to 300 x 200 pixels, 1 of 32 in color." in said
    assert re.search(r"disk │ +11 │ 2 sizes", said)
    assert "slope/0.png and slope/again.png hold the same bytes" in said
    assert "cut.png cannot be read as a picture" in said
    assert "each folder is a class: bar, disk, slope" in said
    assert "before it runs" not in said
    config = load_config(tmp_path / "c.toml")
    assert (config.task, config.data.image_size, config.data.color) == ("classification", SIZE, "gray")
    assert prepare(config).class_names == ("bar", "disk", "slope")
    found = json.loads(invoke("look", folder, "--json").stdout)
    assert {tuple(file["image_size"]) for file in found["files"]} == {SIZE, (300, 200)}
    assert invoke("look", folder, "--sample-rate", "5").exit_code == 2


RUN = """
job = "table"
task = "classification"
seeds = 1
[data]
folder = "shapes"
files = "*/*.png"
[teacher]
family = "dense"
sizes = [24]
epochs = 20
[student]
family = "dense"
sizes = [8]
epochs = 30
learning_rate = 0.01
[firmware]
name = "camera"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("camera")
    write_classes(folder / "shapes", 20)
    (folder / "c.toml").write_text(RUN)
    result = invoke("run", folder / "c.toml", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    assert "Data: pictures of 12 x 10 pixels, gray." in result.output
    assert "Hz" not in result.output
    return folder


def test_the_report_speaks_of_pictures(run):
    report = json.loads((run / "run" / "report.json").read_text())
    assert (report["data"]["image_size"], report["data"]["sample_rate"]) == ([12, 10], None)
    assert report["summary"]["student_int8"]["accuracy"]["mean"] > 0.7
    page = (run / "run" / "report.html").read_text()
    assert "pictures of 12 x 10 pixels, gray, float32" in page
    assert " Hz" not in page


def test_scores_name_each_picture_and_are_the_firmware_s(run):
    paths = sorted((run / "shapes").glob("*/1*.png"))
    result = invoke("score", run / "run", *paths)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["file"] for row in rows] == [f"{path.parent.name}/{path.name}" for path in paths]
    assert {(row["row"], row["begin"], row["end"]) for row in rows} == {("0", "", "")}
    stream = np.concatenate([np.asarray(Image.open(path), np.float32).reshape(-1, 1) for path in paths])
    expected = simulate(run / "run", stream)
    assert [row["recognized"] for row in rows] == [each.recognized or "" for each in expected]
    assert np.mean([row["result"] == row["file"].split("/")[0] for row in rows]) > 0.8


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("turned.png", "turned.png has 10 x 12 pixels, the run's pictures 12 x 10"),
        ("a.csv", "a.csv is not called as a picture; the run learned from pictures"),
        ("none.png", "no such file"),
    ],
)
def test_what_the_run_has_not_learned_from_is_not_scored(run, tmp_path, name, said):
    if name == "turned.png":
        saved(tmp_path / name, noise(10, 12))
    elif name == "a.csv":
        (tmp_path / name).write_text("x\n1\n2\n")
    result = invoke("score", run / "run", tmp_path / name)
    assert result.exit_code == 2
    assert said in result.output


def test_the_firmware_takes_pixels_one_after_another(run, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path / "project"
    assert invoke("new-firmware", run / "run", "--board", "cmake", "--out", folder).exit_code == 0
    assert "12 rows of 10 pixels, row by row from the top left" in " ".join((folder / "README.md").read_text().split())
    sensor = (folder / "src" / "sensor.h").read_text()
    assert "12 rows of 10 pixels" in sensor
    assert "per second" not in sensor
    read_samples_from_stdin(folder, "camera")
    paths = sorted((run / "shapes").glob("*/*.png"))
    stream = np.concatenate([np.asarray(Image.open(path), np.float32).reshape(-1, 1) for path in paths])
    done = subprocess.run([build_app(folder, "-DAPP_LOG=1")], input=stream.tobytes(), capture_output=True)
    header, *rows = done.stdout.decode().splitlines()
    judged = judge(load_firmware(run / "run"), stream)
    assert len(rows) == len(paths)
    assert [int(row.rpartition(",")[2]) for row in rows] == judged.scores.tolist()
    assert header == "status,raw_score"


def test_an_emulated_chip_sees_the_same(run):
    if emulation.missing_tools():
        pytest.skip(f"not installed: {', '.join(emulation.missing_tools())}")
    assert invoke("emulate", run / "run", "--core", "m4f").exit_code == 0
