"""Pictures as recordings: a sample for each pixel, row by row from the top left; gray, or red, green and blue, are channels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micro.config import MOST_PIXELS, FilesData
from micro.datasets.arrays import one_line
from micro.datasets.contents import Contents, Rows
from micro.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

# Pillow's names of the formats that are read, and how files of them begin.
FORMATS = ("PNG", "JPEG", "BMP", "PPM")
BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", *(b"P%d" % number for number in range(1, 7)))
# Modes of Pillow: those with transparent pixels, of gray with 16 bits, and the others that become red, green and blue.
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")
COLORED = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV")
# A row of pixels is a frame of the front end, and a picture as many frames as it has rows.
LONGEST_SIDE = 4096
CHANNELS = {"gray": ("gray",), "rgb": ("red", "green", "blue")}


def read_picture(path: Path, config: FilesData) -> Contents:
    """A picture as the camera's pixels would come: upright, 0 to 255, of the config's color and, if it has one, size.

    A color picture becomes gray by 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601). Transparent pixels are laid on white.
    Gray of 16 bits is divided by 257. A picture of another size becomes the mean of the pixels that each new one covers
    (Pillow's BOX): what a camera's binning gives and a microcontroller can compute, and never below 0 or above 255.

    Raises:
        DataError: Names a file that is no picture, damaged, animated, or too large.
    """
    pixels = decoded(path, config)
    height, width, _ = pixels.shape
    if height * width > MOST_PIXELS:
        raise DataError(
            f"{path} has {height:,} x {width:,} pixels, more than the {MOST_PIXELS:,} that are supported; set image_size, such "
            "as [64, 64], to have pictures resized"
        )
    if max(height, width) > LONGEST_SIDE:
        raise DataError(
            f"{path} has {height:,} x {width:,} pixels, and sides of more than {LONGEST_SIDE:,} are not supported; set "
            "image_size, such as [64, 64], to have pictures resized"
        )
    channels = CHANNELS[config.color]
    samples = np.ascontiguousarray(pixels.reshape(-1, len(channels)), np.float32)
    return Contents(path, channels, samples, Rows(path), header=channels, image_size=(height, width))


def decoded(path: Path, config: FilesData) -> np.ndarray:
    """As `read_picture`, of any size: (height, width, channels).

    Raises:
        DataError: As `read_picture`.
    """
    from PIL import Image, ImageOps

    _require_picture(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                # A camera's JPEG may hold a preview behind the picture.
                if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
                    raise DataError(f"{path} is animated: it holds several pictures; save each as a file of its own")
                return _pixels(path, ImageOps.exif_transpose(image), config)
    except DataError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is too large to be unpacked: {one_line(error)}") from None
    except Exception as error:
        # Pillow raises OSError, SyntaxError, ValueError, struct.error and others for a damaged picture.
        raise DataError(f"{path} cannot be read as a picture: {one_line(error)}; it is damaged") from None


def _require_picture(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(8)
    if not start.startswith(BEGINNINGS):
        raise DataError(
            f"{path} does not begin as a picture that is read does; PNG, JPEG, BMP, PGM and PPM are read: save it as one of "
            "them, or leave it out of files"
        )


def _pixels(path: Path, image: Image.Image, config: FilesData) -> np.ndarray:
    """A picture's pixels in the config's color and size, (height, width, channels), 0 to 255."""
    from PIL import Image

    size = None if config.image_size is None else config.image_size[::-1]
    clear = image.info.get("transparency")
    if image.mode in DEEP:
        gray = np.asarray(image, np.float32)
        if gray.min() < 0 or gray.max() > 65535:
            raise DataError(f"{path} has values from {gray.min():g} to {gray.max():g}; gray has 8 or 16 bits")
        scaled = Image.fromarray(np.where(gray == clear, 255.0, gray / 257.0).astype(np.float32))
        resized = np.asarray(scaled if size is None else scaled.resize(size, Image.Resampling.BOX))
        return np.repeat(resized[:, :, None], len(CHANNELS[config.color]), axis=2)
    if image.mode in TRANSPARENT or clear is not None:
        upper = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper)
    elif image.mode not in COLORED:
        raise DataError(
            f"{path} is a picture of a kind that cannot be read ({image.mode}); save it as PNG, gray or RGB"
        )
    plain = image.convert("RGB")
    plain = plain.convert("L") if config.color == "gray" else plain
    resized = np.asarray(plain if size is None else plain.resize(size, Image.Resampling.BOX))
    return resized.reshape(*resized.shape[:2], -1)
