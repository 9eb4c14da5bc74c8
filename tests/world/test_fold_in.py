"""Users in no log: the fold-in by hand, on a world of known rank, and p_u of new users."""

import numpy as np
import pytest
import torch

from darlr.data.log import InteractionLog
from darlr.options import TablesConfig, WorldModelConfig
from darlr.world.estimates import Dense
from darlr.world.feedback import feedback, standardise
from darlr.world.fitted import FittedWorldModel, Scale
from darlr.world.fold_in import FoldIn, carry, fold_in_of
from darlr.world.models.bayesian import BayesianFM
from tests.world.tiny import log_of

RANK = 2


def low_rank(n_users: int, n_items: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A table of rank 2 around its mean, within 1 to 5, and the factors of its items."""
    generator = torch.Generator().manual_seed(seed)
    users, items = (torch.randn(n, RANK, generator=generator) for n in (n_users, n_items))
    return (3 + 0.5 * users @ items.T).clamp(1, 5), items


def low_rank_log(n_users: int, n_items: int, events: int, seed: int) -> InteractionLog:
    """Each user logs some items, with the table's rewards."""
    table, generator = low_rank(n_users, n_items, seed)[0].numpy(), np.random.default_rng(seed)
    item = np.concatenate([generator.permutation(n_items)[:events] for _ in range(n_users)])
    user = np.repeat(np.arange(n_users), events)
    return log_of(user, item, table[user, item], n_users, n_items, reward_range=(1.0, 5.0))


def fitted_table(log: InteractionLog, seed: int) -> FittedWorldModel:
    """A world model whose estimates are the table itself."""
    table, items = low_rank(log.n_users, log.n_items, seed)
    nothing = torch.zeros(1, 1, 1)
    model = BayesianFM(
        user_linear=nothing,
        user_vector=nothing[..., None],
        item_linear=nothing,
        item_vector=nothing[..., None],
        noise=torch.ones(1),
    )
    codes = torch.arange(log.n_users), torch.arange(log.n_items)
    risk = torch.full_like(table, 0.05)
    vectors = table[:, :RANK].contiguous(), items
    tables = Dense(table), Dense(risk)
    return FittedWorldModel(model, WorldModelConfig(), Scale(3.0, 1.0, 1.0, 5.0), *codes, *tables, *vectors, {})


def test_by_hand() -> None:
    fold = FoldIn(torch.tensor([3.0, 2.0, 4.0]), torch.tensor([[1.0], [2.0], [-1.0]]), 0.5, (1.0, 5.0))
    items, rewards = torch.tensor([[1, 2], [0, -1], [-1, -1]]), torch.tensor([[4.0, 3.0], [2.0, 9.0], [0.0, 0.0]])
    # theta = sum x (r - mean) / (sum x^2 + noise): (2 * 2 + 1) / (4 + 1 + 0.5), and (-1) / (1 + 0.5)
    theta = torch.tensor([[5 / 5.5], [-1 / 1.5], [0.0]])
    torch.testing.assert_close(fold.coordinates(items, rewards), theta)
    by_hand = (fold.mean + theta * torch.tensor([1.0, 2.0, -1.0])).clamp(1, 5)
    torch.testing.assert_close(fold.fold_in(items, rewards), by_hand)
    assert fold.fold_in(items[2:], rewards[2:]).tolist() == [[3.0, 2.0, 4.0]]  # the mean user


def test_a_new_user_of_the_same_kind_is_recovered() -> None:
    table, items = low_rank(200, 30, seed=0)
    fold = fold_in_of(table, 0.01, (1.0, 5.0))
    truth = (3 + 0.5 * torch.tensor([[0.7, -0.9]]) @ items.T).clamp(1, 5)
    seen = torch.arange(8)[None]
    estimate = fold.fold_in(seen, truth[:, :8])
    assert (estimate - truth).abs().mean() < 0.1 < (fold.mean - truth).abs().mean()


def test_the_directions_reproduce_the_table_and_its_covariance() -> None:
    table = low_rank(40, 12, seed=1)[0]
    fold = fold_in_of(table, 1.0, (1.0, 5.0))
    torch.testing.assert_close(fold.factors @ fold.factors.T, torch.cov(table.T, correction=0), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(fold.rows(fold.known(table)), table, rtol=1e-3, atol=1e-3)
    assert fold.noise == 1.0


def test_another_table_is_carried_along() -> None:
    table = low_rank(40, 12, seed=1)[0]
    fold = fold_in_of(table, 1.0, (1.0, 5.0))
    other = table @ torch.randn(12, 12, generator=torch.Generator().manual_seed(2)) + 7  # linear in the coordinates
    torch.testing.assert_close(carry(fold, table, other).rows(fold.known(table)), other, rtol=1e-3, atol=1e-2)


def test_users_all_alike_fold_to_the_mean() -> None:
    table = torch.linspace(1, 5, 6).expand(4, 6).contiguous()
    fold = fold_in_of(table, 0.0, (1.0, 5.0))
    row = fold.fold_in(torch.tensor([[0, 5]]), torch.tensor([[5.0, 1.0]]))
    torch.testing.assert_close(row, table[:1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("indicator", ["predicted", "logged"])
@pytest.mark.parametrize("centre", ["none", "item", "user"])
def test_p_of_a_new_user_is_that_of_a_known_user_with_the_same_log(indicator: str, centre: str) -> None:
    log = low_rank_log(8, 10, 4, seed=0)
    table = low_rank(8, 10, seed=0)[0]
    vectors, how = feedback(Dense(table), log, TablesConfig(indicator=indicator, indicator_centre=centre))
    items, rewards = (torch.from_numpy(part.reshape(8, 4)) for part in (log.item, log.reward))
    torch.testing.assert_close(how.of(table, items, rewards), standardise(vectors), rtol=1e-4, atol=1e-5)


def test_p_of_nobody_is_the_mean() -> None:
    log = low_rank_log(8, 10, 4, seed=0)
    _, how = feedback(Dense(low_rank(8, 10, seed=0)[0]), log, TablesConfig(indicator="logged"))
    nobody = how.of(torch.full((1, 10), 3.0), torch.full((1, 1), -1), torch.zeros(1, 1))
    assert nobody.abs().max() == 0
