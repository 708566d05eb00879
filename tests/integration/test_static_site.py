"""A static site: its own JavaScript, under node, ranks as the index does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import Stemmer
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from indexer import IndexConfig, SparseVectors, build_index, delete_documents
from sparseir import Index, Searcher, cli
from sparseir.data.dataset import open_dataset
from sparseir.errors import ConfigError
from sparseir.models.query_table import QueryTable
from sparseir.static.vocabulary import packed
from tests.served import build as build_served
from tests.static_site import NODE, ask

SCIFACT = Path(__file__).parents[3] / "shared" / "data" / "scifact.zip"
PAGE = Path(__file__).parents[2] / "sparseir" / "static" / "page"
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")
TEXTS = [
    "The running dogs, and the dog's generously skied skies",
    "Élan vital, naïve café: Ünïcode ﬁne １２３",
    "a dying skier's organization of organs",
    "दिल्ली की हवा हिन्दी",
    "東京 dogs 犬",
    "",
    "dog " * 300,
]
QUERIES = [
    "dogs running",
    "GENEROUS Skis",
    "cafe naive café",
    "fine 123",
    "dog dog ski",
    "दिल्ली",
    "東京 犬",
    "no such w\u00f6rd",
    "",
    "the and",
    "[CLS] dog-s unDOGs [MASK] \ufffd x" + "y" * 120,
]


def expected(folder: Path, queries: list[str], k: int) -> list[list[list[object]]]:
    with Searcher.open(folder) as searcher:
        return [[[hit.docno, hit.score] for hit in hits] for hits in searcher.search(queries, k)]


def exported(index: Path, site: Path) -> Path:
    assert cli.run(["index", "export", str(index), "--format", "web", "--output", str(site), "--quiet"]) == 0
    return site


@needs_node
@pytest.mark.shared
@pytest.mark.skipif(not SCIFACT.is_file(), reason="the development data is not beside the checkout")
def test_every_query_of_scifact_ranks_as_in_the_index(tmp_path: Path) -> None:
    index = tmp_path / "scifact"
    assert cli.run(["index", "build", str(index), "--bm25", "--corpus", str(SCIFACT), "--quiet"]) == 0
    queries = [query.text for query in open_dataset(str(SCIFACT)).queries("test")]
    assert len(queries) == 300
    assert ask(exported(index, tmp_path / "site"), queries, 100)["answers"] == expected(index, queries, 100)


@pytest.fixture(params=["english", "none"])
def words(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "words"
    index = Index.build(folder, [{"_id": f"d{i}", "text": t} for i, t in enumerate(TEXTS)], language=request.param)
    index.add([{"_id": f"e{i}", "text": f"{t} again"} for i, t in enumerate(TEXTS)])
    index.close()
    delete_documents(folder, ["d0", "e4"])
    return folder


@needs_node
def test_segments_deletions_and_scripts(words: Path, tmp_path: Path) -> None:
    assert ask(exported(words, tmp_path / "site"), QUERIES, 5)["answers"] == expected(words, QUERIES, 5)


def word_pieces(folder: Path, **options: bool) -> QueryTable:
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[MASK]",
        "dog",
        "##s",
        "##g",
        "do",
        "cafe",
        "café",
        "naive",
        "東",
        "京",
        "犬",
        "un",
        "##dog",
    ]
    pieces += ["run", "##ning", ",", "'", "-", "skies", "the", "fi", "##ne", "123", "a", "café"]
    pieces = list(dict.fromkeys(pieces))
    tokenizer = Tokenizer(WordPiece({t: i for i, t in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(**options)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(pieces[:4])
    return QueryTable(tokenizer, np.linspace(0.1, 3, len(pieces)).astype(np.float32))


@needs_node
@pytest.mark.parametrize(
    "options", [{"lowercase": True}, {"lowercase": False}, {"lowercase": True, "strip_accents": False}]
)
def test_an_inference_free_index(tmp_path: Path, options: dict[str, bool]) -> None:
    table = word_pieces(tmp_path, **options)
    table.save(tmp_path / "query")
    rows = np.random.default_rng(0).random((40, table.num_terms)).astype(np.float32)
    rows[rows < 0.5] = 0
    vectors = SparseVectors.from_rows([{t: float(w) for t, w in enumerate(row) if w} for row in rows], table.num_terms)
    build_index(tmp_path / "i", vectors, query_side=tmp_path / "query", config=IndexConfig())
    site = exported(tmp_path / "i", tmp_path / "site")
    assert ask(site, [*QUERIES, *TEXTS], 40)["answers"] == expected(tmp_path / "i", [*QUERIES, *TEXTS], 40)


@needs_node
def test_what_the_page_asks(words: Path, tmp_path: Path) -> None:
    site = exported(words, tmp_path / "site")
    asked = [{"query": "dogs skies"}, {"query": "dogs skies", "weights": {"dogs": 0, "dog": 0}}]
    answer = ask(site, asked, 3, full=True)
    assert answer["indexes"]["indexes"][0]["name"] == "words"
    first, changed = answer["answers"]
    with Searcher.open(words) as searcher:
        for hit, wanted in zip(first["hits"], searcher.search("dogs skies", 3), strict=True):
            why = searcher.explain("dogs skies", hit["docno"])
            assert (hit["docno"], hit["score"]) == (wanted.docno, wanted.score)
            assert (
                hit["explanation"]["integer_score"]
                == why.integer_score
                == sum(t["product"] for t in hit["explanation"]["terms"])
            )
            assert hit["explanation"]["unmatched"] == list(why.unmatched)
            plain = "".join(part["text"] for part in hit["snippet"]).removesuffix(" …")
            assert plain.removeprefix("… ") in wanted.text
    assert {t["term"] for t in changed["query_terms"] if t["weight"] == 0} == {
        t["term"] for t in first["query_terms"] if t["term"] in ("dog", "dogs")
    }
    assert changed["hits"] != first["hits"]


@needs_node
def test_only_what_a_query_needs_is_fetched(tmp_path: Path) -> None:
    texts = [f"common w{i} " + " ".join(f"x{i}y{j}" for j in range(60)) for i in range(900)]
    Index.build(tmp_path / "i", texts).close()
    site = exported(tmp_path / "i", tmp_path / "site")
    fetched = ask(site, ["w17 x17y3"], 1)["fetched"]
    assert len(list((site / "postings").iterdir())) > 3
    assert sorted(p for p in set(fetched) if "/" in p and not p.startswith("page"))[0].startswith("documents/")
    assert len([p for p in set(fetched) if p.startswith("postings/")]) <= 2
    assert len([p for p in set(fetched) if p.startswith("documents/")]) == 1


@needs_node
def test_stems_of_words_with_every_ending(tmp_path: Path) -> None:
    heads = [
        "hop",
        "bak",
        "gener",
        "past",
        "inn",
        "succ",
        "y",
        "sky",
        "control",
        "rel",
        "commun",
        "geolog",
        "day",
        "egg",
    ]
    ends = [
        "s",
        "es",
        "ed",
        "eed",
        "edly",
        "ing",
        "ingly",
        "ly",
        "li",
        "ational",
        "tional",
        "ization",
        "fulness",
        "ousness",
        "iveness",
        "biliti",
        "ogi",
        "ogist",
        "ement",
        "ment",
        "ent",
        "ion",
        "sion",
        "tion",
        "ative",
        "ical",
        "al",
        "e",
        "ee",
        "ll",
        "y",
        "ies",
        "ied",
        "sses",
        "us",
        "ss",
    ]
    made = [h + e for h in heads for e in ["", *ends]] + [h + e + f for h in heads for e in ends for f in ends]
    words = sorted({word for word in made if len(word) > 1})
    shutil.copyfile(PAGE / "stemmer.js", tmp_path / "stemmer.mjs")
    program = """import { readFileSync } from "node:fs"; import { stem } from "./stemmer.mjs";
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(stem)));"""
    (tmp_path / "run.mjs").write_text(program)
    done = subprocess.run(
        [str(NODE), "run.mjs"], cwd=tmp_path, input=json.dumps(words), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == Stemmer.Stemmer("english").stemWords(words)


@needs_node
def test_a_vocabulary_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Prefixes longer than one digit says, characters that JavaScript counts twice, empty terms, numbers of every size."""
    long = "a" * 40
    terms = sorted(
        ["", "b", "bb", "b😀c", "b😀d", "😀", "😁", "é", "ée", '"', "\\", "a\n", long, long + "b", long + "bc", "zz"]
    )
    df, weights = np.arange(len(terms)) % 3 * 70000, np.linspace(0, 1, len(terms)) ** 3
    shutil.copyfile(PAGE / "vocabulary.js", tmp_path / "vocabulary.mjs")
    program = """import { readFileSync } from "node:fs"; import { unpack } from "./vocabulary.mjs";
const { terms, df, weight } = unpack(JSON.parse(readFileSync(0, "utf8")));
process.stdout.write(JSON.stringify([terms, df, terms.map((_, i) => weight(i))]));"""
    (tmp_path / "run.mjs").write_text(program)
    given = json.dumps(packed(terms, df, weights))
    done = subprocess.run([str(NODE), "run.mjs"], cwd=tmp_path, input=given, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [terms, df.tolist(), weights.tolist()]
    with pytest.raises(ConfigError, match="control character DEL"):
        packed(["a\x7f"], df[:1], weights[:1])


def test_what_a_page_cannot_search_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Index.build(tmp_path / "german", ["ein Text"], language="german").close()
    served = build_served(tmp_path)
    (tmp_path / "b").mkdir()
    without = build_served(tmp_path / "b", query_side=False)
    Index.build(tmp_path / "empty", []).close()
    for index, said in (
        (tmp_path / "german", "stemmed as german; a static site stems english or none"),
        (served, "a static site has that of BERT"),
        (without, "carries no query side"),
        (tmp_path / "empty", "holds no documents"),
    ):
        assert cli.run(["index", "export", str(index), "--format", "web", "--output", str(tmp_path / "s")]) == 1
        assert said in capsys.readouterr().err
        assert not (tmp_path / "s").exists()


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    Index.build(tmp_path / "i", ["a text"]).close()
    site = exported(tmp_path / "i", tmp_path / "site")
    page = (site / "index.html").read_text()
    for name in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert (site / name).is_file(), name
    for script in (site / "page").glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', script.read_text()):
            assert (site / "page" / name).is_file(), name
