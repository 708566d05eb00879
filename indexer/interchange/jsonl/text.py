"""JSON as UTF-8 and floats can hold it."""

from __future__ import annotations

import json
from typing import Any, NoReturn


class RefusedError(ValueError):
    """What Python's parser lets pass and JSON does not have."""


def no_constant(name: str) -> NoReturn:
    """The hook of Python's parser for NaN and Infinity."""
    raise RefusedError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise RefusedError(f"the number {text[:40]} is beyond the range of floats")
    return value


_DECODER = json.JSONDecoder(parse_constant=no_constant, parse_float=_finite)


def json_value(text: str) -> Any:
    """The value of one JSON text, as UTF-8 and floats can hold it.

    Raises
    ------
    ValueError : whatever is wrong with it, nesting beyond Python's stack and half characters included.
    """
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at column {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if "\\ud" in text or "\\uD" in text:  # an escape of half a character, which tokenizers and UTF-8 refuse later
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start : error.start + 1]
            raise ValueError(f"{half!a} is half a character, which no text holds") from None
    return value
