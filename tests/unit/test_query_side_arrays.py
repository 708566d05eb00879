"""Files of arrays that numpy has no types for, or that are no such files, are one line with the place and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sparseir.errors import DataError
from sparseir.lexical.arrays import read_arrays
from sparseir.lexical.frequencies import FREQUENCIES_FILE, WordFrequencies
from sparseir.lexical.projection import PROJECTION_FILE, Projection
from sparseir.lexical.term_factors import FACTORS_FILE, TermFactors


def of_type(path: Path, dtype: str, size: int) -> None:
    """A sound file with one array "said" of a type that safetensors knows."""
    header = json.dumps({"said": {"dtype": dtype, "shape": [4], "data_offsets": [0, 4 * size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4 * size))


READERS = {
    FREQUENCIES_FILE: lambda folder: WordFrequencies.load(folder, num_stems=4),
    PROJECTION_FILE: lambda folder: Projection.load(folder, num_stems=4),
    FACTORS_FILE: TermFactors.load,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("dtype", "size"), [("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1)])
def test_types_that_numpy_lacks(tmp_path: Path, name: str, dtype: str, size: int) -> None:
    of_type(tmp_path / name, dtype, size)
    with pytest.raises(DataError, match=rf"{name}.* damaged: .*again"):
        READERS[name](tmp_path)


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 64])
def test_what_is_no_such_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=r"the counts are damaged: .*; count again"):
        read_arrays(tmp_path, "a", "the counts", "count again")


def test_a_sound_file(tmp_path: Path) -> None:
    save_file({"x": np.arange(3)}, tmp_path / "a")
    assert read_arrays(tmp_path, "a", "the counts", "count again")["x"].tolist() == [0, 1, 2]
