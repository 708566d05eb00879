"""`sparseir model`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments
from sparseir.cli.options.flags import Device, Quiet

if TYPE_CHECKING:
    from sparseir.publish.pack import PackOptions

app = arguments.Group(help="Take models elsewhere, find those that are installed, and look at them closely.")


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


@app.command("pack")
def pack_command(
    model: Annotated[Path, arguments.Argument(help="Folder of a finished model.")],
    name: Annotated[str, arguments.Option(help="By which --model finds it once installed, e.g. my-encoder.")],
    license: Annotated[str, arguments.Option(metavar="SPDX", help="Licence of the weights, e.g. CC-BY-4.0.")],
    license_file: Annotated[Path | None, arguments.Option(metavar="FILE", help="Its text, to go along.")] = None,
    output: Annotated[Path, arguments.Option(metavar="FOLDER", help="Where to write the wheel.")] = Path("dist"),
    version: Annotated[str, arguments.Option(help="Of the wheel.")] = "1.0",
    description: Annotated[str, arguments.Option(help="One line on the model.")] = "",
    data: Annotated[
        list[str] | None,
        arguments.Option(metavar="TEXT", help="A source of training texts and its terms, for the card; repeatable."),
    ] = None,
    figures: Annotated[
        Path | None, arguments.Option(metavar="FILE", help="What `sparseir evaluate --output` wrote, for the card.")
    ] = None,
    overwrite: Annotated[bool, arguments.Option("--overwrite", help="Replace a wheel that stands there.")] = False,
    json: Annotated[bool, arguments.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Pack a model as a wheel, which pip installs without a hub and --model finds by its name.

    examples:
      sparseir model pack model --name my-encoder --license CC-BY-4.0
      sparseir model pack model --name my-encoder --license CC-BY-4.0 --version 1.1 --data "arXiv titles and abstracts, CC0"
    """
    from sparseir.cli.output.console import emit_json, note
    from sparseir.cli.output.places import check_output

    with arguments.usage():
        options = _pack_options(name, license, license_file, version, description, data, figures)
    wheel = output / options.file_name
    from sparseir.publish.pack import check_finished, pack_model

    check_finished(model)
    check_output(wheel, overwrite=overwrite)
    if overwrite:
        wheel.unlink(missing_ok=True)
    size = pack_model(model, wheel, options).stat().st_size
    if json:
        emit_json({"wheel": str(wheel), "name": name, "version": version, "license": license, "bytes": size})
    else:
        print(wheel)
        note(f"{size / 1e6:,.1f} MB; pip install {wheel}, then --model {name}")


def _pack_options(
    name: str,
    license: str,
    license_file: Path | None,
    version: str,
    description: str,
    data: list[str] | None,
    figures: Path | None,
) -> PackOptions:
    from indexer.interchange.jsonl.text import json_value
    from sparseir.errors import DataError
    from sparseir.publish.card import check_figures
    from sparseir.publish.pack import PackOptions

    rows = []
    if figures is not None:
        try:
            rows = check_figures(json_value(figures.read_text(encoding="utf-8")), figures)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot be read as JSON: {error}", path=figures) from error
    return PackOptions(
        name=name,
        license=license,
        license_file=license_file,
        version=version,
        description=description,
        data=tuple(data or ()),
        figures=rows,
    )


@app.command("list")
def list_command(json: Annotated[bool, arguments.Option("--json", help="One JSON object a model.")] = False) -> None:
    """Name the models of installed packages, which --model finds.

    examples:
      sparseir model list
    """
    from sparseir.cli.output.console import emit_json, note
    from sparseir.models.sources import installed_models

    found = installed_models()
    for name, folder in found.items():
        if json:
            emit_json({"name": name, "folder": str(folder)})
        else:
            print(f"{name}  {folder}")
    if not found:
        note("no model is installed; sparseir model pack makes a wheel of one")


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
    device: Device = "auto",
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
