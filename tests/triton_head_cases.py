"""What the Triton head must give, on a GPU or in Triton's interpreter: the plain formula's values and gradients."""

from __future__ import annotations

import torch

from sparseir.models.head.triton import TritonMaxLogits, max_over_tokens


def plain(hidden, mask, weight, bias):
    """Logits of B×L×V, the first maximum by argmax, relu."""
    logits = (hidden @ weight.t()).masked_fill(~mask.bool()[:, :, None], float("-inf"))
    top = logits.gather(1, logits.argmax(1, keepdim=True)).squeeze(1) + bias
    return torch.relu(top)


def inputs(seed, shape, device, *, grid=False, dtype=torch.float32):
    """Random tensors of (B, L, H, V); on a grid of halves products tie often and are exact."""
    batch, length, width, terms = shape
    generator = torch.Generator().manual_seed(seed)
    tensors = [torch.randn(s, generator=generator) for s in ((batch, length, width), (terms, width), (terms,))]
    if grid:
        tensors = [(t * 2).round() / 2 for t in tensors]
    mask = torch.rand(batch, length, generator=generator) < 0.7  # with holes
    mask[0] = True
    mask[-1] = batch == 1  # a text without tokens
    hidden, weight, bias = (t.to(device, dtype).requires_grad_() for t in tensors)
    return hidden, mask.to(device), weight, bias


def both(tensors, dtype):
    """(top, gradients) by Triton and by the plain formula on the same numbers in float32."""
    results = []
    for name in ("triton", "plain"):
        hidden, weight, bias = (tensors[i].detach().clone().requires_grad_() for i in (0, 2, 3))
        if name == "triton":
            top = TritonMaxLogits.apply(hidden, tensors[1], weight, bias, dtype, True)
        else:
            top = plain(hidden.to(dtype).float(), tensors[1], weight.to(dtype).float(), bias.float())
        scale = torch.linspace(0.1, 1, max(1, top.numel()), device=top.device)[: top.numel()].view_as(top)
        (torch.log1p(top) * scale).sum().backward()
        results.append((top, hidden.grad, weight.grad, bias.grad))
    return zip(*results, strict=True)


def check_random_tensors(device: str) -> None:
    """One tile and many; widths and vocabularies that are no multiple of a tile; a text longer than a tile."""
    shapes = [(3, 7, 8, 50), (2, 5, 40, 129), (9, 2, 16, 140), (2, 150, 24, 40), (1, 1, 1, 1)]
    for seed, shape in enumerate(shapes):
        for got, want in both(inputs(seed, shape, device), torch.float32):
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
    for got, want in both(inputs(6, shapes[0], device, grid=True), torch.float32):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def check_the_first_maximum_learns(device: str) -> None:
    """All tokens tie, inside a tile and over its border; masked ones do not count."""
    for length in (2, 130):
        hidden = torch.ones(1, length, 16, device=device)
        mask = torch.ones(1, length, device=device, dtype=torch.int64)
        mask[0, 0] = 0
        weight, bias = torch.ones(20, 16, device=device), torch.zeros(20, device=device)
        hidden.requires_grad_()
        TritonMaxLogits.apply(hidden, mask, weight, bias, torch.float32, True).sum().backward()
        want = torch.zeros(length)
        want[1] = 20.0
        assert hidden.grad[0, :, 0].tolist() == want.tolist()


def check_half_precision(device: str) -> None:
    """Products of 16-bit operands, summed in float32: equal to float32 arithmetic on the rounded operands."""
    for dtype in (torch.bfloat16, torch.float16):
        for own in (torch.float32, dtype):  # under autocast the operands are float32, in a converted model they are not
            for got, want in both(inputs(5, (3, 10, 72, 60), device, dtype=own), dtype):
                torch.testing.assert_close(got.float(), want.float(), rtol=1e-2, atol=4e-3)


def check_no_arg_max_without_gradients(device: str) -> None:
    hidden, mask, weight, bias = (t.detach() for t in inputs(7, (2, 9, 16, 70), device))
    top, token = max_over_tokens(hidden, mask, weight, bias, argmax=False)
    torch.testing.assert_close(top, plain(hidden, mask, weight, bias), rtol=1e-5, atol=1e-5)
    assert token.shape == (0, 70)


def check_inactive_terms_and_empty_tensors(device: str) -> None:
    """No active term: zero gradients. No text, no token, no term: empty or zero, as the shapes say."""
    hidden, mask, weight, bias = inputs(8, (2, 4, 8, 20), device)
    TritonMaxLogits.apply(hidden, mask, weight, bias - 1e4, torch.float32, True).sum().backward()
    assert not hidden.grad.any()
    assert not weight.grad.any()
    for shape in ((0, 4, 8, 20), (2, 0, 8, 20), (2, 4, 8, 0)):
        batch, length, width, terms = shape
        top, _ = max_over_tokens(
            torch.ones(batch, length, width, device=device),
            torch.ones(batch, length, device=device),
            torch.ones(terms, width, device=device),
            torch.ones(terms, device=device),
            argmax=True,
        )
        assert top.shape == (batch, terms)
        assert not top.any()


def check_nan_is_not_swallowed(device: str) -> None:
    hidden, mask, weight, bias = (t.detach() for t in inputs(9, (2, 9, 16, 70), device))
    hidden[0, 3, 5] = float("nan")
    top, _ = max_over_tokens(hidden, mask, weight, bias, argmax=False)
    assert not torch.isfinite(top[0]).any()


def check_same_bits_every_time(device: str) -> None:
    tensors = inputs(10, (2, 17, 24, 150), device)
    first, again = ([got for got, _ in both(tensors, torch.float32)] for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)


CHECKS = [
    check_random_tensors,
    check_the_first_maximum_learns,
    check_half_precision,
    check_no_arg_max_without_gradients,
    check_inactive_terms_and_empty_tensors,
    check_nan_is_not_swallowed,
    check_same_bits_every_time,
]
