"""Golden bytes: the format of version 1 as written to disk. A change here needs a new format version."""

from __future__ import annotations

import hashlib
import json

import pytest

from indexer import IndexConfig, SparseVectors, add_documents, build_index, delete_documents, open_index


def digest(segment):
    """Of all sections by name; stored fields left out, whose bytes are the compression library's choice."""
    whole = hashlib.sha256()
    for name in sorted(segment.sections.keys() - {"FLDB", "FLDO"}):
        whole.update(name.encode() + segment.section(name).tobytes())
    return whole.hexdigest()[:16]


def test_a_small_segment_byte_by_byte(tmp_path):
    """Two documents: the first holds terms 1 and 5, the second is empty."""
    config = IndexConfig(doc_scale=0.5, order="input")
    index = build_index(
        tmp_path / "i", SparseVectors.from_rows([{1: 2.0, 5: 0.1}, {}], 6), docnos=["a", "bc"], config=config
    )
    data = (tmp_path / "i" / "000001.seg").read_bytes()
    assert data[:8] == b"SPIRSEG\0"
    assert data[8:56].hex() == (
        "01000000"
        + "10000000"
        + "0009000000000000"
        + "02000000"
        + "02000000"
        + "0200000000000000"
        + "0000000000000000"
        + "05000000"
        + "00000000"
    )
    expected = {
        "TERM": "0100000005000000",
        "TREC": (
            "0000000000000000" "01000000" "00000000" "ffffffff" "01000000" "ff" "04" "0000" "ffffffff"
            "0100000000000000" "01000000" "01000000" "ffffffff" "01000000" "ff" "01" "0000" "ffffffff"
        ),
        "DOCS": "00000000",
        "IMPA": "0401",
        "WNID": "00000000",
        "WNST": "0000000000000000",
        "LADD": "04" + "00" * 15 + "01" + "00" * 15,
        "NAMB": b"abc".hex(),
        "NAMO": "000000000000000001000000000000000300000000000000",
        "NAMH": "72d34db50735a608" "8cec01864cdc63af",
        "NAMI": "0100000000000000",
    }  # fmt: skip
    segment = index.segments[0]
    for name, payload in expected.items():
        assert segment.section(name).tobytes().hex() == payload, name


def test_the_manifest(tmp_path):
    build_index(tmp_path / "i", SparseVectors.from_rows([{0: 1.0}], 1), config=IndexConfig(doc_scale=0.5))
    manifest = json.loads((tmp_path / "i" / "manifest.json").read_text())
    assert list(manifest) == [
        "format", "version", "generation", "num_terms", "doc_scale", "next_ordinal", "segments", "encoder", "query_side",
        "fields", "config", "created", "sparseir_version", "crc32",
    ]  # fmt: skip
    assert manifest["segments"][0]["deletes"] is None


def test_files_of_a_larger_history_do_not_change(tmp_path):
    """Every section at once, by digest; levels, cells, bitmaps, names, fields, metadata, deletions."""
    rows = [{t: 1.0 + (i * t) % 7 for t in range(i % 5)} for i in range(2500)]
    fields = [{"title": f"t{i}", "year": i % 9} for i in range(2500)]
    config = IndexConfig(order="input", metadata=("year",), stored_weights="f16")
    build_index(tmp_path / "i", SparseVectors.from_rows(rows, 5), docnos=[f"é{i}" for i in range(2500)], config=config)
    add_documents(
        tmp_path / "i", SparseVectors.from_rows(rows[:40], 5), docnos=[f"n{i}" for i in range(40)], fields=fields[:40]
    )
    delete_documents(tmp_path / "i", ordinals=[1, 2510])
    index = open_index(tmp_path / "i")
    assert [digest(s) for s in index.segments] == ["2fe315d3f2fec3a9", "eebe5d4e75907931"]
    deletes = [(tmp_path / "i" / s.entry.deletes.file).read_bytes() for s in index.segments]
    assert deletes == [b"\2" + bytes(319), b"\0\4" + bytes(6)]


def test_a_compact_segment_byte_by_byte(tmp_path):
    """300 documents, two buckets: term 3 in every tenth, packed; term 7 in one alone, 16 bits."""
    rows = [({3: 2.0} if i % 10 == 0 else {}) | ({7: 0.5} if i == 299 else {}) for i in range(300)]
    config = IndexConfig(doc_scale=0.5, order="input", layout="compact")
    index = build_index(tmp_path / "i", SparseVectors.from_rows(rows, 8), config=config)
    data = (tmp_path / "i" / "000001.seg").read_bytes()
    assert data[52:56].hex() == "03000000"
    expected = {
        "TERM": "0300000007000000",
        "TREC": (
            "0000000000000000" "1e000000" "00000000" "ffffffff" "00000000" "10" "04" "0000" "ffffffff"
            "1e00000000000000" "01000000" "00000000" "ffffffff" "01000000" "ff" "01" "0000" "ffffffff"
        ),
        # 26 postings in documents 0..255, 4 in 256..299: bits 0..25 and 27..30; then their lowest bytes; then 299.
        "DOCO": "0000000000000000" "0500000000000000",
        "DOCB": (
            "ffffff7b00000000"
            "000a141e28323c46" "505a646e78828c96" "a0aab4bec8d2dce6" "f0fa040e18220000"
            "2b01000000000000"
        ),
        "IMPA": "04" * 30 + "01",
        "CELL": "000000001e000000",
        "WNID": "0000",
        "WNST": "00000000",
    }  # fmt: skip
    segment = index.segments[0]
    assert segment.sections.keys() - {"LADD", "SMAX", "BITS"} == expected.keys()
    for name, payload in expected.items():
        assert segment.section(name).tobytes().hex() == payload, name


@pytest.mark.parametrize(("layout", "expected"), [("packed", "77a54ede5cd76623"), ("compact", "703d50f8d5f1d2ce")])
def test_files_of_packed_doc_ids_do_not_change(tmp_path, layout, expected):
    """Bitmaps, buckets and sparse lists at once, by digest."""
    rows = [{t: 1.0 + (i * t) % 7 for t in range(40) if i % (t + 1) == 0 or i == 60 * t} for i in range(2500)]
    rows[7][40] = rows[2409][40] = 3.0
    config = IndexConfig(order="input", layout=layout)
    build_index(tmp_path / "i", SparseVectors.from_rows(rows, 41), config=config)
    assert [digest(s) for s in open_index(tmp_path / "i").segments] == [expected]
