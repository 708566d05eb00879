"""PostgreSQL with pgvector: sparsevec, loaded by COPY, exact without an index."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import ClassVar

from indexer.errors import DataError
from indexer.interchange.stores.lint import Finding
from indexer.interchange.stores.numbers import Floats, same
from indexer.interchange.stores.store import Layout, Limits, Parsed, Row, Store, number
from indexer.interchange.stores.survey import Facts
from indexer.interchange.vocabulary import Vocabulary

_HNSW_TERMS = 1_000
_DIMENSIONS = 1_000_000_000
"""The most pgvector takes. Vectors of another dimension are refused, so a vocabulary that grows could not be added to."""
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_UNESCAPE = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}


class Pgvector(Store):
    """Terms count from 1; a document that shares no term with a query has the distance 0."""

    name = "pgvector"
    title = "pgvector (sparsevec)"
    limits = Limits(terms=_DIMENSIONS, row_terms=16_000)
    file = "documents-{:05d}.copy"
    unwritable = re.compile("\0")
    query_file = "query.sql"

    def key(self, term_id: int, vocabulary: Vocabulary) -> str:
        """Ids count from 1."""
        return str(term_id + 1)

    def pair(self, key: str) -> str:
        """A bare number."""
        return f"{key}:"

    def held(self, weights: Floats, layout: Layout) -> Floats:
        """float32."""
        return same(weights)

    def lint_documents(self, facts: Facts) -> Iterable[Finding]:
        """What an HNSW index would refuse."""
        over = int((facts.lengths > _HNSW_TERMS).sum())
        if over:
            text = f"{over:,} documents hold more than {_HNSW_TERMS:,} terms: no HNSW index can be made, the exact scan can"
            yield Finding("note", "hnsw", over, text)

    def line(self, row: Row, layout: Layout) -> str:
        """A line of COPY in text format.

        Raises
        ------
        DataError : a name with a zero byte, which PostgreSQL has no place for.
        """
        docno = json.loads(row.docno)
        if "\0" in docno:
            raise DataError(f"document {row.number} has the name {docno!r}; PostgreSQL holds no zero bytes: rename it")
        fields = f"{{{row.fields}}}"
        return (
            f"{row.number}\t{docno.translate(_ESCAPES)}\t{fields.translate(_ESCAPES)}\t{{{row.vector}}}/{_DIMENSIONS}"
        )

    def parse(self, line: bytes, layout: Layout) -> Parsed:
        """A line of COPY."""
        row, docno, _, vector = line.decode().rstrip("\n").split("\t")
        name = re.sub(r"\\(.)", lambda match: _UNESCAPE[match[1]], docno)
        pairs = [pair.split(":") for pair in vector[1 : vector.rindex("}")].split(",") if pair]
        return Parsed(int(row), name, [key for key, _ in pairs], [float(weight) for _, weight in pairs])

    def settings(self, layout: Layout, facts: Facts) -> dict[str, str]:
        """The table."""
        return {
            "schema.sql": "CREATE EXTENSION IF NOT EXISTS vector;\n"
            f"CREATE TABLE {layout.name} (id bigint PRIMARY KEY, docno text NOT NULL, fields jsonb NOT NULL, "
            f"sparse sparsevec({_DIMENSIONS}) NOT NULL);\n"
        }

    def commands(self, layout: Layout) -> list[str]:
        """Create, load, ask."""
        columns = "(id, docno, fields, sparse)"
        return [
            'psql -v ON_ERROR_STOP=1 "$HOST" -f schema.sql',
            f'for f in documents-*.copy; do psql -v ON_ERROR_STOP=1 "$HOST" -c "\\\\copy {layout.name} {columns} from \'$f\'"; done',
            'psql "$HOST" -f query.sql',
        ]

    def request(self, keys: list[str], weights: list[float], k: int, layout: Layout) -> str:
        """A SELECT; <#> is the negative inner product."""
        pairs = ",".join(f"{key}:{number(weight)}" for key, weight in zip(keys, weights, strict=True))
        query = f"'{{{pairs}}}/{_DIMENSIONS}'"
        return (
            f"SELECT docno, -(sparse <#> {query}) AS score FROM {layout.name}\n"
            f"WHERE sparse <#> {query} < 0 ORDER BY sparse <#> {query}, id LIMIT {k};\n"
        )

    notes: ClassVar[tuple[str, ...]] = (
        "query.sql scans the table: exact, and as slow as the table is long. An HNSW index is approximate",
    )
