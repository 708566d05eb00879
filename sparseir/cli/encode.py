"""`sparseir encode`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments as typer

if TYPE_CHECKING:
    from sparseir.data import Document, Query


def encode_command(
    model: Annotated[str, typer.Argument(help="Model folder or hub id.")],
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="BEIR folder, zip or name, corpus.jsonl[.gz]; or queries.")
    ],
    output: Annotated[Path, typer.Option(help="Vectors to write: .jsonl[.gz], .npz or .csr.")],
    queries: Annotated[
        bool, typer.Option("--queries", help="INPUT holds queries: BEIR JSONL, qid<TAB>text, or a collection.")
    ] = False,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Only the I-th of N parts, counted from 1.")] = None,
    max_active_dims: Annotated[int | None, typer.Option(min=1, help="Keep the heaviest terms of each text.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts the model sees at a time.")] = 32,
    data_dir: Annotated[Path | None, typer.Option(help="Where BEIR names are looked for.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing vectors.")] = False,
) -> None:
    """Turn texts into sparse vectors.

    examples:
      sparseir encode model corpus.jsonl --output vectors.jsonl
      sparseir encode model queries.tsv --queries --output queries.npz
    """
    from indexer.interchange.sources import format_of
    from sparseir.cli.console import note, progress_bars
    from sparseir.config.encode import EncodeConfig
    from sparseir.encode.collection import CollectionOptions, encode_collection
    from sparseir.models.encoder import SparseEncoder

    if format_of(output) is None:
        raise typer.BadParameter(f"--output {output}: unknown ending; expected .jsonl, .jsonl.gz, .npz or .csr")
    options = CollectionOptions(
        config=EncodeConfig(batch_size=batch_size, max_active_dims=max_active_dims),
        queries=queries,
        shard=parse_shard(shard),
        resume=resume,
        overwrite=overwrite,
    )
    texts = _texts(source, data_dir, queries=queries)
    with progress_bars() as progress:
        written = encode_collection(
            SparseEncoder.load(model, device=device), texts, output, options=options, progress=progress
        )
    note(f"{written.num_rows:,} rows, {written.nnz / max(1, written.num_rows):.1f} terms each → {output}")


def _texts(source: str, data_dir: Path | None, *, queries: bool) -> Iterable[Document | Query]:
    """Documents of a corpus, streaming; or queries, of a file of queries or of a whole collection."""
    from sparseir.data import open_dataset, read_corpus, read_queries

    if not queries:
        return read_corpus(source, data_dir)
    path = Path(source)
    if path.is_file() and path.suffix != ".zip":
        return read_queries(path)
    return open_dataset(source, data_dir).queries()


def parse_shard(text: str | None) -> tuple[int, int]:
    """'2/8' as (2, 8); None as (1, 1).

    Raises
    ------
    typer.BadParameter
    """
    if text is None:
        return 1, 1
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise typer.BadParameter(f"--shard is {text!r}; expected I/N with I from 1 to N, e.g. 2/8")
    return int(match[1]), int(match[2])
