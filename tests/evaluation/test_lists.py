"""The trivial rows on a world small enough to see through."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from darlr.data.item_features import category_bits
from darlr.data.log import InteractionLog
from darlr.data.scope import scope_of
from darlr.evaluation.lists import Source, best_fixed_list, item_means, oracle, popularity, trivial_rows
from darlr.evaluation.protocol import play
from darlr.simulation.exits import CategoryExit, never
from darlr.world.estimates import Dense

LOG = InteractionLog(
    name="tiny",
    user=np.array([0, 1, 2, 0, 1, 2]),
    item=np.array([0, 0, 0, 1, 2, 2]),
    reward=np.array([1, 2, 3, 5, 4, 3], dtype=np.float32),
    user_ids=(0, 1, 2),
    item_ids=(0, 1, 2, 3),
    reward_range=(1, 5),
)
# users 2 and 0, items 1, 2, 3
TRUTH = SimpleNamespace(
    users=np.array([2, 0]),
    items=np.array([1, 2, 3]),
    reward=torch.tensor([[1.0, 5.0, 2.0], [4.0, 1.0, 3.0]]),
    fatigue=None,
)


def test_list_values_by_hand():
    assert popularity(LOG).tolist() == [3, 1, 2, 0]
    assert item_means(LOG).tolist() == [2, 5, 3.5, 3]  # item 3 has no rows: the global mean, 18 / 6


def test_references_on_the_truth_by_hand():
    fixed = play(best_fixed_list(TRUTH, 4), TRUTH, 4, never, mode="NX_0", turns=2)
    assert fixed.items.tolist() == [[2, 1], [2, 1]]  # means 2.5, 3, 2.5; the tie goes to the lower id
    best = play(oracle(TRUTH, 3, 4), TRUTH, 4, never, mode="NX_0", turns=2)
    assert best.items.tolist() == [[2, 3], [1, 3]]
    assert best.returns.tolist() == [7, 7]


def test_an_exit_aware_oracle_avoids_exits():
    rule = CategoryExit(category_bits(torch.tensor([[0], [1], [0], [0]]), 2))  # 2 and 3 share a category
    plain = play(oracle(TRUTH, 3, 4), TRUTH, 4, rule, mode="NX_0", turns=3)
    aware = play(oracle(TRUTH, 3, 4), TRUTH, 4, rule, mode="NX_0", turns=3, exit_aware=True)
    assert plain.items.tolist() == [[2, 3, -1], [1, 3, 2]]
    assert aware.items.tolist() == [[2, 1, 3], [1, 3, 2]]


def test_trivial_rows():
    table = torch.zeros((3, 4))
    world = SimpleNamespace(reward=Dense(table), neighbour_reward=lambda tables: Dense(table + 1))
    none = replace(LOG, user=LOG.user[:0], item=LOG.item[:0], reward=LOG.reward[:0])
    source = Source(LOG, LOG, none, LOG, scope_of(LOG), world)
    rows = trivial_rows([source, source], TRUTH, exits=False, repeats=2)
    names = ["random", "popularity list", "item-mean list", "bias-model list", "world-model greedy"]
    names += ["neighbour-table greedy"]
    assert [row.name for row in rows] == [*names, "best fixed list (truth)", "oracle (truth)"]
    assert [row.kind for row in rows] == ["log"] * 6 + ["truth"] * 2
    assert [row.greedy for row in rows] == [False] + [True] * 7
    assert [len(row.policies) for row in rows] == [2, 1, 1, 2, 2, 2, 1, 1]
    assert rows[5].policies[0].table is not table
    positive = replace(LOG, reward=np.ones(6, dtype=np.float32))
    implicit = trivial_rows([Source(positive, positive, none, positive, scope_of(LOG))], TRUTH, exits=False)
    assert [row.name for row in implicit[1:4]] == [
        "popularity list",
        "popularity list, by users",
        "logged-neighbour greedy",
    ]
    both = trivial_rows([source], TRUTH, exits=True)
    assert [row.name for row in both[8:]] == [f"{row.name}, exit-aware" for row in rows]
    assert all(row.exit_aware for row in both[8:])
