"""Retrievers and embedders for LangChain, LlamaIndex and Haystack, in the frameworks' own machinery."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparseir import Feedback, Index, Searcher
from sparseir.errors import ConfigError
from tests.tiny_models import TEXTS, save_masked_lm

pytestmark = pytest.mark.filterwarnings("ignore")  # the frameworks' own
ROOT = Path(__file__).parents[2]
ALLOWED = ["sparseir.integrations.haystack"]
QUERY = "cats in the park"
NEEDED = {
    "langchain": ("langchain_core", "langchain-core", "langchain"),
    "langchain_vectors": ("langchain_qdrant", "langchain-qdrant", "langchain-qdrant"),
    "llama_index": ("llama_index.core", "llama-index-core", "llama-index"),
    "haystack": ("haystack", "haystack-ai", "haystack"),
}


def ours(name: str) -> Any:
    """A module of the room; the test skips where its framework is absent."""
    package, _, extra = NEEDED[name]
    pytest.importorskip(package, reason=f"the extra {extra!r} is not installed")
    return importlib.import_module(f"sparseir.integrations.{name}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("i") / "index"
    documents = [
        {"_id": f"d{i}", "text": text, "title": f"title {i}", "year": 2000 + i}
        for i, text in enumerate(["the cats and dogs", "a park", "cats in a park", "weather", "dogs in the park"])
    ]
    Index.build(path, documents, metadata=["year"]).close()
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("transformers")
    from sparseir.config.model import ModelConfig
    from sparseir.models.encoder import SparseEncoder

    base = save_masked_lm(tmp_path_factory.mktemp("bert"))
    target = tmp_path_factory.mktemp("m") / "model"
    SparseEncoder.from_config(ModelConfig(base=str(base), kind="inference_free")).save(target)
    return target


def vectors(model: Path, texts: list[str], *, query: bool = False) -> list[dict[int, float]]:
    from sparseir.models.encoder import SparseEncoder

    encoder = SparseEncoder.load(model, device="cpu")
    rows = (encoder.encode_queries if query else encoder.encode_documents)(texts)
    return [dict(zip(*(a.tolist() for a in rows.row(i)), strict=True)) for i in range(len(texts))]


def wanted(folder: Path, k: int, condition: str | None = None, *, fed: int = 0) -> list[tuple[str, str, float]]:
    feedback = Feedback(documents=fed) if fed else None
    hits = Searcher.open(folder).search(QUERY, k, filter=condition, feedback=feedback)
    return [(h.docno, h.text, h.score) for h in hits]


OPENERS: list[Callable[[Path], Any]] = [str, Path, Searcher.open, Index.open]


@pytest.mark.parametrize("opened", OPENERS)
def test_langchain_retrieves(folder: Path, opened: Callable[[Path], Any]) -> None:
    from_index = ours("langchain").SparseIRRetriever
    found = from_index(index=opened(folder), k=3).invoke(QUERY)
    assert [(d.id, d.page_content, d.metadata["score"]) for d in found] == wanted(folder, 3)
    assert [(d.metadata["docno"], d.metadata["title"]) for d in found] == [(d.id, f"title {d.id[1]}") for d in found]
    filtered = from_index(index=opened(folder), k=3, filter="year>=2002")
    assert [(d.id, d.page_content, d.metadata["score"]) for d in asyncio.run(filtered.ainvoke(QUERY))] == wanted(
        folder, 3, "year>=2002"
    )
    assert len(filtered.batch([QUERY, "weather"])) == 2
    fed = from_index(index=opened(folder), k=3, feedback=2).invoke(QUERY)
    assert [(d.id, d.page_content, d.metadata["score"]) for d in fed] == wanted(folder, 3, fed=2) != wanted(folder, 3)


def test_langchain_composes(folder: Path) -> None:
    retriever = ours("langchain").SparseIRRetriever(index=folder, k=2)
    chain = retriever | (lambda documents: [d.id for d in documents])
    assert chain.invoke(QUERY) == [docno for docno, _, _ in wanted(folder, 2)]


def test_langchain_embeds(model: Path) -> None:
    embeddings = ours("langchain_vectors").SparseIREmbeddings(model, device="cpu")
    found = embeddings.embed_documents(TEXTS)
    assert [dict(zip(v.indices, v.values, strict=True)) for v in found] == vectors(model, TEXTS)
    query = asyncio.run(embeddings.aembed_query(QUERY))
    assert dict(zip(query.indices, query.values, strict=True)) == vectors(model, [QUERY], query=True)[0]


@pytest.mark.parametrize("opened", OPENERS)
def test_llama_index_retrieves(folder: Path, opened: Callable[[Path], Any]) -> None:
    module = ours("llama_index")
    retriever = module.SparseIRRetriever(opened(folder), k=3)
    for found in (retriever.retrieve(QUERY), asyncio.run(retriever.aretrieve(QUERY))):
        assert [(n.node.node_id, n.node.get_content(), n.score) for n in found] == wanted(folder, 3)
        assert all(n.node.metadata["title"] == f"title {n.node.node_id[1]}" for n in found)
    filtered = module.SparseIRRetriever(opened(folder), k=3, filter="year>=2002").retrieve(QUERY)
    assert [(n.node.node_id, n.node.get_content(), n.score) for n in filtered] == wanted(folder, 3, "year>=2002")
    fed = module.SparseIRRetriever(opened(folder), k=3, feedback=2).retrieve(QUERY)
    assert [(n.node.node_id, n.node.get_content(), n.score) for n in fed] == wanted(folder, 3, fed=2)


def test_llama_index_embeds(model: Path) -> None:
    embedding = ours("llama_index").SparseIREmbedding(model, device="cpu", embed_batch_size=2)
    assert embedding.get_text_embedding_batch(TEXTS) == vectors(model, TEXTS)
    assert asyncio.run(embedding.aget_text_embedding(TEXTS[0])) == vectors(model, TEXTS[:1])[0]
    expected = vectors(model, [QUERY], query=True)[0]
    assert embedding.get_query_embedding(QUERY) == asyncio.run(embedding.aget_query_embedding(QUERY)) == expected
    assert embedding.to_payload()["model_name"] == str(model)


def test_haystack_retrieves_in_a_pipeline_that_is_saved(folder: Path) -> None:
    module = ours("haystack")
    from haystack import Pipeline

    pipeline = Pipeline()
    pipeline.add_component("retriever", module.SparseIRRetriever(str(folder), top_k=3))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=ALLOWED)
    found = again.run({"retriever": {"query": QUERY}})["retriever"]["documents"]
    assert [(d.id, d.content, d.score) for d in found] == wanted(folder, 3)
    assert [d.meta["title"] for d in found] == [f"title {d.id[1]}" for d in found]
    asked = {"query": QUERY, "top_k": 1, "filter": "year>=2002"}
    found = again.run({"retriever": asked})["retriever"]["documents"]
    assert [(d.id, d.content, d.score) for d in found] == wanted(folder, 1, "year>=2002")


def test_haystack_with_feedback(folder: Path) -> None:
    found = ours("haystack").SparseIRRetriever(str(folder), top_k=3, feedback=2).run(QUERY)["documents"]
    assert [(d.id, d.content, d.score) for d in found] == wanted(folder, 3, fed=2)


def test_haystack_embeds(model: Path) -> None:
    module = ours("haystack")
    from haystack import Document, Pipeline

    pipeline = Pipeline()
    titled = module.SparseIRDocumentEmbedder(str(model), device="cpu", meta_fields_to_embed=["title"])
    pipeline.add_component("documents", titled)
    pipeline.add_component("query", module.SparseIRTextEmbedder(str(model), device="cpu"))
    given = [Document(content="cats", meta={"title": "the park"}), Document(content="weather")]
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=ALLOWED)
    found = again.run({"documents": {"documents": given}, "query": {"text": QUERY}})
    embedded = [d.sparse_embedding for d in found["documents"]["documents"]]
    assert [dict(zip(e.indices, e.values, strict=True)) for e in embedded] == vectors(
        model, ["the park cats", "weather"]
    )
    query = found["query"]["sparse_embedding"]
    assert dict(zip(query.indices, query.values, strict=True)) == vectors(model, [QUERY], query=True)[0]
    assert [d.sparse_embedding for d in given] == [None, None]


@pytest.mark.parametrize("name", NEEDED)
def test_without_the_framework_the_extra_is_named(name: str) -> None:
    module, package, extra = NEEDED[name]
    program = f"import sys; sys.modules[{module!r}] = None; import sparseir.integrations.{name}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    wanted = f"sparseir.integrations.{name} needs {package}, which is not installed; install it with: pip install 'sparseir[{extra}]'"
    assert wanted in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["langchain", "llama_index", "haystack"])
def test_feedback_out_of_range_is_said_where_the_retriever_is_made(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="feedback of 101 documents"):
        ours(name).SparseIRRetriever(index=str(folder), feedback=101)
