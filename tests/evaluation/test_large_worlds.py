"""Evaluation without tables of users x items: by short lists and rewards on demand, as with tables in a small world."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

import darlr
from darlr.agents.learner import build_recommender
from darlr.agents.policy import RecommenderPolicy
from darlr.data.scope import scope_of
from darlr.data.sets.synthetic import generate, known_factors
from darlr.data.split import reserve
from darlr.evaluation import protocol
from darlr.evaluation.evaluate import settings
from darlr.evaluation.lists import best_fixed_list, oracle
from darlr.evaluation.protocol import play
from darlr.evaluation.true_rewards import TrueRewards
from darlr.evaluation.truth import Truth, part
from darlr.experiments import unseen
from darlr.experiments.evaluate import evaluate
from darlr.io import memory
from darlr.options import SyntheticConfig, WorldModelConfig
from darlr.policies import fixed
from darlr.policies.fixed import FixedList, Random, UserGreedy
from darlr.simulation.exits import never
from darlr.simulation.session import reset
from darlr.simulation.shortlist import KEPT, ByUser, best_items
from darlr.world.estimates import Estimate
from darlr.world.low_rank import LowRank
from darlr.world.views import Product
from tests.agents.tiny import make_world, options, same_category_leaves

USERS, ITEMS = 8, 60
RULE = same_category_leaves([item % 7 for item in range(ITEMS)])
GENERATOR = torch.Generator().manual_seed(0)
TABLE = torch.randint(0, 9, (USERS, ITEMS), generator=GENERATOR).float()  # with ties
TRUTH = Truth(np.arange(USERS), np.arange(ITEMS), torch.rand(USERS, ITEMS, generator=GENERATOR))
PARTIAL = Truth(np.array([5, 1]), np.arange(0, ITEMS, 2)[::-1].copy(), TRUTH.reward[:2, : ITEMS // 2])


def slated() -> RecommenderPolicy:
    config = options(recommender__slate=30, recommender__slate_random=3, recommender__prior=5.0)
    return RecommenderPolicy(build_recommender(make_world(USERS, ITEMS), config).eval())


POLICIES = {
    "slates": slated,
    "table": lambda: UserGreedy(TABLE),
    "rows": lambda: UserGreedy(TABLE[:3], torch.tensor([2, 1, 0, 0, 1, 2, 2, 0])),
    "list": lambda: FixedList(TABLE[0]),
    "oracle": lambda: oracle(PARTIAL, USERS, ITEMS),
    "best list": lambda: best_fixed_list(PARTIAL, ITEMS),
}


@pytest.mark.parametrize("mode", ["NX_0", "FB"])
@pytest.mark.parametrize("name", POLICIES)
def test_short_lists_play_what_the_whole_catalogue_plays(monkeypatch, name, mode):
    monkeypatch.setattr(fixed, "LISTED", 12)  # some sessions need more items than that
    monkeypatch.setattr(protocol, "SHORT", 3)
    ways = [{}, {"exit_aware": True}, {"greedy": False}]
    for truth, rule in ((TRUTH, RULE), (PARTIAL, replace(RULE, window=4))):
        for way in ways[: 2 + (name == "slates")]:
            found = []
            for wide in (ITEMS, 0):
                monkeypatch.setattr(protocol, "WIDE", wide)
                draws = [torch.Generator().manual_seed(1)]
                found.append(play(POLICIES[name](), truth, ITEMS, rule, mode=mode, turns=20, generators=draws, **way))
            dense, short = found
            assert torch.equal(dense.items, short.items)
            assert torch.equal(dense.rewards, short.rewards)


def test_a_random_policy_draws_every_item_as_often_by_short_lists(monkeypatch):
    monkeypatch.setattr(protocol, "WIDE", 0)
    users, draws = torch.arange(USERS).repeat(400), [torch.Generator().manual_seed(1)]
    for mode in ("FB", "NX_0"):
        played = play(Random(), TRUTH, ITEMS, never, mode=mode, turns=9, greedy=False, generators=draws, users=users)
        count = played.items.flatten().bincount(minlength=ITEMS).double()
        assert (count - count.mean()).abs().max() < 5 * count.mean().sqrt()
    assert all(len(row.unique()) == 9 for row in played.items[:50])
    lists = [Random(seed).shortlist(reset(torch.arange(2), ITEMS, 3), greedy=False).items for seed in (0, 1)]
    assert not torch.equal(*lists)


def test_the_best_items_are_those_of_a_stable_sort():
    for count in (1, 4, ITEMS):
        wanted = TABLE.argsort(dim=1, descending=True, stable=True)[:, :count].sort(1).values
        assert torch.equal(best_items(TABLE, count), wanted)


def test_rows_by_user_are_computed_once_and_forgotten_where_there_are_too_many():
    asked = []

    def rows(user):
        asked.append(user.tolist())
        return (user * 10,)

    by_user = ByUser(2 * KEPT, rows)
    for user in ([3, 1, 3], [1, 2], [3]):
        assert by_user.of(torch.tensor(user))[0].tolist() == [10 * one for one in user]
    assert asked == [[1, 3], [2]]
    many = torch.arange(10, KEPT + 10)
    assert torch.equal(by_user.of(many)[0], many * 10)
    assert torch.equal(by_user.of(many.flip(0))[0], many.flip(0) * 10)
    assert [len(some) for some in asked[2:]] == [KEPT]


def test_true_rewards_on_demand_are_those_of_the_table():
    config = SyntheticConfig(users=30, items=20, truth_users=9)
    users, *factors = known_factors(config)
    rewards, world = TrueRewards(*map(torch.from_numpy, factors)), generate(config)
    assert np.array_equal(rewards.whole().numpy(), world.reward[users])
    user, item = torch.arange(9)[:, None], torch.arange(20)
    assert torch.equal(rewards.pairs(user, item), rewards.whole())
    truth = Truth(users, np.arange(20), rewards)
    few = part(truth, np.array([0, 4, 8]))
    assert np.array_equal(few.users, users[[0, 4, 8]])
    assert torch.equal(few.reward.whole(), rewards.whole()[[0, 4, 8]])
    with pytest.raises(darlr.errors.DataError, match="in the order of their codes"):
        Truth(users, np.arange(20)[::-1], rewards)


def test_products_are_sums_of_products():
    one = Product(TABLE[:, :3], TABLE.T[:, :3], TABLE[0])
    wanted = TABLE[:, :3] @ TABLE.T[:, :3].T + TABLE[0]
    torch.testing.assert_close(one.whole(), wanted)
    torch.testing.assert_close(one.pairs(torch.tensor([2, 0]), torch.tensor([5, 1])), wanted[[2, 0], [5, 1]])
    low, high = one.bounds()
    assert low <= wanted.min() <= wanted.max() <= high


def test_a_table_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    with pytest.raises(darlr.errors.MachineError, match=r"a table of 8 users x 60 items: .* need none"):
        Product(TABLE[:, :3], TABLE.T[:, :3]).whole()


OPTIONS = {
    "steps": 200,
    "sessions": 8,
    "model": {"epochs": 1, "members": 2, "estimates": "factors"},
    "session": {"turns": 5},
    "recommender": {"slate": 30, "slate_random": 4},
}


def test_the_evaluation_world_model_of_a_large_world_has_a_bound_of_work(monkeypatch):
    log = generate(SyntheticConfig(users=26, items=50, categories=5, events_per_user=12)).log
    run = SimpleNamespace(logs=SimpleNamespace(unit=log.unit, checksum="", evaluation=0.3, scope=scope_of(log)))
    monkeypatch.setattr(unseen, "fit_model", lambda logs, options: (options, logs.refit))
    assert unseen.evaluation_world(run, unseen.evaluation_logs(log, run.logs), None) == (WorldModelConfig(), True)
    monkeypatch.setattr(unseen, "MOST", 0)
    monkeypatch.setattr(unseen, "JUDGED", 9)
    kept = unseen.evaluation_logs(log, run.logs)
    for work, epochs in ((1, 1), (int(3.5 * len(kept.train)), 3), (10**9, 60)):
        monkeypatch.setattr(unseen, "WORK", work)
        wanted = WorldModelConfig(members=2, batch=4096, epochs=epochs)
        assert unseen.evaluation_world(run, kept, None) == (wanted, False)


def test_a_large_world_is_evaluated_as_a_small_one_and_without_tables(monkeypatch):
    world = generate(SyntheticConfig(users=26, items=50, categories=5, events_per_user=12))
    train, kept = reserve(world.log, 0.4)
    model = darlr.Recommender("roler", **OPTIONS).fit(train, epochs=1, progress=False)
    assert isinstance(model.run.world.reward, LowRank)
    small = WorldModelConfig(epochs=2, members=1, estimates="factors")
    fitted = unseen.fit_model(unseen.evaluation_logs(kept, model.run.logs), small)
    monkeypatch.setattr(unseen, "evaluation_world", lambda *_: fitted)
    monkeypatch.setattr("darlr.experiments.evaluate.settings", lambda *given: settings(*given)[1:3])
    monkeypatch.setattr("darlr.world.models.bias.STRENGTHS", (5.0,))  # large worlds do not try all pairs
    dense = evaluate([model.run], kept=kept)

    def refuse(self):
        raise AssertionError(f"a table of {type(self).__name__} was made")

    monkeypatch.setattr(protocol, "WIDE", 0)
    for name in ("darlr.world.views", "darlr.world.models.bias", "darlr.experiments.unseen"):
        monkeypatch.setattr(f"{name}.MOST", 0)
    for kind in (Estimate, LowRank, Product):
        monkeypatch.setattr(kind, "whole", refuse)
    large = evaluate([model.run], kept=kept)
    for one, other in zip(dense.table, large.table, strict=True):
        if not one.name.startswith("random"):
            assert (one.name, one.mode, one.window) == (other.name, other.mode, other.window)
            assert other.mean == pytest.approx(one.mean, rel=1e-5), one.name
    for one, other in ((dense.unseen_events, large.unseen_events), (dense.next_items, large.next_items)):
        assert one["name"].to_list() == other["name"].to_list()
        for name in one.select(pl.selectors.float()).columns:
            assert other[name].to_list() == pytest.approx(one[name].to_list(), abs=0.01, nan_ok=True), name
    monkeypatch.setattr(unseen, "JUDGED", 9)
    few = evaluate([model.run], kept=kept, only="learned")
    assert few.about["evaluation world model"].startswith("1 members, fitted once in ")
    assert {row.users for row in few.table} == {9}
    assert few.about["users"] == "9 of 26"
    assert few.about["kept events"] == "those of 9 of 26 users, drawn at random"
    assert few.unseen_events["events"][0] < large.unseen_events["events"][0]
