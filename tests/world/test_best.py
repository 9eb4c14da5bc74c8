"""The largest scores are found by blocks, and estimates of factors rank all items."""

import pytest
import torch

from darlr.world.best import largest
from darlr.world.fold_in import FoldIn
from darlr.world.low_rank import LowRank


@pytest.mark.parametrize("items", [50, 9000, 20_003])
@pytest.mark.parametrize("count", [1, 40, 400])
def test_the_largest_scores_are_found_by_blocks(items, count):
    scores, count = torch.randn(3, items, generator=torch.Generator().manual_seed(items)), min(count, items)
    expected = scores.topk(count, dim=1).indices.sort(1).values
    assert torch.equal(largest(scores, count).sort(1).values, expected)


def test_estimates_of_factors_rank_as_their_rows_do():
    draw = torch.Generator().manual_seed(0)
    fold = FoldIn(*(torch.randn(size, generator=draw) for size in ((500,), (500, 6))), 1.0, (-50.0, 50.0))
    estimate, user = LowRank(fold, torch.randn(4, 6, generator=draw)), torch.tensor([3, 3, 0, 2, 3])
    expected = estimate.rows(user).topk(9, dim=1).indices.sort(1).values
    assert torch.equal(estimate.best(user, 9).sort(1).values, expected)


def test_estimates_of_factors_rank_before_they_are_clipped():
    mean = torch.linspace(0, 2, 500)
    estimate = LowRank(FoldIn(mean, torch.zeros(500, 2), 1.0, (0.0, 1.0)), torch.zeros(3, 2))
    assert estimate.best(torch.tensor([2, 0]), 2).sort(1).values.tolist() == [[498, 499]] * 2
