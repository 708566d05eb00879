"""Inputs made by coverage (atheris, libFuzzer): each reader gets what reaches new code in it; errors must be named ones.

    python -m tests.fuzz.guided jsonl --seconds 3600

Targets are the readers of `tests.fuzz.input_samples` and the manifest of an index. Whatever is no SparseIRError, takes longer
than the limit or more than MEMORY beyond what the process has at the start ends the run, and the input is kept as
`crash-…` in the folder it was started in.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["indexer", "sparseir"]):
    from indexer import IndexConfig, build_index, open_index
    from indexer.errors import SparseIRError
    from tests.fuzz.index_mutations import sealed
    from tests.fuzz.input_samples import Sample, samples, some_documents

TARGETS = {
    "jsonl": ("vectors v.jsonl", "v.jsonl"),
    "ciff": ("vectors v.ciff", "v.ciff"),
    "npz": ("vectors v.npz", "v.npz"),
    "csr": ("vectors v.csr", "v.csr"),
    "zip": ("collection zip", "c.zip"),
    "tokenizer": ("vocabulary tokenizer.json", "tokenizer.json"),
    "calibration": ("calibrations", "index.calibrations.json"),
    "manifest": ("manifest", "index/manifest.json"),
}
"""Sample and file of it that is made anew."""

MEMORY = 1 << 30
SECONDS_AN_INPUT = 20


def manifest_sample(folder: Path) -> Sample:
    build_index(folder / "index", some_documents(), config=IndexConfig(order="input"))
    files = {f"index/{p.name}": p.read_bytes() for p in (folder / "index").iterdir() if p.name != "write.lock"}
    return Sample("manifest", files, lambda place: open_index(place / "index").docnos([0, 3]))


def resealed(data: bytes) -> bytes:
    """A manifest under the checksum of what it holds, so that what is behind the checksum is reached."""
    try:
        manifest = json.loads(data)
        return sealed(manifest) if isinstance(manifest, dict) else data
    except (ValueError, RecursionError):
        return data


def one_input(sample: Sample, name: str, place: Path) -> Callable[[bytes], None]:
    sample.write(place, {})

    def read(data: bytes) -> None:
        (place / name).write_bytes(resealed(data) if sample.name == "manifest" else data)
        try:
            sample.read(place)
        except SparseIRError as error:
            str(error).encode()

    return read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    wanted, name = TARGETS[chosen.target]
    with tempfile.TemporaryDirectory(prefix="guided-") as folder:
        home = Path(folder)
        for part in ("made", "manifest", "seeds"):
            (home / part).mkdir()
        made = [*samples(home / "made"), manifest_sample(home / "manifest")]
        sample = next(s for s in made if s.name == wanted)
        (home / "seeds" / "sound").write_bytes(sample.files[name])
        have = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        limits = [f"-max_total_time={chosen.seconds}", f"-timeout={SECONDS_AN_INPUT}", f"-seed={chosen.seed}"]
        limits += [f"-rss_limit_mb={have + (MEMORY >> 20)}", "-max_len=65536"]
        atheris.Setup([sys.argv[0], *limits, str(home / "seeds")], one_input(sample, name, home / "place"))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
