"""The sampler of factorisation machines, against plain sums."""

from dataclasses import replace

import numpy as np
import pytest

from darlr.data.log import FeatureColumn, InteractionLog
from darlr.options import WorldModelConfig
from darlr.world.models import gibbs
from darlr.world.models.gibbs import Chains
from tests.world.tiny import log_of

USERS, ITEMS = 9, 7
QUICK = WorldModelConfig(kind="bayesian", members=2, embedding=3)


def rich_log(seed: int = 0) -> tuple[InteractionLog, np.ndarray, np.ndarray]:
    """A log with every kind of feature, some missing, rows without events; targets and weights of the events."""
    generator = np.random.default_rng(seed)
    kind = FeatureColumn("kind", "categorical", generator.integers(-1, 3, USERS), ("a", "b", "c"))
    size = FeatureColumn("size", "numeric", np.where(generator.random(ITEMS) < 0.3, np.nan, generator.random(ITEMS)))
    tags = generator.random((ITEMS, 4)).argsort(1)[:, :3]
    tags[generator.random(tags.shape) < 0.3] = -1
    tagged = FeatureColumn("tags", "multi", tags, ("k", "l", "m", "n"))
    user, item = generator.integers(0, USERS - 1, 40), generator.integers(1, ITEMS, 40)
    log = log_of(user, item, np.ones(40), USERS, ITEMS, user_features=(kind,), item_features=(size, tagged))
    return log, generator.normal(size=40), generator.uniform(0.5, 2, 40)


def columns(chains: Chains) -> np.ndarray:
    """The events as rows of a plain design matrix, users' codes before items', [L, codes]."""
    parts = []
    for side in chains.sides:
        hot = np.zeros((len(side.codes), len(side.group)))
        for slot in range(side.codes.shape[1]):
            hot[np.arange(len(hot)), side.codes[:, slot]] += side.weights[:, slot]
        parts.append(hot[side.rows])
    return np.concatenate(parts, 1)


def plain(chains: Chains, x: np.ndarray) -> np.ndarray:
    """The model's equation by two loops over columns, [L, K]."""
    linear = np.concatenate([side.linear for side in chains.sides])
    factors = np.concatenate([side.factors for side in chains.sides], 1)
    found = chains.intercept + x @ linear
    for j in range(x.shape[1]):
        for other in range(j + 1, x.shape[1]):
            found = found + (x[:, j] * x[:, other])[:, None] * (factors[:, j] * factors[:, other]).sum(0)
    return found


def test_the_error_follows_every_draw() -> None:
    log, target, weight = rich_log()
    chains = Chains(log, target, weight, QUICK)
    x = columns(chains)
    for _ in range(3):
        np.testing.assert_allclose(chains.error, target[:, None] - plain(chains, x), atol=1e-9)
        chains.sweep()
    assert np.abs(chains.sides[0].factors).max() > 0.2  # moved away from where they began


def test_conditionals_are_those_of_the_equation(monkeypatch: pytest.MonkeyPatch) -> None:
    log, target, weight = rich_log()
    chains = Chains(log, target, weight, QUICK)
    chains.sweep()
    x, met, draw = columns(chains), set(), gibbs._Side._draw

    def checked(side, order, batch, slope, curvature, noise):
        factors = np.concatenate([side.factors for side in chains.sides], 1)
        error = weight[:, None] * (target[:, None] - plain(chains, x))
        first = 0 if side is chains.sides[0] else len(chains.sides[0].group)
        for place, j in enumerate(first + batch.codes):
            met.add((order, j))
            along = 1.0 if order == 0 else x @ factors[order - 1] - x[:, [j]] * factors[order - 1, j]
            h = x[:, [j]] * along  # how the prediction rises with this parameter
            np.testing.assert_allclose(slope[place], (h * error).sum(0), atol=1e-9)
            wanted = (weight[:, None] * h**2).sum(0)
            np.testing.assert_allclose(np.broadcast_to(curvature, slope.shape)[place], wanted * np.ones(2), atol=1e-9)
        return draw(side, order, batch, slope, curvature, noise)

    monkeypatch.setattr(gibbs._Side, "_draw", checked)
    chains.sweep()
    assert met == {(order, j) for order in range(4) for j in np.flatnonzero(x.any(0))}


def test_hyperparameters_are_drawn_as_the_paper_says() -> None:
    log, target, weight = rich_log()
    side = Chains(log, target, weight, replace(QUICK, members=1)).sides[0]
    codes, chains = side.known[0], 20_000
    values = np.arange(len(codes)) - 2.0
    side.linear = np.zeros((len(side.group), chains))
    side.linear[codes] = values[:, None]
    side.factors = np.zeros((0, len(side.group), chains))
    side.mean, side.precision = np.full((1, 2, chains), 3.0), np.ones((1, 2, chains))
    side.draw_priors()
    shape, rate = (len(codes) + 2) / 2, (1 + ((values - 3) ** 2).sum() + 9) / 2
    assert side.precision[0, 0].mean() == pytest.approx(shape / rate, rel=0.02)
    assert side.precision[0, 0].std() == pytest.approx(shape**0.5 / rate, rel=0.03)
    centred = side.mean[0, 0] - values.sum() / (len(codes) + 1)
    assert centred.mean() == pytest.approx(0.0, abs=0.02)
    assert (centred * np.sqrt((len(codes) + 1) * side.precision[0, 0])).std() == pytest.approx(1.0, rel=0.03)


def test_a_kept_draw_says_what_the_chains_say_of_the_events() -> None:
    log, target, weight = rich_log()
    chains = Chains(log, target, weight, QUICK)
    for _ in range(3):
        chains.sweep()
    draw = chains.draw()
    across = (draw["user_vector"][:, log.user] * draw["item_vector"][:, log.item]).sum(-1)
    said = draw["user_linear"][:, log.user] + draw["item_linear"][:, log.item] + across
    np.testing.assert_allclose(said.T, target[:, None] - chains.error, atol=1e-9)


def test_a_draw_is_the_normal_that_bayes_says() -> None:
    log, target, weight = rich_log()
    config = replace(QUICK, members=20_000)
    side = Chains(log, target, weight, replace(QUICK, members=1)).sides[0]
    side.linear = np.full((len(side.group), config.members), 0.7)
    side.mean, side.precision = np.full((4, 2, 1), 0.2), np.full((4, 2, 1), 4.0)
    batch = side.batches[0]
    slope, curvature = np.full((len(batch.codes), config.members), 3.0), np.full((len(batch.codes), 1), 5.0)
    side._draw(0, batch, slope, curvature, np.full(config.members, 2.0))
    drawn = side.linear[batch.codes[0]]
    # precision 4 + 2 * 5; evidence 2 * (3 + 0.7 * 5) beside the prior's 4 * 0.2
    assert drawn.mean() == pytest.approx((0.8 + 13) / 14, abs=0.01)
    assert drawn.std() == pytest.approx(14**-0.5, rel=0.03)


def test_no_row_has_two_parameters_of_a_batch() -> None:
    log, target, weight = rich_log()
    for side in Chains(log, target, weight, QUICK).sides:
        codes = np.concatenate([batch.codes for batch in side.batches])
        assert len(codes) == len(set(codes))
        for batch in side.batches:
            having = np.arange(len(side.codes))[batch.rows].tolist()  # no others, so that a sweep does not visit them
            assert len(having) == len(batch.place)
            for row in np.unique(side.rows):
                own = set(side.codes[row, side.weights[row] != 0]) & set(batch.codes)
                assert len(own) <= 1
                assert (row in having) == bool(own)
            assert (batch.weight != 0).all()


def test_blocks_of_rows_and_events_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log, target, weight = rich_log()
    whole, parts = Chains(log, target, weight, QUICK), Chains(log, target, weight, QUICK)
    whole.sweep()
    monkeypatch.setattr(gibbs, "BLOCK", 4)
    parts.sweep()
    drawn = parts.draw()
    for name, table in whole.draw().items():
        np.testing.assert_array_equal(drawn[name], table)


def test_weights_count_like_repeated_events() -> None:
    log, target, _ = rich_log()
    twice = np.ones(40)
    twice[:10] = 2
    repeated = np.concatenate([np.arange(40), np.arange(10)])
    longer = replace(log, user=log.user[repeated], item=log.item[repeated], reward=log.reward[repeated])
    one = Chains(log, target, twice, QUICK)
    other = Chains(longer, target[repeated], np.ones(50), QUICK)
    for _ in range(3):
        one.sweep()
        other.sweep()
    np.testing.assert_allclose(one.error, other.error[:40], atol=1e-9)
