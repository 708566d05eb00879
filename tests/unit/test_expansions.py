"""doc2query: text beside a document that uniCOIL and DeepImpact read, and nothing shows as the document's."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from indexer import open_index  # noqa: E402
from indexer.interchange.sources import open_vectors  # noqa: E402
from indexer.progress import silent  # noqa: E402
from sparseir.cli.app import run_command  # noqa: E402
from sparseir.config.data import DataConfig  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.config.recipe import load_recipe  # noqa: E402
from sparseir.data import open_dataset  # noqa: E402
from sparseir.data.expansions import Expansions  # noqa: E402
from sparseir.data.lines import LineSource  # noqa: E402
from sparseir.data.records import Document  # noqa: E402
from sparseir.errors import ConfigError, DataError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.parts import EncoderParts  # noqa: E402
from sparseir.train import train  # noqa: E402
from sparseir.train.material.collection import TrainingSet  # noqa: E402
from sparseir.train.material.words import encoder_of_words  # noqa: E402
from sparseir.train.tasks.ranking import build as build_ranking  # noqa: E402
from tests.tiny_collections import DOCUMENTS, write_collection, write_jsonl  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("base"))


def test_only_new_words_are_read_each_once() -> None:
    """Title and text come first; words are told apart without case."""
    document = Document("d", "heat of a Wing", title="Flow", expansion="what is heat? What causes wing FLOW what")
    assert document.content == "Flow heat of a Wing"
    assert document.expanded == "Flow heat of a Wing what is causes"
    assert replace(document, expansion="the wing heat").expanded == "Flow heat of a Wing the"
    assert replace(document, expansion="wing").expanded == replace(document, expansion="").expanded == document.content
    assert document.expanded_after(" [SEP] ") == "Flow heat of a Wing [SEP] what is causes"
    assert replace(document, expansion="wing").expanded_after(" [SEP] ") == document.content


def test_the_separator_is_the_authors(base: Path) -> None:
    """[CLS] text [SEP] new words [SEP], as UniCoilDocumentEncoder of pyserini puts them together; neither [SEP] weighs anything.
    Models made before the setting was there read a space, and keep their fingerprints."""
    document = Document("d", "cats running", expansion="park cats dose")
    for kind in ("unicoil", "deepimpact"):
        plain, separated = (encoder_of(base, kind, expansion_separator=on) for on in (False, True))
        assert plain.text_of(document) == "cats running park dose"
        assert separated.text_of(document) == "cats running [SEP] park dose"
        tokens = separated.tokenizer.tokenizer.convert_ids_to_tokens(
            separated.tokenize_documents([separated.text_of(document)])["input_ids"][0].tolist()
        )
        assert tokens == ["[CLS]", "cats", "running", "[SEP]", "park", "dose", "[SEP]"]
        names = separated.terms()
        terms, weights = separated.encode_documents([separated.text_of(document)]).row(0)
        assert {names[term] for term in terms} == {"cats", "running", "park", "dose"}
        assert not np.allclose(
            weights, plain.encode_documents([plain.text_of(document)]).row(0)[1]
        )  # seen by the network
        assert "expansion_separator" not in plain.config.identity()
        assert separated.fingerprint != plain.fingerprint
    with pytest.raises(ConfigError, match="expansion_separator: belongs to unicoil and deepimpact, not to splade"):
        ModelConfig(kind="splade", expansion_separator=True)
    without = encoder_of(base, "unicoil")
    without.tokenizer.tokenizer.sep_token = None
    with pytest.raises(ConfigError, match="has no separator token; set it to false"):
        EncoderParts(
            replace(without.config, expansion_separator=True),
            without.tokenizer,
            without.document_tower,
            without.query_tower,
        )


@pytest.mark.parametrize("form", ["json", "packed", "columns", "docid"])
def test_files_that_people_publish(form: str, tmp_path: Path) -> None:
    rows = [{"id": "d1", "predicted_queries": ["what is weather", "park now"]}, {"id": 2, "predicted_queries": []}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path = tmp_path / "e.jsonl"
    if form == "packed":
        path = tmp_path / "e.jsonl.gz"
        path.write_bytes(gzip.compress(text.encode()))
    elif form == "columns":  # a line a query, those of one document together
        path.write_text("d1\twhat is weather\nd1\tpark now\n2\t\n")
    elif form == "docid":
        path.write_text('{"docid": "d1", "expansion": "what is weather park now"}\n{"docid": "2", "expansion": ""}\n')
    else:
        path.write_text(text)
    given = [Document("d1", "rain"), Document("2", "x"), Document("d3", "y")]
    found = list(Expansions(LineSource(path)).added(given))
    assert [d.expansion for d in found] == ["what is weather park now", "", ""]
    assert [d.content for d in found] == [d.content for d in given]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no expansions"),
        ('{"id": "d1"}\n', ':1: expected a name under "id"'),
        ('{"id": "d1", "expansion": "a"}\n{"id": "d2", "expansion": 3}\n', ":2: expected a name"),
        ('{"id": "", "expansion": "a"}\n', ":1: expected a name"),
        ('{"id": "d1", "expansion": "a"}\n{"id": "d1", "expansion": "b"}\n', "d1"),
        ("what is weather\n", ":1: expected docno<TAB>text"),
        ("d1\ta\nd2\tb\nd1\tc\n", "d1"),
        ("d8\ta\nd9\tb\n", "expansions of none of the 1 documents; its names are to be theirs, 'd8' first"),
        ('{"id": "d1", "expansion": ', ":1: not valid JSON"),
    ],
)
def test_faults_are_said_with_their_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text(text)
    with pytest.raises(DataError, match=said):
        list(Expansions(LineSource(tmp_path / "e.jsonl")).added([Document("d1", "rain")]))


def test_a_corpus_brings_its_own(tmp_path: Path) -> None:
    """As a key of its rows, which stays a field of its own; in expansions.jsonl beside it; or in a file that is named."""
    rows = [
        {"_id": "a", "text": "cats", "expansion": "dogs"},
        {"_id": "b", "text": "wing", "predicted_queries": ["heat", "flow"]},
    ]
    write_jsonl(tmp_path / "corpus.jsonl", [*rows, {"_id": "c", "text": "x", "expansion": 7}])
    found = list(open_dataset(tmp_path).corpus())
    assert [(d.expansion, d.content) for d in found] == [("dogs", "cats"), ("heat flow", "wing"), ("", "x")]
    assert found[0].fields == {"expansion": "dogs"}
    write_jsonl(tmp_path / "expansions.jsonl", [{"id": "a", "predicted_queries": ["pressure"]}])
    assert [d.expansion for d in open_dataset(tmp_path).corpus()] == ["pressure", "heat flow", ""]
    (tmp_path / "other.tsv").write_text("b\tshock\n")
    assert [d.expansion for d in open_dataset(tmp_path, expansions=tmp_path / "other.tsv").corpus()] == [
        "dogs", "shock", "",
    ]  # fmt: skip


def encoder_of(base: Path, kind: str, **settings: bool) -> SparseEncoder:
    torch.manual_seed(0)
    return SparseEncoder.from_config(ModelConfig(base=str(base), kind=kind, max_document_length=32, **settings))


def test_expansions_are_indexed_and_not_shown(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Words of the expansion find the document; its stored text is its own."""
    collection = write_collection(tmp_path / "c")
    (tmp_path / "e.tsv").write_text("d0\tvaccine dose\n")
    for kind in ("unicoil", "deepimpact", "splade"):
        encoder_of(base, kind).save(tmp_path / kind)
    encoder = SparseEncoder.load(tmp_path / "unicoil", device="cpu")
    document = next(iter(open_dataset(collection, expansions=tmp_path / "e.tsv").corpus()))
    wanted = encoder.encode_documents([f"{document.content} vaccine dose"]).row(0)
    command = ["--corpus", str(collection), "--expansions", str(tmp_path / "e.tsv"), "--quiet"]
    for kind in ("unicoil", "deepimpact"):
        index = tmp_path / f"index-{kind}"
        assert run_command(["index", "build", str(index), "--model", str(tmp_path / kind), *command]) == 0
        capsys.readouterr()
        model = ["--model", str(tmp_path / kind)] if kind == "unicoil" else []
        assert run_command(["search", str(index), "vaccine", "--json", *model]) == 0
        assert "d0" in {json.loads(line)["docno"] for line in capsys.readouterr().out.splitlines()}
        opened = open_index(index)
        assert opened.fields(opened.ordinals(["d0"]))[0] == {"title": "the", "text": DOCUMENTS[0]}
    given = [str(tmp_path / "unicoil"), str(collection), "--expansions", str(tmp_path / "e.tsv")]
    assert run_command(["encode", *given, "--output", str(tmp_path / "v.npz")]) == 0
    (batch,) = open_vectors(tmp_path / "v.npz", num_terms=encoder.num_terms)
    assert batch.vectors.row(0)[0].tolist() == wanted[0].tolist()
    np.testing.assert_allclose(batch.vectors.row(0)[1], wanted[1], rtol=2e-2)
    with pytest.raises(ConfigError, match="a splade encoder reads no expansions; unicoil and deepimpact do"):
        run_command(["index", "build", str(tmp_path / "no"), "--model", str(tmp_path / "splade"), *command])
    assert run_command(["index", "build", str(tmp_path / "no"), "--bm25", *command]) == 2


def test_expansions_are_learnt_from(base: Path, tmp_path: Path) -> None:
    collection = write_collection(tmp_path / "c")
    (tmp_path / "e.tsv").write_text("d0\tzeppelin cats\nd1\tquokka\n")
    data = DataConfig(dataset=str(collection), expansions=str(tmp_path / "e.tsv"))
    plain, expanded = (TrainingSet.read(data, expanded=expanded).texts for expanded in (False, True))
    assert expanded[:2] == [f"{plain[0]} zeppelin", f"{plain[1]} quokka"]
    assert expanded[2:] == plain[2:]
    separated = TrainingSet.read(data, expanded=True, separator=" [SEP] ")
    assert list(separated.texts) == expanded  # what BM25 and teachers read
    assert separated.encoded[:2] == [f"{plain[0]} [SEP] zeppelin", f"{plain[1]} [SEP] quokka"]
    assert separated.encoded[2:] == plain[2:]
    asked = TrainingSet.read(replace(data, title_queries=1.0), expanded=True)
    assert asked.title_queries[0].text == "the"
    assert asked.texts[0] == f"{DOCUMENTS[0]} zeppelin"
    values = {
        "model.base": str(base), "data.dataset": str(collection), "data.expansions": str(tmp_path / "e.tsv"),
        "model.max_document_length": 32, "data.max_document_length": 32, "train.steps": 1, "train.batch_size": 2,
        "train.device": "cpu",
    }  # fmt: skip
    overrides = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    words = encoder_of_words(load_recipe(CONFIGS / "deepimpact.yaml", overrides)).terms()
    assert {"zeppelin", "quokka"} < set(words)
    recipe = load_recipe(
        CONFIGS / "unicoil.yaml", [*overrides, "data.num_negatives=1", "data.negatives=[]", "train.steps=20"]
    )
    _, batches = build_ranking(recipe, SparseEncoder.from_config(recipe.model), silent)
    read = {text for number in range(len(batches)) for text in batches[number].documents}
    assert read == {*separated.encoded}
    with pytest.raises(ConfigError, match=r"data\.expansions: read by unicoil and deepimpact, not by splade"):
        train(load_recipe(CONFIGS / "splade_max.yaml", overrides), tmp_path / "splade")
