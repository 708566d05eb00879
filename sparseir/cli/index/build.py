"""`sparseir index build`: an index out of encoded documents or of text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments
from sparseir.cli.index.source import (
    Corpus,
    DataDir,
    Json,
    Model,
    Source,
    Target,
    Threads,
    Vectors,
    size,
    summary,
)
from sparseir.cli.options.channel import Expand
from sparseir.cli.options.corpus import Expansions, Fields, Format
from sparseir.cli.options.flags import Device, MaxActiveDims, Quiet, Untrained

if TYPE_CHECKING:
    from indexer import Index
    from sparseir.encode.options import IndexingOptions
    from sparseir.search.stores.places import StorePlace


def build_command(
    index: Target,
    vectors: Vectors = None,
    model: Model = None,
    corpus: Corpus = None,
    form: Format = None,
    fields: Fields = None,
    expansions: Expansions = None,
    settings: Annotated[
        list[str] | None,
        arguments.Option(
            "--set", metavar="KEY=VALUE", help="A setting of the index, e.g. order=input or lexical.b=0.75; repeatable."
        ),
    ] = None,
    layout: Annotated[
        str | None,
        arguments.Option(
            help="standard; packed: two thirds of the bytes; compact: half, no engine that bounds blocks."
        ),
    ] = None,
    metadata: Annotated[
        str | None, arguments.Option(help="Comma-separated fields that searches can filter by.")
    ] = None,
    memory_budget: Annotated[str | None, arguments.Option(help="Working memory beyond the input, e.g. 2GB.")] = None,
    threads: Threads = 2,
    max_active_dims: MaxActiveDims = None,
    idf: Annotated[
        str, arguments.Option(help="Query weights of an inference-free model: 'model', or 'corpus' to count them here.")
    ] = "model",
    lexical: Annotated[
        bool,
        arguments.Option(
            "--lexical",
            help="Add a BM25 channel of stemmed words to the model's terms: done unless queries need the model.",
        ),
    ] = False,
    no_lexical: Annotated[bool, arguments.Option("--no-lexical", help="The model's terms alone.")] = False,
    bm25: Annotated[bool, arguments.Option("--bm25", help="Index the BM25 channel alone: texts, no model.")] = False,
    windows: Annotated[
        str | None,
        arguments.Option(
            metavar="SIZE/STEP",
            help="Index passages of so many word pieces (words with --bm25), e.g. 128/64; a document's best one counts.",
        ),
    ] = None,
    token_vectors: Annotated[
        bool,
        arguments.Option(
            "--token-vectors",
            help="Store the token vectors of a coil model beside the index, for search --rerank exact; with --vectors, theirs.",
        ),
    ] = False,
    shards: Annotated[
        int | None,
        arguments.Option(min=1, help="Build so many shards, to be searched as one index, also from several machines."),
    ] = None,
    language: Annotated[
        str | None, arguments.Option(help="Language of its stemmer, e.g. german; none leaves words as they are.")
    ] = None,
    expand: Expand = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    untrained: Untrained = False,
    overwrite: Annotated[bool, arguments.Option("--overwrite", help="Replace an index that stands there.")] = False,
    resume: Annotated[
        bool,
        arguments.Option(
            "--resume", help="Go on where a build from text with a model was stopped; needs the same input."
        ),
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Build an index from vectors (--vectors, texts: --corpus) or from text (--corpus with --model or --bm25).

    examples:
      sparseir index build words --bm25 --corpus corpus.jsonl
      sparseir index build words --bm25 --corpus corpus.jsonl --expand all-MiniLM-L6-v2
      sparseir index build my-index --model model --corpus corpus.jsonl --metadata year,lang
      sparseir index build my-index --vectors vectors.jsonl
      sparseir index build milvus://localhost:19530/words --bm25 --corpus corpus.jsonl
      sparseir index build coil-index --model coil --corpus corpus.jsonl --token-vectors
      sparseir index build coil-index --model coil --vectors vectors.npz --token-vectors
      sparseir index build my-shards --vectors vectors.jsonl --shards 8
    """
    from sparseir.cli.output.console import emit_json
    from sparseir.cli.output.places import parse_bytes

    source = Source(
        vectors, model, corpus, data_dir, device, quiet, untrained, form=form, fields=fields, expansions=expansions
    )
    source.check(max_active_dims, bm25=bm25)
    _check_texts(
        source, bm25=bm25, lexical=lexical, resume=resume and not index.startswith("milvus:"), windows=windows, idf=idf
    )
    if lexical and no_lexical:
        raise arguments.BadParameter("--lexical and --no-lexical contradict each other")
    from sparseir.cli.index.settings import index_settings
    from sparseir.cli.options.channel import channel_settings
    from sparseir.data.passages import Windows
    from sparseir.encode.options import IndexingOptions
    from sparseir.search.stores.places import target

    given = _settings(settings, metadata, layout)
    # Pruning would take words for the lightest terms; who asks for it, and not for the channel, does without.
    by_default = vectors is None and model is not None and not (lexical or no_lexical) and not _prunes(given)
    source = replace(source, lexical_by_default=by_default)
    with arguments.usage():
        given = channel_settings(given, language, expand)
        config, channel = index_settings(given, wanted=lexical or bm25 or by_default)
        passages = None if windows is None else Windows.parse(windows)
    options = IndexingOptions(
        config=config,
        lexical=channel,
        windows=passages,
        max_active_dims=max_active_dims,
        num_threads=threads,
        memory_budget=parse_bytes(memory_budget) or 0,
        overwrite=overwrite,
        corpus_idf=idf == "corpus",
        shards=shards,
        resume=resume,
        token_vectors=token_vectors or None,
    )
    if token_vectors and (model is None or bm25 or index.startswith("milvus:")):
        raise arguments.BadParameter(
            "--token-vectors stores what a coil model gives tokens beside an index folder: give --model, and --corpus or --vectors"
        )
    place = target(index)
    _check_target(place, options)  # before minutes of encoding, not after
    built = source.fill(place, options)
    if json:
        emit_json(summary(built))
    else:
        print(f"{index}: {_described(built, options)}")


def _check_texts(source: Source, *, bm25: bool, lexical: bool, resume: bool, windows: str | None, idf: str) -> None:
    """Refuse what is made of texts where none are encoded."""
    texts = source.corpus is not None and source.vectors is None
    if lexical and (bm25 or not texts):
        raise arguments.BadParameter(
            "--lexical counts the words of texts beside a model's terms: give --model and --corpus"
        )
    if resume and source.vectors is not None:
        raise arguments.BadParameter(
            "--resume goes on encoding texts: give --corpus INPUT, and --model or --bm25, not --vectors"
        )
    if windows is not None and not texts:
        raise arguments.BadParameter("--windows cuts texts: give --corpus INPUT, and --model or --bm25, not --vectors")
    if idf not in ("model", "corpus"):
        raise arguments.BadParameter(f"--idf is {idf!r}; expected model or corpus")
    if idf == "corpus" and not texts:
        raise arguments.BadParameter("--idf corpus counts the words of texts: give --model and --corpus, not --vectors")


def _check_target(index: Path | StorePlace, options: IndexingOptions) -> None:
    from indexer import build, shard_build

    if not isinstance(index, Path):
        from sparseir.encode import collection_load as load

        load.check_target(index, options)
    elif options.shards is None:
        build.check_target(index, options.overwrite)
    else:
        shard_build.check_shards(options.shards, options.config)
        shard_build.check_target(index, options.overwrite)


def _described(built: Index, options: IndexingOptions) -> str:
    """The sizes of what was built, for a person."""
    from sparseir.cli.output.console import counted

    documents = counted(built.num_docs, "passage" if options.windows else "document")
    where = "" if options.shards is None else f" in {counted(options.shards, 'shard')}"
    sizes = f", {size(built) / 1e6:.1f} MB" if built.path.exists() else " in the collection"
    return f"{documents}, {counted(built.num_postings, 'posting')}{where}{sizes}"


def _prunes(settings: list[str]) -> bool:
    return any(text.lstrip().startswith("index.prune_") for text in settings)


def _settings(settings: list[str] | None, metadata: str | None, layout: str | None) -> list[str]:
    named = [] if metadata is None else [f"metadata=[{metadata}]"]
    named += [] if layout is None else [f"layout={layout}"]
    for text in settings or ():
        if not re.match(r"\s*(lexical\.)?\w+\s*=", text):
            raise arguments.BadParameter(f"--set takes KEY=VALUE with a setting of the index, not {text!r}")
    return [text if text.lstrip().startswith("lexical.") else f"index.{text}" for text in [*(settings or ()), *named]]
