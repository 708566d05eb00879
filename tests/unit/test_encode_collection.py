"""Whole collections: order, shards, resuming, formats."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from indexer import SparseVectors  # noqa: E402
from indexer.interchange import Vocabulary, open_vectors  # noqa: E402
from sparseir.config.encode import EncodeConfig  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.data.records import Document, Query  # noqa: E402
from sparseir.encode.collection import encode_collection  # noqa: E402
from sparseir.encode.collection_parts import CollectionOptions  # noqa: E402
from sparseir.encode.ray_collection import _encode_shard, _unlocked, encode_with_ray  # noqa: E402
from sparseir.errors import ConfigError, DataError, LockedError, MissingExtraError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from tests.tiny_models import TEXTS, WORDS, save_masked_lm  # noqa: E402

CONFIG = EncodeConfig(batch_size=3, part_size=4, bucket_size=3, dtype="float32")
DOCUMENTS = [Document(f"d{i}", text, title=WORDS[i]) for i, text in enumerate(TEXTS * 3)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SparseEncoder:
    base = save_masked_lm(tmp_path_factory.mktemp("bert"))
    return SparseEncoder.from_config(ModelConfig(base=str(base), kind="inference_free", max_document_length=32))


def read(path: Path, encoder: SparseEncoder) -> tuple[list[str], np.ndarray]:
    fixed = Vocabulary.fixed(encoder.terms()) if ".jsonl" in path.name else None
    batches = list(open_vectors(path, vocabulary=fixed))
    docnos = [name for b in batches for name in b.docnos or []]
    return docnos, SparseVectors.concatenate([b.vectors for b in batches]).to_scipy().toarray()


def expected(encoder: SparseEncoder) -> np.ndarray:
    return encoder.encode_documents([d.content for d in DOCUMENTS]).to_scipy().toarray()


@pytest.mark.parametrize("name", ["v.npz", "v.jsonl", "v.jsonl.gz", "v.csr"])
def test_rows_come_in_input_order_in_every_format(encoder: SparseEncoder, tmp_path: Path, name: str) -> None:
    seen: list[int] = []
    written = encode_collection(
        encoder,
        iter(DOCUMENTS),
        tmp_path / name,
        options=CollectionOptions(config=CONFIG),
        progress=lambda stage, done, total: seen.append(done),
    )
    docnos, rows = read(tmp_path / name, encoder)
    assert docnos == [d.docno for d in DOCUMENTS]
    np.testing.assert_allclose(rows, expected(encoder), rtol=1e-4, atol=1e-6)
    assert written.num_rows == len(DOCUMENTS)
    assert seen == sorted(seen)
    assert seen[-1] == len(DOCUMENTS)
    assert not (tmp_path / f"{name}.parts").exists()


def test_shards_hold_every_document_once(encoder: SparseEncoder, tmp_path: Path) -> None:
    names: list[str] = []
    for i in (1, 2):
        options = CollectionOptions(config=CONFIG, shard=(i, 2))
        encode_collection(encoder, DOCUMENTS, tmp_path / f"{i}.npz", options=options)
        names += read(tmp_path / f"{i}.npz", encoder)[0]
    assert sorted(names) == sorted(d.docno for d in DOCUMENTS)


class Stopped(Exception):
    """What ends the first run."""


def test_resumed_run_equals_an_uninterrupted_one(encoder: SparseEncoder, tmp_path: Path) -> None:
    def broken() -> Iterator[Document]:
        yield from DOCUMENTS[:10]
        raise Stopped

    output = tmp_path / "v.npz"
    with pytest.raises(Stopped):
        encode_collection(encoder, broken(), output, options=CollectionOptions(config=CONFIG))
    parts = sorted((tmp_path / "v.npz.parts").glob("*.npz"))
    assert len(parts) == 2
    before = [p.stat().st_mtime_ns for p in parts]
    other = CollectionOptions(config=EncodeConfig(part_size=4), resume=True)
    with pytest.raises(ConfigError, match="another config"):
        encode_collection(encoder, DOCUMENTS, output, options=other)
    with pytest.raises(DataError, match="differ"):
        encode_collection(encoder, DOCUMENTS[1:], output, options=CollectionOptions(config=CONFIG, resume=True))
    assert [p.stat().st_mtime_ns for p in parts] == before
    encode_collection(encoder, DOCUMENTS, output, options=CollectionOptions(config=CONFIG, resume=True))
    np.testing.assert_allclose(read(output, encoder)[1], expected(encoder), rtol=1e-4, atol=1e-6)


def test_two_runs_do_not_encode_into_one_output(encoder: SparseEncoder, tmp_path: Path) -> None:
    output = tmp_path / "v.npz"
    refused = []

    def read_meanwhile() -> Iterator[Document]:
        yield from DOCUMENTS[:10]
        for resume, overwrite in ((False, False), (True, False), (False, True)):
            options = CollectionOptions(config=CONFIG, resume=resume, overwrite=overwrite)
            with pytest.raises(LockedError, match="another run encodes into") as caught:
                encode_collection(encoder, DOCUMENTS, output, options=options)
            refused.append(caught.value)
        yield from DOCUMENTS[10:]

    encode_collection(encoder, read_meanwhile(), output, options=CollectionOptions(config=CONFIG))
    assert len(refused) == 3
    np.testing.assert_allclose(read(output, encoder)[1], expected(encoder), rtol=1e-4, atol=1e-6)


def test_a_finished_run_is_complete(encoder: SparseEncoder, tmp_path: Path) -> None:
    """Of this model, these texts and settings; anything else is refused, and nothing is written."""
    output, again = tmp_path / "v.jsonl", CollectionOptions(config=CONFIG, resume=True)
    first = encode_collection(encoder, DOCUMENTS, output, options=CollectionOptions(config=CONFIG))
    assert not first.before
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    found = encode_collection(encoder, DOCUMENTS, output, options=again)
    assert (found.num_rows, found.nnz, found.before) == (first.num_rows, first.nnz, True)
    with pytest.raises(ConfigError, match="finished, with another texts"):
        encode_collection(encoder, DOCUMENTS[1:], output, options=again)
    with pytest.raises(ConfigError, match="finished, with another config"):
        encode_collection(
            encoder, DOCUMENTS, output, options=CollectionOptions(config=EncodeConfig(part_size=4), resume=True)
        )
    other = SparseEncoder.from_config(replace(encoder.config, max_document_length=16))
    with pytest.raises(ConfigError, match="finished, with another encoder"):
        encode_collection(other, DOCUMENTS, output, options=again)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    output.write_bytes(b"")
    with pytest.raises(ConfigError, match="finished, with another bytes"):
        encode_collection(encoder, DOCUMENTS, output, options=again)
    (tmp_path / ".v.jsonl.encoded.json").unlink()
    with pytest.raises(ConfigError, match="nothing says what it was made of"):
        encode_collection(encoder, DOCUMENTS, output, options=again)


def test_the_command_says_complete(encoder: SparseEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sparseir import cli

    encoder.save(tmp_path / "m")
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "the cat"}\n')
    command = ["encode", str(tmp_path / "m"), str(tmp_path / "corpus.jsonl"), "--output", str(tmp_path / "v.npz")]
    assert cli.run(command) == 0
    capsys.readouterr()
    assert cli.run(command) == 1
    assert (
        capsys.readouterr().err
        == f"error: {tmp_path / 'v.npz'} exists already; name another place or say --overwrite\n"
    )
    assert cli.run([*command, "--resume"]) == 0
    assert "v.npz is complete: 1 rows of this collection by this model; nothing to do" in capsys.readouterr().err


def test_queries_go_through_the_query_side(encoder: SparseEncoder, tmp_path: Path) -> None:
    queries = [Query("q1", "the cat"), Query("q2", "")]
    output = tmp_path / "q.npz"
    encode_collection(encoder, queries, output, options=CollectionOptions(config=CONFIG, queries=True))
    docnos, rows = read(output, encoder)
    assert docnos == ["q1", "q2"]
    assert (rows > 0).sum(1).tolist() == [2, 0]


def test_refusals(encoder: SparseEncoder, tmp_path: Path) -> None:
    taken = tmp_path / "v.npz"
    taken.write_bytes(b"")
    with pytest.raises(ConfigError, match="exists"):
        encode_collection(encoder, DOCUMENTS, taken)
    with pytest.raises(ConfigError, match="unknown ending"):
        encode_collection(encoder, DOCUMENTS, tmp_path / "v.txt")
    with pytest.raises(ConfigError, match="I from 1 to N"):
        CollectionOptions(shard=(3, 2))


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"ray.*sparseir\[ray\]"):
        encode_with_ray("model", lambda: iter(DOCUMENTS), tmp_path, shards=2, workers=1)


def test_a_shard_of_another_model_is_not_taken_for_ones_own(encoder: SparseEncoder, tmp_path: Path) -> None:
    output, options = tmp_path / "shard-1-of-1.npz", CollectionOptions(config=CONFIG, resume=True)
    _encode_shard(encoder, lambda: iter(DOCUMENTS), output, options)
    before = output.stat().st_mtime_ns
    _encode_shard(encoder, lambda: iter(DOCUMENTS), output, options)
    assert output.stat().st_mtime_ns == before
    other = CollectionOptions(config=EncodeConfig(dtype="float32"), resume=True)
    with pytest.raises(ConfigError, match="another model or with other settings"):
        _encode_shard(encoder, lambda: iter(DOCUMENTS), output, other)
    with pytest.raises(DataError, match="documents differ"):
        _encode_shard(encoder, lambda: iter([replace(DOCUMENTS[0], text="other"), *DOCUMENTS[1:]]), output, options)
    output.with_suffix(".json").write_text("[" * 100_000)
    with pytest.raises(ConfigError, match="another model or with other settings"):
        _encode_shard(encoder, lambda: iter(DOCUMENTS), output, options)


@pytest.mark.parametrize("changed", ["text", "title"])
def test_a_resumed_run_knows_its_texts(encoder: SparseEncoder, tmp_path: Path, changed: str) -> None:
    """The same names with other texts: nothing of the stopped run is taken for theirs."""

    def broken() -> Iterator[Document]:
        yield from DOCUMENTS[:10]
        raise Stopped

    output, options = tmp_path / "v.npz", CollectionOptions(config=CONFIG, resume=True)
    with pytest.raises(Stopped):
        encode_collection(encoder, broken(), output, options=options)
    others = [replace(d, **{changed: "weather now"}) if i == 3 else d for i, d in enumerate(DOCUMENTS)]
    with pytest.raises(DataError, match="differ in name or text"):
        encode_collection(encoder, others, output, options=options)
    assert not output.exists()
    for content in ("[]", "[" * 100_000, "x"):
        (tmp_path / "v.npz.parts" / "encoding.json").write_text(content)
        with pytest.raises(ConfigError, match="cannot tell what its parts are"):
            encode_collection(encoder, DOCUMENTS, output, options=options)


def test_a_task_waits_for_a_lock_but_not_for_ever() -> None:
    tries = []

    def work() -> None:
        tries.append(1)
        if len(tries) < 2:
            raise LockedError("held")

    _unlocked(work)
    assert len(tries) == 2
    tries.clear()
    with pytest.raises(LockedError, match="held"):
        _unlocked(work, seconds=-1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_encodes_the_same_rows(encoder: SparseEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Workers import this checkout, as the driver does, and take its environment's torch threads.
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]))
    encoder.save(tmp_path / "model")
    documents = [Document(f"d{i}", TEXTS[i % 5] + " cat" * (i % 7)) for i in range(300)]
    config = EncodeConfig(batch_size=16, part_size=40, dtype="float32")
    ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    try:
        files = encode_with_ray(
            tmp_path / "model", lambda: iter(documents), tmp_path / "out", shards=3, workers=1, config=config
        )
    finally:
        ray.shutdown()
    assert [f.name for f in files] == [f"shard-{i}-of-3.npz" for i in (1, 2, 3)]
    rows = {}
    for file in files:
        names, weights = read(file, encoder)
        rows.update(zip(names, weights, strict=True))
    assert sorted(rows) == sorted(d.docno for d in documents)
    plain = encoder.encode_documents([d.content for d in documents], batch_size=16).to_scipy().toarray()
    np.testing.assert_allclose(np.stack([rows[d.docno] for d in documents]), plain, rtol=1e-4, atol=1e-6)
