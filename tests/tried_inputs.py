"""Inputs that people bring, tried one after the other, and the page that shows what they see: docs/tried-inputs.md.

    python -m tests.tried_inputs        # runs all of them and writes the page

Every command runs in a folder of its own, in which the files of its case lie. A test compares the page with what the commands
print today.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import logging
import os
import shlex
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from sparseir import cli

PAGE = Path(__file__).parents[1] / "docs" / "tried-inputs.md"

_TEXTS = [
    ("a", "Rent", "The rent is due on the first."),
    ("b", "Pets", "Cats and dogs are pets."),
    ("c", "Heat", "It is cold."),
]

Files = dict[str, str | bytes]


def _vectors(count: int) -> str:
    return _lines(*({"id": f"d{i}", "vector": {"cat": 1 + i % 40 / 100, "dog": 0.5}} for i in range(count)))


@dataclass(frozen=True)
class Case:
    """What somebody brings and types.

    what : the input, in words. files : by name. typed : commands; what the last one prints is shown. fed : standard input.
    """

    what: str
    files: Files
    typed: tuple[str, ...]
    fed: bytes = b""


def _lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink, columns = io.BytesIO(), zip(*_TEXTS, strict=True)
    pq.write_table(pa.table(dict(zip(("id", "title", "text"), map(list, columns), strict=True))), sink)
    return sink.getvalue()


def _zstd(raw: bytes) -> bytes:
    from indexer.format.zstandard import zstandard

    return bytes(zstandard("a tried input").compress(raw))


def _encrypted() -> bytes:
    """A zip whose one member says of itself that it is encrypted."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("c/corpus.jsonl", BEIR)
    raw = bytearray(sink.getvalue())
    raw[raw.index(b"PK\x03\x04") + 6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


BEIR = _lines(*({"_id": i, "title": title, "text": text} for i, title, text in _TEXTS))
_ANSERINI = _lines(*({"id": i, "contents": f"{title}\n{text}"} for i, title, text in _TEXTS))
_MSMARCO = "".join(f"{i}\t{text}\n" for i, _, text in _TEXTS)
_CSV = "id,title,text,year\n" + "".join(
    f'{i},{title},"{text}",{2000 + n}\n' for n, (i, title, text) in enumerate(_TEXTS)
)
_FOLDER: Files = {
    "notes/rent.md": "# Rent\n\nThe rent is due on the first.\n",
    "notes/pets.txt": "Cats and dogs are pets.\n",
    "notes/heat.html": "<title>Heat</title><script>x=1</script><p>It is cold.",
    "notes/plan.pdf": b"%PDF",
}
_JUDGED: Files = {
    "coll/corpus.jsonl": BEIR,
    "coll/queries.jsonl": _lines({"_id": "q1", "text": "pets"}, {"_id": "q2", "text": "rent"}),
    "coll/qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\tb\t1.0\nq2\ta\t1\nq2\tgone\t1\nq9\ta\t1\n",
}
_BUILD = "sparseir index build house --bm25 --corpus "
_ASK = "sparseir search house cats"


def formats() -> Iterator[Case]:
    """Every form in which texts are taken."""
    yield Case("a BEIR folder", {"coll/corpus.jsonl": BEIR}, (_BUILD + "coll", _ASK))
    yield Case("JSON lines as Anserini's", {"dump.jsonl": _ANSERINI}, (_BUILD + "dump.jsonl", _ASK))
    yield Case(
        "JSON lines with other keys",
        {"dump.jsonl": _lines(*({"url": i, "body": text} for i, _, text in _TEXTS))},
        (_BUILD + "dump.jsonl --fields id=url,text=body", _ASK),
    )
    yield Case("MS MARCO's id, tab, text", {"collection.tsv": _MSMARCO}, (_BUILD + "collection.tsv", _ASK))
    yield Case(
        "CSV with a header",
        {"t.csv": _CSV},
        (_BUILD + "t.csv --metadata year", _ASK + ' --filter "year<=2001" --fields title,year'),
    )
    yield Case("Parquet", {"t.parquet": _parquet()}, (_BUILD + "t.parquet", _ASK))
    yield Case("a folder of .txt, .md, .html", _FOLDER, (_BUILD + "notes",))
    yield Case("gzip", {"dump.jsonl.gz": gzip.compress(_ANSERINI.encode(), mtime=0)}, (_BUILD + "dump.jsonl.gz", _ASK))
    yield Case("Zstandard", {"dump.jsonl.zst": _zstd(_ANSERINI.encode())}, (_BUILD + "dump.jsonl.zst", _ASK))
    yield Case("standard input, packed", {}, (_BUILD + "-", _ASK), gzip.compress(_ANSERINI.encode(), mtime=0))
    yield Case("long texts", {"t.csv": _CSV}, (_BUILD + "t.csv --windows 4/2", _ASK))
    yield Case(
        "queries by a pipe", {"t.csv": _CSV}, (_BUILD + "t.csv", "sparseir search house - -k 1"), b"cats\nrent\n"
    )


def faulty_texts() -> Iterator[Case]:
    """Corpora that cannot be used as they are."""

    def build(what: str, files: Files, rest: str) -> Case:
        return Case(what, files, (_BUILD + rest,))

    two = {"_id": "a", "text": "x", "year": 2000}
    yield build("a number that JSON lacks", {"c.jsonl": '{"_id": "a", "text": "", "n": NaN}\n'}, "c.jsonl")
    yield build("a key that no line has", {"c.jsonl": _lines({"url": "a", "text": "x"})}, "c.jsonl")
    yield build("a name twice", {"c.jsonl": _lines(two, two)}, "c.jsonl")
    yield build("a misspelt field to filter by", {"c.jsonl": _lines(two)}, "c.jsonl --metadata yaer")
    yield build(
        "numbers, then text, in a field",
        {"c.jsonl": _lines(two, {**two, "_id": "b", "year": "x"})},
        "c.jsonl --metadata year",
    )
    yield build("a row with too few cells", {"t.csv": "id,text\n1\n"}, "t.csv")
    yield build("a quote that is not closed", {"t.csv": 'id,text\n1,"open\n'}, "t.csv")
    yield build("bytes that are no text", {"c.jsonl": b'{"_id": "a", "text": "\xff"}\n'}, "c.jsonl")
    yield build("an unknown ending", {"dump.dat": BEIR}, "dump.dat")
    yield build("a gzip file cut short", {"c.jsonl.gz": gzip.compress(BEIR.encode(), mtime=0)[:-9]}, "c.jsonl.gz")
    yield build("an encrypted archive", {"c.zip": _encrypted()}, "c.zip")
    yield build("no document", {"c.jsonl": ""}, "c.jsonl")
    yield build("no such file", {}, "nothere.jsonl")
    yield build("a format that there is not", {"c.jsonl": BEIR}, "c.jsonl --format doc")


def faulty_vectors() -> Iterator[Case]:
    """Vectors that would ruin an index, or lose something."""
    start = "sparseir index build made --vectors v.jsonl"

    def added(what: str, line: object) -> Case:
        return Case(
            what,
            {"v.jsonl": _vectors(40), "more.jsonl": _lines(line)},
            (start, "sparseir index add made --vectors more.jsonl"),
        )

    odd = '{"id": "odd", "vector": {"cat": 700}}\n'
    yield Case("one weight far above all others", {"v.jsonl": _vectors(2000) + odd}, (start,))
    yield added("an addition with heavier weights", {"id": "x", "vector": {"cat": 3}})
    yield added("an addition with a new term", {"id": "x", "vector": {"mouse": 1}})
    yield added("a negative weight", {"id": "x", "vector": {"cat": -1}})
    yield Case(
        "weights that float16 cannot hold",
        {"v.jsonl": odd.replace("700", "70000")},
        (start + " --set stored_weights=f16",),
    )
    yield Case("no vector", {"v.jsonl": ""}, (start,))


def faulty_questions() -> Iterator[Case]:
    """Searches and evaluations."""

    def asked(what: str, rest: str) -> Case:
        return Case(what, {"t.csv": _CSV}, (_BUILD + "t.csv --metadata year", _ASK + rest))

    judge: tuple[str, ...] = (_BUILD + "coll", "sparseir search house --queries coll/queries.jsonl --output run.trec")
    yield asked("a filter that ends early", ' --filter "year>="')
    yield asked("a filter by a field that is not there", ' --filter "yeer=2000"')
    yield asked("an unknown engine", " --engine fast")
    yield asked("no hits asked for", " -k 0")
    yield Case("an index that is not there", {}, ("sparseir search nothere cats",))
    yield Case(
        "JSON among lines of text",
        {"t.csv": _CSV},
        (_BUILD + "t.csv", "sparseir search house -"),
        b'cats\n{"_id": "b"}\n',
    )
    yield Case(
        "judgements that name absent documents and queries, with grades 1.0",
        _JUDGED,
        (*judge, "sparseir evaluate run.trec coll --measures nDCG@10 --baselines ''"),
    )
    yield Case("a cutoff of 0", _JUDGED, (*judge, "sparseir evaluate run.trec coll --measures nDCG@0"))
    yield Case(
        "a device that is none",
        {"c.jsonl": BEIR},
        ("sparseir index build house --model m --corpus c.jsonl --device gpu",),
    )


PARTS: dict[str, Callable[[], Iterator[Case]]] = {
    "Formats": formats,
    "Texts at fault": faulty_texts,
    "Vectors at fault": faulty_vectors,
    "Questions at fault": faulty_questions,
}


def answer(case: Case) -> tuple[int, str]:
    """The exit code of the last command of a case, and all that it printed, in an empty folder."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for name, content in case.files.items():
                path = Path(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
            for number, line in enumerate(case.typed, 1):
                code, said = _run(shlex.split(line)[1:], case.fed)
                assert code == 0 or number == len(case.typed), f"{line}: {said}"
        finally:
            os.chdir(before)
    return code, said


def _run(words: list[str], fed: bytes) -> tuple[int, str]:
    said = io.StringIO()
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(fed)), encoding="utf-8")  # type: ignore[arg-type]
    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(sys, "stdin", stream))
        patches.enter_context(mock.patch.object(logging.root, "handlers", []))  # notes go to stderr, as in a shell
        patches.enter_context(contextlib.redirect_stdout(said))
        patches.enter_context(contextlib.redirect_stderr(said))
        code = cli.run(words)
    return code, said.getvalue()


def page() -> str:
    """The page, with what the commands print now."""
    lines = [
        "# Tried inputs",
        "",
        "What somebody sees who brings a file and types a command: every format once, and inputs that are at fault. The",
        "texts have three documents, the vectors forty or two thousand. Exit codes are those of [command-line.md](command-line.md). This",
        "page is written by `python -m tests.tried_inputs`, and a test compares it with what the commands print.",
    ]
    for title, cases in PARTS.items():
        lines += ["", f"## {title}", "", "| brought | typed | code | seen |", "|---|---|---|---|"]
        for case in cases():
            code, said = answer(case)
            typed = "<br>".join(f"`{_cell(line)}`" for line in case.typed)
            seen = "<br>".join(f"`{_cell(line)}`" for line in said.splitlines())
            lines.append(f"| {case.what} | {typed} | {code} | {seen} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Of a table: bars end cells, and spaces at the start are kept."""
    return text.replace("|", "\\|").replace("`", "'").replace("  ", "\u00a0 ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
