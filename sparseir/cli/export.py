"""`sparseir index export`: an index back to vectors other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ENDINGS = ("jsonl", "jsonl.gz", "npz", "csr", "ciff", "ciff.gz")


def export_command(
    index: Annotated[Path, typer.Argument(help="Folder of the index.")],
    output: Annotated[
        Path | None, typer.Option(help="File to write; its ending says the format. Left out: INDEX.FORMAT.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help=f"One of {', '.join(ENDINGS)}.")] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="impact: the integers 1..255 an index scores with, as Lucene and PISA need. scaled: times doc_scale. "
            "stored: the float weights of an index built with stored_weights."
        ),
    ] = "impact",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that stands there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Write the documents of an index as vectors: Anserini JSONL, scipy .npz, Big-ANN .csr or CIFF."""
    from typing import cast, get_args

    from indexer import open_index
    from indexer.interchange.export import Weights, export_index
    from sparseir.cli.console import emit_json, progress_bars
    from sparseir.cli.outputs import check_output

    target = _target(index, output, form)
    if weights not in get_args(Weights):
        raise typer.BadParameter(f"--weights is {weights!r}; expected one of {', '.join(get_args(Weights))}")
    check_output(target, overwrite=overwrite)
    opened = open_index(index)
    with progress_bars() as progress:
        written = export_index(opened, target, weights=cast(Weights, weights), progress=progress)
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
        raise typer.BadParameter(f"--format is {form!r}; expected one of {', '.join(ENDINGS)}")
    if output is None:
        if form is None:
            raise typer.BadParameter("give --output FILE or --format FORMAT")
        return index.with_name(f"{index.resolve().name}.{form}")
    if not output.name.lower().endswith(tuple(f".{e}" for e in ((form,) if form else ENDINGS))):
        raise typer.BadParameter(f"{output} does not end in {f'.{form}' if form else ', '.join(ENDINGS)}")
    return output
