"""The docstring collection: what becomes a query, what a document, and that two runs agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparseir.data import write_docstring_collection
from sparseir.data.docstrings import DocstringLimits, _query_and_document
from sparseir.errors import DataError

REST = " ".join(f"word{i}" for i in range(30))


def sources(folder: Path, modules: int = 30) -> Path:
    for m in range(modules):
        package = folder / f"package{m % 3}"
        package.mkdir(parents=True, exist_ok=True)
        body = "".join(
            f'def function{f}():\n    """Give number {m} and {f} back.\n\n    {m} {f} {REST}\n    """\n'
            for f in range(5)
        )
        (package / f"module{m}.py").write_text(body)
    (folder / "package0" / "test_more.py").write_text(
        'def f():\n    """Not a public thing here.\n\n    ' + REST + '\n    """\n'
    )
    (folder / "package0" / "broken.py").write_text("def f(:\n")
    (folder / "_private.py").write_text('"""This should not be seen.\n\n' + REST + '\n"""\n')
    return folder


def test_first_sentence_is_the_query() -> None:
    limits = DocstringLimits(min_document_words=2)
    assert _query_and_document("Sort the list\nin place. Equal items keep\n their order.", limits) == (
        "Sort the list in place.",
        "Equal items keep their order.",
    )
    assert _query_and_document("Sort the list in place\n\nSlowly, though.", limits) == (
        "Sort the list in place",
        "Slowly, though.",
    )
    assert _query_and_document("Too short. The rest is here.", limits) is None
    assert _query_and_document("One sentence and no more of it.", limits) is None


def test_collection_is_split_by_module_and_repeats_exactly(tmp_path: Path) -> None:
    root = sources(tmp_path / "src")
    first = write_docstring_collection(tmp_path / "a", roots=(root,))
    second = write_docstring_collection(tmp_path / "b", roots=(root,))
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/train.tsv", "qrels/test.tsv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    documents = {d.docno: d for d in first.corpus()}
    assert len(documents) == 150
    assert not any("test_more" in name or "private" in name for name in documents)
    modules = {
        split: {documents[docno].fields["module"] for judged in second.qrels(split).values() for docno in judged}
        for split in ("train", "test")
    }
    assert modules["train"]
    assert modules["test"]
    assert not modules["train"] & modules["test"]
    assert len(first.queries("train")) + len(first.queries("test")) == 150


def test_packages_share_the_limit(tmp_path: Path) -> None:
    root = sources(tmp_path / "src")
    limits = DocstringLimits(max_documents=120)
    documents = list(write_docstring_collection(tmp_path / "a", roots=(root,), limits=limits).corpus())
    assert len(documents) == 120
    assert {d.docno.split(".")[0] for d in documents} == {"package0", "package1", "package2"}


def test_too_few_docstrings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="usable docstrings"):
        write_docstring_collection(tmp_path / "a", roots=(tmp_path,))
