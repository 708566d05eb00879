"""A service under searches and writes at once for a while: every request answered, every write kept, memory flat.

    python -m tests.fuzz.soak --seconds 30

Searching clients compare each answer with what must hold whatever is written meanwhile; one client writes through the
service, and this process adds, deletes and compacts beside it, so that the service opens commit after commit.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexer import SparseVectors, add_documents, compact_index, delete_documents, open_index, verify_index
from indexer.errors import LockedError
from tests.fuzz.mutate_requests import resident, served
from tests.served import build

SEARCHERS = 3
_WINDOW = 0.05
"""Seconds between two writes of a kind: some ten commits a second."""


@dataclass(slots=True)
class Soak:
    """What happened.

    Attributes
    ----------
    statuses : of searches and of writes. dropped : requests without an answer, or with a wrong one.
    memory : megabytes of the service, a few times a second. generations : that answers named.
    """

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    dropped: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    generations: set[int] = field(default_factory=set)
    written: list[str] = field(default_factory=list)

    def growth(self) -> float:
        """Megabytes by which the median of the last third exceeds that of the second."""
        third = len(self.memory) // 3
        middle, last = sorted(self.memory[third : 2 * third]), sorted(self.memory[2 * third :])
        return last[len(last) // 2] - middle[len(middle) // 2] if middle else 0.0


class _Client:
    """One connection, kept open: an answer that does not come is a request dropped."""

    def __init__(self, port: int, soak: Soak) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._soak = soak

    def ask(self, what: str, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self._connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._soak.dropped.append(f"{what}: {error!r}")
            self._connection.close()
            return None
        self._soak.statuses[what, answer.status] += 1
        if answer.status >= 400 and not (
            what == "write" and answer.status == 503
        ):  # 503: the other writer holds the lock
            self._soak.dropped.append(f"{what}: {answer.status} {raw[:200]!r}")
        return json.loads(raw) if answer.status < 400 else None

    def close(self) -> None:
        self._connection.close()


def _search(port: int, soak: Soak, stop: threading.Event) -> None:
    """d holds the only "weathers" ever, so it is the first hit at every commit; generations never go back."""
    client, last = _Client(port, soak), 0
    while not stop.is_set():
        answer = client.ask("search", "GET", "/search?query=weathers&k=20")
        if answer is None:
            continue
        if answer["hits"][0]["docno"] != "d" or answer["generation"] < last:
            soak.dropped.append(f"search: a wrong answer: {json.dumps(answer)[:200]}")
        last = answer["generation"]
        soak.generations.add(last)
    client.close()


def _write(port: int, soak: Soak, stop: threading.Event) -> None:
    client, number = _Client(port, soak), 0
    while not stop.wait(_WINDOW):
        document = {"docno": f"s{number}", "vector": {"term_ids": [5], "weights": [1.0]}}
        if client.ask("write", "POST", "/documents", {"documents": [document]}) is not None:
            soak.written.append(f"s{number}")
            number += 1
    client.close()


def _commit_beside(path: Path, soak: Soak, stop: threading.Event) -> None:
    number = 0
    while not stop.wait(_WINDOW):
        number += 1
        with suppress(LockedError):
            add_documents(path, SparseVectors.from_rows([{5: 1.0}], 8), docnos=[f"b{number}"])
            delete_documents(path, [f"b{number}"])
            if number % 5 == 0:
                compact_index(path)


def soak(folder: Path, *, seconds: float) -> Soak:
    """Run it; acknowledged writes are looked for at the end."""
    result, stop = Soak(), threading.Event()
    path = build(folder)
    with served(folder, "--reload-seconds", "0.05") as (port, process, said):
        calls = [(_search, (port,))] * SEARCHERS + [(_write, (port,)), (_commit_beside, (path,))]
        threads = [threading.Thread(target=call, args=(*given, result, stop)) for call, given in calls]
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result.memory.append(resident(process))
            time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join()
        result.dropped += [line for line in said.read_text().splitlines() if "Traceback" in line or "Error" in line]
    verify_index(path)
    lost = (open_index(path).ordinals(result.written) < 0).sum() if result.written else 0
    if lost:
        result.dropped.append(f"{lost} of {len(result.written)} acknowledged documents are lost")
    return result


def main() -> int:
    """Run; 1 where anything was dropped."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = soak(Path(folder), seconds=given.seconds)
    told = ", ".join(f"{what} {status}: {count:,}" for (what, status), count in sorted(result.statuses.items()))
    print(f"{given.seconds:g} s; {told}; {len(result.generations)} commits seen by searches")
    print(f"memory {result.memory[0]:.0f} → {result.memory[-1]:.0f} MB, {result.growth():+.1f} MB over the last third")
    print(f"{len(result.dropped)} dropped or wrong", *result.dropped[:20], sep="\n")
    return min(1, len(result.dropped))


if __name__ == "__main__":
    sys.exit(main())
