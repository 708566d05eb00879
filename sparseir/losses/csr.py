"""The loss of CSR's sparse autoencoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def reconstruction(
    dense: Tensor, at_k: Tensor, at_4k: Tensor, auxiliary: Tensor | None, at_widths: Sequence[Tensor] = ()
) -> Tensor:
    """L_k + L_4k / 8 + NMSE_aux / 32; the contrastive term (weight 0.1) is `ranking.info_nce` on the codes.

    L_k = mean (x − x̂_k)². NMSE_aux = mean (e − ê)² / mean (e − ē)², e = x − x̂_k the residual, ē its mean over the batch
    and ê its reconstruction from dead latents; 0 for a batch whose residuals are all one. With several widths L_k is the
    mean of theirs, as in Matryoshka training (arXiv:2205.13147, eq. 1, all weights equal).

    Parameters
    ----------
    dense : x, (B, d). at_k, at_4k : reconstructions from k and 4k latents. auxiliary : ê, or None without dead latents.
    at_widths : reconstructions from other numbers of latents, which take the place of L_k.

    Source: "Beyond Matryoshka" (arXiv:2503.01776), eq. 6-7; the denominator as in the authors' code.
    """
    each = torch.stack([(dense - at).square().mean() for at in at_widths or (at_k,)])
    loss = each.mean() + (dense - at_4k).square().mean() / 8
    if auxiliary is not None:
        residual = (dense - at_k).detach()
        variance = (residual - residual.mean(0)).square().mean()
        if variance > 0:
            loss = loss + (residual - auxiliary).square().mean() / variance / 32
    return loss
