"""Settings of an index and of its lexical channel, as the command line gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparseir.cli import arguments as typer

if TYPE_CHECKING:
    from indexer import IndexConfig
    from sparseir.config.lexical import LexicalConfig


def index_settings(
    settings: list[str], language: str | None, *, wanted: bool
) -> tuple[IndexConfig, LexicalConfig | None]:
    """The settings, checked; those of the channel where one is wanted.

    Parameters
    ----------
    settings : "index.key=value" or "lexical.key=value". language : of the channel.

    Raises
    ------
    ConfigError : unknown names, values out of range, a language without a stemmer.
    typer.BadParameter : settings of a channel that is not wanted.
    """
    from indexer import IndexConfig
    from sparseir.config.lexical import LexicalConfig
    from sparseir.config.loader import apply_overrides, build, to_mapping
    from sparseir.lexical.analysis import check_language

    given = [] if language is None else [f"lexical.language={language}"]
    given += [text for text in settings if text.lstrip().startswith("lexical.")]
    if given and not wanted:
        raise typer.BadParameter(f"{given[0]} is a setting of the lexical channel: build it with --lexical or --bm25")
    start = {"index": to_mapping(IndexConfig()), "lexical": to_mapping(LexicalConfig())}
    changed = apply_overrides(start, [*(text for text in settings if text not in given), *given])
    config = build(IndexConfig, changed["index"], source="settings of the index")
    if not wanted:
        return config, None
    channel = build(LexicalConfig, changed["lexical"], source="settings of the lexical channel")
    check_language(channel.language)
    return config, channel
