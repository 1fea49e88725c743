"""Parts of a report whose classes are made where a report has them: a report has few of the parts that there are."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Annotated, Any

from pydantic import PlainValidator, TypeAdapter


def later(module: str, name: str) -> Any:
    """The type of a part that most reports lack, for pydantic: a report without one does not import the part's module, and
    builds no validator for it, which takes longer than to read the report.

    Args:
        module, name: Where its class is.
    """

    @cache
    def adapter() -> TypeAdapter[Any]:
        return TypeAdapter(getattr(importlib.import_module(module), name))

    def validated(value: object) -> Any:
        return adapter().validate_python(value)

    return Annotated[Any, PlainValidator(validated)]
