"""The loss of CSR's sparse autoencoder."""

from __future__ import annotations

from torch import Tensor


def reconstruction(dense: Tensor, at_k: Tensor, at_4k: Tensor, auxiliary: Tensor | None) -> Tensor:
    """L_k + L_4k / 8 + NMSE_aux / 32; the contrastive term (weight 0.1) is `ranking.info_nce` on the codes.

    L_k = mean (x − x̂_k)². NMSE_aux = mean (e − ê)² / mean (e − ē)², e = x − x̂_k the residual, ē its mean over the batch
    and ê its reconstruction from dead latents; 0 for a batch whose residuals are all one.

    Parameters
    ----------
    dense : x, (B, d). at_k, at_4k : reconstructions from k and 4k latents. auxiliary : ê, or None without dead latents.

    Source: "Beyond Matryoshka" (arXiv:2503.01776), eq. 6-7; the denominator as in the authors' code.
    """
    loss = (dense - at_k).square().mean() + (dense - at_4k).square().mean() / 8
    if auxiliary is not None:
        residual = (dense - at_k).detach()
        variance = (residual - residual.mean(0)).square().mean()
        if variance > 0:
            loss = loss + (residual - auxiliary).square().mean() / variance / 32
    return loss
