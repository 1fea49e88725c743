"""Text of C: templates, literals, arrays, comments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

# Of the code that is emitted: it asks for no attribution, so that the code may be part of any firmware. Weights in it are under
# the terms of the model and its data, as docs/firmware.md says.
EMITTED_LICENSE = "0BSD"
# How a file of a kind says its license, by the end of its name; files of the other kinds cannot or need not.
_LICENSE_LINES = {
    f"{opened}SPDX-License-Identifier: {EMITTED_LICENSE}{closed}\n": endings
    for opened, closed, endings in (
        ("/* ", " */", (".c", ".h", ".cc", ".cpp", ".ino", ".ld")),
        ("# ", "", ("Makefile", "CMakeLists.txt", "Kconfig", ".conf", ".defaults", ".overlay", ".yaml", ".yml")),
        ("; ", "", (".ini",)),
    )
}


def render(template: str, context: Mapping[str, Any], folder: str = "emission/templates") -> str:
    """Fill in a template of a folder of `micro`, behind a line with its license; a name that the context lacks is an error."""
    return license_line(template.removesuffix(".j2")) + str(_environment(folder).get_template(template).render(context))


def license_line(file: str) -> str:
    """The first line of an emitted file of this name; empty where it has none, as a README.

    Examples:
        >>> from micro.emission.c_text import license_line
        >>> license_line("src/app.c"), license_line("README.md")
        ('/* SPDX-License-Identifier: 0BSD */\\n', '')
    """
    return next((line for line, endings in _LICENSE_LINES.items() if file.endswith(endings)), "")


@cache
def _environment(folder: str) -> Any:
    """Of a folder's templates, each of which is compiled once."""
    import jinja2

    from micro.support.compiled_templates import CompiledTemplates

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("micro", folder),
        bytecode_cache=CompiledTemplates(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"comment": comment_text, "code": code_span, "cell": code_cell}
    return environment


def array_text(content: bytes, width: int = 12) -> str:
    """Bytes as rows of hexadecimal C literals."""
    rows = (content[start : start + width] for start in range(0, len(content), width))
    return "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)


def float_text(value: float) -> str:
    """A C float literal that reads back as the same float32; ValueError for what float32 does not hold."""
    return float_texts(np.array([value]))[0]


def float_texts(values: np.ndarray) -> list[str]:
    """As `float_text`, of many numbers at once."""
    with np.errstate(over="ignore"):
        singles = values.astype(np.float32)
    finite = np.isfinite(singles)
    if not finite.all():
        raise ValueError(f"a C constant must be finite as float32, got {values[~finite][0]}")
    return [f"{np.format_float_scientific(one, unique=True, trim='0', exp_digits=2)}f" for one in singles]


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
    texts = float_texts(flat) if kind == "float" else [str(int(value)) for value in flat]
    texts = ["INT32_MIN" if text == str(-(2**31)) else text for text in texts]
    width = 6 if kind == "float" else 8
    rows = tuple(", ".join(texts[start : start + width]) for start in range(0, len(texts), width))
    return CArray(kind, name, len(texts), rows)


def c_string(text: str) -> str:
    """A C string literal, or several in parentheses.

    Bytes outside printable ASCII become octal escapes, each followed by another one or the end of a literal, so that no digit
    behind it can be taken for a part of it (MISRA C:2012, rule 4.1).
    """
    printable = {ord("\\"): "\\\\", ord('"'): '\\"', ord("?"): "\\?"}
    body = "".join(
        printable.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in text.encode("utf-8")
    )
    parted = re.sub(r"((?<!\\)(?:\\\\)*\\[0-7]{3})(?!\\|$)", r'\1" "', body)
    # In parentheses, or compilers ask whether a comma is missing.
    return f'"{body}"' if parted == body else f'("{parted}")'


# What a comment of C does not hold as it is: other than printable ASCII, what ends, begins or continues a comment or is a
# trigraph, blanks that a reader would not see, and what looks like the code point of something else.
_NOT_IN_COMMENTS = re.compile(r"[^ -~]|\\|(?<=\*)/|(?<=/)\*|(?<=\?)\?|(?<= ) |^ | $|<(?=U\+)")


def comment_text(text: str) -> str:
    """Text for a comment of C: one line of printable ASCII that cannot end the comment, and no two texts alike.

    Examples:
        >>> from micro.emission.c_text import comment_text
        >>> comment_text("Lüfter"), comment_text("Löfter"), comment_text("a */ b")
        ('L<U+00FC>fter', 'L<U+00F6>fter', 'a *<U+002F> b')
    """
    return _NOT_IN_COMMENTS.sub(_code_point, text)


def code_span(text: str) -> str:
    """A name as code in Markdown: as it is spelled, but for what cannot be seen.

    Examples:
        >>> from micro.emission.c_text import code_span
        >>> code_span("Lüfter"), code_span("a`b|c")
        ('`Lüfter`', '``a`b|c``')
    """
    shown = "".join(letter if letter.isprintable() else f"<U+{ord(letter):04X}>" for letter in text)
    shown = re.sub(r"(?<= ) |^ | $", _code_point, shown)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def code_cell(text: str) -> str:
    """A name as code within a table of Markdown, where a bar would end the cell."""
    return code_span(text).replace("|", "\\|")


def _code_point(found: re.Match[str]) -> str:
    return f"<U+{ord(found[0]):04X}>"
