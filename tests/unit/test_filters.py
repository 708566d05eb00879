from __future__ import annotations

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index, compact_index, delete_documents, open_index
from sparseir.errors import DataError
from sparseir.search.filter_expressions import Predicate, allowed_documents, parse_filter
from sparseir.search.searcher import Searcher
from tests import oracle

FIELDS = [
    {"year": 1999, "lang": "en", "peer": True, "price": 1.5},
    {"year": 2004, "lang": "de", "peer": False},
    {"lang": "en", "price": 2.0},
    {"year": 2**53 + 1, "lang": "de la Cruz", "peer": True},
]


@pytest.fixture
def index(tmp_path):
    vectors = SparseVectors.from_rows([{0: 1.0, 1: 2.0}, {0: 1.0}, {0: 3.0, 2: 1.0}, {0: 1.0, 1: 0.5}], 3)
    config = IndexConfig(metadata=("year", "lang", "peer", "price"))
    return build_index(tmp_path / "index", vectors, docnos=list("abcd"), fields=FIELDS, config=config)


def passing(index, filter):
    (bitmap,) = allowed_documents(index, filter)
    return [d for d in range(4) if int(bitmap[0]) >> d & 1]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("lang=en", [0, 2]),
        ("lang = en and year>=1999", [0]),
        ("lang in (de, en)", [0, 1, 2]),
        ('lang="de la Cruz"', [3]),
        ("lang in ('de la Cruz', nothing)", [3]),
        ("year<2004", [0]),
        ("year<=2004", [0, 1]),
        ("year > 1999 AND year < 3000", [1]),
        ("year=9007199254740993", [3]),
        ("year=9007199254740992", []),
        ("year in (1999, 2004.0)", [0, 1]),
        ("peer=true", [0, 3]),
        ("peer=False", [1]),
        ("price>=1.75", [2]),
        ("lang=xx", []),
    ],
)
def test_expressions(index, text, want):
    assert passing(index, text) == want


def test_ordinals_and_docnos(index):
    assert passing(index, np.array([3, 1, 99, -1])) == [1, 3]
    assert passing(index, ["d", "nobody", "a"]) == [0, 3]
    assert passing(index, []) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a field at the end"),
        ("lang", "expected =, in"),
        ("lang=", "expected a value"),
        ("lang=en year=3", "expected 'and'"),
        ("lang in en", r"expected \( after in"),
        ("lang in (en", "at the end"),
        ("lang in ()", "expected a value"),
        ('lang="en', "unfinished quotation"),
        ("lang==en", "expected a value"),
        ("langg=en", "did you mean 'lang'"),
        ("lang>=en", "holds no numbers"),
        ("year=soon", "holds numbers"),
        ("year<nan", "holds numbers"),
        ("peer=1", "true or false"),
    ],
)
def test_what_is_no_filter_is_explained(index, text, message):
    with pytest.raises(DataError, match=message):
        allowed_documents(index, text)


def test_parsing():
    assert parse_filter("a=1 and b in (x,'y z')") == [Predicate("a", "in", ("1",)), Predicate("b", "in", ("x", "y z"))]


def test_filtered_search_equals_the_oracle_restricted(index):
    searcher = Searcher.open(index.path)
    for filter, allowed in (
        (None, [0, 1, 2, 3]),
        ("lang=en", [0, 2]),
        (np.array([1, 3]), [1, 3]),
        (["a"], [0]),
        ([], []),
    ):
        got = searcher.search_terms(np.array([0, 1], np.uint32), np.array([1, 1], np.float32), 3, filter=filter)
        # impacts at scale 3/255: 1 → 85, 2 → 170, 3 → 255, .5 → 43
        want, _ = oracle.rank([85 + 170, 85, 255, 85 + 43], 3, allowed=allowed)
        assert got.ordinals.tolist() == want.tolist(), filter
    delete_documents(index.path, ["c"])
    searcher = Searcher.open(index.path)
    assert searcher.search_terms(
        np.array([0], np.uint32), np.array([1], np.float32), 3, filter="lang=en"
    ).ordinals.tolist() == [
        0,
        -1,
        -1,
    ]


def test_a_prepared_filter_belongs_to_its_snapshot(index):
    searcher = Searcher.open(index.path)
    terms, weights = np.array([0, 1], np.uint32), np.array([1, 1], np.float32)
    prepared = searcher.prepare_filter(np.array([3, 0]))
    assert searcher.prepare_filter(prepared) is prepared
    assert searcher.search_terms(terms, weights, 3, filter=prepared).ordinals.tolist() == [0, 3, -1]
    with pytest.raises(DataError, match="another snapshot"):
        Searcher.open(index.path).search_terms(terms, weights, 3, filter=prepared)


def test_an_expression_is_evaluated_once(index):
    searcher = Searcher.open(index.path)
    first, second = searcher.prepare_filter("lang=en"), searcher.prepare_filter("lang=en")
    assert first.bitmaps is second.bitmaps


def test_ordinals_far_apart(tmp_path):
    """Replacing and compacting leaves gaps between ordinals; those in them are nobody's."""
    vectors = SparseVectors.from_rows([{0: 1.0 + i} for i in range(40)], 1)
    index = build_index(tmp_path / "index", vectors)
    delete_documents(index.path, [str(i) for i in range(1, 39)])
    compact_index(index.path)
    (segment,) = open_index(index.path).segments
    assert segment.doc_ids(np.array([-1, 0, 1, 38, 39, 40])).tolist() == [-1, 0, -1, -1, 1, -1]


def test_a_filter_is_lifted_after_the_search(index):
    searcher = Searcher.open(index.path)
    terms, weights = np.array([0], np.uint32), np.array([1], np.float32)
    searcher.search_terms(terms, weights, 4, filter="lang=xx")
    assert (searcher.search_terms(terms, weights, 4).ordinals >= 0).all()
