"""The head for encoding on a CPU: 8-bit products say which terms can be active, exact products weigh those.

Of 30,522 logits a text keeps a hundred or two. An 8-bit product costs half a bfloat16 one; with a bound on its error it
tells for certain which terms stay below zero, and those need no exact product.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparseir.models.head.fused import max_logits
from sparseir.models.head.groups import token_groups

_TOKENS = 256
_TERMS = 4096  # 256 × 4096 sums of 32 bits are 4 MiB: half of them stay in the second-level cache. Measured best of 6.
_ROWS, _PIECE = 16, 256
"""Exact products are of a multiple of 16 tokens with exactly 256 terms."""
_WORTHWHILE = 0.3
"""Share of the vocabulary above which candidates cost more than they save; a text beyond it takes the plain product."""


class VocabularyScreen:
    """`max_logits` for frozen weights, without gradients.

    Safety. With h = ĥ + e the states and w = ŵ + f a term's weights, hats the 8-bit values,
    h·w = ĥ·ŵ + e·w + ĥ·f ≤ ĥ·ŵ + ‖e‖‖w‖ + ‖ĥ‖‖f‖ (Cauchy-Schwarz). A term is left out only when this bound plus its
    bias is ≤ 0 at every token, where relu gives 0; every other term's value is the exact product's.

    Parameters
    ----------
    weight, bias : (V, H) and (V,) of the projection, on the CPU; they must not change afterwards.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self._weight, self._bias = weight, bias.float()
        exact = weight.float()
        self._step = exact.abs().amax(1).clamp(min=1e-30) / 127
        rounded = (exact / self._step[:, None]).round()
        self._rounded = rounded.to(torch.int8)
        self._norm = exact.norm(dim=1)
        self._lost = (exact - rounded * self._step[:, None]).norm(dim=1)

    def max_logits(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """As `fused.max_logits`: (B, V) float32 ≥ 0."""
        num_terms = len(self._weight)
        top = torch.zeros(len(hidden), num_terms, dtype=torch.float32)
        states = hidden.flatten(0, 1).to(self._weight.dtype)
        for group in token_groups(mask, _TOKENS):
            packed = states[group.places]
            texts = [(b, span) for b, span in enumerate(group.spans, start=group.first_text) if span[0] < span[1]]
            for (b, (begin, end)), bound in zip(texts, self._bounds(packed, [s for _, s in texts]), strict=True):
                own = packed[begin:end]
                terms = (bound > 0).nonzero().squeeze(1)
                if len(terms) > _WORTHWHILE * num_terms:
                    top[b] = max_logits(own[None], torch.ones(1, len(own)), self._weight, self._bias)[0]
                elif len(terms):
                    top[b, terms] = torch.relu(self._exact(own, terms) + self._bias[terms])
        return top

    def _exact(self, own: Tensor, terms: Tensor) -> Tensor:
        """max over a text's tokens of h · w[terms], float32 (len(terms),).

        Products of few shapes, whatever the text: tokens and terms are filled up with the last of them, which changes no
        maximum. `lengths.padded_length` says what a shape costs.
        """
        short = -len(own) % _ROWS
        if short:
            own = torch.cat([own, own[-1:].expand(short, -1)])
        filled = torch.cat([terms, terms[-1:].expand(-len(terms) % _PIECE)])
        best = [(own @ rows.t()).amax(0) for rows in self._weight[filled].split(_PIECE)]
        return torch.cat(best)[: len(terms)].float()

    def _bounds(self, packed: Tensor, spans: list[tuple[int, int]]) -> list[Tensor]:
        """Per text, (V,): what no logit of it exceeds."""
        rounded = torch.empty(packed.shape, dtype=torch.int8)
        steps, margins = [], []
        for begin, end in spans:
            own = packed[begin:end].float()
            step = own.abs().amax().clamp(min=1e-30) / 127  # one step a text: the maximum is then over plain integers
            whole = (own / step).round()
            rounded[begin:end] = whole.to(torch.int8)
            whole *= step
            lost, kept = (own - whole).norm(dim=1).amax(), whole.norm(dim=1).amax()
            steps.append(step)
            margins.append(lost * self._norm + kept * self._lost)
        best = torch.empty(len(spans), len(self._weight), dtype=torch.int32)
        for low in range(0, len(self._weight), _TERMS):
            high = min(low + _TERMS, len(self._weight))
            sums = torch._int_mm(rounded, self._rounded[low:high].t())
            for i, (begin, end) in enumerate(spans):
                torch.amax(sums[begin:end], 0, out=best[i, low:high])
        return [
            row.float() * (step * self._step) + margin + self._bias
            for row, step, margin in zip(best, steps, margins, strict=True)
        ]
