"""What a target would lose, refuse or quietly change of an index, said before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from indexer.interchange.stores.store import Layout, Store
from indexer.interchange.stores.survey import Facts
from indexer.interchange.vocabulary import Vocabulary

Severity = Literal["refused", "lossy", "changed", "note"]
"""refused: the target would not load it. lossy: it would load it and rank otherwise; --lossy lets it pass. changed: the
export does something else than write what is there, without changing a ranking. note: to know."""

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of the linter.

    Parameters
    ----------
    severity : see Severity. rule : a short name. count : documents, terms or weights concerned. text : a sentence.
    """

    severity: Severity
    rule: str
    count: int
    text: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"


def lint(store: Store, layout: Layout, facts: Facts, vocabulary: Vocabulary) -> list[Finding]:
    """What is to be said of an export but for its stored fields, whose findings they have themselves."""
    found = [*_terms(store, facts, vocabulary), *_documents(store, facts), *_weights(store, layout, facts)]
    return found + [Finding("note", "target", 0, text) for text in store.notes]


def by_severity(findings: list[Finding]) -> list[Finding]:
    """The gravest first."""
    order = get_args(Severity)
    return sorted(findings, key=lambda finding: order.index(finding.severity))


def _terms(store: Store, facts: Facts, vocabulary: Vocabulary) -> Iterator[Finding]:
    limits, used = store.limits, facts.used
    if limits.terms is not None and len(used) and int(used[-1]) >= limits.terms:
        count = int((used >= limits.terms).sum())
        yield Finding(
            "refused",
            "vocabulary",
            count,
            f"{count:,} term ids lie above {limits.terms:,}, the largest vocabulary {store.title} takes; the largest is {used[-1]:,}",
        )
    if limits.term_ids is not None:
        above = int((used >= limits.term_ids).sum())
        if above:
            shared = len(used) - len(np.unique(store.folded(used)))
            yield Finding(
                "lossy",
                "folded-ids",
                above,
                f"{above:,} of {len(used):,} terms have ids of {limits.term_ids:,} or more; {store.title} folds them modulo "
                f"{limits.term_ids:,}, so that {shared:,} terms would share an id with another (the larger weight is kept); "
                "export to opensearch, which compares strings, or index a vocabulary that fits",
            )
    keys = [store.key(term_id, vocabulary) for term_id in used.tolist()]
    shared = len(keys) - len(set(keys))
    if shared:
        yield Finding(
            "refused", "equal-keys", shared, f"{shared:,} terms have the name of another one; names must differ"
        )
    if limits.key_bytes is not None:
        long = [key for key in keys if len(key.encode(errors="replace")) > limits.key_bytes]
        if long:
            yield Finding(
                "refused",
                "long-keys",
                len(long),
                f"{len(long):,} terms are longer than the {limits.key_bytes:,} bytes {store.title} takes, e.g. {long[0][:40]!r}…",
            )
    yield from store.lint_terms([vocabulary.term(term_id) for term_id in used.tolist()])


def _documents(store: Store, facts: Facts) -> Iterator[Finding]:
    limits, rows = store.limits, len(facts.lengths)
    empty = int((facts.lengths == 0).sum())
    if empty and limits.empty:
        yield Finding(
            "note",
            "empty-vectors",
            empty,
            f"{empty:,} of {rows:,} documents hold no term: no query finds them; they are written without a vector",
        )
    elif empty:
        yield Finding(
            "changed",
            "empty-vectors",
            empty,
            f"{empty:,} of {rows:,} documents hold no term and are left out: {store.title} refuses empty vectors, and no "
            "query would find them",
        )
    if limits.row_terms is not None:
        over = int((facts.lengths > limits.row_terms).sum())
        if over:
            yield Finding(
                "refused",
                "long-vectors",
                over,
                f"{over:,} documents hold more than the {limits.row_terms:,} terms {store.title} takes (up to "
                f"{int(facts.lengths.max()):,}); build the index with --set prune_terms={limits.row_terms}",
            )
    if limits.docno_bytes is not None:
        over = int((facts.docno_bytes > limits.docno_bytes).sum())
        if over:
            yield Finding(
                "refused",
                "long-names",
                over,
                f"{over:,} documents have names of more than the {limits.docno_bytes:,} bytes {store.title} takes (up to "
                f"{int(facts.docno_bytes.max()):,})",
            )
    yield from store.lint_documents(facts)


def _weights(store: Store, layout: Layout, facts: Facts) -> Iterator[Finding]:
    if facts.clipped:
        yield Finding(
            "lossy",
            "over-ceiling",
            facts.clipped,
            f"{facts.clipped:,} of {facts.postings:,} weights lie above the ceiling {layout.ceiling:g} and would be cut to it "
            f"(the largest is {facts.largest:g}); leave --ceiling out to take the largest",
        )
    if facts.lost:
        yield Finding(
            "changed",
            "zero-weights",
            facts.lost,
            f"{facts.lost:,} weights would be 0 as {store.title} holds them: they count for nothing there",
        )
    mean, worst = facts.rounding
    if worst:
        text = f"weights are rounded by {worst:.3%} at most, {mean:.3%} on average"
        advice = "" if layout.weights == "impact" else "; impacts (--weights impact) would be held exactly"
        yield Finding("note", "rounding", facts.postings, text + advice)
    if store.largest_query_weight is not None:
        yield Finding(
            "note",
            "query-weights",
            0,
            f"{store.title} refuses query weights above {store.largest_query_weight:g}: queries are scaled by a power of two "
            "to stay below, which changes no ranking",
        )


def shown(names: list[str]) -> str:
    """The first few of some names, for a message."""
    return ", ".join(map(repr, names[:_SHOWN])) + (" …" if len(names) > _SHOWN else "")
