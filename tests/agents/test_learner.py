"""One rollout and one update: acting and learning see the same, and every advantage lands on its row."""

from dataclasses import replace

import pytest
import torch

from darlr.agents import learner as learner_module
from darlr.agents import rollout as rollout_module
from darlr.agents import selector as selector_module
from darlr.agents.learner import build_recommender, learn
from darlr.methods import find
from darlr.simulation.policy import draw
from darlr.world.entries import entries
from darlr.world.feedback import standardise
from tests.agents.tiny import build, make_world, options, same_category_leaves

LEAVE = same_category_leaves([0, 0, 1, 1, 2, 2])
SESSIONS = 12


def spy(monkeypatch, config, world=None):
    """One `learn`; returns what was drawn from and what the updates were asked, before any weight moved."""
    seen = {"actions": [], "picks": [], "updates": [], "turns": None}

    def recorder(name):
        def record(probabilities, uniform):
            seen[name].append(probabilities)
            return draw(probabilities, uniform)

        return record

    def update(networks, optimiser, decisions_of, advantage, target, *_, group=1, team=None):
        seen["updates"].append((decisions_of(torch.arange(len(advantage))), advantage, target))
        return {}

    real = rollout_module.rollout

    def rollout(*arguments):
        seen["played"] = real(*arguments)
        return seen["played"]

    monkeypatch.setattr(rollout_module, "draw", recorder("actions"))
    monkeypatch.setattr(selector_module, "draw", recorder("picks"))
    monkeypatch.setattr(learner_module, "update", update)
    monkeypatch.setattr(learner_module, "rollout", rollout)
    learner, simulator = build(make_world() if world is None else world, config, LEAVE)
    learn(learner, simulator, SESSIONS)
    return seen


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tracker__window": 1, "selector_tracker__window": 1},
        {"tracker__window": 7, "selector_tracker__window": 7},
        {"tracker__layers": 2, "selector_tracker__layers": 2, "tracker__heads": 2, "selector_tracker__heads": 4},
        {"tracker__kind": "mean", "selector_tracker__kind": "mean"},
        {"session__repeats": True},
        {"session__repeats": True, "tracker__window": 7},
        {"recommender__user_in_state": False},
        {"recommender__feedback_in_state": False},
        {"recommender__prior": 1.5},
        {"selector__picks": 1},
        {"selector__picks": 4},
        {"selector__candidates": 3},  # of four others
        {"selector__candidates": 3, "selector__picks": 1},
        {"session__turns": 9},  # longer than the catalogue
    ],
)
def test_acting_and_learning_see_the_same_input(monkeypatch, changes):
    seen = spy(monkeypatch, options("darlr", **changes))
    turns = seen["played"].turns
    decisions, _, _ = seen["updates"][0]
    torch.testing.assert_close(policy(decisions), torch.cat(seen["actions"]))
    torch.testing.assert_close(decisions.value, seen["played"].value)
    assert torch.equal(decisions.action, turns.action)

    picks = turns.selection.reward.shape[1]
    decisions, _, _ = seen["updates"][1]
    acted = torch.stack(seen["picks"]).unflatten(0, (-1, picks)).transpose(1, 2).flatten(0, 2)  # turn, stream, pick
    torch.testing.assert_close(policy(decisions), acted)
    torch.testing.assert_close(decisions.value, turns.selection.value.flatten())
    users = decisions.action
    if decisions.pool is not None:
        users = decisions.pool.repeat_interleave(picks, 0).gather(1, users[:, None]).squeeze(1)
    assert torch.equal(users, turns.references.users.flatten())


def policy(decisions):
    """Probabilities of all decisions, [N, A]."""
    parts = [
        decisions.masked(layer.logits(decisions.hidden[rows]), rows).softmax(-1) for rows, layer in decisions.chunks()
    ]
    return torch.cat(parts)


def test_a_pool_learns_in_whole_selections(monkeypatch):
    groups = []

    def update(*_, group=1, team=None):
        groups.append(group)
        return {}

    monkeypatch.setattr(learner_module, "update", update)
    learner, simulator = build(make_world(n_users=9), options("darlr", selector__candidates=5), LEAVE)
    learn(learner, simulator, SESSIONS)
    assert groups == [1, 3]


def slow_advantages(reward, value, done, last_value, gamma):
    """Monte-Carlo returns minus values of one stream; lists."""
    following, found = last_value, []
    for r, v, d in reversed(list(zip(reward, value, done, strict=True))):
        following = r + gamma * (0.0 if d else following)
        found.append(following - v)
    return found[::-1]


def test_every_advantage_lands_on_its_row(monkeypatch):
    config = options("darlr", a2c__gamma=0.8, selector_a2c__gamma=0.6)
    seen = spy(monkeypatch, config)
    turns, last_value = seen["played"].turns, seen["played"].last_value
    _, advantage, target = seen["updates"][0]
    for b in range(SESSIONS):
        rows = slice(b, None, SESSIONS)
        columns = (x[rows].tolist() for x in (seen["played"].reward, seen["played"].value, seen["played"].done))
        expected = torch.tensor(slow_advantages(*columns, last_value[b].item(), 0.8))
        torch.testing.assert_close(advantage[rows], expected)
        torch.testing.assert_close(target[rows], expected + seen["played"].value[rows])

    selection = turns.selection
    _, advantage, target = seen["updates"][1]
    for n, (reward, value) in enumerate(zip(selection.reward.tolist(), selection.value.tolist(), strict=True)):
        expected = torch.tensor(slow_advantages(reward, value, [False, False, True], 0.0, 0.6))
        torch.testing.assert_close(advantage[3 * n : 3 * n + 3], expected)
        torch.testing.assert_close(target[3 * n : 3 * n + 3], expected + selection.value[n])


@pytest.mark.parametrize("method", ["mbpo", "mopo", "dorl", "roler", "darlr"])
def test_same_seed_same_metrics(method):
    def run(seed):
        learner, simulator = build(make_world(), options(method, seed=seed), LEAVE)
        return [{k: v.item() for k, v in learn(learner, simulator, SESSIONS).items()} for _ in range(2)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_metrics_by_hand():
    learner, simulator = build(make_world(), options("darlr"), LEAVE)
    metrics = learn(learner, simulator, SESSIONS)
    learner, simulator = build(make_world(), options("darlr"), LEAVE)  # the same rollout again
    played = rollout_module.rollout(
        learner.recommender, learner.selector, simulator, learner.tables, SESSIONS, learner.generators
    )
    turns = played.turns
    assert metrics["reward"].item() == pytest.approx(played.reward.mean().item())
    assert metrics["estimate"].item() == pytest.approx(turns.shaped.estimate.mean().item())
    assert metrics["penalty"].item() == pytest.approx(turns.shaped.uncertainty.mean().item())
    assert metrics["turns"].item() == pytest.approx(played.turn[played.done].float().mean().item())
    assert metrics["similarity"].item() == pytest.approx(turns.references.similarity.mean().item())
    assert metrics["diversity"].item() == pytest.approx(turns.references.diversity.mean().item())
    assert metrics["selector_reward"].item() == pytest.approx(turns.selection.reward.mean().item())
    assert {"entropy", "value_error", "grad_norm", "selector_entropy"} <= metrics.keys()


def test_both_agents_learn_and_buffers_do_not():
    learner, simulator = build(make_world(), options("darlr"))
    before = {
        f"{name}.{key}": value.clone()
        for name in ("recommender", "selector")
        for key, value in [*getattr(learner, name).named_parameters(), *getattr(learner, name).named_buffers()]
    }
    learn(learner, simulator, SESSIONS)
    for name in ("recommender", "selector"):
        for key, value in getattr(learner, name).named_buffers():
            assert torch.equal(before[f"{name}.{key}"], value), key
        for key, value in getattr(learner, name).named_parameters():
            still = (name, key) == ("selector", "tracker.begin")  # its window is never empty
            assert torch.equal(before[f"{name}.{key}"], value) is still, key
    assert not learner.recommender.training
    assert not learner.selector.training


def test_only_darlr_has_a_selector_and_a_moving_table():
    for method in ("mbpo", "mopo", "dorl", "roler"):
        learner, simulator = build(make_world(), options(method))
        tables = learner.tables
        learn(learner, simulator, SESSIONS)
        assert learner.selector is None
        assert learner.tables is tables


@pytest.mark.parametrize("mode", ["previous", "in_place"])
def test_refine_modes(mode):
    learner, simulator = build(make_world(), options("darlr", reward__refine=mode), LEAVE)
    start, played = learner.tables.start.whole().clone(), []
    method = simulator.method

    def estimate(tables, step, config):
        played.append((step, method.estimate(tables, step, config)))
        return played[-1][1]

    simulator = replace(simulator, method=replace(method, estimate=estimate))
    learn(learner, simulator, SESSIONS)
    expected = start.clone()
    for step, estimate in played:  # turn by turn, stream by stream: the newest estimate of a cell stays
        for user, item, value in zip(step.user, step.item, estimate, strict=True):
            expected[user, item] = value
    after, world = learner.tables, make_world()
    assert torch.equal(after.previous.whole(), expected)
    assert not torch.equal(after.previous.whole(), start)
    assert torch.equal(after.start.whole(), expected if mode == "in_place" else start)
    assert torch.equal(after.frozen.whole(), world.reward.whole())


def tables_of(world, config):
    return find(config.method).tables(world, config)


def test_start_tables():
    world = make_world()
    averaged, frozen = world.neighbour_reward(options().tables).whole(), world.reward.whole()
    for start, expected in (("frozen", frozen), ("neighbours", averaged)):
        tables = tables_of(world, options("darlr", reward__start=start))
        assert torch.equal(tables.start.whole(), expected)
        assert torch.equal(tables.previous.whole(), expected)
        assert torch.equal(tables.frozen.whole(), frozen)
        assert tables.risk is None  # Eq. 16 has no table
    static = tables_of(world, options("darlr", reward__penalty="static"))
    assert torch.equal(static.risk.whole(), world.risk.whole())
    roler = tables_of(world, options("roler"))
    assert torch.equal(roler.start.whole(), averaged)
    assert torch.equal(roler.risk.whole(), world.neighbour_risk(options().tables).whole())


def test_the_prior_is_the_table_that_the_estimate_starts_from():
    world = make_world()
    averaged, frozen = world.neighbour_reward(options().tables).whole(), world.reward.whole()
    assert not torch.equal(averaged, frozen)
    prior = {"recommender__prior": 1.0}

    def prior_of(method, **more):
        return build_recommender(world, options(method, **prior, **more)).estimate.whole()

    assert torch.equal(prior_of("roler"), averaged)
    assert torch.equal(prior_of("darlr", reward__start="neighbours"), averaged)
    assert torch.equal(prior_of("darlr", reward__start="frozen"), frozen)
    for method in ("mbpo", "mopo", "dorl"):
        assert torch.equal(prior_of(method, reward__start="neighbours"), frozen)
    assert build_recommender(world, options("roler")).estimate is None


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    build(make_world(), options("darlr"))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_decides_every_weight_and_generator():
    def parts(seed):
        learner, _ = build(make_world(), options("darlr", seed=seed))
        weights = {
            "recommender": learner.recommender.heads.trunk[0].weight,
            "selector": learner.selector.heads.trunk[0].weight,
        }
        states = {name: generator.get_state() for name, generator in vars(learner.generators).items() if generator}
        return weights | states

    one, again, other = parts(1), parts(1), parts(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
    purposes = [one[name] for name in ("users", "actions", "picks", "batches")]
    assert not any(torch.equal(a, b) for n, a in enumerate(purposes) for b in purposes[:n])


def test_learning_by_entries_is_learning_by_the_dense_table():
    feedback = torch.zeros(8, 200)
    feedback[torch.arange(8), torch.arange(8) * 9] = 1.0
    feedback[:, 3] = torch.tensor([1.0, 0, 0, 1, 0, 0, 0, 1])
    norm = feedback.norm(dim=1, keepdim=True)
    world = replace(make_world(n_users=8), user_features=standardise(feedback), unit=feedback / norm)
    found = []
    for one in (world, replace(world, entries=entries(feedback))):
        learner, simulator = build(one, options("darlr"), LEAVE)
        assert (learner.selector.entries is None) == (learner.recommender.entries is None) == (one is world)
        found.append([learn(learner, simulator, SESSIONS) for _ in range(3)])
    for dense, sparse in zip(*found, strict=True):
        for name, value in dense.items():
            torch.testing.assert_close(sparse[name], value, rtol=1e-3, atol=1e-4, msg=name)
