"""Pictures: how each kind is read."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from micro.config import FilesData
from micro.datasets.formats import read_contents
from micro.errors import DataError

# Height and width of pictures that no axis can be mistaken in.
SIZE = (12, 10)


def noise(*shape, seed=0, high=256):
    return np.random.default_rng(seed).integers(0, high, shape).astype(np.uint8 if high == 256 else np.uint16)


def read(path, **settings):
    return read_contents(path, FilesData.model_validate({"files": "*.png", **settings}))


def pixels(path, **settings):
    """A picture as it is read, (height, width, channels)."""
    contents = read(path, **settings)
    return contents.samples.reshape(*contents.image_size, -1)


def saved(path, array, mode=None, **more):
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **more)
    return path


@pytest.mark.parametrize("ending", ["png", "PNG", "bmp", "pgm"])
def test_gray_pixels_are_the_samples_row_by_row(tmp_path, ending):
    gray = noise(*SIZE)
    contents = read(saved(tmp_path / f"a.{ending}", gray))
    assert (contents.channels, contents.image_size, contents.rate) == (("gray",), SIZE, None)
    assert contents.samples.dtype == np.float32
    np.testing.assert_array_equal(contents.samples, gray.reshape(-1, 1))


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm"])
def test_colors_are_kept_or_become_gray_as_the_eye_weighs_them(tmp_path, ending):
    rgb = noise(*SIZE, 3)
    path = saved(tmp_path / f"a.{ending}", rgb)
    np.testing.assert_array_equal(pixels(path, color="rgb"), rgb)
    gray = rgb @ [0.299, 0.587, 0.114]
    assert np.abs(pixels(path)[..., 0] - gray).max() <= 0.51
    assert read(path, color="rgb").channels == ("red", "green", "blue")


def test_a_gray_picture_has_three_equal_colors(tmp_path):
    gray = noise(*SIZE)
    np.testing.assert_array_equal(pixels(saved(tmp_path / "a.png", gray), color="rgb"), np.stack([gray] * 3, -1))


def test_a_palette_is_looked_up(tmp_path):
    rgb = noise(*SIZE, 3) // 64 * 64
    image = Image.fromarray(rgb).quantize(256)
    path = saved(tmp_path / "a.png", image)
    np.testing.assert_array_equal(pixels(path, color="rgb"), np.asarray(image.convert("RGB")))


def test_one_bit_is_black_and_white(tmp_path):
    bits = noise(*SIZE) > 127
    path = saved(tmp_path / "a.png", Image.fromarray(bits))
    np.testing.assert_array_equal(pixels(path)[..., 0], np.where(bits, 255, 0))


@pytest.mark.parametrize("ending", ["png", "pgm"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, ending):
    deep = noise(*SIZE, high=65536)
    deep[0, :2] = 0, 65535
    read_as = pixels(saved(tmp_path / f"a.{ending}", deep))[..., 0]
    np.testing.assert_allclose(read_as, deep / 257, rtol=1e-6)
    assert (read_as.min(), read_as.max()) == (0, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_laid_on_white(tmp_path, mode):
    color, alpha = noise(*SIZE, 3), noise(*SIZE, seed=1)
    alpha[0], alpha[1] = 0, 255
    image = Image.fromarray(np.dstack([color, alpha])).convert(mode)
    opaque = np.asarray(image.convert("RGB" if mode == "RGBA" else "L").convert("RGB")).astype(float)
    part = alpha[..., None] / 255
    read_as = pixels(saved(tmp_path / "a.png", image), color="rgb")
    assert np.abs(read_as - (opaque * part + 255 * (1 - part))).max() <= 1
    assert (read_as[0] == 255).all()


def test_a_transparent_color_is_white_too(tmp_path):
    gray = noise(*SIZE)
    gray[3:5] = 7
    read_as = pixels(saved(tmp_path / "a.png", gray, transparency=7))[..., 0]
    np.testing.assert_array_equal(read_as, np.where(gray == 7, 255, gray))
    deep = np.where(gray == 7, 300, gray * np.uint16(100)).astype(np.uint16)
    read_as = pixels(saved(tmp_path / "b.png", deep, transparency=300))[..., 0]
    np.testing.assert_allclose(read_as, np.where(deep == 300, 255, deep / 257), rtol=1e-6)


def test_cmyk_becomes_red_green_and_blue(tmp_path):
    image = Image.new("RGB", SIZE[::-1], (200, 40, 90)).convert("CMYK")
    read_as = pixels(saved(tmp_path / "a.jpg", image, quality=95), color="rgb")
    assert np.abs(read_as - [200, 40, 90]).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_camera_s_picture_is_upright(tmp_path, orientation):
    gray = noise(*SIZE)
    # What each orientation of EXIF asks for, as turns of the picture that is stored.
    upright = {
        1: gray, 2: gray[:, ::-1], 3: gray[::-1, ::-1], 4: gray[::-1], 5: gray.T, 6: np.rot90(gray, -1),
        7: gray[::-1, ::-1].T, 8: np.rot90(gray),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    np.testing.assert_array_equal(pixels(saved(tmp_path / "a.png", gray, exif=exif))[..., 0], upright)


def test_a_larger_picture_becomes_the_means_of_what_each_pixel_covers(tmp_path):
    for array in (noise(36, 40), noise(36, 40, high=65536)):
        blocks = array.reshape(12, 3, 10, 4).mean(axis=(1, 3)) / (1 if array.dtype == np.uint8 else 257)
        read_as = pixels(saved(tmp_path / "a.png", array), image_size=SIZE)[..., 0]
        assert np.abs(read_as - blocks).max() <= 1


@given(
    height=st.integers(1, 40), width=st.integers(1, 40), color=st.sampled_from(["gray", "rgb"]), seed=st.integers(0, 99)
)
def test_whatever_the_size_pixels_stay_between_black_and_white(tmp_path_factory, height, width, color, seed):
    path = saved(tmp_path_factory.mktemp("sizes") / "a.png", noise(height, width, 3, seed=seed) // 255 * 255)
    read_as = pixels(path, image_size=SIZE, color=color)
    assert read_as.shape == (*SIZE, 1 if color == "gray" else 3)
    assert read_as.min() >= 0
    assert read_as.max() <= 255


def animated(path):
    frames = [Image.fromarray(noise(*SIZE, seed=seed)) for seed in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def bomb(path):
    """A small file that says it holds 60,000 x 60,000 pixels."""
    content = bytearray(saved(path, noise(*SIZE)).read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)


def cut(path):
    content = saved(path, noise(80, 70)).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flipped(path):
    content = bytearray(saved(path, noise(80, 70)).read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


# By name: what is wrong with a file, and what is said of it.
DAMAGED = {
    "animated": (animated, "is animated"),
    "bomb": (bomb, "is too large to be unpacked"),
    "cut": (cut, "cannot be read as a picture"),
    "flipped": (flipped, "cannot be read as a picture"),
    "text": (lambda path: path.write_text("time,x\n0,1\n"), "does not begin as a picture that is read does"),
    "gif": (lambda path: path.write_bytes(b"GIF89a" + bytes(50)), "PNG, JPEG, BMP, PGM and PPM are read"),
    "large": (lambda path: saved(path, noise(600, 500)), "has 600 x 500 pixels, more than the 262,144"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_what_is_no_picture_is_refused_by_name(tmp_path, case):
    make, said = DAMAGED[case]
    path = tmp_path / "one.png"
    make(path)
    with pytest.raises(DataError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_jpeg_is_refused_wherever_it_is_cut(tmp_path):
    content = saved(tmp_path / "whole.jpg", noise(60, 50)).read_bytes()
    for length in np.linspace(4, len(content) - 3, 12).astype(int):
        (tmp_path / "one.jpg").write_bytes(content[:length])
        with pytest.raises(DataError, match=r"one\.jpg cannot be read as a picture"):
            read(tmp_path / "one.jpg")
