"""Exports for other engines: what the files hold, what the linter says, what the check finds, what a failure leaves."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index, delete_documents, open_index
from indexer.errors import ConfigError, DataError
from indexer.interchange.stores import STORES, Layout, open_store
from indexer.interchange.stores.numbers import bytes_under, halves, nine_bits
from indexer.interchange.stores.parts import Parts
from indexer.interchange.stores.read import bulk_files, read_export
from indexer.interchange.stores.store import check_layout, identifier
from indexer.interchange.stores.write import export_store, name_of, query_request
from indexer.interchange.vocabulary import Vocabulary
from sparseir.search.calibration.pseudo_queries import pseudo_queries
from sparseir.search.cpu import open_native
from sparseir.search.store_check import check_export
from tests import oracle

SCALE, TERMS = 1 / 64, 60
WORDS = ["u.s.", ".", 'quo"te', "back\\slash", "naïve", "[7]"] + [f"w{i}" for i in range(TERMS - 6)]
LAYOUT = Layout(name="docs")


def built(folder, rows, *, num_terms=TERMS, words=None, config=None, **beside):
    side = {}
    if words:
        (folder / "side").mkdir(exist_ok=True)
        Vocabulary.fixed(words).save(folder / "side")
        side = {"query_side": folder / "side"}
    config = config or IndexConfig(doc_scale=SCALE)
    build_index(folder / "index", SparseVectors.from_rows(rows, num_terms), config=config, **beside, **side)
    return open_index(folder / "index")


@pytest.fixture
def index(tmp_path):
    """120 documents in clusters, some empty, some deleted, with stored fields of all kinds."""
    rng = np.random.default_rng(5)
    rows = [
        {
            int(t): float(np.float32(rng.uniform(0.01, 3.9)))
            for t in rng.choice(TERMS, rng.integers(0, 9), replace=False)
        }
        for _ in range(120)
    ]
    names = [f"d{i}" if i % 5 else f'd {i} "é\\' for i in range(120)]
    fields = [
        {"title": f"t {i}", "year": i, "docno": "mine", "a.b": 1.5, "mixed": i if i % 2 else "x"} for i in range(120)
    ]
    config = IndexConfig(doc_scale=SCALE, order="clusters", stored_weights="f32")
    opened = built(tmp_path, rows, words=WORDS, config=config, docnos=names, fields=fields)
    delete_documents(opened.path, names[3:9])
    kept = [i for i in range(120) if not 3 <= i < 9]
    return opened.refresh(), [(names[i], rows[i], i) for i in kept]


def impacts(row):
    levels = oracle.quantize_impacts(list(row.values()), SCALE).tolist() if row else []
    return dict(zip(row, levels, strict=True))


def read(index, folder, store, layout):
    """{name: {term id: weight}} in the order of the files."""
    vocabulary = Vocabulary.of_index(index.query_files, index.num_terms)
    out = {}
    for batch in read_export(folder, store, layout, vocabulary, np.arange(index.num_terms, dtype=np.uint32)):
        for i, name in enumerate(batch.docnos):
            at = slice(batch.indptr[i], batch.indptr[i + 1])
            out[name] = dict(zip(batch.term_ids[at].tolist(), batch.weights[at].tolist(), strict=True))
    return out


@pytest.mark.parametrize("form", STORES)
def test_files_hold_every_live_document_and_are_cut_to_the_size(tmp_path, index, form):
    opened, kept = index
    store = open_store(form)
    most = 2000
    one = form == "seismic"
    if one:
        with pytest.raises(ConfigError, match="reads one file"):
            export_store(opened, tmp_path / "out", store, LAYOUT, file_bytes=most)
    written = export_store(opened, tmp_path / "out", store, LAYOUT, file_bytes=None if one else most)
    expected = {name: impacts(row) for name, row, _ in kept if row or form != "milvus"}
    found = read(opened, tmp_path / "out", store, written.layout)
    assert found == expected
    assert list(found) == list(expected)
    files = bulk_files(tmp_path / "out", store)
    assert written.files == len(files)
    assert written.bytes == sum(f.stat().st_size for f in files)
    assert len(files) == 1 if one else len(files) > 3
    assert one or all(f.stat().st_size <= most for f in files)


@pytest.mark.parametrize("form", STORES)
def test_files_hold_the_fields_of_their_document(tmp_path, index, form):
    opened, kept = index
    store = open_store(form)
    export_store(opened, tmp_path / "out", store, LAYOUT)
    text = "".join(f.read_text(encoding="utf-8") for f in bulk_files(tmp_path / "out", store))
    lines = [line for line in text.split("\n") if '"title"' in line]
    numbers = [i for _, row, i in kept if row or form != "milvus"]
    assert len(lines) == len(numbers)
    for line, i in zip(lines, numbers, strict=True):
        assert f'"title":"t {i}"' in line
        assert f'"year":{i},' in line
        assert ('"docno_":"mine"' in line) == (form != "pgvector" or "docno_" in line)
    if form == "vespa":
        schema = (tmp_path / "out/application/schemas/docs.sd").read_text()
        assert "field year type long" in schema
        assert "field mixed type string" in schema
        assert all(f'"mixed":"{i if i % 2 else "x"}"' in line for line, i in zip(lines, numbers, strict=True))
        assert '"a_b":1.5' in lines[0]


@pytest.mark.parametrize("form", STORES)
@pytest.mark.parametrize("weights", ["impact", "stored", "scaled"])
def test_the_check_finds_exact_engines_equal_to_the_bit(tmp_path, index, form, weights):
    opened, _ = index
    store = open_store(form)
    layout = replace(LAYOUT, weights=weights)
    if weights not in store.weights:
        with pytest.raises(ConfigError, match="cannot hold weights"):
            export_store(opened, tmp_path / "out", store, layout)
        return
    export_store(opened, tmp_path / "out", store, layout)
    queries = pseudo_queries(opened, open_native(opened), "siamese", 60)
    checked = check_export(opened, tmp_path / "out", store, queries)
    assert checked.failed == ()
    assert checked.overlap > 0.9
    if weights == "impact" and store.exact:
        assert checked.must_equal == checked.equal == len(queries) > 40
        assert checked.overlap == 1.0
    else:
        assert checked.must_equal == 0


def test_the_check_notices_a_changed_weight_a_changed_name_and_a_lost_document(tmp_path, index):
    opened, kept = index
    store = open_store("opensearch")
    queries = pseudo_queries(opened, open_native(opened), "siamese", 60)
    export_store(opened, tmp_path / "out", store, LAYOUT)
    (file,) = bulk_files(tmp_path / "out", store)
    whole = file.read_text(encoding="utf-8")
    lines = whole.splitlines()
    for i in range(1, len(lines), 2):
        source = json.loads(lines[i])
        source["sparse"] = {key: 256 - weight for key, weight in source.get("sparse", {}).items()}
        lines[i] = json.dumps(source)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert len(check_export(opened, tmp_path / "out", store, queries).failed) > 10
    name = json.dumps(kept[1][0])
    file.write_text(whole.replace(f'"docno":{name}', '"docno":"other"'), encoding="utf-8")
    with pytest.raises(DataError, match="is called 'other'"):
        check_export(opened, tmp_path / "out", store, queries)
    file.write_text("\n".join(whole.splitlines()[:-2]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="113 documents in the files, 114 were written"):
        check_export(opened, tmp_path / "out", store, queries)
    delete_documents(opened.path, [kept[0][0]])
    with pytest.raises(DataError, match="expected one to opensearch of commit"):
        check_export(opened.refresh(), tmp_path / "out", store, queries)


def rules(written):
    return {finding.rule: (finding.severity, finding.count) for finding in written.findings}


def test_ids_that_seismic_in_opensearch_would_fold_are_refused(tmp_path):
    rows = [{5: 1.0, 32_768 + 5: 2.0, 40_000: 1.0}, {5: 3.0}, {32_768 + 5: 0.5, 6: 1.0}]
    index = built(tmp_path, rows, num_terms=50_000)
    store = open_store("opensearch-ann")
    with pytest.raises(DataError, match=r"2 of 4 terms have ids of 32,768 or more.*1 terms would share.*--lossy"):
        export_store(index, tmp_path / "out", store, LAYOUT)
    assert not (tmp_path / "out").exists()
    written = export_store(index, tmp_path / "out", store, LAYOUT, lossy=True)
    assert rules(written)["folded-ids"] == ("lossy", 2)
    query = SparseVectors.from_rows([{32_768 + 5: 1.0}], 50_000)
    checked = check_export(index, tmp_path / "out", store, query, k=2)
    assert checked.overlap == 0.5  # ours: documents 0 and 2; folded: document 1 (192 of term 5) and document 0


def test_weights_above_a_ceiling_are_refused(tmp_path):
    config = IndexConfig(doc_scale=SCALE, stored_weights="f32")
    index = built(tmp_path, [{1: 3.5, 2: 1.0}, {1: 0.25, 3: 2.0}], config=config)
    store, layout = open_store("opensearch-ann"), replace(LAYOUT, weights="stored")
    with pytest.raises(DataError, match=r"1 of 4 weights lie above the ceiling 3 .*the largest is 3\.5"):
        export_store(index, tmp_path / "out", store, layout, ceiling=3.0)
    written = export_store(index, tmp_path / "out", store, layout)
    assert written.layout.ceiling == 3.5
    settings = json.loads((tmp_path / "out/index.json").read_text())
    parameters = settings["mappings"]["properties"]["sparse"]["method"]["parameters"]
    assert parameters["quantization_ceiling_ingest"] == 3.5
    with pytest.raises(ConfigError, match="qdrant has no ceiling"):
        export_store(index, tmp_path / "q", open_store("qdrant"), layout, ceiling=3.0)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="ceiling is"):
            export_store(index, tmp_path / "q", store, layout, ceiling=wrong)


def test_the_linter_counts_dots_empty_vectors_long_names_and_long_rows(tmp_path, index):
    opened, kept = index
    empty = sum(not row for _, row, _ in kept)
    assert empty > 3
    dots = rules(export_store(opened, tmp_path / "e", open_store("elasticsearch"), LAYOUT))
    assert dots["dots"] == ("changed", 2)
    assert dots["empty-vectors"] == ("note", empty)
    assert rules(export_store(opened, tmp_path / "m", open_store("milvus"), LAYOUT))["empty-vectors"] == (
        "changed",
        empty,
    )
    (tmp_path / "long").mkdir()
    long = built(
        tmp_path / "long", [dict.fromkeys(range(16_001), 1.0), {1: 1.0}], num_terms=20_000, docnos=["é" * 257, "b"]
    )
    with pytest.raises(DataError, match=r"1 documents hold more than the 16,000 terms"):
        export_store(long, tmp_path / "p", open_store("pgvector"), LAYOUT)
    with pytest.raises(DataError, match=r"1 documents have names of more than the 512 bytes .*up to 514"):
        export_store(long, tmp_path / "o", open_store("opensearch"), LAYOUT, lossy=True)
    assert not list(tmp_path.glob("[po]"))


def test_equal_keys_and_characters_are_said(tmp_path):
    index = built(tmp_path, [{2: 1.0, 7: 1.0}], num_terms=8, words=["a", "b", "[7]"])
    with pytest.raises(DataError, match="1 terms have the name of another one"):
        export_store(index, tmp_path / "o", open_store("opensearch"), LAYOUT)
    (tmp_path / "2").mkdir()
    fields = [{"text": "a\0b\x01"}, {"text": "x" * 70_000}]
    other = built(tmp_path / "2", [{1: 1.0}, {2: 1.0}], docnos=["a", "b"], fields=fields)
    for form, text in (("pgvector", "a b\\\\u0001"), ("vespa", '"a b "')):
        written = export_store(other, tmp_path / form, open_store(form), LAYOUT)
        assert rules(written)["characters"] == ("changed", 1)
        assert text in bulk_files(tmp_path / form, open_store(form))[0].read_text()
    with pytest.raises(DataError, match="1 documents have more than the 65,536 bytes of stored fields"):
        export_store(other, tmp_path / "m", open_store("milvus"), LAYOUT)
    written = export_store(other, tmp_path / "m", open_store("milvus"), LAYOUT, lossy=True)
    assert '"docno":"b","sparse"' in (tmp_path / "m/documents-00000.jsonl").read_text()


REQUESTS = {
    "opensearch": {
        "size": 3,
        "_source": ["docno"],
        "query": {"neural_sparse": {"sparse": {"query_tokens": {".": 31.984375, "w0": 63.984375}}}},
    },
    "opensearch-ann": {
        "size": 3,
        "_source": ["docno"],
        "query": {
            "neural_sparse": {
                "sparse": {
                    "query_tokens": {"1": 31.75, "6": 63.75},
                    "method_parameters": {"k": 3, "top_n": 2, "heap_factor": 1.0},
                }
            }
        },
    },
    "elasticsearch": {
        "size": 3,
        "_source": ["docno"],
        "query": {
            "sparse_vector": {"field": "sparse", "query_vector": {"t1": 31.984375, "t6": 63.984375}, "prune": False}
        },
    },
    "vespa": {
        "yql": "select docno from docs where ({totalTargetHits:3}wand(sparse, @tokens))",
        "tokens": "{1:2047,6:4095}",
        "hits": 3,
        "ranking.profile": "lsr",
    },
    "milvus": {
        "collectionName": "docs",
        "data": [{"1": 2047, "6": 4095}],
        "annsField": "sparse",
        "limit": 3,
        "outputFields": ["docno"],
        "searchParams": {"metricType": "IP", "params": {"drop_ratio_search": 0.0, "dim_max_score_ratio": 1.0}},
    },
    "qdrant": {"query": {"indices": [1, 6], "values": [2047, 4095]}, "using": "text", "limit": 3, "with_payload": True},
    "seismic": {"id": 0, "content": "", "vector": {".": 2047, "w0": 4095}, "k": 3},
}


@pytest.mark.parametrize("form", STORES)
def test_requests_are_as_the_engines_document_them(form):
    layout = replace(LAYOUT, num_terms=TERMS)
    vocabulary = Vocabulary.fixed(WORDS)
    text = query_request(open_store(form), layout, vocabulary, [6, 1, 9], [2.0, 0.9997, 0.0], 3)
    if form == "pgvector":
        query = "'{2:2047,7:4095}/1000000000'"
        assert text == (
            f"SELECT docno, -(sparse <#> {query}) AS score FROM docs\n"
            f"WHERE sparse <#> {query} < 0 ORDER BY sparse <#> {query}, id LIMIT 3;\n"
        )
    else:
        assert json.loads(text) == REQUESTS[form]
    with pytest.raises(DataError, match="no term with a weight"):
        query_request(open_store(form), layout, vocabulary, [1], [0.0], 3)


def test_float_queries_stay_below_the_largest_weight():
    layout = replace(LAYOUT, weights="stored", num_terms=TERMS)
    text = query_request(open_store("elasticsearch"), layout, Vocabulary.integers(TERMS), [1, 2], [300.0, 3.0], 3)
    assert json.loads(text)["query"]["sparse_vector"]["query_vector"] == {"t1": 37.5, "t2": 0.375}


def test_numbers_are_rounded_as_the_engines_do():
    rng = np.random.default_rng(6)
    values = np.exp(rng.uniform(-12, 12, 500)).astype(np.float32)
    for value, held in zip(values.tolist(), nine_bits(values).tolist(), strict=True):
        bits = struct.unpack("<I", struct.pack("<f", value))[0]
        assert held == struct.unpack("<f", struct.pack("<I", bits & ~0x7FFF))[0]
        assert value * (1 - 2**-8) < held <= value
    whole = np.arange(1, 513, dtype=np.float32)
    assert np.array_equal(nine_bits(whole), whole)
    assert np.array_equal(halves(whole), whole)
    assert nine_bits(np.array([513], np.float32))[0] == 512
    assert bytes_under(np.array([0.0, 1.5, 3.0, 7.0, 3 / 510], np.float32), 3.0).tolist() == [0, 128, 255, 255, 1]
    assert np.array_equal(bytes_under(whole[:255], 255.0), whole[:255])


def test_a_failure_leaves_what_was_there(tmp_path, index, monkeypatch):
    opened, _ = index
    store, target = open_store("vespa"), tmp_path / "out"
    write = Parts._write
    count = 0

    def failing(self, data):
        nonlocal count
        count += 1
        if count > 2:
            raise OSError(28, "No space left on device")
        write(self, data)

    for stands in (False, True):
        before = {p: p.read_bytes() for p in target.rglob("*") if p.is_file()}
        with monkeypatch.context() as patched:
            patched.setattr(Parts, "_write", failing)
            count = 0
            with pytest.raises(OSError, match="No space"):
                export_store(opened, target, store, LAYOUT, file_bytes=2000, overwrite=True)
        assert {p: p.read_bytes() for p in target.rglob("*") if p.is_file()} == before
        assert target.exists() == stands
        assert not list(tmp_path.glob(".*.partial"))
        export_store(opened, target, store, LAYOUT, overwrite=True)


def test_nothing_but_an_export_is_replaced(tmp_path, index):
    opened, _ = index
    store, target = open_store("qdrant"), tmp_path / "out"
    target.mkdir()
    export_store(opened, target, store, LAYOUT)  # an empty folder is nobody's
    with pytest.raises(DataError, match="--overwrite"):
        export_store(opened, target, store, LAYOUT)
    export_store(opened, target, open_store("vespa"), LAYOUT, overwrite=True)
    assert not bulk_files(target, store)  # nothing of the one before is left
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("x")
    with pytest.raises(DataError, match="something that is no export stands here"):
        export_store(opened, tmp_path / "mine", store, LAYOUT, overwrite=True)
    with pytest.raises(DataError, match="does not exist; make it first"):
        export_store(opened, tmp_path / "no/where", store, LAYOUT)


@pytest.mark.parametrize("form", STORES)
def test_an_index_without_documents_is_exported_without_documents(tmp_path, form):
    opened, store = built(tmp_path, [{1: 1.0}], docnos=["a"]), open_store(form)
    delete_documents(opened.path, ["a"])
    opened = opened.refresh()
    written = export_store(opened, tmp_path / "out", store, LAYOUT)
    assert (written.documents, written.files) == (0, 1)
    query = SparseVectors.from_rows([{1: 1.0}], TERMS)
    assert check_export(opened, tmp_path / "out", store, query).overlap == 1.0


def test_names_of_indexes_and_formats(tmp_path):
    assert name_of(built(tmp_path, [{1: 1.0}])) == "index"
    assert identifier("My index-2") == "my_index_2"
    assert identifier("2024") == "index_2024"
    with pytest.raises(ConfigError, match="expected lower-case letters"):
        check_layout(open_store("vespa"), replace(LAYOUT, name="No Good"))
    with pytest.raises(ConfigError, match="there are: opensearch"):
        open_store("solr")
