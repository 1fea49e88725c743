"""Augmented copies of training windows: as the layers make them, for training alone, whatever the job and features."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import invoke

from keras_kd.augmentations import RandomGain
from micro.config import AUGMENTATIONS, AugmentConfig, parse_config
from micro.datasets.augmented import with_copies
from micro.datasets.pieces import piece
from micro.datasets.prepare import SOURCES, prepare
from micro.datasets.views import TeacherInputs, Views
from micro.signal import FrontEnd

GAIN = {"class": "RandomGain", "decibels": [6.0, 6.0]}
BOTH = (GAIN, {"class": "RandomNoise", "snr": [20.0, 20.0]})
RAW = FrontEnd("raw", window=16, hop=16, channels=3, detrend="none")


def made(layers, copies=1, seed=0, count=30):
    frames = np.random.default_rng(1).normal(size=(count, 16, 3)).astype(np.float32)
    one = piece(frames, RAW(frames), 3, "a.csv", numbers=np.arange(float(count)))
    return frames, with_copies(one, frames, slice(None), Views(RAW), AugmentConfig(layers=layers, copies=copies), seed)


def test_a_copy_is_what_its_layers_make_of_the_samples():
    frames, (one, copy) = made((GAIN,))
    assert np.array_equal(one.values, RAW(frames))
    assert np.allclose(copy.values, RAW(frames) * 10 ** (6 / 20), rtol=1e-5)
    assert (copy.label, copy.origin) == (3, "a.csv")
    assert np.array_equal(copy.numbers, one.numbers)
    assert np.allclose(copy.values, np.asarray(RandomGain((6.0, 6.0))(frames, training=True)), rtol=1e-6)


def test_each_copy_and_each_seed_draws_for_itself_and_the_same_again():
    frames, pieces = made(BOTH, copies=3)
    assert len(pieces) == 4
    noises = [each.values - RAW(frames) * 10 ** (6 / 20) for each in pieces[1:]]
    power = np.mean(noises[0] ** 2) / np.mean((RAW(frames) * 2) ** 2)
    assert 0.005 < power < 0.02
    for a in range(3):
        for b in range(a):
            assert abs(np.corrcoef(noises[a].ravel(), noises[b].ravel())[0, 1]) < 0.2
    again, other = made(BOTH, copies=3)[1], made(BOTH, copies=3, seed=1)[1]
    assert all(np.array_equal(one.values, two.values) for one, two in zip(pieces, again))
    assert not np.array_equal(pieces[1].values, other[1].values)


def test_more_windows_than_a_batch_are_all_there():
    frames, (_, copy) = made((GAIN,), count=2500)
    assert np.allclose(copy.values, RAW(frames) * 10 ** (6 / 20), rtol=1e-5)


def test_every_class_that_a_config_may_name_exists_and_keeps_the_shape():
    for name in AUGMENTATIONS:
        frames, (_, copy) = made(({"class": name},))
        assert copy.values.shape == frames.shape


def config_of(job, folder, **more):
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for n in range(4):
            path = folder / label / f"{n}.csv"
            path.parent.mkdir(exist_ok=True)
            np.savetxt(path, rng.normal(size=(600, 2)), delimiter=",", header="x,y", comments="", fmt="%.4f")
    data = {
        "rig": {"train_recordings": 2, "validation_recordings": 2, "calibration_recordings": 2, "test_recordings": 2,
                "fault_recordings": 1, "seconds": 1.0},
        "anomaly": {"files": "a/*.csv", "healthy_files": "a/*.csv", "sample_rate": 10.0},
        "classification": {"files": "*/*.csv", "sample_rate": 10.0},
        "regression": {"files": "*/*.csv", "sample_rate": 10.0, "remaining_life": "s"},
    }[job]  # fmt: skip
    features = {"kind": "spectrum", "window": 64, "hop": 16, "bands": 8}
    raw = {"job": "table", "task": job} if job != "rig" else {"job": "rig", "task": "anomaly"}
    return parse_config({**raw, "data": data, "features": features, "teacher": {}, "student": {}, **more}, folder)


@pytest.mark.parametrize("job", ["rig", "anomaly", "classification", "regression"])
def test_copies_are_for_training_alone(tmp_path, job):
    plain = prepare(config_of(job, tmp_path))
    more = prepare(config_of(job, tmp_path, augment={"copies": 2, "layers": [GAIN]}))
    assert len(more.train) == 3 * len(plain.train)
    assert sorted(more.train.labels.tolist()) == sorted(3 * plain.train.labels.tolist())
    config = config_of(job, tmp_path, augment={"copies": 2, "layers": [GAIN]})
    made = [
        SOURCES[type(config.data)](config.data, config.features, augment, config.seed)
        for augment in (AugmentConfig(), config.augment)
    ]
    for part in ("validation", "calibration", "test"):
        one, other = (getattr(each, part) for each in made)
        assert [piece.origin for piece in one] == [piece.origin for piece in other]
        assert all(np.array_equal(a.values, b.values) for a, b in zip(one, other))
    own, copies = (np.concatenate([piece.values for piece in part.train]) for part in made)
    # 6 dB more are 0.6 more in log10 of energy.
    assert copies.mean() - own.mean() == pytest.approx(2 / 3 * 0.6, abs=0.01)
    assert "every window was joined by 2 augmented copies: RandomGain" in more.notes[-1]


NOISE = {"copies": 2, "layers": [{"class": "RandomNoise", "snr": [20.0, 20.0]}]}
LOUDER = {"copies": 3, "layers": [GAIN]}
# [augment], [student.augment], [teacher.augment] -> windows that the student and the teacher are trained on, for each recorded.
APART = {
    "one for the student": ({}, NOISE, None, 3, 1),
    "one for the teacher": ({}, None, NOISE, 1, 3),
    "in place of the common one": (LOUDER, NOISE, None, 3, 4),
    "none for the teacher": (LOUDER, None, {"copies": 0}, 4, 1),
    "none for the student": (LOUDER, {"copies": 0}, None, 1, 4),
    "the same twice": ({}, NOISE, NOISE, 3, 3),
}


@pytest.mark.parametrize("job", ["rig", "anomaly", "classification", "regression"])
@pytest.mark.parametrize("case", APART)
def test_student_and_teacher_have_copies_of_their_own(tmp_path, job, case):
    common, student, teacher, students, teachers = APART[case]
    sides = {"augment": common, "student": {"augment": student}, "teacher": {"augment": teacher}}
    plain, data = prepare(config_of(job, tmp_path)), prepare(config_of(job, tmp_path, **sides))
    assert len(data.train) == students * len(plain.train)
    assert len(data.of_teacher.train) == teachers * len(plain.train)
    assert len(data.of_teacher.validation) == len(plain.validation)
    if case == "the same twice":
        common_one = prepare(config_of(job, tmp_path, augment=NOISE))
        assert np.array_equal(data.train.x, common_one.train.x)
        assert np.array_equal(data.of_teacher.train.x, common_one.train.x)
        assert data.notes == common_one.notes
    else:
        notes = [note for note in data.notes if note.startswith("for training the")]
        assert len(notes) == (students > 1) + (teachers > 1)


def test_a_teacher_that_sees_more_sees_it_in_the_same_augmented_samples(tmp_path):
    config = config_of("classification", tmp_path)
    settings = config.features.model_copy(update={"kind": "raw", "detrend": "none", "window": 8})
    inputs = TeacherInputs(settings.model_copy(update={"window": 20}), (), AugmentConfig(**LOUDER))
    parts = SOURCES[type(config.data)](config.data, settings, AugmentConfig(**NOISE), 0, inputs)
    assert {each.learner for each in parts.train} == {"both", "student", "teacher"}
    for each in parts.train:
        assert np.array_equal(each.values, each.of_teacher[:, 12:])


def test_a_wrong_layer_of_one_side_is_named_with_its_section(tmp_path):
    wrong = {"layers": [{"class": "RandomSpeed", "factors": [0.0, 1.0]}]}
    with pytest.raises(ValueError, match=r"^teacher\.augment\.layers\.0: "):
        prepare(config_of("regression", tmp_path, teacher={"augment": wrong}))
    with pytest.raises(ValueError, match=r"student\.augment: layers\.0\.class must be one of"):
        config_of("regression", tmp_path, student={"augment": {"layers": [{"class": "RandomGane"}]}})
    for side in ("teacher", "student"):
        raw = {"teacher": {"detectors": ["pca_q"]}, "student": {}}
        raw[side] = {**raw[side], "augment": NOISE}
        with pytest.raises(ValueError, match="detectors are fitted on the windows that the student learns from"):
            config_of("rig", tmp_path, **raw)


REFUSED = {
    "class": ({"layers": [{"class": "RandomGane"}]}, "layers.0.class must be one of RandomGain"),
    "none": ({"layers": [{"decibels": [1, 2]}]}, "layers.0.class must be one of"),
    "seed": ({"layers": [{**GAIN, "seed": 3}]}, "layers.0.seed is not for a config"),
    "mixup": ({"layers": [{"class": "Mixup"}]}, "layers.0.class must be one of"),
    "copies": ({"copies": 3}, "copies without layers"),
    "argument": ({"layers": [GAIN, {"class": "RandomNoise", "decibels": 3}]}, "augment.layers.1: "),
    "value": ({"layers": [{"class": "RandomSpeed", "factors": [0.0, 1.0]}]}, "augment.layers.0: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_layer_that_cannot_be_is_refused_before_any_work(tmp_path, case):
    augment, says = REFUSED[case]
    config = config_of("regression", tmp_path).model_dump(mode="json")
    config["augment"] = augment
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError) as refused:
        prepare(parse_config(json.loads(Path(tmp_path / "config.json").read_text()), tmp_path))
    assert says in str(refused.value)


@pytest.mark.slow
def test_a_run_with_copies_is_the_same_again(tmp_path):
    config_of("classification", tmp_path)
    (tmp_path / "c.toml").write_text(
        """
        job = "table"
        task = "classification"
        seeds = 1
        [data]
        files = "*/*.csv"
        sample_rate = 10.0
        [features]
        kind = "raw"
        window = 32
        hop = 16
        [augment]
        copies = 2
        [[augment.layers]]
        class = "RandomShift"
        [[augment.layers]]
        class = "RandomNoise"
        [teacher]
        epochs = 1
        [student]
        epochs = 1
        """
    )
    for name in ("one", "two"):
        result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert "2 augmented copies: RandomShift, RandomNoise" in result.output
    assert (tmp_path / "one/student_int8.tflite").read_bytes() == (tmp_path / "two/student_int8.tflite").read_bytes()
