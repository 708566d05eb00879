"""What an index keeps of a document, read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def content(fields: Mapping[str, Any]) -> str:
    """The text of a document by its stored fields, as `Document.content` gives it."""
    title, text = fields.get("title", ""), fields.get("text", "")
    return f"{title} {text}".strip() if title else text
