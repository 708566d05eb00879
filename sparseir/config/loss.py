"""The `loss` section: what training minimises besides sparsity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sparseir.errors import ConfigError

TaskName = Literal["ranking", "vectors", "masked_lm", "recall"]
"""What `train.tasks.TASKS` makes; named here so that a recipe is checked without torch."""

RANKING_LOSSES = ("info_nce", "kl", "margin_mse", "triplet")
"""Keys that hold the weight of a ranking loss: those of `train.tasks.ranking.LOSSES`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Ranking losses are weighted and added; 0 leaves one out."""

    objective: TaskName = "ranking"
    """ranking: queries and their documents; vectors: a sparse teacher's vector from the text, by squared error;
    masked_lm: the head's warm-up on plain text; recall: deepct, the share of a document's queries that hold its words."""

    info_nce: float = 1.0
    """Weight of −log softmax(scores)[positive]."""

    kl: float = 0.0
    """Weight of KL(softmax(teacher) ‖ softmax(scores)). Needs teachers."""

    margin_mse: float = 0.0
    """Weight of the squared error of score differences between positive and negatives. Needs teachers."""

    margin_mse_all_pairs: bool = False
    """Differences of all pairs of candidates, as SPLADE-v3 mixes them in."""

    triplet: float = 0.0
    """Weight of max(0, 1 − (positive − negative))."""

    reconstruction: float = 0.0
    """csr: weight of the autoencoder's reconstruction errors at k, at 4k and of dead latents."""

    csr_budgets: tuple[int, ...] = ()
    """csr: numbers of latents at which codes rank and reconstruct in every step, the mean of all, so that one model is read
    at any of them; empty: model.csr_k alone."""

    vectors_absent: float = 1.0
    """objective vectors: weight of the squared error at terms the teacher does not hold. Below 1 the student expands
    more: a term that is wrong half the time is still worth having in a document."""

    temperature: float = 1.0
    """Scores are divided by this in info_nce."""

    in_batch: bool | Literal["positives", "negatives"] = True
    """Which documents of the batch are candidates of a query besides its own, for info_nce and kl. true: all; false: none;
    positives: those of the other queries (naver/splade); negatives: theirs alone (OpenSearch). A λ does not carry over."""

    teachers: tuple[str, ...] = ()
    """kind:name of each teacher: bm25, dense:MODEL, sparse:MODEL, cross_encoder:MODEL, scores:FILE (JSON lines
    {"query", "document", "score"} by id). Several: normalised per query and averaged."""

    teacher_length: int = 256
    """Tokens of a text that dense teachers read; as far as their position embeddings reach."""

    teacher_normalise: bool = True
    """Min-max normalisation of each teacher per query. false: raw scores, for one teacher on the student's scale."""

    teacher_scale: float = 30.0
    """Factor on the averaged scores: 30 when fine-tuning, 10 when pre-training (Geng et al.)."""

    teacher_cache: str | None = None
    """File that keeps the scores of cross-encoder teachers between runs; null: memory only."""

    lexical_channel: float = 0.0
    """α: BM25 over stems counts α times beside the student's own score, as in an index built with --lexical, so that the
    vectors hold what BM25 does not know yet. 0: the student ranks alone."""

    def __post_init__(self) -> None:
        faults = [
            f"{name}: expected at least 0, found {getattr(self, name)}"
            for name in (*RANKING_LOSSES, "reconstruction", "vectors_absent", "lexical_channel")
            if getattr(self, name) < 0
        ]
        if any(budget < 1 for budget in self.csr_budgets):
            faults.append(f"csr_budgets: expected numbers of at least 1, found {min(self.csr_budgets)}")
        ranking = self.objective == "ranking"
        if ranking and not any(getattr(self, name) for name in RANKING_LOSSES):
            faults.append(f"all ranking losses have weight 0: give one of {', '.join(RANKING_LOSSES)} one above 0")
        if ranking and (self.kl or self.margin_mse) and not self.teachers:
            faults.append("teachers: kl and margin_mse learn from teachers, and none is named")
        if len(self.teachers) > 1 and not self.teacher_normalise:
            faults.append("teacher_normalise: several teachers are averaged on a common scale only; set it to true")
        if self.lexical_channel and not ranking:
            faults.append(f"lexical_channel: belongs to the objective ranking, not to {self.objective}")
        if self.teacher_length < 8:
            faults.append(f"teacher_length: expected at least 8 tokens, found {self.teacher_length}")
        if self.temperature <= 0:
            faults.append(f"temperature: expected a positive number, found {self.temperature}")
        kinds = ("bm25", "dense", "sparse", "cross_encoder", "scores")
        for name in self.teachers:
            kind, _, rest = name.partition(":")
            if kind not in kinds or (kind == "bm25") == bool(rest):
                faults.append(f"teachers: {name!r} is not bm25, or one of {', '.join(kinds[1:])} followed by :NAME")
        if faults:
            raise ConfigError("\n".join(faults))
