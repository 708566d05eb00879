"""Mutated files of every format that is read: a named error with its place or a result, never a traceback.

    python -m tests.fuzz.mutate_inputs --count 20000 --seed 1

Half of the mutations are blind (bit flips, cuts, splices), the others put hostile words into text: half characters, deep
nesting, numbers beyond range, lists for objects. Packed files are mutated outside and, packed again, inside. Each read has a
limit of time, the process one of memory: what would take more than a gigabyte beyond its start ends in a MemoryError.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import resource
import shutil
import signal
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from indexer.errors import SparseIRError
from tests.fuzz.input_samples import Sample, model_samples, samples

DEEP = 100_000
WORDS = (
    rb"\ud800", rb"\udfff\ud800", b"\xed\xa0\x80", b"\xff\xfe", b"\x00", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x85",
    b"[" * DEEP, b'{"a":' * DEEP, b"1e999", b"-1e999", b"NaN", b"-Infinity", b"9" * 5000, b"1e-400", b"-1", b"-0.0",
    b"18446744073709551616", b"4294967296", b"2147483648", b"[]", b"{}", b"null", b"true", b'""', b"[[]]", b'"x"',
    b'{"x":1}', b"\t", b"\n", b"\r", b" ", b",", b":", b'"', b"\\", b"(", b")", b"&a [*a,*a]", b"!!python/name:os.system",
    b"2026-13-45", b"? [a]\n: b", b"<<: *a", b"1:99:99", b"x" * 70_000,
)  # fmt: skip
SECONDS = 20
MEMORY = 1 << 30
"""Bytes of address space beyond what the process has when the inputs are made."""


class TooSlow(BaseException):
    """Raised by the alarm; no reader may catch it."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Stops the block after a time of the processor, so that a busy machine makes no findings, or ten times that of the clock."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = {number: signal.signal(number, ring) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(10 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def outcome(read: Callable[[Path], Any], folder: Path) -> tuple[str, str]:
    """("ok" | "refused" | "no place" | "fault", what was raised)."""
    try:
        with limited(SECONDS):
            read(folder)
    except SparseIRError as error:
        message = str(error)
        try:
            message.encode()
        except UnicodeEncodeError:
            return "fault", f"a message that cannot be printed: {message!a}"
        return ("refused" if folder.name in message else "no place"), message
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return "fault", f"{type(error).__name__}: {str(error)[:200]!a}\n" + "".join(traceback.format_exc(limit=-6))
    return "ok", ""


def mutated(data: bytes, rng: np.random.Generator, name: str) -> bytes:
    """One to three changes; what is packed is changed inside half of the time."""
    if rng.random() < 0.5:
        if name.endswith(".gz"):
            return gzip.compress(changed(gzip.decompress(data), rng), 1)
        if name.endswith((".zip", ".npz")):
            return _changed_member(data, rng)
        if name.endswith(".safetensors"):
            size = int.from_bytes(data[:8], "little")
            header = changed(data[8 : 8 + size], rng)
            return len(header).to_bytes(8, "little") + header + data[8 + size :]
    return changed(data, rng)


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    for _ in range(int(rng.integers(1, 4))):
        data = _change(data, rng)
    return data


def _change(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(data) + 1))
    to = min(len(data), at + int(rng.integers(1, 1 + max(1, len(data) // int(rng.integers(2, 40))))))
    kind = rng.integers(7)
    if kind == 0 and data:
        flipped = bytearray(data)
        flipped[at % len(data)] ^= 1 << int(rng.integers(8))
        return bytes(flipped)
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + data[to:]
    if kind == 3:
        return data[:to] + data[at:]
    word = WORDS[int(rng.integers(len(WORDS)))]
    if kind == 4:
        return data[:at] + word + data[at:]
    return _word_replaced(data, word, rng)


def _word_replaced(data: bytes, word: bytes, rng: np.random.Generator) -> bytes:
    """A value of the text in place: from one mark of punctuation to the next."""
    marks = [i for i, byte in enumerate(data[:200_000]) if byte in b'{}[],:"\t\n ']
    if len(marks) < 2:
        return word
    chosen = int(rng.integers(len(marks) - 1))
    last = min(len(marks) - 1, chosen + int(rng.integers(1, 4)))
    return data[: marks[chosen] + 1] + word + data[marks[last] :]


def _changed_member(data: bytes, rng: np.random.Generator) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = list(members)[int(rng.integers(len(members)))]
    members[name] = changed(members[name], rng)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return packed.getvalue()


@dataclass
class Findings:
    """What a run has seen."""

    counts: Counter[tuple[str, str]]
    faults: dict[str, str]


def run(chosen: list[Sample], count: int, seed: int, seconds: float) -> Findings:
    """Mutate files of the samples in turn until the count or the time is reached."""
    rng = np.random.default_rng(seed)
    found = Findings(Counter(), {})
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="mutate-inputs-") as top:
        place = Path(top) / "hostile-place"
        for number in range(count):
            if time.monotonic() > end:
                break
            sample = chosen[number % len(chosen)]
            name = sample.mutable[int(rng.integers(len(sample.mutable)))]
            content = mutated(sample.files[name], rng, name)
            sample.write(place, {name: content})
            kind, said = outcome(sample.read, place)
            found.counts[sample.name, kind] += 1
            if kind in ("fault", "no place"):
                key = f"{sample.name} {name} {said.strip().splitlines()[0][:120]} {said.strip().splitlines()[-1][:80]}"
                if key not in found.faults:
                    found.faults[key] = f"{said}\nseed {seed}, mutation {number}, {name}: {content[:300]!r}"
            shutil.rmtree(place)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--only", default="", help="samples whose name holds this")
    parser.add_argument("--models", action="store_true", help="model folders, which take torch and longer")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="input-samples-") as folder:
        made = model_samples(Path(folder)) if given.models else samples(Path(folder))
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
        found = run([s for s in made if given.only in s.name], given.count, given.seed, given.seconds)
    table: dict[str, dict[str, int]] = {}
    for (name, kind), number in sorted(found.counts.items()):
        table.setdefault(name, {})[kind] = number
    for name, kinds in table.items():
        print(f"{name:28} {json.dumps(kinds)}")
    print(f"{sum(found.counts.values())} mutations, {len(found.faults)} distinct faults")
    for key, said in found.faults.items():
        print(f"\n=== {key}\n{said}")
    return 1 if found.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
