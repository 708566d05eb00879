"""Components for Haystack: a retriever, and embedders of texts and documents."""

# No `from __future__ import annotations`: Haystack reads the types of a component's inputs when its class is made.

from dataclasses import replace
from typing import Any

from sparseir.errors import MissingExtraError
from sparseir.integrations.sources import fed, indices_and_values, loaded, searched, text_and_metadata

try:
    from haystack import Document, component
    from haystack.dataclasses import SparseEmbedding
except ModuleNotFoundError as error:
    raise MissingExtraError("haystack-ai", "haystack", __name__) from error


@component
class SparseIRRetriever:
    """Retrieves from an index of this package; opened at the first query or by `warm_up`.

    Documents have the docno as id, the stored text as content, the score, and docno and the other stored fields as meta.

    Parameters
    ----------
    index : folder. top_k : documents a query. filter : which documents may be found, an expression (docs/filters.md).
    engine : of the searches. model : encodes queries where the index carries no query side.
    feedback : hits whose words a second search adds to the query (docs/feedback.md); 0 for none.
    """

    def __init__(
        self,
        index: str,
        top_k: int = 10,
        filter: str | None = None,
        engine: str = "auto",
        model: str | None = None,
        feedback: int = 0,
    ) -> None:
        fed(feedback)
        self.index, self.top_k, self.filter, self.engine, self.model = str(index), top_k, filter, engine, model
        self.feedback = feedback
        self._searcher: Any = None

    def warm_up(self) -> None:
        """Open the index."""
        if self._searcher is None:
            self._searcher = searched(self.index, engine=self.engine, model=self.model)

    @component.output_types(documents=list[Document])
    def run(self, query: str, top_k: int | None = None, filter: str | None = None) -> dict[str, list[Document]]:
        """The best documents for a query.

        Parameters
        ----------
        top_k, filter : in place of the component's own.
        """
        self.warm_up()
        hits = self._searcher.search(
            query,
            self.top_k if top_k is None else top_k,
            filter=self.filter if filter is None else filter,
            feedback=fed(self.feedback),
        )
        documents = []
        for text, data in map(text_and_metadata, hits):
            score = data.pop("score")
            documents.append(Document(id=data["docno"], content=text, meta=data, score=score))
        return {"documents": documents}


@component
class SparseIRTextEmbedder:
    """The vector of a query.

    Parameters
    ----------
    model : folder or hub id. device : auto, cpu or cuda.
    """

    def __init__(self, model: str, device: str = "auto") -> None:
        self.model, self.device = str(model), device
        self._encoder: Any = None

    def warm_up(self) -> None:
        """Load the model."""
        if self._encoder is None:
            self._encoder = loaded(self.model, self.device)

    @component.output_types(sparse_embedding=SparseEmbedding)
    def run(self, text: str) -> dict[str, SparseEmbedding]:
        """Encode a query."""
        self.warm_up()
        return {"sparse_embedding": _embedding(self._encoder.encode_queries([text]).row(0))}


@component
class SparseIRDocumentEmbedder:
    """Documents with their vectors.

    Parameters
    ----------
    model : folder or hub id. device : auto, cpu or cuda. batch_size : texts the model sees at a time.
    meta_fields_to_embed : of the meta, read before the content, with a space between: ["title"].
    """

    def __init__(
        self,
        model: str,
        device: str = "auto",
        batch_size: int = 32,
        meta_fields_to_embed: list[str] | None = None,
    ) -> None:
        self.model, self.device, self.batch_size = str(model), device, batch_size
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self._encoder: Any = None

    def warm_up(self) -> None:
        """Load the model."""
        if self._encoder is None:
            self._encoder = loaded(self.model, self.device)

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Encode documents; those given stay as they are."""
        self.warm_up()
        vectors = self._encoder.encode_documents([self._text(d) for d in documents], batch_size=self.batch_size)
        return {
            "documents": [
                replace(document, sparse_embedding=_embedding(vectors.row(i))) for i, document in enumerate(documents)
            ]
        }

    def _text(self, document: Document) -> str:
        parts = [document.meta.get(name) for name in self.meta_fields_to_embed]
        return " ".join(str(part) for part in [*parts, document.content] if part)


def _embedding(row: tuple[Any, Any]) -> SparseEmbedding:
    indices, values = indices_and_values(row)
    return SparseEmbedding(indices=indices, values=values)
