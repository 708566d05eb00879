"""What an encoder makes of one text: its own words weighed, and the terms that the encoder added."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sparseir.models.panics import Tokenizing

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


@dataclass(frozen=True, slots=True)
class ExpandedTerm:
    """One term of a vector.

    term : its string. term_id : its id. weight : above 0.
    in_text : whether the text says it; None where terms are no words (latent ones).
    """

    term: str
    term_id: int
    weight: float
    in_text: bool | None


@dataclass(frozen=True, slots=True)
class Expansion:
    """A text as an encoder sees it.

    text, side : what was encoded, as "document" or "query". pieces : word pieces of the whole text, with repetitions.
    terms : heaviest first, ties by term id. unweighted : word pieces of the text without a weight, in order, once each.
    """

    text: str
    side: str
    pieces: int
    terms: tuple[ExpandedTerm, ...]
    unweighted: tuple[str, ...]

    @property
    def own(self) -> int:
        """Terms that the text says itself."""
        return sum(term.in_text is True for term in self.terms)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def expand(encoder: SparseEncoder, text: str, *, query: bool = False) -> Expansion:
    """Encode a text and tell its own words from expansion.

    Parameters
    ----------
    query : encode it as a query, not as a document.
    """
    encode = encoder.encode_queries if query else encoder.encode_documents
    term_ids, weights = encode([text]).row(0)
    names = encoder.terms()
    latent = encoder.document_tower.latent
    with Tokenizing([text]):
        pieces = encoder.tokenizer.uncut().encode(text, add_special_tokens=False)
    said = set(pieces.ids)
    terms = [
        ExpandedTerm(
            term=names[term_id] if term_id < len(names) else f"[{term_id}]",
            term_id=term_id,
            weight=weight,
            in_text=None if latent else term_id in said,
        )
        for term_id, weight in zip(term_ids.tolist(), weights.tolist(), strict=True)
    ]
    weighed = {term.term_id for term in terms}
    silent = () if latent else (p for i, p in zip(pieces.ids, pieces.tokens, strict=True) if i not in weighed)
    return Expansion(
        text=text,
        side="query" if query else "document",
        pieces=len(pieces.ids),
        terms=tuple(sorted(terms, key=lambda t: (-t.weight, t.term_id))),
        unweighted=tuple(dict.fromkeys(silent)),
    )
