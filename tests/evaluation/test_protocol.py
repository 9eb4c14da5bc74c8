"""Playing against the truth; equality with a slow session is in tests/simulation/test_session.py."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from darlr.data.item_features import category_bits
from darlr.errors import ConfigError, DarlrError
from darlr.evaluation import protocol
from darlr.evaluation.protocol import play
from darlr.policies.fixed import FixedList, Random, UserGreedy
from darlr.simulation.exits import CategoryExit, never

# 2 users (codes 5 and 2), 3 items (codes 3, 0, 1) of a catalogue of 4: item 2 is outside the truth
TRUTH = SimpleNamespace(
    users=np.array([5, 2]),
    items=np.array([3, 0, 1]),
    reward=torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
    fatigue=None,
)
LIST = FixedList(torch.tensor([1.0, 2.0, 9.0, 3.0]))  # order 2, 3, 1, 0
RULE = CategoryExit(category_bits(torch.tensor([[0], [1], [0], [0]]), 2))  # items 0, 2, 3 share a category


def test_a_list_by_hand():
    played = play(LIST, TRUTH, 4, never, mode="NX_0", turns=5)
    assert played.users.tolist() == [5, 2]
    assert played.items.tolist() == [[3, 1, 0, -1, -1]] * 2
    assert played.rewards.tolist() == [[1, 3, 2, 0, 0], [4, 6, 5, 0, 0]]
    assert played.length.tolist() == [3, 3]
    assert played.returns.tolist() == [6, 15]


def test_modes_by_hand():
    repeats = play(LIST, TRUTH, 4, RULE, mode="FB", turns=5)
    assert repeats.items.tolist() == [[3, 3, -1, -1, -1]] * 2  # the repeat makes the user leave, and earns
    assert repeats.rewards[0].tolist() == [1, 1, 0, 0, 0]
    aware = play(LIST, TRUTH, 4, RULE, mode="FB", turns=5, exit_aware=True)
    assert aware.items[0].tolist() == [3, 1, 3, 1, 3]
    wide = play(LIST, TRUTH, 4, replace(RULE, window=2), mode="FB", turns=5, exit_aware=True)
    assert wide.items[0].tolist() == [3, 1, 3, -1, -1]  # with N = 2 nothing is safe at the third turn
    assert play(LIST, TRUTH, 4, replace(RULE, window=2), mode="NX_0", turns=5).items[0].tolist() == [3, 1, 0, -1, -1]
    assert play(LIST, TRUTH, 4, replace(RULE, window=9), mode="NX_10").items.shape == (2, 10)
    assert play(LIST, TRUTH, 4, replace(RULE, window=9), mode="NX_10").length.tolist() == [3, 3]


def test_chosen_users_in_any_order():
    played = play(LIST, TRUTH, 4, never, mode="NX_0", turns=1, users=torch.tensor([2, 5, 2]))
    assert played.rewards[:, 0].tolist() == [4, 1, 4]
    for wrong in ([1], [6], [-1], []):
        with pytest.raises(ConfigError, match="truth's users"):
            play(LIST, TRUTH, 4, never, mode="NX_0", users=torch.tensor(wrong, dtype=torch.int64))


def test_the_policy_observes_true_rewards():
    seen = []

    class Spy:
        def scores(self, session):
            seen.append((session.turn[0].item(), session.rewards[0].tolist(), session.items[0].tolist()))
            return LIST.scores(session)

    play(Spy(), TRUTH, 4, never, mode="NX_0", turns=3)
    assert seen == [(0, [0, 0, 0], [-1, -1, -1]), (1, [0, 0, 1], [-1, -1, 3]), (2, [0, 1, 3], [-1, 3, 1])]


def test_sampling_needs_a_generator_and_follows_it():
    with pytest.raises(ConfigError, match="generator"):
        play(Random(), TRUTH, 4, never, mode="NX_0", greedy=False)

    def draw(seed):
        users = torch.tensor([5] * 200)
        generator = torch.Generator().manual_seed(seed)
        return play(Random(), TRUTH, 4, never, mode="FB", greedy=False, generators=[generator], users=users).items

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))
    counts = draw(3).flatten().bincount(minlength=4)
    assert counts[2] == 0
    assert (counts[[0, 1, 3]] - 2000).abs().max() < 180  # 5 standard deviations of a fair draw


def test_batch_equals_one_by_one_and_chunks_change_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    truth = SimpleNamespace(
        users=torch.arange(9), items=torch.arange(6), reward=torch.rand((9, 6), generator=generator), fatigue=None
    )
    policy = UserGreedy(torch.rand((9, 6), generator=generator))

    def run(**options):
        return play(policy, truth, 6, never, mode="NX_0", **options)

    whole = run()
    alone = [run(users=torch.tensor([user])).items[0] for user in range(9)]
    assert torch.equal(whole.items, torch.stack(alone))
    sampled = run(greedy=False, generators=[torch.Generator().manual_seed(1)])
    monkeypatch.setattr(protocol, "CELLS", 12)  # two users at a time
    again = run(greedy=False, generators=[torch.Generator().manual_seed(1)])
    assert torch.equal(sampled.items, again.items)
    assert torch.equal(sampled.rewards, again.rewards)
    assert torch.equal(run().items, whole.items)


def test_seeds_side_by_side_draw_what_each_draws_alone():
    def run(seeds):
        users = torch.tensor([2, 5]).repeat(len(seeds))
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return play(Random(), TRUTH, 4, never, mode="NX_0", turns=3, greedy=False, generators=generators, users=users)

    parts = run([7, 8, 9]).split(2)
    for seed, part in zip([7, 8, 9], parts, strict=True):
        alone = run([seed])
        assert all(torch.equal(getattr(part, name), getattr(alone, name)) for name in ("users", "items", "rewards"))
    assert not torch.equal(parts[0].items, parts[1].items)
    with pytest.raises(ConfigError, match="an equal share"):
        play(
            Random(),
            TRUTH,
            4,
            never,
            mode="NX_0",
            greedy=False,
            users=torch.tensor([2]),
            generators=[torch.Generator()] * 2,
        )


def test_evaluating_touches_no_global_generator_and_no_gradient():
    weight = torch.nn.Parameter(torch.zeros(4))

    class Learned:
        def scores(self, session):
            return weight.expand(session.seen.shape)

    before = torch.random.get_rng_state()
    generators = [torch.Generator().manual_seed(0)]
    played = play(Learned(), TRUTH, 4, never, mode="NX_0", greedy=False, generators=generators)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not played.rewards.requires_grad


def test_a_diverged_policy_is_refused():
    with pytest.raises(DarlrError, match="NaN"):
        play(FixedList(torch.full((4,), float("nan"))), TRUTH, 4, never, mode="NX_0")


def test_ties_go_to_the_lowest_id_whatever_the_order_of_the_truth():
    played = play(FixedList(torch.zeros(4)), TRUTH, 4, never, mode="NX_0", turns=3)
    assert played.items.tolist() == [[0, 1, 3]] * 2
    assert played.rewards[0].tolist() == [2, 3, 1]
