"""How much answers count and how wide predictions are: planted factors are found again."""

import numpy as np
import pytest
import torch

from darlr.world.answers import FEW, Answers, Cells, between, cells_of, choose
from darlr.world.belief import Belief
from tests.world.tiny import log_of

USERS, ITEMS, WIDTH = 400, 12, 4


def planted(noise: float, seed: int = 0):
    """A belief, and events of users who are drawn from it, with `noise` times its noise; half are held out."""
    generator = np.random.default_rng(seed)
    factors = generator.standard_normal((ITEMS, WIDTH))
    belief = Belief(torch.zeros(ITEMS), torch.from_numpy(factors).float(), torch.full((ITEMS,), 0.5))
    rows = generator.standard_normal((USERS, WIDTH)) @ factors.T
    reward = rows + (0.5 * noise) ** 0.5 * generator.standard_normal(rows.shape)
    user, item = np.divmod(np.arange(USERS * ITEMS), ITEMS)
    held = item % 3 == 0
    parts = [log_of(user[part], item[part], reward.ravel()[part], USERS, ITEMS) for part in (~held, held)]
    return belief, *parts


@pytest.mark.parametrize("noise", [0.5, 1.0, 4.0])
def test_the_noise_of_answers_is_found_by_what_they_predict(noise: float) -> None:
    belief, known, held_out = planted(noise)
    assert choose(belief, known, held_out).tempering == pytest.approx(noise, rel=0.55)
    few = slice(None, FEW - 1)
    less = log_of(held_out.user[few], held_out.item[few], held_out.reward[few], USERS, ITEMS)
    assert choose(belief, known, less) == Answers()


def test_a_wider_variable_is_found_behind_clipped_and_rounded_rewards() -> None:
    generator = np.random.default_rng(0)
    behind = 3 + 1.5 * generator.standard_normal(6000)
    ratings = behind.round().clip(1, 5)
    narrow = Belief(torch.full((1,), 3.0), torch.zeros(1, 1), torch.full((1,), float(ratings.var())))
    user, zero = np.arange(6000), np.zeros(6000, dtype=np.int64)
    log = log_of(user, zero, ratings, 6000, 1, reward_range=(1.0, 5.0))
    found = choose(narrow, log, log).of(narrow)
    assert float(found.noise) == pytest.approx(1.5**2, rel=0.15)
    assert float(narrow.noise) < 1.9
    assert float(found.mean) == 3.0


def test_intervals_of_ratings_and_of_rewards_that_are_not_rounded() -> None:
    inf = float("inf")
    low, high = Cells(np.array([1.0, 2.0, 4.0]), 1.0, 4.0).of(torch.tensor([1.0, 2.0, 4.0]))
    assert (low.tolist(), high.tolist()) == ([-inf, 1.5, 3.0], [1.5, 3.0, inf])
    low, high = Cells(np.zeros(0), 0.0, 10.0).of(torch.tensor([0.0, 5.0, 10.0]))
    assert low.tolist() == pytest.approx([-inf, 4.99, 9.99])
    assert high.tolist() == pytest.approx([0.01, 5.01, inf])
    log = log_of([0, 0, 0], [0, 1, 2], [1, 3, 3], 1, 3, reward_range=(1.0, 5.0))
    assert cells_of(log).values.tolist() == [1.0, 3.0]
    below, above = between((torch.tensor([-inf]).double(), torch.tensor([1.0]).double()), torch.ones(1), torch.ones(1))
    assert (float(below), float(above)) == (0.0, 0.5)
