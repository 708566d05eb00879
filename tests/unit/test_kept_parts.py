"""A build from text that was stopped goes on, and gives the bytes of one that was not."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from indexer import Index, open_index  # noqa: E402
from sparseir.config.lexical import LexicalConfig  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.data.records import Document  # noqa: E402
from sparseir.encode import kept_parts  # noqa: E402
from sparseir.encode.indexing import index_documents  # noqa: E402
from sparseir.encode.kept_parts import parts_folder  # noqa: E402
from sparseir.encode.options import IndexingOptions  # noqa: E402
from sparseir.encode.words.projected import PROBE  # noqa: E402
from sparseir.errors import ConfigError, DataError, SparseIRError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from tests.tiny_models import TEXTS, save_masked_lm  # noqa: E402

DOCUMENTS = [Document(f"d{i}", text) for i, text in enumerate(TEXTS * 3)]
BUILD = IndexingOptions(batch=4, resume=False)
AGAIN = replace(BUILD, resume=True)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SparseEncoder:
    base = save_masked_lm(tmp_path_factory.mktemp("bert"))
    return SparseEncoder.from_config(ModelConfig(base=str(base), kind="inference_free", max_document_length=32))


def stopped() -> Iterator[Document]:
    yield from DOCUMENTS[:9]
    raise KeyboardInterrupt


def segments(index: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in index.glob("*.seg")}


@pytest.mark.parametrize("lexical", [None, LexicalConfig()])
def test_a_stopped_build_goes_on(
    encoder: SparseEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lexical: LexicalConfig | None
) -> None:
    index, options = tmp_path / "i", replace(BUILD, lexical=lexical)
    index_documents(tmp_path / "whole", encoder, DOCUMENTS, options=options)
    with pytest.raises(KeyboardInterrupt):
        index_documents(index, encoder, stopped(), options=options)
    assert not list(index.glob("*.seg"))
    assert not (index / "manifest.json").exists()
    assert len(list(parts_folder(index).glob("part-*.npz"))) == 2
    encoded: list[str] = []
    encode = encoder.encode_documents
    monkeypatch.setattr(
        encoder, "encode_documents", lambda texts, **how: (encoded.extend(texts), encode(texts, **how))[1]
    )
    built = index_documents(index, encoder, DOCUMENTS, options=replace(options, resume=True)).index
    assert encoded == [d.content for d in DOCUMENTS[8:]]
    assert built.notes[0] == "8 documents were encoded before the interruption"
    assert segments(index) == segments(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["i", "whole"]


class Letters:
    """Embeds a text by how often it says some letters, and notes what it was asked."""

    dimensions = 4

    def __init__(self, letters: str = "aeio") -> None:
        self.letters, self.documents, self.sentences = letters, list[str](), list[str]()

    def embed(self, texts: Sequence[str], *, query: bool = False, progress: object = None) -> NDArray[np.float32]:
        if list(texts) != [PROBE]:
            (self.sentences if query else self.documents).extend(texts)
        return np.array([[text.count(letter) for letter in self.letters] for text in texts], np.float32)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("stop", ["documents", "sentences"])
def test_a_stopped_build_with_words_of_a_dense_model_goes_on(
    encoder: SparseEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learned: bool, stop: str
) -> None:
    index, model = tmp_path / "i", encoder if learned else None
    options = replace(BUILD, lexical=LexicalConfig(expansion_model="letters"))

    def build(path: Path, embed: Letters, documents: Iterable[Document] = DOCUMENTS, *, resume: bool = False) -> Index:
        return index_documents(path, model, documents, options=replace(options, embed=embed, resume=resume)).index

    whole, first, second = Letters(), Letters(), Letters()
    build(tmp_path / "whole", whole)
    with monkeypatch.context() as patched:
        if stop == "sentences":  # after them, where word vectors are fitted
            patched.setattr("sparseir.lexical.projection.Projection.fit", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(index, first, stopped() if stop == "documents" else DOCUMENTS)
    assert not list(index.glob("*.seg"))
    with pytest.raises(ConfigError, match="made with another dense model; resume with the same"):
        build(index, Letters("sxzy"), resume=True)
    built = build(index, second, resume=True)
    done = 8 if stop == "documents" else len(DOCUMENTS)
    assert first.documents + second.documents == whole.documents == [d.content for d in DOCUMENTS]
    assert len(second.documents) == len(DOCUMENTS) - done
    assert second.sentences == (whole.sentences if stop == "documents" else [])
    assert built.notes[0] == f"{done} documents were encoded before the interruption"
    assert segments(index) == segments(tmp_path / "whole")
    names = sorted(path.name for path in open_index(index).query_side.iterdir())
    for name in names:
        assert (open_index(index).query_side / name).read_bytes() == (
            open_index(tmp_path / "whole").query_side / name
        ).read_bytes(), name
    assert {"projection.safetensors", "frequencies.safetensors"} <= set(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["i", "whole"]


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_embeddings_of_other_texts_are_refused(tmp_path: Path) -> None:
    options = replace(BUILD, lexical=LexicalConfig(expansion_model="letters"), embed=Letters())
    with pytest.raises(KeyboardInterrupt):
        index_documents(tmp_path / "i", None, stopped(), options=options)
    changed = [replace(DOCUMENTS[0], text="another text"), *DOCUMENTS[1:]]
    with pytest.raises(DataError, match=r"documents differ .*\(part 1, which begins with 'another text'\)"):
        index_documents(tmp_path / "i", None, changed, options=replace(options, resume=True))
    longer = LexicalConfig(expansion_model="letters", expansion_length=9)
    with pytest.raises(ConfigError, match="made with another expansion_length"):
        index_documents(tmp_path / "i", None, DOCUMENTS, options=replace(options, resume=True, lexical=longer))


def test_other_texts_settings_and_parts_are_refused(encoder: SparseEncoder, tmp_path: Path) -> None:
    index = tmp_path / "i"
    with pytest.raises(KeyboardInterrupt):
        index_documents(index, encoder, stopped(), options=BUILD)
    changed = [replace(DOCUMENTS[0], text="another text"), *DOCUMENTS[1:]]
    with pytest.raises(DataError, match=r"\.i\.parts: documents differ .*\(part 1, which begins with 'd0'\)"):
        index_documents(index, encoder, changed, options=AGAIN)
    with pytest.raises(ConfigError, match="made with another max_active_dims; resume with the same"):
        index_documents(index, encoder, DOCUMENTS, options=replace(AGAIN, max_active_dims=3))
    (parts_folder(index) / "encoding.json").write_text("[]")
    with pytest.raises(ConfigError, match="cannot tell what its parts are"):
        index_documents(index, encoder, DOCUMENTS, options=AGAIN)
    assert len(index_documents(index, encoder, changed, options=BUILD).index) == len(DOCUMENTS)
    assert not parts_folder(index).exists()


def test_a_full_disk_says_where_and_keeps_what_is_done(
    encoder: SparseEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, write = tmp_path / "i", kept_parts.write_vectors

    def full(path: Path, *given: object) -> object:
        if "part-000002" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(kept_parts, "write_vectors", full)
    with pytest.raises(SparseIRError, match=r"\.i\.parts: cannot keep encoded documents \(No space left on device\)"):
        index_documents(index, encoder, DOCUMENTS, options=BUILD)
    assert not list(index.glob("*.seg"))
    monkeypatch.undo()
    assert index_documents(index, encoder, DOCUMENTS, options=AGAIN).index.notes[0].startswith("8 documents")


def test_without_a_model_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        index_documents(tmp_path / "i", None, stopped(), options=BUILD)
    assert not parts_folder(tmp_path / "i").exists()
    assert len(index_documents(tmp_path / "i", None, DOCUMENTS, options=AGAIN).index) == len(DOCUMENTS)


def test_a_full_disk_under_the_words_of_a_build_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseir.encode.words import stream as lexical

    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lexical.pickle, "dump", full)
    with pytest.raises(SparseIRError, match=r"cannot hold 15 documents .*\(No space left on device\); make room there"):
        index_documents(tmp_path / "i", None, DOCUMENTS[:15])
    assert not list(tmp_path.glob("i/*.seg"))
    assert not list(tmp_path.glob(".i.*"))
