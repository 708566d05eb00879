"""The `data` section: what an encoder is trained on."""

from __future__ import annotations

from dataclasses import dataclass

from sparseir.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Texts, queries, positives, negatives, and the set that watches over training."""

    dataset: str | tuple[str, ...] = ()
    """Collections to learn from: BEIR folders, zips or names, one or a list. They take turns by number of queries."""

    split: str = "train"
    """Judgements that give the positives: qrels/<split>.tsv. Empty: none, the texts alone are used."""

    data_dir: str = "data"
    """Where BEIR names are looked for, and downloaded to."""

    format: str | None = None
    """Format of the corpora of `dataset` and `dev_dataset`, where their endings do not say: jsonl, json, csv, tsv, parquet,
    text or msmarco."""

    fields: str | None = None
    """Keys or columns of those corpora where they are not the usual ones: id=KEY,text=KEY,title=KEY."""

    triples: str | None = None
    """Queries with their positive and any negatives, as texts: JSON lines {"query", "positive", "negatives", "scores"} (or
    "anchor", "positive" …), TSV, CSV, Parquet, or a folder `datasets` saved. Scores are a teacher's: name it scores:FILE."""

    prepared: str | None = None
    """Folder of `sparseir data prepare`, read from disk instead of dataset and triples; then negatives names its tables of
    negatives, and teachers are scores:NAME of it. null: none."""

    workers: int = 0
    """Processes that assemble batches ahead of the step; 0: the training process itself. Teachers that run a model need 0."""

    vectors: tuple[str, ...] = ()
    """JSON lines {"_id", "text", "vector": {token: weight}} of a sparse teacher, for objective vectors."""

    embeddings: str | None = None
    """csr: dense embeddings of the documents of `dataset` by its base, made before: X.npy, and X.ids with a docno a line.
    null: the base embeds them, each once."""

    query_embeddings: str | None = None
    """csr: those of the queries, in the same two files, the names being the queries' ids."""

    expansions: str | None = None
    """Text a model wrote for the documents of `dataset`, doc2query's predicted queries say: JSON lines {"id",
    "predicted_queries"}, or docno<TAB>text. unicoil and deepimpact read it after the document. null: expansions.jsonl
    beside the corpus, or its own field expansion, where there is one."""

    title_queries: float = 0.0
    """Share of the training queries made from titles: the title asks, its document answers. Needs no judgements."""

    max_queries: int | None = None
    """Most judged queries of each collection, the first in file order; null: all."""

    max_documents: int | None = None
    """Most documents read of each collection, the first in file order; queries whose positives are not
    among them are dropped; null: all."""

    min_relevance: int = 1
    """Judgements from this grade on are positives."""

    num_negatives: int = 1
    """Hard negatives beside the positive of each query."""

    negatives: tuple[str, ...] = ("bm25",)
    """bm25, dense: searches whose best documents become hard negatives; several are pooled, none: random documents. With
    prepared: names of its tables of negatives."""

    negative_depth: int = 50
    """How deep those searches look."""

    false_negative_margin: float = 0.95
    """A negative whose teacher score reaches this share of the positive's is dropped as a likely positive; 1 or more
    keeps all below the positive. Needs a teacher."""

    neighbour_batches: bool = False
    """Whether the queries of a batch are neighbours of each other, so that in-batch negatives are hard."""

    max_document_length: int = 256
    """Tokens of a document used in training; the model's own length is for encoding."""

    terms_of_use: str | None = None
    """What the model card says about the terms of use of texts and teachers; null: that they hold for the weights too."""

    dev_dataset: str | None = None
    """BEIR folder, zip or name that is evaluated during training; null: none."""

    dev_split: str = "dev"
    """Its judgements."""

    dev_documents: int | None = None
    """Evaluate on the judged documents and this many others, for speed; null: the whole collection."""

    def __post_init__(self) -> None:
        faults = [
            f"{name}: expected at least {low}, found {value}"
            for name, low in (("num_negatives", 0), ("negative_depth", 1), ("max_document_length", 8), ("workers", 0))
            if (value := getattr(self, name)) < low
        ]
        if not 0 <= self.title_queries <= 1:
            faults.append(f"title_queries: a share from 0 to 1, found {self.title_queries}")
        faults += [
            f"{name}: expected at least 1 or null, found {value}"
            for name in ("max_queries", "max_documents")
            if (value := getattr(self, name)) is not None and value < 1
        ]
        if not self.false_negative_margin > 0:
            faults.append(f"false_negative_margin: expected a positive number, found {self.false_negative_margin}")
        faults += self._faults_of_sources()
        if faults:
            raise ConfigError("\n".join(faults))

    def _faults_of_sources(self) -> list[str]:
        """Keys that contradict where the data is read from."""
        if self.prepared is None:
            unknown = [name for name in self.negatives if name not in ("bm25", "dense")]
            return [f"negatives: {name!r} is neither bm25 nor dense" for name in unknown]
        beside = {
            "dataset": self.dataset, "triples": self.triples, "vectors": self.vectors, "max_documents": self.max_documents,
            "title_queries": self.title_queries, "neighbour_batches": self.neighbour_batches,
            "embeddings": self.embeddings, "query_embeddings": self.query_embeddings,
            "expansions": self.expansions,
        }  # fmt: skip
        return [f"{name}: not beside prepared, which is read instead" for name, value in beside.items() if value]

    @property
    def datasets(self) -> tuple[str, ...]:
        """The collections as a list, whichever way they were given."""
        return (self.dataset,) if isinstance(self.dataset, str) else self.dataset
