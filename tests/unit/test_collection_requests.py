"""Requests to a collection of another engine: repeated where that may help, refused in one line where not."""

import io
import tarfile

import pytest

from sparseir.encode.collection_load import _stage
from sparseir.search.stores.client import StoreClient, StoreError
from sparseir.search.stores.index import unpack
from sparseir.search.stores.places import store_place

PLACE = store_place("milvus://somewhere:19530/texts")


class Failing:
    """A client that fails so many times before it answers."""

    def __init__(self, *errors):
        self.errors, self.asked = list(errors), 0

    def has_collection(self, name, timeout):
        assert timeout == PLACE.timeout
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return name == "texts"


class Refusal(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


def test_a_lost_connection_is_tried_again():
    client = Failing(ConnectionError("reset"), Refusal(2, "not connected"), TimeoutError("slow"))
    assert StoreClient(PLACE, client, pause=0).exists()
    assert client.asked == 4


def test_a_server_that_is_not_there_is_named():
    client = Failing(*(ConnectionError("refused\nby the host") for _ in range(9)))
    with pytest.raises(
        StoreError, match=r"milvus://somewhere:19530/texts: cannot look after 4 attempts of 60 s at most: refused by"
    ):
        StoreClient(PLACE, client, pause=0).exists()
    assert client.asked == 4


@pytest.mark.parametrize("code", [9, 100, 700, 1100])
def test_what_asking_again_does_not_change_is_asked_once(code):
    client = Failing(Refusal(code, "no such field"), Refusal(code, "no such field"))
    with pytest.raises(StoreError, match="cannot look, Milvus refuses it: no such field"):
        StoreClient(PLACE, client, pause=0).exists()
    assert client.asked == 1


def test_a_load_is_staged_by_its_collection_in_a_folder_of_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    places = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        places += [_stage(store_place("milvus://texts.db/texts")), _stage(store_place("milvus://texts.db/others"))]
    assert len(set(places)) == 4
    assert {place.parent for place in places} == {tmp_path / "cache" / "sparseir" / "loads"}
    assert places[0].parent.stat().st_mode & 0o077 == 0


def test_what_a_hostile_server_keeps_is_refused_in_a_line(tmp_path, monkeypatch):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        member = tarfile.TarInfo("manifest.json")
        member.size = 5000
        archive.addfile(member, io.BytesIO(bytes(5000)))
    outside = io.BytesIO()
    with tarfile.open(fileobj=outside, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../outside"))
    good = whole.getvalue()
    for raw in (b"", b"x" * 99, good[:-20], good[:30] + b"\0" * 20 + good[50:], outside.getvalue()):
        with pytest.raises(StoreError, match=r"kept is no archive \(.*\); load it again"):
            unpack(raw, tmp_path)
    assert not (tmp_path.parent / "outside").exists()
    unpack(good, tmp_path)
    monkeypatch.setattr("sparseir.search.stores.index._LARGEST_STATE", 4999)
    with pytest.raises(StoreError, match="more than"):
        unpack(good, tmp_path)
