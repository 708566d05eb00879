"""Static pruning, by hand."""

from __future__ import annotations

from indexer import IndexConfig, SparseVectors
from indexer.prune import prune

ROWS = SparseVectors.from_rows([{0: 5.0, 3: 3.0, 4: 1.0, 7: 1.0}, {}, {3: 2.0}, {3: 3.0, 4: 1.0}], 8)


def kept(**settings):
    out = prune(ROWS, IndexConfig(**settings))
    return [dict(zip(*(part.tolist() for part in out.row(i)), strict=True)) for i in range(len(out))]


def test_mass_share():
    """5 of 10 is half; 5 + 3 of 10 is .8; the only term of a row always stays."""
    assert kept(prune_mass=0.5) == [{0: 5.0}, {}, {3: 2.0}, {3: 3.0}]
    assert kept(prune_mass=0.8) == [{0: 5.0, 3: 3.0}, {}, {3: 2.0}, {3: 3.0, 4: 1.0}]
    assert kept(prune_mass=1.0)[0] == {0: 5.0, 3: 3.0, 4: 1.0, 7: 1.0}


def test_terms_of_a_document_ties_by_term_id():
    assert kept(prune_terms=3)[0] == {0: 5.0, 3: 3.0, 4: 1.0}


def test_postings_of_a_term_ties_by_row():
    """Term 3 weighs 3, 2, 3 in rows 0, 2, 3: two stay. Term 4 weighs 1 twice: the cap of two keeps both."""
    assert kept(prune_postings=2) == [{0: 5.0, 3: 3.0, 4: 1.0, 7: 1.0}, {}, {}, {3: 3.0, 4: 1.0}]
    assert kept(prune_postings=1)[3] == {}
