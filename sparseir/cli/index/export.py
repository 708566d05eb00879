"""`sparseir index export | query`: an index for other tools and engines, and queries for those engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

from sparseir.cli import arguments
from sparseir.cli.index.source import IndexPath, Json, Model
from sparseir.cli.options.flags import Quiet

if TYPE_CHECKING:
    from indexer import Index, SparseVectors
    from indexer.interchange.live import Weights
    from indexer.interchange.stores.write import Exported
    from sparseir.search.store_check import StoreCheck

ENDINGS = ("jsonl", "jsonl.gz", "npz", "csr", "ciff", "ciff.gz")
"""Of the files of vectors that export writes."""
ENGINES = ("opensearch", "opensearch-ann", "elasticsearch", "vespa", "milvus", "qdrant", "pgvector", "seismic")
"""The engines that export writes folders for, as `indexer.interchange.stores` has them."""
SITE = "web"
"""The format of a static site."""
_CHECKED = 1000

WeightsOption = Annotated[
    str,
    arguments.Option(
        help="impact: the integers 1..255 an index scores with, which every target holds exactly. scaled: times doc_scale. "
        "stored: the float weights of an index built with stored_weights."
    ),
]
Name = Annotated[
    str | None,
    arguments.Option(help="Name of the index, collection or table there; left out, that of the index's folder."),
]


def export_command(
    index: IndexPath,
    output: Annotated[
        Path | None,
        arguments.Option(help="File, whose ending says the format, or folder to write. Left out: INDEX.FORMAT."),
    ] = None,
    form: Annotated[
        str | None,
        arguments.Option(
            "--format", help=f"Vectors: {', '.join(ENDINGS)}. For an engine: {', '.join(ENGINES)}. {SITE}: a site."
        ),
    ] = None,
    weights: WeightsOption = "impact",
    name: Name = None,
    file_size: Annotated[
        str | None, arguments.Option(help="Engines: largest bulk file, e.g. 16MB; left out, what suits the engine.")
    ] = None,
    ceiling: Annotated[
        float | None,
        arguments.Option(help="opensearch-ann: the weight that a byte's 255 means; left out, the largest."),
    ] = None,
    lossy: Annotated[
        bool, arguments.Option("--lossy", help="Engines: write what the engine would rank otherwise, too.")
    ] = False,
    check: Annotated[
        bool,
        arguments.Option(
            "--check", help="Engines: read the export back and compare its rankings with those of the index."
        ),
    ] = False,
    queries: Annotated[
        Path | None, arguments.Option(help="Texts to check with; left out, queries made from documents.")
    ] = None,
    query_vectors: Annotated[Path | None, arguments.Option(help="Encoded queries to check with.")] = None,
    model: Model = None,
    overwrite: Annotated[bool, arguments.Option("--overwrite", help="Replace an export that stands there.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write an index as vectors (JSONL, .npz, .csr, CIFF), as a folder that another engine loads, or as a site.

    examples:
      sparseir index export my-index --output vectors.jsonl
      sparseir index export my-index --format opensearch --check
      sparseir index export my-index --format web --output site
    """
    from indexer.interchange.live import Weights

    if weights not in get_args(Weights):
        raise arguments.BadParameter(f"--weights is {weights!r}; expected one of {', '.join(get_args(Weights))}")
    if form in ENGINES:
        if (queries or query_vectors) and not check:
            raise arguments.BadParameter(
                "--queries and --query-vectors are what --check compares rankings with: say --check"
            )
        if queries and query_vectors:
            raise arguments.BadParameter("give --queries or --query-vectors")
        target = output or index.with_name(f"{index.resolve().name}.{form}")
        options = {"ceiling": ceiling, "lossy": lossy, "file_bytes": _bytes(file_size), "overwrite": overwrite}
        given = _CheckedWith(queries, query_vectors, model) if check else None
        _to_engine(index, target, form, name, cast("Weights", weights), options, given, quiet=quiet, json=json)
        return
    if form == SITE:
        if check or lossy or file_size or ceiling or queries or query_vectors or model or weights != "impact":
            raise arguments.BadParameter(f"--format {SITE} takes --output, --name and --overwrite alone")
        _to_site(index, output or index.with_name(f"{index.resolve().name}.{SITE}"), name, overwrite, quiet, json)
        return
    if check or lossy or name or file_size or ceiling or queries or query_vectors or model:
        raise arguments.BadParameter(
            f"--check, --lossy, --name, --file-size, --ceiling, --queries, --query-vectors and --model are for engines: "
            f"--format {', '.join(ENGINES)}"
        )
    _to_vectors(
        index, _target(index, output, form), cast("Weights", weights), overwrite=overwrite, quiet=quiet, json=json
    )


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


def _to_site(index: Path, target: Path, name: str | None, overwrite: bool, quiet: bool, json: bool) -> None:
    from dataclasses import asdict

    from indexer import open_index
    from sparseir.cli.output.console import counted, emit_json, progress_bars
    from sparseir.cli.output.places import clear_folder, refuse_existing
    from sparseir.static.writer import check_site, write_site

    refuse_existing(target, overwrite=overwrite)
    opened = open_index(index)
    check_site(opened)
    clear_folder(target, overwrite=overwrite)
    with progress_bars(quiet=quiet) as progress:
        written = write_site(opened, target, name=name, progress=progress)
    if json:
        emit_json({**asdict(written), "path": str(target)})
    else:
        sizes = f"{counted(written.documents, 'document')}, {counted(written.postings, 'posting')}"
        first = f"{written.first_bytes / 1e3:,.0f} kB of them before the first query"
        print(f"{target}: {sizes}, {counted(written.files, 'file')}, {written.bytes / 1e6:.1f} MB, {first}")


class _CheckedWith:
    """Where the queries of a check come from."""

    def __init__(self, texts: Path | None, vectors: Path | None, model: str | None) -> None:
        self._texts, self._vectors, self._model = texts, vectors, model

    def load(self, index: Index) -> tuple[SparseVectors, str]:
        """At most _CHECKED queries, and what they are called."""
        from indexer import SparseVectors
        from sparseir.search.batches import text_batches, vector_batches
        from sparseir.search.calibration.pseudo_queries import LONG_FROM, pseudo_queries, shape_of
        from sparseir.search.cpu import open_native
        from sparseir.search.searcher import Searcher

        path = self._texts or self._vectors
        if path is None:
            return pseudo_queries(index, open_native(index), shape_of(index, LONG_FROM), _CHECKED), "pseudo-queries"
        searcher = Searcher.open(index.path, model=self._model)
        batches = text_batches(searcher, path) if self._texts else vector_batches(searcher, path)
        parts: list[SparseVectors] = []
        for _, vectors in batches:
            parts.append(vectors)
            if sum(map(len, parts)) >= _CHECKED:
                break
        joined = SparseVectors.concatenate(parts) if parts else SparseVectors.empty(0, index.num_terms)
        return joined.slice(0, min(_CHECKED, len(joined))), "queries"


def _to_engine(
    index: Path,
    target: Path,
    form: str,
    name: str | None,
    weights: Weights,
    options: dict[str, Any],
    given: _CheckedWith | None,
    *,
    quiet: bool,
    json: bool,
) -> None:
    from indexer import open_index
    from indexer.interchange.stores import Layout, open_store
    from indexer.interchange.stores.write import export_store, name_of
    from sparseir.cli.output.console import note, progress_bars
    from sparseir.search.store_check import check_export

    store, opened = open_store(form), open_index(index)
    layout = Layout(name=name or name_of(opened), weights=weights)
    asked = given.load(opened) if given else None  # before the work: queries that cannot be read are refused at once
    with progress_bars(quiet=quiet) as progress:
        written = export_store(opened, target, store, layout, progress=progress, **options)
        for finding in written.findings:
            note(str(finding))
        checked = check_export(opened, target, store, asked[0], progress=progress) if asked else None
    _report(written, checked, asked[1] if asked else "", json=json)


def _report(written: Exported, checked: StoreCheck | None, called: str, *, json: bool) -> None:
    from dataclasses import asdict

    from sparseir.cli.output.console import counted, emit_json
    from sparseir.errors import SparseIRError

    if json:
        emit_json(
            {
                "output": str(written.path),
                "format": written.store,
                "documents": written.documents,
                "postings": written.postings,
                "files": written.files,
                "bytes": written.bytes,
                "findings": [asdict(finding) for finding in written.findings],
                "check": asdict(checked) if checked else None,
            }
        )
    else:
        sizes = f"{counted(written.documents, 'document')}, {counted(written.postings, 'posting')}"
        print(f"{written.path}: {sizes}, {counted(written.files, 'file')}, {written.bytes / 1e6:.1f} MB")
    if checked is None:
        return
    if not json:
        print(
            f"check: {checked.queries:,} {called}, overlap@{checked.k} {checked.overlap:.4f}, rankings and scores bit-equal "
            f"for {checked.equal:,}" + (f" of the {checked.must_equal:,} that must be" if checked.must_equal else "")
        )
    if checked.failed:
        raise SparseIRError(
            f"{written.path}: {len(checked.failed):,} of {checked.must_equal:,} queries rank otherwise than the index, first "
            f"number {checked.failed[0]}; do not load this export, and report it"
        )


def _bytes(text: str | None) -> int | None:
    from sparseir.cli.output.places import parse_bytes

    return parse_bytes(text)


def _to_vectors(index: Path, target: Path, weights: Weights, *, overwrite: bool, quiet: bool, json: bool) -> None:
    from indexer import open_index
    from indexer.interchange.export import export_index
    from sparseir.cli.output.console import emit_json, progress_bars
    from sparseir.cli.output.places import check_output

    check_output(target, overwrite=overwrite)
    opened = open_index(index)
    with progress_bars(quiet=quiet) as progress:
        written = export_index(opened, target, weights=weights, progress=progress)
    if json:
        emit_json(
            {
                "output": str(target),
                "documents": written.num_rows,
                "postings": written.nnz,
                "weights": weights,
                "doc_scale": opened.doc_scale,
            }
        )
    else:
        scale = f"; weight = impact * {opened.doc_scale!r}" if weights == "impact" else ""
        print(f"{target}: {written.num_rows:,} documents, {written.nnz:,} postings{scale}")


def _target(index: Path, output: Path | None, form: str | None) -> Path:
    if form is not None and form not in ENDINGS:
        raise arguments.BadParameter(f"--format is {form!r}; expected one of {', '.join((*ENDINGS, *ENGINES, SITE))}")
    if output is None:
        if form is None:
            raise arguments.BadParameter("give --output FILE or --format FORMAT")
        return index.with_name(f"{index.resolve().name}.{form}")
    if not output.name.lower().endswith(tuple(f".{e}" for e in ((form,) if form else ENDINGS))):
        raise arguments.BadParameter(f"{output} does not end in {f'.{form}' if form else ', '.join(ENDINGS)}")
    return output
