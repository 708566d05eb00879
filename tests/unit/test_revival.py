"""Terms below zero: values as relu's, gradients only where the loss wants more."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sparseir.models.head.fused import max_logits  # noqa: E402
from sparseir.models.head.revival import lowest_logits, reviving_relu  # noqa: E402


def test_gradient_below_zero_is_that_of_exp_where_more_is_wanted() -> None:
    values = torch.tensor([2.0, -1.0, -1.0, 0.0], requires_grad=True)
    out = reviving_relu(values)
    assert out.tolist() == [2.0, 0.0, 0.0, 0.0]
    out.backward(torch.tensor([3.0, -2.0, 2.0, -1.0]))
    assert values.grad is not None
    assert values.grad.tolist() == pytest.approx([3.0, -2.0 * torch.e**-1, 0.0, -1.0])


def test_lowest_logits_are_the_plain_maximum() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(3, 5, 8, generator=generator), torch.randn(7, 8, generator=generator)
    bias = torch.randn(7, generator=generator)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0]])
    found = lowest_logits(hidden, mask, weight, bias)
    plain = (hidden @ weight.T + bias).masked_fill(mask[..., None] == 0, float("-inf")).amax(1)
    torch.testing.assert_close(found, plain, atol=2e-5, rtol=0)
    torch.testing.assert_close(torch.relu(found), max_logits(hidden, mask, weight, bias), atol=2e-5, rtol=0)
