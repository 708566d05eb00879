"""Hostile files in the place of every file that is read: one of our errors, which names the place, and no traceback."""

from __future__ import annotations

import io
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index
from indexer.interchange import open_vectors
from sparseir.cli import run
from sparseir.data.dataset import open_dataset
from sparseir.data.judgements import read_qrels
from sparseir.data.pairs import read_scores
from sparseir.errors import ConfigError, DataError, SparseIRError
from sparseir.models.sentence.layout import read_json, read_modules
from sparseir.search.searcher import Searcher
from tests.fuzz.input_samples import Sample, model_samples, samples
from tests.fuzz.mutate_inputs import DEEP, WORDS, outcome
from tests.fuzz.mutate_inputs import run as mutate
from tests.tiny_collections import write_collection

WHOLE = {
    "nothing": b"",
    "space": b" \n\n",
    "no UTF-8": b"\xff\xfe\x00x",
    "zeros": bytes(5000),
    "half a character": rb'{"_id": "\ud800", "text": "\udc00"}' + b"\n",
    "half a character as bytes": b'"\xed\xa0\x80"\n',
    "deep list": b"[" * DEEP,
    "deep object": b'{"a":' * DEEP,
    "deep and closed": b"[" * DEEP + b"]" * DEEP,
    "digits": b"9" * 5000,
    "beyond floats": b'{"_id": "1", "text": "x", "score": 1e999}',
    "beyond floats, an integer": b'{"query": "1", "document": "x", "score": ' + b"9" * 400 + b"}",
    "infinity": b"-Infinity",
    "list": b"[]",
    "list of lists": b"[[[]]]",
    "string": b'"x"',
    "null": b"null",
    "lines of lists": b"[]\n" * 9,
    "gzip, cut": zlib.compress(b"x" * 999, wbits=31)[:12],
    "zip, cut": b"PK\x03\x04" + bytes(40),
    "numpy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (3,), }" + bytes(70),
    "safetensors of 2^63": struct.pack("<Q", 1 << 63) + b"{}",
    "safetensors of a list": struct.pack("<Q", 2) + b"[]",
    "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    for module in ("torch", "transformers", "accelerate"):
        pytest.importorskip(module)
    return model_samples(tmp_path_factory.mktemp("models"))


def refused(sample: Sample, name: str, content: bytes, place: Path) -> str | None:
    """What is wrong with the answer to one hostile file, or None."""
    sample.write(place, {name: content})
    start = time.process_time()
    kind, said = outcome(sample.read, place)
    took = time.process_time() - start
    shutil.rmtree(place)
    return f"{sample.name}, {name}: {kind} {said}" if kind in ("fault", "no place") or took > 10 else None


@pytest.mark.parametrize("what", WHOLE)
def test_a_hostile_file_is_refused_in_a_line(what: str, made: list[Sample], tmp_path: Path) -> None:
    answers = [refused(s, name, WHOLE[what], tmp_path / "hostile-place") for s in made for name in s.mutable]
    assert not [answer for answer in answers if answer]


@pytest.mark.filterwarnings("ignore")
def test_a_hostile_file_of_a_model_is_refused_in_a_line(models: list[Sample], tmp_path: Path) -> None:
    few = [s for s in models if s.name in ("model plain", "model of others", "checkpoint", "position", "teacher cache")]
    answers = [
        refused(s, name, content, tmp_path / "hostile-place")
        for s in few
        for name in s.mutable
        for content in map(WHOLE.get, ("nothing", "deep object", "digits", "list", "safetensors of 2^63"))
        if content is not None
    ]
    assert not [answer for answer in answers if answer]


def test_files_of_gigabytes_are_not_read_whole(made: list[Sample], tmp_path: Path) -> None:
    """In the place of every file that is read at once, and of one that is read by lines."""
    whole = [s for s in made if s.name.startswith(("query table", "vocabulary", "recipe", "scores"))]
    assert len(whole) == 8
    place = tmp_path / "hostile-place"
    for sample in whole:
        for name in sample.mutable:
            sample.write(place, {name: b'"'})
            os.truncate(place / name, 3 << 30)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert outcome(sample.read, place)[0] == "refused", (sample.name, name)
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20, (sample.name, name)
            shutil.rmtree(place)


def test_descriptions_of_model_folders_of_gigabytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "modules.json"
    path.write_bytes(b'["')
    os.truncate(path, 3 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (lambda: read_modules(tmp_path), lambda: read_json(path)):
        with pytest.raises(ConfigError, match=r"modules\.json: .*more than 67,108,864 bytes"):
            read()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 18


def with_word(data: bytes, word: bytes) -> bytes:
    at = min((data.find(mark) + 1 for mark in b":\t," if mark in data), default=0)
    return data[:at] + word + data[at + 1 :]


def test_hostile_words_in_place_of_values(made: list[Sample], tmp_path: Path) -> None:
    """Each word once in each text file, in the place of what follows its first colon, tab or comma."""
    answers = [
        refused(sample, name, with_word(sample.files[name], word), tmp_path / "hostile-place")
        for sample in made
        for name in sample.mutable
        for word in WORDS
    ]
    assert not [answer for answer in answers if answer]


def test_random_mutations(made: list[Sample]) -> None:
    found = mutate(made, 200, seed=11, seconds=60)
    assert found.faults == {}
    assert sum(found.counts.values()) > 50


def packed(method: int = zipfile.ZIP_DEFLATED, flags: int = 0, body: bytes | None = None) -> bytes:
    """A zip of a collection whose headers state a method and flags of our choice."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny/corpus.jsonl", body if body is not None else b'{"_id": "1", "text": "x"}\n')
    data = bytearray(out.getvalue())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + place
        data[at : at + 4] = struct.pack("<HH", flags, method)
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            packed(method=9),
            "compression.*unpack the archive and give its folder",
        ),  # Deflate64, as Windows packs files of more than 2 GB
        (packed(method=97), "compression"),
        (packed(flags=1), "encrypted.*unpack the archive and give its folder"),
        (packed()[:-30], "zip"),
        (packed()[:60] + packed()[90:], "zip"),
        (packed(body=bytes(80 << 20)), "line of more than"),
        (packed(body=b"[" * (80 << 20)), "line of more than"),
        (packed(body=b"\n" * (1 << 17)), "empty"),
    ],
    ids=["deflate64", "unknown method", "encrypted", "cut", "a hole", "bomb of zeros", "bomb of text", "bomb of lines"],
)
def test_archives_that_cannot_be_read(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "c.zip").write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        list(open_dataset(tmp_path / "c.zip").corpus())
    assert "c.zip" in str(caught.value)


def test_numbers_that_no_float_holds(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"query": "q", "document": "d", "score": ' + "9" * 400 + "}\n")
    with pytest.raises(DataError, match=r"s\.jsonl:1: 'score' must hold finite numbers"):
        read_scores(tmp_path / "s.jsonl")
    (tmp_path / "q.tsv").write_text("q 0 d 99999999999\n")
    with pytest.raises(DataError, match=r"q\.tsv:1: relevance 99999999999 is beyond 32 bits"):
        read_qrels(tmp_path / "q.tsv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [x, x]\nb: [*a, *a]\n", ":2: .*aliases"),
        ("a: [" + "[" * 5_000, "nested too deeply"),
        ("a: [" + "[" * DEEP, "at most"),
        ("a: 2026-13-45\n", "not valid YAML"),
        ('a: "\\ud800"\n', ":1: .*half a character"),
        ("? [a]\n: b\n", ":1: .*key"),
        ("a: " + "9" * 5000 + "\n", "not valid YAML"),
        ("a: !!python/object/apply:os.system [true]\n", ":1: "),
    ],
)
def test_hostile_recipes(text: str, said: str, tmp_path: Path) -> None:
    from sparseir.config.loader import apply_overrides, read_yaml

    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_yaml(tmp_path / "r.yaml")
    assert len(str(caught.value)) < 500
    if "\n" not in text.rstrip() and len(text) < DEEP:
        with pytest.raises(ConfigError, match="--set"):
            apply_overrides({}, [f"s.k={text.partition(':')[2].strip()}"])


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "index"
    vectors = SparseVectors.from_rows([{0: 1.0, 1: 2.0}] * 3, 2)
    config = IndexConfig(metadata=("year",))
    build_index(path, vectors, docnos=["a", "b", "c"], fields=[{"year": i} for i in range(3)], config=config)
    return path


def test_filters_of_any_kind(index: Path) -> None:
    searcher = Searcher.open(index)
    query = np.array([0], np.uint32), np.ones(1, np.float32)
    for given in (iter(["b", "c"]), (name for name in ("b", "c")), {"b": 1, "c": 2}, ("c", "b")):
        assert sorted(searcher.search_terms(*query, 2, filter=given).ordinals.tolist()) == [1, 2]  # type: ignore[arg-type]
    refusals: list[object] = [5, 1.5, b"x", [["b"]], ["b", 5], object(), "(" * DEEP, "year>=\ud800", np.ones(2), [None]]
    for bad in refusals:
        with pytest.raises(DataError) as caught:
            searcher.search_terms(*query, 2, filter=bad)  # type: ignore[arg-type]
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), "\ud800", {"a": {1, 2}}, b"x"], ids=["inf", "nan", "half", "set", "bytes"]
)
@pytest.mark.parametrize("metadata", [(), ("f",)], ids=["stored", "filtered"])
def test_fields_that_json_does_not_have(value: object, metadata: tuple[str, ...], tmp_path: Path) -> None:
    vectors = SparseVectors.from_rows([{0: 1.0}], 1)
    with pytest.raises(DataError, match="field"):
        build_index(tmp_path / "i", vectors, fields=[{"f": value}], config=IndexConfig(metadata=metadata))


@pytest.mark.parametrize("given", [[1], 5, None, "x"])
def test_fields_that_are_no_objects(given: object, tmp_path: Path) -> None:
    vectors = SparseVectors.from_rows([{0: 1.0}], 1)
    with pytest.raises(DataError, match="field"):
        build_index(tmp_path / "i", vectors, fields=[given], config=IndexConfig(metadata=("f",)))  # type: ignore[list-item]


def test_infinities_never_reach_json(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write_collection(tmp_path / "c") / "corpus.jsonl"
    corpus.write_text('{"_id": "1", "text": "x", "price": 1e999}\n')
    with pytest.raises(DataError, match=r"corpus\.jsonl:1: .*beyond the range"):
        list(open_dataset(corpus).corpus())
    (tmp_path / "q.jsonl").write_text('{"id": "q", "vector": {"0": 3e38, "1": 3e38}}\n')
    assert run(["search", str(index), "--query-vectors", str(tmp_path / "q.jsonl"), "--json"]) in (0, 1)
    said = capsys.readouterr()
    assert "Infinity" not in said.out
    assert "Traceback" not in said.err


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15, 0.3, 0.5])
def test_an_interruption_while_modules_load_is_one_line(delay: float, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from sparseir.cli import main; print('on', flush=True); main()",
         "index", "build", str(tmp_path / "i"), "--model", str(tmp_path), "--corpus", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.1 + delay)  # its handlers are set as soon as it runs
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in said, said
    assert not [path for path in tmp_path.iterdir() if path.name != "i"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_in_a_destructor_is_not_lost(signum: int) -> None:
    code = f"""
import os, signal, sys, time
import sparseir.cli, sparseir.cli.app

class Collected:
    def __del__(self):
        os.kill(os.getpid(), {int(signum)})
        time.sleep(0.001)

def command(arguments):
    collected = Collected()
    del collected
    time.sleep(30)
    return 0

sparseir.cli.app.run_command = command
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what it runs in the background without
sparseir.cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "interrupted; what was committed before is intact\n")


def test_an_interrupted_build_leaves_nothing_in_the_temporary_folder(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparseir.encode.vectors import index_vectors

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "v.jsonl").write_text('{"id": "a", "vector": {"x": 1}}\n')

    def stop(stage: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_vectors(tmp_path / "i", tmp_path / "v.jsonl", progress=stop)
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        lambda f: ["index", "build", f"{f}/i", "--vectors", f"{f}/h.jsonl"],
        lambda f: ["index", "build", f"{f}/i", "--vectors", f"{f}/h.npz"],
        lambda f: ["index", "build", f"{f}/i", "--vectors", f"{f}/h.csr"],
        lambda f: ["index", "build", f"{f}/i", "--vectors", f"{f}/h.ciff"],
        lambda f: ["config", "show", f"{f}/h.yaml"],
        lambda f: ["config", "diff", f"{f}/h.yaml", f"{f}/h.yaml"],
        lambda f: ["train", f"{f}/h.yaml", "--output", f"{f}/m"],
        lambda f: ["index", "delete", f"{f}/index", "--ids", f"{f}/h.zip"],
        lambda f: ["search", f"{f}/index", "--query-vectors", f"{f}/h.jsonl"],
        lambda f: ["search", f"{f}/index", "--query-vectors", f"{f}/h.npz"],
        lambda f: ["search", f"{f}/index", "x", "--filter", "year in (" * 2000],
    ],
)
def test_commands_give_hostile_files_one_line(
    arguments: Callable[[Path], list[str]], index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(index, tmp_path / "index")
    for content in (b"[" * DEEP, rb'{"\ud800": 1e999}', b"9" * 5000, bytes(999)):
        for ending in ("jsonl", "npz", "csr", "ciff", "yaml", "zip"):
            (tmp_path / f"h.{ending}").write_bytes(content)
        code = run(arguments(tmp_path))
        said = capsys.readouterr().err
        assert "Traceback" not in said
        if "delete" not in arguments(tmp_path):  # lines of names are names, whatever they hold
            assert code == (
                2 if "--filter" in arguments(tmp_path) else 1
            )  # a filter that no index takes is wrong usage
            assert said.startswith("error: ")
            assert len(said) < 1500


def test_a_shape_that_lies_costs_no_memory(tmp_path: Path) -> None:
    (tmp_path / "v.csr").write_bytes(struct.pack("<3q", 1 << 60, 5, 1 << 60))
    with pytest.raises(SparseIRError, match=r"v\.csr"):
        list(open_vectors(tmp_path / "v.csr"))
