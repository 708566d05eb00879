"""Where the documents of `build` and `add` come from: encoded ones, or text and the model that encodes it, if any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments
from sparseir.cli.options.corpus import CORPUS

if TYPE_CHECKING:
    from indexer import Index
    from sparseir.encode.options import IndexingOptions
    from sparseir.models.encoder import SparseEncoder
    from sparseir.search.stores.places import StorePlace

IndexPath = Annotated[Path, arguments.Argument(help="Folder of the index.")]
Target = Annotated[
    str,
    arguments.Argument(
        metavar="INDEX", help="Folder of the index, or milvus://HOST:PORT/COLLECTION, or milvus://FILE.db/COLLECTION."
    ),
]
Vectors = Annotated[Path | None, arguments.Option(help="Encoded documents: .jsonl[.gz], .npz, .csr, .ciff.")]
Model = Annotated[str | None, arguments.Option(help="Encoder of the documents: model folder or hub id.")]
Corpus = Annotated[
    str | None, arguments.Option(help=f"Documents to encode, or whose texts to store beside --vectors: {CORPUS}.")
]
Threads = Annotated[int, arguments.Option(min=1, help="Threads of the build.")]
DataDir = Annotated[Path | None, arguments.Option(help="Where BEIR names are looked for.")]
Json = Annotated[bool, arguments.Option("--json", help="One JSON object.")]


@dataclass(frozen=True, slots=True)
class Source:
    """What was given of --vectors, --model, --corpus and their companions.

    lexical_by_default : nothing was said of a lexical channel, so that a model whose queries are looked up gets one.
    """

    vectors: Path | None
    model: str | None
    corpus: str | None
    data_dir: Path | None
    device: str
    quiet: bool = False
    untrained: bool = False
    form: str | None = None
    fields: str | None = None
    expansions: Path | None = None
    lexical_by_default: bool = False

    def check(self, max_active_dims: int | None, *, bm25: bool) -> None:
        """Refuse what names no source, or two.

        Parameters
        ----------
        bm25 : the index is one of words alone.

        Raises
        ------
        arguments.BadParameter
        """
        from sparseir.cli.options.corpus import checked_fields

        checked_fields(self.form, self.fields)
        given = self.vectors is not None, self.corpus is not None
        if bm25 and (self.model is not None or given != (False, True) or max_active_dims is not None):
            raise arguments.BadParameter(
                "a BM25 index is made of texts alone: give --corpus INPUT, and no --model, --vectors or --max-active-dims"
            )
        if given == (False, False) or (given == (False, True) and self.model is None and not bm25):
            raise arguments.BadParameter(
                "give --vectors FILE (with --corpus INPUT to store the texts, with --model MODEL to take its query side "
                "along), --model MODEL and --corpus INPUT, or --bm25 and --corpus INPUT"
            )
        if self.expansions is not None and (given[0] or bm25):
            raise arguments.BadParameter(
                "--expansions are read with the texts by a model: give --model and --corpus, not --vectors or --bm25"
            )
        if given[0] and max_active_dims is not None:
            raise arguments.BadParameter(
                "--max-active-dims is for encoding; of vectors, build keeps N terms by --set prune_terms=N"
            )

    def fill(self, index: Path | StorePlace, options: IndexingOptions) -> Index:
        """Write the documents into an index, with a progress bar; what the index has to say goes to stderr."""
        if isinstance(index, Path):
            return self._fill(index, options)
        from sparseir.cli.output.console import progress_bars
        from sparseir.encode import collection_load as load

        with progress_bars(quiet=self.quiet) as progress:
            if options.mode != "build":
                return load.add(index, options, self._fill, progress)
            return load.build(index, options, self._fill, progress, source=self._digest(options))

    def _digest(self, options: IndexingOptions) -> str:
        from sparseir.encode.collection_load import source_digest

        kept = replace(options, overwrite=False, resume=None, num_threads=1, memory_budget=0, embed=None)
        places = (self.vectors, self.model, self.corpus, self.expansions)
        return source_digest((kept, self.form, self.fields, self.lexical_by_default), places)

    def _fill(self, index: Path, options: IndexingOptions) -> Index:
        from sparseir.cli.options.corpus import check_expansions, checked_corpus
        from sparseir.cli.output.console import note, progress_bars
        from sparseir.encode.indexing import has_looked_up_queries, index_documents
        from sparseir.encode.vectors import index_vectors

        documents = None
        if self.corpus is not None:
            metadata = options.config.metadata if options.mode == "build" else ()
            documents = checked_corpus(
                self.corpus,
                self.data_dir,
                self.form,
                self.fields,
                metadata,
                elsewhere=self.vectors is not None,
                expansions=self.expansions,
            )
        encoder = self._encoder()
        check_expansions(encoder, self.expansions)
        if self.lexical_by_default and not has_looked_up_queries(encoder):
            options = replace(options, lexical=None)
        with progress_bars(quiet=self.quiet) as progress:
            if self.vectors is not None:
                built = index_vectors(
                    index,
                    self.vectors,
                    corpus=documents,
                    corpus_name=str(self.corpus),
                    options=options,
                    encoder=encoder,
                    progress=progress,
                )
            else:
                assert documents is not None
                built = index_documents(index, encoder, documents, options=options, progress=progress).index
        for line in built.notes:
            note(line)
        return built

    def _encoder(self) -> SparseEncoder | None:
        if self.model is None:
            return None
        from sparseir.cli.options.encoders import load_encoder

        return load_encoder(self.model, self.device, untrained=self.untrained)


def summary(built: Index) -> dict[str, object]:
    """What --json prints of an index that was written."""
    return {
        "index": str(built.path),
        "documents": built.num_docs,
        "postings": built.num_postings,
        "bytes": size(built),
    }


def size(built: Index) -> int:
    """Bytes of all files of an index."""
    return sum(f.stat().st_size for f in built.path.rglob("*") if f.is_file())
