from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from darlr.data.log import Block, InteractionLog
from darlr.options import TablesConfig
from darlr.world import tables
from darlr.world.entropy import EntropyTable, build_entropy
from darlr.world.estimates import Dense
from darlr.world.feedback import feedback, standardise
from darlr.world.logged import Histories
from darlr.world.tables import World, build_world


def make_world(reward, vectors=None):
    vectors = torch.as_tensor(reward if vectors is None else vectors, dtype=torch.float32)
    reward = torch.as_tensor(reward, dtype=torch.float32)
    norm = vectors.norm(dim=1, keepdim=True)
    empty = EntropyTable(torch.ones(reward.shape[1]), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    unit = torch.where(norm > 0, vectors / norm.clamp(min=1e-12), 0.0)
    tables = Dense(reward), Dense(torch.ones_like(reward))
    return World(*tables, vectors, unit, torch.zeros(reward.shape[1], 2), empty, (0.0, 5.0))


def make_log(user, item, reward, n_users, n_items, timestamp=None, block=None):
    return InteractionLog(
        "tiny",
        np.array(user),
        np.array(item),
        np.array(reward, dtype=np.float32),
        tuple(range(n_users)),
        tuple(range(n_items)),
        timestamp=None if timestamp is None else np.array(timestamp),
        block=block,
    )


def indicator(*given):
    return feedback(Dense(given[0]), *given[1:])[0]


def test_similarity_by_hand():
    world = make_world(torch.zeros(4, 2), [[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [0.0, 0.0]])
    u = torch.tensor([0, 0, 1, 3])
    v = torch.tensor([1, 2, 1, 0])
    torch.testing.assert_close(world.similarity(u, v), torch.tensor([0.5**0.5, 0.0, 1.0, 0.0]))
    assert world.similarity(u[:, None], v[None]).shape == (4, 4)


def test_similarity_on_the_fly_equals_the_table(monkeypatch):
    vectors = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    u, v = torch.arange(20)[:, None], torch.arange(20)
    world, rows = make_world(torch.zeros(20, 3), vectors), torch.tensor([[3, 0, 19], [7, 7, 1]])
    held, among = world.similarity(u, v), world.similarities(rows)
    monkeypatch.setattr(tables, "SIMILARITY_USERS", 5)
    world = make_world(torch.zeros(20, 3), vectors)
    torch.testing.assert_close(world.similarity(u, v), held)
    torch.testing.assert_close(world.similarities(rows), among)
    for b, row in enumerate(rows.tolist()):
        for i, one in enumerate(row):
            assert among[b, i].tolist() == pytest.approx([held[one, other].item() for other in row], abs=1e-6)


def test_neighbours_by_hand():
    world = make_world(torch.zeros(3, 2), [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    index, cosine = world.neighbours(2, include_self=True)
    assert index[:, 0].tolist() == [0, 1, 2]
    assert index[0, 1] == 1
    torch.testing.assert_close(cosine[0], torch.tensor([1.0, 0.5**0.5]))
    index, _ = world.neighbours(1, include_self=False)
    assert index[0].tolist() == [1]
    assert index[2].tolist() == [1]
    assert world.neighbours(9, include_self=False)[0].shape == (3, 2)  # no more than there are


def test_a_user_is_its_own_neighbour_even_among_twins_and_without_a_vector():
    world = make_world(torch.zeros(4, 2), [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    index, _ = world.neighbours(1, include_self=True)
    assert index[:, 0].tolist() == [0, 1, 2, 3]
    index, _ = world.neighbours(3, include_self=False)
    assert all(u not in index[u].tolist() for u in range(4))


def test_all_pairs_are_compared_once(monkeypatch):
    vectors = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    world, ranked = make_world(torch.zeros(20, 3), vectors), []
    rank = tables.nearest
    monkeypatch.setattr(tables, "nearest", lambda unit, k, home: ranked.append(k) or rank(unit, k))
    asked = [(7, False), (3, False), (8, True), (2, True)]
    found = [world.neighbours(*question) for question in asked]
    assert ranked == [7]
    cosine = world.similarity(torch.arange(20)[:, None], torch.arange(20))
    for (k, itself), (index, values) in zip(asked, found, strict=True):
        expected = cosine.clone().fill_diagonal_(torch.inf if itself else -torch.inf).topk(k, dim=1).indices
        assert torch.equal(index, expected)
        torch.testing.assert_close(values, cosine.gather(1, index))
    assert world.neighbours(9, include_self=False)[0].shape == (20, 9)
    assert ranked == [7, 9]


def test_neighbour_table_by_hand():
    # cosines: (0,1) 0.6, (0,2) 0, (1,2) 0.8
    world = make_world([[1.0, 5.0], [2.0, 3.0], [4.0, 1.0]], [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    config = TablesConfig(neighbours=2, neighbour_risk="variance")
    reward, risk = world.neighbour_reward(config).whole(), world.neighbour_risk(config).whole()
    # user 0: (1 * r0 + 0.6 * r1) / 1.6; user 2: (1 * r2 + 0.8 * r1) / 1.8
    torch.testing.assert_close(reward[0], torch.tensor([2.2 / 1.6, 6.8 / 1.6]))
    torch.testing.assert_close(reward[2], torch.tensor([5.6 / 1.8, 3.4 / 1.8]))
    torch.testing.assert_close(risk[0], torch.tensor([0.25, 1.0]))  # variance of {1, 2} and of {5, 3}
    config = TablesConfig(neighbours=2, neighbour_weights="uniform", neighbour_self=False, neighbour_risk="zero")
    torch.testing.assert_close(world.neighbour_reward(config).whole()[0], torch.tensor([3.0, 2.0]))
    assert world.neighbour_risk(config).whole().abs().max() == 0


@given(st.integers(0, 1000), st.integers(1, 9), st.booleans(), st.sampled_from(["cosine", "uniform"]))
def test_neighbour_table_equals_a_slow_one(seed, k, include_self, weights):
    draw = torch.Generator().manual_seed(seed)
    vectors = torch.randn(9, 4, generator=draw)
    world = make_world(1 + 4 * torch.rand(9, 5, generator=draw), vectors)
    config = TablesConfig(neighbours=k, neighbour_self=include_self, neighbour_weights=weights)
    reward, risk = world.neighbour_reward(config).whole(), world.neighbour_risk(config).whole()
    cosine = torch.nn.functional.cosine_similarity(vectors[:, None], vectors[None], dim=-1)
    for u in range(9):
        others = sorted((v for v in range(9) if include_self or v != u), key=lambda v: -float(cosine[u, v]))[:k]
        weight = cosine[u, others].clamp(min=0) if weights == "cosine" else torch.ones(len(others))
        if weight.sum() == 0:
            weight = torch.ones(len(others))
        rows = world.reward.whole()[others]
        torch.testing.assert_close(reward[u], (weight[:, None] * rows).sum(0) / weight.sum(), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(risk[u], rows.var(0, correction=0), atol=1e-3, rtol=1e-3)


def test_standardise_by_hand():
    # columns centred: (-1, 1), (-3, 3); standard deviation of all four: sqrt(20 / 3)
    scale = (20 / 3) ** 0.5
    expected = torch.tensor([[-1.0, -3.0], [1.0, 3.0]]) / scale
    torch.testing.assert_close(standardise(torch.tensor([[1.0, 2.0], [3.0, 8.0]])), expected)
    assert standardise(torch.ones(3, 2)).tolist() == [[0.0, 0.0]] * 3  # nothing to tell users apart


def test_predicted_and_logged_indicators():
    reward = torch.tensor([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])
    log = make_log([0, 0, 0, 1], [0, 0, 1, 1], [2, 4, 1, 5], 2, 3)
    assert torch.equal(indicator(reward, log, TablesConfig(indicator="predicted", indicator_centre="none")), reward)
    logged = indicator(reward, log, TablesConfig(indicator="logged", indicator_centre="none"))
    assert logged.tolist() == [[3.0, 1.0, 0.0], [0.0, 5.0, 0.0]]  # a repeated cell counts by its mean
    centred = indicator(reward, log, TablesConfig(indicator="logged", indicator_centre="item"))
    assert centred.tolist() == [[0.0, -2.0, 0.0], [0.0, 2.0, 0.0]]  # missing cells stay 0
    by_user = indicator(reward, log, TablesConfig(indicator="predicted", indicator_centre="user"))
    assert by_user.tolist() == [[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]]


def test_the_logged_indicator_leaves_the_block_out():
    log = make_log([0, 1, 1], [0, 1, 2], [2, 3, 4], 2, 3, block=Block(np.array([0]), np.array([1])))
    found = indicator(torch.zeros(1, 1), log, TablesConfig(indicator="logged", indicator_centre="none"))
    assert found.tolist() == [[2.0, 0.0]]  # the scope's user, on items 0 and 2


def test_positives_alone_are_not_centred_away():
    log = make_log([0, 0, 1], [0, 1, 1], [1, 1, 1], 2, 3)
    found = indicator(torch.zeros(2, 3), log, TablesConfig(indicator="logged", indicator_centre="item"))
    assert found.tolist() == [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]


def test_auto_reads_the_log_where_only_positives_are_logged():
    reward = torch.tensor([[0.5, 0.25, 0.75], [0.5, 0.5, 0.5]])
    config = TablesConfig(indicator_centre="none")
    positives = make_log([0, 0, 1], [0, 1, 1], [1, 1, 1], 2, 3)
    assert indicator(reward, positives, config).tolist() == [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    ratings = make_log([0, 0, 1], [0, 1, 1], [1, 1, 2], 2, 3)
    assert torch.equal(indicator(reward, ratings, config), reward)


def test_neighbours_of_positives_are_what_they_logged():
    # user 0 and 2 share item 0; user 2 logged item 2 as well
    positives = make_log([0, 1, 2, 2], [0, 1, 0, 2], [1, 1, 1, 1], 3, 3)
    half = torch.full((3, 3), 0.5)
    known = SimpleNamespace(reward=Dense(half), risk=Dense(half), item_vectors=half, reward_range=(0.0, 1.0), home=None)
    world = build_world(known, positives, TablesConfig(logged_neighbours=1))
    share, risk = world.neighbour_reward(TablesConfig()).whole(), world.neighbour_risk(TablesConfig()).whole()
    assert share[0].tolist() == [1.0, 0.0, 1.0]
    assert torch.equal(risk, share * (1 - share))
    plain = build_world(known, positives, TablesConfig(neighbour_source="predicted"))
    torch.testing.assert_close(plain.neighbour_reward(TablesConfig()).whole(), half)


@pytest.mark.parametrize("centre", ["none", "user", "item"])
def test_a_user_without_feedback_is_like_nobody(centre):
    log = make_log([0, 0, 2, 2], [0, 1, 0, 2], [1, 3, 5, 2], 3, 3)  # user 1 logged nothing
    table = torch.tensor([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0], [3.0, 1.0, 2.0]])
    known = SimpleNamespace(
        reward=Dense(table), risk=Dense(table), item_vectors=table, reward_range=(1.0, 5.0), home=None
    )
    world = build_world(known, log, TablesConfig(indicator="logged", indicator_centre=centre))
    assert world.unit[1].tolist() == [0.0] * 3
    assert world.unit[[0, 2]].norm(dim=1).tolist() == pytest.approx([1.0, 1.0])
    assert world.user_features.isfinite().all()
    assert world.similarity(torch.tensor(1), torch.arange(3)).tolist() == [0.0] * 3
    assert world.neighbour_reward(TablesConfig(neighbours=2)).whole().isfinite().all()
    assert world.neighbour_risk(TablesConfig(neighbours=2)).whole().isfinite().all()


def test_entropy_by_hand():
    """Sessions by time: user 0: 0 1 2 0 1 0; user 1: 1 0 2 (rows shuffled in the log).

    After 0: 1, 1, 2. After 1: 2, 0, 0. After 2: 0 only. After {0,1}: 2 (0,1 then 2), 0 (0,1 then 0), 2 (1,0 then 2).
    After {1,2}: 0. After {0,2}: 1.
    """
    user = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    item = [2, 0, 1, 2, 1, 0, 1, 0, 0]
    time = [9, 1, 2, 3, 1, 4, 5, 6, 5]
    table = build_entropy(make_log(user, item, [1.0] * 9, 2, 4, timestamp=time))
    two_to_one = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))  # over log2(2) = 1
    np.testing.assert_allclose(table.single, [two_to_one, two_to_one, 1.0, 1.0], rtol=1e-6)
    assert table.pair_keys.tolist() == [0 * 4 + 1, 0 * 4 + 2, 1 * 4 + 2]
    np.testing.assert_allclose(table.pair_values, [two_to_one, 1.0, 1.0], rtol=1e-6)
    last, action = torch.tensor([-1, 1, 0, 3, 2]), torch.tensor([0, 0, 1, 0, 2])
    expected = [two_to_one + 1, 2 * two_to_one, 2 * two_to_one, two_to_one + 1, 2.0]
    np.testing.assert_allclose(table.lookup(last, action), expected, rtol=1e-6)


def test_entropy_is_divided_by_the_number_of_distinct_successors():
    # after item 0: 1, 2, 3, 3 -> entropy 1.5 bits over log2(3)
    user = np.repeat(np.arange(4), 2)
    table = build_entropy(make_log(user, [0, 1, 0, 2, 0, 3, 0, 3], [1.0] * 8, 4, 4, timestamp=[0, 1] * 4))
    assert float(table.single[0]) == pytest.approx(1.5 / np.log2(3))


def test_entropy_without_timestamps_is_inert():
    table = build_entropy(make_log([0, 0, 0], [0, 1, 0], [1.0] * 3, 1, 3))
    assert table.lookup(torch.tensor([-1, 0]), torch.tensor([1, 1])).tolist() == [2.0, 2.0]


def test_entropy_keys_stay_apart_in_one_row_logs():
    table = build_entropy(make_log([0], [1], [1.0], 1, 3, timestamp=[5]))
    assert table.single.tolist() == [1.0, 1.0, 1.0]
    assert table.pair_keys.numel() == 0


def test_moving_a_world_keeps_its_tables():
    world = make_world(torch.rand(4, 3))
    moved = world.to("cpu")
    assert torch.equal(moved.reward.whole(), world.reward.whole())
    assert moved.reward_range == world.reward_range


def test_histories_without_an_event_are_empty() -> None:
    empty = Histories(torch.zeros(3, dtype=torch.int64), torch.zeros(0, dtype=torch.int32))
    assert empty.of(torch.tensor([0, 1]), missing=9, most=2).tolist() == [[9, 9], [9, 9]]
    assert len(empty.one(0)) == 0
