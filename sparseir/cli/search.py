"""`sparseir search`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments
from sparseir.cli.options.engine import EngineName, GpuBackend, GpuMemory, chosen_engine
from sparseir.cli.options.feedback import FeedbackDocuments, FeedbackWeight, chosen_feedback
from sparseir.cli.options.filters import joined
from sparseir.cli.options.flags import Quiet
from sparseir.cli.options.queries import Alpha, AnyModel, IndexPath, Model, Partial, places
from sparseir.cli.options.startup import start_quickly

if TYPE_CHECKING:
    from sparseir.cli.output.hits import Answers
    from sparseir.search.feedback.options import Feedback
    from sparseir.search.rerank import CoilReranker
    from sparseir.search.results import Hits
    from sparseir.search.searcher import Searcher


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
    max_active_dims: Annotated[
        int | None,
        arguments.Option(min=1, help="Keep the heaviest terms of a query that --model encodes; of csr, its latents."),
    ] = None,
    any_model: AnyModel = False,
    alpha: Alpha = None,
    feedback: FeedbackDocuments = None,
    feedback_weight: FeedbackWeight = None,
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
        str | None,
        arguments.Option(
            metavar="N|exact",
            help="For coil models, with --model: score the first N hits exactly, or find the best of all documents.",
        ),
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
      sparseir search coil-index "what you are looking for" --model coil --rerank exact
      cut -f2 queries.tsv | sparseir search my-index - --json
    """
    start_quickly()
    from sparseir.cli.options.calibration import calibrate_on, report
    from sparseir.cli.output.console import note
    from sparseir.cli.output.hits import print_answers, print_hits, write_run
    from sparseir.data.passages import windows_of
    from sparseir.search.model_queries import ModelQueryEncoder
    from sparseir.search.runs import checked_tag
    from sparseir.search.searcher import Searcher

    with arguments.usage():
        checked_tag(tag)
    asked = _Queries.of(query, queries, query_vectors, rerank, chosen_feedback(feedback, feedback_weight))
    _check_shown(asked, output, fields, json=json)
    if calibrate is not None and recall_target is None:
        raise arguments.BadParameter("--calibrate-on tunes --recall-target: give both")
    if calibrate is not None and asked.feedback is not None:
        raise arguments.BadParameter(
            "--calibrate-on tunes one search by the queries of its file; leave out it or --feedback"
        )
    condition = joined(filters or [])
    encoder: str | ModelQueryEncoder | None = model
    if max_active_dims is not None:
        if model is None:
            raise arguments.BadParameter("--max-active-dims is for queries that a model encodes: name it with --model")
        encoder = ModelQueryEncoder.load(model, max_active_dims=max_active_dims)
    searcher = Searcher.open(
        places(index),
        engine=chosen_engine(engine, (gpu_memory, gpu_backend), recall_target),
        num_threads=threads,
        model=encoder,
        any_model=any_model,
        alpha=alpha,
        partial=partial,
    )
    if condition is not None and index.startswith("milvus:"):
        with arguments.usage():  # more than Milvus is asked for is refused before the search
            searcher.prepare_filter(condition)
    k = min(k or (1000 if asked.text is None else 10), max(1, searcher.index.num_docs))  # more are never found
    if calibrate is not None:
        calibrate_on(searcher, calibrate, k, vectors=query_vectors is not None)
    if asked.text is not None:
        shown = None if fields is None else [name.strip() for name in fields.split(",") if name.strip()]
        hits = asked.one(searcher, asked.text, k, condition)
        print_hits(hits, asked.text, shown, of_passages=windows_of(searcher.index) is not None, json=json)
    elif json:
        print_answers(asked.many(searcher, k, condition))
    else:
        write_run(asked.many(searcher, k, condition), output, tag, overwrite=overwrite, quiet=quiet)
    report(searcher.calibrations, json=json)
    if searcher.share < 1:
        note(f"searched {searcher.share:.1%} of the documents: not all shards are there")
    if stats:
        for name, value in searcher.stats().items():
            note(f"{name}: {value}")
        if asked.scored:
            note(f"documents scored exactly, mean of a query: {sum(asked.scored) / len(asked.scored):.1f}")


@dataclass(frozen=True, slots=True)
class _Queries:
    """What was given of QUERY, --queries, --query-vectors, which is one of them, of --rerank and of --feedback."""

    text: str | None
    file: Path | None
    vectors: Path | None
    rerank: str | None
    feedback: Feedback | None = None
    scored: list[int] = field(default_factory=list)
    """Of each query that was reranked, the documents that were scored exactly."""

    @classmethod
    def of(
        cls,
        text: str | None,
        file: Path | None,
        vectors: Path | None,
        rerank: str | None,
        feedback: Feedback | None = None,
    ) -> _Queries:
        """Checked; the text - stands for standard input as a file."""
        if sum(source is not None for source in (text, file, vectors)) != 1:
            raise arguments.BadParameter("give one of: the text of a query, --queries FILE, --query-vectors FILE")
        if (
            rerank is not None
            and rerank != "exact"
            and (not rerank.isascii() or not rerank.isdigit() or int(rerank) < 1)
        ):
            raise arguments.BadParameter(f"--rerank is {rerank!r}; expected a number of hits from 1 on, or exact")
        if rerank is not None and vectors is not None:
            raise arguments.BadParameter("--rerank reads the texts of queries: give --queries, not --query-vectors")
        if rerank is not None and feedback is not None:
            raise arguments.BadParameter("--rerank scores what one search finds; give it or --feedback, not both")
        if text == "-":
            text, file = None, Path("-")
        return cls(text, file, vectors, rerank, feedback)

    def one(self, searcher: Searcher, text: str, k: int, condition: str | None) -> Hits:
        """The hits of one text."""
        if self.rerank is None:
            return searcher.search(text, k, filter=condition, feedback=self.feedback)
        from sparseir.search.rerank import CoilReranker

        return self._exact(CoilReranker.of(searcher), searcher, text, k, condition)

    def _exact(self, reranker: CoilReranker, searcher: Searcher, text: str, k: int, condition: str | None) -> Hits:
        """The hits of one text by exact scores."""
        assert self.rerank is not None
        if self.rerank != "exact":
            self.scored.append(int(self.rerank))
            return reranker.search(searcher, text, k, depth=int(self.rerank), filter=condition)
        from sparseir.search.exact_top import search_exactly

        found = search_exactly(reranker, searcher, text, k, filter=condition)
        self.scored.append(found.scored)
        return found.hits

    def many(self, searcher: Searcher, k: int, condition: str | None) -> Answers:
        """qids, docnos and scores of many queries, a batch at a time."""
        from sparseir.search.batches import rows_for, text_batches, vector_batches

        if self.rerank is not None:
            yield from self._reranked(searcher, k, condition)
            return
        if self.file is not None:
            batches = text_batches(searcher, self.file, rows_for(k))
        else:
            assert self.vectors is not None
            batches = vector_batches(searcher, self.vectors, rows_for(k))
        for qids, vectors in batches:
            if self.feedback is not None:
                vectors = searcher.with_feedback(vectors, self.feedback, condition)
            yield qids, *searcher.named(searcher.search_vectors(vectors, k, filter=condition))

    def _reranked(self, searcher: Searcher, k: int, condition: str | None) -> Answers:
        from sparseir.data import read_queries
        from sparseir.search.rerank import CoilReranker

        assert self.file is not None
        reranker = CoilReranker.of(searcher)
        for query in read_queries(self.file):
            hits = self._exact(reranker, searcher, query.text, k, condition)
            yield [query.qid], [hits.docnos], [hits.scores.tolist()]


def _check_shown(asked: _Queries, output: Path | None, fields: str | None, *, json: bool) -> None:
    """Refuse ways of showing hits that exclude each other, or do not go with what was asked."""
    if asked.text is not None and output is not None:
        raise arguments.BadParameter("--output is for many queries (--queries or --query-vectors)")
    if json and output is not None:
        raise arguments.BadParameter("--json prints hits on stdout, --output writes a run file: give one of them")
    if fields is not None and asked.text is None:
        raise arguments.BadParameter("--fields shows the hits of one query; many go to a run, which has no fields")
