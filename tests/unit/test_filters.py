from __future__ import annotations

import numpy as np
import pytest

from indexer import (
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
    verify_index,
)
from sparseir.errors import DataError
from sparseir.search.filters.expressions import allowed_documents
from sparseir.search.filters.grammar import All, AnyOf, Condition, Not, parse_filter
from sparseir.search.searcher import Searcher
from tests import oracle
from tests.filtered import allowed_ordinals

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
        ("lang=en or year=2004", [0, 1, 2]),
        ("lang=en and price<2 or peer=false", [0, 1]),
        ("lang=en and (price<2 or peer=false)", [0]),
        ("not lang=en", [1, 3]),
        ("not (lang=en or peer=true)", [1]),
        ("not not year=1999", [0]),
        ("lang!=en", [1, 3]),
        ("year!=1999", [1, 3]),
        ("not year=1999", [1, 2, 3]),
        ("year not in (1999, 2004)", [3]),
        ("lang startswith d", [1, 3]),
        ("lang STARTSWITH 'de '", [3]),
        ("lang>=de", [0, 1, 2, 3]),
        ("lang>de and lang<en", [3]),
        ("lang<=de", [1]),
        ("year<2004.5", [0, 1]),
        ("year>9007199254740992", [3]),
        ("year>9007199254740992.5", [3]),
        ("year<99999999999999999999", [0, 1, 3]),
        ("year>-inf", [0, 1, 3]),
        ("price>=1" + "0" * 400, []),
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
        ("lang", "expected one of = != "),
        ("lang=", "expected a value"),
        ("lang=en year=3", "expected 'and' or 'or' before 'year'"),
        ("lang in en", r"expected '\(' after in"),
        ("lang in (en", "at the end"),
        ("lang in ()", "expected a value"),
        ('lang="en', "quotation that does not end"),
        ("(lang=en", "expected 'and', 'or' or '\\)' at the end"),
        ("lang=en)", "expected 'and' or 'or' before '\\)'"),
        ("lang=en or", "expected a field at the end"),
        ("not", "expected a field at the end"),
        ("lang!en", "expected one of"),
        ("()", "expected a field before '\\)'"),
        ("(" * 65 + "lang=en" + ")" * 65, "more than 64"),
        ("not " * 4000 + "lang=en", "more than 64"),
        ("year startswith 19", "holds no strings"),
        ("peer>true", "true or false"),
        ("lang==en", "expected a value"),
        ("langg=en", "did you mean 'lang'"),
        ("year=soon", "holds numbers"),
        ("year<nan", "holds numbers"),
        ("peer=1", "true or false"),
    ],
)
def test_what_is_no_filter_is_explained(index, text, message):
    with pytest.raises(DataError, match=message):
        allowed_documents(index, text)


def test_parsing():
    a, b = Condition("a", "in", ("1",)), Condition("b", "in", ("x", "y z"))
    assert parse_filter("a=1 and b in (x,'y z')") == All((a, b))
    assert parse_filter("a=1 or not (a=1 and b in (x,'y z'))") == AnyOf((a, Not(All((a, b)))))
    assert parse_filter("b not in (x, 'y z')") == Condition("b", "in", ("x", "y z"), negated=True)
    # Words are keywords only where one can stand, so that fields and values may be called like them.
    assert parse_filter("not=or and or!=and") == All(
        (Condition("not", "in", ("or",)), Condition("or", "in", ("and",), True))
    )
    assert parse_filter('"a b" = "say \\"and\\""') == Condition("a b", "in", ('say "and"',))


@pytest.mark.parametrize(
    ("text", "under"),
    [
        ("lang=en year=3", "year"),
        ("lang=en and langg=de", "langg"),
        ("lang=en and (year in (1999, soon))", "soon"),
        ("lang=en and 'peer' > true", "'peer'"),
        ("lang=" + "x" * 300 + " but year=3 and " + "lang=de or " * 30 + "lang=de", "but"),
    ],
)
def test_a_caret_stands_under_the_fault(index, text, under):
    with pytest.raises(DataError) as raised:
        allowed_documents(index, text)
    _, shown, caret = str(raised.value).split("\n")
    assert caret.strip() == "^"
    assert shown[caret.index("^") :].startswith(under)
    assert len(shown) < 130


DATES = ["2021-03-04", "2021-03-31T10:00", "2021-04-01", "20215", "2021", "2020-12-31T23:59:59"]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("date<=2021-03", [0, 1, 4, 5]),
        ("date>2021-03", [2, 3]),
        ("date>=2021-03-31 and date<2021-04", [1]),
        ("date<=2021-03-31", [0, 1, 4, 5]),
        ("date<=2020", [5]),
        ("date<=2021", [0, 1, 2, 4, 5]),
        ("date>2021", [3]),
        ("date=2021", [4]),
        ("date startswith 2021-", [0, 1, 2]),
        ("date>2020-12-31 and date<2021-03-31T10:01", [0, 1, 4]),
    ],
)
def test_a_short_date_stands_for_its_period(tmp_path, text, want):
    vectors = SparseVectors.from_rows([{0: 1.0}] * len(DATES), 1)
    config = IndexConfig(metadata=("date",))
    index = build_index(tmp_path / "i", vectors, fields=[{"date": d} for d in DATES], config=config)
    (bitmap,) = allowed_documents(index, text)
    assert [d for d in range(len(DATES)) if int(bitmap[0]) >> d & 1] == want


LISTS = [
    {"topic": ["law", "tax"], "size": [1, 2]},
    {"topic": [], "size": 3},
    {"topic": "law", "size": [2.5]},
    {"size": None},
    {"topic": ["art", None, "lawn"], "flags": [True, False]},
]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("topic=law", [0, 2]),
        ("topic!=law", [4]),
        ("not topic=law", [1, 3, 4]),
        ("topic in (tax, art)", [0, 4]),
        ("topic startswith law", [0, 2, 4]),
        ("topic<law", [4]),
        ("size>=2 and size<3", [0, 2]),
        ("size=3", [1]),
        ("flags=true and flags=false", [4]),
    ],
)
def test_a_list_matches_where_one_of_its_values_does(tmp_path, text, want):
    """In one segment, in two of which one has no lists, and merged in another order."""
    vectors = SparseVectors.from_rows([{0: 1.0}] * 5, 1)
    config = IndexConfig(metadata=("topic", "size", "flags"))
    whole = build_index(tmp_path / "whole", vectors, fields=LISTS, config=config)
    build_index(tmp_path / "parts", vectors.slice(0, 2), fields=[{"topic": "x"}, LISTS[1]], config=config)
    delete_documents(tmp_path / "parts", ordinals=[0, 1])
    add_documents(tmp_path / "parts", vectors.slice(0, 3), fields=LISTS[:3])
    parts = add_documents(tmp_path / "parts", vectors.slice(3, 5), fields=LISTS[3:])
    assert whole.field_kinds == {"topic": "list[str]", "size": "list[float]", "flags": "list[bool]"}
    for index, first in ((whole, 0), (parts, 2)):
        assert allowed_ordinals(index, text) == [first + d for d in want]
        verify_index(index.path)
    compact_index(parts.path)
    assert allowed_ordinals(open_index(parts.path), text) == [2 + d for d in want]
    verify_index(parts.path)


def test_lists_of_lists_and_lists_of_mixed_values_are_refused(tmp_path):
    for value in ([["a"]], ["a", 1], [{"a": 1}]):
        with pytest.raises(DataError, match="metadata field 'topic' mixes"):
            build_index(
                tmp_path / "i",
                SparseVectors.from_rows([{0: 1.0}], 1),
                fields=[{"topic": value}],
                config=IndexConfig(metadata=("topic",)),
            )


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
