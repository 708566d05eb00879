"""The model card: what a trained folder says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sparseir.config.loader import to_yaml
from sparseir.config.recipe import Recipe


def write_card(folder: Path, recipe: Recipe, *, num_terms: int, figures: Mapping[str, float]) -> None:
    """Write README.md with the model's kind, data, figures and the recipe that repeats it."""
    sources = [", ".join(Path(name).stem for name in recipe.data.datasets)] if recipe.data.datasets else []
    if recipe.data.vectors:
        sources.append("teacher vectors " + ", ".join(Path(name).name for name in recipe.data.vectors))
    if recipe.data.prepared is not None:
        sources.append(f"prepared folder {Path(recipe.data.prepared).name}")
    data = "; ".join(sources) or "triples"
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in figures.items())
    terms = recipe.data.terms_of_use or (
        "The terms of use of the base weights, the texts and the teachers hold for these weights as well."
    )
    text = f"""---
library_name: sentence-transformers
pipeline_tag: feature-extraction
tags: [sparse-encoder, learned-sparse-retrieval, {recipe.model.kind}]
base_model: {Path(recipe.model.base).name}
---

# Sparse encoder: {recipe.model.kind}

Maps a text to weights over {num_terms:,} terms; the score of a document for a query is the inner product of their
vectors. Trained with sparseir from {Path(recipe.model.base).name} on: {data}.

{terms}

| figure | value |
|---|---|
{rows}

Active dims and losses are those of the last training batch; dev figures are of the best evaluation; document_terms, where
there was a target for them, are those of training documents as they are encoded.

## Use

    from sparseir import SparseEncoder
    encoder = SparseEncoder.load("{folder.name}")
    vectors = encoder.encode_documents(["a text"])

## Recipe

```yaml
{to_yaml(recipe).strip()}
```
"""
    (folder / "README.md").write_text(text, encoding="utf-8")
