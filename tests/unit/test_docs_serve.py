"""The requests that docs/serve.md shows are answered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")
pytest.importorskip("httpx", reason="needs httpx")

from sparseir.serve.settings import ServeSettings
from tests.served import build, running

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"


def test_the_requests_of_the_page_are_answered_in_its_order(tmp_path):
    shown = re.findall(r"^    (GET|POST|PUT|DELETE) (/\S+) ?(\{.*\})?$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) >= 14
    with running(
        ServeSettings(indexes={"docs": build(tmp_path)}, writable=True, snapshots=tmp_path / "snapshots")
    ) as server:
        for method, path, body in shown:
            headers = {"content-type": "application/json"} if body else {}
            answer = server.client.request(method, path, content=body or None, headers=headers)
            assert answer.status_code in (200, 201), (method, path, answer.text)
