"""What a project's templates are given of pictures."""

from __future__ import annotations

from typing import Any

from micro.signal import AnyFrontEnd


def pixels_context(front_end: AnyFrontEnd, image_size: tuple[int, int] | None) -> dict[str, Any]:
    """What templates are given of pictures, whose samples are pixels."""
    if image_size is None:
        return {"image_size": None}
    white = (
        255.0 if front_end.full_scale is None or front_end.arithmetic != "fixed" else 255 * 32768 / front_end.full_scale
    )
    return {
        "image_size": image_size,
        "channels": front_end.channels,
        "unit": f"brightness from 0 (black) to {white:g}",
    }
