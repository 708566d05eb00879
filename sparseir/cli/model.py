"""`sparseir model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from sparseir.cli import arguments
from sparseir.cli.options.flags import Quiet

app = arguments.Group(help="Take models elsewhere, and look at them closely.")


@app.command("export")
def export_command(
    model: Annotated[str, arguments.Argument(help="Model folder or hub id.")],
    output: Annotated[Path, arguments.Option(help="File to write, ending in .onnx.")],
    overwrite: Annotated[bool, arguments.Option("--overwrite", help="Replace a file that stands there.")] = False,
) -> None:
    """Write the document encoder as one ONNX graph: token ids and mask in, term weights out.

    examples:
      sparseir model export model --output document.onnx
    """
    from sparseir.cli.output.console import note
    from sparseir.cli.output.places import check_output
    from sparseir.models.encoder import SparseEncoder
    from sparseir.models.onnx_export import export_onnx

    if output.suffix != ".onnx":
        raise arguments.BadParameter(f"--output {output}: expected a name that ends in .onnx")
    check_output(output, overwrite=overwrite)
    written = export_onnx(SparseEncoder.load(model, device="cpu"), output)
    note(f"{written}: input_ids and attention_mask (batch, tokens) → weights (batch, terms)")


@app.command("widths")
def widths_command(
    model: Annotated[str, arguments.Argument(help="Model folder of the kind csr.")],
    dataset: Annotated[str, arguments.Argument(help="BEIR folder, zip or name.")],
    widths: Annotated[
        str, arguments.Option(help="Comma-separated: latents a text, and dimensions of what it is held against.")
    ] = "4,8,16,32,64,128",
    split: Annotated[str, arguments.Option(help="Which judgements: qrels/<split>.tsv.")] = "test",
    embeddings: Annotated[
        Path | None, arguments.Option(help="X.npy of the documents, names in X.ids; else the model's base embeds them.")
    ] = None,
    query_embeddings: Annotated[Path | None, arguments.Option(help="X.npy of the queries, names in X.ids.")] = None,
    data_dir: Annotated[Path | None, arguments.Option(help="Where BEIR names are looked for.")] = None,
    device: Annotated[str, arguments.Option(help="auto, cpu or cuda.")] = "auto",
    quiet: Quiet = False,
    json: Annotated[bool, arguments.Option("--json", help="One JSON object a row.")] = False,
) -> None:
    """Judge one csr model at several widths, beside its dense embeddings whole, cut to their first dimensions and by PCA.

    examples:
      sparseir model widths model path/to/beir-folder
      sparseir model widths model path/to/beir-folder --widths 16,32
    """
    from sparseir.cli.output.console import counted, emit_json, print_table, progress_bars
    from sparseir.data import open_dataset
    from sparseir.data.embeddings import Embeddings
    from sparseir.evaluate.judged import JudgedCollection
    from sparseir.evaluate.report.rows import table
    from sparseir.evaluate.widths import evaluate_widths
    from sparseir.models.encoder import SparseEncoder

    try:
        wanted = [int(width) for width in widths.split(",")]
    except ValueError:
        raise arguments.BadParameter(f"--widths is {widths!r}; expected numbers between commas, e.g. 8,32") from None
    if min(wanted) < 1:
        raise arguments.BadParameter(f"--widths is {widths!r}; expected numbers of at least 1")
    given = [None if path is None else Embeddings.open(path) for path in (embeddings, query_embeddings)]
    collection = JudgedCollection.read(open_dataset(dataset, data_dir), split)
    encoder = SparseEncoder.load(model, device=device)
    with progress_bars(quiet=quiet) as progress:
        rows = evaluate_widths(
            encoder, collection, widths=wanted, embeddings=given[0], query_embeddings=given[1], progress=progress
        )
    if json:
        for row in rows:
            emit_json(row.as_json())
        return
    documents = counted(len(collection.documents), "document")
    queries = counted(len(collection.queries), "query", "queries")
    print_table(f"{collection.name} ({split}): {documents}, {queries}; latency of search alone", *table(rows))
