"""The fused head equals the plain formula, values and gradients, ties and padding included."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.native.tiles import tiles_usable

torch = pytest.importorskip("torch")

from sparseir.models.head import fused as head  # noqa: E402
from sparseir.models.head.fused import dense_gradient, max_logits  # noqa: E402
from sparseir.models.head.screen import VocabularyScreen  # noqa: E402
from sparseir.models.head.tiles import VocabularyTiles, largest_products, tiled_terms  # noqa: E402

BACKWARD = pytest.mark.parametrize("cells", [0, 1 << 40], ids=["pairs gathered", "one product"])
"""Both forms of the backward pass, whatever the number of active terms."""


def plain(hidden, mask, weight, bias):
    logits = hidden @ weight.t() + bias
    logits = logits.masked_fill(~mask.bool()[:, :, None], float("-inf"))
    top = torch.stack([row.gather(0, row.argmax(0, keepdim=True))[0] for row in logits])  # argmax: the first maximum
    return torch.relu(top)


def inputs(seed: int, *, grid: bool = False):
    """Random tensors; on a grid of halves products tie often and are exact."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((3, 7, 8), (50, 8), (50,))
    tensors = [torch.randn(s, generator=generator) for s in shapes]
    if grid:
        tensors = [(t * 2).round() / 2 for t in tensors]
    hidden, weight, bias = (t.requires_grad_() for t in tensors)
    mask = torch.tensor([[1] * 7, [1, 1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 1, 0, 0]])
    return hidden, mask, weight, bias


@BACKWARD
@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_fused_equals_plain(seed: int, grid: bool, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_CELLS", cells)
    results = []
    for function in (max_logits, plain):
        hidden, mask, weight, bias = inputs(seed, grid=grid)
        top = function(hidden, mask, weight, bias)
        (torch.log1p(top) * torch.linspace(0.1, 1, top.numel()).view_as(top)).sum().backward()
        results.append((top, hidden.grad, weight.grad, bias.grad))
    for fused, reference in zip(*results, strict=True):
        torch.testing.assert_close(fused, reference, rtol=1e-5, atol=1e-5)


@BACKWARD
@pytest.mark.parametrize("shift", [-3.0, 3.0])
def test_sparse_gradient_of_tied_embeddings_equals_the_dense_one(
    shift: float, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few and most terms active; the embedding's share and the head's meet in one dense gradient."""
    monkeypatch.setattr(head, "_CELLS", cells)
    found = []
    for sparse in (True, False):
        hidden, mask, weight, bias = inputs(8)
        table = dense_gradient(weight) if sparse else weight
        own = torch.nn.functional.embedding(torch.tensor([3, 3, 49]), table, sparse=sparse)
        top = max_logits(hidden, mask, table, bias + shift, sparse_gradient=sparse)
        (top.square().sum() + own.square().sum()).backward()
        found.append((weight.grad, hidden.grad, bias.grad))
    for ours, dense in zip(*found, strict=True):
        assert not ours.is_sparse
        torch.testing.assert_close(ours, dense, rtol=1e-5, atol=1e-5)


@BACKWARD
def test_first_maximum_gets_the_gradient(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two equal tokens: only the first learns."""
    monkeypatch.setattr(head, "_CELLS", cells)
    hidden = torch.ones(1, 2, 1, requires_grad=True)
    max_logits(hidden, torch.ones(1, 2), torch.ones(3, 1), torch.zeros(3)).sum().backward()
    assert hidden.grad.flatten().tolist() == [3.0, 0.0]


def test_bfloat16_close_to_float32() -> None:
    hidden, mask, weight, bias = inputs(5)
    low = max_logits(hidden.bfloat16(), mask, weight.bfloat16(), bias)
    torch.testing.assert_close(low, plain(hidden, mask, weight, bias), rtol=0.05, atol=0.1)
    low.sum().backward()
    assert torch.isfinite(weight.grad).all()


def test_autocast_decides_the_products_dtype() -> None:
    hidden, mask, weight, bias = inputs(6)
    with torch.autocast("cpu", torch.bfloat16):
        got = max_logits(hidden, mask, weight, bias)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, max_logits(hidden.bfloat16(), mask, weight.bfloat16(), bias))


def test_text_without_tokens_is_all_zero() -> None:
    hidden, _, weight, bias = inputs(7)
    top = max_logits(hidden, torch.zeros(3, 7), weight, bias + 5)
    top.sum().backward()
    assert not top.any()
    assert not hidden.grad.any()


@pytest.mark.parametrize("shift", [-6.0, -1.0, 4.0])
def test_screened_head_leaves_out_no_active_term(shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few, many and all terms active; an outlier that makes the 8-bit step coarse; padding and an empty text."""
    monkeypatch.setattr(head, "multiplies_tiles", lambda *_: False)  # the screen is for processors without them
    generator = torch.Generator().manual_seed(11)
    hidden = torch.randn(4, 9, 16, generator=generator)
    hidden[1, 2, 3] = 40.0
    weight, bias = torch.randn(300, 16, generator=generator), torch.randn(300, generator=generator) + shift
    mask = torch.ones(4, 9, dtype=torch.int64)
    mask[2, 4:] = 0
    mask[3] = 0
    for dtype in (torch.float32, torch.bfloat16):
        low, table = hidden.to(dtype), weight.to(dtype)
        with torch.no_grad():
            got = VocabularyScreen(table, bias).max_logits(low, mask)
            want = max_logits(low, mask, table, bias)
        torch.testing.assert_close(got, want, rtol=1e-2, atol=1e-5)
        assert torch.equal(got > 0, want > 0)


tiles = pytest.mark.skipif(not tiles_usable(), reason="this processor multiplies no tiles of bfloat16")


@tiles
@pytest.mark.parametrize("width", [5, 32, 100])
@pytest.mark.parametrize("lengths", [[1], [16, 0, 17], [3, 40, 200, 1]])
@pytest.mark.parametrize("num_terms", [1, 32, 333])
def test_tiles_give_the_largest_products_and_their_first_tokens(
    width: int, lengths: list[int], num_terms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers of a grid, so that sums are exact and ties many; texts of one token, of none, longer than a tile and a group."""
    generator = torch.Generator().manual_seed(3)
    grid = (torch.randint(-4, 5, (sum(lengths) + num_terms, width), generator=generator) / 4).bfloat16()
    packed, weight = grid[: sum(lengths)], grid[sum(lengths) :]
    ends = np.cumsum(lengths).tolist()
    spans = [(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        best, first = largest_products(packed, spans, tiled_terms(weight), places=True)
        alone, none = largest_products(packed, spans, tiled_terms(weight), places=False)
        assert none is None
        assert torch.equal(alone, best)
        for i, (begin, end) in enumerate(spans):
            if begin == end:
                assert torch.isneginf(best[i]).all()
                continue
            logits = packed[begin:end].float() @ weight.float().t()
            assert torch.equal(best[i], logits.amax(0))
            assert torch.equal(first[i], logits.argmax(0).int())


@tiles
@pytest.mark.parametrize("shift", [-6.0, -1.0, 4.0])
def test_head_of_tiles_is_near_the_formula_and_leaves_other_products_alone(shift: float) -> None:
    """torch's own products by tiles run before, between and after."""
    hidden, mask, weight, bias = (t.detach() for t in inputs(12))
    low, table = hidden.bfloat16(), weight.bfloat16()
    before = low.flatten(0, 1) @ table.t()
    frozen = VocabularyTiles(table, bias + shift)
    for _ in range(3):
        want = plain(low.float(), mask, table.float(), bias + shift)
        torch.testing.assert_close(frozen.max_logits(low, mask), want, rtol=1e-5, atol=1e-5)
        assert torch.equal(low.flatten(0, 1) @ table.t(), before)


@tiles
@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize("fault", [float("nan"), float("inf")])
@pytest.mark.parametrize("token", [0, 20, 39])
def test_tiles_do_not_hide_what_is_not_a_number(token: int, fault: float, places: bool) -> None:
    """Else a diverged network would look like one without active terms; other texts and terms are left alone."""
    packed, weight = torch.ones(80, 40).bfloat16(), torch.ones(35, 40).bfloat16()
    packed[token, 3] = fault
    best, _ = largest_products(packed, [(0, 40), (40, 80)], tiled_terms(weight), places=places)
    assert best[0].isnan().all()
    assert torch.equal(best[1], torch.full((35,), 40.0))
    weight[34, 5] = fault
    best, _ = largest_products(packed, [(40, 80)], tiled_terms(weight), places=places)
    assert best[0, 34].isnan()
    assert torch.equal(best[0, :34], torch.full((34,), 40.0))


@tiles
@BACKWARD
def test_training_by_tiles_is_near_training_by_pieces(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_CELLS", cells)
    found = []
    for usable in (True, False):
        monkeypatch.setattr(head, "multiplies_tiles", lambda *_, usable=usable: usable)
        hidden, mask, weight, bias = inputs(13, grid=True)
        with torch.autocast("cpu", torch.bfloat16):
            top = max_logits(hidden, mask, weight, bias)
        top.square().sum().backward()
        found.append((top, hidden.grad, weight.grad, bias.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=2e-2)
