"""Our systems for other people's evaluations: beir's EvaluateRetrieval and mteb. Neither package is imported here
before mteb asks for a description."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseir.config.lexical import LexicalConfig
from sparseir.data.records import Document
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.errors import DataError
from sparseir.search.query_encoder import ModelQueryEncoder
from sparseir.search.runs import Run, run_of
from sparseir.search.searcher import Searcher

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


class CorpusSearch:
    """A corpus in a temporary index, which is dropped with the object or replaced by the next corpus.

    Parameters
    ----------
    encoder : None for BM25 over stems, which needs no model.
    lexical : index a BM25 channel beside the encoder's terms.
    corpus_idf : weigh an inference-free encoder's query terms by their idf in the corpus.
    """

    def __init__(
        self, encoder: SparseEncoder | None = None, *, lexical: bool = False, corpus_idf: bool = False
    ) -> None:
        self.encoder = encoder
        self._options = IndexingOptions(
            overwrite=True, corpus_idf=corpus_idf, lexical=LexicalConfig() if lexical and encoder is not None else None
        )
        self._drop: Callable[[], object] = lambda: None
        self._searcher: Searcher | None = None

    def index_documents(self, documents: Iterable[Document]) -> None:
        """Encode and index a corpus."""
        self._drop()
        folder = tempfile.mkdtemp(prefix="sparseir-corpus-")
        self._drop = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        path = Path(folder) / "index"
        index_documents(path, self.encoder, documents, options=self._options)
        learned = None
        if self.encoder is not None and self.encoder.query_table is None:
            learned = ModelQueryEncoder(self.encoder)
        self._searcher = Searcher.open(path, model=learned)

    def run(self, qids: Sequence[str], texts: Sequence[str], k: int) -> Run:
        """The k best documents of each query, scores strictly decreasing.

        Raises
        ------
        DataError : no corpus was indexed.
        """
        if self._searcher is None:
            raise DataError("no corpus is indexed yet")
        hits = self._searcher.search_vectors(self._searcher.encode_queries(list(texts)), k)
        return run_of(qids, *self._searcher.named(hits))


class BeirSearch(CorpusSearch):
    """For `beir.retrieval.evaluation.EvaluateRetrieval(BeirSearch(encoder), score_function="dot")`.

    Its `evaluate` leaves queries without a hit out of the mean; here they are among the results, with no hits.
    """

    def search(
        self,
        corpus: Mapping[str, Mapping[str, str]],
        queries: Mapping[str, str],
        top_k: int,
        score_function: str = "dot",
        **_: Any,
    ) -> Run:
        """qid → docno → score. The scores are inner products whatever `score_function` says.

        Parameters
        ----------
        corpus : docno → {"title", "text"}. queries : qid → text.
        """
        self.index_documents(
            Document(docno, document.get("text", ""), document.get("title") or "") for docno, document in corpus.items()
        )
        return self.run(list(queries), list(queries.values()), top_k)


class MtebSearch(CorpusSearch):
    """mteb's SearchProtocol: `mteb.evaluate(MtebSearch(encoder, name="me/my-model"), tasks)`.

    Parameters
    ----------
    name : of the model in mteb's results, organisation/model.
    """

    def __init__(self, encoder: SparseEncoder | None = None, *, name: str = "sparseir/bm25", **options: Any) -> None:
        super().__init__(encoder, **options)
        self._name = name

    def index(self, corpus: Iterable[Mapping[str, Any]], **_: Any) -> None:
        """Index the rows of a task's corpus, {"id", "title", "text"}."""
        self.index_documents(Document(str(row["id"]), row["text"], row.get("title") or "") for row in corpus)

    def search(self, queries: Iterable[Mapping[str, Any]], *, top_k: int, **_: Any) -> Run:
        """qid → docno → score of a task's queries, {"id", "text"}."""
        rows = list(queries)
        return self.run([str(row["id"]) for row in rows], [row["text"] for row in rows], top_k)

    @property
    def mteb_model_meta(self) -> Any:
        """What mteb writes down about the model."""
        from mteb.models.model_meta import ModelMeta

        return ModelMeta.create_empty({"name": self._name, "revision": "1"})
