"""The synthetic world, and that it tells methods apart (docs/data.md has the numbers)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.data.item_features import hot
from darlr.data.log import check
from darlr.data.sessions import sessions_of
from darlr.data.sets import synthetic
from darlr.data.sets.exposure import MOST_EXACT, exposure_of
from darlr.data.sets.synthetic import generate, known_factors, rewards
from darlr.data.store import checksum
from darlr.errors import MachineError
from darlr.evaluation.truth import load_truth
from darlr.io import memory
from darlr.options import SyntheticConfig
from darlr.simulation.session import reset

TURNS = 30


def play(scores, truth, share, leaves=True, aware=False):
    """Mean reward of a session without repeats. scores: [U, I], or [T, U, I] for new ones at each turn.

    leaves: users go after an item that shares a category with the one before. aware: avoid such items if possible.
    """
    rows, total, last = np.arange(len(truth)), np.zeros(len(truth)), None
    free, live = np.ones_like(truth, dtype=bool), np.ones(len(truth), dtype=bool)
    for turn in range(TURNS):
        allowed = free.copy()
        if aware and last is not None:
            safe = free & ~share[last]
            allowed = np.where(safe.any(1, keepdims=True), safe, free)
        item = np.where(allowed, scores[turn] if scores.ndim == 3 else scores, -np.inf).argmax(1)
        total += live * truth[rows, item]
        if leaves and last is not None:
            live &= ~share[last, item]
        free[rows, item] = False
        last = item
    return total.mean()


def returns(config):
    """R_tra of each list: users leave, users leave and the list knows, users stay."""
    world = generate(config)
    log, truth, codes = world.log, world.reward, world.categories
    share = ((codes[:, None, :, None] == codes[None, :, None, :]) & (codes >= 0)[:, None, :, None]).any((2, 3))
    count = np.bincount(log.item, minlength=log.n_items)
    mean = (np.bincount(log.item, log.reward, log.n_items) + 5 * log.reward.mean()) / (count + 5)
    lists = {
        "random": np.random.default_rng(1).random((TURNS, *truth.shape)),
        "popularity": np.tile(count.astype(float), (len(truth), 1)),
        "item mean": np.tile(mean, (len(truth), 1)),
        "greedy on the truth": truth,
    }
    return {
        name: (play(s, truth, share), play(s, truth, share, aware=True), play(s, truth, share, leaves=False))
        for name, s in lists.items()
    }


def test_lists_and_preferences_lie_well_apart():
    seeds = [returns(SyntheticConfig(seed=seed)) for seed in range(5)]
    names = list(seeds[0])
    table = np.array([[seed[name] for name in names] for seed in seeds])  # [seeds, lists, modes]
    gap = table[:, 1:] / table[:, :-1]
    assert (gap > 1.05).all(), table  # every seed, every neighbouring pair, every mode
    assert (gap.mean(0)[:, 1:] > 1.2).all(), gap.mean(0)  # exit-aware and without exit
    assert gap.mean(0)[1, 0] > 1.2, gap.mean(0)


def test_popularity_says_a_little_about_quality():
    for seed in range(3):
        world = generate(SyntheticConfig(seed=seed))
        count = np.bincount(world.log.item, minlength=200)
        assert 0.3 < np.corrcoef(count, world.reward.mean(0))[0, 1] < 0.7


@pytest.mark.parametrize("exposure", ["exact", "sampled"])
@pytest.mark.parametrize("chunk", [50, 1_000, synthetic.CHUNK])
def test_the_log_is_consistent_at_any_size(chunk, exposure, monkeypatch):
    monkeypatch.setattr(synthetic, "CHUNK", chunk)
    for users, items, categories in ((2, 1, 1), (7, 50, 3), (30, 5, 90)):
        world = generate(SyntheticConfig(users=users, items=items, categories=categories, exposure=exposure))
        check(world.log)
        assert len(np.unique(world.log.user * items + world.log.item)) == len(world.log)  # no item twice
        assert set(world.log.user) == set(range(users))
        assert world.reward.shape == (users, items)
        assert ((world.reward >= 1) & (world.reward <= 5)).all()
        assert (world.categories[:, 0] >= 0).all()
        assert (world.categories[:, 0] != world.categories[:, 1]).all()
        later = np.diff(world.log.timestamp)[np.diff(world.log.user) == 0]
        assert (later > 0).all()


def test_the_seed_is_the_world():
    first, again, other = (generate(SyntheticConfig(seed=seed)) for seed in (3, 3, 4))
    assert checksum(first.log) == checksum(again.log) != checksum(other.log)
    np.testing.assert_allclose(first.true_reward(np.array([5, 2])), again.reward[[5, 2]], rtol=1e-6)


def test_rewards_are_the_truth_plus_noise_less_boredom():
    calm = generate(SyntheticConfig(noise=0, boredom=0))
    log = calm.log
    np.testing.assert_allclose(log.reward, calm.reward[log.user, log.item], rtol=1e-5)
    bored = generate(SyntheticConfig(noise=0, boredom=0.5)).log
    lost = log.reward - bored.reward
    sets = [set(row[row >= 0]) for row in calm.categories]
    for k in range(200):  # slow and obvious
        before = [log.item[j] for j in (k - 1, k - 2) if j >= 0 and log.user[j] == log.user[k]]
        repeats = any(sets[log.item[k]] & sets[i] for i in before)
        assert lost[k] == pytest.approx(min(0.5, log.reward[k] - 1) if repeats else 0, abs=1e-5)


def test_exposure_follows_popularity_and_preference():
    world = generate(SyntheticConfig(users=2000, events_per_user=5))
    counts = np.bincount(world.log.item, minlength=200)
    assert np.corrcoef(np.log1p(counts), world.popularity)[0, 1] > 0.9
    chosen = world.reward[world.log.user, world.log.item].mean()
    assert chosen > world.reward.mean(0)[world.log.item].mean() + 0.1  # beyond what the items themselves explain
    even = generate(SyntheticConfig(users=2000, events_per_user=5, popularity_bias=0)).log
    assert np.bincount(even.item, minlength=200).std() < 2 * np.sqrt(50)


def test_a_large_world_is_quick():
    world = generate(SyntheticConfig(users=5_000, items=1_000, categories=31))
    assert len(world.log) == pytest.approx(150_000, rel=0.02)


def test_the_world_does_not_depend_on_how_work_is_shared():
    """Bit for bit: runs are tied to the log's checksum, and machines differ in their threads."""
    world = generate(SyntheticConfig(users=40, items=60))
    whole = world.reward
    for user in range(40):
        assert np.array_equal(world.true_reward(np.array([user]))[0], whole[user])


def test_rewards_of_pairs_and_of_chosen_items_are_cells_of_the_table():
    world = generate(SyntheticConfig(users=40, items=60))
    users, items = np.array([7, 3, 3, 39]), np.array([59, 0, 12, 12])
    assert np.array_equal(world.true_pairs(users, items), world.reward[users, items])
    assert np.array_equal(world.true_reward(users, items), world.reward[np.ix_(users, items)])


def test_sampled_exposure_is_close_to_exact():
    """The Reading of docs/data.md: the shares of items by popularity, the rewards, and the numbers of events."""
    config = SyntheticConfig(users=4_000, items=2_000, events_per_user=20)
    one, other = generate(config), generate(replace(config, exposure="sampled"))
    assert checksum(one.log) != checksum(other.log)
    assert np.array_equal(one.reward[:5], other.reward[:5])  # the truth is that of the same world
    assert len(other.log) == pytest.approx(len(one.log), rel=0.01)
    groups = np.array_split(np.argsort(-one.popularity), [20, 100, 400, 1000])
    shares = [[np.isin(w.log.item, group).mean() for group in groups] for w in (one, other)]
    np.testing.assert_allclose(*shares, atol=0.01)
    assert other.log.reward.mean() == pytest.approx(one.log.reward.mean(), abs=0.06)
    counts = [np.bincount(w.log.item, minlength=2_000) for w in (one, other)]
    assert np.corrcoef(*counts)[0, 1] > 0.99


def test_auto_is_exact_until_a_table_would_be_too_dear():
    assert exposure_of(SyntheticConfig(items=MOST_EXACT)) == "exact"
    assert exposure_of(SyntheticConfig(items=MOST_EXACT + 1)) == "sampled"
    assert exposure_of(SyntheticConfig(items=MOST_EXACT + 1, exposure="exact")) == "exact"


def test_evaluation_knows_the_rewards_of_a_sample_of_users(monkeypatch):
    config = SyntheticConfig(users=40, items=60)
    users, *factors = known_factors(config)
    reward = rewards(*factors)
    assert np.array_equal(users, np.arange(40))
    assert np.array_equal(reward, generate(config).reward)
    few, *factors = known_factors(replace(config, truth_users=7))
    known = rewards(*factors)
    assert len(set(few)) == 7
    assert np.array_equal(known, reward[few])
    assert np.array_equal(few, known_factors(replace(config, truth_users=7))[0])
    assert len(known_factors(replace(config, truth_users=50))[0]) == 40
    monkeypatch.setattr(synthetic, "MOST_KNOWN", 40 * 60 - 1)
    monkeypatch.setattr(synthetic, "SAMPLE_KNOWN", 5 * 60)
    assert len(known_factors(config)[0]) == 5


def test_a_world_that_does_not_fit_is_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 2**30)
    huge = SyntheticConfig(users=10_000_000, items=100_000, truth_users=10_000)
    with pytest.raises(MachineError, match=r"10,000,000 users and 100,000 items .*GB .*options users, items"):
        generate(huge)


def test_sessions_end_where_the_rule_says_and_gaps_show_it():
    config = SyntheticConfig(users=40, items=50, categories=6, leave=2.0, leave_patience=2, noise=0.8, boredom=0.0)
    log = generate(config).log
    found = sessions_of(log)
    bad = log.reward[found.order] < 2.0
    count = np.bincount(found.session, bad)
    over = np.bincount(found.session, found.known) == np.bincount(found.session)
    last = np.append(np.diff(found.session) == 1, True)
    user_end = np.append(np.diff(log.user[found.order]) == 1, True)
    ended = last & ~user_end
    assert over.any()
    assert (count[found.session[ended]] == 2).all()
    assert bad[ended].all()
    assert count.max() == 2
    assert len(found) > 3 * log.n_users


def test_rewards_fall_as_categories_repeat_in_a_session_and_the_truth_knows_it():
    config = SyntheticConfig(users=30, items=40, categories=3, tiring=0.2, noise=0.0, boredom=0.0)
    fresh, tired = (generate(replace(config, fatigue=fatigue)) for fatigue in (0.0, 0.4))
    assert np.array_equal(fresh.log.item, tired.log.item)
    found, member = sessions_of(tired.log), hot(tired.categories)
    truth = load_truth("synthetic", options=replace(config, fatigue=0.4))
    assert truth.fatigue is not None
    assert load_truth("synthetic", options=config).fatigue is None
    row = int(np.flatnonzero(found.turn == 4)[0])  # the fifth event of a session
    place = found.order[row - 4 : row + 1]
    session = reset(torch.from_numpy(tired.log.user[place[:1]]), 40, 4)
    session = replace(session, items=torch.from_numpy(tired.log.item[place[None, :4]]))
    full = torch.from_numpy(fresh.log.reward[place[4:]])
    felt = truth.fatigue.felt(session, torch.from_numpy(tired.log.item[place[4:]]), full)
    assert torch.equal(truth.fatigue.member, member)
    assert felt < full
    np.testing.assert_allclose(tired.log.reward[place[4:]], felt, rtol=1e-6)
