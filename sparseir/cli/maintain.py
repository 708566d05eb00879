"""`sparseir index delete | compact | export`: changing an index that stands, and taking it elsewhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sparseir.cli.index import IndexPath, Json, app


class ExportFormat(StrEnum):
    """Formats other tools read, by the ending of their files."""

    jsonl = "jsonl"
    jsonl_gz = "jsonl.gz"
    npz = "npz"
    csr = "csr"
    ciff = "ciff"


class ExportWeights(StrEnum):
    """What an exported weight is; see `indexer.interchange.export`."""

    impact = "impact"
    scaled = "scaled"
    stored = "stored"


@app.command("delete")
def delete_command(
    index: IndexPath,
    ids: Annotated[Path, typer.Option(help="File with one document name a line.")],
    json: Json = False,
) -> None:
    """Delete documents by name; their space comes back with `compact`."""
    from indexer import delete_documents
    from sparseir.cli.console import emit_json, note

    # Not splitlines(), which also splits at separators that a name may hold.
    names = [line.removesuffix("\r") for line in ids.read_text(encoding="utf-8").split("\n")]
    report = delete_documents(index, [name for name in names if name])
    if report.missing:
        shown = ", ".join(map(str, report.missing[:5]))
        note(f"{len(report.missing)} names are not in the index: {shown}{' …' if len(report.missing) > 5 else ''}")
    if json:
        emit_json({"deleted": report.deleted, "missing": list(report.missing)})
    else:
        print(f"{index}: {report.deleted:,} documents deleted")


@app.command("verify")
def verify_command(index: IndexPath, json: Json = False) -> None:
    """Check every checksum and invariant of an index."""
    from dataclasses import asdict

    from indexer import verify_index
    from sparseir.cli.console import emit_json, progress_bars

    with progress_bars() as progress:
        report = verify_index(index, progress=progress)
    if json:
        emit_json(asdict(report))
    else:
        print(
            f"{index}: sound; {len(report.checks)} checks over {report.segments} segments, {report.documents:,} documents, "
            f"{report.postings:,} postings, {report.bytes / 1e6:.1f} MB"
        )


@app.command("compact")
def compact_command(
    index: IndexPath,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the merge.")] = 2,
    memory_budget: Annotated[str | None, typer.Option(help="Working memory, e.g. 2GB.")] = None,
    json: Json = False,
) -> None:
    """Merge all segments into one and give the space of deleted documents back."""
    from dataclasses import asdict

    from indexer import compact_index
    from sparseir.cli.console import emit_json, progress_bars
    from sparseir.cli.outputs import parse_bytes

    with progress_bars() as progress:
        report = compact_index(
            index, num_threads=threads, memory_budget=parse_bytes(memory_budget) or 0, progress=progress
        )
    if json:
        emit_json(asdict(report))
    else:
        print(
            f"{index}: {report.segments_before} segments → 1, {report.documents_dropped:,} deleted documents dropped, "
            f"{report.bytes_before / 1e6:.1f} → {report.bytes_after / 1e6:.1f} MB"
        )


@app.command("export")
def export_command(
    index: IndexPath,
    format: Annotated[ExportFormat, typer.Option("--format", help="What to write.")],
    output: Annotated[Path | None, typer.Option(help="The file; INDEX.FORMAT when left out.")] = None,
    weights: Annotated[
        ExportWeights, typer.Option(help="impact: integers 1..255; scaled: times the scale; stored: the float weights.")
    ] = ExportWeights.impact,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    json: Json = False,
) -> None:
    """Write an index back as vectors for other tools: Anserini JSONL, scipy .npz, Big-ANN .csr, CIFF."""
    from dataclasses import asdict

    from indexer import open_index
    from indexer.interchange.export import export_index
    from sparseir.cli.console import emit_json, progress_bars
    from sparseir.cli.outputs import refuse_existing

    target = output or index.with_name(f"{index.name}.{format.value}")
    if not target.name.endswith(f".{format.value}"):
        raise typer.BadParameter(f"--output {target} does not end in .{format.value}")
    refuse_existing(target, overwrite=overwrite)
    with progress_bars() as progress:
        written = export_index(open_index(index), target, weights=weights.value, progress=progress)
    if json:
        emit_json({"output": str(target), **asdict(written)})
    else:
        print(f"{target}: {written.num_rows:,} rows, {written.nnz:,} weights")
