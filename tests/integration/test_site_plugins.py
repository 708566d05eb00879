"""The plugins for MkDocs and Sphinx, in these themselves: a built site has a search of its parts beside its pages."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sparseir.data.corpus.texts import html_sections
from sparseir.errors import ConfigError
from sparseir.static.documentation import Section, write_search
from tests.static_site import NODE, ask

ROOT = Path(__file__).parents[2]
MKDOCS = pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the extra 'mkdocs' is not installed")
SPHINX = pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="the extra 'sphinx' is not installed")
GUIDE = """# Bicycles

Keep one dry.

## Brakes & cables

Cables stretch; tighten them when the lever touches the bar.

## Chain

Oil it <!-- secretly with lard --> twice a year.
"""
QUERY = "tighten cables"


def run(program: str, folder: Path, *arguments: str, code: int = 0) -> str:
    """A program of the environment, with what an installation of this package would tell it."""
    installed = folder / "installed" / "sparseir-0.dist-info"
    installed.mkdir(parents=True, exist_ok=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: sparseir\nVersion: 0\n")
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    listed = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in named.items()) for group, named in points.items()]
    (installed / "entry_points.txt").write_text("\n".join(listed))
    paths = [str(ROOT), str(installed.parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def stored(search: Path) -> dict[str, dict[str, str]]:
    """What the search holds, by address."""
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((search / "documents").iterdir())]
    return {docno: fields for part in parts for docno, fields in part}


def best(search: Path, query: str) -> dict[str, str]:
    """The stored fields of the first hit, as the page's own scripts rank."""
    answer = ask(search, [{"query": query}], 3, full=True)["answers"][0]
    return answer["hits"][0]["fields"]


def mkdocs_site(folder: Path, settings: str = "  - sparseir\n") -> Path:
    (folder / "docs").mkdir()
    (folder / "docs" / "index.md").write_text("# Welcome\n\nAll about bicycles.\n")
    (folder / "docs" / "guide.md").write_text(GUIDE)
    (folder / "mkdocs.yml").write_text(f"site_name: Bikes & more\nplugins:\n{settings}")
    return folder


@MKDOCS
def test_mkdocs_builds_a_search_of_the_parts_of_its_pages(tmp_path: Path) -> None:
    folder = mkdocs_site(tmp_path)
    for _ in range(2):  # the second build replaces what the first has made
        assert "Search of the site in search/: 4 parts of pages" in run("mkdocs", folder, "build")
    found = stored(folder / "site" / "search")
    assert found["guide/#chain"] == {
        "title": "Bicycles › Chain",
        "text": "Oil it twice a year.",
        "url": "../guide/#chain",
    }
    assert found["guide/#bicycles"]["title"] == "Bicycles"
    assert (folder / "site" / "search" / "../guide/index.html").read_text().count('id="chain"') == 1
    about = json.loads((folder / "site" / "search" / "site.json").read_text())
    assert (about["name"], about["home"]) == ("Bikes & more", "../index.html")
    page = (folder / "site" / "guide" / "index.html").read_text()
    assert '<form action="../search/index.html" role="search"' in page
    assert 'placeholder="Search Bikes &amp; more"' in page


@MKDOCS
@pytest.mark.skipif(NODE is None, reason="needs node")
def test_the_search_of_a_site_finds_the_part(tmp_path: Path) -> None:
    folder = mkdocs_site(tmp_path, "  - sparseir:\n      folder: a/find\n      box: false\n")
    run("mkdocs", folder, "build")
    assert best(folder / "site" / "a" / "find", QUERY)["url"] == "../../guide/#brakes-cables"
    assert 'role="search"' not in (folder / "site" / "guide" / "index.html").read_text().partition("<body")[2]


@MKDOCS
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("  - search\n  - sparseir\n", "holds files of another search; name another folder"),
        ("  - sparseir:\n      folder: ../out\n", "expected one inside the site"),
        ("  - sparseir:\n      language: klingon\n", "klingon"),
        ("  - sparseir:\n      language: german\n", "a static site stems english or none"),
        ("  - sparseir:\n      box: maybe\n", "box"),
    ],
)
def test_what_mkdocs_is_told_wrongly_is_said(tmp_path: Path, settings: str, message: str) -> None:
    out = run("mkdocs", mkdocs_site(tmp_path, settings), "build", code=1)
    assert message in out
    assert "Traceback" not in out


def sphinx_site(folder: Path, settings: str = "") -> Path:
    (folder / "source").mkdir()
    (folder / "source" / "conf.py").write_text(
        f"project = 'Bikes'\nhtml_title = 'Bikes & more'\nextensions = ['sparseir.integrations.sphinx']\n{settings}"
    )
    (folder / "source" / "index.rst").write_text(
        "Welcome\n=======\n\nAll about bicycles.\n\n.. toctree::\n\n   guide\n"
    )
    (folder / "source" / "guide.rst").write_text(
        "Bicycles\n========\n\nKeep one dry.\n\nBrakes & cables\n---------------\n\nCables *stretch*; tighten them.\n\n"
        "- when the lever touches\n\n  .. secretly with lard\n\nChain\n-----\n\nOil it twice a year.\n"
    )
    return folder


@SPHINX
@pytest.mark.parametrize(("builder", "guide"), [("html", "guide.html"), ("dirhtml", "guide/")])
def test_sphinx_builds_a_search_of_its_sections(tmp_path: Path, builder: str, guide: str) -> None:
    folder = sphinx_site(tmp_path)
    arguments = ("-b", builder, "-W", "-j", "2", "source", "site")
    run("sphinx", folder, *arguments)
    first = folder / "source" / "index.rst"
    first.write_text(first.read_text() + "\nMore.\n")
    out = run("sphinx", folder, *arguments)  # guide.rst is not read again, and stays in the search
    assert "search of the site in search/: 4 parts of pages" in out
    found = stored(folder / "site" / "search")
    assert found[f"{guide}#brakes-cables"] == {
        "title": "Bicycles › Brakes & cables",
        "text": "Cables stretch; tighten them.\nwhen the lever touches",
        "url": f"../{guide}#brakes-cables",
    }
    page = folder / "site" / guide if builder == "html" else folder / "site" / guide / "index.html"
    assert 'id="brakes-cables"' in page.read_text()
    if builder == "html":  # where the themes' own search fields lead
        assert (
            'location.replace("search/index.html" + location.search)' in (folder / "site" / "search.html").read_text()
        )
    if NODE is not None:
        assert best(folder / "site" / "search", QUERY)["url"] == f"../{guide}#brakes-cables"


@SPHINX
def test_other_builders_of_sphinx_are_left_alone_and_faults_are_said(tmp_path: Path) -> None:
    folder = sphinx_site(tmp_path, "sparseir_folder = '/etc'\n")
    run("sphinx", folder, "-b", "text", "source", "text")
    assert not (folder / "text" / "search").exists()
    out = run("sphinx", folder, "-b", "html", "source", "site", code=2)
    assert "expected one inside the site, such as 'search'" in out
    assert not (folder / "site" / "search").exists()


@SPHINX
def test_a_folder_elsewhere_is_where_sphinx_forwards_to(tmp_path: Path) -> None:
    folder = sphinx_site(tmp_path, "sparseir_folder = 'a/find'\n")
    run("sphinx", folder, "-b", "dirhtml", "source", "site")
    forward = (folder / "site" / "search" / "index.html").read_text()
    assert 'location.replace("../a/find/index.html" + location.search)' in forward
    assert "guide/#chain" in stored(folder / "site" / "a" / "find")


def test_a_page_is_cut_at_its_headings_with_an_id() -> None:
    page = """<p>Before</p><h1 id="a">One <em>of</em> <a class="headerlink" href="#a">¶</a></h1><p>x<script>no</script></p>
    <h2>no id</h2><ul><li>y</li></ul><h2 id="b">Two</h2><h3 id="c"></h3>"""
    assert [(s.anchor, s.heading, s.text) for s in html_sections(page)] == [
        ("", "", "Before"),
        ("a", "One of", "x\nno id\ny"),
        ("b", "Two", ""),
    ]


def test_sections_of_one_address_are_one_and_a_site_without_text_is_refused(tmp_path: Path) -> None:
    twice = [Section("p.html#x", "Page", "Head", text) for text in ("first", "second")]
    write_search(tmp_path, "search", twice, name="Site")
    assert stored(tmp_path / "search")["p.html#x"]["text"] == "first\nsecond"
    with pytest.raises(ConfigError, match="no pages with text"):
        write_search(tmp_path, "search", [], name="Site")
    assert (tmp_path / "search" / "site.json").exists()  # the earlier search stays
