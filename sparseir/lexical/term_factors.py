"""What a fit to judgements made of the queries of an index, factors of terms and words that are added: a file of its query side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.format.query_side import QueryFiles
from sparseir.errors import DataError
from sparseir.lexical.added_words import AddedWords
from sparseir.lexical.arrays import read_arrays

FACTORS_FILE = "query_factors.safetensors"


class TermFactors:
    """A factor of each term, both channels; the table of learned terms is stored with its own multiplied in.

    Parameters
    ----------
    factors : float32 (terms,), finite and ≥ 0; terms that came later count 1.
    table : float32 (V,), the weights of the learned terms before; None for an index of words alone.
    added : words that words of queries add.
    """

    def __init__(
        self,
        factors: NDArray[np.float32],
        table: NDArray[np.float32] | None = None,
        added: AddedWords | None = None,
    ) -> None:
        self.factors, self.table, self.added = factors, table, added

    def of(self, term_id: int) -> float:
        """The factor of a term."""
        return float(self.factors[term_id]) if term_id < len(self.factors) else 1.0

    def save(self, folder: Path) -> None:
        """Write the file into a query side."""
        from safetensors.numpy import save_file

        arrays: dict[str, NDArray[np.float32] | NDArray[np.uint32]] = {"factors": self.factors}
        if self.table is not None:
            arrays["table"] = self.table
        if self.added is not None:
            arrays |= self.added.arrays()
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / FACTORS_FILE)

    @classmethod
    def load(cls, source: Path | QueryFiles) -> TermFactors | None:
        """Read what `save` wrote, from a folder or from the files of an opened index; None where nothing was fitted.

        Raises
        ------
        DataError : the file is damaged.
        """
        folder = source.path if isinstance(source, QueryFiles) else source
        path = folder / FACTORS_FILE
        if not (FACTORS_FILE in source if isinstance(source, QueryFiles) else path.exists()):
            return None
        found = read_arrays(source, FACTORS_FILE, "the fitted query weights", "fit them again")
        try:
            arrays = [found["factors"], *([found["table"]] if "table" in found else [])]
            added = AddedWords.from_arrays(found)
        except (KeyError, ValueError) as error:
            raise DataError(f"the fitted query weights are damaged: {error!r}; fit them again", path=path) from None
        if any(a.dtype != np.float32 or a.ndim != 1 or not np.isfinite(a).all() or (a < 0).any() for a in arrays):
            raise DataError("the fitted query weights are no numbers of at least 0; fit them again", path=path)
        return cls(arrays[0], arrays[1] if len(arrays) == 2 else None, added)
