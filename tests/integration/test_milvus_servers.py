"""Servers of Milvus that are not there, answer slowly or go away are said in one line."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sparseir.cli import run
from sparseir.search.stores import client as clients
from sparseir.search.stores.client import StoreClient, StoreError
from sparseir.search.stores.places import store_place

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(clients.time, "sleep", lambda seconds: None)


@pytest.fixture
def server():
    """A server with no collections, whose looks wait while `held` is not set; gives (its port, held, stop)."""
    grpc = pytest.importorskip("grpc", reason="pymilvus is not installed")
    pytest.importorskip("pymilvus", reason="pymilvus is not installed")
    from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc

    held = threading.Event()
    held.set()
    done = common_pb2.Status(error_code=0)

    class Server(milvus_pb2_grpc.MilvusServiceServicer):
        def Connect(self, request, context):
            return milvus_pb2.ConnectResponse(status=done, identifier=1)

        def GetVersion(self, request, context):
            return milvus_pb2.GetVersionResponse(status=done, version="2.6.0")

        def DescribeCollection(self, request, context):
            held.wait(30)
            missing = common_pb2.Status(error_code=common_pb2.CollectionNotExists, code=100, reason="not found")
            return milvus_pb2.DescribeCollectionResponse(status=missing)

        def HasCollection(self, request, context):
            held.wait(30)
            return milvus_pb2.BoolResponse(status=done, value=False)

    served = grpc.server(ThreadPoolExecutor(4))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(Server(), served)
    port = served.add_insecure_port("127.0.0.1:0")
    served.start()
    yield port, held, lambda: served.stop(0).wait()
    held.set()
    served.stop(0)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_server_that_is_not_there_is_one_line(capsys):
    pytest.importorskip("pymilvus", reason="pymilvus is not installed")
    place = f"milvus://127.0.0.1:{free_port()}/words"
    assert run(["search", f"{place}?timeout=0.2", "cats"]) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"error: {place}: cannot connect after 4 attempts of 0.2 s at most: ")
    assert said.count("\n") == 0
    assert said.endswith("is the server there? ?timeout=SECONDS after the address gives it longer")


def test_a_server_without_the_collection(server, capsys):
    port, _, _ = server
    assert run(["search", f"milvus://127.0.0.1:{port}/words?timeout=20", "cats"]) == 1
    assert "there is no such collection; build it with 'sparseir index build'" in capsys.readouterr().err


def test_a_server_that_answers_slowly_is_given_up(server, capsys):
    port, held, _ = server
    place = store_place(f"milvus://127.0.0.1:{port}/words?timeout=0.3")
    client = StoreClient(store_place(f"milvus://127.0.0.1:{port}/words?timeout=20"))
    held.clear()
    with pytest.raises(
        StoreError, match=r"words: cannot look after 4 attempts of 0.3 s at most: .*is the server there"
    ) as raised:
        StoreClient(place, client.raw).exists()
    assert "\n" not in str(raised.value)
    held.set()
    assert not client.exists()


def test_a_server_that_goes_away_is_said(server):
    port, _, stop = server
    client = StoreClient(store_place(f"milvus://127.0.0.1:{port}/words?timeout=20"))
    assert not client.exists()
    stop()
    hasty = StoreClient(store_place(f"milvus://127.0.0.1:{port}/words?timeout=0.3"), client.raw)
    with pytest.raises(StoreError, match="cannot look after 4 attempts"):
        hasty.exists()
