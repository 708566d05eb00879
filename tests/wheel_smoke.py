"""What an installed wheel must do without its checkout: `make wheel` runs this in a fresh environment."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import sparseir

DOCUMENTS = [("rainy", {"rain": 2.0, "city": 1.0}), ("catty", {"cat": 1.5, "rain": 1.0}), ("empty", {})]


def sparseir_command(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "sparseir.cli", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def main() -> None:
    package = Path(sparseir.__file__).parent
    assert package.is_relative_to(sys.prefix), f"{package} is not the installed package"
    for name in ("sparseir", "indexer"):
        assert (package.parent / name / "py.typed").is_file(), f"{name} lacks py.typed"
    assert (package / "search/gpu/cuda/kernels.cu").is_file()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assert sparseir_command(folder, "--version") == f"sparseir {sparseir.__version__}\n"
        recipes = json.loads(sparseir_command(folder, "config", "list", "--json"))["recipes"]
        assert {"demo", "reference", "scifact"} <= {recipe["name"] for recipe in recipes}
        sparseir_command(folder, "config", "show", "scifact")
        lines = [json.dumps({"id": docno, "contents": "", "vector": vector}) for docno, vector in DOCUMENTS]
        (folder / "vectors.jsonl").write_text("\n".join(lines), encoding="utf-8")
        (folder / "query.jsonl").write_text(json.dumps({"id": "q", "contents": "", "vector": {"rain": 1.0}}))
        built = json.loads(sparseir_command(folder, "index", "build", "index", "--vectors", "vectors.jsonl", "--json"))
        assert built["documents"] == len(DOCUMENTS)
        run = sparseir_command(folder, "search", "index", "--query-vectors", "query.jsonl")
        assert [line.split()[2] for line in run.splitlines()] == ["rainy", "catty"]
    print(f"sparseir {sparseir.__version__} from {package}: {len(recipes)} recipes, builds an index, searches it")


if __name__ == "__main__":
    main()
