"""Malformed requests against a running service: only answers below 500 or 503, in the one form of errors, no traceback.

    python -m tests.fuzz.mutate_requests --count 20000 --seed 1

Request N depends on the seed and on N alone. Most are made of the service's own OpenAPI document, right at first and then
changed in one to three places; the others lie about lengths, break off, or have their bytes flipped. Eight clients send them
to a process of `sparseir serve` that takes writes and snapshots, while its index is compacted now and then.
"""

from __future__ import annotations

import argparse
import http.client
import json
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from indexer import compact_index, open_index, verify_index
from indexer.errors import SparseIRError
from tests.fuzz.request_samples import Generator, Request, as_bytes
from tests.served import DOCUMENTS, build

CLIENTS = 8


@dataclass(slots=True)
class Outcome:
    """Answers by status (0: none, as the request broke off), and what no answer may be."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def take(self, number: int, status: int, body: bytes) -> None:
        self.statuses[status] += 1
        fault = _fault(status, body)
        if fault:
            self.faults.append(f"request {number}: {status}, {fault}: {body[:200]!r}")


def _fault(status: int, body: bytes) -> str | None:
    if status < 0 or (status >= 500 and status != 503):
        return "a failure"
    if b"Traceback" in body or b"site-packages" in body:
        return "internals"
    if status >= 400 and body:
        try:
            error = json.loads(body)["error"]
        except (ValueError, KeyError, TypeError):
            return "an error of another form"
        if not {"code", "message", "request_id"} <= set(error) <= {"code", "message", "request_id", "field"}:
            return "an error of another form"
    return None


@contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[int, int, Path]]:
    """A service of its own process: (its port, its process id, the file of what it says)."""
    said = folder / "stderr"
    command = [
        sys.executable,
        "-m",
        "sparseir.cli",
        "serve",
        str(folder / "docs"),
        "--port",
        "0",
        "--writable",
        *options,
    ]
    with said.open("w") as log, subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL) as process:
        try:
            while not said.read_text().startswith("serving "):
                if process.poll() is not None:
                    raise RuntimeError(said.read_text())
                time.sleep(0.05)
            yield int(said.read_text().split()[-1].rpartition(":")[2]), process.pid, said
        finally:
            process.terminate()
            process.wait(60)


def resident(process: int) -> float:
    """Megabytes of memory that a process holds."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def send(client: http.client.HTTPConnection, request: Request) -> tuple[int, bytes]:
    """(status, body) of the answer; status 0 where a broken request has none, −1 where a whole one has none."""
    if request.raw is None:
        try:
            client.request(request.method, request.target, request.body, request.headers)
            answer = client.getresponse()
            return answer.status, answer.read()
        except (http.client.HTTPException, ValueError):  # refused by the library itself: sent as bytes
            client.close()
            request = Request(raw=as_bytes(request))
        except OSError:
            client.close()
            return -1, b""
    assert request.raw is not None
    with socket.create_connection((client.host, client.port), timeout=0.5) as connection, suppress(OSError):
        connection.sendall(request.raw)
        answer = http.client.HTTPResponse(connection)
        with suppress(http.client.HTTPException):
            answer.begin()
            return answer.status, answer.read()
    return 0, b""


def attack(folder: Path, *, count: int, seed: int) -> tuple[Outcome, tuple[float, float]]:
    """Send requests 0 … count − 1 of a seed; what came back, and the service's memory before and after."""
    outcome = Outcome()
    build(folder)
    with served(folder, "--snapshots", str(folder / "snapshots")) as (port, process, said):
        generator = Generator(json.loads(_get(port, "/openapi.json")), seed)
        before = resident(process)

        def client(start: int) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            for number in range(start, count, CLIENTS):
                outcome.take(number, *send(connection, generator.request(number)))
                if number % 500 == 0:
                    with suppress(SparseIRError):  # the service may be writing
                        compact_index(folder / "docs")
            connection.close()

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(client, range(CLIENTS)))
        after = resident(process)
        outcome.faults += [line for line in said.read_text().splitlines() if "Traceback" in line or "Error" in line]
        if [hit["docno"] for hit in json.loads(_get(port, "/search?query=weathers&k=1"))["hits"]] == []:
            outcome.faults.append("the service no longer answers")
    verify_index(folder / "docs")
    return outcome, (before, after)


def _get(port: int, path: str) -> bytes:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("GET", path)
    body = client.getresponse().read()
    client.close()
    return body


def main() -> int:
    """Run; the number of faults."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome, (before, after) = attack(Path(folder), count=given.count, seed=given.seed)
        documents = open_index(Path(folder) / "docs").num_docs
    print(
        f"{given.count:,} requests: " + ", ".join(f"{n:,} × {s or 'none'}" for s, n in sorted(outcome.statuses.items()))
    )
    print(
        f"memory {before:.0f} → {after:.0f} MB; {len(DOCUMENTS)} → {documents} documents; {len(outcome.faults)} faults"
    )
    print("\n".join(outcome.faults[:20]))
    return len(outcome.faults)


if __name__ == "__main__":
    sys.exit(min(1, main()))
