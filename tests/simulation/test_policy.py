"""Choosing an item from scores: masks, ties, extreme scores, and the sampling distribution."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from darlr.errors import DarlrError
from darlr.simulation import policy
from darlr.simulation.policy import draw, greedy, masked, sample

BELOW_ONE = float(np.nextafter(np.float32(1), np.float32(0)))
INF = float("inf")


def test_greedy_takes_the_best_allowed_item_and_the_lowest_id_of_ties():
    scores = torch.tensor([[1.0, 5.0, 3.0, 3.0], [2.0, 2.0, 2.0, 2.0]])
    allowed = torch.tensor([[True, False, True, True], [False, True, True, False]])
    assert greedy(scores, allowed).tolist() == [2, 1]


@pytest.mark.parametrize("value", [-INF, INF, -3.4e38, 3.4e38, 0.0])
def test_an_allowed_item_wins_whatever_its_score(value):
    scores = torch.tensor([[value, 7.0, INF]])
    allowed = torch.tensor([[True, False, False]])
    assert greedy(scores, allowed).tolist() == [0]
    for uniform in (0.0, 0.5, BELOW_ONE):
        assert sample(scores, allowed, torch.tensor([uniform])).tolist() == [0]


def test_rows_where_every_allowed_score_is_minus_infinity_stay_uniform():
    scores = torch.full((4, 3), -INF)
    allowed = torch.tensor([[True, False, True]]).expand(4, -1)
    assert sample(scores, allowed, torch.tensor([0.0, 0.49, 0.51, BELOW_ONE])).tolist() == [0, 0, 2, 2]


def test_nan_is_refused():
    with pytest.raises(DarlrError, match="NaN"):
        masked(torch.tensor([[0.0, float("nan")]]), torch.ones((1, 2), dtype=torch.bool))


def test_scores_are_left_as_they_were():
    scores = torch.tensor([[1.0, INF, -INF]])
    masked(scores, torch.tensor([[True, False, True]]))
    assert scores.tolist() == [[1.0, INF, -INF]]


@pytest.mark.parametrize("n_items", [1, 2, 300, 10_000])
def test_every_draw_is_allowed_at_any_catalogue_size(n_items):
    generator = torch.Generator().manual_seed(n_items)
    scores = 30 * torch.randn((64, n_items), generator=generator)
    allowed = torch.rand((64, n_items), generator=generator) < 0.3
    allowed[:, n_items // 2] = True
    rows = torch.arange(64)
    for uniform in (torch.rand(64, generator=generator), torch.zeros(64), torch.full((64,), BELOW_ONE)):
        assert allowed[rows, sample(scores, allowed, uniform)].all()
    assert allowed[rows, greedy(scores, allowed)].all()


def test_samples_follow_the_softmax_over_allowed_items():
    scores = torch.tensor([[0.0, 1.0, 9.0, -1.0, 0.5]])
    allowed = torch.tensor([[True, True, False, True, True]])
    n = 40_000
    uniform = torch.rand(n, generator=torch.Generator().manual_seed(0))
    found = sample(scores.expand(n, -1), allowed.expand(n, -1), uniform).bincount(minlength=5).numpy()
    weights = np.exp([0.0, 1.0, -np.inf, -1.0, 0.5])
    assert found[2] == 0
    keep = weights > 0
    assert chisquare(found[keep], n * weights[keep] / weights.sum()).pvalue > 1e-4


def test_draw_by_hand():
    probabilities = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.25, 0.0]).expand(6, -1)
    uniform = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, BELOW_ONE])
    assert draw(probabilities, uniform).tolist() == [1, 1, 3, 3, 4, 4]
    assert draw(torch.zeros(2, 6), torch.tensor([0.0, BELOW_ONE])).tolist() == [5, 5]
    for block in (1, 2, 3, 4, 5, 6, 7):
        with mock.patch.multiple(policy, WIDE=0, CHUNK=block):
            assert draw(probabilities, uniform).tolist() == [1, 1, 3, 3, 4, 4]
            assert draw(torch.zeros(2, 6), torch.tensor([0.0, BELOW_ONE])).tolist() == [5, 5]


@pytest.mark.parametrize("n_items", [1024, 1087, 5000])
def test_a_draw_of_many_is_the_same_by_blocks(n_items):
    generator = torch.Generator().manual_seed(0)
    probabilities = (8 * torch.randn((2000, n_items), generator=generator)).softmax(-1)
    probabilities *= torch.rand((2000, n_items), generator=generator) < 0.5
    uniform = torch.rand(2000, generator=generator)
    found = draw(probabilities, uniform)
    with mock.patch.object(policy, "WIDE", n_items + 1):
        differs = found != draw(probabilities, uniform)
    assert differs.float().mean() <= 0.001  # by rounding at an edge
    assert found.unique().numel() > 500


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    weights=st.lists(
        st.sampled_from([0.0, 1e-45, 1e-38, 1e-20, 1e-8, 1 / 3, 0.1, 1.0, 3.0]) | st.floats(0, 1, width=32),
        min_size=1,
        max_size=40,
    ),
    uniform=st.sampled_from([0.0, 1e-45, 0.5, BELOW_ONE]) | st.floats(0, BELOW_ONE, width=32),
    block=st.sampled_from([1, 3, 8]),
)
def test_draw_never_yields_an_entry_of_probability_zero(weights, uniform, block):
    probabilities = torch.tensor([weights])
    if probabilities.sum() > 1e-30:
        probabilities /= probabilities.sum()
        assert probabilities[0, draw(probabilities, torch.tensor([uniform]))[0]] > 0
        with mock.patch.multiple(policy, WIDE=0, CHUNK=block):
            assert probabilities[0, draw(probabilities, torch.tensor([uniform]))[0]] > 0
