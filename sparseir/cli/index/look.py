"""`sparseir index verify | inspect | export`: looking at an index, and taking its vectors elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments as typer
from sparseir.cli.index.source import IndexPath, Json
from sparseir.cli.options import Quiet

if TYPE_CHECKING:
    from sparseir.lexical.channel import ChannelState

ENDINGS = ("jsonl", "jsonl.gz", "npz", "csr", "ciff", "ciff.gz")
"""Of the files export writes."""


def verify_command(index: IndexPath, quiet: Quiet = False, json: Json = False) -> None:
    """Check every checksum and invariant of an index.

    examples:
      sparseir index verify my-index
    """
    from dataclasses import asdict

    from indexer import verify_index
    from sparseir.cli.console import counted, emit_json, note, progress_bars

    with progress_bars(quiet=quiet) as progress:
        report = verify_index(index, progress=progress)
    if json:
        emit_json(asdict(report))
    else:
        print(
            f"{index}: sound; {len(report.checks)} checks over {counted(report.segments, 'segment')}, "
            f"{counted(report.documents, 'document')}, {counted(report.postings, 'posting')}, {report.bytes / 1e6:.1f} MB"
        )
    if report.leftovers:
        note(
            f"not part of the index, left by a writer that was stopped: {', '.join(report.leftovers)}; the next write removes "
            "that, sparseir index compact for one (unless a writer is at work, whose it is)"
        )
    if report.foreign:
        note(f"not part of the index, and nothing that sparseir writes: {', '.join(report.foreign)}; remove it by hand")


def inspect_command(index: IndexPath, quiet: Quiet = False, json: Json = False) -> None:
    """Show sizes by section, histograms, segments, deletions and origin of an index.

    examples:
      sparseir index inspect my-index
    """
    from dataclasses import asdict

    from indexer import open_index
    from indexer.inspect import inspect_index
    from sparseir.cli.console import counted, emit_json, print_table, progress_bars
    from sparseir.data.passages import windows_of
    from sparseir.lexical.channel import ChannelState, has_channel

    with progress_bars(quiet=quiet) as progress:
        report = inspect_index(index, progress=progress)
    opened = open_index(index)
    side, windows = opened.query_side, windows_of(opened)
    channel = ChannelState.load(side) if side is not None and has_channel(side) else None
    if json:
        emit_json({**asdict(report), "lexical": channel and asdict(channel), "windows": windows and asdict(windows)})
        return
    print(
        f"{index}: {counted(report.documents, 'document')} ({report.deleted:,} deleted), "
        f"{counted(report.postings, 'posting')}, {report.bytes / 1e6:.1f} MB, {report.bits_per_posting:.1f} bits a posting, "
        f"{counted(report.clipped, 'impact')} cut to 255"
    )
    origin = f"{report.encoder.name} ({report.encoder.fingerprint})" if report.encoder else "not recorded"
    origin += f", vectors of {report.source}" if report.source else ""
    print(f"commit {report.generation}, sparseir {report.sparseir_version}, encoder {origin}")
    if channel is not None:
        print(_channel(channel))
    if windows is not None:
        print(f"documents are passages of {windows.size} word pieces, or words with BM25, every {windows.step}")
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


def _channel(state: ChannelState) -> str:
    """The settings of a lexical channel, and how far the average length has moved from the one in its weights."""
    config, lengths = state.config, state.lengths
    moved = f", {lengths.current / lengths.average:.2f} times that" if lengths.average else ""
    return (
        f"lexical channel: {state.num_stems:,} stems, language {config.language}, {len(config.stop_words)} stop words, "
        f"k1 {config.k1:g}, b {config.b:g}, alpha {config.alpha:g}; average length {lengths.average:.4g} in the weights, "
        f"{lengths.current:.4g} over the {lengths.documents:,} documents ever added{moved}"
    )


def export_command(
    index: IndexPath,
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
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write the documents of an index as vectors: Anserini JSONL, scipy .npz, Big-ANN .csr or CIFF.

    examples:
      sparseir index export my-index --output vectors.jsonl
    """
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
    with progress_bars(quiet=quiet) as progress:
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
