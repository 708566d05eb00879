"""`sparseir mine`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments
from sparseir.cli.options.flags import Device, Quiet

if TYPE_CHECKING:
    from indexer.progress import Progress
    from sparseir.data.prepared.folder import Prepared
    from sparseir.mining.searches import Search

Folder = Annotated[Path, arguments.Argument(help="A folder that `sparseir data prepare` made.")]
Name = Annotated[str | None, arguments.Option(help="Of the tables; by default that of the search or the model.")]
Part = Annotated[int, arguments.Option(min=1, help="Queries of a part; finished parts outlast a stop.")]
Shard = Annotated[str | None, arguments.Option(metavar="I/N", help="Only the I-th of N shares, counted from 1.")]
MaxQueries = Annotated[int | None, arguments.Option(min=1, help="Only the first so many judged queries.")]
Resume = Annotated[bool, arguments.Option("--resume", help="Keep the parts of a run that was stopped.")]
Overwrite = Annotated[bool, arguments.Option("--overwrite", help="Replace tables of this name.")]
Expanded = Annotated[
    bool,
    arguments.Option(
        "--expanded", help="Read documents with the words of their expansions (data prepare --expansions)."
    ),
]
Json = Annotated[bool, arguments.Option("--json", help="Print the summary as one JSON object.")]


def mine_command(
    folder: Folder,
    bm25: Annotated[bool, arguments.Option("--bm25", help="Search by BM25, in an index made for it.")] = False,
    index: Annotated[
        Path | None, arguments.Option(help="Search an index of the same corpus, of any encoder of ours.")
    ] = None,
    model: Annotated[str | None, arguments.Option(help="Encodes queries for --index, where that carries none.")] = None,
    dense: Annotated[str | None, arguments.Option(metavar="MODEL", help="Search by a dense embedder, exactly.")] = None,
    depth: Annotated[int, arguments.Option(min=1, help="Hits that are looked at.")] = 100,
    skip: Annotated[int, arguments.Option(min=0, help="The first so many hits are left out.")] = 0,
    margin: Annotated[
        float | None,
        arguments.Option(help="Leave hits out that reach this share of the best positive's score, such as 0.95."),
    ] = None,
    most: Annotated[int | None, arguments.Option(min=1, help="Negatives kept of a query.")] = None,
    language: Annotated[str, arguments.Option(help="Language of the stemmer of --bm25.")] = "english",
    max_length: Annotated[int, arguments.Option(min=8, help="Tokens of a text that --dense reads.")] = 256,
    expanded: Expanded = False,
    name: Name = None,
    part: Part = 2000,
    shard: Shard = None,
    max_queries: MaxQueries = None,
    threads: Annotated[int, arguments.Option(min=1, help="Of searches and of the index build.")] = 2,
    device: Device = "auto",
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Find hard negatives for all judged queries of a prepared folder.

    examples:
      sparseir mine marco --bm25 --depth 200 --margin 0.95
      sparseir mine marco --index splade-index --model splade --name splade
      sparseir mine marco --dense sentence-transformers/all-MiniLM-L6-v2 --shard 1/4
      sparseir mine marco --bm25 --expanded
    """
    from sparseir.cli.encode import parse_shard
    from sparseir.cli.output.console import progress_bars
    from sparseir.data.prepared.expanded import expansions_mark
    from sparseir.data.prepared.folder import Prepared
    from sparseir.mining.mine import MiningFilters, mine
    from sparseir.mining.parts import PartOptions

    if sum((bm25, index is not None, dense is not None)) != 1:
        raise arguments.BadParameter("say one of --bm25, --index INDEX and --dense MODEL")
    if model is not None and index is None:
        raise arguments.BadParameter("--model encodes queries for --index INDEX")
    if expanded and index is not None:
        raise arguments.BadParameter(
            "--expanded is for --bm25 and --dense, which read the documents of the folder; an index has what it was built of"
        )
    with arguments.usage():
        filters = MiningFilters(depth=depth, skip=skip, margin=margin, most=most)
    options = PartOptions(
        size=part, shard=parse_shard(shard), max_queries=max_queries, resume=resume, overwrite=overwrite
    )
    prepared = Prepared(folder)
    with progress_bars(quiet=quiet) as progress:
        if bm25:
            from sparseir.mining.searches import bm25_search

            search: Search = bm25_search(
                prepared, num_threads=threads, language=language, expanded=expanded, progress=progress
            )
            what = f"bm25 {language}"
        elif index is not None:
            from sparseir.mining.searches import index_search

            search, what = index_search(prepared, index, model=model, num_threads=threads), f"index {index}"
        else:
            assert dense is not None
            search = _dense(prepared, dense, max_length, device, progress, expanded=expanded)
            what = f"dense {dense} {max_length}"
        what += expansions_mark(prepared) if expanded else ""
        chosen = name or table_name("bm25" if bm25 else str(index if dense is None else dense), expanded=expanded)
        pairs = mine(prepared, search, chosen, what=what, filters=filters, parts=options, progress=progress)
    show_tables(folder, chosen, pairs, as_json=json)


def _dense(
    prepared: Prepared, model: str, max_length: int, device: str, progress: Progress, *, expanded: bool
) -> Search:
    from sparseir.data.prepared.expanded import documents_of, expansions_mark
    from sparseir.mining.searches import DenseSearch
    from sparseir.models.encoder import pick_device
    from sparseir.models.networks.dense import DenseEmbedder

    embedder = DenseEmbedder(model, max_length=max_length, device=str(pick_device(device)), bf16=True)
    mark = f"-expanded-{expansions_mark(prepared).rpartition(' ')[2]}" if expanded else ""
    place = prepared.path / "indexes" / f"dense-{plain_name(model)}-{max_length}{mark}"
    return DenseSearch(documents_of(prepared, expanded=expanded), embedder, place, progress=progress)


def table_name(source: str, *, expanded: bool) -> str:
    """Of the tables of a search or a model, where none is given."""
    return plain_name(source) + ("-expanded" if expanded else "")


def plain_name(name: str) -> str:
    """The last part of a path or of a hub id."""
    return name.rstrip("/").rpartition("/")[2] or name


def show_tables(folder: Path, name: str, pairs: dict[str, int] | None, *, as_json: bool) -> None:
    """What mining or scoring has made, on stdout."""
    from sparseir.cli.output.console import emit_json, note

    if pairs is None:
        note(f"{folder}: this share of '{name}' is done; the run that finds all shares done joins them (--resume)")
    if as_json:
        emit_json({"folder": str(folder), "name": name, "complete": pairs is not None, "tables": pairs or {}})
        return
    for table, count in (pairs or {}).items():
        print(f"{folder}: {table}: {count:,} pairs")
