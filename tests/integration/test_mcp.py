"""`sparseir mcp` asked by the protocol's own client: in this process, over stdio, and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp.server.mcpserver", reason="the extra 'mcp' is not installed")

from mcp import Client, StdioServerParameters

from sparseir import cli
from sparseir.errors import ConfigError
from sparseir.integrations.mcp_server import make_server, run_http
from sparseir.integrations.mcp_tools import Tools
from tests.served import DOCUMENTS, build

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
ROOT = Path(__file__).parents[2]
TOOLS = {"search", "get_document", "list_indexes", "explain", "fuse_search_results"}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("served"))


async def conversation(server: Any) -> dict[str, Any]:
    """What a client gets: the tools, one answer of each, and an error."""
    async with Client(server) as client:
        calls = {
            "search": {"query": "what weather", "k": 2},
            "get_document": {"docno": "b/1"},
            "list_indexes": {},
            "explain": {"query": "weather", "docno": "d"},
            "fuse_search_results": {"queries": ["weather", "what"], "k": 2},
        }
        answers: dict[str, Any] = {"tools": {t.name: t for t in (await client.list_tools()).tools}}
        for name, arguments in calls.items():
            result = await client.call_tool(name, arguments)
            assert not result.is_error, result
            answers[name] = result.structured_content or json.loads(result.content[0].text)
        wrong = await client.call_tool("search", {"query": "a", "index": "no"})
        answers["error"] = (wrong.is_error, wrong.content[0].text)
        return answers


def check(answers: dict[str, Any], index: Path) -> None:
    tools = Tools({"docs": index})
    assert set(answers["tools"]) == TOOLS
    assert all(tool.description for tool in answers["tools"].values())
    assert answers["tools"]["search"].input_schema["required"] == ["query"]
    assert answers["search"] == tools.search("what weather", k=2)
    assert len(answers["search"]["hits"]) == 2
    assert answers["get_document"]["fields"]["text"] == DOCUMENTS["b/1"]
    assert [i["name"] for i in answers["list_indexes"]["indexes"]] == ["docs"]
    assert answers["explain"] == tools.explain("weather", "d")
    assert answers["fuse_search_results"] == tools.fuse_search_results(["weather", "what"], k=2)
    assert answers["error"][0] is True
    assert "no index is named 'no'; there are: docs" in answers["error"][1]


def test_in_process(index: Path) -> None:
    check(asyncio.run(conversation(make_server(Tools({"docs": index})))), index)


def test_what_breaks_here_is_not_told(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Tools({"docs": index})

    def broken(*_: Any) -> Any:
        raise RuntimeError("/secret/place")

    monkeypatch.setattr(tools, "_index", broken)

    async def ask() -> Any:
        async with Client(make_server(tools)) as client:
            return await client.call_tool("search", {"query": "a"})

    result = asyncio.run(ask())
    assert result.is_error
    assert "secret" not in result.content[0].text


def test_over_stdio(index: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "sparseir.cli", "mcp", f"docs={index}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        cwd=str(ROOT),
    )
    check(asyncio.run(conversation(server)), index)


def test_over_http(index: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sparseir.cli", "mcp", f"docs={index}", "--http", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            for _ in range(600):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.1)
            check(asyncio.run(conversation(f"http://127.0.0.1:{port}/mcp")), index)
        finally:
            process.terminate()
            process.wait(30)
    assert f"serving docs at http://127.0.0.1:{port}/mcp" in (tmp_path / "log").read_text()


def test_other_machines_are_refused(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["mcp", str(index), "--http", "--host", "0.0.0.0"]) == 1
    assert "put a proxy with authentication before it" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="other machines"):
        run_http(Tools({"docs": index}), "192.0.2.1", 1)


def test_no_index_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["mcp", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err
