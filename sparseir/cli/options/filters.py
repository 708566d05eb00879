"""`--filter`: what is wrong usage whatever the index, and several joined to one."""

from __future__ import annotations

from sparseir.cli import arguments


def joined(filters: list[str]) -> str | None:
    """One filter of several --filter, all of which must hold; None without any.

    Raises
    ------
    arguments.BadParameter : one that is no filter whatever index it would be asked of.
    """
    for text in filters:
        check_filter(text)
    if len(filters) < 2:
        return filters[0] if filters else None
    return " and ".join(f"({text})" for text in filters)


def check_filter(text: str) -> None:
    """Refuse what the grammar of filters does not take, as wrong usage; which fields there are, the index says.

    Raises
    ------
    arguments.BadParameter
    """
    from sparseir.errors import DataError
    from sparseir.search.filters.grammar import parse_filter

    try:
        parse_filter(text)
    except DataError as error:
        raise arguments.BadParameter(str(error)) from error
