"""Filters against plain Python: random trees over random documents, in one segment, in several, and merged."""

from __future__ import annotations

import math
import operator
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import (
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
)
from sparseir.search.filters.expressions import matching
from tests.filtered import allowed_ordinals

WORDS = st.sampled_from(
    ["", "a", "ab", "a b", "b", "Ä", "2021", "2021-03", "2021-03-04", "2021-03-04T10:00", "20215", "or"]
)
INTEGERS = st.sampled_from([0, 1, -1, 7, 2**53, 2**53 + 1, -(2**63), 2**63 - 1]) | st.integers(-3, 3)
FLOATS = st.sampled_from([0.5, -0.5, 1.0, 7.25, 2.0**60, 1e300])
KINDS = {"word": WORDS, "whole": INTEGERS, "real": FLOATS, "flag": st.booleans()}
OPERATORS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}


@st.composite
def documents(draw):
    """Fields of a document: each may lack; those called …s are lists."""
    row = {}
    for name, values in KINDS.items():
        if draw(st.booleans()):
            row[name] = draw(values)
        if draw(st.booleans()):
            row[f"{name}s"] = draw(st.lists(values, max_size=3) | values)
    return row


@st.composite
def trees(draw, depth=3):
    """(the text of a filter, the function that says which documents it allows)."""
    shape = draw(st.sampled_from(["condition", "and", "or", "not"])) if depth else "condition"
    if shape == "condition":
        return draw(leaves())
    parts = [draw(trees(depth=depth - 1)) for _ in range(1 if shape == "not" else draw(st.integers(2, 3)))]
    functions = [function for _, function in parts]
    if shape == "not":
        return f"not ({parts[0][0]})", lambda row: not functions[0](row)
    holds = all if shape == "and" else any
    return f" {shape} ".join(f"({text})" for text, _ in parts), lambda row: holds(f(row) for f in functions)


@st.composite
def leaves(draw):
    kind = draw(st.sampled_from(list(KINDS)))
    name = draw(st.sampled_from([kind, f"{kind}s"]))
    values = st.one_of(INTEGERS, FLOATS, st.just(math.inf)) if kind in ("whole", "real") else KINDS[kind]
    ops = ["=", "!=", "in", "not in"]
    ops += [] if kind == "flag" else list(OPERATORS)
    op = draw(st.sampled_from([*ops, "startswith"] if kind == "word" else ops))
    wanted = draw(st.lists(values, min_size=1, max_size=3 if op.endswith("in") else 1))
    texts = [f'"{value}"' for value in wanted]
    text = f"{name} {op} ({', '.join(texts)})" if op.endswith("in") else f"{name}{op}{texts[0]}"
    if op == "startswith":
        text = f"{name} startswith {texts[0]}"
    return text, lambda row: condition(row.get(name), kind, op, wanted)


def condition(value, kind, op, wanted):
    """What a condition says of a document's value, None or [] where it lacks the field."""
    if value is None or value == []:
        return False
    found = value if isinstance(value, list) else [value]
    if op in ("=", "in"):
        return any(same(v, w, kind) for v in found for w in wanted)
    if op in ("!=", "not in"):
        return not any(same(v, w, kind) for v in found for w in wanted)
    if op == "startswith":
        return any(v.startswith(wanted[0]) for v in found)
    return any(ordered(v, wanted[0], kind, op) for v in found)


def same(value, wanted, kind):
    return value == float(wanted) if kind == "real" else value == wanted


def ordered(value, wanted, kind, op):
    if kind == "real":
        wanted = float(wanted)
    within = kind == "word" and len(wanted) in (4, 7, 10, 16) and wanted.startswith("2021")
    if within and value.startswith(wanted) and not value[len(wanted) :].startswith("5"):  # lies in the period
        return op == "<=" or (op == ">=" and value >= wanted)
    return OPERATORS[op](value, wanted)


def test_an_empty_list_is_a_lacking_field_however_documents_are_cut(tmp_path):
    rows = [{}, {"flags": []}, {"flags": [True]}, {"flags": [None]}]
    vectors = SparseVectors.from_rows([{0: 1.0}] * len(rows), 1)
    for cut in range(len(rows) + 1):
        path = tmp_path / str(cut)
        build_index(path, vectors.slice(0, cut), fields=rows[:cut], config=IndexConfig(metadata=("flags",)))
        if cut < len(rows):
            add_documents(path, vectors.slice(cut, len(rows)), fields=rows[cut:])
        for _ in range(2):
            index = open_index(path)
            assert allowed_ordinals(index, "flags!=false") == [2]
            assert allowed_ordinals(index, "flags=true") == [2]
            assert allowed_ordinals(index, "not flags=true") == [0, 1, 3]
            compact_index(path)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(documents(), min_size=1, max_size=12),
    filters=st.lists(trees(), min_size=1, max_size=6),
    data=st.data(),
)
def test_a_filter_allows_what_plain_python_allows(rows, filters, data):
    names = tuple(name for kind in KINDS for name in (kind, f"{kind}s"))
    # Of each field one value at least, so that there is a kind to check values against.
    rows = [
        *rows,
        {
            "word": "a",
            "words": ["a"],
            "whole": 1,
            "wholes": [1],
            "real": 0.5,
            "reals": [0.5],
            "flag": True,
            "flags": [True],
        },
    ]
    cut = data.draw(st.integers(0, len(rows)))
    gone = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=2, unique=True))
    vectors = SparseVectors.from_rows([{0: 1.0}] * len(rows), 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        build_index(path, vectors.slice(0, cut), fields=rows[:cut], config=IndexConfig(metadata=names, order="input"))
        if cut < len(rows):
            add_documents(path, vectors.slice(cut, len(rows)), fields=rows[cut:])
        if gone:
            delete_documents(path, ordinals=gone)
        states = [open_index(path)]
        if data.draw(st.booleans()):
            compact_index(path)
            states.append(open_index(path))
        for index in states:
            for text, holds in filters:
                want = [d for d, row in enumerate(rows) if d not in gone and holds(row)]
                assert allowed_ordinals(index, text) == want, text


def test_an_index_left_empty_by_compaction_still_knows_its_fields(tmp_path):
    build_index(
        tmp_path / "index",
        SparseVectors.from_rows([{0: 1.0}], 1),
        fields=[{"word": "a"}],
        config=IndexConfig(metadata=("word",)),
    )
    delete_documents(tmp_path / "index", ordinals=[0])
    compact_index(tmp_path / "index")
    index = open_index(tmp_path / "index")
    assert matching(index, 'word="a"').tolist() == []
    add_documents(tmp_path / "index", SparseVectors.from_rows([{0: 1.0}], 1), fields=[{"word": "a"}])
    assert len(matching(open_index(tmp_path / "index"), 'word="a"')) == 1
