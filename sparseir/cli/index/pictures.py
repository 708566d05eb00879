"""An inspection of an index as a page with plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparseir.cli.output.html import Bar, bars, columns, page, paragraph, table

if TYPE_CHECKING:
    from indexer.inspect import InspectReport


def index_page(report: InspectReport) -> str:
    """Active dims, list lengths, weights, sections and segments of an index, as HTML in one piece."""
    sections = [
        Bar(name, f"{size / 1e6:,.2f} MB, {size / max(1, report.bytes):.1%}", size)
        for name, size in sorted(report.section_bytes.items(), key=lambda pair: -pair[1])
        if size
    ]
    segments = [
        (s.file, f"{s.documents:,}", f"{s.deleted:,}", f"{s.terms:,}", f"{s.postings:,}", f"{s.bytes:,}")
        for s in report.segments
    ]
    encoder = report.encoder.name if report.encoder else "not recorded"
    return page(
        f"Index {Path(report.path).resolve().name}",
        [
            paragraph(
                f"{report.documents:,} documents ({report.deleted:,} deleted), {report.postings:,} postings, "
                f"{report.bytes / 1e6:.1f} MB, {report.bits_per_posting:.1f} bits a posting; {report.clipped:,} impacts cut to 255"
            ),
            paragraph(
                f"Commit {report.generation}, sparseir {report.sparseir_version}, made {report.created}; encoder {encoder}"
            ),
            paragraph("Active dims: terms a document", "h2"),
            columns("documents by their number of terms", report.terms_per_document, "terms a document"),
            paragraph("List lengths: documents a term", "h2"),
            columns("terms by the length of their list", report.postings_per_term, "documents a term"),
            paragraph("Weights: impacts of the postings", "h2"),
            columns(
                "postings by their impact, 1 to 255", report.impacts, f"impact, in steps of {report.doc_scale:.4g}"
            ),
            paragraph("Bytes by section", "h2"),
            bars("bytes by section", sections),
            paragraph("Segments", "h2"),
            table(["file", "documents", "deleted", "terms", "postings", "bytes"], segments),
        ],
    )
