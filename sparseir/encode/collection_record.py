"""What the vectors of a finished run are of, written beside them: a run that is resumed knows by it that nothing is left to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer import Documents
from indexer.interchange import Vocabulary, write_vectors
from indexer.interchange.jsonl.text import json_value
from indexer.interchange.sources import format_of
from sparseir.data.records import Document, Query
from sparseir.data.stores.tokens import DESCRIPTION, NamesDigest, tokens_folder
from sparseir.data.stores.write_tokens import TokenWriter
from sparseir.data.stores.write_tokens import publish as publish_tokens
from sparseir.data.stores.write_tokens import remove as remove_tokens
from sparseir.encode.collection_parts import CollectionOptions, shard_digest
from sparseir.errors import ConfigError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


@dataclass(frozen=True, slots=True)
class Encoded:
    """What `encode_collection` wrote.

    num_rows, nnz : of the vectors. before : an earlier run wrote them, and there was nothing to do.
    """

    num_rows: int
    nnz: int
    before: bool = False


def finished_before(
    path: Path,
    encoder: SparseEncoder,
    read: Callable[[], Iterable[Document | Query]],
    options: CollectionOptions,
    *,
    stopped: bool,
) -> Encoded | None:
    """What stands at the output, where a run that is resumed had finished; None where there is something to do.

    Parameters
    ----------
    read : gives the texts. stopped : a run was stopped between writing the output and removing its parts.

    Raises
    ------
    ConfigError : the output's ending is unknown; it exists and may not be replaced, or is of another run.
    """
    if format_of(path) is None:
        raise ConfigError(f"{path}: unknown ending; expected .jsonl, .jsonl.gz, .npz or .csr")
    if not path.exists() or options.overwrite:
        return None
    if not options.resume:
        raise ConfigError(f"{path} exists; give another output, or say --overwrite (overwrite=True), which replaces it")
    return None if stopped else _finished(path, encoder, read(), options)


def _finished(
    path: Path, encoder: SparseEncoder, documents: Iterable[Document | Query], options: CollectionOptions
) -> Encoded:
    """The vectors that stand at the output, if they are those this run would write.

    Raises
    ------
    ConfigError : they are others, or nothing says what they are.
    """
    try:
        found = json_value(record_path(path).read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object")
        rows, nnz = int(found["rows"]), int(found["nnz"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} exists, and nothing says what it was made of ({error}); give another output, or say --overwrite (overwrite=True)"
        ) from None
    wanted = describe_run(encoder, options) | {
        "texts": shard_digest(encoder, documents, options),
        "bytes": path.stat().st_size,
    }
    differing = [key for key, value in wanted.items() if found.get(key) != value]
    if options.token_vectors and not differing and not (tokens_folder(path) / DESCRIPTION).is_file():
        differing = [f"folder beside it ({tokens_folder(path).name} is gone)"]
    if differing:
        raise ConfigError(
            f"{path} is finished, with another {', '.join(differing)}; give another output, or say --overwrite (overwrite=True)"
        )
    return Encoded(rows, nnz, before=True)


def finish(
    path: Path,
    rows: Iterable[Documents],
    encoder: SparseEncoder,
    options: CollectionOptions,
    texts: str,
    tokens: TokenWriter | None = None,
    folder: Path | None = None,
) -> Encoded:
    """Write the vectors, and beside them what they are of.

    Parameters
    ----------
    texts : digest of names and texts. tokens : token vectors that were kept. folder : where they are joined.
    """
    record, names = record_path(path), NamesDigest()
    record.unlink(missing_ok=True)
    remove_tokens(path)  # of vectors that stood here
    vocabulary = Vocabulary.fixed(encoder.terms(), num_terms=encoder.num_terms)
    written = write_vectors(path, _named(rows, names), vocabulary=vocabulary)
    if tokens is not None and folder is not None:
        part = tokens.join(folder / "joined")
        about = {"encoder": encoder.fingerprint, "created": texts, "names": names.hexdigest(), **tokens.sizes}
        publish_tokens(path, folder / "joined", part, first=0, state=about, added=False)
    state = {"texts": texts, "rows": written.num_rows, "nnz": written.nnz, "bytes": path.stat().st_size}
    record.write_text(json.dumps(describe_run(encoder, options) | state) + "\n", encoding="utf-8")
    return Encoded(written.num_rows, written.nnz)


def _named(rows: Iterable[Documents], names: NamesDigest) -> Iterator[Documents]:
    for batch in rows:
        names.add(batch.docnos or ())
        yield batch


def record_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.encoded.json")


def describe_run(encoder: SparseEncoder, options: CollectionOptions) -> dict[str, Any]:
    """What the vectors of a run depend on besides the texts; equal for runs that may share parts."""
    described = {
        "encoder": encoder.fingerprint,
        "config": asdict(options.config),
        "shard": list(options.shard),
        "queries": options.queries,
    }
    return described | ({"token_vectors": True} if options.token_vectors else {})
