"""A filter allows the same documents in a collection of Milvus as in an index folder."""

import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer import IndexConfig, SparseVectors, build_index, open_index
from sparseir.errors import ConfigError, DataError
from sparseir.search.filters.expressions import matching
from sparseir.search.stores import filters
from sparseir.search.stores.client import StoreClient
from sparseir.search.stores.filters import MetaFields, condition_of, spelled, values_of
from sparseir.search.stores.places import store_place
from sparseir.search.stores.rows import StoreRows, as_json
from tests.property.test_filters_evaluate import FLOATS, INTEGERS, KINDS, documents, trees

pytestmark = pytest.mark.filterwarnings("ignore")
NAMES = tuple(name for kind in KINDS for name in (kind, f"{kind}s"))
# Of each field one value at least, so that there is a kind to check values against.
EVERY = {
    "word": "a",
    "words": ["a"],
    "whole": 1,
    "wholes": [1],
    "real": 0.5,
    "reals": [0.5],
    "flag": True,
    "flags": [True],
}
FIRST = count(0, 1000)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    pytest.importorskip("milvus_lite", reason="milvus-lite==2.5.1 is not installed")
    from pymilvus import MilvusClient

    place = store_place(f"milvus://{tmp_path_factory.mktemp('lite')}/m.db/filters")
    made = StoreClient(place, MilvusClient(place.uri, timeout=120))
    made.create()
    return made


def put(client, meta, rows):
    """Documents with these fields; gives the id of the first."""
    first = next(FIRST)
    ids = np.arange(first, first + len(rows), dtype=np.int64)
    vectors = SparseVectors.from_rows([{0: 1.0}] * len(rows), 1)
    columns = [[as_json(row) for row in rows], [as_json(meta.row(row)) for row in rows]]
    client.upsert(StoreRows(ids, [f"d{i}" for i in ids], *columns, vectors))
    return first


def found(client, meta, first, text):
    condition = f"id >= {first} and id < {first + 1000} and ({condition_of(meta, text)})"
    return sorted(int(row["id"]) - first for row in client.query(condition, ["id"]))


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(documents(), min_size=1, max_size=12), asked=st.lists(trees(), min_size=1, max_size=8))
def test_a_filter_allows_what_it_allows_in_a_folder(client, rows, asked):
    rows = [*rows, EVERY]
    with tempfile.TemporaryDirectory() as folder:
        vectors = SparseVectors.from_rows([{0: 1.0}] * len(rows), 1)
        config = IndexConfig(metadata=NAMES, order="input")
        build_index(Path(folder) / "index", vectors, fields=rows, config=config)
        index = open_index(Path(folder) / "index")
        lengths = {name: max(len(values_of(row.get(name))) for row in rows) for name in NAMES}
        meta = MetaFields(index.field_kinds, NAMES, lengths)
        first = put(client, meta, rows)
        for text, allows in asked:
            expected = matching(index, text).tolist()
            assert expected == [i for i, row in enumerate(rows) if allows(row)]
            assert found(client, meta, first, text) == expected, text


def test_characters_and_dates(client):
    values = ['a "b" \\c', "naïve", "日本", "\U0001f600", "l\nm", "2021-03-31", "2021-04", "2021", "20215", "it's"]
    meta = MetaFields({"s": "str"}, ("s",), {"s": 1})
    first = put(client, meta, [{"s": value} for value in values])
    for number, value in enumerate(values):
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        assert found(client, meta, first, f's="{quoted}"') == [number]
        assert number not in found(client, meta, first, f's!="{quoted}"')
    assert found(client, meta, first, "s startswith 日") == [2]
    assert found(client, meta, first, "s<=2021-03 and s>=2021") == [5, 7]
    assert found(client, meta, first, "s>2021 and s<3") == [8]
    assert found(client, meta, first, "not s<=2021") == [0, 1, 2, 3, 4, 8, 9]


@given(a=INTEGERS | FLOATS, b=INTEGERS | FLOATS)
def test_spelled_numbers_are_in_the_order_of_numbers(a, b):
    assert (spelled(a) < spelled(b)) == (a < b)
    assert (spelled(a) == spelled(b)) == (a == b)


@given(a=st.text(), b=st.text())
def test_spelled_strings_are_in_the_order_of_strings(a, b):
    assert (spelled(a) < spelled(b)) == (a < b)
    assert spelled(a).isascii()
    assert spelled(a + b).startswith(spelled(a))


def test_what_milvus_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(filters, "MOST_COMPARISONS", 10)
    meta = MetaFields({"tags": "list[str]", "year": "int"}, ("tags", "year"), {"tags": 6, "year": 1})
    condition_of(meta, "tags=a and year=1")
    with pytest.raises(ConfigError, match="would compare 12 values of each document, at most 10"):
        condition_of(meta, "tags in (a, b)")
    with pytest.raises(DataError, match="cannot filter by 'yaer'"):
        condition_of(meta, "yaer=1")
    with pytest.raises(DataError, match="holds no strings"):
        condition_of(meta, "year startswith 19")
