"""A small index behind HTTP, for the tests of the service."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from indexer import IndexConfig, build_index
from sparseir.models.query_table import QueryTable
from tests.unit.test_query_table import make_tokenizer

DOCUMENTS = {
    "a": "what the weather",
    "b/1": "the the the",
    "c": "",
    "d": "weathers",
    "é?": "what is weather",
    "<b>": "is the weather what",
}


def table() -> QueryTable:
    """The query side: eight terms, of which four weigh something."""
    return QueryTable(make_tokenizer(), np.array([0, 0, 0, 1, 0.5, 0.25, 4, 2], np.float32))


def build(folder: Path, *, query_side: bool = True) -> Path:
    """An index of the documents, with the fields title, text, lang and year; the last two can be filtered by."""
    side = table()
    side.save(folder / "query")
    fields = [
        {"title": text.split()[0] if text else "", "text": text, "lang": "en" if i % 2 else "de", "year": 2000 + i}
        for i, text in enumerate(DOCUMENTS.values())
    ]
    build_index(
        folder / "docs",
        side.encode_batch(list(DOCUMENTS.values())),
        docnos=list(DOCUMENTS),
        fields=fields,
        query_side=folder / "query" if query_side else None,
        config=IndexConfig(metadata=("lang", "year")),
    )
    return folder / "docs"


class Loopback:
    """A running server and a client of it.

    Attributes
    ----------
    url : its address. client : an httpx client for it.
    """

    def __init__(self, url: str, client: Any, service: Any) -> None:
        self.url, self.client, self.service = url, client, service

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def post(self, path: str, json: Any, **options: Any) -> Any:
        return self.client.post(path, json=json, **options)

    def error(self, answer: Any, status: int) -> dict[str, Any]:
        """The error of an answer, which has the one shape."""
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        assert set(body) == {"error"}
        assert {"code", "message", "request_id"} <= set(body["error"]) <= {"code", "message", "request_id", "field"}
        assert "Traceback" not in answer.text
        assert "/site-packages/" not in answer.text
        return dict(body["error"])


@contextmanager
def running(settings: Any) -> Iterator[Loopback]:
    """The real server on a free port of this machine, in a thread."""
    import httpx
    import uvicorn

    from sparseir.serve.server import build as build_app
    from sparseir.serve.server import config, listen
    from sparseir.serve.state import Service

    service = Service.open(settings)
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(config(build_app(service), settings.limits))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not service.ready:
                assert thread.is_alive()
            yield Loopback(url, client, service)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
    assert not thread.is_alive()
