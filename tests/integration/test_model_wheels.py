"""`sparseir model pack`: a wheel that pip installs, whose model a fresh process finds by name; what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from sparseir.models import SparseEncoder
from sparseir.models.sources import installed_models, resolve_source
from sparseir.train.loop.record import write_running
from tests.integration.test_text_chain import sparseir
from tests.tiny_collections import write_collection
from tests.tiny_models import save_masked_lm

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
NAMED = ("--name", "tiny-one", "--license", "CC-BY-4.0")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection and a model trained on it for two steps."""
    folder = tmp_path_factory.mktemp("pack")
    collection = write_collection(folder / "tiny", ("train", "test"))
    keys = {
        "model.base": save_masked_lm(folder / "base"), "model.max_document_length": 32, "data.dataset": collection,
        "data.max_document_length": 32, "data.negatives": "[]", "train.steps": 2, "train.batch_size": 3, "train.bf16": "false",
        "train.device": "cpu",
    }  # fmt: skip
    words = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    sparseir("train", "reference", "--output", folder / "model", *words)
    (folder / "LICENSE.txt").write_text("Do with it what you like, and say whose it was.\n")
    figures = [{"dataset": "tiny", "system": "inference_free", "measures": {"nDCG@10": 0.25}}]
    (folder / "figures.json").write_text(json.dumps(figures))
    return folder


@pytest.fixture(scope="module")
def wheel(places: Path) -> Path:
    done = sparseir(
        *("model", "pack", places / "model", *NAMED, "--output", places / "dist", "--version", "1.2"),
        *("--license-file", places / "LICENSE.txt", "--figures", places / "figures.json"),
        *("--data", "sentences of this test, CC0"),
    )
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def installed(places: Path, wheel: Path) -> Path:
    target = places / "site"
    words = ["install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", "--target", target, wheel]
    subprocess.run([sys.executable, "-m", "pip", *map(str, words)], check=True, capture_output=True, timeout=300)
    return target


def fresh(installed: Path, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, which sees what was installed."""
    done = subprocess.run(
        [sys.executable, "-m", "sparseir.cli", *map(str, words)], capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(installed))), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def test_a_wheel_is_installed_and_its_model_indexes_and_searches(places: Path, installed: Path) -> None:
    listed = json.loads(fresh(installed, "model", "list", "--json").stdout)
    assert listed == {"name": "tiny-one", "folder": str(installed / "sparseir_model_tiny_one" / "model")}
    fresh(
        *(
            installed,
            "index",
            "build",
            places / "index",
            "--model",
            "tiny-one",
            "--corpus",
            places / "tiny",
            "--no-lexical",
        ),
        "--quiet",
    )
    sparseir(
        *("index", "build", places / "same", "--model", places / "model", "--corpus", places / "tiny", "--no-lexical"),
        "--quiet",
    )
    found = fresh(installed, "search", places / "index", "heat of a wing", "--json").stdout
    assert found == sparseir("search", places / "same", "heat of a wing", "--json").stdout
    assert len(found.splitlines()) > 0


@pytest.mark.parametrize("command", ["evaluate", "inspect", "encode"])
def test_every_command_takes_the_name(
    places: Path, installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    """And does with it what it does with the folder."""
    monkeypatch.syspath_prepend(str(installed))
    tiny = places / "tiny"

    def outcome(model: object) -> object:
        if command == "evaluate":
            words = ("--baselines", "", "--no-lexical", "--device", "cpu", "--json")
            return json.loads(sparseir("evaluate", model, tiny, *words).stdout)["measures"]
        if command == "inspect":
            return json.loads(sparseir("inspect", model, "heat of a wing", "--device", "cpu", "--json").stdout)["terms"]
        sparseir("encode", model, tiny, "--output", tmp_path / "out.jsonl", "--device", "cpu", "--overwrite")
        return (tmp_path / "out.jsonl").read_text()

    assert outcome("tiny-one") == outcome(places / "model")


def test_an_unknown_name_lists_the_installed_ones(places: Path, installed: Path) -> None:
    words = ("index", "build", places / "none", "--model", "tiny-two", "--corpus", places / "tiny")
    assert "installed models: tiny-one" in fresh(installed, *words, code=1).stderr


def test_a_path_that_exists_wins(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.chdir(tmp_path)
    assert resolve_source("tiny-one") == installed_models()["tiny-one"]
    Path("tiny-one").mkdir()
    assert resolve_source("tiny-one") == Path("tiny-one")


def test_what_a_wheel_says_and_holds(places: Path, wheel: Path) -> None:
    assert wheel.name == "sparseir_model_tiny_one-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = "sparseir_model_tiny_one-1.2.dist-info"
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        card = archive.read("sparseir_model_tiny_one/model/README.md").decode()
        licence = archive.read(f"{info}/licenses/LICENSE.txt")
    assert metadata["Name"] == "sparseir-model-tiny-one"
    assert metadata["License-Expression"] == "CC-BY-4.0"
    assert licence == (places / "LICENSE.txt").read_bytes()
    assert metadata.get_payload() == card
    for text in (
        "license: cc-by-4.0",
        "sentences of this test, CC0",
        "| tiny | inference_free | 0.2500 |",
        "--model tiny-one",
    ):
        assert text in card
    assert str(places) not in card
    inside = {name.partition("/model/")[2] for name in names if "/model/" in name}
    assert {"modules.json", "sparseir.json"} <= inside
    assert any(name.endswith("tokenizer.json") for name in inside)
    assert any(name.endswith("model.safetensors") for name in inside)
    assert not [name for name in inside if "checkpoint" in name or name.endswith((".jsonl", "training.json"))]


def test_the_weights_are_those_of_the_folder(places: Path, installed: Path) -> None:
    packed = SparseEncoder.load(installed / "sparseir_model_tiny_one" / "model", device="cpu")
    assert packed.fingerprint == SparseEncoder.load(places / "model", device="cpu").fingerprint


def test_equal_models_give_equal_bytes(places: Path, wheel: Path, tmp_path: Path) -> None:
    """Whatever the time, the folder and its other files."""
    shutil.copytree(places / "model", tmp_path / "copy")
    (tmp_path / "copy" / "notes.txt").write_text("mine")
    for folder in ("a", "b"):
        sparseir("model", "pack", tmp_path / "copy", *NAMED, "--output", tmp_path / folder)
    first, second = ((tmp_path / folder).glob("*.whl") for folder in ("a", "b"))
    assert next(first).read_bytes() == next(second).read_bytes()


def test_what_is_refused(places: Path, wheel: Path, tmp_path: Path) -> None:
    pack = ("model", "pack", places / "model", "--output", tmp_path)
    again = sparseir("model", "pack", places / "model", *NAMED, "--version", "1.2", "--output", places / "dist", code=1)
    assert "exists already" in again.stderr
    for words, text in (
        (("--name", "tiny"), "--license"),
        (("--name", "tiny", "--license", "CC BY"), "license is 'CC BY'; expected an SPDX expression"),
        (("--name", "tiny", "--license", "apache-2.0"), "write Apache-2.0"),
        (("--name", "Tiny_One", "--license", "MIT"), "name is 'Tiny_One'"),
        (("--name", "tiny", "--license", "MIT", "--version", "one"), "version is 'one'"),
    ):
        assert text in sparseir(*pack, *words, code=2).stderr
    for words, text in (
        (("--license-file", tmp_path / "none.txt"), "none.txt: no such file"),
        (("--figures", places / "LICENSE.txt"), "cannot be read as JSON"),
        (("--figures", places / "model" / "sparseir.json"), "not the figures of an evaluation"),
    ):
        assert text in sparseir(*pack, *NAMED, *words, code=1).stderr
    shutil.copytree(places / "model", tmp_path / "unfinished")
    write_running(tmp_path / "unfinished")
    assert "is not finished" in sparseir("model", "pack", tmp_path / "unfinished", *NAMED, code=1).stderr
    assert "no model folder" in sparseir("model", "pack", tmp_path / "nothing", *NAMED, code=1).stderr
    assert not list(tmp_path.glob("*.whl"))
