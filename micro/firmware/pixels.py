"""What a project's templates are given of pictures."""

from __future__ import annotations

from typing import Any

from micro.signal import AnyFrontEnd

# A camera's pictures by their names in esp32-camera since version 2.0, with rows and columns: a model's pictures are made of
# the first that has as many.
FRAMES = (
    ("FRAMESIZE_96X96", 96, 96),
    ("FRAMESIZE_240X240", 240, 240),
    ("FRAMESIZE_QVGA", 240, 320),
    ("FRAMESIZE_CIF", 296, 400),
    ("FRAMESIZE_VGA", 480, 640),
    ("FRAMESIZE_SVGA", 600, 800),
    ("FRAMESIZE_XGA", 768, 1024),
    ("FRAMESIZE_UXGA", 1200, 1600),
)
# Two of these fit the RAM inside a chip.
INSIDE = "FRAMESIZE_96X96"


def pixels_context(front_end: AnyFrontEnd, image_size: tuple[int, int] | None) -> dict[str, Any]:
    """What templates are given of pictures, whose samples are pixels; `frame` is None where no camera's picture is as large."""
    if image_size is None:
        return {"image_size": None}
    height, width = image_size
    frame = next((name for name, rows, columns in FRAMES if height <= rows and width <= columns), None)
    white = (
        255.0 if front_end.full_scale is None or front_end.arithmetic != "fixed" else 255 * 32768 / front_end.full_scale
    )
    return {
        "image_size": image_size,
        "channels": front_end.channels,
        "white": white,
        "frame": frame,
        "small": frame == INSIDE,
        "unit": f"brightness from 0 (black) to {white:g}",
    }
