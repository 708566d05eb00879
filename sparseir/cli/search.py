"""`sparseir search` and `sparseir explain`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments
from sparseir.cli.filters import joined
from sparseir.cli.options import Quiet

if TYPE_CHECKING:
    from sparseir.search.engines import EngineConfig
    from sparseir.search.gpu import GpuConfig
    from sparseir.search.results import Hits
    from sparseir.search.searcher import Searcher

IndexPath = Annotated[
    str,
    arguments.Argument(
        help="Folder of an index or of shards; or folders or addresses of all shards, joined by commas."
    ),
]
Partial = Annotated[
    bool,
    arguments.Option("--partial", help="Search without shards that are missing or do not answer, and say their share."),
]
Model = Annotated[
    str | None, arguments.Option(help="Model that encodes queries; needed where the index carries no query side.")
]
AnyModel = Annotated[
    bool, arguments.Option("--any-model", help="Search with a model other than the index was built with.")
]
Alpha = Annotated[
    float | None,
    arguments.Option(
        min=0, help="What the BM25 channel of the index counts beside the learned score; left out: as it was built."
    ),
]

EngineName = Annotated[
    str,
    arguments.Option(
        help="auto, exhaustive, block_filter, maxscore, wand, block_max_wand, gpu: exact and equal to the bit; exact_float: by "
        "the stored weights themselves; approximate."
    ),
]
GpuMemory = Annotated[str, arguments.Option(help="Device memory the gpu engine may take; batches are cut to fit.")]
GpuBackend = Annotated[
    str, arguments.Option(help="auto, cuda, triton or torch; torch runs where there is no GPU, slowly.")
]


def search_command(
    index: IndexPath,
    query: Annotated[
        str | None, arguments.Argument(help="Text of one query; - reads queries from standard input, one a line.")
    ] = None,
    queries: Annotated[Path | None, arguments.Option(help="Many queries: BEIR JSONL, or qid<TAB>text.")] = None,
    query_vectors: Annotated[Path | None, arguments.Option(help="Many encoded queries, in any vector format.")] = None,
    output: Annotated[
        Path | None, arguments.Option(help="TREC run file for many queries; stdout when left out.")
    ] = None,
    k: Annotated[
        int | None, arguments.Option("-k", min=1, help="Hits a query: 10 for one query, 1000 for many.")
    ] = None,
    engine: EngineName = "auto",
    gpu_memory: GpuMemory = "8GB",
    gpu_backend: GpuBackend = "auto",
    filters: Annotated[
        list[str] | None,
        arguments.Option(
            "--filter",
            metavar="EXPR",
            help="Only documents with e.g. lang=en and (year>=2000 or not topic in (law, tax)); repeatable.",
        ),
    ] = None,
    threads: Annotated[int, arguments.Option(min=1, help="Threads for many queries.")] = 1,
    model: Model = None,
    any_model: AnyModel = False,
    alpha: Alpha = None,
    partial: Partial = False,
    recall_target: Annotated[
        float | None, arguments.Option(help="Search approximately, tuned to this recall of the exact hits, e.g. 0.95.")
    ] = None,
    calibrate: Annotated[
        Path | None,
        arguments.Option(
            "--calibrate-on",
            help="Queries to tune --recall-target on: encoded ones with --query-vectors, else texts; kept for later searches.",
        ),
    ] = None,
    rerank: Annotated[
        int | None,
        arguments.Option(min=1, metavar="N", help="Score the first N hits exactly; for coil_tok, with --model."),
    ] = None,
    fields: Annotated[
        str | None, arguments.Option(help="Comma-separated stored fields to show of one query's hits.", metavar="A,B")
    ] = None,
    tag: Annotated[str, arguments.Option(help="Name of the run, the last column of a run file.")] = "sparseir",
    stats: Annotated[bool, arguments.Option("--stats", help="Say on stderr how much work the search did.")] = False,
    overwrite: Annotated[bool, arguments.Option("--overwrite", help="Replace an existing run file.")] = False,
    quiet: Quiet = False,
    json: Annotated[bool, arguments.Option("--json", help="One JSON object a hit, one a line.")] = False,
) -> None:
    """Search an index with one query, or with many into a run file.

    examples:
      sparseir search my-index "what you are looking for" -k 5
      sparseir search my-index "rent" --filter "lang=en and year>=2000" --fields title,year
      sparseir search my-index --queries queries.tsv --output run.trec -k 1000 --tag mine
      sparseir search http://one:8080,http://two:8080 "what you are looking for" --partial
      cut -f2 queries.tsv | sparseir search my-index - --json
    """
    from sparseir.cli.calibration import calibrate_on, report
    from sparseir.cli.console import note
    from sparseir.data.passages import windows_of
    from sparseir.search.runs import checked_tag
    from sparseir.search.searcher import Searcher

    with arguments.usage():
        checked_tag(tag)
    if sum(source is not None for source in (query, queries, query_vectors)) != 1:
        raise arguments.BadParameter("give one of: the text of a query, --queries FILE, --query-vectors FILE")
    if query == "-":
        query, queries = None, Path("-")
    if query is not None and output is not None:
        raise arguments.BadParameter("--output is for many queries (--queries or --query-vectors)")
    if json and output is not None:
        raise arguments.BadParameter("--json prints hits on stdout, --output writes a run file: give one of them")
    if rerank is not None and query_vectors is not None:
        raise arguments.BadParameter("--rerank reads the texts of queries: give --queries, not --query-vectors")
    if calibrate is not None and recall_target is None:
        raise arguments.BadParameter("--calibrate-on tunes --recall-target: give both")
    if fields is not None and query is None:
        raise arguments.BadParameter("--fields shows the hits of one query; many go to a run, which has no fields")
    condition = joined(filters or [])
    searcher = Searcher.open(
        places(index),
        engine=_engine(engine, (gpu_memory, gpu_backend), recall_target),
        num_threads=threads,
        model=model,
        any_model=any_model,
        alpha=alpha,
        partial=partial,
    )
    k = min(k or (1000 if query is None else 10), max(1, searcher.index.num_docs))  # more are never found
    if calibrate is not None:
        calibrate_on(searcher, calibrate, k, vectors=query_vectors is not None)
    if query is not None:
        shown = None if fields is None else [name.strip() for name in fields.split(",") if name.strip()]
        hits = _one_query(searcher, query, k, condition, rerank)
        _print_hits(hits, query, shown, of_passages=windows_of(searcher.index) is not None, json=json)
    else:
        answers = _answers(searcher, queries, query_vectors, k=k, condition=condition, rerank=rerank)
        if json:
            _print_answers(answers)
        else:
            _write_run(answers, output, tag, overwrite=overwrite, quiet=quiet)
    report(searcher.calibrations, json=json)
    if searcher.share < 1:
        note(f"searched {searcher.share:.1%} of the documents: not all shards are there")
    if stats:
        for name, value in searcher.stats().items():
            note(f"{name}: {value}")


def explain_command(
    index: IndexPath,
    query: Annotated[str, arguments.Argument(help="Text of a query.")],
    docno: Annotated[str, arguments.Argument(help="Name of a document.")],
    model: Model = None,
    any_model: AnyModel = False,
    alpha: Alpha = None,
    json: Annotated[bool, arguments.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show which terms give a document its score; the products add up to it exactly.

    examples:
      sparseir explain my-index "what you are looking for" d17
    """
    from sparseir.cli.console import emit_json, print_table
    from sparseir.search.searcher import Searcher

    explanation = Searcher.open(places(index), model=model, any_model=any_model, alpha=alpha).explain(query, docno)
    if json:
        emit_json(explanation.as_json())
        return
    header = ["term", "channel", "query weight", "impact", "product", "share"]
    rows = [
        [t.token, t.channel, str(t.query_weight), str(t.impact), str(t.product), f"{t.share:.1%}"]
        for t in explanation.terms
    ]
    rows.append(["sum", "", "", "", str(explanation.integer_score), ""])
    print_table(f"{explanation.docno}: score {explanation.score:.6g}", header, rows)
    unmatched = ", ".join(explanation.unmatched)
    if unmatched:
        print(f"query terms the document does not hold: {unmatched}")


def places(index: str) -> str | Path | list[str]:
    """What an INDEX names: a folder, or shards."""
    from sparseir.search.addresses import is_address

    if is_address(index) or ("," in index and not Path(index).exists()):
        return index.split(",")
    return Path(index)


def check_engine(name: str) -> None:
    """Refuse an engine there is not, as wrong usage, before anything is opened.

    Raises
    ------
    arguments.BadParameter
    """
    from sparseir.search.engines import ENGINE_NAMES

    if name not in ENGINE_NAMES:
        raise arguments.BadParameter(f"--engine is {name!r}; there are: {', '.join(ENGINE_NAMES)}")


def _engine(name: str, gpu: tuple[str, str], recall_target: float | None) -> str | EngineConfig:
    check_engine(name)
    if recall_target is not None:
        from sparseir.search.approximate import ApproximateConfig

        if name not in ("auto", "approximate"):
            raise arguments.BadParameter(f"--recall-target searches approximately; it excludes --engine {name}")
        with arguments.usage():
            return ApproximateConfig(recall_target=recall_target)
    return _gpu_config(*gpu) if name == "gpu" else name


def _gpu_config(memory: str, backend: str) -> GpuConfig:
    from sparseir.cli.outputs import parse_bytes
    from sparseir.search.gpu import GpuConfig

    if backend not in ("auto", "cuda", "triton", "torch"):
        raise arguments.BadParameter(f"--gpu-backend is '{backend}'; give auto, cuda, triton or torch")
    return GpuConfig(gpu_memory=parse_bytes(memory) or 0, backend=backend)  # type: ignore[arg-type]


def _print_hits(hits: Hits, query: str, shown: list[str] | None, *, of_passages: bool, json: bool) -> None:
    from sparseir.cli.console import emit_json, note
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

            from sparseir.cli.highlight import highlighted

            print(head + highlighted(stored, query, max(40, get_terminal_size().columns - len(head))))
        else:
            print((head + snippet(stored)).rstrip())
    absent = [name for name in shown or () if hits and not any(name in stored for stored in hits.fields())]
    if absent:
        note(f"no hit has the field{'s' if absent[1:] else ''} {', '.join(map(repr, absent))}")
    if not hits and not json:
        note("no hits: no document holds any of the query's terms")


def _one_query(searcher: Searcher, text: str, k: int, condition: str | None, rerank: int | None) -> Hits:
    if rerank is None:
        return searcher.search(text, k, filter=condition)
    from sparseir.search.rerank import CoilReranker

    return CoilReranker.of(searcher.queries.encoder).search(searcher, text, k, depth=rerank, filter=condition)


Answers = Iterator[tuple[list[str], list[list[str]], list[list[float]]]]


def _answers(
    searcher: Searcher,
    queries: Path | None,
    query_vectors: Path | None,
    *,
    k: int,
    condition: str | None,
    rerank: int | None,
) -> Answers:
    """qids, docnos and scores of many queries, a batch at a time."""
    from sparseir.data import read_queries
    from sparseir.search.batches import rows_for, text_batches, vector_batches
    from sparseir.search.rerank import CoilReranker

    if rerank is not None:
        assert queries is not None
        reranker = CoilReranker.of(searcher.queries.encoder)
        for query in read_queries(queries):
            hits = reranker.search(searcher, query.text, k, depth=rerank, filter=condition)
            yield [query.qid], [hits.docnos], [hits.scores.tolist()]
        return
    if queries is not None:
        batches = text_batches(searcher, queries, rows_for(k))
    else:
        assert query_vectors is not None
        batches = vector_batches(searcher, query_vectors, rows_for(k))
    for qids, vectors in batches:
        yield qids, *searcher.named(searcher.search_vectors(vectors, k, filter=condition))


def _print_answers(answers: Answers) -> None:
    from sparseir.cli.console import emit_json

    for qids, docnos, scores in answers:
        for qid, names, values in zip(qids, docnos, scores, strict=True):
            for rank, (docno, score) in enumerate(zip(names, values, strict=True), 1):
                emit_json({"qid": qid, "rank": rank, "docno": docno, "score": score})


def _write_run(answers: Answers, output: Path | None, tag: str, *, overwrite: bool, quiet: bool) -> None:
    from sparseir.cli.console import counted, note, progress_bars
    from sparseir.cli.outputs import check_output
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
