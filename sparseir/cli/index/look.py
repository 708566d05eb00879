"""`sparseir index verify | inspect`: looking at an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments
from sparseir.cli.index.source import IndexPath, Json
from sparseir.cli.options.flags import Quiet

if TYPE_CHECKING:
    from indexer.format.manifest import EncoderEntry
    from indexer.inspect import InspectReport
    from sparseir.data.passages import Windows
    from sparseir.lexical.channel import ChannelState


def verify_command(index: IndexPath, quiet: Quiet = False, json: Json = False) -> None:
    """Check every checksum and invariant of an index.

    examples:
      sparseir index verify my-index
    """
    from dataclasses import asdict

    from indexer import verify_index
    from sparseir.cli.output.console import counted, emit_json, note, progress_bars
    from sparseir.data.stores.tokens import check_tokens
    from sparseir.encode.words.stream import check_query_side

    with progress_bars(quiet=quiet) as progress:
        report = verify_index(index, progress=progress)
    check_query_side(index)
    check_tokens(index)
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
    if report.beside:
        note(
            f"beside the index, left by a writer that was killed: {', '.join(report.beside)}; the next write removes that, "
            "sparseir index compact for one"
        )
    if report.foreign:
        note(f"not part of the index, and nothing that sparseir writes: {', '.join(report.foreign)}; remove it by hand")


def inspect_command(
    index: IndexPath,
    html: Annotated[
        Path | None, arguments.Option(help="Write a page with plots to this file, with everything in it.")
    ] = None,
    overwrite: Annotated[bool, arguments.Option("--overwrite", help="Replace a page that stands there.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show sizes by section, histograms, segments, deletions and origin of an index.

    examples:
      sparseir index inspect my-index
      sparseir index inspect my-index --html my-index.html
    """
    from dataclasses import asdict

    from indexer import open_index
    from indexer.inspect import inspect_index
    from sparseir.cli.output.console import counted, emit_json, note, progress_bars
    from sparseir.cli.output.places import check_output
    from sparseir.data.passages import windows_of
    from sparseir.lexical.channel import ChannelState, has_channel

    if html is not None:
        check_output(html, overwrite=overwrite)
    with progress_bars(quiet=quiet) as progress:
        report = inspect_index(index, progress=progress)
    opened = open_index(index)
    side, windows = opened.query_side, windows_of(opened)
    channel = ChannelState.load(side) if side is not None and has_channel(side) else None
    if html is not None:
        from sparseir.cli.index.pictures import index_page

        html.write_text(index_page(report), encoding="utf-8")
        note(f"{html}: plots of {counted(report.documents, 'document')}, {counted(report.postings, 'posting')}")
    if json:
        emit_json({**asdict(report), "lexical": channel and asdict(channel), "windows": windows and asdict(windows)})
    if not json and html is None:
        _print(index, report, channel, windows)


def _print(index: Path, report: InspectReport, channel: ChannelState | None, windows: Windows | None) -> None:
    """The report as lines and tables."""
    from sparseir.cli.output.console import counted, print_table

    print(
        f"{index}: {counted(report.documents, 'document')} ({report.deleted:,} deleted), "
        f"{counted(report.postings, 'posting')}, {report.bytes / 1e6:.1f} MB, {report.bits_per_posting:.1f} bits a posting, "
        f"{counted(report.clipped, 'impact')} cut to 255"
    )
    origin = _encoder(report.encoder) if report.encoder else "not recorded"
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
    if report.query_side_bytes:
        files = [[name, f"{size:,}"] for name, size in report.query_side_bytes.items()]
        print_table(f"\nquery side, {sum(report.query_side_bytes.values()):,} bytes", ["file", "bytes"], files)
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


def _encoder(entry: EncoderEntry) -> str:
    """Its name is that of the network it was made of, which says nothing of what it has become; its kind does."""
    parts = [entry.name] if entry.name.startswith(entry.kind) else [entry.kind, entry.name]
    named = " on ".join(filter(None, parts))
    return f"{named} ({entry.fingerprint})" if named else entry.fingerprint


def _channel(state: ChannelState) -> str:
    """The settings of a lexical channel, and how far the average length has moved from the one in its weights."""
    config, lengths = state.config, state.lengths
    moved = f", {lengths.current / lengths.average:.2f} times that" if lengths.average else ""
    added = f", words of {config.expansion_model}" if config.expansion_model else ""
    added += f", words of {config.neighbours} neighbours" if config.neighbours else ""
    return (
        f"lexical channel: {state.num_stems:,} stems, language {config.language}, {len(config.stop_words)} stop words, "
        f"k1 {config.k1:g}, b {config.b:g}, alpha {config.weight:g}{added}; average length {lengths.average:.4g} in the weights, "
        f"{lengths.current:.4g} over the {lengths.documents:,} documents ever added{moved}"
    )
