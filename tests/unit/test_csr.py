"""CSR: codes at k and 4k over untouched pre-activations, dead latents, a tied decoder that learns to reconstruct."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sparseir.losses.csr import reconstruction  # noqa: E402
from sparseir.models.towers.csr import SparseAutoencoder  # noqa: E402


def autoencoder(dense_size: int = 4, hidden_size: int = 32, *, k: int = 2, dead_after: int = 30) -> SparseAutoencoder:
    torch.manual_seed(0)
    return SparseAutoencoder(dense_size, hidden_size, k=k, dead_after=dead_after)


def test_code_and_tied_decoder_by_hand() -> None:
    """W rows (1, 0), (0, 1), (1, 1), b = (0, 0, −1), centre (1, 0): x = (3, 2) gives (2, 2, 3); k = 1 keeps 3·(1, 1)."""
    model = SparseAutoencoder(2, 3, k=1)
    with torch.no_grad():
        model.encoder.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        model.pre_bias.copy_(torch.tensor([1.0, 0.0]))
        model.latent_bias.copy_(torch.tensor([0.0, 0.0, -1.0]))
        x = torch.tensor([[3.0, 2.0]])
        assert model.pre_activations(x).tolist() == [[2.0, 2.0, 3.0]]
        assert model.encode(x).tolist() == [[0.0, 0.0, 3.0]]
        assert model.decode(model.encode(x)).tolist() == [[4.0, 3.0]]
        assert model.encode(x, 3).tolist() == [[2.0, 2.0, 3.0]]
        assert model.encode(-x).tolist() == [[0.0, 0.0, 0.0]]  # the largest is negative: the row is empty


def test_each_k_takes_its_own_top_k() -> None:
    """The 4k code holds the k code and 3k more; nothing the first cut left out is missing from the second."""
    model = autoencoder(8, 32, k=2)
    x = torch.randn(5, 8)
    codes = model.codes(x)
    before = model.pre_activations(x)
    for k, at in ((2, codes.at_k), (8, codes.at_4k)):
        want = torch.zeros_like(before)
        for row, values in enumerate(before):
            best = values.topk(k).indices
            want[row, best] = torch.relu(values[best])
        torch.testing.assert_close(at, want @ model.encoder.weight + model.pre_bias)
    assert torch.equal(model.pre_activations(x), before)


def test_latents_silent_for_too_long_are_dead_and_reconstruct_the_residual() -> None:
    model = autoencoder(k=2, dead_after=2)
    x = torch.randn(3, 4)
    for step in range(4):
        codes = model.codes(x)
        assert (codes.auxiliary is not None) == (step >= 2)
    alive = (codes.codes > 0).any(0)
    assert (model.since_active[alive] == 0).all()
    assert (model.since_active[~alive] == 4).all()
    assert codes.auxiliary is not None
    revived = torch.relu(model.pre_activations(x).masked_fill(alive, float("-inf")))  # at most 1024 of them: all here
    torch.testing.assert_close(codes.auxiliary, revived @ model.encoder.weight)
    loss = reconstruction(codes.dense, codes.at_k, codes.at_4k, codes.auxiliary)
    loss.backward()
    assert torch.isfinite(model.encoder.weight.grad).all()
    assert model.encoder.weight.grad[~alive].abs().sum() > 0  # what brings dead latents back


def test_loss_by_hand() -> None:
    """x = 2 and 4, x̂_k = 1, x̂_4k = x, ê = 0: residuals 1 and 3 of variance 1: 5 + 0/8 + (5/1)/32."""
    x = torch.tensor([[2.0], [4.0]])
    loss = reconstruction(x, torch.ones(2, 1), x, torch.zeros(2, 1))
    assert loss.item() == pytest.approx(5 + 5 / 32)
    assert reconstruction(x[:1], torch.ones(1, 1), x[:1], torch.zeros(1, 1)).item() == 1  # one text varies nothing
    x = x[:1]
    assert reconstruction(x, x, torch.tensor([[0.0]]), None).item() == pytest.approx(4 / 8)


def test_training_lowers_the_reconstruction_error() -> None:
    """NMSE = mean (x − x̂)² / mean (x − mean x)² over texts that mix 6 topics in 16 dimensions, falls to a fifth."""
    generator = torch.Generator().manual_seed(2)
    topics = torch.nn.functional.normalize(torch.randn(6, 16, generator=generator), dim=-1)
    mix = torch.rand(256, 6, generator=generator) * (torch.rand(256, 6, generator=generator) < 0.3)
    x = mix @ topics
    model = autoencoder(16, 64, k=4, dead_after=10)

    def nmse() -> float:
        with torch.no_grad():
            error = (x - model.decode(model.encode(x))).square().mean()
        return float(error / (x - x.mean(0)).square().mean())

    before = nmse()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(200):
        codes = model.codes(x)
        optimiser.zero_grad()
        reconstruction(codes.dense, codes.at_k, codes.at_4k, codes.auxiliary).backward()
        optimiser.step()
    assert nmse() < 0.2 * before
    assert int((model.encode(x) > 0).sum(1).max()) <= 4


def test_latents_age_by_optimiser_steps_not_by_forward_passes() -> None:
    model = autoencoder(4, 8, k=1, dead_after=2)
    x = torch.eye(4)[:1]
    for new_step in (True, False, False, True):
        model.codes(x, new_step=new_step)
    active = int(model.encode(x)[0].argmax())
    assert model.since_active.tolist() == [0 if latent == active else 2 for latent in range(8)]
