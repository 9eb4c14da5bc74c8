"""The Bayesian factorisation machine: its sampler against plain sums, what it learns, and half of a mixture."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.config import SplitConfig, WorldModelConfig
from darlr.data.log import FeatureColumn, InteractionLog
from darlr.data.split import select, split
from darlr.errors import ConfigError
from darlr.world import bayesian
from darlr.world.bayesian import DRAWS, SWEEPS, _Chains, fit_bayesian
from darlr.world.fit import SweepReport, fit_world
from darlr.world.fitted import load
from darlr.world.mixture import Mixture
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


def columns(chains: _Chains) -> np.ndarray:
    """The events as rows of a plain design matrix, users' codes before items', [L, codes]."""
    parts = []
    for side in chains.sides:
        hot = np.zeros((len(side.codes), len(side.group)))
        for slot in range(side.codes.shape[1]):
            hot[np.arange(len(hot)), side.codes[:, slot]] += side.weights[:, slot]
        parts.append(hot[side.rows])
    return np.concatenate(parts, 1)


def plain(chains: _Chains, x: np.ndarray) -> np.ndarray:
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
    chains = _Chains(log, target, weight, QUICK)
    x = columns(chains)
    for _ in range(3):
        np.testing.assert_allclose(chains.error, target[:, None] - plain(chains, x), atol=1e-9)
        chains.sweep()
    assert np.abs(chains.sides[0].factors).max() > 0.2  # moved away from where they began


def test_conditionals_are_those_of_the_equation(monkeypatch: pytest.MonkeyPatch) -> None:
    log, target, weight = rich_log()
    chains = _Chains(log, target, weight, QUICK)
    chains.sweep()
    x, met, draw = columns(chains), set(), bayesian._Side._draw

    def checked(side, order, block, slope, curvature, noise):
        factors = np.concatenate([side.factors for side in chains.sides], 1)
        error = weight[:, None] * (target[:, None] - plain(chains, x))
        first = 0 if side is chains.sides[0] else len(chains.sides[0].group)
        for place, j in enumerate(first + block.codes):
            met.add((order, j))
            along = 1.0 if order == 0 else x @ factors[order - 1] - x[:, [j]] * factors[order - 1, j]
            h = x[:, [j]] * along  # how the prediction rises with this parameter
            np.testing.assert_allclose(slope[place], (h * error).sum(0), atol=1e-9)
            wanted = (weight[:, None] * h**2).sum(0)
            np.testing.assert_allclose(np.broadcast_to(curvature, slope.shape)[place], wanted * np.ones(2), atol=1e-9)
        return draw(side, order, block, slope, curvature, noise)

    monkeypatch.setattr(bayesian._Side, "_draw", checked)
    chains.sweep()
    assert met == {(order, j) for order in range(4) for j in np.flatnonzero(x.any(0))}


def test_hyperparameters_are_drawn_as_the_paper_says() -> None:
    log, target, weight = rich_log()
    side = _Chains(log, target, weight, replace(QUICK, members=1)).sides[0]
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
    chains = _Chains(log, target, weight, QUICK)
    for _ in range(3):
        chains.sweep()
    draw = chains.draw()
    across = (draw["user_vector"][:, log.user] * draw["item_vector"][:, log.item]).sum(-1)
    said = draw["user_linear"][:, log.user] + draw["item_linear"][:, log.item] + across
    np.testing.assert_allclose(said.T, target[:, None] - chains.error, atol=1e-9)


def test_a_draw_is_the_normal_that_bayes_says() -> None:
    log, target, weight = rich_log()
    config = replace(QUICK, members=20_000)
    side = _Chains(log, target, weight, replace(QUICK, members=1)).sides[0]
    side.linear = np.full((len(side.group), config.members), 0.7)
    side.mean, side.precision = np.full((4, 2, 1), 0.2), np.full((4, 2, 1), 4.0)
    block = side.blocks[0]
    slope, curvature = np.full((len(block.codes), config.members), 3.0), np.full((len(block.codes), 1), 5.0)
    side._draw(0, block, slope, curvature, np.full(config.members, 2.0))
    drawn = side.linear[block.codes[0]]
    # precision 4 + 2 * 5; evidence 2 * (3 + 0.7 * 5) beside the prior's 4 * 0.2
    assert drawn.mean() == pytest.approx((0.8 + 13) / 14, abs=0.01)
    assert drawn.std() == pytest.approx(14**-0.5, rel=0.03)


def test_no_row_has_two_parameters_of_a_block() -> None:
    log, target, weight = rich_log()
    for side in _Chains(log, target, weight, QUICK).sides:
        codes = np.concatenate([block.codes for block in side.blocks])
        assert len(codes) == len(set(codes))
        for block in side.blocks:
            for row in np.unique(side.rows):
                own = set(side.codes[row, side.weights[row] != 0]) & set(block.codes)
                assert len(own) <= 1
                assert (block.weight[row, 0] != 0) == bool(own)


def test_weights_count_like_repeated_events() -> None:
    log, target, _ = rich_log()
    twice = np.ones(40)
    twice[:10] = 2
    repeated = np.concatenate([np.arange(40), np.arange(10)])
    longer = replace(log, user=log.user[repeated], item=log.item[repeated], reward=log.reward[repeated])
    one = _Chains(log, target, twice, QUICK)
    other = _Chains(longer, target[repeated], np.ones(50), QUICK)
    for _ in range(3):
        one.sweep()
        other.sweep()
    np.testing.assert_allclose(one.error, other.error[:40], atol=1e-9)


def noisy(seed: int = 0) -> tuple[InteractionLog, np.ndarray]:
    """Even users like even items, by one point around their mean of 3, with noise of 0.5; the truth."""
    generator = np.random.default_rng(seed)
    truth = 3 + np.where((np.arange(60)[:, None] + np.arange(40)) % 2, -1.0, 1.0)
    user, item = np.nonzero(generator.random(truth.shape) < 0.4)
    reward = truth[user, item] + generator.normal(0, 0.5, len(user))
    return log_of(user, item, reward, *truth.shape, reward_range=(0.0, 6.0)), truth


def test_learns_tastes_that_no_bias_can_and_how_noisy_rewards_are() -> None:
    log, truth = noisy()
    train, held_out = split(log, SplitConfig())
    fitted = fit_world(train, held_out, replace(QUICK, members=3))
    assert np.sqrt(np.square(fitted.reward.numpy() - truth).mean()) < 0.25
    assert fitted.metrics["held_out_rmse"] == pytest.approx(0.5, abs=0.1)
    assert float(fitted.risk.median()) == pytest.approx(0.25, rel=0.3)
    again = fit_world(train, held_out, replace(QUICK, members=3))
    assert torch.equal(again.reward, fitted.reward)
    assert not torch.equal(fit_world(train, held_out, replace(QUICK, members=3, seed=1)).reward, fitted.reward)


def test_who_is_not_met_is_less_certain_but_known_by_features() -> None:
    generator = np.random.default_rng(0)
    kind = np.arange(40) % 2
    user, item = np.nonzero(generator.random((38, 20)) < 0.5)
    reward = np.where(kind[user] == 0, 4.0, 2.0) + generator.normal(0, 0.3, len(user))
    feature = FeatureColumn("kind", "categorical", kind, ("a", "b"))
    log = log_of(user, item, reward, 40, 20, user_features=(feature,), reward_range=(0.0, 6.0))
    fitted = fit_world(log, select(log, np.zeros(len(log), bool)), QUICK)
    assert fitted.reward[38:].mean(1).tolist() == pytest.approx([4.0, 2.0], abs=0.4)
    assert float(fitted.risk[38:].mean()) > 1.2 * float(fitted.risk[:38].mean())


def test_pairs_and_tables_agree_and_the_mean_is_over_all_draws() -> None:
    log, target, weight = rich_log()
    model = fit_bayesian(log, torch.from_numpy(target).float(), torch.from_numpy(weight).float(), QUICK)
    assert model.user_vector.shape == (2, DRAWS, USERS, 3)
    users, items = torch.tensor([3, 0, 8]), torch.tensor([6, 2, 0, 5])
    mean, log_variance = model.over(items)(users)
    pairs = torch.cartesian_prod(users, items).T
    for one, other in zip(model(*(part.expand(2, -1) for part in pairs)), (mean, log_variance), strict=True):
        torch.testing.assert_close(one.view(2, 3, 4), other)
    draws = (
        model.user_linear[:, :, users, None]
        + model.item_linear[:, :, None, items]
        + torch.einsum("kduf,kdif->kdui", model.user_vector[:, :, users], model.item_vector[:, :, items])
    )
    torch.testing.assert_close(mean, draws.mean(1))
    torch.testing.assert_close(log_variance.exp(), draws.var(1, correction=0) + model.noise[:, None, None])


def test_blocks_of_a_table_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    log, target, weight = rich_log()
    model = fit_bayesian(log, torch.from_numpy(target).float(), torch.from_numpy(weight).float(), QUICK)
    users, items = torch.arange(USERS), torch.arange(ITEMS)
    whole = model.over(items)(users)
    monkeypatch.setattr(bayesian, "CELLS", 10)
    for one, other in zip(model.over(items)(users), whole, strict=True):
        torch.testing.assert_close(one, other)


def test_mixed_averages_both_and_comes_back_from_disk(tmp_path) -> None:
    log, _ = noisy()
    train, held_out = split(log, SplitConfig())
    config = WorldModelConfig(kind="mixed", members=2, embedding=3, hidden=(8,), epochs=2)
    seen: list = []
    mixed = fit_world(train, held_out, config, seen.append)
    parts = [fit_world(train, held_out, replace(config, kind=kind)) for kind in ("deepfm", "bayesian")]
    assert torch.equal(mixed.reward, torch.stack([p.predict_members()[0] for p in parts]).flatten(0, 1).mean(0))
    assert torch.equal(mixed.risk, torch.maximum(parts[0].risk, parts[1].risk))
    error = mixed.reward.numpy()[held_out.user, held_out.item] - held_out.reward
    assert mixed.metrics["held_out_rmse"] == pytest.approx(
        np.sqrt(np.square(error).mean()), rel=0.02
    )  # before clipping
    assert mixed.metrics["best_epoch"] == parts[0].metrics["best_epoch"]
    assert [report.sweep for report in seen if isinstance(report, SweepReport)] == list(range(SWEEPS + 1))
    for fitted in (mixed, parts[1]):
        fitted.save(tmp_path / fitted.config.kind)
        again = load(tmp_path / fitted.config.kind)
        for mine, theirs in zip(fitted.predict_members(), again.predict_members(), strict=True):
            assert torch.equal(mine, theirs)
        assert torch.equal(again.item_vectors, fitted.item_vectors)


def test_each_half_of_a_mixture_reads_its_own_rows() -> None:
    log, _ = noisy()
    config = WorldModelConfig(kind="mixed", members=2, embedding=3, hidden=(8,), epochs=1)
    model = fit_world(log, log, config).model
    assert isinstance(model, Mixture)
    users, items = torch.arange(8).view(4, 2), torch.arange(8, 16).view(4, 2)
    mean, log_variance = model(users, items)
    for part, rows in ((model.deep, slice(2)), (model.bayesian, slice(2, 4))):
        wanted = part(users[rows], items[rows])
        assert torch.equal(mean[rows], wanted[0])
        assert torch.equal(log_variance[rows], wanted[1])
    with pytest.raises(ValueError, match="would not count half"):
        Mixture(model.deep, fit_world(log, log, replace(config, kind="bayesian", members=3)).model)


def test_logs_of_positives_alone() -> None:
    log, _ = noisy()
    positives = replace(log, reward=np.ones(len(log), dtype=np.float32))
    with pytest.raises(ConfigError, match=re.escape("option model.kind: bayesian needs ratings")):
        fit_world(positives, positives, QUICK)
    with pytest.raises(ConfigError, match="samples no negatives"):
        fit_world(log, log, replace(QUICK, loss="pointneg"))
    plain = WorldModelConfig(members=2, embedding=3, hidden=(8,), epochs=1)
    fitted = fit_world(positives, positives, replace(plain, kind="mixed"))
    assert fitted.config.kind == "deepfm"
    assert torch.equal(fitted.reward, fit_world(positives, positives, plain).reward)
