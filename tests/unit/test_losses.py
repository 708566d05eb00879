"""Losses and regularisers against values worked out by hand or published."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from sparseir.losses import ensemble, ranking, regularisers, schedule  # noqa: E402

A = torch.tensor([[2.0, 4.0, 6.0]])
B = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
C = torch.tensor([[-1.0, -2.0], [3.0, -4.0]])
D = torch.tensor([[1.0, 0.2, 0.0, 0.0], [0.5, 0.6, 0.7, 0.8]])


def test_flops_and_l1_referee_values() -> None:
    assert [regularisers.flops(x).item() for x in (A, B, C)] == [56.0, 25.0, 13.0]
    assert [regularisers.l1(x).item() for x in (A, B, C)] == [12.0, 7.0, 5.0]


def test_l0_mask_keeps_masked_rows_in_the_mean() -> None:
    assert regularisers.flops(D).item() == pytest.approx(1.005)
    assert regularisers.flops(regularisers.l0_masked(D, (D > 0).sum(-1), 2)).item() == pytest.approx(0.435)


def test_groupings_differ_as_named() -> None:
    """Two queries, positive and one negative: means (2, 1) and (1, 2), all together (1.5, 1.5)."""
    lists = torch.tensor([[[4.0, 0.0], [0.0, 4.0]], [[0.0, 2.0], [2.0, 0.0]]])
    assert regularisers.grouped_flops(lists, "all_documents").item() == pytest.approx(4.5)
    assert regularisers.grouped_flops(lists, "mean_of_groups").item() == pytest.approx(5.0)
    assert regularisers.grouped_flops(lists, "sum_of_positions").item() == pytest.approx(10.0)


def test_idf_flops_leaves_out_specials_and_clamps() -> None:
    """idf 0 → out; idf .01 → clamped to .1: (.2/.1)²=4; idf 2: (4/2)²=4."""
    got = regularisers.idf_flops(torch.tensor([[9.0, 0.2, 4.0]]), torch.tensor([0.0, 0.01, 2.0]), floor=0.1)
    assert got.item() == pytest.approx(8.0)


def test_df_weights_rise_from_zero_through_half_at_alpha() -> None:
    omega = regularisers.df_weights(torch.tensor([0.0, 0.1, 1.0, 1e-9]), alpha=0.1, beta=10.0)
    assert omega[0] == 0
    assert omega[1].item() == pytest.approx(0.5)
    assert omega[2] == 1
    assert omega[3].item() == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="alpha"):
        regularisers.df_weights(torch.tensor([0.1]), alpha=1.0)


def test_anti_zero_is_finite_at_collapse() -> None:
    weights = torch.zeros(2, 3, requires_grad=True)
    value = regularisers.anti_zero(weights)
    value.backward()
    assert value.item() == pytest.approx(1e6)
    assert torch.isfinite(weights.grad).all()
    assert regularisers.anti_zero(torch.tensor([[1.0, 1.0]])).item() == pytest.approx(0.25, rel=1e-4)


def test_quadratic_ramp_counts_steps() -> None:
    assert [round(schedule.quadratic_ramp(t, 10), 4) for t in (1, 2, 3, 4, 10, 20)] == [0.01, 0.04, 0.09, 0.16, 1, 1]
    assert schedule.quadratic_ramp(0, 0) == 1.0


@pytest.mark.parametrize(("start", "lowest"), [(1e-4, 85), (1e-2, 85), (1.0, 50)])
def test_target_sparsity_settles_on_its_target(start: float, lowest: float) -> None:
    """A plant that moves by up to 5% a step, times what is left of the learning rate, towards dims = 10 · λ^-½.

    Its target of 100 dims needs λ = 1e-2. It is approached from above unless the run starts with a λ far too high, and
    up to a tenth more is left to be.
    """
    control = schedule.TargetSparsity(100, start=start)
    dims, seen, strength = 1000.0, [], start
    for step in range(300):
        progress = step / 300
        move = math.tanh(math.log(10 * strength**-0.5 / dims))
        dims *= math.exp(0.05 * (1 - progress) * move)
        strength = control.update(dims, progress)
        seen.append(dims)
    assert 97 < dims < 113
    assert min(seen) > lowest


def test_target_sparsity_of_a_plant_that_answers_at_once_needs_a_small_gain() -> None:
    """log dims fall by 8% a step for each unit of log λ, in five steps' delay: the usual gains swing, a quarter settles."""

    def spread(gain: float) -> float:
        control = schedule.TargetSparsity.of_gain(gain, 100, start=1e-3)
        dims, strengths, seen = 300.0, [1e-3] * 6, []
        for step in range(200):
            dims *= math.exp(0.08 * math.log(1e-2 / strengths[-6]))
            dims = min(dims, 3000.0)
            strengths.append(control.update(dims, step / 200))
            seen.append(dims)
        return max(seen[100:]) / min(seen[100:])

    assert spread(0.25) < 1.5
    assert spread(1.0) > 4


def test_target_sparsity_of_gain_1_is_the_usual_one() -> None:
    control, usual = schedule.TargetSparsity.of_gain(1.0, 100, start=1e-2), schedule.TargetSparsity(100, start=1e-2)
    assert (control.gain, control.reset, control.lead) == (usual.gain, usual.reset, usual.lead)
    small = schedule.TargetSparsity.of_gain(0.25, 100, start=1e-2)
    assert (small.gain, small.reset, small.lead) == (0.625, 6.25, 5.0)


def test_target_sparsity_goes_on_from_its_state() -> None:
    control, other = schedule.TargetSparsity(100), schedule.TargetSparsity(100)
    for step in range(5):
        control.update(300.0 - 20 * step, step / 20)
    control.calibrate(250.0)
    other.load_state_dict(control.state_dict())
    assert other.update(50, 0.3) == control.update(50, 0.3)


def test_target_sparsity_holds_what_is_served_to_the_target() -> None:
    """Batches have 100 dims, the target; texts as they are encoded 200, of which half is believed: 141, and 110 is allowed."""
    control = schedule.TargetSparsity(100)
    assert control.update(100, 0.6) == pytest.approx(1e-3)
    control.calibrate(200)
    assert control.update(100, 0.6) == pytest.approx(1e-3 * (math.sqrt(2) / 1.1) ** 2.5)


def test_target_sparsity_sets_out_from_what_there_is() -> None:
    control = schedule.TargetSparsity(100, approach=0.5)
    control.update(1600, 0.0)
    assert [control.ceiling(p) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([1600, math.sqrt(1600 * 110), 110, 110])


def test_info_nce_by_hand() -> None:
    """softmax([1, 1]) gives ½ each: −log ½."""
    scores = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    assert ranking.info_nce(scores).item() == pytest.approx(math.log(2))
    first = ranking.info_nce(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), temperature=2.0)
    assert first.item() == pytest.approx(math.log(1 + math.exp(-1)))


def test_margin_mse_by_hand() -> None:
    """Margins 3−1 and 5−4 differ by 1; over all pairs of (3, 1, 0) against 0: 4, 9, 1."""
    assert ranking.margin_mse(torch.tensor([[3.0, 1.0]]), torch.tensor([[5.0, 4.0]])).item() == 1.0
    scores, zeros = torch.tensor([[3.0, 1.0, 0.0]]), torch.zeros(1, 3)
    assert ranking.margin_mse(scores, zeros, all_pairs=True).item() == pytest.approx(14 / 3)
    assert ranking.margin_mse(scores, zeros).item() == pytest.approx(6.5)


def test_kl_is_zero_for_equal_distributions_and_positive_else() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0]])
    assert ranking.kl_divergence(scores, scores + 7).item() == pytest.approx(0, abs=1e-6)
    expected = sum(p * math.log(p / q) for p, q in zip(torch.softmax(scores[0], 0).tolist(), [1 / 3] * 3, strict=True))
    assert ranking.kl_divergence(torch.zeros(1, 3), scores).item() == pytest.approx(expected, rel=1e-5)


def test_ensemble_normalises_each_query_and_averages() -> None:
    """(0, 5, 10) → (0, .5, 1); equal scores → 0; mean × 30."""
    first = torch.tensor([[0.0, 5.0, 10.0], [3.0, 3.0, 3.0]])
    second = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    got = ensemble.ensemble_scores([first, second], scale=30)
    want = torch.tensor([[15.0, 22.5, 15.0], [0.0, 7.5, 15.0]])
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-3)
    alone = ensemble.ensemble_scores([first], scale=1)
    torch.testing.assert_close(alone[0], torch.tensor([0.0, 0.5, 1.0]), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="at least one"):
        ensemble.ensemble_scores([], scale=1)


def test_triplet_vector_and_mlm_losses_by_hand() -> None:
    assert ranking.triplet(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.0])).item() == 0.5
    assert ranking.vector_distillation(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])).item() == 5.0
    assert ranking.vector_distillation(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]), absent=0.5).item() == 4.5


def test_masked_language_model_in_pieces_is_the_cross_entropy_of_all_logits() -> None:
    """Logits of 0 give −log ¼; pieces of 3 of 7 places give the value and the gradients of one product."""
    rng = torch.Generator().manual_seed(0)
    weight, bias = torch.zeros(4, 2), torch.zeros(4)
    value = ranking.masked_language_model(torch.ones(2, 2), torch.tensor([0, 3]), weight, bias)
    assert value.item() == pytest.approx(math.log(4))
    none = ranking.masked_language_model(torch.ones(0, 2), torch.zeros(0, dtype=torch.int64), weight, bias)
    assert none.item() == 0.0
    states, weight, bias = (torch.randn(shape, generator=rng, requires_grad=True) for shape in ((7, 3), (5, 3), (5,)))
    labels = torch.randint(5, (7,), generator=rng)
    ours = ranking.masked_language_model(states, labels, weight, bias, chunk=3)
    plain = torch.nn.functional.cross_entropy(states @ weight.T + bias, labels)
    torch.testing.assert_close(ours, plain)
    for a, b in zip(*(torch.autograd.grad(x, (states, weight, bias)) for x in (ours, plain)), strict=True):
        torch.testing.assert_close(a, b)
