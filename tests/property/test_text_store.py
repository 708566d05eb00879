"""Text stores and tables of pairs against Python's own lists and dictionaries."""

from __future__ import annotations

import contextlib
import json
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseir.data.corpus.places import Place
from sparseir.data.stores import write_pairs
from sparseir.data.stores.files import write_description
from sparseir.data.stores.pairs import PairTable
from sparseir.data.stores.texts import TextStore
from sparseir.data.stores.write_pairs import Pairs, Table, write_table
from sparseir.data.stores.write_texts import NamedText, write_store
from sparseir.errors import DataError

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=40)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def named(names: list[str], texts: list[str]) -> list[NamedText]:
    return [NamedText(Place(Path("f"), i), 0, n, t) for i, (n, t) in enumerate(zip(names, texts, strict=True), 1)]


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, data=st.data())
def test_a_store_gives_every_text_back_by_row_and_by_name(texts: list[str], data: st.DataObject) -> None:
    names = data.draw(st.lists(NAMES, min_size=len(texts), max_size=len(texts), unique=True))
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "s", named(names, texts))
        assert list(store) == texts
        assert store[:] == texts
        assert store[-1] == texts[-1]
        assert [store.name(i) for i in range(len(store))] == names
        assert store.rows([*names[::-1], "not there at all"]).tolist() == [*range(len(names))[::-1], -1]
        assert [t for _, block in store.blocks(7) for t in block] == texts
        store.verify()
        again = pickle.loads(pickle.dumps(store))
        assert list(again) == texts


@settings(max_examples=30, deadline=None)
@given(texts=TEXTS)
def test_names_that_are_row_numbers_take_no_files(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "s", named([str(i) for i in range(len(texts))], texts))
        assert store.named_by_row
        assert not list(store.path.glob("names.*"))
        names = ["0", str(len(texts) - 1), str(len(texts)), "00", "-1", "+0", "", "٣", " 0"]
        assert store.rows(names).tolist() == [0, len(texts) - 1, *[-1] * 7]
        store.verify()


def test_names_whose_digests_are_one_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(names: list[str]) -> np.ndarray:
        return np.zeros(len(names), np.uint64)

    monkeypatch.setattr("sparseir.data.stores.texts.hashes_of", one)
    monkeypatch.setattr("sparseir.data.stores.write_texts.hashes_of", one)
    store = write_store(tmp_path / "s", named(["a", "b", "c"], ["x", "y", "z"]))
    assert store.rows(["c", "a", "d", "b"]).tolist() == [2, 0, -1, 1]


def test_a_name_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="f:3: duplicate id 'a', first seen on line 1; ids must be unique"):
        write_store(tmp_path / "s", named(["a", "b", "a"], ["x", "y", "z"]))


def damaged(folder: Path, name: str, change: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[change] ^= 0xFF
    (folder / name).write_bytes(bytes(content))


@pytest.fixture
def store(tmp_path: Path) -> TextStore:
    return write_store(tmp_path / "s", named(["one", "two", "three"], ["first text", "", "tëxt"]))


USES = (lambda s: s[:], lambda s: list(s.blocks()), lambda s: s.rows(["one", "two", "x"]), lambda s: s.name(1))


@pytest.mark.parametrize("name", ["texts.bin", "texts.off", "names.bin", "names.off", "names.hash", "names.row"])
def test_every_damaged_file_is_found_and_none_is_read_beyond_its_end(store: TextStore, name: str) -> None:
    size = (store.path / name).stat().st_size
    whole = (store.path / name).read_bytes()
    for change in range(size):
        damaged(store.path, name, change)
        opened = TextStore(store.path)
        with pytest.raises(DataError):
            opened.verify()
        for use in USES:  # a text or a refusal, never a crash
            with contextlib.suppress(DataError):
                use(opened)
        (store.path / name).write_bytes(whole)
    (store.path / name).write_bytes(whole[:-1])
    with pytest.raises(DataError, match="it was cut or changed"):
        TextStore(store.path)
    (store.path / name).unlink()
    with pytest.raises(DataError, match="is missing"):
        TextStore(store.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": -1}, "checksum differs"),
        ({"version": 9}, "has version 9, this build reads 1"),
        ({"format": "other"}, "does not describe sparseir texts"),
    ],
)
def test_a_changed_description_is_refused(store: TextStore, change: dict[str, object], message: str) -> None:
    path = store.path / "store.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=message):
        TextStore(store.path)
    path.write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        TextStore(store.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": {}}, r"names other files than names\.bin"),
        ({"rows": 2**40}, "'rows' is 1099511627776"),
        ({"rows": True}, "'rows' is True"),
        ({"rows": 2}, "bytes, expected 24; it was cut or changed"),
    ],
)
def test_a_description_that_lies_is_refused(store: TextStore, change: dict[str, object], message: str) -> None:
    write_description(store.path / "store.json", {**store.described, **change})
    with pytest.raises(DataError, match=message):
        TextStore(store.path)
    files = {name: {"bytes": "1"} for name in store.described["files"]}
    write_description(store.path / "store.json", {**store.described, "files": files})
    with pytest.raises(DataError, match=r"says no size and checksum of"):
        TextStore(store.path)


PAIRS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 19), st.floats(-1e6, 1e6, width=32), st.integers(0, 3)), max_size=120
)


@settings(max_examples=80, deadline=None)
@given(rows=PAIRS, merged=st.sampled_from([4096, 8192, 2_000_000]), sample=st.sampled_from([1, 3, 4096]))
def test_a_table_of_any_runs_is_the_dictionary_of_their_first_values(
    rows: list[tuple[int, int, float, int]], merged: int, sample: int
) -> None:
    """Runs are merged in ranges as small as one sampled key; of a pair that stands twice the first place counts."""
    first: dict[tuple[int, int], float] = {}
    for query, document, value, _ in rows:
        first.setdefault((query, document), value)
    runs = []
    for number in range(4):
        own = [(q, d, v, place) for place, (q, d, v, run) in enumerate(rows) if run == number]
        keys = np.array([q << 32 | d for q, d, _, _ in own], np.uint64)
        values = np.array([v for *_, v, _ in own], np.float32)
        runs.append(Pairs(keys, values, np.array([p for *_, p in own], np.uint64)).sorted())
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_pairs, "_SAMPLE", sample)
        patch.setattr(write_pairs, "MERGED", max(1, merged // 4096) * sample)
        table = write_table(Path(folder) / "t", runs, Table(10, 20, "s", True))
        table.verify()
        assert table.num_pairs == len(first)
        for query in range(10):
            want = sorted((d, v) for (q, d), v in first.items() if q == query)
            assert table.documents(query).tolist() == [d for d, _ in want]
            assert table.values(query).tolist() == [v for _, v in want]
            found = table.find(query, np.arange(20))
            assert [d for d in range(20) if not np.isnan(found[d])] == [d for d, _ in want]
        assert table.keys(0, 10).tolist() == sorted(q << 32 | d for q, d in first)
        assert PairTable(table.path).counts().sum() == len(first)


@pytest.mark.parametrize("name", ["starts.bin", "documents.bin", "values.bin"])
def test_a_damaged_table_is_found(tmp_path: Path, name: str) -> None:
    pairs = Pairs.of(np.array([0, 0, 2]), np.array([1, 3, 2]), np.array([1, 2, 3], np.float32))
    table = write_table(tmp_path / "t", [pairs], Table(3, 5, "s", True))
    for change in range((table.path / name).stat().st_size):
        damaged(table.path, name, change)
        opened = PairTable(table.path)
        with pytest.raises(DataError):
            opened.verify()
        for query in range(3):
            with contextlib.suppress(DataError):
                assert (opened.documents(query) < 5).all()
        damaged(table.path, name, change)
    table.verify()
