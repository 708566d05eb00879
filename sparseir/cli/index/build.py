"""`sparseir index build`: an index out of encoded documents or of text."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from sparseir.cli.index.source import (
    Corpus,
    DataDir,
    Device,
    IndexPath,
    Json,
    MaxActiveDims,
    Model,
    Source,
    Threads,
    Vectors,
    size,
    summary,
)


def build_command(
    index: IndexPath,
    vectors: Vectors = None,
    model: Model = None,
    corpus: Corpus = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the index, e.g. order=input; repeatable."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="standard; packed: two thirds of the bytes; compact: half, no engine that bounds blocks."),
    ] = None,
    metadata: Annotated[str | None, typer.Option(help="Comma-separated fields that searches can filter by.")] = None,
    memory_budget: Annotated[str | None, typer.Option(help="Working memory beyond the input, e.g. 2GB.")] = None,
    threads: Threads = 2,
    max_active_dims: MaxActiveDims = None,
    idf: Annotated[
        str, typer.Option(help="Query weights of an inference-free model: 'model', or 'corpus' to count them here.")
    ] = "model",
    data_dir: DataDir = None,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index that stands there.")] = False,
    json: Json = False,
) -> None:
    """Build an index from encoded documents (--vectors) or from text (--model and --corpus)."""
    from sparseir.cli.console import counted, emit_json
    from sparseir.cli.outputs import parse_bytes

    source = Source(vectors, model, corpus, data_dir, device)
    source.check(max_active_dims)
    if idf not in ("model", "corpus"):
        raise typer.BadParameter(f"--idf is {idf!r}; expected model or corpus")
    if idf == "corpus" and corpus is None:
        raise typer.BadParameter("--idf corpus counts the words of texts: give --model and --corpus, not --vectors")
    from indexer import IndexConfig
    from indexer.build import check_target
    from sparseir.config.loader import apply_overrides, build, to_mapping
    from sparseir.encode.indexing import IndexingOptions

    changes = apply_overrides({"index": to_mapping(IndexConfig())}, _settings(settings, metadata, layout))
    options = IndexingOptions(
        config=build(IndexConfig, changes["index"], source="settings of the index"),
        max_active_dims=max_active_dims,
        num_threads=threads,
        memory_budget=parse_bytes(memory_budget) or 0,
        overwrite=overwrite,
        corpus_idf=idf == "corpus",
    )
    check_target(index, overwrite)  # before minutes of encoding, not after
    built = source.fill(index, options)
    if json:
        emit_json(summary(built))
    else:
        sizes = f"{counted(built.num_docs, 'document')}, {counted(built.num_postings, 'posting')}"
        print(f"{index}: {sizes}, {size(built) / 1e6:.1f} MB")


def _settings(settings: list[str] | None, metadata: str | None, layout: str | None) -> list[str]:
    named = [] if metadata is None else [f"metadata=[{metadata}]"]
    named += [] if layout is None else [f"layout={layout}"]
    for text in settings or ():
        if not re.match(r"\s*\w+\s*=", text):
            raise typer.BadParameter(f"--set takes KEY=VALUE with a setting of the index, not {text!r}")
    return [f"index.{text}" for text in [*(settings or ()), *named]]
