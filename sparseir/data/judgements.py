"""Relevance judgements: BEIR's and TREC's files of them, and what is said where they name what is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sparseir.data.lines import LineSource
from sparseir.data.records import Qrels
from sparseir.errors import DataError

LARGEST_RELEVANCE = (1 << 31) - 1


def read_qrels(source: LineSource | str | Path) -> Qrels:
    """Judgements: BEIR's three columns under a header (query-id, corpus-id, score), or TREC's four (qid 0 docno rel).

    Raises
    ------
    DataError : malformed lines, a score that is no whole number, the same pair judged twice and differently.
    """
    source = source if isinstance(source, LineSource) else LineSource(Path(source))
    qrels: Qrels = {}
    for number, qid, docno, relevance in qrels_rows(source):
        judged = qrels.setdefault(qid, {})
        if judged.get(docno, relevance) != relevance:
            raise DataError(
                f"query '{qid}' and document '{docno}' were judged {judged[docno]} before and {relevance} here",
                path=source.label,
                line=number,
            )
        judged[docno] = relevance
    if not qrels:
        raise DataError("holds no judgements", path=source.label)
    return qrels


def qrels_rows(source: LineSource) -> Iterator[tuple[int, str, str, int]]:
    """(line number, qid, docno, relevance) of every judgement."""
    for position, (number, line) in enumerate(source.lines()):
        parts = line.split("\t") if "\t" in line else line.split()
        if position == 0 and parts[0] in ("query-id", "query_id", "qid"):
            continue
        if len(parts) not in (3, 4):
            raise DataError(
                f"expected query-id<TAB>corpus-id<TAB>score, or TREC's qid 0 docno relevance; found {len(parts)} columns",
                path=source.label,
                line=number,
            )
        relevance = _whole(parts[-1])
        if relevance is None:
            raise DataError(f"relevance '{parts[-1][:60]}' is not an integer", path=source.label, line=number)
        if abs(relevance) > LARGEST_RELEVANCE:
            raise DataError(f"relevance {parts[-1][:60]} is beyond 32 bits", path=source.label, line=number)
        yield number, parts[0], parts[-2], relevance


def _whole(text: str) -> int | None:
    """The whole number that is written, as 2 or as 2.0; None for anything else."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None


def note_absent(
    absent: Sequence[str],
    judged: int,
    qrels: Path,
    where: Path,
    noun: str,
    consequence: str,
    *,
    note: Callable[[str], None],
) -> None:
    """Say that judgements name documents or queries that are not there; real collections have a few of them.

    Parameters
    ----------
    absent : names that are missing, in the order of the file. judged : how many are named in all.
    qrels, where : the file of the judgements, and the one that lacks the names.
    noun, consequence : "document" or "query", and what becomes of one.

    Raises
    ------
    DataError : more than half are missing, so these are judgements for something else.
    """
    if not absent:
        return
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    if 2 * len(absent) > judged:
        raise DataError(
            f"{len(absent):,} of the {judged:,} {many} judged here, '{absent[0]}' first, are not in {where}; "
            "use the files these judgements were made for",
            path=qrels,
        )
    if len(absent) == 1:
        note(f"{qrels}: judges {noun} '{absent[0]}', which is not in {where}; {consequence}")
        return
    plural = consequence.replace("it is", "they are").replace("it cannot", "they cannot")
    note(f"{qrels}: judges {len(absent):,} {many}, '{absent[0]}' first, that are not in {where}; {plural}")
