"""A small collection and the command line as a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sparseir import cli

DOCUMENTS = [
    {"_id": "d1", "title": "Weather", "text": "It rains in the city.", "year": 1999},
    {"_id": "d2", "title": "", "text": "The cat sat on the mat while it rains.", "year": 2004},
    {"_id": "d3", "title": "Empty", "text": "", "year": 2010},
    {"_id": "d4", "title": "Dogs", "text": "A dog chases the cat.", "year": 2020},
]
VECTORS = [
    {"id": "d1", "contents": "", "vector": {"rain": 2.0, "city": 1.0}},
    {"id": "d2", "contents": "", "vector": {"cat": 1.5, "rain": 1.0, "mat": 0.5}},
    {"id": "d3", "contents": "", "vector": {}},
    {"id": "d4", "contents": "", "vector": {"dog": 2.0, "cat": 1.5}},
]


@dataclass(frozen=True)
class Outcome:
    """What one command gave."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run one command in this process; a traceback in its output fails the test."""

    def call(*arguments: object) -> Outcome:
        code = cli.run([str(a) for a in arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Outcome(code, captured.out, captured.err)

    return call


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def refused_build(run: Callable[..., Outcome], path: Path, rows: list[dict[str, object]], line: str) -> str:
    """What a build says of a file of vectors whose last line, after some rows, cannot be used."""
    write_jsonl(path, rows)
    path.write_text(path.read_text() + line + "\n")
    built = run("index", "build", path.parent / "index", "--vectors", path)
    assert built.code == 1
    return built.err


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "vectors.jsonl", VECTORS)
