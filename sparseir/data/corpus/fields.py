"""Which keys of a row are a document's name, text and title."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparseir.data.corpus.places import Place
from sparseir.data.records import Document
from sparseir.errors import ConfigError

IDS = ("_id", "id", "docid")
TEXTS = ("text", "contents")
TITLES = ("title",)
EXPANSIONS = ("expansion", "predicted_queries")
"""A text, or a list of texts, that a model wrote for the document."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Keys by what they hold; of several, the first that a row has.

    ids : BEIR's, Anserini's. texts, titles : the same.
    """

    ids: tuple[str, ...] = IDS
    texts: tuple[str, ...] = TEXTS
    titles: tuple[str, ...] = TITLES

    @classmethod
    def parse(cls, text: str, *, name: str = "--fields") -> FieldMap:
        """`id=KEY,text=KEY,title=KEY`, each optional.

        Parameters
        ----------
        name : what the text is the value of, for the error.

        Raises
        ------
        ConfigError : anything else.
        """
        given: dict[str, tuple[str, ...]] = {}
        for part in text.split(","):
            role, equals, key = (piece.strip() for piece in part.partition("="))
            if role not in ("id", "text", "title") or not equals or not key or f"{role}s" in given:
                raise ConfigError(
                    f"{name} {text!r}: expected id=KEY,text=KEY,title=KEY, each at most once, each optional"
                )
            given[f"{role}s"] = (key,)
        return cls(**given)

    def names_columns(self, header: list[str]) -> bool:
        """Whether a header has a column for the name and one for the text."""
        return any(key in header for key in self.ids) and any(key in header for key in self.texts)

    def document(self, row: Mapping[str, Any], place: Place) -> Document:
        """The document of a row; every key without a role is a field, an expansion too.

        Raises
        ------
        DataError : no name or text, or one of a wrong type.
        """
        ids, text, title = (_present(keys, row) for keys in (self.ids, self.texts, self.titles))
        for role, key, keys in (("id", ids, self.ids), ("text", text, self.texts)):
            if key is None:
                found = ", ".join(f"'{k}'" for k in row) or "none"
                raise place.fault(
                    f"missing key {' or '.join(repr(k) for k in keys)} (found: {found}); "
                    f"--fields {role}=KEY names another"
                )
        assert ids is not None
        used = {ids, text, title}
        return Document(
            _name(row, ids, place),
            _text(row, text, place),
            _text(row, title, place),
            {key: value for key, value in row.items() if key not in used},
            expansion_of(row) or "",
        )


def expansion_of(row: Mapping[str, Any]) -> str | None:
    """The expansion in a row, a list of texts joined; None where it holds none."""
    value = next((row[key] for key in EXPANSIONS if key in row), None)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return value if isinstance(value, str) else None


def _present(keys: tuple[str, ...], row: Mapping[str, Any]) -> str | None:
    return next((key for key in keys if key in row), None)


def _name(row: Mapping[str, Any], key: str, place: Place) -> str:
    value = row[key]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or value == "":
        raise place.fault(f"'{key}' is {'null' if value is None else 'empty'}, expected a string")
    if not isinstance(value, str):
        raise place.fault(f"'{key}' must be a string, found {type(value).__name__}")
    return value


def _text(row: Mapping[str, Any], key: str | None, place: Place) -> str:
    value = None if key is None else row[key]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise place.fault(f"'{key}' must be a string, found {type(value).__name__}")
    return value
