"""`sparseir inspect`: terms of one text, own words told from expansion; and the pages of both inspections."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from indexer import SparseVectors, build_index  # noqa: E402
from sparseir import cli  # noqa: E402
from sparseir.cli.output.html import Bar, bars, columns, page  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.encode.expansion import expand  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
TEXT = "the cats running, unheard"
PIECES = ["the", "cats", "running", ",", "[UNK]"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("m")
    base = save_masked_lm(folder / "base")
    SparseEncoder.from_config(ModelConfig(base=str(base), kind="inference_free")).save(folder / "model")
    return folder / "model"


def test_terms_are_those_of_the_encoder_and_own_words_those_of_the_text(model: Path) -> None:
    encoder = SparseEncoder.load(model, device="cpu")
    for query, encode in ((False, encoder.encode_documents), (True, encoder.encode_queries)):
        found = expand(encoder, TEXT, query=query)
        assert found.side == ("query" if query else "document")
        term_ids, weights = encode([TEXT]).row(0)
        assert {t.term_id: t.weight for t in found.terms} == dict(zip(term_ids.tolist(), weights.tolist(), strict=True))
        assert [t.weight for t in found.terms] == sorted((t.weight for t in found.terms), reverse=True)
        assert [t.term for t in found.terms] == [encoder.terms()[t.term_id] for t in found.terms]
        assert {t.term for t in found.terms if t.in_text} | set(found.unweighted) == set(PIECES)
        assert found.own == sum(t.term in PIECES for t in found.terms)
        assert found.pieces == len(PIECES)
    assert found.own == len(found.terms) > 0, "a query that is looked up is not expanded"
    assert "[UNK]" in found.unweighted


def test_the_terms_of_latents_are_no_words(model: Path) -> None:
    encoder = SparseEncoder.load(model, device="cpu")
    encoder.document_tower.latent = True
    found = expand(encoder, TEXT)
    assert {t.in_text for t in found.terms} == {None}
    assert all(t.term.startswith("latent_") for t in found.terms)
    assert found.unweighted == ()


def test_bars_in_a_pipe(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = expand(SparseEncoder.load(model, device="cpu"), TEXT)
    assert cli.run(["inspect", str(model), TEXT, "--top", "3", "--device", "cpu"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert f"document of 5 word pieces → {len(found.terms)} terms, {found.own} its own" in head
    for line, term in zip(lines[:3], found.terms[:3], strict=True):
        mark, weight, bar = line[0], f"{term.weight:.3f}", re.search("[█░]+$", line)
        assert term.term in line
        assert weight in line
        assert mark == (" " if term.in_text else "+")
        assert bar is not None
        assert bar[0] == ("█" if term.in_text else "░") * max(1, round(40 * term.weight / found.terms[0].weight))
    assert lines[3] == f"… {len(found.terms) - 3} more terms; --top 0 shows all"
    assert "\x1b" not in head + "".join(lines)
    assert cli.run(["inspect", str(model), TEXT, "--top", "0", "--device", "cpu"]) == 0
    assert len(re.findall("^[+ ] ", capsys.readouterr().out, re.M)) == len(found.terms)


def test_json_has_every_term(model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(TEXT))
    assert cli.run(["inspect", str(model), "-", "--query", "--json", "--device", "cpu"]) == 0
    value = json.loads(capsys.readouterr().out)
    wanted = expand(SparseEncoder.load(model, device="cpu"), TEXT, query=True).as_json()
    assert value == json.loads(json.dumps({"model": str(model), **wanted}))


def test_the_page_is_whole_and_loads_nothing(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "<script>alert(1)</script> the cats & dogs"
    target = tmp_path / "pages" / "e.html"
    command = ["inspect", str(model), text, "--html", str(target), "--device", "cpu"]
    assert cli.run(command) == 0
    assert capsys.readouterr().out == ""
    seen = check_page(target.read_text(encoding="utf-8"))
    found = expand(SparseEncoder.load(model, device="cpu"), text)
    assert seen.count("rect") == len(found.terms)
    assert "script" not in seen
    assert cli.run(command) == 1
    assert "exists already" in capsys.readouterr().err
    assert cli.run([*command, "--overwrite"]) == 0


@pytest.mark.parametrize("text", ["", "  \n"])
def test_no_text_is_wrong_usage(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["inspect", "nowhere", text]) == 2
    assert "TEXT is empty" in capsys.readouterr().err


def test_a_page_of_an_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{0: 1.0, 1: 0.5}, {}, {0: 2.55}]
    build_index(tmp_path / "a&b", SparseVectors.from_rows(rows, 9), encoder="m")
    target = tmp_path / "i.html"
    assert cli.run(["index", "inspect", str(tmp_path / "a&b"), "--html", str(target), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert str(target) in err
    text = target.read_text(encoding="utf-8")
    seen = check_page(text)
    assert seen.count("svg") == 4
    for said in ("terms a document, at least", "documents a term, at least", "at least 1: 1", "IMPA", "a&amp;b"):
        assert said in text
    assert cli.run(["index", "inspect", str(tmp_path / "a&b"), "--html", str(target)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_plots_draw_to_scale() -> None:
    drawn = bars("t", [Bar("a", "2", 2.0, "own"), Bar("b", "1", 1.0)])
    assert [float(w) for w in re.findall(r'<rect[^>]* width="([\d.]+)"', drawn)] == [540.0, 270.0]
    heights = re.findall(r'height="([\d.]+)"><title>', columns("t", [(0, 1), (1, 4000), (2, 0)], "x"))
    assert [float(h) for h in heights] == [pytest.approx(0.055, abs=0.05), 220.0, 0.0]
    check_page(page("empty", [bars("t", []), columns("t", [], "x")]))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onload", "onclick"}
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_page(text: str) -> list[str]:
    """Tags of a page whose elements are closed and which loads nothing."""
    parser = _Page()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert not re.search(r"https?://|url\(|@import", text)
    return parser.seen
