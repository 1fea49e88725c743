"""What a project's templates are given of pictures."""

from __future__ import annotations

from typing import Any

from micro.signal import AnyFrontEnd

# A camera's pictures by their names in esp32-camera, and the longest side of a model's pictures that each is taken for.
FRAMES = (("FRAMESIZE_96X96", 96), ("FRAMESIZE_240X240", 240), ("FRAMESIZE_320X320", 320), ("FRAMESIZE_VGA", 480))
# Up to this side two of them fit the RAM inside a chip.
LARGEST_INSIDE = 96


def pixels_context(front_end: AnyFrontEnd, image_size: tuple[int, int] | None) -> dict[str, Any]:
    """What templates are given of pictures, whose samples are pixels."""
    if image_size is None:
        return {"image_size": None}
    frame, side = next((each for each in FRAMES if max(image_size) <= each[1]), FRAMES[-1])
    white = (
        255.0 if front_end.full_scale is None or front_end.arithmetic != "fixed" else 255 * 32768 / front_end.full_scale
    )
    return {
        "image_size": image_size,
        "channels": front_end.channels,
        "white": white,
        "frame": frame,
        "small": side <= LARGEST_INSIDE,
        "unit": f"brightness from 0 (black) to {white:g}",
    }
