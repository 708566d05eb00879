"""Dropout from bits: the probability, unbiased values, gradients where values passed, nothing in evaluation."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sparseir.models.networks.dropout import BitDropout, drop_by_bits  # noqa: E402


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.999])
def test_drops_its_share_and_scales_the_rest(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(4)
    values = torch.ones(1001, 301, dtype=dtype, requires_grad=True)
    dropped = BitDropout(p)(values)
    dropped.float().sum().backward()
    assert torch.equal(values.grad, dropped)  # 0 or the scale, for values of 1
    assert float((dropped == 0).float().mean()) == pytest.approx(p, abs=0.004)
    assert float(dropped.detach().max()) == pytest.approx(1 / (1 - p), rel=0.02)


def test_replaces_dropout_of_a_network_and_keeps_still_in_evaluation() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Sequential(torch.nn.Dropout(0.3))).eval()
    drop_by_bits(network)
    replaced = network[1][0]
    assert isinstance(replaced, BitDropout)
    assert replaced.p == 0.3
    values = torch.ones(2, 3)
    assert replaced(values) is values
    network.train()
    torch.manual_seed(1)
    first = replaced(values)
    torch.manual_seed(1)
    assert torch.equal(replaced(values), first)
