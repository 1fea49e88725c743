"""The front end: its features, and that the emitted C computes the same."""

import dataclasses
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from int8_graphs import Builder
from support import SANITIZERS, WARNINGS, later

from micro.datasets import cwru
from micro.datasets.recording import windows
from micro.emission.front_end import STACK, emit_front_end
from micro.errors import ConversionError
from micro.signal import FrontEnd, Scaling, fit_scaling

HARNESS = """
#include <stdio.h>
{trace}
#include "fe_front_end.c"
static fe_front_end state;
int main(void) {{
  fe_sample sample[FE_CHANNELS];
  int8_t features[FE_FEATURE_COUNT];
  fe_front_end_reset(&state);
  while (fread(sample, sizeof sample, 1, stdin) == 1) {{
    if (fe_front_end_push(&state, sample)) {{
      fe_front_end_features(&state, features);
      fwrite(features, sizeof features, 1, stdout);
    }}
  }}
  return 0;
}}
"""
# Values first, each after its index, on the standard error.
TRACE = """
#include <stdint.h>
#define FE_TRACE(index, value) traced(index, (double)(value))
static void traced(int index, double value) { fprintf(stderr, "%d %.17g\\n", index, value); }
"""
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


# Scale and zero point of the model's input; a model holds its scale as float32, and rounds by that.
GRID = (float(np.float32(0.05)), -3)


def model_of(shape, scale=0.05, zero=-3):
    """An int8 model that takes features of a shape."""
    graph = Builder(np.random.default_rng(0))
    x = graph.tensor((1, *shape), scale=scale, zero=zero)
    y = graph.tensor((1, *shape), scale=scale, zero=zero)
    return graph.build([x], [graph.op("RELU", [x], y)])


def in_c(front_end, scaling, samples, folder, grid=GRID, compiler="gcc"):
    """(values, int8 features) of every whole window that the emitted C gives, (n, features) each."""
    emit_front_end(front_end, scaling, model_of(front_end.shape, *grid), folder, "fe")
    (folder / "main.c").write_text(HARNESS.format(trace=TRACE))
    flags = SANITIZERS if compiler == "gcc" else ("-O2",)  # clang's sanitizers come in a package of their own
    built = subprocess.run(
        [compiler, *WARNINGS, *flags, "main.c", "-lm", "-o", "main"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    kind = np.int16 if front_end.arithmetic == "fixed" else np.float32
    ran = subprocess.run([folder / "main"], input=samples.astype(kind).tobytes(), capture_output=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    size = int(np.prod(front_end.shape)) // front_end.frames
    trace = np.array(ran.stderr.split(), np.float64).reshape(-1, 2)
    values = np.empty((len(trace) // size, size))
    values[np.repeat(np.arange(len(values)), size), trace[:, 0].astype(int)] = trace[:, 1]
    return values, np.frombuffer(ran.stdout, np.int8).reshape(-1, int(np.prod(front_end.shape)))


def in_python(front_end, scaling, samples, grid=GRID):
    frames = windows(samples, front_end.window, front_end.hop)
    size = int(np.prod(front_end.shape))
    quantized = front_end.int8(frames, scaling, *grid)
    values = front_end.integers(frames) if front_end.arithmetic == "fixed" else front_end(frames)
    return values.reshape(-1, size), quantized.reshape(-1, size)


def alike(front_end, samples, folder, compiler="gcc"):
    scaling = fit_scaling(front_end(windows(samples, front_end.window, front_end.hop)))
    values, features = in_c(front_end, scaling, samples, folder, compiler=compiler)
    expected, expected_features = in_python(front_end, scaling, samples)
    assert len(values) == len(expected) > 0
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(features, expected_features)


ALL = ("spectrum", "mel", "envelope", "moments", "shape", "statistics")


@st.composite
def front_ends(draw):
    window = draw(st.sampled_from([16, 32, 64, 128, 256, 512, 1024]))
    kinds = draw(st.one_of(st.just(("raw",)), st.lists(st.sampled_from(ALL), min_size=1, unique=True)))
    if not {"spectrum", "mel", "envelope"} & set(kinds):
        window += draw(st.integers(0, 13))
    try:
        return FrontEnd(
            tuple(kinds),
            window,
            draw(st.integers(1, window)),
            channels=draw(st.integers(1, 3)),
            sample_rate=draw(st.sampled_from([1000.0, 12_800.0])),
            bands=draw(st.integers(1, 12)),
            low=draw(st.sampled_from([0.0, 100.0])),
            high=draw(st.sampled_from([None, 400.0])),
            envelope_bands=draw(st.integers(1, 4)),
            envelope_high=draw(st.sampled_from([None, 450.0])),
            detrend=draw(st.sampled_from(["mean", "linear", "none"])),
            taper=draw(st.sampled_from(["hann", "hamming", "none"])),
            arithmetic=draw(st.sampled_from(["float32", "fixed"])),
        )
    except ValueError:
        assume(False)


@pytest.mark.parametrize("kind", ["spectrum", "mel"])
@pytest.mark.parametrize("place", [0, 3, 15])
def test_a_tone_moves_the_feature_that_names_its_frequency(kind, place):
    front_end = FrontEnd((kind, "moments"), 1024, 512, sample_rate=12_800.0, bands=16)
    low, high = (float(word) for word in front_end.names[place].split() if word[0].isdigit())
    tone = np.sin(2 * np.pi * (low + high) / 2 / 12_800 * np.arange(1024)).astype(np.float32)
    assert np.argmax(front_end(tone[None, :, None])[0, :16]) == place
    assert front_end.names[16:] == ("moments RMS", "moments crest factor", "moments kurtosis")


@st.composite
def signals(draw, front_end):
    """Noise, tones, steps, silence and full-scale squares, in counts."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    length = front_end.window + draw(st.integers(0, 3)) * front_end.hop
    time = np.arange(length)[:, None]
    level = 10.0 ** draw(st.floats(-1, 4.6))
    shape = draw(st.sampled_from(["noise", "tone", "impacts", "silence", "square", "random"]))
    made = {
        "noise": lambda: rng.normal(size=(length, front_end.channels)) * level,
        "tone": lambda: np.sin(time * rng.uniform(0.01, 3, front_end.channels)) * level,
        "impacts": lambda: (rng.random((length, front_end.channels)) < 0.02) * level,
        "silence": lambda: np.zeros((length, front_end.channels)),
        "square": lambda: np.where(time // 3 % 2, 32767, -32768) * np.ones(front_end.channels),
        "random": lambda: rng.integers(-32768, 32768, (length, front_end.channels)),
    }[shape]()
    offset = draw(st.sampled_from([0, 0, 1000, -30000]))
    return np.clip(np.round(made + offset), -32768, 32767).astype(np.int16)


@needs_gcc
@pytest.mark.parametrize("count", [30, later(100)])
def test_c_and_python_agree_bit_for_bit(tmp_path_factory, count):
    @given(st.data())
    @settings(max_examples=count)
    def each(data):
        agree_on(data, tmp_path_factory)

    each()


def agree_on(data, tmp_path_factory):
    front_end = data.draw(front_ends())
    samples = data.draw(signals(front_end))
    if front_end.arithmetic == "float32":
        samples = samples * np.float32(10.0 ** data.draw(st.integers(-6, 1)))
    alike(front_end, samples, tmp_path_factory.mktemp("c"))


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_real_vibration_gives_equal_features(cwru_folder, tmp_path, arithmetic, compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    recording = cwru.load(cwru_folder, (2,))[0]
    front_end = FrontEnd(
        ALL, 1024, 512, sample_rate=12_000.0, bands=40, low=60.0, full_scale=8.0, arithmetic=arithmetic
    )
    samples = recording.samples[:40_000].astype(np.float32)
    alike(front_end, front_end.counts(samples) if arithmetic == "fixed" else samples, tmp_path, compiler)


def test_spectrum_is_the_fourier_transform_s():
    front_end = FrontEnd(("spectrum",), 256, 256, bands=32)
    frames = np.random.default_rng(0).normal(size=(20, 256, 1))
    centred = frames[:, :, 0] - frames[:, :, 0].mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred * np.hanning(257)[:-1])[:, 1:]) ** 2 / 256
    expected = np.log10(power.reshape(20, 32, 4).sum(axis=2))
    np.testing.assert_allclose(front_end(frames), expected, atol=2e-5)


@pytest.mark.parametrize("kinds", [("spectrum",), ("mel",), ("envelope",), ("moments",), ("statistics",), ("raw",)])
@pytest.mark.parametrize("detrend", ["mean", "linear"])
def test_fixed_point_gives_what_float32_gives(kinds, detrend):
    rng = np.random.default_rng(1)
    frames = (rng.normal(size=(20, 512, 2)) * 0.2 + np.linspace(-1, 1, 512)[:, None]).astype(np.float32)
    made = {"channels": 2, "sample_rate": 12_800.0, "bands": 16, "low": 100.0, "full_scale": 4.0, "detrend": detrend}
    real, fixed = (FrontEnd(kinds, 512, 512, arithmetic=kind, **made) for kind in ("float32", "fixed"))
    unit = 32768 / 4
    shift = {"spectrum": 2 * np.log10(unit), "mel": 2 * np.log10(unit), "envelope": 2 * np.log10(unit)}.get(kinds[0], 0)
    expected, found = real(frames), fixed(frames)
    if kinds == ("moments",):
        shift = np.tile([np.log10(unit), 0, 0], 2)
    if kinds[0] in ("statistics", "raw"):
        np.testing.assert_allclose(found / unit, expected, atol=1.5 / unit)
    else:
        np.testing.assert_allclose(found, expected + shift, atol=1e-2)


def test_moments_are_those_of_the_field():
    frames = np.random.default_rng(0).laplace(size=(5, 1000, 1))
    x = frames[:, :, 0] - frames[:, :, 0].mean(axis=1, keepdims=True)
    rms = np.sqrt(np.mean(x**2, axis=1))
    expected = np.stack([rms, np.abs(x).max(axis=1) / rms, np.mean(x**4, axis=1) / rms**4], axis=1)
    np.testing.assert_allclose(FrontEnd(("moments",), 1000, 1000)(frames), np.log10(expected), atol=1e-5)


def test_impacts_stand_out_in_the_envelope():
    """Bursts at 4 kHz, 100 times a second: the spectrum of the envelope peaks at 100 Hz, where the signal's has nothing."""
    rate, time = 12_800.0, np.arange(4096) / 12_800.0
    bursts = np.exp(-(time % 0.01) * 2000) * np.sin(2 * np.pi * 4000 * time)
    front_end = FrontEnd(("envelope",), 4096, 4096, sample_rate=rate, envelope_bands=40, envelope_high=200.0)
    edges = front_end.edges("envelope") * rate / 4096
    loudest = int(np.argmax(front_end(bursts[None, :, None])[0]))
    assert edges[loudest] <= 100 <= edges[loudest + 1] + rate / 4096


@needs_gcc
@pytest.mark.parametrize("arithmetic", ["float32", "fixed"])
def test_the_stack_stays_below_what_the_header_says(tmp_path, arithmetic):
    front_end = FrontEnd(
        ALL, 256, 128, sample_rate=12_800.0, bands=8, low=200.0, envelope_bands=4, arithmetic=arithmetic
    )
    scaling = Scaling((0.0,) * front_end.shape[0], (1.0,) * front_end.shape[0])
    emit_front_end(front_end, scaling, model_of(front_end.shape), tmp_path, "fe")
    for optimised in ("-O0", "-O2", "-Os"):
        subprocess.run(
            ["gcc", "-std=c99", optimised, "-fstack-usage", "-c", "fe_front_end.c"], cwd=tmp_path, check=True
        )
        usage = (tmp_path / "fe_front_end.su").read_text().splitlines()
        assert all(line.split()[-1] == "static" for line in usage)
        # No chain of calls is deeper than six.
        assert sum(sorted((int(line.split()[-2]) for line in usage), reverse=True)[:6]) < 2 * STACK
    written = [(tmp_path / file).read_bytes() for file in ("fe_front_end.c", "fe_front_end.h")]
    emit_front_end(front_end, scaling, model_of(front_end.shape), tmp_path, "fe")
    assert written == [(tmp_path / file).read_bytes() for file in ("fe_front_end.c", "fe_front_end.h")]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"window": 1000}, "nearest to 1000: 1024"),
        ({"window": 7, "kinds": ("raw",)}, "window must be 8 to 4096"),
        ({"kinds": ("raw", "moments")}, "cannot be combined with others"),
        ({"kinds": ("loudness",)}, "kinds must be different ones of"),
        ({"kinds": ("mel",), "sample_rate": None}, "sample_rate is needed"),
        ({"kinds": ("mel",), "bands": 400}, "holds no bin"),
        ({"bands": 600}, "has 1 to 512 bands"),
        ({"high": 9000.0}, "must rise from 0 to 6400 Hz"),
        ({"detrend": "cubic"}, "detrend must be one of mean, linear, none"),
        ({"channels": 0}, "channels must be at least 1"),
        ({"full_scale": 0.0}, "full_scale must be above 0"),
        ({"frame_hop": 64}, "frame_hop 64 is for frames that are stacked; give frame as well"),
        ({"window": 16_000}, "for longer ones stack frames, such as frame = 512"),
        ({"window": 960, "hop": 480, "frame": 480}, "a frame of spectra must be a power of two; nearest to 480: 512"),
        ({"frame": 512, "frame_hop": 513}, "frame_hop must be 1 to 512, so that no sample is skipped, got 513"),
        ({"window": 500, "hop": 500, "frame": 512}, "a window of frames must be 512 to 4,194,304 samples"),
        (
            {"window": 16_000, "frame": 512, "frame_hop": 320, "hop": 320},
            "15872 holds 49 frames, 16192 one more; got 16000",
        ),
        (
            {"window": 15_872, "frame": 512, "frame_hop": 320, "hop": 500},
            "hop must be a multiple of frame_hop, 320; nearest to 500: 640",
        ),
        (
            {"window": 100_000, "frame": 8, "frame_hop": 8, "hop": 8},
            "4,096 frames at most, got 100,000 samples in 12,500",
        ),
        ({"kinds": ("raw",), "frame": 1}, "frames of one sample have no trend: detrend must be 'none', got 'mean'"),
    ],
)
def test_bad_specs_are_refused(changed, message):
    good = {"kinds": ("spectrum",), "window": 1024, "hop": 512, "sample_rate": 12_800.0}
    with pytest.raises(ValueError, match=message):
        FrontEnd(**{**good, **changed})


def test_what_does_not_fit_is_refused(tmp_path):
    front_end = FrontEnd(("moments",), 64, 32)
    scaling = Scaling((0.0,) * 3, (1.0,) * 3)
    with pytest.raises(ValueError, match=r"frames must have shape \(n, 64, 1\)"):
        front_end(np.zeros((3, 32, 1)))
    with pytest.raises(ValueError, match="int16 samples; for others set full_scale"):
        dataclasses.replace(front_end, arithmetic="fixed")(np.zeros((3, 64, 1)))
    with pytest.raises(ConversionError, match="the model takes"):
        emit_front_end(front_end, scaling, model_of((4,)), tmp_path, "fe")
    with pytest.raises(ValueError, match="would skip samples"):
        emit_front_end(dataclasses.replace(front_end, hop=65), scaling, model_of((3,)), tmp_path, "fe")
    with pytest.raises(ValueError, match="the scaling has 3 features"):
        emit_front_end(FrontEnd(("statistics",), 64, 32), scaling, model_of((5,)), tmp_path, "fe")
    assert not list(tmp_path.iterdir())
