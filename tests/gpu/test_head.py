"""The fused head on a CUDA device: Triton's kernels, and the plain chunked path beside them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sparseir.models.head import fused as fused_head  # noqa: E402

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _needs_a_device() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")


@pytest.mark.parametrize("number", range(7))
def test_triton_equals_the_plain_formula(number: int) -> None:
    pytest.importorskip("triton")
    from tests.triton_head_cases import CHECKS

    CHECKS[number]("cuda")


@pytest.mark.parametrize("has_triton", [True, False])
def test_the_front_gives_what_the_cpu_gives(has_triton: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of 32 texts of 256 tokens, the width and vocabulary of BERT; bfloat16 by autocast."""
    if has_triton:
        pytest.importorskip("triton")
    monkeypatch.setattr(fused_head, "_has_triton", lambda: has_triton)
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(32, 256, 768, generator=generator)
    weight, bias = torch.randn(30_522, 768, generator=generator) / 28, torch.full((30_522,), -2.0)
    mask = torch.arange(256) < torch.randint(1, 257, (32, 1), generator=generator)
    want = fused_head.max_logits(hidden[:2], mask[:2], weight, bias)
    on_device = [t.cuda().requires_grad_(t.is_floating_point()) for t in (hidden, mask, weight, bias)]
    with torch.autocast("cuda", torch.bfloat16):
        got = fused_head.max_logits(*on_device)
    torch.testing.assert_close(got[:2].detach().cpu(), want, rtol=0.02, atol=0.05)
    torch.log1p(got).sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in (on_device[0], on_device[2], on_device[3]))
