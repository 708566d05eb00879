"""Every shell and Python block of README and of the pages of docs/ runs, or says why not."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")
pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")
pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")

from sparseir import cli
from sparseir.models import SparseEncoder
from tests.docs_blocks import ROOT, Page, blocks_of
from tests.tiny_collections import DOCUMENTS, write_collection, write_jsonl
from tests.tiny_models import tokenizer

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OWN_TESTS = {"tutorial.md": "tests/unit/test_docs_tutorial.py"}
NAMES = ["d0", "d1", "d2", "d3", "d17", "d18", "DOCNO", "a"]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


def run(*arguments: object) -> None:
    assert cli.run([str(a) for a in arguments]) == 0


def rows() -> list[dict[str, object]]:
    more = [
        {"year": 1998 + i, "lang": "en" if i % 2 else "de", "date": f"202{i}-01-01", "topic": ["law", "art"][i % 2]}
        for i in range(len(NAMES))
    ]
    texts = [f"{text} what you are looking for" for text in DOCUMENTS]
    return [{"_id": n, "title": f"Title {n}", "text": t, **m} for n, t, m in zip(NAMES, texts, more, strict=True)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take for granted: a corpus in every format, queries, a model, vectors, an index, collections."""
    folder = tmp_path_factory.mktemp("world")
    corpus = write_jsonl(folder / "corpus.jsonl", rows())  # type: ignore[arg-type]
    for place in ("path/to/beir-folder", "data/scifact", "data/nfcorpus", "data/cacm", "data/cranfield"):
        write_collection(folder / place, ("train", "dev", "test"))
    _tables(folder)
    (folder / "queries.tsv").write_text("q1\twhat you are looking for\nq2\tcats\n")
    (folder / "queries.tsv.gz").write_bytes(gzip.compress((folder / "queries.tsv").read_bytes()))
    (folder / "qrels.txt").write_text("q1 0 a 1\nq2 0 DOCNO 1\n")
    shutil.copy(folder / "qrels.txt", folder / "qrels.tsv")
    (folder / "gone.txt").write_text("a\nb\n")
    encoder = _encoder(folder / "base")
    for name in ("model", "MODEL", "my-model"):
        encoder.save(folder / name)
    for name in ("docs.npz", "vectors.npz", "plain.jsonl"):
        run("encode", folder / "model", corpus, "--output", folder / name, "--quiet")
    lines = [json.loads(line) for line in (folder / "plain.jsonl").read_text().splitlines()]
    fields = [{key: row[key] for key in ("year", "lang", "date", "topic")} for row in rows()]
    write_jsonl(folder / "vectors.jsonl", [{**line, **own} for line, own in zip(lines, fields, strict=True)])
    run("encode", folder / "model", folder / "queries.tsv", "--queries", "--output", folder / "queries.npz", "--quiet")
    for name in ("my-index", "INDEX", "index"):
        build = ("--model", folder / "model", "--corpus", corpus, "--metadata", "year,lang,date,topic", "--quiet")
        run("index", "build", folder / name, *build)
    for name in ("run", "mine", "theirs"):
        run("search", folder / "INDEX", "--queries", folder / "queries.tsv", "--output", folder / f"{name}.trec")
    return folder


def _encoder(base: Path) -> SparseEncoder:
    """A random network without a head, which is read as inference-free; the windows that pages name fit into it."""
    from transformers import BertConfig, BertModel

    words = tokenizer()
    words.model_max_length = 256
    words.save_pretrained(str(base))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=256, **sizes)).save_pretrained(str(base))
    return SparseEncoder.load(base, device="cpu")


def _tables(folder: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    for place in ("notes", "folder-of-texts"):
        (folder / place).mkdir()
        (folder / place / "rent.md").write_text("# Rent\n\nRent is due.\n")
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["id", "text", "year", "key", "body"], ["1", "rent rose", "2020", "k1", "rent rose"]])
    (folder / "table.csv.gz").write_bytes(gzip.compress((folder / "table.csv").read_bytes()))
    table = pyarrow.table({"url": ["u1", "u2"], "body": ["rent", "deposit"]})
    pyarrow.parquet.write_table(table, folder / "dump.parquet")
    (folder / "collection.tsv.gz").write_bytes(gzip.compress(b"1\trent is due\n2\tdeposit\n"))
    (folder / "backups").mkdir()


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in OWN_TESTS], ids=lambda p: p.stem)
def test_the_blocks_of_a_page_run_in_their_order(
    page: Path, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = [b for b in blocks_of(page.read_text(encoding="utf-8")) if b.kind != "other" and not b.reason]
    if not blocks:
        return
    folder = tmp_path / "here"
    if page.parent.name == "howto":
        folder.mkdir()  # these make all that they need
    else:
        shutil.copytree(request.getfixturevalue("world"), folder)
    monkeypatch.chdir(folder)
    session = Page(folder)
    for block in blocks:
        session.run(block)


def test_what_is_not_run_says_why() -> None:
    """And the greater part of the blocks runs: the reasons are of the pages that need a GPU, hours or a server."""
    every = [block for page in PAGES for block in blocks_of(page.read_text(encoding="utf-8")) if block.kind != "other"]
    assert all(len(block.reason) > 8 for block in every if block.reason)
    assert sum(not block.reason for block in every) >= 40


def test_blocks_are_found_with_their_reasons() -> None:
    page = (
        "# A\n\ntext\n\n    sparseir search a b\n    x\n\nmore\n\n<!-- not run: asks a server -->\n\n    import a\n\n    a.b()\n"
        "\n- item\n\n    of a list\n\n"
    )
    found = [(b.line, b.kind, b.reason, len(b.text)) for b in blocks_of(page)]
    assert found == [(5, "shell", "", 2), (12, "python", "asks a server", 3)]
    assert blocks_of(f"<!-- blocks not run: need a\nGPU -->\n{page}")[0].reason == "need a GPU"
