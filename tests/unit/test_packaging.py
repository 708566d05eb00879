"""One version, and an installation that is whole: what a wheel and an editable install are told to hold."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import indexer
import sparseir
from indexer.format.manifest import read_manifest
from indexer.version import __version__
from sparseir import cli

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CMAKE = (ROOT / "native/CMakeLists.txt").read_text(encoding="utf-8")


def test_the_version_is_written_once(tmp_path, capsys):
    """What cannot read it at run time, the build, reads the same file."""
    assert sparseir.__version__ == __version__
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"sparseir {__version__}\n"
    vectors = indexer.SparseVectors.from_rows([[(1, 1.0)]], 2)
    assert indexer.build_index(tmp_path / "index", vectors).path == tmp_path / "index"
    assert read_manifest(tmp_path / "index").sparseir_version == __version__
    assert "version" in PROJECT["project"]["dynamic"]
    source = ROOT / PROJECT["tool"]["scikit-build"]["metadata"]["version"]["input"]
    assert re.findall(r'^__version__ = "(.*)"$', source.read_text(encoding="utf-8"), re.M) == [__version__]
    sources = [*ROOT.glob("sparseir/**/*.py"), *ROOT.glob("indexer/**/*.py")]
    sources += [ROOT / "pyproject.toml", ROOT / "native/CMakeLists.txt"]
    number = re.compile(rf"""(?i)version[\W_]+["']?{re.escape(__version__)}""")
    written = [path.relative_to(ROOT).as_posix() for path in sources if number.search(path.read_text(encoding="utf-8"))]
    assert written == ["indexer/version.py"]


def test_both_packages_are_typed_and_recipes_and_kernels_are_installed():
    assert (ROOT / "sparseir/py.typed").is_file()
    assert (ROOT / "indexer/py.typed").is_file()
    assert re.search(r"install\(DIRECTORY \S+/configs DESTINATION sparseir ", CMAKE)
    assert re.search(r"install\(DIRECTORY cuda/ DESTINATION sparseir/search/gpu/cuda ", CMAKE)


def test_an_editable_install_lists_no_modules():
    """It is a path: a list made at install time would miss modules that a later pull moves."""
    (override,) = PROJECT["tool"]["scikit-build"]["overrides"]
    assert override == {"if": {"state": "editable"}, "wheel": {"packages": []}}
    assert "sparseir_checkout.pth" in CMAKE
