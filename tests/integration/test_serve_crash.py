"""A server that is killed or told to stop while clients write: what was acknowledged is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")

from indexer import open_index, verify_index
from tests.served import build

WRITERS = 2


@contextmanager
def started(*arguments: object):
    """`sparseir serve` in a process of its own, and its address."""
    command = [sys.executable, "-m", "sparseir.cli", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert line.startswith("serving "), line + process.stderr.read()
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def write(url: str, docno: str) -> bool:
    """Whether the server acknowledged the document."""
    body = {"documents": [{"docno": docno, "vector": {"term_ids": [5], "weights": [1.0]}}]}
    request = urllib.request.Request(
        f"{url}/documents", data=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status == 201
    except (OSError, urllib.error.URLError):
        return False


def write_until_refused(url: str, *, enough: int, then) -> list[str]:
    """Two clients write until they are refused; after a number of acknowledged writes `then` is called."""
    acknowledged: list[str] = []
    reached = threading.Event()

    def client(number: int) -> None:
        for i in range(500):
            if not write(url, f"{number}-{i}"):
                return
            acknowledged.append(f"{number}-{i}")
            if len(acknowledged) >= enough:
                reached.set()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    assert reached.wait(60)
    then()
    for thread in threads:
        thread.join(60)
    return acknowledged


def test_killed_during_writes_it_has_lost_nothing_it_acknowledged(tmp_path):
    path = build(tmp_path)
    with started(path, "--writable") as (process, url):
        acknowledged = write_until_refused(url, enough=6, then=process.kill)
    assert len(acknowledged) >= 6
    verify_index(path)
    found = open_index(path).ordinals(acknowledged)
    assert (found >= 0).all()


def test_told_to_stop_it_finishes_what_it_accepted_and_exits_0(tmp_path):
    path = build(tmp_path)
    with started(path, "--writable") as (process, url):
        acknowledged = write_until_refused(url, enough=4, then=lambda: os.kill(process.pid, signal.SIGTERM))
        assert process.wait(30) == 0
    index = open_index(path)
    assert (index.ordinals(acknowledged) >= 0).all()
    assert index.num_docs == 6 + len(acknowledged)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 1, "'nothing' does not exist"),
        (["docs", "--host", "0.0.0.0"], 1, "no API key is set"),
        (["docs", "--engine", "fast"], 2, "'fast'"),
        (["docs", "--api-key-file", "none"], 1, "none"),
    ],
)
def test_what_cannot_be_started_exits(tmp_path, monkeypatch, run, arguments, code, message):
    monkeypatch.chdir(build(tmp_path).parent)
    done = run("serve", *arguments)
    assert done.code == code
    assert message in done.err
