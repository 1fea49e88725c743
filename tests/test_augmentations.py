"""Augmentations of signals: what each draws, that all keep still outside training, and that a seed repeats them."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import keras_kd
from keras_kd import augmentations

ALL = {
    "RandomGain": {"decibels": (-12.0, 3.0), "per_channel": True},
    "RandomNoise": {"snr": (0.0, 5.0)},
    "RandomOrientation": {"degrees": 90.0, "sensors": [[2, 0, 1]]},
    "RandomShift": {"fraction": 0.6, "wrap": False},
    "RandomSpeed": {"factors": (0.5, 1.6)},
    "RandomTranslation": {"fraction": 0.6, "value": 3.0},
    "ChannelDropout": {"rate": 0.5},
    "TimeMask": {"fraction": 0.7, "count": 2, "value": -1.0},
    "BandMask": {"fraction": 0.7, "count": 2},
    "Mixup": {"alpha": 2.0},
}


def made(name, **more):
    return getattr(augmentations, name)(**{**ALL[name], "seed": 5, **more})


def drawn(layer, x):
    return keras.ops.convert_to_numpy(layer(x, training=True))


def signals(*shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


@pytest.mark.parametrize("shape", [(7, 7, 3), (5, 12), (4, 9, 2, 3), (1, 1, 3)], ids=str)
@pytest.mark.parametrize("name", ALL)
def test_outside_training_inputs_stay_and_in_it_a_seed_repeats_them(name, shape):
    x = signals(*shape)
    np.testing.assert_array_equal(made(name)(x), x)
    np.testing.assert_array_equal(made(name)(x, training=False), x)
    once = drawn(made(name), x)
    assert once.shape == x.shape
    np.testing.assert_array_equal(once, drawn(made(name), x))
    if shape == (7, 7, 3):
        assert np.abs(once - x).max() > 1e-3
        layer = made(name)
        assert np.abs(drawn(layer, x) - drawn(layer, x)).max() > 1e-3, "the same in every step"


@pytest.mark.parametrize("name", ALL)
def test_they_are_saved_with_a_model_and_keep_its_precision(name, tmp_path):
    model = keras.Sequential([keras.Input((6, 3)), made(name)])
    model.save(tmp_path / "augmented.keras")
    (layer,) = keras.saving.load_model(tmp_path / "augmented.keras", safe_mode=True).layers
    assert layer.get_config() == model.layers[0].get_config()
    halves = made(name, dtype="mixed_float16")(signals(3, 6, 3), training=True)
    assert keras.backend.standardize_dtype(halves.dtype) == "float16"


def test_gains_are_even_in_decibels():
    x = np.ones((4000, 3, 2), "float32")
    gains = 20 * np.log10(drawn(augmentations.RandomGain((-10.0, 20.0), seed=1), x))
    assert (gains.min(), gains.max()) == (pytest.approx(-10, abs=0.1), pytest.approx(20, abs=0.1))
    assert np.quantile(gains[:, 0, 0], (0.25, 0.5, 0.75)) == pytest.approx([-2.5, 5, 12.5], abs=1)
    assert (gains == gains[:, :1, :1]).all()
    apart = drawn(augmentations.RandomGain((-10.0, 20.0), per_channel=True, seed=1), x)
    assert np.corrcoef(apart[:, 0, 0], apart[:, 0, 1])[0, 1] == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("snr", [-10.0, 0.0, 25.0])
def test_noise_has_the_power_that_its_ratio_says_whatever_the_level_and_offset(snr):
    x = signals(6, 5000, 2) * np.array([0.01, 30.0], "float32") + 4.0
    noise = drawn(augmentations.RandomNoise((snr, snr), seed=2), x) - x
    ratios = 10 * np.log10(x.var(axis=1, dtype="float64") / noise.var(axis=1, dtype="float64"))
    assert ratios == pytest.approx(np.full((6, 2), snr), abs=0.3)
    assert np.corrcoef(noise[0, :, 0], noise[1, :, 0])[0, 1] == pytest.approx(0, abs=0.06)


@given(st.integers(1, 9), st.integers(1, 20), st.floats(0, 1), st.booleans(), st.integers(0, 99))
def test_shifts_are_whole_steps_no_farther_than_asked(batch, steps, fraction, wrap, seed):
    x = 1.0 + np.arange(batch * steps, dtype="float32").reshape(batch, steps, 1)
    for before, after in zip(x, drawn(augmentations.RandomShift(fraction, wrap=wrap, seed=seed), x)):
        farthest = int(np.float32(fraction) * np.float32(steps))
        candidates = []
        for by in range(-farthest, farthest + 1):
            moved = np.roll(before, by, axis=0)
            if not wrap:
                moved[: max(by, 0)] = 0
                moved[steps + min(by, 0) :] = 0
            candidates.append(moved.ravel().tolist())
        assert after.ravel().tolist() in candidates


@given(
    fraction=st.floats(0, 1),
    value=st.sampled_from([None, 0.0, -2.5]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 2**31 - 1),
)
def test_a_translated_picture_is_the_picture_elsewhere_in_its_frame(fraction, value, height, width, seed):
    x = np.random.default_rng(seed).permutation(4 * height * width * 3).reshape(4, height, width, 3).astype("float32")
    for before, after in zip(x, drawn(augmentations.RandomTranslation(fraction, value=value, seed=seed), x)):
        far = [int(np.float32(fraction) * np.float32(size)) for size in (height, width)]
        mode = {"mode": "edge"} if value is None else {"constant_values": value}
        wide = np.pad(before, [(far[0], far[0]), (far[1], far[1]), (0, 0)], **mode)
        places = [(down, right) for down in range(2 * far[0] + 1) for right in range(2 * far[1] + 1)]
        assert any(np.array_equal(after, wide[a : a + height, b : b + width]) for a, b in places)


def test_pictures_are_translated_evenly_and_each_by_itself():
    x = np.zeros((3000, 9, 9, 1), "float32")
    x[:, 4, 4] = 1
    y = drawn(augmentations.RandomTranslation(0.25, value=0.0, seed=1), x)
    places = np.argwhere(y[..., 0])[:, 1:] - 4
    counts = np.zeros((5, 5), int)
    np.add.at(counts, tuple((places + 2).T), 1)
    assert counts.min() > 80
    assert counts.max() < 160


@given(st.integers(1, 30), st.floats(0.25, 4.0))
def test_speed_moves_samples_about_the_middle(steps, factor):
    ramp = np.arange(steps, dtype="float32").reshape(1, steps, 1)
    middle = (steps - 1) / 2
    expected = np.clip(middle + (ramp - middle) * np.float32(factor), 0, steps - 1)
    np.testing.assert_allclose(drawn(augmentations.RandomSpeed((factor, factor)), ramp), expected, atol=1e-3)


def test_every_shift_is_as_likely_and_every_run_no_longer_than_the_fraction():
    x = np.zeros((6000, 10, 1), "float32")
    x[:, 5] = 1.0
    places = drawn(augmentations.RandomShift(0.29, seed=1), x)[..., 0].argmax(axis=1)
    assert np.bincount(places, minlength=10) / 6000 == pytest.approx([0, 0, 0, *[0.2] * 5, 0, 0], abs=0.03)
    for fraction, longest in ((0.29, 2), (0.99, 9), (1.0, 10), (0.0, 0)):
        hidden = drawn(augmentations.TimeMask(fraction, seed=1), np.ones((3000, 10, 1), "float32")) == 0
        assert hidden.sum(axis=1).max() == longest


@pytest.mark.parametrize("name", ALL)
def test_counts_become_floats_and_a_dead_channel_trains(name):
    x = np.arange(2 * 8 * 3, dtype="int16").reshape(2, 8, 3)
    out = made(name)(x, training=True)
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    assert np.abs(drawn(made(name), x)).max() > 1
    inputs = keras.Input((8, 2))
    model = keras.Model(
        inputs, keras.layers.Dense(1)(keras.layers.Flatten()(made(name)(keras.layers.Dense(3)(inputs))))
    )
    model.compile("sgd", "mse", jit_compile="auto")
    model.fit(np.zeros((4, 8, 2), "float32"), np.ones((4, 1)), verbose=0)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


@pytest.mark.parametrize("name", sorted(set(ALL) - {"Mixup"}))
def test_they_compile_under_xla(name):
    model = keras.Sequential([keras.Input((8, 3)), made(name), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=True)
    assert np.isfinite(model.fit(signals(4, 8, 3), np.ones((4, 1)), verbose=0).history["loss"][0])


def test_a_faster_tone_is_higher_by_the_factor():
    times = np.arange(2000) / 2000
    tone = np.sin(2 * np.pi * 100 * times).astype("float32").reshape(1, -1, 1)
    faster = drawn(augmentations.RandomSpeed((1.25, 1.25)), tone)[0, 200:1800, 0]
    assert np.abs(np.fft.rfft(faster)).argmax() * 2000 / 1600 == pytest.approx(125, abs=1.3)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_channels_go_as_a_whole_and_one_stays(rate):
    x = 1.0 + np.abs(signals(3000, 4, 3))
    kept = drawn(augmentations.ChannelDropout(rate, seed=1), x) != 0
    assert (kept == kept[:, :1]).all()
    assert kept.any(axis=(1, 2)).all()
    of_three = np.mean(~kept[:, 0])
    assert of_three == pytest.approx({0.0: 0.0, 0.3: 0.3 - 0.3**3 / 3, 1.0: 2 / 3}[rate], abs=0.02)


@pytest.mark.parametrize(("name", "axis"), [("TimeMask", 1), ("BandMask", 2)])
def test_masks_are_runs_of_any_length_up_to_the_longest_at_any_place(name, axis):
    x = np.ones((6000, 10, 10), "float32")
    hidden = drawn(getattr(augmentations, name)(0.4, seed=1), x) == 0
    along = np.moveaxis(hidden, axis, 1)
    assert (along == along[:, :, :1]).all()
    runs = along[:, :, 0].astype(int)
    assert (np.abs(np.diff(runs, axis=1, prepend=0, append=0)).sum(axis=1) <= 2).all(), "one run each"
    assert np.bincount(runs.sum(axis=1)) / 6000 == pytest.approx(np.full(5, 0.2), abs=0.03)
    assert runs.any(axis=0).all()


def test_mixup_mixes_with_one_other_example():
    x = np.eye(6, dtype="float32").reshape(6, 1, 6)
    mixed = drawn(augmentations.Mixup(1.0, seed=1), x)[:, 0]
    np.testing.assert_allclose(mixed.sum(axis=1), 1.0, rtol=1e-6)
    assert ((mixed > 0).sum(axis=1) <= 2).all()
    np.testing.assert_allclose(np.diag(mixed) + np.diag(np.roll(mixed, 1, axis=1)), 1.0, rtol=1e-6)


@given(st.integers(1, 60), st.floats(0.0, 180.0), st.integers(0, 2**31))
def test_orientation_is_one_rotation_a_device_by_no_more_than_asked(steps, degrees, seed):
    """Against scipy's rotations: what turns the sensors' axes turns every step and both sensors, and nothing else."""
    x = np.random.default_rng(seed).normal(size=(4, steps, 7)).astype("float32")
    layer = augmentations.RandomOrientation(degrees, sensors=[[6, 0, 1], [3, 4, 2]], seed=seed)
    y = drawn(layer, x)
    np.testing.assert_array_equal(y[..., 5], x[..., 5])
    for before, after in zip(x.astype(float), y.astype(float)):
        rows, turned = (part[:, [6, 0, 1, 3, 4, 2]].reshape(-1, 3) for part in (before, after))
        turn, distance = Rotation.align_vectors(turned, rows)
        assert distance < 1e-4 * np.linalg.norm(rows)
        if steps > 1:  # two directions and more say which rotation it was
            assert turn.magnitude() <= np.deg2rad(degrees) + 2e-3


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: augmentations.RandomGain(3.0),
            "RandomGain: decibels must be two numbers, lowest and highest, got 3.0",
        ),
        (lambda: augmentations.RandomNoise((30, 10)), "RandomNoise: snr must go from lowest to highest, got 30 to 10"),
        (lambda: augmentations.RandomShift(1.5), "RandomShift: fraction must be at most 1, got 1.5"),
        (lambda: augmentations.RandomTranslation(-0.1), "RandomTranslation: fraction must be at least 0, got -0.1"),
        (lambda: augmentations.RandomOrientation(200.0), "RandomOrientation: degrees must be at most 180"),
        (lambda: augmentations.RandomOrientation(sensors=[[0, 1, 1]]), "each channel once, such as .* got"),
        (lambda: augmentations.RandomOrientation(sensors=[0, 1, 2]), "sensors must be lists of three channels"),
        (
            lambda: augmentations.RandomOrientation()(signals(2, 5, 4), training=True),
            "^RandomOrientation: the number of channels must be a multiple of three.* got 4; name",
        ),
        (
            lambda: augmentations.RandomOrientation(sensors=[[1, 2, 3]])(signals(2, 5, 3), training=True),
            "^RandomOrientation: sensors names channel 3; counted from 0 the last is 2",
        ),
        (lambda: augmentations.RandomSpeed((0.0, 1.0)), "RandomSpeed: the slowest factor must be above 0"),
        (lambda: augmentations.ChannelDropout(2), "ChannelDropout: rate must be at most 1"),
        (lambda: augmentations.TimeMask(count=0), "TimeMask: count must be at least 1"),
        (lambda: augmentations.BandMask("a"), "BandMask: fraction must be a number, got 'a'"),
        (lambda: augmentations.Mixup(0), "Mixup: alpha must be above 0"),
    ],
)
def test_what_cannot_be_drawn_is_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_a_student_under_strong_augmentation_learns_from_a_teacher_that_hears_little_of_it():
    """Both views are augmented in training; in evaluation neither is, and the student's file holds none of it."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    tones = np.sin(2 * np.pi * np.arange(32) * (2 + 3 * y)[:, None] / 32 + rng.uniform(0, 6, 300)[:, None])
    x = (tones + 0.1 * rng.normal(size=tones.shape)).astype("float32")[..., None]

    def net(width):
        inner = [keras.layers.Conv1D(width, 9, activation="relu"), keras.layers.GlobalMaxPooling1D()]
        return keras.Sequential([keras.Input((32, 1)), *inner, keras.layers.Dense(3)])

    teacher, student = net(16), net(4)
    teacher.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    teacher.fit(x, y, epochs=15, verbose=0)
    shifted = [augmentations.RandomShift(0.5), augmentations.RandomNoise((5, 20)), augmentations.RandomGain()]
    strong = keras.Sequential([*shifted, augmentations.TimeMask(0.2)])
    distiller = keras_kd.Distiller(
        teacher,
        student,
        keras_kd.SoftTarget(2.0),
        teacher_inputs=augmentations.RandomGain((-1, 1)),
        student_inputs=strong,
    )
    distiller.compile(keras.optimizers.Adam(0.01), metrics=["accuracy"])
    distiller.fit(x, epochs=20, verbose=0)
    found = np.mean(student.predict(x, verbose=0).argmax(-1) == y)
    assert found > 0.9
    assert len(student.layers) == 3
