"""`--expand`, and settings of the lexical channel that have options of their own."""

from __future__ import annotations

from typing import Annotated

from sparseir.cli import arguments

Expand = Annotated[
    str | None,
    arguments.Option(
        metavar="MODEL",
        help="Give documents the words that this dense model finds near them, e.g. all-MiniLM-L6-v2; it runs on no query.",
    ),
]


def channel_settings(settings: list[str] | None, language: str | None = None, expand: str | None = None) -> list[str]:
    """Settings as `--set` takes them, with what options of their own said; they count more."""
    own = {"language": language, "expansion_model": expand}
    return [*(settings or ()), *(f"lexical.{name}={value}" for name, value in own.items() if value is not None)]
