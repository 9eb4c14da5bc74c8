"""Fatigue that a log teaches: it finds a planted fall, keeps no other, and policies reckon with it."""

from dataclasses import replace

import numpy as np
import torch

from darlr.data.log import FeatureColumn, InteractionLog
from darlr.data.sets.synthetic import generate
from darlr.options import SessionConfig, SyntheticConfig
from darlr.policies.index import Index
from darlr.simulation.fatigue import Fatigue
from darlr.simulation.session import reset
from darlr.simulation.tiring import effects, fit_fatigue, learned_fatigue

WORLD = SyntheticConfig(users=120, items=60, categories=5, events_per_user=30, tiring=0.15, boredom=0.0, noise=0.2)


def test_a_planted_fall_is_found_and_none_is_not() -> None:
    tired, fresh = (generate(replace(WORLD, fatigue=fatigue)).log for fatigue in (0.3, 0.0))
    found = fit_fatigue(tired, None)
    assert found.kept
    assert 0.1 < found.fatigue.strength < 0.4  # rewards cannot fall below 1, so that the mean fall is smaller
    assert found.strength[0] < found.fatigue.strength < found.strength[1]
    without = fit_fatigue(fresh, None)
    assert not without.kept
    assert "rewards do not fall" in without.describe()
    assert learned_fatigue(fresh, SessionConfig(fatigue="learned")) is None
    assert learned_fatigue(tired, SessionConfig()) is None
    assert learned_fatigue(tired, SessionConfig(fatigue="learned")) is not None


def test_random_items_show_a_fall_that_passing_likings_hide() -> None:
    rng, rows = np.random.default_rng(0), []
    for session in range(600):
        liked, before = rng.integers(5), [-1, -1]
        for turn in range(12):
            random = rng.random() < 0.5
            item = int(rng.integers(20)) if random or rng.random() < 0.5 else int(5 * rng.integers(4) + liked)
            fall = 0.4 * sum((0.5**lag) * (item % 5 == one) for lag, one in enumerate(reversed(before)))
            reward = 1.0 * (item % 5 == liked) - fall + rng.normal(0, 0.3)
            rows.append((session % 60, item, reward, 100_000 * session + 60 * turn + turn % 7, random))
            before.append(item % 5)
    user, item, reward, time, random = map(np.array, zip(*rows, strict=True))
    genre = FeatureColumn("genre", "categorical", np.arange(20) % 5, tuple("abcde"))
    log = InteractionLog("likings", user, item, reward, tuple(range(60)), tuple(range(20)), time, random=random)
    log = replace(log, item_features=(genre,), category="genre", reward_range=(reward.min(), reward.max()))
    found = fit_fatigue(log, 1000.0)
    assert found.kept
    assert abs(found.fatigue.strength - 0.4) < 0.08
    assert found.plain < 0.2
    assert "random ones" in found.describe()


def test_effects_are_the_means_of_balanced_groups() -> None:
    rows, columns = np.divmod(np.arange(400), 20)
    y = 3.0 * (rows % 2) - 1.0 * (columns < 10)
    found = effects(y - y.mean(), [rows, columns], np.ones(400, dtype=bool))
    shrunk = 20 / 25  # 20 events beside 5 of the average
    np.testing.assert_allclose(found, shrunk * (y - y.mean()), atol=1e-6)


def test_a_policy_that_knows_fatigue_learns_what_rested_users_like() -> None:
    """Item 0 gave 2 after a fall of 1, which says as much as 3 without fatigue; its category now costs 1.5."""
    member, nobody = torch.tensor([[1.0, 0], [1, 0], [0, 1]]), torch.zeros(1, 0)
    fatigue = Fatigue(member, 0.5, 1.0)
    index = Index(torch.full((3,), 3.0), torch.ones(3, 1), torch.ones(3), nobody.long(), nobody, fatigue=fatigue)
    items, rewards = torch.tensor([[-1, 1, 0]]), torch.tensor([[0.0, 3.0, 2.0]])
    session = replace(reset(torch.tensor([0]), 3, 3), items=items, rewards=rewards, turn=torch.tensor([2]))
    assert fatigue.of_shown(items)[0].tolist() == [0, 0, 1]
    torch.testing.assert_close(index.scores(session)[0], torch.tensor([1.5, 1.5, 3.0]))
