"""What requests bring, and errors as answers that a person can read."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from micro.errors import MicroError

Handler = Callable[[Request], Awaitable[Response]]
# The largest body of JSON that is taken.
MOST_BYTES = 4 * 2**20


def answered(handle: Handler) -> Handler:
    """The same, with what the user can put right as one line of JSON and status 400."""

    async def safe(request: Request) -> Response:
        try:
            return await handle(request)
        except (MicroError, ValueError) as error:
            return JSONResponse({"error": " ".join(str(error).split())}, 400)
        except (KeyError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
            return JSONResponse({"error": f"the request is incomplete: {error}"}, 400)
        except OSError as error:
            said = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
            return JSONResponse({"error": said}, 400)

    return safe


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request, empty without one.

    Raises:
        ValueError: If it is too large or is none.
    """
    held = bytearray()
    async for block in request.stream():
        held += block
        if len(held) > MOST_BYTES:
            raise ValueError(f"the request is larger than {MOST_BYTES // 2**20} MiB")
    if not held:
        return {}
    try:
        body = json.loads(bytes(held))
    except (ValueError, RecursionError):
        raise ValueError("the request is not JSON") from None
    if not isinstance(body, dict):
        raise ValueError("the request is no JSON object")
    return body


def number_of(text: str | None, what: str) -> float | None:
    """A number of an address, None where there is none.

    Raises:
        ValueError: If it is no number.
    """
    if text is None or text == "":
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{what} must be a number, got {text[:40]!r}")
    return value
