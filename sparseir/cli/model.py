"""`sparseir model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from sparseir.cli import arguments

app = arguments.Group(help="Take models elsewhere.")


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
