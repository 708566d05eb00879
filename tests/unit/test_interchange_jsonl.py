"""JSON vectors: every form Anserini writes, every fault with its file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from indexer.errors import DataError
from indexer.interchange import BatchLimits, Vocabulary, open_vectors
from indexer.interchange.jsonl import stream as json_stream

ONE = '{"id": "d1", "contents": "", "vector": {"b": 1, "a": 2.5}}'
TWO = '{"id": "d2", "contents": "", "vector": {"a": 3, "c": 1}}'


def read(path: Path, **options) -> tuple[list[str], list[dict[str, float]]]:
    """Names and rows, by term string."""
    source = open_vectors(path, **options)
    names: list[str] = []
    rows: list[dict[str, float]] = []
    for batch in source:
        names += batch.docnos
        for i in range(len(batch)):
            terms, weights = batch.vectors.row(i)
            rows.append({source.vocabulary.term(t): w for t, w in zip(terms.tolist(), weights.tolist(), strict=True)})
    return names, rows


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE}\n{TWO}\n",
        f"{ONE}\n\n{TWO}",
        f"{ONE}{TWO}",
        f"[{ONE},\n {TWO}]\n",
        f"[{ONE}]\n[{TWO}]",
        "\ufeff" + ONE + "\r\n" + TWO + "\r\n",
        "\n".join(json.dumps(json.loads(t), indent=2) for t in (ONE, TWO)),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".jsonl.gz"])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_every_form_gives_the_same_rows(tmp_path, monkeypatch, text, suffix, chunk):
    monkeypatch.setattr(json_stream, "CHUNK", chunk)
    path = tmp_path / f"vectors{suffix}"
    raw = text.encode()
    path.write_bytes(gzip.compress(raw) if suffix.endswith("gz") else raw)
    names, rows = read(path)
    assert names == ["d1", "d2"]
    assert rows == [{"b": 1.0, "a": 2.5}, {"a": 3.0, "c": 1.0}]


def test_folder_of_one_object_a_file_is_read_in_order_of_paths(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "b.json").write_text(TWO)
    (tmp_path / "a.json").write_text(ONE)
    (tmp_path / "notes.txt").write_text("not read")
    assert read(tmp_path)[0] == ["d1", "d2"]


def test_empty_input_and_empty_vectors_are_legal(tmp_path):
    path = tmp_path / "v.jsonl"
    path.write_text("")
    assert read(path) == ([], [])
    path.write_text('{"id": 7, "vector": {}}\n{"_id": "x", "vector": {"a": 0, "b": 1}}')
    assert read(path) == (["7", "x"], [{}, {"b": 1.0}])


def test_batches_keep_their_limits(tmp_path):
    """Rows of 3, 1, 1 and 2 terms under a limit of 2 terms: 3 | 1 1 | 2."""
    lines = [json.dumps({"id": i, "vector": {str(t): 1 for t in range(n)}}) for i, n in enumerate((3, 1, 1, 2))]
    path = tmp_path / "v.jsonl"
    path.write_text("\n".join(lines))
    assert [len(b) for b in open_vectors(path, limits=BatchLimits(postings=2))] == [1, 2, 1]
    assert [len(b) for b in open_vectors(path, limits=BatchLimits(rows=3))] == [3, 1]


FAULTS = [
    ('{"vector": {}}', 1, "missing key 'id' \\(found: 'vector'\\)"),
    ('{"id": "x"}', 1, "missing key 'vector'"),
    ('{"id": "", "vector": {}}', 1, "expected a name"),
    ('{"id": true, "vector": {}}', 1, "expected a name"),
    ('{"id": "x", "vector": [1, 2]}', 1, "dense vector"),
    ('{"id": "x", "vector": "a"}', 1, "expected an object"),
    ('{"id": "x", "vector": {"a": "1"}}', 1, "term 'a' has the weight '1'"),
    ('{"id": "x", "vector": {"a": true}}', 1, "expected a number"),
    ('{"id": "x", "vector": {"a": null}}', 1, "expected a number"),
    ('{"id": "x", "vector": {"a": NaN}}', 1, "NaN"),
    ('{"id": "x", "vector": {"a": Infinity}}', 1, "Infinity"),
    ('{"id": "x", "vector": {"a": 1e999}}', 1, "weights must be finite"),
    ('{"id": "x", "vector": {"a": 1e39}}', 1, "weights must be finite"),
    ('{"id": "x", "vector": {"a": 1%s}}' % ("0" * 400), 1, "too large"),
    ('{"id": "x", "vector": {"a": 1%s}}' % ("0" * 5000), 1, "digits"),
    ('{"id": "x", "vector": {"a": -0.5}}', 1, "term 'a' has the weight -0.5"),
    ('{"id": "x", "vector": {"a": 1, "a": 2}}', 1, "key 'a' stands twice"),
    (ONE + "\n" + ONE, 2, "docno 'd1' stands here and before in line 1"),
    (ONE + "\n{", 2, "not JSON"),
    (ONE + '\n{"id": "x", "vec\n' + TWO, 2, "not JSON"),
    (ONE + "\n[" + TWO, 2, "array is not closed"),
    ("[" + ONE + TWO + "]", 1, "expected an object, found '{'"),
    ("[" + ONE + ",]", 1, "after the comma"),
    (ONE + ",\n" + TWO, 1, "found ','"),
    ("17", 1, "found '1'"),
    ("[[]]", 1, "found '\\['"),
    ('{"id": "x", "vector": ' + "[" * 100_000, 1, "nested too deeply"),
    ('{"id": "\\ud800", "vector": {}}', 1, "not valid Unicode"),
    ('{"id": "x", "vector": {"\\ud800": 1}}', 1, "not valid Unicode"),
]


@pytest.mark.parametrize(("text", "line", "message"), FAULTS)
@pytest.mark.parametrize("chunk", [5, 1 << 20])
def test_fault_is_named_with_its_line(tmp_path, monkeypatch, text, line, message, chunk):
    monkeypatch.setattr(json_stream, "CHUNK", chunk)
    path = tmp_path / "v.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_damaged_files_are_named_with_the_line_reached(tmp_path):
    path = tmp_path / "v.jsonl.gz"
    packed = gzip.compress((ONE + "\n" + TWO).encode())
    for raw in (packed[:-9], packed[:20], b"no gzip at all", packed[:30] + b"\xff\xff\xff" + packed[33:]):
        path.write_bytes(raw)
        with pytest.raises(DataError, match=r"v\.jsonl\.gz:\d"):
            read(path)
    plain = tmp_path / "v.jsonl"
    plain.write_bytes(ONE.encode() + b'\n\n{"id": "\xff"}')
    with pytest.raises(DataError, match=r"v\.jsonl:3: not UTF-8"):
        read(plain)


def test_object_larger_than_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "CHUNK", 16)
    monkeypatch.setattr(json_stream, "LARGEST_OBJECT", 64)
    path = tmp_path / "v.jsonl"
    path.write_text('{"id": "' + "x" * 500)
    with pytest.raises(DataError, match="more than 64 characters"):
        read(path)


def test_duplicate_far_apart_and_in_another_file_is_found(tmp_path):
    lines = [json.dumps({"id": f"d{i}", "vector": {}}) for i in range(50)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "b.jsonl").write_text(json.dumps({"id": "d3", "vector": {}}))
    with pytest.raises(DataError, match=r"b\.jsonl:1: docno 'd3' stands here and before in .*a\.jsonl:4"):
        read(tmp_path, limits=BatchLimits(rows=4))


def test_integer_terms_are_their_ids(tmp_path):
    path = tmp_path / "v.jsonl"
    path.write_text('{"id": "x", "vector": {"30": 2, "0": 1}}')
    (batch,) = open_vectors(path, vocabulary=Vocabulary.integers(31))
    assert batch.vectors.row(0)[0].tolist() == [0, 30]
    assert batch.vectors.num_terms == 31
    for term in ("031", "-1", "a", "31", "\u0663", "99999999999"):
        path.write_text(json.dumps({"id": "x", "vector": {term: 1}}))
        with pytest.raises(DataError, match="term"):
            list(open_vectors(path, vocabulary=Vocabulary.integers(31)))


def test_fixed_vocabulary_refuses_or_ignores_other_terms(tmp_path):
    path = tmp_path / "v.jsonl"
    path.write_text(ONE + "\n" + TWO)
    with pytest.raises(DataError, match=r"v\.jsonl:2: term 'c' is not in the vocabulary of 2 terms"):
        list(open_vectors(path, vocabulary=Vocabulary.fixed(["a", "b"])))
    (batch,) = open_vectors(path, vocabulary=Vocabulary.fixed(["a", "b"], ignore_unknown=True))
    assert batch.vectors.term_ids.tolist() == [0, 1, 0]
    assert batch.vectors.weights.tolist() == [2.5, 1.0, 3.0]


def test_growing_vocabulary_numbers_terms_as_they_come_and_keeps_them(tmp_path):
    path = tmp_path / "v.jsonl"
    path.write_text(ONE + "\n" + TWO)
    source = open_vectors(path)
    first = [b.vectors.term_ids.tolist() for b in source]
    assert source.vocabulary.terms == ["b", "a", "c"]
    assert source.num_terms == 3
    assert [b.vectors.term_ids.tolist() for b in source] == first == [[0, 1, 1, 2]]
    with pytest.raises(DataError, match="at most 2"):
        list(open_vectors(path, num_terms=2))
