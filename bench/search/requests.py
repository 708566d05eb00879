"""What one GET /search costs beside the search itself: processor µs of each step, best of some rounds. JSON on stdout.

    python -m bench.search.requests INDEX QUERIES.txt [--k 10] [--rounds 9]

QUERIES.txt holds one query a line. The application is called in this process, without sockets, so that neither a client nor
the kernel's network is in the figures: those of `wrk` (docs/serve.md) hold both. Processor time is read, not wall time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from sparseir.serve.answering import answers
from sparseir.serve.answering.queries import from_parameters
from sparseir.serve.server import build
from sparseir.serve.settings import ServeSettings
from sparseir.serve.state import Service
from sparseir.serve.workers import Workers


async def _requested(app: Any, scopes: list[dict[str, Any]]) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message.get("status", 200) != 200:
            raise SystemExit(f"a request was answered {message['status']}")

    for scope in scopes:
        await app(dict(scope), receive, send)


async def _handed(workers: Workers, number: int) -> None:
    for _ in range(number):
        await workers.run(int)


def _scope(query: str, k: int) -> dict[str, Any]:
    asked = f"query={quote_plus(query)}&k={k}".encode()
    return {
        "type": "http",
        "method": "GET",
        "path": "/search",
        "query_string": asked,
        "headers": [(b"host", b"127.0.0.1")],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    texts = [line for line in chosen.queries.read_text(encoding="utf-8").splitlines() if line.strip()][:1000]
    service = Service.open(ServeSettings(indexes={"index": chosen.index}))
    app, served = build(service), service.catalogue.get(None)
    snapshot, scopes = served.current, [_scope(text, chosen.k) for text in texts]
    searcher, encoder = snapshot.main, snapshot.encoder
    vectors = [encoder.encode(text) for text in texts]
    found = [searcher.search_terms(*vector, chosen.k).ordinals for vector in vectors]
    requests = [from_parameters(scope["query_string"], service.settings.limits) for scope in scopes]
    steps: dict[str, Callable[[], Any]] = {
        "engine": lambda: [searcher.search_terms(*vector, chosen.k) for vector in vectors],
        "encode the text": lambda: [encoder.encode(text) for text in texts],
        "names of the hits": lambda: [searcher.index.docnos(ordinals) for ordinals in found],
        "Searcher.search": lambda: [searcher.search(text, chosen.k) for text in texts],
        "the answer": lambda: [answers.search(served, request) for request in requests],
        "the application": lambda: asyncio.run(_requested(app, scopes)),
        "handing a call to a thread and back": lambda: asyncio.run(_handed(service.searches, len(texts))),
    }
    best: dict[str, float] = {}
    for _ in range(chosen.rounds):
        for name, step in steps.items():
            start = time.process_time()
            step()
            best[name] = min(best.get(name, 1e9), (time.process_time() - start) / len(texts) * 1e6)
    service.close()
    print(json.dumps({"queries": len(texts), "k": chosen.k, "us": {n: round(v, 1) for n, v in best.items()}}, indent=1))


if __name__ == "__main__":
    main()
