"""Weights of references by likelihood, and the predictions that saw neither of two events."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from darlr.data.scope import scope_of
from darlr.data.split import select
from darlr.errors import ConfigError
from darlr.options import WorldModelConfig
from darlr.world.attention import (
    PRIOR_EVENTS,
    Attention,
    Compass,
    Vectors,
    compass_of,
    fit_attention,
    load_attention,
    weights,
)
from darlr.world.cross_fit import cross_fit, fits
from darlr.world.fit import train_world
from darlr.world.weighed import attention_of, require_weighable
from tests.world.tiny import log_of

USERS, ITEMS = 40, 24


def item_means(log):
    """A world model that knows the mean reward of each item, shrunk to 3, and nothing of users."""
    count = np.bincount(log.item, minlength=log.n_items)
    total = np.bincount(log.item, log.reward, minlength=log.n_items)
    row = torch.from_numpy((total + 3.0) / (count + 1)).float()
    return row.expand(log.n_users, log.n_items).clone()


def factors(log):
    """Item means and half of the eight leading directions of what is left, which know much of the noise of events."""
    table = item_means(log)
    left = torch.zeros_like(table)
    left[log.user, log.item] = torch.from_numpy(log.reward) - table[log.user, log.item]
    u, s, v = torch.linalg.svd(left)
    return table + (u[:, :8] * s[:8]) @ v[:8] / 2


def logged(of, density=0.6, seed=0):
    """A log of the rewards `of` [U, I], in which a cell is logged with probability `density`."""
    there = np.random.default_rng(seed).random(of.shape) < density
    user, item = np.nonzero(there)
    return log_of(user, item, of[user, item], *of.shape)


def groups(seed=0):
    """Two groups of users who like what the other one dislikes, with noise; item means do not tell."""
    generator = np.random.default_rng(seed)
    side = np.where(np.arange(USERS) % 2, 1.0, -1.0)
    taste = generator.choice([-1.0, 1.0], ITEMS)
    return 3 + side[:, None] * taste + 0.5 * generator.standard_normal((USERS, ITEMS))


def weighed(of, fit, folds=3, density=0.6):
    log = logged(of, density)
    return log, fit_attention(fit(log), cross_fit(log, scope_of(log), folds, 0, fit), 0)


def empty(n):
    """Sessions without a turn."""
    return torch.full((n, 1), -1), torch.zeros(n, 1)


def test_no_prediction_has_seen_its_event_and_pairs_have_seen_neither():
    log = logged(groups())
    crossed = cross_fit(log, scope_of(log), 3, 0, item_means)
    assert fits(3) == 6
    assert torch.equal(crossed.fold >= 0, crossed.reward != 0)
    of_event = crossed.fold[log.user, log.item].numpy()
    for user, item in zip(log.user[::50].tolist(), log.item[::50].tolist(), strict=True):
        own = int(crossed.fold[user, item])
        for k in range(3):
            seen = log_of(*(c[(of_event != own) & (of_event != k)] for c in (log.user, log.item, log.reward)), 40, 24)
            assert crossed.both[k, user, item] == pytest.approx(float(item_means(seen)[user, item]))
        assert crossed.residual[user, item] == pytest.approx(
            float(crossed.reward[user, item] - crossed.both[own, user, item])
        )
        assert not crossed.without(own)[1][user, item]


@pytest.mark.parametrize("seed", range(2))
def test_noise_gets_no_weights(seed):
    """Directions of r0 itself, which know the predicted events, gain 35 to 46 nats here."""
    noise = 3 + np.random.default_rng(seed).standard_normal((100, 40))
    log, found = weighed(noise, factors, density=0.3)
    assert found.strength == 0
    assert found.gain == 0
    user, item = (torch.from_numpy(side)[:5] for side in (log.user, log.item))
    assert torch.equal(found.attend(user, item, *empty(5)).shift, torch.zeros(5))


def test_users_who_agree_are_found_and_lower_the_error_of_unseen_cells():
    of = groups()
    log, found = weighed(of, item_means)
    assert found.gain > 50
    user, item = (~found.there).nonzero().unbind(1)
    told = found.attend(user, item, *empty(len(user)))
    missed = torch.from_numpy(of).float()[user, item] - item_means(log)[user, item]
    assert (missed - told.shift).square().mean() < 0.6 * missed.square().mean()
    same = (user[:, None] % 2) == (torch.arange(USERS) % 2)
    assert (told.weight * same).sum() > 4 * (told.weight * ~same).sum()
    assert bool((told.weight.sum(1) < 1).all())
    own = torch.from_numpy(log.user)
    assert bool((found.attend(own, torch.from_numpy(log.item), *empty(len(own))).weight[:, own].diagonal() == 0).all())


def test_a_session_belongs_to_the_history_of_its_user():
    of = groups()
    log, found = weighed(of, item_means)
    known = torch.arange(USERS) > 0  # user 0 has no history before the session
    stranger = Vectors(found.vectors.taste, found.vectors.total * known[:, None], found.vectors.count * known)
    new = Attention(found.compass, found.metric, found.strength, stranger, found.residual, found.there, 0.0)
    told = torch.arange(ITEMS - 1)[None]
    item, user = torch.tensor([ITEMS - 1]), torch.tensor([0])
    like = (torch.from_numpy(of).float() - item_means(log))[:, : ITEMS - 1]
    shifts = [float(new.attend(user, item, told, like[v : v + 1]).shift) for v in (2, 3)]
    truth = of[2, -1] - of[3, -1]
    assert shifts[0] * truth > 0 > shifts[1] * truth  # who answers as a group does is told what that group thinks
    unread = torch.where(torch.arange(ITEMS - 1) < 3, told, -1)
    assert torch.equal(
        new.attend(user, item, unread, like[2:3]).shift, new.attend(user, item, told[:, :3], like[2:3, :3]).shift
    )


def test_weights_are_a_softmax_with_a_null_reference():
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 3, generator=generator), torch.randn(4, 3, generator=generator)
    there, metric = torch.rand(2, 4, generator=generator) < 0.7, torch.tensor([0.5, 0.0, 2.0])
    found = weights(query, key, there, metric, torch.tensor(0.3))
    for u in range(2):
        kernel = [
            0.3 * np.exp(-sum(float(metric[j] * (query[u, j] - key[v, j]) ** 2) for j in range(3))) * float(there[u, v])
            for v in range(4)
        ]
        assert found[u].tolist() == pytest.approx([k / (1 + sum(kernel)) for k in kernel], rel=1e-5)
    assert torch.equal(weights(query, key, there, metric, torch.tensor(0.0)), torch.zeros(2, 4))


def test_vectors_have_unit_variance_and_shrink_short_histories():
    reward = torch.randn(30, 12, generator=torch.Generator().manual_seed(0))
    there = torch.rand(30, 12, generator=torch.Generator().manual_seed(1)) < 0.5
    residual = torch.randn(30, 12, generator=torch.Generator().manual_seed(2)) * there
    compass = compass_of(reward, residual, there)
    seen = compass.of(reward, residual, there)
    torch.testing.assert_close(seen.joined().std(0, correction=0), torch.ones(16), rtol=1e-4, atol=1e-4)
    own = residual[3] @ compass.directions / compass.profile / (there[3].sum() + PRIOR_EVENTS)
    torch.testing.assert_close(seen.joined()[3, 8:], own)
    turned = Compass(*vars(compass).values()).directions @ torch.linalg.qr(torch.randn(8, 8)).Q
    torch.testing.assert_close(compass_of(reward, residual, there, turned).directions, turned, rtol=1e-3, atol=1e-3)


def test_weights_are_read_back_as_they_were_written():
    _, found = weighed(groups(), item_means)
    again = load_attention(found.state(), found.gain)
    assert all(torch.equal(value, again.state()[name]) for name, value in found.state().items())


def test_what_likelihood_cannot_weigh_is_refused():
    log, positives = logged(groups()), log_of([0, 1], [0, 1], [1, 1], 2, 2)
    require_weighable(log, scope_of(log), "deepfm", "table")
    for one, kind, estimates, said in (
        (positives, "implicit", "table", "all rewards of tiny are equal"),
        (log, "deepfm", "factors", "40 users and 24 items"),
        (log, "given", "table", "another library"),
    ):
        with pytest.raises(ConfigError, match=said):
            require_weighable(one, scope_of(one), kind, estimates)


def test_weights_are_chosen_once_and_kept_beside_the_world_model(tmp_path, monkeypatch):
    log = logged(groups())
    config = WorldModelConfig("deepfm", members=1, hidden=(4,), embedding=2, epochs=1)
    fitted = train_world(log, select(log, np.zeros(len(log), dtype=bool)), config).finish()
    steps = []
    fresh = attention_of(fitted, log, scope_of(log), 3, lambda *done: steps.append(done))
    assert steps == [(k, 6) for k in range(7)]
    kept = replace(fitted, home=tmp_path)
    assert attention_of(kept, log, scope_of(log), 3).gain == fresh.gain
    monkeypatch.setattr("darlr.world.weighed.cross_fit", None)  # nothing is fitted again
    again = attention_of(kept, log, scope_of(log), 3)
    assert all(torch.equal(value, again.state()[name]) for name, value in fresh.state().items())
