"""`sparseir index fit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments
from sparseir.cli.index.source import DataDir, IndexPath, Json, Threads
from sparseir.cli.options.flags import Quiet

if TYPE_CHECKING:
    from sparseir.data.records import Qrels
    from sparseir.query_weights import FitReport
    from sparseir.query_weights.run import HeldOut


def fit_command(
    index: IndexPath,
    judged: Annotated[
        str | None,
        arguments.Argument(
            metavar="COLLECTION", help="Collection with queries and judgements: BEIR folder, zip or name."
        ),
    ] = None,
    split: Annotated[str, arguments.Option(help="Which of its judgements: qrels/<split>.tsv.")] = "train",
    queries: Annotated[
        Path | None, arguments.Option(help="Queries instead of a collection's: BEIR JSONL, or qid<TAB>text.")
    ] = None,
    qrels: Annotated[Path | None, arguments.Option(help="Judgements of --queries: BEIR's columns, or TREC's.")] = None,
    depth: Annotated[int, arguments.Option(min=2, help="Documents found for a query, among which it learns.")] = 200,
    max_queries: Annotated[int, arguments.Option(min=30, help="Most queries that are used.")] = 20_000,
    added_words: Annotated[
        int, arguments.Option(min=0, help="Most words that a word of queries may add to them; 0: none.")
    ] = 10,
    hold_out: Annotated[
        str,
        arguments.Option(
            help="What chooses how far to go: 'queries' like those judged, or 'topics', queries about other things than those "
            "fitted, if judgements are of a part of what will be asked."
        ),
    ] = "queries",
    seed: Annotated[int, arguments.Option(min=0, help="Draws the queries that are held out.")] = 0,
    undo: Annotated[bool, arguments.Option("--undo", help="Give queries the weights of the build again.")] = False,
    data_dir: DataDir = None,
    threads: Threads = 2,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Fit the weights of query terms to judged queries, as one atomic commit; no document is encoded again.

    examples:
      sparseir index fit my-index scifact --split train
      sparseir index fit my-index --queries queries.tsv --qrels clicks.tsv
      sparseir index fit my-index --undo
    """
    from dataclasses import asdict
    from math import isfinite

    from indexer import open_index
    from sparseir.cli.output.console import emit_json, note, progress_bars
    from sparseir.query_weights import FitOptions, fit_query_weights

    named = queries is not None or qrels is not None
    if undo:
        if judged is not None or named:
            raise arguments.BadParameter("--undo needs no judgements")
        _undo(index, json=json)
        return
    if (judged is None) != named or (queries is None) != (qrels is None):
        raise arguments.BadParameter("give a collection with judgements, or --queries FILE and --qrels FILE")
    open_index(index)  # no index there: said before judgements are read
    texts, judgements = _judgements(judged, split, data_dir, queries, qrels)
    with arguments.usage():
        options = FitOptions(
            depth=depth,
            max_queries=max_queries,
            added_words=added_words,
            hold_out=hold_out,  # type: ignore[arg-type]  # checked where it is made
            num_threads=threads,
            seed=seed,
        )
    with progress_bars(quiet=quiet) as progress:
        report = fit_query_weights(index, texts, judgements, options=options, progress=progress)
    if json:
        found = asdict(report)
        for name in ("strength", "added_strength"):
            found[name] = found[name] if isfinite(found[name]) else None
        emit_json({"index": str(index), **found})
        return
    _print(index, report, hold_out)
    if not report.committed:
        note("held-out queries are no better for other weights: the index is as it was")
    elif _loses(report.other_topics):
        advice = "; if there will be such, fit with --hold-out topics" if hold_out == "queries" else ""
        note(f"queries about other things than those judged lose{advice}")


def _undo(index: Path, *, json: bool) -> None:
    """Query weights as built, and whether that changed anything."""
    from indexer import open_index
    from sparseir.cli.output.console import emit_json
    from sparseir.query_weights import undo_fit

    before = open_index(index).generation
    after = undo_fit(index).generation
    if json:
        emit_json({"index": str(index), "undone": after != before, "generation": after})
    else:
        print(f"{index}: {'query weights as built' if after != before else 'nothing was fitted'}")


def _loses(worth: HeldOut | None) -> bool:
    return worth is not None and (worth.ndcg_after < worth.ndcg_before or worth.loss_after > worth.loss_before)


def _judgements(
    judged: str | None, split: str, data_dir: Path | None, queries: Path | None, qrels: Path | None
) -> tuple[dict[str, str], Qrels]:
    from sparseir.cli.output.console import note
    from sparseir.data.dataset import open_dataset
    from sparseir.data.judgements import read_qrels
    from sparseir.data.readers import read_queries

    if judged is not None:
        dataset = open_dataset(judged, data_dir)
        dataset.check_judged(split)
        return {q.qid: q.text for q in dataset.queries(split, note=note)}, dataset.qrels(split)
    assert queries is not None
    assert qrels is not None
    return {q.qid: q.text for q in read_queries(queries)}, read_qrels(qrels)


def _print(index: Path, report: FitReport, hold_out: str) -> None:
    print(f"{index}: {report.queries:,} judged queries{_ridges(report)}")
    if hold_out == "queries":
        print(_line("held out", report.held_out))
        if report.unshared is not None:
            print(_line("… that ask for documents no fitted query asks for", report.unshared))
    if report.other_topics is not None:
        print(_line("held out, about other things than the fitted ones", report.other_topics))
    if report.committed:
        for name, terms in (("raised", report.raised), ("lowered", report.lowered)):
            print(f"{name}: " + ", ".join(f"{token} {factor:.2g}" for token, factor in terms))
        if report.added:
            examples = ", ".join(f"{said} → {added} {share:.2g}" for said, added, share in report.added_most)
            print(f"words added to others: {report.added:,}, among them {examples}")
        print(f"committed as generation {report.generation}; sparseir index fit {index} --undo takes it back")


def _ridges(report: FitReport) -> str:
    """The strengths that were chosen."""
    from math import isfinite

    strengths = ((report.strength, "ridge"), (report.added_strength, "ridge of added words"))
    return "".join(f", {name} {strength:g}" for strength, name in strengths if isfinite(strength))


def _line(name: str, worth: HeldOut) -> str:
    return (
        f"{name} ({worth.queries:,} queries): nDCG@10 {worth.ndcg_before:.4f} → {worth.ndcg_after:.4f}, "
        f"loss {worth.loss_before:.3f} → {worth.loss_after:.3f}"
    )
