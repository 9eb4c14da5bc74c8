"""How rewards fall as categories repeat, and users who leave because of it."""

from dataclasses import replace

import torch

from darlr.simulation.environment import Environment
from darlr.simulation.fatigue import LAGS, Fatigue
from darlr.simulation.felt import TiredExit
from darlr.simulation.session import reset

MEMBER = torch.tensor([[1.0, 0], [1, 0], [0, 1], [1, 1]])  # items 0, 1: category 0; 2: category 1; 3: both


def session_of(items):
    session = reset(torch.tensor([0]), 4, 6)
    shown = torch.tensor([[-1] * (6 - len(items)) + items])
    return replace(session, items=shown, turn=torch.tensor([len(items)]))


def test_each_shared_category_counts_less_the_longer_ago() -> None:
    fatigue, session = Fatigue(MEMBER, 0.5, 2.0), session_of([0, 2, 3])
    # from the newest: item 3 (lag 1, weight 1), item 2 (0.5), item 0 (0.25); times the strength 2
    expected = torch.tensor([2 * (1 + 0.25), 2 * (1 + 0.25), 2 * (1 + 0.5), 2 * (2 + 0.5 + 0.25)])
    torch.testing.assert_close(fatigue.of_all(session)[0], expected)
    for item in range(4):
        torch.testing.assert_close(fatigue.of(session, torch.tensor([item])), expected[item : item + 1])
    shown = fatigue.of_shown(session.items)[0]
    torch.testing.assert_close(shown, torch.tensor([0, 0, 0, 0, 0, 2 * (1 + 0.5)]))


def test_old_items_are_forgotten_and_rewards_do_not_fall_below_the_least() -> None:
    long = replace(reset(torch.tensor([0]), 4, LAGS + 1), items=torch.tensor([[0] + [2] * LAGS]))
    assert Fatigue(MEMBER, 1.0).of_all(long)[0].tolist() == [0, 0, LAGS, LAGS]
    fatigue = Fatigue(MEMBER, 1.0, 1.0, least=1.0)
    felt = fatigue.felt(session_of([0, 0]), torch.tensor([1]), torch.tensor([2.5]))
    assert felt.tolist() == [1.0]
    assert fatigue.felt(session_of([2]), torch.tensor([1]), torch.tensor([2.5])).tolist() == [2.5]


def test_tired_users_leave_with_the_stated_probability() -> None:
    rule = TiredExit(Fatigue(MEMBER, 0.5, 0.7))
    before = replace(reset(torch.arange(20_000), 4, 3), items=torch.tensor([[-1, -1, 0]]).expand(20_000, -1))
    zero = torch.zeros(20_000)
    share = Environment(rule, 3, 4, repeats=True, offered=4).step(before, zero.long() + 1, zero).done.float().mean()
    expected = 1 - torch.exp(torch.tensor(-0.7))
    assert abs(share - expected) < 0.02
    table = torch.zeros(20_000, 4)
    torch.testing.assert_close(rule.chances(before, table, table).leave[0], torch.tensor([1.0, 1, 0, 1]) * expected)
