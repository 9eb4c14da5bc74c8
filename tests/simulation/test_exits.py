"""Exit rules against their definition in plain Python, and built from a log."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from darlr.data.item_features import category_bits, feature_vectors
from darlr.data.log import FeatureColumn, InteractionLog
from darlr.errors import ConfigError
from darlr.options import SessionConfig
from darlr.simulation.exits import CategoryExit, DistanceExit, build_exit, never, resolve

FAST = settings(max_examples=150, deadline=None, derandomize=True)


@FAST
@given(
    n_categories=st.sampled_from([1, 2, 5, 62, 63, 64, 65, 126, 127, 130]),
    window=st.integers(1, 5),
    threshold=st.integers(0, 2),
    seed=st.integers(0, 2**31),
)
def test_category_exit_is_its_definition(n_categories, window, threshold, seed):
    generator = torch.Generator().manual_seed(seed)
    # a few codes at both ends of the range, so that categories repeat and the last bit of a word is used
    edge = torch.tensor([-1, 0, n_categories - 1, n_categories // 2, min(62, n_categories - 1)])
    codes = edge[torch.randint(len(edge), (9, 4), generator=generator)]
    recent = torch.randint(-1, 9, (6, window), generator=generator)
    items = torch.randint(9, (6, 5), generator=generator)
    sets = [{code for code in row if code >= 0} for row in codes.tolist()]
    expected = [
        [
            any(sum(category in sets[other] for other in shown if other >= 0) > threshold for category in sets[item])
            for item in row
        ]
        for shown, row in zip(recent.tolist(), items.tolist(), strict=True)
    ]
    bits = category_bits(codes, n_categories)
    rule = CategoryExit(bits, window, threshold)
    assert torch.stack([rule.leaves(recent, action) for action in items.T], dim=1).tolist() == expected
    assert rule.ending(recent).gather(1, items).tolist() == expected


def test_category_exit_by_hand():
    codes = torch.tensor([[0, 1], [1, -1], [2, -1], [-1, -1], [0, 0]])
    recent = torch.tensor([[1, 0, -1]])  # category 1 twice, category 0 once
    bits = category_bits(codes, 3)
    assert CategoryExit(bits, 3).ending(recent).tolist() == [[True, True, False, False, True]]
    assert CategoryExit(bits, 3, 1).ending(recent).tolist() == [[True, True, False, False, False]]
    assert not CategoryExit(bits, 3, 2).ending(recent).any()
    with pytest.raises(ConfigError, match="threshold"):
        CategoryExit(bits, 3, -1)


@pytest.mark.parametrize("n_items", [6, 60])
@pytest.mark.parametrize("threshold", [0.0, 1.0, 1.5, 2.0])
def test_distance_exit_is_its_definition(n_items, threshold):
    generator = torch.Generator().manual_seed(n_items)
    vectors = torch.randint(0, 3, (n_items, 3), generator=generator).float()
    recent = torch.randint(-1, n_items, (4, 30), generator=generator)[:, : 2 if n_items == 6 else 30]
    expected = [
        [
            any(math.dist(vectors[i].tolist(), vectors[o].tolist()) < threshold for o in shown if o >= 0)
            for i in range(n_items)
        ]
        for shown in recent.tolist()
    ]
    rule = DistanceExit(vectors, recent.shape[1], threshold)
    assert rule.ending(recent).tolist() == expected
    each = [rule.leaves(recent, torch.full((4,), item)) for item in range(n_items)]
    assert torch.stack(each, dim=1).tolist() == expected


def test_equal_vectors_are_at_distance_zero_however_many_are_compared():
    vectors = torch.full((40, 5), 1234.567)
    assert DistanceExit(vectors, 30, 1e-4).ending(torch.zeros((1, 30), dtype=torch.int64)).all()


def test_never_fires():
    assert never.leaves(torch.tensor([[0], [1]]), torch.tensor([0, 1])).tolist() == [False, False]
    assert not never.ending(torch.tensor([[0], [1]])).any()


def log_with(*columns, category=None, exit="none"):
    return InteractionLog(
        name="tiny",
        user=np.array([0]),
        item=np.array([0]),
        reward=np.ones(1, dtype=np.float32),
        user_ids=("a", "b"),
        item_ids=("x", "y", "z"),
        item_features=columns,
        category=category,
        exit=exit,
    )


KIND = FeatureColumn("kind", "categorical", np.array([0, 1, 0]), ("p", "q"))
TAGS = FeatureColumn("tags", "multi", np.array([[0, 2], [1, -1], [-1, -1]]), ("r", "s", "t"))
PRICE = FeatureColumn("price", "numeric", np.array([10, np.nan, 30], dtype=np.float32))
NOTHING = FeatureColumn("nothing", "numeric", np.full(3, np.nan, dtype=np.float32))


def test_feature_vectors_by_hand():
    assert feature_vectors(log_with(KIND, TAGS, PRICE, NOTHING)).tolist() == [
        [1, 0, 1, 0, 1, 0, 0],
        [0, 1, 0, 1, 0, 0, 0],
        [1, 0, 0, 0, 0, 1, 0],
    ]


def test_build_exit():
    recent = torch.tensor([[0]])
    log = log_with(KIND, category="kind")
    assert build_exit(SessionConfig(exit="category"), log).ending(recent).tolist() == [[True, False, True]]
    assert build_exit(SessionConfig(exit="none"), log) is never
    near = build_exit(SessionConfig(exit="distance", threshold=1.0), log)
    assert near.ending(recent).tolist() == [[True, False, True]]
    assert (near.window, near.threshold) == (1, 1.0)
    assert build_exit(SessionConfig(exit="distance", threshold=0.0), log) is never
    with pytest.raises(ConfigError, match=r"no exit rule is called 'catgory'; perhaps you meant 'category'"):
        build_exit(replace(SessionConfig(), exit="catgory"), log)


def test_build_exit_says_what_is_missing():
    with pytest.raises(ConfigError, match="item category"):
        build_exit(SessionConfig(exit="category"), log_with(KIND))
    with pytest.raises(ConfigError, match="item features"):
        build_exit(SessionConfig(exit="distance", threshold=1.0), log_with())


def test_auto_takes_what_the_data_set_names():
    log = log_with(KIND, category="kind", exit="category")
    assert resolve(SessionConfig(window=4, turns=12), log) == SessionConfig(exit="category", window=4, turns=12)
    chosen = SessionConfig(exit="none", window=2)
    assert resolve(chosen, log) == chosen
    assert build_exit(SessionConfig(), log).ending(torch.tensor([[2]])).tolist() == [[True, False, True]]
