"""Hits as searches show them: lines or JSON for one query, a run or JSON for many."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparseir.search.results import Hits

Answers = Iterator[tuple[list[str], list[list[str]], list[list[float]]]]
"""Batches of many queries: qids, then docnos and scores of the hits of each."""


def print_hits(hits: Hits, query: str, shown: list[str] | None, *, of_passages: bool, json: bool) -> None:
    """Show the hits of one query.

    Parameters
    ----------
    shown : stored fields to show in place of a snippet. of_passages : names are those of passages.
    json : one object a hit.
    """
    from sparseir.cli.output.console import emit_json, note
    from sparseir.data.passages import passage_name
    from sparseir.search.results import snippet

    for rank, (hit, stored) in enumerate(zip(hits, hits.fields(), strict=True), 1):
        name = passage_name(hit.docno, stored["passage"]["number"]) if of_passages else hit.docno
        if shown is not None:
            stored = {field: stored[field] for field in shown if field in stored}
        if json:
            emit_json({"rank": rank, "docno": hit.docno, "score": hit.score, "fields": stored})
            continue
        head = f"{rank:>3}  {hit.score:9.4f}  {name}  "
        if shown is not None:
            print(head + "  ".join(f"{name}={' '.join(str(value).split())}" for name, value in stored.items()))
        elif sys.stdout.isatty():
            from shutil import get_terminal_size

            from sparseir.cli.output.highlight import highlighted

            print(head + highlighted(stored, query, max(40, get_terminal_size().columns - len(head))))
        else:
            print((head + snippet(stored)).rstrip())
    absent = [name for name in shown or () if hits and not any(name in stored for stored in hits.fields())]
    if absent:
        note(f"no hit has the field{'s' if absent[1:] else ''} {', '.join(map(repr, absent))}")
    if not hits and not json:
        note("no hits: no document holds any of the query's terms")


def print_answers(answers: Answers) -> None:
    """One JSON object a hit."""
    from sparseir.cli.output.console import emit_json

    for qids, docnos, scores in answers:
        for qid, names, values in zip(qids, docnos, scores, strict=True):
            for rank, (docno, score) in enumerate(zip(names, values, strict=True), 1):
                emit_json({"qid": qid, "rank": rank, "docno": docno, "score": score})


def write_run(answers: Answers, output: Path | None, tag: str, *, overwrite: bool, quiet: bool) -> None:
    """A run in TREC format, to a file or stdout; a file that cannot be finished is not left behind.

    Parameters
    ----------
    tag : the last column.

    Raises
    ------
    SparseIRError : the file stands there already, or cannot be written.
    """
    from sparseir.cli.output.console import counted, note, progress_bars
    from sparseir.cli.output.places import check_output
    from sparseir.search.runs import RunWriter, run_lines

    if output is not None:
        check_output(output, overwrite=overwrite)
    done = answered = 0
    with progress_bars(quiet=quiet) as progress:
        writer = RunWriter(output, tag=tag) if output is not None else None
        try:
            for qids, docnos, scores in answers:
                for qid, names, values in zip(qids, docnos, scores, strict=True):
                    if writer is not None:
                        writer.write(qid, names, values)
                    else:
                        sys.stdout.writelines(run_lines(qid, names, values, tag=tag))
                    answered += bool(names)
                done += len(qids)
                progress("searching", done, None)
        except BaseException:
            if writer is not None:
                writer.discard()
            raise
        if writer is not None:
            writer.close()
    note(f"{counted(done, 'query', 'queries')}, {answered:,} with hits" + (f" → {output}" if output else ""))
