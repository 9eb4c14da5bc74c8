"""What a rollout plays: sessions without repeats, exits, restarts, feedback, and the seeds behind them."""

from dataclasses import fields, is_dataclass, replace
from itertools import pairwise

import pytest
import torch

from darlr.agents.rollout import join, rollout
from darlr.simulation.exits import Never, never
from darlr.world.drawn import Members, Tastes
from tests.agents.tiny import build, make_world, options, same_category_leaves

CATEGORIES = [0, 0, 1, 1, 2, 2]
LEAVE = same_category_leaves(CATEGORIES)


def play(config, rule=never, world=None, sessions=16):
    learner, simulator = build(make_world() if world is None else world, config, rule)
    played = rollout(learner.recommender, learner.selector, simulator, learner.tables, sessions, learner.generators)
    return played, learner, simulator


def streams(played):
    """Streams as lists of steps in time: dicts of plain numbers."""
    turns, sessions = played.turns, len(played.last_value)
    steps = [
        {
            "user": turns.observation.user[n].item(),
            "seen": [item for item in turns.observation.items[n].tolist() if item >= 0],
            "feedback": turns.observation.feedback[n].tolist(),
            "shown": [item for item in turns.shown[n].tolist() if item >= 0],
            "action": turns.action[n].item(),
            "estimate": turns.shaped.estimate[n].item(),
            "done": played.done[n].item(),
            "turn": played.turn[n].item(),
        }
        for n in range(len(turns.action))
    ]
    return [steps[b::sessions] for b in range(sessions)]


def flat(value, prefix=""):
    """All tensors of a nested dataclass by name."""
    if not is_dataclass(value):
        return {} if value is None else {prefix: value}
    return {k: v for f in fields(value) for k, v in flat(getattr(value, f.name), f"{prefix}.{f.name}").items()}


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("rule", [never, LEAVE])
@pytest.mark.parametrize("method", ["mbpo", "darlr"])
def test_sessions_follow_the_rules(repeats, rule, method):
    played, *_ = play(options(method, session__repeats=repeats), rule)
    again = 0
    for steps in streams(played):
        assert len(steps) == 5
        shown: list[int] = []
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            assert step["shown"] == shown
            assert step["seen"] == shown[-3:]
            again += step["action"] in shown
            leaves = rule is LEAVE and bool(shown) and CATEGORIES[shown[-1]] == CATEGORIES[step["action"]]
            shown = [*shown, step["action"]]
            assert step["turn"] == len(shown)
            assert step["done"] == (leaves or len(shown) == 5)
            if following and not step["done"]:
                assert following["user"] == step["user"]
                assert following["feedback"][-1] == pytest.approx((step["estimate"] - 1) / 4, abs=1e-6)
            shown = [] if step["done"] else shown
    assert (again > 0) is repeats


def test_the_shown_history_is_the_observed_feedback():
    """DARLR's state is fed the averaged estimate, not the frozen reward."""
    played, learner, _ = play(options("darlr"))
    turns = played.turns
    frozen = learner.tables.frozen.pairs(turns.observation.user, turns.action)
    assert (turns.shaped.estimate - frozen).abs().max() > 0.1
    first = turns.observation.feedback[played.turn == 1]
    assert first.abs().max() == 0


def test_restarts_take_new_users():
    world = make_world(n_users=200)
    played, *_ = play(options(), LEAVE, world, sessions=64)
    pairs = [(a, b) for steps in streams(played) for a, b in pairwise(steps) if a["done"]]
    assert len(pairs) > 20
    assert sum(a["user"] == b["user"] for a, b in pairs) < 0.1 * len(pairs)
    users = played.turns.observation.user
    assert users.min() >= 0
    assert len(users.unique()) > 60


def test_users_are_uniform():
    played, *_ = play(options(session__turns=1), sessions=20_000)
    share = played.turns.observation.user.bincount(minlength=5) / 20_000
    assert (share - 0.2).abs().max() < 0.015


def test_actions_follow_the_policy():
    world = make_world(n_users=2)
    played, learner, _ = play(options(session__turns=1), world=world, sessions=20_000)
    first = played.turns.observation.user == 0
    share = played.turns.action[first].bincount(minlength=6) / first.sum()
    with torch.no_grad():
        expected = learner.recommender(played.turns.observation.rows(first.nonzero()[:1, 0])).logits.softmax(-1)[0]
    assert expected.max() > 0.3  # far from uniform
    assert (share - expected).abs().max() < 0.02


@pytest.mark.parametrize("method", ["mbpo", "darlr"])
def test_a_small_catalogue_ends_sessions(method):
    played, *_ = play(options(method), world=make_world(n_items=3))
    for steps in streams(played):
        assert [step["turn"] for step in steps] == [1, 2, 3, 1, 2]
        assert [step["done"] for step in steps] == [False, False, True, False, False]
        assert sorted(step["action"] for step in steps[:3]) == [0, 1, 2]
    repeating, *_ = play(options(method, session__repeats=True), world=make_world(n_items=3))
    assert all(steps[-1]["turn"] == 5 for steps in streams(repeating))


@pytest.mark.parametrize("method", ["mbpo", "mopo", "dorl", "roler", "darlr"])
def test_rewards_are_what_the_method_pays(method):
    world = make_world()
    config = options(method, reward__lambda_u=0.5, reward__lambda_e=0.3)
    played, learner, simulator = play(config, LEAVE, world)
    turns, tables = played.turns, learner.tables
    user, item = turns.observation.user, turns.action
    last = turns.observation.items[:, -1]
    entropy = 0.3 * world.entropy.lookup(last, item)
    if method == "darlr":
        members = tables.start.pairs(turns.references.users, item[:, None])
        estimate = members.mean(1)
        gain = (turns.references.similarity + turns.references.diversity).clamp(min=config.reward.minimum_gain)
        expected = estimate - 0.5 * (estimate - tables.previous.pairs(user, item)).abs() / gain + entropy
    else:
        near = world.neighbour_reward(config.tables), world.neighbour_risk(config.tables)
        reward, risk = near if method == "roler" else (world.reward, world.risk)
        expected = reward.pairs(user, item)
        expected = expected - 0.5 * risk.pairs(user, item) if method != "mbpo" else expected
        expected = expected + entropy if method in ("dorl", "roler") else expected
    torch.testing.assert_close(played.reward, expected - simulator.shift)
    if method != "darlr":
        assert played.reward.min() >= 0


def test_last_value_is_that_of_the_state_after_the_last_turn():
    config = options()
    learner, simulator = build(make_world(), config, LEAVE)
    observed = []
    learner.recommender.register_forward_pre_hook(lambda _, seen: observed.append(seen[0]))
    played = rollout(learner.recommender, None, simulator, learner.tables, 16, learner.generators)
    after, done = observed[-1], played.done[-16:]
    assert len(observed) == 6
    assert done.any()
    assert not done.all()
    newest = torch.where(done, -1, played.turns.action[-16:])
    assert torch.equal(after.items[:, -1], newest)
    assert torch.equal(after.user[~done], played.turns.observation.user[-16:][~done])
    with torch.no_grad():
        torch.testing.assert_close(
            played.last_value, learner.recommender.heads.value(learner.recommender(after).hidden)
        )


@pytest.mark.parametrize("method", ["mbpo", "darlr"])
def test_same_seed_same_rollout(method):
    first, second, other = (flat(play(options(method, seed=seed), LEAVE)[0]) for seed in (3, 3, 4))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first[".turns.action"], other[".turns.action"])


@pytest.mark.parametrize("n_items", [3, 6])  # 3: items run out before the last turn
@pytest.mark.parametrize("repeats", [False, True])
def test_a_rule_that_never_fires_is_no_rule(repeats, n_items):
    """Bit for bit, though the latter plays without looking who leaves."""
    config, world = options(session__repeats=repeats), make_world(n_items=n_items)
    none, idle = (flat(play(config, rule, world)[0]) for rule in (never, Never()))
    assert none.keys() == idle.keys()
    assert all(torch.equal(none[name], idle[name]) for name in none)


def test_picks_disturb_neither_users_nor_actions():
    """One generator for each purpose: methods see the same sessions as long as feedback does not differ."""
    plain, darlr = (
        play(options(method, recommender__feedback_in_state=False), LEAVE)[0].turns for method in ("mbpo", "darlr")
    )
    assert torch.equal(plain.observation.user, darlr.observation.user)
    assert torch.equal(plain.action, darlr.action)


def test_a_rollout_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    play(options("darlr"))
    assert torch.equal(torch.get_rng_state(), before)


def test_references_belong_to_their_turn():
    played, *_ = play(options("darlr"), LEAVE)
    turns = played.turns
    assert torch.equal(turns.selection.chosen[:, 0], turns.observation.user)
    assert torch.equal(turns.selection.chosen[:, 1:], turns.references.users)


@pytest.mark.parametrize("start", ["frozen", "neighbours"])
def test_the_selector_is_paid_by_the_table_that_eq_15_averages(start):
    config = options(
        "darlr", reward__start=start, selector__reward="own", selector__lambda_s=0.0, selector__lambda_d=0.0
    )  # fmt: skip
    played, learner, _ = play(config)
    turns = played.turns
    paid = learner.tables.start.pairs(turns.references.users, turns.action[:, None])
    torch.testing.assert_close(turns.selection.reward, paid)
    torch.testing.assert_close(turns.shaped.estimate, paid.mean(1))


def test_join_by_hand():
    played, *_ = play(options("darlr"))
    turn = played.turns
    twice = join([turn, turn])
    assert torch.equal(twice.observation.items, torch.cat([turn.observation.items] * 2))
    assert join([replace(turn, references=None)] * 2).references is None


def test_a_session_keeps_its_drawn_world_and_is_told_with_noise():
    plain = make_world()
    table = torch.arange(7.0)[:, None, None].expand(7, *plain.reward.shape) / 10  # the departure tells the draw
    tastes = Tastes(Members(table), torch.full((6,), 0.25), -9.0, 9.0)
    config = options("mbpo", session__tastes="drawn", session__turns=40, session__repeats=True)
    played, _, simulator = play(config, LEAVE, replace(plain, tastes=tastes), sessions=32)
    turns, shape = played.turns, (-1, 32)
    departure, done = (10 * turns.taste.departure).round().view(shape), played.done.view(shape)
    kept = departure[1:] == departure[:-1]
    assert kept[~done[:-1]].all()
    assert 0.6 < (~kept[done[:-1]]).float().mean() < 0.9  # one of 4 draws: 0, 2, 4 and 6
    assert set(departure.flatten().tolist()) == {0, 2, 4, 6}
    expected = plain.reward.table[turns.observation.user, turns.action] + turns.taste.departure
    torch.testing.assert_close(turns.feedback - expected, turns.taste.noise)
    torch.testing.assert_close(played.reward, expected - simulator.shift)  # noise is told, and not paid
    assert float(turns.taste.noise.std()) == pytest.approx(0.5, abs=0.05)
