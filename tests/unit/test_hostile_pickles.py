"""Files run no code: a pickle that would make a file is put in the place of every file that is read."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from indexer import Documents, SparseVectors, build_index  # noqa: E402
from indexer.interchange import Vocabulary, open_vectors, write_vectors  # noqa: E402
from sparseir.errors import DataError, SparseIRError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.networks.dense import DenseEmbedder  # noqa: E402
from sparseir.search.approximate import ApproximateConfig  # noqa: E402
from sparseir.search.searcher import Searcher  # noqa: E402
from sparseir.train import train  # noqa: E402
from tests.tiny_collections import write_collection  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402
from tests.unit.test_train import assert_equal_weights, recipe_of, weights_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


class Hostile:
    """Makes a folder where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.trace),)


def forms(trace: Path) -> dict[str, bytes]:
    """The pickle plain, as torch.save writes it now and before, and in numpy's arrays of objects."""
    out = {"pickle": pickle.dumps({"weight": Hostile(trace)})}
    for name, new in (("torch zip", True), ("torch legacy", False)):
        buffer = io.BytesIO()
        torch.save({"weight": Hostile(trace)}, buffer, _use_new_zipfile_serialization=new)
        out[name] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, np.array([Hostile(trace)], dtype=object), allow_pickle=True)
    out["numpy objects"] = buffer.getvalue()
    return out


def test_the_pickles_are_hostile(tmp_path: Path) -> None:
    for number, name in enumerate(("pickle", "torch zip", "torch legacy")):
        trace = tmp_path / str(number)
        content = forms(trace)[name]
        pickle.loads(content) if name == "pickle" else torch.load(io.BytesIO(content), weights_only=False)
        assert trace.exists()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, dict[str, Any]]:
    """A recipe, the folder that a run of it was stopped in, and the weights of a whole run."""
    folder = tmp_path_factory.mktemp("run")
    collection = write_collection(tmp_path_factory.mktemp("tiny"))
    recipe = recipe_of(
        save_masked_lm(tmp_path_factory.mktemp("base")),
        collection,
        train__steps=4,
        train__save_every=2,
        train__evaluate_every=2,
        data__dev_dataset=str(collection),
    )
    train(recipe, folder / "whole")

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "training" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder / "m", progress=stop)
    return recipe, folder / "m", weights_of(folder / "whole")


def test_nothing_of_a_checkpoint_is_a_pickle(stopped: tuple[Any, Path, dict[str, Any]]) -> None:
    _, run, _ = stopped
    names = {path.name for path in run.glob("checkpoints/checkpoint-2/*")}
    assert names == {
        "state.safetensors", "optimizer.safetensors", "rng_state_0.safetensors", "trainer_state.json",
    }  # fmt: skip
    assert not [path for path in run.rglob("*") if path.suffix in (".pt", ".pth", ".bin", ".pkl")]


@pytest.mark.parametrize(
    "name", ["state.safetensors", "optimizer.safetensors", "rng_state_0.safetensors", "trainer_state.json", "best"]
)
def test_a_hostile_file_of_a_checkpoint_is_refused(
    name: str, stopped: tuple[Any, Path, dict[str, Any]], tmp_path: Path
) -> None:
    recipe, run, _ = stopped
    for form, content in forms(tmp_path / "trace").items():
        copy = shutil.copytree(run, tmp_path / form.replace(" ", ""))
        target = copy / "best.safetensors" if name == "best" else copy / "checkpoints" / "checkpoint-2" / name
        assert target.exists()
        target.write_bytes(content)
        with pytest.raises(SparseIRError, match=target.name):
            train(recipe, copy, resume=True)
    assert not (tmp_path / "trace").exists()


def test_pickles_under_the_names_of_transformers_are_not_looked_at(
    stopped: tuple[Any, Path, dict[str, Any]], tmp_path: Path
) -> None:
    recipe, run, whole = stopped
    copy = shutil.copytree(run, tmp_path / "m")
    names = "training_args.bin optimizer.pt optimizer.bin scheduler.pt scaler.pt rng_state.pth rng_state_0.pth state.pt"
    for name in [*names.split(), "pytorch_model.bin", "adapter_model.bin"]:
        (copy / "checkpoints" / "checkpoint-2" / name).write_bytes(forms(tmp_path / "trace")["torch zip"])
    (copy / "best.pt").write_bytes(forms(tmp_path / "trace")["torch zip"])
    train(recipe, copy, resume=True)
    assert_equal_weights(weights_of(copy), whole)
    assert not (tmp_path / "trace").exists()


def test_a_checkpoint_that_was_cut_is_passed_over(stopped: tuple[Any, Path, dict[str, Any]], tmp_path: Path) -> None:
    recipe, run, whole = stopped
    copy = shutil.copytree(run, tmp_path / "m")
    shutil.copytree(copy / "checkpoints" / "checkpoint-2", copy / "checkpoints" / "checkpoint-3")
    (copy / "checkpoints" / "checkpoint-3" / "trainer_state.json").unlink()
    (copy / "checkpoints" / "checkpoint-mine").mkdir()
    assert train(recipe, copy, resume=True).steps == 4
    assert_equal_weights(weights_of(copy), whole)


@pytest.mark.parametrize("open_model", [SparseEncoder.load, DenseEmbedder], ids=["sparse", "dense"])
def test_weights_of_a_model_folder_are_tensors_alone(open_model: Callable[..., Any], tmp_path: Path) -> None:
    for form, content in forms(tmp_path / "trace").items():
        folder = save_masked_lm(tmp_path / form.replace(" ", ""))
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(content)
        (folder / "training_args.bin").write_bytes(content)
        with pytest.raises(SparseIRError, match=str(folder)):
            open_model(folder, device="cpu")
    assert not (tmp_path / "trace").exists()


def test_weights_pickled_as_tensors_are_read(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = save_masked_lm(tmp_path / "m")
    before = weights_of(folder)
    torch.save(load_file(str(folder / "model.safetensors")), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert_equal_weights(weights_of(folder), before)


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "tokenizer_config.json", "model.safetensors"])
def test_no_file_of_a_model_folder_is_unpickled(name: str, tmp_path: Path) -> None:
    for form, content in forms(tmp_path / "trace").items():
        folder = save_masked_lm(tmp_path / form.replace(" ", ""))
        (folder / name).write_bytes(content)
        with pytest.raises(SparseIRError):
            SparseEncoder.load(folder, device="cpu")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("open_model", [SparseEncoder.load, DenseEmbedder], ids=["sparse", "dense"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_that_a_model_folder_brings_is_not_run(
    name: str, open_model: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, and no question on stdin."""
    folder = save_masked_lm(tmp_path / "m")
    (folder / "own.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'trace')!r})\nclass Own: pass\n")
    described = json.loads((folder / name).read_text())
    own = "own.Own"
    if name == "config.json":
        classes = ["AutoConfig", "AutoModel", "AutoModelForMaskedLM"]
        described |= {"model_type": "own", "auto_map": dict.fromkeys(classes, own)}
    else:
        (folder / "tokenizer.json").unlink()
        described |= {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": [own, own]}}
    (folder / name).write_text(json.dumps(described))
    monkeypatch.setattr("builtins.input", lambda *given: pytest.fail("a question"))
    with pytest.raises(SparseIRError) as caught:
        open_model(folder, device="cpu")
    assert len(str(caught.value).splitlines()) == 1
    if name == "config.json":
        assert "code of its own" in str(caught.value)
    assert not (tmp_path / "trace").exists()


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three documents in every format, with the lists of names and terms beside the matrix."""
    folder = tmp_path_factory.mktemp("vectors")
    rows = SparseVectors.from_arrays([0, 2, 3, 4], [0, 1, 1, 2], [1.0, 2.0, 3.0, 4.0], 3)
    for name in ("v.npz", "v.csr", "v.ciff", "v.jsonl"):
        terms = Vocabulary.fixed(["a", "b", "c"])
        write_vectors(folder / name, Documents(rows, ["x", "y", "z"]), vocabulary=terms)
    return folder


@pytest.mark.parametrize("member", ["indptr.npy", "indices.npy", "data.npy", "shape.npy", "format.npy", "docnos.jsonl"])
def test_no_member_of_an_npz_is_unpickled(member: str, vectors: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(vectors / "v.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert member in members
    for content in forms(tmp_path / "trace").values():
        with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
            for name, body in (members | {member: content}).items():
                archive.writestr(name, body)
        with pytest.raises(DataError, match=r"v\.npz"):
            list(open_vectors(tmp_path / "v.npz"))
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["v.npz", "v.csr", "v.ciff", "v.jsonl", "v.csr.docnos", "v.csr.terms"])
def test_no_file_of_vectors_is_unpickled(name: str, vectors: Path, tmp_path: Path) -> None:
    for form, content in forms(tmp_path / "trace").items():
        copy = shutil.copytree(vectors, tmp_path / form.replace(" ", ""))
        assert (copy / name).exists()
        (copy / name).write_bytes(content)
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            list(open_vectors(copy / ".".join(name.split(".")[:2])))
    assert not (tmp_path / "trace").exists()


def test_nothing_beside_an_index_is_unpickled(vectors: Path, tmp_path: Path) -> None:
    """Calibrations that cannot be read are made again; the query side and the fields are refused."""
    for form, content in forms(tmp_path / "trace").items():
        index = tmp_path / form.replace(" ", "")
        build_index(index, open_vectors(vectors / "v.npz"))
        index.with_name(index.name + ".calibrations.json").write_bytes(content)
        searcher = Searcher.open(index, engine=ApproximateConfig(recall_target=0.9))
        assert len(searcher.search_terms(np.array([1], np.uint32), np.ones(1, np.float32), 2).ordinals) == 2
        for path in [p for p in index.rglob("*") if p.is_file()]:
            path.write_bytes(content)
        with pytest.raises(SparseIRError):
            Searcher.open(index)
    assert not (tmp_path / "trace").exists()
