"""What every policy keeps: learned, baselines and lists, at any catalogue size; and the bugs that predecessors had."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.agents.learner import build_recommender
from darlr.agents.policy import RecommenderPolicy
from darlr.data.item_features import category_bits
from darlr.data.log import InteractionLog
from darlr.errors import DarlrError
from darlr.evaluation.protocol import play
from darlr.evaluation.truth import whole
from darlr.options import TrainConfig
from darlr.policies.bandits import UCB, EpsilonGreedy, LinUCB
from darlr.policies.bayes import Bayes
from darlr.policies.files import NETWORK, PLAIN, load_baseline, save_baseline
from darlr.policies.fixed import FixedList, Random, UserGreedy
from darlr.policies.index import Index
from darlr.policies.model_free import transitions
from darlr.policies.networks import NetworkPolicy, StateEncoder, constrained, layers_of, perceptron
from darlr.serving.folder import export, read_policy
from darlr.simulation.exits import CategoryExit, never
from darlr.simulation.policy import greedy, masked
from darlr.simulation.session import last_items, reset, show
from tests.agents.tiny import make_world, options

USERS = 6
SIZES = (1, 2, 300, 10_000)


def numbers(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(head):
    def build(n_items, seed, table):
        generator = torch.Generator().manual_seed(seed)
        encoder = StateEncoder(numbers(n_items, 3, seed=seed), 1.0, 5.0)
        stacks = [layers_of(perceptron(encoder.size, n_items, generator, (8,))) for _ in range(2)]
        used = {"value": ("value",), "actor": ("actor",), "constrained": ("value", "actor")}[head]
        return NetworkPolicy(encoder, head, **dict(zip(used, stacks, strict=False)))

    return build


def learned(**changes):
    def build(n_items, seed, table):
        world = replace(
            make_world(USERS, n_items, seed, reward=table),
            preference=numbers(n_items, 4, seed=seed),
            categories=category_bits(torch.arange(n_items)[:, None] % 4, 4),
        )
        config = options(seed=seed, **changes)
        recommender = build_recommender(world, config).eval()
        recommender.heads.actor.weight.data.mul_(300)  # decided, so that a difference shows
        return RecommenderPolicy(recommender)

    return build


def bayes(drawn, kind=Bayes, **more):
    def build(n_items, seed, table):
        logged = torch.arange(USERS * 2).view(USERS, 2) % n_items
        prior = table[0], numbers(n_items, 4, seed=seed), torch.full((n_items,), 0.5)
        return kind(*prior, logged, numbers(USERS, 2, seed=seed), drawn, seed, **more)

    return build


# each: (items, seed, table float32 [USERS, items] of the policy's own scores) -> policy
POLICIES = {
    "learned": learned(),
    "learned, user not in the state": learned(recommender__user_in_state=False),
    "learned, Transformer": learned(tracker__kind="transformer"),
    "learned, prior": learned(recommender__prior=1.0),
    "learned, prior and belief": learned(recommender__prior=1.0, recommender__belief=0.5),
    "learned, caution": learned(
        recommender__caution=2.0, session__exit="category", session__window=1, session__threshold=0
    ),
    "random": lambda n, seed, table: Random(),
    "fixed list": lambda n, seed, table: FixedList(table[0]),
    "user greedy": lambda n, seed, table: UserGreedy(table),
    "epsilon-greedy": lambda n, seed, table: EpsilonGreedy(table, 0.3, seed),
    "ucb": lambda n, seed, table: UCB(table, numbers(n, seed=seed).exp().round(), 1.0, 1.0),
    "linucb": lambda n, seed, table: LinUCB(table, numbers(n, 4, seed=seed), 1.0, 1.0),
    "linear greedy": lambda n, seed, table: LinUCB(table, numbers(n, 4, seed=seed), 1.0, 0.0),
    "bayes": bayes(drawn=False),
    "index of staying": bayes(False, Index, zero=1.0),
    "thompson": bayes(drawn=True),
    "value network": network("value"),
    "actor network": network("actor"),
    "constrained network": network("constrained"),
}
SAVED = [name for name in POLICIES if not name.startswith(("learned", "random", "fixed"))]
every_policy = pytest.mark.parametrize("name", POLICIES)


def build(name, n_items, seed=0, table=None):
    return POLICIES[name](n_items, seed, 3 + numbers(USERS, n_items, seed=seed + 1) if table is None else table)


def truth_of(n_items, seed=9):
    reward = 3 + numbers(USERS, n_items, seed=seed).clamp(-2, 2)
    return whole(reward)


def played(policy, n_items, users=None, **how):
    sampled = {} if how.get("greedy", True) else {"generators": [torch.Generator().manual_seed(4)]}
    rule = how.pop("rule", never)
    return play(policy, truth_of(n_items), n_items, rule, mode="NX_0", turns=6, users=users, **how, **sampled)


@every_policy
@pytest.mark.parametrize("n_items", SIZES)
def test_any_catalogue_is_played_without_repeats_and_ends_cleanly(name, n_items):
    for how in ({}, {"greedy": False}):
        found = played(build(name, n_items), n_items, **how)
        turns = min(6, n_items)
        assert found.length.tolist() == [turns] * USERS
        assert (found.items[:, turns:] == -1).all()
        assert all(len(set(row[:turns].tolist())) == turns for row in found.items)


@every_policy
def test_batch_equals_one_by_one(name):
    policy, session = build(name, 40), reset(torch.arange(USERS), 40, 6)
    singles = [reset(torch.tensor([user]), 40, 6) for user in range(USERS)]
    for turn in range(5):
        scores = policy.scores(session)
        alone = torch.cat([policy.scores(single) for single in singles])
        torch.testing.assert_close(scores, alone, rtol=1e-4, atol=1e-4)
        action, reward = (torch.arange(USERS) * 7 + turn * 3) % 40, 1 + (torch.arange(USERS) + turn).float() % 5
        stay = torch.zeros(USERS, dtype=torch.bool)
        session = show(session, action, reward, stay)
        singles = [show(s, action[[u]], reward[[u]], stay[[u]]) for u, s in enumerate(singles)]
    together = played(policy, 40).items
    assert together.tolist() == [played(policy, 40, users=torch.tensor([u])).items[0].tolist() for u in range(USERS)]


@every_policy
@pytest.mark.parametrize("value", [-1e30, -5.0, 0.0, 3.0])
def test_equal_and_negative_scores_never_let_a_masked_item_out(name, value):
    policy = build(name, 12, table=torch.full((USERS, 12), value))
    session = show(
        reset(torch.arange(USERS), 12, 6), torch.arange(USERS), torch.ones(USERS), torch.zeros(USERS, dtype=torch.bool)
    )
    scores = policy.scores(session)
    assert scores.shape == (USERS, 12)
    assert torch.isfinite(scores).all()
    only = torch.arange(12).expand(USERS, -1) == (torch.arange(USERS) + 1)[:, None]  # one item left, whatever its score
    assert greedy(scores, only).tolist() == list(range(1, USERS + 1))
    assert torch.isfinite(masked(scores, only)[only]).all()


@pytest.mark.parametrize("name", SAVED)
def test_nan_is_an_error_never_an_item(name):
    policy = build(name, 12, table=torch.full((USERS, 12), torch.nan))
    for weight, _ in [*getattr(policy, "value", ()), *getattr(policy, "actor", ())]:
        weight.fill_(torch.nan)
    with pytest.raises(DarlrError, match="NaN"):
        played(policy, 12)


@every_policy
def test_same_seed_same_actions_and_playing_changes_nothing(name):
    first, second = build(name, 50, seed=3), build(name, 50, seed=3)
    before = torch.get_rng_state()
    found = played(first, 50).items
    assert torch.equal(found, played(second, 50).items)
    assert torch.equal(found, played(first, 50).items)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize("n_items", SIZES)
def test_saved_and_loaded_plays_the_same(name, n_items, tmp_path):
    policy = build(name, n_items, seed=5)
    save_baseline(policy, tmp_path / "one")
    again = load_baseline(tmp_path / "one")
    assert torch.equal(played(policy, n_items).items, played(again, n_items).items)


@pytest.mark.parametrize("name", [name for name in POLICIES if name.startswith("learned")])
@pytest.mark.parametrize("n_items", SIZES)
def test_a_learned_policy_saved_and_loaded_plays_the_same(name, n_items, tmp_path):
    policy = build(name, n_items, seed=5)
    recommender = policy.recommender
    nothing = np.zeros(0, dtype=np.int64)
    log = InteractionLog("tiny", nothing, nothing, np.zeros(0, np.float32), tuple(range(USERS)), tuple(range(n_items)))
    world = make_world(USERS, n_items)
    export(recommender, world, log, TrainConfig(recommender=recommender.config), tmp_path / "policy")
    again = read_policy(tmp_path / "policy").policy.recommender
    assert (again.leaving is not None) == ("caution" in name)
    assert torch.equal(played(policy, n_items).items, played(RecommenderPolicy(again), n_items).items)


def test_every_kind_of_file_is_under_contract():
    kinds = {type(build(name, 2)) for name in SAVED}
    assert kinds == {found for found, _, _ in PLAIN.values()} | {NetworkPolicy}
    assert NETWORK not in PLAIN


@every_policy
def test_exit_aware_play_avoids_what_can_be_avoided(name):
    rule = CategoryExit(category_bits(torch.arange(40)[:, None] % 4, 4))
    assert played(build(name, 40), 40, rule=rule, exit_aware=True).length.tolist() == [6] * USERS


# Bugs of the predecessors, by name


def test_crr_is_not_uniformly_random_after_masking():
    """Their masked logits were all overwritten by one value."""
    policy, session = build("actor network", 30), reset(torch.arange(USERS), 30, 6)
    raw = policy.scores(session)
    allowed = torch.ones(USERS, 30, dtype=torch.bool)
    allowed[:, raw[0].argmax()] = False
    kept = masked(raw, allowed)
    assert torch.equal(kept[allowed], raw[allowed])
    assert (greedy(raw, allowed) == raw[0].topk(2).indices[1]).all()
    assert kept.softmax(-1)[0].max() > 1.05 * kept.softmax(-1)[0][allowed[0]].min()


def test_bcq_does_not_pick_the_lowest_allowed_item_through_nan():
    """Their constraint left no admissible item under the mask: 0 times infinity, and argmax of NaN is the first."""
    value = torch.tensor([[0.0, 5.0, 9.0, 1.0]])
    logits = torch.tensor([[-8.0, -6.0, -7.0, 4.0]])  # item 3 alone is admissible
    allowed = torch.tensor([[True, True, True, False]])
    scores = constrained(value, logits)
    assert torch.isfinite(scores).all()
    assert greedy(scores, torch.ones_like(allowed)).tolist() == [3]
    assert greedy(scores, allowed).tolist() == [1]  # the likeliest of the others
    flat = constrained(torch.zeros(1, 4), torch.zeros(1, 4))
    assert torch.isfinite(flat).all()
    # among admissible items, values decide
    assert greedy(constrained(value, torch.zeros(1, 4)), torch.ones_like(allowed)).tolist() == [2]


def test_exit_windows_do_not_wrap_around_before_the_window_is_full():
    """Their items[t - N : t] with t < N read from the end of the array."""
    session = reset(torch.zeros(1, dtype=torch.int64), 6, 4)
    session = show(session, torch.tensor([2]), torch.ones(1), torch.tensor([False]))
    assert last_items(session, 3).tolist() == [[-1, -1, 2]]
    assert last_items(session, 6).tolist() == [[-1, -1, -1, -1, -1, 2]]  # a window longer than the session
    rule = CategoryExit(category_bits(torch.tensor([[0], [1], [1], [2], [2], [0]]), 3))
    assert rule.ending(last_items(session, 3))[0, [0, 1, 3]].tolist() == [False, True, False]


@pytest.mark.parametrize("window", [1, 3, 5])
def test_states_of_acting_and_learning_are_the_same(window):
    """Their agents learnt from one state and acted on another; here both come from one function of a Session."""
    item, reward = np.array([4, 2, 0, 3, 1, 5, 2, 2]), np.arange(1, 9, dtype=np.float32) % 5 + 1
    log = InteractionLog(
        "tiny",
        np.array([1, 1, 1, 1, 1, 0, 0, 0]),
        item,
        reward,
        (0, 1),
        tuple(range(6)),
        np.array([50, 40, 30, 20, 10, 3, 1, 2]),
        reward_range=(1.0, 5.0),
    )
    encoder = StateEncoder(numbers(6, 3, seed=0), 1.0, 5.0, window)
    data = transitions(log, encoder, turns=4)
    # by hand: user 0 in time order, then user 1 in time order, cut after four
    sessions = [[6, 7, 5], [4, 3, 2, 1], [0]]
    assert data.action.tolist() == item[[6, 7, 5, 4, 3, 2, 1, 0]].tolist()
    assert data.last.tolist() == [False, False, True, False, False, False, True, True]
    place = 0
    for events in sessions:
        acting = reset(torch.tensor([0]), 6, 4)
        for event in events:
            torch.testing.assert_close(data.state[place], encoder(acting)[0])
            shown, seen = torch.tensor([int(item[event])]), torch.tensor([float(reward[event])])
            acting = show(acting, shown, seen, torch.tensor([False]))
            torch.testing.assert_close(data.after[place], encoder(acting)[0])
            torch.testing.assert_close(data.reward[place], (seen[0] - 1) / 4)
            place += 1
