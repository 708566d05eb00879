"""What every target of an export is: how it names terms, holds weights, takes documents and queries."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.errors import ConfigError
from indexer.interchange.jsonl.writer import weight_texts
from indexer.interchange.live import Weights
from indexer.interchange.stores.numbers import Floats
from indexer.interchange.stores.pairs import PairTexts
from indexer.interchange.vocabulary import Vocabulary
from indexer.native.queries import quantize_queries
from indexer.vectors import SparseVectors

if TYPE_CHECKING:
    from indexer.interchange.stores.lint import Finding
    from indexer.interchange.stores.survey import Facts

Kind = Literal["str", "int", "float", "bool", "json"]
"""Of a stored field, over all documents that have it; json: lists, objects, or several kinds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The choices of one export; with them a query fits what was loaded.

    Parameters
    ----------
    name : of the index, collection, schema or table.
    weights : what the documents hold.
    num_terms : size of the vocabulary.
    ceiling : the weight that a byte's 255 stands for, for targets that hold bytes.
    fields : kind of each stored field, by the name it is exported under.
    """

    name: str
    weights: Weights = "impact"
    num_terms: int = 1
    ceiling: float = 255.0
    fields: Mapping[str, Kind] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The parameters as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Layout:
        """What `as_json` gave; other keys are passed over."""
        return cls(**{f.name: value[f.name] for f in fields(cls) if f.name in value})


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a target refuses or folds.

    Parameters
    ----------
    term_ids : ids from here on are folded onto smaller ones; None for no limit.
    terms : size of the vocabulary at most.
    row_terms : terms of one document at most.
    key_bytes, docno_bytes, field_bytes : UTF-8 bytes of a term's key, of a docno, of a document's stored fields.
    empty : documents without terms can be loaded; where not, they are left out.
    """

    term_ids: int | None = None
    terms: int | None = None
    row_terms: int | None = None
    key_bytes: int | None = None
    docno_bytes: int | None = None
    field_bytes: int | None = None
    empty: bool = True


class Row(NamedTuple):
    """One document as it is written.

    Parameters
    ----------
    number : its place among the live documents, from 0.
    docno : its name, as JSON.
    fields : its stored fields: the members of a JSON object without the braces, "" for none.
    vector : its terms and weights as `Store.vectors` wrote them; "" for none.
    """

    number: int
    docno: str
    fields: str
    vector: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """One document as it stands in a file: `number` or `docno`, whichever the target keeps, keys and weights."""

    number: int | None
    docno: str | None
    keys: list[str]
    weights: list[float]


class Store(ABC):
    """A target of exports.

    Attributes
    ----------
    name : what users call it. title : what people call it.
    limits : see Limits.
    exact : it finds the best documents by the numbers it holds, not most of them.
    weights : kinds of weights it can hold.
    file : name of the bulk files, with the place for their number. file_bytes : how large one grows unless told.
    largest_query_weight : query weights above it are refused by the target; None for no limit.
    exact_sums : whole scores up to here are held without rounding.
    reserved : names that stored fields cannot have, because the export has them.
    field_names : what the name of a stored field must match.
    unwritable : characters the target refuses in strings; None for none. strict_fields : fields have one kind, and no nulls.
    begins, between, ends : what stands in a bulk file before, between and after documents.
    notes : what somebody who loads it must know.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    limits: ClassVar[Limits] = Limits()
    exact: ClassVar[bool] = True
    weights: ClassVar[tuple[Weights, ...]] = ("impact", "scaled", "stored")
    file: ClassVar[str] = "documents-{:05d}.jsonl"
    file_bytes: ClassVar[int] = 256 << 20
    largest_query_weight: ClassVar[float | None] = None
    exact_sums: ClassVar[int] = 1 << 24
    reserved: ClassVar[tuple[str, ...]] = ("id", "docno", "sparse")
    field_names: ClassVar[re.Pattern[str]] = re.compile(r"[^\0]+")
    unwritable: ClassVar[re.Pattern[str] | None] = None
    strict_fields: ClassVar[bool] = False
    begins: ClassVar[bytes] = b""
    between: ClassVar[bytes] = b"\n"
    ends: ClassVar[bytes] = b"\n"
    query_file: ClassVar[str] = "query.json"
    notes: ClassVar[tuple[str, ...]] = ()

    def key(self, term_id: int, vocabulary: Vocabulary) -> str:
        """How a term is named in documents and queries: its id in decimal, unless a target says otherwise."""
        return str(term_id)

    def folded(self, term_ids: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Term ids as the target tells them apart."""
        limit = self.limits.term_ids
        return term_ids if limit is None else term_ids % np.uint32(limit)

    @abstractmethod
    def held(self, weights: Floats, layout: Layout) -> Floats:
        """Document weights as the target holds them."""

    def as_weights(self, held: Floats, layout: Layout) -> Floats:
        """What `held` stands for, in the unit of the weights."""
        return held

    def largest_weight(self, layout: Layout) -> float:
        """Weights above it are cut to it."""
        return np.inf

    def lint_terms(self, terms: list[str]) -> Iterable[Finding]:
        """What is to be said of the strings of the terms that documents hold."""
        return ()

    def lint_documents(self, facts: Facts) -> Iterable[Finding]:
        """What is to be said of the documents, beyond the limits."""
        return ()

    def held_query(self, weights: Floats, layout: Layout) -> Floats:
        """Query weights, as `query_weights` gives them, as the target holds them."""
        return weights

    def query_weights(self, term_ids: NDArray[np.uint32], weights: Floats, layout: Layout) -> Floats:
        """The numbers of a query: the 12-bit integers our engines score with where documents are impacts, else the floats.

        Both are multiplied by a power of two where the target has a largest weight, which changes no ranking.
        """
        values = integer_weights(term_ids, weights) if layout.weights == "impact" else np.asarray(weights, np.float32)
        limit = self.largest_query_weight
        if limit is None or not len(values):
            return values
        if layout.weights == "impact":
            return values * np.float32(query_unit(limit))
        over = float(values.max()) / limit
        return values if over <= 1 else values * np.float32(2.0 ** -int(np.ceil(np.log2(over))))

    def unit(self, layout: Layout) -> float:
        """Score of the target ÷ our integer score, where documents are impacts and queries as `query_weights` has them."""
        return 1.0 if self.largest_query_weight is None else query_unit(self.largest_query_weight)

    def added(self, scores: NDArray[np.float64], layout: Layout) -> NDArray[np.float64]:
        """Sums of products, taken in float64, as the target gives them: float32, unless a target says otherwise."""
        return scores.astype(np.float32).astype(np.float64)

    def pair(self, key: str) -> str:
        """What stands before a weight: the key as JSON, and a colon."""
        return json.dumps(key, ensure_ascii=False) + ":"

    def vectors(self, rows: SparseVectors, keys: Mapping[int, str]) -> list[str]:
        """The text of each row's terms and weights: KEY:WEIGHT,KEY:WEIGHT unless a target says otherwise.

        Parameters
        ----------
        keys : a comma and what `pair` gave, by term id.
        """
        if isinstance(keys, PairTexts) and (texts := keys.rows(rows)) is not None:
            return texts
        pieces = [""] * (2 * rows.nnz)  # joined as they are: strings of pairs would be made only to be copied
        pieces[::2] = map(keys.__getitem__, rows.term_ids.tolist())
        pieces[1::2] = weight_texts(rows.weights)
        return ["".join(pieces[2 * lo : 2 * hi])[1:] for lo, hi in pairwise(rows.indptr.tolist())]

    @abstractmethod
    def line(self, row: Row, layout: Layout) -> str:
        """A document as the bulk file has it, without what stands between documents."""

    def document_lines(self, lines: Iterable[bytes]) -> Iterable[bytes]:
        """Of the lines of a bulk file those that `parse` takes."""
        return lines

    @abstractmethod
    def parse(self, line: bytes, layout: Layout) -> Parsed:
        """What `line` wrote."""

    @abstractmethod
    def request(self, keys: list[str], weights: list[float], k: int, layout: Layout) -> str:
        """A query as the target takes it."""

    @abstractmethod
    def settings(self, layout: Layout, facts: Facts) -> dict[str, str]:
        """Files beside the bulk files, text by name: mapping, schema, loader."""

    @abstractmethod
    def commands(self, layout: Layout) -> list[str]:
        """Shell lines that create, load and ask."""


def query_unit(limit: float) -> float:
    """The power of two by which 4,095 becomes at most `limit`."""
    return 2.0 ** -int(np.ceil(np.log2(4095 / limit)))


def integer_weights(term_ids: NDArray[np.uint32], weights: Floats) -> Floats:
    """Query weights 1..4095 as every engine here scores with them (`quantize_queries`), as float32."""
    row = SparseVectors(
        np.array([0, len(term_ids)], np.int64), np.ascontiguousarray(term_ids), np.ascontiguousarray(weights), 1 << 31
    )
    return quantize_queries(row)[0].weights.astype(np.float32)


def number(value: float) -> int | float:
    """A weight as JSON should show it: whole numbers without a point."""
    return int(value) if value == int(value) else float(f"{value:.9g}")


def identifier(name: str, pattern: str = r"[^a-z0-9_]", *, lower: bool = True) -> str:
    """A name that every target accepts: lower-case letters, digits and underscores, a letter first."""
    made = re.sub(pattern, "_", name.lower() if lower else name).strip("_")
    return made if re.match("[a-z]", made) else f"index_{made}".rstrip("_")


def check_layout(store: Store, layout: Layout) -> None:
    """Refuse choices that a target does not have.

    Raises
    ------
    ConfigError
    """
    if layout.weights not in store.weights:
        raise ConfigError(
            f"{store.name} cannot hold weights {layout.weights!r}; it takes {' or '.join(map(repr, store.weights))}"
        )
    if layout.name != identifier(layout.name):
        raise ConfigError(f"name is {layout.name!r}; expected lower-case letters, digits and _, a letter first")
    if not (np.isfinite(layout.ceiling) and layout.ceiling > 0):
        raise ConfigError(f"ceiling is {layout.ceiling}; expected a positive number")
