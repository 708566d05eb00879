"""Mutated index files against all that reads an index: a named error or a right answer, never a crash.

    python -m tests.fuzz.mutate_index --count 20000 --seed 1
    python -m tests.fuzz.mutate_index --first 5000 --count 1 --seed 1

Half of the mutations are blind (bit flips, truncations, splices); the other half edit a field or a section and repair
every checksum above it, so that they reach the code after the checksums. Each mutated index is searched, verified,
inspected and exported, a view of it is made, and it is compacted and added to, in either order. A blind mutation may cost
an error, but then the writers leave every file as it is; where a writer goes through, the index holds what it held before.
A compaction that goes through leaves an index that `verify` passes, whatever was mutated, as does a salvage of a copy.

A mutation is known by the seed and its number, so a range of them can be run alone and a finding again. They run in forked
processes: a crash, more than a minute or a gigabyte is told with the number, and the run goes on behind it.

Sections and segments are read from heap copies of exactly their length, so that AddressSanitizer sees a read past the end;
set NUMBA_BOUNDSCHECK=1 for the compiled loops of document ordering.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from indexer import compact_index, open_index, verify_index
from indexer.errors import SparseIRError
from indexer.inspect import inspect_index
from tests.fuzz.forks import Limits, forked
from tests.fuzz.index_mutations import mutate
from tests.fuzz.index_samples import Sample, answers_of, content_of, extend, files_of, heap_sections, make_samples


def attempt(name: str, call: Callable[[], Any], outcomes: list[str]) -> Any:
    """What `call` returns, or None where it refuses. Anything but a SparseIRError is the caller's to see."""
    try:
        found = call()
    except SparseIRError as error:
        outcomes.append(f"{name}:{type(error).__name__}")
        return None
    outcomes.append(name)
    return found


def try_index(path: Path, sample: Sample, repaired_sums: bool, rng: np.random.Generator) -> list[str]:
    """Read and write a mutated index in every way; the names of the outcomes."""
    outcomes: list[str] = []
    answers = attempt("search", lambda: answers_of(path), outcomes)
    report = attempt("verify", lambda: verify_index(path), outcomes)
    if report is not None and not repaired_sums:
        assert answers == sample.answers, "verified, yet other answers"
    if attempt("open", lambda: open_index(path), []) is not None and documents_in(path) > 1_000_000:
        return [*outcomes, "too many documents claimed"]
    attempt("inspect", lambda: inspect_index(path), outcomes)
    content = attempt("export", lambda: content_of(path), outcomes)
    assert content is None or repaired_sums or content == sample.content, "exported, yet other content"
    layout = (None, "standard", "packed", "compact")[int(rng.integers(0, 4))]
    attempt("salvage", lambda: try_salvage(path, sample, repaired_sums), outcomes)
    writers = [("compact", lambda: compact_index(path, layout=layout)), ("add", lambda: extend(path))]
    expected = sample.compacted
    for name, write in writers if rng.random() < 0.5 else writers[::-1]:
        before = files_of(path)
        done: list[str] = []
        attempt(name, lambda call=write: call() or True, done)
        outcomes += done
        if done != [name]:
            assert repaired_sums or files_of(path) == before, f"{name} failed, yet changed files"
            continue
        expected = sample.extended if name == "add" else expected
        if name == "compact" and files_of(path) != before:
            check_compacted(path, None if repaired_sums else expected)
    return outcomes


def try_salvage(path: Path, sample: Sample, repaired_sums: bool) -> None:
    """What is salvaged of a copy passes `verify`, and after a blind mutation holds nothing that the index did not."""
    copy = path.with_name("salvaged")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    before = files_of(copy)
    try:
        report = compact_index(copy, salvage=True)
    except SparseIRError:
        assert repaired_sums or files_of(copy) == before, "salvage refused, yet changed files"
        raise
    if report.kept_in is None:
        return  # without damage it is a compaction, which is tried below
    check_compacted(copy, None)
    if repaired_sums:
        return
    known = {ordinal: rest for ordinal, *rest in sample.content}
    found = content_of(copy)
    bare = sum(part.documents for part in report.left if part.what == "fields")
    for ordinal, name, vector, fields in found:
        assert [name, vector] == known[ordinal][:2], "salvaged, yet other content"
        bare -= fields != known[ordinal][2]
    lost = sum(part.documents for part in report.left if part.what == "documents")
    assert bare >= 0, "salvaged, yet more fields lost than said"
    assert len(found) + lost == len(known), "salvaged, yet more documents lost than said"


def check_compacted(path: Path, expected: list | None) -> None:
    """An index that was compacted passes `verify` and holds what it held."""
    try:
        verify_index(path)
    except SparseIRError as error:
        raise AssertionError(f"compacted, yet refused by verify: {error}") from error
    assert expected is None or content_of(path) == expected, "compacted, yet other content"


def documents_in(path: Path) -> int:
    """Documents that the segments claim to hold: a damaged header may tell of billions of empty ones."""
    return sum(s.num_docs for s in open_index(path).segments)


def try_mutation(
    number: int, *, seed: int, samples: Sequence[Sample], scratch: Path, inside: bool = False
) -> list[str]:
    """The outcomes of one mutation."""
    rng = np.random.default_rng([seed, number])
    sample = samples[int(rng.integers(0, len(samples)))]
    files, repaired_sums = mutate(rng, sample.files, inside=inside)
    path = scratch / "mutated"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for name, data in files.items():
        (path / name).write_bytes(data)
    with heap_sections():
        return ["sealed" if repaired_sums else "unsealed", *try_index(path, sample, repaired_sums, rng)]


def run(numbers: range, seed: int, *, inside: bool = False) -> tuple[Counter[str], dict[int, str]]:
    """(how often each outcome came, what was found by number of the mutation)."""
    counts: Counter[str] = Counter()
    faults: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        samples = make_samples(Path(scratch), seed)
        work = partial(try_mutation, seed=seed, samples=samples, scratch=Path(scratch), inside=inside)
        for result in forked(work, numbers, Limits()):
            counts.update(["mutations", *result.outcomes])
            if result.fault:
                faults[result.number] = result.fault
                print(f"seed {seed}, mutation {result.number}: {result.fault}", file=sys.stderr, flush=True)
            if counts["mutations"] % 1000 == 0:
                print(f"{counts['mutations']} mutations, {len(faults)} faults", file=sys.stderr, flush=True)
    return counts, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help="edit values of sections alone, under right checksums")
    chosen = parser.parse_args()
    counts, faults = run(range(chosen.first, chosen.first + chosen.count), chosen.seed, inside=chosen.inside)
    print(json.dumps({**dict(counts.most_common()), "faults": sorted(faults)}, indent=1))
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
