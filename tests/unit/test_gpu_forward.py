"""The forward index is the transpose of the posting lists."""

from __future__ import annotations

import numpy as np
import pytest

from sparseir.search.gpu.forward_index import build_forward_index
from tests.gpu_cases import make_case


@pytest.mark.parametrize("num_docs", [0, 1, 200, 140_000])
def test_transposes_back_to_the_rows(num_docs):
    """140,000 documents span three windows of 65,536."""
    case = make_case(num_docs, num_docs, num_terms=8, density=0.02)
    (postings,) = case.segments()
    forward = build_forward_index(postings)
    np.testing.assert_array_equal(forward.start, case.indptr)
    np.testing.assert_array_equal(postings.term_ids[forward.row], case.term_ids)
    np.testing.assert_array_equal(forward.impact, case.impacts)


def test_more_than_65536_terms_take_wider_rows():
    case = make_case(1, 10, num_terms=70_000, density=1.0, lengths=[1])
    (postings,) = case.segments()
    forward = build_forward_index(postings)
    assert forward.row.dtype == (np.uint16 if len(postings.term_ids) <= 65_536 else np.int32)
    np.testing.assert_array_equal(postings.term_ids[forward.row], case.term_ids)
