"""`sparseir index delete | compact | verify | inspect | export`: changing an index that stands, and looking at it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparseir.cli.export import export_command
from sparseir.cli.index import IndexPath, Json, app


@app.command("delete")
def delete_command(
    index: IndexPath,
    ids: Annotated[Path, typer.Option(help="File with one document name a line.")],
    json: Json = False,
) -> None:
    """Delete documents by name; their space comes back with `compact`."""
    from indexer import delete_documents
    from sparseir.cli.console import counted, emit_json, note
    from sparseir.data.lines import LineSource

    report = delete_documents(index, [name for _, name in LineSource(ids).lines()])
    if report.missing:
        shown = ", ".join(map(str, report.missing[:5]))
        note(
            f"not in the index: {counted(len(report.missing), 'name')} ({shown}{' …' if len(report.missing) > 5 else ''})"
        )
    if json:
        emit_json({"deleted": report.deleted, "missing": list(report.missing)})
    else:
        print(f"{index}: {counted(report.deleted, 'document')} deleted")


@app.command("compact")
def compact_command(
    index: IndexPath,
    layout: Annotated[
        str | None, typer.Option(help="standard, packed or compact, from now on; without it the layout stays.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the merge.")] = 2,
    memory_budget: Annotated[str | None, typer.Option(help="Working memory, e.g. 2GB.")] = None,
    json: Json = False,
) -> None:
    """Merge all segments into one and give the space of deleted documents back."""
    from dataclasses import asdict

    from indexer import compact_index
    from sparseir.cli.console import counted, emit_json, progress_bars
    from sparseir.cli.outputs import parse_bytes

    with progress_bars() as progress:
        report = compact_index(
            index,
            layout=layout,
            num_threads=threads,
            memory_budget=parse_bytes(memory_budget) or 0,
            progress=progress,
        )
    if json:
        emit_json(asdict(report))
    else:
        print(
            f"{index}: {counted(report.segments_before, 'segment')} → 1, "
            f"{counted(report.documents_dropped, 'deleted document')} dropped, "
            f"{report.bytes_before / 1e6:.1f} → {report.bytes_after / 1e6:.1f} MB"
        )


@app.command("verify")
def verify_command(index: IndexPath, json: Json = False) -> None:
    """Check every checksum and invariant of an index."""
    from dataclasses import asdict

    from indexer import verify_index
    from sparseir.cli.console import counted, emit_json, progress_bars

    with progress_bars() as progress:
        report = verify_index(index, progress=progress)
    if json:
        emit_json(asdict(report))
    else:
        print(
            f"{index}: sound; {len(report.checks)} checks over {counted(report.segments, 'segment')}, "
            f"{counted(report.documents, 'document')}, {counted(report.postings, 'posting')}, {report.bytes / 1e6:.1f} MB"
        )


@app.command("inspect")
def inspect_command(index: IndexPath, json: Json = False) -> None:
    """Show sizes by section, histograms, segments, deletions and origin of an index."""
    from dataclasses import asdict

    from indexer.inspect import inspect_index
    from sparseir.cli.console import counted, emit_json, print_table, progress_bars

    with progress_bars() as progress:
        report = inspect_index(index, progress=progress)
    if json:
        emit_json(asdict(report))
        return
    print(
        f"{index}: {counted(report.documents, 'document')} ({report.deleted:,} deleted), "
        f"{counted(report.postings, 'posting')}, {report.bytes / 1e6:.1f} MB, {report.bits_per_posting:.1f} bits a posting, "
        f"{counted(report.clipped, 'impact')} cut to 255"
    )
    origin = f"{report.encoder.name} ({report.encoder.fingerprint})" if report.encoder else "not recorded"
    print(f"commit {report.generation}, sparseir {report.sparseir_version}, encoder {origin}")
    sections = [
        [name, f"{size:,}", f"{size / max(1, report.bytes):.1%}"] for name, size in report.section_bytes.items()
    ]
    print_table("\nsections", ["section", "bytes", "share"], sections)
    segments = [
        [
            s.file,
            f"{s.documents:,}",
            f"{s.deleted:,}",
            f"{s.postings:,}",
            f"{s.bytes:,}",
            "yes" if s.reordered else "no",
        ]
        for s in report.segments
    ]
    print_table("\nsegments", ["file", "documents", "deleted", "postings", "bytes", "reordered"], segments)
    for title, rows in (
        ("terms a document", report.terms_per_document),
        ("postings a term", report.postings_per_term),
        ("impacts", report.impacts),
    ):
        print_table(f"\n{title}", ["at least", "count"], [[str(low), f"{count:,}"] for low, count in rows])


app.command("export")(export_command)
