"""`sparseir index export`: an index for other tools and engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

from sparseir.cli import arguments
from sparseir.cli.index.export_engine import CheckedWith, to_engine
from sparseir.cli.index.source import IndexPath, Json, Model
from sparseir.cli.options.flags import Quiet

if TYPE_CHECKING:
    from indexer.interchange.live import Weights

ENDINGS = ("jsonl", "jsonl.gz", "npz", "csr", "ciff", "ciff.gz")
"""Of the files of vectors that export writes."""
ENGINES = ("opensearch", "opensearch-ann", "elasticsearch", "vespa", "milvus", "qdrant", "pgvector", "seismic")
"""The engines that export writes folders for, as `indexer.interchange.stores` has them."""
SITE = "web"
"""The format of a static site."""

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
        given = CheckedWith(queries, query_vectors, model) if check else None
        to_engine(index, target, form, name, cast("Weights", weights), options, given, quiet=quiet, json=json)
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
