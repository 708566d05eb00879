"""Active dims of texts as they will be encoded: measured while a run goes on, and brought to a target at its end."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist

from sparseir.models.encoder import SparseEncoder
from sparseir.models.head.revival import lowest_logits
from sparseir.models.inference import EncodeOptions, evaluating, feature_batches
from sparseir.models.towers.masked_lm import MaskedLMTower
from sparseir.train.loop.parallel import own_share, world

logger = logging.getLogger(__name__)

_INSIDE = 1e-3
"""Least distance, in logits, that `fit_bias` keeps from a shift at which a term comes or goes, where there is room for it."""

_WIDEST = 4.0
"""Most that `fit_bias` moves a bias, in logits; a fresh head's −4 is taken back by it."""


class ServedSample:
    """Training texts drawn once, and how many terms they have when they are encoded.

    That is not what batches show: those are cut at data.max_document_length, hold more positives and negatives than the
    collection does, run with dropout, and estimate their terms from a sample of the vocabulary.

    Parameters
    ----------
    texts : to draw from; empty ones are left out.
    size : how many are drawn, by `seed`.
    """

    def __init__(self, encoder: SparseEncoder, texts: Sequence[str], *, size: int, seed: int) -> None:
        drawn = np.random.default_rng([seed, 2]).permutation(len(texts))
        whole = (text for i in drawn if (text := texts[int(i)]).strip())
        self.texts = list(itertools.islice(whole, size))
        self._encoder = encoder

    def active_dims(self, size: int | None = None) -> float:
        """Mean over the first `size` texts, shared out over all processes."""
        texts = self.texts[:size]
        own = texts[own_share(len(texts))]
        vectors = self._encoder.encode_documents(own, dtype="native")
        count = torch.tensor([float(vectors.nnz)], dtype=torch.float64, device=self._encoder.device)
        if world()[1] > 1:
            dist.all_reduce(count)
        return float(count) / max(1, len(texts))

    def fit_bias(self, target: float) -> BiasFit | None:
        """Move the vocabulary bias of the document tower by one number, so that the texts have `target` terms on average.

        The number is found by bisection over the texts' largest logits, which are taken once, in the batches and number
        format of encoding.
        Nothing is moved where a tower has no vocabulary bias (None).
        """
        tower = self._encoder.document_tower
        if not isinstance(tower, MaskedLMTower) or not self.texts:
            return None
        counts = _ActiveCounts(self._encoder, tower, self.texts)
        before, shift = counts.mean(0.0), counts.shift_for(target)
        with torch.no_grad():
            tower.backbone.decoder.bias.add_(shift)
        tower.silence_specials()
        fit = BiasFit(before, counts.mean(shift), shift)
        if abs(before / target - 1) > 0.25:
            logger.warning(
                "regulariser.target_active_dims: texts had %.0f terms for a target of %.0f before the vocabulary bias was "
                "moved by %+.3f, and ranking did not train for that; train for more steps, or start from another lambda_document",
                before, target, shift,
            )  # fmt: skip
        return fit


@dataclass(frozen=True, slots=True)
class BiasFit:
    """What `ServedSample.fit_bias` did.

    Parameters
    ----------
    before, after : mean active dims of the sample.
    shift : added to the bias of every term, in logits.
    """

    before: float
    after: float
    shift: float


class _ActiveCounts:
    """Mean active dims of texts as a function of what is added to the bias."""

    @torch.inference_mode()
    def __init__(self, encoder: SparseEncoder, tower: MaskedLMTower, texts: Sequence[str]) -> None:
        frozen = encoder.inference_tower(tower, "native")
        assert isinstance(frozen, MaskedLMTower)
        decoder = frozen.backbone.decoder
        self._bias, self._dtype = tower.backbone.decoder.bias.detach().clone(), decoder.bias.dtype
        self._limit = tower.top_k or tower.num_terms
        options = EncodeOptions(max_length=encoder.document_length())
        rows = encoder.tokenizer.rows(texts, options.max_length)
        parts = []
        with evaluating(frozen):
            for _, features in feature_batches(frozen, rows, encoder.tokenizer.pad, options):
                hidden = frozen.backbone(features)
                best = lowest_logits(hidden, features["attention_mask"], decoder.weight, torch.zeros_like(self._bias))
                if frozen.lexical is not None:  # a text's own terms weigh something at any bias
                    best[frozen.lexical(hidden, features, tower.num_terms) > 0] = torch.inf
                parts.append(best)
        self._best = torch.cat(parts)

    def mean(self, shift: float) -> float:
        bias = (self._bias + shift).to(self._dtype).float()
        active = (self._best + bias > 0).sum(1).clamp(max=self._limit)
        return float(active.double().mean())

    def shift_for(self, target: float) -> float:
        """The shift whose mean is nearest to the target.

        The mean is a staircase in the shift, and bisection ends on the edge of a stair, where the rounding of one logit
        decides. The shift returned lies inside of the stair: halfway to its other edge, but at most `_INSIDE` from this one.
        """
        below, above = self._edge(target)
        one_term = 1 / len(self._best)
        if target - self.mean(below) <= self.mean(above) - target:
            other, _ = self._edge(self.mean(below) - one_term / 2)
            return below - min(_INSIDE, (below - other) / 2)
        _, other = self._edge(self.mean(above))
        return above + min(_INSIDE, (other - above) / 2)

    def _edge(self, level: float) -> tuple[float, float]:
        """Two shifts next to each other: the mean is at most `level` at the first and above it at the second."""
        low, high = -_WIDEST, _WIDEST
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (low, middle) if self.mean(middle) > level else (middle, high)
        return low, high
