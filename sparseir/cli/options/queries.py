"""What a query is asked of: an INDEX, the model that encodes the query, and filters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from sparseir.cli import arguments

IndexPath = Annotated[
    str,
    arguments.Argument(
        help="Folder of an index or of shards; or folders or addresses of all shards, joined by commas."
    ),
]
Partial = Annotated[
    bool,
    arguments.Option("--partial", help="Search without shards that are missing or do not answer, and say their share."),
]
Model = Annotated[
    str | None, arguments.Option(help="Model that encodes queries; needed where the index carries no query side.")
]
AnyModel = Annotated[
    bool, arguments.Option("--any-model", help="Search with a model other than the index was built with.")
]
Alpha = Annotated[
    float | None,
    arguments.Option(
        min=0, help="What the BM25 channel of the index counts beside the learned score; left out: as it was built."
    ),
]


def places(index: str) -> str | Path | list[str]:
    """What an INDEX names: a folder, a collection, or shards."""
    from sparseir.search.remote.addresses import is_address
    from sparseir.search.stores.places import is_store

    if is_store(index):
        return index
    if is_address(index) or ("," in index and not Path(index).exists()):
        return index.split(",")
    return Path(index)
