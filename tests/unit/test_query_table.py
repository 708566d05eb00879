from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer, Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer, Whitespace

from sparseir.errors import DataError
from sparseir.models.query_table import QueryTable, idf_weights

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "what", "is", "the", "weather", "##s"]


def make_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordPiece({t: i for i, t in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]"])
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=4)
    return tokenizer


@pytest.fixture
def table() -> QueryTable:
    return QueryTable(make_tokenizer(), np.arange(8, dtype=np.float32))


def test_presence_not_counts_and_nothing_cut(table):
    terms, weights = table.encode("What the the WEATHERS is")
    assert terms.tolist() == [3, 4, 5, 6, 7]
    assert weights.tolist() == [3, 4, 5, 6, 7]


def test_an_iterator_of_texts_is_read_once(table):
    texts = ["the weather", "is"]
    rows, wanted = table.encode_batch(iter(texts)), table.encode_batch(texts)
    assert len(rows) == 2
    assert rows.term_ids.tolist() == wanted.term_ids.tolist()


def test_specials_and_unknown_words_weigh_nothing(table):
    assert table.weights[:3].tolist() == [0, 0, 0]
    terms, _ = table.encode("unheard of")
    assert len(terms) == 0


def test_batch_equals_single_and_keeps_empty_rows(table):
    batch = table.encode_batch(["the weather", "", "zzz", "what"])
    assert len(batch) == 4
    for i, text in enumerate(["the weather", "", "zzz", "what"]):
        for got, want in zip(batch.row(i), table.encode(text), strict=True):
            np.testing.assert_array_equal(got, want)


def test_save_and_load_give_the_same_table(table, tmp_path):
    table.save(tmp_path / "query")
    again = QueryTable.load(tmp_path / "query")
    assert again.fingerprint == table.fingerprint
    np.testing.assert_array_equal(again.weights, table.weights)


def test_a_changed_weight_is_noticed(table, tmp_path):
    table.save(tmp_path / "a")
    QueryTable(make_tokenizer(), np.ones(8, np.float32)).save(tmp_path / "b")
    (tmp_path / "a" / "query_weights.safetensors").write_bytes(
        (tmp_path / "b" / "query_weights.safetensors").read_bytes()
    )
    with pytest.raises(DataError, match="changed since it was written"):
        QueryTable.load(tmp_path / "a")


@pytest.mark.parametrize("name", ["tokenizer.json", "query_weights.safetensors", "query.json"])
def test_missing_and_damaged_files_are_named(table, tmp_path, name):
    table.save(tmp_path)
    (tmp_path / name).write_bytes(b"{broken")
    with pytest.raises(DataError):
        QueryTable.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=name):
        QueryTable.load(tmp_path)


def test_weights_must_cover_the_vocabulary():
    with pytest.raises(DataError, match="do not cover"):
        QueryTable(make_tokenizer(), np.ones(3, np.float32))


def test_idf_reference_values():
    """Lucene's idf at N = 8,841,823: df 1 → 15.589538, 2 → 15.078713, 3 → 14.742241, 4 → 14.490926; unseen → 1."""
    idf = idf_weights(np.array([0, 1, 2, 3, 4]), 8841823)
    np.testing.assert_allclose(idf, [1.0, 15.589538, 15.078713, 14.742241, 14.490926], rtol=2e-7)


def test_the_published_example_query():
    """ "What's the weather in ny now?" with the published idf: each token once, weighed by its idf, largest first."""
    published = {
        "ny": 5.77286, "weather": 4.56842, "now": 3.58955, "?": 3.33125, "what": 2.76988, "'": 1.57507, "s": 1.42726,
        "in": 0.49893, "the": 0.13530,
    }  # fmt: skip
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *published, "cat"]
    tokenizer = Tokenizer(WordPiece({t: i for i, t in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(names[:4])
    weights = np.array([9.0] * 4 + [*published.values(), 7.0], np.float32)
    table = QueryTable(tokenizer, weights)
    terms, values = table.encode("What's the weather in ny now?")
    ranked = sorted(zip(terms.tolist(), values.tolist(), strict=True), key=lambda pair: -pair[1])
    assert [names[t] for t, _ in ranked] == list(published)
    np.testing.assert_allclose([w for _, w in ranked], list(published.values()), rtol=1e-6)


@pytest.mark.parametrize(("text", "message"), [(None, "NoneType; expected text"), ("a\ud800", "half a character")])
def test_what_is_no_text_is_named(table, text, message):
    with pytest.raises(DataError, match=f"query 0 .*{message}"):
        table.encode(text)
    with pytest.raises(DataError, match=f"query 1 .*{message}"):
        table.encode_batch(["a", text])


def test_a_tokenizer_whose_ids_lie_beyond_the_weights_is_named():
    from tokenizers import Tokenizer, models

    table = QueryTable(Tokenizer(models.WordLevel({"?": 0, "a": 900}, unk_token="?")), np.ones(2, np.float32))
    with pytest.raises(DataError, match="term id 900; query weights end at 1"):
        table.encode("a")
