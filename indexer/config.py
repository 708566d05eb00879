"""How an index is built, and how those who write to it work."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from indexer.errors import ConfigError
from indexer.format.manifest import EncoderEntry, ShardEntry
from indexer.progress import Progress, silent

ORDERS = ("auto", "input", "clusters", "bisection")
STORED_WEIGHTS = ("none", "f16", "f32")
LAYOUTS = ("standard", "packed", "compact")
MERGES = ("tiered", "none")


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexConfig:
    """What is decided once, when an index is first built, and kept in its manifest.

    Parameters
    ----------
    doc_scale : weight of one impact step; 0 chooses it from the data: the largest weight / 255, unless that is an
        outlier (`indexer.inversion.weights.WeightTally.full_weight`).
    order : internal order of documents: "input" keeps it, "clusters" and "bisection" bring similar documents together,
        "auto" takes what pays at the size. Results never depend on it.
    stored_weights : keep the weights themselves for float-faithful search: "none", "f16" or "f32".
    metadata : names of stored fields that searches can filter on.
    prune_mass : keep, of each document, the heaviest terms that hold this share of its weight; 1 keeps all.
    prune_terms : keep at most this many terms of a document, the heaviest; 0 keeps all.
    prune_postings : keep at most this many postings of a term in each segment as it is built, the heaviest; 0 keeps all.
    layout : of the segments: "standard"; "packed", two thirds of the bytes; "compact", half of them and no maxima of
        blocks, without which there is no block filter.

    Raises
    ------
    ConfigError : every value out of its range, together.
    """

    doc_scale: float = 0.0
    order: str = "auto"
    stored_weights: str = "none"
    metadata: tuple[str, ...] = ()
    prune_mass: float = 1.0
    prune_terms: int = 0
    prune_postings: int = 0
    layout: str = "standard"

    def __post_init__(self) -> None:
        faults = []
        for name, allowed in (("order", ORDERS), ("stored_weights", STORED_WEIGHTS), ("layout", LAYOUTS)):
            if getattr(self, name) not in allowed:
                faults.append(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}")
        if not (math.isfinite(self.doc_scale) and self.doc_scale >= 0):
            faults.append(f"doc_scale is {self.doc_scale}; expected a positive number, or 0 to choose it")
        if not 0 < self.prune_mass <= 1:
            faults.append(f"prune_mass is {self.prune_mass}; expected a share in (0, 1]")
        faults += [
            f"{name} is {getattr(self, name)}; expected 0 (keep all) or more"
            for name in ("prune_terms", "prune_postings")
            if getattr(self, name) < 0
        ]
        if faults:
            raise ConfigError("index: " + "; ".join(faults))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IndexConfig:
        """Of the values that `as_dict` gave, as a manifest keeps them.

        Raises
        ------
        ConfigError : other keys, or values out of range.
        """
        try:
            return cls(**{**values, "metadata": tuple(values.get("metadata", ()))})
        except TypeError as error:
            raise ConfigError(f"the config an index was built with cannot be read ({error})") from None

    def as_dict(self) -> dict[str, object]:
        """Plain values for the manifest."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**values, "metadata": list(self.metadata)}


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteOptions:
    """Keywords of everything that writes documents; they concern this one call and are not kept.

    Parameters
    ----------
    encoder : the model the vectors come from: its fingerprint, or the whole entry.
    num_threads : threads to use.
    progress : called as work goes on.

    Raises
    ------
    ConfigError : no thread.
    """

    encoder: EncoderEntry | str | None = None
    num_threads: int = 1
    progress: Progress = silent

    def __post_init__(self) -> None:
        if self.num_threads < 1:
            raise ConfigError(f"num_threads is {self.num_threads}; expected 1 or more")

    @classmethod
    def of(cls, verb: str, given: Mapping[str, Any]) -> Self:
        """The keywords a caller gave.

        Raises
        ------
        TypeError : keywords the verb does not take, all of them named.
        """
        known = [f.name for f in fields(cls)]
        unknown = [name for name in given if name not in known]
        if unknown:
            raise TypeError(f"{verb} takes no {', '.join(unknown)}; its options are {', '.join(known)}")
        return cls(**given)


@dataclass(frozen=True, kw_only=True, slots=True)
class AddOptions(WriteOptions):
    """Keywords of `add_documents`.

    Parameters
    ----------
    grown_query_side : folder of a query side that takes the place of the one in the index, in the same commit: the terms
        of that one with the same ids, and new ones after them, which these documents may hold. It is copied when the last
        document has been read; a folder that is empty then changes nothing.
    also_replaced : with replace_existing, called with the index as it is under the lock and the names of the new
        documents; what it gives are names of further documents that go.
    merge : "tiered" merges small segments in the same commit, so that the number of segments grows with the logarithm of
        the index (`indexer.merge.tiers`); "none" leaves all to `compact_index`.

    Raises
    ------
    ConfigError : no thread; no such merge.
    """

    grown_query_side: str | Path | None = None
    also_replaced: Callable[[Any, Sequence[str]], Sequence[str]] | None = None
    merge: str = "tiered"

    def __post_init__(self) -> None:
        WriteOptions.__post_init__(self)
        if self.merge not in MERGES:
            raise ConfigError(f"merge is {self.merge!r}; expected one of {', '.join(MERGES)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildOptions(WriteOptions):
    """Keywords of `build_index`.

    Parameters
    ----------
    query_side : folder with the encoder's query side; copied into the index.
    source : what the vectors were read from, for people; kept where no encoder is known.
    overwrite : replace an index at the path; without it that is an error.
    memory_budget : bytes of working memory beyond the input; 0 sets no limit.
    shard, first_ordinal : which shard of a collection this is, and the place of its first document in that; left out, the
        index is a collection of its own. See `indexer.shard_build`.
    """

    query_side: str | Path | None = None
    source: str | None = None
    overwrite: bool = False
    memory_budget: int = 0
    shard: ShardEntry | None = None
    first_ordinal: int = 0
