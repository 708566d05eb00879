"""Snapshots asked of a service: names, keys, what is refused, and the index of one that is restored."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")
pytest.importorskip("httpx", reason="needs httpx")

from indexer import delete_documents, open_index, restore_index, verify_index
from sparseir.errors import ConfigError
from sparseir.serve.settings import ServeSettings
from sparseir.serve.state import Service
from tests.served import DOCUMENTS, build, running

KEY = "0123456789abcdef0123"


@pytest.fixture
def served(tmp_path):
    settings = ServeSettings(
        indexes={"docs": build(tmp_path)}, writable=True, snapshots=tmp_path / "snapshots", reload_seconds=0.05
    )
    with running(settings) as server:
        yield server, tmp_path


@pytest.mark.parametrize("name", ["monday", "monday.tar", "monday.tar.zst"])
def test_one_is_taken_listed_restored_and_deleted(served, name):
    server, folder = served
    server.client.delete("/documents/a")
    taken = server.post("/snapshot", {"name": name})
    assert taken.status_code == 201, taken.text
    answer = taken.json()
    place = folder / "snapshots" / name
    size = place.stat().st_size if place.is_file() else sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
    assert {k: v for k, v in answer.items() if k != "bytes"} == {
        "index": "docs",
        "name": name,
        "generation": 2,
        "documents": len(DOCUMENTS) - 1,
    }
    assert 0 < answer["bytes"] <= size
    (listed,) = server.get("/snapshots").json()["snapshots"]
    assert (listed["name"], listed["generation"], listed["bytes"]) == (name, 2, answer["bytes"])
    restored = restore_index(place, folder / "back")
    assert restored.ordinals(["a", "d"]).tolist() == [-1, 3]
    verify_index(folder / "back")
    assert server.client.delete(f"/snapshots/{name}").json() == {"deleted": name}
    assert list((folder / "snapshots").iterdir()) == []
    assert server.error(server.client.delete(f"/snapshots/{name}"), 404)["code"] == "unknown_snapshot"


def test_without_a_name_it_gets_one_and_a_name_is_taken_once(served):
    server, _ = served
    name = server.post("/snapshot", {}).json()["name"]
    assert name.startswith("docs-000001-")
    error = server.error(server.post("/snapshot", {"name": name}), 409)
    assert error["code"] == "exists"


@pytest.mark.parametrize(
    "name",
    ["..", "../x", "/x", "a/b", ".hidden", "", "é", "a b", "a\n", "x" * 101, "a.tar.gz", "a.zip", "-a", "a\0"],
)
def test_names_that_cannot_be(served, name):
    server, folder = served
    error = server.error(server.post("/snapshot", {"name": name}), 400)
    assert error["field"] == "name"
    assert str(folder) not in error["message"]
    assert list((folder / "snapshots").iterdir()) == []


def test_what_is_no_snapshot_is_not_deleted(served):
    server, folder = served
    (folder / "snapshots/mine").mkdir()
    (folder / "snapshots/mine/file").write_text("precious")
    (folder / "snapshots/link").symlink_to(folder / "docs")
    for name in ("mine", "link", "%2e%2e", "..%2fdocs"):
        assert server.client.delete(f"/snapshots/{name}").status_code in (400, 404)
    assert (folder / "snapshots/mine/file").read_text() == "precious"
    assert server.get("/snapshots").json()["snapshots"] == [
        {"name": "link", "damaged": True},
        {"name": "mine", "damaged": True},
    ]
    verify_index(folder / "docs")


def test_only_where_it_was_started_for_it_and_with_a_key(tmp_path):
    path = build(tmp_path)
    with running(ServeSettings(indexes={"docs": path})) as server:
        assert server.error(server.post("/snapshot", {}), 403)["code"] == "no_snapshots"
        assert server.error(server.get("/snapshots"), 403)["code"] == "no_snapshots"
        assert server.error(server.client.delete("/snapshots/a"), 403)["code"] == "no_snapshots"
    settings = ServeSettings(indexes={"docs": path}, snapshots=tmp_path / "s", keys=(KEY,))
    with running(settings) as server:
        for answer in (server.post("/snapshot", {}), server.get("/snapshots"), server.client.delete("/snapshots/a")):
            server.error(answer, 401)
        assert server.post("/snapshot", {}, headers={"x-api-key": KEY}).status_code == 201


def test_a_damaged_index_is_an_internal_error_that_names_no_place(tmp_path, caplog):
    index = open_index(build(tmp_path))
    raw = bytearray(index.segments[0].path.read_bytes())
    raw[index.segments[0].sections["IMPA"].offset] ^= 1
    index.segments[0].path.write_bytes(raw)
    with running(ServeSettings(indexes={"docs": tmp_path / "docs"}, snapshots=tmp_path / "s")) as server:
        error = server.error(server.post("/snapshot", {"name": "bad"}), 500)
    assert str(tmp_path) not in error["message"]
    assert "section IMPA is damaged" in caplog.text
    assert list((tmp_path / "s").iterdir()) == []


def test_places_a_service_is_not_started_with(tmp_path):
    path = build(tmp_path)
    (tmp_path / "file").touch()
    for place, said in (
        (path / "inside", "inside the index"),
        (path, "inside the index"),
        (tmp_path / "file", "a file"),
    ):
        with pytest.raises(ConfigError, match=said):
            Service.open(ServeSettings(indexes={"docs": path}, snapshots=place))


def test_what_a_killed_service_left_goes_at_the_next_start(tmp_path):
    path = build(tmp_path)
    left = tmp_path / "s/.old.12345678.partial"
    left.mkdir(parents=True)
    with running(ServeSettings(indexes={"docs": path}, snapshots=tmp_path / "s")):
        assert not left.exists()


def test_a_restoration_over_a_served_index_is_the_next_commit(served):
    server, folder = served
    server.post("/snapshot", {"name": "before"})
    delete_documents(folder / "docs", ["a", "d"])
    restored = restore_index(folder / "snapshots/before", folder / "docs", overwrite=True)
    reloaded = threading.Event()
    for _ in range(400):
        if server.get("/indexes").json()["indexes"][0]["generation"] == restored.generation:
            break
        reloaded.wait(0.02)
    assert server.get("/documents/a").json()["fields"]["text"] == "what the weather"
    hits = server.get("/search?query=weathers").json()
    assert (hits["generation"], hits["hits"][0]["docno"]) == (restored.generation, "d")
