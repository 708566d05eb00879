"""COIL's token vectors written by `encode` and taken along by `index build --vectors`: encoded once, searched exactly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from sparseir.cli.app import run_command  # noqa: E402
from sparseir.config.encode import EncodeConfig  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.data.records import Document  # noqa: E402
from sparseir.data.stores.tokens import TokenStore, check_tokens, tokens_folder  # noqa: E402
from sparseir.encode.collection import encode_collection  # noqa: E402
from sparseir.encode.collection_parts import CollectionOptions  # noqa: E402
from sparseir.errors import ConfigError, DataError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from tests.tiny_models import TEXTS, save_masked_lm  # noqa: E402

QUERY = "cats in the park and cats"
MANY = [f"{first} {second}" for first in TEXTS for second in TEXTS[:3]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coil")
    torch.manual_seed(1)
    base = save_masked_lm(folder / "base")
    config = ModelConfig(base=str(base), kind="coil_full", token_dim=8, cls_dim=5, max_document_length=32)
    SparseEncoder.from_config(config).save(folder / "m")
    return folder / "m"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"_id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(MANY)))
    return path


def hits(index: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, float]]:
    capsys.readouterr()
    command = ["search", str(index), QUERY, "--model", str(model), "-k", "5", "--rerank", "exact", "--json"]
    assert run_command(command) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(row["docno"], row["score"]) for row in rows]


def held(store: TokenStore) -> list[list[list[float]]]:
    return [[part.tolist() for part in store.of(i)] for i in range(len(store))]


@pytest.mark.parametrize("ending", ["npz", "jsonl", "csr"])
def test_an_index_of_encoded_vectors_is_that_of_the_texts(
    ending: str, model: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors, index, direct = tmp_path / f"v.{ending}", tmp_path / "index", tmp_path / "direct"
    encode = ["encode", str(model), str(corpus), "--output", str(vectors), "--quiet"]
    build = ["index", "build", str(index), "--model", str(model), "--vectors", str(vectors), "--quiet"]
    assert run_command([*encode, "--token-vectors"]) == 0
    assert run_command([*encode, "--token-vectors", "--resume"]) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert run_command([*build, "--token-vectors"]) == 0
    command = [
        "index",
        "build",
        str(direct),
        "--model",
        str(model),
        "--corpus",
        str(corpus),
        "--token-vectors",
        "--quiet",
    ]
    assert run_command(command) == 0
    check_tokens(index)
    assert held(TokenStore(tokens_folder(index))) == held(TokenStore(tokens_folder(vectors)))
    assert hits(index, model, capsys) == hits(direct, model, capsys)
    assert run_command(["index", "verify", str(index), "--quiet"]) == 0
    assert run_command([*build, "--overwrite"]) == 0  # not asked for: none are beside it any more
    assert not tokens_folder(index).exists()
    assert run_command([*encode, "--overwrite"]) == 0  # nor beside vectors that were encoded without
    assert not tokens_folder(vectors).exists()
    with pytest.raises(ConfigError, match=rf"v\.{ending}' has no token vectors beside it \(v\.{ending}\.tokens\)"):
        run_command([*build, "--token-vectors", "--overwrite"])
    assert run_command([*build[:3], "--vectors", str(vectors), "--token-vectors"]) == 2
    assert "give --model, and --corpus or --vectors" in capsys.readouterr().err


def test_shards_are_built_of_their_folder_and_added_to(
    model: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two files of vectors with their token vectors, parts taken in turns; then documents added as vectors."""
    folder, index = tmp_path / "vectors", tmp_path / "index"
    for shard in (1, 2):
        command = ["encode", str(model), str(corpus), "--output", str(folder / f"v{shard}.jsonl"), "--part", "4"]
        assert run_command([*command, "--shard", f"{shard}/2", "--token-vectors", "--quiet"]) == 0
    given = ["--model", str(model), "--vectors", str(folder), "--quiet"]
    assert run_command(["index", "build", str(index), *given, "--token-vectors"]) == 0
    parts = [held(TokenStore(tokens_folder(folder / f"v{shard}.jsonl"))) for shard in (1, 2)]
    assert held(TokenStore(tokens_folder(index))) == [*parts[0], *parts[1]]
    names = [[json.loads(line)["id"] for line in (folder / f"v{i}.jsonl").read_text().splitlines()] for i in (1, 2)]
    assert names[0][:8] == ["d0", "d1", "d2", "d3", "d8", "d9", "d10", "d11"]
    before = hits(index, model, capsys)
    (tmp_path / "more.jsonl").write_text(json.dumps({"_id": "new", "text": "cats in the park and cats"}) + "\n")
    encode = ["encode", str(model), str(tmp_path / "more.jsonl"), "--output", str(tmp_path / "more.npz"), "--quiet"]
    add = ["index", "add", str(index), "--model", str(model), "--vectors", str(tmp_path / "more.npz"), "--quiet"]
    assert run_command(encode) == 0
    with pytest.raises(ConfigError, match=r"more\.npz' has no token vectors beside it"):
        run_command(add)
    assert hits(index, model, capsys) == before
    assert run_command([*encode, "--token-vectors", "--overwrite"]) == 0
    assert run_command(add) == 0
    after = hits(index, model, capsys)
    assert "new" in [docno for docno, _ in after]
    assert [hit for hit in after if hit[0] != "new"] == before[:4]


def test_an_encoding_that_was_stopped_goes_on(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Token vectors of finished parts are not computed again; the files are those of a run in one go."""
    from sparseir.models import token_vectors as module

    encoder = SparseEncoder.load(model, device="cpu")
    options = CollectionOptions(config=EncodeConfig(part_size=4), token_vectors=True, resume=True)
    every = [Document(f"d{i}", text) for i, text in enumerate(MANY)]

    def broken() -> Iterator[Document]:
        yield from every[:10]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_collection(encoder, broken(), tmp_path / "v.npz", options=options)
    assert not (tmp_path / "v.npz").exists()
    counted: list[int] = []
    whole = module.token_vectors

    def counting(encoder: SparseEncoder, texts: list[str], **named: object) -> object:
        counted.append(len(texts))
        return whole(encoder, texts, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(module, "token_vectors", counting)
        encode_collection(encoder, every, tmp_path / "v.npz", options=options)
    assert counted == [4, 4, 2]  # of 18, after two parts of 4
    encode_collection(encoder, every, tmp_path / "w.npz", options=options)
    for path in sorted(tokens_folder(tmp_path / "w.npz").rglob("*.*")):
        assert (
            path.read_bytes()
            == (tokens_folder(tmp_path / "v.npz") / path.relative_to(tokens_folder(tmp_path / "w.npz"))).read_bytes()
        )
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("v")) == ["v.npz", "v.npz.tokens"]
    shutil.rmtree(tokens_folder(tmp_path / "v.npz"))
    with pytest.raises(ConfigError, match=r"folder beside it \(v\.npz\.tokens is gone\)"):
        encode_collection(encoder, every, tmp_path / "v.npz", options=options)


def test_what_was_not_encoded_together_is_refused(
    model: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each by one line that says what differs; no index is left."""
    vectors, index = tmp_path / "v.jsonl", tmp_path / "index"
    encode = ["encode", str(model), str(corpus), "--output", str(vectors), "--quiet", "--token-vectors"]
    assert run_command(encode) == 0
    lines = vectors.read_text().splitlines(keepends=True)
    build = [
        "index",
        "build",
        str(index),
        "--model",
        str(model),
        "--vectors",
        str(vectors),
        "--token-vectors",
        "--quiet",
    ]
    renamed = lines[3].replace('"d3"', '"other"')
    other = json.loads(lines[5])
    other["vector"] = {term: 2 * weight for term, weight in other["vector"].items()}
    cases = {
        "documents of other names, or in another order": [*lines[:3], renamed, *lines[4:]],
        "token vectors of document 'd5' are not what its vector was made of": [*lines[:5], json.dumps(other) + "\n", *lines[6:]],
        "in another order, than the vectors beside it": [lines[0], *lines[2:3], *lines[1:2], *lines[3:]],
        "of 18 documents, and there are vectors of 17": lines[:-1],
        "of 18 documents, and there are vectors of more": [*lines, lines[3].replace('"d3"', '"d99"')],
    }  # fmt: skip
    for said, changed in cases.items():
        vectors.write_text("".join(changed))
        with pytest.raises(DataError, match=said) as caught:
            run_command(build)
        assert "\n" not in str(caught.value)
        assert not (index / "manifest.json").exists()
        assert not tokens_folder(index).exists()
    vectors.write_text("".join(lines))
    torch.manual_seed(2)
    config = SparseEncoder.load(model, device="cpu").config
    SparseEncoder.from_config(config).save(tmp_path / "n")
    with pytest.raises(DataError, match="token vectors of another model"):
        run_command([*build[:4], str(tmp_path / "n"), *build[5:]])
    starts = tokens_folder(vectors) / "000001" / "starts.bin"
    offsets = np.fromfile(starts, np.int64)
    offsets[2] = 10**9
    offsets.tofile(starts)
    with pytest.raises(DataError, match="do not rise; encode the texts again"):
        run_command(build)
    for more, said in (
        (["--queries"], "no --queries"),
        (["--max-active-dims", "3"], "no --max-active-dims"),
        (["--ray", "local"], "not written by a cluster"),
    ):
        assert run_command([*encode, "--overwrite", *more]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(ConfigError, match="token vectors are of documents, with every term: leave out queries"):
        CollectionOptions(token_vectors=True, queries=True)
    plain = SparseEncoder.from_config(ModelConfig(base=config.base, kind="unicoil"))
    with pytest.raises(ConfigError, match="this one is unicoil"):
        encode_collection(
            plain, [Document("a", "cat")], tmp_path / "u.npz", options=CollectionOptions(token_vectors=True)
        )
