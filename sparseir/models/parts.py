"""What an encoder of any kind is made of: what builds, reads or writes one needs nothing that encodes."""

from __future__ import annotations

from dataclasses import dataclass

from sparseir.config.model import EXPANDED_KINDS, ModelConfig
from sparseir.data.records import Document
from sparseir.errors import ConfigError
from sparseir.models.networks.backbone import max_tokens
from sparseir.models.query_table import QueryTable
from sparseir.models.tokenize import TextTokenizer
from sparseir.models.towers.lookup import StaticQueryTower
from sparseir.models.towers.tower import Tower

NO_LIMIT = 1 << 20
"""Tokens of a text nobody cuts."""


@dataclass(eq=False)
class EncoderParts:
    """Two towers and the tokenizer of both.

    Parameters
    ----------
    config : what it is.
    tokenizer : of both sides.
    document_tower, query_tower : (B, V) weights from token features, one object where the sides share it; see
        `towers.Tower`.
    untrained : its head was made when it was read, and no training has seen it.
    plain : it was read from the folder of a masked LM, which does not say whether anything trained it to be sparse.
    """

    config: ModelConfig
    tokenizer: TextTokenizer
    document_tower: Tower
    query_tower: Tower
    untrained: bool = False
    plain: bool = False

    def __post_init__(self) -> None:
        if self.config.expansion_separator and not self.tokenizer.tokenizer.sep_token:
            raise ConfigError(
                f"model.expansion_separator: the tokenizer of {self.config.base} has no separator token; set it to false"
            )

    @property
    def kind(self) -> str:
        """Of encoder, as recipes name it (`model.kind`)."""
        return self.config.kind

    @property
    def reads_expansions(self) -> bool:
        """Whether a document's expansion (doc2query) is read after its text: by kinds that give no terms but those they read."""
        return self.config.kind in EXPANDED_KINDS

    @property
    def separator(self) -> str:
        """What stands between a document's text and the words of its expansion, spaces around it included."""
        return f" {self.tokenizer.tokenizer.sep_token} " if self.config.expansion_separator else " "

    def text_of(self, document: Document) -> str:
        """What is encoded of a document."""
        return document.expanded_after(self.separator) if self.reads_expansions else document.content

    @property
    def num_terms(self) -> int:
        """Size of the vocabulary of the vectors."""
        return self.document_tower.num_terms

    @property
    def query_table(self) -> QueryTable | None:
        """The query side without torch, for encoders whose queries are looked up; None where a network reads them."""
        if not isinstance(self.query_tower, StaticQueryTower):
            return None
        return QueryTable(self.tokenizer.uncut(), self.query_tower.table().detach().cpu().numpy())

    @property
    def shares_network(self) -> bool:
        """Whether queries go through the documents' network in a tower of their own."""
        networks = [getattr(tower, "context", None) for tower in (self.document_tower, self.query_tower)]
        return self.document_tower is not self.query_tower and networks[0] is not None and networks[0] is networks[1]

    def document_length(self, asked: int | None = None) -> int:
        """Tokens of a document that are read: `asked` or `config.max_document_length`, as far as the network reaches."""
        return min(asked or self.config.max_document_length, max_tokens(self.document_tower) or NO_LIMIT)

    def query_length(self, asked: int | None = None) -> int:
        """Tokens of a query that are read; without `asked`, all of them where queries are looked up in a table."""
        if self.query_tower.looked_up:
            return asked or NO_LIMIT
        return min(asked or self.config.max_query_length, max_tokens(self.query_tower) or NO_LIMIT)
