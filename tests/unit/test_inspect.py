"""The numbers of an inspection, by hand."""

from __future__ import annotations

from indexer import IndexConfig, SparseVectors, add_documents, build_index, delete_documents
from indexer.format.manifest import EncoderEntry
from indexer.inspect import inspect_index
from sparseir import cli


def test_counts_and_histograms(tmp_path):
    """Documents of 2, 0 and 1 terms, then one of 4 whose weight 9 is cut; lists of 2, 1 | 1, 1, 1, 1 postings."""
    config = IndexConfig(doc_scale=0.01)
    build_index(
        tmp_path / "i", SparseVectors.from_rows([{0: 1.0, 1: 0.5}, {}, {0: 2.55}], 9), config=config, encoder="m"
    )
    add_documents(tmp_path / "i", SparseVectors.from_rows([{0: 9.0, 2: 0.01, 3: 0.02, 8: 1.0}], 9))
    delete_documents(tmp_path / "i", ordinals=[1])
    report = inspect_index(tmp_path / "i")
    assert (report.documents, report.deleted, report.postings, report.clipped) == (3, 1, 7, 1)
    assert report.terms_per_document == ((0, 1), (1, 1), (2, 1), (4, 1))
    assert report.postings_per_term == ((1, 5), (2, 1))
    assert dict(report.impacts) == {**{max(1, 16 * i): 0 for i in range(16)}, 1: 2, 48: 1, 96: 2, 240: 2}
    assert report.section_bytes["IMPA"] == 7
    assert report.bits_per_posting == 8 * report.bytes / 7
    assert report.encoder.fingerprint == "m"
    assert [s.documents for s in report.segments] == [3, 1]
    assert report.query_side_bytes == {}


def test_the_query_side_is_counted_file_by_file(tmp_path, capsys):
    side = tmp_path / "side"
    side.mkdir()
    (side / "terms.jsonl").write_text('"a"\n"b"\n')
    (side / "more.bin").write_bytes(bytes(1234))
    build_index(tmp_path / "i", SparseVectors.from_rows([{0: 1.0}], 2), query_side=side)
    assert inspect_index(tmp_path / "i").query_side_bytes == {"more.bin": 1234, "terms.jsonl": 8}
    assert cli.run(["index", "inspect", str(tmp_path / "i")]) == 0
    printed = capsys.readouterr().out
    assert "query side, 1,242 bytes" in printed
    assert [line.split() for line in printed.splitlines() if line.startswith("more.bin")] == [["more.bin", "1,234"]]


def test_an_encoder_is_named_by_its_kind_and_what_it_was_made_of(tmp_path, capsys):
    for kind, name, said in (
        ("inference_free", "all-MiniLM-L6-v2", "encoder inference_free on all-MiniLM-L6-v2 (f1)"),
        ("bm25", "bm25-english", "encoder bm25-english (f1)"),
        ("siamese", "", "encoder siamese (f1)"),
        ("", "", "encoder f1"),
    ):
        entry = EncoderEntry(fingerprint="f1", kind=kind, name=name)
        build_index(tmp_path / (kind or "i"), SparseVectors.from_rows([{0: 1.0}], 2), encoder=entry)
        assert cli.run(["index", "inspect", str(tmp_path / (kind or "i"))]) == 0
        assert said in capsys.readouterr().out
