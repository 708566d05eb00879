"""Static pruning, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index
from indexer.inversion.prune import prune_lists, prune_rows

ROWS = SparseVectors.from_rows([{0: 5.0, 3: 3.0, 4: 1.0, 7: 1.0}, {}, {3: 2.0}, {3: 3.0, 4: 1.0}], 8)


def kept(**settings):
    config = IndexConfig(**settings)
    out = prune_lists(prune_rows(ROWS, config), config)
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


@pytest.mark.parametrize("doc_scale", [0.0, 0.004])
@pytest.mark.parametrize("stored", ["none", "f32"])
def test_the_same_within_a_memory_budget(tmp_path, doc_scale, stored):
    """Runs are cut and merged, with ties within and across them, to what one build in memory keeps."""
    rng = np.random.default_rng(3)
    indptr = np.arange(0, 20 * 1501, 20)
    terms = np.sort(rng.permuted(np.tile(np.arange(40), (1500, 1)), axis=1)[:, :20], axis=1)
    weights = rng.choice(np.array([0.25, 0.5, 1.0, 1.5], np.float32), terms.size)
    vectors = SparseVectors.from_arrays(indptr, terms.reshape(-1), weights, 40)
    config = IndexConfig(prune_postings=300, prune_mass=0.9, doc_scale=doc_scale, stored_weights=stored, order="input")
    batches = [vectors.slice(i, i + 250) for i in range(0, 1500, 250)]
    whole = build_index(tmp_path / "whole", vectors, config=config).segments[0]
    spilled = build_index(tmp_path / "spilled", batches, config=config, memory_budget=1).segments[0]
    assert whole.header == spilled.header
    for name in whole.sections:
        np.testing.assert_array_equal(whole.section(name), spilled.section(name), err_msg=name)
    assert whole.entry.num_clipped == spilled.entry.num_clipped
    assert int(whole.section("TREC")["df"].max()) == 300
