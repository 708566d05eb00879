"""`sparseir index query`: a text as the query of an engine that the index was exported to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from sparseir.cli import arguments
from sparseir.cli.index.export import ENGINES, Name, WeightsOption
from sparseir.cli.index.source import IndexPath, Model

if TYPE_CHECKING:
    from indexer.interchange.live import Weights


def query_command(
    index: IndexPath,
    text: Annotated[str, arguments.Argument(help="Text of a query.")],
    form: Annotated[str, arguments.Option("--format", help=f"One of {', '.join(ENGINES)}.")],
    k: Annotated[int, arguments.Option("-k", "--k", min=1, help="Hits to ask for.")] = 10,
    weights: WeightsOption = "impact",
    name: Name = None,
    model: Model = None,
) -> None:
    """Print the query of a text as another engine takes it, for an index that was exported there.

    examples:
      sparseir index query my-index "what you are looking for" --format opensearch
    """
    from indexer import open_index
    from indexer.interchange.stores import open_store
    from sparseir.search.query_encoder import open_query_encoder
    from sparseir.search.store_queries import text_query

    opened = open_index(index)
    request = text_query(
        opened,
        open_query_encoder(opened, model),
        open_store(form),
        text,
        k=k,
        weights=cast("Weights", weights),
        name=name,
    )
    print(request.removesuffix("\n"))
