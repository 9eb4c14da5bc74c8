"""Strategies: draws occur as often as their propensities say, and a decision can be repeated from its request."""

from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from darlr.agents.policy import RecommenderPolicy
from darlr.agents.slates import Slates
from darlr.errors import ConfigError
from darlr.options import StrategyConfig
from darlr.serving.ids import NEW
from darlr.serving.policy import TrainedPolicy
from darlr.serving.strategy import Choice, Listed, _top, choose, seed_of
from darlr.world.estimates import Dense
from tests.serving.tiny import ITEMS

GREEDY, SAMPLE, EXPLORE = (StrategyConfig(name, 0.4) for name in ("greedy", "sample", "explore"))
DRAWS = 60_000


@cache
def seeds() -> NDArray[np.uint64]:
    return np.array([seed_of(f"request {n}", "u1", "v1") for n in range(DRAWS)], np.uint64)


both = pytest.mark.parametrize("config", [SAMPLE, EXPLORE], ids=["sample", "explore"])


def plackett_luce(scores: list[float], ranks: tuple[int, ...]) -> float:
    """The probability of a list, by its definition."""
    left, chance = set(range(len(scores))), 1.0
    for item in ranks:
        chance *= np.exp(scores[item]) / sum(np.exp(scores[one]) for one in left)
        left.remove(item)
    return chance


def epsilon_greedy(scores: list[float], ranks: tuple[int, ...]) -> float:
    left, chance = set(range(len(scores))), 1.0
    for item in ranks:
        best = max(left, key=lambda one: (scores[one], -one))
        chance *= 0.6 * (item == best) + 0.4 / len(left)
        left.remove(item)
    return chance


@pytest.mark.parametrize(("config", "truth"), [(SAMPLE, plackett_luce), (EXPLORE, epsilon_greedy)])
def test_lists_are_drawn_as_often_as_their_propensities_say(config: StrategyConfig, truth: Any) -> None:
    scores = [0.3, -1.0, 1.5, 0.3, 2.0]
    given_scores = np.tile(np.array([*scores, 9.0], np.float32), (DRAWS, 1))
    allowed = np.tile(np.array([True] * 5 + [False]), (DRAWS, 1))
    found = choose(given_scores, allowed, 3, config, seeds())
    chance = found.propensities.prod(1)
    for ranks in permutations(range(5), 3):
        drawn = (found.codes == ranks).all(1)
        assert abs(drawn.mean() - truth(scores, ranks)) < 0.005
        np.testing.assert_allclose(chance[drawn], truth(scores, ranks), rtol=1e-6)


@both
def test_ten_thousand_decisions_can_be_repeated_bit_for_bit(config: StrategyConfig) -> None:
    generator = np.random.default_rng(1)
    scores = generator.normal(0, 3, (10_000, 37)).astype(np.float32)
    allowed = generator.random((10_000, 37)) < 0.7
    logged = choose(scores, allowed, 6, config, seeds()[:10_000])
    for size in (1, 7, 10_000):  # alone, or beside other requests
        rows = range(0, 10_000 if size > 1 else 1_000, size)
        for start in rows:
            some = slice(start, start + size)
            again = choose(scores[some], allowed[some], 6, config, seeds()[:10_000][some])
            kept = np.arange(6) < again.counts[:, None]
            assert np.array_equal(again.codes[kept], logged.codes[some][kept])
            assert np.array_equal(again.propensities[kept], logged.propensities[some][kept])
    other = choose(scores, allowed, 6, config, seeds()[10_000:20_000])
    assert (other.codes[:, :3] != logged.codes[:, :3]).any(1).mean() > 0.5


NUMBER = st.floats(-1e6, 1e6, width=32)
WORLD = st.integers(1, 9).flatmap(
    lambda n: st.tuples(arrays(np.float32, (3, n), elements=NUMBER), arrays(np.bool_, (3, n)), st.integers(1, n + 2))
)


@given(WORLD, st.sampled_from([GREEDY, SAMPLE, EXPLORE, StrategyConfig("explore", 0), StrategyConfig("explore", 1)]))
def test_what_is_shown_may_be_shown_once_and_has_a_propensity(world: Any, config: StrategyConfig) -> None:
    scores, allowed, count = world
    found: Choice = choose(scores, allowed, count, config, seeds()[:3])
    for row in range(3):
        shown = found.codes[row, : found.counts[row]]
        assert len(shown) == len(set(shown)) == min(count, allowed[row].sum())
        assert allowed[row, shown].all()
        chance = found.propensities[row, : len(shown)]
        assert ((chance > 0) & (chance <= 1)).all()
        if config.strategy == "greedy" or (config.strategy == "explore" and not config.epsilon):
            best = sorted(np.flatnonzero(allowed[row]), key=lambda item: (-scores[row, item], item))
            assert shown.tolist() == best[:count]
            assert (chance == 1).all()


def test_a_share_of_almost_nothing_is_not_rounded_away() -> None:
    scores, allowed = np.array([[0, 1000, 2, 1]], np.float32), np.ones((1, 4), bool)
    found = choose(scores, allowed, 3, SAMPLE, seeds()[:1])
    assert found.codes[0, 0] == 1
    weights = {0: 1.0, 2: np.exp(2), 3: np.exp(1)}
    for rank in (1, 2):
        item = found.codes[0, rank]
        assert found.propensities[0, rank] == pytest.approx(weights[item] / sum(weights.values()))
        del weights[item]


@pytest.mark.parametrize("name", ["learned", "learned, prior and belief", "table", "list"])
@pytest.mark.parametrize("strategy", ["sample", "explore"])
def test_the_propensity_of_a_first_item_is_that_of_its_scores(
    policies: dict[str, TrainedPolicy], name: str, strategy: Any
) -> None:
    policy, rules = policies[name], {"exclude": [3], "only": range(12)}
    history = {"u1": [(5, 4.0)], NEW: [(1, 1.0)]}
    for user in ("u1", NEW):
        everything = policy.recommend(user, ITEMS, history=history, **rules)
        z = dict(everything.select("item", "score").iter_rows())
        assert set(z) == set(range(12)) - {3, 5 if user == "u1" else 1}
        names = [f"r{n}" for n in range(40)]
        found = policy.recommend([user] * 40, 2, history=history, **rules, strategy=strategy, request_id=names)
        again = policy.recommend(user, 2, history=history, **rules, strategy=strategy, request_id="r7")
        assert again["item"].to_list() == found["item"][14:16].to_list()
        assert found["item"].n_unique() > 2
        total, best = sum(np.exp(list(z.values()))), everything["item"][0]
        for _, rank, item, score, chance, _ in found.iter_rows():
            wanted = np.exp(score) / total if strategy == "sample" else 0.9 * (item == best) + 0.1 / len(z)
            assert rank == 2 or chance == pytest.approx(wanted, rel=1e-5)


def test_only_items_of_the_slate_are_drawn(policies: dict[str, TrainedPolicy]) -> None:
    policy = policies["learned, prior"]
    assert isinstance(policy.policy, RecommenderPolicy)
    recommender = policy.policy.recommender
    slates = Slates(recommender.estimate or Dense(recommender.items), 3, 3, None, seed=1)
    recommender.slates = slates
    try:
        held = set(slates.of(slates.estimate.moments()[0].new_zeros(1).long()).items[0].tolist()) - {ITEMS}
        for strategy in ("greedy", "sample", "explore"):
            found = policy.recommend("u0", ITEMS, strategy=strategy, request_id="r")
            assert set(found["item"]) == held
            assert found["propensity"][-1] == 1
    finally:
        recommender.slates = None


@pytest.mark.parametrize("config", [StrategyConfig("greedy"), SAMPLE, StrategyConfig("explore", 0.5)])
@pytest.mark.parametrize("count", [3, 30])
def test_scores_of_a_part_of_the_catalogue_give_the_same_choices(config: StrategyConfig, count: int) -> None:
    items = np.arange(1, 200, 9)
    scores = np.random.default_rng(0).normal(size=(4, 200)).astype(np.float32)
    allowed = np.zeros((4, 200), bool)
    allowed[:, items] = np.random.default_rng(1).random((4, len(items))) < 0.8
    whole = choose(scores, allowed, count, config, seeds()[:4])
    part = choose(scores[:, items], allowed[:, items], count, config, seeds()[:4], Listed(items, 200))
    assert np.array_equal(part.counts, whole.counts)
    assert part.codes.shape == whole.codes.shape
    for row, filled in enumerate(whole.counts):
        for name in ("codes", "propensities", "scores"):
            assert np.array_equal(getattr(part, name)[row, :filled], getattr(whole, name)[row, :filled])


def test_seeds_differ_by_request_user_and_version() -> None:
    parts = [("r", "u", "v"), ("r2", "u", "v"), ("r", "u2", "v"), ("r", "u", "v2"), ("r", None, "v"), ("ru", "", "v")]
    assert len({seed_of(*one) for one in parts}) == len(parts)
    assert seed_of("r", "u", "v") == 9898461743926285278  # the same on every machine


def test_what_cannot_be_drawn_is_refused(policies: dict[str, TrainedPolicy]) -> None:
    policy = policies["learned"]
    for options, message in (
        ({"strategy": "sample"}, "option request-id: strategy sample draws items; name the request"),
        ({"strategy": "sampel"}, "option strategy: no strategy is called 'sampel'; perhaps you meant 'sample'"),
        ({"strategy": "explore", "epsilon": 1.5}, "option epsilon: must be a number from 0 to 1, not 1.5"),
        (
            {"strategy": "sample", "request_id": ["a", "b"]},
            "option request-id: give one text, or one",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            policy.recommend("u1", 2, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [1, 7, 30])
@pytest.mark.parametrize("kind", [np.float64, np.int64])
def test_the_largest_keys_of_a_long_row_are_those_of_a_sort(width: int, kind: type) -> None:
    keys = (np.random.default_rng(width).standard_normal((1, 1003)) * 1e9).astype(kind)
    keys[0, -1] = keys.max() + 1  # outside the whole chunks
    wanted = keys.argsort(1, kind="stable")[:, ::-1][:, :width]
    np.testing.assert_array_equal(_top(keys, width), wanted)
    np.testing.assert_array_equal(_top(np.concatenate([keys, keys]), width), np.concatenate([wanted, wanted]))
