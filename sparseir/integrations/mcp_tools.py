"""What an agent may ask of served indexes, as plain functions: the tools of the MCP server, without the protocol."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparseir.evaluate.systems.fusion import reciprocal_ranks
from sparseir.serve.answering.answers import document, explain, search
from sparseir.serve.answering.queries import SearchRequest
from sparseir.serve.faults import bad_request, from_error
from sparseir.serve.indexes import Catalogue, ServedIndex
from sparseir.serve.settings import Limits

TEXT_CHARS = 1000
"""Of a stored field of a hit; an agent reads the whole document with get_document."""
_MOST_LISTS = 32
"""Searches of one fusion."""


class Tools:
    """The tools.

    Parameters
    ----------
    folders : name → folder of an index, or addresses of shards; the first answers where none is named.
    engine, threads, model : as `sparseir serve` takes them.

    Raises
    ------
    SparseIRError : no index there, a damaged one, or a model that is not its own.
    """

    def __init__(
        self,
        folders: Mapping[str, Path | list[str]],
        *,
        engine: str = "auto",
        threads: int = 1,
        model: str | None = None,
    ) -> None:
        opened = {
            name: ServedIndex(name, folder, engine=engine, threads=threads, model=model)
            for name, folder in folders.items()
        }
        self._catalogue, self._limits = Catalogue(opened), Limits()

    def list_indexes(self) -> dict[str, Any]:
        """Names of the indexes, how many documents each holds, and the fields that a filter may name."""
        for name in self._catalogue.indexes:
            self._index(name)
        return {"indexes": [served.current.describe() for served in self._catalogue.indexes.values()]}

    def search(
        self,
        query: str,
        index: str | None = None,
        k: int = 10,
        filter: str | None = None,
        snippet: bool = True,
        feedback: int = 0,
    ) -> dict[str, Any]:
        """The k best documents for a query: rank, docno, score, and the passage that matches best.

        Parameters
        ----------
        query : words, as one would type them. index : name of an index, see list_indexes; left out, the first.
        k : documents wanted, 1 to 1000; 1 to 100 with passages.
        filter : which documents may be found, for example lang=en and (year>=2000 or topic=law).
        snippet : send the passage of each document that matches best; else its stored fields, cut.
        feedback : search a second time with words of this many first hits, say 2, for a broader list; 0 for one search.
        """
        request = replace(self._request(query, k, filter), feedback=feedback)
        asked = replace(request, snippet=True, fields=None) if snippet else replace(request, fields=())
        answer = search(self._index(index), asked.checked(self._limits))
        return {"index": answer["index"], "query": query, "hits": [_short(hit) for hit in answer["hits"]]}

    def get_document(self, docno: str, index: str | None = None) -> dict[str, Any]:
        """A whole document by its docno: all stored fields."""
        return document(self._index(index), docno, vector=False)

    def explain(self, query: str, docno: str, index: str | None = None, feedback: int = 0) -> dict[str, Any]:
        """Why a document has its score for a query: integer query weight times document weight of each term both hold.

        The products add up to integer_score; score = integer_score * doc_scale * query_scale. Terms of the query that the
        document does not hold are in unmatched. feedback : as the search had it, whose words were added to the query.
        """
        request = replace(self._request(query, 1, None), feedback=feedback)
        return explain(self._index(index), request.checked(self._limits), docno)

    def fuse_search_results(
        self, queries: list[str], indexes: list[str] | None = None, k: int = 10, depth: int = 100
    ) -> dict[str, Any]:
        """The k best documents over several wordings of a query, several indexes, or both, by reciprocal rank fusion.

        Each query is sent to each index; score(d) is the sum over these lists of 1 / (60 + rank of d). A docno in several
        indexes is taken for one document.

        Parameters
        ----------
        queries : wordings. indexes : names, see list_indexes; left out, the first.
        k : documents wanted. depth : documents taken from each list.
        """
        names: Sequence[str | None] = indexes or [None]
        if not queries or len(queries) * len(names) > _MOST_LISTS:
            raise bad_request(
                "queries", f"{len(queries)} queries to {len(names)} indexes; ask for 1 to {_MOST_LISTS} lists"
            )
        if not 1 <= k <= self._limits.k:
            raise bad_request("k", f"{k} documents; ask for 1 to {self._limits.k}")
        lists = []
        for name in names:
            served = self._index(name)
            for query in queries:
                request = replace(self._request(query, depth, None), fields=()).checked(self._limits)
                lists.append((served.name, search(served, request)["hits"]))
        fused = reciprocal_ranks(*({"": {h["docno"]: h["score"] for h in hits}} for _, hits in lists), k=k)[""]
        found: dict[str, dict[str, Any]] = {}
        for name, hits in lists:
            for hit in hits:
                known = found.setdefault(hit["docno"], {"fields": _cut(hit["fields"]), "indexes": []})
                known["indexes"] += [] if name in known["indexes"] else [name]
        hits = [{"rank": r, "docno": d, "score": s, **found[d]} for r, (d, s) in enumerate(fused.items(), 1)]
        return {"queries": queries, "lists": len(lists), "hits": hits}

    def _index(self, name: str | None) -> ServedIndex:
        served = self._catalogue.get(name)
        try:
            served.refresh()
        except Exception as error:  # the last good commit goes on answering
            print(f"index {served.name!r}: its newest commit cannot be opened: {error}", file=sys.stderr)
        return served

    def _request(self, query: str, k: int, filter: str | None) -> SearchRequest:
        if not query.strip():
            raise bad_request("query", "empty; expected words")
        return SearchRequest(texts=[query], k=k, filter=filter)


def told(error: Exception) -> str | None:
    """What an agent may read of an error; None for one of ours, which goes to the log alone."""
    found = from_error(error)
    return None if found.status == 500 else found.message


def _short(hit: dict[str, Any]) -> dict[str, Any]:
    """A hit with plain texts in place of marked ones."""
    short = {name: hit[name] for name in ("rank", "docno", "score")}
    if "fields" in hit:
        short["fields"] = _cut(hit["fields"])
    for name in ("title", "snippet"):
        if hit.get(name):
            short[name] = "".join(part["text"] for part in hit[name])
    return short


def _cut(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value[:TEXT_CHARS] + "…" if isinstance(value, str) and len(value) > TEXT_CHARS else value
        for name, value in fields.items()
    }
