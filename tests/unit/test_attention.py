"""Attention text by text equals torch's own: values and gradients, with and without a mask, in a model and out of it."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from sparseir.models.networks.attention import attend_text_by_text, attention  # noqa: E402


@pytest.mark.parametrize("mask_kind", ["none", "padding", "one for all", "numbers"])
def test_equals_torch_attention(mask_kind: str) -> None:
    generator = torch.Generator().manual_seed(2)
    mask = None
    if mask_kind == "padding":
        mask = (torch.arange(6) < torch.tensor([6, 2, 4])[:, None]).view(3, 1, 1, 6).expand(3, 1, 6, 6)
    elif mask_kind != "none":
        mask = (torch.arange(6) - torch.arange(6)[:, None]).abs()[None, None] < 3  # a sliding window
        if mask_kind == "numbers":
            mask = torch.where(mask, 0.5, -1e9)
    results = []
    for function in (attention, torch.nn.functional.scaled_dot_product_attention):
        generator.manual_seed(2)
        # As projections give them: heads interleaved, (B, L, heads, d) seen as (B, heads, L, d).
        given = [torch.randn(3, 6, 4, 8, generator=generator).requires_grad_() for _ in range(3)]
        q, k, v = (t.transpose(1, 2) for t in given)
        out = function(q, k, v, mask, 0.3) if function is attention else function(q, k, v, mask, scale=0.3)
        out = out if function is attention else out.transpose(1, 2)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        results.append((out, *(t.grad for t in given)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta", "modernbert"])
def test_a_model_gives_the_same_either_way(architecture: str) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3}
    if architecture == "distilbert":
        sizes = {"vocab_size": 40, "dim": 16, "hidden_dim": 32, "n_heads": 2, "n_layers": 2}
    torch.manual_seed(5)
    special = {"pad_token_id": 0} if architecture != "modernbert" else {"pad_token_id": 0, "local_attention": 4}
    config = transformers.AutoConfig.for_model(architecture, **sizes, **special)
    model = transformers.AutoModelForMaskedLM.from_config(config).eval()
    other = copy.deepcopy(model)
    attend_text_by_text(other)
    ids = torch.randint(5, 40, (3, 9))
    mask = (torch.arange(9) < torch.tensor([9, 3, 7])[:, None]).long()
    want, got = (m(input_ids=ids, attention_mask=mask).logits[mask.bool()] for m in (model, other))
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    short = other(input_ids=ids[1:2, :3], attention_mask=mask[1:2, :3]).logits[0]
    torch.testing.assert_close(got[9:12], short, rtol=1e-4, atol=1e-5)
