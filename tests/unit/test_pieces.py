"""Word pieces that are remembered a word at a time are those of the tokenizer, or it is asked."""

from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparseir.errors import DataError
from sparseir.models import pieces
from sparseir.models.pieces import RememberedPieces
from sparseir.models.query_table import QueryTable

tokenizers = pytest.importorskip("tokenizers", reason="the extra 'index' is not installed")

VOCABULARY = [
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "un",
    "##able",
    "able",
    "a",
    "b",
    "##b",
    "5",
    "##5",
    "-",
    "_",
    "[",
    "]",
    "cafe",
]


def tokenizer(*, lowercase=True, splitter="BertPreTokenizer", added=("[CLS]", "[SEP]", "[MASK]")):
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            {t: i for i, t in enumerate(VOCABULARY)}, unk_token="[UNK]", max_input_chars_per_word=12
        )
    )
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = getattr(tokenizers.pre_tokenizers, splitter)()
    made.add_special_tokens(list(added))
    return made


TEXTS = st.one_of(
    st.text(st.sampled_from("unableAB5-_[] \t\n.$^`é\x00\x7fＡ中"), max_size=40),
    st.text(string.printable, max_size=40),
    st.lists(st.sampled_from([*VOCABULARY, "unable", "UNABLE", "ab5", "café", "a" * 13]), max_size=9).map(" ".join),
)


@settings(deadline=None, max_examples=400)
@given(st.lists(TEXTS, max_size=5), st.booleans())
@example(["a [MASK] b", "a[SEP]b", "[mask]"], True)
@example(["a_b-5", "a\tb", "a\x00b", "a\x7fb", "un" + "able" * 4], False)
def test_they_are_the_tokenizers(texts, lowercase):
    made = tokenizer(lowercase=lowercase)
    remembered = RememberedPieces.of(made)
    assert remembered is not None
    for text in [*texts, *texts]:
        want = set(made.encode(text, add_special_tokens=False).ids)
        found = remembered.ids(text)
        assert found is None or found == want
        if text.isascii() and text.isprintable() and "[" not in text:
            assert found == want


@settings(deadline=None, max_examples=100)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_one_query_is_what_a_batch_makes_of_it(texts):
    table = QueryTable(tokenizer(), np.linspace(0.1, 2, len(VOCABULARY)).astype(np.float32))
    rows = table.encode_batch(texts)
    for i, text in enumerate(texts):
        for one, other in zip(table.encode(text), rows.row(i), strict=True):
            assert one.dtype == other.dtype
            assert (one == other).all()


@pytest.mark.parametrize("splitter", ["Whitespace", "ByteLevel"])
def test_other_tokenizers_read_their_texts_themselves(splitter):
    assert RememberedPieces.of(tokenizer(splitter=splitter)) is None


@pytest.mark.parametrize("token", ["unable", "bé", "a b", "\t", "\nb", "-b"])
@pytest.mark.parametrize("normalized", [True, False])
def test_a_token_that_could_be_part_of_any_text_is_left_to_the_tokenizer(token, normalized):
    made = tokenizer()
    made.add_tokens([tokenizers.AddedToken(token, normalized=normalized)])
    found = RememberedPieces.of(made)
    for text in ("unable", "a b", "be unable", "a-b", " b a"):
        ids = None if found is None else found.ids(text)
        assert ids is None or ids == set(made.encode(text, add_special_tokens=False).ids)


def test_memory_has_an_end(monkeypatch):
    monkeypatch.setattr(pieces, "_MOST_WORDS", 3)
    made = tokenizer()
    remembered = RememberedPieces.of(made)
    for text in ("a b un able", "5 a b", "unable"):
        assert remembered.ids(text) == set(made.encode(text, add_special_tokens=False).ids)
        assert len(remembered._pieces) <= 3
    long = "b" * 65
    assert remembered.ids(long) == set(made.encode(long, add_special_tokens=False).ids)
    assert long not in remembered._pieces


@pytest.mark.parametrize("query", [("a", "b"), ["a", "b"], 5, None])
def test_a_pair_is_no_query(query):
    table = QueryTable(tokenizer(), np.ones(len(VOCABULARY), np.float32))
    with pytest.raises(DataError, match="expected text"):
        table.encode(query)
    with pytest.raises(DataError, match="query 1 is"):
        table.encode_batch(["a", query])
