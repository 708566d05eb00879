"""Settings of an index and of its lexical channel, as the command line gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparseir.cli import arguments

if TYPE_CHECKING:
    from indexer import IndexConfig
    from sparseir.config.lexical import LexicalConfig


def index_settings(settings: list[str], *, wanted: bool) -> tuple[IndexConfig, LexicalConfig | None]:
    """The settings, checked; those of the channel where one is wanted.

    Parameters
    ----------
    settings : "index.key=value" or "lexical.key=value".

    Raises
    ------
    ConfigError : unknown names, values out of range, a language without a stemmer.
    arguments.BadParameter : settings of a channel that is not wanted.
    """
    from indexer import IndexConfig
    from sparseir.config.lexical import LexicalConfig
    from sparseir.config.loader import apply_overrides, build, to_mapping

    given = [text for text in settings if text.lstrip().startswith("lexical.")]
    if given and not wanted:
        raise arguments.BadParameter(
            f"{given[0]} is a setting of the lexical channel: build it with --lexical or --bm25"
        )
    start = {"index": to_mapping(IndexConfig()), "lexical": to_mapping(LexicalConfig())}
    changed = apply_overrides(start, settings)
    config = build(IndexConfig, changed["index"], source="settings of the index")
    if not wanted:
        return config, None
    return config, _channel(changed["lexical"])


def lexical_settings(settings: list[str]) -> LexicalConfig:
    """The settings of a lexical channel, checked.

    Parameters
    ----------
    settings : "lexical.key=value".

    Raises
    ------
    ConfigError : unknown names, values out of range, a language without a stemmer.
    """
    from sparseir.config.lexical import LexicalConfig
    from sparseir.config.loader import apply_overrides, to_mapping

    return _channel(apply_overrides({"lexical": to_mapping(LexicalConfig())}, settings)["lexical"])


def _channel(values: dict[str, Any]) -> LexicalConfig:
    from sparseir.config.lexical import LexicalConfig
    from sparseir.config.loader import build
    from sparseir.lexical.analysis import check_language

    channel = build(LexicalConfig, values, source="settings of the lexical channel")
    check_language(channel.language)
    return channel
