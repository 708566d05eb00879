"""Tokenizers are other people's: where one of their libraries fails over a text, that is one of our errors."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from indexer.errors import is_panic
from sparseir.errors import DataError

_SHOWN = 40


class Tokenizing:
    """Within `with Tokenizing(texts):` a tokenizer reads texts. A class, because searches enter it once a query.

    Parameters
    ----------
    texts : what it reads, for the message.

    Raises
    ------
    DataError : the tokenizer's library panicked, as it does where a regular expression of tokenizer.json gives up.
    """

    __slots__ = ("_texts",)

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or not is_panic(error):
            return
        longest = max(self._texts, key=len, default="")
        which = "a text" if len(self._texts) == 1 else f"one of {len(self._texts)} texts, the longest"
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"the tokenizer fails on {which} of {len(longest)} characters, {longest[:_SHOWN]!a}…: {reason}; shorten the "
            "text, or take a model whose tokenizer.json has no regular expression that goes astray on it"
        ) from error
