"""CIFF: bytes by hand, every check, both decoders, turning lists into rows and back."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from indexer.documents import Documents
from indexer.errors import DataError
from indexer.interchange import BatchLimits, Vocabulary, open_vectors, write_vectors
from indexer.interchange.ciff.postings_codec import decode_postings, encode_postings, encoded_size
from indexer.interchange.matrices.transpose import Transposer
from indexer.vectors import SparseVectors


def delimited(body: bytes) -> bytes:
    """A message of less than 128 bytes after its length."""
    return bytes([len(body)]) + body


def header(lists=2, docs=3, version=1) -> bytes:
    """Fields 1 version, 2 num_postings_lists, 3 num_docs, as varints of one byte."""
    return delimited(b"\x08%c\x10%c\x18%c" % (version, lists, docs))


def posting_list(term: bytes, df: int, *postings: bytes) -> bytes:
    return delimited(b"\x0a%c%s\x10%c" % (len(term), term, df) + b"".join(b"\x22%c%s" % (len(p), p) for p in postings))


def document(row: int, name: bytes) -> bytes:
    return delimited((b"\x08%c" % row if row else b"") + b"\x12%c%s" % (len(name), name))


A = posting_list(b"a", 2, b"\x10\x05", b"\x08\x02\x10\x07")  # document 0 (gap left out) tf 5, document 2 tf 7
B = posting_list(b"b", 1, b"\x10\x01\x08\x02")  # fields in the other order: document 2 tf 1
DOCS = document(0, b"x") + document(1, b"y") + document(2, b"z")


def test_rows_of_a_file_made_by_hand(tmp_path):
    for name, pack in (("v.ciff", bytes), ("v.ciff.gz", gzip.compress)):
        path = tmp_path / name
        path.write_bytes(pack(header() + A + B + DOCS))
        source = open_vectors(path, limits=BatchLimits(rows=2))
        for _ in range(2):
            first, second = source
            assert (first.docnos, second.docnos) == (["x", "y"], ["z"])
            assert [first.vectors.row(i)[1].tolist() for i in (0, 1)] == [[5.0], []]
            assert second.vectors.row(0)[0].tolist() == [0, 1]
            assert second.vectors.row(0)[1].tolist() == [7.0, 1.0]
        assert (source.num_rows, source.vocabulary.terms) == (3, ["a", "b"])


def test_written_bytes_are_as_by_hand(tmp_path):
    """Rows {a: 5}, {}, {a: 7, b: 1}: total weight 13, mean 13/3; lists in order of terms, though b has id 0."""
    path = tmp_path / "v.ciff"
    rows = SparseVectors.from_rows([{1: 5}, {}, {0: 1, 1: 7}], 2)
    write_vectors(path, [Documents(rows, ["x", "y", "z"])], vocabulary=Vocabulary.fixed(["b", "a"]), description="hi")
    head = b"\x08\x01\x10\x02\x18\x03\x20\x02\x28\x03\x30\x0d\x39" + struct.pack("<d", 13 / 3) + b"\x42\x02hi"
    lists = delimited(b"\x0a\x01a\x10\x02\x18\x0c\x22\x02\x10\x05\x22\x04\x08\x02\x10\x07") + delimited(
        b"\x0a\x01b\x10\x01\x18\x01\x22\x04\x08\x02\x10\x01"
    )
    documents = (
        delimited(b"\x12\x01x\x18\x05") + delimited(b"\x08\x01\x12\x01y") + delimited(b"\x08\x02\x12\x01z\x18\x08")
    )
    assert path.read_bytes() == delimited(head) + lists + documents


FAULTS = [
    (b"", "the header is missing"),
    (b"\xff" * 20, "the length of the header: a number of more than 64 bits"),
    (b"\x7f\x08", "the header is cut"),
    (b"\xff\xff\xff\xff\x7f", "a message has at most"),
    (header(version=2), "CIFF version 2; expected 1"),
    (delimited(b"\x08"), "no CIFF header: a number is cut"),
    (delimited(b"\x0b"), "no CIFF header: wire type 3"),
    (delimited(b"\x00\x00"), "field number 0"),
    (delimited(b"\x08\x01\x18" + b"\xff" * 9 + b"\x01"), "counts 0 posting lists and -1 documents"),
    (delimited(b"\x08\x01\x18" + b"\xff" * 10 + b"\x01"), "more than 64 bits"),
    (delimited(b"\x08\x01\x18\x80\x80\x80\x80\x10"), "4294967296 documents"),
    (header() + A, "posting list 1 is missing"),
    (header() + A + B[:-3], "posting list 1 is cut: 3 bytes"),
    (header() + A + A + DOCS, "posting list 1 \\('a'\\): its term has a list already"),
    (header() + A + posting_list(b"b", 2, b"\x10\x01") + DOCS, "1 postings where df is 2"),
    (header() + A + posting_list(b"b", 1, b"\x08\x03\x10\x01") + DOCS, "beyond the 3 documents"),
    (header() + A + posting_list(b"b", 2, b"\x08\x01\x10\x01", b"\x10\x01") + DOCS, "does not rise"),
    (header() + A + posting_list(b"b", 1, b"\x08" + b"\xff" * 9 + b"\x01\x10\x01") + DOCS, "does not rise"),
    (header() + A + posting_list(b"b", 1, b"\x08" + b"\xff" * 8 + b"\x7f\x10\x01") + DOCS, "beyond the 3 documents"),
    (header() + A + posting_list(b"b", 1, b"\x08\x01") + DOCS, "no positive 32-bit"),
    (header() + A + posting_list(b"b", 1, b"\x10" + b"\xff" * 9 + b"\x01") + DOCS, "no positive 32-bit"),
    (header() + A + posting_list(b"b", 1, b"\x10\xff\xff\xff\xff\x0f") + DOCS, "no positive 32-bit"),
    (header() + A + posting_list(b"b", 1, b"\x12\x01\x01") + DOCS, "a tf is not a number"),
    (header() + A + delimited(b"\x0a\x01b\x10\x01\x20\x01") + DOCS, "a posting is not a message"),
    (header() + A + delimited(b"\x0a\x05b") + DOCS, "reaches beyond its message"),
    (header() + A + posting_list(b"\xff", 1, b"\x10\x01") + DOCS, "the term is not UTF-8"),
    (header() + A + B + document(0, b"x"), "document 1 is missing"),
    (header() + A + B + DOCS + b"\x00", "bytes are left"),
    (header() + A + B + document(1, b"x"), "document 0 has docid 1"),
    (header() + A + B + document(0, b""), "document 0 has no collection_docid"),
    (header() + A + B + document(0, b"x") + document(1, b"x") + document(2, b"z"), "docno 'x' stands here"),
]


@pytest.mark.parametrize(("raw", "message"), FAULTS)
def test_fault_is_named(tmp_path, raw, message):
    path = tmp_path / "v.ciff"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=message) as caught:
        list(open_vectors(path))
    assert caught.value.path == path


def test_unknown_fields_and_any_order_of_fields_are_read(tmp_path):
    odd = delimited(b"\x22\x02\x10\x05\x78\x01\x22\x06\x08\x02\x10\x07\x78\x09\x3d\0\0\0\0\x10\x02\x0a\x01a")
    path = tmp_path / "v.ciff"
    path.write_bytes(header() + odd + B + DOCS)
    plain = tmp_path / "w.ciff"
    plain.write_bytes(header() + A + B + DOCS)
    (one,), (other,) = open_vectors(path), open_vectors(plain)
    for name in ("indptr", "term_ids", "weights"):
        assert np.array_equal(getattr(one.vectors, name), getattr(other.vectors, name))


def test_terms_outside_a_given_vocabulary(tmp_path):
    path = tmp_path / "v.ciff"
    path.write_bytes(header() + A + B + DOCS)
    with pytest.raises(DataError, match="posting list 1 \\('b'\\): term 'b' is not in the vocabulary"):
        list(open_vectors(path, vocabulary=Vocabulary.fixed(["a"])))
    (batch,) = open_vectors(path, vocabulary=Vocabulary.fixed(["b"], ignore_unknown=True))
    assert batch.vectors.nnz == 1


@pytest.mark.parametrize("count", [1, 2, 3, 40, 5000, 200_000])
def test_vectorised_codec_agrees_with_itself_and_with_the_generic_reader(count):
    from indexer.interchange.ciff.postings_codec import parse_posting
    from indexer.interchange.ciff.protobuf import read_fields

    rng = np.random.default_rng(count)
    gaps = rng.integers(1, 2 ** rng.integers(1, 31, count), dtype=np.int64)
    tfs = rng.integers(1, 2 ** rng.integers(1, 31, count), dtype=np.int64)
    gaps[0] = 0
    data = b"\x10\x03" + encode_postings(gaps, tfs)
    assert len(data) == 2 + encoded_size(gaps, tfs)
    pairs, rest = decode_postings(data, 2)
    generic = [parse_posting(value) for _, _, value, _ in read_fields(data, rest)]
    assert np.array_equal(np.concatenate([*(p[0] for p in pairs), [g for g, _ in generic]]), gaps)
    assert np.array_equal(np.concatenate([*(p[1] for p in pairs), [t for _, t in generic]]), tfs)
    assert len(generic) < 80, "the short rest alone is left to the generic reader"
    if count <= 5000:
        assert [parse_posting(v) for _, _, v, _ in read_fields(data[2:])] == list(zip(gaps, tfs, strict=True))


@pytest.mark.parametrize("spill", [1, 3, 100])
@pytest.mark.parametrize("most", [1, 1000])
def test_transposer_gives_everything_by_key(tmp_path, spill, most):
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 50, 3000).astype(np.uint32)
    others = np.arange(3000, dtype=np.uint32)
    transposer = Transposer(tmp_path, spill)
    for lo in range(0, 3000, 700):
        transposer.add(*(column[lo : lo + 700] for column in (keys, others, others + 1)))
    groups = list(transposer.groups(most))
    assert [g.low for g in groups[1:]] == [g.high for g in groups[:-1]]
    assert (groups[0].low, groups[-1].high) == (0, None)
    order = np.argsort(keys, kind="stable")
    assert np.array_equal(np.concatenate([g.keys for g in groups]), keys[order])
    assert np.array_equal(np.concatenate([g.others for g in groups]), others[order])
    assert np.array_equal(np.concatenate([g.values for g in groups]), others[order] + 1)


def test_transposer_of_nothing_covers_all_keys(tmp_path):
    (group,) = Transposer(tmp_path).groups(10)
    assert (group.low, group.high, len(group.keys)) == (0, None, 0)
