"""The Bayesian factorisation machine: what it learns, its tables, and half of a mixture."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.data.log import FeatureColumn, InteractionLog
from darlr.data.split import select, split
from darlr.errors import ConfigError
from darlr.options import SplitConfig, WorldModelConfig
from darlr.world.fit import fit_world
from darlr.world.fitted import load
from darlr.world.kind import SweepReport
from darlr.world.models import bayesian
from darlr.world.models.bayesian import DRAWS, SWEEPS, fit_bayesian
from darlr.world.models.mixture import Mixture
from tests.world.models.test_gibbs import ITEMS, QUICK, USERS, rich_log
from tests.world.tiny import log_of


def noisy(seed: int = 0) -> tuple[InteractionLog, np.ndarray]:
    """Even users like even items, by one point around their mean of 3, with noise of 0.5; the truth."""
    generator = np.random.default_rng(seed)
    truth = 3 + np.where((np.arange(60)[:, None] + np.arange(40)) % 2, -1.0, 1.0)
    user, item = np.nonzero(generator.random(truth.shape) < 0.4)
    reward = truth[user, item] + generator.normal(0, 0.5, len(user))
    return log_of(user, item, reward, *truth.shape, reward_range=(0.0, 6.0)), truth


def test_learns_preferences_that_no_bias_can_and_how_noisy_rewards_are() -> None:
    log, truth = noisy()
    train, held_out = split(log, SplitConfig())
    fitted = fit_world(train, held_out, replace(QUICK, members=3))
    assert np.sqrt(np.square(fitted.reward.whole().numpy() - truth).mean()) < 0.25
    assert fitted.metrics["held_out_rmse"] == pytest.approx(0.5, abs=0.1)
    assert float(fitted.risk.whole().median()) == pytest.approx(0.25, rel=0.3)
    again = fit_world(train, held_out, replace(QUICK, members=3))
    assert torch.equal(again.reward.whole(), fitted.reward.whole())
    other = fit_world(train, held_out, replace(QUICK, members=3, seed=1))
    assert not torch.equal(other.reward.whole(), fitted.reward.whole())


def test_who_is_not_met_is_less_certain_but_known_by_features() -> None:
    generator = np.random.default_rng(0)
    kind = np.arange(40) % 2
    user, item = np.nonzero(generator.random((38, 20)) < 0.5)
    reward = np.where(kind[user] == 0, 4.0, 2.0) + generator.normal(0, 0.3, len(user))
    feature = FeatureColumn("kind", "categorical", kind, ("a", "b"))
    log = log_of(user, item, reward, 40, 20, user_features=(feature,), reward_range=(0.0, 6.0))
    fitted = fit_world(log, select(log, np.zeros(len(log), bool)), QUICK)
    assert fitted.reward.whole()[38:].mean(1).tolist() == pytest.approx([4.0, 2.0], abs=0.4)
    assert float(fitted.risk.whole()[38:].mean()) > 1.2 * float(fitted.risk.whole()[:38].mean())


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
    assert torch.equal(mixed.reward.whole(), torch.stack([p.predict_members()[0] for p in parts]).flatten(0, 1).mean(0))
    assert torch.equal(mixed.risk.whole(), torch.maximum(parts[0].risk.whole(), parts[1].risk.whole()))
    error = mixed.reward.whole().numpy()[held_out.user, held_out.item] - held_out.reward
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
    with pytest.raises(ValueError, match="have unequal weights"):
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
    assert fitted.config.kind == "implicit"
    assert torch.equal(fitted.reward.whole(), fit_world(positives, positives, plain).reward.whole())
