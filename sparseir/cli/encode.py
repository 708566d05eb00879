"""`sparseir encode`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments
from sparseir.cli.options.corpus import (
    CORPUS,
    Expansions,
    Fields,
    Format,
    check_expansions,
    checked_corpus,
    checked_fields,
)
from sparseir.cli.options.flags import Device, Quiet, Untrained

if TYPE_CHECKING:
    from sparseir.data import Document, Query


def encode_command(
    model: Annotated[str, arguments.Argument(help="Model folder or hub id.")],
    source: Annotated[
        str,
        arguments.Argument(
            metavar="INPUT", help=f"Texts: {CORPUS}; or queries; or X.npy, dense embeddings for a csr model."
        ),
    ],
    output: Annotated[Path, arguments.Option(help="Vectors to write: .jsonl[.gz], .npz or .csr.")],
    queries: Annotated[
        bool, arguments.Option("--queries", help="INPUT holds queries: BEIR JSONL, qid<TAB>text, or a collection.")
    ] = False,
    ids: Annotated[Path | None, arguments.Option(help="Names of the rows of X.npy, one a line; else X.ids.")] = None,
    form: Format = None,
    fields: Fields = None,
    expansions: Expansions = None,
    shard: Annotated[
        str | None, arguments.Option(metavar="I/N", help="Only the I-th of N parts, counted from 1.")
    ] = None,
    max_active_dims: Annotated[
        int | None, arguments.Option(min=1, help="Keep the heaviest terms of each text.")
    ] = None,
    batch_size: Annotated[int, arguments.Option(min=1, help="Texts the model sees at a time.")] = 32,
    data_dir: Annotated[Path | None, arguments.Option(help="Where BEIR names are looked for.")] = None,
    device: Device = "auto",
    untrained: Untrained = False,
    token_vectors: Annotated[
        bool,
        arguments.Option(
            "--token-vectors", help="Write the token vectors of a coil model too, into OUTPUT.tokens, for index build."
        ),
    ] = False,
    part: Annotated[int | None, arguments.Option(min=1, help="Texts that are kept as one when finished.")] = None,
    ray: Annotated[
        str | None, arguments.Option(metavar="ADDRESS", help="On a Ray cluster: HOST:PORT, auto, or local.")
    ] = None,
    workers: Annotated[int | None, arguments.Option(min=1, help="With --ray: processes; else all CPUs.")] = None,
    resume: Annotated[bool, arguments.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    overwrite: Annotated[bool, arguments.Option("--overwrite", help="Replace existing vectors.")] = False,
    quiet: Quiet = False,
) -> None:
    """Turn texts into sparse vectors.

    examples:
      sparseir encode model corpus.jsonl --output vectors.jsonl
      sparseir encode model queries.tsv --queries --output queries.npz
      sparseir encode model embeddings.npy --ids names.txt --output vectors.npz
      sparseir encode model corpus.jsonl --output vectors.npz --ray 10.0.0.1:6379 --resume
      sparseir encode coil corpus.jsonl --output vectors.npz --token-vectors
    """
    from indexer.interchange.sources import format_of
    from sparseir.cli.options.encoders import load_encoder
    from sparseir.cli.output.console import note, progress_bars
    from sparseir.cli.output.places import refuse_existing
    from sparseir.config.encode import EncodeConfig
    from sparseir.data import read_corpus
    from sparseir.encode.collection import encode_collection
    from sparseir.encode.collection_parts import CollectionOptions
    from sparseir.encode.ray_collection import encode_on_cluster

    if format_of(output) is None:
        raise arguments.BadParameter(f"--output {output}: unknown ending; expected .jsonl, .jsonl.gz, .npz or .csr")
    if not resume:
        refuse_existing(output, overwrite=overwrite)
    if source.endswith(".npy"):
        given = {
            "--format": form,
            "--fields": fields,
            "--expansions": expansions,
            "--shard": shard,
            "--part": part,
            "--ray": ray,
            "--resume": resume or None,
            "--token-vectors": token_vectors or None,
        }
        for name in (name for name, value in given.items() if value is not None):
            raise arguments.BadParameter(f"{name} is for texts; {source} holds embeddings")
        _encode_embeddings(model, Path(source), ids, output, max_active_dims, device, quiet=quiet)
        return
    if ids is not None:
        raise arguments.BadParameter("--ids names the rows of embeddings: give INPUT as X.npy")
    if token_vectors and (queries or max_active_dims is not None):
        raise arguments.BadParameter(
            "--token-vectors are of documents, with every term: no --queries, no --max-active-dims"
        )
    options = CollectionOptions(
        config=EncodeConfig(
            batch_size=batch_size, max_active_dims=max_active_dims, part_size=part or EncodeConfig().part_size
        ),
        queries=queries,
        shard=parse_shard(shard),
        resume=resume,
        overwrite=overwrite,
        token_vectors=token_vectors,
    )
    if queries and (form is not None or fields is not None or expansions is not None):
        raise arguments.BadParameter(
            "--format, --fields and --expansions are of corpora; queries are JSON lines or qid<TAB>text"
        )
    _check_cluster(ray, workers, source, queries=queries, shard=shard, device=device)
    if ray is not None and token_vectors:
        raise arguments.BadParameter(
            "--token-vectors are not written by a cluster: encode with --shard I/N, and build of the folder of all shards"
        )
    texts: Iterable[Document | Query] = (
        _queries(source, data_dir) if queries else checked_corpus(source, data_dir, form, fields, expansions=expansions)
    )
    encoder = load_encoder(model, device, untrained=untrained)
    check_expansions(encoder, expansions)
    encode = partial(encode_collection, encoder, texts, note=note)
    if ray is not None:
        opening = partial(read_corpus, _anywhere(source), data_dir, form=form, fields=checked_fields(form, fields))
        encode = partial(
            encode_on_cluster, _anywhere(model), partial(opening, expansions=expansions), address=ray, workers=workers
        )
    with progress_bars(quiet=quiet) as progress:
        written = encode(output, options=options, progress=progress)
    if written.before:
        note(f"{output} is complete: {written.num_rows:,} rows of this collection by this model; nothing to do")
        return
    note(f"{written.num_rows:,} rows, {written.nnz / max(1, written.num_rows):.1f} terms each → {output}")


def _check_cluster(
    ray: str | None, workers: int | None, source: str, *, queries: bool, shard: str | None, device: str
) -> None:
    """Refuse what a cluster cannot be asked.

    Raises
    ------
    arguments.BadParameter
    """
    if ray is None:
        if workers is not None:
            raise arguments.BadParameter("--workers are a cluster's: give its address (--ray)")
        return
    refused = {"--queries": queries, "--shard": shard is not None, "--device": device != "auto"}
    for name in (name for name, given in refused.items() if given):
        raise arguments.BadParameter(f"{name} is not for a cluster, which deals out shards of documents itself")
    if source == "-":
        raise arguments.BadParameter("a cluster reads the texts on every machine: give a file instead of -")


def _anywhere(given: str) -> str:
    """A path as workers find it, whatever folder they run in; another name as it is."""
    return str(Path(given).absolute()) if Path(given).exists() else given


def _encode_embeddings(
    model: str, source: Path, ids: Path | None, output: Path, width: int | None, device: str, *, quiet: bool
) -> None:
    """Queries and documents alike."""
    from sparseir.cli.output.console import note, progress_bars
    from sparseir.data.embeddings import Embeddings
    from sparseir.encode.embeddings import encode_embeddings
    from sparseir.models.codes import DenseCodes
    from sparseir.models.encoder import SparseEncoder

    embeddings = Embeddings.open(source, ids)  # its faults come before a model is loaded
    codes = DenseCodes(SparseEncoder.load(model, device=device))
    with progress_bars(quiet=quiet) as progress:
        written = encode_embeddings(codes, embeddings, output, max_active_dims=width, progress=progress)
    note(f"{written.num_rows:,} rows, {written.nnz / max(1, written.num_rows):.1f} terms each → {output}")


def _queries(source: str, data_dir: Path | None) -> list[Query]:
    """Those of a file, a pipe or standard input, or of a whole collection."""
    from sparseir.data import open_dataset, read_queries

    path = Path(source)
    if source == "-" or (path.exists() and not path.is_dir() and path.suffix != ".zip"):
        return read_queries(path)
    return open_dataset(source, data_dir).queries()


def parse_shard(text: str | None) -> tuple[int, int]:
    """'2/8' as (2, 8); None as (1, 1).

    Raises
    ------
    arguments.BadParameter
    """
    if text is None:
        return 1, 1
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise arguments.BadParameter(f"--shard is {text!r}; expected I/N with I from 1 to N, e.g. 2/8")
    return int(match[1]), int(match[2])
