"""A regular expression of a tokenizer that gives up over a text panics in Rust, a BaseException: one of our errors, one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from sparseir.errors import DataError
from sparseir.models.panics import Tokenizing
from sparseir.models.query_table import QueryTable
from sparseir.serve.answering.terms import TextTerms

ASTRAY = "(a|a|aa)+$"
LONG = "a" * 40 + "b"


def refused_in_a_line(call: Callable[[], Any]) -> None:
    with pytest.raises(DataError, match=r"the tokenizer fails on .* 41 characters, 'aaa.*retry-limit") as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def table(**parts: Any) -> QueryTable:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "b": 1}, unk_token="[UNK]"))
    tokenizer.normalizer = parts.get("normalizer")
    tokenizer.pre_tokenizer = parts.get("pre_tokenizer", pre_tokenizers.Whitespace())
    return QueryTable(tokenizer, np.array([0, 1], np.float32))


@pytest.mark.parametrize(
    "parts",
    [
        {"normalizer": normalizers.Replace(Regex(ASTRAY), "x")},
        {"pre_tokenizer": pre_tokenizers.Split(Regex("(a+)+$"), "isolated")},
    ],
    ids=["normalizer", "pre-tokenizer"],
)
def test_a_query_table(parts: dict[str, Any], tmp_path: Path) -> None:
    table(**parts).save(tmp_path)
    loaded = QueryTable.load(tmp_path)
    refused_in_a_line(lambda: loaded.encode(LONG))
    refused_in_a_line(lambda: loaded.encode_batch(["b", LONG]))
    refused_in_a_line(lambda: TextTerms(loaded.tokenizer).of(LONG))
    refused_in_a_line(lambda: TextTerms(loaded.tokenizer).words(LONG))
    assert loaded.encode("b")[0].tolist() == [1]  # it goes on with other texts


def test_other_errors_pass() -> None:
    for error in (ValueError("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)), Tokenizing(["a"]):
            raise error


def go_astray(folder: Path) -> Path:
    path = folder / "tokenizer.json"
    kept = json.loads(path.read_bytes())
    kept["normalizer"] = {"type": "Replace", "pattern": {"Regex": ASTRAY}, "content": "x"}
    path.write_text(json.dumps(kept))
    return folder


@pytest.mark.parametrize("kind", ["splade", "inference_free", "deepimpact"])
def test_an_encoder(kind: Any, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from sparseir.config.model import ModelConfig
    from sparseir.data.passages import Windows
    from sparseir.data.records import Document
    from sparseir.encode.expansion import expand
    from sparseir.encode.windows import passages
    from sparseir.models import SparseEncoder
    from tests.tiny_models import save_masked_lm

    base = go_astray(save_masked_lm(tmp_path / "base"))
    encoder = SparseEncoder.from_config(ModelConfig(kind=kind, base=str(base), max_document_length=32), device="cpu")
    refused_in_a_line(lambda: encoder.encode_documents(["b", LONG]))
    refused_in_a_line(lambda: encoder.encode_queries([LONG]))
    refused_in_a_line(lambda: encoder.document_frequency([LONG]))
    refused_in_a_line(lambda: encoder.tokenizer.count_longer([LONG], 8))
    refused_in_a_line(lambda: list(passages(iter([Document("1", LONG)]), Windows(8, 4), encoder)))
    refused_in_a_line(lambda: expand(encoder, LONG))


def test_a_cross_encoder(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from sparseir.models.networks.cross_encoder import CrossEncoder
    from tests.tiny_models import save_cross_encoder

    cross = CrossEncoder(go_astray(save_cross_encoder(tmp_path / "cross")))
    refused_in_a_line(lambda: cross.scores([("b", LONG)]))
