"""`sparseir index …`: build, change and look at an index."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from indexer import Index
    from sparseir.encode.indexing import IndexingOptions
    from sparseir.models.encoder import SparseEncoder

app = typer.Typer(help="Build, change and look at an index.", no_args_is_help=True)

IndexPath = Annotated[Path, typer.Argument(help="Folder of the index.")]
Vectors = Annotated[Path | None, typer.Option(help="Encoded documents: .jsonl[.gz], .npz, .csr, .ciff.")]
Model = Annotated[str | None, typer.Option(help="Encoder of the documents: model folder or hub id.")]
Corpus = Annotated[
    str | None, typer.Option(help="Documents to encode: BEIR folder, zip or name, or corpus.jsonl[.gz].")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.command("build")
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
    threads: Annotated[int, typer.Option(min=1, help="Threads of the build.")] = 2,
    max_active_dims: Annotated[
        int | None, typer.Option(min=1, help="Keep the heaviest terms of each document.")
    ] = None,
    idf: Annotated[
        str, typer.Option(help="Query weights of an inference-free model: 'model', or 'corpus' to count them here.")
    ] = "model",
    data_dir: Annotated[Path | None, typer.Option(help="Where BEIR names are looked for.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda, for encoding.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index that stands there.")] = False,
    json: Json = False,
) -> None:
    """Build an index from encoded documents (--vectors) or from text (--model and --corpus)."""
    from sparseir.cli.console import counted, emit_json
    from sparseir.cli.outputs import parse_bytes

    _check_source(vectors, model, corpus, max_active_dims)
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
    built = _fill(index, _Source(vectors, model, corpus, data_dir, device), options)
    if json:
        emit_json(_summary(built))
    else:
        sizes = f"{counted(built.num_docs, 'document')}, {counted(built.num_postings, 'posting')}"
        print(f"{index}: {sizes}, {_size(built) / 1e6:.1f} MB")


@app.command("add")
def add_command(
    index: IndexPath,
    vectors: Vectors = None,
    model: Model = None,
    corpus: Corpus = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace documents whose name the index has already.")
    ] = False,
    max_active_dims: Annotated[
        int | None, typer.Option(min=1, help="Keep the heaviest terms of each document.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the build.")] = 2,
    data_dir: Annotated[Path | None, typer.Option(help="Where BEIR names are looked for.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda, for encoding.")] = "auto",
    json: Json = False,
) -> None:
    """Add documents to an index, as one atomic commit."""
    from indexer import open_index
    from sparseir.cli.console import counted, emit_json
    from sparseir.encode.indexing import IndexingOptions

    _check_source(vectors, model, corpus, max_active_dims)
    before = open_index(index).num_docs
    options = IndexingOptions(
        max_active_dims=max_active_dims, num_threads=threads, mode="replace" if replace else "add"
    )
    built = _fill(index, _Source(vectors, model, corpus, data_dir, device), options)
    if json:
        emit_json(_summary(built))
    else:
        print(f"{index}: {before:,} → {built.num_docs:,} documents in {counted(len(built.segments), 'segment')}")


@dataclass(frozen=True, slots=True)
class _Source:
    """Where documents come from."""

    vectors: Path | None
    model: str | None
    corpus: str | None
    data_dir: Path | None
    device: str


def _check_source(vectors: Path | None, model: str | None, corpus: str | None, max_active_dims: int | None) -> None:
    if (vectors is None) == (corpus is None) or (corpus is not None and model is None):
        raise typer.BadParameter(
            "give --vectors FILE (with --model MODEL to take its query side along), or --model MODEL and --corpus INPUT"
        )
    if vectors is not None and max_active_dims is not None:
        raise typer.BadParameter(
            "--max-active-dims is for encoding; of vectors, build keeps N terms by --set prune_terms=N"
        )


def _fill(index: Path, source: _Source, options: IndexingOptions) -> Index:
    from sparseir.cli.console import note, progress_bars
    from sparseir.encode.indexing import index_documents, index_vectors

    encoder = _encoder(source.model, source.device)
    with progress_bars() as progress:
        if source.vectors is not None:
            built = index_vectors(index, source.vectors, options=options, encoder=encoder, progress=progress)
        else:
            from sparseir.data import read_corpus

            assert source.corpus is not None
            assert encoder is not None
            documents = read_corpus(source.corpus, source.data_dir)
            built = index_documents(index, encoder, documents, options=options, progress=progress).index
    for line in built.notes:
        note(line)
    return built


def _settings(settings: list[str] | None, metadata: str | None, layout: str | None) -> list[str]:
    named = [] if metadata is None else [f"metadata=[{metadata}]"]
    named += [] if layout is None else [f"layout={layout}"]
    for text in settings or ():
        if not re.match(r"\s*\w+\s*=", text):
            raise typer.BadParameter(f"--set takes KEY=VALUE with a setting of the index, not {text!r}")
    return [f"index.{text}" for text in [*(settings or ()), *named]]


def _encoder(model: str | None, device: str) -> SparseEncoder | None:
    if model is None:
        return None
    from sparseir.models.encoder import SparseEncoder

    return SparseEncoder.load(model, device=device)


def _summary(built: Index) -> dict[str, object]:
    return {
        "index": str(built.path),
        "documents": built.num_docs,
        "postings": built.num_postings,
        "bytes": _size(built),
    }


def _size(built: Index) -> int:
    return sum(f.stat().st_size for f in built.path.rglob("*") if f.is_file())
