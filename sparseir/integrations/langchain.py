"""A retriever for LangChain."""

from __future__ import annotations

from typing import Any

from sparseir.errors import MissingExtraError
from sparseir.integrations.sources import fed, searched, text_and_metadata

try:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ModuleNotFoundError as error:
    raise MissingExtraError("langchain-core", "langchain", __name__) from error


class SparseIRRetriever(BaseRetriever):
    """Retrieves from an index of this package.

        retriever = SparseIRRetriever(index="my-index", k=5)
        retriever.invoke("what you are looking for")

    Documents have the stored text as content, the docno as id, and docno, score and the other stored fields as metadata.

    Parameters
    ----------
    index : a folder, a `Searcher` or a `sparseir.Index`.
    k : documents a query. filter : which documents may be found (docs/filters.md).
    feedback : hits whose words a second search adds to the query (docs/feedback.md); 0 for none.
    """

    index: Any
    k: int = 10
    filter: Any = None
    feedback: int = 0

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        self.index = searched(self.index)
        fed(self.feedback)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **_: Any
    ) -> list[Document]:
        hits = self.index.search(query, self.k, filter=self.filter, feedback=fed(self.feedback))
        found = map(text_and_metadata, hits)
        return [Document(id=data["docno"], page_content=text, metadata=data) for text, data in found]
