"""Fitting the query weights of an index to judgements, committing them, and taking them back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer import Index, open_index, replace_query_side
from indexer.progress import Progress, silent
from sparseir.data.passages import windows_of
from sparseir.data.records import Qrels
from sparseir.errors import ConfigError, DataError, LockedError, MissingExtraError, SparseIRError
from sparseir.lexical.added_words import AddedWords
from sparseir.lexical.channel import BM25_KIND, LexicalChannel, has_channel
from sparseir.lexical.queries import LexicalQueryEncoder
from sparseir.lexical.term_factors import FACTORS_FILE, TermFactors
from sparseir.query_weights.added import Pairs, WordAdder
from sparseir.query_weights.choice import Chosen, choose, try_on_topics
from sparseir.query_weights.lists import CandidateLists, candidate_lists, candidate_words, relevant_documents
from sparseir.query_weights.options import FEWEST, FitOptions
from sparseir.query_weights.ridge import fit_ridge, unfitted
from sparseir.query_weights.topics import topic_halves
from sparseir.search.searcher import Searcher

if TYPE_CHECKING:
    from sparseir.models.query_table import QueryTable
    from sparseir.search.query_encoder import QueryEncoder

LARGEST_GRADE = 100_000
"""Of a judgement."""

MOST_POSTINGS = 50_000_000
"""Of candidates, which are held in memory where words are added: some 1.5 GB while they are read."""

LEAST_SHARE = 0.01
"""Of its own weight, below which an added word is left out: it costs a posting list and says nothing."""

_NAMED = 12
"""Terms that a report names of each kind."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a fit to the other queries does for those held out, over their candidates.

    queries : how many. loss_before, loss_after : means of `list_losses`. ndcg_before, ndcg_after : nDCG@10.
    """

    queries: int
    loss_before: float
    loss_after: float
    ndcg_before: float
    ndcg_after: float


@dataclass(frozen=True, slots=True)
class FitReport:
    """What was fitted.

    committed : whether the index has new weights; False where held-out queries were no better for them.
    queries : that were used. strength : of the ridge, infinite where nothing was worth fitting.
    held_out : by which the strength was chosen. unshared : of these, the queries none of whose relevant documents is
        relevant to a query that was fitted: what is new to the fit; None where there are none.
    other_topics : queries about other things than those fitted, by the strengths that were chosen; `held_out` itself
        where these chose. None where all are about one thing.
    raised, lowered : terms whose factor is furthest above and below 1, with it.
    added : pairs of words that are added. added_strength : of their ridge, infinite where none was worth it. added_most : a
        word that is said and one that it adds, with the share of the weight that it gets, the largest.
    generation : of the index.
    """

    committed: bool
    queries: int
    strength: float
    held_out: HeldOut
    unshared: HeldOut | None
    other_topics: HeldOut | None
    raised: tuple[tuple[str, float], ...]
    lowered: tuple[tuple[str, float], ...]
    added: int
    added_strength: float
    added_most: tuple[tuple[str, str, float], ...]
    generation: int


def fit_query_weights(
    path: str | Path,
    queries: Mapping[str, str],
    qrels: Qrels,
    *,
    options: FitOptions | None = None,
    progress: Progress = silent,
) -> FitReport:
    """Multiply the weight of each query term by a factor, and let words add others, so that judged documents rank higher.

    The factors, and the shares of their own weight that added words get, are those of `ridge.Ridge`, started from the
    weights as built, so fitting twice is fitting once; `added.WordAdder` finds the words. Parts of the queries are held
    out in turn and choose the strengths (`choice.choose`), and parts about other things than the rest show what the fit
    is worth there; then all are used. Where these are no better for it, nothing
    changes. One commit; postings, and with them every bound and engine, stay as they are.

    Parameters
    ----------
    path : the index, or the folder of its shards. queries : text by name. qrels : grades by query and document.

    Returns
    -------
    FitReport

    Raises
    ------
    SparseIRError : the index carries no query side.
    ConfigError : an index of passages, or one whose queries need a model.
    DataError : fewer than 30 queries that an indexed document answers; a grade that is no whole number, or above 100,000.
    LockedError : another writer holds the index, or has added words while this fitted.
    MissingExtraError : scipy or ir-measures is not installed.
    """
    _check_packages()
    chosen_options, folder = options or FitOptions(), Path(path)
    index = open_index(folder)
    table, encoder = _as_built(index)
    _check_grades(queries, qrels)
    judged = {qid: text for qid, text in queries.items() if any(grade > 0 for grade in qrels.get(qid, {}).values())}
    used = _drawn(judged, chosen_options)
    searcher = Searcher.open(folder, query_encoder=encoder, num_threads=chosen_options.num_threads)
    if searcher.index.num_terms != index.num_terms:
        raise LockedError(f"another writer has changed the query side of {folder.name!r} in the meantime; fit it again")
    lists = candidate_lists(searcher, used, qrels, depth=chosen_options.depth, progress=progress)
    if len(lists) < FEWEST:
        raise DataError(
            f"{len(lists)} of {len(queries):,} queries have relevant documents in index {folder.name!r}; "
            f"fitting needs at least {FEWEST}: give more judgements, or those of this collection"
        )
    adder = None
    if chosen_options.added_words and isinstance(encoder, LexicalQueryEncoder):
        most = int(MOST_POSTINGS * index.num_stored / max(1, index.num_postings))
        lists = lists.within(most, seed=chosen_options.seed)
        if len(lists) < FEWEST:
            raise DataError(
                f"the candidates of {len(lists)} queries hold {MOST_POSTINGS:,} postings, as many as are read; fitting "
                f"needs at least {FEWEST} queries: take a smaller depth, or add no words"
            )
        progress("reading candidates", 0, None)
        adder = _adder(searcher, encoder, lists, chosen_options.added_words)
    progress("fitting", 0, None)
    seed, threads = chosen_options.seed, chosen_options.num_threads
    halves = topic_halves(relevant_documents(searcher, lists), seed=seed)
    if len(halves) == 1 and chosen_options.hold_out == "topics":
        raise DataError(
            "all judged queries are for documents that are alike, so none is about other things; hold out queries"
        )
    by_topics = halves if chosen_options.hold_out == "topics" else None
    choice = choose(lists, qrels, seed=seed, adder=adder, num_threads=threads, topics=by_topics)
    elsewhere = choice if by_topics else None
    if by_topics is None and len(halves) == 2:
        elsewhere = try_on_topics(lists, qrels, halves, choice, adder=adder, num_threads=threads)
    fitted = _fitted(lists, choice, adder)
    report = FitReport(
        committed=bool((fitted.factors != 1).any()) or fitted.added is not None,
        queries=len(lists),
        strength=choice.strength,
        held_out=_worth(choice, np.arange(len(choice.held_out)), qrels),
        unshared=_worth(choice, choice.unshared, qrels) if len(choice.unshared) else None,
        other_topics=None if elsewhere is None else _worth(elsewhere, np.arange(len(elsewhere.held_out)), qrels),
        raised=_furthest(encoder, fitted.factors, above=True),
        lowered=_furthest(encoder, fitted.factors, above=False),
        added=0 if fitted.added is None else len(fitted.added),
        added_strength=choice.added_strength,
        added_most=_largest_shares(encoder, fitted.added),
        generation=index.generation,
    )
    return replace(report, generation=_commit(index, table, fitted).generation) if report.committed else report


def _adder(searcher: Searcher, encoder: LexicalQueryEncoder, lists: CandidateLists, most: int) -> WordAdder:
    """What finds words to add."""
    first, end = encoder.lexical.first_term, encoder.num_terms
    weights = np.zeros(end)
    weights[first:] = encoder.weights_as_built(range(first, end))
    return WordAdder(candidate_words(searcher, lists, first), weights, most)


def _fitted(lists: CandidateLists, choice: Chosen, adder: WordAdder | None) -> TermFactors:
    """What all queries give at the strengths that were chosen."""
    ridge = unfitted(lists)
    size = len(ridge.factors)
    if np.isfinite(choice.strength):
        ridge = fit_ridge(lists, ridge, choice.strength)
    added = None
    if adder is not None and np.isfinite(choice.added_strength):
        pairs = adder.pairs(lists, ridge)
        ridge = fit_ridge(
            adder.extended(lists, pairs), ridge.with_pairs(len(pairs)), choice.strength, choice.added_strength
        )
        added = _added_words(pairs, ridge.factors[size:])
    return TermFactors(ridge.factors[:size].astype(np.float32), added=added)


def _added_words(pairs: Pairs, shares: NDArray[np.float64]) -> AddedWords | None:
    kept = np.flatnonzero(shares >= LEAST_SHARE)
    if not len(kept):
        return None
    said, added = (of_pair[kept].astype(np.uint32) for of_pair in (pairs.said, pairs.added))
    return AddedWords(said, added, shares[kept].astype(np.float32))


def _check_grades(queries: Mapping[str, str], qrels: Qrels) -> None:
    """Before the work: nDCG takes time and memory by the largest grade, and whole numbers alone."""
    for qid in queries:
        for docno, grade in qrels.get(qid, {}).items():
            if not isinstance(grade, int) or grade > LARGEST_GRADE:
                raise DataError(
                    f"query {qid!r} and document {docno!r} are judged {grade!r}; expected a whole number of at most "
                    f"{LARGEST_GRADE:,}: scale counts of clicks down, or give 1 for each"
                )


def _check_packages() -> None:
    """Before the work."""
    for package, extra in (("scipy", "index"), ("ir_measures", "evaluate")):
        if find_spec(package) is None:
            raise MissingExtraError(package.replace("_", "-"), extra, "fitting query weights")


def undo_fit(path: str | Path) -> Index:
    """Give the queries of an index the weights it was built with, as one commit; without a fit nothing happens.

    Raises
    ------
    DataError : the fitted weights are damaged.
    LockedError : another writer holds the index.
    """
    index = open_index(path)
    side = index.query_side
    fitted = None if side is None else TermFactors.load(side)
    if fitted is None:
        return index
    return _commit(index, _table_as_built(index, fitted), None)


def _drawn(queries: Mapping[str, str], options: FitOptions) -> dict[str, str]:
    names = list(queries)
    if len(names) > options.max_queries:
        drawn = np.random.default_rng(options.seed).permutation(len(names))[: options.max_queries]
        names = [names[i] for i in sorted(drawn.tolist())]
    return {name: queries[name] for name in names}


def _as_built(index: Index) -> tuple[QueryTable | None, QueryEncoder]:
    """The table of learned terms and the query encoder of an index, without factors."""
    from sparseir.models.query_table import DESCRIPTION_FILE

    side = index.query_side
    if side is None:
        raise SparseIRError(
            f"index {index.path.name!r} carries nothing that turns texts into terms; only an index whose queries are looked up "
            "can be fitted"
        )
    if windows_of(index) is not None:
        raise ConfigError(
            f"index {index.path.name!r} is one of passages, whose judgements are of whole documents; it cannot be fitted"
        )
    words = index.encoder is not None and index.encoder.kind == BM25_KIND
    if not words and not (side / DESCRIPTION_FILE).is_file():
        raise ConfigError(
            f"the queries of index {index.path.name!r} run a model, which has no weights of terms to fit; train it on the "
            "judgements instead (sparseir train), or use an inference-free model"
        )
    table = None if words else _table_as_built(index, TermFactors.load(side))
    if not has_channel(side):
        assert table is not None
        return table, table
    channel = LexicalChannel.load(side)
    channel.take_fit(None)
    return table, LexicalQueryEncoder(channel, index, learned=table)


def _table_as_built(index: Index, fitted: TermFactors | None) -> QueryTable | None:
    from sparseir.models.query_table import DESCRIPTION_FILE, QueryTable

    side = index.query_side
    if side is None or not (side / DESCRIPTION_FILE).is_file():
        return None
    table = QueryTable.load(side)
    if fitted is None:
        return table
    if fitted.table is None or len(fitted.table) != len(table.weights):
        raise DataError(
            "the fitted query weights do not belong to the table beside them; build the index again", path=side
        )
    return QueryTable(table.tokenizer, fitted.table)


def _commit(index: Index, table: QueryTable | None, fitted: TermFactors | None) -> Index:
    """Put the query side in place with what was fitted, or as built."""
    from sparseir.models.query_table import QueryTable

    assert index.query_side is not None
    with tempfile.TemporaryDirectory(prefix="sparseir-query-") as temporary:
        side = Path(temporary) / "side"
        shutil.copytree(index.query_side, side)
        if fitted is None:
            (side / FACTORS_FILE).unlink(missing_ok=True)
        else:
            TermFactors(fitted.factors, None if table is None else table.weights, fitted.added).save(side)
        if table is not None:
            own = 1.0 if fitted is None else fitted.factors[: len(table.weights)]
            QueryTable(table.tokenizer, (table.weights * own).astype(np.float32)).save(side)
        return replace_query_side(index.path, side, made_from=index.manifest.query_side)


def _worth(choice: Chosen, which: NDArray[np.int64], qrels: Qrels) -> HeldOut:
    """Of some of the held-out lists."""
    import ir_measures

    lists = choice.held_out
    spans = [(lists.qids[i], lists.starts[i], lists.starts[i + 1]) for i in which.tolist()]
    judged = {qid: dict(qrels[qid]) for qid, _, _ in spans}

    def ndcg(scores: NDArray[np.float64]) -> float:
        run = {qid: dict(zip(lists.docnos[a:b], scores[a:b].tolist(), strict=True)) for qid, a, b in spans}
        return float(ir_measures.calc_aggregate([ir_measures.nDCG @ 10], judged, run)[ir_measures.nDCG @ 10])

    return HeldOut(
        len(spans),
        float(choice.loss_before[which].mean()),
        float(choice.loss_after[which].mean()),
        ndcg(choice.before),
        ndcg(choice.after),
    )


def _furthest(encoder: QueryEncoder, factors: NDArray[np.float32], *, above: bool) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-factors if above else factors, kind="stable")[:_NAMED]
    return tuple(
        (encoder.token(int(term)), round(float(factors[term]), 3))
        for term in order
        if (factors[term] > 1 if above else factors[term] < 1)
    )


def _largest_shares(encoder: QueryEncoder, words: AddedWords | None) -> tuple[tuple[str, str, float], ...]:
    if words is None:
        return ()
    order = np.argsort(-words.shares, kind="stable")[:_NAMED]
    return tuple(
        (encoder.token(int(words.said[i])), encoder.token(int(words.added[i])), round(float(words.shares[i]), 3))
        for i in order.tolist()
    )
