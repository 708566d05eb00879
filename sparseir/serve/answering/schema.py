"""Bodies of requests, as pydantic checks them and the OpenAPI document describes them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sparseir.serve.answering.queries import SearchRequest
from sparseir.serve.faults import bad_request
from sparseir.serve.settings import Limits
from sparseir.serve.writing import NewDocument

Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
TermId = Annotated[int, Field(ge=0, lt=2**32)]
Docno = Annotated[str, Field(min_length=1, max_length=512)]


class _Body(BaseModel):
    """Unknown keys and values of another type are refused, not guessed at."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Vector(_Body):
    """A sparse vector: term ids and a weight for each."""

    term_ids: list[TermId]
    weights: list[Weight]

    def arrays(self, place: str) -> tuple[list[int], list[float]]:
        """The two lists.

        Raises
        ------
        ApiError : they are not of one length, or a term comes twice.
        """
        if len(self.term_ids) != len(self.weights):
            raise bad_request(place, f"{len(self.term_ids)} term_ids beside {len(self.weights)} weights")
        if len(set(self.term_ids)) != len(self.term_ids):
            raise bad_request(place, "a term id comes twice")
        return self.term_ids, self.weights


class QueryBody(_Body):
    """A query, in one of its forms."""

    query: str | None = Field(default=None, description="Text.")
    weights: dict[str, Weight] | None = Field(
        default=None, description="Beside a query: weights in place of the encoder's, by term; 0 takes a term out."
    )
    terms: dict[str, Weight] | None = Field(
        default=None, description="A query as terms of the vocabulary and their weights."
    )
    vector: Vector | None = Field(default=None, description="A query as term ids and weights.")
    index: str | None = Field(default=None, description="Name of an index; the first when left out.")
    feedback: int = Field(
        default=0,
        ge=0,
        description="Search twice: words of so many hits of the first search, say 2, are added to the query.",
    )
    filter: str | list[str] | None = Field(
        default=None, description="Which documents may be hits: an expression, or docnos."
    )

    def forms(self) -> dict[str, Any]:
        """The forms of a query that are given."""
        given = {"query": self.query, "terms": self.terms, "vector": self.vector}
        return {name: value for name, value in given.items() if value is not None}

    def request(self, limits: Limits, **options: Any) -> SearchRequest:
        """The request of one query.

        Raises
        ------
        ApiError : no query, or more than one.
        """
        forms = self.forms()
        if len(forms) != 1:
            found = f"{' and '.join(forms)} given" if forms else "missing"
            raise bad_request("query", f"{found}; send one of query, queries, terms, vector, vectors")
        if self.weights is not None and self.query is None:
            raise bad_request("weights", "they change the weights of a text's terms; send 'query' with them")
        return SearchRequest(
            index=self.index,
            texts=[] if self.query is None else [self.query],
            vectors=[] if self.vector is None else [self.vector.arrays("vector")],
            terms=self.terms,
            weights=self.weights,
            feedback=self.feedback,
            filter=self.filter,
            **options,
        ).checked(limits)


class SearchBody(QueryBody):
    """One query or many, and what is wanted of their hits."""

    queries: list[str] | None = Field(default=None, description="Many texts.")
    vectors: list[Vector] | None = Field(default=None, description="Many queries as term ids and weights.")
    k: int = Field(default=10, ge=1, lt=2**31, description="Hits of each query.")
    engine: str | None = Field(default=None, max_length=40, description="Any engine of docs/algorithms.md but gpu.")
    fields: list[str] | bool | None = Field(default=None, description="Stored fields to send; true for all.")
    snippet: bool = Field(default=False, description="The passage that matches best, with the words that match.")
    explain: bool = Field(default=False, description="The terms of each hit; their products add up to its score.")
    stats: bool = Field(default=False, description="Work of the search.")

    def forms(self) -> dict[str, Any]:
        many = {"queries": self.queries, "vectors": self.vectors}
        return {**super().forms(), **{name: value for name, value in many.items() if value is not None}}

    def request(self, limits: Limits, **options: Any) -> SearchRequest:
        chosen: dict[str, Any] = {
            "k": self.k,
            "engine": self.engine,
            "fields": () if self.fields is True else tuple(self.fields) if self.fields else None,
            "snippet": self.snippet,
            "explain": self.explain,
            "stats": self.stats,
        }
        forms = self.forms()
        if len(forms) == 1 and (self.queries is not None or self.vectors is not None):
            if self.weights is not None:
                raise bad_request("weights", "they change the weights of one text's terms; send 'query' with them")
            rows = [v.arrays(f"vectors.{i}") for i, v in enumerate(self.vectors or ())]
            return SearchRequest(
                index=self.index,
                texts=self.queries or [],
                vectors=rows,
                many=True,
                feedback=self.feedback,
                filter=self.filter,
                **chosen,
            ).checked(limits)
        return super().request(limits, **chosen)


class ExplainBody(QueryBody):
    """A query and the document whose score is to be explained."""

    docno: Docno


class DocumentBody(BaseModel):
    """A document: title, text and every other key are stored; the vector is, where given, what is indexed."""

    model_config = ConfigDict(extra="allow", strict=True)

    title: str = ""
    text: str = ""
    vector: Vector | None = None

    def document(self, docno: str, place: str) -> NewDocument:
        """What is written."""
        for name in ("docno", "_id", "id"):
            if name in (self.model_extra or {}):
                raise bad_request(
                    f"{place}{name}", "a document is named by 'docno' in a list, by the address alone here"
                )
        if self.vector is None:
            return NewDocument(docno=docno, title=self.title, text=self.text, fields=dict(self.model_extra or {}))
        term_ids, weights = self.vector.arrays(f"{place}vector")
        extra = dict(self.model_extra or {})
        return NewDocument(
            docno=docno, title=self.title, text=self.text, fields=extra, term_ids=term_ids, weights=weights
        )


class NamedDocument(DocumentBody):
    """A document of a list."""

    docno: Docno

    def named(self, place: str) -> NewDocument:
        """What is written."""
        return self.document(self.docno, place)


class DocumentsBody(_Body):
    """Documents to add in one commit: all or none."""

    documents: list[NamedDocument] = Field(min_length=1)
    replace: bool = Field(default=False, description="Take the place of documents of the same name.")
    index: str | None = None
    model: str | None = Field(
        default=None,
        max_length=200,
        description="Fingerprint of the model that made the vectors, as GET /indexes gives it.",
    )


class DeleteBody(_Body):
    """Documents to delete in one commit."""

    docnos: list[Docno] = Field(min_length=1)
    index: str | None = None
