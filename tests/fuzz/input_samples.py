"""Small valid inputs of every reader, as files by name, and how each is read."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from indexer import Documents, IndexConfig, SparseVectors, build_index, open_index
from indexer.interchange import Vocabulary, open_vectors, write_vectors
from indexer.interchange.sources import open_vectors_of
from indexer.interchange.vocabulary_files import AfterTokenizer
from sparseir.config.recipe import load_recipe
from sparseir.config.recipes import recipe_path
from sparseir.data import read_qrels, read_queries
from sparseir.data.dataset import open_dataset
from sparseir.data.pairs import read_scores, read_text_vectors, read_triples
from sparseir.models.query_table import QueryTable
from sparseir.search.approximate import GIVEN, ApproximateConfig
from sparseir.search.calibration.calibration import Calibration
from sparseir.search.calibration.file import CalibrationFile
from sparseir.search.cpu import Knobs
from sparseir.search.searcher import Searcher
from tests.tiny_collections import write_collection, write_scores, write_triples
from tests.tiny_collections import write_vectors as write_text_vectors


@dataclass
class Sample:
    """Files by name, those that are mutated among them, and the reader, which takes the folder they lie in."""

    name: str
    files: dict[str, bytes]
    read: Callable[[Path], Any]
    mutable: Sequence[str] = ()
    folders: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        self.mutable = self.mutable or list(self.files)

    def write(self, place: Path, changes: dict[str, bytes]) -> None:
        """Make the folder, with other contents for some files."""
        for name, content in (self.files | changes).items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def zip_of(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def samples(folder: Path) -> list[Sample]:
    """Everything that is read without torch."""
    return [
        *_collections(folder),
        *_vectors(folder / "vectors"),
        *_vocabularies(folder / "vocabularies"),
        *_beside_an_index(folder / "search"),
        Sample("recipe", {"r.yaml": recipe_path("demo").read_bytes()}, lambda f: load_recipe(str(f / "r.yaml"))),
    ]


def read_dataset(path: Path) -> None:
    dataset = open_dataset(path)
    docnos = {document.docno for document in dataset.corpus()}
    if dataset.queries_source is not None:
        dataset.queries()
    for split in dataset.splits:
        dataset.queries(split)
        dataset.qrels(split, docnos=docnos)


def _collections(folder: Path) -> list[Sample]:
    beir = files_of(write_collection(folder / "beir"))
    beir["corpus.jsonl"] += '{"_id": 9, "text": "čau", "year": 2000, "tags": ["x", {"y": 1.5}]}\n'.encode()
    packed = zip_of({f"tiny/{name}": content for name, content in beir.items()})
    tsv = b"q0\tcats running\nq1\tweather\n"
    trec = b"q0 0 d0 1\nq1 0 d1 0\nq1 0 d2 -1\n"
    scores, triples = write_scores(folder / "s.jsonl"), write_triples(folder / "t.jsonl")
    vectors = write_text_vectors(folder / "v.jsonl")
    return [
        Sample("collection", beir, read_dataset),
        Sample("collection zip", {"c.zip": packed}, lambda f: read_dataset(f / "c.zip")),
        Sample(
            "corpus gz",
            {"corpus.jsonl.gz": gzip.compress(beir["corpus.jsonl"])},
            lambda f: read_dataset(f / "corpus.jsonl.gz"),
        ),
        *_corpora(),
        Sample("queries tsv", {"q.tsv": tsv}, lambda f: read_queries(f / "q.tsv")),
        Sample("qrels trec", {"q.txt": trec}, lambda f: read_qrels(f / "q.txt")),
        Sample("scores", {"s.jsonl": scores.read_bytes()}, lambda f: read_scores(f / "s.jsonl")),
        Sample("triples", {"t.jsonl": triples.read_bytes()}, lambda f: list(read_triples(f / "t.jsonl"))),
        Sample("text vectors", {"v.jsonl": vectors.read_bytes()}, lambda f: list(read_text_vectors(f / "v.jsonl"))),
    ]


def _corpora() -> list[Sample]:
    """Other forms of a corpus, one file or folder each."""
    files = {
        "csv": {"c.csv": b'id,title,text,year\na,Tea,"hot, ""leaf""",1999\nb,,"falls\noften",2e3\n'},
        "tsv": {"c.tsv": b"id\ttext\tn\na\tx\t1\nb\ty\t\n"},
        "msmarco": {"c.tsv": b"0\tone\n1\ttwo\n"},
        "json array": {"c.json": b'[{"id": "a", "contents": "x"},\n {"id": 2, "contents": "y", "n": [1.5]}]'},
        "texts": {
            "a.md": b"intro\n\nTitle\n=====\nbody\n```\n# code\n```\n",
            "deep/b.html": b'<meta charset="latin-1"><title>T</title><h1>H</h1><p>a &amp; b<script>x</script>',
            "c.txt": "\u00e9t\u00e9".encode(),
        },
    }
    out = []
    for name, content in files.items():
        only = next(iter(content)) if len(content) == 1 else ""
        out.append(Sample(f"corpus {name}", content, lambda f, only=only: open_dataset(f / only).corpus().check()))
    return out


def some_documents() -> Documents:
    rng = np.random.default_rng(1)
    rows = [{int(t): float(rng.integers(1, 9)) for t in rng.choice(9, rng.integers(0, 6), False)} for _ in range(40)]
    return Documents(SparseVectors.from_rows(rows, 9), [f"d{i}" for i in range(40)])


def read_vectors(path: Path) -> None:
    source = open_vectors(path)
    for batch in source:
        assert len(batch) >= 0
    assert source.num_terms > 0


def _vectors(folder: Path) -> list[Sample]:
    folder.mkdir()
    documents, terms = some_documents(), Vocabulary.fixed([f"t{i}" for i in range(9)])
    out = []
    for name in ("v.jsonl", "v.jsonl.gz", "v.npz", "v.csr", "v.ciff", "v.ciff.gz"):
        home = folder / name
        home.mkdir()
        if name == "v.ciff.gz":
            files = {name: gzip.compress((folder / "v.ciff" / "v.ciff").read_bytes())}
        else:
            write_vectors(home / name, documents, vocabulary=terms)
            files = files_of(home)
        out.append(Sample(f"vectors {name}", files, lambda f, name=name: read_vectors(f / name)))
    known = Vocabulary.fixed([f"t{i}" for i in range(9)])
    out.append(
        Sample(
            "vectors of a vocabulary",
            files_of(folder / "v.csr"),
            lambda f: list(open_vectors_of(f / "v.csr", lambda: known)),
        )
    )
    return out


def small_tokenizer() -> Tokenizer:
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "a", "b", "ç", "##d"])}
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[a-z]+|ç"), "isolated")
    tokenizer.add_special_tokens(["[PAD]", "[UNK]"])
    return tokenizer


def _vocabularies(folder: Path) -> list[Sample]:
    folder.mkdir()
    words = ["[PAD]", "a", "b", "ç"]
    contents = {
        "terms.jsonl": "".join(json.dumps(w) + "\n" for w in words).encode(),
        "vocab.txt": "\n".join(words).encode(),
        "vocab.json": json.dumps({w: i for i, w in enumerate(words)}).encode(),
        "tokenizer.json": small_tokenizer().to_str().encode(),
    }
    QueryTable(small_tokenizer(), np.array([0, 0, 1, 2, 3, 0.5], np.float32)).save(folder / "table")

    def read_table(place: Path) -> None:
        table = QueryTable.load(place)
        table.encode("a b ç")
        table.encode_batch(["a", "b d"])

    after = AfterTokenizer(6, "stem:").line + b'"cat"\n"d\xc3\xb6g"\n'
    return [
        Sample("query table", files_of(folder / "table"), read_table),
        Sample(
            "vocabulary after a tokenizer's",
            {"terms.jsonl": after, "tokenizer.json": contents["tokenizer.json"]},
            Vocabulary.load,
        ),
        *(
            Sample(f"vocabulary {name}", {name: content}, lambda f, name=name: Vocabulary.load(f / name))
            for name, content in contents.items()
        ),
    ]


def _beside_an_index(folder: Path) -> list[Sample]:
    folder.mkdir()
    fields = [{"year": i, "lang": "en" if i % 2 else "de", "price": i / 2, "new": i % 3 == 0} for i in range(40)]
    config = IndexConfig(metadata=("year", "lang", "price", "new"))
    given = some_documents()
    index = build_index(folder / "index", Documents(given.vectors, given.docnos, fields), config=config)
    kept = CalibrationFile(index)
    for knobs in (None, Knobs(bound_factor=1.2, bound_mass=0.7)):
        kept.put(
            Calibration(
                target=0.95, k=5, knobs=knobs, recall=1.0, recall_bound=0.99, num_queries=10, num_tuned=5,
                source=GIVEN, time_ratio=0.5,
            ),
            0,
        )  # fmt: skip
    files = files_of(folder)
    query = np.array([1, 2], np.uint32), np.ones(2, np.float32)

    def calibrated(place: Path) -> None:
        opened = open_index(place / "index")
        if (
            CalibrationFile(opened, write=False).get(0.95, 5, 0, GIVEN) is not None
        ):  # without one, a search calibrates for a second
            Searcher.open(place / "index", engine=ApproximateConfig(recall_target=0.95)).search_terms(*query, 5)

    searcher = Searcher.open(folder / "index")

    def filtered(place: Path) -> None:
        text = (place / "filter").read_bytes().decode("utf-8", "surrogateescape")
        try:
            searcher.search_terms(*query, 5, filter=text)
        except Exception as error:
            if type(error).__name__ == "DataError":  # a filter is no file: its text is the place
                raise type(error)(f"{place.name}: {error}".encode(errors="replace").decode()) from None
            raise

    expression = b'lang=en and year>=20 and price in (1.5, 2, "3") and new=true'
    return [
        Sample("calibrations", files, calibrated, ["index.calibrations.json"]),
        Sample("filter", {"filter": expression}, filtered),
    ]


def model_samples(folder: Path) -> list[Sample]:
    """Model folders of every layout, what a run keeps, and parts of an encoded collection."""
    import torch

    from sparseir.config.model import ModelConfig
    from sparseir.models import SparseEncoder
    from sparseir.train.loop.checkpoint import load_state, save_state
    from sparseir.train.loop.folder import _check_position
    from sparseir.train.material.teachers import _read_cache
    from tests.tiny_models import save_masked_lm

    base = save_masked_lm(folder / "base")
    out = [Sample("model plain", files_of(base), lambda f: _encode(SparseEncoder.load(f, device="cpu")))]
    for kind in ("splade", "inference_free", "unicoil", "deepimpact", "csr"):
        config = ModelConfig(kind=kind, base=str(base), max_document_length=32, csr_k=4)  # type: ignore[arg-type]
        encoder = SparseEncoder.from_config(config, device="cpu")
        encoder.save(folder / kind)
        files = {name: content for name, content in files_of(folder / kind).items() if not name.endswith(".md")}
        out.append(Sample(f"model {kind}", files, lambda f: _encode(SparseEncoder.load(f, device="cpu"))))
    foreign = {name: body for name, body in files_of(folder / "inference_free").items() if name != "sparseir.json"}
    out.append(Sample("model of others", foreign, lambda f: _encode(SparseEncoder.load(f, device="cpu"))))
    save_state(folder / "s.safetensors", {"a": torch.ones(3), "b": [1, None, (2.5, "x")], 3: {"c": torch.zeros(2, 2)}})
    state = {"s.safetensors": (folder / "s.safetensors").read_bytes()}
    out.append(Sample("checkpoint", state, lambda f: load_state(f / "s.safetensors")))
    position = (
        b'{"global_step": 2, "stateful_callbacks": {"TrainerControl": {"args": {}, "attributes": {}}}, "max_steps": 4}'
    )
    out.append(
        Sample("position", {"trainer_state.json": position}, lambda f: _check_position(f / "trainer_state.json", 2))
    )
    cache = b'{"key": "ab", "score": 1.5}\n{"key": "cd", "score": -2}\n'
    out.append(Sample("teacher cache", {"c.jsonl": cache}, lambda f: _read_cache(f / "c.jsonl")))
    return out


def _encode(encoder: Any) -> None:
    encoder.encode_documents(["the cats and dogs", ""])
    encoder.encode_queries(["heat of a wing"])
