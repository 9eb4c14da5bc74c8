"""The reward functions on a world of 2 users and 3 items, worked by hand."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from darlr.methods import find
from darlr.methods.darlr import dynamic_reward, dynamic_uncertainty
from darlr.methods.rewards import References, RewardTables, Shaped, Step
from darlr.options import RewardConfig, TablesConfig
from darlr.world.entropy import EntropyTable
from darlr.world.estimates import Dense
from darlr.world.tables import World

FROZEN = torch.tensor([[1.0, 2.0, 3.0], [5.0, 4.0, 3.0]])
RISK = torch.tensor([[0.5, 1.0, 0.0], [2.0, 0.25, 1.0]])
NEIGHBOURS = torch.tensor([[2.0, 2.5, 3.0], [4.0, 3.5, 3.0]])
NEIGHBOUR_RISK = torch.tensor([[0.25, 0.0, 1.0], [1.0, 0.5, 0.0]])
START = torch.tensor([[1.0, 3.0, 2.0], [4.0, 2.0, 5.0]])
PREVIOUS = torch.tensor([[2.0, 2.0, 2.0], [4.5, 1.0, 3.0]])
# pairs (0, 1) and (1, 2) were logged, (0, 2) was not
ENTROPY = EntropyTable(torch.tensor([0.5, 1.0, 0.25]), torch.tensor([1, 5]), torch.tensor([0.4, 0.8]))
EVEN = EntropyTable(torch.ones(3), torch.tensor([0, 1, 2, 4, 5, 8]), torch.full((6,), 0.4))  # every pair
INERT = EntropyTable(torch.ones(3), torch.zeros(0, dtype=torch.int64), torch.zeros(0))


def tables_of(frozen, start, risk, previous):
    """The tables of a method, as estimates."""
    return RewardTables(Dense(frozen), Dense(start), None if risk is None else Dense(risk), Dense(previous), ENTROPY)


TABLES = {
    "mbpo": tables_of(FROZEN, FROZEN, None, FROZEN),
    "mopo": tables_of(FROZEN, FROZEN, RISK, FROZEN),
    "dorl": tables_of(FROZEN, FROZEN, RISK, FROZEN),
    "roler": tables_of(FROZEN, NEIGHBOURS, NEIGHBOUR_RISK, FROZEN),
    "darlr": tables_of(FROZEN, START, None, PREVIOUS),
}

# user 0 begins with item 0; user 1 takes 1 after 0; user 0 takes 2 after 1
STEP = Step(user=torch.tensor([0, 1, 0]), item=torch.tensor([0, 1, 2]), last=torch.tensor([-1, 0, 1]))
REFERENCES = References(
    torch.tensor([[1, 1], [0, 1], [1, 0]]),
    similarity=torch.tensor([0.4, 0.5, -0.3]),
    diversity=torch.tensor([0.1, 0.5, 0.1]),
)
WEIGHTS = RewardConfig(lambda_u=0.5, lambda_e=2.0, minimum_gain=0.1)
E = torch.tensor([0.5 + 1.0, 1.0 + 0.4, 0.25 + 0.8])


def close(actual, expected):
    torch.testing.assert_close(actual, torch.as_tensor(expected))


def every_step(users=2, items=3):
    """Every user, item and item before, also none."""
    user, item, last = (
        axis.flatten()
        for axis in torch.meshgrid(torch.arange(users), torch.arange(items), torch.arange(-1, items), indexing="ij")
    )
    return Step(user, item, last)


@pytest.mark.parametrize(
    ("method", "estimate", "uncertainty", "entropy", "reward"),
    [
        ("mbpo", [1.0, 4.0, 3.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 4.0, 3.0]),
        ("mopo", [1.0, 4.0, 3.0], [0.5, 0.25, 0.0], [0.0, 0.0, 0.0], [0.75, 3.875, 3.0]),
        ("dorl", [1.0, 4.0, 3.0], [0.5, 0.25, 0.0], [1.5, 1.4, 1.05], [3.75, 6.675, 5.1]),
        ("roler", [2.0, 3.5, 3.0], [0.25, 0.5, 1.0], [1.5, 1.4, 1.05], [4.875, 6.05, 4.6]),
        # Eq. 15: (4 + 4) / 2, (3 + 2) / 2, (5 + 2) / 2; Eq. 16: |4 - 2| / 0.5, |2.5 - 1| / 1, |3.5 - 2| / 0.1 (held)
        ("darlr", [4.0, 2.5, 3.5], [4.0, 1.5, 15.0], [1.5, 1.4, 1.05], [5.0, 4.55, -1.9]),
    ],
)
def test_shaping_by_hand(method, estimate, uncertainty, entropy, reward):
    shaped = find(method).pay(TABLES[method], replace(STEP, references=REFERENCES), WEIGHTS)
    close(shaped.estimate, estimate)
    close(shaped.uncertainty, uncertainty)
    close(shaped.entropy, entropy)
    close(shaped.reward(WEIGHTS), reward)
    close(shaped.reward(WEIGHTS, shift=1.5), torch.tensor(reward) - 1.5)


@pytest.mark.parametrize(
    ("switches", "estimate", "uncertainty"),
    [
        # START at the step's cells, RISK at the step's cells
        ({"estimate": "static"}, [1.0, 2.0, 2.0], [2.0, 1.0, 0.0]),
        ({"penalty": "static"}, [4.0, 2.5, 3.5], [0.5, 0.25, 0.0]),
        ({"penalty": "none"}, [4.0, 2.5, 3.5], [0.0, 0.0, 0.0]),
    ],
)
def test_ablations_of_darlr_by_hand(switches, estimate, uncertainty):
    config = replace(WEIGHTS, **switches)
    tables = replace(TABLES["darlr"], risk=Dense(RISK) if config.penalty == "static" else None)
    shaped = find("darlr").pay(tables, replace(STEP, references=REFERENCES), config)
    close(shaped.estimate, estimate)
    close(shaped.uncertainty, uncertainty)


def test_a_static_penalty_of_darlr_is_part_of_the_shift():
    static = replace(WEIGHTS, penalty="static")
    tables = replace(TABLES["darlr"], risk=Dense(RISK))
    assert find("darlr").shift(tables, static) == pytest.approx(
        float((START - 0.5 * RISK).min()) + 2.0 * ENTROPY.floor()
    )


def test_darlr_needs_references():
    with pytest.raises(ValueError, match="reference users"):
        find("darlr").pay(TABLES["darlr"], STEP, WEIGHTS)


def test_dynamic_reward_by_hand():
    start = torch.tensor([[1.0, 2.0], [3.0, 5.0], [8.0, 5.0], [4.0, 0.0]])
    references = torch.tensor([[1, 2, 3], [0, 2, 3]])
    close(dynamic_reward(Dense(start), references, torch.tensor([0, 1])), [5.0, 7 / 3])


def test_dynamic_uncertainty_by_hand_and_its_clamp():
    references = References(
        torch.zeros(4, 1, dtype=torch.int64),
        similarity=torch.tensor([0.5, -1.0, 0.0, 0.25]),
        diversity=torch.tensor([0.5, 0.5, 0.0, 0.0]),
    )
    estimate, previous = torch.tensor([3.0, 3.0, 1.0, 2.0]), torch.tensor([1.0, 4.0, 1.0, 1.0])
    close(dynamic_uncertainty(estimate, previous, references, 0.25), [2.0, 4.0, 0.0, 4.0])
    close(dynamic_uncertainty(estimate, previous, references, 0.5), [2.0, 2.0, 0.0, 2.0])


def test_fixed_nearest_neighbours_and_uniform_weights_are_rolers_table():
    generator = torch.Generator().manual_seed(0)
    reward, vectors = torch.rand(9, 5, generator=generator) * 4 + 1, torch.randn(9, 4, generator=generator)
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    world = World(Dense(reward), Dense(torch.zeros_like(reward)), vectors, unit, torch.zeros(5, 2), INERT, (1.0, 5.0))
    for include_self in (True, False):
        options = TablesConfig(neighbours=4, neighbour_weights="uniform", neighbour_self=include_self)
        table = world.neighbour_reward(options).whole()
        index, _ = world.neighbours(4, include_self)
        user, item = torch.arange(9).repeat_interleave(5), torch.arange(5).repeat(9)
        close(dynamic_reward(Dense(reward), index[user], item), table.flatten())


@given(st.integers(0, 10_000), st.floats(0, 3))
def test_dorl_without_its_terms_is_mopo_is_mbpo(seed, lambda_e):
    generator = torch.Generator().manual_seed(seed)
    start, risk = torch.rand(2, 3, generator=generator) * 5, torch.rand(2, 3, generator=generator)
    risks = {"mbpo": None, "mopo": risk, "dorl": risk}
    free = RewardConfig(lambda_u=0.0, lambda_e=lambda_e)
    shaped = {
        method: find(method).pay(tables_of(start, start, table, start), every_step(), free)
        for method, table in risks.items()
    }
    plain = shaped["mbpo"].reward(free)
    close(shaped["dorl"].reward(free) - lambda_e * shaped["dorl"].entropy, plain)
    close(shaped["mopo"].reward(free), plain)
    penalised = RewardConfig(lambda_u=0.7, lambda_e=0.0)
    close(shaped["dorl"].reward(penalised), shaped["mopo"].reward(penalised))


@pytest.mark.parametrize("method", ["mbpo", "mopo", "dorl", "roler"])
@pytest.mark.parametrize("entropy", [INERT, EVEN])
def test_shift_brings_the_least_step_to_0(method, entropy):
    tables, known = replace(TABLES[method], entropy=entropy), find(method)
    pays = known.pay(tables, every_step(), WEIGHTS).reward(WEIGHTS, known.shift(tables, WEIGHTS))
    assert pays.min() == pytest.approx(0.0, abs=1e-6)


@given(st.integers(0, 10_000))
def test_no_step_pays_below_0_whatever_the_tables(seed):
    generator = torch.Generator().manual_seed(seed)
    start, risk = torch.rand(2, 2, 3, generator=generator) * 5
    step = every_step()
    for method in ("mbpo", "mopo", "dorl", "roler"):
        known, tables = find(method), tables_of(start, start, None if method == "mbpo" else risk, start)
        pays = known.pay(tables, step, WEIGHTS).reward(WEIGHTS, known.shift(tables, WEIGHTS))
        assert pays.min() >= -1e-5
    # DARLR by its estimate and entropy: its penalty has no table
    references = References(
        torch.randint(2, (len(step.user), 2), generator=generator),
        similarity=torch.ones(len(step.user)),
        diversity=torch.ones(len(step.user)),
    )
    known, tables = find("darlr"), tables_of(start, start, None, start)
    shaped = known.pay(tables, replace(step, references=references), WEIGHTS)
    certain = Shaped(shaped.estimate, torch.zeros_like(shaped.uncertainty), shaped.entropy)
    assert certain.reward(WEIGHTS, known.shift(tables, WEIGHTS)).min() >= -1e-5


def test_shift_by_hand():
    # r0 - 0.5 risk = [.75, 1.5, 3], [4, 3.875, 2.5]; neighbours - 0.5 risk = [1.875, 2.5, 2.5], [3.5, 3.25, 3]
    assert find("mbpo").shift(TABLES["mbpo"], WEIGHTS) == pytest.approx(1.0)
    assert find("mopo").shift(TABLES["mopo"], WEIGHTS) == pytest.approx(0.75)
    # the least entropy: 0.25 of item 2 and 0.4 of the pair (0, 1)
    assert find("dorl").shift(TABLES["dorl"], WEIGHTS) == pytest.approx(0.75 + 2 * 0.65)
    assert find("roler").shift(TABLES["roler"], WEIGHTS) == pytest.approx(1.875 + 2 * 0.65)
    more = replace(TABLES["darlr"], start=Dense(START + 1))
    assert find("darlr").shift(more, WEIGHTS) == pytest.approx(2.0 + 2 * 0.65)


def test_refine_by_hand_the_last_write_wins():
    table = torch.zeros(2, 3)
    user, item = torch.tensor([0, 1, 0, 0]), torch.tensor([1, 2, 1, 0])
    Dense(table).write(user, item, torch.tensor([9.0, 2.0, 3.0, 4.0]))
    close(table, [[4.0, 3.0, 0.0], [0.0, 0.0, 2.0]])


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.floats(0, 5, width=32)), min_size=1, max_size=40))
def test_refine_equals_a_loop(writes):
    table, refined = PREVIOUS.clone(), PREVIOUS.clone()
    for user, item, value in writes:
        table[user, item] = value
    user, item, value = (torch.tensor(column) for column in zip(*writes, strict=True))
    Dense(refined).write(user, item, value)
    assert torch.equal(refined, table)
