"""Largest products of tokens with the terms of a vocabulary, on processors that multiply tiles of bfloat16 (AMX)."""

from __future__ import annotations

import ctypes
import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from indexer.native.header import TermTiles, TokenTiles
from indexer.native.library import library

TOKENS = 16
"""Tokens of a tile."""
DEPTH = 32
"""Rows of tokens are filled up with zeros to a multiple of so many numbers."""
_TERMS = 32
"""Terms are multiplied in blocks of so many."""


@functools.cache
def tiles_usable() -> bool:
    """Whether this processor multiplies tiles of bfloat16 and the system lets this process use them."""
    return bool(library.sir_tiles_usable())


class TiledTerms:
    """A vocabulary in the order in which its products are computed; `tiles_usable` must be true.

    Parameters
    ----------
    weight : uint16 (V, H), the bits of bfloat16 numbers, contiguous.
    """

    def __init__(self, weight: NDArray[np.uint16]) -> None:
        self.num_terms, self.width = weight.shape
        self._tiled = np.empty(library.sir_tiled_terms_size(self.num_terms, self.width), np.uint16)
        library.sir_tile_terms(weight.ctypes.data, self.num_terms, self.width, self._tiled.ctypes.data)

    def largest_products(
        self,
        tokens: NDArray[np.uint16],
        text: NDArray[np.uint32],
        first: NDArray[np.uint32],
        num_texts: int,
        *,
        places: bool,
        num_threads: int = 1,
    ) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
        """max_t h_t · w_v over the tokens t of each text, summed in float32.

        Parameters
        ----------
        tokens : uint16 (16 · tiles, H rounded up to a multiple of 32), bfloat16; zeros beyond H. A tile's tokens are of one
            text, and its last rows repeat a token where the text has no more.
        text, first : uint32 (tiles,): the text of each tile, and the number of its first token in the text.
        num_texts : rows of the result.
        places : also give the number of the first token that attains the maximum.
        num_threads : threads that share the vocabulary.

        Returns
        -------
        float32 (num_texts, V), −inf for a text without tokens, NaN where a product is infinite or NaN; and int32 of the same
        shape or None.
        """
        columns = -(-self.num_terms // _TERMS) * _TERMS
        best = np.full((num_texts, columns), -np.inf, np.float32)
        token = np.zeros(best.shape, np.int32) if places else None
        tiles = TokenTiles(tokens.ctypes.data, text.ctypes.data, first.ctypes.data, len(text))

        def multiply(low: int, high: int) -> None:
            terms = TermTiles(self._tiled.ctypes.data, self.num_terms, self.width, low, high)
            library.sir_max_products(
                ctypes.byref(tiles), ctypes.byref(terms), best.ctypes.data, None if token is None else token.ctypes.data
            )

        share = -(-columns // _TERMS // max(num_threads, 1)) * _TERMS
        parts = [(low, min(low + share, columns)) for low in range(0, columns, share)]
        if len(parts) > 1:
            with ThreadPoolExecutor(len(parts)) as pool:
                list(pool.map(multiply, *zip(*parts, strict=True)))
        else:
            multiply(0, columns)
        return best[:, : self.num_terms], None if token is None else token[:, : self.num_terms]
