"""Text of C: templates, literals, arrays, comments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


def render(template: str, context: Mapping[str, Any], folder: str = "emission/templates") -> str:
    """Fill in a template of a folder of `micro`; a name that the context lacks is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("micro", folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["comment"] = comment_text
    return environment.get_template(template).render(context)


def array_text(content: bytes, width: int = 12) -> str:
    """Bytes as rows of hexadecimal C literals."""
    rows = (content[start : start + width] for start in range(0, len(content), width))
    return "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)


def float_text(value: float) -> str:
    """A C float literal that reads back as the same float32; ValueError for what float32 does not hold."""
    with np.errstate(over="ignore"):
        single = np.float32(value)
    if not math.isfinite(single):
        raise ValueError(f"a C constant must be finite as float32, got {value}")
    text = np.format_float_scientific(single, unique=True, trim="0", exp_digits=2)
    return f"{text}f"


@dataclass(frozen=True)
class CArray:
    """A constant array of C as templates write it: `rows` are lines of numbers."""

    type: str
    name: str
    count: int
    rows: tuple[str, ...]


def c_array(kind: str, name: str, values: npt.ArrayLike) -> CArray:
    """Values as a constant array of C of type `kind`, such as 'int8_t' or 'float'."""
    flat = np.asarray(values).reshape(-1)
    texts = [float_text(float(value)) if kind == "float" else str(int(value)) for value in flat]
    texts = ["INT32_MIN" if text == str(-(2**31)) else text for text in texts]
    width = 6 if kind == "float" else 8
    rows = tuple(", ".join(texts[start : start + width]) for start in range(0, len(texts), width))
    return CArray(kind, name, len(texts), rows)


def c_string(text: str) -> str:
    """A C string literal. Bytes outside printable ASCII become octal escapes, which end after three digits."""
    printable = {ord("\\"): "\\\\", ord('"'): '\\"', ord("?"): "\\?"}
    body = "".join(
        printable.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in text.encode("utf-8")
    )
    return f'"{body}"'


def comment_text(text: str) -> str:
    """Text for a comment of C, a build file or a Markdown page: one line of printable ASCII that cannot end the comment."""
    plain = " ".join(text.encode("ascii", "replace").decode().split())
    printable = "".join(letter if letter.isprintable() else "?" for letter in plain)
    return printable.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("`", "'")
