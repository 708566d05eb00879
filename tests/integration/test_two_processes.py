"""One process equals two: the same losses, sparsity and weights, dropout off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from sparseir.config.loader import to_yaml  # noqa: E402
from sparseir.data.prepared.prepare import PrepareOptions, prepare  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from tests.unit.test_train import base, collection, recipe_of  # noqa: E402, F401

ROOT = Path(__file__).parents[2]


def run(recipe: Path, output: Path, processes: int) -> dict[str, float]:
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command += [str(ROOT / "tests" / "integration" / "two_processes.py"), str(recipe), str(output)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("FIGURES "))
    figures: dict[str, float] = json.loads(line.removeprefix("FIGURES "))
    return figures


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "target"),
    [("inference_free", None), ("inference_free", 12.0), ("coil_tok", None), ("coil_full", None), ("csr", None)],
)
def test_two_processes_see_the_global_batch(
    base: Path,  # noqa: F811
    collection: Path,  # noqa: F811
    tmp_path: Path,
    kind: str,
    target: float | None,
) -> None:
    """FLOPS over each process's own half would differ by far more than the tolerance, which covers summation order."""
    recipe = recipe_of(
        base,
        collection,
        model__kind=kind,
        model__csr_k=4,
        model__cls_dim=6,
        model__csr_dead_after=1,
        loss__reconstruction=1.0 if kind == "csr" else 0.0,
        train__dropout=False,
        train__batch_size=4,
        train__steps=3,
        regulariser__lambda_document=0.1,
        regulariser__target_active_dims=target,
        regulariser__ramp_steps=0,
    )
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    one = run(tmp_path / "recipe.yaml", tmp_path / "one", 1)
    two = run(tmp_path / "recipe.yaml", tmp_path / "two", 2)
    for name, value in one.items():
        print(f"{kind}{'' if target is None else f', target {target:g}'}: {name} {value:.7g} | {two.get(name):.7g}")
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert two[name] == pytest.approx(value, rel=1e-4), name
    a, b = (
        SparseEncoder.load(tmp_path / n, device="cpu").encode_documents(["the cats in the park"])
        for n in ("one", "two")
    )
    assert a.weights.tolist() == pytest.approx(b.weights.tolist(), rel=1e-2)


@pytest.mark.slow
def test_two_processes_read_one_prepared_folder(base: Path, collection: Path, tmp_path: Path) -> None:  # noqa: F811
    """Both assemble the same batches, in a worker each, and count document frequencies once."""
    qrels = collection / "qrels" / "train.tsv"
    options = PrepareOptions(
        documents=str(collection), queries=str(collection / "queries.jsonl"), pairs=(f"judged:qrels={qrels}",)
    )
    prepare(tmp_path / "p", options)
    recipe = recipe_of(
        base,
        collection,
        data__dataset=(),
        data__prepared=str(tmp_path / "p"),
        data__workers=1,
        model__kind="inference_free",
        train__dropout=False,
        train__batch_size=4,
        train__steps=3,
    )
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    two = run(tmp_path / "recipe.yaml", tmp_path / "two", 2)
    assert len(list((tmp_path / "p" / "indexes").glob("frequencies-*.npy"))) == 1
    one = run(tmp_path / "recipe.yaml", tmp_path / "one", 1)
    for name, value in one.items():
        assert two[name] == pytest.approx(value, rel=1e-4), name
