from dataclasses import replace

import pytest
import torch

from darlr.agents.references import build_pool, candidate_count, pool_note
from darlr.agents.selector import pick_draws, select
from darlr.errors import ConfigError
from darlr.options import SelectorConfig
from tests.agents.tiny import build, make_world, options


@pytest.mark.parametrize(
    ("asked", "picks", "users", "count"),
    [
        (None, 10, 2048, 0),
        (None, 10, 2049, 64),
        (None, 50, 27_285, 200),
        (0, 10, 27_285, 0),
        (64, 10, 290, 64),
        (64, 10, 65, 0),  # all the others: no pool
        (64, 10, 66, 64),
    ],
)
def test_how_many_candidates(asked, picks, users, count):
    assert candidate_count(SelectorConfig(candidates=asked, picks=picks), users) == count


def test_a_run_says_that_it_picks_from_a_pool():
    assert "64 candidates for each user" in pool_note(SelectorConfig(), 2049)
    assert "(the default above 2,048 users), not from all 2,049 users" in pool_note(SelectorConfig(), 2049)
    assert "(as chosen)" in pool_note(SelectorConfig(candidates=32), 290)
    assert pool_note(SelectorConfig(), 2048) is None
    assert pool_note(SelectorConfig(candidates=0), 2049) is None
    assert pool_note(SelectorConfig(kind="nearest"), 2049) is None


@pytest.mark.parametrize("asked", [9, -1])
def test_fewer_candidates_than_picks_are_refused(asked):
    with pytest.raises(ConfigError, match=r"selector.candidates: must be 0 .* at least selector.picks \(10\)"):
        SelectorConfig(candidates=asked)


def test_a_pool_holds_the_nearest_and_others_by_chance():
    world = make_world(n_users=30)
    pool = build_pool(world, 12, torch.Generator().manual_seed(0))
    near, _ = world.neighbours(9, include_self=False)
    assert torch.equal(pool[:, :9], near)
    assert all(len(set(row)) == 12 and user not in row for user, row in enumerate(pool.tolist()))
    drawn = torch.stack([build_pool(world, 12, torch.Generator().manual_seed(seed))[0, 9:] for seed in range(300)])
    share = drawn.flatten().bincount(minlength=30)
    never = torch.cat([near[0], torch.zeros(1, dtype=torch.int64)])
    assert share[never].sum() == 0
    # 20 others, 3 drawn of them 300 times: 45 each, standard deviation 6.2
    others = share[[user for user in range(30) if user not in never.tolist()]]
    assert others.min() > 45 - 4 * 6.2
    assert others.max() < 45 + 4 * 6.2


def test_candidates_by_chance_among_many_users_are_distinct_others(monkeypatch):
    monkeypatch.setattr("darlr.agents.references.MANY", 10)
    world = make_world(60)
    pools = build_pool(world, 20, torch.Generator().manual_seed(0))
    near, _ = world.neighbours(15, include_self=False)
    assert torch.equal(pools[:, :15], near)
    for user, pool in enumerate(pools.tolist()):
        assert len(set(pool)) == 20
        assert user not in pool
    assert torch.equal(build_pool(world, 20, torch.Generator().manual_seed(0)), pools)


def selected(candidates, n=20_000, picks=2, users=6):
    world = make_world(n_users=users)
    learner, _ = build(world, options("darlr", selector__picks=picks, selector__candidates=candidates))
    selector = learner.selector
    state = torch.randn(1, learner.recommender.state_dim, generator=torch.Generator().manual_seed(3)).expand(n, -1)
    user = torch.full((n,), 2)
    uniform = pick_draws(selector, n, torch.Generator().manual_seed(0), user.device)
    return selector, *select(selector, world, world.reward, state, user, user, uniform)


def test_picks_come_from_the_pool_by_the_policy_none_twice():
    selector, references, selection = selected(4)
    pool = selector.pool[2]
    assert set(references.users.flatten().tolist()) == set(pool.tolist())
    assert (references.users[:, 0] != references.users[:, 1]).all()
    assert torch.equal(pool[selection.taken[:, 1:]], references.users)
    with torch.no_grad():
        recent = torch.tensor([[-1, -1, 2]])
        logits, _ = selector(selector.from_state(selection.state[:1]), recent, selector.tokens())
    share = references.users[:, 0].bincount(minlength=6)[pool] / len(references.users)
    assert (share - logits[0, pool].softmax(-1)).abs().max() < 0.015


def test_everyone_in_a_pool_is_the_same_distribution_as_no_pool():
    _, everyone, _ = selected(0)
    world = make_world(n_users=6)
    learner, _ = build(world, options("darlr", selector__picks=2, selector__candidates=0))
    learner.selector.pool = torch.tensor([[v for v in (5, 3, 1, 0, 4, 2) if v != u] for u in range(6)])
    n = 20_000
    state = torch.randn(1, learner.recommender.state_dim, generator=torch.Generator().manual_seed(3)).expand(n, -1)
    user = torch.full((n,), 2)
    generator = torch.Generator().manual_seed(1)
    uniform = pick_draws(learner.selector, n, generator, user.device)
    references, _ = select(learner.selector, world, world.reward, state, user, user, uniform)
    pairs = [(found.users[:, 0] * 6 + found.users[:, 1]).bincount(minlength=36) / n for found in (references, everyone)]
    assert (pairs[0] - pairs[1]).abs().max() < 0.015


def test_a_pool_is_drawn_from_the_seed_alone():
    def pool(seed):
        config = replace(options("darlr", selector__candidates=8), seed=seed)
        return build(make_world(n_users=30), config)[0].selector.pool

    assert torch.equal(pool(1), pool(1))
    assert torch.equal(pool(1)[:, :6], pool(2)[:, :6])
    assert not torch.equal(pool(1), pool(2))
