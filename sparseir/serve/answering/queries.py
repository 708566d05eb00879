"""What a search request asks, checked: from the parameters of a GET or from the body of a POST."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from sparseir.serve.faults import ApiError, bad_request
from sparseir.serve.settings import Limits


@dataclass(slots=True, kw_only=True)
class SearchRequest:
    """One request.

    Parameters
    ----------
    index : name, or None for the first.
    texts : queries as text. vectors : queries as term ids and weights, in place of texts. many : a list was asked.
    terms : one query as term strings and weights, in place of both.
    weights : for a single text: weights that replace the encoder's, by term; 0 removes a term.
    k, engine, filter : of the search; engine None for the service's.
    feedback : hits of a first search whose words are added to the query; 0 for none.
    fields : stored fields to send with hits; None for none, () for all.
    snippet, explain, stats : what else to send.
    """

    index: str | None = None
    texts: list[str] = field(default_factory=list)
    vectors: list[tuple[list[int], list[float]]] = field(default_factory=list)
    terms: dict[str, float] | None = None
    weights: dict[str, float] | None = None
    many: bool = False
    k: int = 10
    engine: str | None = None
    filter: str | list[str] | None = None
    feedback: int = 0
    fields: tuple[str, ...] | None = None
    snippet: bool = False
    explain: bool = False
    stats: bool = False

    @property
    def plain(self) -> bool:
        """One text, hits, nothing else: what may run on the event loop."""
        return not (
            self.many
            or self.filter is not None
            or self.feedback
            or self.explain
            or self.snippet
            or self.stats
            or self.weights
            or self.vectors
            or self.terms is not None
            or self.engine is not None
            or self.k > 100
        )

    @property
    def evidence(self) -> bool:
        """Whether the terms of each hit are wanted."""
        return self.explain or self.snippet

    def checked(self, limits: Limits) -> SearchRequest:
        """This request, if it is within the limits.

        Raises
        ------
        ApiError : what is not, by name.
        """
        if not 1 <= self.k <= limits.k:
            raise bad_request("k", f"{self.k} hits; ask for 1 to {limits.k}")
        if not 0 <= self.feedback <= limits.feedback:
            raise bad_request("feedback", f"words of {self.feedback} hits; ask for 0 to {limits.feedback}")
        number = len(self.texts) + len(self.vectors)
        if number > limits.queries:
            raise bad_request("queries", f"{number} queries; send at most {limits.queries} in one request")
        for text in self.texts:
            if len(text) > limits.query_chars:
                raise bad_request("query", f"{len(text)} characters; send at most {limits.query_chars}")
        longest = max((len(terms) for terms, _ in self.vectors), default=0)
        longest = max(longest, len(self.terms or ()), len(self.weights or ()))
        if longest > limits.terms:
            raise bad_request("vector", f"{longest} terms; send at most {limits.terms}")
        if isinstance(self.filter, str) and len(self.filter) > limits.filter_chars:
            raise bad_request("filter", f"{len(self.filter)} characters; send at most {limits.filter_chars}")
        if isinstance(self.filter, list) and len(self.filter) > limits.filter_docnos:
            raise bad_request("filter", f"{len(self.filter)} documents; name at most {limits.filter_docnos}")
        if self.many and (self.explain or self.snippet or self.stats):
            raise bad_request("queries", "explain, snippet and stats are for one query; send it as 'query'")
        if self.evidence and self.engine == "exact_float":
            raise bad_request("engine", "exact_float ranks by float weights; explanations take integer scores apart")
        if self.evidence and self.k > 100:
            raise bad_request("k", f"{self.k} hits with explanations or snippets; ask for 1 to 100")
        return self


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of GET /search: how it is read, and what the OpenAPI document says of it."""

    read: Callable[[str, str], Any]
    schema: dict[str, Any]
    description: str
    required: bool = False


def _whole(name: str, text: str, least: int = 1) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise bad_request(name, f"{text[:40]!r}; expected a whole number of {least} or more")
    return int(text)


_count = partial(_whole, least=0)


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false", "1", "0"):
        raise bad_request(name, f"{text[:40]!r}; expected true or false")
    return text in ("true", "1")


def _text(name: str, text: str) -> str:
    return text


def _fields(name: str, text: str) -> tuple[str, ...]:
    return () if text == "*" else tuple(part.strip() for part in text.split(",") if part.strip())


PARAMETERS: dict[str, Parameter] = {
    "query": Parameter(_text, {"type": "string"}, "Text of the query.", required=True),
    "k": Parameter(_whole, {"type": "integer", "minimum": 1, "default": 10}, "Hits wanted."),
    "index": Parameter(_text, {"type": "string"}, "Name of an index; the first when left out."),
    "engine": Parameter(
        _text, {"type": "string"}, "auto, exhaustive, maxscore, wand, block_filter, … (docs/algorithms.md)."
    ),
    "filter": Parameter(
        _text,
        {"type": "string"},
        "Which documents may be hits: lang=en and (year>=2000 or topic=law), docs/filters.md.",
    ),
    "feedback": Parameter(
        _count,
        {"type": "integer", "minimum": 0, "default": 0},
        "Search twice: words of so many hits of the first search, say 2, are added to the query.",
    ),
    "fields": Parameter(_fields, {"type": "string"}, "Stored fields to send, joined by commas; * for all."),
    "snippet": Parameter(
        _flag, {"type": "boolean"}, "The passage of each hit that matches best, with the words that match."
    ),
    "explain": Parameter(_flag, {"type": "boolean"}, "The terms of each hit; their products add up to its score."),
    "stats": Parameter(_flag, {"type": "boolean"}, "Work of the search: postings scored, blocks visited."),
}
ANSERINI = {"query": PARAMETERS["query"], "hits": Parameter(_whole, {"type": "integer", "default": 10}, "Hits wanted.")}


def read_parameters(query_string: bytes, known: dict[str, Parameter]) -> dict[str, Any]:
    """Values of a query string.

    Raises
    ------
    ApiError : a parameter that is unknown, given twice, missing, or cannot be read.
    """
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=64)
    except UnicodeDecodeError:
        raise ApiError(400, "invalid_request", "the query string is not percent-encoded UTF-8") from None
    except ValueError:
        raise ApiError(400, "invalid_request", "the query string has more than 64 parameters") from None
    values: dict[str, Any] = {}
    for name, text in pairs:
        parameter = known.get(name)
        if parameter is None:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"
            raise bad_request(name[:40], f"no such parameter{hint}")
        if name in values:
            raise bad_request(name, "given twice")
        values[name] = parameter.read(name, text)
    for name, parameter in known.items():
        if parameter.required and name not in values:
            raise bad_request(name, "missing")
    return values


def from_parameters(query_string: bytes, limits: Limits) -> SearchRequest:
    """The request of a GET /search."""
    values = read_parameters(query_string, PARAMETERS)
    return SearchRequest(texts=[values.pop("query")], **values).checked(limits)
