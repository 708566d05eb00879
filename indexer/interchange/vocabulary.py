"""Term strings and their ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.errors import DataError
from indexer.format.query_side import QueryFiles
from indexer.interchange.vocabulary_files import FILES, TERMS_FILE, AfterTokenizer, load_terms, parsed_terms
from indexer.vectors import MAX_TERM_ID

if TYPE_CHECKING:
    from indexer.interchange.output import TextSink

_CACHED_INTEGERS = 1 << 20


class UnknownTermError(ValueError):
    """A term the vocabulary has no id for; readers turn it into a DataError with the place."""


class _Table(dict[str, int]):
    """A dict that asks a rule for the terms it lacks, so that the common case stays in C."""

    __slots__ = ("rule",)

    def __init__(self, rule: Callable[[str], int]) -> None:
        super().__init__()
        self.rule = rule

    def __missing__(self, term: str) -> int:
        return self.rule(term)


class Vocabulary:
    """Term string → term id, by one of three rules that the caller chooses.

    `Vocabulary.growing()`
        a term takes the next id when it is first seen, so ids follow the order of the data: first term 0, or the first
        after those of a list that is given.
    `Vocabulary.fixed(terms)`
        term i of the list has id i; any other term is refused, or ignored where that was asked for (queries may hold
        terms no document has).
    `Vocabulary.integers(num_terms)`
        a term is the decimal number of its id ("2023": no sign, no leading zero); anything else is refused. Where it
        grows, num_terms follows the largest id seen.

    `Vocabulary.load(path)` reads a fixed one from a file or a model folder.
    """

    def __init__(self, terms: Iterable[str] | None, *, grows: bool, limit: int, ignore_unknown: bool = False) -> None:
        self._table = _Table(self._integer if terms is None else self._grow if grows else self._refuse)
        self._smallest_size = 1
        self._terms: list[str] | None = None if terms is None else list(terms)
        self._limit = limit
        self._ignore_unknown = ignore_unknown
        self.grows = grows
        listed = self._terms or []
        self._table.update(zip(listed, range(len(listed)), strict=True))
        if len(self._table) < len(listed):
            raise _named_twice(listed)
        if len(self._table) > limit:
            raise DataError(f"{len(self._table)} terms in a vocabulary of size {limit}")

    @classmethod
    def growing(cls, terms: Iterable[str] = (), *, num_terms: int = MAX_TERM_ID + 1) -> Vocabulary:
        """Ids in the order of first sight, after the given terms; more than num_terms different ones are refused."""
        return cls(terms, grows=True, limit=num_terms)

    @classmethod
    def fixed(cls, terms: Iterable[str], *, num_terms: int | None = None, ignore_unknown: bool = False) -> Vocabulary:
        """Ids are places in `terms`; num_terms may be larger than the list (a model's padded output layer)."""
        listed = list(terms)
        return cls(listed, grows=False, limit=num_terms or max(1, len(listed)), ignore_unknown=ignore_unknown)

    @classmethod
    def integers(
        cls, num_terms: int = MAX_TERM_ID + 1, *, grows: bool = False, ignore_unknown: bool = False
    ) -> Vocabulary:
        """Terms are their ids in decimal digits, below num_terms, or beyond where it grows."""
        made = cls(None, grows=grows, limit=MAX_TERM_ID + 1 if grows else num_terms, ignore_unknown=ignore_unknown)
        made._smallest_size = num_terms
        return made

    @classmethod
    def load(cls, path: str | Path, *, num_terms: int | None = None, ignore_unknown: bool = False) -> Vocabulary:
        """A fixed vocabulary from terms.jsonl (one JSON string a line; that of an index may need the tokenizer.json beside
        it), tokenizer.json, vocab.json, vocab.txt, or a folder that holds one of them.

        Raises
        ------
        DataError : no such file, or not a vocabulary.
        """
        return cls._named(load_terms(Path(path)), Path(path), num_terms, ignore_unknown)

    @classmethod
    def _named(cls, terms: list[str], path: Path, num_terms: int | None, ignore_unknown: bool) -> Vocabulary:
        try:
            return cls.fixed(terms, num_terms=num_terms, ignore_unknown=ignore_unknown)
        except DataError as error:
            raise DataError(str(error), path=path) from None

    @classmethod
    def of_index(
        cls, side: QueryFiles | None, num_terms: int, *, grows: bool = False, ignore_unknown: bool = False
    ) -> Vocabulary:
        """What terms mean in an index: the strings its query side holds, or the decimal ids where it holds none.

        Parameters
        ----------
        grows : no model fixed the terms; others take the ids that follow.

        Raises
        ------
        DataError : the query side's vocabulary is damaged.
        """
        name = next((name for name in FILES if side is not None and name in side), None)
        if side is None or name is None:
            return cls.integers(num_terms, grows=grows, ignore_unknown=ignore_unknown)
        place = side.path / name
        try:
            terms = parsed_terms(side.read(name), place, side.read)
        except KeyError as error:
            raise DataError(f"begins with the terms of {error.args[0]}, which is not beside it", path=place) from None
        if grows:
            padding = [f"[{i}]" for i in range(len(terms), num_terms)] if terms else []
            return cls.growing([*terms, *padding])
        return cls._named(terms, place, num_terms, ignore_unknown)

    @property
    def num_terms(self) -> int:
        """Size of the id space: every id is below it. At least 1."""
        return max(self._smallest_size, len(self._terms or ())) if self.grows else self._limit

    @property
    def terms(self) -> list[str] | None:
        """The strings, place i for id i; None when terms are plain numbers."""
        return self._terms

    def id_of(self, term: str) -> int:
        """Id of a term; -1 for an unknown one that is ignored.

        Raises
        ------
        UnknownTermError
        """
        return self._table[term]

    @property
    def lookup(self) -> Callable[[str], int]:
        """`id_of` as the fastest callable there is, for loops over postings."""
        return self._table.__getitem__

    def term(self, term_id: int) -> str:
        """String of an id; "[7]" for id 7 where the list has no string."""
        if self._terms is None:
            return str(term_id)
        return self._terms[term_id] if term_id < len(self._terms) else f"[{term_id}]"

    def check_same_ids(self, other: Vocabulary, path: Path) -> None:
        """Refuse strings that have other ids in `other`. Ids for which one of the two has no string are not compared.

        Raises
        ------
        DataError : the first id with two meanings, with the path that these strings come from.
        """
        if self._terms is None or other._terms is None:
            return
        for i, (here, there) in enumerate(zip(self._terms, other._terms, strict=False)):
            if here != there:
                raise DataError(
                    f"term id {i} is {here!r} here and {there!r} in the index or model it goes with; give vectors of "
                    "the same vocabulary, or as .jsonl, which names terms by strings",
                    path=path,
                )

    def save(self, folder: str | Path, *, after: AfterTokenizer | None = None) -> Path:
        """Write terms.jsonl into a folder, e.g. a query side, so that an index carries its terms.

        Parameters
        ----------
        after : the first terms are those of the tokenizer.json there, and the others begin with its mark; nothing of this is checked.

        Raises
        ------
        DataError : terms are plain numbers, so there is nothing to write.
        """
        from indexer.interchange.output import replacing

        if self._terms is None:
            raise DataError("a vocabulary of integers has no strings to save")
        target = Path(folder) / TERMS_FILE
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as sink:
            if after is not None:
                sink.write(after.line)
            skipped, mark = (0, 0) if after is None else (after.terms, len(after.mark))
            write_strings(sink.write, (term[mark:] for term in self._terms[skipped:]))
        return target

    def _grow(self, term: str) -> int:
        assert self._terms is not None
        if len(self._terms) >= self._limit:
            raise UnknownTermError(f"term {term!r} would be number {len(self._terms) + 1} of at most {self._limit}")
        _refuse_surrogates(term)
        self._table[term] = len(self._terms)
        self._terms.append(term)
        return len(self._terms) - 1

    def _refuse(self, term: str) -> int:
        if self._ignore_unknown:
            return -1
        raise UnknownTermError(
            f"term {term!r} is not in the vocabulary of {len(self._table)} terms, which is fixed (by a model, or by whoever "
            "gave the list): give vectors of the same model, or build an index of these alone, without --model"
        )

    def _integer(self, term: str) -> int:
        if not (term.isascii() and term.isdigit() and len(term) <= 10 and (term == "0" or term[0] != "0")):
            raise UnknownTermError(
                f"term {term!r} is not a decimal term id, and the terms it goes with are known by number alone; give "
                "vectors with such ids, or the vocabulary of these terms"
            )
        term_id = int(term)
        if term_id >= self._limit:
            if self._ignore_unknown:
                return -1
            raise UnknownTermError(f"term id {term} is outside the vocabulary 0..{self._limit - 1}")
        self._smallest_size = max(self._smallest_size, term_id + 1)
        if len(self._table) < _CACHED_INTEGERS:
            self._table[term] = term_id
        return term_id


def check_distinct(terms: list[str], path: Path) -> None:
    """Refuse a list that names a term twice.

    Raises
    ------
    DataError : with the term and the file.
    """
    if len(set(terms)) < len(terms):
        raise DataError(str(_named_twice(terms)), path=path)


def _named_twice(terms: list[str]) -> DataError:
    first: dict[str, int] = {}
    twice, place = next((term, i) for i, term in enumerate(terms) if first.setdefault(term, i) != i)
    return DataError(f"term {twice!r} has the ids {first[twice]} and {place}; terms must differ")


def _refuse_surrogates(term: str) -> None:
    try:
        term.encode()
    except UnicodeEncodeError:
        raise UnknownTermError(f"term {term!r} is not valid Unicode") from None


def write_strings(write: TextSink, strings: Iterable[str]) -> None:
    """One JSON string a line: holds any name, line breaks included."""
    for text in strings:
        write(json.dumps(text, ensure_ascii=False).encode() + b"\n")
