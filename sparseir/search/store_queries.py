"""Text to the query of another engine that an index was exported to."""

from __future__ import annotations

from indexer import Index
from indexer.interchange.live import Weights
from indexer.interchange.stores import Layout, Store
from indexer.interchange.stores.store import check_layout
from indexer.interchange.stores.write import name_of, query_request
from indexer.interchange.vocabulary import Vocabulary
from sparseir.search.query_encoder import QueryEncoder


def text_query(
    index: Index,
    encoder: QueryEncoder,
    store: Store,
    text: str,
    *,
    k: int = 10,
    weights: Weights = "impact",
    name: str | None = None,
) -> str:
    """The query of a text as the target takes it: JSON, or SQL for pgvector.

    Parameters
    ----------
    encoder : of the index, from `open_query_encoder`; no model runs where the index carries its query side.
    weights, name : as the index was exported.

    Raises
    ------
    ConfigError : weights that the target cannot hold, or a name that it does not take.
    DataError : the text has no term that the vocabulary knows.
    """
    layout = Layout(name=name or name_of(index), weights=weights, num_terms=index.num_terms)
    check_layout(store, layout)
    vocabulary = Vocabulary.of_index(index.query_files, index.num_terms)
    return query_request(store, layout, vocabulary, *encoder.encode(text), k)
