"""Front ends that stack frames: their features are those of each frame, in Python and in C."""

import dataclasses
import subprocess

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_front_end import ALL, front_ends, in_c, in_python, model_of, needs_gcc, signals

from micro.datasets.recording import windows
from micro.emission.front_end import STACK, emit_front_end
from micro.signal import FrontEnd, Scaling, fit_scaling


@st.composite
def stacked(draw):
    """Front ends whose windows are frames."""
    one = draw(front_ends())
    frame_hop = draw(st.integers(1, one.window))
    window = one.window + draw(st.integers(0, 6)) * frame_hop
    hop = draw(st.integers(1, max(1, window // frame_hop))) * frame_hop
    assume(hop <= window)
    return dataclasses.replace(one, window=window, hop=hop, frame=one.window, frame_hop=frame_hop)


@given(st.one_of(front_ends(), stacked()))
def test_every_feature_has_a_name(front_end):
    names = front_end.names
    assert len(names) == np.prod(front_end.shape)
    assert all(name.startswith("frame") == (front_end.frame is not None) for name in names)
    assert all(name.startswith("channel") == (front_end.channels > 1) for name in front_end.frame_names)


@given(st.data())
@settings(max_examples=40)
def test_a_window_of_frames_has_the_features_of_each_frame(data):
    front_end = data.draw(stacked())
    samples = data.draw(signals(front_end))
    frames = windows(samples, front_end.window, front_end.hop)
    one = dataclasses.replace(front_end, window=front_end.frame, frame=None, frame_hop=None)
    found = front_end(frames)
    assert found.shape == (len(frames), *front_end.shape)
    for window, features in zip(frames, found):
        starts = range(0, front_end.window - front_end.frame + 1, front_end.frame_hop)
        each = np.stack([window[start : start + front_end.frame] for start in starts])
        np.testing.assert_array_equal(features, one(each))


def test_a_picture_is_a_window_whose_frames_are_its_rows():
    picture = np.arange(6 * 5 * 3).reshape(6, 5, 3)
    front_end = FrontEnd("raw", 30, 30, channels=3, frame=5, detrend="none")
    assert front_end.shape == (6, 5, 3)
    np.testing.assert_array_equal(front_end(picture.reshape(1, 30, 3))[0], picture)


@needs_gcc
@given(st.data())
@settings(max_examples=40)
def test_c_and_python_agree_on_stacked_frames(tmp_path_factory, data):
    front_end = data.draw(stacked())
    samples = data.draw(signals(front_end))
    folder = tmp_path_factory.mktemp("c")
    scaling = fit_scaling(front_end(windows(samples, front_end.window, front_end.hop)))
    values, features = in_c(front_end, scaling, samples, folder)
    np.testing.assert_array_equal(features, in_python(front_end, scaling, samples)[1])
    each = dataclasses.replace(front_end, window=front_end.frame, hop=front_end.frame_hop, frame=None, frame_hop=None)
    np.testing.assert_array_equal(values, in_python(each, scaling, samples)[0])


@needs_gcc
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_pixels_go_in_one_after_another(tmp_path, arithmetic):
    front_end = FrontEnd("raw", 35, 35, channels=3, frame=7, detrend="none", arithmetic=arithmetic, full_scale=32768.0)
    pictures = np.random.default_rng(0).integers(0, 256, (4 * 35, 3)).astype(np.int16)
    scaling = fit_scaling(front_end(windows(pictures.astype(np.float32), 35, 35)))
    _, features = in_c(front_end, scaling, pictures, tmp_path)
    np.testing.assert_array_equal(features, in_python(front_end, scaling, pictures)[1])
    assert len(features) == 4


@needs_gcc
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_the_stack_of_a_push_stays_below_what_the_header_says(tmp_path, arithmetic):
    front_end = FrontEnd(
        ALL, 512, 128, sample_rate=12_800.0, bands=8, low=200.0, envelope_bands=4, arithmetic=arithmetic, frame=256,
        frame_hop=128,
    )  # fmt: skip
    scaling = Scaling((0.0,) * front_end.shape[-1], (1.0,) * front_end.shape[-1])
    emit_front_end(front_end, scaling, model_of(front_end.shape), tmp_path, "fe")
    assert f"less than {STACK} bytes of stack" in (tmp_path / "fe_front_end.h").read_text()
    for optimised in ("-O0", "-O2"):
        subprocess.run(
            ["gcc", "-std=c99", optimised, "-fstack-usage", "-c", "fe_front_end.c"], cwd=tmp_path, check=True
        )
        usage = (tmp_path / "fe_front_end.su").read_text().splitlines()
        assert all(line.split()[-1] == "static" for line in usage)
        # No chain of calls is deeper than eight; pointers take twice the bytes here.
        assert sum(sorted((int(line.split()[-2]) for line in usage), reverse=True)[:8]) < 2 * STACK
